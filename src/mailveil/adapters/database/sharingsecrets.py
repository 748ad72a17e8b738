"""Sharing secrets: what authenticates us to destinations and feeds, encrypted, so that no copy of a database has it.

AES-256-GCM under a key of its own beside the database, bound to what it belongs to: in another row, none opens.
"""

from __future__ import annotations

import base64
import logging
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_PREFIX: Final = "v1:"
_NONCE_BYTES: Final = 12
_PURPOSE: Final = "mailveil sharing secret v1"

log = logging.getLogger("mailveil.sharing")


class SharingSealer:
    """Encrypts secrets of destinations and feeds; ``owner`` is the identifier of one, such as ``destination:…``."""

    def __init__(self, key: bytes) -> None:
        """``key`` comes from ``adapters.originals.load_key``."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of sharing must be {KEY_BYTES} bytes long")
        self._cipher = AESGCM(key)
        self._said: set[str] = set()

    def seal(self, owner: str, secret: str) -> str:
        """Return what is stored of a secret; ``""`` for none."""
        if not secret:
            return ""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, secret.encode(), _bound_to(owner))
        return _PREFIX + base64.b64encode(sealed).decode("ascii")

    def open(self, owner: str, stored: str) -> str | None:
        """Return a secret, ``None`` for one that does not open (another key, damage)."""
        if not stored:
            return ""
        try:
            raw = base64.b64decode(stored.removeprefix(_PREFIX), validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(owner)).decode()
        except (InvalidTag, ValueError):
            if owner not in self._said:  # once: it is asked for again and again
                self._said.add(owner)
                log.warning(
                    "the secret of %s does not open: its key (sharing.key) was replaced or lost; put the key back, "
                    "or set the secret anew",
                    owner,
                )
            return None


def _bound_to(owner: str) -> bytes:
    return f"{_PURPOSE} {owner}".encode()
