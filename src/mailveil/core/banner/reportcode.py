"""Report codes: what names a message to those who may report about it, and that nobody else can make up."""

from __future__ import annotations

import base64
import binascii
import hmac
import re

CODE_LETTERS = 40  # of base32 for 25 bytes: an observation's identifier and a tag, without padding
_IDENTIFIER = re.compile(r"[0-9a-f]{32}")
_CODE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z2-7]{40}(?![A-Za-z0-9])")
_IDENTIFIER_BYTES = 16
_TAG_BYTES = 9
MAX_CODES = 20


def report_code(identifier: str, organisation: str, key: bytes) -> str:
    """Return the code of a message: 40 letters and digits, the same whenever it is asked for.

    ``identifier`` is that of an observation (core/observation), ``organisation`` the one whose message it is. The code
    tells when the message passed, and nothing else. Raises ``ValueError`` for anything that is no identifier.
    """
    if not _IDENTIFIER.fullmatch(identifier):
        raise ValueError(f"not the identifier of an observation: {identifier!r}")
    code = bytes.fromhex(identifier) + _tag(identifier, organisation, key)
    return base64.b32encode(code).decode("ascii").lower()


def verify_report_code(code: str, organisation: str, key: bytes) -> str | None:
    """Return the identifier in a code that we made for a message of an organisation, else ``None``."""
    if len(code) != CODE_LETTERS:
        return None
    try:
        decoded = base64.b32decode(code.upper())
    except (binascii.Error, ValueError):
        return None
    identifier = decoded[:_IDENTIFIER_BYTES].hex()
    tag = _tag(identifier, organisation, key)
    return identifier if hmac.compare_digest(decoded[_IDENTIFIER_BYTES:], tag) else None


def find_report_codes(text: str) -> list[str]:
    """Return what could be codes in a text, at most 20, in order, without repeats."""
    found: dict[str, None] = {}
    for match in _CODE.finditer(text):
        found[match[0].lower()] = None
        if len(found) >= MAX_CODES:
            break
    return list(found)


def _tag(identifier: str, organisation: str, key: bytes) -> bytes:
    told = f"report code\n{organisation}\n{identifier}".encode("utf-8", "surrogatepass")
    return hmac.digest(key, told, "sha256")[:_TAG_BYTES]
