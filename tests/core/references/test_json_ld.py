"""Pictures in JSON-LD: what a mail client shows beside a message."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.text import Text
from mailveil.core.message.types import Source
from mailveil.core.references.json_ld import find_in_json_ld
from mailveil.core.references.types import BLANK_GIF, Findings, Scope, Vector


def find(document: str) -> tuple[Findings, bytes]:
    raw = document.encode()
    findings = Findings()
    find_in_json_ld(Text(raw.decode("latin-1"), Source(raw)), Scope("1", findings))
    output = raw
    for reference in sorted(findings.references, key=lambda one: one.start, reverse=True):
        assert reference.vector is Vector.JSON_LD_IMAGE
        output = output[: reference.start] + reference.inert.encode() + output[reference.end :]
    return findings, output


@pytest.mark.parametrize(
    "document",
    [
        '{"image": "URL"}',
        '{"@type":"Organization","logo":{"@type":"ImageObject","url":"URL"}}',
        '{"image": ["URL"]}',
        '{"image": [{"url": ["URL"]}]}',
        '[{"@graph":[{"url":"URL","@type":"ImageObject"}]}]',
        '{"@type":"http://schema.org/VideoObject","contentUrl":"URL"}',
        '{"publisher":{"name":"x","Logo":"URL"}}',
        '{"a":"b" "thumbnailUrl":"URL"',
        '<!-- {"image":"URL"} -->',
        '{"image":"URL',
    ],
)
@pytest.mark.parametrize(
    "url",
    [
        "https://spy.example/a.png",
        "https:\\/\\/spy.example\\/a.png",
        "https:\\u002f\\u002Fspy.example/a.png",
        "//spy.example/a.png",
    ],
)
def test_pictures(document: str, url: str) -> None:
    findings, output = find(document.replace("URL", url))
    assert [reference.url for reference in findings.references] == ["https://spy.example/a.png"]
    assert output.decode().startswith(document.replace("URL", BLANK_GIF))


@pytest.mark.parametrize(
    "document",
    [
        '{"url": "https://spy.example/"}',
        '{"potentialAction":{"handler":{"@type":"HttpActionHandler","url":"https://spy.example/"}}}',
        '{"@context":"https://spy.example/","name":"image"}',
        '{"image":{"name":"https://spy.example/"}}',
        '{"image":"cid:a@b","logo":"data:image/png;base64,AA","photo":"a.png"}',
        '{"image":null,"target":"https://spy.example/"}',
        "",
        '"',
        "]]]}}}",
    ],
)
def test_links_and_local_pictures_stay(document: str) -> None:
    findings, output = find(document)
    assert not findings.references
    assert output == document.encode()


def test_links_are_noted() -> None:
    findings, _ = find(
        '{"url":"https://x.example/a","sameAs":["https://x.example/b"],"image":"https://c.example/"}'
    )
    assert findings.linked == {"https://x.example/a", "https://x.example/b"}


def test_limit_ends_the_search_with_a_defect() -> None:
    findings, _ = find('{"image":[' + '"http://a.example/",' * 11_000 + "]}")
    assert len(findings.references) == 10_001
    assert [defect.value for defect in findings.defects] == ["too-many-references"]


@given(st.text(alphabet='{}[]":,\\u0 image/h.', max_size=80))
def test_any_text_in_an_answer_out(document: str) -> None:
    findings, _ = find(document)
    for reference in findings.references:
        assert 0 <= reference.start <= reference.end <= len(document.encode())


@pytest.mark.parametrize("pattern", ["[", "{", '"', "\\", '{"image":', '"\\u', '{"url":"http://a.b/",', ","])
def test_long_documents_take_linear_time(pattern: str) -> None:
    started = time.perf_counter()
    find('{"image":"' + pattern * (300_000 // len(pattern)))
    find(pattern * (300_000 // len(pattern)))
    assert time.perf_counter() - started < 3
