"""HTTP/2 as an origin sees it: settings, order of fields, priority; and one request whatever it says.

Setup: an origin that speaks HTTP/2 with h2, a state machine by others, over TLS on loopback.
Test: what it receives is what Chrome sends; an origin that refuses a stream is not asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from adapters.test_hostile_origins import certificate
from mailveil.adapters.egress import EgressLimits
from mailveil.adapters.fetcher import FetchOutcome, OriginFetcher
from mailveil.core.references.types import Media
from origin_room import GIF, LOOPBACK, Names, OnPort


class Http2Origin:
    """Answers every stream, or refuses it; keeps fields and settings as they came."""

    def __init__(self, tls: ssl.SSLContext, *, refuses: bool = False) -> None:
        tls.set_alpn_protocols(["h2", "http/1.1"])
        self.tls = tls
        self.refuses = refuses
        self.requests: list[list[tuple[str, str]]] = []
        self.settings: list[dict[int, int]] = []
        self.connections = 0

    async def __aenter__(self) -> Http2Origin:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        )
        connection.initiate_connection()
        with contextlib.suppress(OSError):
            writer.write(connection.data_to_send())
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    self._take(connection, event)
                writer.write(connection.data_to_send())
                await writer.drain()
        writer.transport.abort()

    def _take(self, connection: h2.connection.H2Connection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            changed = event.changed_settings
            self.settings.append({int(code): each.new_value for code, each in changed.items()})
        if isinstance(event, h2.events.RequestReceived):
            self.requests.append([(str(name), str(value)) for name, value in event.headers])
            if self.refuses:
                connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
                return
            connection.send_headers(event.stream_id, [(":status", "200"), ("content-type", "image/gif")])
            connection.send_data(event.stream_id, GIF, end_stream=True)


@contextlib.asynccontextmanager
async def speaking(
    folder: Path, *, refuses: bool = False
) -> AsyncIterator[tuple[OriginFetcher, Http2Origin]]:
    tls = certificate(folder, host="news.example.com")
    async with Http2Origin(tls, refuses=refuses) as origin:
        guard = OnPort(
            Names({"news.example.com": ["127.0.0.1"]}), extra_allowed=[(LOOPBACK, 443)], limits=EgressLimits()
        )
        guard.port = origin.port
        async with guard:
            yield OriginFetcher(guard, verify=False), origin


@pytest.mark.parametrize(
    ("media", "own"),
    [
        (Media.IMAGE, {"priority": "i", "sec-fetch-dest": "image"}),
        (Media.STYLESHEET, {"priority": "u=0", "sec-fetch-dest": "style", "accept": "text/css,*/*;q=0.1"}),
        (
            Media.FONT,
            {"priority": "u=0", "sec-fetch-dest": "font", "sec-fetch-mode": "cors", "origin": "null"},
        ),
        (Media.VIDEO, {"priority": "i", "range": "bytes=0-", "accept-encoding": "identity"}),
    ],
)
def test_fields_come_in_a_browsers_order(tmp_path: Path, media: Media, own: dict[str, str]) -> None:
    async def work() -> None:
        async with speaking(tmp_path) as (fetcher, origin):
            fetched = await fetcher.fetch("https://news.example.com/thing?x=1", media)
            assert fetched.body == GIF, fetched
            assert fetched.hops[0].http == "2"
            (request,) = origin.requests
            assert request[:4] == [
                (":method", "GET"),
                (":authority", "news.example.com"),
                (":scheme", "https"),
                (":path", "/thing?x=1"),
            ]
            names = [name for name, _ in request[4:]]
            order = [
                "origin", "sec-ch-ua-platform", "user-agent", "sec-ch-ua", "sec-ch-ua-mobile", "accept",
                "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-storage-access", "accept-encoding",
                "accept-language", "priority", "range",
            ]  # fmt: skip
            assert names == [name for name in order if name in names], "nothing else, and in this order"
            assert dict(request).items() >= own.items()
            # Chrome's: no server push, a header table of 64 kB, windows of 6 MB, header lists of 256 kB.
            assert origin.settings[0].items() >= {1: 65_536, 2: 0, 4: 6_291_456, 6: 262_144}.items()

    asyncio.run(work())


def test_a_refused_stream_is_not_asked_for_again(tmp_path: Path) -> None:
    """libcurl would open another connection for it by itself; the guard has given it a permit for one."""

    async def work() -> None:
        async with speaking(tmp_path, refuses=True) as (fetcher, origin):
            fetched = await fetcher.fetch("https://news.example.com/thing", Media.IMAGE)
            assert fetched.outcome in (FetchOutcome.FAILED, FetchOutcome.MALFORMED)
            assert not fetched.sent_nothing
            assert (len(origin.requests), origin.connections) == (1, 1)

    asyncio.run(work())
