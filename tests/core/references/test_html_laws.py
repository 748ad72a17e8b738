"""HTML: laws that hold for any markup at all, checked on soup of nasty pieces and against other parsers."""

from __future__ import annotations

from contextlib import suppress
from html.parser import HTMLParser
from itertools import pairwise
from time import process_time

import pytest
from grammar import replace_all
from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.core.message.text import Text
from mailveil.core.message.types import Source
from mailveil.core.references import html as html_module
from mailveil.core.references.html import find_in_html
from mailveil.core.references.html_readings import walk
from mailveil.core.references.html_report import NORMAL_URL
from mailveil.core.references.html_tokens import Attribute, Tag
from mailveil.core.references.types import Findings, Reference, Scope, Vector
from mailveil.core.references.url import resolve

PIECES = [
    "<img src=", "<img ", "<a href=", "<a title=", "<p ", "<td background=", "<v:fill src=", "<svg>",
    "</svg>", "<style>", "</style>", "<title>", "</title>", "<script>", "</script>", "<textarea>",
    "</textarea>", "<noscript>", "</noscript>", "<xmp>", "<iframe srcdoc=", "<iframe src=",
    "<link rel=stylesheet href=", "<base href=", "<meta http-equiv=refresh content=", "<plaintext>",
    "<image xlink:href=", "<head>", "<html>", "<!DOCTYPE html>", "<!--", "-->", "--!>", "-- >", "<!-->",
    "<!--->", "<!--[if mso]>", "<![endif]-->", "<![if !mso]>", "<![endif]>", "<!--[if !mso]><!-->",
    "<!--<![endif]-->", "<![CDATA[", "]]>", "<!x", "<?x ", "?>", "</", "</a", "<", ">", "/", "/>", "\"",
    "'", "`", "=", "''", '""', " ", "\n", "\0", "&quot;", "&lt;", "&#x3c;", "&amp;", " src=", " href=",
    " style=", " srcset=", " background=", " x=", " onload=", " type=", "src", "b", "http://t.example/x",
    "//t.example/y", "http&colon;//t.example/z", "url(http://t.example/u)", "@import 'http://t.example/i';",
    "background:url(", "a.png", "1x, ", "0;url=", "data:text/html,", ")", ";", "}", "<b>", "</b>", "<br>",
    "<span style='color:red'>", "text", "<o:p>", "<table width=1>", "<BODY>", "<amp-img src=",
    "<set attributeName=href to=", "<param name=movie value=", "<object data=", "<a ping=",
    "<?import href=",
]  # fmt: skip
soup = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
clean_values = st.sampled_from(
    ["http://t.example/x", "//t.example/?a&amp;b", "a.png", "cid:x", "1", "", "a b"]
)
clean_names = st.sampled_from(
    ["src", "href", "background", "class", "style", "alt", "title", "srcset", "width"]
)
elements = st.sampled_from(
    ["img", "a", "td", "p", "table", "span", "link", "v:fill", "svg", "style", "body", "br"]
)


@st.composite
def tag(draw: st.DrawFn) -> str:
    quote = draw(st.sampled_from(['"', "'"]))
    attributes = draw(st.lists(st.tuples(clean_names, clean_values), max_size=3))
    written = "".join(f" {name}={quote}{value}{quote}" for name, value in attributes)
    return f"<{draw(elements)}{written}>"


ordinary = st.lists(tag() | st.sampled_from([*PIECES[9:25], "text", "</td>", "<!-- x -->"]), max_size=12).map(
    "".join
)
documents = soup | ordinary | st.tuples(soup, ordinary).map("".join)


def findings(markup: str, *, attached: bool = False, base: str = "") -> Findings:
    raw = markup.encode("latin-1")
    found = Findings()
    find_in_html(Text(markup, Source(raw)), Scope("1", found, attached=attached, base=base))
    return found


def cleaned(markup: str, found: Findings) -> str:
    inserted = [Reference("", Vector.HTML_OTHER, "1", i.source, i.at, i.at, i.text) for i in found.insertions]
    return replace_all(markup.encode("latin-1"), [*inserted, *found.references]).decode("latin-1")


