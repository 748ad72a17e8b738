"""Local Maildir: takes the place of a next hop until there is one, and shows what has arrived."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from mailveil.core.policy import Envelope
from mailveil.ports import MailboxEntry, Reply, Transaction

HEADER_BYTES = 16 * 1024
NO_ROOM = Reply(452, "4.3.1", "No room for the message, try again later")
NO_MAILBOX = Reply(451, "4.3.0", "Cannot write to the local mailbox, try again later")
FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_deliveries = itertools.count(1)


class Maildir:
    """A Maildir (https://cr.yp.to/proto/maildir.html); messages are stored exactly as they came."""

    def __init__(self, directory: Path, min_free_bytes: int = 64 * 1024 * 1024) -> None:
        self.directory = directory
        self.min_free_bytes = min_free_bytes

    def prepare(self) -> None:
        """Make its folders. Raises ``OSError``."""
        for name in ("tmp", "new", "cur"):
            (self.directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def add(self, raw: bytes) -> str:
        """Store a message durably and return its name. Raises ``OSError``; then nothing has been stored."""
        self.prepare()
        free = os.statvfs(self.directory)
        if free.f_bavail * free.f_frsize < self.min_free_bytes + len(raw):
            raise OSError(errno.ENOSPC, "no room")
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        host = socket.gethostname().replace("/", "\\057").replace(":", "\\072")
        name = f"{seconds}.M{nanoseconds // 1000:06}P{os.getpid()}Q{next(_deliveries)}.{host}"
        unfinished, finished = self.directory / "tmp" / name, self.directory / "new" / name
        try:
            with unfinished.open("xb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(finished)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        folder = os.open(finished.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return name

    def newest(self, limit: int) -> list[MailboxEntry]:
        """Return the latest messages, newest first."""
        files: list[tuple[float, Path, int]] = []
        for folder in ("new", "cur"):
            try:
                with os.scandir(self.directory / folder) as entries:
                    for entry in entries:
                        if entry.is_file(follow_symlinks=False):
                            status = entry.stat(follow_symlinks=False)
                            files.append((status.st_mtime, Path(entry.path), status.st_size))
            except FileNotFoundError:
                continue
        files.sort(key=lambda item: (item[0], item[1].name), reverse=True)
        found = []
        for at, path, size in files[:limit]:
            try:
                with path.open("rb") as file:
                    found.append(MailboxEntry(path.name, at, size, file.read(HEADER_BYTES)))
            except FileNotFoundError:
                continue  # somebody else's mail reader moved it meanwhile
        return found

    def find(self, name: str) -> Path | None:
        """Return the file of a message, ``None`` if there is none."""
        if not name or "/" in name or "\x00" in name or name.startswith("."):
            return None
        for folder in ("new", "cur"):
            path = self.directory / folder / name
            if path.is_file() and not path.is_symlink():
                return path
        return None

    async def entries(self, limit: int = 50) -> Sequence[MailboxEntry]:
        """Return the latest messages, newest first."""
        return await asyncio.to_thread(self.newest, limit)

    async def read(self, name: str) -> bytes | None:
        """Return a message, ``None`` if there is none of this name."""
        path = await asyncio.to_thread(self.find, name)
        if path is None:
            return None
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            return None


class MaildirNextHop:
    """A next hop that is a Maildir: everybody's mail lands in it."""

    recipients_per_transaction: int | None = None
    max_message_bytes = 0

    def __init__(self, maildir: Maildir) -> None:
        self.maildir = maildir

    @property
    def name(self) -> str:
        """What an administrator calls it."""
        return f"maildir:{self.maildir.directory}"

    def offers(self, extension: str) -> bool:
        """Tell that bytes of any kind are stored; nobody sends delivery status notifications."""
        return extension in ("8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")

    async def learn(self) -> None:
        """There is nothing to ask."""

    async def begin(
        self, envelope: Envelope, size_bytes: int = 0, options: Sequence[str] = ()
    ) -> tuple[Transaction | None, Reply]:
        """Open a transaction."""
        del envelope, size_bytes, options
        return MaildirTransaction(self.maildir), Reply(250, "2.1.0", "Sender OK")

    async def check(self) -> Reply:
        """Make sure that it can be written to."""
        try:
            await asyncio.to_thread(self.maildir.prepare)
        except OSError as error:
            return Reply(451, "4.3.0", f"{self.maildir.directory}: {error.strerror}")
        writable = os.access(self.maildir.directory / "tmp", os.W_OK | os.X_OK)
        return Reply(250, "2.0.0", "writable") if writable else Reply(451, "4.3.0", "not writable")

    async def close(self) -> None:
        """Nothing is kept open."""


class MaildirTransaction:
    """One message on its way into a Maildir."""

    def __init__(self, maildir: Maildir) -> None:
        self.maildir = maildir

    async def recipient(self, address: str, options: Sequence[str] = ()) -> Reply:
        """Take any recipient."""
        del address, options
        return Reply(250, "2.1.5", "Recipient OK")

    async def deliver(self, raw: bytes) -> Reply:
        """Store the message; positive once it is on the disk."""
        try:
            name = await asyncio.to_thread(self.maildir.add, raw)
        except OSError as error:
            return NO_ROOM if error.errno in FULL else NO_MAILBOX
        return Reply(250, "2.0.0", f"Stored as {name}")

    def close(self) -> None:
        """Nothing is left open."""
