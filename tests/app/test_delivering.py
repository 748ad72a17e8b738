"""Delivery: at least once and in order, whatever a destination does, and none that costs another one anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from control_room import NOW, ControlRoomForTests, actor, opened_room
from mailveil.app.delivering import MAX_ATTEMPTS, pause_s
from mailveil.control.records import Cut
from mailveil.control.sharing import replay, retry_dead, rotate_secret
from mailveil.control.sharingrecords import Destination, DestinationKind
from mailveil.core.sharing.types import PeopleShared, SharedEvent
from mailveil.ports import DeliveryError, Publisher
from postgres_room import DatabasePlace
from sharing_room import (
    PERSON,
    Received,
    Reply,
    Tallied,
    delivering,
    destinations_at_work,
    found,
    maker,
    store_of,
    tell,
    until,
    webhook,
)


def numbers(received: Sequence[Received]) -> list[int]:
    """Return the numbers of the events that came, in order."""
    return [json.loads(each.body)["data"]["number"] for each in received]


async def is_at(room: ControlRoomForTests, destination: Destination, position: int) -> bool:
    return (await found(room, destination.identifier)).position == position


async def dead(room: ControlRoomForTests, destination: Destination) -> list[int]:
    page = await store_of(room).dead_letters("default", destination.identifier, Cut(100))
    return sorted(each.number for each in page.items)


def test_events_come_in_order_and_name_nobody(database: DatabasePlace, tmp_path: Path) -> None:
    async def steps() -> None:
        async with opened_room(database) as room, destinations_at_work() as there:
            await tell(room, range(1, 121))
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/hook")
            tally = Tallied()
            async with delivering(room, maker(tmp_path), tally=tally):
                await until(lambda: is_at(room, hook, 120))
                await tell(room, [121, 122])
                await until(lambda: is_at(room, hook, 122))
            assert numbers(there.received) == list(range(1, 123))
            after = await found(room, hook.identifier)
            assert (after.delivered, after.delivered_at, after.problem) == (122, NOW, "")
            assert tally.taken == {"webhook": 122}
            for each in there.received:
                assert PERSON.encode() not in each.body
                assert b"ann.reader" not in each.body

    asyncio.run(steps())


def test_one_that_is_dead_and_one_that_drips_cost_a_third_nothing(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    never = asyncio.Event

    async def steps() -> None:
        held = never()

        async def answer(received: Received) -> Reply:
            if received.path == "/drip":
                await held.wait()
            return 204, {}, b""

        async with opened_room(sqlite_database) as room, destinations_at_work(answer=answer) as there:
            await tell(room, range(1, 201))
            base = f"http://127.0.0.1:{there.port}"
            gone = await webhook(room, "http://127.0.0.1:9/refused", "dead")
            slow = await webhook(room, f"{base}/drip", "slow drip")
            fine = await webhook(room, f"{base}/fine", "fine")
            async with delivering(room, maker(tmp_path)):
                await until(lambda: is_at(room, fine, 200))
                problem = (await found(room, gone.identifier)).problem
                assert "refused" in problem
                assert (await found(room, gone.identifier)).position == 0
                assert (await found(room, slow.identifier)).position == 0
                held.set()
            assert numbers(there.at("/fine")) == list(range(1, 201))
            assert await dead(room, gone) == [], "an outage kills no event"

    asyncio.run(steps())


def test_an_outage_is_waited_for_and_nothing_is_lost_or_out_of_order(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        state = {"status": 503, "headers": {"Retry-After": "3600"}}

        def answer(received: Received) -> Reply:
            del received
            return state["status"], state["headers"], b""

        async with opened_room(sqlite_database) as room, destinations_at_work(answer=answer) as there:
            await tell(room, range(1, 4))
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)):

                async def has_problem() -> bool:
                    return (await found(room, hook.identifier)).attempts == 1

                await until(has_problem)
                after = await found(room, hook.identifier)
                assert after.problem == "it answers 503"
                assert after.next_try_at == NOW + 3600, "as it was asked for"
                tries = len(there.received)
                state.update(status=200, headers={})
                await tell(room, [4])
                await asyncio.sleep(0.2)
                assert len(there.received) == tries, "it is left in peace meanwhile"
                room.clock.advance(3600)
                await until(lambda: is_at(room, hook, 4))
            assert numbers(there.received[tries:]) == [1, 2, 3, 4]
            assert (await found(room, hook.identifier)).problem == ""
            assert await dead(room, hook) == []

    asyncio.run(steps())


def test_what_is_refused_for_good_is_put_aside_and_may_be_tried_again(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        refused = {3, 7}

        def answer(received: Received) -> Reply:
            (number,) = numbers([received])
            return (413 if number in refused else 200), {}, b""

        async with opened_room(sqlite_database) as room, destinations_at_work(answer=answer) as there:
            await tell(room, range(1, 11))
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            tally = Tallied()
            async with delivering(room, maker(tmp_path), tally=tally):
                await until(lambda: is_at(room, hook, 10))
                assert await dead(room, hook) == [3, 7]
                assert tally.dead == {"webhook": 2}
                letter = await store_of(room).dead_letter("default", hook.identifier, 3)
                assert letter is not None
                assert (letter.problem, letter.identifier) == ("it answers 413", "event-3")
                refused.discard(3)
                assert await retry_dead(room.room, actor(), hook.identifier) == 2

                async def is_tried() -> bool:
                    return not await store_of(room).to_retry("default", hook.identifier, 9)

                await until(is_tried)
                assert await dead(room, hook) == [7]
            arrived = [each for each in numbers(there.received) if each not in {3, 7}]
            assert arrived == [1, 2, 4, 5, 6, 8, 9, 10]
            assert numbers(there.received)[-2:] == [3, 7]

    asyncio.run(steps())


def test_an_event_that_fails_again_and_again_blocks_nobody_for_ever(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        def answer(received: Received) -> Reply:
            return (400 if numbers([received]) == [2] else 200), {}, b""

        async with opened_room(sqlite_database) as room, destinations_at_work(answer=answer) as there:
            await tell(room, [1, 2, 3])
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)):

                async def is_over() -> bool:
                    room.clock.advance(600)
                    return await is_at(room, hook, 3)

                await until(is_over)
            assert await dead(room, hook) == [2]
            came = numbers(there.received)
            assert came.count(2) in (MAX_ATTEMPTS, MAX_ATTEMPTS + 1)  # once among others
            assert came[-1] == 3

    asyncio.run(steps())


def test_410_switches_a_webhook_off(sqlite_database: DatabasePlace, tmp_path: Path) -> None:
    async def steps() -> None:
        async with (
            opened_room(sqlite_database) as room,
            destinations_at_work(answer=lambda received: (410, {}, b"")) as there,
        ):
            await tell(room, [1, 2])
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)):

                async def is_off() -> bool:
                    return not (await found(room, hook.identifier)).is_enabled

                await until(is_off)
                await tell(room, [3])
            after = await found(room, hook.identifier)
            assert "410" in after.problem
            assert after.position == 0
            assert len(there.received) == 1

    asyncio.run(steps())


def test_of_several_that_deliver_over_one_database_each_event_is_sent_by_one(
    database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        async with opened_room(database) as room, destinations_at_work() as there:
            await tell(room, range(1, 151))
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with (
                delivering(room, maker(tmp_path)),
                delivering(room, maker(tmp_path)),
                delivering(room, maker(tmp_path)),
            ):
                await until(lambda: is_at(room, hook, 150))
            assert numbers(there.received) == list(range(1, 151))

    asyncio.run(steps())


def test_a_replay_and_other_wishes_hold(sqlite_database: DatabasePlace, tmp_path: Path) -> None:
    async def steps() -> None:
        async with opened_room(sqlite_database) as room, destinations_at_work() as there:
            await store_of(room).append([])
            await tell(room, range(1, 6))
            base = f"http://127.0.0.1:{there.port}"
            hook = await webhook(room, f"{base}/all")
            high = await webhook(room, f"{base}/high", "high", least_score=0.95)
            other = await webhook(room, f"{base}/other", "other", events=("tracker.learned",))
            named = await webhook(room, f"{base}/named", "named", people=PeopleShared.CLEAR)
            veiled = await webhook(room, f"{base}/veiled", "veiled", people=PeopleShared.PSEUDONYM)
            async with delivering(room, maker(tmp_path)):
                for each in (hook, high, other, named, veiled):
                    await until(lambda each=each: is_at(room, each, 5))
                await replay(room.room, actor(), hook.identifier, number=4)
                await until(lambda: is_at(room, hook, 5) if len(there.at("/all")) == 7 else False)
            assert numbers(there.at("/all")) == [1, 2, 3, 4, 5, 4, 5]
            assert there.at("/high") == there.at("/other") == []
            people = [json.loads(each.body)["data"]["alert"]["people"] for each in there.at("/named")]
            assert people == [[PERSON]] * 5
            (pseudonyms,) = {
                tuple(json.loads(each.body)["data"]["alert"]["people"]) for each in there.at("/veiled")
            }
            assert len(pseudonyms) == 1
            assert PERSON not in pseudonyms[0]

    asyncio.run(steps())


def test_what_was_erased_or_cannot_be_read_holds_up_nothing(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    import sqlalchemy as sa

    from mailveil.adapters.database import tables

    async def steps() -> None:
        async with opened_room(sqlite_database) as room, destinations_at_work() as there:
            await tell(room, range(1, 6))
            async with room.database.write() as connection:
                outbox = tables.outbox
                await connection.execute(sa.delete(outbox).where(outbox.c.number.in_([2, 5])))
                spoilt = sa.update(outbox).where(outbox.c.number == 3)
                await connection.execute(spoilt.values(record={"alert": {"kind": "nonsense"}}))
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)):
                await until(lambda: is_at(room, hook, 5))
            assert numbers(there.received) == [1, 4]
            assert await dead(room, hook) == [3]

    asyncio.run(steps())


def test_a_rotated_secret_signs_the_next_event_already(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        async with opened_room(sqlite_database) as room, destinations_at_work() as there:
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)):
                await tell(room, [1])
                await until(lambda: is_at(room, hook, 1))
                room.clock.advance(1)
                await rotate_secret(room.room, actor(), hook.identifier)
                await tell(room, [2])
                await until(lambda: is_at(room, hook, 2))
            signatures = [len(each.headers["webhook-signature"].split()) for each in there.received]
            assert signatures == [1, 2]

    asyncio.run(steps())


@dataclass
class Broken:
    """Publishers with a fault of their own."""

    publishes: int = 0
    collected: list[SharedEvent] = field(default_factory=list)

    async def objection(self, destination: Destination) -> str:
        return str(destination.address)[:0]

    def publisher(self, destination: Destination) -> Publisher:
        del destination
        return self

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        self.publishes += 1
        if any(each.number == 2 for each in events):
            raise KeyError("a mistake")
        if any(each.number == 4 for each in events):
            raise DeliveryError("one of them is no good", is_permanent=True)
        self.collected.extend(events)

    async def close(self) -> None:
        return


def test_a_fault_of_ours_costs_one_event_and_not_those_behind(
    sqlite_database: DatabasePlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps() -> None:
        broken = Broken()
        async with opened_room(sqlite_database) as room:
            await tell(room, range(1, 7))
            async with delivering(room, broken, has_collections=True):

                async def is_over() -> bool:
                    room.clock.advance(600)
                    there = await store_of(room).destination("default", "collection")
                    return there is not None and there.position == 6

                await until(is_over)
            assert [each.number for each in broken.collected] == [1, 3, 5, 6]
            collection = await found(room, "collection")
            assert collection.kind is DestinationKind.COLLECTION
            assert await dead(room, collection) == [2, 4]

    asyncio.run(steps())
    assert PERSON not in caplog.text


def test_what_is_too_old_is_missed_and_told(sqlite_database: DatabasePlace, tmp_path: Path) -> None:
    async def steps() -> None:
        async with opened_room(sqlite_database) as room:
            await tell(room, range(1, 6))
            hook = await webhook(room, "http://127.0.0.1:9/refused")
            room.clock.advance(15 * 86_400)
            async with delivering(room, maker(tmp_path), keep_days=14):

                async def is_gone() -> bool:
                    return (await found(room, hook.identifier)).missed == 5

                await until(is_gone)
            assert await store_of(room).entries_after("default", 0, 9) == ()

    asyncio.run(steps())


def test_switched_off_nothing_goes_elsewhere_and_collections_go_on(
    sqlite_database: DatabasePlace,
) -> None:
    async def steps() -> None:
        broken = Broken()
        async with opened_room(sqlite_database) as room, destinations_at_work() as there:
            await tell(room, [1])
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, broken, has_collections=True, is_enabled=False):
                await until(lambda: len(broken.collected) == 1)
            assert (await found(room, hook.identifier)).position == 0
            assert there.received == []

    asyncio.run(steps())


def test_pauses_grow_to_a_bound_and_differ() -> None:
    longest = [pause_s(each, 1.0) for each in range(100)]
    assert longest == sorted(longest)
    assert (longest[0], longest[-1]) == (2.0, 600.0)
    assert pause_s(3, 0.0) == pause_s(3, 1.0) / 2
