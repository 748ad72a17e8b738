"""What was found out as files, from the command line: each form as the systems that it is for read it.

Setup: a storage directory with an organisation that has published an activity and a tracker.
Test: ``mailveil intelligence export`` as an administrator types it, each time a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import stix2
from pymisp import MISPEvent

from mailveil.adapters.publishing.collections import CollectionPublisher
from mailveil.app.controlling import opened_room
from mailveil.config import load
from mailveil.core.verdicts.lists import ListFormat, parse_list
from stix_values import ACTIVITY, TRACKER, event


def run(directory: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "mailveil", "intelligence", "export", *words],
        env={"MAILVEIL_STORAGE__DIRECTORY": str(directory), "PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    return ended


def test_what_was_published_is_exported_in_every_form(tmp_path: Path) -> None:
    settings = load(Path("/dev/null"), {"MAILVEIL_STORAGE__DIRECTORY": str(tmp_path)})

    async def fill() -> None:
        async with opened_room(settings) as room:
            assert room.shared is not None
            await CollectionPublisher(room.shared, "default").publish([event(ACTIVITY, 1), event(TRACKER, 2)])

    asyncio.run(fill())
    bundle = stix2.parse(run(tmp_path).stdout, version="2.1")
    assert {each.type for each in bundle.objects} >= {"campaign", "indicator", "infrastructure"}

    file = tmp_path / "events.json"
    told = run(tmp_path, "--misp", "--output", str(file))
    assert (told.stdout, str(file) in told.stderr) == ("", True)
    events = json.loads(file.read_text())["response"]
    assert len(events) == 2
    for each in events:
        MISPEvent().load(each)

    rules = run(tmp_path, "--adblock").stdout
    assert parse_list(rules, ListFormat.ADBLOCK).count == 1

    assert "no such activity; see mailveil recon list" in run(tmp_path, "--activity", "nobody", code=2).stderr
    assert "--activity" in run(tmp_path, "--adblock", "--activity", "x", code=2).stderr
    assert "--activity" in run(tmp_path, "--tlp", "red", code=2).stderr
    assert "no organisation" in run(tmp_path, "--organisation", "nowhere", code=2).stderr
    assert "No such file" in run(tmp_path, "-o", str(tmp_path / "x" / "y"), code=2).stderr
