"""Parts made inert, and signatures removed."""

from __future__ import annotations

import base64
import email
import email.policy
from email.message import Message as ParsedMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.core.message.parse import parse_message
from mailveil.core.message.types import Part
from mailveil.core.rewrite import Replacement, inert_part_edits, rewrite, unsign_edits

NOTICE = "This part could not be examined and is shown as text. <b>Ask</b> your administrator = \u00e4."
HTML = b"<html><img src=3D'http://spy.example/'></html>"


def made_inert(raw: bytes, section: str) -> bytes:
    message = parse_message(raw)
    replacements: list[Replacement] = []
    for part in message.walk():
        if part.section == section:
            replacements += inert_part_edits(part, NOTICE)
    return rewrite(message, replacements)


def part_of(raw: bytes, index: int = 0) -> ParsedMessage:
    """Return a leaf as another parser reads it."""
    return [part for part in email.message_from_bytes(raw).walk() if not part.is_multipart()][index]


def text_of(part: ParsedMessage) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64", "binary", ""])
def test_a_page_becomes_text_that_nobody_sniffs(encoding: str, newline: bytes) -> None:
    body = {"base64": base64.encodebytes(HTML).replace(b"\n", newline)}.get(encoding, HTML)
    head = [b"Subject: x", b"Content-Type: text/html;" + newline + b" charset=ISO-8859-1"]
    if encoding:
        head.append(b"Content-Transfer-Encoding: " + encoding.encode())
    raw = newline.join([*head, b"", body])
    after = made_inert(raw, "1")
    part = part_of(after)
    assert (part.get_content_type(), part.get_content_charset()) == ("text/plain", "iso-8859-1")
    text = text_of(part)
    assert text.startswith(b"This part could not be examined")
    assert text.index(b"<html>") > 512
    assert b"<" not in text[:512]
    assert b"spy.example" in text
    assert made_inert(after, "1") == after


def test_every_content_type_field_is_replaced_and_a_missing_one_added() -> None:
    raw = b"Content-Type: text/html\nX: y\ncontent-type : text/html; charset=utf-16\n\n" + HTML
    after = made_inert(raw, "1")
    assert after.lower().count(b"text/html") == 0
    assert after.count(b"text/plain; charset=us-ascii") == 2
    bare = made_inert(b"Subject: x\n\n" + HTML, "1")
    assert bare.startswith(b"Content-Type: text/plain; charset=us-ascii\nSubject: x\n\nThis part")


def test_encodings_that_clients_disagree_about_are_settled() -> None:
    raw = b"Content-Type: text/html\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n"
    assert b"Content-Transfer-Encoding: 8bit\n" in made_inert(raw, "1")
    head = b"Content-Type: text/html\nContent-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n"
    raw = head + b"\nPHA+\n"
    after = made_inert(raw, "1")
    first, second = email.message_from_bytes(after).get_all("Content-Transfer-Encoding", [])
    assert first == second


