"""Studying again: all that studying found goes, and all that is stored queues up in the order it was studied in."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.activityrows import GONE
from mailveil.adapters.database.revising import REVISION
from mailveil.adapters.database.studystates import LAST_PLACE, hold_state
from mailveil.core.intelligence.types import AnalystVerdict


async def begin_again(connection: AsyncConnection, organisation: str) -> int:
    """Queue everything up again; return how many subjects that are.

    What waits to be studied again already comes behind what was studied again so far; what is new stays last. What
    people decided stays, and so does what others were told of, so that they hear of nothing twice.
    """
    state = await hold_state(connection, organisation, new_generation=True)
    await _forget(connection, organisation)
    queue, studies = tables.unstudied, tables.studies
    waits = (queue.c.organisation == organisation) & (queue.c.place < LAST_PLACE)
    await connection.execute(sa.update(queue).where(waits).values(place=queue.c.place + state.number))
    names = ["organisation", "identifier", "kind", "place"]
    studied = (
        sa.select(studies.c.organisation, studies.c.subject, studies.c.kind, sa.func.min(studies.c.number))
        .where(studies.c.organisation == organisation, ~_is_queued(organisation, studies.c.subject))
        .group_by(studies.c.organisation, studies.c.subject, studies.c.kind)
    )
    await connection.execute(sa.insert(queue).from_select(names, studied))
    last = sa.select(sa.func.max(queue.c.place)).where(waits)
    behind = int((await connection.execute(last)).scalar_one() or 0) + 1
    for kind, column, owner in (
        ("message", tables.messages.c.identifier, tables.messages.c.organisation),
        ("decision", tables.decisions.c.identifier, tables.decisions.c.organisation),
        (REVISION, tables.revisions.c.identifier, tables.revisions.c.organisation),
    ):
        rest = sa.select(owner, column, sa.literal(kind), sa.literal(behind, sa.BigInteger)).where(
            owner == organisation, ~_is_queued(organisation, column)
        )
        await connection.execute(sa.insert(queue).from_select(names, rest))
    await connection.execute(sa.delete(studies).where(studies.c.organisation == organisation))
    count = sa.select(sa.func.count()).select_from(queue).where(queue.c.organisation == organisation)
    return int((await connection.execute(count)).scalar_one())


def _is_queued(organisation: str, subject: sa.Column[str]) -> sa.Exists:
    """Return whether a subject waits: asked of each by the key, which stays fast however many there are."""
    queue = tables.unstudied.alias()
    return sa.exists().where(queue.c.organisation == organisation, queue.c.identifier == subject)


async def _forget(connection: AsyncConnection, organisation: str) -> None:
    for table in (
        tables.memos,
        tables.campaigns,
        tables.alerts,
        tables.activity_messages,
        tables.activity_people,
    ):
        await connection.execute(sa.delete(table).where(table.c.organisation == organisation))
    activities, notes = tables.activities.c, tables.activity_notes.c
    mine = activities.organisation == organisation
    noted = sa.select(notes.activity).where(notes.organisation == organisation)
    is_untouched = sa.and_(
        activities.verdict == str(AnalystVerdict.OPEN),
        activities.acknowledged_at == 0,
        activities.closed_at == 0,
        activities.told_state == "",
        activities.identifier.not_in(noted),
    )
    await connection.execute(sa.delete(tables.activities).where(mine, is_untouched))
    gone = {"score": GONE, "people": 0, "probes": 0, "is_untold": True}
    await connection.execute(sa.update(tables.activities).where(mine).values(gone))
