"""Fetch queue: what is to be fetched and for whom, how often an origin may be asked, and what fetches showed.

It lives in the copies' SQLite file, so that a token and its fetch are on record together. Whoever wants copies and
whoever is asked for them stand there as keyed digests only; evidence, which holds URLs, is encrypted.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import random
import sqlite3
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailveil.adapters import copycontents, redirects
from mailveil.adapters.originals import OriginalError, load_key
from mailveil.adapters.resolver import registrable_domain
from mailveil.core.references.types import Media
from mailveil.core.verdicts.evidence import FetchEvidence, evidence_record, parse_evidence
from mailveil.ports import (
    FetchJob,
    Followed,
    PastFetch,
    Requester,
    Step,
    UnavailableError,
    WantedCopy,
    host_of,
)

Result = TypeVar("Result")

SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    kind TEXT NOT NULL, who BLOB NOT NULL, period INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (kind, who, period)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evidence (
    id INTEGER PRIMARY KEY,
    url_digest BLOB NOT NULL,
    at REAL NOT NULL,
    record BLOB NOT NULL            -- encrypted: it tells URLs
) STRICT;
CREATE INDEX IF NOT EXISTS evidence_by_url ON evidence (url_digest, at);
CREATE INDEX IF NOT EXISTS evidence_by_age ON evidence (at);
CREATE INDEX IF NOT EXISTS fetches_due ON fetches (organisation, not_before) WHERE state = 'released';
"""
# Columns that the table of fetches has got since it was first made.
COLUMNS = (
    ("organisation", "BLOB NOT NULL DEFAULT x''"),
    ("retries", "INTEGER NOT NULL DEFAULT 0"),
    ("asked_again", "INTEGER NOT NULL DEFAULT 0"),
    ("asked", "REAL NOT NULL DEFAULT 0"),  # when it was last claimed
    ("message", "BLOB NOT NULL DEFAULT x''"),  # who pays for what a style sheet leads to
    ("sender", "BLOB NOT NULL DEFAULT x''"),
)
HOUR_S, DAY_S = 3600.0, 86_400.0
COUNT_AGAIN_S = 5.0
MAX_TURNS = 1000
MAX_WANTED = 1 << 40
PRUNE_BATCH = 1000
# Fetches of one moment begin in no order, those without any delay as well.
SHUFFLE_S = 0.001


@dataclass(frozen=True, slots=True)
class Budgets:
    """How many URLs may be fetched at most, so that nobody can make a weapon of the fetcher.

    ``per_sender`` is for a day and the domain of an envelope's sender, ``per_domain`` for an hour and a
    registrable domain, ``per_address`` for an hour and an address connected to; ``max_queued`` may wait at once.
    """

    per_message: int = 200
    per_sender: int = 20_000
    per_domain: int = 5_000
    per_address: int = 10_000
    max_queued: int = 500_000


class QueueSettings(Protocol):
    """What the queue needs of the store's settings (adapters.copystore)."""

    @property
    def directory(self) -> Path:
        """Where the file lives."""
        ...

    @property
    def share_s(self) -> float:
        """For how long a URL is not fetched again."""
        ...

    @property
    def max_delay_s(self) -> float:
        """Within how long after its release a fetch begins."""
        ...

    @property
    def budgets(self) -> Budgets:
        """What may be spent."""
        ...

    @property
    def evidence_days(self) -> int:
        """For how long evidence is kept."""
        ...


# A fetch that counts as the one of its URL: it is to come, or its origin was asked less than a share_s ago.
CURRENT = "(state IN ('reserved', 'released') OR max(created, asked) > ?)"


@dataclass(slots=True)
class Purse:
    """Who pays for fetches, as keyed digests (``b""``: nobody), and how many more there may be."""

    message: bytes = b""
    sender: bytes = b""
    organisation: bytes = b""
    left: int = MAX_WANTED


def upgrade(database: sqlite3.Connection) -> None:
    """Bring the table of fetches up to date and make the queue's own tables."""
    present = {row[1] for row in database.execute("PRAGMA table_info(fetches)")}
    for name, kind in COLUMNS:
        if name not in present:
            try:
                database.execute(f"ALTER TABLE fetches ADD COLUMN {name} {kind}")
            except sqlite3.OperationalError as error:
                if "duplicate column" not in str(error):  # another process was faster
                    raise
    database.executescript(SCHEMA + redirects.SCHEMA)


