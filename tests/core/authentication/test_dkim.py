"""DKIM: what another implementation signs holds, and whatever is done to it afterwards shows.

Setup: messages signed by dkimpy with RSA and Ed25519 in every canonicalisation, then altered; key records
that are revoked, of another kind, garbage or missing.
Test: results, reasons and what a signature is worth (From, l=, alignment) come out as RFC 6376 has them.
"""

from __future__ import annotations

import re

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dkim.canonicalization import CanonicalizationPolicy
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.authentication import DkimResult, Result, TrustedServers, open_message
from mailveil.core.authentication.canonical import (
    BodyForm,
    BodyHash,
    HeaderField,
    relaxed_field,
)
from mailveil.core.authentication.dkim import MAX_SIGNATURES
from signing_room import MESSAGE, NOW, authenticated, pem, record, rsa_key, signed

ED25519 = Ed25519PrivateKey.generate()


def only(raw: bytes, *records: bytes, now: float | None = None) -> DkimResult:
    found = authenticated(raw, records or (record(rsa_key()),), now=now).dkim
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("header", [b"simple", b"relaxed"])
@pytest.mark.parametrize("body", [b"simple", b"relaxed"])
@pytest.mark.parametrize("key", ["rsa", "ed25519"])
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_what_others_sign_holds(header: bytes, body: bytes, key: str, newline: bytes) -> None:
    chosen = rsa_key() if key == "rsa" else ED25519
    raw = signed(key=chosen, canonicalize=(header, body)).replace(b"\r\n", newline)
    result = only(raw, record(chosen))
    assert (result.result, result.reason) == (Result.PASS, "")
    assert (result.domain, result.selector) == ("example.org", "s1")
    assert result.algorithm == f"{key}-sha256"
    assert result.signs_from
    assert result.aligned
    assert not result.limited
    assert authenticated(raw, (record(chosen),)).author_domain == "mail.example.org"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Hello", b"Hallo", "body changed"),
        (b"Subject:  a", b"Subject:  b", "header changed or forged"),
        (b"News <news", b"Eve <news", "header changed or forged"),
        (b"</p>", b"</p>!", "body changed"),
    ],
)
def test_every_change_shows(old: bytes, new: bytes, reason: str) -> None:
    raw = signed()
    assert raw.count(old) == 1
    result = only(raw.replace(old, new))
    assert (result.result, result.reason) == (Result.FAIL, reason)


def test_what_relays_may_do_does_not_matter() -> None:
    raw = b"Received: by relay.example\r\n" + signed().replace(b"Subject:  a  subject", b"Subject: a subject")
    assert only(raw + b"\r\n\r\n").result is Result.PASS


def test_a_second_author_can_be_added_below_but_counts_for_nothing() -> None:
    raw = signed(include_headers=[b"from", b"to"])
    two = raw.replace(b"To: reader", b"From: ceo@bank.example\r\nTo: reader")
    found = authenticated(b"From: ceo@bank.example\r\n" + raw, (record(rsa_key()),))
    assert found.dkim[0].result is Result.PASS  # the signature covers the lower field: it did not change
    assert not found.dkim[0].signs_from
    assert found.from_fields == 2
    assert found.author_domain == ""
    assert only(two).result is Result.FAIL


@pytest.mark.parametrize(
    "author",
    [
        b"From: a@example.org, b@bank.example",
        b'From: "a@bank.example <x>" <a@example.org>, <c@bank.example>',
        b"From: ceo@bank.example <a@example.org>",
        b"From: undisclosed:;",
        b"From:",
        b"From: (a@example.org)",
    ],
)
def test_an_author_who_could_be_another_is_nobody(author: bytes) -> None:
    raw = signed(re.sub(rb"From: [^\r]+", author, MESSAGE))
    found = authenticated(raw, (record(rsa_key()),))
    assert found.dkim[0].result is Result.PASS
    assert found.author_domain == ""


@pytest.mark.parametrize(
    ("author", "domain"),
    [
        (b'From: "ceo@bank.example" <a@Example.ORG>', "example.org"),
        (b"From: a@example.org (ceo@bank.example)", "example.org"),
        (b'From: "a\\"b@x"@example.org', "example.org"),
        (b"From: =?utf-8?q?ceo=40bank=2Eexample?= <a@mail.example.org>", "mail.example.org"),
    ],
)
def test_display_names_and_comments_are_no_authors(author: bytes, domain: str) -> None:
    raw = signed(re.sub(rb"From: [^\r]+", author, MESSAGE))
    assert authenticated(raw, (record(rsa_key()),)).author_domain == domain


def test_a_signature_of_another_organisation_is_not_the_authors() -> None:
    found = authenticated(signed(domain=b"esp.example"), (record(rsa_key()),))
    assert found.dkim[0].result is Result.PASS
    assert not found.dkim[0].aligned
    assert found.author_domain == ""


def test_a_public_suffix_aligns_with_nobody_below_it() -> None:
    raw = signed(MESSAGE.replace(b"mail.example.org", b"shop.co.uk"), domain=b"co.uk")
    found = authenticated(raw, (record(rsa_key()),))
    assert found.dkim[0].result is Result.PASS
    assert found.author_domain == ""


