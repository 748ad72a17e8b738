"""The exit server: lets the fetchers of listed clients out, from a small machine elsewhere (role ``egress``).

A SOCKS5 server (RFC 1928) with user name and password (RFC 1929), inside TLS where it has a certificate. It connects
to checked public addresses on ports 80 and 443, and to this machine's own resolver under the name
``resolver.invalid``; to nothing else. What was fetched stands in no log.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

import dns.resolver

from mailveil.adapters.addresses import IPAddress, IPNetwork, is_allowed, parse_address
from mailveil.adapters.egress import ALLOWED_PORTS, RefusedError, pieces, read_place
from mailveil.adapters.exits import (
    FAILED,
    GRANTED,
    NOT_ALLOWED,
    REFUSED,
    RESOLVER_NAME,
    RESOLVER_PORT,
    UNKNOWN_KIND,
    Streams,
    UnreachableError,
    connect_directly,
)

log = logging.getLogger("mailveil.egress")
GREETING_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 8.0
MAX_REQUEST_BYTES = 1 << 20


class OpenExitError(RuntimeError):
    """The exit would let everybody out; the text names the settings."""


@dataclass(frozen=True, slots=True)
class ExitServerSettings:
    """Who may use the exit and what one connection may take.

    With ``user`` a password is asked for. ``certificate`` and ``key`` name PEM files; without them the password
    goes over the wire as it is.
    """

    clients: tuple[IPNetwork, ...] = ()
    user: str = ""
    password: str = ""
    certificate: str = ""
    key: str = ""
    own_networks: tuple[IPNetwork, ...] = ()
    max_connections: int = 256
    max_bytes: int = 16 * 1024 * 1024
    timeout_s: float = 60.0


class ExitServer:
    """Serves the guards of other machines."""

    def __init__(
        self,
        settings: ExitServerSettings,
        *,
        resolver: tuple[IPAddress, int] | None = None,
        extra_allowed: Sequence[tuple[IPAddress, int]] = (),
    ) -> None:
        """``resolver`` takes the place of the system's; ``extra_allowed`` is for tests."""
        self.settings = settings
        self.resolver = resolver
        self.extra_allowed = frozenset(extra_allowed)
        self.server: asyncio.Server | None = None
        self.connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises ``OpenExitError`` where that would let everybody out, OSError as listening does."""
        check_closed(host, self.settings)
        context = self._tls()
        # Until its TLS is up a connection counts for nothing, and nobody has looked whose it is.
        patience_s = GREETING_TIMEOUT_S if context else None
        self.server = await asyncio.start_server(
            self._accept, host, port, ssl=context, ssl_handshake_timeout=patience_s
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self.server is not None
        return int(self.server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End all connections."""
        if self.server is not None:
            self.server.close()
        for connection in self.connections:
            connection.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    def _tls(self) -> ssl.SSLContext | None:
        if not self.settings.certificate:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.settings.certificate, self.settings.key or None)
        except (OSError, ssl.SSLError) as error:
            raise OpenExitError(f"[egress] certificate, key: cannot be used: {error}") from error
        return context

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = parse_address(str((writer.get_extra_info("peername") or ("",))[0]).partition("%")[0])
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        if (
            peer is None
            or not self._is_client(peer)
            or len(self.connections) >= self.settings.max_connections
        ):
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self.connections.add(task)

        def end(task: asyncio.Task[None]) -> None:
            self.connections.discard(task)
            writer.transport.abort()
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a connection ended with %s", type(error).__name__, exc_info=error)

        task.add_done_callback(end)

    def _is_client(self, peer: IPAddress) -> bool:
        return not self.settings.clients or any(
            peer.version == network.version and peer in network for network in self.settings.clients
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                async with asyncio.timeout(GREETING_TIMEOUT_S):
                    if not await self._greet(reader, writer):
                        return
                    asked = await self._place(reader)
                    origin = await self._connect(asked)
                try:
                    writer.write(_reply(GRANTED))
                    await writer.drain()
                    await self._carry((reader, writer), origin)
                finally:
                    origin[1].transport.abort()
        except RefusedError as error:
            with contextlib.suppress(OSError):
                writer.write(_reply(error.code))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            return
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(5.0):
                    await writer.wait_closed()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 2 if self.settings.user else 0
        if version != 5 or method not in methods:
            writer.write(b"\x05\xff")
            await writer.drain()
            return False
        writer.write(bytes((5, method)))
        await writer.drain()
        if method == 0:
            return True
        _version, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        (length,) = await reader.readexactly(1)
        password = await reader.readexactly(length)
        # Both in any case, and each in constant time.
        right = hmac.compare_digest(user, self.settings.user.encode())
        right &= hmac.compare_digest(password, self.settings.password.encode())
        writer.write(bytes((1, 0 if right else 1)))
        await writer.drain()
        return right

    async def _place(self, reader: asyncio.StreamReader) -> tuple[IPAddress, int]:
        host, port = await read_place(reader)
        if host.lower() == RESOLVER_NAME and port == RESOLVER_PORT:
            return self.resolver or system_resolver()
        address = parse_address(host)
        if address is None:
            raise RefusedError(UNKNOWN_KIND, "only checked addresses are connected to")
        if (address, port) in self.extra_allowed:
            return address, port
        if port not in ALLOWED_PORTS or not is_allowed(address, self.settings.own_networks):
            raise RefusedError(NOT_ALLOWED, "an address that must not be reached")
        return address, port

    async def _connect(self, asked: tuple[IPAddress, int]) -> Streams:
        try:
            return await connect_directly(*asked, CONNECT_TIMEOUT_S)
        except UnreachableError as error:
            raise RefusedError(REFUSED, str(error)) from error

    async def _carry(self, client: Streams, origin: Streams) -> None:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int) -> None:
            left = most
            with contextlib.suppress(OSError):  # either side may hang up
                async for data in pieces(reader):
                    left -= len(data)
                    if left < 0:
                        return
                    writer.write(data)
                    await writer.drain()

        tasks = [
            asyncio.create_task(carry(client[0], origin[1], MAX_REQUEST_BYTES)),
            asyncio.create_task(carry(origin[0], client[1], self.settings.max_bytes)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def check_closed(host: str, settings: ExitServerSettings) -> None:
    """Refuse to listen where strangers could reach an exit that lets everybody out."""
    address = parse_address(host)
    is_loopback = host == "localhost" or (address is not None and address.is_loopback)
    if not is_loopback and not settings.clients and not (settings.user and settings.password):
        raise OpenExitError(
            f"[egress] listen = {host}: an exit for everybody is a gift to attackers; set clients, or user and password"
        )
    if bool(settings.user) != bool(settings.password):
        raise OpenExitError("[egress] user and password belong together")


def system_resolver() -> tuple[IPAddress, int]:
    """Return this machine's own resolver; raise RefusedError where there is none."""
    with contextlib.suppress(dns.resolver.NoResolverConfiguration):
        for each in dns.resolver.Resolver().nameservers:
            if (address := parse_address(str(each))) is not None:
                return address, RESOLVER_PORT
    raise RefusedError(FAILED, "this machine has no resolver")


def _reply(code: int) -> bytes:
    return bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0))
