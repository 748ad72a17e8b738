"""An original that is brought back on the command line is on record first, with who and why.

Setup: a storage directory with an original; then the same with a database that is away.
Test: ``mailveil release`` as an administrator types it, each time a process of its own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from mailveil.adapters.originals import OriginalFacts
from mailveil.app.building import build_originals
from mailveil.app.controlling import opened_room
from mailveil.config import load
from mailveil.control.records import AuditEntry, Cut

RAW = b"From: a@shop.example\r\n\r\nHello\r\n"


def run(directory: Path, *words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "mailveil", "release", *words],
        env={"MAILVEIL_STORAGE__DIRECTORY": str(directory), "PYTHONPATH": ":".join(sys.path), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
    )


def trail(directory: Path) -> list[AuditEntry]:
    async def read() -> list[AuditEntry]:
        async with opened_room(
            load(Path("/dev/null"), {"MAILVEIL_STORAGE__DIRECTORY": str(directory)})
        ) as room:
            return list((await room.audit.entries("default", Cut(), action="original.release")).items)

    return asyncio.run(read())


def test_an_original_is_brought_back_with_a_reason_that_is_on_record(tmp_path: Path) -> None:
    settings = load(Path("/dev/null"), {"MAILVEIL_STORAGE__DIRECTORY": str(tmp_path)})
    name = build_originals(settings).keep(RAW, OriginalFacts())
    refused = run(tmp_path, name)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"--reason" in refused.stderr
    assert trail(tmp_path) == []
    done = run(tmp_path, name, "--reason", "ticket 4711")
    assert (done.returncode, done.stdout) == (0, RAW), done.stderr
    (entry,) = trail(tmp_path)
    assert (entry.subject, entry.details["reason"]) == (name, "ticket 4711")
    assert entry.actor.endswith("(command line)")

    away = {"MAILVEIL_DATABASE__URL": "postgresql://nobody@127.0.0.1:1/none"}
    refused = run(tmp_path, name, "--reason", "ticket 4711", **away)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"--unrecorded" in refused.stderr
    forced = run(tmp_path, name, "--unrecorded", "-o", str(tmp_path / "a.eml"), **away)
    assert forced.returncode == 0, forced.stderr
    assert (tmp_path / "a.eml").read_bytes() == RAW
    assert len(trail(tmp_path)) == 1
