"""Copy store: safe copies in files by content hash, their tokens and the queue of fetches in one SQLite file.

Nothing here records who opened what, or that anything was opened at all: serving a copy only reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mailveil.adapters.fetchqueue import Budgets, FetchQueueTables, token_digest, upgrade
from mailveil.core.references.types import Media
from mailveil.ports import NOBODY, FetchJob, Requester, StoredCopy, UnavailableError, WantedCopy

Result = TypeVar("Result")

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS fetches (
    id INTEGER PRIMARY KEY,
    url_digest BLOB NOT NULL,
    url TEXT NOT NULL,              -- '' once nothing will be fetched from it any more
    media TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'released', 'attempted', 'stored', 'placeholder')),
    created REAL NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    sha256 TEXT REFERENCES objects (sha256),
    media_type TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS fetches_by_url ON fetches (url_digest, created);
CREATE INDEX IF NOT EXISTS fetches_by_state ON fetches (state, not_before);
CREATE INDEX IF NOT EXISTS fetches_by_object ON fetches (sha256);
CREATE TABLE IF NOT EXISTS tokens (
    digest BLOB PRIMARY KEY,        -- of the token, so that the file alone gives no address away
    fetch INTEGER REFERENCES fetches (id),
    media TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tokens_by_age ON tokens (created);
CREATE INDEX IF NOT EXISTS tokens_by_fetch ON tokens (fetch);
"""
BUSY_MS = 1000
EXPIRE_BATCH = 1000
STRAY_FILE_AGE_S = 3600.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where safe copies live, for how long and how many of them.

    A URL fetched less than ``share_s`` ago is not fetched again for another message. ``timeout_s`` is what an
    operation may take before mail goes on without it; ``max_delay_s`` spreads fetches after delivery. What
    ``budgets`` do not allow is a placeholder; what fetches showed is kept for ``evidence_days``.
    """

    directory: Path
    retention_days: int = 365
    max_store_bytes: int = 10 * 1024**3
    share_s: float = 86_400.0
    max_delay_s: float = 0.0
    timeout_s: float = 2.0
    max_waiting: int = 256
    budgets: Budgets = field(default_factory=Budgets)
    evidence_days: int = 30


class SqliteCopyStore(FetchQueueTables):
    """Implements ``ports.CopyStore`` and ``ports.FetchQueue``. Opened when first needed."""

    settings: StoreSettings

    def __init__(self, settings: StoreSettings, now: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._now = now
        self._writer = _Lane(settings, "BEGIN IMMEDIATE")
        self._reader = _Lane(settings, "BEGIN")
        self._claim_lock = None

    def _write_with(self, work: Callable[[sqlite3.Connection], Result]) -> Awaitable[Result]:
        return self._writer.run(work)

    def _read_with(self, work: Callable[[sqlite3.Connection], Result]) -> Awaitable[Result]:
        return self._reader.run(work)

    # --- copies ------------------------------------------------------------------------------------------

    async def reserve(self, wanted: Sequence[WantedCopy], requester: Requester = NOBODY) -> None:
        """Record tokens and their fetches durably; nothing is fetched before ``release``."""
        now = self._now()

        def work(database: sqlite3.Connection) -> None:
            purse = self._purse(requester)
            for copy in wanted:
                fetch = self._fetch_of(database, copy, now, purse) if copy.may_fetch else None
                database.execute(
                    "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, ?, ?)",
                    (token_digest(copy.token), fetch, str(copy.media), copy.width, copy.height, now),
                )

        if wanted:
            await self._writer.run(work)

    async def get(self, token: str) -> StoredCopy | None:
        """Return what stands behind a token; reads only."""

        def work(database: sqlite3.Connection) -> StoredCopy | None:
            row = database.execute(
                "SELECT tokens.media, width, height, state, sha256, media_type "
                "FROM tokens LEFT JOIN fetches ON fetches.id = tokens.fetch WHERE digest = ?",
                (token_digest(token),),
            ).fetchone()
            if row is None:
                return None
            media, width, height, state, sha256, media_type = row
            frame = StoredCopy(Media(media), width=width, height=height)
            if state == "stored":
                with contextlib.suppress(FileNotFoundError):  # deleted by hand: a placeholder, not an error
                    body = self._path(sha256).read_bytes()
                    return StoredCopy(frame.media, media_type, body, sha256, width, height)
            is_pending = state in ("reserved", "released", "attempted")
            return StoredCopy(frame.media, width=width, height=height, pending=is_pending)

        return await self._reader.run(work)

    async def put(self, job: FetchJob, body: bytes, media_type: str) -> bool:
        """Store what a fetch brought; a placeholder stays where there is no room or nothing to store."""
        sha256 = hashlib.sha256(body).hexdigest()

        def work(database: sqlite3.Connection) -> bool:
            known = database.execute("SELECT 1 FROM objects WHERE sha256 = ?", (sha256,)).fetchone()
            (used,) = database.execute("SELECT coalesce(sum(size), 0) FROM objects").fetchone()
            has_room = bool(known) or used + len(body) <= self.settings.max_store_bytes
            if not body or not has_room:
                self._place_holder(database, job.identifier)
                return False
            self._write(sha256, body)
            database.execute("INSERT OR IGNORE INTO objects VALUES (?, ?)", (sha256, len(body)))
            cursor = database.execute(
                "UPDATE fetches SET state = 'stored', url = '', sha256 = ?, media_type = ? "
                "WHERE id = ? AND state = 'attempted'",
                (sha256, media_type, job.identifier),
            )
            return cursor.rowcount == 1

        return await self._writer.run(work)

    async def expire(self, now: float) -> int:
        """Delete tokens older than the retention time, and what no token leads to any more."""
        if not self.settings.retention_days:
            return 0
        oldest = now - self.settings.retention_days * 86_400.0

        def forget_tokens(database: sqlite3.Connection) -> int:
            return database.execute(
                "DELETE FROM tokens WHERE digest IN (SELECT digest FROM tokens WHERE created < ? LIMIT ?)",
                (oldest, EXPIRE_BATCH),
            ).rowcount

        def forget_fetches(database: sqlite3.Connection) -> None:
            database.execute(
                "DELETE FROM fetches WHERE created < ? AND state IN ('stored', 'placeholder', 'reserved') "
                "AND NOT EXISTS (SELECT 1 FROM tokens WHERE tokens.fetch = fetches.id)",
                (oldest,),
            )
            unused = database.execute(
                "DELETE FROM objects WHERE NOT EXISTS "
                "(SELECT 1 FROM fetches WHERE fetches.sha256 = objects.sha256) RETURNING sha256"
            ).fetchall()
            for (sha256,) in unused:
                self._path(sha256).unlink(missing_ok=True)

        gone = 0
        while (count := await self._writer.run(forget_tokens)) > 0:
            gone += count
        await self._writer.run(forget_fetches)
        await self._remove_strays(now)
        return gone

    async def counts(self) -> dict[str, int]:
        """Return how many fetches are in which state, and the bytes on the disk."""

        def work(database: sqlite3.Connection) -> dict[str, int]:
            counts = dict.fromkeys(("reserved", "released", "attempted", "stored", "placeholder"), 0)
            counts.update(database.execute("SELECT state, count(*) FROM fetches GROUP BY state").fetchall())
            (counts["bytes"],) = database.execute("SELECT coalesce(sum(size), 0) FROM objects").fetchone()
            return counts

        return await self._reader.run(work)

    def close(self) -> None:
        """Close the files. Operations under way are finished first."""
        self._writer.close()
        self._reader.close()
        if self._claim_lock is not None:
            self._claim_lock.close()

    # --- files -------------------------------------------------------------------------------------------

    def _path(self, sha256: str) -> Path:
        return self.settings.directory / "objects" / sha256[:2] / sha256

    def _write(self, sha256: str, body: bytes) -> None:
        path = self._path(sha256)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with unfinished.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    async def _remove_strays(self, now: float) -> None:
        """Remove files that a crash left between being written and being recorded."""

        def old_files() -> list[Path]:
            files = (self.settings.directory / "objects").glob("??/*")
            return [path for path in files if now - path.stat().st_mtime > STRAY_FILE_AGE_S]

        def remove_unknown(database: sqlite3.Connection) -> None:
            for path in batch:
                if not database.execute("SELECT 1 FROM objects WHERE sha256 = ?", (path.name,)).fetchone():
                    path.unlink(missing_ok=True)

        old = await asyncio.to_thread(old_files)
        while old:
            batch, old = old[:EXPIRE_BATCH], old[EXPIRE_BATCH:]
            await self._writer.run(remove_unknown)


class _Lane:
    """One thread with one connection; what takes too long is left to itself, and nothing piles up behind."""

    def __init__(self, settings: StoreSettings, begin: str) -> None:
        self._settings = settings
        self._begin = begin
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="copies")
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._waiting = 0

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do ``work`` in one transaction; raise ``UnavailableError`` where that fails or takes too long."""
        with self._lock:
            if self._waiting >= self._settings.max_waiting:
                raise UnavailableError("copy store is overloaded")
            self._waiting += 1
        try:
            future = self._executor.submit(self._transact, work)
        except RuntimeError as error:
            self._done(None)
            raise UnavailableError("copy store is closed") from error
        future.add_done_callback(self._done)
        try:
            # Not wait_for: until Python 3.12 that may swallow a cancellation, and a loop then never ends.
            async with asyncio.timeout(self._settings.timeout_s):
                return await asyncio.wrap_future(future)
        except (sqlite3.Error, OSError, TimeoutError) as error:
            raise UnavailableError(f"copy store: {str(error) or 'timed out'}") from error

    def _done(self, _: object) -> None:
        with self._lock:
            self._waiting -= 1

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        database = self._open()
        try:
            with database:
                database.execute(self._begin)
                return work(database)
        except sqlite3.Error:
            database.close()
            self._database = None  # a fresh one next time, whatever was wrong with this
            raise

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            directory = self._settings.directory
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            database = sqlite3.connect(
                directory / "copies.sqlite3",
                timeout=BUSY_MS / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                database.execute("PRAGMA journal_mode = WAL")
                # FULL: a fetch may only begin once its record has reached the disk.
                database.execute("PRAGMA synchronous = FULL")
                database.executescript(SCHEMA)
                upgrade(database)
            except BaseException:
                database.close()
                raise
            self._database = database
        return self._database

    def close(self) -> None:
        self._executor.shutdown(wait=True)
        if self._database is not None:
            self._database.close()
            self._database = None
