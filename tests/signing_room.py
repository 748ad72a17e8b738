"""The signing room: keys, the DNS records that go with them, and messages signed by another implementation.

dkimpy signs and verifies here; nothing of ours does. That makes it an independent witness.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mailveil.core.authentication import Authentication, TrustedServers, judge, open_message
from mailveil.core.authentication.canonical import hash_bodies
from mailveil.ports import UnavailableError

MESSAGE = (
    b"From: News <news@mail.example.org>\r\n"
    b"To: reader@example.net\r\n"
    b"Subject:  a  subject \r\n\tthat is folded\r\n"
    b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@mail.example.org>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n"
    b"\r\n"
    b"<p>Hello  \t world </p>\r\n"
    b"\r\n"
    b'<img src="https://tracker.example.com/p.gif">  \r\n'
    b"\r\n\r\n"
)
NOW = 1_800_000_000


@lru_cache(maxsize=8)
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def record(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, more: bytes = b"") -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        data = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return b"v=DKIM1; k=rsa; " + more + b"p=" + base64.b64encode(data)
    data = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return b"v=DKIM1; k=ed25519; " + more + b"p=" + base64.b64encode(data)


def signed(
    raw: bytes = MESSAGE,
    *,
    domain: bytes = b"example.org",
    selector: bytes = b"s1",
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | None = None,
    canonicalize: tuple[bytes, bytes] = (b"relaxed", b"relaxed"),
    length: bool = False,
    include_headers: list[bytes] | None = None,
) -> bytes:
    """Return the message with a DKIM-Signature by dkimpy on top."""
    key = key or rsa_key()
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm, private = b"rsa-sha256", pem(key)
    else:
        raw_key = key.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
        algorithm, private = b"ed25519-sha256", base64.b64encode(raw_key)
    return (
        dkim.sign(
            raw,
            selector,
            domain,
            private,
            canonicalize=canonicalize,
            signature_algorithm=algorithm,
            length=length,
            include_headers=include_headers,
        )
        + raw
    )


def arc_signed(raw: bytes, *, domain: bytes = b"list.example", key: rsa.RSAPrivateKey | None = None) -> bytes:
    """Return the message with an ARC set by dkimpy on top; it wants an Authentication-Results by ``domain``."""
    fields = dkim.arc_sign(raw, b"arc", domain, pem(key or rsa_key()), domain)
    return b"".join(fields) + raw


def dkimpy_arc(raw: bytes, answer: bytes) -> tuple[bytes | None, str]:
    """Return what dkimpy says of a chain: its status and why."""
    status, _, reason = dkim.arc_verify(raw, dnsfunc=lambda _name, timeout=5: answer)
    return status, reason


def authenticated(
    raw: bytes,
    answers: Sequence[bytes] | Callable[[str], Sequence[bytes] | None] | None = None,
    *,
    trust: TrustedServers | None = None,
    now: float | None = None,
) -> Authentication:
    """Return what the core finds of a message, without any I/O. Every name has the same ``answers``."""
    import time

    opened = open_message(raw, trust or TrustedServers())
    start = opened.header.body_start if opened.header else 0
    bodies = hash_bodies(raw, start, opened.body_forms, lambda: True)
    found = {name: answers(name) if callable(answers) else answers for name in opened.key_names}
    return judge(opened, bodies, found, time.time() if now is None else now)


@dataclass
class StubDns:
    """Implements ``ports.TxtLookup``: answers, silences and delays as told, and a list of what was asked."""

    records: dict[str, Sequence[bytes]] = field(default_factory=dict)
    failing: frozenset[str] = frozenset()
    delay_s: float = 0.0
    asked: list[str] = field(default_factory=list)

    async def __call__(self, name: str, timeout_s: float) -> Sequence[bytes]:
        self.asked.append(name)
        if self.delay_s:
            try:
                await asyncio.wait_for(asyncio.sleep(self.delay_s), timeout_s)
            except TimeoutError as error:
                raise UnavailableError("too slow") from error
        if name in self.failing:
            raise UnavailableError("SERVFAIL")
        return self.records.get(name, ())
