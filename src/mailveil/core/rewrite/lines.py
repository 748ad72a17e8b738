"""The law of lines: no edit makes a line longer than 998 octets (RFC 5322 section 2.1.1)."""

from __future__ import annotations

from collections.abc import Sequence

from mailveil.core.message.edits import merge_edits, splice
from mailveil.core.message.types import Edit

MAX_OCTETS = 998


def find_overlong(data: bytes, edits: Sequence[Edit]) -> list[int]:
    """Return the indices of merged edits that make a line too long that was not, or make it longer still.

    Of several on one line the first counts. Line breaks are CRLF and LF and do not count as octets. Time:
    linear in ``data`` and what it becomes.
    """
    edited = splice(data, edits)
    lines = _Lines(edited)
    old = _Lines(data)
    found: list[int] = []
    shift = 0
    for index, edit in enumerate(edits):
        at = edit.start + shift
        stop = at + len(edit.replacement)
        shift += len(edit.replacement) - (edit.end - edit.start)
        if stop <= lines.end:
            continue  # wholly on a line that was looked at
        at = max(at, lines.end + 1)
        while at <= stop:
            length = lines.length_at(at)
            if length > MAX_OCTETS and length > max(old.length_at(edit.start), old.length_at(edit.end)):
                found.append(index)
                break
            at = lines.end + 1
    return found


class _Lines:
    """The line last asked for; asking in ascending order takes linear time in all."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.start = 0
        self.end = -1  # before its LF

    def length_at(self, offset: int) -> int:
        """Return the length of the line that ``offset`` lies in."""
        if not self.start <= offset <= self.end:
            after = max(0, self.end) if self.end < offset else 0
            self.start = max(after, self.data.rfind(b"\n", after, offset) + 1)
            end = self.data.find(b"\n", offset)
            self.end = len(self.data) if end < 0 else end
        carriage = self.end > self.start and self.data[self.end - 1] == 0x0D
        return self.end - self.start - carriage


def fold_overlong(data: bytes, edits: Sequence[Edit], newline: bytes) -> list[Edit]:
    """Fold header lines that edits on ``data`` would make too long (RFC 5322 section 2.2.3).

    White space that stands there is folded at; where there is none, some is added. Returns merged edits.
    """
    merged = merge_edits(edits)
    for index in find_overlong(data, merged):
        edit = merged[index]
        start, lead = edit.start, newline + b" "
        previous = merged[index - 1].end if index else 0
        if start > previous and data[start - 1] in b" \t":
            start -= 1
            lead = newline + data[start : start + 1]
        trail = newline if data[edit.end : edit.end + 1] in (b" ", b"\t") else b""
        merged[index] = Edit(start, edit.end, lead + edit.replacement + trail)
    return merged
