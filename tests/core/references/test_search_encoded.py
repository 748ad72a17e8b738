"""Multiparts and messages that are encoded against the rules: some clients decode them, so they are searched."""

from __future__ import annotations

import base64

import pytest

from mailveil.core.message.types import Limits
from mailveil.core.protection import EngineSettings, inspect, protect

IMAGE = b'<img src="http://t.example/x.gif">'
PART = b"--b\r\nContent-Type: text/html\r\n\r\n" + IMAGE + b"\r\n--b--\r\n"
NESTED = (
    b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(IMAGE).replace(b"\n", b"\r\n")
    + b"\r\n--b--\r\n"
)
INNER = b"From: a@b.example\r\nContent-Type: text/html\r\n\r\n" + IMAGE + b"\r\n"


def _encoded(body: bytes) -> bytes:
    return base64.encodebytes(body).replace(b"\n", b"\r\n")


@pytest.mark.parametrize("body", [PART, NESTED], ids=["plain inside", "base64 inside"])
def test_a_base64_multipart_is_searched(body: bytes) -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + _encoded(body)
    )
    outcome = protect(raw, EngineSettings())
    assert [decision.reference.url for decision in outcome.plan.decisions] == ["http://t.example/x.gif"]
    assert not inspect(outcome.raw, EngineSettings()).decisions
    assert outcome.changed


@pytest.mark.parametrize("first", [b"7bit", b"base64"])
def test_a_message_with_two_encodings_is_searched_in_both(first: bytes) -> None:
    second = b"base64" if first == b"7bit" else b"7bit"
    raw = (
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: " + first
        + b"\r\nContent-Transfer-Encoding: " + second + b"\r\n\r\n" + _encoded(INNER)
    )  # fmt: skip
    outcome = protect(raw, EngineSettings())
    assert [decision.reference.url for decision in outcome.plan.decisions] == ["http://t.example/x.gif"]
    assert not inspect(outcome.raw, EngineSettings()).decisions


def test_a_multipart_that_is_only_labelled_quoted_printable_is_found_once() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + PART
    )
    outcome = protect(raw, EngineSettings())
    assert {decision.reference.url for decision in outcome.plan.decisions} == {"http://t.example/x.gif"}
    assert not inspect(outcome.raw, EngineSettings()).decisions
    assert outcome.raw.count(b"data:image/gif") == 1


def test_plain_text_beyond_the_limit_passes_and_markup_does_not() -> None:
    settings = EngineSettings(limits=Limits(max_part_bytes=4096))
    plain = b"Content-Type: text/plain\r\n\r\n" + b"Nothing to see in this line.\r\n" * 1000
    assert protect(plain, settings).raw is plain
    markup = b"Content-Type: text/plain\r\n\r\n<html>" + IMAGE + b"Nothing to see in this line.\r\n" * 1000
    outcome = protect(markup, settings)
    assert outcome.inert_parts == ("1",)
    assert not inspect(outcome.raw, settings).unexamined
