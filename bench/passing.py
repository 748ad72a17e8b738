"""Memory of the gateway while messages pass: after the first thousand, and after all of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mailveil_room import answers, mailveil_room
from postfix import SETTINGS, letters, send
from postfix_room import free_port, missing_for_postfix
from processes import memory_bytes


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return what the gateway and its workers hold, in MB, and how many messages passed in a second."""
    if missing := missing_for_postfix():
        return {"skipped": f"needs {missing}"}
    first, last = (200, 2_000) if quick else (1_000, 10_000)
    files = letters(folder)
    with (
        _sink() as sink,
        mailveil_room({**SETTINGS, "gateway": {"next_hop": f"smtp://127.0.0.1:{sink}"}}) as gate,
    ):
        assert gate.process is not None
        result: dict[str, Any] = {"MB at the start": memory_bytes(gate.process.pid) / 1e6}
        start = time.perf_counter()
        passed = 0
        for until in (first, last):
            while passed < until:
                send(gate.port, files[passed // 100 % len(files)], 100)
                passed += 100
            result[f"MB after {until} messages"] = memory_bytes(gate.process.pid) / 1e6
        result["messages/s by SMTP"] = last / (time.perf_counter() - start)
        result["grown"] = result[f"MB after {last} messages"] / result[f"MB after {first} messages"]
    return result


@contextlib.contextmanager
def _sink() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen(
        ["smtp-sink", *(["-u", "postfix"] if os.geteuid() == 0 else []), "-c", f"127.0.0.1:{port}", "1000"],
        env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 30
        while not answers(port):
            if time.monotonic() > end:
                raise RuntimeError("smtp-sink does not start")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)
