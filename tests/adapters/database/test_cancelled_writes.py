"""A task that is cancelled while it writes lets go of the database, whatever it was about."""

from __future__ import annotations

import asyncio
import random

from control_room import opened_room
from mailveil.core.observation import Observation, observation_identifier
from postgres_room import DatabasePlace

CANCELLED = 60


def seen(number: int, at: float) -> Observation:
    return Observation(observation_identifier(at, f"log-{number}", "default"), "default", at, f"log-{number}")


def test_whoever_writes_next_need_not_wait(database: DatabasePlace) -> None:
    chance = random.Random(1)

    async def steps() -> None:
        async with opened_room(database) as room:
            store, now = room.room.observations, room.clock.now()
            cancelled = 0
            for number in range(CANCELLED):
                batch = [seen(3 * number + each, now + number) for each in range(3)]
                task = asyncio.create_task(store.add(batch))
                await asyncio.sleep(chance.random() * 0.03)
                task.cancel()
                (outcome,) = await asyncio.gather(task, return_exceptions=True)
                cancelled += isinstance(outcome, asyncio.CancelledError)
                async with asyncio.timeout(
                    8
                ):  # a lock that stays makes the next one wait for ten seconds, and fail
                    assert await store.add([seen(10_000 + number, now + number)]) == 1
            assert cancelled >= 3, "some were in the middle of it"

    asyncio.run(steps())
