"""The laws hold with banners on: silence, idempotence, locality and totality, for the corpus and what becomes of it."""

from __future__ import annotations

import random
import re
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banner_letters import told
from corpus_cases import Case, cases, variant
from mailveil.core.banner import Notice
from mailveil.core.banner.marks import CLOSING, OPENING, RULE
from mailveil.core.message.parse import parse_message
from mailveil.core.message.transfer import decode_body
from mailveil.core.message.types import Limits
from mailveil.core.protection import CopyMode, EngineSettings, finishing, inspect, protect
from mailveil.core.references.search import SearchSettings, find_references
from mailveil.core.verdicts.types import Kind, Risk

CASES = list(cases())
POLICY = told("ja")
HTML_BANNER = re.compile(
    re.escape(OPENING.encode()) + rb".*?" + re.escape(CLOSING.encode()) + rb"\r?\n", re.DOTALL
)
PLAIN_BANNER = re.compile(
    RULE.encode() + rb"\r?\n.*?" + RULE.encode() + rb" [0-9a-f]{16}\r?\n\r?\n", re.DOTALL
)


def _settings(case: Case, mode: CopyMode) -> EngineSettings:
    return replace(case.settings(mode), banner_key=b"a key that only these tests know")


@pytest.mark.parametrize("mode", [CopyMode.NONE, CopyMode.HOSTED, CopyMode.EMBEDDED], ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws_with_banners(case: Case, mode: CopyMode) -> None:
    for name in case.variants:
        raw = variant(case.raw, name)
        settings = _settings(case, mode)
        outcome = protect(raw, settings, case.envelope, POLICY)
        without = protect(raw, settings, case.envelope)
        # Identity: a banner is never the only thing that changes.
        if without.raw is raw:
            assert outcome.raw is raw
        assert outcome.banner == _shows_one(outcome.raw)
        # Silence: nothing more would be fetched than without it.
        assert _leftovers(outcome.raw, case) == _leftovers(without.raw, case)
        # Idempotence: behind another gateway of ours nothing changes any more.
        again = protect(outcome.raw, settings, case.envelope, POLICY)
        assert again.raw == outcome.raw
        # Locality: without the banner, every body reads as if there were none.
        if outcome.banner and not outcome.plan.ambiguous:
            assert _bodies(outcome.raw, bare=True) == _bodies(without.raw)
        longest = max((len(line) for line in raw.splitlines()), default=0)
        assert max((len(line) for line in outcome.raw.splitlines()), default=0) <= max(998, longest)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws_where_every_message_is_told_of(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, as if each message had been found to be a spy's: there are few of these in the corpus."""
    assert POLICY.banner is not None
    notice = Notice(Risk.HIGH, 3, tuple(Kind), ("Somebody",), POLICY.banner)
    monkeypatch.setattr(finishing, "_notice", lambda _plan, _settings: notice)
    for name in case.variants:
        raw = variant(case.raw, name)
        settings = _settings(case, CopyMode.NONE)
        outcome = protect(raw, settings, case.envelope, POLICY)
        without = protect(raw, settings, case.envelope)
        assert outcome.banner == _shows_one(outcome.raw)
        assert _leftovers(outcome.raw, case) == _leftovers(without.raw, case)
        same_type = parse_message(outcome.raw).root.media_type == outcome.plan.message.root.media_type
        if not outcome.unsigned and same_type:  # else a second gateway cannot tell what it was
            again = protect(outcome.raw, settings, case.envelope, POLICY)
            assert again.raw == outcome.raw
            assert again.banner == outcome.banner
        if outcome.banner and not outcome.plan.ambiguous:
            assert _bodies(outcome.raw, bare=True) == _bodies(without.raw)


def test_enough_of_them_have_a_banner() -> None:
    shown = [
        case
        for case in CASES
        if protect(case.raw, _settings(case, CopyMode.NONE), case.envelope, POLICY).banner
    ]
    assert len(shown) > 30


def _shows_one(raw: bytes) -> bool:
    shown = _bodies(raw).replace(b"\0", b"")
    return OPENING.encode() in shown or RULE.encode() in shown


def _leftovers(raw: bytes, case: Case) -> list[tuple[str, str]]:
    ours = case.settings().addresses
    assert ours is not None
    search = find_references(parse_message(raw), SearchSettings(ours=ours.is_ours))
    return [(found.vector, found.url) for found in search.findings.references]


def _bodies(raw: bytes, *, bare: bool = False) -> bytes:
    """Return the decoded bodies of all leaves, without banners if wanted."""
    found = []
    for part in parse_message(raw).walk():
        if not part.children:
            data = b"".join(source.data for source in decode_body(part, Limits())[0][:1])
            found.append(PLAIN_BANNER.sub(b"", HTML_BANNER.sub(b"", data)) if bare else data)
    return b"\0".join(found)


@given(st.integers(0, 2**32))
def test_mutated_messages_are_silent_with_banners_too(seed: int) -> None:
    chance = random.Random(seed)
    raw = bytearray(chance.choice(CASES).raw[:20_000])
    for _ in range(chance.choice((1, 2, 5))):
        at = chance.randrange(len(raw) + 1)
        piece = chance.choice(
            (b"<body>", b"<!--", b"-->", OPENING.encode(), CLOSING.encode(), RULE.encode(), b"\0", b"\xff\xfe",
             b"Content-Type: text/html; charset=utf-16\r\n", b"<style>", b"<svg>", b"\r\n\r\n",
             b"Content-Transfer-Encoding: base64\r\n")
        )  # fmt: skip
        raw[at : at + chance.choice((0, 0, 5))] = piece
    settings = EngineSettings(banner_key=b"key")
    began = time.process_time()
    outcome = protect(bytes(raw), settings, policy=POLICY)
    again = inspect(outcome.raw, settings, policy=POLICY)
    assert time.process_time() - began < 20
    left = [decision.reference.url for decision in again.decisions]
    plain = inspect(protect(bytes(raw), settings).raw, settings)
    assert left == [] or [decision.reference.url for decision in plain.decisions] == left
