"""Sameness: a digest by which a message is known again when it is tried again, whatever it is made of.

It is computed before any parser sees the message, by code too plain to fail.
"""

from __future__ import annotations

import hmac
from typing import Final

DIGEST_BYTES: Final = 16
# What a sender gives a message once. Trace fields are new with every try, so they do not count.
_STABLE_FIELDS: Final = frozenset((b"from", b"to", b"date", b"subject", b"message-id"))
_TRACE_FIELDS: Final = frozenset(
    (b"received", b"return-path", b"delivered-to", b"x-original-to", b"authentication-results")
)
_MAX_HEADER_BYTES: Final = 1 << 20
_PURPOSE: Final = b"mailveil attempt v1\n"


def digest_message(raw: bytes, key: bytes) -> bytes:
    """Return a keyed digest (16 bytes) of a message's body and of the header fields that stay the same.

    Total and linear. Whoever lacks ``key`` cannot tell which message a digest is of.
    """
    # HMAC-SHA256 (RFC 2104): where the processor knows SHA-256, twice as fast as BLAKE2.
    digest = hmac.new(key, _PURPOSE, "sha256")
    header_end = _header_end(raw)
    if header_end < 0:
        digest.update(memoryview(raw)[_trace_end(raw) :])
        return digest.digest()[:DIGEST_BYTES]
    counts = False
    for line in raw[:header_end].split(b"\n"):
        if line[:1] not in (b" ", b"\t"):
            counts = line.partition(b":")[0].strip().lower() in _STABLE_FIELDS
        if counts:
            digest.update(line.rstrip(b"\r") + b"\n")
    digest.update(b"\n")
    digest.update(memoryview(raw)[header_end:])
    return digest.digest()[:DIGEST_BYTES]


def _header_end(raw: bytes) -> int:
    """Return where the first empty line begins, -1 where there is none within bounds."""
    if raw.startswith((b"\n", b"\r\n")):
        return 0
    ends = [at + 1 for ending in (b"\n\n", b"\n\r\n") if (at := raw.find(ending, 0, _MAX_HEADER_BYTES)) >= 0]
    return min(ends, default=-1)


def _trace_end(raw: bytes) -> int:
    """Return where the trace fields on top of a message end that has no empty line."""
    at, counted = 0, False
    while (end := raw.find(b"\n", at, _MAX_HEADER_BYTES)) >= 0:
        line = raw[at:end]
        if line[:1] not in (b" ", b"\t"):
            counted = line.partition(b":")[0].strip().lower() in _TRACE_FIELDS
        if not counted:
            break
        at = end + 1
    return at
