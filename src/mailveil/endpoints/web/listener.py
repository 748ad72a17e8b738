"""HTTP listeners: uvicorn inside our own event loop, silent about requests and deaf to signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE_S = 5
PATIENCE_S = 20.0
LEAST_BYTES = 10_000  # of a body that come within that time; a telephone's slowest connection brings more


class _Server(uvicorn.Server):
    """uvicorn would take the process's signals for itself; whoever composes the process handles them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(H11Protocol):
    """Ends connections on which nothing goes forward: a silent or drip-feeding client would keep a place for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self._left = -1
        self._asked = 0
        self._came = 0
        self._awaited: object = None  # the request whose body was still to come when it was last looked at
        self._watch = self.loop.call_later(PATIENCE_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take note of how much comes."""
        self._came += len(data)
        super().data_received(data)

    def handle_events(self) -> None:
        """Take note of a request that is complete."""
        before = self.cycle
        super().handle_events()
        self._asked += self.cycle is not before

    def _look(self) -> None:
        asked, self._asked = self._asked, 0
        came, self._came = self._came, 0
        left, self._left = self._left, self.transport.get_write_buffer_size()
        is_answering = self.cycle is not None and not self.cycle.response_complete
        # An answer that is being made gives its time itself; one that nobody takes does not.
        is_stuck = self._left > 0 and self._left == left
        # Nor is one being made while the question is not out: that is for the client to bring, all of it.
        awaited = self.cycle if is_answering and self.cycle.more_body and not self.flow.read_paused else None
        is_starved = awaited is not None and awaited is self._awaited and came < LEAST_BYTES
        self._awaited = awaited
        if is_stuck or is_starved or (not asked and not is_answering):
            self.transport.abort()
        else:
            self._watch = self.loop.call_later(PATIENCE_S, self._look)


class HttpListener:
    """One listening socket and the application behind it."""

    def __init__(self, app: ASGIApp, max_connections: int = 1000) -> None:
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=max_connections,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=GRACE_S,
            http=_Protocol,
            ws="none",
        )
        self._server = _Server(self._config)
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises ``OSError`` where the address is in use or not ours."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # With the protocol named, asyncio turns off Nagle on what is accepted; else each answer to a connection
        # that is used again waits 40 ms for the acknowledgement of its header.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(256)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        self._socket = listening
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[listening]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError("HTTP server ended at once")
            await asyncio.sleep(0.01)

    @property
    def port(self) -> int:
        """Return the port that is listened on."""
        assert self._socket is not None
        port: int = self._socket.getsockname()[1]
        return port

    async def stop(self) -> None:
        """Answer what has been asked, then end."""
        if self._task is None:
            return
        self._server.should_exit = True
        await self._task
        if self._socket is not None:
            self._socket.close()
