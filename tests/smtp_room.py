"""A room with a real SMTP or LMTP door on loopback, a scripted next hop behind it, and a raw client in front."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from mailveil.adapters.nexthop import NextHopSettings, SmtpNextHop
from mailveil.core.policy import Envelope
from mailveil.endpoints.lmtp import LmtpDoor
from mailveil.endpoints.smtp import SmtpDoor, SmtpSettings
from mailveil.endpoints.smtp_certificate import Certificate
from mailveil.ports import MailProtocol, NextHop, Reply, Transaction

EVERYTHING = ("SIZE 10000000", "8BITMIME", "SMTPUTF8")


STALL = "…"  # in a script: say nothing any more, and read nothing
Answer = str | Callable[[str], str | None] | None


@dataclass
class ScriptedServer:
    """An SMTP or LMTP server that answers what the script says: command verb → reply, ``None`` hangs up.

    ``script`` may also hold ``"GREETING"``, ``"BODY"`` (said once the message has begun to come), ``"END"`` (after
    the message; with LMTP for each recipient, whose RCPT command a callable is given) and, in place of a reply,
    ``STALL``. With ``tls`` it offers STARTTLS, with ``path`` it listens on that Unix socket.
    """

    script: dict[str, Answer] = field(default_factory=dict)
    extensions: tuple[str, ...] = EVERYTHING
    wires: list[bytes] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    lmtp: bool = False
    path: str = ""
    tls: ssl.SSLContext | None = None
    open: int = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedServer]:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.tasks.append(asyncio.create_task(self._serve(reader, writer)))

        if self.path:
            server = await asyncio.start_unix_server(serve, self.path, limit=1 << 26)
        else:
            server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 26)
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
        self.open += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._talk(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, answer: str | None) -> bool:
        if answer is None:
            return False
        if answer == STALL:
            await asyncio.Event().wait()
        writer.write(answer.encode() + b"\r\n")
        await writer.drain()
        return True

    def _default(self, verb: str, *, secured: bool) -> str:
        if verb == ("LHLO" if self.lmtp else "EHLO"):
            lines = ["next.example", *self.extensions]
            if self.tls is not None and not secured:
                lines.append("STARTTLS")
            return "\r\n".join(
                f"250{'-' if number < len(lines) else ' '}{text}" for number, text in enumerate(lines, 1)
            )
        if verb in ("LHLO", "EHLO"):
            return "500 5.5.1 what"
        known = {"DATA": "354 go on", "QUIT": "221 bye", "STARTTLS": "220 go", "XCLIENT": "220 next.example"}
        return known.get(verb, "250 2.0.0 fine")

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._say(writer, self._answer("GREETING", "", "220 next.example ESMTP")):
            return
        secured, recipients = False, []
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            self.commands.append(line)
            verb = line.split(" ")[0].upper()
            answer = self._answer(verb, line, self._default(verb, secured=secured))
            if not await self._say(writer, answer) or verb == "QUIT":
                return
            if verb == "STARTTLS" and self.tls is not None and answer.startswith("220"):
                await writer.start_tls(self.tls)
                reader._transport = writer.transport
                secured = True
            if verb in ("MAIL", "RSET"):
                recipients = []
            if verb == "RCPT" and answer.startswith("2"):
                recipients.append(line)
            if verb == "DATA" and answer.startswith("354"):
                if "BODY" in self.script:
                    await reader.readexactly(200)
                    writer.transport.pause_reading()
                    await self._say(writer, self._answer("BODY", "", ""))
                    return
                # readuntil would miss a message of nothing but the final dot; none of the tests send one.
                wire = await reader.readuntil(b"\r\n.\r\n")
                for recipient in recipients if self.lmtp else [""]:
                    end = self._answer("END", recipient, "250 2.0.0 queued as 4711")
                    if end is not None and end.startswith("250 ") and wire[:-3] not in self.wires[-1:]:
                        self.wires.append(wire[:-3])
                    if not await self._say(writer, end):
                        return


class Client:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 60)).decode()
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

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Start TLS after a 220; raises what the handshake raises."""
        await self.writer.start_tls(context, server_hostname=name)
        self.reader._transport = self.writer.transport

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
                hello = "LHLO" if isinstance(self.door, LmtpDoor) else "EHLO"
                assert (await client.reply()).startswith("220 ")
                assert (await client.say(f"{hello} client.example")).startswith("250")
            yield client
        finally:
            client.close()
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def smtp_room(
    *,
    accept: Callable[..., object] = pass_on,
    next_hop: NextHop | None = None,
    script: dict[str, Answer] | None = None,
    extensions: tuple[str, ...] = EVERYTHING,
    hop_settings: dict[str, object] | None = None,
    hop_lmtp: bool = False,
    hop_tls: ssl.SSLContext | None = None,
    kind: type[SmtpDoor] = SmtpDoor,
    certificate: Certificate | None = None,
    profile: Callable[[str], str] | None = None,
    **settings: object,
) -> AsyncIterator[Room]:
    """Open the room; ``hop_lmtp`` and ``kind`` say what is spoken behind and in front, the rest sets the door."""
    hop = ScriptedServer(script or {}, extensions, lmtp=hop_lmtp, tls=hop_tls)
    async with hop.running():
        spoken = MailProtocol.LMTP if hop_lmtp else MailProtocol.SMTP
        more = {"protocol": spoken, **(hop_settings or {})}
        real = next_hop or SmtpNextHop(NextHopSettings("127.0.0.1", hop.port, "gate.example", **more))
        door = kind(
            SmtpSettings("gate.example", **settings), real, accept, certificate=certificate, profile=profile
        )
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
