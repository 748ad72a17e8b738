"""Mail while people look: one process that does everything, with 100,000 messages on record.

How long a message takes through the gateway while nobody looks, and while somebody opens the heaviest pages one after
the other and a policy is tried over all that there is; what memory that takes; how fast what is seen reaches the
database by way of the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import smtplib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

import control
from mailveil.adapters.database.engine import Database, database_url
from mailveil.adapters.database.observations import SqlObservationStore
from mailveil.adapters.spool import ObservationSpool
from mailveil.app.controlling import build_database, build_room
from mailveil.app.recording import RecordLoop
from mailveil.config import Settings
from mailveil.control.access import Permission, command_line_actor
from mailveil.control.tokens import make_token
from mailveil_room import answers, mailveil_room
from observations import generated
from postfix import SETTINGS, letters
from postfix_room import free_port
from postgres_room import postgres_programs, private_cluster
from processes import memory_bytes

API = "/api/v1"


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return delays in ms, memory in MB, observations a second. ``BENCH_DATABASE`` names a file that has messages."""
    count = 60 if quick else 300
    seeded = Path(os.environ.get("BENCH_DATABASE") or _seeded(folder, control.LARGE_QUICKLY))
    mail = letters(folder)[0].read_bytes()
    port = free_port()
    table = {
        **SETTINGS,
        "console": {"listen": f"127.0.0.1:{port}"},
        "api": {"requests_per_minute": 100_000},
    }
    with mailveil_room(table, doors=(port,), started=False) as gate:
        settings = gate.settings
        settings.directory.mkdir(mode=0o700, parents=True)
        shutil.copy(seeded, settings.directory / "mailveil.sqlite3")
        gate.start()
        assert gate.process is not None
        while not answers(port):
            time.sleep(0.1)
        token = asyncio.run(_token(settings))
        result: dict[str, Any] = {"MB at the start": memory_bytes(gate.process.pid) / 1e6}
        delays(gate.port, mail, 20)
        result |= _told("alone", delays(gate.port, mail, count))
        with client_of(port, token) as client, _meanwhile(lambda: _look(client)) as looked:
            result |= _told("while lists are read", delays(gate.port, mail, count))
        result["lists read meanwhile"] = len(looked)
        with client_of(port, token) as trying, _meanwhile(lambda: _try(trying)) as tried:
            result |= _told("while a policy is tried", delays(gate.port, mail, count))
        result["messages a trial looked at"] = max(tried, default=0)
        result["MB at the end"] = memory_bytes(gate.process.pid) / 1e6
    with _postgresql() as address:
        return result | asyncio.run(_spooled(folder, 1_000 if quick else 5_000, address))


@contextlib.contextmanager
def _postgresql() -> Iterator[str]:
    """Start a PostgreSQL of our own, which as in tests does not wait for the disk; "" where none is installed."""
    if postgres_programs() is None:
        yield ""
        return
    cluster = private_cluster()
    try:
        yield cluster.address
    finally:
        cluster.stop()


def client_of(port: int, token: str) -> httpx.Client:
    """Return a client of the API."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}, timeout=600
    )


def _seeded(folder: Path, count: int) -> Path:
    async def seed() -> None:
        database, _ = await control.seeded(folder, count)
        await database.close()

    asyncio.run(seed())
    return control.file_of(folder, count)


async def _token(settings: Settings) -> str:
    database = build_database(settings)
    try:
        actor = command_line_actor(control.ORGANISATION, "bench")
        return (await make_token(build_room(settings, database), actor, "bench", [*Permission], 1)).secret
    finally:
        await database.close()


def delays(port: int, mail: bytes, count: int) -> list[float]:
    """Send messages one after the other and return how many milliseconds each took, from DATA to the reply."""
    found = []
    with smtplib.SMTP("127.0.0.1", port, timeout=300) as client:
        client.ehlo()
        for number in range(count):
            client.mail(f"news{number}@news.example")
            client.rcpt("reader@example.org")
            begin = time.perf_counter()
            code, words = client.data(mail)
            if code != 250:
                raise RuntimeError(f"{code} {words!r}")
            found.append((time.perf_counter() - begin) * 1e3)
    return found


def _told(name: str, found: list[float]) -> dict[str, Any]:
    ordered = sorted(found)
    return {
        f"a message {name}": {
            "ms_median": statistics.median(ordered),
            "ms_p99": ordered[int(len(ordered) * 0.99)],
            "ms_longest": ordered[-1],
        }
    }


@contextlib.contextmanager
def _meanwhile(work: Callable[[], int]) -> Iterator[list[int]]:
    """Do something over and over beside the block."""
    done, results = threading.Event(), []

    def run() -> None:
        while not done.is_set():
            results.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield results
    finally:
        done.set()
        thread.join()


def _look(client: httpx.Client) -> int:
    paths = ("messages?limit=200", "messages?text=weekly&limit=200", "trackers?order=people&limit=200",
             "statistics/series?step_hours=1", "statistics/top/operator", "operators?limit=200")  # fmt: skip
    answer = client.get(f"{API}/{secrets.choice(paths)}")
    if answer.status_code != 200:
        raise RuntimeError(answer.text[:300])
    return len(answer.content)


def _try(client: httpx.Client) -> int:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 30 * control.DAY))
    answer = client.post(
        f"{API}/policy/trial", json={"document": {"format": 1, "level": "strict"}, "since": since}
    )
    if answer.status_code != 200:
        raise RuntimeError(answer.text[:300])
    return int(answer.json()["messages"])


async def _spooled(folder: Path, count: int, postgresql: str) -> dict[str, Any]:
    """Return how many observations a second go from the spool into the database, mail having half of the time."""
    result: dict[str, Any] = {}
    addresses = {"SQLite": "", "PostgreSQL": postgresql}
    for name, address in addresses.items():
        if name == "PostgreSQL" and not address:
            result["observations/s from the spool, PostgreSQL"] = "skipped: needs PostgreSQL"
            continue
        place = folder / name
        place.mkdir()
        database = Database(database_url(address, place))
        await control.prepared(database)
        spool = ObservationSpool(place / "spool", 2_000_000_000)
        try:
            for number, seen in enumerate(generated(count, 2, control.ORGANISATION, control.UNTIL), 1):
                spool.note(seen)
                if number % 100 == 0:
                    await asyncio.sleep(0.05)  # no faster than mail comes
        finally:
            await asyncio.to_thread(spool.close)
        if spool.dropped:
            raise RuntimeError(f"{spool.dropped} observations were dropped")
        loop = RecordLoop(spool, SqlObservationStore(database))
        try:
            begin = time.perf_counter()
            await loop.drain()
            rate = count / (time.perf_counter() - begin)
        finally:
            await database.close()
        result[f"observations/s from the spool, {name}"] = rate
        result[f"minutes for 100,000 at that rate, {name}"] = 100_000 / rate / 60
    return result
