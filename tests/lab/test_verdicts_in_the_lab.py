"""The judge in the lab, from message to verdict, with what behaviour weighs as it ships.

Setup: the room of the lesson (bench/lesson_room.py): a network namespace in which the lab is the Internet, and in it
the judge, the copy store, the fetcher, the sandbox and the memory; messages to four recipients about every origin that
was made by hand, none of which the lesson was learned from, and about generated ones of a seed that it has not seen.
Test: once the copies are fetched each tracker is one, of the kind that tells what it learns, and honest content is
content.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mailveil.core.verdicts.types import Kind
from mailveil.lab import Learns, OriginKind
from mailveil.lab.laboratory import registry

ROOM = Path(__file__).parents[2] / "bench" / "lesson_room.py"
OTHER_SEED = 77
KINDS = {
    Learns.DWELL: Kind.DWELL,
    Learns.LOOKUP: Kind.DNS,
    Learns.PLACE: Kind.LOCATION,
    Learns.DEVICE: Kind.DEVICE,
}
MADE_BY_HAND = registry()
TRACKERS = [each.name for each in MADE_BY_HAND.of_kind(OriginKind.TRACKER)]
HONEST = [each.name for each in MADE_BY_HAND.of_kind(OriginKind.HONEST)]


def _missing() -> str:
    if not shutil.which("unshare") or not shutil.which("ip"):
        return "util-linux and iproute2"
    tried = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "the right to create network namespaces"


def _held(folder: Path, seed: int, each: int) -> list[dict[str, Any]]:
    if missing := _missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the judge's room needs {missing}")
        pytest.skip(f"the judge's room needs {missing}")
    command = ["unshare", "-n", "-m", sys.executable, str(ROOM), str(folder), str(seed), str(each)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    rows = _held(tmp_path_factory.mktemp("judged"), 1, 0)
    return {name: [row for row in rows if row["origin"] == name] for name in (*TRACKERS, *HONEST)}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return _held(tmp_path_factory.mktemp("generated"), OTHER_SEED, 3)


@pytest.mark.parametrize("name", TRACKERS)
def test_each_tracker_of_the_lab_is_one(by_hand: dict[str, list[dict[str, Any]]], name: str) -> None:
    assert len(by_hand[name]) == 4
    for row in by_hand[name]:
        assert row["revised"]["verdict"] == "tracker", row
        learns = {Learns(each) for each in row["learns"]}
        for learnt, kind in KINDS.items():
            assert (kind in row["revised"]["kinds"]) or learnt not in learns, row
        if Learns.OPENING in learns:
            assert Kind.OPEN in row["revised"]["kinds"]
        if learns & {Learns.DWELL, Learns.LOOKUP}:
            assert row["revised"]["risk"] == "high"
        assert row["revised"]["reasons"], "it says why"


def test_the_lab_has_each_grave_kind() -> None:
    learnt = {each for name in TRACKERS for each in MADE_BY_HAND[name].learns}
    assert {Learns.DWELL, Learns.LOOKUP, Learns.PRINTING} <= learnt


def test_a_beacon_of_the_printer_tells_of_an_interaction(by_hand: dict[str, list[dict[str, Any]]]) -> None:
    assert by_hand["print-beacon"][0]["revised"]["kinds"] == ["interaction"]


@pytest.mark.parametrize("name", HONEST)
def test_honest_content_of_the_lab_is_content(by_hand: dict[str, list[dict[str, Any]]], name: str) -> None:
    assert len(by_hand[name]) == 4
    for row in by_hand[name]:
        assert row["revised"]["verdict"] == "content", row
        assert row["revised"]["kinds"] == []


def _share(rows: Sequence[dict[str, Any]], verdict: str) -> float:
    return sum(row["revised"]["verdict"] == verdict for row in rows) / len(rows)


def test_generated_trackers_are_known(generated: list[dict[str, Any]]) -> None:
    trackers = [row for row in generated if row["tracker"]]
    assert len(trackers) >= 12 * 3 * 4
    wrong = sorted({row["origin"] for row in trackers if row["revised"]["verdict"] != "tracker"})
    assert _share(trackers, "tracker") >= 0.93, wrong


def test_generated_content_is_left_alone(generated: list[dict[str, Any]]) -> None:
    content = [row for row in generated if not row["tracker"]]
    assert len(content) >= 16 * 3 * 4
    wrong = sorted({row["origin"] for row in content if row["revised"]["verdict"] != "content"})
    assert _share(content, "content") >= 0.96, wrong


@pytest.mark.parametrize("learnt", KINDS)
def test_generated_trackers_are_of_the_kind_that_tells_what_they_learn(
    generated: list[dict[str, Any]], learnt: Learns
) -> None:
    rows = [row for row in generated if learnt in row["learns"] and row["revised"]["verdict"] == "tracker"]
    assert rows
    assert all(KINDS[learnt] in row["revised"]["kinds"] for row in rows)
