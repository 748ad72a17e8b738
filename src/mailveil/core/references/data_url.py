"""``data:`` URLs: documents within an address that may fetch in their turn (RFC 2397, WHATWG Fetch)."""

from __future__ import annotations

import re
import zlib
from array import array
from binascii import Error, a2b_base64
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mailveil.core.message.text import Text
from mailveil.core.message.types import Coding, Defect, Source, Span
from mailveil.core.references.types import BLANK_URL, Findings, Reference, Scope, Vector

# A document within a document within …: nobody needs more, and each level is read by several grammars.
MAX_DEPTH: Final = 3
_GZIP_MAGIC: Final = b"\x1f\x8b"
_IN_URL_IGNORED: Final = re.compile(r"[\t\n\r]")
_DECODED: Final = re.compile(r"%([0-9A-Fa-f]{2})|[\t\n\r]")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]++")
_CHARSET: Final = re.compile(r"charset=[\"']?([^;,\"'\s]++)", re.IGNORECASE)
# Charsets in which markup looks like ASCII.
_ASCII_COMPATIBLE: Final = re.compile(
    r"(?:utf-?8|us-ascii|ascii|iso-?8859|windows-12|cp12|latin|koi8|macintosh|gb2312|gbk|gb18030|big5|"
    r"euc-|shift|sjis|tis-620|ansi|unicode-1-1-utf-8)",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"<[A-Za-z!?/]")

Finder = Callable[[Text, Scope], None]


def find_in_data_url(text: Text, start: int, end: int, scope: Scope, *, sheet: bool = False) -> None:
    """Append what the document in the ``data:`` URL at characters ``[start, end)`` would fetch.

    ``sheet`` tells that it stands where a style sheet does: browsers then take any type for one, outside of their
    strict mode.
    A document nested too deeply, or one whose bytes cannot be edited where they stand, is reported as a whole
    where it may fetch. Total; linear in the length of the URL.
    """
    characters = text.text
    comma = characters.find(",", start, end)
    if comma < 0:
        return
    header = _percent_decoded(text, start + 5, comma).text
    header = "".join(header.split()).lower()
    media_type, *parameters = header.split(";")
    media_type = "text/css" if sheet else media_type
    payload = comma + 1
    encoded = "base64" in parameters
    if encoded:
        _find_in_base64(text, (start, payload, end), media_type, header, scope)
    # A client that heeds "base64" only as the last parameter reads other characters in the others' place.
    if not encoded or parameters[-1] != "base64" or "<" in characters[payload : payload + 200]:
        _find_in_percent_encoded(text, (start, payload, end), media_type, header, scope)


def _finders(media_type: str, opening: str) -> list[Finder]:
    """Return the grammars that some client may read a payload by, which begins with ``opening``."""
    # Imported here since these grammars look into data: URLs in their turn.
    if media_type == "text/css":
        from mailveil.core.references.css import find_in_css

        return [find_in_css]
    if media_type in {"text/html", "text/x-amp-html"}:
        from mailveil.core.references.html import find_in_html

        return [find_in_html]
    declared = media_type.endswith(("/xml", "+xml")) or media_type in {"image/svg", "text/xsl"}
    # A raster picture or a font is not read as markup by anyone, unless it is markup.
    if declared or _TAG.match(opening.replace("\0", "").lstrip("\ufeff\xef\xbb\xbf\xfe\xff \t\n\r\f")):
        from mailveil.core.references.xml import find_in_xml

        return [find_in_xml]
    return []


def _find_in_percent_encoded(
    text: Text, places: tuple[int, int, int], media_type: str, header: str, scope: Scope
) -> None:
    start, payload, end = places
    finders = _finders(media_type, _percent_decoded(text, payload, min(end, payload + 600)).text)
    if not finders:
        return
    document = _percent_decoded(text, payload, end)
    if scope.depth >= MAX_DEPTH or _is_wide(header, document.text):
        _report_whole(text, start, end, scope)
        return
    _run(finders, document, scope)


