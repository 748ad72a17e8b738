"""STIX 2.1 as OASIS's own library and validator read it, from values that anybody may have written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
import stix2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stix2validator import ValidationOptions, validate_instance

import stix_values
from mailveil.core.intelligence.types import AnalystVerdict, Role, Technique, Tooling
from mailveil.core.sharing.stix import (
    activity_objects,
    alert_objects,
    bundle,
    event_objects,
    tracker_objects,
)
from mailveil.core.sharing.stixhistory import no_longer_claimed
from mailveil.core.sharing.stixpatterns import literal
from mailveil.core.sharing.stixvocabulary import marking, observable_identifier
from mailveil.core.sharing.types import TrafficLight
from mailveil.core.sharing.veiling import Organisation
from mailveil.core.sharing.wording import timestamp
from stix_values import ACTIVITY, ALERT, AT, TRACKER, activity, infrastructure

Objects = list[dict[str, Any]]
PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OPTIONS = ValidationOptions(version="2.1", strict=False, strict_types=True, strict_properties=True)


def check(objects: Objects) -> None:
    """Let the library parse every object as JSON, and the validator the whole bundle."""
    text = json.dumps(bundle(objects))
    for each in json.loads(text)["objects"]:
        parsed = stix2.parse(each, version="2.1", allow_custom=False)
        if each["type"] == "indicator":
            assert stix2.pattern_visitor.create_pattern_object(each["pattern"], version="2.1") is not None
        again = json.loads(parsed.serialize())
        assert again["id"] == each["id"]
        assert again.get("modified") == each.get("modified")
    results = validate_instance(json.loads(text), OPTIONS)
    assert results.is_valid, [str(each) for each in results.errors]


def of(objects: Iterable[dict[str, Any]], kind: str) -> Objects:
    return [each for each in objects if each["type"] == kind]


def test_an_activity_is_what_the_official_library_reads() -> None:
    objects = activity_objects(ACTIVITY)
    check(objects)
    kinds = {each["type"] for each in objects}
    assert kinds == {
        "marking-definition", "identity", "campaign", "attack-pattern", "relationship", "infrastructure",
        "domain-name", "ipv4-addr", "ipv6-addr", "x509-certificate", "indicator", "observed-data", "sighting",
    }  # fmt: skip


def test_patterns_say_what_was_seen_and_claim_nothing_that_serves_everybody() -> None:
    patterns = {each["pattern"] for each in of(activity_objects(ACTIVITY), "indicator")}
    assert patterns == {
        "[domain-name:value = 'deals-evil.example']",
        "[domain-name:value = 'px-evil.example']",
        "[domain-name:value LIKE '%.px-evil.example']",
        "[url:value LIKE 'https://%.px-evil.example/o/%.gif?u=%']",
        r"[url:value MATCHES '^https://px-evil\\.example/open/a_b\\.gif\\?e=.*$']",
    }
    assert "mail.example" not in json.dumps(activity_objects(ACTIVITY))


def test_a_pattern_with_a_regular_expression_fits_its_url_and_no_other() -> None:
    (pattern,) = (
        each["pattern"]
        for each in of(activity_objects(ACTIVITY), "indicator")
        if "MATCHES" in each["pattern"]
    )
    written = pattern.partition(" MATCHES '")[2].removesuffix("']")
    expression = re.compile(written.replace("\\'", "'").replace("\\\\", "\\"))
    assert expression.search("https://px-evil.example/open/a_b.gif?e=abc")
    assert not expression.search("https://px-evil.example/open/aXb.gif?e=abc")
    assert not expression.search("https://px-evil-example/open/a_b.gif?e=abc")


def test_an_actor_is_one_only_once_an_analyst_says_so() -> None:
    for verdict, count in (
        (AnalystVerdict.OPEN, 0),
        (AnalystVerdict.CONFIRMED, 1),
        (AnalystVerdict.BENIGN, 0),
    ):
        objects = activity_objects(activity(verdict=verdict))
        check(objects)
        assert len(of(objects, "threat-actor")) == count
        assert not of(objects, "intrusion-set")


def test_a_vendor_is_an_organisation_and_no_threat_actor() -> None:
    bought = activity(tooling=Tooling.BOUGHT, operator="Mailtrack", verdict=AnalystVerdict.CONFIRMED)
    objects = activity_objects(bought)
    check(objects)
    assert [each["name"] for each in of(objects, "threat-actor")] == ["deals-evil.example"]
    assert "Mailtrack" in {each["name"] for each in of(objects, "identity")}


def test_what_was_dismissed_is_revoked_in_a_later_version() -> None:
    before = {each["id"]: each for each in activity_objects(ACTIVITY)}
    objects = activity_objects(activity(verdict=AnalystVerdict.BENIGN, changed_at=AT + 5))
    check(objects)
    for kind in ("campaign", "indicator", "infrastructure", "sighting", "relationship"):
        for each in of(objects, kind):
            assert each["revoked"] is True
            assert each["created"] == before[each["id"]]["created"]
            assert each["modified"] > before[each["id"]]["modified"]
    assert not any(each.get("revoked") for each in (*of(objects, "identity"), *of(objects, "attack-pattern")))


def test_the_same_value_gives_the_same_objects_and_a_later_one_other_versions_of_them() -> None:
    assert activity_objects(ACTIVITY) == activity_objects(activity())
    later = activity_objects(activity(changed_at=AT + 0.001, last_at=AT, score=0.99))
    assert [each["id"] for each in later] == [each["id"] for each in activity_objects(ACTIVITY)]
    assert {each["modified"] for each in of(later, "campaign")} == {"2027-01-15T08:00:00.001Z"}
    assert {each["created"] for each in of(later, "campaign")} == {timestamp(AT - 7200)}


def test_observables_have_the_identifiers_that_everybody_gives_them() -> None:
    for made in (
        stix2.v21.DomainName(value="px-evil.example"),
        stix2.v21.IPv4Address(value="192.0.2.7"),
        stix2.v21.IPv6Address(value="2001:db8::7"),
        stix2.v21.URL(value="https://px-evil.example/a?b=ü'\"\\"),
        stix2.v21.X509Certificate(hashes={"SHA-256": "ab" * 32}),
    ):
        contributing = {name: made[name] for name in ("value", "hashes") if name in made}
        assert observable_identifier(made["type"], contributing) == made["id"]


@pytest.mark.parametrize("level", TrafficLight)
def test_markings_are_the_published_ones(level: TrafficLight) -> None:
    objects = activity_objects(activity(traffic_light=level))
    check(objects)
    published = {
        TrafficLight.CLEAR: stix2.v21.common.TLP_WHITE,
        TrafficLight.GREEN: stix2.v21.common.TLP_GREEN,
        TrafficLight.AMBER: stix2.v21.common.TLP_AMBER,
        TrafficLight.RED: stix2.v21.common.TLP_RED,
    }
    if level in published:
        assert json.loads(published[level].serialize()) == marking(level)
    for each in objects:
        if each["type"] not in ("marking-definition", "identity", "attack-pattern"):
            assert each["object_marking_refs"] == [marking(level)["id"]]


def test_techniques_have_mitres_identifiers() -> None:
    references = {
        each["external_references"][0]["external_id"]: each["external_references"][0]["url"]
        for each in of(activity_objects(ACTIVITY), "attack-pattern")
    }
    assert references.keys() == {str(each) for each in Technique}
    assert references["T1598.003"] == "https://attack.mitre.org/techniques/T1598/003"


def test_people_are_in_it_only_where_they_were_disclosed_and_never_as_addresses_to_write_to() -> None:
    assert not [
        each for each in of(activity_objects(ACTIVITY), "identity") if each["identity_class"] == "individual"
    ]
    objects = activity_objects(activity(people=("person-3f", "ann@acme.example")))
    check(objects)
    people = [each["name"] for each in of(objects, "identity") if each["identity_class"] == "individual"]
    assert people == ["person-3f", "ann@acme.example"]
    assert not of(objects, "email-addr")


def test_an_actor_who_is_not_confirmed_any_more_and_a_name_that_serves_everybody_are_withdrawn() -> None:
    confirmed = activity(verdict=AnalystVerdict.CONFIRMED)
    known = activity_objects(confirmed)
    shared = tuple(
        infrastructure(each.role, each.value, shared=True) if each.value == "deals-evil.example" else each
        for each in ACTIVITY.infrastructure
    )
    doubted = activity(changed_at=AT + 60, infrastructure=shared, probes=())
    gone = no_longer_claimed(doubted, known, activity_objects(doubted))
    check(gone)
    assert all(each["revoked"] and each["modified"] == timestamp(AT + 60) for each in gone)
    assert {each["type"] for each in gone} == {"threat-actor", "indicator", "relationship", "sighting"}
    assert [each["name"] for each in of(gone, "indicator")] == ["deals-evil.example"]
    assert no_longer_claimed(confirmed, known, known) == []


def test_a_tracker_that_somebody_built_and_one_of_a_vendor() -> None:
    objects = tracker_objects(TRACKER, "Acme", TrafficLight.GREEN, AT)
    check(objects)
    (indicator,) = of(objects, "indicator")
    assert indicator["pattern"] == "[url:value LIKE 'https://t.built.example/o/%.gif?u=%']"
    bought = stix_values.replace(TRACKER, tooling=Tooling.BOUGHT)
    assert tracker_objects(bought, "Acme", TrafficLight.GREEN, AT) == []


def test_an_alert_is_a_note_about_its_activity() -> None:
    objects = alert_objects(ALERT, "Acme", TrafficLight.AMBER)
    check(objects)
    (note,) = of(objects, "note")
    (campaign,) = of(activity_objects(ACTIVITY), "campaign")
    assert note["object_refs"] == [campaign["id"]]
    assert "2027-01-14" in note["content"]


def test_an_event_is_what_it_is_about() -> None:
    assert event_objects(stix_values.event(ACTIVITY)) == activity_objects(ACTIVITY)
    assert of(event_objects(stix_values.event(TRACKER)), "indicator")
    assert of(event_objects(stix_values.event(ALERT)), "note")
    assert event_objects(stix_values.event(None)) == []


def test_free_mail_and_known_operators_are_never_claimed_whatever_a_record_says() -> None:
    for value in ("gmail.com", "mail.gmail.com", "list-manage.com", "*.list-manage.com"):
        odd = activity(infrastructure=(infrastructure(Role.SENDER_DOMAIN, value),), probes=())
        assert not of(activity_objects(odd), "indicator"), value


def test_what_is_no_name_is_no_indicator() -> None:
    for value in (
        "co.uk",
        "*.co.uk",
        "com",
        "192.0.2.1",
        "a b.example",
        "evil.example'] OR [a:b='",
        "*",
        "",
        "x" * 300,
    ):
        odd = activity(infrastructure=(infrastructure(Role.TRACKER_DOMAIN, value),), probes=())
        assert not of(activity_objects(odd), "indicator"), value


@PATIENT
@given(stix_values.activities)
def test_whatever_an_activity_holds_it_is_valid(value: Any) -> None:
    check(activity_objects(value))


@PATIENT
@given(stix_values.trackers, stix_values.texts, st.sampled_from(TrafficLight), stix_values.times)
def test_whatever_a_tracker_holds_it_is_valid(value: Any, name: str, level: TrafficLight, at: float) -> None:
    objects = tracker_objects(value, name, level, at)
    if objects:
        check(objects)


@PATIENT
@given(stix_values.alerts, stix_values.texts, st.sampled_from(TrafficLight))
def test_whatever_an_alert_holds_it_is_valid(value: Any, name: str, level: TrafficLight) -> None:
    check(alert_objects(value, name, level))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=80))
def test_no_text_gets_out_of_its_literal(text: str) -> None:
    pattern = stix2.pattern_visitor.create_pattern_object(f"[url:value = {literal(text)}]", version="2.1")
    assert pattern.operand.rhs.value.replace("\\'", "'").replace("\\\\", "\\") == text


def test_organisations_of_one_name_are_two_and_one_that_is_renamed_stays_itself() -> None:
    ours, theirs = (Organisation("default", "Default", made_at).uuid for made_at in (AT, AT + 0.001))
    told = [activity_objects(activity(organisation="Default", told_by=each)) for each in (ours, theirs)]
    one, other = ({each["id"]: each for each in of(objects, "identity")} for objects in told)
    assert len(one.keys() & other.keys()) == 1  # who made the program
    assert all(each["created_by_ref"] == f"identity--{ours}" for each in of(told[0], "campaign"))
    renamed = activity(organisation="Acme plc", told_by=ours, changed_at=AT + 60)
    (after,) = (
        each for each in of(activity_objects(renamed), "identity") if each["id"] == f"identity--{ours}"
    )
    assert after["name"] == "Acme plc"
    assert after["created"] == one[after["id"]]["created"]
    assert after["modified"] > one[after["id"]]["modified"]
    check(activity_objects(renamed))


def test_two_that_learn_the_same_tracker_tell_of_it_by_objects_of_their_own() -> None:
    told = [
        tracker_objects(
            TRACKER, "Default", TrafficLight.GREEN, AT, told_by=Organisation("default", "", at).uuid
        )
        for at in (AT, AT + 0.001)
    ]
    check([*told[0], *told[1]])
    one, other = ({each["id"] for each in objects} for objects in told)
    same = {each.partition("--")[0] for each in one & other}
    assert same == {"marking-definition", "identity", "domain-name"}


@pytest.mark.parametrize("shared", ["px-evil.example", "*.px-evil.example"])
def test_what_stands_below_a_name_that_serves_everybody_is_withdrawn_with_it(shared: str) -> None:
    known = activity_objects(ACTIVITY)
    named = tuple(
        infrastructure(each.role, each.value, shared=True) if each.value == shared else each
        for each in ACTIVITY.infrastructure
    )
    found_out = activity(changed_at=AT + 60, infrastructure=named, probes=())
    gone = no_longer_claimed(found_out, known, activity_objects(found_out))
    patterns = {each["pattern"] for each in of(gone, "indicator")}
    assert any("url:value" in each and "*" not in each for each in patterns)
    assert any("LIKE '%.px-evil.example'" in each for each in patterns)
    assert not any("deals-evil" in each for each in patterns)


def test_a_sender_that_anybody_may_have_written_as_is_withdrawn_with_the_confirmation() -> None:
    known = activity_objects(activity(verdict=AnalystVerdict.CONFIRMED))
    unproven = tuple(
        stix_values.replace(each, claimed=each.role is Role.SENDER_DOMAIN) for each in ACTIVITY.infrastructure
    )
    doubted = activity(changed_at=AT + 60, infrastructure=unproven)
    gone = no_longer_claimed(doubted, known, activity_objects(doubted))
    assert [each["name"] for each in of(gone, "indicator")] == ["deals-evil.example"]
