"""Exchange: one request at an origin of the lab, and full control over the bytes that answer it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from mailveil.lab.contacts import Contact

MAX_HEAD_BYTES = 256 * 1024
Fields = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """A request head as it came; ``host`` is the Host field's name without port, lower-case."""

    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]
    host: str

    @property
    def path(self) -> str:
        """The decoded path of the target, without its query."""
        return unquote(urlsplit(self.target).path)

    def value(self, name: str) -> str:
        """Return the first header field of a lower-case name, ``""`` where there is none."""
        return next((value for each, value in self.fields if each.lower() == name), "")


def parse_request(head: bytes) -> Request | None:
    """Return the request of a head that ends with its empty line; ``None`` where it is none."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        return None
    fields = tuple(
        (name.strip(), value.strip())
        for name, colon, value in (line.partition(":") for line in lines[1:])
        if colon
    )
    host = next((value for name, value in fields if name.lower() == "host"), "")
    target = words[1]
    if target.startswith(("http://", "https://")):
        parts = urlsplit(target)
        host, target = parts.netloc, target[target.index(parts.netloc) + len(parts.netloc) :] or "/"
    name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    return Request(words[0], target, words[2], fields, name.rstrip(".").lower())


class GoneError(Exception):
    """The client has hung up."""


class Exchange:
    """What an origin answers with. Everything raises ``GoneError`` once the client has hung up.

    ``memory`` is the origin's own and outlives the exchange: a tracker remembers. ``token`` is the part of the
    address that tells the recipients apart.
    """

    def __init__(
        self,
        request: Request,
        contact: Contact,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        memory: dict[str, Any],
        address_of: Callable[[str], str],
    ) -> None:
        """``address_of`` gives the URL of another host of the lab, under the scheme that it is reached by."""
        self.request = request
        self.contact = contact
        self.memory = memory
        self.address_of = address_of
        self._reader, self._writer = streams

    @property
    def client(self) -> str:
        """The client's address."""
        return self.contact.arrival.client

    @property
    def gone(self) -> bool:
        """Tell whether the client has hung up."""
        return self._reader.at_eof() or self._writer.transport.is_closing()

    async def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        if self.gone:
            raise GoneError
        try:
            self._writer.write(raw)
            await self._writer.drain()
        except OSError as error:
            raise GoneError from error
        self.contact.sent_bytes += len(raw)

    async def wait(self, seconds: float) -> None:
        """Wait, but no longer than the client does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # Whatever it still sends is read and dropped, so that its end is noticed at once.
                while await self._reader.read(65536):
                    pass
            raise GoneError

    async def head(self, status: int, fields: Fields = (), reason: str = "") -> None:
        """Send a status line and header fields; the connection ends with the body."""
        self.contact.status = self.contact.status or str(status)
        lines = [f"HTTP/1.1 {status} {reason or REASONS.get(status, 'Answer')}"]
        lines += [f"{name}: {value}" for name, value in fields]
        await self.send("\r\n".join([*lines, "Connection: close", "", ""]).encode())

    async def reply(self, body: bytes, media_type: str, fields: Fields = (), status: int = 200) -> None:
        """Send a whole answer."""
        own = (("Content-Type", media_type), ("Content-Length", str(len(body))))
        await self.head(status, (*own, *fields))
        if self.request.method != "HEAD":
            await self.send(body)

    async def redirect(self, target: str, status: int = 302, fields: Fields = ()) -> None:
        """Send the client on."""
        await self.head(status, (("Location", target), ("Content-Length", "0"), *fields))


Answer = Callable[[Exchange], Awaitable[None]]

REASONS = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    404: "Not Found",
    429: "Too Many Requests",
    503: "Service Unavailable",
}
