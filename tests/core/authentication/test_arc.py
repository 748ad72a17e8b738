"""ARC: chains by others are judged as RFC 8617 has it, and what we seal holds for another implementation.

Setup: messages sealed by dkimpy, by us, and by both in turn; chains with missing, doubled and broken sets.
Test: the state of a chain, our seals under dkimpy's eyes, and what ends a chain.
"""

from __future__ import annotations

import re
import time

import pytest

from mailveil.core.authentication import (
    ArcState,
    Authentication,
    Result,
    SealingKey,
    SealRefusedError,
    VouchedResult,
    seal_fields,
)
from mailveil.core.authentication.arc import MAX_KEYS, SEALED_BODY, results_value
from mailveil.core.authentication.canonical import hash_bodies, read_signed_header
from mailveil.core.authentication.keys import load_sealing_key
from signing_room import MESSAGE, arc_signed, authenticated, dkimpy_arc, pem, record, rsa_key, signed

OURS = SealingKey("gate.example", "arc", rsa_key(), "mx.gate.example")
KEY = record(rsa_key())
LISTED = b"Authentication-Results: list.example; spf=pass smtp.mailfrom=example.org\r\n" + MESSAGE


def seal(raw: bytes, found: Authentication | None = None) -> bytes:
    """Return a message sealed by us as it stands, or with what was ``found`` of it before."""
    header = read_signed_header(raw, 1 << 20)
    assert header is not None
    digest, _ = hash_bodies(raw, header.body_start, (SEALED_BODY,), lambda: True)[SEALED_BODY]
    found = found or authenticated(raw, (KEY,))
    return seal_fields(header, digest, OURS, found, time.time()) + raw


def state(raw: bytes, *records: bytes) -> ArcState:
    return authenticated(raw, records or (KEY,)).arc


def test_no_chain() -> None:
    assert state(MESSAGE) == ArcState()


def test_a_chain_by_others() -> None:
    raw = arc_signed(LISTED)
    assert state(raw) == ArcState(Result.PASS, 1, "list.example")
    assert state(b"Received: by x\r\n" + raw).result is Result.PASS
    assert state(raw.replace(b"Hello", b"Hallo")).reason == "body changed"
    assert (
        state(raw.replace(b"\n", b"\n\n", 0).replace(b"cv=none", b"cv=pass")).reason
        == "a seal of invalid status"
    )
    assert state(raw, record(rsa_key(number=1))).result is Result.FAIL
    assert authenticated(raw, None).arc.result is Result.TEMPERROR


def test_our_first_seal_holds() -> None:
    raw = seal(signed())
    assert dkimpy_arc(raw, KEY) == (b"pass", "success")
    assert state(raw) == ArcState(Result.PASS, 1, "gate.example")
    assert raw.startswith(b"ARC-Seal: i=1; cv=none; ")


def test_we_and_others_in_turn() -> None:
    raw = arc_signed(LISTED)
    for instance in range(2, 5):
        raw = seal(raw)
        assert dkimpy_arc(raw, KEY) == (b"pass", "success")
        assert state(raw) == ArcState(Result.PASS, instance, "gate.example")
    raw = arc_signed(b"Authentication-Results: list.example; arc=pass\r\n" + raw)
    assert dkimpy_arc(raw, KEY) == (b"pass", "success")
    assert state(raw) == ArcState(Result.PASS, 5, "list.example")
    assert state(seal(raw)).result is Result.PASS


def test_a_changed_message_is_vouched_for_as_it_was() -> None:
    before = arc_signed(b"Authentication-Results: list.example; dkim=pass\r\n" + signed())
    found = authenticated(before, (KEY,))
    after = before.replace(b"https://tracker.example.com/p.gif", b"https://copies.example/1")
    assert state(after).result is Result.FAIL
    raw = seal(after, found)
    assert dkimpy_arc(raw, KEY) == (b"pass", "success")
    assert state(raw) == ArcState(Result.PASS, 2, "gate.example")
    assert authenticated(raw, (KEY,)).dkim[0].result is Result.FAIL
    field = raw.partition(b"ARC-Authentication-Results: i=2; ")[2].partition(b"\r\nARC-")[0]
    assert b"arc=pass" in field
    assert re.search(rb"dkim=pass\s+header\.d=example\.org\s+header\.s=s1", field)


