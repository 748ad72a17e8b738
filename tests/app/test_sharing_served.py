"""Sharing in the whole product: an event in the outbox reaches a destination that was made while it runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from test_monitored import figures
from test_serving import product

from control_room import actor
from http_room import ask
from mailveil.app.controlling import opened_room
from mailveil.control.attention import Topic, what_needs_attention
from mailveil.control.records import Cut
from mailveil.control.sharing import DestinationOrder, make_destination, test_destination
from mailveil.control.sharingrecords import DestinationKind
from mailveil.core.sharing.types import PeopleShared
from sharing_room import PERSON, alert_entry, until

test_destination.__test__ = False  # type: ignore[attr-defined]  # the use case, no test


def test_a_running_server_delivers_and_counts(tmp_path: Path) -> None:
    async def check() -> None:
        async with product(tmp_path) as running, opened_room(running.settings) as room:
            order = DestinationOrder(
                "File", DestinationKind.JSON_LINES, "events.jsonl", people=PeopleShared.PSEUDONYM
            )
            made = (await make_destination(room, actor(), order)).view.destination
            assert room.sharing is not None
            assert (await test_destination(room, actor(), made.identifier)).arrived
            await room.sharing.append([alert_entry(1), alert_entry(2)])
            path = running.settings.sharing_files / "default" / "events.jsonl"
            await until(lambda: len(path.read_text().splitlines()) == 3)
            test, first, second = map(json.loads, path.read_text().splitlines())
            assert (test["type"], first["id"], second["id"]) == ("test", "event-1", "event-2")
            assert first["alert"]["people"] == second["alert"]["people"]
            assert PERSON not in path.read_text()

            async def are_counted() -> bool:
                answer = await ask(running.settings.console.listen.port, "/metrics", Host="localhost")
                found = figures(answer)
                return (
                    found.get("mailveil_shared_events_total{json-lines}") == 2
                    and found.get("mailveil_shared_events_waiting{json-lines}") == 0
                    and found.get("mailveil_shared_events_total{collection}") == 2
                )

            await until(are_counted)
            assert (await room.sharing.dead_letters("default", made.identifier, Cut())).items == ()

            # What takes nothing any more is somebody's matter.
            now = await room.sharing.destination("default", made.identifier)
            assert now is not None
            assert await room.sharing.put_off(now, 5, 4e9, "the disk is full")
            matters = await what_needs_attention(room, actor())
            words = [each.words for each in matters if each.topic is Topic.SHARING]
            assert words == ["the destination “File” takes no events: the disk is full"]
            assert not [
                each
                for each in await what_needs_attention(room, actor("viewer"))
                if each.topic is Topic.SHARING
            ]

    asyncio.run(check())
