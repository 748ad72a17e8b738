"""Controlling: builds the control room over its database, and keeps that in order.

A database that is away stops nothing: mail flows, what was seen waits in the spool, and the control room answers again
once the database does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from mailveil.adapters.database.accounts import SqlAccountStore
from mailveil.adapters.database.activities import SqlActivityStore
from mailveil.adapters.database.audit import SqlAuditLog
from mailveil.adapters.database.collections import SqlSharedObjectStore
from mailveil.adapters.database.engine import Database, DatabaseAddressError, database_url
from mailveil.adapters.database.feedback import SqlFeedbackStore
from mailveil.adapters.database.feeds import SqlFeedStore
from mailveil.adapters.database.infrastructure import SqlInfrastructureStore
from mailveil.adapters.database.observations import SqlObservationStore
from mailveil.adapters.database.organisations import SqlOrganisationStore
from mailveil.adapters.database.policies import SqlPolicyStore
from mailveil.adapters.database.repeats import SqlRepeatStore
from mailveil.adapters.database.schema import upgrade
from mailveil.adapters.database.secondfactors import SecondFactorSealer
from mailveil.adapters.database.sharing import SqlSharingStore
from mailveil.adapters.database.sharingsecrets import SharingSealer
from mailveil.adapters.database.studying import SqlStudyStore
from mailveil.adapters.feeds.reading import OutgoingFeedReader
from mailveil.adapters.originals import OriginalReader as StoredOriginals
from mailveil.adapters.originals import load_key
from mailveil.app.building import build_originals, record_settings
from mailveil.app.clock import SystemClock
from mailveil.app.publishers import PublisherMaker
from mailveil.config import Settings
from mailveil.control.retention import RetentionRules, expire_records
from mailveil.control.room import ControlRoom
from mailveil.ports import UnavailableError

if TYPE_CHECKING:
    from mailveil.ports import Clock, CopyStore, Engine, FetchRecord, Memory, OriginalReader

log = logging.getLogger("mailveil.database")

NOT_READY = "the database has not been opened yet"
PATIENCE_AT_START_S = 5.0  # afterwards the rest starts without the database
RETRY_S = (1.0, 60.0)  # the first pause and the longest
HOUSEKEEPING_S = 3600.0
REMEMBERED_DAYS = 400  # for so long studying remembers what it does not meet again


def build_database(settings: Settings) -> Database:
    """Return the database; nothing is contacted yet. Raises ``DatabaseAddressError`` for what names none."""
    address = str(settings.database.url)
    if name := settings.database.url_file:
        try:
            address = Path(name).expanduser().read_text("utf-8").strip()
        except OSError as error:
            raise DatabaseAddressError(f"[database] url_file = {name}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise DatabaseAddressError(f"[database] url_file = {name}: is not UTF-8 text") from error
        if not address:
            raise DatabaseAddressError(f"[database] url_file = {name}: is empty")
    try:
        url = database_url(address, settings.directory)
    except DatabaseAddressError as error:
        raise DatabaseAddressError(f"[database] {'url_file' if name else 'url'} {error}") from error
    return Database(url)


def build_room(
    settings: Settings,
    database: Database,
    *,
    clock: Clock | None = None,
    engine: Engine | None = None,
    copies: CopyStore | None = None,
    memory: Memory | None = None,
    fetches: FetchRecord | None = None,
    originals: OriginalReader | None = None,
) -> ControlRoom:
    """Return the control room over a database. Raises ``OriginalError`` for a key that cannot be used."""
    clock = clock or SystemClock()
    sealer = SecondFactorSealer(load_key(settings.second_factors_key_file))
    shared = SqlSharedObjectStore(database, clock)
    return ControlRoom(
        clock=clock,
        observations=SqlObservationStore(database),
        organisations=SqlOrganisationStore(database),
        policies=SqlPolicyStore(database, clock),
        accounts=SqlAccountStore(database, sealer),
        audit=SqlAuditLog(database),
        feedback=SqlFeedbackStore(database),
        repeats=SqlRepeatStore(database),
        activities=SqlActivityStore(database),
        studies=SqlStudyStore(database),
        shared=shared,
        infrastructure=SqlInfrastructureStore(database),
        engine=engine,
        copies=copies,
        memory=memory,
        fetches=fetches,
        originals=originals,
        feeds=SqlFeedStore(database, SharingSealer(load_key(settings.sharing_key_file))),
        feed_reader=OutgoingFeedReader(settings.sharing.networks) if settings.sharing.enabled else None,
        sharing=SqlSharingStore(database, SharingSealer(load_key(settings.sharing_key_file))),
        publishers=PublisherMaker(settings, clock, shared) if settings.sharing.enabled else None,
        privacy=record_settings(settings),
    )


@contextlib.asynccontextmanager
async def opened_room(settings: Settings) -> AsyncIterator[ControlRoom]:
    """Open the control room for a command, its database brought up to date.

    Raises ``DatabaseAddressError``, ``OriginalError`` or ``UnavailableError``; each text is for an administrator.
    """
    database = build_database(settings)
    try:
        room = build_room(settings, database, originals=_kept_originals(settings))
        await prepare(database, room.clock)
        yield room
    finally:
        await database.close()


def _kept_originals(settings: Settings) -> OriginalReader | None:
    """Return what gives originals back, ``None`` where none were ever kept. Raises ``OriginalError``."""
    if not (settings.directory / "originals").is_dir():
        return None
    return StoredOriginals(build_originals(settings))


async def prepare(database: Database, clock: Clock) -> None:
    """Make the tables or bring them up to date, with the organisation ``default``. Raises ``UnavailableError``."""
    make_private(database)
    done = await upgrade(database)
    database.refusal = ""  # stores may meet the tables from here on
    if not done.is_needless:
        log.info("the database was brought from revision %s to %s", done.before or "none", done.after)
    await SqlOrganisationStore(database).make_default(clock.now())


def make_private(database: Database) -> None:
    """Make the file of SQLite for nobody else's eyes; its companions get the same permissions."""
    if not database.is_sqlite:
        return
    path = Path(database.url.database or "")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise UnavailableError(f"the database {path} cannot be opened: {error.strerror}") from error


