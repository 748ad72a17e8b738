"""From the queue to the copy with everything real between them, and never twice, even after kill -9."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from PIL import Image

from app.fetching_process import fetch
from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.core.references.types import Media
from mailveil.ports import WantedCopy

WANTED = [WantedCopy("token", "http://news.example.com/open?reader=1", Media.IMAGE, width=3, height=2)]
PROCESS = Path(__file__).with_name("fetching_process.py")


class Origin:
    """Counts requests; answers with a body, or never where there is none."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.requests: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.asked = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            self.asked.set()
            if self.body:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.body) + self.body)


@contextlib.asynccontextmanager
async def serving(body: bytes = b"") -> AsyncIterator[tuple[Origin, int]]:
    origin = Origin(body)
    server = await asyncio.start_server(origin.answer, "127.0.0.1", 0)
    try:
        yield origin, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in origin.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


async def until_settled(store: SqliteCopyStore) -> dict[str, int]:
    async with asyncio.timeout(20):
        while (counts := await store.counts())["released"] or counts["attempted"]:
            await asyncio.sleep(0.05)
    return counts


def test_a_picture_comes_from_its_origin_into_the_store(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(file, "PNG")

    async def work(store: SqliteCopyStore) -> None:
        async with serving(file.getvalue() + b"<script>") as (origin, port):
            await store.reserve(WANTED)
            await store.release(WANTED)
            stop = asyncio.Event()
            fetching = asyncio.create_task(fetch(store, port, stop))
            assert (await until_settled(store))["stored"] == 1
            stop.set()
            await fetching
            assert len(origin.requests) == 1
        copy = await store.get("token")
        assert copy is not None
        assert copy.media_type == "image/png"
        assert Image.open(io.BytesIO(copy.body)).convert("RGB").getpixel((0, 0)) == (255, 0, 0)
        assert b"<script>" not in copy.body

    in_store(tmp_path, work)


def test_killed_between_attempt_and_outcome_it_is_never_fetched_again(tmp_path: Path) -> None:
    async def work(store: SqliteCopyStore) -> None:
        async with serving() as (origin, port):
            await store.reserve(WANTED)
            await store.release(WANTED)
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(PROCESS), str(tmp_path), str(port)
            )
            async with asyncio.timeout(20):
                await origin.asked.wait()
            assert (await store.counts())["attempted"] == 1
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()

            stop = asyncio.Event()
            fetching = asyncio.create_task(fetch(store, port, stop))
            await asyncio.sleep(1)
            stop.set()
            await fetching
            assert len(origin.requests) == 1
        assert (await store.counts())["placeholder"] == 1
        copy = await store.get("token")
        assert copy is not None
        assert (copy.body, copy.pending, copy.width, copy.height) == (b"", False, 3, 2)

    in_store(tmp_path, work)


def in_store(tmp_path: Path, work) -> None:  # type: ignore[no-untyped-def]
    store = SqliteCopyStore(StoreSettings(tmp_path))
    try:
        asyncio.run(work(store))
    finally:
        store.close()
