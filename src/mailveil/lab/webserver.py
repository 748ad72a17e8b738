"""Web server: accepts connections for every origin of the lab, plain and TLS, and notes each of their contacts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from mailveil.lab.certificates import Authority, Flaw
from mailveil.lab.contacts import Arrival, Contact, ContactKind, Contacts
from mailveil.lab.exchange import MAX_HEAD_BYTES, Exchange, GoneError, parse_request
from mailveil.lab.origin import Origin

HEAD_TIMEOUT_S = 60.0
FINISH_S = 5.0
SEND_BUFFER_BYTES = 16 * 1024  # small, so that what was sent is near to what was taken
Whence = Callable[[tuple[str, int], str], Arrival]


class WebServer:
    """One listening socket, for all origins. It answers no more than one request on a connection."""

    def __init__(
        self,
        contacts: Contacts,
        whence: Whence,
        find: Callable[[str], Origin | None],
        authority: Authority | None = None,
    ) -> None:
        """``find`` gives the origin of a host; with an ``authority`` this is the server for https."""
        self._contacts = contacts
        self._whence = whence
        self._find = find
        self._authority = authority
        self._memories: dict[str, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: list[socket.socket] = []
        self.host, self.port = "", 0

    async def start(self, host: str, port: int) -> None:
        """Listen; may be called for more than one address. Raises ``OSError``."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind((host, port))
            listening.listen(512)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        self._listening.append(listening)
        self.host, self.port = listening.getsockname()[:2]
        self._keep(self._accept(listening))

    async def stop(self) -> None:
        """Close everything; answers without end, end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listening in self._listening:
            listening.close()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, peer = await loop.sock_accept(listening)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._keep(self._serve(connection, peer[:2]))

    async def _serve(self, connection: socket.socket, peer: tuple[str, int]) -> None:
        arrival = self._whence(peer, connection.getsockname()[0])
        contact = self._contacts.note(ContactKind.CONNECTION, arrival)
        noted = [contact]
        transport: asyncio.BaseTransport | None = None
        try:
            reader = asyncio.StreamReader(limit=MAX_HEAD_BYTES)
            protocol = asyncio.StreamReaderProtocol(reader)
            loop = asyncio.get_running_loop()
            transport, _protocol = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._context(arrival, noted) if self._authority else None,
                ssl_handshake_timeout=HEAD_TIMEOUT_S if self._authority else None,
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            await self._answer(reader, writer, arrival, noted)
        except (OSError, GoneError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass  # the client hung up or spoke no HTTP: its contact is on record
        finally:
            for each in noted:
                each.end()
            if transport is None:
                connection.close()
            elif isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
                transport.abort()

    def _context(self, arrival: Arrival, noted: list[Contact]) -> ssl.SSLContext:
        assert self._authority is not None
        authority = self._authority

        def choose(name: str) -> ssl.SSLContext:
            origin = self._find(name)
            noted.append(
                self._contacts.note(ContactKind.TLS, arrival, name, origin=origin.name if origin else "")
            )
            return authority.context(name, origin.flaw if origin else Flaw.NONE)

        return authority.listening(choose)

    async def _answer(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        arrival: Arrival,
        noted: list[Contact],
    ) -> None:
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
        request = parse_request(head)
        if request is None:
            return
        origin = self._find(request.host)
        contact = self._contacts.note(
            ContactKind.HTTP,
            arrival,
            request.host,
            path=request.target,
            method=request.method,
            fields=request.fields,
            origin=origin.name if origin else "",
        )
        noted.append(contact)
        memory = self._memories.setdefault(origin.name if origin else "", {})
        scheme = "https" if self._authority else "http"
        exchange = Exchange(request, contact, (reader, writer), memory, lambda host: f"{scheme}://{host}")
        if origin is None:
            await exchange.reply(b"nobody here\n", "text/plain", status=404)
        else:
            await origin.answer(exchange)
        await _finish(writer)


async def _finish(writer: asyncio.StreamWriter) -> None:
    """Close once what was written has been taken; who takes nothing is cut off."""
    writer.close()
    try:
        async with asyncio.timeout(FINISH_S):
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()
