"""What people decide of activities is kept, told, learned from, audited, and a matter of rights."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from control_room import ControlRoomForTests, actor, opened_room
from intelligence_room import finance, quiet_weeks
from mailveil.adapters.database import tables
from mailveil.app.studying import StudyLoop
from mailveil.control import activities as use
from mailveil.control.access import ForbiddenError, Permission
from mailveil.control.activityrecords import ActivityFile, ActivityQuery
from mailveil.control.blocking import block_activity
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import Cut, MessageLine
from mailveil.control.stores import ConflictError
from mailveil.core.intelligence.types import (
    ActivityState,
    AnalystVerdict,
    Infrastructure,
    MarkedPerson,
    Nature,
    Role,
)
from mailveil.core.observation import RecordSettings
from mailveil.core.observation.privacy import PeopleKept
from mailveil.core.policy.types import Action
from postgres_room import DatabasePlace
from study_room import ACTOR, inhabit, probes, rows_of
from weekly_room import AFTER, DAY, MONDAY, activity, alerts, put_watchers

ANNA = actor("analyst")
ALL = Cut(100)
DECIDED = (AnalystVerdict.BENIGN, AnalystVerdict.CONFIRMED)


def with_activity(place: DatabasePlace, steps: Callable[[ControlRoomForTests, str], Awaitable[None]]) -> None:
    """Have an activity found, and do something with it."""

    async def run() -> None:
        async with opened_room(place) as room:
            await inhabit(room)
            await room.room.observations.add([*quiet_weeks(), *probes(3)])
            while await StudyLoop(room.room).round():
                pass
            page = await use.activities(room.room, ANNA, ActivityQuery(room.clock.now()), ALL)
            (file,) = page.items
            await steps(room, file.activity.identifier)

    asyncio.run(run())


async def told(room: ControlRoomForTests) -> list[str]:
    return [each["kind"] for each in await rows_of(room, tables.outbox, "number")]


def test_an_analyst_reads_all_of_an_activity(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        stores = room.room
        found = await use.activity(stores, ANNA, name)
        assert found.state is ActivityState.ACTIVE
        assert found.file.activity.actor == ACTOR
        assert {each.sender_domain for each in found.campaigns} == {ACTOR}
        assert [each.activity for each in found.alerts] == [name]
        page = await use.activity_messages(stores, ANNA, name, Cut(2))
        lines = [each for each in page.items if isinstance(each, MessageLine)]
        assert [each.sender_domain for each in lines] == [ACTOR, ACTOR]
        rest = await use.activity_messages(stores, ANNA, name, Cut(2, page.next))
        assert (len(rest.items), rest.next) == (1, "")
        assert await use.activities_of_messages(stores, ANNA, [lines[0].identifier]) == [name]
        told_by = [each.activity for each in (await use.alerts(stores, ANNA, ALL)).items]
        assert told_by == [name]
        bulk = await use.campaigns(stores, ANNA, ALL, nature=Nature.BULK)
        assert bulk.items
        assert ACTOR not in {each.sender_domain for each in bulk.items}

    with_activity(database, steps)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"state": ActivityState.ACTIVE}, 1),
        ({"state": ActivityState.QUIET}, 0),
        ({"state": ActivityState.CLOSED}, 0),
        ({"verdict": AnalystVerdict.OPEN}, 1),
        ({"verdict": AnalystVerdict.CONFIRMED}, 0),
        ({"least_score": 0.5}, 1),
        ({"least_score": 1.01}, 0),
        ({"person": f"  {finance(1).upper()} "}, 1),
        ({"person": "nobody@here.example"}, 0),
        ({"actor": ACTOR}, 1),
        ({"actor": "good.example"}, 0),
        ({"since": 1.0, "order": "last"}, 1),
        ({"since": 9e9, "order": "changed"}, 0),
    ],
)
def test_lists_are_narrowed(sqlite_database: DatabasePlace, query: dict[str, object], count: int) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        asked = ActivityQuery(room.clock.now(), **query)  # type: ignore[arg-type]
        assert len((await use.activities(room.room, ANNA, asked, ALL)).items) == count

    with_activity(sqlite_database, steps)


def test_states_in_lists_are_those_that_activities_have(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        async def listed() -> list[ActivityState]:
            now, found = room.clock.now(), []
            for state in ActivityState:
                page = await use.activities(room.room, ANNA, ActivityQuery(now, state=state), ALL)
                assert all(each.state(now) is state for each in page.items)
                found += [state for _ in page.items]
            return found

        assert await listed() == [ActivityState.ACTIVE]
        room.clock.advance(20 * 86_400)
        assert await listed() == [ActivityState.QUIET]
        room.clock.advance(80 * 86_400)
        assert await listed() == [ActivityState.CLOSED]
        room.clock.advance(-100 * 86_400)
        await use.close_activity(room.room, ANNA, name)
        assert await listed() == [ActivityState.CLOSED]
        await use.reopen_activity(room.room, ANNA, name)
        assert await listed() == [ActivityState.ACTIVE]
        await use.decide_activity(room.room, ANNA, name, AnalystVerdict.BENIGN)
        assert await listed() == [ActivityState.CLOSED]

    with_activity(database, steps)


@pytest.mark.parametrize("dealt_with", ["", "acknowledged", "closed", "confirmed", "noted", "alerted"])
def test_what_fell_below_the_floor_is_listed_only_where_somebody_dealt_with_it(
    database: DatabasePlace, dealt_with: str
) -> None:
    async def run() -> None:
        async with opened_room(database) as made:
            before, fallen = (
                activity("fallen", MONDAY, MONDAY + DAY, score, organisation="default")
                for score in (0.4, 0.149)
            )
            name, stores = before.identifier, made.room
            made.clock.moment = AFTER
            raised = [replace(alerts()[0], activity=name)] if dealt_with == "alerted" else []
            await put_watchers(made, [ActivityFile(before, AFTER)], raised)
            asked = ActivityQuery(made.clock.now())
            assert len((await use.activities(stores, ANNA, asked, ALL)).items) == 1
            match dealt_with:
                case "acknowledged":
                    await use.acknowledge_activity(stores, ANNA, name)
                case "closed":
                    await use.close_activity(stores, ANNA, name)
                case "confirmed":
                    await use.decide_activity(stores, ANNA, name, AnalystVerdict.CONFIRMED)
                case "noted":
                    await use.note_activity(stores, ANNA, name, "They called.")
            await put_watchers(made, [ActivityFile(fallen, AFTER)])
            listed = [each.activity.score for each in (await use.activities(stores, ANNA, asked, ALL)).items]
            assert listed == ([0.149] if dealt_with else [])
            assert (await use.activity_counts(stores, ANNA, asked))[None] == len(listed)
            assert (await use.activity(stores, ANNA, name)).file.activity.score == 0.149, "its page stays"

    asyncio.run(run())


def test_an_activity_goes_by_the_beginning_of_its_identifier_as_far_as_it_is_the_only_one(
    database: DatabasePlace,
) -> None:
    async def run() -> None:
        async with opened_room(database) as made:
            made.clock.moment = AFTER
            whole = {"one": "0a1b", "other": "0a1c", "merged": "0b", "longer": "0a1c5"}
            found = [
                activity(name, MONDAY, MONDAY + DAY, 0.9, organisation="default", identifier=identifier)
                for name, identifier in whole.items()
            ]
            await put_watchers(made, [ActivityFile(each, AFTER) for each in found])
            await put_watchers(made, [ActivityFile(replace(found[2], merged_into="0a1b"), AFTER)])

            async def named(beginning: str) -> str:
                return await use.named_activity(made.room, ANNA, beginning)

            assert await named("0a1b") == await named(" 0A1B ") == "0a1b"
            assert await named("0b") == "0a1b", "of one that was merged, the other"
            assert await named("0a1c") == "0a1c", "a whole one is meant, whatever else begins so"
            with pytest.raises(InvalidError, match="such as 0a1b and 0a1c"):
                await named("0a")
            for unknown in ("", "  ", "0a1b_", "%", "_a1b", "0a2"):
                with pytest.raises(MissingError):
                    await named(unknown)
            with pytest.raises(MissingError):
                await use.named_activity(made.room, replace(ANNA, organisation="acme", home="acme"), "0a1b")

    asyncio.run(run())


def test_how_many_stand_how_is_counted_as_it_is_listed_and_up_to_a_bound(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        async def counted(**asked: object) -> dict[str, int]:
            query = ActivityQuery(room.clock.now(), state=ActivityState.QUIET, **asked)  # type: ignore[arg-type]
            found = await use.activity_counts(room.room, ANNA, query)
            return {str(state or "all"): count for state, count in found.items()}

        assert await counted() == {"all": 1, "active": 1, "quiet": 0, "closed": 0}
        assert await counted(person=f" {finance(1).upper()}") == await counted()
        assert await counted(actor="good.example") == {"all": 0, "active": 0, "quiet": 0, "closed": 0}
        await use.close_activity(room.room, ANNA, name)
        assert await counted() == {"all": 1, "active": 0, "quiet": 0, "closed": 1}
        few = await room.room.activities.states("default", ActivityQuery(room.clock.now()), 0)
        assert set(few.values()) == {0}
        with pytest.raises(ForbiddenError):
            await use.activity_counts(room.room, actor("viewer"), ActivityQuery(room.clock.now()))
        other = await use.activity_counts(
            room.room, actor("analyst", "other"), ActivityQuery(room.clock.now())
        )
        assert set(other.values()) == {0}

    with_activity(database, steps)


def test_of_two_who_decide_at_once_neither_undoes_the_other(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        store, now = room.room.activities, room.clock.now()
        seen = (await use.activity(room.room, ANNA, name)).file
        await use.decide_activity(room.room, ANNA, name, AnalystVerdict.CONFIRMED)
        mine = replace(seen, acknowledged_by="ben", acknowledged_at=now, changed_at=now)
        await store.put_decisions(mine, before=seen)
        both = (await use.activity(room.room, ANNA, name)).file
        assert (both.verdict, both.acknowledged_by) == (AnalystVerdict.CONFIRMED, "ben")
        other = replace(seen, verdict=AnalystVerdict.BENIGN, decided_by="ben", decided_at=now, changed_at=now)
        with pytest.raises(ConflictError, match="somebody else"):
            await store.put_decisions(other, before=seen)
        assert (await use.activity(room.room, ANNA, name)).file.verdict is AnalystVerdict.CONFIRMED

    with_activity(database, steps)


def test_who_decides_from_what_was_seen_overwrites_nothing_at_all(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        store, now = room.room.activities, room.clock.now()
        seen = (await use.activity(room.room, ANNA, name)).file
        await use.acknowledge_activity(room.room, ANNA, name, seen=seen.revision)
        between = (await use.activity(room.room, ANNA, name)).file
        assert between.revision != seen.revision
        deciding = (
            lambda: use.decide_activity(room.room, ANNA, name, AnalystVerdict.BENIGN, seen=seen.revision),
            lambda: use.decide_activity(room.room, ANNA, name, AnalystVerdict.OPEN, seen=seen.revision),
            lambda: use.close_activity(room.room, ANNA, name, seen=seen.revision),
            lambda: use.reopen_activity(room.room, ANNA, name, seen=seen.revision),
            lambda: use.acknowledge_activity(room.room, ANNA, name, seen=seen.revision),
        )
        for decide in deciding:
            with pytest.raises(ConflictError, match="somebody else"):
                await decide()
        # Where another process writes between reading and writing, it is for the database to find out.
        mine = replace(seen, verdict=AnalystVerdict.BENIGN, decided_by="ben", decided_at=now, changed_at=now)
        with pytest.raises(ConflictError, match="somebody else"):
            await store.put_decisions(mine, before=seen, as_a_whole=True)
        assert (await use.activity(room.room, ANNA, name)).file == between
        closed = await use.close_activity(room.room, ANNA, name, seen=between.revision)
        assert closed.revision == (await use.activity(room.room, ANNA, name)).file.revision
        # What is found meanwhile is nobody's decision.
        grown = replace(closed.activity, last_at=closed.activity.last_at + 60)
        assert closed.with_activity(grown, now + 60).revision == closed.revision

    with_activity(database, steps)


def test_of_many_who_decide_at_the_same_instant_one_does(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        seen = (await use.activity(room.room, ANNA, name)).file.revision
        deciding = [
            *(use.decide_activity(room.room, ANNA, name, each, seen=seen) for each in DECIDED * 3),
            *(use.close_activity(room.room, ANNA, name, seen=seen) for _ in range(3)),
            *(use.acknowledge_activity(room.room, ANNA, name, seen=seen) for _ in range(3)),
        ]
        done = await asyncio.gather(*deciding, return_exceptions=True)
        assert sum(isinstance(each, ActivityFile) for each in done) == 1
        assert sum(isinstance(each, ConflictError) for each in done) == len(done) - 1

    with_activity(database, steps)


def test_what_is_decided_is_told_and_audited_and_learned_from(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        stores, before = room.room, len(await told(room))
        await use.acknowledge_activity(stores, ANNA, name)
        await use.close_activity(stores, ANNA, name)
        await use.reopen_activity(stores, ANNA, name)
        confirmed = await use.decide_activity(stores, ANNA, name, AnalystVerdict.CONFIRMED)
        assert (confirmed.decided_by, confirmed.acknowledged_by) == ("anna", "anna")
        assert (await told(room))[before:] == ["activity.closed", "activity.changed", "activity.decided"]
        await use.decide_activity(stores, ANNA, name, AnalystVerdict.CONFIRMED)  # nothing new
        assert await stores.studies.waiting("default", 10) == 1
        score = confirmed.activity.score
        await StudyLoop(stores).round()
        assert (await use.activity(stores, ANNA, name)).file.activity.score >= score
        taken_back = await use.decide_activity(stores, ANNA, name, AnalystVerdict.OPEN)
        assert (taken_back.decided_by, taken_back.decided_at) == ("", 0.0)
        dismissed = await use.decide_activity(stores, ANNA, name, AnalystVerdict.BENIGN)
        assert dismissed.state(room.clock.now()) is ActivityState.CLOSED
        with pytest.raises(InvalidError, match="take that verdict back"):
            await use.reopen_activity(stores, ANNA, name)
        actions = [each.action for each in await room.audit_trail()]
        assert sorted(actions) == [
            "activity.acknowledge", "activity.close", *["activity.decide"] * 3, "activity.reopen",
        ]  # fmt: skip

    with_activity(database, steps)


def test_notes_are_cleaned_bounded_and_kept(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        await use.note_activity(room.room, ANNA, name, "They called, too.\n\x1b[2J\u202eAsk Bea.")
        for wrong in ("", " \n\x00", "x" * 4_001):
            with pytest.raises(InvalidError):
                await use.note_activity(room.room, ANNA, name, wrong)
        (note,) = (await use.activity(room.room, ANNA, name)).notes
        assert (note.by, note.text) == ("anna", "They called, too.\n [2J Ask Bea.")
        exported = await use.export_activity(room.room, ANNA, name)
        assert exported["notes"][0]["text"] == note.text
        assert len(exported["messages"]) == 3
        assert exported["activity"]["actor"] == ACTOR

    with_activity(database, steps)


def test_what_is_not_there_or_of_others_is_missing(sqlite_database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        await room.organisation("acme")
        for who, what in ((ANNA, "nothing"), (actor("analyst", "acme"), name)):
            for deed in (
                use.activity, use.acknowledge_activity, use.close_activity, use.reopen_activity, use.export_activity,
            ):  # fmt: skip
                with pytest.raises(MissingError):
                    await deed(room.room, who, what)
            with pytest.raises(MissingError):
                await use.note_activity(room.room, who, what, "x")

    with_activity(sqlite_database, steps)


def test_rights_are_asked_for(sqlite_database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        stores, viewer = room.room, actor("viewer")
        reader = actor(permissions=[Permission.ACTIVITIES_READ])
        query = ActivityQuery(room.clock.now())
        deeds = [
            lambda who: use.activities(stores, who, query, ALL),
            lambda who: use.activity(stores, who, name),
            lambda who: use.alerts(stores, who, ALL),
            lambda who: use.campaigns(stores, who, ALL),
            lambda who: use.marked_people(stores, who),
            lambda who: use.export_activity(stores, who, name),
            lambda who: use.activities_of_messages(stores, who, [name]),
        ]
        changes = [
            lambda who: use.activity_messages(stores, who, name, ALL),
            lambda who: use.acknowledge_activity(stores, who, name),
            lambda who: use.close_activity(stores, who, name),
            lambda who: use.reopen_activity(stores, who, name),
            lambda who: use.decide_activity(stores, who, name, AnalystVerdict.BENIGN),
            lambda who: use.note_activity(stores, who, name, "x"),
            lambda who: use.mark_person(stores, who, "a@here.example", function="it"),
            lambda who: use.recompute(stores, who),
            lambda who: block_activity(stores, who, name),
        ]
        for deed in (*deeds, *changes):
            with pytest.raises(ForbiddenError):
                await deed(viewer)
        for change in changes:
            with pytest.raises(ForbiddenError):
                await change(reader)
        for deed in deeds:
            await deed(reader)

    with_activity(sqlite_database, steps)


def test_people_are_marked_by_what_records_call_them(sqlite_database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        stores = replace(room.room, privacy=RecordSettings(key=b"k" * 32, recipients=PeopleKept.PSEUDONYM))
        before = len(await use.marked_people(stores, ANNA))
        made = await use.mark_person(stores, ANNA, " Zoe@here.example", function="  Board\tof us ")
        assert (made.function, made.is_high_value) == ("Board of us", False)
        assert made.person.startswith("person-")
        assert made in await use.marked_people(stores, ANNA)
        again = await use.mark_person(stores, ANNA, "yan@here.example", function="BOARD OF us")
        assert again.function == "Board of us", "scoring counts those who have one function"
        await use.mark_person(stores, ANNA, "yan@here.example")
        alone = await use.mark_person(stores, ANNA, "zoe@here.example", function="board of us")
        assert alone.function == "board of us", "nobody else has it, so that it can be written anew"
        assert "zoe" not in str(await room.audit_trail(action="person.mark")).lower()
        await use.mark_person(stores, ANNA, "zoe@here.example")
        assert len(await use.marked_people(stores, ANNA)) == before
        for wrong in ("", "a b@here.example", "zoe", "@here.example", "zoe@", f"{'x' * 320}@here.example"):
            with pytest.raises(InvalidError):
                await use.mark_person(stores, ANNA, wrong, function="it")
        with pytest.raises(InvalidError):
            await use.mark_person(stores, ANNA, "zoe@here.example", function="x" * 61)

    with_activity(sqlite_database, steps)


def test_a_spy_is_blocked_by_rules_against_what_is_its_own(sqlite_database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        chief = actor()
        blocked = await block_activity(room.room, chief, name)
        assert blocked.sender_domains == (f".{ACTOR}",)
        assert f".{ACTOR}" in blocked.hosts
        rules = {each.identifier: each for each in blocked.policy.document.rules}
        assert all(each.then.action is Action.REMOVE for each in rules.values())
        again = await block_activity(room.room, chief, name)
        assert again.policy.version == blocked.policy.version
        assert (await room.audit_trail(action="policy.change"))[0].details["total"] >= 2

    with_activity(sqlite_database, steps)


def test_a_domain_that_may_be_forged_is_blocked_once_somebody_confirmed(
    sqlite_database: DatabasePlace,
) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        found = (await use.activity(room.room, ANNA, name)).file.activity
        names = (Infrastructure(Role.SENDER_DOMAIN, "innocent.example", 0.0, 0.0),)
        claimed = ("innocent.example",)

        async def change(**changes: Any) -> None:
            record = replace(found, **changes).record()
            async with room.database.write() as connection:
                await connection.execute(tables.activities.update().values(record=record))

        await change(infrastructure=(*names, *found.infrastructure), claimed_domains=claimed)
        blocked = await block_activity(room.room, actor(), name)
        assert blocked.sender_domains == (f".{ACTOR}",)
        assert blocked.unproven == claimed
        assert "innocent.example" in blocked.left_out
        assert "confirm the activity first" in blocked.left_out
        assert not any("innocent" in str(each) for each in blocked.policy.document.rules)

        await change(infrastructure=names, claimed_domains=claimed)
        with pytest.raises(InvalidError, match="confirm the activity first"):
            await block_activity(room.room, actor(), name)

        await use.decide_activity(room.room, ANNA, name, AnalystVerdict.CONFIRMED)
        blocked = await block_activity(room.room, actor(), name)
        assert blocked.sender_domains == (".innocent.example",)
        assert (blocked.unproven, blocked.left_out) == ((), "")

    with_activity(sqlite_database, steps)


def test_a_forged_name_that_looks_like_ours_is_blocked_at_once(sqlite_database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        imitation = "contoso-invoices.example"
        (ours,) = await room.room.organisations.organisations()
        await room.room.organisations.put(replace(ours, domains=("contoso.example",)))
        found = (await use.activity(room.room, ANNA, name)).file.activity
        record = replace(
            found,
            infrastructure=(Infrastructure(Role.SENDER_DOMAIN, imitation, 0.0, 0.0),),
            claimed_domains=(imitation,),
        ).record()
        async with room.database.write() as connection:
            await connection.execute(tables.activities.update().values(record=record))
        blocked = await block_activity(room.room, actor(), name)
        assert blocked.sender_domains == (f".{imitation}",)

    with_activity(sqlite_database, steps)


def test_what_serves_everybody_is_not_blocked(sqlite_database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        file = (await use.activity(room.room, ANNA, name)).file
        common = tuple(
            Infrastructure(role, value, 0.0, 0.0, shared=shared)
            for role, value, shared in (
                (Role.SENDER_DOMAIN, "gmail.com", True),
                (Role.SENDER_DOMAIN, "here.example", False),
                (Role.SENDER_DOMAIN, "co.uk", False),
                (Role.TRACKER_HOST, "px.*.example", False),
            )
        )
        record = replace(file.activity, infrastructure=common).record()
        async with room.database.write() as connection:
            await connection.execute(tables.activities.update().values(record=record))
        with pytest.raises(InvalidError, match="serves others"):
            await block_activity(room.room, actor(), name)

    with_activity(sqlite_database, steps)


def test_people_weigh_as_they_are_marked_once_all_is_studied_again(sqlite_database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests, name: str) -> None:
        before = (await use.activity(room.room, ANNA, name)).file.activity
        for number in range(3):
            await room.room.activities.mark(
                "default", MarkedPerson(finance(number), "finance", True), "anna", room.clock.now()
            )
        assert await use.recompute(room.room, ANNA) > 200
        while await StudyLoop(room.room).round():
            pass
        after = (await use.activity(room.room, ANNA, name)).file.activity
        assert all(each.is_high_value for each in after.targets)
        assert after.score > before.score

    with_activity(sqlite_database, steps)
