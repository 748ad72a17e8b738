"""Transfer encodings of a body: every reading that some client has, and edits taken back to raw bytes."""

from __future__ import annotations

import importlib
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from mailveil.core.message.base64_body import (
    decode_base64,
    encode_base64_edits,
    place_base64,
    read_base64,
    resembles_base64,
)
from mailveil.core.message.edits import drop_idle, merge_edits, newline_of, splice
from mailveil.core.message.quoted_printable import (
    count_escapes,
    decode_quoted_printable,
    encode_quoted_printable_edits,
    locate,
)
from mailveil.core.message.types import Coding, Defect, Edit, Limits, Part, Source, Span
from mailveil.core.message.uuencode import decode_uuencode, encode_uuencode_edits, place_uuencode

IDENTITY_TOKENS = frozenset(("", "7bit", "8bit", "binary"))
UUENCODE_TOKENS = frozenset(("x-uuencode", "x-uue", "uuencode", "uue"))
_DATA_URL_LETTERS = re.compile(rb"[A-Za-z0-9+/= \t\r\n]*+")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
# Containers whose modules encode edits themselves, with the signature of :func:`encode_edits`.
_CONTAINERS = {
    Coding.TNEF: "mailveil.core.message.tnef",
    Coding.RTF_COMPRESSED: "mailveil.core.message.rtf",
    Coding.CMS_SIGNED: "mailveil.core.message.cms",
    Coding.OPENPGP: "mailveil.core.message.openpgp",
    Coding.OPENPGP: "mailveil.core.message.openpgp",
}


def decode_body(part: Part, limits: Limits) -> tuple[list[Source], list[Defect]]:
    """Decode a body under every transfer encoding that some client might honour, the likeliest first.

    Equal readings count once. A body labelled one thing that evidently is another is read as both. Where a
    reading is larger than ``limits.max_part_bytes``, no source is returned, and ``TOO_LARGE``.
    """
    raw = part.source.data[part.body_span.start : part.body_span.end]
    encodings = part.transfer_encodings or ("7bit",)
    if len(encodings) == 1 and encodings[0] in IDENTITY_TOKENS:
        if len(raw) > limits.max_part_bytes:
            return [], [Defect.TOO_LARGE]
        return [Source(raw, part.source, part.body_span)], []
    found: list[tuple[Coding, bytes]] = []
    defects: dict[Defect, None] = {}
    for encoding in encodings:
        for coding, data in _read(encoding, raw, defects):
            if len(data) > limits.max_part_bytes:
                return [], [*defects, Defect.TOO_LARGE]
            found.append((coding, data))
    if len(found) == 1:
        return [Source(data, part.source, part.body_span, coding) for coding, data in found], list(defects)
    sources: list[Source] = []
    seen: set[bytes] = set()
    encoded = {data for coding, data in found if coding is not Coding.IDENTITY}
    for coding, data in found:
        # Of equal readings the encoded one is written for: its text reads the same where nobody decodes.
        if data in seen or (coding is Coding.IDENTITY and data in encoded):
            continue
        seen.add(data)
        sources.append(Source(data, part.source, part.body_span, coding))
    return sources, list(defects)


def _read(encoding: str, raw: bytes, defects: dict[Defect, None]) -> Iterable[tuple[Coding, bytes]]:
    """Yield what a body may be under one transfer encoding, and note what is wrong with it."""
    if encoding in IDENTITY_TOKENS:
        yield Coding.IDENTITY, raw
        return
    if encoding == "quoted-printable":
        data, odd = decode_quoted_printable(raw)
        yield Coding.QUOTED_PRINTABLE, data
        if odd:
            defects[Defect.MALFORMED_QUOTED_PRINTABLE] = None
            if odd > count_escapes(raw, odd):
                yield Coding.IDENTITY, raw  # evidently not quoted-printable at all
        return
    if encoding == "base64":
        readings, malformed, junk = read_base64(raw)
        for data in readings:
            yield Coding.BASE64, data
        if malformed:
            defects[Defect.MALFORMED_BASE64] = None
        if junk:
            yield Coding.IDENTITY, raw  # some clients show what is not base64 as it is
        return
    if encoding in UUENCODE_TOKENS:
        yield Coding.UUENCODE, decode_uuencode(raw)
        yield Coding.IDENTITY, raw  # few clients know it still
        return
    defects[Defect.UNKNOWN_TRANSFER_ENCODING] = None
    yield Coding.IDENTITY, raw
    if resembles_base64(raw):
        yield Coding.BASE64, read_base64(raw)[0][0]
    elif count_escapes(raw, 1):
        yield Coding.QUOTED_PRINTABLE, decode_quoted_printable(raw)[0]


