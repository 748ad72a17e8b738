"""Dot transparency: what goes over the wire in pieces is what goes over it at once, and nothing smuggles."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.transparency import (
    end_of_data,
    find_lone_dot,
    stuff_dots,
    stuffed_pieces,
    unstuff_dots,
    would_smuggle,
)

NASTY = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"x", b"\x00"]), max_size=40).map(
    b"".join
)


@given(NASTY, st.integers(1, 9))
def test_pieces_make_the_same_wire(raw: bytes, size: int) -> None:
    assert b"".join(stuffed_pieces(raw, size)) + end_of_data(raw) == stuff_dots(raw)


@given(NASTY)
def test_a_strict_server_reads_back_what_was_sent(raw: bytes) -> None:
    wire = b"\r\n" + stuff_dots(raw)
    at = wire.find(b"\r\n.\r\n")
    assert at == len(wire) - 5, "the end of data stands at the end and nowhere else"
    received = unstuff_dots(wire[2 : at + 2])
    assert received == raw or received == raw + b"\r\n"


@given(NASTY)
def test_what_does_not_smuggle_ends_for_no_server_early(raw: bytes) -> None:
    """However lax a server is about line breaks and NULs, it sees the end where we put it."""
    wire = stuff_dots(raw)
    lax = b"\n" + wire.replace(b"\x00", b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    ends_early = lax.find(b"\n.\n") < len(lax) - 3
    assert would_smuggle(raw) or not ends_early


@pytest.mark.parametrize(
    ("wire", "is_found"),
    [
        (b"a\n.\r\nb\r\n", True),
        (b"a\r\n.\nb\r\n", True),
        (b"a\n.\nb\r\n", True),
        (b"a\r.\rb\r\n", True),
        (b"a\r\n.\rb\r\n", True),
        (b"a\r\r\n.\n\r\n", True),
        (b"a\r\n\x00.\r\nb\r\n", True),
        (b"a\r\n.\x00\r\nb\r\n", True),
        (b"a\n\x00\x00.\x00\nb\r\n", True),
        (b".\nb\r\n", True),
        (b"\x00.\nb\r\n", True),
        (b"a\r\n..\r\nb\r\n", False),
        (b"a\r\n. \r\nb\r\n", False),
        (b"a\n.b\n..\n\r\n", False),
        (b"\x00\r\n..\x00.\r\n", False),
        (b"", False),
    ],
)
def test_lone_dots(wire: bytes, is_found: bool) -> None:
    assert (find_lone_dot(wire) >= 0) is is_found


def test_an_honest_message_may_have_a_line_of_one_dot() -> None:
    assert not would_smuggle(b"x\r\n.\r\ny\r\n")
    assert not would_smuggle(b".\r\n")
    assert not would_smuggle(b"x\x00\r\n.\r\n")
    assert would_smuggle(b"x\r\n\x00.\r\n")
    assert would_smuggle(b"x\n.\r\n")


@pytest.mark.parametrize("unit", [b"\r\n.\r\n", b"\n.", b"\r\x00", b"\x00", b"\r\n.", b"\n\x00."])
def test_hostile_megabytes_take_no_time_to_speak_of(unit: bytes) -> None:
    raw = unit * (20_000_000 // len(unit))
    started = time.process_time()
    would_smuggle(raw)
    for _ in stuffed_pieces(raw):
        pass
    assert time.process_time() - started < 20, "linear time; a second or so on any machine"
