"""Originals: messages kept encrypted for the days in which ``mailveil release`` can bring them back."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import re
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailveil.core.message.header_block import read_header_block
from mailveil.core.policy import Envelope
from mailveil.ports import UnavailableError

KEY_BYTES: Final = 32
DAY_S: Final = 86_400
_MAGIC: Final = b"MVO1"
_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"mailveil original v1"
_DIGEST_CHARACTERS: Final = 24
_LENGTH: Final = struct.Struct(">I")
# Time of keeping first, so that age and order need no key: only when a message was kept stands in the open.
_NAME: Final = re.compile(r"(\d{10})-([0-9a-f]{24})")
_SUFFIX: Final = ".original"
_PARTIAL: Final = ".partial"
_MAX_FACT_CHARACTERS: Final = 1_000
_MAX_FACT_RECIPIENTS: Final = 100
_COUNT_EVERY_S: Final = 60.0  # counting many files takes a while


class OriginalError(UnavailableError):
    """An original cannot be kept or given back; the text says what an administrator can do."""


class OriginalGoneError(OriginalError):
    """There is no original of this name, or there is none any more."""


class OriginalsFullError(OriginalError):
    """The quota has no room; the message has to wait (451) or another has to expire first."""


@dataclass(frozen=True, slots=True)
class OriginalFacts:
    """What an administrator recognises a kept message by. Encrypted like the message."""

    message_id: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    subject: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class KeptOriginal:
    """One kept message; ``problem`` says why its facts could not be read."""

    identifier: str
    kept_at: float
    stored_bytes: int
    facts: OriginalFacts = OriginalFacts()
    problem: str = ""


def load_key(path: Path) -> bytes:
    """Return the key in a file, made on first use (mode 0600, complete or not at all, durable).

    Raises OriginalError where the file is readable by others, of the wrong size or cannot be made.
    """
    for _attempt in range(2):
        try:
            return _read_key(path)
        except FileNotFoundError:
            _create_key(path)
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OriginalError(f"Cannot read the key file {path}: {error.strerror}. Check its owner.") from error
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_mode & 0o077:
            raise OriginalError(f"The key file {path} can be read by others. Run: chmod 600 {path}")
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise OriginalError(
            f"The key file {path} is not {KEY_BYTES} bytes long. Restore it from a backup, or move it away "
            "for a new key (originals kept under the old one can then no longer be released)."
        )
    return key


def _create_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}{_PARTIAL}")
    try:
        _write_new(partial, secrets.token_bytes(KEY_BYTES), is_durable=True)
        # A link fails where another process was faster, and both then use that process's key.
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    except OSError as error:
        raise OriginalError(f"Cannot make the key file {path}: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)
    _sync_directory(path.parent)


class OriginalStore:
    """Keeps messages in a directory, one file each, encrypted with AES-256-GCM.

    A file is complete and on disk before :meth:`keep` returns; what a crash leaves half-written is never
    listed and goes with a later :meth:`expire`. Methods raise OriginalError, written for administrators.
    """

    def __init__(self, directory: Path, key: bytes, max_age_days: int = 30, max_bytes: int = 2**30) -> None:
        """Open the store, making its directory (mode 0700). ``key`` comes from :func:`load_key`."""
        if len(key) != KEY_BYTES:
            raise OriginalError(f"The key for originals must be {KEY_BYTES} bytes long.")
        self._directory = directory
        self._cipher = AESGCM(key)
        self._naming_key = hmac.digest(key, _PURPOSE, "sha256")
        self._max_age_s = max_age_days * DAY_S
        self._max_bytes = max_bytes
        self._counting = threading.Lock()
        self._counted_bytes = 0
        self._counted_at = float("-inf")
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory.stat().st_mode & 0o077:
                directory.chmod(0o700)
        except OSError as error:
            raise OriginalError(f"Cannot use {directory} for originals: {error.strerror}.") from error

    def keep(
        self, raw: bytes, facts: OriginalFacts, now: float | None = None, *, is_needed: bool = True
    ) -> str:
        """Store a message durably and return the name that :meth:`release` takes.

        One that is kept already, for the same people, is not kept twice: a message that is put off comes again
        and again. It has to stay for half of its days at least, else it is kept anew.
        Raises OriginalsFullError where the quota is used up, OriginalError where writing fails: the message
        must not be delivered changed then. What is not needed gets half of the quota, and no time of the disk's.
        """
        moment = time.time() if now is None else now
        digest = self._digest(raw, facts)
        identifier = f"{int(moment):010d}-{digest}"
        try:
            if not is_needed:
                self._keep_besides(identifier, raw, facts)
                return identifier
            if known := self._find(digest, moment):
                return known
            self._keep_needed(identifier, raw, facts, moment)
        except OSError as error:  # the folder itself may be away
            raise OriginalError(f"Cannot keep an original in {self._directory}: {error.strerror}.") from error
        return identifier

    def _keep_needed(self, identifier: str, raw: bytes, facts: OriginalFacts, now: float) -> None:
        """Store a message durably. Raises OriginalsFullError and OSError."""
        sealed = self._seal(identifier, raw, facts)
        if self._stored_bytes() + len(sealed) > self._max_bytes:
            self.expire(now)
            if self._stored_bytes() + len(sealed) > self._max_bytes:
                raise OriginalsFullError(
                    f"No room for originals in {self._directory}: the quota of {self._max_bytes} bytes is "
                    "used up. Raise originals_max_bytes or lower originals_days."
                )
        self._put(identifier, sealed, is_durable=True)
        _sync_directory(self._directory)

    def _keep_besides(self, identifier: str, raw: bytes, facts: OriginalFacts) -> None:
        """Store a message that nobody is lost without: a power failure may take it."""
        sealed = self._seal(identifier, raw, facts)
        with self._counting:
            now = time.monotonic()
            if now - self._counted_at > _COUNT_EVERY_S:
                self._counted_bytes, self._counted_at = self._stored_bytes(), now
            if self._counted_bytes + len(sealed) > self._max_bytes // 2:
                raise OriginalsFullError(
                    f"Half of the {self._max_bytes} bytes for originals in {self._directory} is used; the other half "
                    "is for those that must be kept. Raise originals_max_bytes or lower originals_days."
                )
            self._counted_bytes += len(sealed)
        self._put(identifier, sealed, is_durable=False)

    def _put(self, identifier: str, sealed: bytes, *, is_durable: bool) -> None:
        """Write a file whole or not at all. Raises OSError.

        One message may come several times at once, through several gateways: each writes a file of its own, and the
        last one stands.
        """
        partial = self._directory / f"{identifier}-{secrets.token_hex(8)}{_PARTIAL}"
        try:
            _write_new(partial, sealed, is_durable=is_durable)
            partial.rename(self._path(identifier))
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def list(self) -> list[KeptOriginal]:
        """Return what is kept, oldest first; a damaged file is listed with its problem."""
        found: list[KeptOriginal] = []
        for identifier, path in self._files():
            kept_at = float(identifier.partition("-")[0])
            try:
                with path.open("rb") as file:
                    facts = self._open_facts(identifier, file.read(_MAX_FACTS_BYTES))
                    size = os.fstat(file.fileno()).st_size
            except FileNotFoundError:
                continue  # expired meanwhile
            except OSError as error:
                found.append(
                    KeptOriginal(identifier, kept_at, 0, problem=f"Cannot read {path}: {error.strerror}.")
                )
                continue
            except OriginalError as error:
                found.append(KeptOriginal(identifier, kept_at, path.stat().st_size, problem=str(error)))
                continue
            found.append(KeptOriginal(identifier, kept_at, size, facts))
        return found

    def release(self, identifier: str) -> bytes:
        """Return a kept message byte for byte. It stays until it expires."""
        if _NAME.fullmatch(identifier) is None:
            raise OriginalError(f"{identifier!r} is no name of an original (1767225600-{24 * '0'}).")
        path = self._path(identifier)
        try:
            sealed = path.read_bytes()
        except FileNotFoundError as error:
            raise OriginalGoneError(
                f"There is no original {identifier}: it has expired or was kept elsewhere."
            ) from error
        except OSError as error:
            raise OriginalError(f"Cannot read {path}: {error.strerror}.") from error
        self._open_facts(identifier, sealed)
        start = len(_MAGIC) + _LENGTH.size + _LENGTH.unpack_from(sealed, len(_MAGIC))[0]
        return self._decrypt(identifier, b"message", sealed[start:])

    def forget(self, identifier: str, are_all: Callable[[Sequence[str]], bool]) -> bool:
        """Delete a kept message if ``are_all`` holds for its recipients; tell whether it is gone.

        One of which not all recipients are known stays until it expires, and so does one that cannot be opened.
        """
        if _NAME.fullmatch(identifier) is None:
            return True
        path = self._path(identifier)
        try:
            with path.open("rb") as file:
                recipients = self._open_facts(identifier, file.read(_MAX_FACTS_BYTES)).recipients
            if len(recipients) >= _MAX_FACT_RECIPIENTS or not are_all(recipients):
                return False
            path.unlink(missing_ok=True)
            _sync_directory(self._directory)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise OriginalError(f"Cannot delete {path}: {error.strerror}.") from error
        return True

    def expire(self, now: float | None = None) -> int:
        """Delete what is older than the days given, and what a crash left behind; return how many went."""
        moment = time.time() if now is None else now
        gone = 0
        for identifier, path in self._files():
            if float(identifier.partition("-")[0]) + self._max_age_s <= moment:
                path.unlink(missing_ok=True)
                gone += 1
        for partial in self._directory.glob(f"*{_PARTIAL}"):
            with contextlib.suppress(FileNotFoundError):
                if partial.stat().st_mtime + DAY_S <= moment:
                    partial.unlink(missing_ok=True)
        if gone:
            _sync_directory(self._directory)
        return gone

    def _digest(self, raw: bytes, facts: OriginalFacts) -> str:
        """Return what tells a message for its people from all others, and nobody without the key anything."""
        digest = hmac.new(self._naming_key, raw, "sha256")
        digest.update("\0".join((facts.sender, *facts.recipients)).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:_DIGEST_CHARACTERS]

    def _find(self, digest: str, now: float) -> str:
        """Return the latest one of a digest that stays long enough, ``""`` if there is none."""
        for path in sorted(self._directory.glob(f"*-{digest}{_SUFFIX}"), reverse=True):
            if _NAME.fullmatch(path.stem) and float(path.stem[:10]) + self._max_age_s / 2 > now:
                return path.stem
        return ""

    def _path(self, identifier: str) -> Path:
        return self._directory / (identifier + _SUFFIX)

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            if _NAME.fullmatch(path.stem) is not None:
                yield path.stem, path

    def _stored_bytes(self) -> int:
        total = 0
        with os.scandir(self._directory) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_size
        return total

    def _seal(self, identifier: str, raw: bytes, facts: OriginalFacts) -> bytes:
        record = {
            "message_id": facts.message_id[:_MAX_FACT_CHARACTERS],
            "sender": facts.sender[:_MAX_FACT_CHARACTERS],
            "recipients": [
                recipient[:_MAX_FACT_CHARACTERS] for recipient in facts.recipients[:_MAX_FACT_RECIPIENTS]
            ],
            "subject": facts.subject[:_MAX_FACT_CHARACTERS],
            "reason": facts.reason[:_MAX_FACT_CHARACTERS],
        }
        sealed_facts = self._encrypt(identifier, b"facts", json.dumps(record).encode("ascii"))
        message = self._encrypt(identifier, b"message", raw)
        return b"".join((_MAGIC, _LENGTH.pack(len(sealed_facts)), sealed_facts, message))

    def _open_facts(self, identifier: str, sealed: bytes) -> OriginalFacts:
        start = len(_MAGIC) + _LENGTH.size
        if len(sealed) < start or not sealed.startswith(_MAGIC):
            raise OriginalError(f"The original {identifier} is damaged. Restore its file from a backup.")
        end = start + _LENGTH.unpack_from(sealed, len(_MAGIC))[0]
        record = json.loads(self._decrypt(identifier, b"facts", sealed[start:end]))
        return OriginalFacts(
            record["message_id"],
            record["sender"],
            tuple(record["recipients"]),
            record["subject"],
            record["reason"],
        )

    def _encrypt(self, identifier: str, role: bytes, data: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        # The name is bound in: a file under another's name does not open.
        return nonce + self._cipher.encrypt(nonce, data, role + b" " + identifier.encode("ascii"))

    def _decrypt(self, identifier: str, role: bytes, data: bytes) -> bytes:
        try:
            return self._cipher.decrypt(
                data[:_NONCE_BYTES], data[_NONCE_BYTES:], role + b" " + identifier.encode("ascii")
            )
        except (InvalidTag, ValueError) as error:
            raise OriginalError(
                f"The original {identifier} cannot be opened: it is damaged, or was kept under another key. "
                "Put back the key file that was in use then, or restore the file from a backup."
            ) from error


class OriginalKeeper:
    """Keeps originals without holding up other messages (ports.OriginalStore)."""

    def __init__(self, store: OriginalStore, reason: str = "") -> None:
        """``reason`` is recorded with every message."""
        self._store = store
        self._reason = reason

    async def keep(self, raw: bytes, envelope: Envelope, reason: str = "", *, is_needed: bool = True) -> str:
        """Store a message durably in a thread of its own; raises OriginalError where that fails."""
        facts = facts_of(raw, envelope, reason or self._reason)
        return await asyncio.to_thread(self._store.keep, raw, facts, is_needed=is_needed)


class OriginalReader:
    """Gives kept originals back (ports.OriginalReader)."""

    def __init__(self, store: OriginalStore) -> None:
        self._store = store

    async def read(self, name: str) -> bytes | None:
        """Return an original, ``None`` where there is none of this name any more; raises OriginalError."""
        try:
            return await asyncio.to_thread(self._store.release, name)
        except OriginalGoneError:
            return None

    async def forget(self, name: str, are_all: Callable[[Sequence[str]], bool]) -> bool:
        """Delete an original if ``are_all`` holds for its recipients; tell whether it is gone."""
        return await asyncio.to_thread(self._store.forget, name, are_all)


def facts_of(raw: bytes, envelope: Envelope, reason: str = "") -> OriginalFacts:
    """Return what to recognise a message by, from its header and envelope. Total."""
    block = read_header_block(raw, 0, min(len(raw), _MAX_HEADER_BYTES))
    values: dict[bytes, str] = {}
    for line in block.fields:
        value = raw[line.start : line.end].partition(b":")[2]
        values.setdefault(line.name, " ".join(value.decode("utf-8", "replace").split()))
    return OriginalFacts(
        message_id=values.get(b"message-id", ""),
        sender=values.get(b"from", "") or envelope.sender,
        recipients=tuple(envelope.recipients),
        subject=values.get(b"subject", ""),
        reason=reason,
    )


_MAX_HEADER_BYTES: Final = 2**20
_MAX_FACTS_BYTES: Final = 2**21  # of a file, read to list it: facts come first


def _write_new(path: Path, data: bytes, *, is_durable: bool) -> None:
    """Write a new file with mode 0600 whatever the umask; one that ``is_durable`` is on disk then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if is_durable:
            os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