def retention_rules(settings: Settings) -> RetentionRules:
    """Return how long records are kept."""
    records = settings.records
    return RetentionRules(
        observed={
            "subjects": records.subjects_days,
            "recipients": records.recipients_days,
            "messages": records.messages_days,
            "trackers": records.trackers_days,
            "figures": records.figures_days,
        },
        studied={
            **dict.fromkeys(("activities", "campaigns", "alerts"), records.messages_days),
            **dict.fromkeys(("memos", "infrastructure"), REMEMBERED_DAYS if records.messages_days else 0),
        },
        audit_days=records.audit_days,
        feedback_days=records.feedback_days,
    )


class DatabaseKeeper:
    """Opens the database of a running process, as often as it takes, and deletes what is too old every hour."""

    def __init__(self, database: Database, room: ControlRoom, rules: RetentionRules) -> None:
        self._database = database
        self._room = room
        self._rules = rules
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.problem = NOT_READY  # in words, "" once the database was opened
        database.refusal = NOT_READY

    async def start(self, patience_s: float = PATIENCE_AT_START_S) -> None:
        """Begin. Waits a little for the database, since most of the time it is there."""
        self._task = asyncio.create_task(self._keep())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ready}, timeout=patience_s)
        ready.cancel()

    async def wait_until_ready(self) -> None:
        """Return once the database was opened."""
        await self._ready.wait()

    async def stop(self) -> None:
        """End, and let go of the database."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._database.close()

    async def _keep(self) -> None:
        await self._open()
        while True:
            try:
                gone = await expire_records(self._room, self._rules)
                if gone:
                    words = ", ".join(f"{count} of {kind}" for kind, count in sorted(gone.items()))
                    log.info("records past their days were deleted: %s", words)
            except UnavailableError as error:
                log.warning("could not delete records past their days: %s", error)
            except Exception:  # the next hour may know better, and nothing else hangs on it
                log.exception("could not delete records past their days")
            await asyncio.sleep(HOUSEKEEPING_S)

    async def _open(self) -> None:
        pause, since, said = RETRY_S[0], time.monotonic(), ""
        while True:
            try:
                await prepare(self._database, self._room.clock)
            except UnavailableError as error:
                self.problem = self._database.refusal = str(error)
                if self.problem != said:
                    said = self.problem
                    log.warning("%s; mail flows on without, and it is tried again and again", said)
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_S[1])
            else:
                break
        self.problem = ""
        if said:
            log.warning("the database answers after %d seconds", time.monotonic() - since)
        self._ready.set()