def decompress_gzip(source: Source, limits: Limits) -> tuple[Source | None, list[Defect]]:
    """Decompress a source that is a gzip file (RFC 1952), such as an ``.svgz`` image.

    Returns its content as a source of its own; none, and a defect, where it is too large or not gzip. What
    was decompressed before an error counts: clients show that too.
    """
    limit = limits.max_part_bytes
    pieces: list[bytes] = []
    size = 0
    rest = source.data
    broken = False
    while rest[:2] == b"\x1f\x8b" and not broken:  # a file may consist of several members
        member = zlib.decompressobj(wbits=31)
        try:
            piece = member.decompress(rest, limit - size + 1)
        except zlib.error:
            piece = _decompress_what_can_be(rest, limit - size + 1)
            broken = True
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            return None, [Defect.TOO_LARGE]
        if not member.eof:
            broken = True
        rest = member.unused_data
    if not size:
        return None, [Defect.MALFORMED_CONTAINER]
    defects = [Defect.MALFORMED_CONTAINER] if broken else []
    return Source(b"".join(pieces), source, Span(0, len(source.data)), Coding.GZIP), defects


def _decompress_what_can_be(data: bytes, limit: int) -> bytes:
    """Decompress up to the place where the data turn out to be damaged, in small steps."""
    member = zlib.decompressobj(wbits=31)
    pieces: list[bytes] = []
    size = 0
    try:
        for at in range(0, len(data), 256):
            piece = member.decompress(data[at : at + 256], limit - size)
            pieces.append(piece)
            size += len(piece)
            if size >= limit:
                break
    except zlib.error:
        return b"".join(pieces)
    return b"".join(pieces)


def decode_data_url_base64(value: bytes) -> bytes:
    """Decode the base64 of a ``data:`` URL, percent-escapes and white space in it allowed."""
    return decode_base64(_PERCENT.sub(_unescape, value))


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


def encode_edits(source: Source, edits: Sequence[Edit]) -> list[Edit]:
    """Turn edits on ``source.data`` into sorted edits on ``source.within.data``.

    Edits may overlap and come in any order (see :func:`merge_edits`); those that change nothing are dropped.
    As little as possible of the encoded form changes. Raises ``ValueError`` for a source without ``within``
    and for edits outside its data, which are errors of the caller, not of the message.
    """
    if source.within is None:
        raise ValueError("the message itself is encoded in nothing")
    merged = merge_edits(drop_idle(source.data, edits))
    if not merged:
        return []
    if merged[0].start < 0 or max(edit.end for edit in merged) > len(source.data):
        raise ValueError("an edit outside its source")
    if source.coding in _CONTAINERS:
        module = importlib.import_module(_CONTAINERS[source.coding])
        encode = cast("Callable[[Source, Sequence[Edit]], list[Edit]]", module.encode_edits)
        return encode(source, merged)
    start, end = source.span
    if source.coding is Coding.IDENTITY:
        return [Edit(edit.start + start, edit.end + start, edit.replacement) for edit in merged]
    outer = source.within.data
    raw = outer[start:end]
    newline = newline_of(outer, start, end)
    if source.coding is Coding.QUOTED_PRINTABLE:
        encoded = encode_quoted_printable_edits(raw, len(source.data), merged, newline)
    elif source.coding is Coding.BASE64:
        encoded = encode_base64_edits(raw, source.data, merged, newline)
    elif source.coding is Coding.UUENCODE:
        encoded = encode_uuencode_edits(raw, merged, newline)
    elif source.coding is Coding.DATA_URL_BASE64:
        encoded = _encode_data_url_edits(raw, source.data, merged, newline)
    else:
        encoded = [Edit(0, len(raw), _compress(splice(source.data, merged)))]
    return [Edit(edit.start + start, edit.end + start, edit.replacement) for edit in encoded]


