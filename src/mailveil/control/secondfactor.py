"""Second factor: time-based one-time codes (TOTP, RFC 6238) as authenticator apps make them.

SHA-1, six digits, thirty seconds: what every such app understands. Pure; time is given.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote

STEP_S = 30
DIGITS = 6
DRIFT = 1  # steps by which a phone's clock may be off, each way
SECRET_BYTES = 20  # RFC 4226 section 4, R6


def new_secret() -> str:
    """Return a new secret in base32, as apps want to be told it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def code_at(secret: str, step: int) -> str:
    """Return the code of one step (RFC 4226 section 5.3)."""
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: str, code: str, now: float) -> int | None:
    """Return the step that a code is right for, ``None`` where there is none near ``now``.

    Whoever asks has to see to it that no step is used twice (RFC 6238 section 5.2).
    """
    given = "".join(code.split())
    if len(given) != DIGITS or not (given.isascii() and given.isdigit()):
        return None
    here = int(now // STEP_S)
    found = None
    for step in range(max(0, here - DRIFT), here + DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step), given):
            found = step
    return found


def enrolment_url(secret: str, name: str, issuer: str = "mailveil") -> str:
    """Return what an app reads from a QR code (the key URI format that authenticator apps share)."""
    label = f"{quote(issuer, safe='')}:{quote(name, safe='')}"
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}"
