"""Safe copies inside the message."""

from __future__ import annotations

import email
from email.message import Message as ParsedMessage

import pytest

from mailveil.core.message.parse import parse_message
from mailveil.core.message.transfer import decode_body
from mailveil.core.message.types import Limits, Message, Part
from mailveil.core.rewrite import EmbeddedCopy, Replacement, embed_copies, rewrite

SPY = b"http://spy.example/p.gif"
ONE = EmbeddedCopy("one@copies.invalid", "image/gif", b"GIF89a" * 40)
TWO = EmbeddedCopy("two@copies.invalid", "image/png", b"\x89PNG" * 5)
PAGE = b"<p>=</p>\n<img src='" + SPY + b"'>\nend\n"


def html_leaves(message: Message) -> list[Part]:
    return [part for part in message.walk() if part.media_type == "text/html" and not part.children]


def embedded(raw: bytes, *copies: EmbeddedCopy, also: bool = True) -> bytes:
    """Replace the spy in every HTML leaf by the first copy and embed the copies."""
    message = parse_message(raw)
    replacements: list[Replacement] = []
    for part in html_leaves(message):
        (source,), _ = decode_body(part, Limits())
        at = source.data.find(SPY)
        if at >= 0 and also:
            replacements.append(
                Replacement(source, at, at + len(SPY), b"cid:" + copies[0].content_id.encode())
            )
        replacements += embed_copies(message, part, copies)
    return rewrite(message, replacements)


def structure(message: ParsedMessage) -> object:
    if message.is_multipart():
        return [message.get_content_type(), *map(structure, message.get_payload())]  # type: ignore[arg-type]
    return message.get_content_type()


def content(part: ParsedMessage) -> bytes:
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


def by_type(raw: bytes, media_type: str) -> ParsedMessage:
    return next(
        part for part in email.message_from_bytes(raw).walk() if part.get_content_type() == media_type
    )


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_message_of_one_part_becomes_related(newline: bytes) -> None:
    head = (
        b"From: a@b.example\nContent-Type: text/html;\n charset=utf-8\nSubject: x\n"
        b"Content-Transfer-Encoding: 8bit\nMIME-Version: 1.0\nTo: c@d.example\n\n"
    )
    raw = (head + PAGE).replace(b"\n", newline)
    after = embedded(raw, ONE, TWO)
    parsed = email.message_from_bytes(after)
    assert structure(parsed) == ["multipart/related", "text/html", "image/gif", "image/png"]
    assert parsed.keys() == ["From", "Content-Type", "Subject", "MIME-Version", "To"]
    page = by_type(after, "text/html")
    assert page.items() == [
        ("Content-Type", "text/html;" + newline.decode() + " charset=utf-8"),
        ("Content-Transfer-Encoding", "8bit"),
    ]
    assert content(page) == PAGE.replace(SPY, b"cid:one@copies.invalid").replace(b"\n", newline)
    picture = by_type(after, "image/gif")
    assert (picture["Content-ID"], picture.get_content_disposition()) == ("<one@copies.invalid>", "inline")
    assert content(picture) == ONE.data
    assert content(by_type(after, "image/png")) == TWO.data
    assert all(line.endswith(newline.removesuffix(b"\n")) for line in after.split(b"\n")[:-1])
    assert max(map(len, after.split(b"\n"))) < 80
    assert embedded(raw, ONE, TWO) == after


def test_what_changes_in_a_moved_field_moves_along() -> None:
    raw = (
        b"Content-Type: text/html\nContent-Location: http://spy.example/\nSubject: x\n\n"
        + b"x" * 970
        + b"<img src='"
        + SPY
        + b"'> longer than it was\n"
    )
    message = parse_message(raw)
    (part,) = html_leaves(message)
    (source,), _ = decode_body(part, Limits())
    at = raw.index(b"http://spy.example/\n")
    body = source.data.index(SPY)
    after = rewrite(
        message,
        [
            Replacement(message.source, at, at + 19, b"about:blank"),
            Replacement(source, body, body + len(SPY), b"cid:one@copies.invalid" + b"x" * 40),
            *embed_copies(message, part, [ONE]),
        ],
    )
    page = by_type(after, "text/html")
    assert page.items() == [
        ("Content-Type", "text/html"),
        ("Content-Transfer-Encoding", "quoted-printable"),
        ("Content-Location", "about:blank"),
    ]
    assert email.message_from_bytes(after).keys() == ["MIME-Version", "Content-Type", "Subject"]
    assert content(page) == source.data.replace(SPY, b"cid:one@copies.invalid" + b"x" * 40)


def test_a_leaf_of_a_multipart_is_wrapped() -> None:
    raw = (
        b"Content-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\nContent-Type: text/html\n\n"
        + PAGE
        + b"\n--b--\ntail\n"
    )
    after = embedded(raw, ONE)
    assert structure(email.message_from_bytes(after)) == [
        "multipart/alternative",
        "text/plain",
        ["multipart/related", "text/html", "image/gif"],
    ]
    assert content(by_type(after, "text/html")) == PAGE.replace(SPY, b"cid:one@copies.invalid")
    assert after.endswith(b"\n--b--\ntail\n")
    assert after.startswith(raw[: raw.index(b"Content-Type: text/html")])


@pytest.mark.parametrize("ending", [b"\n--r--\n", b"\n", b""])
def test_an_existing_related_takes_the_copies(ending: bytes) -> None:
    raw = (
        b"Content-Type: multipart/related; boundary=r\n\n"
        b"--r\nContent-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/html\n\n"
        + PAGE
        + b"\n--a--\n--r\nContent-Type: image/gif\nContent-ID: <own@b>\n\nGIF"
        + ending
    )
    after = embedded(raw, ONE)
    assert structure(email.message_from_bytes(after)) == [
        "multipart/related",
        ["multipart/alternative", "text/html"],
        "image/gif",
        "image/gif",
    ]
    again = parse_message(after)
    assert {part.content_id for part in again.walk()} == {"", "own@b", ONE.content_id}
    # The copies are there now: nothing is added a second time.
    assert embed_copies(again, html_leaves(again)[0], [ONE]) == []


def test_an_enclosed_message_is_handled_as_a_message() -> None:
    inner = b"Subject: in\nContent-Type: text/html\n\n" + PAGE
    raw = (
        b"Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n"
        + PAGE
        + b"\n--b\nContent-Type: message/rfc822\n\n"
        + inner
        + b"\n--b--\n"
    )
    after = embedded(raw, ONE)
    assert structure(email.message_from_bytes(after)) == [
        "multipart/related",
        "text/html",
        ["message/rfc822", ["multipart/related", "text/html", "image/gif"]],
        "image/gif",
    ]


def test_a_taken_boundary_is_not_used() -> None:
    raw = b"Content-Type: text/html\n\n" + PAGE
    boundary = email.message_from_bytes(embedded(raw, ONE)).get_boundary()
    assert boundary is not None
    clash = raw + boundary.encode()
    assert email.message_from_bytes(embedded(clash, ONE)).get_boundary() != boundary


def test_nothing_to_embed_changes_nothing() -> None:
    raw = b"Content-Type: text/html\n\n<p>"
    message = parse_message(raw)
    assert embed_copies(message, message.root, []) == []
    assert embed_copies(message, parse_message(raw).root, [ONE]) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a>\r\nX: y@b", "image/gif"), ("a", "image/gif"), ("a@b", "image"), ("a@b", "a/b\r\nX: y")],
)
def test_copies_cannot_smuggle_header_fields(name: str, kind: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        EmbeddedCopy(name, kind, b"")