def test_a_multipart_becomes_one_text() -> None:
    inner = b"--in\n" + b"Content-Type: text/html\n\n" + HTML + b"\n--in--"
    raw = (
        b"Content-Type: multipart/mixed; boundary=out\n\n"
        b"--out\nContent-Type: multipart/related;\n boundary=in\n\n" + inner + b"\n--out\n\nlast\n--out--\n"
    )
    after = made_inert(raw, "1")
    parts = [part for part in email.message_from_bytes(after).walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/plain"]
    assert text_of(parts[0]).endswith(inner)
    assert text_of(parts[1]) == b"last"


def test_attachments_keep_their_bytes_under_a_harmless_name() -> None:
    body = base64.encodebytes(HTML)
    for kind, name, expected in [
        (b"text/html", b"page.html", "page.html.txt"),
        (b"application/octet-stream", b"p.SVG", "p.SVG.txt"),
        (b"application/zip", b"a.zip", "a.zip"),
        (b"text/css", b"style", "style.txt"),
        (b"text/html", b"", "attachment.txt"),
    ]:
        raw = b"\n".join(
            [
                b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b",
                b"Content-Type: " + kind + b'; name="' + name + b'"',
                b'Content-Disposition: attachment; filename="' + name + b'"',
                b"Content-Transfer-Encoding: base64\n",
                body + b"--b--\n",
            ]
        )
        after = made_inert(raw, "2")
        part = part_of(after, 1)
        assert part.get_content_type() == "application/octet-stream"
        assert part.get_content_disposition() == "attachment"
        assert part.get_filename() == expected
        assert text_of(part) == HTML
        assert made_inert(after, "2") == after


def test_a_name_that_needs_escaping_is_kept() -> None:
    raw = b"Content-Type: image/svg+xml; name*=UTF-8''b%C3%B6se%0D%0AX%3A.svg\n\n<svg>"
    after = made_inert(raw, "1")
    assert part_of(after).get_filename() == "b\u00f6seX:.svg.txt"
    assert email.message_from_bytes(after).keys() == ["Content-Type", "Content-Disposition"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"Content-Type: text/html\n",
                b"Content-Type: multipart/mixed; boundary=b\n",
                b"--b\n",
                b"--b--\n",
                b"\n",
                b"Content-Transfer-Encoding: base64\n",
                b"Content-Disposition: attachment; filename=a.html\n",
                b"<img>\n",
            ]
        ),
        max_size=10,
    ).map(b"".join)
)
def test_any_part_can_be_made_inert(raw: bytes) -> None:
    message = parse_message(raw)
    after = rewrite(message, inert_part_edits(message.root, NOTICE))
    assert parse_message(after).root.media_type in ("text/plain", "application/octet-stream")


# --- signatures ------------------------------------------------------------------------------------------

SIGNED = (
    b'From: a@b.example\nContent-Type: multipart/signed; protocol="application/pgp-signature";\n'
    b' micalg=pgp-sha256; boundary="b \\"q"\n\npreamble\n--b "q\nContent-Type: text/html\n\n<p>signed</p>\n'
    b'\n--b "q\nContent-Type: application/pgp-signature; name=signature.asc\n\n'
    b"-----BEGIN PGP SIGNATURE-----\n"
    b'\n--b "q--\nfooter\n'
)


def signed_root(raw: bytes) -> tuple[bytes, Part]:
    message = parse_message(raw)
    return rewrite(message, unsign_edits(message.root)), parse_message(raw).root


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_signature_leaves_and_nothing_else(newline: bytes) -> None:
    after, _ = signed_root(SIGNED.replace(b"\n", newline))
    expected = (
        b'From: a@b.example\nContent-Type: multipart/mixed; boundary="b \\"q"\n\npreamble\n--b "q\n'
        b'Content-Type: text/html\n\n<p>signed</p>\n\n--b "q--\nfooter\n'
    )
    assert after == expected.replace(b"\n", newline)
    assert [part.get_content_type() for part in email.message_from_bytes(after).walk()] == [
        "multipart/mixed",
        "text/html",
    ]


def test_what_only_stands_in_the_signature_place_stays() -> None:
    disguised = SIGNED.replace(b"application/pgp-signature; name=signature.asc", b"text/html")
    after, _ = signed_root(disguised)
    assert b"BEGIN PGP SIGNATURE" in after
    assert b"multipart/mixed" in after


def test_a_signature_in_the_first_place_goes_too() -> None:
    first = (
        b"Content-Type: multipart/signed; boundary=b\n\n"
        b"--b\nContent-Type: application/pkcs7-signature\n\nMII=\n"
        b"--b\n\nhello\n--b--\n"
    )
    after, _ = signed_root(first)
    assert after == b'Content-Type: multipart/mixed; boundary="b"\n\n--b\n\nhello\n--b--\n'


def test_unsigning_and_other_replacements_go_together() -> None:
    message = parse_message(SIGNED)
    at = SIGNED.index(b"signed</p>")
    after = rewrite(
        message, [*unsign_edits(message.root), Replacement(message.source, at, at + 6, b"SIGNED")]
    )
    assert b'<p>SIGNED</p>\n\n--b "q--\n' in after
