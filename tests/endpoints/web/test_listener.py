"""The HTTP listener: answers go out at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from starlette.types import Receive, Scope, Send

from mailveil.endpoints.web import listener as listening
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


def test_a_request_that_never_ends_does_not_keep_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is announced and never sent would hold one of a limited number of connections for ever."""

    async def take(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
        await answer(scope, receive, send)

    async def ask(port: int, pieces: list[bytes], every_s: float) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        length = sum(map(len, pieces)) if every_s < 0.5 else 1_000_000
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length)

        async def drip() -> None:
            with contextlib.suppress(OSError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(every_s)

        dripping = asyncio.ensure_future(drip())
        try:
            return await reader.read(100)
        except ConnectionError:
            return b""
        finally:
            dripping.cancel()
            writer.close()

    async def work() -> None:
        monkeypatch.setattr(listening, "PATIENCE_S", 1.0)
        listener = HttpListener(take)
        await listener.start("127.0.0.1", 0)
        async with asyncio.timeout(60):
            silent = ask(listener.port, [], 60)
            dripping = ask(listener.port, [b"x"] * 1_000, 0.6)
            steady = ask(listener.port, [b"x" * 20_000] * 30, 0.1)
            answers = await asyncio.gather(silent, dripping, steady)
        await listener.stop()
        assert answers[:2] == [b"", b""]
        assert answers[2].startswith(b"HTTP/1.1 200"), "what goes forward may take longer than that"

    asyncio.run(work())
