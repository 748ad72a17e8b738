"""Events as MISP's own library reads them, from values that anybody may have written."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymisp import MISPEvent

import stix_values
from mailveil.core.intelligence.types import AnalystVerdict, Tooling
from mailveil.core.sharing.misp import (
    activity_event,
    document,
    hashes,
    manifest,
    misp_event,
    subject_uuid,
    tracker_event,
    uuid_of,
)
from mailveil.core.sharing.types import TrafficLight
from mailveil.core.sharing.veiling import Organisation
from stix_values import ACTIVITY, ALERT, AT, TRACKER, activity

PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def loaded(event: dict[str, Any]) -> MISPEvent:
    """Return an event as PyMISP reads it, and let it write its feed of it."""
    read = MISPEvent()
    read.load(document(event))
    feed = read.to_feed(with_meta=True)
    assert feed["Event"]["_manifest"].keys() == {event["Event"]["uuid"]}
    assert sorted(feed["Event"]["_hashes"]) == sorted(
        each.partition(",")[0] for each in hashes([event]).splitlines()
    )
    return read


def values(event: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {each["value"]: (each["type"], each["to_ids"]) for each in event["Event"]["Attribute"]}


def test_an_activity_is_an_event_with_what_is_exact_for_detection() -> None:
    event = activity_event(ACTIVITY)
    read = loaded(event)
    assert read.info == "Reconnaissance by mail: deals-evil.example"
    found = values(event)
    assert found["deals-evil.example"] == ("domain", True)
    assert found["*.px-evil.example"] == ("pattern-in-traffic", False)
    assert found["https://*.px-evil.example/o/*.gif?u=*"] == ("pattern-in-traffic", False)
    assert found["192.0.2.7"] == ("ip-dst", False)
    assert found["ab" * 32] == ("x509-fingerprint-sha256", False)
    assert not any("mail.example" in each for each in found)
    tags = {each.name for each in read.tags}
    assert {"tlp:amber", 'misp-galaxy:mitre-attack-pattern="Spearphishing Link - T1598.003"'} <= tags


def test_what_was_dismissed_says_so_and_detects_nothing() -> None:
    before, after = (
        activity_event(ACTIVITY),
        activity_event(activity(verdict=AnalystVerdict.BENIGN, changed_at=AT + 9)),
    )
    assert uuid_of(before) == uuid_of(after)
    assert int(after["Event"]["timestamp"]) == int(before["Event"]["timestamp"]) + 9
    assert not any(to_ids for _, to_ids in values(after).values())
    assert after["Event"]["info"].startswith("Dismissed: ")
    assert 'false-positive:risk="high"' in {each.name for each in loaded(after).tags}


@pytest.mark.parametrize(
    ("level", "distribution"),
    [
        (TrafficLight.RED, "0"),
        (TrafficLight.AMBER_STRICT, "0"),
        (TrafficLight.AMBER, "1"),
        (TrafficLight.GREEN, "2"),
        (TrafficLight.CLEAR, "3"),
    ],
)
def test_how_far_it_goes_is_what_the_traffic_light_says(level: TrafficLight, distribution: str) -> None:
    event = activity_event(activity(traffic_light=level))["Event"]
    assert event["distribution"] == distribution
    assert f"tlp:{level}" in {each["name"] for each in event["Tag"]}


def test_a_tracker_that_somebody_built_and_one_of_a_vendor() -> None:
    event = tracker_event(TRACKER, "Acme", TrafficLight.GREEN, AT)
    assert event is not None
    assert loaded(event).threat_level_id == 3
    bought = stix_values.replace(TRACKER, tooling=Tooling.BOUGHT)
    assert tracker_event(bought, "Acme", TrafficLight.GREEN, AT) is None


def test_alerts_and_tests_are_no_events_of_misp() -> None:
    assert misp_event(stix_values.event(ALERT)) is None
    assert misp_event(stix_values.event(None)) is None
    assert misp_event(stix_values.event(ACTIVITY)) == activity_event(ACTIVITY)
    assert misp_event(stix_values.event(TRACKER)) is not None


def test_a_manifest_and_digests_are_those_that_pymisp_makes() -> None:
    event = activity_event(ACTIVITY)
    theirs = loaded(event).manifest[uuid_of(event)]
    ours = manifest([event])[uuid_of(event)]
    assert ours.keys() >= theirs.keys() - {"Tag", "Orgc"}
    assert (ours["info"], ours["date"], int(ours["timestamp"])) == (
        theirs["info"], theirs["date"], int(theirs["timestamp"]),
    )  # fmt: skip


@PATIENT
@given(stix_values.activities)
def test_whatever_an_activity_holds_pymisp_reads_it(value: Any) -> None:
    event = activity_event(value)
    read = loaded(event)
    assert UUID(read.uuid).version == 5
    for each in event["Event"]["Attribute"]:
        assert each["value"] == each["value"].strip()
        assert not re.search(r"[\x00-\x09\x0b-\x1f\ud800-\udfff\u202e]", each["value"])


@PATIENT
@given(stix_values.trackers, stix_values.texts, st.sampled_from(TrafficLight), stix_values.times)
def test_whatever_a_tracker_holds_pymisp_reads_it(
    value: Any, name: str, level: TrafficLight, at: float
) -> None:
    event = tracker_event(value, name, level, at)
    if event is not None:
        loaded(event)
        json.loads(document(event))


def test_two_that_learn_the_same_tracker_have_events_of_their_own() -> None:
    told = [
        stix_values.event(TRACKER, told_by=Organisation("default", "Default", at).uuid)
        for at in (AT, AT + 0.001)
    ]
    made = [misp_event(each) for each in told]
    assert None not in made
    assert len({each["Event"]["uuid"] for each in made if each}) == 2
    assert len({each["Event"]["Orgc"]["uuid"] for each in made if each}) == 2
    assert [uuid_of(each) for each in made if each] == list(map(subject_uuid, told))
