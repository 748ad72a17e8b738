"""`mailveil recon`: what somebody at a terminal sees and decides of reconnaissance."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from control_room import NOW, opened_room
from intelligence_room import finance, quiet_weeks
from mailveil.app.studying import StudyLoop
from postgres_room import DatabasePlace
from study_room import ACTOR, LATER, inhabit, probes


@pytest.fixture
def watched(sqlite_database: DatabasePlace) -> DatabasePlace:
    """A database in which an activity was found."""

    async def steps() -> None:
        async with opened_room(sqlite_database) as room:
            await inhabit(room)
            await room.room.observations.add([*quiet_weeks(), *probes(3)])
            while await StudyLoop(room.room).round():
                pass

    asyncio.run(steps())
    return sqlite_database


def test_an_activity_is_told_decided_and_exported(watched: DatabasePlace, tmp_path: Path) -> None:
    assert LATER < NOW
    notes: list[str] = []

    def recon(*arguments: str, code: int = 0, text: str = "") -> str:
        environment = {
            **os.environ,
            "MAILVEIL_STORAGE__DIRECTORY": str(tmp_path),
            "MAILVEIL_DATABASE__URL": watched.address,
        }
        command = [sys.executable, "-P", "-m", "mailveil", "recon", *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False, input=text
        )
        assert done.returncode == code, done
        notes.append(done.stderr)
        return done.stdout if code == 0 else done.stderr

    (listed,) = [json.loads(line) for line in recon("list", "--json").splitlines()]
    name = listed["activity"]["identifier"]
    assert listed["activity"]["actor"] == ACTOR
    assert ACTOR in recon("list", "--person", finance(0).upper(), "--limit", "1")
    assert recon("list", "--person", "nobody@here.example") == ""
    shown = recon("show", name)
    assert f"{ACTOR}  ({name})" in shown
    assert shown.count("  probe ") == 3
    assert finance(0) in shown
    assert not any("to be studied" in each for each in notes)
    assert recon("alerts").count("\n") == 1
    assert json.loads(recon("alerts", "--json"))["activity"] == name

    assert "seen by" in recon("acknowledge", name)
    recon("note", name, "They called.\x1b[2J")
    assert "They called. [2J" in recon("show", name)
    assert json.loads(recon("close", name, "--json"))["state"] == "closed"
    recon("reopen", name)
    assert json.loads(recon("confirm", name, "--json"))["verdict"] == "confirmed"
    recon("undecide", name)
    assert "benign" in recon("dismiss", name)
    assert "take that verdict back" in recon("reopen", name, code=2)
    assert "see mailveil recon list" in recon("show", "nothing", code=2)
    assert f"({name})" in recon("show", name[:10])

    exported = json.loads(recon("export", name))
    assert [each["text"] for each in exported["notes"]] == ["They called. [2J"]
    assert len(exported["messages"]) == 3

    assert f".{ACTOR}" in recon("block", name, "--comment", "enough")
    before = recon("mark")
    recon("mark", "zoe@here.example", "--function", "Board", "--high-value")
    assert "zoe@here.example  Board  high value" in recon("mark")
    recon("mark", "zoe@here.example")
    assert recon("mark") == before
    recon("recompute", text="n\n", code=130)
    recon("recompute", "--yes")
    assert recon("list") == ""
    assert "wait to be studied" in notes[-1]
