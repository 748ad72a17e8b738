"""Indicators: what may be taken from a feed, and what is found by it in a message."""

import json

import pytest

from mailveil.core.recognition.indicators import (
    MAX_AT_ONE_HOST,
    MAX_FOUND,
    Taken,
    indicator_index_of,
    indicators_of,
    recognise_indicated,
    taken_as,
)
from mailveil.core.recognition.types import KnownBy, MessageTraits
from mailveil.core.sharing.indicators import indicator_of_stix
from mailveil.core.sharing.stix import activity_objects, tracker_objects
from mailveil.core.sharing.types import TrafficLight
from mailveil.core.verdicts.lists.types import Indication
from stix_values import ACTIVITY, AT, TRACKER

OWN = frozenset({"contoso.com"})
KEPT = [
    (("host", "spy.example"), Taken("domain", "spy.example")),
    (("below", "spy.example"), Taken("domain", "spy.example")),
    (("host", "t.spy.example"), Taken("host", "t.spy.example")),
    (("below", "x.spy.example"), Taken("domain", "x.spy.example")),
    (("host", "evil.sharepoint.com"), Taken("host", "evil.sharepoint.com")),
    (("host", "someone.github.io"), Taken("domain", "someone.github.io")),
    (("url", "HTTP://Spy.Example/A"), Taken("url", "http://spy.example/A")),
    (("url", "https://192.0.2.1/a.gif"), Taken("url", "https://192.0.2.1/a.gif")),
    (("url", "https://www.google.com/url?q=https://spy.example"), Taken("url", "https://www.google.com/url?q=https://spy.example")),
    (("prefix", "https://spy.example/"), Taken("prefix", "https://spy.example/")),
    (("prefix", "https://docs.google.com/forms/d/e/1FAIpQLSd/"), Taken("prefix", "https://docs.google.com/forms/d/e/1FAIpQLSd/")),
    (("shape", "HTTPS://*.Spy.Example/O/*.gif?u=*"), Taken("shape", "https://*.spy.example/O/*.gif?u=*")),
    (("shape", "https://spy.example:8443/*/a"), Taken("shape", "https://spy.example:8443/*/a")),
]  # fmt: skip
REFUSED = [
    (("host", "com"), "public-suffix"),
    (("host", "co.uk"), "public-suffix"),
    (("below", "github.io"), "public-suffix"),
    (("host", "google.com"), "serves-everybody"),
    (("host", "gmail.com"), "serves-everybody"),
    (("host", "sendgrid.net"), "serves-everybody"),
    (("below", "t.sendgrid.net"), "serves-everybody"),
    (("host", "fonts.gstatic.com"), "serves-everybody"),
    (("host", "w3.org"), "serves-everybody"),
    (("below", "fontawesome.com"), "serves-everybody"),
    (("url", "https://www.google.com/"), "serves-everybody"),
    (("prefix", "https://sharepoint.com"), "serves-everybody"),
    (("prefix", "https://docs.google.com/fo"), "serves-everybody"),
    (("prefix", "https://www.google.com/search?q="), "serves-everybody"),
    (("shape", "https://docs.google.com/*/edit"), "serves-everybody"),
    (("shape", "https://*.sendgrid.net/wf/*"), "serves-everybody"),
    (("shape", "https://www.w3.org/*/a"), "serves-everybody"),
    (("shape", "https://*.co.uk/a"), "public-suffix"),
    (("shape", "https://*/a"), "wildcards"),
    (("shape", "https://*evil.example/a"), "wildcards"),
    (("shape", "https://evil.ex*/a"), "wildcards"),
    (("shape", "https://spy.example/" + "*a" * 20), "wildcards"),
    (("shape", "https://*.contoso.com/o/*"), "own-domain"),
    (("host", "contoso.com"), "own-domain"),
    (("host", "mail.contoso.com"), "own-domain"),
    (("below", "contoso.com"), "own-domain"),
    (("url", "https://www.contoso.com/a"), "own-domain"),
    (("url", "https://com/a"), "public-suffix"),
]


@pytest.mark.parametrize(("given", "kept"), KEPT)
def test_what_is_taken(given, kept):
    assert taken_as(*given, OWN) == kept


