"""iCalendar and vCalendar: what a calendar client fetches by itself."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.text import Text
from mailveil.core.message.types import Source
from mailveil.core.references.calendar import find_in_calendar
from mailveil.core.references.types import BLANK_GIF, BLANK_URL, Findings, Media, Scope, Vector


def find(document: str) -> tuple[Findings, str]:
    raw = document.encode()
    findings = Findings()
    find_in_calendar(Text(raw.decode("latin-1"), Source(raw)), Scope("1", findings))
    output = raw
    previous = len(raw) + 1
    for reference in sorted(findings.references, key=lambda one: one.start, reverse=True):
        assert reference.end <= previous
        previous = reference.start
        output = output[: reference.start] + reference.inert.encode() + output[reference.end :]
    return findings, output.decode()


@pytest.mark.parametrize(
    ("line", "vector", "output"),
    [
        ("ATTACH:URL", Vector.CALENDAR_ATTACH, f"ATTACH:{BLANK_URL}"),
        ("attach;FMTTYPE=audio/basic:URL", Vector.CALENDAR_ATTACH, f"attach;FMTTYPE=audio/basic:{BLANK_URL}"),
        ('ATTACH;FILENAME="a:b;c":URL', Vector.CALENDAR_ATTACH, f'ATTACH;FILENAME="a:b;c":{BLANK_URL}'),
        ('ATTACH;FILENAME="a:URL', Vector.CALENDAR_ATTACH, f'ATTACH;FILENAME="a:{BLANK_URL}'),
        (
            "ATTACH;VALUE=BINARY;ENCODING=BASE64:URL",
            Vector.CALENDAR_ATTACH,
            f"ATTACH;VALUE=BINARY;ENCODING=BASE64:{BLANK_URL}",
        ),
        (
            "IMAGE;VALUE=URI;DISPLAY=BADGE:URL",
            Vector.CALENDAR_IMAGE,
            f"IMAGE;VALUE=URI;DISPLAY=BADGE:{BLANK_GIF}",
        ),
        ("SOURCE;VALUE=URI:URL", Vector.CALENDAR_OTHER, f"SOURCE;VALUE=URI:{BLANK_URL}"),
        ('LOCATION;ALTREP="URL":Room', Vector.CALENDAR_OTHER, f'LOCATION;ALTREP="{BLANK_URL}":Room'),
        ("SUMMARY;ALTREP=URL:Talk", Vector.CALENDAR_OTHER, f'SUMMARY;ALTREP="{BLANK_URL}":Talk'),
        ('ATTENDEE;DIR="URL":mailto:a@b', Vector.CALENDAR_OTHER, f'ATTENDEE;DIR="{BLANK_URL}":mailto:a@b'),
        (
            "AALARM;VALUE=URL:20240101T000000;;;URL",
            Vector.CALENDAR_ATTACH,
            f"AALARM;VALUE=URL:20240101T000000;;;{BLANK_URL}",
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\r\n", "\n", "\r"])
def test_fetched_properties(line: str, vector: Vector, output: str, newline: str) -> None:
    url = "http://spy.example/x.png"
    before = newline.join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", ""])
    after = newline.join(["", "END:VEVENT", "END:VCALENDAR", ""])
    findings, cleaned = find(before + line.replace("URL", url).replace(f"VALUE={url}", "VALUE=URL") + after)
    assert [(one.url, one.vector) for one in findings.references] == [(url, vector)]
    assert cleaned == before + output + after


def test_extension_properties_with_pictures() -> None:
    findings, cleaned = find("X-WR-IMAGE-URL:http://spy.example/i\n")
    assert findings.references[0].vector is Vector.CALENDAR_IMAGE
    assert cleaned == f"X-WR-IMAGE-URL:{BLANK_GIF}\n"


def test_images_get_copies_and_attachments_do_not() -> None:
    findings, _ = find("IMAGE;VALUE=URI:http://spy.example/i\nATTACH:http://spy.example/a\n")
    assert [reference.media for reference in findings.references] == [Media.IMAGE, None]


def test_folded_address_is_one_reference() -> None:
    findings, cleaned = find("ATTACH:http://spy.exam\r\n ple/a\r\n\tb\r\nEND:VEVENT\r\n")
    assert [reference.url for reference in findings.references] == ["http://spy.example/ab"]
    assert cleaned == f"ATTACH:{BLANK_URL}\r\nEND:VEVENT\r\n"


def test_folded_property_name() -> None:
    findings, cleaned = find("ATT\r\n ACH\r\n :http://spy.example/\r\n")
    assert [reference.url for reference in findings.references] == ["http://spy.example/"]
    assert cleaned == f"ATT\r\n ACH\r\n :{BLANK_URL}\r\n"


def test_continuation_that_another_client_takes_for_a_property() -> None:
    findings, cleaned = find("DESCRIPTION:text\r\n ATTACH:http://spy.example/\r\n")
    assert [reference.url for reference in findings.references] == ["http://spy.example/"]
    assert cleaned == f"DESCRIPTION:text\r\n ATTACH:{BLANK_URL}\r\n"


def test_both_readings_of_the_same_characters_are_one_reference() -> None:
    findings, cleaned = find("ATTACH:http://spy.example/?\r\n ATTACH:http://other.example/\r\n")
    assert len(findings.references) == 1
    assert cleaned == f"ATTACH:{BLANK_URL}\r\n"


def test_markup_in_an_alternative_description() -> None:
    findings, cleaned = find(
        'X-ALT-DESC;FMTTYPE=text/html:<html><img src="http://spy.ex\r\n ample/a\\,b"\\n></html>\r\n'
    )
    assert [(one.url, one.vector) for one in findings.references] == [
        ("http://spy.example/a,b", Vector.IMG_SRC)
    ]
    assert "spy" not in cleaned
    assert cleaned.endswith('"\\n></html>\r\n')


def test_markup_in_a_description_and_in_quoted_printable() -> None:
    findings, cleaned = find("DESCRIPTION:See <img src=http://spy.example/a>\nEND:VEVENT\n")
    assert [reference.url for reference in findings.references] == ["http://spy.example/a"]
    assert "spy" not in cleaned
    findings, cleaned = find(
        "DESCRIPTION;ENCODING=QUOTED-PRINTABLE:=3Cimg src=3D=\r\n=22http://spy.example/a=22=3E\r\nX:y\r\n"
    )
    assert [reference.url for reference in findings.references] == ["http://spy.example/a"]
    assert cleaned.endswith("=22=3E\r\nX:y\r\n")


@pytest.mark.parametrize(
    "line",
    [
        "URL:http://x.example/",
        "CONFERENCE;VALUE=URI:https://x.example/",
        "ATTACH:cid:part1@x.example",
        "ATTACH;VALUE=BINARY;ENCODING=BASE64://8AAAD/host/share",
        "IMAGE;VALUE=URI:data:image/png;base64,AAAA",
        "ATTENDEE;RSVP=TRUE:mailto:a@x.example",
        'STRUCTURED-DATA;SCHEMA="https://schema.org/Event";VALUE=TEXT:{}',
        "DESCRIPTION:see http://x.example/ for ATTACH:http://x.example/",
        "no property at all http://x.example/",
        "",
    ],
)
def test_links_and_inline_values_stay(line: str) -> None:
    findings, cleaned = find(f"BEGIN:VEVENT\r\n{line}\r\nEND:VEVENT\r\n")
    assert not findings.references
    assert cleaned == f"BEGIN:VEVENT\r\n{line}\r\nEND:VEVENT\r\n"
    if line.startswith(("URL", "CONF")):
        assert len(findings.linked) == 1


def test_cleaning_twice_is_cleaning_once() -> None:
    document = (
        "IMAGE;VALUE=URI:http://a.example/\nATTACH:\\\\a.example\\b\nSUMMARY;ALTREP=http://a.example/:x\n"
    )
    findings, once = find(document)
    assert len(findings.references) == 3
    findings, twice = find(once)
    assert not findings.references
    assert twice == once


@given(st.text(alphabet='ATTACH:;="\\\r\n htp/.,IMGE<', max_size=120))
def test_any_text_in_an_answer_out(document: str) -> None:
    findings, _ = find(document)
    for reference in findings.references:
        assert 0 <= reference.start < reference.end <= len(document.encode())


@pytest.mark.parametrize(
    "pattern",
    [
        "ATTACH",
        ";",
        '"',
        'ATTACH;X="',
        "\r\n ",
        "\r\n ATTACH:",
        "=\r\n",
        ":",
        "\\",
        "a.",
        'X;A=",',
        "<a ",
        "http://",
    ],
)
def test_long_documents_take_linear_time(pattern: str) -> None:
    noise = pattern * (300_000 // len(pattern))
    started = time.perf_counter()
    for head in ("ATTACH:", 'DESCRIPTION;ALTREP="', "X-ALT-DESC;ENCODING=QUOTED-PRINTABLE:<p>", ""):
        find(head + noise)
    assert time.perf_counter() - started < 8
