"""Somebody who is erased is nowhere any more, whatever had named them and however; others stay.

Setup: a person is planted in every table, in clear, quoted, within hosts and URLs, and as a member of crowds.
Test: after erasing not a trace is in the database, and what was found of others is as it was.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from control_room import ControlRoomForTests, actor, opened_room
from intelligence_room import HOUR, mail, quiet_weeks, tracker
from mailveil.adapters.database import tables
from mailveil.adapters.database.activities import SqlActivityStore
from mailveil.adapters.database.erasing import erase_from_record
from mailveil.app.studying import StudyLoop
from mailveil.control.activityrecords import ActivityNote, ActivityQuery, OutboxEntry
from mailveil.control.people import erase_person, export_person
from mailveil.control.records import Cut
from mailveil.control.stores import ConflictError
from mailveil.core.intelligence.memos import member
from mailveil.core.intelligence.types import Alert, AlertKind, MarkedPerson
from postgres_room import DatabasePlace
from study_room import ACTOR, LATER, inhabit, probes, rows_of

ZOE = "zoë+lists@here.example"
BOB = "person16@here.example"
WRITTEN = (ZOE, "zoë+lists=here.example", "zo%C3%AB%2Blists%40here.example", ZOE.upper(), member(ZOE))
LEFT_ALONE = {"audit"}


def everything(text: str) -> list[str]:
    """Return which forms of the person are in a text."""
    folded = text.lower()
    forms = {each.lower() for each in WRITTEN} | {json.dumps(ZOE)[1:-1], json.dumps(WRITTEN[1])[1:-1]}
    return [each for each in sorted(forms) if each in folded]


async def traces(room: ControlRoomForTests) -> dict[str, list[str]]:
    """Return in which tables there is a trace of the person, and which."""
    found: dict[str, list[str]] = {}
    for table in tables.metadata.sorted_tables:
        if table.name in LEFT_ALONE:
            continue
        async with room.database.read() as connection:
            rows = [tuple(row) for row in await connection.execute(sa.select(table))]
        text = "\n".join(
            each.hex() if isinstance(each, bytes) else json.dumps(each, ensure_ascii=False, default=str)
            for row in rows
            for each in row
        )
        if these := everything(text):
            found[table.name] = these
    return found


async def plant(room: ControlRoomForTests) -> None:
    """Have a spy watch a person and others, and write the person into whatever may hold them."""
    await inhabit(room)
    stores, now = room.room, room.clock.now()
    watched = [
        mail(LATER + number * HOUR, ACTOR, to, tracker(f"px.{ACTOR}"), text_characters=200)
        for number, to in enumerate((ZOE, (ZOE, BOB), ZOE), -3)
    ]
    await stores.activities.mark("default", MarkedPerson(ZOE, "finance", True), "anna", now)
    await stores.observations.add([*quiet_weeks(), *probes(3), *watched])
    while await StudyLoop(stores).round():
        pass
    query = ActivityQuery(now)
    (file,) = (await stores.activities.activities("default", query, Cut())).items
    name = file.activity.identifier
    await stores.activities.add_note(ActivityNote("n", "default", name, now, "anna", f"{WRITTEN[3]} called"))
    assert stores.sharing is not None
    url = f"https://{WRITTEN[1]}.spy.example/{WRITTEN[2]}?to={ZOE}"
    planted = {"deep": [[ZOE, 1], {"url": url, ZOE: [ZOE, "x"]}], "words": f"to {ZOE}, and others"}
    await stores.sharing.append([OutboxEntry("default", "e", now, "test", "s", planted)])
    row: dict[str, Any] = {"organisation": "default"}
    alert = Alert(
        f"{int(now * 1000):012x}{'0' * 20}", "default", now, AlertKind.FOLLOW_UP, name, "m", "mail again",
        0.9, ACTOR, (ZOE, BOB), LATER,
    )  # fmt: skip
    told = {
        "identifier": alert.identifier,
        "at": now,
        "kind": str(alert.kind),
        "activity": name,
        "message": "m",
    }
    async with room.database.write() as connection:
        await connection.execute(tables.alerts.insert().values(row | told | {"record": alert.record()}))
        letter = {
            "destination": "d", "number": 1, "at": now, "died_at": now, "kind": "test", "subject": "s",
            "identifier": "e", "record": planted, "problem": "", "retry_at": 0.0,
        }  # fmt: skip
        shared = {
            "collection": "c", "identifier": "i", "version": "1", "added_at": 1, "kind": "note", "object": planted,
            "subject": "s",
        }  # fmt: skip
        await connection.execute(tables.dead_letters.insert().values(row | letter))
        await connection.execute(tables.shared_objects.insert().values(row | shared))
        memos = ({"k": planted, "crowd": [member(ZOE), member(BOB)]}, {"about": 1})
        for key, memo in zip(("planted", f"sender {ZOE}"), memos, strict=True):
            await connection.execute(
                tables.memos.insert().values(row | {"key": key, "memo": json.dumps(memo), "touched_day": 1})
            )


def test_not_a_trace_is_left_of_somebody_who_was_erased(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await plant(room)
            before = await traces(room)
            assert {
                "activities", "activity_people", "activity_notes", "alerts", "outbox", "dead_letters",
                "shared_objects", "memos", "marked_people",
            } <= set(before)  # fmt: skip
            erased = await erase_person(room.room, actor(), ZOE)
            assert erased.records > 10
            assert await traces(room) == {}
            store = SqlActivityStore(room.database)
            (file,) = (await store.activities("default", ActivityQuery(room.clock.now()), Cut())).items
            named = {each.person for each in file.activity.targets}
            assert BOB in named
            assert len(file.activity.probes) == 7
            shown = await store.activities("default", ActivityQuery(room.clock.now(), person=BOB), Cut())
            assert len(shown.items) == 1
            (memo,) = [each for each in await rows_of(room, tables.memos) if each["key"] == "planted"]
            assert json.loads(memo["memo"])["crowd"] == [member(BOB)]
            assert (await erase_person(room.room, actor(), ZOE)).records == 0

    asyncio.run(steps())


def test_what_was_being_studied_meanwhile_is_not_written_down(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await inhabit(room)
            stores = room.room
            await stores.observations.add(
                [mail(LATER, ACTOR, (ZOE, BOB), tracker("px.evil.example")), *probes(2)]
            )

            class Slow:
                """A store that is told to write only after somebody was erased."""

                def __getattr__(self, name: str) -> Any:
                    return getattr(stores.studies, name)

                async def write(self, organisation: str, studied: Any) -> None:
                    await erase_person(stores, actor(), ZOE)
                    with pytest.raises(ConflictError):
                        await stores.studies.write(organisation, studied)
                    raise ConflictError

            slow: Any = Slow()
            await StudyLoop(replace(stores, studies=slow)).round()
            assert await traces(room) == {}
            await StudyLoop(stores).round()
            assert await traces(room) == {}

    asyncio.run(steps())


def test_what_was_found_is_exported_without_others(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await plant(room)
            records = (await export_person(room.room, actor(), ZOE)).records
            (activity,) = records["activities"]
            assert activity["actor"] == ACTOR
            assert len(activity["probes"]) == 3
            assert [each["is_high_value"] for each in records["marked"]] == [True]
            text = json.dumps({name: records[name] for name in ("activities", "alerts", "marked")})
            assert "person" in text
            assert not re.search(r"person\d+@", text)

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("record", "left"),
    [
        ({"person": "ann@a.example", "at": 1}, {"person": "", "at": 1}),
        ([{"person": "ann@a.example", "first_at": 1}, {"person": "b@a.example", "first_at": 1}], [
            {"person": "b@a.example", "first_at": 1}
        ]),
        (["ann@a.example", "b@a.example"], ["b@a.example"]),
        ([["ann@a.example", 1, 2], ["b@a.example", 1, 2]], [["b@a.example", 1, 2]]),
        ([[1.0, "m", "ann@a.example", "d"]], [[1.0, "m", "", "d"]]),
        ({"u": "https://x.example/?to=ann@a.example&c=d"}, {"u": "https://x.example/?to=*&c=d"}),
        ({"crowd": [member("ann@a.example"), "00000000"]}, {"crowd": ["00000000"]}),
        ({"n": 1, "f": 0.5, "b": True, "x": None}, {"n": 1, "f": 0.5, "b": True, "x": None}),
    ],
)  # fmt: skip
def test_a_record_without_a_person(record: Any, left: Any) -> None:
    assert erase_from_record(record, "ann@a.example", re.compile(r"ann@a\.example")) == left


def test_people_and_subjects_go_from_what_was_found_when_they_go_from_messages(
    database: DatabasePlace,
) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await plant(room)
            stores, end = room.room, LATER + 30 * 86_400

            async def texts(*names: str) -> str:
                rows = [await rows_of(room, tables.metadata.tables[each]) for each in names]
                return json.dumps(rows)

            assert await stores.observations.expire("default", "recipients", LATER - 100 * 86_400) == 0
            assert "person16@" in await texts("activities", "alerts", "activity_people", "memos")
            while await stores.observations.expire("default", "recipients", end):
                pass
            found = await texts("activities", "alerts", "activity_people")
            assert "@" not in found
            dossiers = [
                each["memo"]
                for each in await rows_of(room, tables.memos)
                if each["key"].startswith("activity ")
            ]
            assert dossiers
            assert "@here" not in "".join(dossiers)
            (file,) = (await stores.activities.activities("default", ActivityQuery(end), Cut())).items
            assert file.activity.total_people > 3
            later = mail(end, ACTOR, BOB, tracker(f"px.{ACTOR}"), text_characters=200)
            await stores.observations.add([later])
            await StudyLoop(stores).round()
            (file,) = (await stores.activities.activities("default", ActivityQuery(end), Cut())).items
            assert {each.person for each in file.activity.targets} == {BOB}

    asyncio.run(steps())


def test_subjects_go_from_campaigns(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await inhabit(room)
            stores = room.room
            await stores.observations.add([replace(each, subject="Dear Zoe") for each in quiet_weeks(2)])
            await StudyLoop(stores).round()
            assert "Dear Zoe" in json.dumps(await rows_of(room, tables.campaigns))
            assert "Dear Zoe" in json.dumps(await rows_of(room, tables.memos))
            while await stores.observations.expire("default", "subjects", LATER):
                pass
            for table in (tables.campaigns, tables.memos, tables.messages):
                named = [row for row in await rows_of(room, table) if "Dear Zoe" in json.dumps(row)]
                assert not named, table.name

    asyncio.run(steps())
