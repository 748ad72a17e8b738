"""Study forgetting: of what studying found and remembers, people and subjects go as soon as they go from messages.

Scores stay, and how many people there were: what names somebody becomes empty, and rows of targets go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.studystates import hold_state
from mailveil.core.intelligence.types import DAY_S

PORTION: Final = 200


class StudyForgetting:
    """One transaction that forgets a portion. Whoever studies meanwhile is told, as soon as anything changes."""

    def __init__(self, connection: AsyncConnection, organisation: str, before: float) -> None:
        self._connection = connection
        self._organisation = organisation
        self._before = before
        self._is_held = False

    async def people(self) -> int:
        """Take people out of what has not changed since; return how many records that were."""
        alerts = tables.alerts
        named = sa.cast(alerts.c.record, sa.Text).not_like('%"people": []%')
        old = self._of(alerts, alerts.c.at < self._before, named)
        count = await self._activities()
        for row in await self._rows(sa.select(alerts.c.identifier, alerts.c.record).where(old)):
            await self._write(alerts, row.identifier, {"record": {**row.record, "people": []}})
            count += 1
        return count + await self._dossiers()

    async def _activities(self) -> int:
        """Take people out of activities; those of which ``activity_people`` tells still have some."""
        activities, people = tables.activities, tables.activity_people
        named = sa.select(people.c.activity).where(people.c.organisation == self._organisation)
        old = self._of(activities, activities.c.last_at < self._before, activities.c.identifier.in_(named))
        rows = await self._rows(sa.select(activities.c.identifier, activities.c.record).where(old))
        for row in rows:
            await self._write(activities, row.identifier, {"record": _nobody(row.record)})
            its = self._of(people, people.c.activity == row.identifier)
            await self._connection.execute(sa.delete(people).where(its))
        return len(rows)

    async def _dossiers(self) -> int:
        """Take people out of what is remembered of actors that were not met since."""
        memo = tables.memos.c.memo
        named = sa.and_(memo.like('%"targets":[%'), memo.not_like('%"targets":[]%'))
        rows = await self._rows(self._memos("activity", named))
        for row in rows:
            dossier = json.loads(row.memo)
            for name in ("timeline", "follow"):
                dossier[name] = [[*each[:2], "", *each[3:]] for each in dossier.get(name, ())]
            await self._write_memo(row.key, {**dossier, "targets": []})
        return len(rows)

    async def subjects(self) -> int:
        """Take subjects out of campaigns that have ended since; return how many records that were."""
        campaigns = tables.campaigns
        has_one = sa.cast(campaigns.c.record, sa.Text).not_like('%"subject": ""%')
        old = self._of(campaigns, campaigns.c.last_at < self._before, has_one)
        rows = await self._rows(sa.select(campaigns.c.identifier, campaigns.c.record).where(old))
        for row in rows:
            await self._write(campaigns, row.identifier, {"record": {**row.record, "subject": ""}})
        left = sa.func.replace(tables.memos.c.memo, '"subject":""', "")
        remembered = await self._rows(self._memos("campaigns", left.like('%"subject":"%')))
        for row in remembered:
            await self._write_memo(row.key, _without_subjects(json.loads(row.memo)))
        return len(rows) + len(remembered)

    def _of(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.organisation == self._organisation, *conditions)

    def _memos(self, kind: str, condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
        memos = tables.memos
        is_old = memos.c.touched_day < int(self._before // DAY_S)
        of_kind = sa.and_(memos.c.key >= f"{kind} ", memos.c.key < f"{kind}!")
        return sa.select(memos.c.key, memos.c.memo).where(self._of(memos, is_old, of_kind, condition))

    async def _rows(self, question: sa.Select[Any]) -> Sequence[Any]:
        rows: Sequence[Any] = (await self._connection.execute(question.limit(PORTION))).all()
        if not rows or self._is_held:
            return rows
        await hold_state(self._connection, self._organisation, new_generation=True)
        self._is_held = True
        # Whoever was writing until then may have changed them.
        anew: Sequence[Any] = (await self._connection.execute(question.limit(PORTION))).all()
        return anew

    async def _write(self, table: sa.Table, identifier: str, values: dict[str, Any]) -> None:
        its = self._of(table, table.c.identifier == identifier)
        await self._connection.execute(sa.update(table).where(its).values(values))

    async def _write_memo(self, key: str, memo: Any) -> None:
        its = self._of(tables.memos, tables.memos.c.key == key)
        text = json.dumps(memo, separators=(",", ":"))
        await self._connection.execute(sa.update(tables.memos).where(its).values(memo=text))


def _nobody(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return an activity's record without people."""
    told = {
        name: [{**each, "person": ""} for each in record.get(name, ())] for name in ("probes", "follow_ups")
    }
    return {**record, **told, "targets": []}


def _without_subjects(memo: Any) -> Any:
    match memo:
        case Mapping():
            return {name: "" if name == "subject" else _without_subjects(each) for name, each in memo.items()}
        case list():
            return [_without_subjects(each) for each in memo]
    return memo
