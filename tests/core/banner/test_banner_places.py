"""Where a banner stands, and in which messages it never does."""

from __future__ import annotations

import pytest

from banner_letters import TRACKER, letter, page, protected, several
from mailveil.core.banner.marks import CLOSING, OPENING, RULE
from mailveil.core.banner.places import Form, find_beginning, find_places
from mailveil.core.message.parse import parse_message

PLAIN = ("text/plain; charset=utf-8", b"Hello\r\n")
HTML = ("text/html; charset=utf-8", page())


@pytest.mark.parametrize(
    ("html", "before"),
    [
        ("<html><body><p>Hi", "<html><body>"),
        ('<!DOCTYPE html>\n<html><head><title><body></title></head>\n<body id="a">\nHi', '<body id="a">'),
        ("<p>Hi</p>", ""),
        ("Hi <b>there</b>", ""),
        ("<!-- note --><style>p{}</style><div>Hi", "</style>"),
        ("<!--[if mso]><body><![endif]--><html><body>Hi", "<html><body>"),
        ("<!--[if !mso]><!--><body><!--<![endif]--><p>Hi", "<!--<![endif]-->"),
        ("<![if !mso]><body><![endif]><p>Hi", "<![endif]>"),
        ("<BODY onload=x>Hi", "<BODY onload=x>"),
        ("<head><script>if (a<b) '<body>'</script></head><body>Hi", "</head><body>"),
        ("<?xml version='1.0'?><html><meta charset=utf-8><link rel=x><body >Hi", "<body >"),
        ("<title/><body>Hi", "<title/><body>"),
        ('<body title=">">Hi', '<body title=">">'),
        ("</p><table><tr><td>Hi", "</p>"),
    ],
)  # fmt: skip
def test_it_stands_where_what_is_shown_begins(html: str, before: str) -> None:
    at = find_beginning(html)
    assert at is not None
    assert html[:at].rstrip().endswith(before)
    assert before not in html[at:] or not before


@pytest.mark.parametrize(
    "html", ["", " \n", "<!-- never ends", "<html><head>", "<frameset cols=*><frame>", "<style>p{"]
)
def test_a_document_that_shows_nothing_has_no_place(html: str) -> None:
    assert find_beginning(html) is None


@pytest.mark.parametrize("subtype", ["report", "digest", "x-unknown"])
def test_a_label_that_is_a_disguise_keeps_no_banner_away(subtype: str) -> None:
    """Spam comes as a digest or report whose only part is a page."""
    assert protected(several(subtype, HTML)).banner


def test_each_alternative_that_readers_choose_from_has_one() -> None:
    outcome = protected(several("alternative", PLAIN, HTML))
    assert outcome.banner
    assert outcome.raw.count(OPENING.encode()) == 1
    assert outcome.raw.count(RULE.encode()) == 2  # above and below


def test_it_stands_in_the_first_body_of_a_mixed_message_and_in_no_attachment() -> None:
    attached = ('text/html; charset=utf-8\r\nContent-Disposition: attachment; filename="a.html"', page())
    enclosed = ("message/rfc822", letter(page()))
    outcome = protected(several("mixed", HTML, HTML, attached, enclosed))
    assert outcome.raw.count(OPENING.encode()) == 1
    assert outcome.raw.index(OPENING.encode()) < outcome.raw.index(
        b"--limit\r\n", outcome.raw.index(b"Hello")
    )


def test_the_root_of_related_parts_is_the_one_that_is_named() -> None:
    other = ("text/html; charset=utf-8\r\nContent-ID: <other@x>", b"<body>other</body>")
    root = ("text/html; charset=utf-8\r\nContent-ID: <root@x>", page())
    outcome = protected(several("related", other, root, more='; start="<root@x>"'))
    assert outcome.raw.index(OPENING.encode()) > outcome.raw.index(b"<root@x>", outcome.raw.index(b"--limit"))


