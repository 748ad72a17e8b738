"""Postfix with mailveil in its path, against bare Postfix and against Postfix with rspamd, in one run.

A message counts once Postfix has it delivered (to nowhere), whatever way it took; every message comes on a
connection of its own, ten at once, as mail does from outside. Rounds go by turns through all arrangements.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mailveil.app.recipes import postfix_milter_recipe
from mailveil_room import Mailveil, answers, mailveil_room
from messages import messages
from postfix_room import Postfix, free_port, missing_for_postfix, postfix_room

SESSIONS = 10
FILES = 5
RSPAMD_PORT = 11332  # as Debian ships it
SETTINGS = {
    # Mail from this machine counts as mail from outside; fetches are queued, as they are, and wait.
    "policy": {"protect_local": True},
    "fetch": {"enabled": True, "delay_s": 86_400},
    "log": {"level": "warning"},
}


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return messages a second for each arrangement, and what share of bare Postfix that is."""
    if missing := missing_for_postfix():
        return {"skipped": f"needs {missing}"}
    count, rounds = (100, 2) if quick else (300, 5)
    files = letters(folder)
    with contextlib.ExitStack() as stack:
        ways = {
            "bare": stack.enter_context(_bare()),
            "milter": stack.enter_context(_milter(unix=False)),
            "milter, Unix socket": stack.enter_context(_milter(unix=True)),
            "content_filter": stack.enter_context(_content_filter()),
            "smtpd_proxy_filter": stack.enter_context(_proxy_filter()),
        }
        gates = [gate for _postfix, gate in ways.values() if gate is not None]
        skipped = ""
        if shutil.which("rspamd"):
            ways["rspamd as milter"] = stack.enter_context(_rspamd(folder))
        else:
            skipped = "needs rspamd"
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for postfix, _gate in ways.values():
            seconds_for(postfix, files, SESSIONS * FILES)  # warms up
        for _ in range(rounds):
            for name, (postfix, _gate) in ways.items():
                taken[name].append(count / seconds_for(postfix, files, count))
        for gate in gates:
            check_changed(gate, count * rounds)
    rates = {name: statistics.median(values) for name, values in taken.items()}
    result: dict[str, Any] = {"mean_kB": sum(path.stat().st_size for path in files) / FILES / 1000}
    result |= {f"{name}, messages/s": rate for name, rate in rates.items()}
    result |= {
        f"{name}, share of bare": statistics.median(
            ours / bare for ours, bare in zip(taken[name], taken["bare"], strict=True)
        )
        for name in rates
        if name != "bare"
    }
    if skipped:
        result["rspamd as milter"] = skipped
    return result


def letters(folder: Path) -> list[Path]:
    """Write newsletters of about 30 kB, as real ones are, into files."""
    paths = []
    for number, raw in enumerate(sorted(messages(200), key=lambda raw: abs(len(raw) - 30_000))[:FILES]):
        paths.append(folder / f"letter-{number}")
        paths[-1].write_bytes(raw.replace(b"\r\n", b"\n"))
    return paths


