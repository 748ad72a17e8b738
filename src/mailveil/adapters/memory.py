"""Memory: what the judge knows of mail and fetches past, bounded, in one SQLite file beside the safe copies.

Whom mail was for, and at which addresses it pointed, stand there as keyed digests only; verdicts, which name
operators and hosts of redirects, are encrypted. Mail never waits for it: it is asked and told after delivery.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailveil.adapters import afterthoughts
from mailveil.adapters.originals import OriginalError, load_key
from mailveil.core.intelligence.infrastructure import facts_of_fetch
from mailveil.core.intelligence.revisions import essence_of
from mailveil.core.intelligence.types import InfrastructureFacts, infrastructure_facts_of
from mailveil.core.verdicts.addresses import Place, take_apart
from mailveil.core.verdicts.behaviour import ENOUGH, Behaviour, observe, revise
from mailveil.core.verdicts.evidence import FetchEvidence
from mailveil.core.verdicts.record import (
    key_of,
    operator_record,
    parse_operator,
    parse_verdict,
    verdict_record,
)
from mailveil.core.verdicts.sightings import (
    Sightings,
    mailing_of,
    names_pattern_of,
    parent_of,
    pattern_of,
)
from mailveil.core.verdicts.signals import Signal
from mailveil.core.verdicts.types import Verdict
from mailveil.ports import Judged, Reconsidered, SeenMessage, UnavailableError

Result = TypeVar("Result")

SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (           -- a URL, or a host name, of one pattern came to one recipient
    pattern BLOB NOT NULL, thing BLOB NOT NULL, who BLOB NOT NULL, message BLOB NOT NULL, day INTEGER NOT NULL,
    PRIMARY KEY (pattern, thing, who)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_by_thing ON seen (thing);
CREATE INDEX IF NOT EXISTS seen_by_day ON seen (day);
CREATE TABLE IF NOT EXISTS answers (        -- something of one pattern was answered like this
    pattern BLOB NOT NULL, thing BLOB NOT NULL, answer BLOB NOT NULL, day INTEGER NOT NULL,
    PRIMARY KEY (pattern, thing)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_day ON answers (day);
CREATE TABLE IF NOT EXISTS hosts (
    host BLOB PRIMARY KEY, day INTEGER NOT NULL, last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS hosts_by_day ON hosts (last);
CREATE TABLE IF NOT EXISTS behaviours (url BLOB PRIMARY KEY, record BLOB NOT NULL, day INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS behaviours_by_day ON behaviours (day);
CREATE TABLE IF NOT EXISTS verdicts (
    key BLOB PRIMARY KEY, url BLOB NOT NULL, record BLOB NOT NULL, day INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS infrastructure (host BLOB PRIMARY KEY, record BLOB NOT NULL, day INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS infrastructure_by_day ON infrastructure (day);
CREATE INDEX IF NOT EXISTS verdicts_by_url ON verdicts (url);
CREATE INDEX IF NOT EXISTS verdicts_by_day ON verdicts (day);
"""  # and what afterthoughts.SCHEMA has
SEEN = "SELECT thing, who, message FROM seen WHERE {} = ?"
TABLES = {
    "seen": "day",
    "answers": "day",
    "hosts": "last",
    "behaviours": "day",
    "verdicts": "day",
    "infrastructure": "day",
    **afterthoughts.TABLES,
}
DAY_S = 86_400.0
# More recipients of one thing, and more things of one pattern, prove nothing more.
MAX_OF_A_THING, MAX_OF_A_PATTERN = 6, 120
MAX_OF_A_MESSAGE = 500
PRUNE_BATCH = 5000
YOUNG_DAYS = 7  # so long everything is new to a new memory
BUSY_MS = 1000


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """Where it is kept, for how many days, and how many rows of each kind at most.

    ``timeout_s`` is what an operation may take before its caller goes on without it.
    """

    directory: Path
    days: int = 90
    max_rows: int = 2_000_000
    timeout_s: float = 2.0
    max_waiting: int = 256


