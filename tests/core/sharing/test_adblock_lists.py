"""Filter lists of learned trackers: read by mailveil itself and by Brave's engine, and out of reach of hostile URLs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from adblock import Engine, FilterSet
from hypothesis import given, settings
from hypothesis import strategies as st

import stix_values
from mailveil.core.intelligence.types import Tooling
from mailveil.core.sharing.adblock import filter_list, rule_of
from mailveil.core.sharing.types import SharedTracker
from mailveil.core.verdicts.addresses import registrable_domain, take_apart
from mailveil.core.verdicts.lists import ImportedList, ListFormat, detect_format, parse_list
from mailveil.core.verdicts.lists.matching import Lists
from stix_values import AT, TRACKER


def tracker(template: str, **changes: object) -> SharedTracker:
    host = take_apart(template).host
    return replace(TRACKER, template=template, host=host, domain=registrable_domain(host), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("https://t.built.example/o/*.gif?u=*", "||t.built.example/o/*.gif?u=$image"),
        ("https://*.built.example/open?id=*&m=*", "||built.example/open?id=*&m=$image"),
        ("https://t.built.example/*", "||t.built.example^$image,third-party"),
        ("https://t.built.example:*/o.gif", "||t.built.example^*/o.gif^$image"),
        ("*://t.built.example/o.gif", "||t.built.example/o.gif^$image"),
    ],
)
def test_a_rule_says_where_the_tracker_is_and_no_more(template: str, rule: str) -> None:
    assert rule_of(tracker(template)) == rule


def test_what_a_reference_loads_is_what_the_rule_is_for() -> None:
    assert rule_of(tracker("https://t.built.example/o.css", vector="css-import")).endswith("$stylesheet")


@pytest.mark.parametrize(
    "changes",
    [
        {"tooling": Tooling.BOUGHT},
        {"operator": "Mailtrack"},
        {"template": "https://co.uk/o/*.gif", "host": "co.uk", "domain": "co.uk"},
        {"template": "https://*.co.uk/o/*.gif", "host": "*.co.uk", "domain": ""},
        {"template": "https://*/o/*.gif", "host": "*", "domain": ""},
        {"template": "https://com/", "host": "com", "domain": ""},
        {"template": "https://192.0.2.1/o.gif", "host": "192.0.2.1", "domain": "192.0.2.1"},
        {
            "template": "https://list-manage.com/track/open.php?u=*",
            "host": "list-manage.com",
            "domain": "list-manage.com",
        },
        {"template": "what nobody can read"},
        *(
            {"template": f"https://{host}/open/*", "host": host, "domain": registrable_domain(host)}
            for host in (
                "docs.google.com",
                "i.imgur.com",
                "bit.ly",
                "storage.googleapis.com",
                "raw.githubusercontent.com",
                "acme.sharepoint.com",
            )
        ),
    ],
)
def test_there_is_no_rule_for_vendors_public_suffixes_and_addresses(changes: dict[str, object]) -> None:
    assert rule_of(replace(TRACKER, **changes)) == ""  # type: ignore[arg-type]


def test_mailveil_and_brave_read_the_list_and_block_the_tracker_and_nothing_beside_it() -> None:
    text = filter_list(
        [
            rule_of(TRACKER),
            rule_of(tracker("https://px.other.example/*")),
            rule_of(tracker("https://t.port.example:*/o.gif")),
            rule_of(tracker("https://short.example/i")),
        ],
        "Acme\n! Title: x",
        AT,
    )
    assert detect_format(text) is ListFormat.ADBLOCK
    parsed = parse_list(text, ListFormat.ADBLOCK)
    assert not parsed.skipped
    assert parsed.title.startswith("Trackers that mailveil learned (Acme")
    rules = FilterSet(debug=True)
    rules.add_filter_list(text)
    brave, ours = Engine(rules), Lists([ImportedList("learned", parsed)], engine=False)
    for url, is_hit in (
        ("https://t.built.example/o/abc.gif?u=x1", True),
        ("https://px.other.example/anything", True),
        ("https://t.port.example:8443/o.gif", True),
        ("https://short.example/i", True),
        ("https://short.example/i?u=7", True),
        ("https://short.example/images/logo.png", False),
        ("https://t.port.examples.example/o.gif", False),
        ("https://www.built.example/logo.png", False),
        ("https://t.built.example.evil.example/o/abc.gif?u=x1", False),
        ("https://other.example/logo.png", False),
    ):
        assert bool(ours.look(url, take_apart(url).host)) is is_hit, url
        answer = brave.check_network_urls(url, "https://mail.invalid/", "image")
        assert answer.matched is is_hit, url


def test_a_list_says_when_it_changed_and_has_each_rule_once() -> None:
    rule = rule_of(TRACKER)
    text = filter_list([rule, "", rule], "", AT)
    assert text.count(rule) == 1
    assert "! Last modified: 2027-01-15T08:00:00.000Z\n" in text
    assert text == filter_list([rule], "", AT)
    assert "1970" not in filter_list([], "", 0.0)


HOSTILE = st.one_of(
    stix_values.trackers,
    st.builds(
        lambda host, rest, vector: replace(
            TRACKER, template=f"https://{host}/{rest}", host=host, domain=host, vector=vector
        ),
        st.sampled_from(["t.evil.example", "*.evil.example", "co.uk", "*", "evil.example"]),
        st.one_of(stix_values.texts, st.text("*|^$#@!/,~=abc?&\n\r \\%", max_size=40)),
        stix_values.texts,
    ),
)


@settings(max_examples=400, deadline=None)
@given(HOSTILE)
def test_no_url_breaks_out_of_its_rule(value: SharedTracker) -> None:
    rule = rule_of(value)
    if not rule:
        return
    assert rule.isascii()
    assert rule.isprintable()
    assert " " not in rule
    assert rule.startswith("||")
    pattern, _, options = rule.rpartition("$")
    assert set(options.split(",")) <= {
        "image",
        "stylesheet",
        "font",
        "media",
        "subdocument",
        "object",
        "third-party",
    }
    host = pattern[2:].partition("/")[0].partition("^")[0].rstrip("*")
    assert registrable_domain(host)
    assert not set(pattern[2:].removesuffix("^")) & set("|^$#!,\\ ")
    parsed = parse_list(filter_list([rule], "x", AT), ListFormat.ADBLOCK)
    assert [each.host for each in parsed.rules] == [host]
    assert not parsed.exceptions
    assert not Lists([ImportedList("learned", parsed)], engine=False).look(
        "https://honest.example/a.png", "honest.example"
    )
