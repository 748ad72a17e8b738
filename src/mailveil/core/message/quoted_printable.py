"""Quoted-printable (RFC 2045 section 6.7) as clients read it, and edits that keep the rest of each line."""

from __future__ import annotations

import binascii
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from mailveil.core.message.types import Edit

MAX_COLUMNS = 76  # RFC 2045 section 6.7, rule 5
MAX_OCTETS = 998  # RFC 5322 section 2.1.1

# An equals sign that binascii would not read as we do.
_ODD = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)(?:[ \t]*+(?:\r\n?|\n|\Z))?")
# Every equals sign begins one of these: an escape, a soft line break, or (alone) a literal equals sign.
_TOKEN = re.compile(rb"=(?:[0-9A-Fa-f]{2}|[ \t]*+(?:\r\n?|\n|\Z))?")
_PLAIN = re.compile(rb"[!-<>-~]*+")
_UNITS = re.compile(rb"[ -<>-~]++")
_BLOCK_BYTES = 1024
_SPARSE = 256  # raw bytes for each offset from which on looking at blocks is faster
_HEX_DIGITS = frozenset(b"0123456789ABCDEFabcdef")


def decode_quoted_printable(raw: bytes) -> tuple[bytes, int]:
    """Return the decoded bytes and how many equals signs were neither escape nor proper soft line break.

    Lower-case digits count, white space after the equals sign of a soft line break is skipped, a bare CR or
    LF ends a line, and an equals sign that is none of these stays as it is.
    """
    canonical, odd = _ODD.subn(_mend, raw)
    return binascii.a2b_qp(canonical), odd


def _mend(match: re.Match[bytes]) -> bytes:
    """Write an odd equals sign so that binascii reads it as we mean it."""
    alone = match.end() - match.start() == 1 and match.end() < len(match.string)
    return b"=3D" if alone else b"=\n"


def count_escapes(raw: bytes, stop_at: int) -> int:
    """Count escapes and soft line breaks in ``raw``, up to ``stop_at``."""
    found = 0
    for match in _TOKEN.finditer(raw):
        if match.end() - match.start() > 1:
            found += 1
            if found >= stop_at:
                break
    return found


