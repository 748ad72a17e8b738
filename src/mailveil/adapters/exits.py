"""Exits: the machines through which the fetcher reaches out, so that origins do not see this one.

An exit is a SOCKS5 server (RFC 1928, RFC 1929) or an HTTP proxy that takes CONNECT (RFC 9110 section 9.3.6),
either of them inside TLS where that is configured. It is given addresses that were checked, never host names.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailveil.adapters.addresses import IPAddress, parse_address

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ASIDE_S = 60.0
HANDSHAKE_TIMEOUT_S = 8.0
MAX_ANSWER_BYTES = 16 * 1024
# SOCKS5 replies (RFC 1928 section 6)
GRANTED, FAILED, NOT_ALLOWED, NO_ROUTE, UNREACHABLE, REFUSED, EXPIRED, UNSUPPORTED, UNKNOWN_KIND = range(9)
# What our own exits take for "your own resolver": no name of the DNS can be this one (RFC 6761 section 6.4).
RESOLVER_NAME = "resolver.invalid"
RESOLVER_PORT = 53


class ExitScheme(StrEnum):
    """How an exit is spoken to."""

    SOCKS5 = "socks5"
    SOCKS5_TLS = "socks5+tls"
    HTTP = "http"
    HTTPS = "https"

    @property
    def is_encrypted(self) -> bool:
        """Tell whether what is said to the exit, the password among it, is inside TLS."""
        return self in (ExitScheme.SOCKS5_TLS, ExitScheme.HTTPS)


class ExitError(OSError):
    """The exit itself does not work: another one may."""


class UnreachableError(OSError):
    """The exit works and says that the origin does not answer."""


@dataclass(frozen=True, slots=True)
class Exit:
    """One way out. ``str()`` gives no credentials away.

    ``authority_file`` names the certificates (PEM) that a TLS exit is known by, such as its own; ``""`` for those
    of the system.
    """

    scheme: ExitScheme
    host: str
    port: int
    user: str = ""
    password: str = ""
    authority_file: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __repr__(self) -> str:
        return f"Exit({self})"

    async def connect(self, host: IPAddress | str, port: int, timeout_s: float) -> Streams:
        """Connect to an address (or the name of a resolver) through this exit.

        Raises ``ExitError`` where the exit does not work, ``UnreachableError`` where what is behind it does not.
        """
        reader, writer = await self._reach(min(timeout_s, HANDSHAKE_TIMEOUT_S))
        try:
            if self.scheme in (ExitScheme.HTTP, ExitScheme.HTTPS):
                await self._ask_http(reader, writer, host, port, timeout_s)
            else:
                await self._ask_socks(reader, writer, host, port, timeout_s)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            writer.transport.abort()
            raise ExitError("the exit does not speak as agreed") from error
        except TimeoutError as error:
            writer.transport.abort()
            raise UnreachableError("the origin does not answer") from error
        except ExitError:
            writer.transport.abort()
            raise
        except UnreachableError:
            writer.transport.abort()
            raise
        except OSError as error:
            writer.transport.abort()
            raise ExitError("the exit hangs up") from error
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer

    async def greet(self) -> None:
        """Make the handshake alone, for ``mailveil check``; raise ``ExitError`` where it fails."""
        reader, writer = await self._reach(HANDSHAKE_TIMEOUT_S)
        try:
            if self.scheme in (ExitScheme.SOCKS5, ExitScheme.SOCKS5_TLS):
                async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                    await self._authenticate(reader, writer)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            if isinstance(error, ExitError):
                raise
            raise ExitError("the exit does not speak as agreed") from error
        finally:
            writer.transport.abort()

    async def _reach(self, timeout_s: float) -> Streams:
        try:
            async with asyncio.timeout(timeout_s):
                context = self._tls() if self.scheme.is_encrypted else None
                return await asyncio.open_connection(
                    self.host, self.port, ssl=context, server_hostname=self.host if context else None
                )
        except (OSError, TimeoutError, ssl.SSLError, ValueError) as error:
            raise ExitError(f"the exit cannot be reached ({type(error).__name__})") from error

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority_file or None)
        if self.authority_file:
            # An exit known by its very own certificate needs no name in it.
            context.check_hostname = False
        return context

    async def _authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method = 2 if self.user else 0
        writer.write(bytes((5, 1, method)))
        await writer.drain()
        version, chosen = await reader.readexactly(2)
        if version != 5 or chosen != method:
            raise ExitError(
                "the exit does not take these credentials" if self.user else "it wants a password"
            )
        if method == 2:
            user, password = self.user.encode(), self.password.encode()
            writer.write(bytes((1, len(user))) + user + bytes((len(password),)) + password)
            await writer.drain()
            _version, status = await reader.readexactly(2)
            if status != 0:
                raise ExitError("the exit refuses the password")

    async def _ask_socks(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        host: IPAddress | str,
        port: int,
        timeout_s: float,
    ) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await self._authenticate(reader, writer)
        except TimeoutError as error:
            raise ExitError("the exit does not answer") from error
        if isinstance(host, str):
            named = host.encode("ascii")
            place = bytes((3, len(named))) + named
        else:
            place = bytes((1 if host.version == 4 else 4,)) + host.packed
        writer.write(b"\x05\x01\x00" + place + struct.pack(">H", port))
        await writer.drain()
        async with asyncio.timeout(timeout_s):
            version, code, _reserved, kind = await reader.readexactly(4)
            length = {1: 4, 4: 16}.get(kind)
            await reader.readexactly((await reader.readexactly(1))[0] if length is None else length)
            await reader.readexactly(2)
        if version != 5:
            raise ExitError("the exit does not speak as agreed")
        if code != GRANTED:
            raise UnreachableError(f"the exit says code {code}")

    async def _ask_http(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        host: IPAddress | str,
        port: int,
        timeout_s: float,
    ) -> None:
        name = f"[{host}]" if ":" in str(host) else str(host)
        lines = [f"CONNECT {name}:{port} HTTP/1.1", f"Host: {name}:{port}"]
        if self.user:
            credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            lines.append(f"Proxy-Authorization: Basic {credentials}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await writer.drain()
        async with asyncio.timeout(timeout_s):
            answer = await reader.readuntil(b"\r\n\r\n")
        words = answer[:64].split(None, 2)
        if len(answer) > MAX_ANSWER_BYTES or len(words) < 2 or not words[0].startswith(b"HTTP/1."):
            raise ExitError("the exit does not speak as agreed")
        status = int(words[1])
        if status == 407:
            raise ExitError("the exit refuses the password")
        if not 200 <= status < 300:
            raise UnreachableError(f"the exit says {status}")


class ExitPool:
    """Chooses an exit for each registrable domain: always the same one, as long as it works.

    Which one is decided by a keyed hash (rendezvous hashing), so that nobody can aim at an exit, and that taking
    one away moves only the domains that it had. One that fails is put aside for a while.
    """

    def __init__(
        self,
        exits: Sequence[Exit] = (),
        key: bytes = b"",
        *,
        aside_s: float = ASIDE_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exits = tuple(exits)
        self.aside_s = aside_s
        self._key = key[:64]
        self._now = now
        self._aside: dict[Exit, float] = {}

    def __bool__(self) -> bool:
        return bool(self.exits)

    def choices(self, domain: str) -> Iterator[Exit]:
        """Return the exits for a registrable domain that are not put aside, the best first."""
        now = self._now()
        ranked = sorted(self.exits, key=lambda each: self._rank(each, domain))
        return iter([each for each in ranked if self._aside.get(each, 0.0) <= now])

    def put_aside(self, failed: Exit) -> None:
        """Leave an exit alone for a while."""
        self._aside[failed] = self._now() + self.aside_s

    def praise(self, working: Exit) -> None:
        """Take note that an exit works."""
        self._aside.pop(working, None)

    def _rank(self, each: Exit, domain: str) -> bytes:
        return hashlib.blake2b(f"{each} {domain}".encode(), key=self._key, digest_size=16).digest()


async def connect_directly(address: IPAddress, port: int, timeout_s: float) -> Streams:
    """Connect from this machine. Raises ``UnreachableError``."""
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.open_connection(str(address), port)
    except TimeoutError as error:
        raise UnreachableError("the origin does not answer") from error
    except OSError as error:
        raise UnreachableError("the origin refuses the connection") from error


def resolver_place(text: str) -> tuple[IPAddress | str, int]:
    """Return where a resolver is, of an address as the settings have it or of ``""`` for the exit's own."""
    if not text:
        return RESOLVER_NAME, RESOLVER_PORT
    host, port = text, RESOLVER_PORT
    if text.startswith("[") or text.count(":") == 1:
        host, _, number = text.rpartition(":")
        with contextlib.suppress(ValueError):
            port = int(number)
    address = parse_address(host)
    if address is None:
        raise ValueError(f"{text} is no address of a resolver")
    return address, port
