"""Activity rows: an activity with what people decided, as a row and back, and telling others what is new of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.outboxnumbers import append_outbox
from mailveil.control.activityrecords import CLOSED_AFTER_S, QUIET_AFTER_S, ActivityFile, OutboxEntry
from mailveil.control.telling import news_of, told_digest
from mailveil.core.intelligence.types import Activity, ActivityState, AnalystVerdict, activity_of

GONE: Final = (
    -1.0
)  # the score of what is being studied again and was not found yet: people decided or were told of it
PORTION: Final = 200

DECIDED: Final = (
    "verdict",
    "decided_by",
    "decided_at",
    "acknowledged_by",
    "acknowledged_at",
    "closed_by",
    "closed_at",
)


def found_columns(activity: Activity, at: float) -> dict[str, Any]:
    """Return the columns that studying writes."""
    return {
        "actor": activity.actor,
        "score": activity.score,
        "first_at": activity.first_at,
        "last_at": activity.last_at,
        "changed_at": at,
        "people": activity.total_people,
        "probes": activity.total_probes,
        "merged_into": activity.merged_into,
        "record": activity.record(),
        "is_untold": True,
    }


def undecided_columns() -> dict[str, Any]:
    """Return the other columns of an activity that is new."""
    nothing: dict[str, Any] = {name: 0.0 if name.endswith("_at") else "" for name in DECIDED}
    return nothing | {"verdict": str(AnalystVerdict.OPEN), "told": "", "told_state": ""}


def decided_columns(file: ActivityFile) -> dict[str, Any]:
    """Return the columns that people write."""
    return {name: getattr(file, name) for name in DECIDED} | {"verdict": str(file.verdict)}


def file_of(row: sa.Row[Any]) -> ActivityFile:
    """Return the activity in a row, with what people decided."""
    values = {name: getattr(row, name) for name in (*DECIDED, "changed_at", "told", "told_state")}
    values["verdict"] = AnalystVerdict(row.verdict)
    return ActivityFile(activity=activity_of(row.record), **values)


async def tell(
    connection: AsyncConnection,
    organisation: str,
    identifiers: Collection[str],
    now: float,
    *,
    at_once_only: bool = False,
) -> list[OutboxEntry]:
    """Take note of what others are to be told of some activities, and return it; the caller writes it down.

    Whoever does so holds the organisation's row in ``study_states``. With ``at_once_only`` what merely goes on is left
    for later: events hold an activity as a whole, and whoever probes without end must not fill the disk with them.
    """
    entries: list[OutboxEntry] = []
    columns = tables.activities.c
    question = (
        sa.select(tables.activities)
        .where(columns.organisation == organisation, columns.identifier.in_(sorted(identifiers)))
        .order_by(columns.identifier)
    )
    for row in list(await connection.execute(question)):
        file = _as_told(row, now)
        if at_once_only and row.told_state == file.state(now) and not file.activity.merged_into:
            continue
        entry = news_of(file, now)
        known = {"told": row.told, "told_state": row.told_state}
        if entry is not None:
            entries.append(entry)
        if entry is not None or file.told_state:
            known = {"told": told_digest(file, now), "told_state": str(file.state(now))}
        await connection.execute(
            sa.update(tables.activities)
            .where(columns.organisation == organisation, columns.identifier == row.identifier)
            .values(known | {"is_untold": False})
        )
    return entries


def _as_told(row: sa.Row[Any], now: float) -> ActivityFile:
    """Return an activity as others are to know it: one that was not found again is over."""
    file = file_of(row)
    if row.score >= 0 or file.state(now) is ActivityState.CLOSED:
        return file
    return dataclasses.replace(file, closed_at=max(now, file.activity.last_at))


async def due_for_telling(connection: AsyncConnection, organisation: str, now: float) -> list[str]:
    """Return a portion of the activities that may stand differently than others know."""
    columns = tables.activities.c
    became_quiet = (columns.told_state == str(ActivityState.ACTIVE)) & (
        columns.last_at <= now - QUIET_AFTER_S
    )
    became_closed = (columns.told_state == str(ActivityState.QUIET)) & (
        columns.last_at <= now - CLOSED_AFTER_S
    )
    due = (
        sa.select(columns.identifier)
        .where(
            columns.organisation == organisation,
            sa.or_(columns.is_untold == sa.true(), became_quiet, became_closed),
        )
        .order_by(columns.identifier)
        .limit(PORTION)
    )
    return list(await connection.scalars(due))


async def tell_what_is_due(connection: AsyncConnection, organisation: str, now: float) -> int:
    """Have others told of a portion of what stands differently than they know; return how many were looked at."""
    identifiers = await due_for_telling(connection, organisation, now)
    await append_outbox(connection, await tell(connection, organisation, identifiers, now))
    return len(identifiers)
