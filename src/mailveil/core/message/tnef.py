"""TNEF: what Outlook and Exchange put into winmail.dat (MS-OXTNEF), opened and written back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mailveil.core.message import rtf
from mailveil.core.message.edits import splice
from mailveil.core.message.types import Coding, Defect, Edit, Limits, Source, Span

SIGNATURE: Final = b"\x78\x9f\x3e\x22"
MAX_NESTING: Final = 10
MAX_ATTRIBUTES: Final = 20_000
MAX_PROPERTIES: Final = 100_000

_BODY, _MAPI_PROPERTIES, _ATTACHMENT_PROPERTIES = 0x0002800C, 0x00069003, 0x00069005
_ATTACH_TITLE, _ATTACH_DATA, _ATTACH_RENDERING = 0x00018010, 0x0006800F, 0x00069002
_RECIPIENTS = 0x00069004

_TEXT_BODY, _HTML_BODY, _RTF_BODY = 0x1000, 0x1013, 0x1009
_ATTACH_OBJECT, _ATTACH_NAME, _ATTACH_LONG_NAME, _ATTACH_TYPE = 0x3701, 0x3704, 0x3707, 0x370E
_ATTACH_EXTENSION = 0x3703
_READ_RECEIPT, _DELIVERY_REPORT, _NON_RECEIPT = 0x0029, 0x0023, 0x0C06
_RECEIPTS: Final = frozenset({_READ_RECEIPT, _DELIVERY_REPORT, _NON_RECEIPT})

_BOOLEAN, _OBJECT, _STRING, _UNICODE, _BINARY = 0x0B, 0x0D, 0x1E, 0x1F, 0x102
_VARIABLE: Final = frozenset({_OBJECT, _STRING, _UNICODE, _BINARY})
_FIXED: Final = {
    0x01: 0, 0x02: 4, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8,
    0x48: 16,
}  # fmt: skip

_MEDIA_TYPES: Final = {
    "html": "text/html", "htm": "text/html", "shtml": "text/html", "hta": "text/html",
    "xht": "application/xhtml+xml", "xhtml": "application/xhtml+xml",
    "svg": "image/svg+xml", "xml": "text/xml", "xsl": "text/xml",
    "css": "text/css", "ics": "text/calendar", "vcs": "text/calendar", "vcf": "text/vcard", "rtf": "text/rtf",
    "eml": "message/rfc822", "mht": "message/rfc822", "mhtml": "message/rfc822", "txt": "text/plain",
    "p7m": "application/pkcs7-mime", "p7s": "application/pkcs7-signature",
}  # fmt: skip


class Frame(StrEnum):
    """How a child's bytes are framed in the source that encloses it."""

    ATTRIBUTE = "attribute"  # length, data, checksum; within a TNEF stream
    PROPERTY = "property"  # length, data, padding; within an attribute
    PROPERTY_UNICODE = "property-unicode"  # the same in UTF-16, handed out as UTF-8
    OBJECT = "object"  # as a property, after an interface identifier


@dataclass(frozen=True, slots=True, eq=False)
class TnefSource(Source):
    """A source that stands in TNEF; ``frame`` tells what has to be rewritten around it."""

    frame: Frame = Frame.ATTRIBUTE


@dataclass(frozen=True, slots=True)
class Property:
    """A MAPI property that may make a client contact somebody although it is no document.

    ``name`` is the property's number, or for named properties the number or string that it is called by
    (``"0x851f"``). ``value`` is its text; its bytes are ``source.data[start:end]``, written in ``encoding``.
    For a request of a receipt ``value`` is empty and the bytes are the flag.
    """

    name: str
    value: str
    source: Source
    start: int
    end: int
    encoding: str = "ascii"
    is_receipt: bool = False


@dataclass(frozen=True, slots=True)
class Tnef:
    """What a TNEF stream holds: documents by media type, properties worth a look, what is wrong with it."""

    contents: tuple[tuple[str, Source], ...] = ()
    properties: tuple[Property, ...] = ()
    defects: tuple[Defect, ...] = ()


def is_tnef(data: bytes) -> bool:
    """Tell whether bytes are a TNEF stream."""
    return data.startswith(SIGNATURE)


def open_tnef(
    source: Source, max_bytes: int = Limits().max_part_bytes
) -> tuple[list[tuple[str, Source]], list[Defect]]:
    """Return the documents in a TNEF stream as media type and child source (see :func:`parse_tnef`)."""
    tnef = parse_tnef(source, max_bytes)
    return list(tnef.contents), list(tnef.defects)


