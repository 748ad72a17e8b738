"""CEF, ECS, OCSF, CloudEvents and our own JSON: as their documents have them, whatever is in an event."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cef_reader import read_cef
from mailveil import __version__
from mailveil.core.intelligence.types import ActivityState, AnalystVerdict, Reason
from mailveil.core.sharing.cef import encode_cef
from mailveil.core.sharing.cloudevents import encode_cloudevent
from mailveil.core.sharing.ecs import encode_ecs
from mailveil.core.sharing.ocsf import encode_ocsf
from mailveil.core.sharing.plain import encode_plain, to_json
from mailveil.core.sharing.syslog import SyslogHeader, encode_syslog
from mailveil.core.sharing.types import EventKind, SharedEvent, TrafficLight
from stix_values import ACTIVITY, ALERT, TRACKER, activities, alerts, event, texts, times, trackers

# What OCSF 1.3 demands of a Detection Finding and of what is in it (github.com/ocsf/ocsf-schema: events/base_event,
# events/findings/{finding,detection_finding}, objects/{metadata,product,finding_info,attack,observable,analytic}).
OCSF_TYPES = {
    "activity_id": int, "activity_name": str, "category_uid": int, "category_name": str, "class_uid": int,
    "class_name": str, "type_uid": int, "type_name": str, "severity_id": int, "severity": str, "status_id": int,
    "status": str, "time": int, "start_time": int, "end_time": int, "message": str, "metadata": dict,
    "finding_info": dict, "is_alert": bool, "risk_score": int, "confidence_id": int, "confidence": str,
    "confidence_score": int, "evidences": list, "observables": list, "resources": list, "unmapped": dict,
}  # fmt: skip
OCSF_REQUIRED = {
    "activity_id", "category_uid", "class_uid", "finding_info", "metadata", "severity_id", "time", "type_uid",
}  # fmt: skip
FINDING_INFO = {
    "uid", "title", "desc", "types", "data_sources", "analytic", "created_time", "first_seen_time", "last_seen_time",
    "modified_time", "attacks",
}  # fmt: skip
METADATA = {
    "version", "product", "uid", "sequence", "event_code", "log_provider", "labels", "original_time",
}  # fmt: skip
# What ECS 8.11 allows (github.com/elastic/ecs: generated/csv, and the allowed values of event.*).
ECS_KINDS = {"alert", "asset", "enrichment", "event", "metric", "state", "pipeline_error", "signal"}
ECS_TYPES_OF = {
    "email": {"info"},
    "intrusion_detection": {"allowed", "denied", "info"},
    "threat": {"indicator"},
}
ECS_FIELDS = {
    "@timestamp", "ecs", "message", "tags", "event", "organization", "observer", "labels", "related", "url", "rule",
    "threat", "mailveil",
}  # fmt: skip
ECS_EVENT = {
    "id", "code", "action", "kind", "category", "type", "module", "dataset", "provider", "severity", "risk_score",
    "sequence", "created", "start", "end", "reason",
}  # fmt: skip

events = st.builds(
    SharedEvent,
    identifier=texts,
    number=st.integers(0, 2**62),
    at=times,
    kind=st.sampled_from(EventKind),
    organisation=texts,
    traffic_light=st.sampled_from(TrafficLight),
    activity=st.one_of(st.none(), activities),
    alert=st.one_of(st.none(), alerts),
    tracker=st.one_of(st.none(), trackers),
)
PATIENT = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HUGE = "x\n=|\\\u202e\x1b[2J" * 120_000  # more than 1 MB


def check_ocsf(made: dict[str, Any]) -> None:
    assert made.keys() <= OCSF_TYPES.keys()
    assert made.keys() >= OCSF_REQUIRED
    for name, value in made.items():
        assert type(value) is OCSF_TYPES[name], name
    assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"]
    assert (made["class_uid"], made["category_uid"]) == (2004, 2)
    assert made["activity_id"] in {1, 2, 3}
    assert made["severity_id"] in range(1, 6)
    assert made["status_id"] in range(1, 5)
    assert made["metadata"].keys() <= METADATA
    assert made["metadata"]["version"] == "1.3.0"
    assert made["metadata"]["product"].keys() >= {"name", "vendor_name"}
    assert made["finding_info"].keys() <= FINDING_INFO
    assert made["finding_info"]["title"]
    for attack in made["finding_info"].get("attacks", []):
        assert attack.keys() <= {"tactic", "technique", "sub_technique"}
        assert all(each.keys() == {"uid", "name"} for each in attack.values())
    for each in made.get("observables", []):
        assert each["type_id"] in {1, 2, 4, 6}
        assert pointed_at(made, each["name"]) == each["value"]


def pointed_at(made: dict[str, Any], name: str) -> Any:
    """Return what the name of an observable points at."""
    value: Any = made
    for step in name.replace("[", ".").replace("]", "").split("."):
        value = value[int(step)] if step.isdigit() else value[step]
    return value


def check_ecs(made: dict[str, Any]) -> None:
    assert made.keys() <= ECS_FIELDS
    assert made["event"].keys() <= ECS_EVENT
    assert made["event"]["kind"] in ECS_KINDS
    for category in made["event"]["category"]:
        assert set(made["event"]["type"]) <= ECS_TYPES_OF[category]
    assert isinstance(made["event"]["severity"], int)
    assert all(isinstance(each, str) for each in made["labels"].values())


def check_cef(text: str) -> None:
    cef = read_cef(text)
    assert cef.header[:4] == ["CEF:0", "mailveil", "mailveil", __version__]
    assert int(cef.header[6]) in range(11)
    for key in cef.values:
        if key[:2] in {"cs", "cn"} and not key.endswith("Label"):
            assert f"{key}Label" in cef.values
    assert text.isprintable()


@PATIENT
@given(events)
def test_every_event_can_be_encoded_whatever_is_in_it(made: SharedEvent) -> None:
    check_cef(encode_cef(made))
    check_ecs(encode_ecs(made))
    check_ocsf(encode_ocsf(made))
    for each in (encode_plain(made), encode_ecs(made), encode_ocsf(made), encode_cloudevent(made, {})):
        text = to_json(each)
        assert text.isascii()
        assert text.isprintable()
        assert json.loads(text) == each, "numbers and text are what JSON has"


@PATIENT
@given(events, st.sampled_from((480, 1000, 2048, 8192)))
def test_a_syslog_message_is_one_and_no_longer_than_asked_for(made: SharedEvent, most: int) -> None:
    header = SyslogHeader(16, "gateway\r\n.example")
    for encode in (encode_cef, lambda each: to_json(encode_plain(each))):
        raw = encode_syslog(made, header, encode, most)
        assert len(raw) <= most
        text = raw.decode("utf-8")
        assert text.replace("\ufeff", "", 1).isprintable()
        assert text.startswith("<1")
        assert "] " in text


@pytest.mark.parametrize("subject", [ACTIVITY, ALERT, TRACKER, None])
def test_a_megabyte_of_anything_stays_bounded(subject: Any) -> None:
    changes = {
        name: HUGE
        for name in ("identifier", "actor", "template", "host", "words", "operator", "sender_domain")
        if subject is not None and hasattr(subject, name)
    }
    made = event(
        subject if subject is None else replace(subject, **changes), organisation=HUGE, identifier=HUGE
    )
    for encode in (encode_plain, encode_ecs, encode_ocsf):
        assert len(to_json(encode(made))) < 200_000
    check_cef(encode_cef(made))
    assert len(encode_cef(made)) < 30_000


def test_an_activity_in_cef() -> None:
    cef = read_cef(encode_cef(event(ACTIVITY)))
    assert cef.header[4:] == ["activity.changed", "Reconnaissance goes on", "9"]
    expected = {
        "externalId": "event-1", "cat": "activity.changed", "rt": "1800000001000", "start": "1799992800000",
        "end": "1799999940000", "shost": "deals-evil.example", "src": "192.0.2.7",
        "msg": "Reconnaissance goes on: deals-evil.example (2 people, 3 probes): the sender was never seen before",
        "cs1Label": "organisation", "cs1": "Acme", "cs2Label": "tlp", "cs2": "amber", "cs3Label": "subject",
        "cs3": "activity-1", "cn1Label": "people", "cn1": "2", "cn2Label": "probes", "cn2": "3",
        "cs6Label": "state", "cs6": "active", "outcome": "open", "cfp1Label": "score", "cfp1": "0.93",
    }  # fmt: skip
    assert expected.items() <= cef.values.items()
    assert "duser" not in cef.values
    named = encode_cef(event(replace(ACTIVITY, people=("ann@acme.example",))))
    assert read_cef(named).values["duser"] == "ann@acme.example"


def test_cef_escapes_what_its_standard_says() -> None:
    odd = replace(ACTIVITY, actor="a|b\\c=d\ne", reasons=(Reason("X", 1.0, "k=v | \\"),))
    text = encode_cef(event(odd))
    assert "shost=a|b\\\\c\\=d e" in text
    assert read_cef(text).values["shost"] == "a|b\\c=d e"
    assert read_cef(text).values["msg"].endswith("k=v | \\")


def test_an_activity_in_ecs() -> None:
    made = encode_ecs(event(ACTIVITY))
    assert made["event"]["kind"] == "alert"
    assert (made["event"]["severity"], made["event"]["risk_score"]) == (93, 93.0)
    assert made["threat"]["framework"] == "MITRE ATT&CK"
    assert made["threat"]["tactic"]["id"] == ["TA0043"]
    assert made["threat"]["technique"]["id"] == ["T1598", "T1589", "T1590", "T1592"]
    assert made["threat"]["technique"]["subtechnique"]["name"] == ["Spearphishing Link", "IP Addresses"]
    assert made["related"] == {
        "hosts": ["deals-evil.example", "px-evil.example", "ns1.hoster.example"],
        "ip": ["192.0.2.7"],
    }
    assert made["labels"]["state"] == "active"
    tracker = encode_ecs(event(TRACKER))
    indicator = tracker["threat"]["indicator"]
    assert (indicator["type"], indicator["url"]["domain"]) == ("url", "t.built.example")
    assert indicator["marking"] == {"tlp": "AMBER", "tlp_version": "2.0"}
    strict = encode_ecs(event(TRACKER, traffic_light=TrafficLight.AMBER_STRICT))
    assert strict["threat"]["indicator"]["marking"]["tlp"] == "AMBER+STRICT"


def test_an_activity_in_ocsf_is_one_finding_through_its_life() -> None:
    opened = encode_ocsf(event(ACTIVITY, kind=EventKind.ACTIVITY_OPENED))
    changed = encode_ocsf(event(ACTIVITY))
    closed = encode_ocsf(event(replace(ACTIVITY, state=ActivityState.CLOSED), kind=EventKind.ACTIVITY_CLOSED))
    benign = encode_ocsf(
        event(replace(ACTIVITY, verdict=AnalystVerdict.BENIGN), kind=EventKind.ACTIVITY_DECIDED)
    )
    assert [each["type_uid"] for each in (opened, changed, closed, benign)] == [
        200401,
        200402,
        200403,
        200403,
    ]
    assert [each["status"] for each in (opened, changed, closed, benign)] == [
        "New",
        "New",
        "Resolved",
        "Suppressed",
    ]
    assert {each["finding_info"]["uid"] for each in (opened, changed, closed, benign)} == {"activity-1"}
    assert (opened["severity"], opened["is_alert"], changed["is_alert"]) == ("Critical", True, False)
    attacks = opened["finding_info"]["attacks"]
    assert attacks[1]["technique"]["uid"] == "T1598"
    assert attacks[1]["sub_technique"] == {"uid": "T1598.003", "name": "Spearphishing Link"}
    values = {each["value"] for each in opened["observables"]}
    assert {"deals-evil.example", "192.0.2.7", "px-evil.example"} <= values
    assert "*.px-evil.example" not in values
    assert "mail.example" not in values, "what serves everybody points at nobody"


def test_a_cloudevent_has_what_the_specification_demands() -> None:
    made = encode_cloudevent(event(ALERT), encode_plain(event(ALERT)))
    assert made.keys() == {
        "specversion", "id", "source", "type", "time", "datacontenttype", "tlp", "sequence", "data", "subject",
    }  # fmt: skip
    assert (made["specversion"], made["type"], made["subject"]) == (
        "1.0",
        "org.mailveil.alert.raised",
        "alert-1",
    )
    assert made["source"] == "urn:mailveil:Acme"
    assert encode_cloudevent(event(None, organisation="Größe & Söhne\n"), {})["source"] == (
        "urn:mailveil:Gr%C3%B6%C3%9Fe%20%26%20S%C3%B6hne"
    )


def test_our_own_json_always_has_every_member() -> None:
    made = encode_plain(event(None))
    assert made == {
        "schema": "mailveil.event/1", "id": "event-1", "number": 1, "time": "2027-01-15T08:00:01.000Z",
        "type": "test", "organisation": "Acme", "tlp": "amber", "activity": None, "alert": None, "tracker": None,
    }  # fmt: skip
    activity = encode_plain(event(ACTIVITY))["activity"]
    assert activity["techniques"][1]["name"] == "Spearphishing Link"
    assert activity["infrastructure"][0] == {
        "role": "sender-domain", "value": "deals-evil.example", "first_at": "2027-01-15T06:00:00.000Z",
        "last_at": "2027-01-15T07:59:00.000Z", "messages": 3, "shared": False,
    }  # fmt: skip
    assert encode_plain(event(ALERT))["alert"]["earlier_at"] == "2027-01-14T08:00:00.000Z"
