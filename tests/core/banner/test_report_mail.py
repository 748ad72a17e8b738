"""Reports by mail: which message they are about, what they say of it, and that anything can be read."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banner_letters import CODE, letter, page, protected, several
from mailveil.core.banner import ReportedAs, parse_report_mail

PLAIN = "text/plain; charset=utf-8"


def _mail(subject: str, body: str = "", content_type: str = PLAIN) -> bytes:
    return letter(body.encode(), content_type).replace(b"Subject: Offer", f"Subject: {subject}".encode())


def test_the_code_is_found_where_the_banner_puts_it() -> None:
    mail = parse_report_mail(_mail(f"mailveil {CODE}", "This is our own newsletter.\r\n\r\n> quoted\r\n"))
    assert mail.codes == (CODE,)
    assert mail.kind is ReportedAs.FALSE_ALARM
    assert mail.comment == "This is our own newsletter."


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("Missed something: mailveil", ReportedAs.MISSED),
        ("Fehlalarm", ReportedAs.FALSE_ALARM),
        ("Etwas =?utf-8?q?=C3=BCbersehen?=", ReportedAs.MISSED),
        ("Fausse alerte", ReportedAs.FALSE_ALARM),
        ("Mensaje sospechoso", ReportedAs.MISSED),
        (f"=?utf-8?b?{base64.b64encode('見落とし'.encode()).decode()}?=", ReportedAs.MISSED),
        ("look at this", ReportedAs.MISSED),
        (f"Re: {CODE}", ReportedAs.FALSE_ALARM),
    ],
)
def test_the_kind_goes_by_words_in_the_subject(subject: str, kind: ReportedAs) -> None:
    assert parse_report_mail(_mail(subject)).kind is kind


def test_words_of_the_comment_count_where_the_subject_says_nothing() -> None:
    assert parse_report_mail(_mail(f"Re: {CODE}", "You missed one below.\r\n")).kind is ReportedAs.MISSED


@pytest.mark.parametrize("subtype", ["mixed", "alternative"])
def test_the_code_is_found_in_a_message_that_was_forwarded_as_a_file(subtype: str) -> None:
    original = protected(several(subtype, (PLAIN, b"Hello\r\n"), ("text/html; charset=utf-8", page()))).raw
    boxed = original.replace(b"limit", b"inner")
    raw = several("mixed", (PLAIN, b"A false alarm, I think.\r\n"), ("message/rfc822", boxed))
    mail = parse_report_mail(raw)
    assert mail.codes == (CODE,)
    assert mail.message_id == "<offer@shop.example>"
    assert mail.kind is ReportedAs.FALSE_ALARM
    assert mail.comment == "A false alarm, I think."


@pytest.mark.parametrize("coding", ["8bit", "base64", "quoted-printable"])
def test_the_code_is_found_in_a_quoted_banner_whatever_its_coding(coding: str) -> None:
    quoted = protected(letter(page())).raw.partition(b"\r\n\r\n")[2]
    assert parse_report_mail(letter(quoted, "text/html; charset=utf-8", coding)).codes == (CODE,)


def test_a_message_without_a_banner_is_named_by_its_identifier() -> None:
    mail = parse_report_mail(several("mixed", (PLAIN, b"Hm.\r\n"), ("message/rfc822", letter(b"<p>Hi</p>"))))
    assert (mail.codes, mail.message_id, mail.kind) == ((), "<offer@shop.example>", ReportedAs.MISSED)


@given(st.binary(max_size=2000))
def test_anything_can_be_read(raw: bytes) -> None:
    mail = parse_report_mail(raw)
    assert len(mail.comment) <= 1000


@pytest.mark.parametrize(
    "piece",
    [
        b"a" * 39 + b" ",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"--limit\r\n\r\n",
        b"_" * 40 + b" mailveil\r\n",
    ],
)
def test_a_large_one_takes_no_long_time(piece: bytes) -> None:
    raw = letter(piece * (4_000_000 // len(piece)), 'multipart/mixed; boundary="limit"')
    began = time.process_time()
    parse_report_mail(raw)
    assert time.process_time() - began < 20
