"""Drawings are written anew: shapes stay, everything that runs, loads, opens or multiplies goes."""

from __future__ import annotations

import base64
import gzip
import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from mailveil.core.references.types import Media
from mailveil.core.safecopy import Refusal, SafeCopy, sanitise

SVG = "http://www.w3.org/2000/svg"


def svg(content: str, attributes: str = "", prologue: str = "") -> bytes:
    return (
        f'{prologue}<svg xmlns="{SVG}" xmlns:xlink="http://www.w3.org/1999/xlink" {attributes}>{content}</svg>'
    ).encode()


def drawn(body: bytes) -> bytes:
    copy = sanitise(body, Media.IMAGE)
    assert isinstance(copy, SafeCopy), copy
    assert copy.media_type == "image/svg+xml"
    ElementTree.fromstring(copy.body)
    again = sanitise(copy.body, Media.IMAGE)
    assert again == copy, "twice is once"
    return copy.body


HOSTILE = [
    '<script>fetch("https://t.example/")</script>',
    '<script href="https://t.example/"/>',
    '<foreignObject><img xmlns="http://www.w3.org/1999/xhtml" src="https://t.example/"/></foreignObject>',
    '<foreignObject><iframe src="https://t.example/"/></foreignObject>',
    '<image href="https://t.example/"/>',
    '<image xlink:href="https://t.example/"/>',
    '<image href="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22%3E%3Cimage href=%22https://t.example/%22/%3E%3C/svg%3E"/>',
    '<use href="https://t.example/x.svg#a"/>',
    '<use href="data:image/svg+xml;base64,PHN2ZyBpZD0idCI+PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pjwvc3ZnPg==#t"/>',
    '<feImage href="https://t.example/"/>',
    '<a href="javascript:alert(1)"><text>x</text></a>',
    '<a href="https://t.example/"><text>x</text></a>',
    '<image href="#x"><animate attributeName="href" values="https://t.example/"/></image>',
    '<image href="#x"><set attributeName="xlink:href" to="https://t.example/"/></image>',
    '<rect><animate attributeName="onload" to="fetch(1)"/></rect>',
    '<rect onload="fetch(\'https://t.example/\')" onclick="x"/>',
    '<rect style="fill: url(https://t.example/#a)"/>',
    '<rect fill="url(https://t.example/#a)"/>',
    '<rect filter="\\75rl(https://t.example/#a)"/>',
    '<style>@import "https://t.example/"; rect { fill: url(https://t.example/#a) }</style>',
    "<style><![CDATA[ @import url(https://t.example/); ]]></style>",
    "<style>rect { background: u&#x72;l(https://t.example/) }</style>",
    '<handler xmlns="http://www.w3.org/2001/xml-events">x</handler>',
    '<iframe xmlns="http://www.w3.org/1999/xhtml" src="https://t.example/"/>',
    '<audio xmlns="http://www.w3.org/1999/xhtml" src="https://t.example/"/>',
    '<text><tref xlink:href="https://t.example/"/></text>',
    '<x:image xmlns:x="http://www.w3.org/2000/svg" x:href="https://t.example/" xlink:href="https://t.example/"/>',
    '<include xmlns="http://www.w3.org/2001/XInclude" href="https://t.example/"/>',
    '<g xml:base="https://t.example/"><image href="a.png"/></g>',
    "<metadata>https://t.example/</metadata>",
    '<font-face-uri xlink:href="https://t.example/"/>',
    '<cursor xlink:href="https://t.example/"/>',
    '<linearGradient id="g" xlink:href="https://t.example/#g"/>',
    '<?xml-stylesheet href="https://t.example/"?>',
    "<!-- https://t.example/ -->",
]


@pytest.mark.parametrize("content", HOSTILE)
def test_nothing_is_left_that_loads_or_runs(content: str) -> None:
    body = drawn(svg(content + '<rect width="1" height="1"/>')).lower()
    for word in (
        b"t.example",
        b"script",
        b"onload",
        b"onclick",
        b"fetch",
        b"javascript",
        b"xml:base",
        b"a.png",
    ):
        assert word not in body
    assert b"<rect" in body


def test_shapes_styles_and_motion_stay() -> None:
    body = drawn(
        svg(
            '<defs><linearGradient id="g"><stop offset="0" stop-color="red"/></linearGradient></defs>'
            "<style>.a > rect { fill: url(#g); stroke: red }</style>"
            '<g class="a"><rect width="10" height="10" filter="url(#f)"/><use href="#g" xlink:href="#g"/></g>'
            '<circle r="3"><animate attributeName="r" values="1;3" dur="1s" repeatCount="indefinite"/></circle>'
            '<text xml:space="preserve"> a &lt; b &amp; c </text>',
            'viewBox="0 0 10 10" width="20"',
        )
    ).decode()
    for kept in (
        'viewBox="0 0 10 10"', 'width="20"', "fill: url(#g)", 'filter="url(#f)"', '<use href="#g" xlink:href="#g">',
        'attributeName="r"', ' a &lt; b &amp; c ', 'xml:space="preserve"', 'stop-color="red"',
    ):  # fmt: skip
        assert kept in body


