"""The activity store: activities, campaigns and alerts, and what people decide of them (``control.activitystores``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.activityrows import decided_columns, file_of
from mailveil.adapters.database.cursors import beyond, decode_cursor, limit_of, page_of
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.outboxnumbers import append_outbox
from mailveil.adapters.database.statements import add, put
from mailveil.adapters.database.studystates import LAST_PLACE, hold_state
from mailveil.adapters.database.writing import person_key
from mailveil.control.activityrecords import (
    CLOSED_AFTER_S,
    FLOOR_SCORE,
    QUIET_AFTER_S,
    ActivityFile,
    ActivityNote,
    ActivityQuery,
    OutboxEntry,
    SenderBuilt,
)
from mailveil.control.records import Cut, Page
from mailveil.control.stores import ConflictError
from mailveil.control.telling import told_digest
from mailveil.core.intelligence.types import (
    ActivityState,
    Alert,
    AnalystVerdict,
    Campaign,
    Decision,
    MarkedPerson,
    Nature,
    Tooling,
    alert_of,
    campaign_of,
)

ORDERS = {
    "score": tables.activities.c.score,
    "last": tables.activities.c.last_at,
    "changed": tables.activities.c.changed_at,
}
MAX_NOTES = 1_000
MAX_MARKED = 10_000


class SqlActivityStore:
    """Implements ``control.activitystores.ActivityStore`` in SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- activities ------------------------------------------------------------------------------------------

    async def activities(self, organisation: str, query: ActivityQuery, cut: Cut) -> Page[ActivityFile]:
        """Return activities; those that were merged into others are left out, and those that fell below the floor.

        Raises ``ValueError`` for another order.
        """
        if query.order not in ORDERS:
            raise ValueError(f"the order has to be one of {', '.join(ORDERS)}")
        columns, order = tables.activities.c, ORDERS[query.order]
        keys = (order, columns.identifier)
        question = (
            sa.select(tables.activities)
            .where(
                *_shown(organisation),
                *_asked(organisation, query),
                beyond(keys, decode_cursor(cut.cursor, float, str), descending=True),
            )
            .order_by(*(each.desc() for each in keys))
            .limit(limit_of(cut) + 1)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(question)).all()
        return page_of(rows, cut, file_of, lambda row: (getattr(row, order.name), row.identifier))

    async def states(
        self, organisation: str, query: ActivityQuery, most: int
    ) -> Mapping[ActivityState | None, int]:
        """Return how many activities stand how, ``None`` for all of them, ``most`` at most of each."""
        identifier, parts = tables.activities.c.identifier, []
        for state in (None, *ActivityState):
            found = (
                sa.select(identifier)
                .where(*_shown(organisation), *_asked(organisation, replace(query, state=state)))
                .limit(most)
                .subquery()
            )
            parts.append(sa.select(sa.func.count()).select_from(found).scalar_subquery())
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(*parts))).one()
        return dict(zip((None, *ActivityState), map(int, row), strict=True))

    async def activity(self, organisation: str, identifier: str) -> ActivityFile | None:
        """Return one activity, also one that was merged into another."""
        columns = tables.activities.c
        question = sa.select(tables.activities).where(
            columns.organisation == organisation, columns.identifier == identifier, columns.score >= 0
        )
        async with self._database.read() as connection:
            row = (await connection.execute(question)).one_or_none()
        return None if row is None else file_of(row)

    async def identified(self, organisation: str, beginning: str, most: int) -> Sequence[str]:
        """Return the identifiers that begin so, ``most`` at most, also those of activities that were merged."""
        columns = tables.activities.c
        question = (
            sa.select(columns.identifier)
            .where(
                columns.organisation == organisation,
                columns.identifier.startswith(beginning, autoescape=True),
                columns.score >= 0,
            )
            .order_by(columns.identifier)
            .limit(most)
        )
        async with self._database.read() as connection:
            return list(await connection.scalars(question))

    async def put_decisions(
        self,
        file: ActivityFile,
        outbox: Sequence[OutboxEntry] = (),
        decision: Decision | None = None,
        *,
        before: ActivityFile | None = None,
        as_a_whole: bool = False,
    ) -> None:
        """Write down what people decided (never the activity itself), with what others are told of it.

        ``decision`` is a verdict for scoring to learn from. With ``before`` only what differs from it is written, and
        only where it still stands as it did; ``as_a_whole``: where all of what was decided does. Raises
        ``ConflictError`` where it does not, or the activity is no more.
        """
        columns, its = tables.activities.c, file.activity
        decided = decided_columns(file)
        known = decided_columns(before) if before is not None else {}
        decided = {name: value for name, value in decided.items() if known.get(name) != value}
        stands = [columns[name] == value for name, value in known.items() if as_a_whole or name in decided]
        values = decided | {"changed_at": file.changed_at}
        if outbox:
            values |= {
                "told": told_digest(file, file.changed_at),
                "told_state": str(file.state(file.changed_at)),
            }
        try:
            async with self._database.write() as connection:
                await hold_state(connection, its.organisation)
                changed = await connection.execute(
                    sa.update(tables.activities)
                    .where(
                        columns.organisation == its.organisation,
                        columns.identifier == its.identifier,
                        columns.score >= 0,
                        *stands,
                    )
                    .values(values)
                )
                if not changed.rowcount:
                    raise ConflictError(
                        "somebody else has decided about the activity just now, or it is being worked out anew"
                    )
                if decision is not None:
                    await _decide(connection, decision, file.decided_by)
                await append_outbox(connection, outbox)
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {its.organisation}") from error

    async def messages_of(self, organisation: str, activity: str, cut: Cut) -> Page[str]:
        """Return the identifiers of an activity's messages, newest first."""
        columns = tables.activity_messages.c
        question = (
            sa.select(columns.message)
            .where(
                columns.organisation == organisation,
                columns.activity == activity,
                beyond((columns.message,), decode_cursor(cut.cursor, str), descending=True),
            )
            .order_by(columns.message.desc())
            .limit(limit_of(cut) + 1)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(question)).all()
        return page_of(rows, cut, lambda row: str(row.message), lambda row: (row.message,))

    async def activities_of_messages(self, organisation: str, messages: Collection[str]) -> Sequence[str]:
        """Return the activities that any of some messages belongs to."""
        columns = tables.activity_messages.c
        question = (
            sa.select(columns.activity)
            .where(columns.organisation == organisation, columns.message.in_(sorted(messages)))
            .distinct()
            .order_by(columns.activity)
            .limit(100)
        )
        async with self._database.read() as connection:
            return list(await connection.scalars(question))

    # --- what people write -----------------------------------------------------------------------------------

    async def notes(self, organisation: str, activity: str) -> Sequence[ActivityNote]:
        """Return notes, oldest first."""
        columns = tables.activity_notes.c
        question = (
            sa.select(tables.activity_notes)
            .where(columns.organisation == organisation, columns.activity == activity)
            .order_by(columns.identifier)
            .limit(MAX_NOTES)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(question)).all()
        return [
            ActivityNote(row.identifier, row.organisation, row.activity, row.at, row.by, row.text)
            for row in rows
        ]

    async def add_note(self, note: ActivityNote) -> None:
        """Add a note. Raises ``ConflictError`` where there are too many, or no such organisation."""
        columns = tables.activity_notes.c
        count = (
            sa.select(sa.func.count())
            .select_from(tables.activity_notes)
            .where(columns.organisation == note.organisation, columns.activity == note.activity)
        )
        row = {
            "organisation": note.organisation,
            "identifier": note.identifier,
            "activity": note.activity,
            "at": note.at,
            "by": note.by,
            "text": note.text,
        }
        try:
            async with self._database.write() as connection:
                await hold_state(connection, note.organisation)
                if int((await connection.execute(count)).scalar_one()) >= MAX_NOTES:
                    raise ConflictError(f"the activity has {MAX_NOTES:,} notes already")
                await put(connection, tables.activity_notes, row)
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {note.organisation}") from error

    async def marked(self, organisation: str) -> Sequence[MarkedPerson]:
        """Return the people whom the organisation says something of."""
        columns = tables.marked_people.c
        question = (
            sa.select(columns.person, columns.function, columns.is_high_value)
            .where(columns.organisation == organisation)
            .order_by(columns.person)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(question)).all()
        return [MarkedPerson(row.person, row.function, row.is_high_value) for row in rows]

    async def mark(self, organisation: str, person: MarkedPerson, by: str, at: float) -> None:
        """Say something of a person; with neither function nor value, nothing any more.

        Raises ``ConflictError`` where too many are marked, or there is no such organisation.
        """
        name, columns = person_key(person.person), tables.marked_people.c
        mine = columns.organisation == organisation
        row = {
            "organisation": organisation,
            "person": name,
            "function": person.function,
            "is_high_value": person.is_high_value,
            "at": at,
            "by": by,
        }
        count = sa.select(sa.func.count()).select_from(tables.marked_people).where(mine)
        try:
            async with self._database.write() as connection:
                await hold_state(connection, organisation)
                await connection.execute(sa.delete(tables.marked_people).where(mine, columns.person == name))
                if not (person.function or person.is_high_value):
                    return
                if int((await connection.execute(count)).scalar_one()) >= MAX_MARKED:
                    raise ConflictError(f"{MAX_MARKED:,} people are marked already")
                await put(connection, tables.marked_people, row)
        except IntegrityError as error:
            raise ConflictError(f"there is no organisation {organisation}") from error

    # --- campaigns and alerts --------------------------------------------------------------------------------

    async def campaigns(
        self, organisation: str, cut: Cut, *, nature: Nature | None = None, sender_domain: str = ""
    ) -> Page[Campaign]:
        """Return campaigns, the latest first."""
        columns = tables.campaigns.c
        keys = (columns.last_at, columns.identifier)
        question = (
            sa.select(tables.campaigns)
            .where(
                columns.organisation == organisation,
                beyond(keys, decode_cursor(cut.cursor, float, str), descending=True),
            )
            .order_by(*(each.desc() for each in keys))
            .limit(limit_of(cut) + 1)
        )
        if nature is not None:
            question = question.where(columns.nature == str(nature))
        if sender_domain:
            question = question.where(columns.sender_domain == sender_domain.lower())
        async with self._database.read() as connection:
            rows = (await connection.execute(question)).all()
        return page_of(
            rows, cut, lambda row: campaign_of(row.record), lambda row: (row.last_at, row.identifier)
        )

    async def senders_built(
        self, organisation: str, since: float, until: float, most: int
    ) -> Sequence[SenderBuilt]:
        """Return senders that had campaigns with tracking of their own in a time, those of most messages first."""
        columns = tables.campaigns.c
        messages = sa.func.sum(columns.messages)
        personal = sa.case((columns.record["is_personal"].as_boolean(), 1), else_=0)
        question = (
            sa.select(
                columns.sender_domain,
                sa.func.count(),
                messages,
                sa.func.max(columns.people),
                sa.func.min(columns.first_at),
                sa.func.max(personal),
            )
            .where(
                columns.organisation == organisation,
                columns.last_at >= since,
                columns.first_at < until,
                columns.record["tooling"].as_string() == str(Tooling.BUILT),
            )
            .group_by(columns.sender_domain)
            .order_by(messages.desc(), columns.sender_domain)
            .limit(most)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(question)).all()
        return [
            SenderBuilt(row[0], int(row[1]), int(row[2]), int(row[3]), float(row[4]), bool(row[5]))
            for row in rows
        ]

    async def alerts(
        self, organisation: str, cut: Cut, *, activity: str = "", since: float = 0.0, until: float = 0.0
    ) -> Page[Alert]:
        """Return alerts, newest first; ``until`` is where they end, 0 for nowhere."""
        columns = tables.alerts.c
        keys = (columns.at, columns.identifier)
        question = (
            sa.select(tables.alerts)
            .where(
                columns.organisation == organisation,
                columns.at >= since,
                beyond(keys, decode_cursor(cut.cursor, float, str), descending=True),
            )
            .order_by(*(each.desc() for each in keys))
            .limit(limit_of(cut) + 1)
        )
        if activity:
            question = question.where(columns.activity == activity)
        if until:
            question = question.where(columns.at < until)
        async with self._database.read() as connection:
            rows = (await connection.execute(question)).all()
        return page_of(rows, cut, lambda row: alert_of(row.record), lambda row: (row.at, row.identifier))

    async def stamp(self, organisation: str) -> str:
        """Return what changes whenever activities, decisions or marked people do; cheap to ask for."""
        columns = tables.study_states.c
        question = sa.select(columns.stamp).where(columns.organisation == organisation)
        async with self._database.read() as connection:
            return str((await connection.execute(question)).scalar_one_or_none() or 0)


