"""Field changes: what turns one header into another, in the operations that mail filters have; pure.

Changes are given from the bottom of the header to its top. So a position or an occurrence always counts the
fields of the original header, whether or not a mail server counts those that were deleted or inserted below.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

_FIELD_END = re.compile(rb"\r\n(?![ \t])")


class InexpressibleError(ValueError):
    """A line that is no field would have to change: mail servers know of no such operation."""


@dataclass(frozen=True, slots=True)
class ChangeField:
    """Give the ``occurrence``-th field (from 1) of a name another value (and spelling of its name)."""

    name: bytes
    occurrence: int
    value: bytes


@dataclass(frozen=True, slots=True)
class DeleteField:
    """Delete the ``occurrence``-th field (from 1) of a name."""

    name: bytes
    occurrence: int


@dataclass(frozen=True, slots=True)
class InsertField:
    """Insert a field above the ``position``-th of the original header (from 0)."""

    position: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class AppendField:
    """Add a field below all others."""

    name: bytes
    value: bytes


FieldChange = ChangeField | DeleteField | InsertField | AppendField


def split_message(raw: bytes) -> tuple[list[bytes], int]:
    """Return the fields of a message with CRLF, each without its last CRLF, and where the body begins.

    Exactly a line that begins with white space continues a field, and exactly an empty one ends the header.
    """
    if raw.startswith(b"\r\n"):
        return [], 2
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        header, body_start = raw.removesuffix(b"\r\n"), len(raw)
    else:
        header, body_start = raw[:end], end + 4
    return (_FIELD_END.split(header) if header else []), body_start


def find_changes(before: Sequence[bytes], after: Sequence[bytes]) -> list[FieldChange]:
    """Return what turns the fields ``before`` into ``after``, in the order in which it has to be done.

    Fields are whole, as from ``split_message``. What did not change is not touched. Raises
    ``InexpressibleError``. Takes time in proportion to the number of fields (and its logarithm).
    """
    names = [_name(each) for each in before]
    occurrences = _occurrences(names)
    changes: list[FieldChange] = []
    appended: list[FieldChange] = []
    for start, end, first, last in _gaps(before, after):
        pairs = _pair(names[start:end], [_name(each) for each in after[first:last]])
        taken = {old: new for new, old in pairs.items()}
        ordered: list[FieldChange] = []  # from top to bottom
        new = 0
        for old in range(end - start):
            at = start + old
            until = taken.get(old)
            if until is not None:
                ordered += [_insertion(at, each) for each in after[first + new : first + until]]
                name, value = _parts(after[first + until])
                if value.strip(b" "):
                    ordered.append(ChangeField(name, occurrences[at], value))
                else:  # an empty value would delete it
                    ordered += (InsertField(at, name, value), _deletion(before[at], occurrences[at]))
                new = until + 1
            else:
                ordered.append(_deletion(before[at], occurrences[at]))
        rest = after[first + new : last]
        if end < len(before):
            ordered += [_insertion(end, each) for each in rest]
        else:
            appended = [AppendField(*_parts(each)) for each in rest]
        changes += ordered
    return changes[::-1] + appended


def _gaps(before: Sequence[bytes], after: Sequence[bytes]) -> list[tuple[int, int, int, int]]:
    """Return what lies between fields that stay: start and end in ``before``, start and end in ``after``."""
    # From the bottom first: what is added is mostly added at the top, where a copy of it may stand already.
    shorter = min(len(before), len(after))
    alike = 0
    while alike < shorter and before[-1 - alike] == after[-1 - alike]:
        alike += 1
    old_end, new_end = len(before) - alike, len(after) - alike
    old = new = 0
    while old < old_end and new < new_end and before[old] == after[new]:
        old, new = old + 1, new + 1
    places: dict[bytes, list[int]] = {}
    for at in range(old, old_end):
        places.setdefault(before[at], []).append(at)
    gaps: list[tuple[int, int, int, int]] = []
    for at in range(new, new_end):
        stands = places.get(after[at], ())
        found = bisect_left(stands, old)
        if found < len(stands):
            gaps.append((old, stands[found], new, at))
            old, new = stands[found] + 1, at + 1
    gaps.append((old, old_end, new, new_end))
    return [gap for gap in gaps if gap[0] < gap[1] or gap[2] < gap[3]]


def _pair(before: list[bytes], after: list[bytes]) -> dict[int, int]:
    """Return which new field takes the place of which old one: of the same name, and in the same order."""
    places: dict[bytes, list[int]] = {}
    for at, name in enumerate(before):
        places.setdefault(name, []).append(at)
    pairs: dict[int, int] = {}
    least = 0
    for at, name in enumerate(after):
        stands = places.get(name, ())
        found = bisect_left(stands, least)
        if found < len(stands):
            pairs[at] = stands[found]
            least = stands[found] + 1
    return pairs


def _occurrences(names: Sequence[bytes]) -> list[int]:
    seen: dict[bytes, int] = {}
    found: list[int] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(seen[name])
    return found


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].rstrip(b" \t").lower()


def _parts(field: bytes) -> tuple[bytes, bytes]:
    name, colon, value = field.partition(b":")
    if not colon or not name:
        raise InexpressibleError("a line of the header that is no field would have to change")
    return name.rstrip(b" \t"), value


def _insertion(position: int, field: bytes) -> InsertField:
    return InsertField(position, *_parts(field))


def _deletion(field: bytes, occurrence: int) -> DeleteField:
    return DeleteField(_parts(field)[0], occurrence)
