"""The observation store: what was seen, in the database (``control.stores.ObservationStore``).

Each task has a room of its own: ``writing`` takes batches in, ``terms`` says by what something is found,
``finding`` and ``ranking`` read lists, ``rollups`` figures, ``forgetting`` lets go of what
is old and of what is kept of a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import sqlalchemy as sa

from mailveil.adapters.database import tables
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.finding import MessageSearch, from_then, message_lines, until_then
from mailveil.adapters.database.forgetting import Forgetting
from mailveil.adapters.database.ranking import operator_of, operators_page, tracker_of, trackers_page
from mailveil.adapters.database.rollups import figures_of_period, series_of_period, top_of_period
from mailveil.adapters.database.writing import Writing, prepared, unpacked
from mailveil.control.records import (
    Count,
    Cut,
    Figures,
    FiguresAt,
    MessageLine,
    MessageQuery,
    OperatorLine,
    Page,
    PersonExport,
    Tracker,
    TrackerQuery,
)
from mailveil.core.observation import Observation

REPLAY_BATCH = 200  # observations in memory at a time


class SqlObservationStore:
    """Implements ``control.stores.ObservationStore`` in SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, observations: Sequence[Observation]) -> int:
        """Write observations down with all figures that they add to, in one transaction; return how many were new.

        One whose identifier is there already changes nothing, and one of an organisation that is not there is left out.
        """
        if not observations:
            return 0
        batch = await asyncio.to_thread(lambda: [prepared(each) for each in observations])
        async with self._database.write() as connection:
            return await Writing(connection).write(batch)

    async def messages(self, organisation: str, query: MessageQuery, cut: Cut) -> Page[MessageLine]:
        """Return messages, newest first.

        A part of a list with several filters may be shorter than asked for, or empty, and still have a ``next``.
        """
        async with self._database.read() as connection:
            return await MessageSearch(connection, organisation, query, cut).page()

    async def subjects(self, organisation: str, identifiers: Collection[str]) -> Mapping[str, str]:
        """Return the subjects of messages that are kept, by their identifiers."""
        columns = tables.messages.c
        wanted = sorted(set(identifiers) - {""})
        if not wanted:
            return {}
        question = sa.select(columns.identifier, columns.subject).where(
            columns.organisation == organisation, columns.identifier.in_(wanted)
        )
        async with self._database.read() as connection:
            return {row.identifier: row.subject for row in await connection.execute(question)}

    async def lines(self, organisation: str, identifiers: Collection[str]) -> Mapping[str, MessageLine]:
        """Return what lists show of messages that are kept, by their identifiers."""
        async with self._database.read() as connection:
            return await message_lines(connection, organisation, identifiers)

    async def message(self, organisation: str, identifier: str) -> Observation | None:
        """Return one message with its references."""
        columns = tables.message_records.c
        question = sa.select(columns.record).where(
            columns.organisation == organisation, columns.message == identifier
        )
        async with self._database.read() as connection:
            record = (await connection.execute(question)).scalar_one_or_none()
        return None if record is None else unpacked(record)

    async def trackers(self, organisation: str, query: TrackerQuery, cut: Cut) -> Page[Tracker]:
        """Return trackers; as with messages, a part may be short and have a ``next``."""
        async with self._database.read() as connection:
            return await trackers_page(connection, organisation, query, cut)

    async def tracker(self, organisation: str, identifier: str) -> Tracker | None:
        """Return one tracker."""
        columns = tables.trackers.c
        question = sa.select(tables.trackers).where(
            columns.organisation == organisation, columns.identifier == identifier
        )
        async with self._database.read() as connection:
            row = (await connection.execute(question)).one_or_none()
        return None if row is None else tracker_of(row)

    async def operators(self, organisation: str, since: float, cut: Cut) -> Page[OperatorLine]:
        """Return operators met since then, those of the most messages first."""
        async with self._database.read() as connection:
            return await operators_page(connection, organisation, since, cut)

    async def operator(self, organisation: str, name: str) -> OperatorLine | None:
        """Return one operator."""
        columns = tables.operators.c
        question = sa.select(tables.operators).where(
            columns.organisation == organisation, columns.name == name
        )
        async with self._database.read() as connection:
            row = (await connection.execute(question)).one_or_none()
        return None if row is None else operator_of(row)

    async def figures(self, organisation: str, since: float, until: float) -> Figures:
        """Return the counts of the hours that a period touches."""
        async with self._database.read() as connection:
            return await figures_of_period(connection, organisation, since, until)

    async def series(self, organisation: str, since: float, until: float, step_s: int) -> Sequence[FiguresAt]:
        """Return the counts of each step, from the hour of ``since`` on.

        Raises ``ValueError`` where a step is not whole hours, or where there are too many.
        """
        async with self._database.read() as connection:
            return await series_of_period(connection, organisation, since, until, step_s)

    async def top(
        self, organisation: str, dimension: str, since: float, until: float, limit: int
    ) -> Sequence[Count]:
        """Return what was met most in the days (UTC) that a period touches.

        ``dimension`` is ``operator``, ``sender_domain``, ``kind``, ``host`` or ``risk``; ``ValueError`` for others.
        """
        async with self._database.read() as connection:
            return await top_of_period(
                connection, organisation, dimension, since=since, until=until, limit=limit
            )

    async def replayable(self, organisation: str, since: float, until: float) -> AsyncIterator[Observation]:
        """Give every observation of a period, newest first, a batch in memory at a time and no connection kept."""
        columns = tables.message_records.c
        before = until_then(until)
        while True:
            question = (
                sa.select(columns.message, columns.record)
                .where(
                    columns.organisation == organisation,
                    columns.message >= from_then(since),
                    columns.message < before,
                )
                .order_by(columns.message.desc())
                .limit(REPLAY_BATCH)
            )
            async with self._database.read() as connection:
                rows = list(await connection.execute(question))
            for row in rows:
                yield unpacked(row.record)
            if len(rows) < REPLAY_BATCH:
                return
            before = rows[-1].message

    async def expire(self, organisation: str, kind: str, before: float) -> int:
        """Forget a portion of what is older than that; return how many records, 0 once there are none.

        ``messages`` go with all that hangs on them; ``subjects`` and their words are blanked; ``recipients`` are taken
        out with whatever could name them, their number stays; ``figures`` are those of hours and days; ``trackers`` are
        those, and operators, not met since. Raises ``ValueError`` for another kind.
        """
        async with self._database.write() as connection:
            return await Forgetting(connection, organisation).expire(kind, before)

    async def person(self, organisation: str, recipient: str) -> PersonExport:
        """Return everything that is kept of somebody: ``messages`` to and from them, and what ``met`` them.

        Of the other recipients of their messages it says how many there are, and URLs of such messages are templates.
        """
        async with self._database.read() as connection:
            return await Forgetting(connection, organisation).person(recipient)

    async def erase(self, organisation: str, recipient: str) -> int:
        """Forget everything that is kept of somebody, a transaction for each portion; return how many records.

        Messages to them alone are deleted, with reports about them and leave to read them. Messages that others got,
        too, stay without them: no address of theirs in any text, and of a URL that may have been made for them its
        template. Of what they wrote themselves, neither address nor subject stays. Figures, and how many people a
        tracker or operator has met, stay as they are. Originals are for the caller to delete: ``person`` names them.
        """
        erased = 0
        while True:
            async with self._database.write() as connection:
                count = await Forgetting(connection, organisation).erase(recipient)
            if not count:
                await self._database.sweep()
                return erased
            erased += count
