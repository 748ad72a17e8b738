"""CSS: what a style sheet or a style attribute would fetch, for strict and for lenient readers."""

from time import process_time

import pytest
import tinycss2
from grammar import find, silence, urls
from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect, Limits, Source
from mailveil.core.references.css import find_in_css, find_in_presentation_attribute, find_in_style
from mailveil.core.references.types import BLANK_CSS, BLANK_GIF, BLANK_URL, Findings, Media, Scope, Vector
from mailveil.core.references.url import resolve

U = "http://a.example/x"

FETCHED = {
    "url": "a{background:url(http://a.example/x)}",
    "double quotes": 'a{background:url("http://a.example/x")}',
    "single quotes": "a{background:url('http://a.example/x')}",
    "space": "a{background:url(  http://a.example/x  )}",
    "space and quotes": "a{background:url( 'http://a.example/x' )}",
    "upper case": "A{BACKGROUND:URL(http://a.example/x)}",
    "escaped name": "a{background:u\\72l(http://a.example/x)}",
    "escaped first letter": "a{background:\\75rl(http://a.example/x)}",
    "escape of six digits": "a{background:\\000075 rl(http://a.example/x)}",
    "escape and line break": "a{background:\\75\r\nrl(http://a.example/x)}",
    "escape of no digit": "a{background:u\\rl(http://a.example/x)}",
    "escaped value": "a{background:url(\\68ttp\\3a //a.example/x)}",
    "escaped string": "a{background:url('\\68 ttp\\3A//a.example/x')}",
    "escaped line break in a string": "a{background:url('http://a.ex\\\nample/x')}",
    "white space before the bracket": "a{background:url (http://a.example/x)}",
    "import url": "@import url(http://a.example/x);",
    "import string": "@import 'http://a.example/x';",
    "import without space": '@import"http://a.example/x"',
    "import with media": "@import 'http://a.example/x' layer(l) supports(display:grid) print;",
    "import url with layer": "@import url('http://a.example/x') layer screen and (min-width:1px);",
    "escaped import": "@\\69mport 'http://a.example/x';",
    "upper-case import": "@IMPORT 'http://a.example/x';",
    "import after a comment": "@import/**/'http://a.example/x';",
    "import at the end": "@import 'http://a.example/x",
    "import without quotes": "@import http://a.example/x;",
    "import in an HTML comment": "<!-- @import 'http://a.example/x'; -->",
    "import after the rules": "a{b:c} @import 'http://a.example/x';",
    "font": "@font-face{font-family:x;src:local('y'),url(http://a.example/x) format('woff2')}",
    "image-set string": "a{background:image-set('http://a.example/x' 1x)}",
    "image-set url": "a{background:image-set(url(http://a.example/x) 1x type('image/png'))}",
    "prefixed image-set": "a{background:-webkit-image-set('http://a.example/x' 1x)}",
    "image": "a{background:image('http://a.example/x', red)}",
    "image with direction": "a{background:image(ltr 'http://a.example/x')}",
    "src function": "a{background:src('http://a.example/x')}",
    "cross-fade": "a{background:cross-fade(url(a.png), url('http://a.example/x'), 50%)}",
    "var in image-set": "a{background:image-set(var(--y, 'http://a.example/x') 1x)}",
    "filter function": "a{background:filter('http://a.example/x', blur(2px))}",
    "new function": "a{background:brand-new('http://a.example/x')}",
    "custom property with url": "a{--y:url(http://a.example/x)}",
    "custom property with string": "a{--y:'http://a.example/x';background:image-set(var(--y) 1x)}",
    "registered property": "@property --y{syntax:'*';initial-value:'http://a.example/x'}",
    "cursor": "a{cursor:url(http://a.example/x) 2 2,auto}",
    "list": "a{list-style:square url(http://a.example/x)}",
    "content": "a::before{content:url(http://a.example/x) / 'words'}",
    "border": "a{border-image:url(http://a.example/x) 30 round}",
    "mask": "a{-webkit-mask:url(http://a.example/x)}",
    "clip path": "a{clip-path:url(http://a.example/x)}",
    "shape": "a{shape-outside:url(http://a.example/x)}",
    "offset path": "a{offset-path:url(http://a.example/x)}",
    "media": "@media print{a:hover{background:url(http://a.example/x)}}",
    "dark": "@media (prefers-color-scheme:dark){a{background:url(http://a.example/x)}}",
    "supports": "@supports (display:grid){a{background:url(http://a.example/x)}}",
    "supports with it": "@supports (background:url(http://a.example/x)){a{b:c}}",
    "layer": "@layer x{@layer y{a{background:url(http://a.example/x)}}}",
    "container": "@container (min-width:1px){a{background:url(http://a.example/x)}}",
    "scope": "@scope (.a) to (.b){a{background:url(http://a.example/x)}}",
    "page": "@page{@top-left{content:url(http://a.example/x)}}",
    "counter style": "@counter-style y{system:cyclic;symbols:url(http://a.example/x)}",
    "nesting": "a{color:red;&:hover{b &{background:url(http://a.example/x)}}}",
    "namespace": "@namespace y url(http://a.example/x);",
    "namespace string": "@namespace 'http://a.example/x';",
    "behavior": "a{behavior:url(http://a.example/x)}",
    "binding": "a{-moz-binding:url(http://a.example/x)}",
    "filter": "a{filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src='http://a.example/x',sizingMethod='scale')}",
    "filter without quotes": "a{filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src=http://a.example/x)}",
    "filter, other order": "a{filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(sizingMethod=crop,src='http://a.example/x')}",
    "filter in a string": "a{-ms-filter:\"progid:DXImageTransform.Microsoft.AlphaImageLoader(src='http://a.example/x')\"}",
    "expression": "a{width:expression(this.src='http://a.example/x')}",
    "star hack": "a{*background:url(http://a.example/x)}",
    "underscore hack": "a{_background:url(http://a.example/x)}",
    "unterminated": "a{background:url(http://a.example/x",
    "unterminated string": "a{background:url('http://a.example/x",
    "string without its end": "a{background:url('http://a.example/x)}",
    "line break in a string": "a{background:url('http://a.example/x\n')}",
    "comment in the value": "a{background:url(/**/'http://a.example/x')}",
    "comment in the name": "a{background:u/**/rl(http://a.example/x)}",
    "comment in the bracket": "a{background:url/**/(http://a.example/x)}",
    "comment in import": "@im/**/port 'http://a.example/x';",
    "NUL in the name": "a{background:u\0rl(http://a.example/x)}",
    "after a bad string": "a{content:'x\n} b{background:url(http://a.example/x)}",
    "within a bad string": "a{content:'x; background:url(http://a.example/x)\n}",
    "after a bad url": "a{background:url(a b 'c) ; background:url(http://a.example/x) '}",
    "within a bad url": "a{background:url(a b; } b{background:url(http://a.example/x)}",
    "behind an open comment": "a{b:c /* } b{background:url(http://a.example/x)}",
    "behind an open bracket": "a{b:foo(; background:url(http://a.example/x)}",
    "behind a closing bracket too many": "a)]}} b{background:url(http://a.example/x)}",
    "behind a backslash": "a{b:\\; background:url(http://a.example/x)}",
    "behind another character": "a{background:éurl(x(; b:url(http://a.example/x)}",
    "within another function": "a{background:éurl(url(http://a.example/x))}",
    "protocol-relative": "a{background:url(//a.example/x)}",
}


