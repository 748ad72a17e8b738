"""A room with a real HTTP listener on loopback, and a client that keeps no state."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.types import ASGIApp

from mailveil.endpoints.web.listener import HttpListener


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(port: int, target: str, method: str = "GET", **fields: str) -> Answer:
    """Send one request as it stands and read the answer to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    named = {"Host": f"127.0.0.1:{port}", "Connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    raw = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Answer(int(status.split(" ")[1]), headers, body)


@contextlib.asynccontextmanager
async def http_room(app: ASGIApp) -> AsyncIterator[int]:
    listener = HttpListener(app)
    await listener.start("127.0.0.1", 0)
    try:
        yield listener.port
    finally:
        await listener.stop()
