"""Attempts are on record before anything is parsed: whatever kills a process, its message was counted.

Setup: real files; other processes are real ones that are killed with SIGKILL.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mailveil.adapters import attempts as module
from mailveil.adapters.attempts import MAX_AGE_S, RECORD_BYTES, AttemptFiles
from mailveil.ports import Attempt

KEY = b"k" * 32
RAW = b"Subject: x\r\n\r\nbody"
OTHER = b"Subject: y\r\n\r\nbody"
# Begins an attempt of each message named, says so, and waits to be killed.
PROCESS = """
import asyncio, sys, time
from pathlib import Path
from mailveil.adapters.attempts import AttemptFiles
files = AttemptFiles(Path(sys.argv[1]), b"k" * 32)
for name in sys.argv[2:]:
    attempt = asyncio.run(files.begin(f"Subject: {name}\\r\\n\\r\\nbody".encode()))
    print(attempt.failures, flush=True)
print("waiting", flush=True)
time.sleep(600)
"""


def begin(files: AttemptFiles, raw: bytes = RAW) -> Attempt:
    return asyncio.run(files.begin(raw))


def started(directory: Path, *names: str) -> tuple[subprocess.Popen[str], list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(directory), *names], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = []
    while (line := process.stdout.readline().strip()) != "waiting":
        assert line, "the process has ended"
        lines.append(int(line))
    return process, lines


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_failures_count_and_good_ends_do_not(tmp_path: Path) -> None:
    files = AttemptFiles(tmp_path, KEY)
    for failures in range(3):
        attempt = begin(files)
        assert attempt.failures == failures
        files.end(attempt, failed=True)
    attempt = begin(files, OTHER)
    assert attempt.failures == 0
    files.end(attempt, failed=False)
    assert begin(files, OTHER).failures == 0
    files.close()
    again = AttemptFiles(tmp_path, KEY)
    assert begin(again).failures == 3, "a restart forgets nothing"
    assert begin(again, OTHER).failures == 0, "what an orderly end cut off is no failure"
    again.close()


def test_the_same_message_under_way_twice_is_no_failure(tmp_path: Path) -> None:
    files = AttemptFiles(tmp_path, KEY)
    under_way = [begin(files) for _ in range(20)]
    assert {attempt.failures for attempt in under_way} == {0}
    files.close()


def test_a_killed_process_counts_once_for_each_message(tmp_path: Path) -> None:
    for killed in range(3):
        process, counts = started(tmp_path, "x", "x", "y")
        assert counts == [killed, killed, killed]
        kill(process)
    files = AttemptFiles(tmp_path, KEY)
    assert begin(files).failures == 3
    assert begin(files, OTHER).failures == 3
    assert begin(files, b"Subject: z\r\n\r\nbody").failures == 0
    files.close()
    assert len(list(tmp_path.iterdir())) == 1, "what the dead left is taken over and deleted"


def test_a_living_process_has_not_failed_and_a_dead_one_has(tmp_path: Path) -> None:
    files = AttemptFiles(tmp_path, KEY)
    process, _ = started(tmp_path, "x")
    try:
        assert begin(files).failures == 0
    finally:
        kill(process)
    assert begin(files).failures == 1
    process, counts = started(tmp_path, "x")
    kill(process)
    assert counts == [1], "the attempts of this process, which lives, are no failures to others"
    assert begin(files).failures == 2
    files.close()


def test_processes_see_each_others_failures(tmp_path: Path) -> None:
    here, there = AttemptFiles(tmp_path, KEY), AttemptFiles(tmp_path, KEY)
    here.end(begin(here), failed=True)
    assert begin(there).failures == 1
    there.end(begin(there), failed=True)
    assert begin(here).failures == 2
    here.close()
    there.close()


def test_old_failures_are_forgotten(tmp_path: Path) -> None:
    now = [1e9]
    files = AttemptFiles(tmp_path, KEY, now=lambda: now[0])
    files.end(begin(files), failed=True)
    now[0] += MAX_AGE_S - 10
    attempt = begin(files)
    assert attempt.failures == 1
    files.end(attempt, failed=False)
    now[0] += 20
    assert begin(files).failures == 0
    files.close()
    assert list(tmp_path.iterdir()) == [], "nothing is left of what matters to nobody"


def test_the_file_is_begun_anew_when_it_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 100 * RECORD_BYTES)
    files, watching = AttemptFiles(tmp_path, KEY), AttemptFiles(tmp_path, KEY)
    files.end(begin(files), failed=True)
    under_way = begin(files, OTHER)
    for number in range(1000):
        files.end(begin(files, b"\n%d" % number), failed=False)
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 102 * RECORD_BYTES
    assert begin(watching).failures == 1
    assert begin(watching, OTHER).failures == 0, "its process lives"
    os.close(files._descriptor)  # as the kernel does for a process that is killed
    files._descriptor = -1
    assert begin(watching, OTHER).failures == 1, "and what was under way is not lost with the old file"
    assert under_way.failures == 0
    watching.close()


@pytest.mark.parametrize("cut", [1, RECORD_BYTES // 2, RECORD_BYTES - 1])
def test_a_torn_record_costs_no_other(tmp_path: Path, cut: int) -> None:
    process, _ = started(tmp_path, "x", "y")
    kill(process)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    assert len(data) == 2 * RECORD_BYTES
    path.write_bytes(data[:-cut])
    files = AttemptFiles(tmp_path, KEY)
    assert begin(files).failures == 1
    assert begin(files, OTHER).failures == 0
    files.close()


@pytest.mark.parametrize("garbage", [b"", b"\0" * 500, b"\xff" * 333, bytes(range(256)) * 4])
def test_a_file_of_garbage_stops_nothing(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / f"{'0' * 32}.attempts").write_bytes(garbage)
    (tmp_path / "strange.attempts").write_bytes(garbage)
    (tmp_path / f"{'1' * 32}.partial").write_bytes(garbage)
    files = AttemptFiles(tmp_path, KEY)
    assert begin(files).failures == 0
    files.close()


def test_a_process_that_died_while_it_took_over_counts_nothing_twice(tmp_path: Path) -> None:
    process, _ = started(tmp_path, "x")
    kill(process)
    (left,) = tmp_path.iterdir()
    data = left.read_bytes()
    process, counts = started(tmp_path, "y")
    assert not left.exists()
    assert counts == [0]
    left.write_bytes(data)  # as if it had died just before it could delete that
    kill(process)
    files = AttemptFiles(tmp_path, KEY)
    assert begin(files).failures == 1
    files.close()


def test_a_full_disk_lets_mail_flow_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = AttemptFiles(tmp_path, KEY)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with caplog.at_level(logging.WARNING, "mailveil.attempts"):
        # The limit of file sizes cuts a record in two, as a disk does that is full.
        resource.setrlimit(resource.RLIMIT_FSIZE, (RECORD_BYTES + 5, hard))
        try:
            for failures in range(5):
                attempt = begin(files)
                assert attempt.failures == failures, "in memory everything still counts"
                files.end(attempt, failed=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        assert len([each for each in caplog.records if "mail flows" in each.message]) == 1
        files.end(begin(files, OTHER), failed=False)
    assert "recorded again" in caplog.text
    os.close(files._descriptor)
    files._descriptor = -1
    again = AttemptFiles(tmp_path, KEY)
    assert begin(again).failures == 5, "once there is room again all is on record"
    again.close()


def test_a_directory_that_cannot_be_used_lets_mail_flow(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = AttemptFiles(tmp_path / "file" / "x", KEY)
    files.end(begin(files), failed=True)
    assert begin(files).failures == 1
    files.close()


def test_nothing_is_written_once_it_is_closed(tmp_path: Path) -> None:
    files = AttemptFiles(tmp_path, KEY)
    attempt = begin(files)
    files.close()
    files.close()
    files.end(attempt, failed=True)
    assert list(tmp_path.iterdir()) == []
    assert KEY not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