@pytest.mark.parametrize("sheet", FETCHED.values(), ids=FETCHED.keys())
def test_a_sheet_that_fetches_is_found_and_silenced(sheet: str) -> None:
    assert [url.replace("https:", "http:") for url in urls(find_in_css, sheet)] == [U]
    silent = silence(find_in_css, sheet)
    assert b"a.example" not in silent
    assert find(find_in_css, silent) == []


SILENT = {
    "no sheet": "",
    "fragment": "a{filter:url(#x);mask:url('#x')}",
    "VML": "v\\:* {behavior:url(#default#VML);display:inline-block}",
    "relative": "a{background:url(x.png)}",
    "inline": "a{background:url(data:image/png;base64,iVBORw0KGgo=)}",
    "attached": "a{background:url(cid:x@y)}",
    "content": "a::before{content:'http://a.example/x'}",
    "quoted url in content": "a::before{content:'url(http://a.example/x)'}",
    "font name": "a{font-family:'http://a.example/x'}",
    "comment": "/* a{background:url(http://a.example/x)} */ a{color:red}",
    "selector": "a[href='http://a.example/x']{color:red} a:not([href^='http://a.example/x']){color:red}",
    "type": "a{background:image-set(url(x.png) type('http://a.example/x'))}",
    "format": "@font-face{src:local('http://a.example/x')}",
    "counter": "a{content:counters(x, 'http://a.example/x')}",
    "namespace": "@namespace url(http://www.w3.org/1999/xhtml);@namespace svg 'http://www.w3.org/2000/svg';",
    "charset": "@charset 'http://a.example/x';",
    "width": "a{width:expression(document.body.clientWidth > 800 ? '800px' : 'auto')}",
    "colour": "a{color:rgb(1,2,3);transform:translate(1px,2px)}",
    "other name": "a{background:curl(http://a.example/x)}",
}