async def _decide(connection: AsyncConnection, decision: Decision, by: str) -> None:
    """Write a verdict down, to be studied as mail is."""
    key = {"organisation": decision.organisation, "identifier": decision.identifier}
    row = key | {
        "at": decision.at,
        "activity": decision.activity,
        "verdict": str(decision.verdict),
        "by": by,
    }
    if await add(connection, tables.decisions, row):
        await add(connection, tables.unstudied, key | {"kind": "decision", "place": LAST_PLACE})


def _shown(organisation: str) -> tuple[sa.ColumnElement[bool], ...]:
    columns, alerts, notes = tables.activities.c, tables.alerts.c, tables.activity_notes.c
    alerted = sa.exists().where(alerts.organisation == organisation, alerts.activity == columns.identifier)
    noted = sa.exists().where(notes.organisation == organisation, notes.activity == columns.identifier)
    is_worth_it = sa.or_(
        columns.score >= FLOOR_SCORE,
        columns.verdict != str(AnalystVerdict.OPEN),
        columns.acknowledged_at > 0,
        columns.closed_at > 0,
        alerted,
        noted,
    )
    # What is worked out anew has a score below nought until it is found again.
    return columns.organisation == organisation, columns.merged_into == "", columns.score >= 0, is_worth_it


def _asked(organisation: str, query: ActivityQuery) -> list[sa.ColumnElement[bool]]:
    columns, people = tables.activities.c, tables.activity_people.c
    asked: list[sa.ColumnElement[bool]] = [columns.score >= query.least_score]
    if query.state is not None:
        asked.append(_in_state(query.state, query.now))
    if query.verdict is not None:
        asked.append(columns.verdict == str(query.verdict))
    if query.actor:
        asked.append(columns.actor == query.actor.lower())
    if query.since:
        asked.append(columns.last_at >= query.since)
    if query.person:
        aimed_at = sa.select(people.activity).where(
            people.organisation == organisation, people.recipient == person_key(query.person)
        )
        asked.append(columns.identifier.in_(aimed_at))
    return asked


def _in_state(state: ActivityState, now: float) -> sa.ColumnElement[bool]:
    """Return what ``ActivityFile.state`` says, in the database's words."""
    columns = tables.activities.c
    is_closed = sa.or_(
        columns.verdict == str(AnalystVerdict.BENIGN),
        columns.merged_into != "",
        (columns.closed_at > 0) & (columns.last_at <= columns.closed_at),
        columns.last_at <= now - CLOSED_AFTER_S,
    )
    if state is ActivityState.CLOSED:
        return is_closed
    is_quiet = columns.last_at <= now - QUIET_AFTER_S
    return sa.and_(sa.not_(is_closed), is_quiet if state is ActivityState.QUIET else sa.not_(is_quiet))
