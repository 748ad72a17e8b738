"""Base64 (RFC 2045 section 6.8) as clients read it, and edits that re-encode no more than they must."""

from __future__ import annotations

import binascii
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailveil.core.message.edits import splice
from mailveil.core.message.types import Edit, Span

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_OTHER = bytes(set(range(256)) - set(_ALPHABET))
_JUNK = bytes(set(range(256)) - set(_ALPHABET + b"= \t\r\n"))
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_RUN = re.compile(rb"[A-Za-z0-9+/]++")
_PADDING = re.compile(rb"(?:[ \t\r\n]*+=)*+")
_URL_SAFE_USE = re.compile(rb"[A-Za-z0-9+/][-_][A-Za-z0-9+/]")
_LINES_LOOKED_AT = 8  # how many lines tell the length that a body's lines have
_UNWRAPPED = 1 << 62


class Base64Reading(StrEnum):
    """How a client takes what does not belong into base64; other junk is skipped by everyone.

    Padding in the middle ends the data for some; what they see is the beginning of what the others see.
    """

    RESTART = "restart"  # padding ends a run, the next character begins a new one
    SKIP = "skip"  # padding in the middle is junk like any other
    URL_SAFE = "url-safe"  # like RESTART, and "-" and "_" stand for "+" and "/" (RFC 4648 section 5)


def decode_base64(raw: bytes, reading: Base64Reading = Base64Reading.RESTART) -> bytes:
    """Decode anything: junk is skipped, missing padding is assumed, a lone last character is dropped."""
    if reading is Base64Reading.URL_SAFE:
        raw = raw.translate(_URL_SAFE)
    if reading is Base64Reading.SKIP:
        return _decode_run(raw)
    first = raw.find(b"=")
    if first < 0:
        return _decode_run(raw)
    if _RUN.search(raw, first) is None:
        return _decode_run(raw[:first])
    return b"".join([_decode_run(run) for run in raw.split(b"=") if run])


def _decode_run(raw: bytes) -> bytes:
    """Decode base64 without padding."""
    letters = raw.translate(None, _OTHER)
    loose = len(letters) % 4
    if loose == 1:
        letters = letters[:-1]
    elif loose:
        letters += b"=" * (4 - loose)
    return binascii.a2b_base64(letters)


def read_base64(raw: bytes) -> tuple[list[bytes], bool, bool]:
    """Return a body's readings, the likeliest first, whether it is malformed, and whether it has junk."""
    flawless = _decode_flawless(raw)
    if flawless is not None:
        return [flawless], False, False
    readings = [decode_base64(raw)]
    letters = len(raw.translate(None, _OTHER))
    padding = raw.count(b"=")
    junk = len(raw.translate(None, _JUNK)) != len(raw)
    first = raw.find(b"=")
    continued = first >= 0 and _RUN.search(raw, first) is not None
    if continued:
        readings.append(decode_base64(raw, Base64Reading.SKIP))
    if junk and _URL_SAFE_USE.search(raw) is not None:
        readings.append(decode_base64(raw, Base64Reading.URL_SAFE))
    unique = [data for index, data in enumerate(readings) if data not in readings[:index]]
    return unique, junk or continued or (letters + padding) % 4 != 0, junk


def _decode_flawless(raw: bytes) -> bytes | None:
    """Decode what is base64 by the letter, ``None`` for anything else."""
    letters = raw.translate(None, b" \t\r\n")
    if len(letters) % 4:
        return None
    try:
        return binascii.a2b_base64(letters, strict_mode=True)
    except binascii.Error:
        return None


def resembles_base64(raw: bytes) -> bool:
    """Tell whether a body of unknown coding is likely to be base64: nothing but its letters in long runs."""
    if len(raw.translate(None, _JUNK)) != len(raw):
        return False
    run = _RUN.search(raw)
    return run is not None and run.end() - run.start() >= 16