def url_digest(url: str) -> bytes:
    """Return what a URL is known by in the queue, whatever kind of copy is wanted of it and at which fragment."""
    return hashlib.sha256(url.partition("#")[0].encode("utf-8", "surrogatepass")).digest()


class FetchQueueTables:
    """The queue's half of the copy store: implements ``ports.FetchQueue`` but for tokens, which it only reads."""

    settings: QueueSettings
    _now: Callable[[], float]
    _claim_lock: IO[bytes] | None = None
    _secret: bytes = b""
    _turn: bytes = b""
    _queued: tuple[float, int] = (-1e9, 0)

    def _write_with(
        self, work: Callable[[sqlite3.Connection], Result], *, durable: bool = False
    ) -> Awaitable[Result]:
        raise NotImplementedError

    def _read_with(self, work: Callable[[sqlite3.Connection], Result]) -> Awaitable[Result]:
        raise NotImplementedError

    # --- what may be fetched -----------------------------------------------------------------------------

    def _purse(self, requester: Requester) -> Purse:
        # Who cleans a whole mailbox says for no message what is wanted, and so has the budget of none.
        return Purse(
            message=self._who("message", requester.message) if requester.message else b"",
            sender=self._who("sender", requester.sender) if requester.sender else b"",
            organisation=self._who("organisation", requester.organisation),
        )

    def _purse_of(self, database: sqlite3.Connection, fetch: int) -> Purse:
        """Return whose account that is on which a style sheet leads to: whoever had the sheet fetched."""
        row = database.execute(
            "SELECT message, sender, organisation FROM fetches WHERE id = ?", (fetch,)
        ).fetchone()
        return Purse(*row) if row else Purse()

    def _fetch_of(
        self, database: sqlite3.Connection, copy: WantedCopy, now: float, purse: Purse
    ) -> int | None:
        """Return the fetch that a copy comes from, a new one where there is none and the budgets allow it."""
        digest = url_digest(copy.url)
        same = database.execute(
            "SELECT id, media, state, organisation, created, asked FROM fetches "  # noqa: S608 - our own condition
            f"WHERE url_digest = ? AND {CURRENT} ORDER BY created DESC",
            (digest, now - self.settings.share_s),
        ).fetchall()
        for identifier, media, *_others in same:
            if media == str(copy.media):
                return int(identifier)
        url, state, organisation = copy.url.partition("#")[0], "reserved", b""
        created = asked_at = 0.0
        led = None if same else redirects.asked_by(database, digest, now - self.settings.share_s)
        if led is not None:
            # A redirect has led there today: what it brought is what is wanted, unless it is of another kind.
            if led[1] == str(copy.media):
                return led[0]
            url, state, created, asked_at = "", "placeholder", led[2], led[2]
        elif asked := [each for each in same if each[2] not in ("reserved", "released")]:
            # Asked for already, as another kind of thing: an origin sees one URL once a day.
            url, state = "", "placeholder"
            created, asked_at = asked[0][4:]  # it does not become another day by that
        elif same:
            organisation = same[0][3]  # comes along with the fetch that is due
        else:
            if not self._may_fetch(database, url, now, purse):
                return None
            organisation = purse.organisation
        account = (organisation, purse.message, purse.sender)
        cursor = database.execute(
            "INSERT INTO fetches (url_digest, url, media, state, created, asked, organisation, message, sender) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (digest, url, str(copy.media), state, created or now, asked_at, *account),
        )
        return int(cursor.lastrowid or 0)

    def _may_fetch(self, database: sqlite3.Connection, url: str, now: float, purse: Purse) -> bool:
        budgets = self.settings.budgets
        if purse.left <= 0 or self._count_queued(database, now) >= budgets.max_queued:
            return False
        accounts = (
            ("message", purse.message, now // DAY_S, budgets.per_message),
            ("sender", purse.sender, now // DAY_S, budgets.per_sender),
            ("domain", self._domain(url), now // HOUR_S, budgets.per_domain),
        )
        if not all(self._spend(database, *account) for account in accounts if account[1]):
            return False
        purse.left -= 1
        self._queued = (self._queued[0], self._queued[1] + 1)
        return True

    def _count_queued(self, database: sqlite3.Connection, now: float) -> int:
        """Return how many fetches wait, counted anew now and then: a million rows take their time."""
        if abs(now - self._queued[0]) > COUNT_AGAIN_S:
            (count,) = database.execute(
                "SELECT count(*) FROM fetches WHERE state IN ('reserved', 'released')"
            ).fetchone()
            self._queued = (now, count)
        return self._queued[1]

    def _domain(self, url: str) -> bytes:
        return self._who("domain", registrable_domain(host_of(url)))

    def _spend(self, database: sqlite3.Connection, kind: str, who: bytes, period: float, most: int) -> bool:
        row = database.execute(
            "INSERT INTO spent VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 "
            "WHERE count < ? RETURNING count",
            (kind, who, int(period), most),
        ).fetchone()
        return row is not None and row[0] <= most

    def _who(self, kind: str, name: str) -> bytes:
        return hmac.digest(self._key(), f"{kind} {name}".encode("utf-8", "surrogatepass"), "sha256")[:16]

    def _key(self) -> bytes:
        if not self._secret:
            try:
                self._secret = load_key(self.settings.directory / "queue.key")
            except OriginalError as error:
                raise UnavailableError(str(error)) from error
        return self._secret

    async def may_contact(self, address: str) -> bool:
        """Tell whether an address may be connected to once more in this hour, and take note of it.

        Raises ``UnavailableError`` where the store cannot tell.
        """
        now, most = self._now(), self.settings.budgets.per_address

        def work(database: sqlite3.Connection) -> bool:
            return self._spend(database, "address", self._who("address", address), now // HOUR_S, most)

        try:
            return await self._write_with(work)
        except UnavailableError:
            return (
                False  # nothing is sent, and the placeholder is what a store that cannot answer gives anyway
            )

    # --- the queue ---------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Take up the queue after a restart, as the only process that fetches."""

        def work(database: sqlite3.Connection) -> None:
            if self._claim_lock is None:
                lock = (self.settings.directory / "fetcher.lock").open("ab")
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.close()
                    raise RuntimeError(f"another process fetches into {self.settings.directory}") from None
                self._claim_lock = lock
            database.execute("UPDATE fetches SET state = 'placeholder', url = '' WHERE state = 'attempted'")
            database.execute("UPDATE fetches SET state = 'released' WHERE state = 'reserved'")

        await self._write_with(work)

    async def release(
        self, wanted: Sequence[WantedCopy], *, after_s: float = 0.0, immediately: bool = False
    ) -> None:
        """Let the fetches of these tokens go ahead, at random within the delay and in random order."""
        now = self._now()
        delays = random.SystemRandom()
        most = 0.0 if immediately else self.settings.max_delay_s

        def work(database: sqlite3.Connection) -> None:
            for copy in wanted:
                not_before = now + after_s + delays.uniform(0, most) - delays.uniform(0, SHUFFLE_S)
                database.execute(
                    "UPDATE fetches SET state = 'released', not_before = ? "
                    "WHERE state = 'reserved' AND id = (SELECT fetch FROM tokens WHERE digest = ?)",
                    (not_before, token_digest(copy.token)),
                )

        if wanted:
            await self._write_with(work)

    async def abandon(self, wanted: Sequence[WantedCopy]) -> None:
        """Forget tokens that nobody will ever see, and fetches that were made for nobody else."""

        def work(database: sqlite3.Connection) -> None:
            for copy in wanted:
                row = database.execute(
                    "DELETE FROM tokens WHERE digest = ? RETURNING fetch", (token_digest(copy.token),)
                ).fetchone()
                if row is not None:
                    database.execute(
                        # What its origin has seen before and put off (429, 503) stays known.
                        "DELETE FROM fetches WHERE id = ? AND state IN ('reserved', 'released') "
                        "AND asked_again = 0 AND NOT EXISTS (SELECT 1 FROM nested WHERE child = fetches.id) "
                        "AND NOT EXISTS (SELECT 1 FROM tokens WHERE fetch = fetches.id)",
                        row,
                    )

        if wanted:
            await self._write_with(work)

    async def claim(self) -> FetchJob | None:
        """Return a fetch that is due; that it is attempted is on the disk before this returns.

        Organisations take turns, so that the flood of one does not keep another waiting.
        """
        now = self._now()

        def work(database: sqlite3.Connection) -> FetchJob | None:
            identifier = self._whose_turn(database, now)
            if identifier is None:
                return None
            row = database.execute(
                "UPDATE fetches SET state = 'attempted', asked = ? WHERE id = ? "
                "RETURNING id, url, media, retries, asked_again, created, url_digest",
                (now, identifier),
            ).fetchone()
            job = FetchJob(
                row[0], row[1], Media(row[2]), retries=row[3], asked_again=bool(row[4]), created=row[5]
            )
            return replace(job, siblings=redirects.take_along(database, row[6], now))

        return await self._write_with(work, durable=True)

    def _whose_turn(self, database: sqlite3.Connection, now: float) -> int | None:
        """Return the fetch that is due for the next organisation after the last that had its turn."""
        oldest = database.execute(
            "SELECT id FROM fetches INDEXED BY fetches_by_state "
            "WHERE state = 'released' AND not_before <= ? ORDER BY not_before LIMIT 1",
            (now,),
        ).fetchone()
        if oldest is None:
            return None
        begun_at = self._turn
        is_around = False
        for _ in range(MAX_TURNS):
            row = database.execute(
                "SELECT organisation FROM fetches INDEXED BY fetches_due WHERE state = 'released' AND organisation > ? "
                "ORDER BY organisation LIMIT 1",
                (self._turn,),
            ).fetchone()
            if row is None:
                if is_around:
                    break
                is_around, self._turn = True, b""
                # The empty name comes before all others.
                row = (b"",)
            else:
                self._turn = row[0]
            due = database.execute(
                "SELECT id FROM fetches INDEXED BY fetches_due "
                "WHERE state = 'released' AND organisation = ? AND not_before <= ? "
                "ORDER BY not_before LIMIT 1",
                (row[0], now),
            ).fetchone()
            if due is not None:
                return int(due[0])
            if is_around and self._turn > begun_at:
                break
        return int(oldest[0])

    async def follow(self, job: FetchJob, url: str) -> Followed:
        """Tell what is to be done about a redirect; where it is followed that is on the disk before this returns."""
        now, digest = self._now(), url_digest(url)

        def work(database: sqlite3.Connection) -> Followed:
            own = (job.identifier, *(each.identifier for each in job.siblings))
            if copycontents.is_spared(database, own, url):
                return Followed(Step.LINKED)
            since = now - self.settings.share_s
            same = database.execute(
                f"SELECT id, media, state FROM fetches WHERE url_digest = ? AND {CURRENT}",  # noqa: S608
                (digest, since),
            ).fetchall()
            led = redirects.asked_by(database, digest, since)
            followed = redirects.known(database, job, same, led[0] if led else None)
            if followed is not None:
                return followed
            # What is due by itself has been paid for.
            if not same and not self._spend(
                database, "domain", self._domain(url), now // HOUR_S, self.settings.budgets.per_domain
            ):
                return Followed(Step.OVER_BUDGET)
            redirects.note(database, digest, job.identifier, now)
            return Followed(Step.GO, along=redirects.take_along(database, digest, now))

        return await self._write_with(work, durable=True)

    async def adopt(self, job: FetchJob, known: int) -> None:
        """Give a fetch and its siblings the copy that another one brought, or placeholders."""

        def work(database: sqlite3.Connection) -> None:
            for each in (job, *job.siblings):
                if not redirects.adopt(database, each.identifier, each.media, known):
                    self._place_holder(database, each.identifier)

        await self._write_with(work)

    async def give_back(
        self, job: FetchJob, not_before: float, *, again_at: str = "", counts: bool = True
    ) -> None:
        """Return a claimed fetch to the queue; with ``again_at`` as that URL, which told us to come again."""

        def work(database: sqlite3.Connection) -> None:
            for each in (job, *job.siblings):
                database.execute(
                    "UPDATE fetches SET state = 'released', not_before = ?, url = ?, "
                    "retries = retries + ?, asked_again = max(asked_again, ?) WHERE id = ? AND state = 'attempted'",
                    (not_before, again_at or job.url, int(counts), int(bool(again_at)), each.identifier),
                )

        await self._write_with(work)

    async def settle(self, job: FetchJob) -> None:
        """Record that a fetch brought nothing to copy."""
        await self._write_with(lambda database: self._place_holder(database, job.identifier))

    def _place_holder(self, database: sqlite3.Connection, identifier: int) -> None:
        database.execute(
            "UPDATE fetches SET state = 'placeholder', url = '' WHERE id = ? AND state = 'attempted'",
            (identifier,),
        )

    # --- evidence ----------------------------------------------------------------------------------------

    async def testify(self, job: FetchJob, evidence: FetchEvidence) -> None:
        """Keep what a fetch showed."""
        now = self._now()

        def work(database: sqlite3.Connection) -> None:
            (digest,) = database.execute(
                "SELECT url_digest FROM fetches WHERE id = ?", (job.identifier,)
            ).fetchone() or (url_digest(job.url),)
            told = {"url": job.url, "media": str(job.media), "evidence": evidence_record(evidence)}
            database.execute(
                "INSERT INTO evidence (url_digest, at, record) VALUES (?, ?, ?)",
                (digest, now, self._seal(json.dumps(told).encode(), digest)),
            )

        if self.settings.evidence_days:
            await self._write_with(work)

    async def evidence_of(self, url: str) -> list[PastFetch]:
        """Return the evidence of the fetches of a URL, newest first."""
        digest = url_digest(url)

        def work(database: sqlite3.Connection) -> list[PastFetch]:
            rows = database.execute(
                "SELECT url_digest, at, record FROM evidence WHERE url_digest = ? ORDER BY at DESC LIMIT 100",
                (digest,),
            )
            return [self._past(*row) for row in rows]

        return await self._read_with(work)

    async def past_fetches(self, limit: int = 50) -> list[PastFetch]:
        """Return the latest fetches, newest first."""

        def work(database: sqlite3.Connection) -> list[PastFetch]:
            rows = database.execute(
                "SELECT url_digest, at, record FROM evidence ORDER BY at DESC, id DESC LIMIT ?", (limit,)
            )
            return [self._past(*row) for row in rows]

        return await self._read_with(work)

    async def prune(self, now: float) -> int:
        """Forget evidence that is too old, and what was spent in days gone by; return how much went."""
        oldest = now - self.settings.evidence_days * DAY_S

        def work(database: sqlite3.Connection) -> int:
            gone = database.execute(
                "DELETE FROM evidence WHERE id IN (SELECT id FROM evidence WHERE at < ? LIMIT ?)",
                (oldest, PRUNE_BATCH),
            ).rowcount
            redirects.forget(database, now - self.settings.share_s)
            copycontents.forget_spared(database)
            database.execute(
                "DELETE FROM spent WHERE kind IN ('message', 'sender') AND period < ?", (int(now // DAY_S),)
            )
            database.execute(
                "DELETE FROM spent WHERE kind NOT IN ('message', 'sender') AND period < ?",
                (int(now // HOUR_S),),
            )
            return gone

        total = 0
        while gone := await self._write_with(work):
            total += gone
        return total

    def _seal(self, told: bytes, digest: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(self._key()).encrypt(nonce, zlib.compress(told), digest)

    def _past(self, digest: bytes, at: float, record: bytes) -> PastFetch:
        try:
            told = json.loads(zlib.decompress(AESGCM(self._key()).decrypt(record[:12], record[12:], digest)))
            return PastFetch(at, told["media"], told["url"], parse_evidence(told["evidence"]))
        except (InvalidTag, ValueError, KeyError, zlib.error) as error:
            raise UnavailableError(
                "evidence cannot be read: is queue.key the one it was written with?"
            ) from error


def token_digest(token: str) -> bytes:
    """Return what a token is known by, so that the file alone gives no address away."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
