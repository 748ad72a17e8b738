"""Outgoing: calls to systems that an administrator named, such as a SIEM or a feed. Never to those a message names.

Names are resolved here and the very address that was checked is connected to, so that a name cannot point elsewhere
once it was looked at. Addresses that are not global are refused unless the installation allows their network: whoever
administers one organisation must not reach into the network of the machine. Nothing is followed, and all is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpcore

from mailveil.adapters.addresses import IPAddress, IPNetwork, is_allowed

TIMEOUT_S = 20.0
MAX_BYTES = 1_000_000
MAX_ADDRESSES = 8  # of a name that are tried
IDLE_S = 30.0  # an unused connection is kept so long
UNREAD_BYTES = 65_536  # of a body that nobody wants
UNREAD_S = 2.0
MAX_LOOKUPS = 8  # at a time
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# Threads of their own: name servers that do not answer keep none of those waiting that the rest of the process shares.
_LOOKUPS = ThreadPoolExecutor(MAX_LOOKUPS, "look-up")


class OutgoingError(Exception):
    """A call failed; the text says why, without secrets. ``is_permanent``: it will not do without a change here."""

    def __init__(self, text: str, *, is_permanent: bool = False) -> None:
        super().__init__(text)
        self.is_permanent = is_permanent


@dataclass(frozen=True, slots=True)
class OutgoingAnswer:
    """What came back; names of header fields are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class OutgoingClient:
    """Calls out. ``networks`` may be reached though they are not global (setting ``[sharing] networks``)."""

    def __init__(self, networks: Sequence[IPNetwork] = ()) -> None:
        self._networks = tuple(networks)
        self._pools: dict[str | ssl.SSLContext, httpcore.AsyncConnectionPool] = {}

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        timeout_s: float = TIMEOUT_S,
        ca_file: str = "",
        trust: ssl.SSLContext | None = None,
        max_bytes: int = MAX_BYTES,
        is_status_enough: bool = False,
    ) -> OutgoingAnswer:
        """Ask once and return what was answered, whatever its status; redirects are answers like others.

        With ``is_status_enough`` a body that never ends or breaks off does not matter; none is returned.
        ``ca_file`` holds the only authorities that are believed [default: the system's]; ``trust``, always the same
        one, says so in its place. Raises ``OutgoingError``.
        """
        check_http_address(url)
        fields = {"User-Agent": "mailveil", "Accept-Encoding": "identity", **(headers or {})}
        try:
            async with asyncio.timeout(timeout_s):
                async with self._pool(ca_file, trust).stream(
                    method,
                    url,
                    headers=[(name.encode("ascii"), value.encode("utf-8")) for name, value in fields.items()],
                    content=content,
                    extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)},
                ) as response:
                    if is_status_enough:
                        return await _status(response)
                    return await _answer(response, max_bytes)
        except TimeoutError as error:
            raise OutgoingError(f"no answer within {timeout_s:g} seconds") from error
        except httpcore.TimeoutException as error:
            raise OutgoingError(f"no answer within {timeout_s:g} seconds") from error
        except ssl.SSLError as error:
            raise OutgoingError(_tls_words(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
            raise OutgoingError(_words(error)) from error
        except (UnicodeError, ValueError, httpcore.UnsupportedProtocol) as error:
            raise OutgoingError("the request cannot be written in HTTP", is_permanent=True) from error

    async def connect(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Stream:
        """Open a stream, in TLS if ``tls`` says how. Raises ``OutgoingError``."""
        failure: Exception | None = None
        try:
            async with asyncio.timeout(timeout_s):
                for address in await self.resolve(host, port):
                    try:
                        return await asyncio.open_connection(
                            str(address), port, ssl=tls, server_hostname=host if tls else None
                        )
                    except ssl.SSLError as error:
                        raise OutgoingError(_tls_words(error)) from error
                    except OSError as error:
                        failure = error
        except TimeoutError as error:
            raise OutgoingError(f"no connection within {timeout_s:g} seconds") from error
        raise OutgoingError(_words(failure)) from failure

    async def resolve(self, host: str, port: int, kind: int = socket.SOCK_STREAM) -> Sequence[IPAddress]:
        """Return the addresses of a name that may be connected to, at least one. Raises ``OutgoingError``."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(_LOOKUPS, partial(socket.getaddrinfo, host, port, type=kind))
        except (OSError, UnicodeError) as error:
            raise OutgoingError(f"the name {host} cannot be resolved") from error
        addresses = list(dict.fromkeys(ipaddress.ip_address(each[4][0]) for each in found))
        allowed = [each for each in addresses if self._may_reach(each)]
        if not allowed:
            where = ", ".join(map(str, addresses[:MAX_ADDRESSES])) or "nowhere"
            raise OutgoingError(
                f"{host} is at {where}, which is no public address; to allow it, add its network to "
                "[sharing] networks",
                is_permanent=True,
            )
        return allowed[:MAX_ADDRESSES]

    async def close(self) -> None:
        """Let go of all connections."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()

    def _may_reach(self, address: IPAddress) -> bool:
        if any(address.version == each.version and address in each for each in self._networks):
            return True
        return is_allowed(address)

    def _pool(self, ca_file: str, trust: ssl.SSLContext | None) -> httpcore.AsyncConnectionPool:
        believed = trust or ca_file
        if believed not in self._pools:
            self._pools[believed] = httpcore.AsyncConnectionPool(
                ssl_context=trust or trust_of(ca_file),
                network_backend=_PinnedBackend(self),
                keepalive_expiry=IDLE_S,
                max_connections=20,
            )
        return self._pools[believed]


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, never to a name."""

    def __init__(self, client: OutgoingClient) -> None:
        self._client = client
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a name that takes us."""
        failure: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in await self._client.resolve(host.strip("[]"), port):
            try:
                return await self._plain.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        assert failure is not None
        raise failure

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: there is no such address."""
        del path, timeout, socket_options
        raise httpcore.ConnectError("Unix sockets are not called")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def check_http_address(url: str) -> None:
    """Raise ``OutgoingError`` unless a URL can be called: http or https with a host, no user, no fragment."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise OutgoingError("the address is no URL", is_permanent=True) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise OutgoingError("the address has to begin with https:// or http://", is_permanent=True)
    if "@" in parts.netloc or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise OutgoingError("the address holds what has no place in it", is_permanent=True)


def trust_of(ca_file: str) -> ssl.SSLContext:
    """Return who is believed: the authorities of a file, else the system's. Raises ``OutgoingError``."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise OutgoingError(f"{ca_file} cannot be read as certificates", is_permanent=True) from error


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {
        name.decode("ascii", "replace").lower(): value.decode("latin-1") for name, value in response.headers
    }


async def _status(response: httpcore.Response) -> OutgoingAnswer:
    """Return an answer without its body, which is read to its end if that is near: the connection serves again."""
    answer = OutgoingAnswer(response.status, _headers(response), b"")
    left = UNREAD_BYTES
    with contextlib.suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, OSError):
        async with asyncio.timeout(UNREAD_S):
            async for part in response.aiter_stream():
                left -= len(part)
                if left < 0:
                    break
    return answer


async def _answer(response: httpcore.Response, max_bytes: int) -> OutgoingAnswer:
    headers = _headers(response)
    parts, size = [], 0
    async for part in response.aiter_stream():
        size += len(part)
        if size > max_bytes:
            raise OutgoingError(f"the answer is larger than {max_bytes} bytes")
        parts.append(part)
    return OutgoingAnswer(response.status, headers, b"".join(parts))


def _words(error: Exception | None) -> str:
    cause: BaseException | None = error
    for _ in range(8):
        if isinstance(cause, ssl.SSLError):
            return _tls_words(cause)
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused"
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
            continue
        deeper = None if cause is None else cause.__cause__ or cause.__context__
        if deeper is None:
            break
        cause = deeper
    if isinstance(cause, OSError) and cause.strerror:
        return f"no connection: {cause.strerror}"
    return f"no connection ({type(error).__name__})"


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate does not hold: {error.verify_message}"
    return f"TLS failed ({error.reason or type(error).__name__})"