@pytest.mark.parametrize(("given", "reason"), REFUSED)
def test_no_feed_names_what_everybody_uses_or_what_is_ours(given, reason):
    assert taken_as(*given, OWN) == reason


INDEX = indicators_of(
    [
        Indication("domain", "spy.example", "CERT"),
        Indication("host", "t.other.example", "CERT"),
        Indication("url", "https://third.example/a?b", "MISP"),
        Indication("prefix", "https://fourth.example/open/", "MISP"),
        Indication("domain", "spy.example", "later"),
        Indication("shape", "https://*.fifth.example/o/*.gif?u=*", "SHAPES"),
        Indication("shape", "https://sixth.example/*/aa*a", "SHAPES"),
    ],
    "5",
)


@pytest.mark.parametrize(
    ("url", "feed"),
    [
        ("https://spy.example/x", "CERT"),
        ("http://a.b.spy.example/x", "CERT"),
        ("https://t.other.example/x", "CERT"),
        ("https://other.example/x", ""),
        ("https://u.t.other.example/x", ""),
        ("https://notspy.example/x", ""),
        ("https://third.example/a?b", "MISP"),
        ("https://third.example/a", ""),
        ("https://fourth.example/open/7.gif", "MISP"),
        ("https://fourth.example/", ""),
        ("https://t.fifth.example/o/17.gif?u=ann", "SHAPES"),
        ("https://t.fifth.example/o/17.gif", ""),
        ("https://t.fifth.example/p/17.gif?u=ann", ""),
        ("https://sixth.example/x/aaa", "SHAPES"),
        ("https://sixth.example/x/aa", ""),
        ("https://notsixth.example/x/aaa", ""),
        ("https://evil.example/?u=https://t.fifth.example/o/17.gif?u=ann", ""),
        ("cid:spy.example", ""),
        ("", ""),
    ],
)
def test_addresses_are_found(url, feed):
    found = INDEX.look([url])
    assert [each.feed for each in found] == ([feed] if feed else [])
    assert all(each.names(url, url.split("/")[2]) for each in found)


def test_what_is_found_is_bounded():
    many = indicators_of(Indication("host", f"h{number}.example.org", "F") for number in range(200))
    assert len(many.look(f"https://h{number}.example.org/" for number in range(200))) == MAX_FOUND


def test_it_is_written_down_and_read_again():
    again = indicator_index_of(json.loads(json.dumps(INDEX.record())))
    assert again.record() == INDEX.record()
    assert again.look(["https://spy.example/"]) == INDEX.look(["https://spy.example/"])


def test_senders_are_recognised():
    for traits in (
        MessageTraits(author_domain="spy.example"),
        MessageTraits(author_domain="x.org", sender_domain="spy.example"),
        MessageTraits(author_domain="x.org", reply_domain="spy.example"),
    ):
        found = recognise_indicated(INDEX, traits)
        assert found is not None
        assert (found.known_by, found.actor, found.activity) == (KnownBy.INDICATOR, "CERT", "")
        assert found.words == "spy.example is listed as an indicator by CERT"
    assert (
        recognise_indicated(INDEX, MessageTraits(author_domain="x.org", domains=frozenset({"spy.example"})))
        is None
    )
    assert (
        recognise_indicated(INDEX, MessageTraits(author_domain="spy.example"), frozenset({"spy.example"}))
        is None
    )


def test_what_another_of_us_tells_of_a_tracker_is_found_in_mail():
    told = [*tracker_objects(TRACKER, "Them", TrafficLight.GREEN, AT), *activity_objects(ACTIVITY)]
    sources = [each for each in map(indicator_of_stix, told) if each is not None]
    kept = [taken_as(each.kind, each.value, OWN) for source in sources for each in source.indicators]
    index = indicators_of(Indication(*each, "Them") for each in kept if not isinstance(each, str))
    for url in ("https://t.built.example/o/81f2.gif?u=77", "https://a.px-evil.example/o/x.gif?u=1"):
        assert [each.feed for each in index.look([url])] == ["Them"]
    assert index.look(["https://t.built.example/logo.png"]) == ()


def test_what_is_compared_with_one_address_is_bounded():
    many = indicators_of(Indication("shape", f"https://spy.example/{n}/*/a", "F") for n in range(2_000))
    assert sum(map(len, many.prefixes.values())) == MAX_AT_ONE_HOST
