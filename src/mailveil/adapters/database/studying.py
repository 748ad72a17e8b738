"""The study store: what waits to be studied, what is remembered, and what was found (``control.activitystores``)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.activityrows import due_for_telling, tell_what_is_due
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.infrastructure import FACTS, facts_by_identifier
from mailveil.adapters.database.leases import give_back, take_lease
from mailveil.adapters.database.revising import REVISION, revise, revision_of, revisions_by_identifier
from mailveil.adapters.database.studyagain import begin_again
from mailveil.adapters.database.studyexpiry import expire_studied
from mailveil.adapters.database.studystates import LAST_PLACE, hold_state, read_generation
from mailveil.adapters.database.studywriting import StudyWriting, memo_key, memo_texts
from mailveil.adapters.database.writing import chunks, unpacked
from mailveil.control.activitystores import Studied, Subject, Unstudied
from mailveil.control.stores import ConflictError
from mailveil.core.failure import describe_failure
from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.types import (
    AnalystVerdict,
    Decision,
    InfrastructureFacts,
    infrastructure_facts_of,
)
from mailveil.core.verdicts.types import Verdict

log = logging.getLogger("mailveil.studying")
MAX_UNSTUDIED: Final = 500


class SqlStudyStore:
    """Implements ``control.activitystores.StudyStore`` in SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lease(self, name: str, holder: str, now: float, until: float) -> bool:
        """Take or renew a lease; False while somebody else has it."""
        async with self._database.write() as connection:
            return await take_lease(connection, name, holder, now, until)

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        async with self._database.write() as connection:
            await give_back(connection, name, holder)

    async def unstudied(self, organisation: str, limit: int) -> Unstudied:
        """Return what is next, at most ``limit`` subjects: what is studied again first, then by time."""
        columns = tables.unstudied.c
        question = (
            sa.select(columns.identifier, columns.kind, columns.place)
            .where(columns.organisation == organisation)
            .order_by(columns.place, columns.identifier)
            .limit(min(max(limit, 1), MAX_UNSTUDIED))
        )
        async with self._database.read() as connection:
            generation = await read_generation(connection, organisation)
            rows: Sequence[Any] = (await connection.execute(question)).all()
            is_again = bool(rows) and rows[0].place < LAST_PLACE
            rows = [row for row in rows if (row.place < LAST_PLACE) == is_again]
            records, found = await self._subjects(connection, organisation, rows)
            wanted = [row.identifier for row in rows if row.kind == REVISION]
            revised = await revisions_by_identifier(connection, organisation, wanted) if wanted else []
        found |= await asyncio.to_thread(_read, organisation, records, revised)  # long for large messages
        subjects = tuple(found[row.identifier] for row in rows if row.identifier in found)
        if lost := sorted({row.identifier for row in rows} - set(found)):
            await self._drop(organisation, lost)
            if not subjects:
                return await self.unstudied(organisation, limit)
        return Unstudied(subjects, is_again, generation)

    async def _subjects(
        self, connection: AsyncConnection, organisation: str, rows: Sequence[Any]
    ) -> tuple[Sequence[tuple[str, bytes]], dict[str, Subject]]:
        """Return the records of messages as they are stored, and the other subjects."""
        wanted: dict[str, list[str]] = {"message": [], "decision": [], FACTS: []}
        for row in rows:
            wanted.setdefault(row.kind, []).append(row.identifier)
        found: dict[str, Subject] = {}
        columns = tables.message_records.c
        question = sa.select(columns.message, columns.record).where(
            columns.organisation == organisation, columns.message.in_(wanted["message"])
        )
        records = [(row.message, row.record) for row in await connection.execute(question)]
        decisions = tables.decisions.c
        asked = sa.select(tables.decisions).where(
            decisions.organisation == organisation, decisions.identifier.in_(wanted["decision"])
        )
        for row in await connection.execute(asked):
            verdict = AnalystVerdict(row.verdict)
            found[row.identifier] = Decision(row.identifier, organisation, row.at, row.activity, verdict)
        if wanted[FACTS]:
            found |= await facts_by_identifier(connection, organisation, wanted[FACTS])
            found |= await _studied_facts(connection, organisation, wanted[FACTS])
        return records, found

    async def _drop(self, organisation: str, lost: Sequence[str]) -> None:
        """Take what is no more off the queue."""
        columns = tables.unstudied.c
        async with self._database.write() as connection:
            await connection.execute(
                sa.delete(tables.unstudied).where(
                    columns.organisation == organisation, columns.identifier.in_(lost)
                )
            )

    async def memos(self, organisation: str, keys: Collection[str]) -> Mapping[str, Memo | None]:
        """Return memos by key, ``None`` for those that are not there."""
        columns, found = tables.memos.c, {}
        async with self._database.read() as connection:
            for some in chunks(sorted({memo_key(each) for each in keys})):
                question = sa.select(columns.key, columns.memo).where(
                    columns.organisation == organisation, columns.key.in_(some)
                )
                for row in await connection.execute(question):
                    found[row.key] = row.memo
        texts = {key: found.get(memo_key(key)) for key in keys}

        def read() -> Mapping[str, Memo | None]:
            return {key: None if text is None else json.loads(text) for key, text in texts.items()}

        return await asyncio.to_thread(read)

    async def write(self, organisation: str, studied: Studied) -> None:
        """Write down what came of a batch, in one transaction. Raises ``ConflictError``, and changes nothing then."""
        texts = await asyncio.to_thread(memo_texts, studied.memos)  # before anybody has to wait for us
        try:
            async with self._database.write() as connection:
                await StudyWriting(connection, organisation, studied, texts).write()
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {organisation}") from error

    async def revise(
        self, organisation: str, message: str, verdicts: Mapping[str, Verdict], now: float
    ) -> bool:
        """Have a message studied as it is judged by now, if that is otherwise than it was studied."""
        return await revise(self._database, organisation, message, verdicts, now)

    async def tell(self, organisation: str, now: float) -> int:
        """Have others told of a portion of the activities that stand differently than they know.

        While all is studied again nobody is told.
        """
        columns = tables.unstudied.c
        again = (
            sa.select(columns.identifier)
            .where(columns.organisation == organisation, columns.place < LAST_PLACE)
            .limit(1)
        )
        async with self._database.read() as connection:
            if not await due_for_telling(connection, organisation, now):
                return 0
        try:
            async with self._database.write() as connection:
                await hold_state(connection, organisation)
                if (await connection.execute(again)).first() is not None:
                    return 0
                return await tell_what_is_due(connection, organisation, now)
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {organisation}") from error

    async def waiting_organisations(self) -> Collection[str]:
        """Return the organisations of which something waits to be studied."""
        names = tables.organisations.c.identifier
        waits = sa.exists().where(tables.unstudied.c.organisation == names)
        async with self._database.read() as connection:
            return set(await connection.scalars(sa.select(names).where(waits)))

    async def waiting(self, organisation: str, most: int) -> int:
        """Return how many subjects wait to be studied, ``most`` at most."""
        columns = tables.unstudied.c
        some = sa.select(columns.identifier).where(columns.organisation == organisation).limit(most)
        async with self._database.read() as connection:
            count = sa.select(sa.func.count()).select_from(some.subquery())
            return int((await connection.execute(count)).scalar_one())

    async def begin_again(self, organisation: str) -> int:
        """Forget what studying found and remembered; everything stored is to be studied again, in the same order."""
        try:
            async with self._database.write(is_long=True) as connection:
                return await begin_again(connection, organisation)
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {organisation}") from error

    async def expire(self, organisation: str, kind: str, before: float) -> int:
        """Forget a portion of what is older than that; return how many records, 0 once there are none."""
        async with self._database.write() as connection:
            return await expire_studied(connection, organisation, kind, before)


def _read(
    organisation: str, records: Sequence[tuple[str, bytes]], revised: Sequence[Any]
) -> dict[str, Subject]:
    """Return the messages in records, and revisions; one that is damaged is told of and is not among them."""
    found: dict[str, Subject] = {}
    todo: list[tuple[str, Callable[[], Subject]]] = [
        (message, partial(unpacked, record)) for message, record in records
    ]
    todo += [(row.identifier, partial(revision_of, row, organisation)) for row in revised]
    for message, read in todo:
        try:
            found[message] = read()
        except Exception as error:  # the disk may have done anything to it, and the others have their turn
            log.error(
                "the record of %s cannot be read, and is left out: %s", message, describe_failure(error)
            )
    return found


async def _studied_facts(
    connection: AsyncConnection, organisation: str, identifiers: Collection[str]
) -> dict[str, InfrastructureFacts]:
    """Return what was known of hosts when it was studied before."""
    columns = tables.studied_facts.c
    question = sa.select(columns.identifier, columns.record).where(
        columns.organisation == organisation, columns.identifier.in_(list(identifiers))
    )
    rows = await connection.execute(question)
    return {row.identifier: infrastructure_facts_of(row.record) for row in rows}
