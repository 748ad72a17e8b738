"""Revising in the database: verdicts that the judge changed after a message was written down become something to study.

The record of the message stays as it went on. What stands in ``revisions`` is enough to study a message in the same
order again with the same result, whatever the judge remembers by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.infrastructure import want
from mailveil.adapters.database.studystates import LAST_PLACE, hold_state
from mailveil.adapters.database.writing import unpacked
from mailveil.core.intelligence.revisions import Judgement, Revision, as_judged, judgement, judgement_of
from mailveil.core.observation import Observation, observation_identifier, told_anew
from mailveil.core.verdicts.types import Verdict

REVISION: Final = "revision"  # what such a subject is called among those to be studied
#: Of one message: whoever makes the judge change its mind without end is not followed.
MAX_REVISIONS: Final = 8

Judgements = dict[str, Judgement]


async def revise(
    database: Database, organisation: str, message: str, verdicts: Mapping[str, Verdict], now: float
) -> bool:
    """Queue a message up whose verdicts are these by now, by key, if it was studied with others.

    Returns whether the message is on record. Raises ``UnavailableError``.
    """
    columns = tables.message_records.c
    question = sa.select(columns.record).where(
        columns.organisation == organisation, columns.message == message
    )
    async with database.read() as connection:
        record = (await connection.execute(question)).scalar_one_or_none()
    if record is None:
        return False
    try:
        seen = await asyncio.to_thread(unpacked, record)
    except Exception:  # the disk may have done anything to it; it is told of where it is studied
        return True
    try:
        async with database.write() as connection:
            await hold_state(connection, organisation)  # one does so after the other
            await _revise(connection, seen, verdicts, now)
    except IntegrityError:
        return False  # the organisation has gone meanwhile
    return True


async def _revise(
    connection: AsyncConnection, seen: Observation, verdicts: Mapping[str, Verdict], now: float
) -> None:
    revisions, this = tables.revisions, (seen.organisation, seen.identifier)
    latest = (
        sa.select(revisions.c.number, revisions.c.record)
        .where(revisions.c.organisation == this[0], revisions.c.message == this[1])
        .order_by(revisions.c.number.desc())
        .limit(1)
    )
    last = (await connection.execute(latest)).first()
    number = last.number + 1 if last else 1
    before = _judgements(last.record["after"]) if last else {}
    after = dict(before)
    for each in seen.references:
        if each.key in verdicts:
            told = judgement(told_anew(each, verdicts[each.key]))
            if "*" in each.domain and each.operator:  # as it is veiled on record
                told = replace(told, operator=each.operator)
            if told.essence != before.get(each.key, judgement(each)).essence:
                after[each.key] = told
    if after == before or number > MAX_REVISIONS:
        return
    at = max(now, seen.at + 0.001)  # behind the message, whatever the clocks say
    identifier = observation_identifier(at, f"{REVISION} {number} {seen.identifier}", seen.organisation)
    await connection.execute(
        sa.insert(revisions).values(
            organisation=seen.organisation,
            identifier=identifier,
            message=seen.identifier,
            number=number,
            at=at,
            record={"before": _records(before), "after": _records(after)},
        )
    )
    await connection.execute(
        sa.insert(tables.unstudied).values(
            organisation=seen.organisation, identifier=identifier, kind=REVISION, place=LAST_PLACE
        )
    )
    await want(connection, [as_judged(seen, after)])


async def revisions_by_identifier(
    connection: AsyncConnection, organisation: str, identifiers: list[str]
) -> list[Any]:
    """Return revisions as rows, with the records of their messages; those whose message is gone are not there."""
    revisions, records = tables.revisions.c, tables.message_records.c
    question = sa.select(
        revisions.identifier, revisions.at, revisions.record.label("judged"), records.record
    ).where(
        revisions.organisation == organisation,
        revisions.identifier.in_(identifiers),
        records.organisation == organisation,
        records.message == revisions.message,
    )
    return list(await connection.execute(question))


def revision_of(row: Any, organisation: str) -> Revision:
    """Return the revision in such a row. Raises whatever a damaged record raises."""
    seen = unpacked(row.record)
    before, after = _judgements(row.judged["before"]), _judgements(row.judged["after"])
    return Revision(row.identifier, organisation, row.at, seen, before, after)


def _judgements(records: Mapping[str, Mapping[str, Any]]) -> Judgements:
    return {key: judgement_of(each) for key, each in records.items()}


def _records(judgements: Judgements) -> dict[str, Any]:
    return {key: each.record() for key, each in sorted(judgements.items())}