@settings(max_examples=700, deadline=None)
@given(documents, st.booleans())
def test_what_is_cleaned_is_silent_and_stays_as_it_is(markup: str, attached: bool) -> None:
    out = cleaned(markup, findings(markup, attached=attached))
    again = findings(out, attached=attached)
    assert [(r.vector, r.url) for r in again.references] == []
    assert again.insertions == []


@settings(max_examples=300, deadline=None)
@given(ordinary)
def test_what_is_cleaned_is_silent_where_a_base_makes_everything_remote(markup: str) -> None:
    base = "http://b.example/c/"
    out = cleaned(markup, findings(markup, base=base))
    assert [(r.vector, r.url) for r in findings(out, base=base).references] == []


@settings(max_examples=400, deadline=None)
@given(documents)
def test_references_are_in_order_and_apart(markup: str) -> None:
    found = findings(markup)
    places = [(r.start, r.end) for r in found.references if r.source.within is None]
    assert places == sorted(places)
    for (_, end), (start, _) in pairwise(places):
        assert end <= start
    for reference in found.references:
        assert 0 <= reference.start <= reference.end <= len(reference.source.data)


@settings(max_examples=600, deadline=None)
@given(documents, st.booleans())
def test_passing_over_dull_markup_changes_nothing(markup: str, attached: bool) -> None:
    quick = findings(markup, attached=attached)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html_module, "walk", lambda text, visitor: walk(text, visitor, skip_dull=False))
        slow = findings(markup, attached=attached)
    assert [(r.vector, r.url, r.start, r.end) for r in quick.references] == [
        (r.vector, r.url, r.start, r.end) for r in slow.references
    ]
    assert [i.at for i in quick.insertions] == [i.at for i in slow.insertions]
    assert quick.linked == slow.linked


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
def test_any_characters_go_in(markup: str) -> None:
    findings(markup)
    findings("<img " + markup)
    findings("<!--[if " + markup)