def test_pictures_within_are_made_anew() -> None:
    written = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(written, "PNG")
    hidden = written.getvalue() + b"SECRET"
    body = drawn(svg(f'<image href="data:image/png;base64,{base64.b64encode(hidden).decode()}"/>'))
    content = base64.b64decode(body.partition(b"base64,")[2].partition(b'"')[0])
    assert Image.open(io.BytesIO(content)).size == (4, 4)
    assert b"SECRET" not in content


LAUGHS = (
    "<!DOCTYPE svg ["
    '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)) + "]>"
)


def nested(opening: str, use: str, closing: str) -> str:
    """Return twelve levels, each of which uses the one before ten times."""
    return "".join(opening.format(n) + use.format(n - 1) * 10 + closing for n in range(12))


@pytest.mark.parametrize(
    "body",
    [
        svg(nested('<g id="u{}">', '<use href="#u{}"/>', "</g>")),
        svg('<g id="a"><use href="#b"/><use href="#b"/></g><g id="b"><use href="#a"/></g>' * 900),
        svg("<g>" * 500 + "</g>" * 500),
        svg("<g/>" * 250_000),
        svg("<text>&a11;</text>", prologue=LAUGHS),
        svg(nested('<pattern id="u{}">', '<rect fill="url(#u{})"/>', "</pattern>") + '<rect fill="url(#u11)"/>'),
        svg(nested('<mask id="u{}">', '<rect mask="url(#%75{})"/>', "</mask>") + '<rect mask="url(#u11)"/>'),
        svg(nested('<mask id="u{}">', r'<rect mask="url(\23 u{})"/>', "</mask>") + '<rect mask="url(#u11)"/>'),
    ],
)  # fmt: skip
def test_what_multiplies_is_refused(body: bytes) -> None:
    assert sanitise(body, Media.IMAGE) in (Refusal.TOO_COMPLEX, Refusal.UNREADABLE)


def test_a_circle_of_uses_is_no_bomb() -> None:
    drawn(svg('<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>'))


@pytest.mark.parametrize(
    "prologue",
    [
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">',
        '<!DOCTYPE svg [<!ENTITY ns "http://www.w3.org/2000/svg"><!ATTLIST rect onload CDATA "fetch(1)">]>',
        '<?xml version="1.0" encoding="iso-8859-1" standalone="no"?>',
    ],
)
def test_prologues_do_not_survive(prologue: str) -> None:
    body = drawn(svg("<rect/>", prologue=prologue))
    assert b"DOCTYPE" not in body
    assert b"fetch" not in body


@pytest.mark.parametrize(
    "prologue",
    [
        '<!DOCTYPE svg [<!ENTITY x SYSTEM "https://t.example/">]>',
        '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE svg [<!ENTITY % p SYSTEM "https://t.example/"> %p;]>',
    ],
)
def test_entities_from_elsewhere_are_never_read(prologue: str) -> None:
    result = sanitise(svg("<text>&x;</text>", prologue=prologue), Media.IMAGE)
    if isinstance(result, SafeCopy):
        assert b"t.example" not in result.body
        assert b"root:" not in result.body
    else:
        assert result is Refusal.UNREADABLE


@pytest.mark.parametrize("encoding", ["utf-7", "hz", "iso-2022-jp", "utf-16", "ebcdic-cp-us", "cp037"])
def test_a_wrong_encoding_hides_nothing(encoding: str) -> None:
    text = '<image href="https://t.example/"/>+ADw-script+AD4-'
    result = sanitise(svg(text, prologue=f'<?xml version="1.0" encoding="{encoding}"?>'), Media.IMAGE)
    if isinstance(result, SafeCopy):
        assert b"t.example" not in result.body


def test_compressed_drawings_and_malformed_ones_are_no_pictures() -> None:
    assert isinstance(sanitise(gzip.compress(svg("<rect/>")), Media.IMAGE), Refusal)
    assert sanitise(svg("<rect>"), Media.IMAGE) is Refusal.UNREADABLE
    assert sanitise(b'<svg xmlns="http://www.w3.org/1999/xhtml"/>', Media.IMAGE) is Refusal.WRONG_KIND


@pytest.mark.parametrize("name", ["#m{}", "#%6d{}", "#\\6d {}", "'#m{}'"])
def test_what_style_sheets_repeat_within_each_other_is_a_bomb_too(name: str) -> None:
    rules = "".join(f".c{n}{{mask:url({name.format(n)})}}" for n in range(9))
    masks = "".join(
        f'<mask id="m{n}">' + f'<rect class="c{n + 1}" width="9" height="9"/>' * 10 + "</mask>"
        for n in range(9)
    )
    assert (
        sanitise(svg(f"<style>{rules}</style>{masks}<rect class='c0'/>"), Media.IMAGE) is Refusal.TOO_COMPLEX
    )
    few = "<style>.a{clip-path:url(#m0)}.b{fill:url(#g)}</style>" + masks.partition('<mask id="m1')[0]
    shapes = '<linearGradient id="g"/>' + "<rect class='a b'/>" * 100
    assert isinstance(sanitise(svg(few + shapes), Media.IMAGE), SafeCopy)
