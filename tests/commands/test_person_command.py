"""What is kept of a person, on the command line: printed as JSON, and deleted once that was agreed to.

Setup: a storage directory with a database that knows a recipient, and an original of their mail.
Test: ``mailveil person`` as a newcomer types it, each time a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from mailveil.adapters.originals import OriginalFacts
from mailveil.app.building import build_originals
from mailveil.app.controlling import opened_room
from mailveil.config import load
from mailveil.core.observation import Observation, observation_identifier

NOW = 1_800_000_000.0


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "mailveil", "person", *words],
        env={"MAILVEIL_STORAGE__DIRECTORY": str(directory), "PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_person_is_exported_and_erased_from_the_command_line(tmp_path: Path) -> None:
    settings = load(Path("/dev/null"), {"MAILVEIL_STORAGE__DIRECTORY": str(tmp_path)})
    originals = build_originals(settings)
    kept = originals.keep(b"x", OriginalFacts(recipients=("ann@example.org",)))

    async def fill() -> None:
        async with opened_room(settings) as room:
            seen = Observation(
                observation_identifier(NOW, "1", "default"),
                "default",
                NOW,
                "log-1",
                recipients=("ann@example.org",),
                original=kept,
            )
            await room.observations.add([seen])

    asyncio.run(fill())
    waiting = tmp_path / "observations"
    waiting.mkdir()
    (waiting / "1.refused").touch()
    told = run(tmp_path, "export", "Ann@Example.org")
    assert told.returncode == 0, told.stderr
    (record,) = map(json.loads, told.stdout.splitlines())
    assert (record["kind"], record["log_identifier"]) == ("messages", "log-1")
    assert "may name this person" in told.stderr

    refused = run(tmp_path, "erase", "ann@example.org")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert originals.list(), "nothing is gone yet"

    done = run(tmp_path, "erase", "ann@example.org", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 record and 1 original of this person are deleted\n"
    assert originals.list() == []
    assert run(tmp_path, "export", "ann@example.org").stdout == ""
    assert run(tmp_path, "export", "ann@example.org", "--organisation", "acme").returncode == 2
    assert run(tmp_path, "erase", " ", "--yes").returncode == 2