def locate(raw: bytes, offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Find ascending offsets into the decoded bytes in ``raw``.

    For each comes the offset just after the encoded form of the byte before it, and the offset of the encoded
    form of the byte at it; soft line breaks lie between the two.
    """
    if len(offsets) * _SPARSE > len(raw):
        return _scan(raw, 0, len(raw), offsets)
    # Few offsets: decode whole blocks of lines fast, and look closely only where an offset falls.
    begins, counts = _blocks(raw)
    places: list[tuple[int, int]] = []
    index = 0
    while index < len(offsets):
        block = bisect_right(counts, offsets[index]) - 1
        stop = counts[block + 1] if block + 1 < len(counts) else offsets[-1] + 1
        base = counts[block]
        inside: list[int] = []
        while index < len(offsets) and offsets[index] < stop:
            inside.append(offsets[index] - base)
            index += 1
        found = _scan(raw, begins[block], begins[block + 1], inside)
        if base:
            # The byte before a block's first one stands in an earlier block, before any soft line breaks.
            for number, offset in enumerate(inside):
                if offset:
                    break
                before = bisect_left(counts, base) - 1
                ((after, _),) = _scan(raw, begins[before], begins[before + 1], [base - counts[before]])
                found[number] = (after, found[number][1])
        places += found
    return places


def _blocks(raw: bytes) -> tuple[list[int], list[int]]:
    """Cut at line breaks, where decoding starts afresh: raw offsets (the end too), decoded offsets."""
    begins = [0]
    counts: list[int] = []
    count = 0
    while not counts or begins[-1] < len(raw):
        counts.append(count)
        end = raw.find(b"\n", begins[-1] + _BLOCK_BYTES) + 1 or len(raw)
        count += len(decode_quoted_printable(raw[begins[-1] : end])[0])
        begins.append(end)
    return begins, counts


def _scan(raw: bytes, begin: int, size: int, offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Locate offsets into what ``raw[begin:size]`` decodes to, token by token."""
    places: list[tuple[int, int]] = []
    total = len(offsets)
    if not total:
        return places
    index = 0
    shift = begin  # raw offset minus decoded offset
    soft_at = -1  # decoded offset of the last run of soft line breaks
    soft_start = -1  # and where in raw that run begins
    wanted = offsets[0]
    for match in _TOKEN.finditer(raw, begin, size):
        start, end = match.span()
        length = end - start
        if length == 1 and end < size:
            continue
        at = start - shift
        soft = length != 3 or raw[start + 1] not in _HEX_DIGITS
        while wanted < at or (wanted == at and not soft):
            place = wanted + shift
            places.append((soft_start if wanted == soft_at else place, place))
            index += 1
            if index == total:
                return places
            wanted = offsets[index]
        if soft:
            if soft_at != at:
                soft_at, soft_start = at, start
            shift += length
        else:
            shift += 2
    for wanted in offsets[index:]:
        place = wanted + shift
        places.append((soft_start if wanted == soft_at else place, place))
    return places


def encode_quoted_printable_edits(raw: bytes, size: int, edits: Sequence[Edit], newline: bytes) -> list[Edit]:
    """Turn edits on the decoded bytes (``size`` of them) into edits on ``raw``.

    ``edits`` are merged. Only the encoded form of what is replaced changes; soft line breaks keep the lines
    within 76 characters as far as untouched text allows, and never make a line longer than 998 octets.
    """
    offsets: list[int] = []
    for edit in edits:
        offsets.append(edit.start)
        offsets.append(edit.end)
    places = locate(raw, offsets)
    spans: list[tuple[int, int]] = []
    for index, edit in enumerate(edits):
        after, at = places[2 * index]
        if edit.start == edit.end:
            # At the very end, a dangling equals sign must stay last.
            where = after if edit.start == size else at
            spans.append((where, where))
        else:
            spans.append((at, places[2 * index + 1][0]))
    encoded: list[Edit] = []
    done = 0  # end of the previous edit in raw
    column = 0  # and the column that its text ends in
    for index, edit in enumerate(edits):
        start, end = spans[index]
        upcoming = spans[index + 1][0] if index + 1 < len(spans) else -1
        line = raw.rfind(b"\n", done, start)
        column = start - line - 1 if line >= 0 else column + start - done
        start, lead, column = _open(raw, done, start, column, newline)
        body, column = _write(edit.replacement, column, newline)
        end, trail, column = _close(raw, end, upcoming, column, newline)
        encoded.append(Edit(start, end, lead + body + trail))
        done = end
    return encoded


def _open(raw: bytes, done: int, start: int, column: int, newline: bytes) -> tuple[int, bytes, int]:
    """Make the place before an edit safe to write at: where the edit begins, its first bytes, column."""
    lead = b""
    # A literal equals sign must not become an escape or a soft line break by what follows it now.
    at = start
    if start - 2 >= done and raw[start - 2] == 0x3D and raw[start - 1] in _HEX_DIGITS:
        at = start - 1
    else:
        while at > done and raw[at - 1] in b" \t":
            at -= 1
    if at > done and raw[at - 1] == 0x3D:
        lead = b"=3D" + raw[at:start]
        start = at - 1
        column += 2
    if column > MAX_OCTETS - 4:
        # Not even the equals sign of a soft line break fits: break one character (or escape) earlier.
        at = start - 3 if start - 3 >= done and raw[start - 3] == 0x3D else start - 1
        if at >= done:
            lead = b"=" + newline + raw[at:start] + lead
            column = len(lead) - 1 - len(newline)
            start = at
    return start, lead, column


def _close(raw: bytes, end: int, upcoming: int, column: int, newline: bytes) -> tuple[int, bytes, int]:
    """Break the line after an edit if the rest would not fit: where the edit ends, its last bytes, column."""
    line = raw.find(b"\n", end, end + MAX_COLUMNS + 2)
    room = MAX_COLUMNS
    if line >= 0:
        rest = line - end - (line > end and raw[line - 1] == 0x0D)
    else:
        rest = min(len(raw) - end, MAX_COLUMNS + 2)
    if end <= upcoming < end + rest:
        rest, room = upcoming - end, MAX_COLUMNS - 1
    if not rest or not column or column + rest <= room:
        return end, b"", column
    if raw.startswith(b"--", end) and upcoming != end:
        return end + 1, b"=" + newline + b"=2D", 3  # what follows must not turn into a delimiter line
    return end, b"=" + newline, 0


def _write(text: bytes, column: int, newline: bytes) -> tuple[bytes, int]:
    """Encode what an edit puts in place, beginning in ``column``; returns the column it ends in, too."""
    if not text:
        return b"", column
    room = MAX_COLUMNS - 1
    if not column and text[0] in b"-.":  # neither a delimiter line nor a dot that SMTP would double
        rest, column = _write(text[1:], 3, newline)
        return b"=%02X" % text[0] + rest, column
    if not _PLAIN.fullmatch(text):
        return _write_units(text, column, newline)
    if column + len(text) <= room:
        return text, column + len(text)
    pieces: list[bytes] = []
    at = max(0, room - column)
    if at or column:
        pieces.append(text[:at])
    while at < len(text):
        pieces.append(b"=" + newline)
        if text[at] in b"-.":
            pieces.append(b"=%02X" % text[at] + text[at + 1 : at + room - 2])
            column = len(pieces[-1])
            at += room - 2
            continue
        pieces.append(text[at : at + room])
        column = len(pieces[-1])
        at += room
    return b"".join(pieces), column


def _write_units(text: bytes, column: int, newline: bytes) -> tuple[bytes, int]:
    """Encode what has more than plain text: all but printable ASCII and inner spaces becomes an escape."""
    pieces: list[bytes] = []
    room = MAX_COLUMNS - 1
    at, size = 0, len(text)
    while at < size:
        run = _UNITS.match(text, at)
        end = at if run is None or (at == 0 and text[0] == 0x20) else run.end()
        if end == size and text[-1] == 0x20:
            end -= 1
        while at < end:
            if column >= room:
                pieces.append(b"=" + newline)
                column = 0
                if text[at] in b"-.":
                    break
            taken = min(end, at + room - column)
            pieces.append(text[at:taken])
            column += taken - at
            at = taken
        if at < size:
            if column + 3 > room:
                pieces.append(b"=" + newline)
                column = 0
            pieces.append(b"=%02X" % text[at])
            column += 3
            at += 1
    return b"".join(pieces), column


def encode_quoted_printable(data: bytes, newline: bytes) -> bytes:
    """Encode a whole body whose lines end in ``newline``; decodes to exactly ``data``.

    Other control characters, bare CR and LF among them, become escapes; no line exceeds 78 characters.
    """
    lines: list[bytes] = []
    for line in data.split(newline):
        encoded = binascii.b2a_qp(line, istext=False)
        if b"\n" in encoded:
            encoded = encoded.replace(b"=\n-", b"=\n=2D").replace(b"=\n", b"=" + newline)
        lines.append(encoded)
    return newline.join(lines)