def test_a_broken_chain_is_sealed_once_as_broken_and_never_again() -> None:
    broken = arc_signed(LISTED).replace(b"Hello", b"Hallo")
    raw = seal(broken)
    assert raw.startswith(b"ARC-Seal: i=2; cv=fail; ")
    status, reason = dkimpy_arc(raw, KEY)
    assert status is None
    assert "chain is terminated" in reason
    found = authenticated(raw, (KEY,))
    assert found.arc.result is Result.FAIL
    assert found.arc.ended
    with pytest.raises(SealRefusedError, match="found broken before"):
        seal(raw, found)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (rb"\AARC-Seal: (?:.|\n)*?\n(?=\S)", b"", "an incomplete set"),
        (rb"ARC-Message-Signature: (?:.|\n)*?\n(?=\S)", b"", "an incomplete set"),
        (rb"ARC-Authentication-Results: i=1;", b"ARC-Authentication-Results: i=2;", "two fields of one set"),
        (rb"ARC-Authentication-Results: i=1;", b"ARC-Authentication-Results: i=3;", "an incomplete set"),
        (
            rb"ARC-Authentication-Results: i=1;",
            b"ARC-Authentication-Results: i=0;",
            "a set without valid number",
        ),
        (rb"ARC-Authentication-Results: i=1;", b"ARC-Authentication-Results:", "a set without valid number"),
        (rb"\AARC-Seal: i=2;", b"ARC-Seal: i=51;", "a set without valid number"),
        (rb"\AARC-Seal: i=2; cv=pass", b"ARC-Seal: i=2; cv=none", "a seal of invalid status"),
        (rb"\AARC-Seal: i=2; cv=pass", b"ARC-Seal: i=2; cv=odd", "a seal of invalid status"),
        (rb"\AARC-Seal: i=2;", b"ARC-Seal: i=2; h=from;", "a seal that lists fields"),
        (rb"spf=pass", b"spf=fail", "seal 2 does not hold"),
    ],
)
def test_every_fault_of_a_chain_shows(old: bytes, new: bytes, reason: str) -> None:
    whole = seal(arc_signed(LISTED))
    raw, count = re.subn(old, new, whole, count=1)
    assert count == 1
    found = authenticated(raw, (KEY,)).arc
    assert (found.result, found.reason) == (Result.FAIL, reason)
    resealed = seal(raw)
    assert f"ARC-Seal: i={found.instance + 1}; cv=fail".encode() in resealed[:40]


def test_a_chain_cannot_make_us_ask_for_ever() -> None:
    field = b"".join(
        b"ARC-Seal: i=%d; cv=%s; a=rsa-sha256; d=d%d.example; s=s; b=AAAA\r\n"
        b"ARC-Message-Signature: i=%d; a=rsa-sha256; d=a.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
        b"ARC-Authentication-Results: i=%d; x; none\r\n" % (n, b"none" if n == 1 else b"pass", n, n, n)
        for n in range(1, MAX_KEYS + 5)
    )
    assert state(field + MESSAGE).reason == "keys of too many names"


def test_a_chain_with_no_number_left_is_left_alone() -> None:
    with pytest.raises(SealRefusedError, match="no number left"):
        seal(MESSAGE, Authentication(arc=ArcState(Result.PASS, 50)))


def test_a_chain_that_could_not_be_verified_now_is_left_alone() -> None:
    raw = arc_signed(LISTED)
    with pytest.raises(SealRefusedError, match="could not be verified now"):
        seal(raw, authenticated(raw, None))


def test_an_author_cannot_be_added_to_a_sealed_message() -> None:
    raw = seal(signed())
    assert dkimpy_arc(b"From: ceo@bank.example\r\n" + raw, KEY)[0] == b"fail"
    assert dkimpy_arc(b"Received: x\r\nX-Spam: no\r\nReturn-Path: <>\r\n" + raw, KEY)[0] == b"pass"


@pytest.mark.parametrize("drop", [rb"From: [^\n]+\n", rb"\A(?:.|\n)*?(?=Subject)"])
def test_messages_with_few_fields_can_be_sealed(drop: bytes) -> None:
    raw = re.sub(drop, b"", MESSAGE)
    assert state(seal(raw)).result is Result.PASS


def test_what_others_wrote_cannot_break_our_results() -> None:
    found = Authentication(
        dmarc=VouchedResult(
            Result.PASS, "mx", (("header.from", 'x"\r\nFrom: y;\x00é'), ("ev il", "1"), ("action", "none"))
        ),
        spf=VouchedResult(Result.SOFTFAIL, "mx", (("smtp.mailfrom", "a@b.example"),)),
    )
    value = results_value(1, "mx.gate.example", found)
    assert value == (
        "i=1; mx.gate.example;\r\n\tarc=none;\r\n\tdkim=none;\r\n\tspf=softfail\r\n\t smtp.mailfrom=a@b.example;"
        '\r\n\tdmarc=pass\r\n\t header.from="x???From: y;??"'
    )


def test_lines_stay_short() -> None:
    raw = seal(signed(MESSAGE.replace(b"To:", b"List-Id: x\r\nList-Post: y\r\nCc: z\r\n" * 30 + b"To:")))
    assert max(map(len, raw.partition(b"DKIM-Signature")[0].split(b"\r\n"))) < 200
    assert dkimpy_arc(raw, KEY)[0] == b"pass"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key"),
        (pem(rsa_key(1024)), "2048 to 4096 bits"),
    ],
)
def test_keys_that_cannot_seal(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load_sealing_key(data)
