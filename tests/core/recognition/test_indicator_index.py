"""Indicators: what may be taken from a feed, and what is found by it in a message."""

import json

import pytest

from mailveil.core.recognition.indicators import (
    MAX_FOUND,
    Taken,
    indicator_index_of,
    indicators_of,
    recognise_indicated,
    taken_as,
)
from mailveil.core.recognition.types import KnownBy, MessageTraits
from mailveil.core.verdicts.lists.types import Indication

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