def test_a_signature_of_part_of_the_body_proves_no_author() -> None:
    raw = signed(length=True)
    found = authenticated(raw + b"<img src=https://evil.example/>\r\n", (record(rsa_key()),))
    assert found.dkim[0].result is Result.PASS
    assert found.dkim[0].limited
    assert found.author_domain == ""


def test_a_body_shorter_than_signed() -> None:
    raw = signed(length=True)
    result = only(raw[: -len("<img …") - 40])
    assert (result.result, result.reason) == (Result.PERMERROR, "body shorter than signed")


def altered(**tags: bytes) -> bytes:
    """Return a signed message whose signature has other tags; an empty one goes."""
    raw = signed()
    for name, value in tags.items():
        tag = name.encode()
        raw, count = re.subn(
            rb"(?<=[;\s])" + tag + rb"=[^;]*;", tag + b"=" + value + b";" if value else b"", raw, count=1
        )
        if not count:
            raw = raw.replace(b"DKIM-Signature: ", b"DKIM-Signature: " + tag + b"=" + value + b"; ", 1)
    return raw


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"h": b"to:subject"}, "does not sign From"),
        ({"v": b"2"}, "signature of another version"),
        ({"a": b"rsa-sha1"}, "algorithm not accepted"),
        ({"a": b"none"}, "algorithm not accepted"),
        ({"d": b""}, "no valid domain and selector"),
        ({"d": b"."}, "no valid domain and selector"),
        ({"d": b"ex ample.org"}, "no valid domain and selector"),
        ({"s": b"\0"}, "no valid domain and selector"),
        ({"s": b"a." * 200 + b"b"}, "no valid domain and selector"),
        ({"i": b"@evil.example"}, "identity of another domain"),
        ({"i": b"@notexample.org"}, "identity of another domain"),
        ({"c": b"odd/odd"}, "canonicalisation unknown"),
        ({"l": b"-1"}, "body length malformed"),
        ({"l": b"9" * 77}, "body length malformed"),
        ({"bh": b"***"}, "signature malformed"),
        ({"q": b"https"}, "key not in the DNS"),
        ({"x": b"soon"}, "time malformed"),
        ({"t": b"100", "x": b"99"}, "expires before it was made"),
    ],
)
def test_a_signature_that_cannot_hold_is_said_to(tags: dict[str, bytes], reason: str) -> None:
    raw = altered(**tags)
    result = only(raw)
    assert (result.result, result.reason) == (Result.PERMERROR, reason)
    assert open_message(raw, TrustedServers()).key_names == ()  # and nobody is asked about it


def test_tags_that_stand_twice_are_refused() -> None:
    raw = signed().replace(b"DKIM-Signature: ", b"DKIM-Signature: d=evil.example; ", 1)
    assert only(raw).reason == "signature malformed"


def test_an_expired_signature() -> None:
    raw = altered(t=b"%d" % (NOW - 1000), x=b"%d" % NOW)
    assert only(raw, now=NOW + 1_000_000).reason == "expired"
    assert only(raw, now=NOW).reason == "header changed or forged"  # x= is signed, and we wrote it


@pytest.mark.parametrize(
    ("records", "result", "reason"),
    [
        ((), Result.PERMERROR, "no key record"),
        ((b"",), Result.PERMERROR, "key record malformed"),
        ((b"v=spf1 -all",), Result.PERMERROR, "key record malformed"),
        ((b"v=DKIM1; p=",), Result.PERMERROR, "key revoked"),
        ((b"v=DKIM1; p=AAAA",), Result.PERMERROR, "key malformed"),
        ((b"v=DKIM1; p=\xff\xfe",), Result.PERMERROR, "key malformed"),
        ((b"v=DKIM2; p=AAAA",), Result.PERMERROR, "key record of another version"),
        ((b"p=AAAA; v=DKIM1",), Result.PERMERROR, "key record of another version"),
        ((b"v=DKIM1; k=ed25519; p=AAAA",), Result.PERMERROR, "key of another algorithm"),
        ((b"p=" + b"A" * 100_000,), Result.PERMERROR, "key record too large"),
        (None, Result.TEMPERROR, "key not available now"),
    ],
)
def test_keys_that_are_of_no_use(records: tuple[bytes, ...] | None, result: Result, reason: str) -> None:
    found = authenticated(signed(), records).dkim[0]
    assert (found.result, found.reason) == (result, reason)


def test_what_a_key_record_may_limit() -> None:
    raw, key = signed(), rsa_key()
    assert only(raw, record(key, b"h=sha1; ")).reason == "key not for SHA-256"
    assert only(raw, record(key, b"h=sha1:sha256; ")).result is Result.PASS
    assert only(raw, record(key, b"s=tlsrpt; ")).reason == "key not for mail"
    assert only(raw, record(key, b"s=*; ")).result is Result.PASS
    assert only(raw, record(key, b"t=y; ")).testing
    assert only(raw, b"garbage", record(key)).result is Result.PASS
    assert only(raw, record(rsa_key(number=1))).reason == "header changed or forged"


