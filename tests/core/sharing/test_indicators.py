"""Indicators of others: what is read out of STIX and MISP objects made by their own libraries, and what is not."""

import json

import pytest
import stix2
from hypothesis import given
from hypothesis import strategies as st
from pymisp import MISPEvent, MISPObject, MISPOrganisation

from mailveil.core.sharing.indicators import (
    MAX_TAKEN,
    PatternError,
    indicator_of_stix,
    indicators_of_misp,
    terms_of_pattern,
)

TAKEN = [
    ("[domain-name:value = 'spy.example']", [("host", "spy.example")]),
    ("[domain-name:value = 'SPY.Example.']", [("host", "spy.example")]),
    ("[domain-name:value = 'spï.example']", [("host", "xn--sp-uja.example")]),
    ("[hostname:value='t.spy.example']", [("host", "t.spy.example")]),
    ("[url:value = 'http://spy.example/a?b=c']", [("url", "http://spy.example/a?b=c")]),
    ("[domain-name:value IN ('a.example', 'b.example')]", [("host", "a.example"), ("host", "b.example")]),
    ("[domain-name:value LIKE '%.spy.example']", [("below", "spy.example")]),
    ("[domain-name:value LIKE 'spy.example']", [("host", "spy.example")]),
    ("[url:value LIKE 'https://spy.example/a_b']", [("url", "https://spy.example/a_b")]),
    ("[url:value LIKE 'https://spy.example/open/%']", [("prefix", "https://spy.example/open/")]),
    (
        "[url:value LIKE 'https://%.spy.example/o/%.gif?u=%']",
        [("shape", "https://*.spy.example/o/*.gif?u=*")],
    ),
    (
        "[domain-name:value = 'a.example' OR url:value = 'https://b.example/x']",
        [("host", "a.example"), ("url", "https://b.example/x")],
    ),
    (
        "[(domain-name:value = 'a.example') OR (domain-name:value = 'b.example')]",
        [("host", "a.example"), ("host", "b.example")],
    ),
    (
        "([domain-name:value = 'a.example'] OR [domain-name:value = 'b.example'])",
        [("host", "a.example"), ("host", "b.example")],
    ),
    ("[url:value = 'https://spy.example/it\\'s']", [("url", "https://spy.example/it's")]),
]
BESIDE_OTHERS = [
    ("[ipv4-addr:value = '192.0.2.1' OR domain-name:value = 'a.example']", ["a.example"], 1),
    ("[domain-name:value = 'a.example'] OR [ipv4-addr:value ISSUBSET '192.0.2.0/24']", ["a.example"], 1),
    (
        "[file:name IN ('ab', 'cd') OR file:size NOT = 7 OR (domain-name:value = 'a.example')]",
        ["a.example"],
        2,
    ),
    ("[file:ctime > t'2026-01-01T00:00:00Z' OR domain-name:value = 'a.example']", ["a.example"], 1),
]
NOT_TAKEN = [
    ("", "no-pattern"),
    (None, "no-pattern"),
    ("[domain-name:value = 'a.example' AND url:value = 'http://b.example/']", "several-at-once"),
    ("[domain-name:value = 'a.example'] FOLLOWEDBY [domain-name:value = 'b.example']", "several-at-once"),
    ("[domain-name:value = 'a.example'] WITHIN 300 SECONDS", "times"),
    ("[domain-name:value = 'a.example'] START t'2026-01-01T00:00:00Z' STOP t'2026-02-01T00:00:00Z'", "times"),
    ("[domain-name:value MATCHES '^(a+)+$']", "regular-expression"),
    ("[NOT domain-name:value = 'a.example']", "negation"),
    ("[domain-name:value != 'a.example']", "negation"),
    ("[domain-name:value NOT IN ('a.example')]", "negation"),
    ("[domain-name:value LIKE '%example']", "wildcards"),
    ("[domain-name:value LIKE 's_y.example']", "wildcards"),
    ("[url:value LIKE '%spy%']", "wildcards"),
    ("[ipv4-addr:value = '192.0.2.1']", "other-object"),
    ("[email-addr:value = 'a@spy.example']", "other-object"),
    ("[file:hashes.'SHA-256' = 'ab']", "other-object"),
    ("[domain-name:value = 'no name']", "no-name"),
    ("[domain-name:value = 'localhost']", "no-name"),
    ("[domain-name:value = '192.0.2.1']", "no-name"),
    ("[url:value = 'javascript:alert(1)']", "no-address"),
    ("[url:value = 'http://user@spy.example/']", "no-address"),
    ("[url:value = 'http://" + "a" * 400 + ".example/']", "too-long"),
    ("[domain-name:value = 'a.example'", "not-understood"),
    ("[domain-name:value = 'a.example']]", "not-understood"),
    ("([domain-name:value = 'a.example']", "not-understood"),
    ("[domain-name:value = 7]", "not-understood"),
    ("[" * 15_000, "not-understood"),
    ("'" + "\\" * 15_000, "not-understood"),
    ("x" * 30_000, "too-long"),
]


