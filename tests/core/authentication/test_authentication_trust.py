"""Trust: which Authentication-Results count, and what a sender who forges them gains.

Setup: headers as border servers leave them, with fields that a sender wrote among them.
Test: id, place and order decide; a forged field never speaks against or instead of a genuine one above it.
"""

from __future__ import annotations

import pytest

from mailveil.core.authentication import (
    ArcState,
    Authentication,
    DkimResult,
    Result,
    TrustedServers,
    VouchedResult,
    authentication_of,
    open_message,
)
from mailveil.core.authentication.trust import ascii_domain, author_domains, receiver
from signing_room import MESSAGE, authenticated

TRUST = TrustedServers("mx.example", hops=frozenset({"gate.example", "inner.example"}))
OURS = b"Received: from x (y [192.0.2.1]) by mx.example (Postfix) with ESMTP id 1\r\n\tfor <a@b>; Mon, 2 Nov 2026\r\n"
FOREIGN = b"Received: from home by relay.evil.example with SMTP; Mon\r\n"
PASS = b"Authentication-Results: mx.example; spf=pass smtp.mailfrom=x; dmarc=pass header.from=mail.example.org\r\n"
FAIL = PASS.replace(b"=pass", b"=fail")


def dmarc(fields: bytes, trust: TrustedServers = TRUST) -> str:
    found = open_message(fields + MESSAGE, trust).known.dmarc
    return str(found.result) if found else ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (PASS, "pass"),
        (PASS + OURS, "pass"),
        (OURS + PASS + FOREIGN, "pass"),  # where OpenDMARC and rspamd put it behind Postfix
        (b"Return-Path: <>\r\nX-Spam: no\r\n" + OURS + PASS, "pass"),
        (OURS.replace(b"mx.", b"inner.") + OURS + PASS, "pass"),
        (FAIL + PASS, "fail"),  # the server wrote above what came in
        (OURS + FAIL + PASS + FOREIGN, "fail"),
        (FOREIGN + PASS, ""),  # below a foreign hop anybody may have written it
        (OURS + FOREIGN + PASS, ""),
        (OURS + FOREIGN + OURS + PASS, ""),
        (b"Received: garbage\r\n" + PASS, ""),
        (b"Received: from mx.example (by mx.example) by evil.example; by mx.example\r\n" + PASS, ""),
        (PASS.replace(b" mx.example;", b" evil.example;"), ""),
        (PASS.replace(b" mx.example;", b" mx.example.evil.example;"), ""),
        (PASS.replace(b" mx.example;", b" evil.example (; mx.example;);"), ""),
        (PASS.replace(b" mx.example;", b' "mx.example;";'), ""),
        (PASS.replace(b" mx.example;", b""), ""),  # a missing id counts only if that was set
        (b"ARC-" + PASS.replace(b": ", b": i=1; "), ""),
        (b"X-" + PASS, ""),
        (PASS.replace(b"header.from=mail.example.org", b"header.from=other.example"), ""),
        (PASS.replace(b" header.from=mail.example.org", b""), "pass"),
        (PASS.replace(b"dmarc=pass", b"dmarc=bestguesspass"), ""),
        (PASS.replace(b"dmarc=pass", b"dmarc = (really) PASS"), "pass"),
        (b"Authentication-Results: mx.example; dkim=pass\r\n" + PASS, "pass"),  # one field for each program
        (PASS.replace(b": ", b":\r\n "), "pass"),
        (PASS.replace(b" mx.example;", b" MX.example 1 ;"), "pass"),
        # The id is there, but not where the server looks for it when it removes such fields.
        (PASS.replace(b" mx.example", b" (so to say) mx.example"), ""),
        (PASS.replace(b" mx.example", b' "mx.example"'), ""),
        (PASS.replace(b" mx.example", b' mx.exam"ple"'), ""),
        (PASS.replace(b" mx.example", b" mx.example(c)"), ""),
        (PASS.replace(b" mx.example", b" ; mx.example"), ""),
        (PASS.replace(b" mx.example", b" i=1; mx.example"), ""),
        (PASS.replace(b" mx.example;", b" mx.example dkim=none;"), ""),
        (b"Authentication-Results: =?us-ascii?q?mx.example=3B_dmarc=3Dpass?=\r\n", ""),
        # Nor where it begins a field to one reader and stands inside of something else to another.
        (PASS.replace(b":", b" :", 1), ""),
        (b"X-A: b\n" + PASS, ""),
        (b"X-A: b\r" + PASS, ""),
        (b"\xef\xbb\xbf" + PASS, ""),
        (b"no field\r\n" + PASS, ""),
        (b"X-A: b\r\n \r\n" + PASS, ""),
        (b"".join([b"Authentication-Results: x; none\r\n"] * 100) + PASS, ""),
    ],
)
def test_who_is_believed(fields: bytes, expected: str) -> None:
    assert dmarc(fields) == expected