class _Fetcher(HTMLParser):
    """What a client built on Python's own parser would fetch."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"src", "background"} and value and "t.example" in value and not _is_inert(value):
                self.fetched.append(f"<{tag} {name}={value}>")


def _is_inert(value: str) -> bool:
    value = value.strip("\0\t\n\r\f '\"`")
    return not value.startswith(("http://t.example", "//t.example", "http://", "t.example"))


@settings(max_examples=500, deadline=None)
@given(documents)
def test_other_parsers_find_nothing_left(markup: str) -> None:
    out = cleaned(markup, findings(markup))
    parser = _Fetcher()
    with suppress(AssertionError):  # it gives up on some marked sections
        parser.feed(out)
        parser.close()
    assert parser.fetched == []


@settings(max_examples=500, deadline=None)
@given(documents)
def test_a_browser_s_parser_finds_nothing_left(markup: str) -> None:
    lexbor = pytest.importorskip("selectolax.lexbor")
    out = cleaned(markup, findings(markup))
    tree = lexbor.LexborHTMLParser(out)
    left = [
        (node.tag, name, value)
        for node in tree.css("*")
        for name, value in node.attributes.items()
        if name in {"src", "background", "xlink:href"}
        or (name == "href" and node.tag in {"link", "image", "base", "use"})
        if value and not _is_inert(value)
    ]
    assert left == []


class _Collector:
    """Remembers what it is told of the markup."""

    def __init__(self) -> None:
        self.tags: list[tuple[str, int]] = []

    def visit_tag(self, tag: Tag, agreed: bool) -> None:
        self.tags.append((tag.name, tag.start))

    def visit_link(self, start: int, end: int, agreed: bool) -> None:
        self.tags.append(("a", start))

    def visit_image(self, start: int, end: int, value_start: int, value_end: int, agreed: bool) -> None:
        self.tags.append(("img", start))

    def visit_raw(self, tag: Tag, start: int, end: int) -> None:
        assert start <= end

    def visit_instruction(self, start: int, end: int) -> None:
        assert start < end

    def visit_doctype(self, end: int) -> None:
        assert end > 0


@settings(max_examples=400, deadline=None)
@given(soup)
def test_every_tag_is_visited_at_most_twice(markup: str) -> None:
    """Once by the readings that follow the standard, once by those that give up on quotes."""
    collector = _Collector()
    walk(markup, collector, skip_dull=False)
    assert all(collector.tags.count(visited) <= 2 for visited in collector.tags)


def test_attributes_are_values_with_places() -> None:
    assert Tag("a", 0, 9, [Attribute("b", -1, -1, ""), Attribute("b", 5, 6, "'")]).find("b") == Attribute(
        "b", 5, 6, "'"
    )


@given(st.from_regex(NORMAL_URL, fullmatch=True))
def test_normal_addresses_are_what_the_url_parser_makes_of_them(url: str) -> None:
    assert resolve(url) == url


ODD_ADDRESSES = [
    "http://A.example/", "http://a.example", "http://a.example/../b", "http://1.2.3.4/", "http://a.b1/",
    "http://xn--a.example/", "http://a.example/%2e%2e/", "http://a.example/.", "http://a.example/ b",
    "http://a.example/'", "http://u@a.example/", "http://a.example:80/", "http://a.example/\\",
]  # fmt: skip


def test_addresses_of_ordinary_mail_are_normal() -> None:
    assert NORMAL_URL.match("https://click.mail-er.example.com/a/B_c%20d/e.png?f=1&g=%2Fx&h=a:b@c,d;e")
    for odd in ODD_ADDRESSES:
        assert not NORMAL_URL.match(odd)


HOSTILE = [
    "<a ", "<img src=\"", "<!--", "<!--[if", "<!--[if mso]>", "<style>", "<svg><style>", "\"", "url(",
    "<!x", "<?x ", "<![CDATA[", "</a ", "</a title=\"", "<", "&", "&amp", "<!-- -- ", "<title>", "<script>",
    "<a src=src=http:", "<a b=\"<a c='<a d=\"", "<a b='\" <a c=\"' ", "<img srcset=\"//a, ",
    "<meta http-equiv=refresh content=\"", "<source src=x type=", "<\0", "<p style=\"a:url(", "<img src=`",
    "<noscript><!--", "<img srcset=\"(", "<a onx=", "<!--a--!", "<a          ", "<base href=",
    "<img src=\"data:text/html,", "<iframe srcdoc=\"&lt;", "<img src=''http",
    "<script type=application/ld+json>", "<plaintext>", "<!--[if a]><p>", "<xml><title>a</title>",
    "<![if a]>", "<a href=\"http://t.example/\" title=\"", "<set to=\"a;", "</title", "<p style=\"--x:--",
    "<meta content=\"",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_is_linear(piece: str) -> None:
    def seconds(length: int) -> float:
        markup = (piece * (length // len(piece) + 1))[:length]
        start = process_time()
        findings(markup)
        return process_time() - start

    short = min(seconds(8_000) for _ in range(2))
    assert min(seconds(64_000) for _ in range(2)) < 24 * short + 0.1  # quadratic would be 64 times


@pytest.mark.parametrize(
    "markup",
    [
        "<p " + " ".join(f"a{n}=x" for n in range(50_000)) + ">",
        "<p " + " ".join(f"src=//t.example/{n}" for n in range(50_000)) + ">",
        "<img src='" + "&" * 500_000 + "'>",
        "<iframe srcdoc='" + "&amp;" * 50_000 + "'>",
        "<div>" * 60_000,
        "<meta http-equiv=refresh " + "content=x " * 20_000 + ">",
    ],
    ids=["attributes", "references", "ampersands", "entities", "nesting", "contents"],
)
def test_large_documents_are_cheap(markup: str) -> None:
    start = process_time()
    findings(markup)
    assert process_time() - start < 1.5
