"""The sealer: puts an ARC set (RFC 8617) on a message that was changed, so that others need not take our word."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from mailveil.core.authentication import (
    Authentication,
    SealingKey,
    SealRefusedError,
    seal_fields,
    why_unsealable,
)
from mailveil.core.authentication.arc import SEALED_BODY
from mailveil.core.authentication.canonical import hash_bodies, read_signed_header
from mailveil.core.authentication.keys import load_sealing_key

THREADS = 2
KEY_BITS = 2048
MAX_KEY_FILE_BYTES = 65_536


class SealingKeyError(Exception):
    """The key that messages are sealed with cannot be used; the text says what to do."""


class ArcSealer:
    """Implements ``ports.Sealer``."""

    def __init__(
        self,
        key: SealingKey,
        *,
        timeout_s: float = 3.0,
        max_header_bytes: int = 1024 * 1024,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.key = key
        self.timeout_s = timeout_s
        self.max_header_bytes = max_header_bytes
        self.now = now
        self._threads = ThreadPoolExecutor(THREADS, "sealing")

    async def seal(self, raw: bytes, authentication: Authentication) -> bytes:
        """Return a changed message with our set on top. Raises SealRefusedError where that cannot be."""
        if reason := why_unsealable(authentication):
            raise SealRefusedError(reason)
        deadline = time.monotonic() + self.timeout_s
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self._seal(raw, authentication, deadline)
        )
        try:
            return await asyncio.wait_for(work, self.timeout_s)
        except TimeoutError as error:
            raise SealRefusedError("it took longer than [authentication] timeout_s") from error

    def _seal(self, raw: bytes, authentication: Authentication, deadline: float) -> bytes:
        header = read_signed_header(raw, self.max_header_bytes)
        if header is None or not header.fields[0].name.strip():
            raise SealRefusedError("it has no header that a field could be put on top of")
        bodies = hash_bodies(raw, header.body_start, (SEALED_BODY,), lambda: time.monotonic() < deadline)
        if SEALED_BODY not in bodies:
            raise SealRefusedError("it took longer than [authentication] timeout_s")
        digest, _ = bodies[SEALED_BODY]
        fields = seal_fields(header, digest, self.key, authentication, self.now())
        return fields.replace(b"\r\n", header.newline) + raw

    def close(self) -> None:
        """Let go of the threads, without waiting for what they do."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def read_key_file(path: Path) -> RSAPrivateKey:
    """Return the private key in a PEM file. Raises SealingKeyError, which says what to do."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o007:
                raise SealingKeyError(f"{path} can be read by everybody. Run: chmod o= {path}")
            pem = file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise SealingKeyError(
            f"{path} cannot be read: {error.strerror}. `mailveil arc-key` makes one"
        ) from error
    try:
        return load_sealing_key(pem)
    except ValueError as error:
        raise SealingKeyError(f"{path}: {error}") from error


def make_key_file(path: Path) -> RSAPrivateKey:
    """Make a key and write it to a new file that only its owner can read. Raises SealingKeyError."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise SealingKeyError(f"{path} is there already and is left alone") from error
    except OSError as error:
        raise SealingKeyError(f"{path} cannot be written: {error.strerror}") from error
    return key