@dataclass(frozen=True, slots=True)
class _Traces:
    """By what a URL is known again: keyed digests. ``parent`` is empty where its host name was made by no machine."""

    url: bytes
    pattern: bytes
    mailing: bytes
    names: bytes
    host: bytes
    parent: bytes


@dataclass(frozen=True, slots=True)
class _Counted:
    """Of the things of one pattern, by how many recipients each was got in messages of their own.

    ``owners`` are the recipients who hold one each that nobody else got, ``common`` the things that several got.
    """

    holders: Mapping[bytes, int]
    owners: int
    common: int


class SqliteMemory:
    """Implements ``ports.Memory``. Opened when first needed; one thread does everything, one thing at a time."""

    def __init__(self, settings: MemorySettings, now: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._now = now
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memory")
        self._lock = threading.Lock()
        self._waiting = 0
        self._database: sqlite3.Connection | None = None
        self._secret = b""
        self._sealer: AESGCM | None = None

    # --- what ports.Memory asks for ----------------------------------------------------------------------

    async def meet(self, message: SeenMessage) -> tuple[Verdict, ...]:
        """Take note of a message that went on; return its verdicts as they stand with what was known before."""
        return await self._run(lambda database: self._meet(database, message))

    async def learn(self, url: str, evidence: FetchEvidence) -> None:
        """Take note of what a fetch showed."""
        await self._run(lambda database: self._learn(database, url, evidence))

    async def verdicts(self, keys: Sequence[str]) -> Mapping[str, Verdict]:
        """Return the verdicts under these keys as they stand with everything that is known now."""
        return await self._run(lambda database: self._verdicts(database, keys))

    async def infrastructure(self, hosts: Sequence[str]) -> Mapping[str, InfrastructureFacts]:
        """Return what fetches have shown of hosts (templates of them); those that nothing is known of are left out."""

        def work(database: sqlite3.Connection) -> dict[str, InfrastructureFacts]:
            found: dict[str, InfrastructureFacts] = {}
            for host in dict.fromkeys(hosts):
                digest = self._digest("infrastructure", host)
                row = database.execute(
                    "SELECT record FROM infrastructure WHERE host = ?", (digest,)
                ).fetchone()
                if row is not None:
                    found[host] = infrastructure_facts_of(self._open_sealed(row[0], digest))
            return found

        return await self._run(work)

    async def verdicts_on(self, urls: Sequence[str]) -> Mapping[str, Verdict]:
        """Return the latest verdict on each URL as it stands now; what is not known any more is left out."""

        def work(database: sqlite3.Connection) -> dict[str, Verdict]:
            found: dict[str, Verdict] = {}
            for url in dict.fromkeys(urls):
                row = database.execute(
                    "SELECT hex(key) FROM verdicts WHERE url = ? ORDER BY day DESC LIMIT 1",
                    (self._digest("url", url.partition("#")[0]),),
                ).fetchone()
                if row is not None:
                    key = str(row[0]).lower()
                    found[url] = self._verdicts(database, [key])[key]
            return found

        return await self._run(work)

    async def known(self, url: str, message: SeenMessage) -> tuple[Behaviour, Sightings]:
        """Return what is known of a URL that a message holds."""
        mailing = mailing_of(message.sender_domain, message.subject, message.recipients)

        def work(database: sqlite3.Connection) -> tuple[Behaviour, Sightings]:
            traces = self._traces(take_apart(url), url, mailing)
            return self._behaviour(database, traces.url), self._sightings(database, traces)

        return await self._run(work)

    async def prune(self, now: float) -> int:
        """Forget what is too old, and the oldest where there is too much; return how many rows went."""
        oldest = int(now // DAY_S) - self.settings.days
        gone = 0
        for table, column in TABLES.items():
            forget = partial(self._forget, table=table, column=column, oldest=oldest)
            while count := await self._run(forget):
                gone += count
        return gone

    def close(self) -> None:
        """Finish what is under way and close the file."""
        self._executor.shutdown(wait=True)
        if self._database is not None:
            self._database.close()
            self._database = None

    # --- messages ----------------------------------------------------------------------------------------

    def _meet(self, database: sqlite3.Connection, message: SeenMessage) -> tuple[Verdict, ...]:
        day = int(self._now() // DAY_S)
        who = self._digest("who", " ".join(sorted({each.lower() for each in message.recipients})))
        this = self._digest("message", message.identifier)
        mailing = mailing_of(message.sender_domain, message.subject, message.recipients)
        young = self._is_young(database, day)
        known: dict[str, tuple[_Traces, bool]] = {}
        for each in message.judged:
            place = take_apart(each.url)
            if each.url in known or not place.host or len(known) >= MAX_OF_A_MESSAGE:
                continue
            traces = self._traces(place, each.url, mailing)
            known[each.url] = (traces, self._is_new(database, traces.host, day) and not young)
            if who:
                self._note(database, traces.mailing, traces.url, (who, this), day)
                self._note(database, traces.names, traces.host, (who, this), day)
        found: list[Verdict] = []
        counted: dict[bytes, _Counted] = {}
        for each in message.judged:
            if each.url not in known:
                found.append(each.verdict)
                continue
            traces, is_new = known[each.url]
            if each.token:
                self._keep(database, each, traces, is_new=is_new, day=day)
            sightings = self._sightings(database, traces, is_new=is_new, counted=counted)
            verdict = revise(each.verdict, self._behaviour(database, traces.url), sightings)
            found.append(verdict)
            self._touch(database, traces, sightings)
            if each.token and message.passages:
                self._trace(database, key_of(each.token), traces, verdict, message.passages)
        return tuple(found)

    def _touch(self, database: sqlite3.Connection, traces: _Traces, sightings: Sightings) -> None:
        """Have earlier verdicts looked at again as long as one more recipient may change them."""
        now = self._now()
        if 2 <= sightings.sharers <= ENOUGH:
            afterthoughts.mark_url(database, traces.url, now)
        if 2 <= sightings.sharers <= ENOUGH or 2 <= sightings.holders <= ENOUGH:
            afterthoughts.mark(database, traces.mailing, now)
        if 2 <= sightings.names <= ENOUGH:
            afterthoughts.mark(database, traces.names, now)

    def _trace(
        self,
        database: sqlite3.Connection,
        key: str,
        traces: _Traces,
        verdict: Verdict,
        passages: Sequence[tuple[str, str]],
    ) -> None:
        """Take note as what a verdict goes on record, and by what it is found once something touches it."""
        raw, day = bytes.fromhex(key), int(self._now() // DAY_S)
        told = {"essence": essence_of(verdict), "passages": passages}
        database.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", (raw, self._seal(told, raw), day))
        shared = (traces.mailing, traces.names, traces.pattern, traces.parent)
        afterthoughts.trace(database, shared, raw, day)

    # --- afterthoughts -----------------------------------------------------------------------------------

    async def reconsidered(self, limit: int) -> Sequence[Reconsidered]:
        """Look at verdicts that something touched since, at most ``limit``; return those judged anew."""

        def work(database: sqlite3.Connection) -> list[Reconsidered]:
            found: dict[tuple[tuple[str, str], ...], dict[str, Verdict]] = {}
            for raw in afterthoughts.marked(database, self._now(), limit):
                told, key = self._told(database, raw), raw.hex()
                verdict = self._verdicts(database, [key]).get(key)
                if told is None or verdict is None or list(essence_of(verdict)) == told["essence"]:
                    afterthoughts.unmark(database, raw)
                    continue
                passages = tuple((organisation, message) for organisation, message in told["passages"])
                found.setdefault(passages, {})[key] = verdict
            return [Reconsidered(passages, verdicts) for passages, verdicts in found.items()]

        return await self._run(work)

    async def settle(self, message: Reconsidered, *, recorded: bool) -> None:
        """Take note that a message is known to be judged so; where it is not on record yet, ask again later."""

        def work(database: sqlite3.Connection) -> None:
            for key, verdict in message.verdicts.items():
                raw = bytes.fromhex(key)
                told = self._told(database, raw)
                if not recorded or told is None:
                    afterthoughts.postpone(database, raw, self._now())
                    continue
                sealed = self._seal({**told, "essence": essence_of(verdict)}, raw)
                # It stays marked: meanwhile it may have been touched again.
                database.execute("UPDATE told SET record = ? WHERE key = ?", (sealed, raw))

        await self._run(work)

    def _told(self, database: sqlite3.Connection, raw: bytes) -> dict[str, Any] | None:
        row = database.execute("SELECT record FROM told WHERE key = ?", (raw,)).fetchone()
        return None if row is None else self._open_sealed(row[0], raw)

    def _note(
        self, database: sqlite3.Connection, pattern: bytes, thing: bytes, whose: tuple[bytes, bytes], day: int
    ) -> None:
        database.execute(
            "INSERT INTO seen SELECT ?1, ?2, ?3, ?4, ?5 "
            "WHERE (SELECT count(*) FROM seen WHERE pattern = ?1 AND thing = ?2) < ?6 "
            "AND (SELECT count(*) FROM seen WHERE pattern = ?1) < ?7 "
            "ON CONFLICT DO UPDATE SET day = excluded.day",
            (pattern, thing, *whose, day, MAX_OF_A_THING, MAX_OF_A_PATTERN),
        )

    def _is_young(self, database: sqlite3.Connection, day: int) -> bool:
        (first,) = database.execute("SELECT min(day) FROM hosts").fetchone()
        return first is None or day - first < YOUNG_DAYS

    def _is_new(self, database: sqlite3.Connection, host: bytes, day: int) -> bool:
        """Tell whether a host was never seen before today, and take note of it."""
        (first,) = database.execute(
            "INSERT INTO hosts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last RETURNING day",
            (host, day, day),
        ).fetchone()
        return bool(first == day)

    def _sightings(
        self,
        database: sqlite3.Connection,
        traces: _Traces,
        *,
        is_new: bool = False,
        counted: dict[bytes, _Counted] | None = None,
    ) -> Sightings:
        """Return what is known of a URL; ``counted`` saves counting the same patterns again."""
        counted = {} if counted is None else counted
        for pattern in (traces.mailing, traces.names):
            if pattern not in counted:
                counted[pattern] = _count(database.execute(SEEN.format("pattern"), (pattern,)))
        sharers = _count(database.execute(SEEN.format("thing"), (traces.url,))).holders.get(traces.url, 0)
        mailing, names = counted[traces.mailing], counted[traces.names].holders
        alike, unlike = self._answered(database, traces.pattern, traces.url)
        neighbours = self._answered(database, traces.parent, traces.host)[0] if traces.parent else 0
        return Sightings(
            sharers=sharers,
            holders=mailing.owners,
            common=mailing.common,
            names=len(names) if names.get(traces.host, 0) < 2 and len(names) > 1 else 0,
            is_new_host=is_new,
            alike=alike,
            unlike=unlike,
            neighbours=neighbours,
        )

    # --- fetches -----------------------------------------------------------------------------------------

    def _learn(self, database: sqlite3.Connection, url: str, evidence: FetchEvidence) -> None:
        behaviour = observe(evidence)
        if not behaviour.signals and not any(hop.status for hop in evidence.hops):
            return  # nobody was reached: whoever asks again later may learn more
        day = int(self._now() // DAY_S)
        place = take_apart(url)
        traces = self._traces(place, url, "")
        operator = behaviour.operator
        told = {
            "signals": [str(each) for each in behaviour.signals],
            "operator": None if operator is None else operator_record(operator),
        }
        database.execute(
            "INSERT INTO behaviours VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET record = excluded.record, day = excluded.day",
            (traces.url, self._seal(told, traces.url), day),
        )
        if (facts := facts_of_fetch(url, evidence)) is not None:
            host = self._digest("infrastructure", facts.host)
            database.execute(
                "INSERT INTO infrastructure VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET record = excluded.record, day = excluded.day",
                (host, self._seal(facts.record(), host), day),
            )
        afterthoughts.mark_url(database, traces.url, self._now())
        if evidence.body.sha256:
            self._answer(database, traces.pattern, traces.url, evidence.body.sha256, day)
        name = evidence.hops[0].name
        if traces.parent and name is not None and name.addresses:
            self._answer(database, traces.parent, traces.host, " ".join(sorted(name.addresses)), day)
        for pattern, thing in ((traces.pattern, traces.url), (traces.parent, traces.host)):
            if pattern and self._is_telling(database, pattern, thing):
                afterthoughts.mark(database, pattern, self._now())

    def _is_telling(self, database: sqlite3.Connection, pattern: bytes, thing: bytes) -> bool:
        """Tell whether how a thing was answered may say something of the others of its pattern."""
        rows = dict(database.execute("SELECT thing, answer FROM answers WHERE pattern = ?", (pattern,)))
        others = {answer for other, answer in rows.items() if other != thing}
        is_odd = len(others) == 1 and rows.get(thing) not in others  # until now all had been alike
        return len(rows) > 1 and (len(rows) <= ENOUGH or is_odd)

    def _answer(
        self, database: sqlite3.Connection, pattern: bytes, thing: bytes, answer: str, day: int
    ) -> None:
        database.execute(
            "INSERT INTO answers SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM answers WHERE pattern = ?) < ? "
            "ON CONFLICT DO UPDATE SET answer = excluded.answer, day = excluded.day",
            (pattern, thing, self._digest("answer", answer), day, pattern, MAX_OF_A_PATTERN),
        )

    def _answered(self, database: sqlite3.Connection, pattern: bytes, thing: bytes) -> tuple[int, int]:
        """Return how many other things of a pattern were answered as this one was, and how many otherwise."""
        rows = dict(database.execute("SELECT thing, answer FROM answers WHERE pattern = ?", (pattern,)))
        own = rows.pop(thing, None)
        alike = sum(answer == own for answer in rows.values())
        return (alike, len(rows) - alike) if own is not None else (0, 0)

    def _behaviour(self, database: sqlite3.Connection, url: bytes) -> Behaviour:
        row = database.execute("SELECT record FROM behaviours WHERE url = ?", (url,)).fetchone()
        if row is None:
            return Behaviour()
        told = self._open_sealed(row[0], url)
        signals = tuple(Signal(each) for each in told["signals"])
        return Behaviour(signals, parse_operator(told["operator"]))

    # --- verdicts ----------------------------------------------------------------------------------------

    def _keep(
        self, database: sqlite3.Connection, judged: Judged, traces: _Traces, *, is_new: bool, day: int
    ) -> None:
        key = key_of(judged.token)
        told = {
            "verdict": verdict_record(judged.verdict),
            "traces": [getattr(traces, each).hex() for each in _Traces.__slots__],
            "new": is_new,
        }
        database.execute(
            "INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?)",
            (bytes.fromhex(key), traces.url, self._seal(told, bytes.fromhex(key)), day),
        )

    def _verdicts(self, database: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Verdict]:
        found: dict[str, Verdict] = {}
        for key in dict.fromkeys(keys):
            raw = bytes.fromhex(key)
            row = database.execute("SELECT record FROM verdicts WHERE key = ?", (raw,)).fetchone()
            if row is None:
                continue
            told = self._open_sealed(row[0], raw)
            traces = _Traces(*(bytes.fromhex(each) for each in told["traces"]))
            sightings = self._sightings(database, traces, is_new=told["new"])
            found[key] = revise(
                parse_verdict(told["verdict"]), self._behaviour(database, traces.url), sightings
            )
        return found

    # --- digests and seals -------------------------------------------------------------------------------

    def _traces(self, place: Place, url: str, mailing: str) -> _Traces:
        pattern = pattern_of(place)
        parent = parent_of(place.host)
        return _Traces(
            url=self._digest("url", url.partition("#")[0]),
            pattern=self._digest("pattern", pattern),
            mailing=self._digest("mailing", f"{mailing}\n{pattern}"),
            names=self._digest("names", f"{mailing}\n{names_pattern_of(place)}"),
            host=self._digest("host", place.host),
            parent=self._digest("parent", parent) if parent else b"",
        )

    def _digest(self, kind: str, text: str) -> bytes:
        if not text:
            return b""
        return hmac.digest(self._key(), f"{kind} {text}".encode("utf-8", "surrogatepass"), "sha256")[:16]

    def _key(self) -> bytes:
        if not self._secret:
            try:
                self._secret = load_key(self.settings.directory / "memory.key")
            except OriginalError as error:
                raise UnavailableError(str(error)) from error
        return self._secret

    def _seal(self, told: Mapping[str, Any], bound_to: bytes) -> bytes:
        nonce = os.urandom(12)
        packed = zlib.compress(json.dumps(told).encode(), 1)
        return nonce + self._cipher().encrypt(nonce, packed, bound_to)

    def _cipher(self) -> AESGCM:
        if self._sealer is None:
            self._sealer = AESGCM(self._key())
        return self._sealer

    def _open_sealed(self, record: bytes, bound_to: bytes) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(
                zlib.decompress(self._cipher().decrypt(record[:12], record[12:], bound_to))
            )
        except (InvalidTag, ValueError, zlib.error) as error:
            raise UnavailableError(
                "the judge's memory cannot be read: is memory.key the one it was written with?"
            ) from error
        return told

    # --- the file ----------------------------------------------------------------------------------------

    def _forget(self, database: sqlite3.Connection, *, table: str, column: str, oldest: int) -> int:
        (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        surplus = min(max(0, count - self.settings.max_rows), PRUNE_BATCH)
        if surplus:
            row = database.execute(
                f"SELECT {column} FROM {table} ORDER BY {column} LIMIT 1 OFFSET ?",  # noqa: S608
                (surplus - 1,),
            ).fetchone()
            oldest = max(oldest, row[0] + 1)
        keys = {
            "seen": "pattern, thing, who",
            "answers": "pattern, thing",
            "hosts": "host",
            "traced": "trace, key",
        }.get(table, "rowid")
        return database.execute(
            f"DELETE FROM {table} WHERE ({keys}) IN "  # noqa: S608
            f"(SELECT {keys} FROM {table} WHERE {column} < ? ORDER BY {column} LIMIT ?)",
            (oldest, surplus or PRUNE_BATCH),
        ).rowcount

    async def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._lock:
            if self._waiting >= self.settings.max_waiting:
                raise UnavailableError("the judge's memory is overloaded")
            self._waiting += 1
        try:
            future = self._executor.submit(self._transact, work)
        except RuntimeError as error:
            self._done(None)
            raise UnavailableError("the judge's memory is closed") from error
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                return await asyncio.wrap_future(future)
        except (sqlite3.Error, OSError, TimeoutError, ValueError, KeyError) as error:
            raise UnavailableError(f"the judge's memory: {str(error) or 'timed out'}") from error

    def _done(self, _: object) -> None:
        with self._lock:
            self._waiting -= 1

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        database = self._open()
        try:
            with database:
                database.execute("BEGIN IMMEDIATE")
                return work(database)
        except sqlite3.Error:
            database.close()
            self._database = None
            raise

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self.settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            database = sqlite3.connect(
                self.settings.directory / "memory.sqlite3",
                timeout=BUSY_MS / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                database.execute("PRAGMA journal_mode = WAL")
                # What a power failure takes from it is missed by nobody.
                database.execute("PRAGMA synchronous = NORMAL")
                database.executescript(SCHEMA + afterthoughts.SCHEMA)
            except BaseException:
                database.close()
                raise
            self._database = database
        return self._database


def _count(rows: Iterable[tuple[bytes, bytes, bytes]]) -> _Counted:
    people: dict[bytes, set[bytes]] = {}
    messages: dict[bytes, set[bytes]] = {}
    for thing, who, message in rows:
        people.setdefault(thing, set()).add(who)
        messages.setdefault(thing, set()).add(message)
    holders = {thing: min(len(whose), len(messages[thing])) for thing, whose in people.items()}
    own = [thing for thing, count in holders.items() if count < 2]
    whose = set().union(*(people[thing] for thing in own))
    # Several of them in one message are pictures.
    owners = min(len(whose), len(own)) if len(own) <= 1.5 * len(whose) else 0
    return _Counted(holders, owners, len(holders) - len(own))
