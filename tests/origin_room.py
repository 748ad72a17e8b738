"""Origins on loopback for the fetcher: real sockets, a book of names, and a guard that leads to them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from mailveil.adapters.egress import EgressGuard, EgressLimits
from mailveil.adapters.fetcher import FetchLimits, OriginFetcher
from mailveil.adapters.resolver import Resolver
from mailveil.core.verdicts.evidence import NameAnswer, NameRecord

LOOPBACK = ipaddress.ip_address("127.0.0.1")
GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
Handler = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


class Names(Resolver):
    """A resolver with a fixed book of names, each answer used up in order."""

    def __init__(self, book: dict[str, list[str]]) -> None:
        self.book = book
        self.asked: list[str] = []

    async def look_up(
        self, name: str, timeout_s: float, dial: object = None, exit_name: str = ""
    ) -> NameAnswer:
        self.asked.append(name)
        answers = self.book.get(name)
        if not answers:
            return NameAnswer(name, defect="nxdomain")
        found = (answers.pop(0) if len(answers) > 1 else answers[0]).split()
        return NameAnswer(name, tuple(NameRecord(name, "A", 60, each) for each in found))

    async def servers(
        self, name: str, timeout_s: float, dial: object = None, exit_name: str = ""
    ) -> tuple[str, ...]:
        return ()


class Listening:
    """A server on a port of loopback; ``_serve`` has what it does with a connection."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self):  # type: ignore[no-untyped-def]
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class Origin(Listening):
    """A web server that logs what it is asked and answers as a handler says."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.handler = handler
        self.requests: list[str] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(request)
            await self.handler(request.split(" ")[1], writer)
            writer.close()
            await writer.wait_closed()


class OnPort(EgressGuard):
    """A guard that reaches the test's origin where a name would lead to port 80 of 127.0.0.1."""

    port = 0

    async def connect(self, address, port, way_out):  # type: ignore[no-untyped-def]
        return await super().connect(address, self.port if address == LOOPBACK else port, way_out)


@contextlib.asynccontextmanager
async def fetching(
    handler: Handler,
    book: dict[str, list[str]] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    guarded: dict[str, object] | None = None,
    **limits: object,
) -> AsyncIterator[tuple[OriginFetcher, Origin, Names]]:
    names = Names(book or {"news.example.com": ["127.0.0.1"]})
    async with Origin(handler, tls) as origin:
        settings: dict[str, object] = {"limits": EgressLimits(connect_timeout_s=1), **(guarded or {})}
        guard = OnPort(names, extra_allowed=[(LOOPBACK, 80), (LOOPBACK, 443)], **settings)  # type: ignore[arg-type]
        guard.port = origin.port
        async with guard:
            yield OriginFetcher(guard, FetchLimits(**limits), verify=tls is None), origin, names  # type: ignore[arg-type]


def answer(body: bytes, *, status: str = "200 OK", fields: str = "Content-Type: image/gif\r\n") -> Handler:
    async def handle(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body)
        await writer.drain()

    return handle