def parse_tnef(source: Source, max_bytes: int = Limits().max_part_bytes) -> Tnef:
    """Return what a TNEF stream and the messages nested in it hold. Total and linear.

    Bodies come as ``text/html``, ``text/plain`` and ``text/rtf`` (decompressed), attachments under the type
    that their name or tag calls for. A child stands in the source of its attribute, which stands in the
    stream: edits of several properties of one attribute meet there, where length and checksum are written
    once.
    """
    opened = _Opening(max_bytes)
    stack = [(source, 0)]
    while stack:
        stream, depth = stack.pop()
        nested = opened.open_stream(stream)
        if nested and depth >= MAX_NESTING:
            opened.defects[Defect.TOO_DEEP] = None
        else:
            stack.extend((inner, depth + 1) for inner in reversed(nested))
    return Tnef(tuple(opened.contents), tuple(opened.properties), tuple(opened.defects))


@dataclass(slots=True)
class _Attachment:
    names: list[str] = field(default_factory=list)
    media_type: str = ""
    sources: list[Source] = field(default_factory=list)


class _Opening:
    """Collects what one TNEF stream and those nested in it hold."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.contents: list[tuple[str, Source]] = []
        self.properties: list[Property] = []
        self.defects: dict[Defect, None] = {}
        self.attributes_left = MAX_ATTRIBUTES
        self.properties_left = MAX_PROPERTIES

    def malformed(self) -> None:
        self.defects[Defect.MALFORMED_CONTAINER] = None

    def open_stream(self, stream: Source) -> list[Source]:
        """Read one stream; return the streams nested in it."""
        data = stream.data
        if not data.startswith(SIGNATURE):
            self.malformed()
            return []
        nested: list[Source] = []
        attachment = _Attachment()
        at = 6
        while at < len(data):
            if self.attributes_left <= 0:
                self.defects[Defect.TOO_MANY_PARTS] = None
                break
            self.attributes_left -= 1
            if at + 9 > len(data) or data[at] not in (1, 2):
                self.malformed()
                break
            number = int.from_bytes(data[at + 1 : at + 5], "little")
            start = at + 9
            end = start + int.from_bytes(data[at + 5 : start], "little")
            if end + 2 > len(data):
                self.malformed()
                end = max(start, min(end, len(data)))
            body = data[start:end]
            if sum(body) & 0xFFFF != int.from_bytes(data[end : end + 2], "little"):
                self.malformed()
            attribute = TnefSource(body, stream, Span(at + 5, min(end + 2, len(data))), Coding.TNEF)
            at = end + 2
            if number == _ATTACH_RENDERING:
                nested += self.finish(attachment)
                attachment = _Attachment()
            elif number == _ATTACH_TITLE:
                attachment.names.append(body.rstrip(b"\0").decode("latin-1"))
            elif number == _ATTACH_DATA:
                attachment.sources.append(attribute)
            elif number == _BODY:
                self.contents.append(("text/plain", attribute))
            elif number in (_MAPI_PROPERTIES, _ATTACHMENT_PROPERTIES):
                self.read_properties(attribute, attachment)
        return nested + self.finish(attachment)

    def finish(self, attachment: _Attachment) -> list[Source]:
        """Hand out what an attachment holds; return the streams among it."""
        nested: list[Source] = []
        for source in attachment.sources:
            if is_tnef(source.data):
                nested.append(source)
            else:
                self.contents.append((_media_type(attachment), source))
        return nested

    def read_properties(self, attribute: Source, attachment: _Attachment) -> None:
        data = attribute.data
        count = int.from_bytes(data[:4], "little")
        at = 4
        for _ in range(count):
            if at + 4 > len(data) or self.properties_left <= 0:
                self.malformed()
                return
            self.properties_left -= 1
            kind = int.from_bytes(data[at : at + 2], "little")
            number = int.from_bytes(data[at + 2 : at + 4], "little")
            at += 4
            name = f"{number:#06x}"
            if number >= 0x8000:
                at, name = _read_name(data, at)
            is_many, kind = bool(kind & 0x1000), kind & ~0x1000
            values = 1
            if is_many or kind in _VARIABLE:
                values = int.from_bytes(data[at : at + 4], "little")
                at += 4
            if kind not in _VARIABLE:
                size = _FIXED.get(kind, -1)
                if size < 0 or at + size * values > len(data):
                    self.malformed()
                    return
                if kind == _BOOLEAN and number in _RECEIPTS and data[at : at + 4].strip(b"\0"):
                    receipt = Property(name, "", attribute, at, at + 4, is_receipt=True)
                    self.properties.append(receipt)
                at += size * values
                continue
            for _value in range(values):
                if at + 4 > len(data) or self.properties_left <= 0:
                    self.malformed()
                    return
                self.properties_left -= 1
                start = at
                length = int.from_bytes(data[at : at + 4], "little")
                if at + 4 + length > len(data):
                    self.malformed()
                    length = len(data) - at - 4
                at = min(at + 4 + (length + 3 & ~3), len(data))
                value = Span(start + 4, start + 4 + length)
                self.take(
                    attribute,
                    attachment,
                    number=number,
                    name=name,
                    kind=kind,
                    framed=Span(start, at),
                    value=value,
                )
        if data[at:].strip(b"\0"):
            self.malformed()

    def take(
        self,
        attribute: Source,
        attachment: _Attachment,
        *,
        number: int,
        name: str,
        kind: int,
        framed: Span,
        value: Span,
    ) -> None:
        """Look at one variable-length value of a property."""
        raw = attribute.data[value.start : value.end]
        if kind == _OBJECT or number == _ATTACH_OBJECT:
            frame = Frame.PROPERTY
            if kind == _OBJECT and len(raw) >= 16 and not is_tnef(raw):
                frame, raw = Frame.OBJECT, raw[16:]
            attachment.sources.append(TnefSource(raw, attribute, framed, Coding.TNEF, frame))
            return
        if kind == _UNICODE:
            text = raw[: len(raw) & ~1].decode("utf-16-le", "surrogatepass").rstrip("\0")
        else:
            text = raw.rstrip(b"\0").decode("latin-1") if len(raw) < 4096 else ""
        if number in (_ATTACH_LONG_NAME, _ATTACH_NAME, _ATTACH_EXTENSION):
            attachment.names.append(text)
        elif number == _ATTACH_TYPE:
            attachment.media_type = text.strip().lower()
        elif number in (_TEXT_BODY, _HTML_BODY):
            media_type = "text/html" if number == _HTML_BODY else "text/plain"
            if kind == _UNICODE:
                utf8 = (
                    raw[: len(raw) & ~1].decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")
                )
                child = TnefSource(utf8, attribute, framed, Coding.TNEF, Frame.PROPERTY_UNICODE)
            else:
                child = TnefSource(raw, attribute, framed, Coding.TNEF, Frame.PROPERTY)
            self.contents.append((media_type, child))
        elif number == _RTF_BODY:
            packed = TnefSource(raw, attribute, framed, Coding.TNEF, Frame.PROPERTY)
            unpacked, defects = rtf.open_compressed_rtf(packed, self.max_bytes)
            self.defects.update(dict.fromkeys(defects))
            if unpacked is not None:
                self.contents.append(("text/rtf", unpacked))
        elif text and kind in (_STRING, _UNICODE):
            encoding = "utf-16-le" if kind == _UNICODE else "ascii"
            end = value.start + len(
                text.encode("utf-16-le" if kind == _UNICODE else "latin-1", "surrogatepass")
            )
            self.properties.append(Property(name, text, attribute, value.start, end, encoding))


def _read_name(data: bytes, at: int) -> tuple[int, str]:
    """Return where a named property's value begins and what the property is called."""
    at += 16
    is_string = int.from_bytes(data[at : at + 4], "little") == 1
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    at += 8
    if not is_string:
        return at, f"{length:#06x}"
    length = min(length, max(0, len(data) - at))
    name = data[at : at + min(length, 512) & ~1].decode("utf-16-le", "replace").rstrip("\0")
    return at + (length + 3 & ~3), name


