"""Links: no spelling of a linked URL is ever fetched, since that could confirm or unsubscribe."""

from __future__ import annotations

import pytest

from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.protection import CopyMode, EngineSettings, inspect
from mailveil.core.references.links import leads_to_link, link_digest, same_place

LINK = "https://News.example.com/unsubscribe?who=7&list=3"
SETTINGS = EngineSettings(
    mode=CopyMode.HOSTED, addresses=CopyAddresses("https://copies.example.org", bytes(32))
)


@pytest.mark.parametrize(
    "spelling",
    [
        LINK,
        LINK + "#top",
        "HTTPS://news.EXAMPLE.com:443/unsubscribe?who=7&list=3",
        "http://news.example.com/unsubscribe?who=7&list=3",
        "https://news.example.com./unsubscribe?who=7&list=3",
        "https://news.example.com/unsub%73cribe?who=7&list=3",
        "https://news.example.com/unsubscribe?who=%37&list=3",
        "https://news.example.com/unsubscribe?who=7&amp;list=3",
        "https://news.example.com/unsubscribe?who=7&amp;amp;list=3",
        "https://news.example.com/x/../unsubscribe?who=7&list=3",
        " https://news.example.com\\unsubscribe?who=7&list=3",
    ],
)
def test_a_linked_url_is_not_fetched_however_it_is_spelled(spelling: str) -> None:
    for linking in (f"List-Unsubscribe: <{LINK}>\r\n", ""):
        link = "" if linking else f'<a href="{LINK.replace("&", "&amp;")}">leave</a>'
        raw = (
            f"From: a@example.com\r\n{linking}Content-Type: text/html\r\n\r\n"
            f'{link}<img src="{spelling.replace("&", "&amp;")}"><img src="https://news.example.com/logo.png">'
        ).encode()
        wanted = [each.wanted for each in inspect(raw, SETTINGS).decisions if each.wanted is not None]
        assert {each.url.endswith("logo.png"): each.may_fetch for each in wanted} == {
            False: False,
            True: True,
        }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example/x", "https://a.example/y"),
        ("https://a.example/x?a=1", "https://a.example/x?a=2"),
        ("https://a.example/x", "https://b.example/x"),
        ("https://a.example/x%2Fy", "https://a.example/x/y"),
        ("https://a.example:8443/", "https://a.example/"),
    ],
)
def test_what_differs_is_told_apart(one: str, other: str) -> None:
    assert same_place(one) != same_place(other)


@pytest.mark.parametrize(
    "odd", ["", "https://", "https://[::1", "https://a:b/", "x" * 100_000, "&" * 100_000, "%" * 9]
)
def test_any_text_has_a_place(odd: str) -> None:
    assert isinstance(same_place(odd), str)


def test_a_url_is_found_among_the_digests_of_links() -> None:
    links = link_digest("https://a.example/leave?r=1") + link_digest("https://b.example/")
    assert leads_to_link("http://A.example:443/leave?r=1#x", links)
    assert leads_to_link("https://b.example", links)
    assert not leads_to_link("https://a.example/leave?r=2", links)
    assert leads_to_link("https://anything.example/", "*")
    assert not leads_to_link("https://anything.example/", "")
    shifted = "0" + links[:-1]
    assert not leads_to_link("https://b.example", shifted), "only where a digest begins"
