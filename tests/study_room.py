"""Studying over a real database: an organisation's people and mail, and everything that studying wrote down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from control_room import ControlRoomForTests
from intelligence_room import DAY, HOUR, OURS, START, Studied, finance, mail, quiet_weeks, settings, tracker
from mailveil.adapters.database import tables
from mailveil.app.studying import StudyLoop
from mailveil.control.records import Organisation
from mailveil.core.observation import Observation

LATER = START + 40 * DAY
ACTOR = "evil.example"


def probes(count: int = 5, sender: str = ACTOR, start: float = LATER) -> Iterator[Observation]:
    """Give messages of a spy to finance, each to somebody else, an hour apart."""
    for number in range(count):
        yield mail(
            start + number * HOUR, sender, finance(number), tracker(f"px.{sender}"), text_characters=200
        )


def letters(weeks: int = 2) -> list[Observation]:
    """Return weeks of ordinary mail, and what a spy sends then; in the order of time."""
    return sorted((*quiet_weeks(weeks + 3), *probes()), key=lambda each: each.identifier)


async def inhabit(room: ControlRoomForTests) -> None:
    """Have the organisation ``default`` receive mail, and know its people."""
    await room.room.organisations.put(Organisation("default", "Here", (OURS,), "en", room.clock.now()))
    for each in settings().people.values():
        await room.room.activities.mark("default", each, "anna", room.clock.now())
    room.clock.moment = LATER + DAY


async def study_all(room: ControlRoomForTests) -> None:
    """Study all that waits."""
    while await StudyLoop(room.room).round():
        pass


async def rows_of(room: ControlRoomForTests, table: sa.Table, *order: str) -> list[dict[str, Any]]:
    """Return the rows of a table, in order."""
    async with room.database.read() as connection:
        question = sa.select(table).order_by(*(table.c[each] for each in order))
        return [dict(row._mapping) for row in await connection.execute(question)]


async def found_in(room: ControlRoomForTests) -> dict[str, dict[str, Any]]:
    """Return all that studying found and remembers, without when it was written."""
    memos = await rows_of(room, tables.memos, "key")
    activities = await rows_of(room, tables.activities, "identifier")
    return {
        "memos": {each["key"]: json.loads(each["memo"]) for each in memos},
        "activities": {each["identifier"]: each["record"] for each in activities if each["score"] >= 0},
        **{
            table.name: {
                each["identifier"]: each["record"] for each in await rows_of(room, table, "identifier")
            }
            for table in (tables.campaigns, tables.alerts)
        },
        "messages": {
            f"{each['activity']} {each['message']}": 1
            for each in await rows_of(room, tables.activity_messages, "activity", "message")
        },
        "people": {
            f"{each['activity']} {each['recipient']}": each["probes"]
            for each in await rows_of(room, tables.activity_people, "activity", "recipient")
        },
    }


def found_by(subjects: Iterable[Observation]) -> dict[str, dict[str, Any]]:
    """Return what studying the same in memory finds: memos, and activities, campaigns and alerts as they stand."""
    studied = Studied().take(subjects)
    found: dict[str, dict[str, Any]] = {"activities": {}, "campaigns": {}, "alerts": {}}
    for each in studied.findings:
        for name in found:
            found[name] |= {
                one.identifier: json.loads(json.dumps(one.record())) for one in getattr(each, name)
            }
    memos = {name: memo for name, memo in studied.book.changes().items() if memo is not None}
    return found | {"memos": json.loads(json.dumps(memos))}
