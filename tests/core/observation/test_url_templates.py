"""What one mailing points to has one template for all its readers, and none of them stands in it.

Setup: URLs as trackers write them, among them all of the lab, with tokens and addresses of made-up people.
Test: another token or another person gives the same template; no template holds an address in any of twelve
disguises; words, names of parameters and registrable domains stay, so that people can tell trackers apart.
"""

from __future__ import annotations

import base64
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_cases import CORPUS, cases
from disguises import DISGUISES
from mailveil.core.observation import address_template, host_template, place_of_url, url_template
from mailveil.core.observation.words import WORDS
from mailveil.core.protection import inspect
from mailveil.lab.honest import honest
from mailveil.lab.trackers import trackers

PLACES = (
    "https://t.shop.example/open/{}",
    "https://t.shop.example/open/{}.gif",
    "https://t.shop.example/o/logo_{}.png",
    "https://t.shop.example/img/{}/header.png",
    "https://t.shop.example/wf/open?upn={}",
    "https://t.shop.example/px.gif?c=12&u={}&utm_source=news",
    "https://t.shop.example/px.gif?{}",
    "https://t.shop.example/px.gif?u={}#{}",
    "https://{}@t.shop.example/px.gif",
    "https://t.shop.example/px.gif;id={}",
    "mailto:receipt+{}@shop.example",
)
HOSTS = ("https://{}.t.shop.example/px.gif", "mailto:receipt@{}.shop.example")
ATOMS = st.text(string.ascii_lowercase + string.digits + "_-", min_size=1, max_size=10)
NAMES = st.lists(ATOMS, min_size=1, max_size=3).map(".".join)  # RFC 5322 section 3.2.3: no dot at either end
DOMAINS = st.lists(
    st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12), min_size=1, max_size=3
)
PEOPLE = st.builds(lambda name, domain: f"{name}@{'.'.join(domain)}.example", NAMES, DOMAINS)
TOKENS = st.one_of(
    st.uuids().map(str),
    st.binary(min_size=8, max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")),
    st.binary(min_size=4, max_size=40).map(bytes.hex),
    st.binary(min_size=8, max_size=40).map(lambda raw: base64.b32encode(raw).decode().rstrip("=").lower()),
    st.integers(min_value=0, max_value=10**18).map(str),
    st.text(string.ascii_letters + string.digits, min_size=9, max_size=40),
).filter(
    lambda token: not set(re.split("[-_]", token.lower())) & WORDS
)  # Hypothesis reads our own source for ideas


@given(TOKENS, TOKENS, st.sampled_from(PLACES))
def test_another_token_gives_the_same_template(one: str, other: str, place: str) -> None:
    assert url_template(place.replace("{}", one)) == url_template(place.replace("{}", other))


@given(TOKENS, TOKENS)
def test_a_token_in_the_host_name_gives_the_same_template(one: str, other: str) -> None:
    first, second = (f"{token.lower().replace('_', '-')[:60]}.o.shop.example" for token in (one, other))
    assert host_template(first) == host_template(second) == "*.shop.example"
    assert place_of_url(f"https://{first}/x") == ("*.shop.example", "shop.example")


@given(PEOPLE, PEOPLE, st.sampled_from(sorted(DISGUISES)), st.sampled_from((*PLACES, *HOSTS)))
def test_no_template_holds_a_recipient(one: str, other: str, disguise: str, place: str) -> None:
    disguised = DISGUISES[disguise](one)
    template = url_template(place.replace("{}", disguised))
    for each in DISGUISES.values():
        assert each(one).lower() not in template.lower()
    if "@" in disguised and place.startswith("https://{}"):
        return  # then it is a user's name, and what stands behind it is no part of an address
    assert template == url_template(place.replace("{}", DISGUISES[disguise](other)))


@given(st.emails(), st.sampled_from(sorted(DISGUISES)), st.sampled_from(PLACES))
def test_nor_one_with_any_characters_that_mail_knows(one: str, disguise: str, place: str) -> None:
    template = url_template(place.replace("{}", DISGUISES[disguise](one))).lower()
    assert one.lower() not in template
    assert DISGUISES[disguise](one).lower() not in template


def test_the_lab_has_one_template_for_all() -> None:
    readers = {
        "anna@example.org": "8f3a9c07d51e8b22",
        "bert@example.net": "Zk3-xQ_9TtRb4mW1",
        "c@d.example": "123456789",
    }
    urls = [
        [origin.url(token) for origin in (*trackers(address), *honest())]
        for address, token in readers.items()
    ]
    for of_one in zip(*urls, strict=True):
        assert len({url_template(url) for url in of_one}) == 1
        assert len({place_of_url(url) for url in of_one}) == 1
        assert place_of_url(of_one[0])[1]


@pytest.mark.parametrize(
    ("url", "template"),
    [
        ("https://t.shop.example/open/8f3a9c.gif", "https://t.shop.example/open/*.gif"),
        (
            "https://u123.ct.sendgrid.net/wf/open?upn=u001.Zk3-x",
            "https://*.sendgrid.net/wf/open?upn=*",
        ),
        (
            "https://shop.us12.list-manage.com/track/open.php?u=8f3a9c07d5&id=12ab&e=77",
            "https://*.list-manage.com/track/open.php?u=*&id=*&e=*",
        ),
        (
            "https://x.example/track/click?action=open&name=anna",
            "https://x.example/track/click?action=open&name=*",
        ),
        ("https://x.example/emailOpened/1x1.gif", "https://x.example/emailOpened/1x1.gif"),
        ("https://x.example:8443/a/b/12/34/56/o.gif", "https://x.example:*/a/b/*/o.gif"),
        ("https://x.example/hello-anna/logo.png", "https://x.example/*/logo.png"),
        ("mailto:a@shop.example,b@x1.shop.example?subject=anna", "mailto:*@shop.example,*@*.shop.example"),
        ("https://192.0.2.7/p.gif", "https://192.0.2.7/p.gif"),
        ("https://anna%40example.org/p.gif", "https://*/p.gif"),
        ("anna:whatever", "*:*"),
        ("", "*:*"),
    ],
)
def test_what_stays(url: str, template: str) -> None:
    assert url_template(url) == template


@pytest.mark.parametrize(
    ("address", "template"),
    [
        ("news@shop.example", "news@shop.example"),
        ("bounce+anna=example.org@mail.shop.example", "*@mail.shop.example"),
        ("news@8f3a9c.shop.example", "news@*.shop.example"),
        ("", ""),
        ("nobody", "*"),
        ("@shop.example", "*"),
    ],
)
def test_addresses_have_templates_too(address: str, template: str) -> None:
    assert address_template(address) == template


@given(st.text(max_size=300))
def test_any_text_has_a_template(text: str) -> None:
    assert len(url_template(text)) <= 2 * len(text) + 60
    host_template(text)
    address_template(text)
    place_of_url(text)


@pytest.mark.parametrize("text", ["/", "a/", "&", "a=b&", ".", "a-", "a.", "aB", "@", "%40,", ":"])
def test_a_long_address_takes_no_long_time(text: str) -> None:
    for opening in ("https://t.example/", "https://t.example/?", "mailto:", "https://", ""):
        assert len(url_template(opening + text * 1_000_000)) < 5_000


def test_the_corpus_has_templates_without_its_reader() -> None:
    found = 0
    for case in cases():
        if case.folder.parent != CORPUS:
            continue
        for decision in inspect(case.raw, case.settings(), case.envelope).decisions:
            found += 1
            assert "reader@example.org" not in url_template(decision.reference.url)
    assert found > 200
