"""The collections of our own TAXII server as a destination: marked as chosen, complete, and without people."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from activity_room import activity_of_actor
from control_room import NOW, ControlRoomForTests, actor
from mailveil.app.delivering import is_wanted
from mailveil.control.activitystores import Studied
from mailveil.control.exporting import misp_document, stix_bundle
from mailveil.control.failures import InvalidError
from mailveil.control.records import Cut
from mailveil.control.sharedobjects import ACTIVITIES, SharedQuery
from mailveil.control.sharing import DestinationOrder, change_destination
from mailveil.control.sharingrecords import COLLECTION, Destination, DestinationKind
from mailveil.core.intelligence.types import AnalystVerdict
from mailveil.core.sharing.stix import activity_objects
from mailveil.core.sharing.types import PeopleShared, TrafficLight
from stix_values import ACTIVITY, activity, event

OWN = Destination(COLLECTION, "default", "TAXII collections", DestinationKind.COLLECTION, "")
ORDER = DestinationOrder(OWN.name, OWN.kind, "", traffic_light=TrafficLight.GREEN)


def test_files_are_marked_as_the_collections_are_unless_told_otherwise(
    control_room: ControlRoomForTests,
) -> None:
    room = control_room.room

    async def steps() -> None:
        assert room.studies is not None
        assert room.sharing is not None
        waiting = await room.studies.unstudied("default", 1)
        studied = Studied(waiting.subjects, {}, NOW, waiting.generation, activities=(activity_of_actor(),))
        await room.studies.write("default", studied)
        assert "tlp:amber" in tags(await misp_document(room, actor(), "a1"))
        await room.sharing.put_destination(OWN)
        await change_destination(room, actor(), COLLECTION, ORDER)
        assert "tlp:green" in tags(await misp_document(room, actor(), "a1"))
        assert "tlp:red" in tags(await misp_document(room, actor(), "a1", TrafficLight.RED))
        bundle = await stix_bundle(room, actor(), "a1")
        assert {"TLP:GREEN"} == {
            each["name"] for each in bundle["objects"] if each["type"] == "marking-definition"
        }

    asyncio.run(steps())


def tags(document: dict[str, Any]) -> list[str]:
    return [each["name"] for each in document["Event"]["Tag"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"people": PeopleShared.CLEAR}, "no people"),
        ({"people": PeopleShared.PSEUDONYM}, "no people"),
        ({"events": ("alert.raised",)}, "every event"),
        ({"least_score": 0.5}, "every event"),
    ],
)
def test_collections_name_nobody_and_lack_nothing(
    control_room: ControlRoomForTests, change: dict[str, Any], words: str
) -> None:
    room = control_room.room

    async def steps() -> None:
        assert room.sharing is not None
        await room.sharing.put_destination(OWN)
        with pytest.raises(InvalidError, match=words):
            await change_destination(room, actor(), COLLECTION, replace(ORDER, **change))

    asyncio.run(steps())


def test_what_is_taken_back_is_for_whoever_takes_high_scores_alone_too() -> None:
    misp = Destination("d", "default", "MISP", DestinationKind.MISP, "https://misp.example", least_score=0.95)
    assert not is_wanted(misp, event(ACTIVITY))
    assert is_wanted(misp, event(activity(verdict=AnalystVerdict.BENIGN)))
    assert is_wanted(misp, event(activity(score=0.0, merged_into="activity-0")))


def test_what_objects_refer_to_stays_as_long_as_they_do(control_room: ControlRoomForTests) -> None:
    room = control_room.room

    async def steps() -> None:
        assert room.studies is not None
        assert room.shared is not None
        waiting = await room.studies.unstudied("default", 1)
        studied = Studied(waiting.subjects, {}, NOW, waiting.generation, activities=(activity_of_actor(),))
        await room.studies.write("default", studied)
        gone = activity(identifier="gone", first_at=NOW - 900_000.0)
        await room.shared.add("default", ACTIVITIES, activity_objects(gone), "gone")
        lasting = activity(identifier="a1", first_at=NOW - 900_000.0)
        await room.shared.add("default", ACTIVITIES, activity_objects(lasting), "a1")
        # Everything was added long ago, but one of the two activities goes on.
        later = NOW + 86_400.0 * 30
        known = await room.activities.activity("default", "a1") if room.activities else None
        assert known is not None
        waiting = await room.studies.unstudied("default", 1)
        going_on = replace(known.activity, last_at=later)
        studied = Studied(waiting.subjects, {}, NOW, waiting.generation, activities=(going_on,))
        await room.studies.write("default", studied)
        while await room.studies.expire("default", "activities", later - 60.0):
            pass
        left = (await room.shared.objects("default", ACTIVITIES, SharedQuery(), Cut(500))).items
        kinds = {each.kind for each in left}
        assert {"marking-definition", "identity", "indicator", "campaign"} <= kinds
        assert [each.kind for each in left].count("campaign") == 1

    asyncio.run(steps())
