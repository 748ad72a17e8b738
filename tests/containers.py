"""Builders of containers for tests (BER, CMS, OpenPGP, TNEF), and a hand to programs that make real ones."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailveil.core.message.types import Part, Source, Span

CIPHERTEXT = b"".join(hashlib.sha256(bytes((octet,))).digest() for octet in range(20))


def need(program: str) -> str:
    """Return the path of a program; skip the test by name where it is missing, fail under CI."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return path


def run(*command: str, cwd: Path, stdin: bytes = b"", **environment: str) -> bytes:
    result = subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, check=False, env={**os.environ, **environment}
    )
    assert result.returncode == 0, result.stderr.decode("utf-8", "replace")
    return result.stdout


def leaf(body: bytes, media_type: str = "application/octet-stream", **changes: object) -> Part:
    """A part whose body is all there is of its source."""
    source = Source(body)
    values: dict[str, object] = {
        "section": "1", "source": source, "span": Span(0, len(body)), "header_span": Span(0, 0),
        "body_span": Span(0, len(body)), "fields": (), "media_type": media_type, "parameters": {},
    }  # fmt: skip
    return Part(**{**values, **changes})  # type: ignore[arg-type]


# --- BER and CMS -----------------------------------------------------------------------------------------


def tlv(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    length = len(body)
    if length < 0x80:
        return bytes((tag, length)) + body
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + body


def indefinite(tag: int, *content: bytes) -> bytes:
    return bytes((tag, 0x80)) + b"".join(content) + b"\0\0"


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    octets = [first * 40 + second]
    for number in rest:
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(number & 0x7F | 0x80)
        octets += reversed(septets)
    return tlv(6, bytes(octets))


DATA, SIGNED_DATA, ENVELOPED_DATA, ENCRYPTED_DATA = (oid(f"1.2.840.113549.1.7.{n}") for n in (1, 2, 3, 6))
COMPRESSED_DATA = oid("1.2.840.113549.1.9.16.1.9")
AES_256_CBC = tlv(0x30, oid("2.16.840.1.101.3.4.1.42"), tlv(4, bytes(16)))


def integer(value: int) -> bytes:
    return tlv(2, bytes((value,)))


def content_info(kind: bytes, body: bytes) -> bytes:
    return tlv(0x30, kind, tlv(0xA0, body))


def enveloped(content: bytes = CIPHERTEXT, recipients: bytes | None = None) -> bytes:
    recipient = tlv(0x30, integer(0), tlv(4, CIPHERTEXT[:40]))
    return content_info(
        ENVELOPED_DATA,
        tlv(
            0x30,
            integer(0),
            tlv(0x31, recipient if recipients is None else recipients),
            tlv(0x30, DATA, AES_256_CBC, tlv(0x80, content)),
        ),
    )


def signed_data(content: bytes | None, certificates: Sequence[bytes] = ()) -> bytes:
    """Signed data that nobody signed: what a forger needs no key for."""
    inner = tlv(0x30, DATA, *([tlv(0xA0, tlv(4, content))] if content is not None else []))
    listed = [tlv(0xA0, *certificates)] if certificates else []
    return content_info(SIGNED_DATA, tlv(0x30, integer(1), tlv(0x31), inner, *listed, tlv(0x31)))


def pem(data: bytes, label: str = "CMS") -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        label.encode(),
        base64.encodebytes(data),
        label.encode(),
    )


# --- OpenPGP ---------------------------------------------------------------------------------------------


def packet(tag: int, body: bytes) -> bytes:
    return bytes((0xC0 | tag, 0xFF)) + len(body).to_bytes(4, "big") + body


def partial_packet(tag: int, body: bytes, power: int = 9) -> bytes:
    size = 1 << power
    pieces = [bytes((0xC0 | tag,))]
    at = 0
    while len(body) - at > size:
        pieces += (bytes((0xE0 | power,)), body[at : at + size])
        at += size
    pieces += (b"\xff", (len(body) - at).to_bytes(4, "big"), body[at:])
    return b"".join(pieces)


PKESK = packet(1, b"\3" + bytes(8) + b"\1" + CIPHERTEXT[:64])
SEIPD = packet(18, b"\1" + CIPHERTEXT)


def literal(content: bytes) -> bytes:
    return packet(11, b"b\0\0\0\0\0" + content)


def armoured(data: bytes, header: bytes = b"", label: bytes = b"MESSAGE") -> bytes:
    return b"-----BEGIN PGP %b-----\n%b\n%b-----END PGP %b-----\n" % (
        label,
        header,
        base64.encodebytes(data),
        label,
    )


# --- TNEF ------------------------------------------------------------------------------------------------

MAPI_PROPERTIES, ATTACHMENT_PROPERTIES = 0x00069003, 0x00069005
BODY, ATTACH_TITLE, ATTACH_DATA, ATTACH_RENDERING = 0x0002800C, 0x00018010, 0x0006800F, 0x00069002
BINARY, UNICODE, STRING, OBJECT, BOOLEAN, LONG = 0x102, 0x1F, 0x1E, 0x0D, 0x0B, 0x03


def tnef(*attributes: bytes) -> bytes:
    version = attribute(0x00089006, struct.pack("<I", 0x00010000))
    codepage = attribute(0x00069007, struct.pack("<II", 1252, 0))
    return b"\x78\x9f\x3e\x22\x01\x00" + version + codepage + b"".join(attributes)


def attribute(number: int, data: bytes, level: int | None = None) -> bytes:
    if level is None:
        level = 2 if number in (ATTACH_TITLE, ATTACH_DATA, ATTACH_RENDERING, ATTACHMENT_PROPERTIES) else 1
    return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def properties(*values: bytes) -> bytes:
    return struct.pack("<I", len(values)) + b"".join(values)


def variable(number: int, kind: int, *values: bytes, name: bytes = b"") -> bytes:
    framed = b"".join(struct.pack("<I", len(value)) + value + bytes(-len(value) % 4) for value in values)
    return struct.pack("<HH", kind, number) + name + struct.pack("<I", len(values)) + framed


def fixed(number: int, kind: int, value: int) -> bytes:
    return struct.pack("<HHI", kind, number, value)


def named(number: int) -> bytes:
    return bytes(16) + struct.pack("<II", 0, number)


def attachment(name: bytes, data: bytes, *extra: bytes) -> bytes:
    rendering = attribute(ATTACH_RENDERING, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 32, 32, 0))
    title = attribute(ATTACH_TITLE, name + b"\0")
    listed = [attribute(ATTACHMENT_PROPERTIES, properties(*extra))] if extra else []
    return rendering + title + attribute(ATTACH_DATA, data) + b"".join(listed)
