"""Exporting: one activity as it stands, or everything published, without anybody's people and only to who may read."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
import stix2
from pymisp import MISPEvent

from activity_room import activity_of_actor
from control_room import NOW, ControlRoomForTests, actor
from mailveil.adapters.publishing.collections import CollectionPublisher
from mailveil.control import exporting
from mailveil.control.access import ForbiddenError, Permission
from mailveil.control.activityrecords import ActivityFile
from mailveil.control.activitystores import Studied
from mailveil.control.failures import MissingError
from mailveil.control.telling import activity_event
from mailveil.core.intelligence.types import Activity, AnalystVerdict, Target
from mailveil.core.sharing.entries import Standing
from mailveil.core.sharing.types import Disclosure, EventKind, TrafficLight
from mailveil.core.sharing.veiling import Organisation, shared_activity
from mailveil.core.verdicts.lists import ListFormat, parse_list
from stix_values import TRACKER, event

READER = actor(permissions=[Permission.INTELLIGENCE_READ])
PERSON = "ann.reader@acme.example"


def known_activity() -> Activity:
    target = Target(PERSON, NOW - 500_000.0, NOW - 400_000.0, function="finance")
    return replace(activity_of_actor(), targets=(target,), total_people=1, learned=(f"when {PERSON} reads",))


async def study(room: ControlRoomForTests, activity: Activity) -> None:
    """Write an activity down, as studying does."""
    store = room.room.studies
    assert store is not None
    waiting = await store.unstudied("default", 1)
    await store.write(
        "default", Studied(waiting.subjects, {}, NOW, waiting.generation, activities=(activity,))
    )


def ran(room: ControlRoomForTests, steps: Any) -> Any:
    async def run() -> Any:
        await study(room, known_activity())
        return await steps

    return asyncio.run(run())


def test_an_activity_is_a_bundle_without_people(control_room: ControlRoomForTests) -> None:
    made = ran(control_room, exporting.stix_bundle(control_room.room, READER, "a1", TrafficLight.RED))
    parsed = stix2.parse(json.dumps(made), version="2.1")
    patterns = {each.pattern for each in parsed.objects if each.type == "indicator"}
    assert "[domain-name:value = 'fabrikam-billing.com']" in patterns
    marked = {each.object_marking_refs[0] for each in parsed.objects if each.type == "campaign"}
    assert marked == {stix2.TLP_RED.id}
    assert "ann" not in json.dumps(made)
    assert "finance" not in json.dumps(made)


def test_what_was_published_keeps_the_time_at_which_it_was_made(control_room: ControlRoomForTests) -> None:
    room = control_room.room

    async def steps() -> Any:
        assert room.shared is not None
        told = shared_activity(
            known_activity(), Standing(changed_at=NOW - 9), Disclosure(), Organisation("default", "Default")
        )
        await CollectionPublisher(room.shared, "default").publish([event(told)])
        # Earlier mail was found: the activity began before what was published says.
        await study(control_room, replace(known_activity(), first_at=NOW - 900_000.0))
        before = await exporting.stix_collections(room, READER)
        return before, await exporting.stix_bundle(room, READER, "a1")

    before, after = ran(control_room, steps())
    (was,) = (each for each in before["objects"] if each["type"] == "campaign")
    (now,) = (each for each in after["objects"] if each["type"] == "campaign")
    assert (now["id"], now["created"]) == (was["id"], was["created"])
    assert now["first_seen"] < was["first_seen"]


def test_an_activity_is_an_event_of_misp(control_room: ControlRoomForTests) -> None:
    made = ran(control_room, exporting.misp_document(control_room.room, READER, "a1"))
    read = MISPEvent()
    read.load(json.dumps(made))
    assert read.info == "Reconnaissance by mail: fabrikam-billing.com"
    assert "ann" not in json.dumps(made)


def test_everything_published_is_one_document(control_room: ControlRoomForTests) -> None:
    room = control_room.room

    async def steps() -> Any:
        assert room.shared is not None
        empty = await exporting.stix_collections(room, READER)
        await CollectionPublisher(room.shared, "default").publish([event(TRACKER)])
        return (
            empty,
            await exporting.stix_collections(room, READER),
            await exporting.misp_collection(room, READER),
            await exporting.learned_list(room, READER),
        )

    empty, bundle, events, rules = asyncio.run(steps())
    assert empty["objects"] == []
    stix2.parse(json.dumps(bundle), version="2.1")
    assert [each["Event"]["info"] for each in events] == [
        "Tracking in mail, built by its sender: built.example"
    ]
    assert parse_list(rules, ListFormat.ADBLOCK).count == 1


@pytest.mark.parametrize("use", [exporting.stix_bundle, exporting.misp_document])
def test_what_is_not_there_or_anothers_is_missing(control_room: ControlRoomForTests, use: Any) -> None:
    async def steps() -> None:
        await control_room.organisation("acme")
        stranger = actor(organisation="acme", permissions=[Permission.INTELLIGENCE_READ])
        for who, name in ((READER, "a2"), (stranger, "a1")):
            with pytest.raises(MissingError):
                await use(control_room.room, who, name)

    ran(control_room, steps())


def test_it_takes_the_permission(control_room: ControlRoomForTests) -> None:
    nobody = actor(permissions=[Permission.STATISTICS_READ])

    async def steps() -> None:
        room = control_room.room
        for use in (exporting.stix_collections, exporting.misp_collection, exporting.learned_list):
            with pytest.raises(ForbiddenError):
                await use(room, nobody)
        with pytest.raises(ForbiddenError):
            await exporting.stix_bundle(room, nobody, "a1")

    ran(control_room, steps())


def test_a_dismissed_activity_is_revoked_in_the_file_too(control_room: ControlRoomForTests) -> None:
    room = control_room.room

    async def steps() -> Any:
        assert room.activities is not None
        file = ActivityFile(known_activity(), NOW, AnalystVerdict.BENIGN, "anna", NOW)
        await room.activities.put_decisions(file, [activity_event(file, NOW, EventKind.ACTIVITY_DECIDED)])
        return await exporting.stix_bundle(room, READER, "a1")

    made = ran(control_room, steps())
    assert all(each["revoked"] for each in made["objects"] if each["type"] in ("campaign", "indicator"))


def test_of_an_activity_that_was_merged_the_other_one_is_told(control_room: ControlRoomForTests) -> None:
    async def merged() -> Any:
        other = replace(known_activity(), identifier="a0")
        await study(control_room, other)
        await study(control_room, replace(other, merged_into="a1", score=0.0))
        return await exporting.stix_bundle(control_room.room, READER, "a0")

    made = ran(control_room, merged())
    assert (
        made["objects"]
        == ran(control_room, exporting.stix_bundle(control_room.room, READER, "a1"))["objects"]
    )