@pytest.mark.parametrize(("pattern", "terms"), TAKEN)
def test_simple_patterns_are_taken(pattern, terms):
    made = stix2.Indicator(
        pattern=pattern, pattern_type="stix", valid_from="2026-01-02T03:04:05Z", name="Spy", confidence=80,
        object_marking_refs=[stix2.TLP_AMBER], valid_until="2026-02-03T04:05:06Z",
    )  # fmt: skip
    source = indicator_of_stix(json.loads(made.serialize()))
    assert source is not None
    assert source.identifier == made.id
    assert [(each.kind, each.value) for each in source.indicators] == terms
    one = source.indicators[0]
    assert (one.confidence, one.name, one.marking) == (0.8, "Spy", "amber")
    assert (one.valid_from, one.valid_until) == (1767323045.0, 1770091506.0)


@pytest.mark.parametrize(("pattern", "reason"), NOT_TAKEN)
def test_everything_else_is_counted_and_not_guessed_at(pattern, reason):
    with pytest.raises(PatternError, match=f"^{reason}$"):
        terms_of_pattern(pattern)
    source = indicator_of_stix({"type": "indicator", "id": "indicator--1", "pattern": pattern})
    assert source is not None
    assert source.indicators == ()
    assert source.skipped == {reason: 1}


@pytest.mark.parametrize(("pattern", "values", "others"), BESIDE_OTHERS)
def test_what_would_do_with_another_object_does_with_the_name_alone(pattern, values, others):
    made = stix2.Indicator(pattern=pattern, pattern_type="stix", valid_from="2026-01-02T03:04:05Z")
    source = indicator_of_stix(json.loads(made.serialize()))
    assert source is not None
    assert [each.value for each in source.indicators] == values
    assert source.skipped == {"other-object": others}


@pytest.mark.parametrize(
    "other", ["[ipv4-addr:value = '192.0.2.1'", "[ipv4-addr:value IN ('192.0.2.1'", "[file:size"]
)
def test_another_object_without_an_end_is_not_understood(other):
    with pytest.raises(PatternError, match="not-understood"):
        terms_of_pattern(other)


def test_what_has_to_go_with_another_object_is_not_taken():
    with pytest.raises(PatternError, match="several-at-once"):
        terms_of_pattern("[ipv4-addr:value = '192.0.2.1' AND domain-name:value = 'a.example']")


def test_what_was_revoked_says_nothing_any_more():
    made = stix2.Indicator(pattern=TAKEN[0][0], pattern_type="stix", valid_from="2026-01-02T03:04:05Z")
    revoked = indicator_of_stix(json.loads(made.revoke().serialize()))
    assert revoked is not None
    assert (revoked.identifier, revoked.indicators, revoked.skipped) == (made.id, (), {})