@pytest.mark.parametrize("sheet", SILENT.values(), ids=SILENT.keys())
def test_a_sheet_that_fetches_nothing_is_left_alone(sheet: str) -> None:
    assert urls(find_in_css, sheet) == []
    assert silence(find_in_css, sheet) == sheet.encode()


@pytest.mark.parametrize(
    ("style", "vector", "media", "inert"),
    [
        ("background:url(http://a.example/x)", Vector.CSS_URL, Media.IMAGE, BLANK_GIF),
        ("filter:url(http://a.example/x#f)", Vector.CSS_URL, None, BLANK_URL),
        ("behavior:url(http://a.example/x)", Vector.CSS_BEHAVIOR, None, BLANK_URL),
        ("_BEHAVIOR : url(http://a.example/x)", Vector.CSS_BEHAVIOR, None, BLANK_URL),
        ("x:y;/* ; : */ -moz-\\62inding:url(http://a.example/x)", Vector.CSS_BEHAVIOR, None, BLANK_URL),
        ("@import 'http://a.example/x'", Vector.CSS_IMPORT, Media.STYLESHEET, BLANK_CSS),
        ("@font-face{src:url(http://a.example/x)}", Vector.CSS_FONT, Media.FONT, BLANK_URL),
        ("@namespace 'http://a.example/x'", Vector.CSS_NAMESPACE, None, "urn:x"),
        ("width:expression(alert('//a.example/x'))", Vector.SCRIPT_INLINE, None, "0"),
    ],
)
def test_each_place_has_its_vector(style: str, vector: Vector, media: Media | None, inert: str) -> None:
    (reference,) = find(find_in_style, style)
    assert (reference.vector, reference.media, reference.inert) == (vector, media, inert)


def test_only_the_value_is_replaced() -> None:
    sheet = "a{background:#fff URL(  'http://a.example/x?y=\\26z'  ) no-repeat;color:red}"
    expected = sheet.replace("http://a.example/x?y=\\26z", BLANK_GIF)
    assert silence(find_in_css, sheet) == expected.encode()
    spaced = "a{background:url( http://a.example/a b.png ) no-repeat}"
    assert silence(find_in_css, spaced) == f"a{{background:url( {BLANK_GIF} ) no-repeat}}".encode()
    broken = "a{background:url(http://a.example/a b(1).png)}"
    assert silence(find_in_css, broken) == f"a{{background:url({BLANK_GIF} b(1).png)}}".encode()


def test_characters_are_those_of_the_charset() -> None:
    assert urls(find_in_css, "a{background:url(http://ä.example/ü)}") == ["http://xn--4ca.example/%C3%BC"]


def test_a_base_makes_paths_remote_but_not_words() -> None:
    base = "http://base.example/"
    sheet = "a{background:url(x.png);font:'y';--z:'words';content:'z';b:f('words');--u:'u.png'}"
    assert urls(find_in_css, sheet, base=base) == [base + "x.png", base + "u.png"]


def test_our_own_copies_are_left_alone() -> None:
    ours = "https://copies.example/c/token"
    sheet = f"a{{background:url({ours});background:url('{ours}?x')}}"
    assert urls(find_in_css, sheet, ours=lambda url: url == ours) == [ours + "?x"]


def test_shares_are_found_whether_backslashes_escape_or_not() -> None:
    assert urls(find_in_style, "background:url(\\\\host\\share\\x)") == ["file://host/share/x"]
    assert urls(find_in_style, "background:url('\\\\\\\\host\\\\share')") == ["file://host/share"]


def test_a_presentation_attribute_is_a_value() -> None:
    findings = Findings()
    text = Text("url(http://a.example/x)", Source(b"url(http://a.example/x)"))
    find_in_presentation_attribute(text, "fill", Scope("1", findings), element="rect")
    (reference,) = findings.references
    assert (reference.url, reference.inert, reference.element) == (U, BLANK_URL, "rect")


pieces = st.lists(
    st.one_of(
        st.sampled_from([
            "url(", "URL(", "http://a.example/x", "'", '"', ")", "(", "{", "}", ";", "/*", "*/", "\\", "\n",
            " ", "@import ", "image-set(", "src(", "behavior:", "--x:", "a", "\\75rl(", "u\\72 l(", "[",
            "]", "expression(", "\0", "é", "progid:DXImageTransform.Microsoft.AlphaImageLoader(", "src=",
            "data:image/gif;base64,R0", "<!--", "-->", "@namespace ", "@font-face", "//b.example",
            "\\\\host\\s", "background:", "ur", "l(", "@im", "port",
        ]),
        st.text(max_size=3),
    ),
    max_size=30,
).map("".join)  # fmt: skip


