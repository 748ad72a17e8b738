"""Every case of the corpus, in every variant, obeys the laws and gives what its folder expects.

A mismatch writes ``*.got`` beside the expected file; ``make bless`` accepts it, and review reads the difference.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from typing import Any

import pytest

from corpus_cases import Case, cases, to_json, variant
from mailveil.core.message.parse import parse_message
from mailveil.core.message.transfer import decode_body, place_in_message
from mailveil.core.message.types import Coding, Edit, Limits, Source
from mailveil.core.observation import (
    Fared,
    Passed,
    RecordSettings,
    facts_from,
    make_observations,
    observation_of,
    observed,
    summary_of,
)
from mailveil.core.protection import CopyMode, Outcome, Plan, finish, inspect, protect
from mailveil.core.references.search import SearchSettings, find_references
from mailveil.core.rewrite import splice

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


def _observations(case: Case, plan: Plan) -> list[dict[str, Any]]:
    """Return what is put on record of a case, as if it had been delivered at a moment that is always the same."""
    summary = summary_of(plan)
    found = [
        observed(told, decision.verdict, decision.wanted.token if decision.wanted else "")
        for told, decision in zip(summary["references"], plan.decisions, strict=True)
    ]
    passed = Passed(
        1_767_225_600.0,
        case.name,
        case.envelope,
        len(case.raw),
        fared=Fared(250, "2.0.0 queued"),
        found=tuple(found),
        facts=facts_from(summary["facts"]),
        message_id=summary["message_id"],
        subject=summary["subject"],
        defects=tuple(summary["defects"]),
        changed=finish(plan).changed,
    )
    made = make_observations(passed, lambda address: "default", RecordSettings())
    assert all(observation_of(json.loads(json.dumps(each.record()))) == each for each in made)
    return [each.record() for each in made]


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
    _check(case, "observations.json", to_json(_observations(case, plan)).encode())
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
    """Outside the replaced values, every body reads as before once its transfer encoding is undone."""
    plan = inspect(case.raw, case.settings(), case.envelope)
    outcome = finish(plan)
    if outcome.inert_parts or plan.signed or plan.ambiguous:
        pytest.skip("restructured on purpose: parts became inert, lost a signature, or have two readings")
    edits: dict[int, list[Edit]] = defaultdict(list)
    for decision in plan.decisions:
        found = decision.reference
        edits[id(found.source)].append(Edit(found.start, found.end, found.inert.encode(found.encoding)))
    for insertion in plan.insertions:
        text = insertion.text.encode(insertion.encoding)
        edits[id(insertion.source)].append(Edit(insertion.at, insertion.at, text))
    sources = {id(decision.reference.source): decision.reference.source for decision in plan.decisions}
    sources |= {id(insertion.source): insertion.source for insertion in plan.insertions}
    bodies = {part.section: part for part in parse_message(outcome.raw).walk() if not part.children}
    for identity, source in sources.items():
        if source.within is None or source.within.within is not None:
            continue  # header fields, and what stands in a container of its own, have their tests elsewhere
        if any(other.within is source for other in sources.values()):
            continue  # changed from inside as well
        before = [part for part in plan.message.walk() if part.body_span == source.span and not part.children]
        got, _defects = decode_body(bodies[before[0].section], Limits())
        assert got[0].data == splice(source.data, edits[identity])
    if all(_stands_open(source) for source in sources.values()):
        _check_raw_bytes(case.raw, outcome.raw, plan)


def _stands_open(source: Source) -> bool:
    """Tell whether no base64 lies between a source and the raw bytes, which shifts what follows an edit."""
    current: Source | None = source
    while current is not None:
        if current.coding not in (Coding.IDENTITY, Coding.QUOTED_PRINTABLE):
            return False
        current = current.within
    return True


def _check_raw_bytes(before: bytes, after: bytes, plan: Plan) -> None:
    """Between the values, every raw byte stands where it stood, but for soft line breaks around an edit."""
    if max(map(len, before.splitlines()), default=0) > 900:
        return  # a line that would pass 998 octets is written as quoted-printable as a whole
    spans = [tuple(entry["span"]) for entry in plan.record("")["references"]]
    spans += [
        (place := place_in_message(insertion.source, insertion.at, insertion.at))
        and (place.start, place.start)
        for insertion in plan.insertions
    ]
    at, place = 0, 0
    for start, end in sorted(spans):
        kept = before[at:start]
        found = after.find(kept, place)
        assert found >= 0, kept[:80]
        place, at = found + len(kept), max(at, end)
    assert after.endswith(before[at:]) or before[at:] == b""
