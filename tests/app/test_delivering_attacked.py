"""Delivery to destinations that behave badly: what holds up one event holds up no others, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from control_room import NOW, ControlRoomForTests, actor, opened_room
from mailveil.app.delivering import STUBBORN_ATTEMPTS
from mailveil.control.access import ANY_ORGANISATION
from mailveil.control.attention import what_needs_attention
from mailveil.control.organisations import remove_organisation
from mailveil.control.records import Cut
from mailveil.control.sharing import DestinationOrder, make_destination, retry_dead
from mailveil.control.sharingrecords import Destination, DestinationKind
from postgres_room import DatabasePlace
from sharing_room import (
    Received,
    Reply,
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
    return [json.loads(each.body)["data"]["number"] for each in received]


async def dead(room: ControlRoomForTests, destination: Destination) -> list[tuple[int, str]]:
    page = await store_of(room).dead_letters("default", destination.identifier, Cut(100))
    return sorted((each.number, each.problem) for each in page.items)


async def is_at_in_time(room: ControlRoomForTests, destination: Destination, position: int) -> bool:
    """Let time pass until a destination is there."""
    room.clock.advance(600)
    return (await found(room, destination.identifier)).position == position


@pytest.mark.parametrize("poison", [1, 3])
def test_an_event_that_breaks_its_destination_is_put_aside_while_others_are_taken(
    sqlite_database: DatabasePlace, tmp_path: Path, poison: int
) -> None:
    async def steps() -> None:
        def answer(received: Received) -> Reply:
            return (500 if numbers([received]) == [poison] else 200), {}, b""

        async with opened_room(sqlite_database) as room, destinations_at_work(answer=answer) as there:
            await tell(room, range(1, 8))
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)):
                await until(lambda: is_at_in_time(room, hook, 7))
            assert await dead(room, hook) == [(poison, "it answers 500, while it takes others")]
            came = numbers(there.received)
            assert came.count(poison) >= STUBBORN_ATTEMPTS
            assert [each for each in came if each != poison] == [
                each for each in range(1, 8) if each != poison
            ]

    asyncio.run(steps())


def test_in_an_outage_however_long_nothing_is_put_aside(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        state = {"status": 500}

        async with (
            opened_room(sqlite_database) as room,
            destinations_at_work(answer=lambda received: (state["status"], {}, b"")) as there,
        ):
            await tell(room, range(1, 61))
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)):

                async def has_lasted() -> bool:
                    room.clock.advance(600)
                    return (await found(room, hook.identifier)).attempts > 2 * STUBBORN_ATTEMPTS

                await until(has_lasted)
                tries = len(there.received)
                assert set(numbers(there.received)) == {1, 2}, "the second was tried in the first one's place"
                state["status"] = 200
                await until(lambda: is_at_in_time(room, hook, 60))
            assert await dead(room, hook) == []
            came = numbers(there.received[tries:])
            while came[0] != 1 or came[1] == 1:  # tried meanwhile
                came.pop(0)
            assert came == list(range(1, 61))

    asyncio.run(steps())


def test_a_last_event_waits_as_long_as_nothing_waits_behind_it(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        async with (
            opened_room(sqlite_database) as room,
            destinations_at_work(answer=lambda received: (502, {}, b"")) as there,
        ):
            await tell(room, [1])
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)):

                async def has_lasted() -> bool:
                    room.clock.advance(600)
                    return (await found(room, hook.identifier)).attempts > STUBBORN_ATTEMPTS

                await until(has_lasted)
            assert await dead(room, hook) == []

    asyncio.run(steps())


def test_a_slow_webhook_gets_on(sqlite_database: DatabasePlace, tmp_path: Path) -> None:
    async def steps() -> None:
        async def answer(received: Received) -> Reply:
            del received
            await asyncio.sleep(0.1)
            return 200, {}, b""

        async with opened_room(sqlite_database) as room, destinations_at_work(answer=answer) as there:
            await tell(room, range(1, 13))
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)) as loop:
                loop._around = replace(loop._around, attempt_s=0.3)
                await until(lambda: is_at_in_time(room, hook, 12))
            assert numbers(there.received) == list(range(1, 13)), (
                "all of them together take longer than a try"
            )

    asyncio.run(steps())


def test_a_dead_letter_that_still_breaks_its_destination_goes_back(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        status = {1: 413}

        def answer(received: Received) -> Reply:
            (number,) = numbers([received])
            return status.get(number, 200), {}, b""

        async with opened_room(sqlite_database) as room, destinations_at_work(answer=answer) as there:
            await tell(room, [1, 2])
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            async with delivering(room, maker(tmp_path)):
                await until(lambda: is_at_in_time(room, hook, 2))
                status[1] = 500
                await retry_dead(room.room, actor(), hook.identifier)

                async def is_given_up() -> bool:
                    room.clock.advance(600)
                    return not await store_of(room).to_retry("default", hook.identifier, 9)

                await until(is_given_up)
            assert await dead(room, hook) == [(1, "it answers 500")]

    asyncio.run(steps())


def test_a_clock_that_was_wrong_for_a_moment_keeps_nothing_from_being_delivered(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        async with opened_room(sqlite_database) as room, destinations_at_work() as there:
            await tell(room, [1])
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            year = NOW + 365 * 86_400.0
            assert await store_of(room).put_off(hook, 3, year, "it answers 503")
            assert await store_of(room).lease(f"deliver:default:{hook.identifier}", "dead", year, year + 180)
            async with delivering(room, maker(tmp_path)):
                await until(lambda: is_at_in_time(room, hook, 1))

    asyncio.run(steps())


def test_what_was_missed_is_somebodys_matter_for_a_week(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        async with opened_room(sqlite_database) as room:
            await tell(room, range(1, 6))
            hook = await webhook(room, "http://127.0.0.1:9/refused", "SOAR")
            room.clock.advance(15 * 86_400)
            async with delivering(room, maker(tmp_path), keep_days=14) as loop:

                async def is_told() -> bool:
                    return loop.figures.missed.get("webhook") == 5

                await until(is_told)
            assert (await found(room, hook.identifier)).missed_at == room.clock.now()

            async def matters() -> list[str]:
                told = await what_needs_attention(room.room, actor())
                return [each.words for each in told if "missed" in each.words]

            assert await matters() == ["the destination “SOAR” has missed 5 events"]
            room.clock.advance(8 * 86_400)
            assert await matters() == []

    asyncio.run(steps())


def test_an_organisation_that_is_removed_amid_a_batch_leaves_nothing_to_be_delivered(
    database: DatabasePlace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps() -> None:
        async def answer(received: Received) -> Reply:
            if received.path == "/acme" and numbers([received]) == [3]:
                everywhere = actor("administrator", "acme", home=ANY_ORGANISATION)
                await remove_organisation(room.room, everywhere, "acme", "acme")
            return 204, {}, b""

        async with opened_room(database) as room, destinations_at_work(answer=answer) as there:
            await room.organisation("acme")
            await tell(room, range(1, 21), "acme")
            await tell(room, range(1, 121))
            base = f"http://127.0.0.1:{there.port}"
            order = DestinationOrder(
                "Hook", DestinationKind.WEBHOOK, f"{base}/acme", options={"plain_http": True}
            )
            await make_destination(room.room, actor("administrator", "acme"), order, from_beginning=True)
            hook = await webhook(room, f"{base}/default")
            async with delivering(room, maker(tmp_path)) as loop:
                await until(lambda: 3 in numbers(there.at("/acme")))
                await until(lambda: is_at_in_time(room, hook, 120))
                await until(lambda: len(loop._rounds) == 1)
            assert numbers(there.at("/default")) == list(range(1, 121))
            assert max(numbers(there.at("/acme"))) <= 20

    asyncio.run(steps())
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


_PROCESS = """
import asyncio, sys
from pathlib import Path
from control_room import opened_room
from postgres_room import DatabasePlace
from sharing_room import delivering, maker

