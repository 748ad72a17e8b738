"""Line: somebody's access to the lab, as a SOCKS5 server: through it, the lab's names and addresses are there.

Whoever goes through a line needs no privilege and no network: names are looked up at the lab's name server,
every address leads to the lab's web servers, and everything else leads nowhere. The lab sees the line's own
address as the client's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

import dns.exception
import dns.message
import dns.rdatatype

from mailveil.lab.contacts import Arrival

CHUNK_BYTES = 16 * 1024
LOOKUP_TIMEOUT_S = 15.0
GRANTED, UNREACHABLE, UNSUPPORTED = 0, 4, 7


class Ways(NamedTuple):
    """Where the lab's own servers listen."""

    names: tuple[str, int]
    http: tuple[str, int]
    https: tuple[str, int]


class Line:
    """One SOCKS5 server (RFC 1928, no authentication) on loopback."""

    def __init__(
        self, name: str, address: str, ways: Ways, expect: Callable[[tuple[str, int], Arrival], None]
    ) -> None:
        """``address`` is the client's as the lab sees it; ``expect`` tells the lab of a socket beforehand."""
        self.name = name
        self.address = address
        self._ways = ways
        self._expect = expect
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.host, self.port = "127.0.0.1", 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def look_up(self, host: str, kind: str = "A") -> list[str]:
        """Ask the lab's name server for the addresses of a name, as this client's resolver would."""
        query = dns.message.make_query(host.rstrip(".") + ".", kind)
        loop = asyncio.get_running_loop()
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            asking.setblocking(False)
            asking.bind(("127.0.0.1", 0))
            self._expect(asking.getsockname(), Arrival(self.address, self._ways.names[0], self.name))
            asking.connect(self._ways.names)
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                await loop.sock_sendall(asking, query.to_wire())
                response = dns.message.from_wire(await loop.sock_recv(asking, 65535))
        except (OSError, TimeoutError, dns.exception.DNSException):
            return []
        finally:
            asking.close()
        wanted = dns.rdatatype.from_text(kind)
        return [record.address for rrset in response.answer if rrset.rdtype == wanted for record in rrset]

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to where a name or address and a port lead. Raises ``OSError`` where that is nowhere."""
        try:
            address = str(ipaddress.ip_address(host.strip("[]")))
        except ValueError:
            found = await self.look_up(host) or await self.look_up(host, "AAAA")
            if not found:
                raise OSError("the name has no address") from None
            address = found[0]
        way = {80: self._ways.http, 443: self._ways.https, 53: self._ways.names}.get(port)
        if way is None:
            raise OSError("nobody listens there")
        going = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            going.setblocking(False)
            going.bind(("127.0.0.1", 0))
            # Told before the lab can see the connection: it must know whose it is.
            self._expect(going.getsockname(), Arrival(self.address, address, self.name))
            await asyncio.get_running_loop().sock_connect(going, way)
            return await asyncio.open_connection(sock=going)
        except BaseException:
            going.close()
            raise

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        onward: asyncio.StreamWriter | None = None
        try:
            target = await _read_request(reader, writer)
            if target is None:
                return
            try:
                lab_reader, onward = await self.connect(*target)
            except OSError:
                writer.write(_reply(UNREACHABLE))
                await writer.drain()
                return
            writer.write(_reply(GRANTED))
            await _carry(reader, writer, lab_reader, onward)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side may hang up
        finally:
            if onward is not None:
                onward.transport.abort()
            writer.close()
            self._tasks.discard(task)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int] | None:
    version, count = await reader.readexactly(2)
    await reader.readexactly(count)
    if version != 5:
        return None
    writer.write(b"\x05\x00")
    _version, command, _reserved, kind = await reader.readexactly(4)
    if kind == 1:
        host = str(ipaddress.IPv4Address(await reader.readexactly(4)))
    elif kind == 4:
        host = str(ipaddress.IPv6Address(await reader.readexactly(16)))
    else:
        (length,) = await reader.readexactly(1)
        host = (await reader.readexactly(length)).decode("latin-1")
    (port,) = struct.unpack(">H", await reader.readexactly(2))
    if command != 1:
        writer.write(_reply(UNSUPPORTED))
        return None
    return host, port


def _reply(code: int) -> bytes:
    return bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0))


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    lab_reader: asyncio.StreamReader,
    lab_writer: asyncio.StreamWriter,
) -> None:
    """Carry bytes until one side has ended and what it sent has arrived."""
    there = asyncio.create_task(_copy(reader, lab_writer))
    back = asyncio.create_task(_copy(lab_reader, writer))
    try:
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # either side may hang up