def test_a_strict_key_refuses_identities_below_it() -> None:
    field = dkim.sign(MESSAGE, b"s1", b"example.org", pem(rsa_key()), identity=b"@mail.example.org")
    raw = field + MESSAGE
    assert only(raw).result is Result.PASS
    assert only(raw, record(rsa_key(), b"t=s; ")).reason == "identity of a subdomain"


def test_a_short_key_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL makes no keys shorter than 1024 bits any more, so the bound is raised instead."""
    key = rsa_key(1024)
    assert only(signed(key=key), record(key)).result is Result.PASS
    monkeypatch.setattr("mailveil.core.authentication.keys.MIN_RSA_BITS", 1025)
    assert only(signed(key=key), record(key)).result is Result.POLICY


def test_a_huge_key_is_not_even_tried() -> None:
    key = rsa_key(4104)
    assert only(signed(key=rsa_key()), record(key)).reason == "key too large"


def test_a_hundred_signatures_cost_five() -> None:
    raw = MESSAGE
    for number in range(100):
        raw = (
            b"DKIM-Signature: v=1; a=rsa-sha256; d=d%d.example; s=s; h=from; bh=AAAA; b=AAAA\r\n" % number
            + raw
        )
    found = authenticated(raw, ())
    assert len(found.dkim) == MAX_SIGNATURES
    assert found.unverified == 95
    assert len(open_message(raw, TrustedServers()).key_names) == MAX_SIGNATURES


def test_without_signature_nobody_is_asked() -> None:
    opened = open_message(MESSAGE, TrustedServers())
    assert opened.key_names == ()
    assert opened.body_forms == frozenset()


@pytest.mark.parametrize(
    "fields",
    [
        b"DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h="
        + b":".join(b"x%d" % n for n in range(50_000))
        + b":from; bh=AAAA; b=AAAA\r\n",
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed; d=a.example; s=s; h=from:subject; bh=AAAA; b=AAAA\r\nSubject:"
        + b" \t" * 250_000
        + b"x\r\n",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; bh=AAAA; b="
        + b"A \r\n " * 150_000
        + b"\r\n",
        b"DKIM-Signature: " + b"a" * 900_000 + b"\r\n",
        b"DKIM-Signature: " + b"=;" * 400_000 + b"\r\n",
        b"X:" + b"\r\n y" * 200_000 + b"\r\n",
        b"".join(b"X%d: y\r\n" % n for n in range(60_000)),
    ],
    ids=["names", "white-space", "folds", "no-tags", "empty-tags", "folded", "fields"],
)
def test_hostile_headers_are_read_in_linear_time(fields: bytes) -> None:
    """A quadratic reading of these would take minutes: dkimpy's does of some."""
    found = authenticated(fields + MESSAGE, (record(rsa_key()),))
    assert found.from_fields == 1
    assert all(each.result is not Result.PASS for each in found.dkim)


@given(st.binary(max_size=300) | st.lists(st.sampled_from(
    [b"DKIM-Signature:", b"From:", b" v=1;", b" b=", b"bh=AA==;", b"a=rsa-sha256;", b"h=from;", b"d=a.b;", b"s=c;",
     b"\r\n", b"\n", b"\r", b" ", b";", b"\0", b"\xff", b"l=3;", b"c=relaxed;", b"ARC-Seal: i=1; cv=none;"]
), max_size=40).map(b"".join))  # fmt: skip
def test_nothing_makes_it_fail(raw: bytes) -> None:
    found = authenticated(raw, (record(rsa_key()),))
    assert all(each.result is not Result.PASS for each in found.dkim)
    assert found.author_domain == ""
    assert found.summary() is not None


BODIES = st.lists(
    st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"  ", b"\r\n\r\n", b"word", b"."]), max_size=30
).map(b"".join)


@given(BODIES, st.integers(1, 9), st.booleans())
def test_bodies_are_hashed_as_another_implementation_does_in_whatever_pieces(
    body: bytes, size: int, relaxed: bool
) -> None:
    import hashlib

    policy = CanonicalizationPolicy.from_c_value(b"relaxed/relaxed" if relaxed else b"simple/simple")
    ended = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    expected = hashlib.sha256(policy.canonicalize_body(ended)).digest()
    hashed = BodyHash(BodyForm(relaxed))
    for at in range(0, len(body), size):
        hashed.feed(body[at : at + size])
    assert hashed.finish() == (expected, True)


@given(
    st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n ", b"\r\n\t", b":", b";"]), max_size=20).map(b"".join)
)
def test_fields_are_relaxed_as_another_implementation_does(value: bytes) -> None:
    policy = CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")
    [(name, expected)] = policy.canonicalize_headers([(b"SubJect", value + b"\r\n")])
    assert relaxed_field(HeaderField(b"subject", b"SubJect:" + value)) == name + b":" + expected.rstrip(
        b"\r\n"
    )
