"""JSON lines: events in a file, one a line, for whatever collects files. It may be moved away at any time.

What is written is on the disk before it counts as delivered. A line that could only be written in part is ended, so
that the next one stands for itself; the event comes once more, whole. Each file has a thread of its own: a disk that
hangs, as those of other machines do, holds up nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mailveil.core.sharing.plain import to_json
from mailveil.core.sharing.types import SharedEvent
from mailveil.ports import DeliveryError

WRITE_S = 30.0
CLOSE_S = 5.0
HANGS = "the disk that its file is on does not answer"


class JsonLinesPublisher:
    """Writes events to the end of a file (``ports.Publisher``)."""

    def __init__(self, path: Path, encode: Callable[[SharedEvent], Any]) -> None:
        """The folder of ``path`` is made where it is missing; the file is never written through a link."""
        self._path = path
        self._encode = encode
        self._descriptor = -1
        # Writing goes on there though nobody waits for it any more.
        self._thread = ThreadPoolExecutor(1, "json-lines")
        self._writing: asyncio.Future[None] | None = None

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        """Write events down durably, in order. Raises ``DeliveryError``."""
        if self._writing is not None and not self._writing.done():
            raise DeliveryError(HANGS)
        self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write, events)
        self._writing.add_done_callback(_noted)
        try:
            async with asyncio.timeout(WRITE_S):
                await asyncio.shield(self._writing)
        except TimeoutError as error:
            raise DeliveryError(HANGS) from error
        except OSError as error:
            self._thread.submit(self._close)
            raise DeliveryError(f"{self._path.name} cannot be written: {error.strerror or error}") from error

    async def close(self) -> None:
        """Close the file."""
        closed = asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)
        with contextlib.suppress(TimeoutError):  # a disk that hangs is not waited for
            async with asyncio.timeout(CLOSE_S):
                await asyncio.shield(closed)

    def _write(self, events: Sequence[SharedEvent]) -> None:
        raw = b"".join(to_json(self._encode(each)).encode("ascii") + b"\n" for each in events)
        self._open()
        rest = memoryview(raw)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.fsync(self._descriptor)

    def _open(self) -> None:
        """Have the file open that the path names now: whoever rotates logs moves it away under us."""
        if self._descriptor >= 0:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path)):
                    return
            self._close()
        _make_folder(self._path.parent)
        self._descriptor = _opened(self._path)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _make_folder(folder: Path) -> None:
    """Have a folder there; whoever made the one above it owns it, too, though root should be the first to write."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o750, exist_ok=True)
    if os.geteuid() == 0:
        above = folder.parent.stat()
        os.chown(folder, above.st_uid, above.st_gid, follow_symlinks=False)


def _opened(path: Path) -> int:
    """Return a descriptor of a file to be added to; a new one belongs to whom its folder does."""
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o640)
    except FileExistsError:
        return os.open(path, flags)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor


def _noted(writing: asyncio.Future[None]) -> None:
    """Take note of how it ended, should nobody be waiting for it any more."""
    if not writing.cancelled():
        writing.exception()
