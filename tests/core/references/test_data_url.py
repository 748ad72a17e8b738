"""Documents within ``data:`` URLs."""

import gzip
from base64 import b64decode, b64encode
from time import process_time
from urllib.parse import quote

import pytest
from grammar import find, replace_all, silence, urls
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.text import Text
from mailveil.core.message.types import Coding, Source
from mailveil.core.references.css import find_in_css
from mailveil.core.references.data_url import find_in_data_url
from mailveil.core.references.html import find_in_html
from mailveil.core.references.types import BLANK_URL, Findings, Reference, Scope

U = "http://a.example/x"
SVG = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{U}"/></svg>'
HTML = f"<p><img src='{U}'>"
CSS = f"a{{background:url({U})}}"
QUIET = '<svg xmlns="http://www.w3.org/2000/svg"><rect width="3"/></svg>'


def find_whole(text: Text, scope: Scope) -> None:
    find_in_data_url(text, 0, len(text.text), scope)


def b64(document: str | bytes) -> str:
    return b64encode(document.encode() if isinstance(document, str) else document).decode()


FETCHED = {
    "svg": f"data:image/svg+xml,{quote(SVG)}",
    "svg, little encoded": "data:image/svg+xml," + SVG.replace("<", "%3C").replace("#", "%23"),
    "svg, not encoded": f"data:image/svg+xml;utf8,{SVG}",
    "svg with charset": f"data:image/svg+xml;charset=utf-8,{SVG}",
    "svg, base64": f"data:image/svg+xml;base64,{b64(SVG)}",
    "svg, base64 and charset": f"data:image/svg+xml;charset=utf-8;base64,{b64(SVG)}",
    "base64 not last": f"data:image/svg+xml;base64;charset=utf-8,{b64(SVG)}",
    "spaces in the type": f"data: image/svg+xml ; base64 ,{b64(SVG)}",
    "upper case": f"DATA:IMAGE/SVG+XML;BASE64,{b64(SVG)}",
    "line breaks": "data:image/svg+xml;base64,\n" + b64(SVG)[:40] + "\r\n\t" + b64(SVG)[40:],
    "base64, percent-encoded": f"data:image/svg+xml;base64,{quote(b64(SVG), safe='')}%20",
    "no padding": f"data:image/svg+xml;base64,{b64(SVG).rstrip('=')}",
    "compressed": f"data:image/svg+xml;base64,{b64(gzip.compress(SVG.encode()))}",
    "html": f"data:text/html,{quote(HTML)}",
    "html, base64": f"data:text/html;base64,{b64(HTML)}",
    "xhtml": f"data:application/xhtml+xml,{quote(HTML)}",
    "css": f"data:text/css,{quote(CSS)}",
    "css, base64": f"data:text/css;base64,{b64(CSS)}",
    "no type": f"data:,{quote(SVG)}",
    "wrong type": f"data:image/png;base64,{b64(SVG)}",
    "line break within a name": "data:text/html,<im\ng src='http://a.example/x'>",
    "nested": "data:text/html;base64," + b64(f"<iframe src='data:text/html,{quote(HTML)}'></iframe>"),
}


@pytest.mark.parametrize("url", FETCHED.values(), ids=FETCHED.keys())
def test_a_document_that_fetches_is_found_and_silenced(url: str) -> None:
    assert urls(find_whole, url) == [U]
    found = find(find_whole, url)
    if all(place.coding is not Coding.GZIP for reference in found for place in chain(reference)):
        silent = replace_all(url.encode(), found)
        assert b"a.example" not in silent
        assert find(find_whole, silent) == []