def seen_by_another_parser(sheet: str) -> list[str]:
    """Return what a parser written by others takes for addresses."""
    found: list[str] = []
    stack: list[tuple[list, bool]] = [(tinycss2.parse_component_value_list(sheet), False)]
    while stack:
        nodes, loading = stack.pop()
        importing = False
        for node in nodes:
            if node.type == "url" or (node.type == "string" and (loading or importing)):
                found.append(node.value)
            elif node.type == "function":
                name = node.lower_name
                stack.append(
                    (node.arguments, name in {"url", "src", "image-set"} or (loading and name == "var"))
                )
            elif node.type.endswith(" block"):
                stack.append((node.content, False))
            if node.type not in {"whitespace", "comment"}:
                importing = node.type == "at-keyword" and node.lower_value == "import"
    return [url for url in found if resolve(url)]


@settings(max_examples=200)
@given(pieces)
def test_another_parser_sees_nothing_remote_after_one_pass(sheet: str) -> None:
    raw = sheet.replace("\0", "").encode("utf-8", "replace")
    assert seen_by_another_parser(silence(find_in_css, raw).decode()) == []


def test_the_other_parser_can_see() -> None:
    seen = [name for name, sheet in FETCHED.items() if seen_by_another_parser(sheet)]
    assert len(seen) > 50


@pytest.mark.parametrize("finder", [find_in_css, find_in_style])
@given(pieces, st.sampled_from(["", "http://base.example/y/"]))
def test_replacing_silences_in_two_passes(finder, sheet: str, base: str) -> None:
    # One pass may uncover what a broken token hid; the second then finds it. There is no third.
    raw = sheet.encode("utf-8", "replace")
    once = silence(finder, raw, base=base)
    twice = silence(finder, once, base=base)
    assert silence(finder, twice, base=base) == twice


@pytest.mark.parametrize(
    "piece", ["url(", "url('", "url( a ", '"', "'\"", "/*", "/**/", "\\", "\\a ", "@import ", "@import/*",
    "(", "{", "[", "}", "{}", "a{b:url(//a)}", "expression(", "expression(;", "AlphaImageLoader(", "u\\72",
    "u/**/rl(", "image-set('", "--x:'", "é", "-", "@", "@\\", "url(\\", "a:b;", "'\n", "\"\n'", ")",
    "url(x y)", "image-set(f(", "progid'", "src=", ":", "<!--"],
)  # fmt: skip
def test_hostile_sheets_take_linear_time(piece: str) -> None:
    for finder in (find_in_css, find_in_style):
        for sheet in (piece * (60_000 // len(piece)), "a\\(u/**/rl(" + piece * (60_000 // len(piece))):
            raw = sheet.encode()
            started = process_time()
            find(finder, raw)
            assert process_time() - started < 1.5


@pytest.mark.parametrize("sheet", ["a{b:u/**/rl(", "a{b:url(", "a{b:url()}", "a{b:u/**/rl('')}", "@import''"])
def test_an_empty_address_is_the_base(sheet: str) -> None:
    base = "http://base.example/y"
    assert urls(find_in_css, sheet, base=base) == [base]
    assert find(find_in_css, silence(find_in_css, sheet, base=base), base=base) == []


def test_too_many_references_end_the_search_with_a_defect() -> None:
    findings = Findings()
    scope = Scope("1", findings, limits=Limits(max_references=5))
    sheet = "a{b:url(//a.example)}" * 20
    find_in_css(Text(sheet, Source(sheet.encode())), scope)
    assert len(findings.references) == 6
    assert findings.defects == [Defect.TOO_MANY_REFERENCES]


def test_the_end_of_an_escape_belongs_to_the_value() -> None:
    style = "-ms-filter:\"progid:DXImageTransform.Microsoft.AlphaImageLoader(src='http://a.example/\\78 ')\""
    assert silence(find_in_style, style) == style.replace("http://a.example/\\78 ", BLANK_URL).encode()


def test_the_judge_learns_under_which_condition_something_is_loaded() -> None:
    sheet = (
        "@media print { p { background: url(http://t.example/print) } }"
        " a:hover { background: url(http://t.example/hover) }"
        " b { background: url(http://t.example/plain) }"
    )
    source = Source(sheet.encode())
    findings = Findings()
    find_in_css(Text(sheet, source), Scope(part="1", findings=findings), attributes={"type": "text/css"})
    told = {found.url.rpartition("/")[2]: dict(found.attributes) for found in findings.references}
    assert told["print"] == {"type": "text/css", "media": "print", "selector": "p"}
    assert told["hover"] == {"type": "text/css", "selector": "a:hover"}
    assert told["plain"] == {"type": "text/css", "selector": "b"}
