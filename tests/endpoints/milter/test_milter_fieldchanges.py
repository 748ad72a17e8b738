"""Setup: two headers, and a mail server's own idea of what changing, deleting and inserting fields means.

Test: the changes between them, done in their order, make the second header of the first.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.endpoints.milter.fieldchanges import (
    AppendField,
    ChangeField,
    DeleteField,
    InexpressibleError,
    InsertField,
    find_changes,
    split_message,
)


def apply(before: list[bytes], changes, *, counts_deleted: bool) -> list[bytes]:
    """Do the changes as Postfix does, or as a mail server that goes on counting what was deleted."""
    fields: list[bytes | None] = list(before)
    names = [each.partition(b":")[0].rstrip().lower() for each in before]
    for change in changes:
        if isinstance(change, AppendField):
            fields.append(change.name + b":" + change.value)
            names.append(change.name.lower())
        elif isinstance(change, InsertField):
            fields.insert(change.position, change.name + b":" + change.value)
            names.insert(change.position, change.name.lower())
        else:
            shown = [at for at in range(len(fields)) if names[at] == change.name.lower()]
            at = shown[change.occurrence - 1]
            if isinstance(change, ChangeField):
                assert change.value.strip(b" "), "an empty value would delete the field"
                fields[at] = change.name + b":" + change.value
            elif counts_deleted:
                fields[at] = None
            else:
                del fields[at], names[at]
    return [each for each in fields if each is not None]


FIELDS = st.lists(
    st.builds(
        lambda name, value: name + b":" + value,
        st.sampled_from([b"A", b"a", b"B", b"C", b"Received", b"X "]),
        st.sampled_from([b"", b" ", b" 1", b" 2", b"\t3", b" 4\r\n\t5", b"\xe4"]),
    ),
    max_size=12,
)


@given(FIELDS, FIELDS, st.booleans())
def test_changes_make_one_header_of_another(before, after, counts_deleted) -> None:
    found = apply(before, find_changes(before, after), counts_deleted=counts_deleted)
    # White space before the colon is nothing that mail servers keep or could be told.
    assert [each.replace(b"X :", b"X:") for each in found] == [each.replace(b"X :", b"X:") for each in after]


@given(FIELDS)
def test_nothing_changes_where_nothing_differs(fields) -> None:
    assert find_changes(fields, list(fields)) == []


def test_only_what_differs_is_touched() -> None:
    before = [
        b"Received: 1",
        b"From: a",
        b"X-Image-URL: http://x",
        b"Received: 2",
        b"Content-Type: text/plain",
        b"Z: z",
    ]
    assert find_changes(before, [*before[:2], *before[3:]]) == [DeleteField(b"X-Image-URL", 1)]
    changed = [*before[:3], b"received:\r\n\tthree", *before[4:]]
    assert find_changes(before, changed) == [ChangeField(b"received", 2, b"\r\n\tthree")]
    assert find_changes(before, [b"ARC-Seal: x", *before]) == [InsertField(0, b"ARC-Seal", b" x")]
    assert find_changes(before, [b"Received: 1", *before]) == [InsertField(0, b"Received", b" 1")], (
        "at the top"
    )
    assert find_changes(before, [*before, b"Y: y"]) == [AppendField(b"Y", b" y")]
    assert find_changes(before, [*before[:5], b"Z:"]) == [DeleteField(b"Z", 1), InsertField(5, b"Z", b"")]


def test_a_line_that_is_no_field_may_stay_but_not_change() -> None:
    before = [b"A: 1", b"no field", b"B: 2"]
    assert find_changes(before, [b"A: 3", *before[1:]]) == [ChangeField(b"A", 1, b" 3")]
    with pytest.raises(InexpressibleError):
        find_changes(before, [b"A: 1", b"B: 2"])
    with pytest.raises(InexpressibleError):
        find_changes(before[:1], before[:2])


def test_hostile_headers_take_time_in_proportion() -> None:
    # Comparing each with each would take a day.
    before = [b"A: %d" % (number % 7) for number in range(200_000)]
    after = [b"A: %d" % (number % 5) for number in range(200_000)]
    assert find_changes(before, after)
    assert find_changes(before, before[::-1])


@pytest.mark.parametrize(
    ("raw", "fields", "body"),
    [
        (b"A: 1\r\nB: 2\r\n 3\r\n\r\nbody", [b"A: 1", b"B: 2\r\n 3"], b"body"),
        (b"\r\nbody", [], b"body"),
        (b"\r\n", [], b""),
        (b"A: 1\r\n\r\n", [b"A: 1"], b""),
        (b"A: 1\r\n", [b"A: 1"], b""),
        (b"A: 1\r\n \r\n\tx\r\n\r\n", [b"A: 1\r\n \r\n\tx"], b""),
        (b"", [], b""),
    ],
)
def test_splitting(raw: bytes, fields: list[bytes], body: bytes) -> None:
    found, start = split_message(raw)
    assert (found, raw[start:]) == (fields, body)
