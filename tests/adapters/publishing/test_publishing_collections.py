"""Events in our own collections: once, in order, taken back where somebody was wrong, and without people."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
import stix2

from control_room import ControlRoomForTests
from mailveil.adapters.publishing.collections import CollectionPublisher
from mailveil.control.records import Cut
from mailveil.control.sharedobjects import ACTIVITIES, EVENTS, RULES, TRACKERS, SharedQuery
from mailveil.core.intelligence.types import ActivityState, AnalystVerdict, Tooling
from mailveil.core.sharing.misp import misp_event
from mailveil.core.sharing.types import SharedEvent
from mailveil.core.sharing.veiling import Organisation
from mailveil.core.sharing.wording import timestamp
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


def live(objects: Objects) -> Objects:
    return [each for each in objects if "modified" in each and not each.get("revoked")]


def refers_to(objects: Objects) -> set[str]:
    names = {"source_ref", "target_ref", "sighting_of_ref"}
    return {value for each in objects for name, value in each.items() if name in names}


def test_what_was_dismissed_is_taken_back_though_it_is_not_among_the_latest(
    control_room: ControlRoomForTests,
) -> None:
    published(control_room, event(ACTIVITY))
    later = activity(
        verdict=AnalystVerdict.BENIGN,
        changed_at=AT + 60,
        probes=(),
        infrastructure=ACTIVITY.infrastructure[:1],
    )
    found = published(control_room, event(later))
    assert {each["type"] for each in live(found[ACTIVITIES])} <= {"identity", "attack-pattern"}


def test_what_was_taken_back_stays_so_and_comes_back_by_other_names(
    control_room: ControlRoomForTests,
) -> None:
    first = published(control_room, event(ACTIVITY))
    dismissed = event(activity(verdict=AnalystVerdict.BENIGN, changed_at=AT + 60))
    gone = {each["id"] for each in published(control_room, dismissed)[ACTIVITIES] if each.get("revoked")}
    assert gone
    assert (
        published(control_room, dismissed, event(ACTIVITY))[ACTIVITIES] == published(control_room)[ACTIVITIES]
    )
    again = event(activity(verdict=AnalystVerdict.CONFIRMED, changed_at=AT + 120))
    alert = event(ALERT, 9)
    found = published(control_room, again, alert, again)[ACTIVITIES]
    assert gone <= {each["id"] for each in found if each.get("revoked")}
    (campaign,) = of(live(found), "campaign")
    assert campaign["id"] not in gone
    assert not refers_to(live(found)) & gone
    (note,) = of(live(found), "note")
    assert note["object_refs"] == [campaign["id"]]
    for kind in ("indicator", "sighting", "relationship", "infrastructure", "observed-data"):
        assert len(of(live(found), kind)) >= len(of(live(first[ACTIVITIES]), kind)), kind
    for each in found:
        stix2.parse(each, allow_custom=False)
    dismissed = event(activity(verdict=AnalystVerdict.BENIGN, changed_at=AT + 180))
    found = published(control_room, dismissed, dismissed)[ACTIVITIES]
    assert of(live(found), "campaign") == []
    assert len(of(found, "campaign")) == 2


def test_a_merged_activity_is_a_duplicate_of_the_one_that_it_is_part_of(
    control_room: ControlRoomForTests,
) -> None:
    other = activity(identifier="activity-0", first_at=AT - 86_400)
    merged = activity(
        probes=(), infrastructure=(), reasons=(), score=0.0, merged_into="activity-0", changed_at=AT + 60,
        state=ActivityState.CLOSED,
    )  # fmt: skip
    found = published(control_room, event(ACTIVITY), event(other, 2), event(merged, 3), event(merged, 3))
    (survivor,) = of(live(found[ACTIVITIES]), "campaign")
    (duplicate,) = [each for each in found[ACTIVITIES] if each.get("relationship_type") == "duplicate-of"]
    (gone,) = [each for each in of(found[ACTIVITIES], "campaign") if each.get("revoked")]
    assert (duplicate["source_ref"], duplicate["target_ref"]) == (gone["id"], survivor["id"])
    assert gone["id"] not in refers_to(live(found[ACTIVITIES])) - {duplicate["source_ref"]}
    events = {each["event"]["Event"]["info"]: each["event"]["Event"] for each in found[EVENTS]}
    (part,) = [each for info, each in events.items() if info.startswith("Part of another: ")]
    (whole,) = [each for info, each in events.items() if not info.startswith("Part")]
    assert part["extends_uuid"] == whole["uuid"]
    assert len(part["Attribute"]) > 3
    assert not any(each["to_ids"] for each in part["Attribute"])
    assert any(each["to_ids"] for each in whole["Attribute"])
    alone = activity(identifier="activity-2", merged_into="activity-0", probes=(), infrastructure=())
    assert published(control_room, event(alone, 4)) == found


def test_what_is_known_of_a_long_time_is_not_forgotten_with_the_oldest_probes(
    control_room: ControlRoomForTests,
) -> None:
    before = published(control_room, event(ACTIVITY))[ACTIVITIES]
    later = tuple(replace(each, first_at=AT, last_at=AT + 50, messages=1) for each in ACTIVITY.infrastructure)
    found = published(control_room, event(activity(infrastructure=later, changed_at=AT + 60)))[ACTIVITIES]
    sightings = {each["id"]: each for each in of(found, "sighting")}
    for each in of(before, "sighting"):
        now = sightings[each["id"]]
        assert now["first_seen"] == each["first_seen"]
        assert now["last_seen"] >= each["last_seen"]
        assert now["count"] >= each["count"]
    valid = {each["id"]: each["valid_from"] for each in of(found, "indicator")}
    assert all(valid[each["id"]] == each["valid_from"] for each in of(before, "indicator"))


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


def shared_now(name: str) -> Any:
    return tuple(
        replace(each, shared=True) if each.value == name else each for each in ACTIVITY.infrastructure
    )


def test_the_feed_names_what_turned_out_to_serve_everybody(control_room: ControlRoomForTests) -> None:
    def attributes(told: Objects) -> dict[str, dict[str, Any]]:
        (kept,) = told
        return {each["value"]: each for each in kept["event"]["Event"]["Attribute"]}

    url = "https://px-evil.example/open/a.gif"
    probes = (*ACTIVITY.probes, replace(ACTIVITY.probes[0], template=url))
    before = attributes(published(control_room, event(activity(probes=probes)))[EVENTS])
    assert before["px-evil.example"]["to_ids"]
    assert before[url]["to_ids"]
    later = attributes(published(control_room, event(activity(changed_at=AT + 30), 2))[EVENTS])
    assert later[url] == before[url], "a probe that is not among the latest is no mistake"
    found_out = activity(changed_at=AT + 60, infrastructure=shared_now("px-evil.example"))
    after = attributes(published(control_room, event(found_out, 3))[EVENTS])
    assert not after["px-evil.example"]["to_ids"], "whoever reads the feed keeps what it does not name"
    assert not after[url]["to_ids"]
    assert after[url]["timestamp"] > before[url]["timestamp"]
    assert after["deals-evil.example"]["to_ids"]


def test_what_happened_is_one_comment_however_often_it_changes(control_room: ControlRoomForTests) -> None:
    told = [event(activity(total_probes=count, changed_at=AT + count), count) for count in range(1, 5)]
    (kept,) = published(control_room, *told)[EVENTS]
    (comment,) = (each for each in kept["event"]["Event"]["Attribute"] if each["type"] == "comment")
    assert comment["value"].startswith("4 probes")
    (first,) = (each for each in misp_event(told[0])["Event"]["Attribute"] if each["type"] == "comment")
    assert comment["uuid"] == first["uuid"]


def test_whoever_made_an_object_stays_who_made_it(control_room: ControlRoomForTests) -> None:
    before = published(control_room, event(ACTIVITY))[ACTIVITIES]
    told_by = Organisation("default", "Acme", AT).uuid
    named = activity(told_by=told_by, changed_at=AT + 60, score=0.5)
    after = of(published(control_room, event(named, 2))[ACTIVITIES], "campaign")
    assert [each["created_by_ref"] for each in after] == [
        each["created_by_ref"] for each in of(before, "campaign")
    ]
    assert after[0]["modified"] > of(before, "campaign")[0]["modified"]


def test_a_new_name_of_the_organisation_is_a_version_of_it(control_room: ControlRoomForTests) -> None:
    told_by = Organisation("default", "Default", AT).uuid
    published(control_room, event(activity(told_by=told_by, organisation="Default")))
    renamed = activity(told_by=told_by, organisation="Acme", changed_at=AT + 60)
    found = published(control_room, event(renamed, 2), event(renamed, 2))[ACTIVITIES]
    (told,) = (each for each in of(found, "identity") if each["id"] == f"identity--{told_by}")
    assert (told["name"], told["modified"]) == ("Acme", timestamp(AT + 60))
