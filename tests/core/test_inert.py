"""What is delivered in place of a message that nobody could examine is silent, whatever that message was.

Test: every case of the corpus in every variant, generated messages and garbage are made inert; the engine, which
is not the code under test, must find nothing in the result and leave it byte for byte as it is.
"""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_cases import ADDRESSES, cases, variant
from mailveil.core.message.parse import parse_message
from mailveil.core.protection import CopyMode, EngineSettings, protect
from mailveil.core.protection.inert import MAX_SHOWN_BYTES, make_inert
from mailveil.core.references.search import find_references

NAME = "1767225600-0123456789abcdef01234567"
SETTINGS = EngineSettings(mode=CopyMode.HOSTED, addresses=ADDRESSES)
FIELD = st.sampled_from(
    [b"From: Anna <a@x.example>", b"To: b@y.example,\r\n c@y.example", b"Subject: =?utf-8?q?hi?=",
     b"Disposition-Notification-To: spy@t.example", b"Content-Type: text/html", b"Received: from a by b; c",
     b"Content-Transfer-Encoding: quoted-printable", b"Content-Location: https://t.example/", b"Subject:",
     b"X-Face: x", b"Message-ID: <1@x.example>\r\n\r", b"From: \xff\xfe", b"To : z@y.example", b" folded"]
)  # fmt: skip
PIECE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"<img src=https://t.example/p.gif>", b"<html><body background=//t.example/b>", b"\r\n", b"\n\n",
         b"begin 644 a.html\r\n", b"-----BEGIN PGP MESSAGE-----\r\n", b"--b\r\nContent-Type: text/html\r\n\r\n",
         b"BEGIN:VCALENDAR\r\nATTACH:https://t.example/\r\n", b"{\\rtf1{\\field https://t.example}}",
         b"A" * 76 + b"\r\n", b"=3Cimg src=3Dhttps://t.example/>", b"www.t.example", b"HTTPS://T.EXAMPLE/"]
    ),
)  # fmt: skip
MESSAGES = st.builds(
    lambda fields, pieces: b"\r\n".join(fields) + b"\r\n\r\n" + b"".join(pieces),
    st.lists(FIELD, max_size=8),
    st.lists(PIECE, max_size=12),
)


def check_silent(raw: bytes) -> bytes:
    inert = make_inert(raw, NAME)
    search = find_references(parse_message(inert))
    assert search.findings.references == []
    assert search.unexamined == []
    assert not search.ambiguous, "clients agree about it"
    outcome = protect(inert, SETTINGS)
    assert outcome.raw is inert, "cleaning it again changes nothing"
    assert inert.isascii() or all(line.isascii() for line in inert.partition(b"\r\n\r\n")[2].splitlines())
    assert b"\n" not in inert.replace(b"\r\n", b"")
    return inert


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_every_case_of_the_corpus_becomes_silent(case) -> None:  # type: ignore[no-untyped-def]
    for name in case.variants:
        check_silent(variant(case.raw, name))


@given(MESSAGES)
def test_generated_messages_become_silent(raw: bytes) -> None:
    check_silent(raw)


@given(st.binary(max_size=500))
def test_garbage_becomes_silent(raw: bytes) -> None:
    check_silent(raw)


def test_people_and_servers_know_the_message_by_its_header() -> None:
    raw = (
        b"Received: from a by b; c\r\nReceived: from d\r\n\tby e; f\r\nDelivered-To: b@example.org\r\n"
        b"From: Anna =?utf-8?q?=C3=84?= <a@example.com>\r\nTO: b@example.org,\r\n c@example.org\r\n"
        b"Subject: Gr\xc3\xbc\xc3\x9fe\r\nSubject: second\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
        b"Message-ID: <1@example.com>\r\nDisposition-Notification-To: spy@example.com\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/html\r\nX-Face: abc\r\nList-Unsubscribe: <https://x>\r\n"
        b"\r\n<p>Hello</p> https://t.example/x www.t.example\r\n"
    )
    inert = check_silent(raw)
    header = inert.partition(b"\r\n\r\n")[0]
    assert header.startswith(b"Received: from a by b; c\r\nReceived: from d\r\n\tby e; f\r\nDelivered-To:")
    assert b"To: b@example.org,\r\n c@example.org\r\n" in header
    assert "Subject: Grüße".encode() in header
    for gone in (b"second", b"spy", b"text/html", b"Face", b"Unsubscribe"):
        assert gone not in header
    text = email.message_from_bytes(inert, policy=email.policy.SMTP).get_content()
    assert NAME in text
    assert "> <p>Hello</p> https[:]//t.example/x www[.]t.example" in text


@pytest.mark.parametrize(
    "field",
    [
        b"Subject: bare\rreturn",
        b"Subject: nul\0",
        b"Subject: esc\x1b[31m",
        b"Subject: latin \xe9",
        "Subject: \u202egnp.exe".encode(),
        b"Subject: " + b"x" * 2000,
        b"Subject: a\r\n  \r\n b",
    ],
)
def test_a_field_that_clients_could_read_differently_is_left_out(field: bytes) -> None:
    inert = check_silent(b"From: a@example.com\r\n" + field + b"\r\n\r\nbody\r\n")
    assert b"Subject" not in inert.partition(b"\r\n\r\n")[0]
    assert inert.startswith(b"From: a@example.com\r\n")


def test_a_first_line_that_continues_nothing_smuggles_no_field() -> None:
    inert = check_silent(b" folded\r\nFrom: a@example.com\r\n\r\nx")
    assert inert.startswith(b"From: a@example.com\r\nMIME-Version")
    assert check_silent(b"").startswith(b"MIME-Version: 1.0\r\n")


def test_encoded_data_and_what_is_too_long_are_left_out_with_a_word() -> None:
    raw = b"Subject: x\r\n\r\ntext\r\n" + (b"A" * 76 + b"\r\n") * 5 + b"more\r\n" + b"y z\n" * MAX_SHOWN_BYTES
    inert = check_silent(raw)
    text = email.message_from_bytes(inert, policy=email.policy.SMTP).get_content()
    assert "> text\n[5 lines of encoded data are left out.]\n> more\n" in text.replace("\r\n", "\n")
    assert "bytes are left out.]" in text
    assert len(inert) < 4 * MAX_SHOWN_BYTES + 10_000


@pytest.mark.parametrize("piece", [b"\n", b"\r\n ", b"\0", b"<a ", b"From: x\n ", b"\xff", b"://", b"www."])
def test_fifty_megabytes_are_no_matter(piece: bytes) -> None:
    check_silent(piece * (50_000_000 // len(piece)))
