"""A message that is tried again is known again, and no other is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.sameness import DIGEST_BYTES, digest_message

KEY = b"k" * 32
FIELDS = b"From: a@example.com\r\nTo: b@example.org\r\nSubject: x\r\n y\r\nDate: d\r\nMessage-ID: <1@x>\r\n"
BODY = b"\r\nthe body\r\n"


def digest(raw: bytes) -> bytes:
    return digest_message(raw, KEY)


@pytest.mark.parametrize(
    "trace",
    [
        b"Received: from x by y; 1\r\n",
        b"Received: from x\r\n\tby y;\r\n 2\r\nReturn-Path: <a@example.com>\r\n",
        b"X-Queue-Id: 17\r\n",
        b"Delivered-To: b@example.org\r\nAuthentication-Results: y; spf=pass\r\n",
    ],
)
def test_what_is_new_with_every_try_does_not_count(trace: bytes) -> None:
    assert digest(trace + FIELDS + BODY) == digest(FIELDS + BODY)
    lf = (trace + FIELDS + BODY).replace(b"\r\n", b"\n")
    assert digest(lf) == digest((FIELDS + BODY).replace(b"\r\n", b"\n"))


@pytest.mark.parametrize("part", [b"a@", b"b@", b"x\r\n y", b" y", b"Date: d", b"1@x", b"the body"])
def test_what_a_sender_gives_it_once_counts(part: bytes) -> None:
    raw = FIELDS + BODY
    assert part in raw
    assert digest(raw.replace(part, part + b"!", 1)) != digest(raw)


def test_without_an_empty_line_all_but_the_trace_counts() -> None:
    assert digest(b"Received: 1\n by x\nabc") == digest(b"Received: 2\nabc")
    assert digest(b"abc\ndef") != digest(b"abc\ndeg")
    assert digest(b"\nabc") != digest(b"abc")


def test_the_key_counts() -> None:
    assert digest_message(BODY, b"a") != digest_message(BODY, b"b")


@given(st.binary(max_size=400))
def test_any_bytes_have_one(raw: bytes) -> None:
    assert len(digest(raw)) == DIGEST_BYTES
    assert digest(raw) == digest(bytes(raw))


@pytest.mark.parametrize("piece", [b"\n", b"\r", b"\0", b" ", b"a:\n", b"Received:\n ", b"From: x\n "])
def test_large_ones_are_no_matter(piece: bytes) -> None:
    assert len(digest(piece * (8_000_000 // len(piece)))) == DIGEST_BYTES
