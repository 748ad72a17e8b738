"""The demonstration from end to end, in a real browser and without one.

Setup: ``mailveil demo`` as a program of its own, with nothing around it that it could have been prepared with.
Test: past mailveil the spies see openings, dwelling, addresses, devices and printing; through it they see one
neutral download of each picture before anybody opens anything, and then nobody; both mails look the same; the page
shows it and refers to nobody; Ctrl-C ends it and leaves nothing behind. If protection fails, the demonstration says so.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from mailveil.adapters.maildir import Maildir
from mailveil.commands.demo import show
from mailveil.commands.demo.browser import Browser, BrowserError
from mailveil.commands.demo.findings import company_of, device_of
from mailveil.commands.demo.letters import letters
from mailveil.commands.demo.show import DemoRequest, demo
from mailveil.lab import Lab, OriginKind

PATIENCE_S = 240


@contextmanager
def _running(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "mailveil", "demo", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder), "COLUMNS": "160"}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        process_group=0,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _folder() -> Path:
    # Sockets and profiles go below it, and the names of sockets must be short.
    return Path(tempfile.mkdtemp(prefix="mvd-"))


def _left_behind(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.name.startswith("mailveil-")]


def _check(record: dict[str, Any], subjects: set[str]) -> None:
    known, silent = record["unprotected"], record["protected"]
    assert record["silent"] is True
    assert record["faults"] == []
    assert {each["subject"] for each in known["messages"]} == subjects
    assert all(each["openings"] for each in known["messages"])
    invoice = next(each for each in known["messages"] if each["subject"].startswith("Invoice"))
    assert [opening["device"] for opening in invoice["openings"]] == [
        "Windows PC, Chrome",
        "iPhone, mail app",
    ]
    assert len({opening["address"] for opening in invoice["openings"]}) == 2
    assert all(opening["dwell_seconds"] >= 0.5 for opening in invoice["openings"])
    invitation = next(each for each in known["messages"] if each["subject"].startswith("Supplier"))
    assert invitation["openings"][0]["printed"] is True
    assert invitation["looked_up"]
    assert known["downloads"] == 0
    assert known["contacts"] > 30
    assert (silent["contacts"], silent["openings"], silent["addresses"], silent["devices"]) == (0, 0, [], [])
    assert silent["companies"] == []
    assert silent["downloads"] >= 15
    first = min(opening["at"] for each in known["messages"] for opening in each["openings"])
    assert all(download["at"] < first for each in silent["messages"] for download in each["downloads"])
    assert any(download["cut_off"] for each in silent["messages"] for download in each["downloads"])


SUBJECTS = {each.subject for each in letters()}


def test_without_a_browser() -> None:
    folder = _folder()
    with _running("--simulate", "--no-serve", "--json", "--seconds", "2", folder=folder) as process:
        said, progress = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, progress
    record = json.loads(said)
    assert record["browser"] is False
    assert "simulated mail client" in progress
    _check(record, SUBJECTS)
    assert _left_behind(folder) == []


def test_in_a_browser_with_its_page(requires: Callable[[str], str]) -> None:
    requires("chromium")
    folder = _folder()
    with _running("--seconds", "4", "--port", "0", folder=folder) as process:
        assert process.stderr is not None
        progress, address = "", ""
        end = time.monotonic() + PATIENCE_S
        while not address and time.monotonic() < end:
            line = process.stderr.readline()
            assert line, f"it ended: {progress}"
            progress += line
            if found := re.search(r"http://localhost:\d+/", line):
                address = found[0] if "until Ctrl-C" in line else ""
        with urllib.request.urlopen(address, timeout=20) as answer:
            page = answer.read().decode()
            policy = answer.headers["Content-Security-Policy"]
        with urllib.request.urlopen(f"{address}result.json", timeout=20) as answer:
            record = json.load(answer)
        pictures = {
            path: Image.open(io.BytesIO(urllib.request.urlopen(f"{address}{path[1:]}", timeout=20).read()))
            for path in re.findall(r'src="(/picture/[^"]+)"', page)
        }
        request = urllib.request.Request(address, headers={"Host": "elsewhere.example"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)
        refused.value.close()
        process.send_signal(signal.SIGINT)
        said, _rest = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "The protected side is silent." in said
    assert record["browser"] is True
    assert record["reader"].startswith("Chromium")
    _check(record, SUBJECTS)
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"""(?:src|href)=["'](?!/)""", page), "the page refers to itself alone"
    assert "What the spy learned" in page
    assert "198.51.100.23" in page
    assert len(pictures) == 2 * len(SUBJECTS)
    before, after = (
        pictures[f"/picture/{side}/newsletter.png"].convert("RGB") for side in ("unprotected", "protected")
    )
    assert before.size == after.size
    assert len(before.getcolors(1 << 20) or []) > 500, "there is something to be seen"
    difference = ImageStat.Stat(ImageChops.difference(before, after)).mean
    assert max(difference) < 3, "both look the same"
    assert _left_behind(folder) == []


def test_interrupted_it_leaves_nothing_behind() -> None:
    folder = _folder()
    with _running("--simulate", "--seconds", "60", folder=folder) as process:
        assert process.stderr is not None
        while "Dana reads" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)
    assert process.returncode == 130
    assert _left_behind(folder) == []


def test_it_says_so_where_protection_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def past(_gateway: object, settings: Any, _written: object, raws: list[bytes]) -> tuple[bytes, ...]:
        maildir = Maildir(settings.local_maildir)
        for raw in raws:
            maildir.add(raw)
        return tuple(raws)

    monkeypatch.setattr(show, "_deliver_through", past)
    code = asyncio.run(demo(DemoRequest(seconds=1, serve=False, simulate=True)))
    said, complaints = capsys.readouterr()
    assert code == 1
    assert "NOT silent" in said
    assert "contacted somebody" in complaints
    assert "no safe copies were made" in complaints


def test_a_browser_that_does_not_start_is_no_browser() -> None:
    async def work() -> None:
        with pytest.raises(BrowserError, match="does not start"):
            async with Browser("/bin/false"):
                pass

    asyncio.run(work())


def test_letters_are_made_of_the_lab() -> None:
    async def work() -> None:
        async with Lab() as lab:
            used = [name for letter in letters() for name in letter.origins]
            assert len(used) == len(set(used)), (
                "each origin stands in one letter, so that contacts tell which"
            )
            assert sum(lab.origins[name].kind is OriginKind.TRACKER for name in used) >= 12
            for letter in letters():
                raw = letter.raw(lab)
                assert b"[[" not in raw
                assert raw.count(b"\r\n") == raw.count(b"\n")
                assert max(map(len, raw.split(b"\r\n"))) <= 998

    asyncio.run(work())


def test_what_agents_and_hosts_tell() -> None:
    assert device_of("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/140.0") == "Mac, Chrome"
    assert device_of("curl/8.0") == "unknown device, a program"
    assert company_of("a.b.cloakvendor.example") == "cloakvendor.example"