@pytest.mark.parametrize(
    "record",
    [None, [], "x", {}, {"type": "identity", "id": "identity--1"}, {"type": "indicator"},
     {"type": "indicator", "id": 7}, {"type": "indicator", "id": "x" * 101}, {"type": "indicator", "id": "ü"}],
)  # fmt: skip
def test_what_is_no_indicator_is_none(record):
    assert indicator_of_stix(record) is None


def test_other_kinds_of_patterns_and_odd_members_break_nothing():
    yara = indicator_of_stix({"type": "indicator", "id": "i", "pattern": "rule x {}", "pattern_type": "yara"})
    assert yara is not None
    assert yara.skipped == {"pattern-type": 1}
    odd = indicator_of_stix(
        {"type": "indicator", "id": "i", "pattern": TAKEN[0][0], "confidence": "high", "valid_from": 7,
         "valid_until": "9999-99-99", "name": ["x"], "object_marking_refs": {"a": 1}}
    )  # fmt: skip
    assert odd is not None
    (one,) = odd.indicators
    assert (one.confidence, one.valid_from, one.valid_until, one.name, one.marking) == (0.5, 0.0, 0.0, "", "")


def event() -> MISPEvent:
    made = MISPEvent()
    made.info = "Spies\tat  work"
    made.Orgc = MISPOrganisation()
    made.Orgc.name = "CERT"
    made.Orgc.uuid = "55f6ea5e-2c60-40e5-964f-47a8950d210f"
    made.add_tag("tlp:green")
    return made


def test_an_event_of_misp_tells_what_is_marked_for_detection():
    made = event()
    made.add_attribute("domain", "spy.example", to_ids=True)
    made.add_attribute("hostname", "t.other.example", to_ids=True)
    made.add_attribute("url", "https://third.example/a", to_ids=True)
    made.add_attribute("domain|ip", "fourth.example|192.0.2.1", to_ids=True)
    made.add_attribute("domain", "mentioned.example", to_ids=False)
    made.add_attribute("ip-dst", "192.0.2.1", to_ids=True)
    made.add_attribute("domain", "gone.example", to_ids=True).delete()
    url = MISPObject("url")
    url.add_attribute("url", "https://fifth.example/b", to_ids=True)
    made.add_object(url)
    source = indicators_of_misp(made.uuid, json.loads(json.dumps(made.to_feed())))
    assert source.identifier == made.uuid
    assert {(each.kind, each.value) for each in source.indicators} == {
        ("host", "spy.example"), ("host", "t.other.example"), ("url", "https://third.example/a"),
        ("host", "fourth.example"), ("url", "https://fifth.example/b"),
    }  # fmt: skip
    assert source.skipped == {"other-object": 1}
    one = source.indicators[0]
    assert (one.name, one.source, one.marking) == ("Spies at work", "CERT", "green")


def test_an_event_of_any_size_is_bounded():
    attributes = [
        {"type": "domain", "value": f"d{number}.example", "to_ids": True} for number in range(MAX_TAKEN + 7)
    ]
    source = indicators_of_misp("e", {"Event": {"Attribute": attributes}})
    assert len(source.indicators) == MAX_TAKEN
    assert source.skipped == {"too-many": 7}


NAMES = [
    "Event",
    "Attribute",
    "Object",
    "type",
    "value",
    "to_ids",
    "Tag",
    "timestamp",
    "id",
    "pattern",
    "info",
    "Orgc",
]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=20,
)


@given(JUNK)
def test_any_object_has_an_answer(record):
    indicators_of_misp("e", record)
    indicator_of_stix(record)
    if isinstance(record, dict):
        indicator_of_stix({**record, "type": "indicator", "id": "i"})


@given(st.text(st.sampled_from("[]()='\\ ,ORANDLIKEINdomain-name:valueurl%_t.")))
def test_any_pattern_has_an_answer(pattern):
    source = indicator_of_stix({"type": "indicator", "id": "i", "pattern": pattern})
    assert source is not None
    assert bool(source.indicators) != bool(source.skipped)