def test_nobody_is_believed_unless_named() -> None:
    assert dmarc(PASS, TrustedServers()) == ""
    assert dmarc(PASS.replace(b" mx.example;", b""), TrustedServers()) == ""


def test_a_missing_id_counts_where_that_was_set() -> None:
    trust = TrustedServers(missing_id=True)
    field = PASS.replace(b" mx.example;", b"")
    assert dmarc(field, trust) == "pass"
    assert dmarc(FOREIGN + field, trust) == ""
    assert dmarc(PASS, trust) == ""


def test_microsoft_writes_encoded_words_around_it_all() -> None:
    import base64

    text = b"spf=pass; dmarc=fail header.from=mail.example.org;"
    field = b"Authentication-Results: =?utf-8?B?" + base64.b64encode(text) + b"?=\r\n"
    assert dmarc(field, TrustedServers(missing_id=True)) == "fail"


def test_a_trusted_word_proves_the_author_of_one_address_only() -> None:
    assert authenticated(PASS + MESSAGE, trust=TRUST).author_domain == "mail.example.org"
    assert authenticated(PASS + b"From: ceo@bank.example\r\n" + MESSAGE, trust=TRUST).author_domain == ""
    assert authenticated(FAIL + MESSAGE, trust=TRUST).author_domain == ""


@pytest.mark.parametrize(
    "damage",
    [b"X: a\rFrom: ceo@bank.example\r\n", b"junk\r\nFrom : ceo@bank.example\r\n", b" \r\n"],
)
def test_a_header_that_clients_read_differently_proves_no_author(damage: bytes) -> None:
    assert authenticated(PASS + damage + MESSAGE, trust=TRUST).author_domain == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("from a by mx.Example. with x; by b", "mx.example"),
        ("by mx.example", "mx.example"),
        ("from a (by evil.example) by mx.example", "mx.example"),
        ("from by", ""),
        ("", ""),
    ],
)
def test_who_wrote_a_trace_field(value: str, expected: str) -> None:
    assert receiver(value) == expected


def test_internationalised_authors() -> None:
    assert author_domains("b\xc3\xbccher <a@b\xc3\xbccher.example>") == ("xn--bcher-kva.example",)
    assert author_domains("a@\xff\xff, b@[192.0.2.1]") == (*author_domains("a@\xff\xff"), "[192.0.2.1]")


def test_it_survives_the_way_to_a_worker() -> None:
    found = Authentication(
        from_fields=1,
        from_domains=("a.example",),
        dkim=(DkimResult("a.example", "s", Result.PASS, "rsa-sha256", signs_from=True, aligned=True),),
        unverified=3,
        spf=VouchedResult(Result.PASS, "mx", (("smtp.mailfrom", "a.example"),)),
        arc=ArcState(Result.FAIL, 2, "l.example", ended=True, reason="x"),
    )
    import json

    assert authentication_of(json.loads(json.dumps(found.record()))) == found
    assert authentication_of(json.loads(json.dumps(Authentication().record()))) == Authentication()


def test_the_summary_names_nobody() -> None:
    found = Authentication(
        1,
        ("a.example",),
        dkim=(
            DkimResult(
                "anna-7f3a.mail.a.example", "anna-7f3a", Result.FAIL, aligned=True, reason="body changed"
            ),
        ),
        spf=VouchedResult(Result.PASS, "mx", (("smtp.mailfrom", "anna@b.example"),)),
        arc=ArcState(Result.PASS, 1, "anna.l.example"),
    )
    assert found.summary() == (
        "DKIM fail by a.example, as the author (body changed)",
        "SPF pass says mx",
        "ARC pass by l.example",
    )


def test_a_name_that_is_far_too_long_is_not_worked_on():
    """What IDNA makes of a name takes time that grows with its square: a sender must not have us spend it."""
    long = "ä" * 30_000
    assert ascii_domain(f"{long}.example".encode().decode("latin-1")) == f"{long}.example"
    assert ascii_domain("Bücher.example".encode().decode("latin-1")) == "xn--bcher-kva.example"
    assert ascii_domain(f"{'ä' * 300}.example") == f"{'ä' * 300}.example"
