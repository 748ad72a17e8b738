"""OpenPGP: tell ciphertext from packets that anyone can read (RFC 9580), and open those."""

from __future__ import annotations

import binascii
import bz2
import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mailveil.core.message.cms import holds_plaintext
from mailveil.core.message.edits import splice
from mailveil.core.message.types import Coding, Defect, Edit, Limits, Source, Span

MAX_CONTENT_BYTES: Final = Limits().max_part_bytes
MAX_ARMOURS: Final = 100
MAX_PACKETS: Final = 1_000
MAX_CHUNKS: Final = 200_000
MAX_NESTING: Final = 4

_PKESK, _SIGNATURE, _SKESK, _ONE_PASS, _COMPRESSED, _SED, _MARKER, _LITERAL = 1, 2, 3, 4, 8, 9, 10, 11
_SEIPD, _AEAD, _PADDING = 18, 20, 21
_KEYS: Final = frozenset({5, 6, 7, 14})
_SESSION_KEYS: Final = {_PKESK: (2, 3, 6), _SKESK: (4, 5, 6)}
_ENCRYPTED: Final = frozenset({_SED, _SEIPD, _AEAD})
_BEGIN: Final = re.compile(rb"-----BEGIN PGP ([A-Z0-9, /]{1,40})-----[ \t]*+(?:\r?\n|\Z)")
_ARMOUR_FIELD: Final = re.compile(rb"(Version|Comment|MessageID|Hash|Charset): ?[^<>&\x00-\x08\x0e-\x1f]*+")
_MIME_OPENING: Final = re.compile(rb"(?i)\s*+(?:content-|mime-version\s*+:|from\s*+:|subject\s*+:|to\s*+:)")


