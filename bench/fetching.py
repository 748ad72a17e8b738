"""Fetches a second with a thousand slow origins, against what the number of fetches at once allows."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from PIL import Image

from mailveil.adapters.copystore import SqliteCopyStore
from mailveil.app.building import build_store
from mailveil.core.references.types import Media
from mailveil.ports import Requester, WantedCopy
from mailveil_room import mailveil_room

SLOW_S = 2.0


def measure(_folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return fetches a second, and which share that is of ``max_parallel`` fetches each as slow as its origin."""
    count = 200 if quick else 1_000
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    origins = Origins(file.getvalue())
    threading.Thread(target=lambda: asyncio.run(origins.serve()), daemon=True).start()
    with mailveil_room(
        {"fetch": {"enabled": True, "delay_s": 0}, "log": {"level": "warning"}}, started=False
    ) as gate:
        settings = gate.settings
        settings.directory.mkdir(mode=0o700)
        store = build_store(settings)
        try:
            asyncio.run(fill(store, count))
            gate.role, gate.ports = "fetcher", ()
            gate.start()
            counts = wait(store)
        finally:
            store.close()
        parallel = settings.fetch.max_parallel
    rate = len(origins.asked) / (origins.asked[-1] - origins.asked[0] + SLOW_S)
    return {
        "origins": count,
        "seconds an origin takes": SLOW_S,
        "at once": parallel,
        "fetched": counts["stored"],
        "fetches/s": rate,
        "share of what is possible": rate / (parallel / SLOW_S),
    }


class Origins:
    """Every address of the room's network; each answers after a while."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[float] = []

    async def serve(self) -> None:
        """Answer for ever."""
        server = await asyncio.start_server(self._answer, "0.0.0.0", 80, backlog=1024)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.asked.append(time.monotonic())
            await asyncio.sleep(SLOW_S)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {len(self.body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + self.body)
            await writer.drain()
        writer.close()


async def fill(store: SqliteCopyStore, count: int) -> None:
    """Queue one fetch from each origin, each for a message and a sender of its own."""
    async for wanted, requester in _wanted(count):
        await store.reserve(wanted, requester)
        await store.release(wanted, immediately=True)


async def _wanted(count: int) -> AsyncIterator[tuple[list[WantedCopy], Requester]]:
    for number in range(count):
        url = f"http://o-{number}.slow{number}.example/{number}.png"
        yield (
            [WantedCopy(f"token-{number}", url, Media.IMAGE)],
            Requester(f"m{number}", f"s{number}.example", "us"),
        )


def wait(store: SqliteCopyStore) -> dict[str, int]:
    """Wait until every fetch has ended; return how many ended how."""
    end = time.monotonic() + 900
    while True:
        counts = asyncio.run(store.counts())
        if not counts["released"] and not counts["attempted"]:
            return counts
        if time.monotonic() > end:
            raise RuntimeError(f"fetching does not end: {counts}")
        time.sleep(0.5)
