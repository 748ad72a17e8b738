"""RTF: compressed rich text (MS-OXRTFCP) and the tokens that rich text consists of."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from mailveil.core.message.edits import splice
from mailveil.core.message.types import Coding, Defect, Edit, Source, Span

MAX_GROUPS: Final = 1_000
_COMPRESSED: Final = b"LZFu"
_UNCOMPRESSED: Final = b"MELA"
_HEADER: Final = 16
# What the dictionary holds before the first byte, fixed by MS-OXRTFCP section 2.1.2.1.
_DICTIONARY: Final = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript "
    b"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)


def open_compressed_rtf(source: Source, max_bytes: int) -> tuple[Source | None, list[Defect]]:
    """Return the rich text that ``source`` holds in compressed form, as a child source.

    A broken stream gives what could be read before the break. Expands at most nine times. Total and linear.
    """
    data = source.data
    magic = data[8:12]
    if magic not in (_COMPRESSED, _UNCOMPRESSED):
        return None, [Defect.MALFORMED_CONTAINER]
    size = int.from_bytes(data[4:8], "little")
    defects: list[Defect] = []
    if size > max_bytes:
        return None, [Defect.TOO_LARGE]
    text = data[_HEADER:] if magic == _UNCOMPRESSED else _expand(data, max_bytes)
    # Readers disagree whether the declared size cuts the text off: what stands behind it is read as well.
    if len(text) < size or int.from_bytes(data[:4], "little") + 4 != len(data):
        defects.append(Defect.MALFORMED_CONTAINER)
    return Source(text, source, Span(0, len(data)), Coding.RTF_COMPRESSED), defects


def _expand(data: bytes, max_bytes: int) -> bytes:
    window = bytearray(4096)
    window[: len(_DICTIONARY)] = _DICTIONARY
    write = len(_DICTIONARY)
    text = bytearray()
    at, length = _HEADER, len(data)
    while at < length and len(text) <= max_bytes:
        control = data[at]
        at += 1
        for bit in range(8):
            if not control >> bit & 1:
                if at >= length:
                    return bytes(text)
                octet = data[at]
                at += 1
                text.append(octet)
                window[write] = octet
                write = (write + 1) & 4095
                continue
            if at + 1 >= length:
                return bytes(text)
            token = data[at] << 8 | data[at + 1]
            at += 2
            offset = token >> 4
            if offset == write:
                return bytes(text)
            for step in range((token & 15) + 2):
                octet = window[(offset + step) & 4095]
                text.append(octet)
                window[write] = octet
                write = (write + 1) & 4095
    return bytes(text)


def encode_compressed_rtf(text: bytes) -> bytes:
    """Return rich text in the compressed format, every byte a literal (MS-OXRTFCP section 2.2)."""
    pieces: list[bytes] = []
    for at in range(0, len(text) - 7, 8):
        pieces += (b"\0", text[at : at + 8])
    rest = text[len(text) & ~7 :]
    # The end is a reference to the place that would be written next.
    end = (len(_DICTIONARY) + len(text)) & 4095
    pieces += (bytes((1 << len(rest),)), rest, (end << 4).to_bytes(2, "big"))
    body = b"".join(pieces)
    header = (len(body) + 12).to_bytes(4, "little") + len(text).to_bytes(4, "little") + _COMPRESSED
    return header + _checksum(body).to_bytes(4, "little") + body


def _checksum(body: bytes) -> int:
    """Return the CRC that the format wants: the usual polynomial without the usual inversions."""
    return zlib.crc32(body, 0xFFFFFFFF) ^ 0xFFFFFFFF


def encode_edits(source: Source, edits: Sequence[Edit]) -> list[Edit]:
    """Return what edits on rich text mean for the compressed form that it came from."""
    return [Edit(source.span.start, source.span.end, encode_compressed_rtf(splice(source.data, edits)))]


class Kind(IntEnum):
    """What a token of rich text is."""

    OPEN = 0
    CLOSE = 1
    WORD = 2  # a control word, its parameter and the space that ends it
    SYMBOL = 3  # a control symbol such as ``\\*`` or ``\\{``
    HEX = 4  # ``\\'hh``
    TEXT = 5
    BINARY = 6  # the raw bytes after ``\\bin``


class Token(NamedTuple):
    """One token of rich text at characters ``[start, end)``; ``name`` and ``number`` of a control word."""

    kind: Kind
    start: int
    end: int
    name: str = ""
    number: int | None = None


_TOKEN: Final = re.compile(
    r"(?P<open>\{)|(?P<close>\})"
    r"|\\(?P<word>[A-Za-z]{1,64})(?P<number>-?[0-9]{1,10})? ?"
    r"|\\'(?P<hex>[0-9A-Fa-f]{2})"
    r"|\\(?P<symbol>[^A-Za-z])"
    r"|(?P<break>[\r\n]++)"
    r"|(?P<text>[^\\{}\r\n]++)"
    r"|\\",
    re.DOTALL,
)


def read_tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of rich text in order; line breaks mean nothing and are left out. Total and linear."""
    at = 0
    end = len(text)
    match = _TOKEN.match
    while at < end:
        found = match(text, at)
        if found is None:  # a backslash at the very end
            return
        start, at = at, found.end()
        group = found.lastgroup
        if group == "text":
            yield Token(Kind.TEXT, start, at)
        elif group in ("word", "number"):
            number = found["number"]
            value = int(number) if number else None
            yield Token(Kind.WORD, start, at, found["word"].lower(), value)
            if found["word"].lower() == "bin" and value is not None and value > 0:
                stop = min(end, at + value)
                yield Token(Kind.BINARY, at, stop)
                at = stop
        elif group == "open":
            yield Token(Kind.OPEN, start, at)
        elif group == "close":
            yield Token(Kind.CLOSE, start, at)
        elif group == "hex":
            yield Token(Kind.HEX, start, at, chr(int(found["hex"], 16)))
        elif group == "symbol":
            yield Token(Kind.SYMBOL, start, at, found["symbol"])
