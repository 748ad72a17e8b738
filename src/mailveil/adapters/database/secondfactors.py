"""Second factors: their secrets encrypted, so that a copy of the database gives none of them away.

AES-256-GCM under a key of its own beside the database, bound to the user: in another user's row, one does not open.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_PREFIX: Final = "v1:"
_NONCE_BYTES: Final = 12
_PURPOSE: Final = "mailveil second factor v1"

log = logging.getLogger("mailveil.database")


class SecondFactorSealer:
    """Encrypts what second factors are computed from."""

    def __init__(self, key: bytes) -> None:
        """``key`` comes from ``adapters.originals.load_key``."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of second factors must be {KEY_BYTES} bytes long")
        self._cipher = AESGCM(key)
        self._unopened: dict[
            str, str
        ] = {}  # what stands for a secret that does not open, and what is stored for it
        self._chance = secrets.token_bytes(32)

    def seal(self, user: str, secret: str) -> str:
        """Return what is stored of a user's secret; ``""`` for none."""
        if not secret:
            return ""
        if secret in self._unopened:  # changed is something else about the user: the right key may come back
            return self._unopened[secret]
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, secret.encode(), self._bound_to(user))
        return _PREFIX + base64.b64encode(sealed).decode("ascii")

    def open(self, user: str, stored: str) -> str:
        """Return a user's secret.

        One that does not open (another key, damage) stays a second factor, which nobody can show: a secret by chance
        takes its place.
        """
        if not stored:
            return ""
        try:
            raw = base64.b64decode(stored.removeprefix(_PREFIX), validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], self._bound_to(user)).decode()
        except (InvalidTag, ValueError):
            log.warning(
                "the second factor of user %s does not open: its key (second-factors.key) was replaced or lost; "
                "put the key back, or let the user set up a new one",
                user,
            )
        digest = hashlib.blake2b(stored.encode(), key=self._chance, digest_size=20).digest()
        stand_in = base64.b32encode(digest).decode("ascii")
        self._unopened[stand_in] = stored
        return stand_in

    @staticmethod
    def _bound_to(user: str) -> bytes:
        return f"{_PURPOSE} {user}".encode()