def _characters(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # an edit cut a character in two
        return data.decode("utf-8", "replace")


def _media_type(attachment: _Attachment) -> str:
    """Return the type that an attachment's name calls for, as Windows opens it, or its declared type."""
    for name in reversed(attachment.names):
        media_type = _MEDIA_TYPES.get(name.rstrip(" .\0").rpartition(".")[2].lower())
        if media_type is not None:
            return media_type
    return attachment.media_type or "application/octet-stream"


def encode_edits(source: Source, edits: Sequence[Edit]) -> list[Edit]:
    """Return what edits on a child of :func:`parse_tnef` mean for the source that it stands in.

    The whole frame is written anew: length, padding, count and checksum as real readers want them.
    """
    if source.coding is Coding.RTF_COMPRESSED:
        return rtf.encode_edits(source, edits)
    if source.within is None or not isinstance(source, TnefSource):
        return []
    data = splice(source.data, edits)
    start, end = source.span
    if source.frame is Frame.ATTRIBUTE:
        framed = len(data).to_bytes(4, "little") + data + (sum(data) & 0xFFFF).to_bytes(2, "little")
        return [Edit(start, end, framed)]
    if source.frame is Frame.PROPERTY_UNICODE:
        data = _characters(data).encode("utf-16-le", "surrogatepass")
    elif source.frame is Frame.OBJECT:
        data = source.within.data[start + 4 : start + 20] + data
    return [Edit(start, end, len(data).to_bytes(4, "little") + data + bytes(-len(data) % 4))]