@dataclass(slots=True)
class _Layout:
    """Where the letters of a base64 body stand.

    A run is an unbroken row of letters, a chunk the letters between two paddings, which decodes on its own.
    """

    run_starts: list[int]  # in raw
    run_letters: list[int]  # letters before the run
    letters: int  # in all
    chunk_letters: list[int]  # letters before the chunk
    chunk_bytes: list[int]  # decoded bytes before the chunk
    chunk_sizes: list[int]  # letters in the chunk

    def chunk_at(self, offset: int) -> int:
        """Return the chunk that the decoded byte at ``offset`` stands in."""
        return max(0, bisect_right(self.chunk_bytes, offset) - 1)

    def chunk_end(self, chunk: int) -> int:
        """Return the decoded offset at which a chunk ends."""
        return self.chunk_bytes[chunk] + self.chunk_sizes[chunk] * 3 // 4

    def run_of(self, letter: int) -> int:
        """Return the run that a letter stands in."""
        return bisect_right(self.run_letters, letter) - 1

    def place(self, letter: int) -> int:
        """Return where a letter stands in raw."""
        run = self.run_of(letter)
        return self.run_starts[run] + letter - self.run_letters[run]

    def run_size(self, run: int) -> int:
        """Return how many letters a run has."""
        after = self.run_letters[run + 1] if run + 1 < len(self.run_letters) else self.letters
        return after - self.run_letters[run]


def _lay_out(raw: bytes, *, skip_padding: bool) -> _Layout:
    """Find the letters; chunks that decode to nothing count as junk between the others."""
    layout = _Layout([], [], 0, [], [], [])
    size = len(raw)
    stop = -1
    begin = 0
    decoded = 0

    def close() -> None:
        nonlocal decoded
        letters = layout.letters - begin
        if letters > 1:
            layout.chunk_letters.append(begin)
            layout.chunk_bytes.append(decoded)
            layout.chunk_sizes.append(letters)
            decoded += letters * 3 // 4

    for match in _RUN.finditer(raw):
        start, end = match.span()
        if not skip_padding and start > stop:
            if stop >= 0:
                close()
                begin = layout.letters
            stop = raw.find(b"=", start)
            if stop < 0:
                stop = size
        layout.run_starts.append(start)
        layout.run_letters.append(layout.letters)
        layout.letters += end - start
    close()
    return layout


def _same_letters(raw: bytes, data: bytes) -> tuple[bytes, _Layout] | None:
    """Find the reading of ``raw`` that gives ``data``: raw with plain letters, and its layout."""
    for reading in Base64Reading:
        if decode_base64(raw, reading) == data:
            letters = raw.translate(_URL_SAFE) if reading is Base64Reading.URL_SAFE else raw
            return letters, _lay_out(letters, skip_padding=reading is Base64Reading.SKIP)
    return None


def _columns(raw: bytes, newline: bytes, *, wrap: bool) -> int:
    """Return how long the lines of a body are, at most 76."""
    if not wrap and b"\n" not in raw:
        return _UNWRAPPED
    longest = 0
    at = 0
    for _ in range(_LINES_LOOKED_AT):
        end = raw.find(newline, at)
        if end < 0:
            break
        longest = max(longest, end - at)
        at = end + len(newline)
    return longest // 4 * 4 if 4 <= longest <= 76 else 76


def _wrap(encoded: bytes, column: int, columns: int, newline: bytes) -> bytes:
    """Break encoded text into lines; the first begins in ``column``."""
    room = (columns - column) // 4 * 4 if column < columns else 0
    if len(encoded) <= room:
        return encoded
    lines = [encoded[:room]] if room or column else []
    lines.extend(encoded[at : at + columns] for at in range(room, len(encoded), columns))
    return newline.join(lines)


