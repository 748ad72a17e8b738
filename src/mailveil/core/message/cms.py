"""CMS: tell what cryptographic message (RFC 5652) a leaf really holds, and open what is not encrypted."""

from __future__ import annotations

import binascii
import re
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from mailveil.core.message.ber import (
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    BerReader,
    Element,
)
from mailveil.core.message.edits import splice
from mailveil.core.message.header_block import FieldLine, HeaderBlock, read_header_block
from mailveil.core.message.types import Defect, Edit, Limits, Part, Source, Span

MAX_CERTIFICATES: Final = 64
MAX_INNER_BYTES: Final = Limits().max_part_bytes
# No ciphertext has a run of this many printable characters: the odds are below one in a million for 32 MB.
PRINTABLE_RUN: Final = 32
_READABLE: Final = b"\t\r\n" + bytes(range(0x20, 0x7F))
_CLASSES: Final = bytes(
    ord("p") if octet in _READABLE else ord("0") if octet == 0 else ord(".") for octet in range(256)
)

_DASHES: Final = re.compile(rb"(?:^|[\r\n])--")

_PKCS7: Final = bytes.fromhex("2a864886f70d0107")
_SMIME_CT: Final = bytes.fromhex("2a864886f70d01091001")
_AUTHORITY_ACCESS: Final = bytes.fromhex("2b06010505070101")
_CRL_POINTS: Final = bytes.fromhex("551d1f")
_FRESHEST_CRL: Final = bytes.fromhex("551d2e")
_FETCHING_EXTENSIONS: Final = frozenset({_AUTHORITY_ACCESS, _CRL_POINTS, _FRESHEST_CRL})
_CONTEXT_0: Final = 0xA0
_CONTEXT_0_PRIMITIVE: Final = 0x80
_URI_NAME: Final = 0x86  # GeneralName uniformResourceIdentifier (RFC 5280 section 4.2.1.6)


class CmsKind(StrEnum):
    """What the bytes are, whatever their label says."""

    ENVELOPED = "enveloped"
    AUTHENVELOPED = "authenveloped"
    ENCRYPTED = "encrypted"
    SIGNED = "signed"
    COMPRESSED = "compressed"
    OTHER = "other"  # readable CMS of another type: digested, authenticated, plain data
    NONE = "none"


_KINDS: Final = {
    _PKCS7 + b"\x01": CmsKind.OTHER,
    _PKCS7 + b"\x02": CmsKind.SIGNED,
    _PKCS7 + b"\x03": CmsKind.ENVELOPED,
    _PKCS7 + b"\x05": CmsKind.OTHER,
    _PKCS7 + b"\x06": CmsKind.ENCRYPTED,
    _SMIME_CT + b"\x02": CmsKind.OTHER,
    _SMIME_CT + b"\x09": CmsKind.COMPRESSED,
    _SMIME_CT + b"\x17": CmsKind.AUTHENVELOPED,
}
_ENCRYPTING: Final = frozenset({CmsKind.ENVELOPED, CmsKind.AUTHENVELOPED, CmsKind.ENCRYPTED})


@dataclass(frozen=True, slots=True)
class CmsContent:
    """What :func:`examine_cms` found.

    ``data`` is the structure itself in BER (without armour), ``inner`` the content that anyone can read
    (signed, compressed, digested …), empty where there is none; ``inner_span`` the place of its encoded form
    in the examined bytes (``None`` where those were armoured). ``is_ciphertext`` is true only where the
    structure is complete, its content is there and nothing readable stands in or around it.
    ``certificates`` are DER.
    """

    kind: CmsKind
    data: bytes = b""
    inner: bytes = b""
    inner_span: Span | None = None
    is_detached: bool = False
    is_ciphertext: bool = False
    certificates: tuple[bytes, ...] = ()
    defects: tuple[Defect, ...] = ()


NOT_CMS: Final = CmsContent(CmsKind.NONE)


