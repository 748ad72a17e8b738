"""A tracker that is recognised as one only later makes its first readers people of the activity, whatever happens.

Setup: an organisation's mail with a spy behind a picture, in SQLite and PostgreSQL, and a memory that thinks otherwise
after a while; then the real ``mailveil serve``.
Test: activity, people, messages and score stand within seconds as if it had been known at once; studied again, the same
comes out; races, crashes and flips count nothing twice, and nothing goes on for ever.
"""

from __future__ import annotations

import asyncio
import smtplib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from control_room import ControlRoomForTests, opened_room
from intelligence_room import DAY, HOUR, OURS, finance, mail, picture, quiet_weeks, settings, tracker
from mailveil.adapters.database import tables
from mailveil.adapters.database.revising import MAX_REVISIONS
from mailveil.app.controlling import opened_room as room_of
from mailveil.app.revising import RevisingLoop
from mailveil.control.activityrecords import ActivityQuery
from mailveil.control.records import Cut, Organisation
from mailveil.core.observation import Observation
from mailveil.core.verdicts.types import Finding, Kind, Risk, Verdict
from mailveil.ports import Reconsidered
from mailveil_room import mailveil_room
from postgres_room import DatabasePlace
from study_room import ACTOR, LATER, found_in, inhabit, rows_of, study_all

TRACKER = Verdict(Finding.TRACKER, 0.98, (Kind.OPEN,), risk=Risk.MEDIUM, log_odds=4.0)
CONTENT = Verdict(Finding.CONTENT, 0.03, log_odds=-4.0)


