"""The egress guard: a SOCKS5 server on a Unix socket that connects only to addresses it has checked.

The HTTP client speaks to hostile origins and is never given a network of its own: it asks the guard by host
name (RFC 1928, remote resolution) and shows a permit (RFC 1929) that was made out for this one connection. The
guard looks the name up once, checks every answer against the table of ``adapters/addresses``, connects to the
very address that it checked (a name that changes its mind in between gains nothing), through the exit of the
fetch where there are exits, and carries a bounded number of bytes for a bounded time. Whatever the client may
become, it reaches no place that it has no permit for, and none twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import secrets
import struct
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailveil.adapters.addresses import (
    IPAddress,
    IPNetwork,
    is_allowed,
    is_local_name,
    machine_of,
    parse_address,
)
from mailveil.adapters.exits import (
    FAILED,
    GRANTED,
    NOT_ALLOWED,
    UNREACHABLE,
    UNSUPPORTED,
    Exit,
    ExitError,
    ExitPool,
    Streams,
    UnreachableError,
    connect_directly,
    resolver_place,
)
from mailveil.adapters.resolver import Resolver, registrable_domain
from mailveil.core.verdicts.evidence import FetchOutcome, NameAnswer
from mailveil.ports import UnavailableError

log = logging.getLogger("mailveil.egress")

ALLOWED_PORTS = frozenset({80, 443})
CHUNK_BYTES = 16 * 1024
MAX_REQUEST_BYTES = 256 * 1024
CLOSE_TIMEOUT_S = 5.0
GREETING_TIMEOUT_S = 10.0
PLACE_POLL_S = 0.05


class RefusedError(Exception):
    """The guard does not connect: ``code`` is the SOCKS reply, ``outcome`` what becomes of the fetch."""

    def __init__(self, code: int, reason: str, outcome: FetchOutcome = FetchOutcome.REFUSED_ADDRESS) -> None:
        super().__init__(reason)
        self.code = code
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """Bounds of one connection, and of all connections to one address at once.

    Who finds ``max_per_address`` of them waits for ``patience_s``, then is told that the address is busy.
    """

    max_bytes: int = 12 * 1024 * 1024
    lookup_timeout_s: float = 5.0
    connect_timeout_s: float = 8.0
    total_timeout_s: float = 30.0
    max_per_address: int = 16
    patience_s: float = 2.0


@dataclass(slots=True)
class Contact:
    """What the guard saw of one connection; the client's own word is not asked.

    ``outcome`` is set where the guard refused or cut off. ``sent_bytes`` are those that went to the origin: as
    long as there are none, the origin knows of no request.
    """

    address: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0
    connect_s: float = 0.0
    name: NameAnswer | None = None
    outcome: FetchOutcome | None = None
    detail: str = ""


@dataclass(slots=True)
class Permit:
    """The right to connect once to a host and port; ``token`` is what the client shows."""

    voyage: Voyage
    host: str
    port: int
    token: str
    contact: Contact = field(default_factory=Contact)
    used: bool = False


@dataclass(slots=True)
class Voyage:
    """One fetch with all its redirects: it keeps to one exit and looks each name up once."""

    domain: str
    way_out: Exit | None = None
    settled: bool = False  # a connection through ``way_out`` was made: there is no other for this fetch
    names: dict[str, NameAnswer] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)


class EgressGuard:
    """Serves the HTTP client's processes. Use as ``async with``; they end with it."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        own_networks: Sequence[IPNetwork] = (),
        limits: EgressLimits | None = None,
        exits: ExitPool | None = None,
        may_contact: Callable[[str], Awaitable[bool]] | None = None,
        extra_allowed: Sequence[tuple[IPAddress, int]] = (),
    ) -> None:
        """``may_contact`` tells whether an address still has budget; what it raises is ``UnavailableError``.

        ``extra_allowed`` are addresses with ports that are allowed whatever the table says: for tests.
        """
        self.resolver = resolver
        self.own_networks = tuple(own_networks)
        self.limits = limits or EgressLimits()
        self.exits = exits or ExitPool()
        self.may_contact = may_contact
        self.extra_allowed = frozenset(extra_allowed)
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.server: asyncio.Server | None = None
        self.connections: set[asyncio.Task[None]] = set()
        self.permits: dict[str, Permit] = {}
        self.endings = contextlib.AsyncExitStack()
        self._at_once: Counter[str] = Counter()

    async def __aenter__(self) -> EgressGuard:
        self.folder = tempfile.TemporaryDirectory(prefix="mailveil-egress-")
        self.path = Path(self.folder.name) / "s"
        self.server = await asyncio.start_unix_server(self._accept, path=str(self.path), backlog=1024)
        os.chmod(self.path, 0o600)  # noqa: PTH101 - a socket
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self.server is not None:
            self.server.close()
        await self.endings.aclose()
        for connection in self.connections:
            connection.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)
        if self.folder is not None:
            self.folder.cleanup()

    # --- permits -----------------------------------------------------------------------------------------

    def embark(self, host: str) -> Voyage:
        """Begin a fetch whose first URL has this host."""
        return Voyage(registrable_domain(host))

    def permit(self, voyage: Voyage, host: str, port: int) -> Permit:
        """Make out a permit for one connection."""
        permit = Permit(voyage, _plain(host), port, secrets.token_hex(16))
        self.permits[permit.token] = permit
        voyage.tokens.append(permit.token)
        return permit

    def revoke(self, permit: Permit) -> None:
        """Take a permit back: what was not begun with it will not begin any more."""
        self.permits.pop(permit.token, None)

    def disembark(self, voyage: Voyage) -> None:
        """End a fetch."""
        for token in voyage.tokens:
            self.permits.pop(token, None)

    async def name_servers(self, voyage: Voyage, host: str) -> tuple[str, ...]:
        """Return the name servers of a host's registrable domain, asked through the exit of the fetch."""
        found = voyage.names.get(_plain(host))
        if found is not None and found.servers:
            return found.servers
        if self.exits and voyage.way_out is None:
            return ()
        dial = self._dial(voyage.way_out) if voyage.way_out else None
        return await self.resolver.servers(
            host, self.limits.lookup_timeout_s, dial, str(voyage.way_out or "")
        )

    # --- serving -----------------------------------------------------------------------------------------

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
        contact = Contact()
        try:
            async with asyncio.timeout(self.limits.total_timeout_s):
                try:
                    async with asyncio.timeout(GREETING_TIMEOUT_S):
                        permit = self._present(*await _read_request(reader, writer))
                    contact = permit.contact
                    await self._go(permit, reader, writer)
                except RefusedError as error:
                    contact.outcome, contact.detail = error.outcome, str(error)
                    writer.write(_reply(error.code))
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            contact.detail = contact.detail or type(error).__name__
        except TimeoutError:
            contact.detail = contact.detail or "took longer than allowed"
        finally:
            await _close(writer)

    def _present(self, token: str, host: str, port: int) -> Permit:
        permit = self.permits.get(token)
        if permit is None or permit.used or (permit.host, permit.port) != (_plain(host), port):
            # The fetcher's processes never do so, unless an origin has taken one of them over.
            log.warning("the HTTP client asked for a connection that it has no permit for")
            raise RefusedError(NOT_ALLOWED, "no permit")
        permit.used = True
        return permit

    async def _go(self, permit: Permit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        contact = permit.contact
        start = time.monotonic()
        address, (origin_reader, origin_writer) = await self._reach(permit)
        try:
            contact.address, contact.connect_s = str(address), time.monotonic() - start
            writer.write(_reply(GRANTED))
            await writer.drain()
            await self._carry(contact, (reader, writer), (origin_reader, origin_writer))
        finally:
            origin_writer.transport.abort()
            self._leave(machine_of(address))

    async def _reach(self, permit: Permit) -> tuple[IPAddress, Streams]:
        """Look up, check and connect; the address counts as taken once this returns."""
        voyage = permit.voyage
        if not self.exits:
            return await self._reach_through(permit, None)
        if voyage.settled and voyage.way_out is not None:
            choices = iter((voyage.way_out,))
        else:
            choices = self.exits.choices(voyage.domain)
        for way_out in choices:
            try:
                voyage.way_out = way_out
                reached = await self._reach_through(permit, way_out)
            except ExitError as error:
                log.warning("%s does not work and is put aside: %s", way_out, error)
                self.exits.put_aside(way_out)
                if voyage.settled:
                    raise RefusedError(UNREACHABLE, str(error), FetchOutcome.UNREACHABLE) from error
                voyage.names.clear()  # the next exit has a view of the DNS of its own
                continue
            self.exits.praise(way_out)
            voyage.settled = True
            return reached
        raise RefusedError(UNREACHABLE, "no exit works", FetchOutcome.NO_EXIT)

    async def _reach_through(self, permit: Permit, way_out: Exit | None) -> tuple[IPAddress, Streams]:
        address = await self.choose(permit, way_out)
        key = machine_of(address)
        await self._until_free(key)
        if self.may_contact is not None:
            try:
                allowed = await self.may_contact(key)
            except UnavailableError as error:
                raise RefusedError(FAILED, "nobody can tell its budget", FetchOutcome.BUSY) from error
            if not allowed:
                raise RefusedError(NOT_ALLOWED, "its address has had its share", FetchOutcome.OVER_BUDGET)
        self._at_once[key] += 1
        try:
            return address, await self.connect(address, permit.port, way_out)
        except UnreachableError as error:
            self._leave(key)
            raise RefusedError(UNREACHABLE, str(error), FetchOutcome.UNREACHABLE) from error
        except BaseException:
            self._leave(key)
            raise

    def _leave(self, address: str) -> None:
        self._at_once[address] -= 1
        if not self._at_once[address]:
            del self._at_once[address]

    async def _until_free(self, address: str) -> None:
        """Wait a little for a place at an address: a newsletter's pictures come from one, and come fast."""
        ends = time.monotonic() + self.limits.patience_s
        while self._at_once[address] >= self.limits.max_per_address:
            if time.monotonic() >= ends:
                raise RefusedError(FAILED, "too many connections to its address", FetchOutcome.BUSY)
            await asyncio.sleep(PLACE_POLL_S)

    async def connect(self, address: IPAddress, port: int, way_out: Exit | None) -> Streams:
        """Connect to an address that was checked."""
        if way_out is None:
            return await connect_directly(address, port, self.limits.connect_timeout_s)
        return await way_out.connect(address, port, self.limits.connect_timeout_s)

    async def choose(self, permit: Permit, way_out: Exit | None = None) -> IPAddress:
        """Return the address to connect to for a permit's host name or literal; raise RefusedError."""
        host, port = permit.host, permit.port
        literal = parse_address(host)
        if literal is None:
            if is_local_name(host) and not self.extra_allowed:
                raise RefusedError(NOT_ALLOWED, "the name is a local one")
            candidates = await self._addresses(permit, way_out)
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

    async def _addresses(self, permit: Permit, way_out: Exit | None) -> list[IPAddress]:
        voyage, host = permit.voyage, permit.host
        answer = voyage.names.get(host)
        if answer is None:
            dial = self._dial(way_out) if way_out else None
            try:
                answer = await self.resolver.look_up(
                    host, self.limits.lookup_timeout_s, dial, str(way_out or "")
                )
            except UnreachableError as error:
                # An exit whose resolver is out of reach is of no use.
                raise ExitError("its resolver does not answer") from error
            voyage.names[host] = answer
        permit.contact.name = answer
        if answer.defect in ("nxdomain", "nodata"):
            raise RefusedError(UNREACHABLE, "the name has no address", FetchOutcome.NO_SUCH_NAME)
        if not answer.addresses:
            raise RefusedError(UNREACHABLE, "the DNS does not answer", FetchOutcome.UNREACHABLE)
        return [ipaddress.ip_address(each) for each in answer.addresses]

    def _dial(self, way_out: Exit) -> Callable[[str], Awaitable[Streams]]:
        async def dial(place: str) -> Streams:
            host, port = resolver_place(place)
            return await way_out.connect(host, port, self.limits.lookup_timeout_s)

        return dial

    async def _carry(self, contact: Contact, client: Streams, origin: Streams) -> None:
        """Carry bytes both ways until one side ends; the client's own bytes are few."""

        async def there() -> None:
            async for data in pieces(client[0]):
                contact.sent_bytes += len(data)
                if contact.sent_bytes > MAX_REQUEST_BYTES:
                    return
                origin[1].write(data)
                await origin[1].drain()

        async def back() -> None:
            async for data in pieces(origin[0]):
                contact.received_bytes += len(data)
                if contact.received_bytes > self.limits.max_bytes:
                    contact.outcome, contact.detail = FetchOutcome.TOO_LARGE, "cut off by the guard"
                    return
                client[1].write(data)
                await client[1].drain()

        tasks = [asyncio.create_task(there()), asyncio.create_task(back())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(error, Exception) and not isinstance(error, OSError):
                    raise error  # either side may hang up; anything else is a mistake of ours


async def pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Read until the other side ends."""
    while data := await reader.read(CHUNK_BYTES):
        yield data


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close, after what was written has gone out."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await writer.wait_closed()


def _plain(host: str) -> str:
    literal = parse_address(host)
    return host.rstrip(".").lower() if literal is None else str(literal)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, str, int]:
    """Return the permit that is shown, and the host and port that are asked for."""
    version, count = await reader.readexactly(2)
    methods = await reader.readexactly(count)
    if version != 5 or 2 not in methods:
        raise ValueError("no SOCKS5 with a permit")
    writer.write(b"\x05\x02")
    await writer.drain()
    _version, length = await reader.readexactly(2)
    token = (await reader.readexactly(length)).decode("ascii", "replace")
    (length,) = await reader.readexactly(1)
    await reader.readexactly(length)
    writer.write(b"\x01\x00")
    await writer.drain()
    host, port = await read_place(reader)
    return token, host, port


async def read_place(reader: asyncio.StreamReader) -> tuple[str, int]:
    """Read a SOCKS5 request to connect; raise RefusedError for any other."""
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
