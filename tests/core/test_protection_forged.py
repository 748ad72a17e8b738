"""Forged fields: what comes in as if we had written it goes, wherever and however it is written.

Setup: messages with X-Mailveil- fields and Authentication-Results in our name, in every position and spelling.
Test: they are gone, every other byte is there, doing it twice changes nothing, and messages without them are
the very same object.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.authentication import TrustedServers
from mailveil.core.policy import Envelope
from mailveil.core.protection import EngineSettings, protect

SETTINGS = EngineSettings(authserv_id="mailveil.gate.example")
QUIET = (
    b"Received: by mx.example; x\r\nFrom: a@example.org\r\nSubject: x\r\n"
    b"Authentication-Results: mx.example; dkim=pass\r\n\r\nAuthentication-Results: mailveil.gate.example; text\r\n"
)
OURS = b"Authentication-Results: mailveil.gate.example; dkim=pass\r\n"
FORGED = [
    OURS,
    b"aUTHENTICATION-results:MailVeil.Gate.EXAMPLE\r\n",
    b"Authentication-Results  :\r\n\t(hidden)\r\n  mailveil.gate.example\r\n 1; spf=pass\r\n",
    b'Authentication-Results: "mailveil.gate.example"; spf=pass\r\n',
    b"Authentication-Results: mailveil.gate.example spf=pass\r\n",
    b"Authentication-Results: =?utf-8?q?mailveil=2Egate=2Eexample=3B_spf=3Dpass?=\r\n",
    b"X-Mailveil-Verdict: clean\r\n",
    b"x-MAILVEIL-: \r\n",
    b"X-Mailveil-Anything \t:\r\n folded\r\n\tand folded\r\n",
]


@pytest.mark.parametrize("field", FORGED)
@pytest.mark.parametrize(
    "before",
    [b"Received:", b"From:", b"Subject:", b"Authentication-Results: mx", b"\r\nAuthentication-Results: mail"],
)
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_they_go_and_nothing_else_does(field: bytes, before: bytes, newline: bytes) -> None:
    raw = QUIET.replace(before, field + before, 1).replace(b"\r\n", newline)
    outcome = protect(raw, SETTINGS)
    assert outcome.raw == QUIET.replace(b"\r\n", newline)
    assert outcome.changed
    assert not outcome.keep_original
    assert protect(outcome.raw, SETTINGS).raw is outcome.raw


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"Authentication-Results: gate.example; dkim=pass\r\n",
        b"Authentication-Results: mailveil.gate.example.evil.example; dkim=pass\r\n",
        b"Authentication-Results: mx.example (mailveil.gate.example); dkim=pass\r\n",
        b"ARC-Authentication-Results: i=1; mailveil.gate.example; dkim=pass\r\n",
        b"X-Authentication-Results: mailveil.gate.example; dkim=pass\r\n",
        b"X-Mailveil: fan\r\n",
    ],
)
def test_other_fields_stay(field: bytes) -> None:
    raw = field + QUIET
    assert protect(raw, SETTINGS).raw is raw


def test_mail_of_ones_own_users_passes() -> None:
    raw = OURS + QUIET
    assert protect(raw, SETTINGS, Envelope(authenticated=True)).raw is raw


def test_a_trusted_server_of_the_same_name_keeps_its_own_and_only_those() -> None:
    trust = TrustedServers("mailveil.gate.example", hops=frozenset({"mx.example"}))
    settings = EngineSettings(authserv_id="mailveil.gate.example", trust=trust)
    raw = OURS + QUIET
    assert protect(raw, settings).raw is raw
    foreign = raw.replace(b"Received: by mx", b"Received: by evil", 1).replace(b"From:", OURS + b"From:", 1)
    assert protect(foreign, settings).raw == foreign.replace(OURS + b"From:", b"From:")


def test_without_a_name_of_our_own_only_the_prefix_counts() -> None:
    assert protect(OURS + b"X-Mailveil-A: b\r\n" + QUIET, EngineSettings()).raw == OURS + QUIET


@pytest.mark.parametrize("field", FORGED)
def test_a_header_that_ends_without_an_empty_line_keeps_its_end(field: bytes) -> None:
    raw = b"From: a@example.org\r\n" + field
    outcome = protect(raw, SETTINGS)
    assert b"mailveil" not in outcome.raw.lower()
    assert outcome.raw.startswith(b"From: a@example.org\r\n")
    assert protect(outcome.raw, SETTINGS).raw == outcome.raw


PIECES = [
    *FORGED,
    b"From: a@b.example\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b" \r\n",
    b"junk\r\n",
    b"X:\r\n y\r\n",
    b"\xef\xbb\xbf",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))
def test_the_laws_hold_for_every_mixture(raw: bytes) -> None:
    outcome = protect(raw, SETTINGS)
    again = protect(outcome.raw, SETTINGS)
    assert again.raw == outcome.raw
    assert not again.plan.forged


def test_our_name_behind_a_comment_of_any_length_goes() -> None:
    for length in (10, 60_000, 200_000):
        field = b"Authentication-Results: (%b) mailveil.gate.example; dkim=pass\r\n" % (b"x" * length)
        assert protect(field + QUIET, SETTINGS).raw == QUIET, length