def test_what_is_written_for_programs_is_left_alone() -> None:
    amp = ("text/x-amp-html; charset=utf-8", b"<!doctype html><html amp4email><body>amp</body></html>")
    outcome = protected(several("alternative", PLAIN, amp, HTML))
    assert b"<html amp4email><body>amp</body></html>" in outcome.raw
    assert outcome.banner


@pytest.mark.parametrize(
    "raw",
    [
        several("alternative", PLAIN, HTML, ("text/calendar; method=REQUEST", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")),
        letter(b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "text/calendar"),
        several("report", PLAIN, ("message/delivery-status", b"Status: 5.1.1\r\n"), HTML),
        several("signed", HTML, ("application/pgp-signature", b"-----BEGIN PGP SIGNATURE-----\r\n")),
        several("encrypted", ("application/pgp-encrypted", b"Version: 1"), HTML),
        several(
            "mixed", ("multipart/signed; boundary=x", b"--x\r\nContent-Type: text/html\r\n\r\n" + page() + b"--x--")
        ),
        letter(b"-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nHi\r\n", "text/plain"),
        letter(page("<body><pre>-----BEGIN PGP MESSAGE-----\r\n</pre>")),
        letter(page(), 'text/html; charset=utf-8; name="page.html"'),
        letter(page(), more="Content-Disposition: attachment\r\n"),
        letter(page(), "application/xhtml+xml"),
        letter(page().decode().encode("cp037"), "text/html; charset=cp037"),
        letter(b"", "text/html"),
        several("digest", ("message/rfc822", letter(page()))),
        b"",
    ],
    ids=["invitation", "calendar", "report", "signed", "encrypted", "signed-within", "inline-signed",
         "inline-encrypted", "file", "attachment", "xhtml", "ebcdic", "empty", "digest", "nothing"],
)  # fmt: skip
def test_it_is_never_in_signed_encrypted_report_or_calendar_mail_nor_where_it_could_do_harm(
    raw: bytes,
) -> None:
    outcome = protected(raw)
    assert not outcome.banner
    assert OPENING.encode() not in outcome.raw
    assert RULE.encode() not in outcome.raw


def test_a_message_whose_signature_was_taken_off_has_none_either() -> None:
    raw = several("signed", HTML, ("application/pgp-signature", b"-----BEGIN PGP SIGNATURE-----\r\n"))
    outcome = protected(raw)
    assert outcome.unsigned
    assert not outcome.banner


CODINGS = ("8bit", "base64", "quoted-printable")
CHARSETS = {
    "utf-8": ("utf-8", CODINGS), "shift_jis": ("cp932", CODINGS), "iso-2022-jp": ("iso2022_jp", CODINGS),
    "utf-7": ("utf-7", CODINGS), "us-ascii": ("ascii", CODINGS), "utf-16": ("utf-16", CODINGS[1:2]),
    "utf-16le": ("utf-16-le", CODINGS[1:2]), "utf-16be": ("utf-16-be", CODINGS[1:2]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("charset", "coding"),
    [(charset, coding) for charset, (_, codings) in CHARSETS.items() for coding in codings],
)
def test_html_in_any_charset_and_coding_reads_as_one(charset: str, coding: str) -> None:
    codec = CHARSETS[charset][0]
    raw = letter(page().decode().encode(codec), f"text/html; charset={charset}", coding)
    outcome = protected(raw)
    assert outcome.banner
    [place] = find_places(parse_message(outcome.raw))
    assert place.form is Form.HTML
    assert place.text.text[place.at :].startswith(OPENING)
    assert place.text.text.count(CLOSING) == 1
    assert TRACKER not in place.text.text
    assert protected(outcome.raw).raw == outcome.raw


def test_a_byte_order_mark_stays_the_first_thing() -> None:
    raw = letter(b"\xef\xbb\xbf" + page(""))
    assert b"\r\n\r\n\xef\xbb\xbf<aside" in protected(raw).raw
