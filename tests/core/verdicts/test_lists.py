"""Imported lists: what is read of each format, what is skipped and why, and which addresses are named.

Setup: small lists in every format; the engine of the extra "lists" beside our own reading of the rules.
Test: both agree on rules that both know; what cannot be used is counted by its reason; hostile lists are answered.
"""

from __future__ import annotations

import json
import pickle

import pytest

from mailveil.core.protection import EngineSettings, inspect
from mailveil.core.verdicts.addresses import take_apart
from mailveil.core.verdicts.lists import (
    ImportedList,
    ListError,
    ListFormat,
    Lists,
    detect_format,
    lists_of,
    parse_list,
)
from mailveil.core.verdicts.lists.rules import Skip, parse_rule

EASY = """[Adblock Plus 2.0]
! Title: Little Privacy
! Licence: https://lists.example/licence.html
! ---------- mail ----------
||track.example^$third-party
||pics.example/open/*/pixel.gif|
||shop.example^*/beacon.$image
/wf/open?upn=
|https://exact.example/a
&emailopen=true&
||script.example^$script
||page.example^$domain=a.example
||page.example^$domain=~a.example
/^https?:\\/\\/ads[0-9]+/
##.advert
shop.example##.advert
-tracking.$~image
||own.example^$~third-party
*
@@||track.example/allowed^
"""


def lists(text: str, form: ListFormat | None = None, *, engine: bool = False) -> Lists:
    return Lists([ImportedList("mine", parse_list(text, form or detect_format(text)))], engine=engine)


def named(found: Lists, url: str, kind: str = "image") -> str:
    listed = found.look(url, take_apart(url).host, kind)
    assert len(listed) <= 1
    return listed[0].rule if listed else ""


@pytest.mark.parametrize("engine", [False, True], ids=["own", "adblock"])
@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://track.example/x", "||track.example^$third-party"),
        ("https://a.b.track.example:8443/x", "||track.example^$third-party"),
        ("https://nottrack.example/x", ""),
        ("https://track.example.evil.example/x", ""),
        ("https://track.example/allowed/x", ""),
        ("https://track.example/allowedx", "||track.example^$third-party"),
        ("https://pics.example/open/1/2/pixel.gif", "||pics.example/open/*/pixel.gif|"),
        ("https://pics.example/open/1/2/pixel.gif?x", ""),
        ("https://pics.example/a/open/1/pixel.gif", ""),
        ("https://shop.example/a/beacon.png", "||shop.example^*/beacon.$image"),
        ("https://any.example/wf/open?upn=1", "/wf/open?upn="),
        ("https://any.example/WF/Open?UPN=1", "/wf/open?upn="),
        ("https://exact.example/abc", "|https://exact.example/a"),
        ("https://other.example/?u=https://exact.example/a", ""),
        ("https://any.example/?a=1&emailopen=true&b", "&emailopen=true&"),
        ("https://any.example/?emailopen=true", ""),
        ("https://script.example/x", ""),
        ("https://page.example/x", "||page.example^$domain=~a.example"),
        ("https://own.example/x", ""),
    ],
)
def test_rule_names_an_address(url: str, rule: str, engine: bool) -> None:
    assert named(lists(EASY, engine=engine), url) == rule


def test_what_is_skipped_is_counted_by_its_reason() -> None:
    parsed = parse_list(EASY, ListFormat.ADBLOCK)
    assert parsed.title == "Little Privacy"
    assert parsed.licence == "https://lists.example/licence.html"
    assert len(parsed.rules) == 8
    assert len(parsed.exceptions) == 1
    assert parsed.skipped == {
        str(Skip.TYPE): 1,
        str(Skip.PAGE): 1,
        str(Skip.REGEX): 1,
        str(Skip.COSMETIC): 2,
        str(Skip.FIRST_PARTY): 1,
        str(Skip.NO_WORD): 1,
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("||a.example^$removeparam=x", Skip.OPTION),
        ("||a.example^$csp=script-src 'none'", Skip.OPTION),
        ("||a.example^$xmlhttprequest", Skip.TYPE),
        ("||*.example^", Skip.NO_WORD),
        ("||a*b.example^", Skip.NO_WORD),
        ("abc", Skip.NO_WORD),
        ("/" + "a" * 600, Skip.TOO_LONG),
        ("a.example#@#.x", Skip.COSMETIC),
    ],
)
def test_why_a_rule_is_skipped(line: str, reason: Skip) -> None:
    assert parse_rule(line) is reason


def test_kind_of_request_counts() -> None:
    found = lists("||a.example^$font\n||b.example^$~image\n")
    assert named(found, "https://a.example/x", "font") == "||a.example^$font"
    assert named(found, "https://a.example/x", "image") == ""
    assert named(found, "https://b.example/x", "stylesheet") == "||b.example^$~image"
    assert named(found, "https://b.example/x", "image") == ""


def test_host_is_not_taken_from_user_information() -> None:
    found = lists("||track.example/x\n")
    assert named(found, "https://track.example@other.example/x") == ""
    assert named(found, "https://track.example@track.example/x") == "||track.example/x"


