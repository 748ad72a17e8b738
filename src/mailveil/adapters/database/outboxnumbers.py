"""Outbox numbers: events get the next numbers of their organisation, in the order in which they are committed.

Whoever takes a number holds the organisation's row until its transaction ends: once an event can be seen, every one of
a lower number can be seen, too. So take it last of all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.statements import insert
from mailveil.control.activityrecords import OutboxEntry


async def append_outbox(connection: AsyncConnection, entries: Sequence[OutboxEntry]) -> list[OutboxEntry]:
    """Write events down within a transaction; return them with their numbers, in the order of those."""
    by_organisation: dict[str, list[OutboxEntry]] = defaultdict(list)
    for each in entries:
        by_organisation[each.organisation].append(each)
    numbered: list[OutboxEntry] = []
    for organisation, its in sorted(by_organisation.items()):
        last = await _take(connection, organisation, len(its))
        first = last - len(its) + 1
        numbered += [replace(each, number=number) for number, each in enumerate(its, start=first)]
    if numbered:
        await connection.execute(sa.insert(tables.outbox), [_row(each) for each in numbered])
    return numbered


async def _take(connection: AsyncConnection, organisation: str, count: int) -> int:
    """Take so many numbers; return the last one."""
    columns = tables.outbox_numbers.c
    statement = insert(connection, tables.outbox_numbers).values(organisation=organisation, number=count)
    higher = statement.on_conflict_do_update(
        index_elements=["organisation"], set_={"number": columns.number + count}
    ).returning(columns.number)
    return int((await connection.execute(higher)).scalar_one())


def _row(entry: OutboxEntry) -> dict[str, object]:
    return {
        "organisation": entry.organisation,
        "number": entry.number,
        "identifier": entry.identifier,
        "at": entry.at,
        "kind": entry.kind,
        "subject": entry.subject,
        "record": dict(entry.record),
    }
