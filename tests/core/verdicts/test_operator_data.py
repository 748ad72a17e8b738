"""The format of the catalogue: what it can say, and what is said about mistakes in it.

Setup: small catalogues as text.
Test: each mistake is refused with the file, the operator and what is wrong; a new vendor is data alone.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailveil.core.verdicts.operators.matching import Finder
from mailveil.core.verdicts.operators.paths import parse_path
from mailveil.core.verdicts.operators.reading import parse_catalogue
from mailveil.core.verdicts.operators.types import CatalogueError
from mailveil.core.verdicts.types import Kind

SOURCES = {
    "docs": {"title": "Vendor, documentation", "url": "https://docs.vendor.example/tracking"},
    "code": {"title": "A list", "repository": "a/b", "path": "list.txt", "commit": "0" * 40},
}
VENDOR: dict[str, Any] = {
    "name": "Vendor",
    "category": "mail-service",
    "kinds": ["dwell", "open"],
    "patterns": [
        {
            "host": "vendor#.example",
            "path": "/o/{8+}.gif",
            "query": ["u"],
            "source": "docs",
            "example": "https://t.vendor3.example/o/abcdefgh.gif?u=1",
            "example_source": "code",
        }
    ],
    "hosts": {"vendor.example": "docs"},
    "nameservers": {"dns.vendor.example": "docs"},
    "fields": {"X-Vendor: mailer": "docs"},
}


def parse(*entries: dict[str, Any], sources: Any = None) -> Finder:
    text = json.dumps(SOURCES if sources is None else sources)
    return Finder(parse_catalogue({"sources.json": text, "vendors.json": json.dumps(entries)}))


def changed(**changes: Any) -> dict[str, Any]:
    return {**VENDOR, **changes}


def pattern(**changes: Any) -> dict[str, Any]:
    return changed(patterns=[{**VENDOR["patterns"][0], **changes}])


def test_new_vendor_is_data_alone() -> None:
    finder = parse(VENDOR)
    shape = finder.shape("a.vendor12.example", "/o/0123456789.gif?x=2&u=3")
    assert shape is not None
    assert shape.kinds == (Kind.DWELL, Kind.OPEN)
    assert finder.shape("a.vendor12.example", "/o/0123456789.gif?x=2") is None
    assert finder.shape("a.vendor12.example", "/o/0123.gif?u=2") is None
    server = finder.by_nameserver(["ns1.dns.vendor.example."])
    assert server is not None
    assert server.source == "https://docs.vendor.example/tracking"
    assert finder.by_fields({"x-vendor": "The Mailer"}) is not None
    assert finder.by_fields({"x-vendor": "other"}) is None


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (changed(name=" Vendor"), "operator 1: has no name"),
        (changed(category="spy"), "Vendor: category is one of mail-service"),
        (changed(colour="red"), "Vendor: knows no 'colour'"),
        (changed(kinds=["smell"]), "Vendor: kinds is a list of open"),
        (changed(kinds=[]), "Vendor: kinds is a list of open"),
        (changed(hosts=["vendor.example"]), "Vendor: hosts is no object"),
        (changed(hosts={"Vendor.Example": "docs"}), "'Vendor.Example' is no host name in lower case"),
        (changed(hosts={"vendor.example": "nowhere"}), "vendor.example has 'nowhere' for its source"),
        (changed(fields={"X Vendor": "docs"}), "'X Vendor' is no name of a header field"),
        (changed(owner="Somebody"), "owner_source has None for its source"),
        ({"name": "Vendor", "category": "sales"}, "Vendor: is known by nothing"),
        (pattern(path="o/{8}"), "pattern 1: path 'o/{8}' begins neither with / nor with **/"),
        (pattern(path="/o/{8}{9}"), "has more than one hole"),
        (pattern(path="/o/{9-8}"), "ends below where it begins"),
        (pattern(path="/o/{x}"), "is no segment"),
        (pattern(path="/**"), "fits every path"),
        (pattern(host="vendor"), "'vendor' is no host name"),
        (pattern(confidence=2), "confidence is a number above 0 and up to 1"),
        (pattern(confidence=True), "confidence is a number above 0 and up to 1"),
        (pattern(source="?", confidence=0.9), "an unverified fact has a confidence of at most 0.5"),
        (pattern(source=None), "pattern 1: source has None for its source"),
        (pattern(example=""), "has no example"),
        (pattern(query="u"), "query is no list of texts"),
        (pattern(regex=".*"), "pattern 1: knows no 'regex'"),
        (pattern(host="", path="/{8}", query=[]), "without a host it needs a whole word"),
    ],
)
def test_mistake_is_said(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        parse(entry)
    assert str(caught.value).startswith("vendors.json: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"title": "", "url": "https://a.example"}, "has no title"),
        ({"title": "A", "url": "a.example"}, "is no web address"),
        ({"title": "A"}, "needs a url, or repository"),
        ({"title": "A", "repository": "a/b", "path": "c", "commit": "main"}, "needs a url, or repository"),
        ({"title": "A", "url": "https://a.example", "commit": "0" * 40}, "is either a page"),
        ({"title": "A", "url": "https://a.example", "date": "now"}, "knows no 'date'"),
        ({"title": "A", "url": "https://a.example", "samples": "yes"}, "true or false for samples"),
        ("https://a.example", "is no object"),
    ],
)
def test_mistake_in_a_source_is_said(source: Any, said: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        parse(VENDOR, sources={**SOURCES, "new": source})
    assert str(caught.value).startswith("sources.json: new")
    assert said in str(caught.value)


def test_nothing_belongs_to_two() -> None:
    with pytest.raises(CatalogueError, match="stands in the catalogue twice"):
        parse(VENDOR, VENDOR)
    with pytest.raises(CatalogueError, match="hosts of both Vendor and Other"):
        parse(VENDOR, changed(name="Other", patterns=[], nameservers={}, fields={}))


@pytest.mark.parametrize("text", ["{}", "[1]", "[", '{"name": 1}'])
def test_what_is_no_list_of_operators_is_said(text: str) -> None:
    with pytest.raises(CatalogueError, match=r"^vendors\.json"):
        parse_catalogue({"sources.json": "{}", "vendors.json": text})
    with pytest.raises(CatalogueError, match=r"^sources\.json"):
        parse_catalogue({"vendors.json": "[]"})


@pytest.mark.parametrize(
    ("shape", "fitting", "others"),
    [
        ("", ["/", "", "/a/b"], []),
        ("/a", ["/a"], ["/", "/a/", "/a/b", "/b/a", "/A"]),
        ("/a/**", ["/a", "/a/", "/a/b/c"], ["/ab", "/b"]),
        ("**/a/b.gif", ["/a/b.gif", "/x/y/a/b.gif"], ["/a/b.gifs", "/a/b.gif/c", "/xa/b.gif"]),
        ("/*/o", ["/x/o", "/xyz/o"], ["//o", "/o"]),
        ("/t{3}.gif", ["/tabc.gif"], ["/tab.gif", "/tabcd.gif", "/tabcxgif"]),
        ("/{2-3}", ["/ab", "/abc"], ["/a", "/abcd"]),
        ("/{4x}", ["/0aF9"], ["/0aG9", "/0a"]),
        ("**/", ["/", "/x/"], ["/x"]),
        ("/r/", ["/r/"], ["/r", "/r/x"]),
    ],
)
def test_path_shape(shape: str, fitting: list[str], others: list[str]) -> None:
    parsed = parse_path(shape)
    assert [path for path in fitting if not parsed.fits(path)] == []
    assert [path for path in others if parsed.fits(path)] == []


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("/wf/open", {"wf", "open"}),
        ("/px-{3}.png", {"px", "png"}),
        ("/px{3}png", set()),
        ("/a.b*c.d", {"a", "d"}),
        ("/{8}", set()),
    ],
)
def test_words_stand_whole(shape: str, words: set[str]) -> None:
    assert parse_path(shape).words == words
