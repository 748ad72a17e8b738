"""The egress guard: a SOCKS5 server on a Unix socket that connects only to addresses it has checked.

The HTTP client speaks to hostile origins and is never given a network of its own: it asks the guard by host
name (RFC 1928, remote resolution). The guard looks the name up once, checks every answer against the table of
``adapters/addresses``, connects to the very address that it checked (a name that changes its mind in between
gains nothing) and carries a bounded number of bytes for a bounded time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.resolver

from mailveil.adapters.addresses import IPAddress, IPNetwork, is_allowed, is_local_name, parse_address

log = logging.getLogger("mailveil.egress")

ALLOWED_PORTS = frozenset({80, 443})
CHUNK_BYTES = 16 * 1024
MAX_REQUEST_BYTES = 256 * 1024
CLOSE_TIMEOUT_S = 5.0
# SOCKS5 replies (RFC 1928 section 6)
GRANTED, FAILED, NOT_ALLOWED, UNREACHABLE, REFUSED, UNSUPPORTED = 0, 1, 2, 4, 5, 7


class RefusedError(Exception):
    """The guard does not connect: ``code`` is the SOCKS reply, the text an explanation for the log."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """Bounds of one connection, whatever is asked for in it."""

    max_bytes: int = 12 * 1024 * 1024
    lookup_timeout_s: float = 5.0
    connect_timeout_s: float = 8.0
    total_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Exit:
    """The way out: this machine itself, or the SOCKS5 proxy at ``host``:``port``, given checked addresses."""

    host: str = ""
    port: int = 0


class Resolver:
    """Looks names up with the system's name servers, each once; asks for no client subnet."""

    def __init__(self, nameservers: Sequence[str] = (), port: int = 53) -> None:
        try:
            self.resolver = dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            self.resolver = dns.asyncresolver.Resolver(configure=False)
        if nameservers:
            self.resolver.nameservers = list(nameservers)
            self.resolver.port = port
        self.resolver.cache = dns.resolver.LRUCache(2000)
        self.resolver.search = []

    async def addresses(self, name: str, timeout_s: float) -> list[IPAddress]:
        """Return the addresses of a name, IPv4 first; raise RefusedError where there is none."""
        found: list[IPAddress] = []
        for kind in ("A", "AAAA"):
            try:
                answer = await self.resolver.resolve(name, kind, lifetime=timeout_s, search=False)
            except dns.exception.DNSException:
                continue
            found += [ipaddress.ip_address(record.address) for record in answer]
            if found:
                break
        if not found:
            raise RefusedError(UNREACHABLE, "the name has no address")
        return found


