"""Erasing: one person goes from all that studying found and remembers, and from what is shared; or is given out of it.

A record is any JSON object. Whatever is the person becomes empty, a row about them alone goes, and whatever names them
within a text (a URL, a template, a host, words) is replaced there. Crowds know people by short digests: those go, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.statements import delete_in_portions
from mailveil.adapters.database.writing import person_key
from mailveil.core.intelligence.memos import member
from mailveil.core.observation.privacy import is_pseudonym

SOMEBODY: Final = "*"  # in place of what names a person within a text
ROWS: Final = 2_000
PORTION: Final = 500
MAX_TOLD: Final = 10_000  # probes of one export
_RECORDS: Final = (
    (tables.activities, "record"),
    (tables.campaigns, "record"),
    (tables.alerts, "record"),
    (tables.outbox, "record"),
    (tables.dead_letters, "record"),
    (tables.shared_objects, "object"),
)


_NOTHING: Final = re.compile("(?!)")


def erase_from_record(record: Any, person: str, names: re.Pattern[str]) -> Any:
    """Return a record without a person. ``person`` is what records call them, ``names`` how they stand in texts."""
    mark = member(person)
    match record:
        case str():
            return "" if person_key(record) == person or record == mark else names.sub(SOMEBODY, record)
        case Mapping():
            return {
                names.sub(SOMEBODY, name): erase_from_record(each, person, names)
                for name, each in record.items()
            }
        case list() | tuple():
            # In a row each place has its meaning; a list of nothing but texts is one of names.
            are_names = all(isinstance(each, str) for each in record)
            kept = (each for each in record if not _is_about(each, person, mark, are_names=are_names))
            return [erase_from_record(each, person, names) for each in kept]
    return record


def _is_about(item: Any, person: str, mark: str, *, are_names: bool) -> bool:
    """Tell whether an item of a list is a person, or a row about them and nobody else."""
    match item:
        case str():
            return are_names and (person_key(item) == person or item == mark)
        case [str(first), *_]:
            return bool(first) and person_key(first) == person
        case {"person": str(its), "first_at": _}:
            return person_key(its) == person
    return False


class Erasing:
    """One transaction that takes a person out of everything. ``names`` is how they stand in texts."""

    def __init__(
        self, connection: AsyncConnection, organisation: str, person: str, names: re.Pattern[str]
    ) -> None:
        self._connection = connection
        self._organisation = organisation
        self._person = person
        # A name that is no address may be anybody's, or a word.
        self._names = names if "@" in person or is_pseudonym(person) else _NOTHING

    async def erase(self) -> int:
        """Take the person out; return how many records named them."""
        if not any(letter.isalnum() for letter in self._person):
            return 0
        count = 0
        for table, column in _RECORDS:
            count += await self._records(table, column)
        count += await self._memos()
        count += await self._notes()
        people, marked = tables.activity_people, tables.marked_people
        for table, mine in (
            (people, people.c.recipient == self._person),
            (marked, marked.c.person == self._person),
        ):
            its = (table.c.organisation == self._organisation) & mine
            count += await delete_in_portions(self._connection, table, its, ROWS)
        return count

    def _without(self, record: Any) -> Any:
        return erase_from_record(record, self._person, self._names)

    async def _records(self, table: sa.Table, column: str) -> int:
        keys = list(table.primary_key)
        question = sa.select(*keys, table.c[column].label("its_record")).where(
            table.c.organisation == self._organisation,
            _may_name(sa.cast(table.c[column], sa.Text), self._person),
        )
        count = 0
        for row in (await self._connection.execute(question)).all():
            left = self._without(row.its_record)
            if left == row.its_record:
                continue
            count += 1
            its = [key == row._mapping[key.name] for key in keys]
            await self._connection.execute(sa.update(table).where(*its).values({column: left}))
        return count

    async def _memos(self) -> int:
        """Take the person out of memos, a portion in memory at a time; a memo that is about them goes."""
        memos, before, count = tables.memos, "", 0
        mine = memos.c.organisation == self._organisation
        named = sa.or_(
            _may_name(memos.c.memo, self._person),
            _may_name(memos.c.key, self._person),
            memos.c.memo.like(f'%"{member(self._person)}"%'),
        )
        while True:
            question = (
                sa.select(memos.c.key, memos.c.memo)
                .where(mine, memos.c.key > before, named)
                .order_by(memos.c.key)
                .limit(PORTION)
            )
            rows = (await self._connection.execute(question)).all()
            for row in rows:
                count += await self._memo(row.key, row.memo)
            if len(rows) < PORTION:
                return count
            before = rows[-1].key

    async def _memo(self, key: str, memo: str) -> int:
        memos = tables.memos
        its = (memos.c.organisation == self._organisation) & (memos.c.key == key)
        if self._names.search(key):
            await self._connection.execute(sa.delete(memos).where(its))
            return 1
        known = json.loads(memo)
        left = self._without(known)
        if left == known:
            return 0
        text = json.dumps(left, separators=(",", ":"))
        await self._connection.execute(sa.update(memos).where(its).values(memo=text))
        return 1

    async def _notes(self) -> int:
        notes, count = tables.activity_notes, 0
        mine = notes.c.organisation == self._organisation
        question = sa.select(notes.c.identifier, notes.c.text).where(
            mine, _may_name(notes.c.text, self._person)
        )
        for row in (await self._connection.execute(question)).all():
            left = self._names.sub(SOMEBODY, row.text)
            if left != row.text:
                its = mine & (notes.c.identifier == row.identifier)
                await self._connection.execute(sa.update(notes).where(its).values(text=left))
                count += 1
        return count


def _may_name(text: Any, person: str) -> sa.ColumnElement[bool]:
    """Return what holds for every text that names a person, and for few others.

    Whatever may be written otherwise (a URL quotes it, JSON escapes it) may be anything here.
    """
    asked = "".join(letter if letter.isascii() and letter.isalnum() else "%" for letter in person)
    return sa.func.lower(text).like(f"%{re.sub('%+', '%', asked)}%")


# --- told -----------------------------------------------------------------------------------------------------


async def studied_of(
    connection: AsyncConnection, organisation: str, person: str
) -> dict[str, list[dict[str, Any]]]:
    """Return what was found of the watching of one person; of others it tells nothing."""
    people, activities = tables.activity_people.c, tables.activities.c
    question = (
        sa.select(activities.identifier, activities.actor, activities.score, activities.record)
        .join(
            tables.activity_people,
            (people.organisation == activities.organisation) & (people.activity == activities.identifier),
        )
        .where(people.organisation == organisation, people.recipient == person)
        .order_by(activities.identifier)
        .limit(MAX_TOLD)
    )
    found = [_told(row, person) for row in await connection.execute(question)]
    alerts, marked = tables.alerts, tables.marked_people
    asked = sa.select(alerts.c.record).where(
        alerts.c.organisation == organisation, _may_name(sa.cast(alerts.c.record, sa.Text), person)
    )
    told = [
        {name: each[name] for name in ("identifier", "at", "kind", "activity", "message", "sender_domain")}
        for each in await connection.scalars(asked)
        if person in map(person_key, each["people"])
    ]
    said = sa.select(marked.c.function, marked.c.is_high_value, marked.c.at).where(
        marked.c.organisation == organisation, marked.c.person == person
    )
    return {
        "activities": found,
        "alerts": told,
        "marked": [dict(row._mapping) for row in await connection.execute(said)],
    }


def _told(row: Any, person: str) -> dict[str, Any]:
    def mine(name: str) -> Sequence[dict[str, Any]]:
        return [each for each in row.record.get(name, ()) if person_key(each.get("person", "")) == person]

    return {
        "activity": row.identifier,
        "actor": row.actor,
        "score": row.score,
        "targets": mine("targets"),
        "probes": mine("probes"),
        "follow_ups": mine("follow_ups"),
    }
