"""Simulated mail into a file and into a database, as somebody types it, each time a process of its own.

Setup: a storage directory without anything in it. Test: the file holds what the summary says, the same for the same
seed; the database shows it, and no made-up mail ever comes among real mail; an evaluation prints its figures.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailveil.app.controlling import opened_room
from mailveil.commands.evaluate_recon import parse_seeds
from mailveil.config import load
from mailveil.control.records import Cut, MessageQuery
from mailveil.core.observation import observation_of

SMALL = ("--people", "20", "--days", "30", "--actors", "1")


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "mailveil", *words],
        env={"MAILVEIL_STORAGE__DIRECTORY": str(directory), "PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_file_holds_observations_with_the_truth_and_is_the_same_again(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    told = run(tmp_path, "simulate", *SMALL, "--seed", "3", "--out", str(one), "--json")
    assert told.returncode == 0, told.stderr
    summary = json.loads(told.stdout)
    lines = [json.loads(line) for line in one.read_text("utf-8").splitlines()]
    assert len(lines) == summary["messages"] == sum(summary["causes"].values())
    assert observation_of(lines[0]["observation"]).organisation == "default"
    probes = [line["truth"]["actor"] for line in lines if line["truth"]["cause"] == "probe"]
    assert set(probes) == set(summary["actors"])
    assert run(tmp_path, "simulate", *SMALL, "--seed", "3", "--out", str(other)).returncode == 0
    assert one.read_bytes() == other.read_bytes()
    again = run(tmp_path, "simulate", *SMALL, "--out", str(one))
    assert (again.returncode, "File exists" in again.stderr) == (2, True), "nothing is written over"


def test_standard_output_holds_the_lines_alone(tmp_path: Path) -> None:
    told = run(tmp_path, "simulate", *SMALL, "--out", "-")
    assert all(json.loads(line)["truth"] for line in told.stdout.splitlines())
    assert "messages in 30 days" in told.stderr


def test_an_installation_is_filled_once_and_real_mail_is_left_alone(tmp_path: Path) -> None:
    told = run(tmp_path, "simulate", *SMALL, "--into-database", "--json")
    assert told.returncode == 0, told.stderr
    summary = json.loads(told.stdout)
    refused = run(tmp_path, "simulate", *SMALL, "--into-database")
    assert refused.returncode == 2
    assert "--organisation" in refused.stderr
    fresh = run(tmp_path, "simulate", *SMALL, "--into-database", "--organisation", "rehearsal")
    assert fresh.returncode == 0, fresh.stderr
    settings = load(Path("/dev/null"), {"MAILVEIL_STORAGE__DIRECTORY": str(tmp_path)})

    async def look() -> None:
        async with opened_room(settings) as room:
            for organisation in ("default", "rehearsal"):
                page = await room.observations.messages(organisation, MessageQuery(), Cut(5))
                assert len(page.items) == 5
                assert time.time() - 2 * 86_400 < page.items[0].at <= time.time()
            default, *_ = await room.organisations.organisations()
            assert default.domains == ("office.example",)
            figures = await room.observations.figures("default", 0.0, time.time() + 3_600)
            assert figures.messages == summary["messages"]
            assert room.activities is not None
            assert any(each.function == "finance" for each in await room.activities.marked("rehearsal"))

    asyncio.run(look())


def test_what_was_made_is_no_older_than_records_are_kept_and_what_comes_next_is_said(tmp_path: Path) -> None:
    (tmp_path / "mailveil.toml").write_text("[records]\nmessages_days = 9\nsubjects_days = 5\n", "utf-8")
    words = ("--config", str(tmp_path / "mailveil.toml"), "simulate", "--people", "20", "--into-database")
    made = run(tmp_path, *words, "--organisation", "rehearsal")
    assert made.returncode == 0, made.stderr
    assert "messages in 9 days" in made.stdout
    assert "Now start mailveil serve" in made.stderr
    assert "Simulated (rehearsal) chosen as Organisation" in made.stderr
    assert "Subjects older than 5 days are deleted" in made.stderr
    assert "messages_days" not in made.stderr
    command = "mailveil organisation remove rehearsal"
    assert made.stderr.rstrip().endswith(command)
    older = run(tmp_path, *words, "--organisation", "older", "--days", "12", "--actors", "0")
    assert "messages in 12 days" in older.stdout
    assert "make at most --days 9" in older.stderr
    assert run(tmp_path, "--config", words[1], *command.split()[1:], "--yes").returncode == 0
    default = run(tmp_path, "simulate", "--people", "20", "--days", "2", "--out", str(tmp_path / "x"))
    assert "Now start" not in default.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("simulate",), "Say where to"),
        (("simulate", "--out", "x", "--into-database"), "Say where to"),
        (("evaluate",), "Name DATA, or say --recon"),
        (("evaluate", "--recon", __file__), "takes no DATA"),
        (("evaluate", "--recon", "--seeds", "5-1"), "no range"),
        (("evaluate", "--recon", "--seeds", "one"), "no seed"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    told = run(tmp_path, *words)
    assert told.returncode == 2
    assert complaint in told.stderr


def test_an_evaluation_prints_figures_and_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    words = ("--people", "20", "--days", "42", "--seeds", "1,1001", "--actors", "1", "--json", str(file))
    told = run(tmp_path, "evaluate", "--recon", *words)
    assert told.returncode == 0, told.stderr
    assert "within" not in told.stderr
    found = json.loads(file.read_text())
    assert found["seeds"] == [1, 1001]
    assert not found["are_held_out"]
    assert found["mailveil"]["grades"]["loud"]["actors"] == 2
    assert "baseline: new domain" in told.stdout


def test_seeds_are_numbers_and_ranges() -> None:
    assert parse_seeds("1001-1003, 7,7") == [1001, 1002, 1003, 7]
    with pytest.raises(ValueError, match="no seed"):
        parse_seeds("")