class OpenPgpKind(StrEnum):
    """What the bytes are, whatever their label says."""

    ENCRYPTED = "encrypted"  # proven: session keys and one encrypted packet, nothing else
    LITERAL = "literal"
    COMPRESSED = "compressed"
    SIGNED = "signed"  # signature packets around readable content
    SIGNATURE = "signature"  # detached
    CLEARTEXT = "cleartext"  # cleartext signature framework
    KEY = "key"
    OTHER = "other"  # OpenPGP, or its armour, but nothing of the above
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: its type, its body with partial lengths joined."""

    tag: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Armour:
    """An ASCII-armoured block (RFC 9580 section 6.2). ``body`` is ``None`` where it is no base64."""

    label: str
    body: bytes | None
    span: Span
    is_plain: bool  # its armour header holds nothing that a client could take for markup


def examine_openpgp(data: bytes) -> OpenPgpKind:
    """Return what a leaf's decoded bytes are as OpenPGP, binary or armoured. Total and linear.

    ``ENCRYPTED`` is only said of bytes that are one whole ciphertext: text around an armour, a readable
    packet beside an encrypted one, lengths that do not add up or plaintext in its place rule it out.
    """
    armour = find_armour(data)
    if armour is None:
        packets, whole = read_packets(data)
        return _kind(packets, whole) if packets else OpenPgpKind.NONE
    if armour.label == "SIGNED MESSAGE":
        return OpenPgpKind.CLEARTEXT
    if armour.body is None:
        return OpenPgpKind.OTHER
    packets, whole = read_packets(armour.body)
    around = data[: armour.span.start].strip() or data[armour.span.end :].strip()
    alone = not around and armour.is_plain and armour.label.startswith("MESSAGE")
    return _kind(packets, whole and alone)


def _kind(packets: Sequence[Packet], whole: bool) -> OpenPgpKind:
    tags = [packet.tag for packet in packets if packet.tag not in (_MARKER, _PADDING)]
    if not tags:
        return OpenPgpKind.OTHER
    if _LITERAL in tags or _COMPRESSED in tags:
        if tags[0] in (_SIGNATURE, _ONE_PASS):
            return OpenPgpKind.SIGNED
        return OpenPgpKind.LITERAL if tags[0] == _LITERAL else OpenPgpKind.COMPRESSED
    if all(tag == _SIGNATURE for tag in tags):
        return OpenPgpKind.SIGNATURE
    if tags[0] in _KEYS:
        return OpenPgpKind.KEY
    if whole and _is_ciphertext([packet for packet in packets if packet.tag != _MARKER]):
        return OpenPgpKind.ENCRYPTED
    return OpenPgpKind.OTHER


def _is_ciphertext(packets: Sequence[Packet]) -> bool:
    if len(packets) < 2 or packets[-1].tag not in _ENCRYPTED:
        return False
    for packet in packets[:-1]:
        if packet.body[:1] not in (bytes((version,)) for version in _SESSION_KEYS.get(packet.tag, ())):
            return False
    last = packets[-1]
    versions = {_SEIPD: (b"\x01", b"\x02"), _AEAD: (b"\x01",)}.get(last.tag)
    if versions is not None and last.body[:1] not in versions:
        return False
    return len(last.body) >= 19 and not holds_plaintext(last.body)


def find_armour(data: bytes, start: int = 0) -> Armour | None:
    """Return the first armoured block at or after ``start``, or ``None``."""
    at = data.find(b"-----BEGIN PGP ", start)
    begin = _BEGIN.match(data, at) if at >= 0 else None
    while at >= 0 and begin is None:
        at = data.find(b"-----BEGIN PGP ", at + 1)
        begin = _BEGIN.match(data, at) if at >= 0 else None
    if begin is None:
        return None
    label = begin[1].decode("ascii")
    stop = data.find(b"-----END PGP ", begin.end())
    close = data.find(b"-----", stop + 13) if stop >= 0 else -1
    if close < 0 or close - stop > 60:
        return Armour(label, None, Span(at, len(data)), is_plain=False)
    if label == "SIGNED MESSAGE":
        return Armour(label, None, Span(at, close + 5), is_plain=False)
    lines = data[begin.end() : stop].replace(b"\r\n", b"\n").split(b"\n")
    plain = data[stop + 13 : close].decode("latin-1") == label
    for number, line in enumerate(lines):
        if not line.strip():
            body = _armour_body(lines[number + 1 :])
            return Armour(label, body, Span(at, close + 5), is_plain=plain)
        plain = plain and _ARMOUR_FIELD.fullmatch(line) is not None
    return Armour(label, None, Span(at, close + 5), is_plain=False)


def _armour_body(lines: Sequence[bytes]) -> bytes | None:
    packed = [line.strip() for line in lines if line.strip()]
    if packed and packed[-1].startswith(b"=") and len(packed[-1]) == 5:
        packed.pop()  # the checksum decides nothing (RFC 9580 section 6.1)
    try:
        return binascii.a2b_base64(b"".join(packed), strict_mode=True) if packed else b""
    except binascii.Error:
        return None


def read_packets(data: bytes) -> tuple[list[Packet], bool]:
    """Return the packets that ``data`` begins with, and whether they are all of it (RFC 9580 section 4)."""
    packets: list[Packet] = []
    at, chunks = 0, 0
    while at < len(data):
        tag_octet = data[at]
        if not tag_octet & 0x80 or len(packets) >= MAX_PACKETS:
            return packets, False
        at += 1
        pieces: list[bytes] = []
        if not tag_octet & 0x40:
            tag, length_type = (tag_octet >> 2) & 0x0F, tag_octet & 3
            width = (1, 2, 4, 0)[length_type]
            length = int.from_bytes(data[at : at + width], "big") if width else len(data) - at
            if at + width + length > len(data):
                return packets, False
            at += width
            pieces.append(data[at : at + length])
            at += length
        else:
            tag, partial = tag_octet & 0x3F, True
            while partial:
                chunks += 1
                length, width, partial = _new_length(data, at)
                if width == 0 or at + width + length > len(data) or chunks > MAX_CHUNKS:
                    return packets, False
                at += width
                pieces.append(data[at : at + length])
                at += length
        packets.append(Packet(tag, b"".join(pieces)))
    return packets, True


def _new_length(data: bytes, at: int) -> tuple[int, int, bool]:
    """Return length, the octets that it is written in (0: cut off), and whether more follows."""
    if at >= len(data):
        return 0, 0, False
    first = data[at]
    if first < 192:
        return first, 1, False
    if first < 224:
        return (((first - 192) << 8) + data[at + 1] + 192, 2, False) if at + 1 < len(data) else (0, 0, False)
    if first == 255:
        return (
            (int.from_bytes(data[at + 1 : at + 5], "big"), 5, False) if at + 5 <= len(data) else (0, 0, False)
        )
    return 1 << (first & 0x1F), 1, True


def open_openpgp(
    source: Source, max_bytes: int = MAX_CONTENT_BYTES
) -> tuple[list[tuple[str, Source]], list[Defect]]:
    """Return what can be read of OpenPGP messages without any key: literal data, compressed or not.

    Each result, one for each armoured block, is a media type (``message/rfc822`` for a MIME entity, otherwise
    ``text/plain``) and a child source; where it is edited, :func:`encode_edits` writes it back as literal
    data, without any signature.
    """
    found: list[tuple[str, Source]] = []
    defects: dict[Defect, None] = {}
    armour = find_armour(source.data)
    if armour is None:
        found += _open_packets(source, source.data, Span(0, len(source.data)), max_bytes, defects)
    for _block in range(MAX_ARMOURS):
        if armour is None:
            break
        if armour.body:
            found += _open_packets(source, armour.body, armour.span, max_bytes, defects)
        armour = find_armour(source.data, armour.span.end)
    if armour is not None:
        defects[Defect.TOO_MANY_PARTS] = None
    return found, list(defects)


def _open_packets(
    source: Source,
    binary: bytes,
    span: Span,
    max_bytes: int,
    defects: dict[Defect, None],
) -> list[tuple[str, Source]]:
    """Return the literal data of one message, which stands in ``span`` of the source; note its defects."""
    pieces: list[bytes] = []
    left = max_bytes
    stack = [(binary, 0)]
    while stack:
        current, depth = stack.pop()
        packets, whole = read_packets(current)
        if depth and not whole:
            defects[Defect.MALFORMED_CONTAINER] = None
        below: list[tuple[bytes, int]] = []
        for packet in packets:
            if packet.tag == _LITERAL:
                name_length = packet.body[1] if len(packet.body) > 1 else 0
                pieces.append(packet.body[2 + name_length + 4 :])
            elif packet.tag == _COMPRESSED:
                inflated = _decompress(packet.body, left)
                if inflated is None or depth >= MAX_NESTING:
                    defects[Defect.MALFORMED_CONTAINER if inflated is None else Defect.TOO_DEEP] = None
                elif len(inflated) > left:
                    defects[Defect.TOO_LARGE] = None
                    left = 0
                else:
                    left -= len(inflated)
                    below.append((inflated, depth + 1))
        stack.extend(reversed(below))
    content = b"".join(pieces)
    if not content:
        return []
    media_type = "message/rfc822" if _MIME_OPENING.match(content) else "text/plain"
    return [(media_type, Source(content, source, span, Coding.OPENPGP))]


def _decompress(body: bytes, max_bytes: int) -> bytes | None:
    """Return at most ``max_bytes + 1`` bytes of a compressed packet's content; ``None`` if unreadable."""
    algorithm, data = body[:1], body[1:]
    try:
        if algorithm == b"\0":
            return data[: max_bytes + 1]
        if algorithm == b"\1":
            return zlib.decompressobj(wbits=-15).decompress(data, max_bytes + 1)
        if algorithm == b"\2":
            return zlib.decompressobj().decompress(data, max_bytes + 1)
        if algorithm == b"\3":
            return bz2.BZ2Decompressor().decompress(data, max_bytes + 1)
    except (zlib.error, OSError, ValueError, EOFError):
        return None
    return None