def _encode_data_url_edits(raw: bytes, data: bytes, edits: Sequence[Edit], newline: bytes) -> list[Edit]:
    """Edit the base64 of a ``data:`` URL; what stands there escaped or as UTF-16 is written anew."""
    if _DATA_URL_LETTERS.fullmatch(raw):
        return encode_base64_edits(raw, data, edits, newline, wrap=False)
    encoded = encode_base64_edits(b"", data, edits, newline, wrap=False)[0].replacement
    if raw[1:2] == b"\0":
        encoded = encoded.decode("ascii").encode("utf-16-le")
    elif raw[:1] == b"\0":
        encoded = encoded.decode("ascii").encode("utf-16-be")
    return [Edit(0, len(raw), encoded)]


def _compress(data: bytes) -> bytes:
    """Compress to gzip without a time stamp or name."""
    member = zlib.compressobj(9, zlib.DEFLATED, 31)
    return member.compress(data) + member.flush()


def place_in_message(source: Source, start: int, end: int) -> Span:
    """Find ``source.data[start:end]`` in the outermost raw bytes, for reports.

    Exact for identity and quoted-printable, widened to whole quanta of base64 and lines of uuencode; the
    whole container for every other coding. For many places of one message use :func:`place_all`.
    """
    return place_all([(source, start, end)])[0]


def place_all(places: Sequence[tuple[Source, int, int]]) -> list[Span]:
    """Find many places in the outermost raw bytes, in time linear in the sources and their number."""
    found: list[Span] = [Span(0, 0)] * len(places)
    # Sources of equal depth do not enclose each other, so the deepest are finished first.
    waiting: dict[int, dict[Source, list[tuple[int, int, int]]]] = {}
    for index, (source, start, end) in enumerate(places):
        waiting.setdefault(depth_of(source), {}).setdefault(source, []).append((index, start, end))
    for depth in range(max(waiting, default=0), -1, -1):
        for source, asked in waiting.pop(depth, {}).items():
            if source.within is None:
                for index, start, end in asked:
                    found[index] = Span(start, end)
                continue
            spans = _place_within(source, [(start, end) for _, start, end in asked])
            outer = waiting.setdefault(depth - 1, {}).setdefault(source.within, [])
            outer.extend((index, *span) for (index, _, _), span in zip(asked, spans, strict=True))
    return found


def depth_of(source: Source) -> int:
    """Return how many sources enclose this one."""
    depth = 0
    enclosing = source.within
    while enclosing is not None:
        depth += 1
        enclosing = enclosing.within
    return depth


def _place_within(source: Source, spans: Sequence[tuple[int, int]]) -> list[Span]:
    """Find spans of a source in the data of the source that encloses it."""
    assert source.within is not None
    base, stop = source.span
    if source.coding is Coding.IDENTITY:
        return [Span(start + base, end + base) for start, end in spans]
    raw = source.within.data[base:stop]
    if source.coding is Coding.QUOTED_PRINTABLE:
        offsets = sorted({offset for span in spans for offset in span})
        known = dict(zip(offsets, locate(raw, offsets), strict=True))
        inner = [
            Span(known[start][1], known[end][0] if end > start else known[start][1]) for start, end in spans
        ]
    elif source.coding is Coding.BASE64 or (
        source.coding is Coding.DATA_URL_BASE64 and _DATA_URL_LETTERS.fullmatch(raw)
    ):
        inner = place_base64(raw, source.data, spans)
    elif source.coding is Coding.UUENCODE:
        inner = place_uuencode(raw, spans)
    else:
        inner = [Span(0, stop - base) for _ in spans]
    return [Span(start + base, end + base) for start, end in inner]