def examine_cms(data: bytes, max_bytes: int = MAX_INNER_BYTES) -> CmsContent:
    """Return what a leaf's decoded bytes are as CMS: DER, BER, PEM or bare base64. Total and linear.

    ``max_bytes`` bounds what compressed content may grow to; beyond it ``inner`` is empty and ``TOO_LARGE``
    is among the defects.
    """
    binary, armoured, surrounded = _unarmoured(data)
    if binary is None:
        return NOT_CMS
    reader = BerReader(binary)
    start = len(binary) - len(binary.lstrip(b"\r\n\t \0")) if not binary.startswith(b"0") else 0
    outer = reader.element(start, len(binary))
    if outer is None or outer.tag != SEQUENCE:
        return NOT_CMS
    members = reader.children(outer)
    if not members or members[0].tag != OBJECT_IDENTIFIER:
        return NOT_CMS
    kind = _KINDS.get(binary[members[0].content_start : members[0].content_end], CmsKind.NONE)
    if kind is CmsKind.NONE or len(members) < 2 or members[1].tag != _CONTEXT_0:
        return CmsContent(
            CmsKind.NONE, defects=(Defect.MALFORMED_CONTAINER,) if kind is not CmsKind.NONE else ()
        )
    explicit = reader.children(members[1])
    if not explicit:
        return CmsContent(kind, data=binary, defects=(Defect.MALFORMED_CONTAINER,))
    body = reader.children(explicit[0])
    if kind in _ENCRYPTING:
        alone = len(members) == 2 and len(explicit) == 1 and not binary[outer.end :].strip(b"\r\n\t \0")
        proven = alone and not surrounded and _is_proven(reader, kind, body)
        proven = proven and not reader.clipped and not reader.exhausted
        broken = reader.clipped or reader.exhausted
        return CmsContent(
            kind,
            data=binary,
            is_ciphertext=proven,
            defects=(Defect.MALFORMED_CONTAINER,) if broken else (),
        )
    content = _readable(reader, kind, explicit[0], body, max_bytes)
    if armoured:
        content = replace(content, inner_span=None)
    return content


def _unarmoured(data: bytes) -> tuple[bytes | None, bool, bool]:
    """Return the binary structure (or ``None``), whether it stood in armour, and whether in other text."""
    opening = data[:64].lstrip(b"\r\n\t \0")
    if opening.startswith(b"0") and not opening[1:2].isalnum():
        return data, False, False
    begin = data.find(b"-----BEGIN ")
    first = data.find(b"-----", begin + 11) if begin >= 0 else -1
    if first >= 0:
        stop = data.find(b"-----END ", first)
        label_end = data.find(b"-----", stop + 9) if stop >= 0 else -1
        after = data[label_end + 5 :] if label_end >= 0 else b""
        surrounded = label_end < 0 or bool(data[:begin].strip() or after.strip())
        label = data[begin + 11 : first] + data[stop + 9 : label_end]
        surrounded = surrounded or not label.replace(b" ", b"").isalnum()
        return _base64(data[first + 5 : stop if stop >= 0 else len(data)]), True, surrounded
    if opening.startswith((b"MI", b"MH", b"ME", b"MF", b"MG", b"MD")):
        return _base64(data), True, False
    return (data if opening.startswith(b"0") else None), False, False


def _base64(text: bytes) -> bytes | None:
    packed = text.translate(None, b"\r\n\t \0")
    try:
        return binascii.a2b_base64(packed, strict_mode=True)
    except binascii.Error:
        return None


def _is_proven(reader: BerReader, kind: CmsKind, body: Sequence[Element]) -> bool:
    """Tell whether the members of an encrypting type are all there and hold nothing readable."""
    members = [member for member in body if member.tag not in (_CONTEXT_0, 0xA1, 0xA2)]
    if not members or members[0].tag != INTEGER:
        return False
    at = 1
    if kind is not CmsKind.ENCRYPTED:
        if len(members) < 3 or members[1].tag != SET or not reader.children(members[1]):
            return False
        at = 2
    if len(members) != at + (2 if kind is CmsKind.AUTHENVELOPED else 1) or members[at].tag != SEQUENCE:
        return False
    if kind is CmsKind.AUTHENVELOPED and members[at + 1].tag & ~0x20 != OCTET_STRING:
        return False
    info = reader.children(members[at])
    if len(info) != 3 or info[0].tag != OBJECT_IDENTIFIER or info[1].tag != SEQUENCE:
        return False
    algorithm = reader.children(info[1])
    if not algorithm or algorithm[0].tag != OBJECT_IDENTIFIER or info[2].tag & ~0x20 != _CONTEXT_0_PRIMITIVE:
        return False
    segments = reader.children(info[2]) if info[2].constructed else []
    if any(segment.tag != OCTET_STRING for segment in segments):
        return False
    content = reader.octets(info[2])
    return len(content) >= 8 and not holds_plaintext(content)


