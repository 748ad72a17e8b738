"""Study expiry: what studying found and remembered goes once it is too old, a portion at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.statements import delete_in_portions
from mailveil.core.intelligence.types import DAY_S

PORTION: Final = 200
ROWS: Final = 2_000
# Whatever is younger refers to these, and there are few of them: whoever reads from the beginning needs them.
LASTING: Final = ("marking-definition", "identity", "attack-pattern")
STUDIED_KINDS: Final = ("activities", "campaigns", "alerts", "memos", "infrastructure")


async def expire_studied(connection: AsyncConnection, organisation: str, kind: str, before: float) -> int:
    """Forget a portion of what is older; return how many records. Raises ``ValueError`` for another kind."""
    match kind:
        case "activities":
            return await _activities(connection, organisation, before)
        case "campaigns":
            table, old = tables.campaigns, tables.campaigns.c.last_at < before
        case "alerts":
            table, old = tables.alerts, tables.alerts.c.at < before
        case "memos":
            table, old = tables.memos, tables.memos.c.touched_day < int(before // DAY_S)
        case "infrastructure":
            return await _infrastructure(connection, organisation, before)
        case _:
            raise ValueError(
                f"there is no kind of record {kind!r:.40}; there are: {', '.join(STUDIED_KINDS)}"
            )
    return await delete_in_portions(connection, table, (table.c.organisation == organisation) & old, ROWS)


async def _infrastructure(connection: AsyncConnection, organisation: str, before: float) -> int:
    """Forget what is known of hosts that were not met since."""
    hosts, marks = tables.infrastructure, tables.infrastructure_marks
    old = (hosts.c.organisation == organisation) & (hosts.c.at < before)
    names = list(await connection.scalars(sa.select(hosts.c.host).where(old).limit(PORTION)))
    for table in (marks, hosts):
        its = (table.c.organisation == organisation) & table.c.host.in_(names)
        await connection.execute(sa.delete(table).where(its))
    return len(names)


async def _activities(connection: AsyncConnection, organisation: str, before: float) -> int:
    """Forget activities whose last message is older, with all that hangs on them, and as old
    verdicts, facts and shared objects.
    """
    columns = tables.activities.c
    old = (
        sa.select(columns.identifier)
        .where(columns.organisation == organisation, columns.last_at < before)
        .order_by(columns.last_at)
        .limit(PORTION)
    )
    identifiers = list(await connection.scalars(old))
    for table in (tables.activity_messages, tables.activity_people, tables.activity_notes):
        await connection.execute(
            sa.delete(table).where(table.c.organisation == organisation, table.c.activity.in_(identifiers))
        )
    await connection.execute(
        sa.delete(tables.activities).where(
            columns.organisation == organisation, columns.identifier.in_(identifiers)
        )
    )
    shared = tables.shared_objects
    going_on = sa.select(columns.identifier).where(columns.organisation == organisation)
    is_old = (
        (shared.c.added_at < int(before * 1e6))
        & shared.c.kind.not_in(LASTING)
        & shared.c.subject.not_in(going_on)
    )
    of_theirs = shared.c.subject.in_(identifiers) | is_old
    its = (shared.c.organisation == organisation) & of_theirs
    gone = await delete_in_portions(connection, shared, its, ROWS)
    return len(identifiers) + gone + await _decisions(connection, organisation, before)


async def _decisions(connection: AsyncConnection, organisation: str, before: float) -> int:
    columns = tables.decisions.c
    old = (
        sa.select(columns.identifier)
        .where(columns.organisation == organisation, columns.at < before)
        .order_by(columns.identifier)
        .limit(PORTION)
    )
    identifiers = list(await connection.scalars(old))
    await drop_subjects(connection, organisation, identifiers)
    await connection.execute(
        sa.delete(tables.decisions).where(
            columns.organisation == organisation, columns.identifier.in_(identifiers)
        )
    )
    return len(identifiers) + await _facts(connection, organisation, before)


async def _facts(connection: AsyncConnection, organisation: str, before: float) -> int:
    facts = tables.studied_facts
    old = (facts.c.organisation == organisation) & (facts.c.at < before)
    chosen = sa.select(facts.c.identifier).where(old).order_by(facts.c.at).limit(PORTION)
    identifiers = list(await connection.scalars(chosen))
    await drop_subjects(connection, organisation, identifiers)
    await connection.execute(
        sa.delete(facts).where(facts.c.organisation == organisation, facts.c.identifier.in_(identifiers))
    )
    return len(identifiers)


async def drop_subjects(connection: AsyncConnection, organisation: str, identifiers: Sequence[str]) -> None:
    """Let messages or decisions that are no more be studied neither for the first time nor again, nor revised."""
    revisions = tables.revisions
    theirs = (revisions.c.organisation == organisation) & revisions.c.message.in_(identifiers)
    revised = list(await connection.scalars(sa.select(revisions.c.identifier).where(theirs)))
    identifiers = [*identifiers, *revised]
    for table, column in (
        (tables.unstudied, tables.unstudied.c.identifier),
        (tables.studies, tables.studies.c.subject),
    ):
        await connection.execute(
            sa.delete(table).where(table.c.organisation == organisation, column.in_(identifiers))
        )
    await connection.execute(sa.delete(revisions).where(theirs))
