"""Key files: secrets of this installation, made when first needed and readable by nobody else."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

KEY_BYTES = 32


class KeyFileError(Exception):
    """A key file cannot be used; the text names it and what to do."""


def read_or_create_key(path: Path) -> bytes:
    """Return the key in a file, made on first use with mode 0600. Raises KeyFileError.

    Of several processes that come first at the same moment, one makes the key and all read it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path}: others can read this key: chmod 600 {path}")
        key = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror} (storage.directory)") from error
    except ValueError as error:
        raise KeyFileError(f"{path}: holds no key of {KEY_BYTES} bytes in hexadecimal digits") from error
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"{path}: holds no key of {KEY_BYTES} bytes in hexadecimal digits")
    return key


def _create(path: Path) -> None:
    unfinished = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(unfinished)  # never replaces a key that is in use
    finally:
        unfinished.unlink(missing_ok=True)