def holds_plaintext(content: bytes) -> bool:
    """Tell whether bytes that claim to be ciphertext have characters where only chance could put them.

    A run of 32 never happens by chance. Shorter content is judged by its share of printable bytes: 38 % of
    random bytes are, over 80 % of any text.
    """
    classes = content.translate(_CLASSES)
    if b"p" * PRINTABLE_RUN in classes or b"p0" * (PRINTABLE_RUN // 2) in classes:
        return True
    sample = content[:4096]
    readable = classes.count(b"p", 0, 4096)
    return len(sample) >= 16 and readable * 4 > len(sample) * 3


def _readable(
    reader: BerReader, kind: CmsKind, explicit: Element, body: Sequence[Element], max_bytes: int
) -> CmsContent:
    data = reader.data
    defects: list[Defect] = []
    inner, span, present = b"", None, False
    if explicit.tag & ~0x20 == OCTET_STRING:  # id-data
        inner, span, present = reader.octets(explicit), Span(explicit.start, explicit.end), True
    for member in body:
        if member.tag != SEQUENCE or present:
            continue
        info = reader.children(member)
        if len(info) >= 2 and info[0].tag == OBJECT_IDENTIFIER and info[1].tag == _CONTEXT_0:
            values = reader.children(info[1])
            # PKCS #7 version 1.5 allows any type here; what is no octet string is read as it stands.
            if len(values) == 1 and values[0].tag & ~0x20 == OCTET_STRING:
                inner = reader.octets(values[0])
            elif values:
                inner = data[values[0].content_start : values[-1].content_end]
            span, present = Span(info[1].start, info[1].end), bool(values)
    if kind is CmsKind.COMPRESSED and present:
        inflated = _inflate(inner, max_bytes)
        inner = b"" if inflated is None or len(inflated) > max_bytes else inflated
        if inflated is None:
            defects.append(Defect.MALFORMED_CONTAINER)
        elif len(inflated) > max_bytes:
            defects.append(Defect.TOO_LARGE)
    certificates: list[bytes] = []
    if kind is CmsKind.SIGNED:
        for member in body:
            if member.tag == _CONTEXT_0:
                certificates += [
                    data[item.start : item.end] for item in reader.children(member) if item.tag == SEQUENCE
                ][:MAX_CERTIFICATES]
    if reader.clipped or reader.exhausted:
        defects.append(Defect.MALFORMED_CONTAINER)
    return CmsContent(
        kind,
        data=data,
        inner=inner,
        inner_span=span,
        is_detached=kind is CmsKind.SIGNED and not present,
        certificates=tuple(certificates),
        defects=tuple(dict.fromkeys(defects)),
    )


def _inflate(data: bytes, max_bytes: int) -> bytes | None:
    """Return decompressed zlib data, at most one byte more than ``max_bytes``; ``None`` if unreadable."""
    unpacker = zlib.decompressobj()
    try:
        return unpacker.decompress(data, max_bytes + 1)
    except zlib.error:
        return None


def certificate_urls(certificates: Sequence[bytes]) -> list[str]:
    """Return the URLs that a client may fetch to check X.509 certificates (DER), each once, in order.

    Authority information access (OCSP, caIssuers), CRL distribution points and freshest CRL (RFC 5280
    sections 4.2.1.13, 4.2.1.15, 4.2.2.1); policy statements are links, not fetched. Total: any bytes go in.
    """
    found: dict[str, None] = {}
    for certificate in certificates:
        reader = BerReader(certificate)
        for name in _uri_names(reader):
            found[certificate[name.content_start : name.content_end].decode("latin-1")] = None
    return list(found)


def _uri_names(reader: BerReader) -> list[Element]:
    """Return the URI names in the extensions of a certificate that make clients fetch."""
    outer = reader.element(0, len(reader.data))
    body = reader.children(outer) if outer is not None and outer.tag == SEQUENCE else []
    names: list[Element] = []
    for member in reader.children(body[0]) if body else []:
        if member.tag != 0xA3:
            continue
        for listed in reader.children(member):
            for extension in reader.children(listed):
                parts = reader.children(extension)
                if len(parts) < 2 or parts[0].tag != OBJECT_IDENTIFIER or parts[-1].tag != OCTET_STRING:
                    continue
                if reader.data[parts[0].content_start : parts[0].content_end] in _FETCHING_EXTENSIONS:
                    value = reader.element(parts[-1].content_start, parts[-1].content_end)
                    names += _uris_below(reader, value) if value is not None else []
    return names


def _uris_below(reader: BerReader, element: Element) -> list[Element]:
    found: list[Element] = []
    stack = [(element, 0)]
    while stack:
        current, depth = stack.pop()
        if current.tag == _URI_NAME:
            found.append(current)
        elif current.constructed and depth < 8:
            stack.extend((child, depth + 1) for child in reversed(reader.children(current)))
    return found


def encode_edits(source: Source, edits: Sequence[Edit]) -> list[Edit]:
    """Return what edits within a CMS's inner entity mean for the source that the CMS part stands in.

    ``source.span`` is the whole part, header included. No signature survives a change, so the edited inner
    entity takes the place of the part's ``Content-*`` fields and body, as in
    :func:`opaque_signed_replacement`.
    """
    if source.within is None:
        return []
    return _replacement(source.within.data, source.span, splice(source.data, edits), ())


def opaque_signed_replacement(part: Part, inner_raw: bytes, enclosing: Sequence[bytes] = ()) -> list[Edit]:
    """Return edits on ``part.source`` that put an inner entity in the place of an opaque CMS part.

    The part's ``Content-*`` fields give way to those of ``inner_raw``, its body to the inner body; its other
    fields stay. ``enclosing`` are boundaries of the multiparts around it, beside those that the source itself
    declares: an inner line that would act as one of their delimiters must never come to stand in the open, so
    such an entity travels as an attached message in base64.
    """
    return _replacement(part.source.data, part.span, inner_raw, enclosing)


def _replacement(data: bytes, span: Span, inner_raw: bytes, enclosing: Sequence[bytes]) -> list[Edit]:
    outer = read_header_block(data, span.start, span.end)
    inner = read_header_block(inner_raw, 0, len(inner_raw))
    if _has_delimiter(inner_raw, _delimiters(data, span, enclosing)):
        encoded = binascii.b2a_base64(inner_raw, newline=False)
        lines = [encoded[at : at + 76] for at in range(0, len(encoded), 76)]
        fields = (
            b'Content-Type: application/octet-stream; name="signed-content.eml"',
            b'Content-Disposition: attachment; filename="signed-content.eml"',
            b"Content-Transfer-Encoding: base64",
        )
        header = b"".join(field + outer.newline for field in fields)
        body = outer.newline.join(lines)
    else:
        header = b"".join(_complete(inner_raw, field, outer) for field in inner.fields if _is_content(field))
        body = inner_raw[inner.body_start :]
        if outer.newline == b"\n" and b"\r" not in (rest := body.replace(b"\r\n", b"\n")):
            body = rest if b"\n" not in body.replace(b"\r\n", b"") else body
    return _edits(data, span, outer, header, body)


def _edits(data: bytes, span: Span, outer: HeaderBlock, header: bytes, body: bytes) -> list[Edit]:
    edits: list[Edit] = []
    for field in outer.fields:
        if _is_content(field):
            edits.append(Edit(field.start, field.end, header))
            header = b""
    if header:
        edits.append(Edit(outer.fields_end, outer.fields_end, header))
    if span.end == len(data) and data.endswith(b"\n") and not body.endswith(b"\n"):
        body += outer.newline
    if outer.body_start == outer.fields_end:  # no empty line: there was no body either
        body = outer.newline + body
    edits.append(Edit(outer.body_start, span.end, body))
    return edits


def _is_content(field: FieldLine) -> bool:
    return field.name.startswith(b"content-")


def _complete(raw: bytes, field: FieldLine, outer: HeaderBlock) -> bytes:
    """Return an inner field with the outer header's line breaks, the last one included."""
    lines = (
        raw[field.start : field.end].replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n").split(b"\n")
    )
    return outer.newline.join(lines) + outer.newline


def _delimiters(data: bytes, span: Span, enclosing: Sequence[bytes]) -> set[bytes]:
    """Return every boundary that could be in force around ``span``: a few too many do no harm."""
    found = {boundary for boundary in enclosing if boundary}
    line_end = data.rfind(b"\n", 0, span.start)
    line_start = data.rfind(b"\n", 0, max(line_end, 0)) + 1
    before = data[line_start : max(line_end, 0)].strip()
    if before.startswith(b"--"):
        found.add(before[2:])
    for area in (data[: span.start], data[span.end :]):
        lowered = area.lower()
        at = lowered.find(b"boundary")
        while at >= 0:
            value = area[at + 8 : at + 8 + 250].lstrip(b"*0123456789 \t\r\n")
            if value.startswith(b"="):
                value = value[1:].lstrip(b" \t\r\n")
                quoted = value.startswith(b'"')
                value = value[1:].split(b'"', 1)[0] if quoted else re.split(rb"[;\s]", value, maxsplit=1)[0]
                if value:
                    found.add(value)
            at = lowered.find(b"boundary", at + 8)
    return found


def _has_delimiter(raw: bytes, boundaries: set[bytes]) -> bool:
    """Tell whether a line of ``raw`` begins with two hyphens and one of ``boundaries``."""
    shortest: list[
        bytes
    ] = []  # sorted, and none the beginning of another: then only the predecessor can match
    for boundary in sorted(boundaries):
        if not shortest or not boundary.startswith(shortest[-1]):
            shortest.append(boundary)
    longest = max(map(len, shortest), default=0)
    for match in _DASHES.finditer(raw):
        line = raw[match.end() : match.end() + longest]
        at = bisect_right(shortest, line)
        if at and line.startswith(shortest[at - 1]):
            return True
    return False