def encode_edits(source: Source, edits: Sequence[Edit]) -> list[Edit]:
    """Return what edits within readable OpenPGP content mean for the source that the packets stand in.

    The edited content is written as one literal data packet in the place of the whole message, armoured if
    that was. No signature survives a change, so none is kept.
    """
    if source.within is None:
        return []
    body = b"b\0\0\0\0\0" + splice(source.data, edits)
    packet = b"\xcb\xff" + len(body).to_bytes(4, "big") + body
    original = source.within.data[source.span.start : source.span.end]
    if original.startswith(b"-----BEGIN"):
        packet = _armoured(packet, b"\r\n" if b"\r\n" in original else b"\n")
    return [Edit(source.span.start, source.span.end, packet)]


def _armoured(packet: bytes, newline: bytes) -> bytes:
    encoded = binascii.b2a_base64(packet, newline=False)
    lines = [b"-----BEGIN PGP MESSAGE-----", b""]
    lines += [encoded[at : at + 64] for at in range(0, len(encoded), 64)]
    lines += [b"=" + binascii.b2a_base64(_crc24(packet), newline=False), b"-----END PGP MESSAGE-----"]
    return newline.join(lines)


def _crc24_table() -> tuple[int, ...]:
    table = []
    for octet in range(256):
        value = octet << 16
        for _ in range(8):
            value <<= 1
            if value & 0x1000000:
                value ^= 0x1864CFB
        table.append(value)
    return tuple(table)