def encode_base64_edits(
    raw: bytes, data: bytes, edits: Sequence[Edit], newline: bytes, *, wrap: bool = True
) -> list[Edit]:
    """Turn merged edits on ``data``, decoded from ``raw``, into edits on ``raw``.

    Each begins at the first touched quantum and ends where the encoding is back in step (from there on every
    letter would be the same), at the end of a line where that is near, or else at the next padding or the
    end. Without ``wrap`` a body without line breaks stays without.
    """
    read = _same_letters(raw, data)
    if read is None or not read[1].chunk_bytes:
        # Not decoded by us from these bytes: nothing of them can be kept.
        encoded = binascii.b2a_base64(splice(data, edits), newline=False)
        return [Edit(0, len(raw), _wrap(encoded, 0, _columns(raw, newline, wrap=wrap), newline))]
    raw, layout = read
    columns = _columns(raw, newline, wrap=wrap)
    result: list[Edit] = []
    index = 0
    done = 0
    while index < len(edits):
        chunk = layout.chunk_at(edits[index].start)
        base = layout.chunk_bytes[chunk]
        quantum = min(edits[index].start - base, layout.chunk_sizes[chunk] * 3 // 4) // 3
        begin = base + 3 * quantum
        letter = layout.chunk_letters[chunk] + 4 * quantum
        if 4 * quantum >= layout.chunk_sizes[chunk]:  # only at the very end of the last chunk
            start = layout.place(letter - 1) + 1
        else:
            start = layout.place(letter)
        pieces: list[bytes] = []
        at = begin
        growth = 0
        while True:
            edit = edits[index]
            pieces.append(data[at : edit.start])
            pieces.append(edit.replacement)
            at = edit.end
            growth += len(edit.replacement) - (edit.end - edit.start)
            index += 1
            stop, end, mid_line = _stop(raw, layout, begin, max(at, begin), growth)
            if index == len(edits) or (edits[index].start >= stop and stop < len(data)):
                break
        pieces.append(data[at:stop])
        encoded = binascii.b2a_base64(b"".join(pieces), newline=False)
        column = start - raw.rfind(b"\n", done, start) - 1
        text = _wrap(encoded, min(column, columns), columns, newline)
        if mid_line and columns != _UNWRAPPED and text:
            text += newline
        result.append(Edit(start, end, text))
        done = end
    return result


def _stop(raw: bytes, layout: _Layout, begin: int, at: int, growth: int) -> tuple[int, int, bool]:
    """Find where re-encoding can end, having reached decoded offset ``at``.

    Returns the decoded offset, the raw offset, and whether the latter lies inside a line.
    """
    chunk = layout.chunk_at(at - 1) if at > begin else layout.chunk_at(begin)
    base = layout.chunk_bytes[chunk]
    stop = base + -(-(at - base) // 3) * 3
    if (stop - begin + growth) % 3 == 0 and stop - base < layout.chunk_sizes[chunk] * 3 // 4:
        letter = layout.chunk_letters[chunk] + (stop - base) // 3 * 4
        run = layout.run_of(letter if stop == begin else letter - 1)
        rest = layout.run_letters[run] + layout.run_size(run) - letter
        end = layout.run_starts[run] + letter - layout.run_letters[run]
        if rest % 4 == 0 and rest <= 76:
            return stop + rest // 4 * 3, end + rest, False
        return stop, end, rest > 0
    last = layout.chunk_letters[chunk] + layout.chunk_sizes[chunk] - 1
    padding = _PADDING.match(raw, layout.place(last) + 1)
    assert padding is not None
    return layout.chunk_end(chunk), padding.end(), False


def place_base64(raw: bytes, data: bytes, spans: Sequence[tuple[int, int]]) -> list[Span]:
    """Find spans of the decoded bytes in ``raw``, widened to whole quanta."""
    read = _same_letters(raw, data)
    if read is None or not read[1].chunk_bytes:
        return [Span(0, len(raw)) for _ in spans]
    layout = read[1]
    places: list[Span] = []
    for start, end in spans:
        chunk = layout.chunk_at(start)
        first = layout.chunk_letters[chunk] + (start - layout.chunk_bytes[chunk]) // 3 * 4
        chunk = layout.chunk_at(max(start, end - 1))
        last = layout.chunk_letters[chunk] + (max(start, end - 1) - layout.chunk_bytes[chunk]) // 3 * 4 + 3
        first = min(first, layout.letters - 1)
        last = min(last, layout.chunk_letters[chunk] + layout.chunk_sizes[chunk] - 1)
        begin = layout.place(first)
        places.append(Span(begin, begin if start == end else layout.place(max(first, last)) + 1))
    return places