def _find_in_base64(
    text: Text, places: tuple[int, int, int], media_type: str, header: str, scope: Scope
) -> None:
    start, payload, end = places
    opening = _percent_decoded(text, payload, min(end, payload + 600)).text.encode("latin-1", "replace")
    head = _decode_base64(opening)
    if not head.startswith(_GZIP_MAGIC) and not _finders(media_type, head.decode("latin-1")):
        return
    span = text.span(payload, end)
    encoded = text.source.data[span.start : span.end]
    in_place = text.encoding == "ascii" and encoded == text.text[payload:end].encode("latin-1", "replace")
    if not in_place or b"%" in encoded:
        in_place = False
        encoded = _percent_decoded(text, payload, end).text.encode("latin-1", "replace")
    data = _decode_base64(encoded)
    source = Source(data, text.source, span, Coding.DATA_URL_BASE64)
    if data.startswith(_GZIP_MAGIC):
        unpacked = _gunzip(data, scope.limits.max_part_bytes)
        if unpacked is None:
            _report_whole(text, start, end, scope)
            return
        source = Source(unpacked, source, Span(0, len(data)), Coding.GZIP)
    beginning = source.data[:400].decode("latin-1")
    finders = _finders(media_type, beginning)
    if not finders:
        return
    if scope.depth >= MAX_DEPTH or _is_wide(header, beginning):
        _report_whole(text, start, end, scope)
        return
    document = Text(source.data.decode("latin-1"), source, charset="utf-8")
    if in_place:
        _run(finders, document, scope)
        return
    # Its bytes do not stand in one piece, so it can only be replaced as a whole.
    aside = replace(scope, findings=Findings())
    _run(finders, document, aside)
    if aside.findings.references:
        first = aside.findings.references[0]
        _report_whole(text, start, end, scope, url=first.url, vector=first.vector)


def _run(finders: list[Finder], document: Text, scope: Scope) -> None:
    # A data: URL is no base: relative addresses in it reach nobody.
    inner = replace(scope, depth=scope.depth + 1, base="")
    for find in finders:
        find(document, inner)


def _is_wide(header: str, opening: str) -> bool:
    """Tell whether the document is in a charset whose markup does not look like ASCII."""
    charset = _CHARSET.search(header)
    if charset is not None and not _ASCII_COMPATIBLE.match(charset[1]):
        return True
    return "\0" in opening[:16] or opening.startswith(("\xfe\xff", "\xff\xfe", "+/v"))


def _report_whole(
    text: Text, start: int, end: int, scope: Scope, *, url: str = "", vector: Vector = Vector.HTML_OTHER
) -> None:
    if scope.depth >= MAX_DEPTH:
        scope.findings.defects.append(Defect.TOO_DEEP)
    span = text.span(start, end)
    scope.findings.references.append(
        Reference(
            url=url or text.text[start : min(end, start + 200)],
            vector=vector,
            part=scope.part,
            source=text.source,
            start=span.start,
            end=span.end,
            inert=BLANK_URL,
            encoding=text.encoding,
        )
    )


def _percent_decoded(text: Text, start: int, end: int) -> Text:
    """Return characters ``[start, end)`` as the bytes they mean, without what URLs ignore."""
    value = text.text[start:end]
    if "%" not in value and _IN_URL_IGNORED.search(value) is None:
        return text.sub(start, end)
    pieces: list[str] = []
    starts = array("q")
    ends = array("q")
    at = 0
    for match in [*_DECODED.finditer(value), None]:
        first, last = match.span() if match else (len(value), len(value))
        pieces.append(value[at:first])
        if text.starts is None or text.ends is None:
            offset = text.offset + start
            starts.extend(range(offset + at, offset + first))
            ends.extend(range(offset + at + 1, offset + first + 1))
        else:
            # One by one, since those may be an array of another kind.
            starts.extend(iter(text.starts[start + at : start + first]))
            ends.extend(iter(text.ends[start + at : start + first]))
        if match is not None and match[1]:
            span = text.span(start + first, start + last)
            pieces.append(chr(int(match[1], 16)))
            starts.append(span.start)
            ends.append(span.end)
        at = last
    return Text(
        "".join(pieces),
        text.source,
        offset=text.span(start, start).start,
        starts=starts,
        ends=ends,
        encoding=text.encoding,
        charset=text.charset or "utf-8",
    )


def _decode_base64(encoded: bytes) -> bytes:
    """Decode what a lenient decoder would: any alphabet, any padding, up to the last whole group."""
    digits = _NOT_BASE64.sub(b"", encoded.replace(b"-", b"+").replace(b"_", b"/").split(b"=", 1)[0])
    digits = digits[: len(digits) - 1] if len(digits) % 4 == 1 else digits
    try:
        return a2b_base64(digits + b"=" * (-len(digits) % 4))
    except Error:
        return b""


def _gunzip(data: bytes, max_bytes: int) -> bytes | None:
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(data, max_bytes + 1)
    except zlib.error:
        return None
    return unpacked if len(unpacked) <= max_bytes else None
