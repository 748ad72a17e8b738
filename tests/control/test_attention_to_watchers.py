"""Whoever may know is told of reconnaissance that nobody has looked at yet, until somebody has."""

from __future__ import annotations

import asyncio

from control_room import actor, opened_room
from intelligence_room import quiet_weeks
from mailveil.app.studying import StudyLoop
from mailveil.control.activities import acknowledge_activity, activities
from mailveil.control.activityrecords import ActivityQuery
from mailveil.control.attention import Topic, Weight, what_needs_attention
from mailveil.control.records import Cut
from postgres_room import DatabasePlace
from study_room import ACTOR, inhabit, probes


def test_reconnaissance_needs_somebody_until_it_is_acknowledged(sqlite_database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(sqlite_database) as room:
            await inhabit(room)
            await room.room.observations.add([*quiet_weeks(), *probes(3)])
            while await StudyLoop(room.room).round():
                pass

            async def matters(role: str) -> list[tuple[Weight, str]]:
                found = await what_needs_attention(room.room, actor(role))
                return [(each.weight, each.words) for each in found if each.topic is Topic.WATCHING]

            assert await matters("viewer") == []
            assert await matters("analyst") == [(Weight.BAD, f"{ACTOR} is finding out about your people")]
            page = await activities(room.room, actor("analyst"), ActivityQuery(room.clock.now()), Cut())
            await acknowledge_activity(room.room, actor("analyst"), page.items[0].activity.identifier)
            assert await matters("analyst") == []

    asyncio.run(steps())