_CRC24: Final = _crc24_table()


def _crc24(data: bytes) -> bytes:
    """Return the armour's checksum (RFC 9580 section 6.1)."""
    value = 0xB704CE
    for octet in data:
        value = ((value << 8) & 0xFFFFFF) ^ _CRC24[(value >> 16) ^ octet]
    return value.to_bytes(3, "big")


def signature_issuers(data: bytes) -> list[str]:
    """Return the fingerprints and key IDs (hex) that signature packets name as their makers, each once."""
    armour = find_armour(data)
    if armour is not None and armour.label == "SIGNED MESSAGE":
        armour = find_armour(data, data.find(b"-----BEGIN PGP SIGNATURE"))
    binary = data if armour is None else armour.body or b""
    packets, _whole = read_packets(binary)
    found: dict[str, None] = {}
    for packet in packets:
        if packet.tag == _SIGNATURE:
            for issuer in _issuers(packet.body):
                found[issuer] = None
        elif packet.tag == _ONE_PASS and packet.body[:1] == b"\3":
            found[packet.body[4:12].hex()] = None
    # A fingerprint ends in the key ID that stands beside it.
    longest = sorted(found, key=len, reverse=True)
    return [name for name in longest if not any(other != name and other.endswith(name) for other in longest)]


def _issuers(body: bytes) -> list[str]:
    version = body[0] if body else 0
    if version == 3:
        return [body[7:15].hex()]
    if version not in (4, 6):
        return []
    width = 4 if version == 6 else 2
    found: list[str] = []
    at = 4
    for _area in range(2):
        stop = at + width + int.from_bytes(body[at : at + width], "big")
        at += width
        while at < min(stop, len(body)):
            length, octets, _partial = _new_length(body, at)
            if octets == 0 or length == 0:
                break
            at += octets
            subpacket = body[at : at + length]
            if subpacket[0:1] and subpacket[0] & 0x7F == 16:
                found.append(subpacket[1:9].hex())
            elif subpacket[0:1] and subpacket[0] & 0x7F == 33:
                found.append(subpacket[2:34].hex())
            at += length
        at = stop
    return [issuer for issuer in found if issuer]


def key_fingerprints(data: bytes) -> list[str]:
    """Return the fingerprints (hex) of the keys and subkeys in a certificate (RFC 9580 section 5.5.4)."""
    armour = find_armour(data)
    packets, _whole = read_packets(data if armour is None else armour.body or b"")
    found: list[str] = []
    for packet in packets:
        if packet.tag not in (6, 14):
            continue
        if packet.body[:1] == b"\4":
            framed = b"\x99" + (len(packet.body) & 0xFFFF).to_bytes(2, "big") + packet.body
            found.append(hashlib.sha1(framed, usedforsecurity=False).hexdigest())
        elif packet.body[:1] == b"\6":
            framed = b"\x9b" + (len(packet.body) & 0xFFFFFFFF).to_bytes(4, "big") + packet.body
            found.append(hashlib.sha256(framed).hexdigest())
    return found
