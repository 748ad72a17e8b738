"""Keys in backups: the key files beside a database, sealed with a passphrase, since records need their keys.

scrypt (RFC 7914) makes the key of AES-256-GCM from the passphrase. Each file's name is bound in.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailveil.adapters.database.backup import BackupError

MIN_PASSPHRASE: Final = 12
_COST: Final = {"n": 1 << 16, "r": 8, "p": 1}
_MAX_COST: Final = 16 * (1 << 16) * 8  # 16 times what is usual now
_MAX_MEMORY: Final = 256 * 1024 * 1024
_NONCE_BYTES: Final = 12


def seal_keys(keys: Mapping[str, bytes], passphrase: str) -> dict[str, Any]:
    """Return key files, by name, as a backup holds them. Raises ``BackupError`` for a passphrase that is too short."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise BackupError(f"the passphrase must have {MIN_PASSPHRASE} characters at least")
    salt = secrets.token_bytes(16)
    cipher = _cipher(passphrase, salt, _COST)
    files = {}
    for name, key in keys.items():
        nonce = secrets.token_bytes(_NONCE_BYTES)
        files[name] = _text(nonce + cipher.encrypt(nonce, key, name.encode()))
    return {"scrypt": {**_COST, "salt": _text(salt)}, "files": files}


def open_keys(sealed: Mapping[str, Any], passphrase: str) -> dict[str, bytes]:
    """Return the key files in a backup. Raises ``BackupError`` for another passphrase."""
    try:
        cost = {name: int(sealed["scrypt"][name]) for name in _COST}
        if cost["n"] * cost["r"] * cost["p"] > _MAX_COST:
            raise ValueError("that would take hours")
        cipher = _cipher(passphrase, _bytes(sealed["scrypt"]["salt"]), cost)
        return {
            str(name): cipher.decrypt(_bytes(text)[:_NONCE_BYTES], _bytes(text)[_NONCE_BYTES:], name.encode())
            for name, text in sealed["files"].items()
        }
    except InvalidTag as error:
        raise BackupError("the passphrase is not that of this backup") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackupError("the keys in the backup are damaged") from error


def _cipher(passphrase: str, salt: bytes, cost: Mapping[str, int]) -> AESGCM:
    key = hashlib.scrypt(passphrase.encode(), salt=salt, dklen=32, maxmem=_MAX_MEMORY, **cost)
    return AESGCM(key)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(value: str) -> bytes:
    return base64.b64decode(value, validate=True)
