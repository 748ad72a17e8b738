"""Milter server: mail servers connect by TCP and Unix socket; bounds what is held, and stops without losing mail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

from mailveil.core.policy import Envelope
from mailveil.endpoints.milter.dialogue import Dialogue, Message, NotOfferedError, Turn
from mailveil.endpoints.milter.fieldchanges import InexpressibleError
from mailveil.endpoints.milter.wire import PROGRESS
from mailveil.endpoints.smtp_intake import Arrival, Intake
from mailveil.endpoints.smtp_replies import BUSY, FULL
from mailveil.endpoints.unixsocket import open_socket, remove_socket
from mailveil.ports import UNKNOWN_FAILURE, Reply, Transaction

log = logging.getLogger("mailveil.milter")

Accept = Callable[[Envelope, bytes, Transaction, str], Awaitable[Reply]]
Network = IPv4Network | IPv6Network

TAKEN = Reply(250, "2.0.0", "Given back to the mail server")
HUNG_UP = Reply(451, "4.4.2", "The mail server hung up")
CANNOT_CHANGE = Reply(451, "4.3.5", "The mail server lets this filter change nothing")
PROGRESS_S = 30.0  # mail servers wait for five minutes, and start anew when they are told to wait
SWEEP_S = 5.0


class StrangersError(ValueError):
    """Strangers could connect."""


def check_listener(host: str, clients: Sequence[Network]) -> None:
    """Raise ``StrangersError`` where strangers could connect and nobody is named who may.

    Whoever connects can claim that a message came from anybody, and have its pictures fetched.
    """
    try:
        is_loopback = ip_address(host.strip("[]")).is_loopback
    except ValueError:
        is_loopback = host.lower() == "localhost"
    if not is_loopback and all(network.is_loopback for network in clients):
        raise StrangersError(
            f"listening on {host or 'every address'} needs 'clients', the addresses of the mail servers that "
            "may connect: without them strangers could have mail examined as if they were your mail server"
        )


@dataclass(frozen=True, slots=True)
class MilterSettings:
    """What the milter door needs to know. ``clients`` may connect by TCP; the socket has its permissions."""

    clients: tuple[Network, ...] = ()
    max_message_bytes: int = 50 * 1024 * 1024
    max_connections: int = 200
    max_messages: int = 16
    timeout_s: float = 600.0
    busy_timeout_s: float = 20.0


class MilterDoor:
    """The listening side. ``accept`` protects one message and delivers it (the gateway).

    ``intake`` counts the bytes that the doors of a process hold together; without it there is no such bound.

    At most ``max_messages`` are held at once; a mail server that comes with a further one is not read from
    until there is room, and after ``busy_timeout_s`` its message is refused for now.
    """

    def __init__(self, settings: MilterSettings, accept: Accept, intake: Intake | None = None) -> None:
        self.settings = settings
        self.accept = accept
        self.intake = intake or Intake(
            settings.max_messages, settings.max_messages * settings.max_message_bytes
        )
        self.sessions: set[MilterSession] = set()
        self.waiting: deque[MilterSession] = deque()
        self.is_stopping = False
        self.port = 0  # that is listened on by TCP, 0 if none is
        self._room = settings.max_messages
        self._servers: list[asyncio.Server] = []
        self._socket: tuple[Path, os.stat_result] | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen on TCP. Raises ``StrangersError`` and ``OSError`` (address in use)."""
        check_listener(host, self.settings.clients)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: MilterSession(self), host, port, backlog=128)
        self._begin(server)
        self.port = server.sockets[0].getsockname()[1]

    async def start_socket(self, path: Path, mode: int = 0o660, group: str = "") -> None:
        """Listen on a Unix socket that ``group`` may connect to. Raises ``OSError``.

        What is left of a dead process is replaced; a socket on which somebody answers is not.
        """
        listening = open_socket(path, mode, group)
        self._socket = (path, path.stat())
        loop = asyncio.get_running_loop()
        self._begin(await loop.create_unix_server(lambda: MilterSession(self), sock=listening, backlog=128))

    def _begin(self, server: asyncio.Server) -> None:
        self._servers.append(server)
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self, grace_s: float = 30.0) -> None:
        """Listen no more, let messages under way finish for up to ``grace_s``, then hang up."""
        self.is_stopping = True
        for server in self._servers:
            server.close()
        if self._socket is not None:
            remove_socket(*self._socket)
        for session in list(self.sessions):
            if not session.dialogue.is_under_way:
                session.leave()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        while self.sessions and loop.time() < deadline:
            await asyncio.sleep(0.05)
        tasks = [session.task for session in self.sessions if session.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in list(self.sessions):
            session.leave()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    def take_room(self) -> bool:
        """Take the room for one message, if there is any."""
        if self._room == 0:
            return False
        self._room -= 1
        return True

    def give_room(self) -> None:
        """Pass the room of one message on to who waits for it longest."""
        self._room += 1
        while self.waiting and self._room:
            self._room -= 1
            self.waiting.popleft().admit()

    async def _sweep(self) -> None:
        """Look after every session now and then: cheaper than timers for each of its events."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(SWEEP_S, self.settings.busy_timeout_s, self.settings.timeout_s))
            for session in list(self.sessions):
                session.look_after(loop.time())


class MilterSession(asyncio.Protocol):
    """One connection of a mail server; also the transaction through which its message is delivered."""

    def __init__(self, door: MilterDoor) -> None:
        self.door = door
        self.dialogue = Dialogue(door.settings.max_message_bytes)
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None
        self.peer = ""
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._told_at = 0.0
        self._has_room = False
        self._arrival: Arrival | None = None
        self._is_paused = False
        self._is_answered = False

    # --- connection --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or turn away who may not connect or is one too many."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        door = self.door
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peer = str(transport.get_extra_info("peername")[0]).partition("%")[0]
            if not _may_connect(self.peer, door.settings.clients):
                log.warning("refused a connection from [%s], which is not among [milter] clients", self.peer)
                transport.abort()
                return
        connections = len(door.sessions)
        if door.is_stopping or connections >= 2 * door.settings.max_connections:
            transport.abort()
            return
        if connections >= door.settings.max_connections:
            log.warning("refused a connection: %d are open ([milter] max_connections)", connections)
            self.dialogue = Dialogue(0, FULL)
        door.sessions.add(self)

    def data_received(self, data: bytes) -> None:
        """Take what came, as far as there is room for it."""
        if self.transport is None:
            return
        self._heard_at = self._loop.time()
        self.dialogue.receive(data)
        if self.task is not None:  # nothing is due before the answer: let it wait where it is
            self._pause()
        elif not self._is_paused:
            self._advance()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """Forget the connection; a message that is being examined finds nobody to give it to."""
        self.transport = None
        self.door.sessions.discard(self)
        with contextlib.suppress(ValueError):
            self.door.waiting.remove(self)
        if self.task is None:
            self._leave_room()

    def leave(self) -> None:
        """Hang up, once what was answered is sent."""
        self._send()
        if self.transport is not None:
            self.transport.close()

    def look_after(self, now: float) -> None:
        """Tell the mail server that we are at work, refuse what waited too long, hang up on who is silent."""
        if self.transport is None:
            return
        settings = self.door.settings
        if self._arrival is not None and self._arrival.refusal is not None:
            self.dialogue.let_go(BUSY)  # it came in so slowly that it had to give way
        if self.task is not None:
            if not self._is_answered and now - max(self._told_at, self._heard_at) >= PROGRESS_S:
                self._told_at = now
                self.transport.write(PROGRESS)
        elif self in self.door.waiting:
            if now - self._heard_at >= settings.busy_timeout_s:
                log.warning("refused a message for now: %d are held already", settings.max_messages)
                self.door.waiting.remove(self)
                self.dialogue.begin(BUSY)
                self._resume()
        elif now - self._heard_at >= settings.timeout_s:
            self.transport.abort()

    # --- turns -------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        while (turn := self.dialogue.advance()) is not None:
            if turn is Turn.CONTENT:
                if not self.door.take_room():
                    self.door.waiting.append(self)
                    self._pause()
                    break
                self._begin()
            elif isinstance(turn, Message):
                if not self._counts():
                    self.dialogue.refuse(BUSY)
                    self._leave_room()
                    continue
                self._is_answered = False
                if self._arrival is not None:
                    self.door.intake.forget(self._arrival)
                self.task = asyncio.create_task(self._examine(turn))
                break
            elif turn is Turn.OVER:
                self._leave_room()
                if self.door.is_stopping:
                    self.leave()
                    return
            else:
                if self.dialogue.defect:
                    log.warning("hung up on %s: %s", self._name(), self.dialogue.defect)
                self._leave_room()
                self.leave()
                return
        if not self._counts():
            self.dialogue.let_go(BUSY)
        self._send()

    def admit(self) -> None:
        """Take the message that waited for room; the room is this session's already."""
        self._begin()
        self._resume()

    def _begin(self) -> None:
        self._has_room = True
        settings, now = self.door.settings, self._loop.time()
        self._arrival = self.door.intake.begin(settings.max_message_bytes, now)
        self.dialogue.begin()

    def _counts(self) -> bool:
        """Count what is held of a message; False where there are too many bytes already."""
        if self._arrival is None:
            return True
        return self._arrival.grow(self.dialogue.held_bytes, self._loop.time())

    def _leave_room(self) -> None:
        if self._arrival is not None:
            self._arrival.end()
            self._arrival = None
        if self._has_room:
            self._has_room = False
            self.door.give_room()

    def _send(self) -> None:
        output = self.dialogue.take_output()
        if output and self.transport is not None:
            self.transport.write(output)

    def _pause(self) -> None:
        if not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if self.transport is not None:
                self.transport.resume_reading()
        self._heard_at = self._loop.time()
        self._advance()

    def _name(self) -> str:
        return f"[{self.peer}]" if self.peer else "the Unix socket"

    # --- one message -------------------------------------------------------------------------------------

    async def _examine(self, message: Message) -> None:
        identifier = message.identifier or secrets.token_hex(6)
        started = time.monotonic()
        reply = UNKNOWN_FAILURE
        try:
            reply = await self.door.accept(message.envelope, message.raw, self, identifier)
        except Exception:  # whatever it is, the mail server keeps the message
            log.exception("message %s could not be processed", identifier)
        finally:
            self.task = None
            if not self._is_answered:
                # Only what was delivered is taken, whatever was returned.
                self._is_answered = True
                self.dialogue.refuse(UNKNOWN_FAILURE if reply.is_positive else reply)
            self._leave_room()
        log.info(
            "message %s from [%s]: %d bytes, %d recipients, %d ms: %d %s",
            identifier,
            message.envelope.client_address,
            len(message.raw),
            len(message.envelope.recipients),
            (time.monotonic() - started) * 1000,
            reply.code,
            reply.status,
        )
        if self.door.is_stopping:
            self.leave()
        else:
            self._resume()

    async def recipient(self, address: str, options: Sequence[str] = ()) -> Reply:  # noqa: ARG002
        """Take a recipient: which there are is the mail server's business alone."""
        return Reply(250, "2.1.5", "OK")

    async def deliver(self, raw: bytes) -> Reply:
        """Give the message back to the mail server, in one write; positive once it is on its way."""
        if self.transport is None or self.transport.is_closing() or self._is_answered:
            return HUNG_UP
        try:
            self.dialogue.answer(raw)
        except NotOfferedError as error:
            log.error("a message has to be changed, but %s (milter_protocol = 6)", error)
            return CANNOT_CHANGE
        except InexpressibleError as error:
            log.error("a message cannot be changed: %s", error)
            return UNKNOWN_FAILURE
        self._is_answered = True
        self._send()
        return TAKEN

    def close(self) -> None:
        """End the transaction: nothing is to be undone."""


def _may_connect(peer: str, clients: Sequence[Network]) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in clients)
