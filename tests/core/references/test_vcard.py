"""vCard: what an address book fetches when it shows a card."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.text import Text
from mailveil.core.message.types import Source
from mailveil.core.references.types import BLANK_GIF, BLANK_URL, Findings, Scope, Vector
from mailveil.core.references.vcard import find_in_vcard

URL = "http://spy.example/a.png"


def find(document: str) -> tuple[Findings, str]:
    raw = document.encode()
    findings = Findings()
    find_in_vcard(Text(raw.decode("latin-1"), Source(raw)), Scope("1", findings))
    output = raw
    previous = len(raw) + 1
    for reference in sorted(findings.references, key=lambda one: one.start, reverse=True):
        assert reference.end <= previous
        previous = reference.start
        output = output[: reference.start] + reference.inert.encode() + output[reference.end :]
    return findings, output.decode()


@pytest.mark.parametrize(
    ("head", "vector", "inert"),
    [
        ("PHOTO:", Vector.VCARD_PHOTO, BLANK_GIF),
        ("PHOTO;VALUE=uri:", Vector.VCARD_PHOTO, BLANK_GIF),
        ("photo;VALUE=URL;TYPE=GIF:", Vector.VCARD_PHOTO, BLANK_GIF),
        ("PHOTO;URL:", Vector.VCARD_PHOTO, BLANK_GIF),
        ("item1.LOGO;MEDIATYPE=image/png:", Vector.VCARD_LOGO, BLANK_GIF),
        ("SOUND;VALUE=uri:", Vector.VCARD_SOUND, BLANK_URL),
        ("KEY;VALUE=uri:", Vector.VCARD_OTHER, BLANK_URL),
        ("SOURCE:", Vector.VCARD_OTHER, BLANK_URL),
        ("X-ANDROID-PHOTO:", Vector.VCARD_PHOTO, BLANK_GIF),
        ("X-SOUND:", Vector.VCARD_SOUND, BLANK_URL),
    ],
)
def test_fetched_properties(head: str, vector: Vector, inert: str) -> None:
    findings, cleaned = find(f"BEGIN:VCARD\r\n{head}{URL}\r\nEND:VCARD\r\n")
    assert [(one.url, one.vector) for one in findings.references] == [(URL, vector)]
    assert cleaned == f"BEGIN:VCARD\r\n{head}{inert}\r\nEND:VCARD\r\n"


@pytest.mark.parametrize(
    "value",
    [
        "http\\://spy.example/a.png",
        "http://spy.exa\r\n mple/a.png",
        "\r\n http://spy.example/a.png",
        " <http://spy.example/a.png> ",
        "//spy.example/a.png",
    ],
)
def test_escaped_folded_and_wrapped_addresses(value: str) -> None:
    findings, cleaned = find(f"PHOTO;VALUE=uri:{value}\r\nEND:VCARD\r\n")
    assert [one.url.partition(":")[2] for one in findings.references] == ["//spy.example/a.png"]
    assert "spy" not in cleaned
    assert cleaned.endswith("\r\nEND:VCARD\r\n")


def test_quoted_printable_address() -> None:
    findings, cleaned = find(
        "PHOTO;VALUE=URL;ENCODING=QUOTED-PRINTABLE:http:=2F=2Fspy.example=\r\n/a.png?x=3D1\r\nN:x\r\n"
    )
    assert [one.url for one in findings.references] == ["http://spy.example/a.png?x=1"]
    assert cleaned == f"PHOTO;VALUE=URL;ENCODING=QUOTED-PRINTABLE:{BLANK_GIF}\r\nN:x\r\n"


def test_card_within_a_card() -> None:
    inner = f"BEGIN:VCARD\\nPHOTO\\;VALUE=uri:{URL}\\nEND:VCARD\\n"
    findings, cleaned = find(f"BEGIN:VCARD\nAGENT:{inner}\nEND:VCARD\n")
    assert [one.url for one in findings.references] == [URL]
    assert cleaned == f"BEGIN:VCARD\nAGENT:{inner.replace(URL, BLANK_GIF)}\nEND:VCARD\n"


@pytest.mark.parametrize(
    "line",
    [
        "URL:http://x.example/",
        "FBURL:http://x.example/busy",
        "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQEAYABgAAD",
        "PHOTO;ENCODING=b;TYPE=JPEG://8AAAQSkZJRg/share",
        "PHOTO:data:image/jpeg;base64,/9j/4AAQ",
        "NOTE:PHOTO:http://x.example/",
        "X-SOCIALPROFILE;type=x:http://x.example/",
        "PHOTO:",
    ],
)
def test_links_and_inline_values_stay(line: str) -> None:
    findings, cleaned = find(f"BEGIN:VCARD\r\n{line}\r\nEND:VCARD\r\n")
    assert not findings.references
    assert cleaned == f"BEGIN:VCARD\r\n{line}\r\nEND:VCARD\r\n"


def test_links_are_noted() -> None:
    findings, _ = find("URL:http://x.example/\nNOTE:see https://y.example/a.\n")
    assert findings.linked == {"http://x.example/", "https://y.example/a"}


@given(st.text(alphabet='PHOTSUND:;="\\\r\n htp/.,AGENTBIVCRD', max_size=120))
def test_any_text_in_an_answer_out(document: str) -> None:
    findings, _ = find(document)
    for reference in findings.references:
        assert 0 <= reference.start < reference.end <= len(document.encode())


@pytest.mark.parametrize(
    "pattern", ["A.", "\n ", "\\", "AGENT:BEGIN:VCARD\\n", ';A="', "=\n", "\nPHOTO:http://a.b/"]
)
def test_long_cards_take_linear_time(pattern: str) -> None:
    noise = pattern * (300_000 // len(pattern))
    started = time.perf_counter()
    for head in ("PHOTO:", "PHOTO;ENCODING=QUOTED-PRINTABLE:", ""):
        find(head + noise)
    assert time.perf_counter() - started < 8
