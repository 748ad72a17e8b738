"""Destinations, their progress and their dead letters, in both databases alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from control_room import NOW, ControlRoomForTests, opened_room
from mailveil.adapters.database import tables
from mailveil.adapters.database.sharing import SqlSharingStore
from mailveil.adapters.database.sharingsecrets import SharingSealer
from mailveil.control.activityrecords import OutboxEntry
from mailveil.control.records import Cut
from mailveil.control.sharingrecords import DeadLetter, Destination, DestinationKind, Standing
from mailveil.control.sharingstores import SharingStore
from mailveil.control.stores import ConflictError, CursorError
from mailveil.core.sharing.types import PeopleShared, TrafficLight
from postgres_room import DatabasePlace

FULL = Destination(
    identifier="d1",
    organisation="default",
    name="The SIEM",
    kind=DestinationKind.SYSLOG,
    address="tls://siem.example:6514",
    format="cef",
    events=("activity.opened", "alert.raised"),
    least_score=0.25,
    people=PeopleShared.PSEUDONYM,
    traffic_light=TrafficLight.AMBER_STRICT,
    options={"facility": "local3", "max_bytes": 4096},
    secret="the secret of d1",
    created_by="anna",
    created_at=NOW,
    changed_at=NOW,
)


def entry(number: int, organisation: str = "default", at: float = NOW) -> OutboxEntry:
    return OutboxEntry(organisation, f"e{number}", at, "alert.raised", f"s{number}", {"n": number})


def letter(number: int, **changes: Any) -> DeadLetter:
    made = DeadLetter(
        "d1", "default", number, NOW, NOW + 5, "alert.raised", f"s{number}", "no", {"n": 1}, f"e{number}"
    )
    return replace(made, **changes)


def store_of(room: ControlRoomForTests) -> SharingStore:
    assert room.room.sharing is not None
    return room.room.sharing


async def found(store: SharingStore, identifier: str = "d1") -> Destination:
    destination = await store.destination("default", identifier)
    assert destination is not None
    return destination


def test_a_destination_comes_back_as_it_was_put_and_its_secret_is_not_in_the_database(
    database: DatabasePlace,
) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store = store_of(room)
            await room.organisation("acme")
            await store.put_destination(FULL)
            assert await found(store) == FULL
            assert await store.destination("acme", "d1") is None
            assert await store.destinations("acme") == ()
            async with room.database.read() as connection:
                rows = (await connection.execute(sa.select(tables.destinations))).all()
            assert "the secret" not in repr(rows)
            with pytest.raises(ConflictError):
                await store.put_destination(replace(FULL, organisation="nowhere"))
            assert not await store.remove_destination("acme", "d1")
            assert await store.remove_destination("default", "d1")
            assert await store.destination("default", "d1") is None

    asyncio.run(steps())


def test_changing_a_destination_leaves_how_far_it_has_come(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store = store_of(room)
            await store.put_destination(FULL)
            assert await store.advance(await found(store), 7, 3, NOW + 9)
            await store.put_destination(replace(FULL, name="Renamed", options={}))
            now = await found(store)
            assert (now.name, now.options) == ("Renamed", {})
            assert (now.position, now.delivered, now.delivered_at) == (7, 3, NOW + 9)

    asyncio.run(steps())


def test_a_secret_that_does_not_open_is_told_and_stays_until_there_is_another(
    database: DatabasePlace,
) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store = store_of(room)
            await store.put_destination(FULL)
            other = SqlSharingStore(room.database, SharingSealer(bytes(32)))
            lost = await found(other)
            assert (lost.secret, lost.is_secret_lost) == ("", True)
            await other.put_destination(replace(lost, name="Renamed"))
            assert (await found(store)).secret == "the secret of d1", "the right key came back"
            await other.put_destination(replace(lost, secret="new", is_secret_lost=False))
            assert (await found(other)).secret == "new"
            # What is stored of one opens for no other.
            async with room.database.write() as connection:
                await connection.execute(sa.update(tables.destinations).values(identifier="d2"))
            assert (await found(other, "d2")).is_secret_lost

    asyncio.run(steps())


def test_whoever_was_overtaken_writes_no_progress(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store = store_of(room)
            await store.put_destination(FULL)
            early = await found(store)
            await store.rewind("default", "d1", 5)
            assert not await store.advance(early, 2, 2, NOW)
            assert not await store.put_off(early, 1, NOW + 9, "no")
            assert not await store.bury(early, letter(2))
            late = await found(store)
            assert (late.position, late.attempts, late.delivered, late.problem) == (5, 0, 0, "")
            assert (await store.dead_letters("default", "d1", Cut())).items == ()
            assert await store.put_off(late, 3, NOW + 60, "refused")
            late = await found(store)
            assert (late.attempts, late.next_try_at, late.problem) == (3, NOW + 60, "refused")
            assert await store.bury(late, letter(6))
            late = await found(store)
            assert (late.position, late.attempts, late.problem) == (6, 0, "")

    asyncio.run(steps())


def test_entries_come_in_order_and_of_one_organisation(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store = store_of(room)
            await room.organisation("acme")
            assert await store.last_number("default") == 0
            await store.append([entry(1), entry(2), entry(9, "acme")])
            await store.append([entry(3)])
            assert [each.number for each in await store.entries_after("default", 0, 10)] == [1, 2, 3]
            assert [each.identifier for each in await store.entries_after("default", 1, 1)] == ["e2"]
            assert [each.number for each in await store.entries_after("acme", 0, 10)] == [1]
            assert await store.last_number("default") == 3
            await store.put_destination(replace(FULL, position=1))
            await store.put_destination(replace(FULL, identifier="d2", name="off", is_enabled=False))
            (pulse,) = await store.pulse()
            assert (pulse.destination.identifier, pulse.last, pulse.has_retries) == ("d1", 3, False)
            assert await store.standings("default") == {"d1": Standing(2, 0), "d2": Standing(3, 0)}

    asyncio.run(steps())


def test_what_is_too_old_or_too_much_goes_and_whoever_misses_it_is_told(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store = store_of(room)
            await store.append([entry(each, at=NOW + each) for each in range(1, 11)])
            await store.put_destination(replace(FULL, position=2))
            await store.put_destination(replace(FULL, identifier="d2", name="b", position=9))
            assert await store.position_before("default", NOW + 4) == 3
            assert await store.position_before("default", NOW + 99) == 10
            assert await store.prune("default", NOW + 5, 100, NOW + 7) == 4
            assert await store.prune("default", NOW + 5, 100, NOW + 7) == 0
            behind, ahead = await found(store), await found(store, "d2")
            assert (behind.position, behind.missed) == (4, 2)
            assert (ahead.position, ahead.missed) == (9, 0)
            assert (behind.missed_at, ahead.missed_at) == (NOW + 7, 0.0)
            assert await store.prune("default", 0.0, 1, NOW + 8) == 5
            assert [each.number for each in await store.entries_after("default", 0, 10)] == [10]
            assert ((await found(store)).position, (await found(store)).missed) == (9, 7)
            await store.append([entry(11)])
            assert await store.last_number("default") == 11, "numbers are never given twice"

    asyncio.run(steps())


def test_dead_letters_are_listed_tried_again_and_forgotten(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store = store_of(room)
            await store.put_destination(FULL)
            for number in (1, 2, 5_000_000_000):
                assert await store.bury(await found(store), letter(number))
            first = await store.dead_letters("default", "d1", Cut(2))
            assert [each.number for each in first.items] == [5_000_000_000, 2]
            rest = await store.dead_letters("default", "d1", Cut(2, first.next))
            assert ([each.number for each in rest.items], rest.next) == ([1], "")
            assert await store.dead_letter("default", "d1", 1) == letter(1)
            with pytest.raises(CursorError):
                await store.dead_letters("default", "d1", Cut(2, "WyJ4Il0"))
            assert await store.retry("default", "d1", [2, 77], NOW + 1) == 1
            assert await store.retry("acme", "d1", [], NOW) == 0
            assert (await store.pulse())[0].has_retries
            (due,) = await store.to_retry("default", "d1", 10)
            assert (due.number, due.retry_at) == (2, NOW + 1)
            await store.bury_again(replace(due, retry_at=0.0, died_at=NOW + 8, problem="no again"))
            assert await store.to_retry("default", "d1", 10) == ()
            assert await store.retry("default", "d1", [], NOW) == 3
            assert await store.forget("default", "d1", [1]) == 1
            await store.bury_again(letter(1))
            assert await store.dead_letter("default", "d1", 1) is None, "what is gone stays gone"
            assert await store.forget("default", "d1", []) == 2

    asyncio.run(steps())


def test_a_lease_is_one_holders_until_it_ends(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            store = store_of(room)
            got = await asyncio.gather(*(store.lease("x", f"h{n}", NOW, NOW + 10) for n in range(4)))
            assert sum(got) == 1
            holder = f"h{got.index(True)}"
            assert await store.lease("x", holder, NOW + 5, NOW + 15), "renewed"
            assert not await store.lease("x", "other", NOW + 14, NOW + 24)
            await store.release("x", "other")
            assert not await store.lease("x", "other", NOW + 14, NOW + 24)
            assert await store.lease("x", "other", NOW + 15, NOW + 25), "it had ended"
            await store.release("x", "other")
            assert await store.lease("x", holder, NOW + 16, NOW + 26)
            assert await store.lease("y", "fast", NOW + 7_000, NOW + 7_010), "its clock is wrong"
            assert await store.lease("y", "other", NOW, NOW + 10), "and it is not waited for"

    asyncio.run(steps())