def seconds_for(postfix: Postfix, files: list[Path], count: int) -> float:
    """Send messages and return how long it took until the last of them was delivered."""
    log = (postfix.config / "log").open("rb")
    log.seek(0, os.SEEK_END)
    with log:
        start = time.perf_counter()
        for path in files:
            send(postfix.port, path, count // len(files))
        delivered = 0
        while delivered < count // len(files) * len(files):
            delivered += sum(b"/discard[" in line and b"status=sent" in line for line in log.readlines())
            if time.perf_counter() - start > 600:
                raise RuntimeError(postfix.log()[-2000:])
            time.sleep(0.005)
        return time.perf_counter() - start


def send(port: int, path: Path, count: int) -> None:
    """Send one message so many times, as Postfix's own load generator does."""
    command = ["smtp-source", "-s", str(SESSIONS), "-m", str(count), "-F", str(path)]
    command += ["-f", "news@news.example", "-t", "reader@example.org", f"127.0.0.1:{port}"]
    path_to_tools = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"}
    subprocess.run(command, check=True, capture_output=True, env=path_to_tools)


def check_changed(gate: Mailveil, least: int) -> None:
    """Make sure that what was measured is the work itself."""
    deadline = time.monotonic() + 60  # records are written at leisure
    while (changed := count_changed(gate)) < least * 0.9:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {changed} of {least} messages were changed; {gate.log()[-2000:]}")
        time.sleep(0.2)


def count_changed(gate: Mailveil) -> int:
    """Return how many messages are on record as changed."""
    with contextlib.closing(
        sqlite3.connect(gate.root / "state" / "mailveil.sqlite3", timeout=10)
    ) as database:
        return int(database.execute("SELECT count(*) FROM messages WHERE changed").fetchone()[0])


@contextlib.contextmanager
def _bare() -> Iterator[tuple[Postfix, None]]:
    with postfix_room(transport="discard:") as postfix:
        yield postfix, None


@contextlib.contextmanager
def _milter(*, unix: bool) -> Iterator[tuple[Postfix, Mailveil]]:
    with postfix_room(transport="discard:") as postfix:
        port = free_port()
        inside = postfix.config / "queue" / "mailveil"  # within Postfix's chroot
        inside.mkdir()
        milter: dict[str, Any] = {"listen": f"127.0.0.1:{port}", "fetch_delay_s": 86_400}
        if unix:
            milter |= {"socket": str(inside / "socket"), "socket_mode": "666"}
        with mailveil_room({**SETTINGS, "milter": milter}, doors=(port,)) as gate:
            recipe = postfix_milter_recipe(gate.settings)
            if unix:
                recipe = recipe.replace(f"inet:127.0.0.1:{port}", "unix:mailveil/socket")
            postfix.paste(recipe)
            yield postfix, gate


@contextlib.contextmanager
def _content_filter() -> Iterator[tuple[Postfix, Mailveil]]:
    from interop.arrangements import content_filter_recipe

    with postfix_room(transport="discard:") as postfix:
        back = free_port()
        with mailveil_room({**SETTINGS, "gateway": {"next_hop": f"smtp://127.0.0.1:{back}"}}) as gate:
            postfix.paste(content_filter_recipe(gate, gate.port, back))
            yield postfix, gate


@contextlib.contextmanager
def _proxy_filter() -> Iterator[tuple[Postfix, Mailveil]]:
    from interop.arrangements import option, reinjection

    with postfix_room(transport="discard:") as postfix:
        back = free_port()
        reinjection(postfix, back)
        with mailveil_room({**SETTINGS, "gateway": {"next_hop": f"smtp://127.0.0.1:{back}"}}) as gate:
            option(postfix, f"smtpd_proxy_filter=127.0.0.1:{gate.port}", "smtpd_proxy_options=speed_adjust")
            yield postfix, gate


@contextlib.contextmanager
def _rspamd(folder: Path) -> Iterator[tuple[Postfix, None]]:
    """Run rspamd as Debian configures it, with state of its own; the DNS knows nothing, at once."""
    state = folder / "rspamd"
    state.mkdir()
    shutil.chown(state, "_rspamd", "_rspamd")
    places = [f"--var={name}={state}" for name in ("RUNDIR", "DBDIR", "LOGDIR", "LOCAL_CONFDIR")]
    process = subprocess.Popen(
        ["rspamd", "--no-fork", "--user=_rspamd", "--group=_rspamd", *places],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while not (answers(RSPAMD_PORT) and answers(11333)):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("rspamd does not start")
            time.sleep(0.1)
        with postfix_room(transport="discard:", smtpd_milters=f"inet:127.0.0.1:{RSPAMD_PORT}") as postfix:
            yield postfix, None
    finally:
        process.terminate()
        process.wait(timeout=60)
