"""Uuencode, as the transfer encodings ``x-uuencode`` and its like, and edits that re-encode whole lines."""

from __future__ import annotations

import binascii
import re
from bisect import bisect_right
from collections.abc import Sequence

from mailveil.core.message.edits import splice
from mailveil.core.message.types import Edit, Span

_BEGIN = re.compile(rb"(?:\A|\n)begin [0-7]{3,6}[^\n]*+\n")
_LINE_BYTES = 45


def _read_lines(raw: bytes) -> list[tuple[int, int, bytes]]:
    """Return (start, end, decoded bytes) of each data line; without ``begin`` every line may be one."""
    lines: list[tuple[int, int, bytes]] = []
    begin = _BEGIN.search(raw)
    at = begin.end() if begin else 0
    size = len(raw)
    while at < size:
        end = raw.find(b"\n", at)
        following = size if end < 0 else end + 1
        if end < 0:
            end = size
        elif end > at and raw[end - 1] == 0x0D:
            end -= 1
        line = raw[at:end]
        if line.rstrip() == b"end":
            break
        if line:
            decoded = _decode_line(line)
            if decoded:
                lines.append((at, end, decoded))
        at = following
    return lines


def _decode_line(line: bytes) -> bytes:
    """Decode one line; what is missing counts as zeros, what is too much is dropped."""
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        count = (line[0] - 32) & 63
        letters = [(byte - 32) & 63 for byte in line[1 : 1 + (count + 2) // 3 * 4]]
        letters.extend([0] * ((count + 2) // 3 * 4 - len(letters)))
        decoded = bytearray()
        for index in range(0, len(letters), 4):
            a, b, c, d = letters[index : index + 4]
            decoded += bytes((a << 2 | b >> 4, (b & 15) << 4 | c >> 2, (c & 3) << 6 | d))
        return bytes(decoded[:count])


def decode_uuencode(raw: bytes) -> bytes:
    """Decode the lines between ``begin`` and ``end``; either may be missing."""
    return b"".join([decoded for _, _, decoded in _read_lines(raw)])


def _encode_lines(data: bytes, newline: bytes) -> bytes:
    """Encode into lines, without a line break after the last."""
    lines: list[bytes] = []
    at = 0
    while at < len(data):
        count = min(_LINE_BYTES, len(data) - at)
        if count == 13:
            count = 12  # a line of 13 bytes begins with "-" and could look like a delimiter
        lines.append(binascii.b2a_uu(data[at : at + count], backtick=True)[:-1])
        at += count
    return newline.join(lines)


def encode_uuencode_edits(raw: bytes, edits: Sequence[Edit], newline: bytes) -> list[Edit]:
    """Turn merged edits on the decoded bytes into edits on ``raw``; untouched lines stay as they are."""
    lines = _read_lines(raw)
    if not lines:
        text = b"".join([edit.replacement for edit in edits])
        begin = _BEGIN.search(raw)
        at = begin.end() if begin else 0
        return [Edit(at, at, _encode_lines(text, newline) + newline)]
    offsets: list[int] = []
    total = 0
    for _, _, decoded in lines:
        offsets.append(total)
        total += len(decoded)
    result: list[Edit] = []
    index = 0
    while index < len(edits):
        first = last = bisect_right(offsets, edits[index].start) - 1
        inner: list[Edit] = []
        base = offsets[first]
        while index < len(edits) and (last == len(lines) - 1 or edits[index].start < offsets[last + 1]):
            edit = edits[index]
            inner.append(Edit(edit.start - base, edit.end - base, edit.replacement))
            last = max(last, bisect_right(offsets, max(edit.end - 1, edit.start)) - 1)
            index += 1
        data = b"".join([decoded for _, _, decoded in lines[first : last + 1]])
        start, end = lines[first][0], lines[last][1]
        text = _encode_lines(splice(data, inner), newline)
        if not text:  # no empty line, which some take for the end
            start, end = _swallow_break(raw, start, end)
        result.append(Edit(start, end, text))
    return result


def _swallow_break(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Widen a span over the line break that follows it."""
    if raw.startswith(b"\r\n", end):
        return start, end + 2
    if raw.startswith(b"\n", end):
        return start, end + 1
    return start, end


def place_uuencode(raw: bytes, spans: Sequence[tuple[int, int]]) -> list[Span]:
    """Find spans of the decoded bytes in ``raw``, widened to whole lines."""
    lines = _read_lines(raw)
    if not lines:
        return [Span(0, len(raw)) for _ in spans]
    offsets: list[int] = []
    total = 0
    for _, _, decoded in lines:
        offsets.append(total)
        total += len(decoded)
    return [
        Span(
            lines[bisect_right(offsets, start) - 1][0],
            lines[bisect_right(offsets, max(start, end - 1)) - 1][1],
        )
        for start, end in spans
    ]