class EgressGuard:
    """Serves one HTTP client. Use as ``async with``; ``proxy`` is the address to give to the client."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        own_networks: Sequence[IPNetwork] = (),
        limits: EgressLimits | None = None,
        way_out: Exit | None = None,
        extra_allowed: Sequence[tuple[IPAddress, int]] = (),
    ) -> None:
        """``extra_allowed`` are addresses with ports that are allowed whatever the table says: for tests."""
        self.resolver = resolver
        self.own_networks = tuple(own_networks)
        self.limits = limits or EgressLimits()
        self.way_out = way_out or Exit()
        self.extra_allowed = frozenset(extra_allowed)
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.server: asyncio.Server | None = None
        self.connections: set[asyncio.Task[None]] = set()
        self.refusals: dict[str, str] = {}  # why the last connection to a host was refused, for the report

    async def __aenter__(self) -> EgressGuard:
        self.folder = tempfile.TemporaryDirectory(prefix="mailveil-egress-")
        self.path = Path(self.folder.name) / "s"
        self.server = await asyncio.start_unix_server(self._accept, path=str(self.path))
        os.chmod(self.path, 0o600)  # noqa: PTH101 - a socket
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self.server is not None:
            self.server.close()
        for connection in self.connections:
            connection.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)
        if self.folder is not None:
            self.folder.cleanup()

    @property
    def proxy(self) -> str:
        """The proxy URL for the HTTP client."""
        return f"socks5h://localhost{self.path}"

    async def choose(self, host: str, port: int) -> IPAddress:
        """Return the address to connect to for a host name or literal; raise RefusedError."""
        literal = parse_address(host)
        if literal is None and is_local_name(host) and not self.extra_allowed:
            raise RefusedError(NOT_ALLOWED, "the name is a local one")
        if literal is None:
            candidates = await self.resolver.addresses(host, self.limits.lookup_timeout_s)
        else:
            candidates = [literal]
        for address in candidates:
            if (address, port) in self.extra_allowed:
                return address
        if port not in ALLOWED_PORTS:
            raise RefusedError(NOT_ALLOWED, f"port {port} is not fetched from")
        # One forbidden answer among several is a name that is played with: none of them is used.
        if not all(is_allowed(address, self.own_networks) for address in candidates):
            raise RefusedError(NOT_ALLOWED, "the name leads to an address that must not be reached")
        return candidates[0]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self.connections.add(task)

        def end(task: asyncio.Task[None]) -> None:
            self.connections.discard(task)
            writer.transport.abort()  # also where the task was ended before it could begin
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a connection ended with %s", type(error).__name__, exc_info=error)

        task.add_done_callback(end)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = ""
        try:
            async with asyncio.timeout(self.limits.total_timeout_s):
                try:
                    host, port = await _read_request(reader, writer)
                    address = await self.choose(host, port)
                    origin_reader, origin_writer = await self._connect(address, port)
                except RefusedError as error:
                    self._note(host, str(error))
                    writer.write(_reply(error.code))
                    await writer.drain()
                    return
                try:
                    writer.write(_reply(GRANTED))
                    await writer.drain()
                    await self._carry(reader, writer, origin_reader, origin_writer)
                finally:
                    origin_writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            self._note(host, type(error).__name__)
        finally:
            await _close(writer)

    def _note(self, host: str, reason: str) -> None:
        if len(self.refusals) > 1000:
            self.refusals.clear()
        self.refusals[host] = reason

    async def _connect(
        self, address: IPAddress, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(self.limits.connect_timeout_s):
                if self.way_out.host:
                    return await _through_proxy(self.way_out, address, port)
                family = socket.AF_INET if address.version == 4 else socket.AF_INET6
                return await asyncio.open_connection(str(address), port, family=family)
        except TimeoutError as error:
            raise RefusedError(UNREACHABLE, "the origin does not answer") from error
        except OSError as error:
            raise RefusedError(REFUSED, "the origin refuses the connection") from error

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        origin_reader: asyncio.StreamReader,
        origin_writer: asyncio.StreamWriter,
    ) -> None:
        """Carry bytes both ways until one side ends; the client's own bytes are few."""
        tasks = [
            asyncio.create_task(_copy(reader, origin_writer, MAX_REQUEST_BYTES)),
            asyncio.create_task(_copy(origin_reader, writer, self.limits.max_bytes)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close, after what was written has gone out."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_bytes: int) -> None:
    left = max_bytes
    with contextlib.suppress(OSError):  # either side may hang up
        while left > 0 and (data := await reader.read(CHUNK_BYTES)):
            left -= len(data)
            writer.write(data)
            await writer.drain()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    version, count = await reader.readexactly(2)
    await reader.readexactly(count)
    if version != 5:
        raise ValueError("no SOCKS5")
    writer.write(b"\x05\x00")
    await writer.drain()
    _version, command, _reserved, kind = await reader.readexactly(4)
    if kind == 1:
        host = str(ipaddress.IPv4Address(await reader.readexactly(4)))
    elif kind == 4:
        host = str(ipaddress.IPv6Address(await reader.readexactly(16)))
    elif kind == 3:
        (length,) = await reader.readexactly(1)
        host = (await reader.readexactly(length)).decode("ascii", "replace")
    else:
        raise RefusedError(8, "an address of unknown kind")
    (port,) = struct.unpack(">H", await reader.readexactly(2))
    if command != 1:
        raise RefusedError(UNSUPPORTED, "only connections are made")
    return host, port


def _reply(code: int) -> bytes:
    return bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0))


async def _through_proxy(
    way_out: Exit, address: IPAddress, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(way_out.host, way_out.port)
    try:
        writer.write(b"\x05\x01\x00")
        await writer.drain()
        if await reader.readexactly(2) != b"\x05\x00":
            raise OSError("the proxy asks for authentication")
        kind = 1 if address.version == 4 else 4
        writer.write(bytes((5, 1, 0, kind)) + address.packed + struct.pack(">H", port))
        await writer.drain()
        _version, code, _reserved, kind = await reader.readexactly(4)
        length = {1: 4, 4: 16}.get(kind)
        await reader.readexactly((await reader.readexactly(1))[0] if length is None else length)
        await reader.readexactly(2)
        if code != GRANTED:
            raise OSError(f"the proxy refuses with code {code}")
    except asyncio.IncompleteReadError as error:
        writer.transport.abort()
        raise OSError("the proxy hangs up") from error
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer
