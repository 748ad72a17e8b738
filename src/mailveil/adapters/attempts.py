"""Attempts: which messages are being examined, on record before they are, so that a killed process counts too.

Each process appends fixed-size records to a file of its own and holds a lock on it while it lives. Nothing is
synced: what ``kill -9`` leaves in the page cache is there for the next process; a power failure may take the
last seconds, and then a message is tried once more than it had to be.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import secrets
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

from mailveil.core.message.sameness import digest_message
from mailveil.ports import Attempt

log = logging.getLogger("mailveil.attempts")
MAX_AGE_S: Final = 7 * 86_400
GIVEN_UP_WITHIN_S: Final = 3600
MAX_FILE_BYTES: Final = 4 << 20
MAX_REMEMBERED: Final = 100_000
SETTLED_NS: Final = 100_000_000
_HASHED_AT_ONCE_BYTES: Final = 1 << 17  # more is hashed in a thread: other messages do not wait for it
_SUFFIX: Final = ".attempts"
_PARTIAL: Final = ".partial"
_RECORD: Final = struct.Struct(">BB16sI")  # operation, count, digest, time in seconds; then CRC-32
_CHECK: Final = struct.Struct(">I")
RECORD_BYTES: Final = _RECORD.size + _CHECK.size


class _Operation(IntEnum):
    BEGUN = 1
    ENDED = 2
    FAILED = 3
    ABSORBED = 4  # the file of this name is part of this one
    GIVEN_UP = 5


@dataclass(slots=True)
class _State:
    """What one file says. ``failures`` are counts with the time of the last one; ``given_up`` has only times."""

    failures: dict[bytes, tuple[int, float]] = field(default_factory=dict)
    open: dict[bytes, int] = field(default_factory=dict)
    absorbed: set[bytes] = field(default_factory=set)
    given_up: dict[bytes, float] = field(default_factory=dict)

    def apply(self, operation: int, count: int, digest: bytes, when: float) -> None:
        if operation == _Operation.BEGUN:
            self.open[digest] = self.open.get(digest, 0) + count
        elif operation == _Operation.ABSORBED:
            self.absorbed.add(digest)
        elif operation == _Operation.GIVEN_UP:
            self.given_up[digest] = when
        else:
            if (left := self.open.pop(digest, 0) - 1) > 0:
                self.open[digest] = left
            if operation == _Operation.FAILED:
                self.add_failures(digest, count, when)

    def add_failures(self, digest: bytes, count: int, when: float) -> None:
        before, _ = self.failures.pop(digest, (0, 0.0))
        self.failures[digest] = (min(before + count, 255), when)
        if len(self.failures) > MAX_REMEMBERED:
            del self.failures[next(iter(self.failures))]

    def failures_since(self, digest: bytes, oldest: float) -> int:
        count, when = self.failures.get(digest, (0, 0.0))
        return count if when >= oldest else 0

    def absorb(self, other: _State, when: float) -> None:
        """Take over the state of a process that is no more: what it had under way ended with it."""
        for digest, (count, last) in other.failures.items():
            self.add_failures(digest, count, last)
        for digest in other.open:
            self.add_failures(digest, 1, when)
        self.given_up.update(other.given_up)

    def records(self, oldest: float, now: float) -> Iterator[bytes]:
        """Write it anew, without what is older than ``oldest``."""
        self.failures = {each: known for each, known in self.failures.items() if known[1] >= oldest}
        self.given_up = {each: when for each, when in self.given_up.items() if when >= oldest}
        for digest in self.absorbed:
            yield _encode(_Operation.ABSORBED, 1, digest, now)
        for digest, (count, when) in self.failures.items():
            yield _encode(_Operation.FAILED, count, digest, when)
        for digest, when in self.given_up.items():
            yield _encode(_Operation.GIVEN_UP, 1, digest, when)
        for digest, count in self.open.items():
            yield _encode(_Operation.BEGUN, min(count, 255), digest, now)


@dataclass(slots=True)
class _Other:
    """The file of another process, read as far as it had been written."""

    path: Path
    descriptor: int
    inode: int
    state: _State = field(default_factory=_State)
    read_bytes: int = 0

    def follow(self) -> None:
        """Read what has been added. Raises OSError."""
        size = os.fstat(self.descriptor).st_size
        if size - self.read_bytes < RECORD_BYTES:
            return
        data = os.pread(self.descriptor, size - self.read_bytes, self.read_bytes)
        whole = len(data) - len(data) % RECORD_BYTES
        for record in _decode(data[:whole]):
            self.state.apply(*record)
        self.read_bytes += whole

    def is_dead(self) -> bool:
        """Tell whether its process is no more. One that has begun a new file lives, see ``is_current``."""
        return _lock(self.descriptor, fcntl.LOCK_SH)

    def is_current(self) -> bool:
        with contextlib.suppress(OSError):
            return self.path.stat().st_ino == self.inode
        return False

    def close(self) -> None:
        os.close(self.descriptor)


class AttemptFiles:
    """Implements ``ports.AttemptRecord`` with one file for each process in a directory that they may share.

    ``key`` makes the digests mean nothing to others. Where the disk takes no record (full, read-only), mail flows
    on with a warning: a process that is killed is then not counted, everything else is, in memory.
    """

    def __init__(self, directory: Path, key: bytes, now: Callable[[], float] = time.time) -> None:
        """Take over what processes that are no more have left in ``directory``."""
        self._directory = directory
        self._key = key
        self._now = now
        self._path = directory / f"{secrets.token_hex(16)}{_SUFFIX}"
        self._state = _State()
        self._others: dict[Path, _Other] = {}
        self._listed_at = -1
        self._descriptor = -1
        self._written_bytes = 0
        self._is_behind = True  # what is known is not on the disk yet
        self._is_warned = False
        self._is_closed = False
        with self._warning():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_over()

    async def begin(self, raw: bytes) -> Attempt:
        """Record that a message is about to be examined, and return how often that has failed before."""
        if len(raw) > _HASHED_AT_ONCE_BYTES:
            digest = await asyncio.to_thread(digest_message, raw, self._key)
        else:
            digest = digest_message(raw, self._key)
        failures = self._failures(digest)
        self._note(_Operation.BEGUN, digest)
        return Attempt(digest, failures)

    def end(self, attempt: Attempt, *, failed: bool) -> None:
        """Record that an attempt is over; a ``failed`` one counts against the message."""
        self._note(_Operation.FAILED if failed else _Operation.ENDED, attempt.key)

    def give_up(self, attempt: Attempt, most: int) -> bool:
        """Record that a message goes on unexamined; False where ``most`` others have within the hour."""
        with self._warning():
            self._look_around()
        states = (self._state, *(other.state for other in self._others.values()))
        if any(attempt.key in state.given_up for state in states):
            return True
        if len(_lately_given_up(states, self._now())) >= most:
            return False
        self._note(_Operation.GIVEN_UP, attempt.key)
        return True

    def close(self) -> None:
        """Let go of the files. What is still under way ended in good order, and counts against no message."""
        if self._is_closed:
            return
        self._is_closed = True
        self._state.open.clear()
        with self._warning():
            self._rewrite()
            if not self._state.failures and not self._state.given_up:
                self._path.unlink()
        self._release()
        for other in self._others.values():
            other.close()

    # --- counting ----------------------------------------------------------------------------------------

    def _failures(self, digest: bytes) -> int:
        oldest = self._now() - MAX_AGE_S
        with self._warning():
            self._look_around()
        count = self._state.failures_since(digest, oldest)
        for other in self._others.values():
            count += other.state.failures_since(digest, oldest)
            # What another process has under way has not failed, unless that process is no more.
            if digest in other.state.open and other.is_dead() and other.is_current():
                count += 1
        return count

    def _look_around(self) -> None:
        """Read what other processes have written since. Costs one system call where there are none."""
        changed_at = self._directory.stat().st_mtime_ns
        # Two changes within one tick of the kernel's clock have one time.
        is_settled = changed_at == self._listed_at and time.time_ns() - changed_at > SETTLED_NS
        if not is_settled:
            self._listed_at = changed_at
            self._list_others()
        for other in self._others.values():
            other.follow()

    def _list_others(self) -> None:
        for path, other in list(self._others.items()):
            if not other.is_current():
                other.close()
                del self._others[path]
        for path in self._directory.glob(f"*{_SUFFIX}"):
            if path != self._path and path not in self._others:
                found = _open(path)
                if found is not None:
                    self._others[path] = found

    # --- writing -----------------------------------------------------------------------------------------

    def _note(self, operation: _Operation, digest: bytes) -> None:
        now = self._now()
        self._state.apply(operation, 1, digest, now)
        if self._is_closed:
            return
        with self._warning():
            if self._is_behind or self._written_bytes > MAX_FILE_BYTES:
                self._rewrite()
                return
            record = _encode(operation, 1, digest, now)
            self._is_behind = True
            # At its own place: half a record, from a disk that was full for a moment, is written over.
            if os.pwrite(self._descriptor, record, self._written_bytes) == RECORD_BYTES:
                self._written_bytes += RECORD_BYTES
                self._is_behind = False

    def _rewrite(self) -> None:
        """Begin the file anew with what still matters; complete or not at all."""
        now = self._now()
        data = b"".join(self._state.records(now - MAX_AGE_S, now))
        partial = self._path.with_suffix(_PARTIAL)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # Locked before it has its name: nobody ever takes it for the file of a dead process.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            written = os.pwrite(descriptor, data, 0)
            if written != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            partial.rename(self._path)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        self._release()
        self._descriptor = descriptor
        self._written_bytes = len(data)
        self._is_behind = False

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _take_over(self) -> None:
        """Absorb the files of processes that are no more into a file of our own, and only then delete them."""
        self._list_others()
        dead = [other for other in self._others.values() if _lock(other.descriptor, fcntl.LOCK_EX)]
        # One that stands for another was written by a process that died before it could delete that one.
        known = {name for other in self._others.values() for name in other.state.absorbed}
        for other in dead:
            name = bytes.fromhex(other.path.stem)
            if name not in known and other.is_current():
                self._state.absorb(other.state, self._now())
                self._state.absorbed.add(name)
        self._rewrite()
        for other in dead:
            other.path.unlink(missing_ok=True)
            other.close()
            del self._others[other.path]
        self._state.absorbed.clear()
        for partial in self._directory.glob(f"*{_PARTIAL}"):
            _remove_unlocked(partial)

    @contextlib.contextmanager
    def _warning(self) -> Iterator[None]:
        """Say once that the disk does not take part, and once that it does again."""
        try:
            yield
        except OSError as error:
            if not self._is_warned:
                self._is_warned = True
                log.warning(
                    "attempts cannot be recorded in %s: %s; mail flows, but a killed process does not count",
                    self._directory,
                    error.strerror,
                )
        else:
            if self._is_warned and not self._is_behind:
                self._is_warned = False
                log.warning("attempts are recorded again")


def count_given_up(directory: Path, now: float) -> int:
    """Return how many messages of all processes were given up within the hour. Changes nothing."""
    found = [other for path in directory.glob(f"*{_SUFFIX}") if (other := _open(path)) is not None]
    for other in found:
        other.close()
    return len(_lately_given_up([other.state for other in found], now))


def _lately_given_up(states: Iterable[_State], now: float) -> set[bytes]:
    # What bears a time to come was written before somebody set the clock back.
    return {
        digest
        for state in states
        for digest, when in state.given_up.items()
        if abs(now - when) < GIVEN_UP_WITHIN_S
    }


def _open(path: Path) -> _Other | None:
    """Open and read a file; ``None`` where it is gone or none of ours."""
    try:
        name = bytes.fromhex(path.stem)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    other = _Other(path, descriptor, os.fstat(descriptor).st_ino)
    if len(name) != 16:
        other.close()
        return None
    other.follow()
    return other


def _lock(descriptor: int, kind: int) -> bool:
    """Take a lock if nobody is in the way; a shared one is given back at once."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    if kind == fcntl.LOCK_SH:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _remove_unlocked(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _lock(descriptor, fcntl.LOCK_EX):
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _encode(operation: _Operation, count: int, digest: bytes, when: float) -> bytes:
    record = _RECORD.pack(operation, count, digest, max(0, min(int(when), 0xFFFFFFFF)))
    return record + _CHECK.pack(zlib.crc32(record))


def _decode(data: bytes) -> Iterable[tuple[int, int, bytes, float]]:
    """Yield the records that are whole: what a power failure tore is left out."""
    for at in range(0, len(data) - RECORD_BYTES + 1, RECORD_BYTES):
        record = data[at : at + _RECORD.size]
        if _CHECK.unpack_from(data, at + _RECORD.size)[0] == zlib.crc32(record):
            yield _RECORD.unpack(record)