async def run(address, directory, later):
    async with opened_room(DatabasePlace(address, "sqlite")) as room:
        room.clock.advance(float(later))
        async with delivering(room, maker(Path(directory))):
            await asyncio.sleep(600)

asyncio.run(run(*sys.argv[1:]))
"""


def test_killed_amid_a_batch_again_and_again_nothing_is_lost_or_out_of_order(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    last = 160

    def begin(later: float) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", _PROCESS, sqlite_database.address, str(tmp_path), str(later)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.Popen(words, env=environment)

    async def steps() -> None:
        async with opened_room(sqlite_database) as room, destinations_at_work() as there:
            await tell(room, range(1, last + 1))
            hook = await webhook(room, f"http://127.0.0.1:{there.port}/")
            for turn in range(4):
                process = begin(turn * 200.0)  # when the lease of the one before is over
                bound = last if turn == 3 else (turn + 1) * 35
                try:
                    await until(lambda bound=bound: bound in numbers(there.received))
                    if turn == 3:
                        await until(lambda: is_at_in_time(room, hook, last))
                finally:
                    process.send_signal(signal.SIGKILL)
                    await asyncio.to_thread(process.wait)
            assert list(dict.fromkeys(numbers(there.received))) == list(range(1, last + 1))
            assert len(there.received) > last, "some came twice"
            assert await dead(room, hook) == []

    asyncio.run(steps())
