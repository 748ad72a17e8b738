"""Merging and splicing of edits."""

from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.core.message.edits import merge_edits, newline_of, splice
from mailveil.core.message.types import Edit

DATA = bytes(range(60, 100))
SPANS = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted)
EDITS = st.lists(
    st.builds(
        lambda span, text: Edit(span[0], span[1], text), SPANS, st.sampled_from([b"", b"A", b"BB", b"CCC"])
    ),
    max_size=12,
)


def test_nothing_to_do_gives_the_very_same_bytes() -> None:
    assert splice(DATA, []) is DATA


def test_edits_are_made_in_order_of_place() -> None:
    assert splice(b"0123456789", [Edit(8, 9, b"x"), Edit(2, 4, b"AB!"), Edit(4, 4, b"+")]) == b"01AB!+4567x9"


def test_of_overlapping_edits_the_widest_wins_over_the_whole() -> None:
    assert splice(b"0123456789", [Edit(2, 4, b"narrow"), Edit(1, 6, b"wide")]) == b"0wide6789"
    assert splice(b"0123456789", [Edit(1, 4, b"first"), Edit(3, 6, b"second")]) == b"0first6789"
    assert splice(b"0123456789", [Edit(1, 4, b"a"), Edit(3, 8, b"b"), Edit(7, 9, b"c")]) == b"0b9"


def test_equal_edits_count_once() -> None:
    assert splice(b"0123", [Edit(1, 2, b"x"), Edit(1, 2, b"x"), Edit(1, 2, b"y")]) == b"0x23"
    assert splice(b"0123", [Edit(1, 1, b"x"), Edit(1, 1, b"y"), Edit(1, 1, b"x")]) == b"0xy123"


def test_insertions_stand_at_the_edges_of_what_is_replaced() -> None:
    edits = [Edit(1, 3, b"mid"), Edit(3, 3, b">"), Edit(1, 1, b"<"), Edit(2, 2, b"lost")]
    assert splice(b"0123", edits) == b"0<mid>3"


@settings(deadline=None)
@given(EDITS)
def test_merged_edits_are_sorted_apart_and_final(edits: list[Edit]) -> None:
    merged = merge_edits(edits)
    for left, right in pairwise(merged):
        assert left.end <= right.start
    assert splice(DATA, merged) == splice(DATA, edits)
    assert merge_edits(merged) == merged


@settings(deadline=None)
@given(EDITS)
def test_what_no_edit_touches_stays(edits: list[Edit]) -> None:
    touched = {at for edit in edits for at in range(edit.start, edit.end)}
    covered = {at for edit in merge_edits(edits) for at in range(edit.start, edit.end)}
    assert covered == touched


def test_many_edits_take_linear_time() -> None:
    data = bytes(5_000_000)
    edits = [Edit(at, at + 20, b"replacement") for at in range(0, 5_000_000, 50)]
    started = time.process_time()
    assert len(splice(data, edits[::-1])) == 5_000_000 - 9 * 100_000
    assert time.process_time() - started < 2


def test_the_line_break_in_use_is_found() -> None:
    assert newline_of(b"a\r\nb\nc") == b"\r\n"
    assert newline_of(b"a\nb\r\n") == b"\n"
    assert newline_of(b"\n") == b"\n"
    assert newline_of(b"head\nbody", 5) == b"\n"
    assert newline_of(b"none") == b"\r\n"