@pytest.mark.parametrize("engine", [False, True], ids=["own", "adblock"])
def test_hosts_file(engine: bool) -> None:
    text = "# Title: Hosts\n# License: MIT\n127.0.0.1 localhost\n0.0.0.0 track.example # why\n::1 ip6-localhost\n"
    text += "other.example\n0.0.0.0 not_a host\n10.0.0.1\n*.wild.example\n"
    parsed = parse_list(text, detect_format(text))
    assert parsed.format is ListFormat.HOSTS
    assert (parsed.title, parsed.licence) == ("Hosts", "MIT")
    assert set(parsed.hosts) == {"track.example", "other.example", "wild.example"}
    assert parsed.skipped == {str(Skip.NO_NAME): 2}
    found = lists(text, engine=engine)
    assert named(found, "https://a.track.example/logo.png") == "track.example"
    assert named(found, "https://atrack.example/logo.png") == ""


def test_disconnect_says_whose_a_host_is() -> None:
    services = {
        "license": "GPL",
        "categories": {
            "Email": [{"Vendor": {"https://vendor.example/": ["track.vendor.example", 7], "dnt": "eff"}}],
            "Content": [{"Films": {"https://films.example/": ["films.example"]}}],
        },
    }
    text = json.dumps(services)
    found = lists(text)
    (listed,) = found.look("https://a.track.vendor.example/x", "a.track.vendor.example")
    assert (listed.list, listed.rule, listed.owner) == ("mine", "track.vendor.example", "Vendor")
    assert str(listed) == "the list mine names track.vendor.example, which it says is Vendor"
    assert named(found, "https://films.example/x") == ""
    parsed = parse_list(text, ListFormat.DISCONNECT)
    assert parsed.licence == "GPL"
    assert parsed.skipped == {str(Skip.CATEGORY): 1, str(Skip.NO_NAME): 1}
    entities = json.dumps({"entities": {"Vendor": {"properties": ["a.example"], "resources": ["b.example"]}}})
    assert parse_list(entities, detect_format(entities)).hosts == {"b.example": "Vendor"}


@pytest.mark.parametrize(
    ("text", "alias", "owner"),
    [
        ('[{"company_name": "Vendor", "domains": ["cloak.example"]}]', "x.cloak.example.", "Vendor"),
        ('{"metrics.shop.example": "cloak.example"}', "cloak.example", ""),
        ("! Title: CNAMEs\n||cloak.example^\n", "a.cloak.example", ""),
    ],
)
def test_cname_lists_name_what_hosts_are_aliases_for(text: str, alias: str, owner: str) -> None:
    form = ListFormat.CNAMES if text.startswith("!") else detect_format(text)
    assert form is ListFormat.CNAMES
    found = lists(text, form)
    (listed,) = found.look_at_names(["www.shop.example", alias])
    assert listed.rule == "cloak.example"
    assert listed.owner == owner
    assert found.look_at_names(["www.shop.example"]) == ()
    assert (named(found, "https://metrics.shop.example/x") != "") == text.startswith("{")


@pytest.mark.parametrize(
    "text", ["", "! only a comment\n", "[1, 2]", "{}", "{", "[" * 100_000, '{"categories": 7}']
)
def test_what_is_no_list_is_said(text: str) -> None:
    with pytest.raises(ListError):
        parse_list(text, detect_format(text))


@pytest.mark.parametrize(
    "text",
    [
        "\x00" * 1000 + "\n||a.example^\n",
        "||a.example^\r\n" * 50_000,
        "||a.example/" + "*a" * 200 + "\n",
        "/x" + "^" * 400 + "\n||a.example^\n",
        "\ufeff||a.example^\n",
    ],
)
def test_hostile_list_and_address_are_answered(text: str) -> None:
    found = lists(text, ListFormat.ADBLOCK)
    for url in ("https://a.example/" + "a" * 100_000, "https://a.example/x" + "/" * 5_000, "data:,x"):
        found.look(url, take_apart(url).host)


def test_several_lists_are_named_each_once() -> None:
    first = ImportedList("first", parse_list("0.0.0.0 track.example\n", ListFormat.HOSTS))
    second = ImportedList("second", parse_list("||track.example^\n", ListFormat.ADBLOCK))
    found = Lists([first, second], engine=False).look("https://track.example/", "track.example")
    assert [listed.list for listed in found] == ["first", "second"]
    assert lists_of((first, second)) is lists_of((first, second))


def test_lists_travel_to_workers_with_the_settings() -> None:
    imported = ImportedList("mine", parse_list(EASY, ListFormat.ADBLOCK))
    settings = pickle.loads(pickle.dumps(EngineSettings(lists=(imported,))))
    plan = inspect(b"Content-Type: text/html\r\n\r\n<img src=https://track.example/x>", settings)
    assert len(plan.decisions) == 1
    assert lists_of(settings.lists).look("https://track.example/x", "track.example") != ()
