"""The lesson of behaviour.

Setup: a handful of observations as the lab's room prints them.
Test: the same observations give the same table, byte for byte; what speaks for a tracker never speaks against one,
whatever the observations; what stands in the core can be read and says what it was learned from; a family's figures
come from a table that has not seen it.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from mailveil.core.verdicts.behaviour import parse_table
from mailveil.core.verdicts.signals import Signal

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import lesson

RANDOM = random.Random(5)
SIGNALS = (Signal.DRIP_FED, Signal.URL_SHARED, Signal.NOT_CACHEABLE, Signal.TRUE_PICTURE)


def told(family: str, *, tracker: bool, signals: tuple[Signal, ...]) -> str:
    record = {
        "origin": f"{family}-1",
        "family": family,
        "tracker": tracker,
        "learns": [],
        "verdict": {"log_odds": -1.0},
        "signals": dict.fromkeys(map(str, signals), 1.0),
    }
    return json.dumps(record)


LINES = [
    told(
        f"{'tracker' if tracker else 'content'}{number % 4}",
        tracker=tracker,
        signals=(mine, RANDOM.choice(SIGNALS)),
    )
    for tracker, mine in ((True, Signal.DRIP_FED), (False, Signal.URL_SHARED))
    for number in range(24)
]


def test_the_same_observations_give_the_same_table() -> None:
    rows = lesson.read_rows("\n".join(LINES))
    assert json.dumps(lesson.fit(rows)) == json.dumps(lesson.fit(lesson.read_rows("\n".join(LINES))))


def test_weights_keep_their_sense_whatever_is_observed() -> None:
    upside_down = [
        json.dumps({**json.loads(each), "tracker": not json.loads(each)["tracker"]}) for each in LINES
    ]
    for signal, weight in lesson.fit(lesson.read_rows("\n".join(upside_down))).items():
        assert weight <= 0 if signal in lesson.AGAINST else weight >= 0


def test_families_are_judged_by_tables_that_have_not_seen_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = lesson.read_rows("\n".join(LINES))
    fitted: list[set[str]] = []
    real = lesson.fit
    monkeypatch.setattr(lesson, "fit", lambda each: fitted.append({row.family for row in each}) or real(each))
    found = lesson.figures(rows)
    assert set(found) == {row.family for row in rows}
    assert all(family not in seen for family, seen in zip(found, fitted, strict=True))
    assert sum(each.rows for each in found.values()) == len(rows)


def test_the_table_in_the_core_says_what_it_was_learned_from() -> None:
    text = lesson.TABLE.read_text()
    assert set(parse_table(text)) == set(lesson.SIGNALS)
    assert json.loads(text)["learned"]["rows"] > 1000
