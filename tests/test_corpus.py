"""Every case of the corpus, in every variant, obeys the laws and gives what its folder expects.

A mismatch writes ``*.got`` beside the expected file; ``make bless`` accepts it, and review reads the difference.
"""

from __future__ import annotations

import json
import os

import pytest
from corpus_cases import Case, cases, to_json, variant

from mailveil.core.message.parse import parse_message
from mailveil.core.references.search import SearchSettings, find_references
from mailveil.gateway import CopyMode, Outcome, finish, inspect, protect

CASES = list(cases())
VARIANTS = [(case, name) for case in CASES for name in case.variants]
MODES = [CopyMode.NONE, CopyMode.HOSTED, CopyMode.EMBEDDED]
BLESS = os.environ.get("MAILVEIL_BLESS") == "1"


def _check(case: Case, name: str, got: bytes) -> None:
    expected = case.expected(name)
    beside = expected.with_suffix(expected.suffix + ".got")
    if expected.exists() and expected.read_bytes() == got:
        beside.unlink(missing_ok=True)
        return
    if BLESS:
        expected.parent.mkdir(exist_ok=True)
        expected.write_bytes(got)
        beside.unlink(missing_ok=True)
        return
    expected.parent.mkdir(exist_ok=True)
    beside.write_bytes(got)
    pytest.fail(f"{beside.relative_to(case.folder.parent.parent)} differs; read it, then `make bless`")


def _leftovers(outcome: Outcome, case: Case) -> list[tuple[str, str]]:
    search = find_references(
        parse_message(outcome.raw),
        SearchSettings(ours=case.settings().addresses.is_ours),  # type: ignore[union-attr]
    )
    kept = {decision.reference.url for decision in outcome.plan.decisions if decision.action == "keep"}
    return [(found.vector, found.url) for found in search.findings.references if found.url not in kept]


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 200
    assert len({case.name.partition("-")[0] for case in CASES}) == len(CASES), "two cases share a number"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_expected(case: Case) -> None:
    plan = inspect(case.raw, case.settings(), case.envelope)
    _check(case, "references.json", to_json(plan.record("message.eml")).encode())
    _check(case, "rewritten.eml", finish(plan).raw)
    assert (case.folder / "README.md").read_text().strip(), "a case explains itself"


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize(("case", "name"), VARIANTS, ids=lambda value: getattr(value, "name", value))
def test_laws(case: Case, name: str, mode: CopyMode) -> None:
    raw = variant(case.raw, name)
    settings = case.settings(mode)
    plan = inspect(raw, settings, case.envelope)
    outcome = finish(plan)
    # Identity
    if not plan.decisions and not plan.insertions and not plan.unexamined:
        assert outcome.raw is raw
    # Silence
    assert _leftovers(outcome, case) == []
    # Idempotence
    again = protect(outcome.raw, settings, case.envelope)
    assert again.raw == outcome.raw
    # No edit makes a line longer than 998 octets (RFC 5322 section 2.1.1)
    longest = max((len(line) for line in raw.splitlines()), default=0)
    assert max((len(line) for line in outcome.raw.splitlines()), default=0) <= max(998, longest)
    # The variant means the same as the case itself.
    if case.expected("references.json").exists():
        expected = json.loads(case.expected("references.json").read_text())["references"]
        found = [(decision.reference.url, str(decision.reference.vector)) for decision in plan.decisions]
        assert sorted(found) == sorted((entry["url"], entry["vector"]) for entry in expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_locality(case: Case) -> None:
    """Bytes between the replaced values stand in the output in the same order, unchanged."""
    plan = inspect(case.raw, case.settings(), case.envelope)
    outcome = finish(plan)
    if outcome.inert_parts or outcome.unsigned or plan.ambiguous:
        pytest.skip("restructured on purpose: parts became inert, lost a signature, or have two readings")
    spans = sorted(tuple(entry["span"]) for entry in plan.record("")["references"])
    at, place = 0, 0
    for start, end in spans:
        if start < at:
            continue
        for kept in _without_insertions(case.raw, at, start, plan):
            found = outcome.raw.find(kept, place)
            assert found >= 0, (case.name, kept[:80])
            place = found + len(kept)
        at = end
    for kept in _without_insertions(case.raw, at, len(case.raw), plan):
        found = outcome.raw.find(kept, place)
        assert found >= 0, (case.name, kept[:80])
        place = found + len(kept)


def _without_insertions(raw: bytes, start: int, end: int, plan: object) -> list[bytes]:
    """Return the runs of ``raw[start:end]`` between the places where something is inserted."""
    from mailveil.core.message.transfer import place_in_message

    cuts = sorted(
        place_in_message(insertion.source, insertion.at, insertion.at).start
        for insertion in plan.insertions  # type: ignore[attr-defined]
    )
    edges = [start, *(cut for cut in cuts if start < cut < end), end]
    return [raw[a:b] for a, b in zip(edges, edges[1:], strict=False) if a < b]
