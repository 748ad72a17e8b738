"""Events in our own collections: once, in order, taken back where somebody was wrong, and without people."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from control_room import ControlRoomForTests
from mailveil.adapters.publishing.collections import CollectionPublisher
from mailveil.control.records import Cut
from mailveil.control.sharedobjects import ACTIVITIES, EVENTS, RULES, TRACKERS, SharedQuery
from mailveil.core.intelligence.types import AnalystVerdict, Tooling
from mailveil.core.sharing.types import SharedEvent
from mailveil.ports import DeliveryError
from stix_values import ACTIVITY, ALERT, AT, TRACKER, activity, event

Objects = list[dict[str, Any]]


def published(room: ControlRoomForTests, *events: SharedEvent) -> dict[str, Objects]:
    """Publish, and return the latest of everything, by collection."""

    async def steps() -> dict[str, Objects]:
        store = room.room.shared
        assert store is not None
        publisher = CollectionPublisher(store, "default")
        await publisher.publish(events)
        await publisher.close()
        return {
            each: [
                dict(item.object)
                for item in (await store.objects("default", each, SharedQuery(), Cut(500))).items
            ]
            for each in (ACTIVITIES, TRACKERS, EVENTS, RULES)
        }

    return asyncio.run(steps())


def of(objects: Objects, kind: str) -> Objects:
    return [each for each in objects if each["type"] == kind]


def test_an_event_is_in_every_collection_that_it_is_for(control_room: ControlRoomForTests) -> None:
    found = published(control_room, event(ACTIVITY, 1), event(TRACKER, 2), event(ALERT, 3), event(None, 4))
    assert of(found[ACTIVITIES], "campaign")
    assert of(found[ACTIVITIES], "note")
    assert of(found[TRACKERS], "indicator")
    assert len(found[EVENTS]) == 2
    assert [each["rule"] for each in found[RULES]] == ["||t.built.example/o/*.gif?u=$image"]
    assert published(control_room, event(ACTIVITY, 1), event(TRACKER, 2), event(ALERT, 3)) == found


def test_people_are_in_no_collection_whatever_the_event_tells(control_room: ControlRoomForTests) -> None:
    probes = tuple(replace(each, person="ann@acme.example", function="board") for each in ACTIVITY.probes)
    told = activity(people=("ann@acme.example",), probes=probes, functions=("board",))
    alert = replace(ALERT, people=("ann@acme.example",))
    text = json.dumps(published(control_room, event(told), event(alert)))
    assert "ann@" not in text
    assert "board" not in text


def test_what_was_dismissed_is_taken_back(control_room: ControlRoomForTests) -> None:
    published(control_room, event(activity(verdict=AnalystVerdict.CONFIRMED)))
    found = published(control_room, event(activity(verdict=AnalystVerdict.BENIGN, changed_at=AT + 60)))
    for kind in ("campaign", "threat-actor", "indicator", "sighting", "relationship"):
        objects = of(found[ACTIVITIES], kind)
        assert objects
        assert all(each["revoked"] for each in objects), kind
    (kept,) = found[EVENTS]
    assert kept["event"]["Event"]["info"].startswith("Dismissed")


def test_what_was_never_told_need_not_be_taken_back(control_room: ControlRoomForTests) -> None:
    found = published(control_room, event(activity(verdict=AnalystVerdict.BENIGN)))
    assert found == {ACTIVITIES: [], TRACKERS: [], EVENTS: [], RULES: []}


def test_a_tracker_that_turned_out_to_be_a_vendors_has_no_rule_any_more(
    control_room: ControlRoomForTests,
) -> None:
    published(control_room, event(TRACKER, 1))
    found = published(control_room, event(replace(TRACKER, tooling=Tooling.BOUGHT), 2))
    assert [each["rule"] for each in found[RULES]] == [""]
    assert all(each["revoked"] for each in of(found[TRACKERS], "indicator"))
    (kept,) = found[EVENTS]
    assert not any(each["to_ids"] for each in kept["event"]["Event"]["Attribute"])
    assert published(control_room, event(replace(TRACKER, tooling=Tooling.BOUGHT), 2)) == found


def test_a_database_that_is_away_is_tried_again(control_room: ControlRoomForTests) -> None:
    control_room.database.refusal = "it is away"
    with pytest.raises(DeliveryError, match="it is away") as caught:
        published(control_room, event(ACTIVITY))
    assert not caught.value.is_permanent
    assert caught.value.taken == 0
