"""Copy store: safe copies in files by content hash, their tokens and the queue of fetches in one SQLite file.

Nothing here records who opened what, or that anything was opened at all: serving a copy only reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from mailveil.adapters import copycontents
from mailveil.adapters.fetchqueue import Budgets, FetchQueueTables, token_digest, upgrade
from mailveil.adapters.lane import Lane
from mailveil.core.references.types import Media
from mailveil.ports import (
    NO_FACTS,
    NOBODY,
    CopyFacts,
    CopyState,
    FetchJob,
    Requester,
    StoredCopy,
    WantedCopy,
)

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
EVIDENCE_BATCH = 200
STRAY_FILE_AGE_S = 3600.0
PENDING = frozenset({"reserved", "released", "attempted"})
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
        timeout_s, most = settings.timeout_s, settings.max_waiting
        self._writer = Lane(self._open, "BEGIN IMMEDIATE", timeout_s=timeout_s, max_waiting=most)
        self._reader = Lane(self._open, "BEGIN", timeout_s=timeout_s, max_waiting=most)
        self._claim_lock = None

    def _write_with(
        self, work: Callable[[sqlite3.Connection], Result], *, durable: bool = False
    ) -> Awaitable[Result]:
        return self._writer.run(work, durable=durable)

    def _read_with(self, work: Callable[[sqlite3.Connection], Result]) -> Awaitable[Result]:
        return self._reader.run(work)

    # --- copies ------------------------------------------------------------------------------------------

    async def reserve(self, wanted: Sequence[WantedCopy], requester: Requester = NOBODY) -> None:
        """Record tokens and their fetches; nothing is fetched before ``release``.

        The record outlives this process. Where power is lost within seconds it may be lost too, and its addresses
        then answer placeholders.
        """
        now = self._now()

        def work(database: sqlite3.Connection) -> None:
            purse = self._purse(requester)
            for copy in wanted:
                fetch = self._fetch_of(database, copy, now, purse) if copy.may_fetch else None
                database.execute(
                    "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, ?, ?)",
                    (token_digest(copy.token), fetch, str(copy.media), copy.width, copy.height, now),
                )
                if fetch is not None and copy.links:
                    copycontents.spare(database, fetch, copy.links)

        if wanted:
            await self._writer.run(work)

    async def get(self, token: str, slots: Sequence[int] = ()) -> StoredCopy | None:
        """Return what stands behind a token, or behind the slots of a style sheet; reads only."""

        def work(database: sqlite3.Connection) -> StoredCopy | None:
            row = database.execute(
                "SELECT media, width, height, fetch FROM tokens WHERE digest = ?", (token_digest(token),)
            ).fetchone()
            if row is None:
                return None
            media, width, height, fetch = row
            if slots:
                found = copycontents.follow(database, fetch, slots)
                if found is None:
                    return None
                fetch, media, width, height = found[0], found[1], 0, 0
            frame = StoredCopy(Media(media), width=width, height=height)
            row = database.execute(
                "SELECT state, sha256, media_type, as_of_delivery FROM fetches "
                "LEFT JOIN facts ON facts.fetch = fetches.id WHERE id = ?",
                (fetch,),
            ).fetchone()
            state, sha256, media_type, as_of_delivery = row or ("", "", "", 0)
            if state == "stored":
                with contextlib.suppress(FileNotFoundError):  # deleted by hand: a placeholder, not an error
                    return replace(
                        frame,
                        media_type=media_type,
                        body=_read_unnoticed(self._path(sha256)),
                        sha256=sha256,
                        as_of_delivery=bool(as_of_delivery),
                    )
            return replace(frame, pending=state in PENDING)

        return await self._reader.run(work)

    async def describe(self, tokens: Sequence[str]) -> list[CopyState]:
        """Return what is known of copies, in the order of their tokens; reads only."""

        def of(database: sqlite3.Connection, token: str) -> CopyState:
            row = database.execute(
                "SELECT tokens.media, fetches.id, state, media_type, size FROM tokens "
                "LEFT JOIN fetches ON fetches.id = tokens.fetch LEFT JOIN objects USING (sha256) WHERE digest = ?",
                (token_digest(token),),
            ).fetchone()
            if row is None:
                return CopyState("unknown")
            media, fetch, state, media_type, size = row
            if state == "stored":
                facts = copycontents.facts_of(database, fetch)
                return CopyState("stored", media, media_type, size or 0, facts)
            return CopyState("pending" if state in PENDING else "placeholder", media)

        return await self._reader.run(lambda database: [of(database, token) for token in tokens])

    async def put(self, job: FetchJob, body: bytes, media_type: str, facts: CopyFacts = NO_FACTS) -> bool:
        """Store what a fetch brought; a placeholder stays where there is no room or nothing to store.

        What a style sheet refers to is queued in the same transaction, within the budgets.
        """
        sha256 = hashlib.sha256(body).hexdigest()

        def work(database: sqlite3.Connection) -> bool:
            known = database.execute("SELECT 1 FROM objects WHERE sha256 = ?", (sha256,)).fetchone()
            used = copycontents.used_bytes(database)
            has_room = bool(known) or used + len(body) <= self.settings.max_store_bytes
            if not body or not has_room:
                self._place_holder(database, job.identifier)
                return False
            try:
                self._write(sha256, body)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                self._place_holder(database, job.identifier)
                return False
            database.execute("INSERT OR IGNORE INTO objects VALUES (?, ?)", (sha256, len(body)))
            cursor = database.execute(
                "UPDATE fetches SET state = 'stored', url = '', sha256 = ?, media_type = ? "
                "WHERE id = ? AND state = 'attempted'",
                (sha256, media_type, job.identifier),
            )
            if cursor.rowcount != 1:
                return False
            copycontents.keep_facts(database, job.identifier, facts)
            self._queue_nested(database, job, facts.nested)
            return True

        return await self._writer.run(work)

    def _queue_nested(
        self, database: sqlite3.Connection, job: FetchJob, nested: Sequence[tuple[str, Media]]
    ) -> None:
        """Queue what a style sheet refers to, as fetches that are due at once: the message is away.

        Never a URL that a message links to, never a sheet that leads here itself, and all of it together within
        bounds, whoever wrote sheets within sheets.
        """
        parent = job.identifier
        if not nested or copycontents.depth_of(database, parent) >= copycontents.MAX_DEPTH:
            return
        now = self._now()
        above = copycontents.ancestors(database, parent)
        purse = self._purse_of(database, parent)
        purse.left = min(
            purse.left, copycontents.MAX_DESCENDANTS - copycontents.count_descendants(database, above)
        )
        for slot, (url, media) in enumerate(nested):
            if copycontents.is_spared(database, above, url):
                continue
            child = self._fetch_of(database, WantedCopy("", url, media), now, purse)
            if child is None or child in above:
                continue
            copycontents.enter(database, parent, slot, child)
            copycontents.inherit_spared(database, parent, child)
            database.execute(
                "UPDATE fetches SET state = 'released', not_before = ?, "
                "organisation = (SELECT organisation FROM fetches WHERE id = ?) "
                "WHERE id = ? AND state = 'reserved'",
                (now, parent, child),
            )

    async def expire(self, now: float) -> int:
        """Delete tokens older than the retention time, and what no token leads to any more."""
        if not self.settings.retention_days:
            return 0
        oldest = now - self.settings.retention_days * 86_400.0
        gone = await self.delete_older(oldest)
        await self._remove_strays(now)
        return gone

    async def counts(self) -> dict[str, int]:
        """Return how many fetches are in which state, and the bytes on the disk."""

        def work(database: sqlite3.Connection) -> dict[str, int]:
            counts = dict.fromkeys(("reserved", "released", "attempted", "stored", "placeholder"), 0)
            counts.update(database.execute("SELECT state, count(*) FROM fetches GROUP BY state").fetchall())
            counts["bytes"] = copycontents.used_bytes(database)
            return counts

        return await self._reader.run(work)

    async def inventory(self) -> dict[str, int | float | None]:
        """Return counts of everything, and when the oldest copy's message came (``None``: there is none)."""
        counts = await self.counts()

        def work(database: sqlite3.Connection) -> dict[str, int | float | None]:
            (tokens, oldest) = database.execute("SELECT count(*), min(created) FROM tokens").fetchone()
            (contents,) = database.execute("SELECT count(*) FROM objects").fetchone()
            return {**counts, "addresses": tokens, "contents": contents, "oldest": oldest}

        return await self._reader.run(work)

    # --- deletion ----------------------------------------------------------------------------------------

    async def delete_older(self, oldest: float) -> int:
        """Delete the addresses of messages that came before ``oldest``, and what nothing leads to any more."""

        def forget_tokens(database: sqlite3.Connection) -> int:
            return database.execute(
                "DELETE FROM tokens WHERE digest IN (SELECT digest FROM tokens WHERE created < ? LIMIT ?)",
                (oldest, EXPIRE_BATCH),
            ).rowcount

        gone = 0
        while (count := await self._writer.run(forget_tokens)) > 0:
            gone += count
        await self._writer.run(lambda database: copycontents.forget_fetches(database, oldest))
        await self._writer.run(self._forget_objects)
        return gone

    async def delete_token(self, token: str) -> int:
        """Have a placeholder answer one address for good; return how many addresses that were (0 or 1)."""

        def work(database: sqlite3.Connection) -> int:
            row = database.execute(
                "SELECT fetch FROM tokens WHERE digest = ? AND fetch IS NOT NULL", (token_digest(token),)
            ).fetchone()
            if row is None:
                return 0
            database.execute("UPDATE tokens SET fetch = NULL WHERE digest = ?", (token_digest(token),))
            copycontents.empty_fetches(
                database,
                "id = ? AND NOT EXISTS (SELECT 1 FROM tokens WHERE tokens.fetch = fetches.id) "
                "AND NOT EXISTS (SELECT 1 FROM nested WHERE nested.child = fetches.id)",
                row,
            )
            self._forget_objects(database)
            return 1

        return await self._writer.run(work)

    async def delete_content(self, sha256: str) -> int:
        """Have placeholders answer for a content, at every address; return how many fetches had brought it."""

        def work(database: sqlite3.Connection) -> int:
            count = copycontents.empty_fetches(database, "sha256 = ?", (sha256.lower(),))
            self._forget_objects(database)
            return count

        return await self._writer.run(work)

    async def delete_urls(self, digests: Sequence[bytes]) -> int:
        """Have placeholders answer for all that was fetched from URLs, given their digests (``url_digest``)."""

        def work(database: sqlite3.Connection) -> int:
            count = sum(
                copycontents.empty_fetches(database, "url_digest = ?", (digest,)) for digest in digests
            )
            self._forget_objects(database)
            return count

        return await self._writer.run(work)

    async def fetched_from(self, host: str) -> list[bytes]:
        """Return the digests of URLs that a host, or any below it, had a part in answering.

        As far as evidence is kept: only that knows where a copy came from.
        """
        name = host.lower().rstrip(".")

        def page(database: sqlite3.Connection, after: int) -> list[tuple[int, bytes, set[str]]]:
            rows = database.execute(
                "SELECT id, url_digest, at, record FROM evidence WHERE id > ? ORDER BY id LIMIT ?",
                (after, EVIDENCE_BATCH),
            ).fetchall()
            return [(row[0], row[1], self._past(*row[1:]).hosts) for row in rows]

        found: dict[bytes, None] = {}
        after = 0
        while rows := await self._reader.run(lambda database, after=after: page(database, after)):  # type: ignore[misc]
            after = rows[-1][0]
            for _, digest, hosts in rows:
                if any(each == name or each.endswith("." + name) for each in hosts):
                    found[digest] = None
        return list(found)

    def _forget_objects(self, database: sqlite3.Connection) -> None:
        for sha256 in copycontents.forget_objects(database):
            self._path(sha256).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files. Operations under way are finished first."""
        self._writer.close()
        self._reader.close()
        if self._claim_lock is not None:
            self._claim_lock.close()

    def _open(self) -> sqlite3.Connection:
        directory = self.settings.directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = sqlite3.connect(
            directory / "copies.sqlite3",
            timeout=BUSY_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(SCHEMA)
            upgrade(database)
            copycontents.make_tables(database)
        except BaseException:
            database.close()
            raise
        return database

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


def _read_unnoticed(path: Path) -> bytes:
    """Return a file's content without having the system note when it was read last, where it lets us.

    The time of last access would be a record of openings. Only a file's owner may ask for this (open(2)).
    """
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:
        descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
