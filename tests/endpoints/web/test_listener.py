"""The HTTP listener: answers go out at once."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.types import Receive, Scope, Send

from mailveil.endpoints.web.listener import HttpListener


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_answer_waits_for_the_acknowledgement_of_its_header(host: str) -> None:
    """With Nagle's algorithm a connection that is used again takes 40 ms for each answer (RFC 896)."""

    async def work() -> None:
        listener = HttpListener(answer)
        await listener.start(host, 0)
        reader, writer = await asyncio.open_connection(host, listener.port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == b"ok"
        accepted = [each.transport for each in listener._server.server_state.connections]
        assert len(accepted) == 1
        for transport in accepted:
            its_socket = transport.get_extra_info("socket")
            assert its_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        writer.close()
        await writer.wait_closed()
        await listener.stop()

    asyncio.run(work())
