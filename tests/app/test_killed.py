"""The whole product is killed with SIGKILL wherever a message can be, and nothing is lost or fetched twice.

Setup: a real ``mailveil serve`` in a process of its own, a next hop that stalls where it is told to, and an exit
(SOCKS5) that is itself the origin of every picture, so that not one packet leaves this machine.
Test: killed at a stage and started again; the client sends again what it has no 250 for, as every client does.
Every message that was acknowledged is at the next hop, none is lost, and the origin saw no URL twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.adapters.originals import OriginalStore, load_key
from mailveil.config.settings import TYPES
from smtp_room import Client

EXIT = "MAILVEIL_FETCH__EXITS" if "exits" in TYPES["fetch"] else "MAILVEIL_FETCH__PROXY"
PATIENCE_S = 60.0


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(file, "PNG")
    return file.getvalue()


PICTURE = picture()


def message(number: int) -> bytes:
    # An address, not a name: nothing has to be looked up. It is one that the guard lets through.
    url = f"http://93.184.215.14/open-{number}.png"
    return (
        f"From: news@example.com\r\nTo: reader@example.org\r\nSubject: number {number}.\r\n"
        f"Message-ID: <{number}@example.com>\r\nContent-Type: text/html\r\n\r\n"
        f'<p>Hello</p><img src="{url}">\r\n'
    ).encode()


@dataclass
class Listener:
    """Something that serves connections until the test is over, and counts what it is asked."""

    stall: str = ""  # where to say nothing more
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    port: int = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.tasks.add(asyncio.create_task(self._serve(reader, writer)))

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self.talk(reader, writer)
        finally:
            writer.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def pause(self, stage: str) -> None:
        if stage == self.stall:
            self.stalled.set()
            await self.go_on.wait()

    def let_go(self) -> None:
        self.stall = ""
        self.go_on.set()


class Hop(Listener):
    """The next hop: what is in ``taken`` is its own, whether or not anybody heard its 250."""

    taken: list[bytes]

    def __init__(self) -> None:
        super().__init__()
        self.taken = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 next.example ESMTP\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                await self.pause("DATA")
                writer.write(b"354 go on\r\n")
                body = await reader.readuntil(b"\r\n.\r\n")
                await self.pause("END")
                self.taken.append(body)
                writer.write(b"250 2.0.0 queued\r\n")
            elif verb == b"EHLO":
                writer.write(b"250-next.example\r\n250 8BITMIME\r\n")
            else:
                writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 2.0.0 fine\r\n")


class Origin(Listener):
    """Exit and origin in one: takes any address that it is asked for, and counts URLs."""

    seen: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.seen = Counter()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        length = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        await reader.readexactly(length + 2)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        request = await reader.readuntil(b"\r\n\r\n")
        self.seen[request.split(b" ")[1].decode()] += 1
        await self.pause("request")
        fields = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\n"
        writer.write(fields + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE)
        await writer.drain()


class House:
    """The product, as often as it is started, with its storage; and what its client has been told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hop, self.origin = Hop(), Origin()
        self.acknowledged: set[int] = set()
        self.process: asyncio.subprocess.Process | None = None
        self.variables: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        async with self.hop.running(), self.origin.running():
            try:
                yield self
            finally:
                if self.process is not None:
                    await self.kill()

    async def start(self, *arguments: str, **more: str) -> None:
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(3)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            gateway, copies, console = (each.getsockname()[1] for each in sockets)
        self.port = gateway
        self.variables = {
            "MAILVEIL_GATEWAY__LISTEN": f"127.0.0.1:{gateway}",
            "MAILVEIL_GATEWAY__NEXT_HOP": f"smtp://127.0.0.1:{self.hop.port}",
            "MAILVEIL_GATEWAY__HOSTNAME": "gate.example",
            "MAILVEIL_COPIES__LISTEN": f"127.0.0.1:{copies}",
            "MAILVEIL_CONSOLE__LISTEN": f"127.0.0.1:{console}",
            "MAILVEIL_STORAGE__DIRECTORY": str(self.directory),
            "MAILVEIL_WORKERS__PROCESSES": "1",
            "MAILVEIL_FETCH__DELAY_S": "0",
            "MAILVEIL_FETCH__TIMEOUT_S": "30",
            EXIT: f"socks5://127.0.0.1:{self.origin.port}",
            **more,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAILVEIL_")}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mailveil", "serve", *(arguments or ("--role", "gateway,copies,fetcher")),
            env={**inherited, **self.variables},
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", gateway)
                    writer.close()
                    return
                assert self.process.returncode is None, "mailveil has ended"
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.process = None

    async def restart(self) -> None:
        self.hop.let_go()
        self.origin.let_go()
        await self.start()

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        async with asyncio.timeout(PATIENCE_S):
            assert (await client.reply()).startswith("220")
            assert (await client.say("EHLO client.example")).startswith("250")
        return client

    async def send(self, number: int) -> str:
        """Send a message; what is acknowledged is written down, what is not is sent again some day."""
        try:
            client = await self.client()
            try:
                for line in ("MAIL FROM:<news@example.com>", "RCPT TO:<reader@example.org>", "DATA"):
                    reply = await client.say(line)
                    assert reply[0] in "23", reply
                client.writer.write(message(number) + b".\r\n")
                async with asyncio.timeout(PATIENCE_S):
                    reply = (await client.reader.readline()).decode()
            finally:
                client.close()
        except (ConnectionError, AssertionError):
            return "lost"
        if reply.startswith("250"):
            self.acknowledged.add(number)
        return reply or "lost"

    def workers(self) -> list[int]:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task")
        found = [
            int(child) for task in children.iterdir() for child in (task / "children").read_text().split()
        ]
        return [
            each
            for each in found
            if b"mailveil.adapters.worker\0" in Path(f"/proc/{each}/cmdline").read_bytes()
        ]

    def at_next_hop(self) -> Counter[int]:
        found: Counter[int] = Counter()
        for raw in self.hop.taken:
            number = re.search(rb"Subject: number (\d+)\.", raw)
            assert number is not None
            assert b"93.184.215.14" not in raw, "nothing goes on that was not protected"
            found[int(number[1])] += 1
        return found

    async def until_settled(self) -> None:
        """Wait until the queue has nothing more to fetch."""
        store = SqliteCopyStore(StoreSettings(self.directory / "copies"))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (counts := await store.counts())["released"] or counts["attempted"]:
                    await asyncio.sleep(0.1)
        finally:
            store.close()

    async def check(self, *numbers: int, twice: int = 0) -> None:
        """Send again what is not acknowledged, and see that all is as promised."""
        for number in numbers:
            if number not in self.acknowledged:
                assert (await self.send(number)).startswith("250")
        await self.until_settled()
        arrived = self.at_next_hop()
        assert set(arrived) == set(numbers) == self.acknowledged, "none is lost"
        assert sum(arrived.values()) <= len(numbers) + twice, "and no more than SMTP itself doubles"
        assert self.origin.seen, "the origin works"
        assert max(self.origin.seen.values()) == 1, "no URL is ever seen twice"
        assert len(self.origin.seen) <= len(numbers)


def run(directory: Path, work: Callable[[House], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with asyncio.timeout(240), House(directory).open() as house:
            await work(house)

    asyncio.run(inside())


def test_killed_while_a_message_comes_in(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.start()
        assert (await house.send(1)).startswith("250")
        client = await house.client()
        for line in ("MAIL FROM:<news@example.com>", "RCPT TO:<reader@example.org>", "DATA"):
            await client.say(line)
        client.writer.write(message(2)[:100])
        await client.writer.drain()
        await asyncio.sleep(0.2)
        await house.kill()
        client.close()
        await house.restart()
        await house.check(1, 2)

    run(tmp_path, work)


def test_killed_while_the_worker_looks_into_it(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.start()
        assert (await house.send(1)).startswith("250")
        (worker,) = house.workers()
        os.kill(worker, signal.SIGSTOP)
        sending = asyncio.create_task(house.send(2))
        await asyncio.sleep(1)
        assert not sending.done()
        await house.kill()
        assert await sending == "lost"
        await house.restart()
        await house.check(1, 2)

    run(tmp_path, work)


def test_a_message_that_takes_the_whole_process_with_it_becomes_inert_text(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        for _ in range(3):
            await house.start()
            assert (await house.send(1)).startswith("250"), "others pass meanwhile"
            (worker,) = house.workers()
            os.kill(worker, signal.SIGSTOP)
            sending = asyncio.create_task(house.send(2))
            await asyncio.sleep(1)
            await house.kill()
            assert await sending == "lost"
        await house.start()
        assert (await house.send(2)).startswith("250")
        inert = house.hop.taken[-1]
        assert b"Subject: number 2." in inert
        assert b"Content-Type: text/plain; charset=utf-8" in inert
        assert b"93.184.215.14" not in inert
        originals = OriginalStore(tmp_path / "originals", load_key(tmp_path / "originals.key"))
        (kept,) = originals.list()
        assert originals.release(kept.identifier).endswith(message(2))
        assert (await house.send(3)).startswith("250")
        assert b"Content-Type: text/html" in house.hop.taken[-1]

    run(tmp_path, work)


@pytest.mark.parametrize("stage", ["DATA", "END"])
def test_killed_after_the_copies_are_reserved(tmp_path: Path, stage: str) -> None:
    """At DATA the next hop has nothing of the message; after the final dot it has all and has not said so."""

    async def work(house: House) -> None:
        await house.start()
        house.hop.stall = stage
        sending = asyncio.create_task(house.send(1))
        await asyncio.wait_for(house.hop.stalled.wait(), PATIENCE_S)
        assert not house.origin.seen, "before the next hop has it no origin is asked"
        await house.kill()
        assert await sending == "lost"
        await house.restart()
        await house.check(1, twice=1 if stage == "END" else 0)

    run(tmp_path, work)


def test_killed_between_the_next_hops_250_and_ours(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.start()
        house.hop.stall = "END"
        sending = asyncio.create_task(house.send(1))
        await asyncio.wait_for(house.hop.stalled.wait(), PATIENCE_S)
        assert house.process is not None
        house.process.send_signal(signal.SIGSTOP)
        house.hop.let_go()
        while not house.hop.taken:
            await asyncio.sleep(0.02)
        await house.kill()
        assert await sending == "lost"
        assert house.at_next_hop()[1] == 1
        await house.restart()
        await house.check(1, twice=1)  # SMTP cannot do better (RFC 1047)

    run(tmp_path, work)


def test_killed_between_release_and_fetch(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.start("--role", "gateway")  # nobody fetches here
        assert (await house.send(1)).startswith("250")
        await house.kill()
        assert not house.origin.seen
        await house.restart()
        await house.check(1)
        assert house.origin.seen == {"/open-1.png": 1}, "what was not attempted yet is made up for"

    run(tmp_path, work)


def test_killed_during_the_fetch(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.start()
        house.origin.stall = "request"
        assert (await house.send(1)).startswith("250"), "mail does not wait for origins"
        await asyncio.wait_for(house.origin.stalled.wait(), PATIENCE_S)
        await house.kill()
        await house.restart()
        await house.check(1)
        store = SqliteCopyStore(StoreSettings(tmp_path / "copies"))
        counts = await store.counts()
        store.close()
        assert counts["placeholder"] == 1, "what was attempted without a known outcome is not tried again"

    run(tmp_path, work)


def test_killed_while_a_message_waits_for_its_copies(tmp_path: Path) -> None:
    """Embedded copies are fetched before the message goes on: even so the origin sees the URL once."""
    embedded = {"MAILVEIL_COPIES__MODE": "embedded", "MAILVEIL_COPIES__EMBED_WAIT_S": "60"}

    async def work(house: House) -> None:
        await house.start(**embedded)
        house.origin.stall = "request"
        sending = asyncio.create_task(house.send(1))
        await asyncio.wait_for(house.origin.stalled.wait(), PATIENCE_S)
        assert house.hop.taken == []
        await house.kill()
        assert await sending == "lost"
        house.origin.let_go()
        await house.start(**embedded)
        assert (await house.send(2)).startswith("250")
        assert b"cid:placeholder@" not in house.hop.taken[0], "a new message has its picture"
        await house.check(1, 2)
        assert b"cid:placeholder@" in house.hop.taken[1]

    run(tmp_path, work)
