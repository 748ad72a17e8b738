"""A room with a real SMTP door on loopback, a scripted next hop behind it, and a raw client in front."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from mailveil.adapters.nexthop import NextHopSettings, SmtpNextHop
from mailveil.core.policy import Envelope
from mailveil.endpoints.smtp import SmtpDoor, SmtpSettings
from mailveil.ports import NextHop, Reply, Transaction

EVERYTHING = ("SIZE 10000000", "8BITMIME", "SMTPUTF8")


@dataclass
class ScriptedServer:
    """An SMTP server that answers what the script says: command verb → reply, ``None`` hangs up.

    ``script`` may also hold ``"GREETING"``, ``"END"`` (after the message) and a callable of the whole line.
    """

    script: dict[str, str | Callable[[str], str | None] | None] = field(default_factory=dict)
    extensions: tuple[str, ...] = EVERYTHING
    wires: list[bytes] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedServer]:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.tasks.append(asyncio.create_task(self._serve(reader, writer)))

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await asyncio.sleep(0)

    def _answer(self, verb: str, line: str, default: str) -> str | None:
        answer = self.script.get(verb, default)
        return answer(line) if callable(answer) else answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._talk(reader, writer)
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(answer: str | None) -> bool:
            if answer is None:
                return False
            writer.write(answer.encode() + b"\r\n")
            await writer.drain()
            return True

        if not await say(self._answer("GREETING", "", "220 next.example ESMTP")):
            return
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            self.commands.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                lines = ["next.example", *self.extensions]
                default = "\r\n".join(
                    f"250{'-' if number < len(lines) else ' '}{text}" for number, text in enumerate(lines, 1)
                )
            else:
                default = {"DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 2.0.0 fine")
            answer = self._answer(verb, line, default)
            if not await say(answer) or verb == "QUIT":
                return
            if verb == "DATA" and answer is not None and answer.startswith("354"):
                # readuntil would miss a message of nothing but the final dot; none of the tests send one.
                wire = await reader.readuntil(b"\r\n.\r\n")
                end = self._answer("END", "", "250 2.0.0 queued as 4711")
                if end is not None and end.startswith("2"):
                    self.wires.append(wire[:-3])
                if not await say(end):
                    return


class Client:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 10)).decode()
            if not line:
                return "closed"
            assert line.endswith("\r\n"), line
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, line: str | bytes) -> str:
        self.writer.write((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return await self.reply()

    async def send(self, message: bytes, *recipients: str, options: str = "") -> str:
        """Send a message whose lines are dot-stuffed already; return the last reply."""
        for line in (
            f"MAIL FROM:<sender@example.com>{options}",
            *(f"RCPT TO:<{recipient}>" for recipient in recipients or ("reader@example.org",)),
            "DATA",
        ):
            reply = await self.say(line)
            if reply[0] not in "23":
                return reply
        self.writer.write(message + b".\r\n")
        return await self.reply()

    def close(self) -> None:
        self.writer.close()


async def pass_on(envelope: Envelope, raw: bytes, transaction: Transaction, identifier: str) -> Reply:
    """A gateway with nothing to do."""
    return await transaction.deliver(raw)


@dataclass
class Room:
    door: SmtpDoor
    hop: ScriptedServer

    @contextlib.asynccontextmanager
    async def client(self, *, greet: bool = True) -> AsyncIterator[Client]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.door.port))
        try:
            if greet:
                assert (await client.reply()).startswith("220 ")
                assert (await client.say("EHLO client.example")).startswith("250")
            yield client
        finally:
            client.close()
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def smtp_room(
    *,
    accept: Callable[..., object] = pass_on,
    next_hop: NextHop | None = None,
    script: dict[str, str | Callable[[str], str | None] | None] | None = None,
    extensions: tuple[str, ...] = EVERYTHING,
    hop_settings: dict[str, float] | None = None,
    **settings: object,
) -> AsyncIterator[Room]:
    hop = ScriptedServer(script or {}, extensions)
    async with hop.running():
        real = next_hop or SmtpNextHop(
            NextHopSettings("127.0.0.1", hop.port, "gate.example", **(hop_settings or {}))
        )
        door = SmtpDoor(SmtpSettings("gate.example", **settings), real, accept)
        await door.start("127.0.0.1", 0)
        try:
            yield Room(door, hop)
        finally:
            await door.stop(1)


def without_trace(raw: bytes) -> bytes:
    """Return a message without the Received field that our own relay put on top of it."""
    lines = raw.split(b"\r\n")
    assert lines[0].startswith(b"Received: from "), lines[0]
    del lines[0]
    while lines[0].startswith(b"\t"):
        del lines[0]
    return b"\r\n".join(lines)
