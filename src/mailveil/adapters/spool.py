"""The spool: observations in files of their own until the database has them. Mail never waits for either.

Each line of a segment is a checksum, ``=`` or ``?``, and an observation as JSON. A segment that is written to is called
``*.open`` and locked by its process, one that is complete ``*.spool``, and what the database would not take
``*.refused``. What a killed process left behind is found by its lock being gone, and becomes ``*-left.spool``: there
alone a line with ``?``, of a message whose delivery had begun, counts where none with ``=`` follows it.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import logging
import os
import queue
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from mailveil.core.failure import describe_failure
from mailveil.core.observation import Observation, observation_of

log = logging.getLogger("mailveil.records")
MAX_WAITING: Final = 2_000
MAX_SEGMENT_BYTES: Final = 4 * 1024 * 1024  # but for the last line, which a stranger's message may make long
_MAX_READ_BYTES: Final = 16 * MAX_SEGMENT_BYTES
_TOGETHER: Final = 200
_DAY_S: Final = 86_400
_MEASURE_EVERY_S: Final = 5.0
_WARN_EVERY_S: Final = 60.0
_OPEN, _COMPLETE, _LEFT, _REFUSED = ".open", ".spool", "-left.spool", ".refused"
_SURE, _BEGUN = b"=", b"?"
UNKNOWN_END: Final = "what became of it is not known: mailveil ended meanwhile"
_numbers = itertools.count(1)


class Spooled(NamedTuple):
    """One record of a segment as it stands in the file; ``observation`` is ``None`` where that makes no sense."""

    line: bytes
    observation: Observation | None
    is_sure: bool = True


class _Line(NamedTuple):
    identifier: str
    data: bytes
    is_sure: bool


@dataclass(slots=True)
class Taken:
    """A segment that this process alone reads."""

    path: Path
    descriptor: int
    records: list[Spooled] = field(default_factory=list)

    def let_go(self) -> None:
        """Let others have it."""
        os.close(self.descriptor)


class ObservationSpool:
    """Implements ``ports.ObservationLog``: written by a thread of its own; what it cannot write is dropped and counted.

    ``max_bytes`` bounds all files together, those of other processes included. Where they are used up the newest
    observations are dropped: what has been written is safe, and the beginning of something is worth more than its end.
    """

    def __init__(self, directory: Path, max_bytes: int, *, refused_days: int = 0) -> None:
        """``refused_days`` is how long what was set aside stays, 0: for ever."""
        self.directory = directory
        self._max_bytes = max_bytes
        self._refused_s = refused_days * _DAY_S
        self._waiting: queue.Queue[tuple[bytes, Observation] | None] = queue.Queue(MAX_WAITING)
        # By identifier, the lines of messages that are being delivered; each segment begins with them, so they are few.
        self._begun: dict[str, bytes] = {}
        self._begun_bytes = 0
        self._writing = threading.Lock()
        self._segment: _Segment | None = None
        self._used_bytes = 0
        self._measured_at = float("-inf")
        self._dropped = 0
        self._warned_at = float("-inf")
        self._told: Callable[[], None] = _nobody
        self._thread = threading.Thread(target=self._write, name="observations", daemon=True)
        self._thread.start()

    def begin(self, observation: Observation) -> None:
        """Take note of a message that is about to be delivered. Never waits, never raises."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait((_BEGUN, observation))

    def note(self, observation: Observation) -> None:
        """Take note of a message, at leisure. Never waits, never raises."""
        try:
            self._waiting.put_nowait((_SURE, observation))
        except queue.Full:
            self._drop(1, "too many are waiting to be written")

    def tell(self, told: Callable[[], None]) -> None:
        """Have ``told`` called, in another thread, whenever something was written."""
        self._told = told

    @property
    def dropped(self) -> int:
        """How many observations could not be kept since the start."""
        return self._dropped

    def close(self) -> None:
        """Write what waits, and end."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=2)
        self._thread.join(timeout=10)
        self.seal()

    def seal(self) -> None:
        """Complete the segment that is being written to, so that it can be read."""
        with self._writing:
            if self._segment is not None and self._segment.has_news:
                self._seal()

    def segments(self) -> list[Path]:
        """Return the complete segments, oldest first, with what processes left behind that are no more."""
        for path in self._files(_OPEN):
            _adopt(path)
        self._forget_refused()
        return self._files(_COMPLETE)

    def _forget_refused(self) -> None:
        """Delete what was set aside, once as long ago as records are kept: it names people as those do."""
        oldest = time.time() - self._refused_s
        for path in self._files(_REFUSED) if self._refused_s else ():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def used_bytes(self) -> int:
        """Return what all files take, whoever wrote them."""
        total = 0
        with contextlib.suppress(OSError), os.scandir(self.directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_size
        return total

    def take(self, path: Path) -> Taken | None:
        """Return the records of a segment, for this process alone; ``None`` where another is at it or it is gone.

        What is taken has to be let go of.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                log.warning("%s cannot be read: %s", path, error.strerror)
            return None
        taken = Taken(path, descriptor)
        if not _lock(descriptor) or not path.exists():
            taken.let_go()
            return None
        try:
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                lines = file.read(_MAX_READ_BYTES).split(b"\n")
        except OSError as error:
            log.warning("%s cannot be read: %s", path, error.strerror)
            taken.let_go()
            return None
        taken.records = _read(lines, was_left=path.name.endswith(_LEFT))
        return taken

    def finish(self, path: Path) -> None:
        """Delete a segment whose records are elsewhere now."""
        path.unlink(missing_ok=True)

    def refuse(self, path: Path, records: Sequence[Spooled]) -> None:
        """Set records aside that nobody can make use of, for an administrator to look at.

        They take no more than a tenth of the room; beyond that they are dropped.
        """
        aside = path.with_suffix(_REFUSED)
        data = b"".join(each.line + b"\n" for each in records)
        taken = sum(_size_of(each) for each in self._files(_REFUSED))
        if taken + len(data) > self._max_bytes // 10:
            self._drop(len(records), "those set aside take too much room already")
            return
        try:
            descriptor = os.open(
                aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
        except OSError as error:
            self._drop(len(records), f"they cannot be set aside: {error.strerror}")
            return
        log.error(
            "%d observations make no sense to the database and were set aside in %s", len(records), aside
        )

    def _files(self, suffix: str) -> list[Path]:
        try:
            with os.scandir(self.directory) as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(suffix))
        except OSError:
            return []
        return [self.directory / name for name in names]

    def _write(self) -> None:
        is_closing = False
        while not is_closing:
            together = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while len(together) < _TOGETHER:
                    together.append(self._waiting.get_nowait())
            is_closing = None in together  # what came in before has been taken out before
            lines = [line for each in together if each is not None and (line := self._encoded(*each)).data]
            sure = sum(each.is_sure for each in lines)
            if not lines:
                continue
            try:
                with self._writing:
                    self._append(lines)
            except OSError as error:
                self._drop(sure, f"{self.directory} cannot be written: {error.strerror}")
            except Exception as error:  # whatever it is, the next ones may fare better
                self._drop(sure, describe_failure(error))
            else:
                if sure:
                    self._told()

    def _encoded(self, mark: bytes, observation: Observation) -> _Line:
        try:
            text = json.dumps(observation.record(), separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:  # one that cannot be written must not be the last
            self._drop(mark == _SURE, f"it cannot be written down ({type(error).__name__})")
            return _Line(observation.identifier, b"", is_sure=False)
        raw = mark + text.encode("ascii")
        return _Line(observation.identifier, b"%08x %s\n" % (zlib.crc32(raw), raw), is_sure=mark == _SURE)

    def _append(self, lines: Sequence[_Line]) -> None:
        size = sum(len(each.data) for each in lines)
        now = time.monotonic()
        if now - self._measured_at > _MEASURE_EVERY_S:
            self._used_bytes, self._measured_at = self.used_bytes(), now
        if self._used_bytes + size > self._max_bytes:
            self._drop(sum(each.is_sure for each in lines), "[records] spool_max_bytes is used up")
            for each in lines:
                self._forget_begun(each.identifier)
            return
        for each in lines:
            if self._segment is not None and self._segment.size_bytes + len(each.data) > MAX_SEGMENT_BYTES:
                self._seal()
            self._forget_begun(each.identifier)
            if not each.is_sure and self._begun_bytes + len(each.data) <= MAX_SEGMENT_BYTES // 2:
                self._begun[each.identifier] = each.data
                self._begun_bytes += len(each.data)
            if self._segment is None:
                self._segment = _Segment(self.directory)
            try:
                self._segment.append(each.data)
            except OSError:
                self._begun.clear()
                self._begun_bytes = 0
                self._seal()  # a fresh one next time, whatever is wrong with this; its torn line is told by its sum
                raise
            self._segment.has_news = self._segment.has_news or each.is_sure
        self._used_bytes += size

    def _forget_begun(self, identifier: str) -> None:
        self._begun_bytes -= len(self._begun.pop(identifier, b""))

    def _seal(self) -> None:
        """Complete the segment, once what is still being delivered stands in the next one as well."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            if self._begun:
                self._segment = _Segment(self.directory)
                self._segment.append(b"".join(self._begun.values()))
        except OSError as error:
            log.debug("what is being delivered now would be missing after a crash: %s", error.strerror)
        segment.seal()

    def _drop(self, count: int, reason: str) -> None:
        if not count:
            return  # what was merely begun is told of at its end
        self._dropped += count
        now = time.monotonic()
        if now - self._warned_at > _WARN_EVERY_S:
            self._warned_at = now
            log.warning(
                "observations are missing on record (%d since the start): %s; mail is not affected",
                self._dropped,
                reason,
            )


class _Segment:
    """The file that one process writes to. Its lock goes with the process, however that ends."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            name = f"{time.time_ns():020d}-{os.getpid()}-{next(_numbers)}{_OPEN}"
            self._path = directory / name
            self._descriptor = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            if _lock(self._descriptor):
                break
            os.close(self._descriptor)  # another process took it for one that was left behind; it is empty
        self.size_bytes = 0
        self.has_news = False  # anything that the database is to have already

    def append(self, line: bytes) -> None:
        view = memoryview(line)
        while view:
            written = os.write(self._descriptor, view)
            self.size_bytes += written
            view = view[written:]

    def seal(self) -> None:
        try:
            self._path.rename(self._path.with_suffix(_COMPLETE))
        except OSError as error:
            log.warning(
                "%s cannot be completed now: %s", self._path, error.strerror
            )  # found again without its lock
        finally:
            os.close(self._descriptor)


def _nobody() -> None:
    """Tell nobody."""


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _adopt(path: Path) -> None:
    """Complete a segment whose process is no more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if _lock(descriptor):
            with contextlib.suppress(OSError):
                path.rename(path.with_name(path.stem + _LEFT))
    finally:
        os.close(descriptor)


def _read(lines: Sequence[bytes], *, was_left: bool) -> list[Spooled]:
    """Return the records of a segment. Of what was only begun, no more than that is known, and only if it was left."""
    found = [_spooled(line) for line in lines if line]
    if not was_left:
        return [each for each in found if each.is_sure]
    sure = {each.observation.identifier for each in found if each.observation is not None and each.is_sure}
    kept: list[Spooled] = []
    for each in found:
        if each.observation is None or each.is_sure:
            kept.append(each)
        elif each.observation.identifier not in sure:
            sure.add(each.observation.identifier)
            kept.append(each._replace(observation=replace(each.observation, reply=UNKNOWN_END)))
    return kept


def _spooled(line: bytes) -> Spooled:
    checksum, _, raw = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(raw):
            return Spooled(line, None)
        seen = observation_of(json.loads(raw[1:]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Spooled(line, None)
    names = (seen.identifier, seen.organisation, seen.log_identifier)
    if not all(isinstance(each, str) for each in names) or not isinstance(seen.at, int | float):
        return Spooled(line, None)
    return Spooled(line, seen, is_sure=raw.startswith(_SURE))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
