"""Readers who fetch copies leave no trace: which copy was asked for, when, how often and by whom is kept nowhere.

Setup: a real ``mailveil serve`` at log level "debug" with a stored copy.
Test: after many requests for it, and for addresses that are none, every table of every database holds what it held
before, and neither the log nor any file has a new word of it.
"""

from __future__ import annotations

import asyncio
import http.client
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from mailveil.app.building import build_addresses, build_store
from mailveil.config import Settings
from mailveil.core.references.types import Media
from mailveil.ports import WantedCopy
from mailveil_room import mailveil_room
from postfix_room import free_port

MARK = "readerplant"


def stored(settings: Settings) -> str:
    """Store a copy and return its path."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    addresses = build_addresses(settings)
    token = addresses.derive(b"m", "https://a.shop.example/x", "image")
    wanted = [WantedCopy(token, "https://a.shop.example/x", Media.IMAGE)]
    store = build_store(settings)

    async def fill() -> None:
        await store.reserve(wanted)
        await store.release(wanted, immediately=True)
        job = await store.claim()
        assert job is not None
        await store.put(job, b"picture", "image/png")

    asyncio.run(fill())
    store.close()
    return "/" + addresses.address(token).partition("://")[2].partition("/")[2]


def content(directory: Path) -> dict[str, list[str]]:
    """Return every row of every database."""
    found = {}
    for path in sorted(directory.rglob("*.sqlite3")):
        with closing(sqlite3.connect(path)) as database:
            found[path.name] = [
                line
                for line in database.iterdump()
                if "sqlite_stat" not in line and "sqlite_sequence" not in line
            ]
    return found


def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    headers = {"User-Agent": MARK, "Referer": f"https://{MARK}.example/", "Cookie": f"a={MARK}"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as client:
        client.request(method, path, headers=headers)
        answer = client.getresponse()
        return answer.status, answer.read()


def test_what_readers_ask_for_is_kept_nowhere() -> None:
    copies, console = free_port(), free_port()
    table = {
        "copies": {"listen": f"127.0.0.1:{copies}"},
        "console": {"listen": f"127.0.0.1:{console}"},
        "log": {"level": "debug"},
        "workers": {"processes": 1},
        "judge": {"memory_days": 0},
    }
    with mailveil_room(table, doors=(copies, console), started=False) as mailveil:
        path = stored(mailveil.settings)
        mailveil.start()
        answered, ready = 0, time.monotonic() + 120
        while answered != 200:
            assert time.monotonic() < ready, mailveil.log()
            answered = ask(console, "GET", "/readyz")[0]
        before = content(mailveil.settings.directory)
        for _ in range(20):
            assert ask(copies, "GET", path) == (200, b"picture")
            assert ask(copies, "HEAD", path)[0] == 200
            ask(copies, "GET", path + "x")
            ask(copies, "GET", f"/{MARK}")
        assert content(mailveil.settings.directory) == before
        mailveil.stop()
        files = [each for each in mailveil.root.rglob("*") if each.is_file()]
        token = path.rpartition("/")[2].encode()
        for each in files:
            told = each.read_bytes()
            assert MARK.encode() not in told, each
            assert token not in told, each