def in_the_room(place: DatabasePlace, steps: Callable[[ControlRoomForTests], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened_room(place) as room:
            await inhabit(room)
            await room.room.observations.add(list(quiet_weeks()))
            await study_all(room)
            await steps(room)

    asyncio.run(run())


def probe(number: int, *, known: bool) -> Observation:
    """Return a message whose picture is known for a tracker, or not yet."""
    as_tracker = tracker(f"px.{ACTOR}", key=f"k{number}")
    plain = replace(picture(f"px.{ACTOR}"), key=f"k{number}", template=as_tracker.template)
    reference = as_tracker if known else plain
    return mail(LATER + number * HOUR, ACTOR, finance(number), reference, text_characters=200)


class Mind:
    """A memory that thinks otherwise of some messages until it was told that this is known."""

    def __init__(self, *found: tuple[Observation, Verdict]) -> None:
        self.left = [
            Reconsidered((("default", seen.identifier),), {seen.references[0].key: verdict})
            for seen, verdict in found
        ]
        self.unsettled: list[Reconsidered] = []

    async def reconsidered(self, limit: int) -> Sequence[Reconsidered]:
        return self.left[:limit]

    async def settle(self, message: Reconsidered, *, recorded: bool) -> None:
        self.left.remove(message)
        if not recorded:
            self.unsettled.append(message)


async def revise(room: ControlRoomForTests, *found: tuple[Observation, Verdict]) -> Mind:
    mind: Any = Mind(*found)
    await RevisingLoop(room.room.studies, mind, room.clock, lambda: None).look()
    return mind  # type: ignore[no-any-return]


async def queued(room: ControlRoomForTests) -> int:
    return await room.room.studies.waiting("default", 100)


def activities_in(found: Mapping[str, Any]) -> dict[str, Any]:
    (activity,) = [each for each in found["activities"].values() if each["actor"] == ACTOR]
    return dict(activity)


def test_the_first_people_are_part_of_it_once_the_third_shows_what_it_is(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = [probe(0, known=False), probe(1, known=False), probe(2, known=True)]
        await room.room.observations.add(seen)
        await study_all(room)
        before = activities_in(await found_in(room))
        assert [each["person"] for each in before["targets"]] == [finance(2)]
        await revise(room, (seen[0], TRACKER), (seen[1], TRACKER))
        await study_all(room)
        found = await found_in(room)
        activity = activities_in(found)
        assert {each["person"] for each in activity["targets"]} == {finance(0), finance(1), finance(2)}
        assert [each["message"] for each in activity["probes"]] == [each.identifier for each in seen]
        assert activity["score"] > before["score"]
        assert set(found["messages"]) == {f"{activity['identifier']} {each.identifier}" for each in seen}
        assert found["people"] == {f"{activity['identifier']} {finance(number)}": 1 for number in range(3)}
        told = [each["kind"] for each in await rows_of(room, tables.outbox, "number")]
        assert told.count("alert.raised") == 1
        assert await room.room.studies.begin_again("default")
        await study_all(room)
        assert await found_in(room) == found
        assert [each["kind"] for each in await rows_of(room, tables.outbox, "number")] == told
        wanted = await room.room.infrastructure.wanted("default", LATER + 5 * HOUR, 10)
        assert f"px.{ACTOR}" in wanted

    in_the_room(database, steps)


def test_what_was_none_is_none_and_its_messages_are_its_no_more(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = [probe(number, known=True) for number in range(3)]
        await room.room.observations.add(seen)
        await study_all(room)
        await revise(room, (seen[1], CONTENT))
        await study_all(room)
        found = await found_in(room)
        activity = activities_in(found)
        assert {each["person"] for each in activity["targets"]} == {finance(0), finance(2)}
        assert set(found["messages"]) == {
            f"{activity['identifier']} {each.identifier}" for each in (seen[0], seen[2])
        }
        await revise(room, (seen[0], CONTENT), (seen[2], CONTENT))
        await study_all(room)
        found = await found_in(room)
        assert not found["messages"]
        assert not found["people"]
        assert activities_in(found)["score"] < 0.15
        assert await room.room.studies.begin_again("default")
        await study_all(room)
        again = await found_in(room)
        assert {name: again[name] for name in ("memos", "messages", "people", "alerts")} == {
            name: found[name] for name in ("memos", "messages", "people", "alerts")
        }

    in_the_room(database, steps)


def test_what_is_told_twice_or_by_two_is_queued_up_once(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = probe(0, known=False)
        await room.room.observations.add([seen])
        await study_all(room)
        await asyncio.gather(*(revise(room, (seen, TRACKER)) for _ in range(3)))
        assert await queued(room) == 1
        await study_all(room)
        await revise(room, (seen, TRACKER))  # as after a crash before the memory was told
        assert await queued(room) == 0

    in_the_room(database, steps)


def test_whoever_makes_the_judge_change_its_mind_without_end_is_not_followed(
    database: DatabasePlace,
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = probe(0, known=False)
        await room.room.observations.add([seen])
        await study_all(room)
        count = 0
        for number in range(4 * MAX_REVISIONS):
            mind = await revise(room, (seen, CONTENT if number % 2 else TRACKER))
            assert not mind.left
            count += await queued(room)
            await study_all(room)
        assert count == MAX_REVISIONS

    in_the_room(database, steps)


def test_a_message_that_is_not_on_record_yet_is_waited_for_and_one_that_goes_takes_its_revisions_along(
    database: DatabasePlace,
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = probe(0, known=False)
        mind = await revise(room, (seen, TRACKER))
        assert len(mind.unsettled) == 1
        await room.room.observations.add([seen])
        assert not (await revise(room, (seen, TRACKER))).unsettled
        assert await queued(room) == 2
        await study_all(room)
        assert await room.room.observations.erase("default", finance(0))
        assert await rows_of(room, tables.revisions) == []
        left = await rows_of(room, tables.studies, "number")
        assert not [each for each in left if each["kind"] == "revision"]

    in_the_room(database, steps)


def test_a_revision_of_a_message_that_is_gone_or_damaged_holds_nothing_up(
    database: DatabasePlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = [probe(number, known=False) for number in range(2)]
        await room.room.observations.add(seen)
        await study_all(room)
        await revise(room, *((each, TRACKER) for each in seen))
        async with room.database.write() as connection:
            records = tables.message_records
            await connection.execute(sa.delete(records).where(records.c.message == seen[0].identifier))
            await connection.execute(
                sa.update(records).where(records.c.message == seen[1].identifier).values(record=b"rust")
            )
        await study_all(room)
        assert await queued(room) == 0
        assert "cannot be read" in caplog.text

    in_the_room(database, steps)


SPY = "quietharbourledger.example"
PATIENCE_S = 90.0


def hidden(number: int) -> bytes:
    """Return a letter with pictures for everybody, and one to be seen whose address is another for each reader."""
    logos = "".join(
        f'<img src="https://www.{SPY}/images/logo{each}.png" width="40" height="40" alt="logo {each}">'
        for each in range(4)
    )
    photo = f"https://{SPY}/banner/{17926 + number:08x}ab9c81d7f0"
    return (
        f"From: Mara <mara@{SPY}>\r\nTo: <{finance(number)}>\r\nMessage-ID: <hidden.{number}@{SPY}>\r\n"
        "Subject: The harbour\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        "<p>Are you still in charge of this?</p>"
        f'<img src="{photo}" width="320" height="200" alt="x">{logos}\r\n'
    ).encode()


async def live_in(room: Any) -> None:
    await room.organisations.put(Organisation("default", "Here", (OURS,), "en", time.time()))
    for each in settings().people.values():
        await room.activities.mark("default", each, "anna", time.time())
    past = time.time() // DAY * DAY - 36 * DAY
    await room.observations.add(list(quiet_weeks(5, past)))


def test_first_readers_are_among_the_people_of_an_activity_in_the_whole_product() -> None:
    with mailveil_room({}, started=False) as room:

        def ask(question: Callable[[Any], Awaitable[Any]]) -> Any:
            async def steps() -> Any:
                async with room_of(room.settings) as control:
                    return await question(control)

            return asyncio.run(steps())

        def until(question: Callable[[], Any], what: str) -> Any:
            end = time.monotonic() + PATIENCE_S
            while not (found := question()):
                assert time.monotonic() < end, f"{what}\n{room.log()[-4000:]}"
                time.sleep(0.3)
            return found

        ask(live_in)
        room.start()
        until(lambda: ask(lambda each: each.studies.waiting("default", 10)) == 0, "weeks are not studied")
        with smtplib.SMTP("127.0.0.1", room.port) as client:
            for number in range(6):
                client.sendmail(f"bounce@{SPY}", [finance(number)], hidden(number))

        async def people(each: Any) -> set[str]:
            query = ActivityQuery(time.time(), least_score=0.0)
            page = await each.activities.activities("default", query, Cut(100))
            mine = [one.activity for one in page.items if one.activity.actor == SPY]
            return {target.person for activity in mine for target in activity.targets}

        everybody = {finance(number) for number in range(6)}
        until(lambda: ask(people) == everybody, f"the first readers are missing: {ask(people)}")
