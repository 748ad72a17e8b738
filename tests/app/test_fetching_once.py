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

import pytest
from PIL import Image

from app.fetching_process import fetch
from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.app import fetching as app_fetching
from mailveil.core.references.types import Media
from mailveil.core.verdicts.evidence import FetchOutcome
from mailveil.ports import WantedCopy

WANTED = [WantedCopy("token", "http://news.example.com/open?reader=1", Media.IMAGE, width=3, height=2)]
PROCESS = Path(__file__).with_name("fetching_process.py")


class Origin:
    """Counts requests; answers with a body, or never where there is none."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.busy = 0
        self.requests: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.asked = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            self.asked.set()
            if self.busy:
                self.busy -= 1
                writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
            elif self.body:
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
    async with asyncio.timeout(60):
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
            async with asyncio.timeout(60):
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


def test_an_http_client_killed_over_a_request_is_not_asked_again(tmp_path: Path) -> None:
    async def work(store: SqliteCopyStore) -> None:
        async with serving() as (origin, port):
            await store.reserve(WANTED)
            await store.release(WANTED)
            stop = asyncio.Event()
            fetching = asyncio.create_task(fetch(store, port, stop))
            async with asyncio.timeout(60):
                await origin.asked.wait()
            (child,) = children_of(os.getpid(), b"mailveil.adapters.httpchild")
            os.kill(child, signal.SIGKILL)
            assert (await until_settled(store))["placeholder"] == 1
            stop.set()
            await fetching
            assert len(origin.requests) == 1
            (past,) = await store.past_fetches()
            assert past.evidence.outcome is FetchOutcome.LOST

    in_store(tmp_path, work)


def test_the_http_client_dies_with_its_parent_and_hangs_up(tmp_path: Path) -> None:
    async def work(store: SqliteCopyStore) -> None:
        async with serving() as (origin, port):
            await store.reserve(WANTED)
            await store.release(WANTED)
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(PROCESS), str(tmp_path), str(port)
            )
            async with asyncio.timeout(60):
                await origin.asked.wait()
                (child,) = children_of(process.pid, b"mailveil.adapters.httpchild")
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
                while Path(f"/proc/{child}").exists() and b"State:\tZ" not in status_of(child):
                    await asyncio.sleep(0.05)

    in_store(tmp_path, work)


@pytest.mark.parametrize(("answers", "requests", "state"), [(1, 2, "stored"), (2, 2, "placeholder")])
def test_who_tells_us_to_come_again_is_asked_once_more_and_never_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: int, requests: int, state: str
) -> None:
    monkeypatch.setattr(app_fetching, "MIN_AGAIN_S", 0.1)
    file = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(file, "PNG")

    async def work(store: SqliteCopyStore) -> None:
        async with serving(file.getvalue()) as (origin, port):
            origin.busy = answers
            await store.reserve(WANTED)
            await store.release(WANTED)
            for _ in range(2):  # and a restart in between makes no difference
                stop = asyncio.Event()
                fetching = asyncio.create_task(fetch(store, port, stop))
                await asyncio.sleep(1.5)
                stop.set()
                await fetching
            assert (await until_settled(store))[state] == 1
            assert len(origin.requests) == requests

    in_store(tmp_path, work)


def children_of(parent: int, name: bytes) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                b"PPid:\t%d\n" % parent in (path / "status").read_bytes()
                and name in (path / "cmdline").read_bytes()
            ):
                found.append(int(path.name))
    return found


def status_of(process: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/status").read_bytes()
    return b"State:\tZ"


def in_store(tmp_path: Path, work) -> None:  # type: ignore[no-untyped-def]
    store = SqliteCopyStore(StoreSettings(tmp_path))
    try:
        asyncio.run(work(store))
    finally:
        store.close()
