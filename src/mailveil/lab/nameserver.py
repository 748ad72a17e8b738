"""Name server: answers from the zones over UDP and TCP, and notes every question."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any, cast

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from mailveil.lab.contacts import Arrival, Contact, ContactKind, Contacts
from mailveil.lab.zones import Zones

MAX_UDP_BYTES = 1232
PLAIN_UDP_BYTES = 512
IDLE_S = 10.0
Whence = Callable[[tuple[str, int], str], Arrival]


class NameServer:
    """One server for all zones of a lab, on one address and the same port of UDP and TCP."""

    def __init__(
        self, zones: Zones, contacts: Contacts, whence: Whence, concerns: Callable[[str], str]
    ) -> None:
        """``whence`` tells where a socket's packets come from, ``concerns`` whose a host name is."""
        self._zones = zones
        self._contacts = contacts
        self._whence = whence
        self._concerns = concerns
        self._tasks: set[asyncio.Task[None]] = set()
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self.host, self.port = "", 0

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises ``OSError`` where the address is in use or not ours."""
        loop = asyncio.get_running_loop()
        for _ in range(20):
            # The same number has to be free twice; where nobody chose it, the next one may be.
            self._tcp = await asyncio.start_server(self._accept, host, port)
            self.host, self.port = self._tcp.sockets[0].getsockname()[:2]
            try:
                self._udp, _protocol = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=(host, self.port)
                )
            except OSError:
                self._tcp.close()
                if port:
                    raise
            else:
                return
        raise OSError("no port is free for both UDP and TCP")

    async def stop(self) -> None:
        """Close everything, answers that wait included."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def received(self, wire: bytes, peer: tuple[str, int], transport: asyncio.DatagramTransport) -> None:
        """Answer a datagram."""

        async def answer() -> None:
            found = await self._answer(wire, peer)
            if found is None or transport.is_closing():
                return
            response, max_bytes = found
            try:
                out = response.to_wire(max_size=max_bytes)
            except dns.exception.TooBig:
                short = dns.message.make_response(dns.message.from_wire(wire), recursion_available=True)
                short.flags |= dns.flags.TC
                out = short.to_wire()
            transport.sendto(out, peer)

        self._keep(answer())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            peer = writer.get_extra_info("peername")[:2]
            while True:
                async with asyncio.timeout(IDLE_S):
                    (length,) = struct.unpack(">H", await reader.readexactly(2))
                    wire = await reader.readexactly(length)
                found = await self._answer(wire, peer)
                if found is None:
                    continue
                out = found[0].to_wire(max_size=65535)
                writer.write(struct.pack(">H", len(out)) + out)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # it has asked all that it wanted to know
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _answer(self, wire: bytes, peer: tuple[str, int]) -> tuple[dns.message.Message, int] | None:
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None  # no question, so nothing to answer
        contact = self._note(query, peer)
        answered = self._zones.answer(query)
        contact.answer = answered.values
        if answered.message is None:
            contact.status = "silence"
            return None
        contact.status = dns.rcode.to_text(answered.message.rcode())
        if answered.delay_s:
            await asyncio.sleep(answered.delay_s)
        contact.end()
        most = min(query.payload, MAX_UDP_BYTES) if query.edns >= 0 else PLAIN_UDP_BYTES
        return answered.message, most

    def _note(self, query: dns.message.Message, peer: tuple[str, int]) -> Contact:
        name = query.question[0].name.to_text() if query.question else ""
        kind = dns.rdatatype.to_text(query.question[0].rdtype) if query.question else ""
        options = tuple(("option", option.to_text()) for option in query.options)
        return self._contacts.note(
            ContactKind.DNS,
            self._whence(peer, self.host),
            name,
            method=kind,
            fields=options,
            origin=self._concerns(name.rstrip(".").lower()),
        )


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every Python's datagram transport is an instance of the class that it implements.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._server.received(data, (addr[0], addr[1]), self._transport)