def chain(reference: Reference) -> list[Source]:
    """Return a reference's source and all that enclose it."""
    found: list[Source] = []
    source: Source | None = reference.source
    while source is not None:
        found.append(source)
        source = source.within
    return found


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:,",
        "data:text/css,",
        f"data:image/svg+xml,{quote(QUIET)}",
        f"data:image/svg+xml;base64,{b64(QUIET)}",
        f"data:image/png;base64,{b64(bytes(range(256)))}",
        f"data:text/plain,{U}",
        f"data:font/woff2;base64,{b64(U)}",
        "data:image/svg+xml;base64,!!!",
        f"data:image/svg+xml;base64,{b64(gzip.compress(QUIET.encode()))}",
    ],
)
def test_one_that_fetches_nothing_is_left_alone(url: str) -> None:
    assert find(find_whole, url) == []


def test_base64_is_a_source_of_its_own() -> None:
    url = f"data:image/svg+xml;base64,{b64(SVG)}"
    (reference,) = find(find_whole, url)
    source = reference.source
    assert source.coding is Coding.DATA_URL_BASE64
    assert source.within is not None
    assert b64decode(url[source.span.start : source.span.end]) == source.data == SVG.encode()
    assert source.data[reference.start : reference.end] == U.encode()


def test_what_does_not_stand_in_one_piece_is_replaced_as_a_whole() -> None:
    encoded = b64(SVG)
    document = f"<img src='data:image/svg+xml;base64,{encoded[:30]}&#{ord(encoded[30])};{encoded[31:]}'>"
    (reference,) = find(find_in_html, document)
    assert (reference.url, reference.inert) == (U, BLANK_URL)
    assert silence(find_in_html, document) == f"<img src='{BLANK_URL}'>".encode()


def test_documents_are_found_in_other_languages() -> None:
    escaped = SVG.replace('"', "\\27 ").replace("#", "%23")
    for sheet in (
        f"a{{background:url('data:image/svg+xml,{quote(SVG)}')}}",
        f"a{{background:url(data:image/svg+xml;base64,{b64(SVG)})}}",
        f"a{{background:url('data:image/svg+xml,{escaped}')}}",
        f"@import 'data:text/css,{quote(CSS)}';",
    ):
        assert urls(find_in_css, sheet) == [U]
        assert find(find_in_css, silence(find_in_css, sheet)) == []


def test_a_document_nested_too_deeply_is_emptied() -> None:
    url = U
    for _ in range(12):
        url = f"data:text/html;base64,{b64(f'<iframe src={url}></iframe>')}"
    silent = silence(find_whole, url)
    assert silent != url.encode()
    assert find(find_whole, silent) == []


def test_a_charset_that_hides_markup_is_emptied() -> None:
    url = "data:text/html;charset=utf-16le," + "".join(f"%{byte:02X}" for byte in HTML.encode("utf-16-le"))
    assert silence(find_whole, url) == BLANK_URL.encode()


def test_a_bomb_is_emptied() -> None:
    scope = Scope("1", Findings())
    bomb = gzip.compress(b" " * (scope.limits.max_part_bytes + 1), 9)
    text = Text(f"data:image/svg+xml;base64,{b64(bomb)}", Source(b""))
    find_in_data_url(text, 0, len(text.text), scope)
    assert [reference.inert for reference in scope.findings.references] == [BLANK_URL]


@given(st.text(alphabet="data:,;base64%3C<svgimagehref='/ \n=\x00é+xml", max_size=60), st.binary(max_size=40))
def test_any_characters_have_an_answer(tail: str, data: bytes) -> None:
    for url in (f"data:{tail}", f"data:image/svg+xml;base64,{tail}", f"data:text/html;base64,{b64(data)}"):
        once = silence(find_whole, url)
        assert find(find_whole, once) == []


@pytest.mark.parametrize(
    "piece",
    [
        "%3C",
        "%",
        "<",
        "data:text/html,",
        "<iframe src='data:text/html,",
        "<a b=data:image/svg+xml,",
        "A",
        "\n",
    ],
)
def test_long_urls_take_linear_time(piece: str) -> None:
    for head in ("data:text/html,", "data:image/svg+xml,", "data:image/svg+xml;base64,", "data:text/css,"):
        raw = head + piece * (100_000 // len(piece))
        started = process_time()
        find(find_whole, raw)
        assert process_time() - started < 2
