"""The copies server: one route, inert bytes, no memory of who asked."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import re
import wave

import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from http_room import ask, http_room
from mailveil.core.references.types import Media
from mailveil.core.safecopy import SafeCopy, sanitise
from mailveil.endpoints.web import copies, listener
from mailveil.endpoints.web.console.application import MODULES
from mailveil.endpoints.web.copies import CopiesServer, _Recent, parse_range
from mailveil.endpoints.web.placeholders import placeholder
from mailveil.ports import StoredCopy, UnavailableError

BODY = bytes(range(256)) * 4
STORED = {
    "stored": StoredCopy(Media.VIDEO, "video/mp4", BODY, "ab" * 32),
    "waiting": StoredCopy(Media.IMAGE, width=300, height=40, pending=True),
    "sheet": StoredCopy(Media.STYLESHEET),
    "sound": StoredCopy(Media.AUDIO),
    "font": StoredCopy(Media.FONT),
    "film": StoredCopy(Media.VIDEO, width=320, height=200),
    "css": StoredCopy(Media.STYLESHEET, "text/css", b"p { background: url(?0) }", "cd" * 32),
}


class Store:
    async def get(self, token: str, slots: tuple[int, ...] = ()) -> StoredCopy | None:
        if token == "dead":
            raise UnavailableError
        if token == "css" and slots:
            return (
                StoredCopy(Media.IMAGE, "image/png", repr(slots).encode(), "ef" * 32)
                if slots[0] < 50
                else None
            )
        return None if slots else STORED.get(token)


SERVER = CopiesServer(Store(), lambda token: token.isalpha())


async def _with_server(check) -> None:
    async with http_room(SERVER) as port:
        await check(port)


def run(check) -> None:
    async def inside() -> None:
        async with http_room(SERVER) as port:
            await asyncio.wait_for(check(port), 10)

    asyncio.run(inside())


def test_a_copy_is_served_for_long_and_inert() -> None:
    async def check(port: int) -> None:
        answer = await ask(port, "/c/stored")
        assert (answer.status, answer.body) == (200, BODY)
        headers = answer.headers
        assert headers["content-type"] == "video/mp4"
        assert headers["cache-control"] == "private, max-age=31536000, immutable"
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "sandbox" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["etag"] == f'"{"ab" * 32}"'
        assert "set-cookie" not in headers
        assert "server" not in headers

    run(check)


def test_head_tells_what_get_would() -> None:
    async def check(port: int) -> None:
        got, head = await ask(port, "/c/stored"), await ask(port, "/c/stored", "HEAD")
        assert head.body == b""
        assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
        assert head.headers["content-length"] == str(len(BODY))

    run(check)


def test_everything_else_is_404_without_a_word() -> None:
    targets = [
        "/",
        "/c",
        "/c/",
        "/c/forged1",
        "/c/a/b",
        "/C/stored",
        "/c/../c/stored",
        "//c/stored",
        "/c/stored/",
        "/status",
        "/healthz",
        "/api",
        "/message/x",
        "/favicon.ico",
        "/robots.txt",
        "/docs",
        "/openapi.json",
        "/c/%00",
        "/x/c/stored",
    ]

    async def check(port: int) -> None:
        for target in targets:
            answer = await ask(port, target)
            assert (answer.status, answer.body) == (404, b""), target
            assert set(answer.headers) <= {"date", "content-length", "cache-control", "connection"}, target
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"):
            assert (await ask(port, "/c/stored", method)).status == 404, method

    run(check)


def test_a_copy_that_is_not_there_yet_is_a_placeholder_that_nobody_keeps() -> None:
    async def check(port: int) -> None:
        answer = await ask(port, "/c/waiting")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-content-type-options"] == "nosniff"
        image = Image.open(io.BytesIO(answer.body))
        assert image.size == (300, 40)
        assert image.convert("RGBA").getextrema()[3] == (0, 0), "nothing is seen of it"
        assert (await ask(port, "/c/sheet")).headers["content-type"].startswith("text/css")
        assert (await ask(port, "/c/sheet")).body == b""
        sound = await ask(port, "/c/sound")
        with wave.open(io.BytesIO(sound.body)) as opened:
            assert set(opened.readframes(1000)) == {0x80}

    run(check)


def test_an_unknown_token_and_a_dead_store_show_nothing_rather_than_an_error() -> None:
    async def check(port: int) -> None:
        for token in ("unknown", "dead"):
            answer = await ask(port, f"/c/{token}")
            assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
            assert Image.open(io.BytesIO(answer.body)).size == (1, 1)

    run(check)


def test_placeholders_of_every_kind_can_be_opened() -> None:
    async def check(port: int) -> None:
        font = await ask(port, "/c/font")
        assert font.headers["content-type"] == "font/woff2"
        opened = TTFont(io.BytesIO(font.body))
        assert opened.getBestCmap() == {}, "every letter comes from the next family"
        film = await ask(port, "/c/film")
        assert film.headers["content-type"] == "video/webm"
        copy = sanitise(film.body, Media.VIDEO)
        assert isinstance(copy, SafeCopy)
        assert (copy.width, copy.height) == (320, 200)
        huge = placeholder(Media.VIDEO, 4096, 4096)[1]
        assert len(huge) < 100_000

    run(check)


def test_slots_lead_from_a_sheet_to_what_it_refers_to() -> None:
    async def check(port: int) -> None:
        sheet = await ask(port, "/c/css")
        assert sheet.headers["content-type"] == "text/css; charset=utf-8"
        assert (await ask(port, "/c/css?0")).body == b"(0,)"
        assert (await ask(port, "/c/css?7.12.3")).body == b"(7, 12, 3)"
        missing = await ask(port, "/c/css?51")
        assert (missing.status, missing.headers["content-type"]) == (200, "image/png")
        for query in (
            "?",
            "?x",
            "?0.",
            "?.0",
            "?-1",
            "?0.1.2.3",
            "?1000",
            "?0&1",
            "?0#",
            "?%30",
            "?0=",
        ):
            answer = await ask(port, f"/c/css{query}".encode().decode("latin-1"))
            assert answer.status == (200 if query == "?" else 404), query

    run(check)


def test_every_page_of_the_console_is_404_here() -> None:
    """Whatever the console answers, readers' clients find nothing of it."""
    routes = sorted(
        {page.path for module in MODULES for page in module.all} | {"/healthz", "/api/v1/messages"}
    )
    assert len(routes) >= 20
    targets = {
        re.sub(r"\{[^}]*\}", name, route) for route in routes for name in ("x", "stored", "..", "%2e%2e")
    }
    targets |= {target + ending for target in targets for ending in ("/", "?x", "//", ";x")}
    targets |= {"/c/.." + target for target in routes} | {"/c/stored/.." + target for target in routes}
    targets |= {f"http://console.example{route}" for route in routes}

    async def check(port: int) -> None:
        for target in sorted(targets):
            for method in ("GET", "HEAD"):
                answer = await ask(port, target, method)
                assert (answer.status, answer.body) == (404, b""), (method, target)
        for route in routes:
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "CONNECT", "X"):
                answer = await ask(port, re.sub(r"\{[^}]*\}", "x", route), method, Host="localhost")
                assert answer.status in (400, 404), (method, route)
                assert answer.status == 404 or method == "CONNECT"

    asyncio.run(asyncio.wait_for(_with_server(check), 120))


def test_odd_requests_find_nothing_and_break_nothing() -> None:
    async def check(port: int) -> None:
        for target in (
            "/c//stored", "/c/%73tored", "/c/stored%00", "/c/./stored", "/%63/stored", "/c\\stored", "*",
            f"http://127.0.0.1:{port}/c/stored", "http://elsewhere.example/c/stored",
        ):  # fmt: skip
            assert (await ask(port, target)).status in (404, 400), target
        assert (await ask(port, "/c/1" + "a" * 20_000)).status == 404
        for host in ("", "elsewhere.example", "localhost:1", "a" * 5000):
            assert (await ask(port, "/c/stored", Host=host)).body == BODY, "names say nothing here"
        many = {f"X-{number}": "x" * 500 for number in range(2000)}
        with contextlib.suppress(ConnectionError):
            answer = await ask(port, "/c/stored", **many)
            assert answer.status in (400, 431)
        assert (await ask(port, "/c/stored", Content_Length="5", Cookie="a=b")).body == BODY
        assert "set-cookie" not in (await ask(port, "/c/stored", Cookie="a=b")).headers

    asyncio.run(asyncio.wait_for(_with_server(check), 60))


def test_slow_readers_and_silent_clients_keep_nobody_waiting() -> None:
    async def check(port: int) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
        for _reader, writer in idle[:150]:
            writer.write(b"GET /c/stored HTTP/1.1\r\nHost: x\r\n\r\n")  # and never reads
        for _reader, writer in idle[150:]:
            writer.write(b"GET /c/sto")  # and never goes on
        assert (await ask(port, "/c/stored")).body == BODY
        for _reader, writer in idle:
            writer.transport.abort()
        await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(_with_server(check), 60))


def test_clients_that_never_go_on_lose_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "PATIENCE_S", 3.0)  # a busy machine may stand still for a moment
    large = StoredCopy(Media.IMAGE, "image/png", b"x" * 30_000_000, "12" * 32)
    monkeypatch.setitem(STORED, "large", large)

    async def check(port: int) -> None:
        silent, half, unread = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        half[1].write(b"GET /c/sto")
        unread[1].write(b"GET /c/large HTTP/1.1\r\nHost: x\r\n\r\n")
        # A reader that takes its time, but takes, gets everything.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /c/large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        taken = 0
        for _ in range(10_000):
            piece = await reader.read(1 << 20)
            if not piece:
                break
            taken += len(piece)
            await asyncio.sleep(0.05)
        assert taken > 30_000_000
        for connection in (silent, half):
            assert await connection[0].read() == b""
        await asyncio.sleep(10)  # thrice the patience: taking anything before would begin it anew
        got = 0
        with contextlib.suppress(ConnectionError):
            while piece := await unread[0].read(1 << 20):
                got += len(piece)
        assert got < 30_000_000, "what nobody took was given up"
        for each in (silent[1], half[1], unread[1], writer):
            each.close()
            with contextlib.suppress(ConnectionError):
                await each.wait_closed()

    asyncio.run(asyncio.wait_for(_with_server(check), 120))


def test_what_was_deleted_is_soon_forgotten() -> None:
    clock = 0.0
    recent = _Recent(lambda: clock)
    copy = StoredCopy(Media.IMAGE, "image/png", b"x" * 1000, "ab" * 32)
    recent.keep("a", (), copy)
    assert recent.get("a", ()) is copy
    assert recent.get("a", (0,)) is None
    clock = 5.1
    assert recent.get("a", ()) is None
    large = StoredCopy(Media.IMAGE, "image/png", b"x" * (4 << 20), "ab" * 32)
    for number in range(100):
        recent.keep(str(number), (), large)
    assert recent.get("99", ()) is large
    assert sum(recent.get(str(number), ()) is not None for number in range(100)) <= 8


def test_nothing_of_an_opening_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where nobody asks for anything any more: the last one would be known until the next."""
    monkeypatch.setattr(copies, "KEPT_S", 0.05)

    async def work() -> None:
        recent = _Recent()
        recent.keep("a", (), StoredCopy(Media.IMAGE, "image/png", b"x" * 1000, "ab" * 32))
        assert recent._copies
        async with asyncio.timeout(30):
            while recent._copies:
                await asyncio.sleep(0.02)

    asyncio.run(work())


RANGES = [
    ("bytes=0-9", 206, 0, 10),
    ("bytes=1000-", 206, 1000, 1024),
    ("bytes=-24", 206, 1000, 1024),
    ("bytes=-9999", 206, 0, 1024),
    ("bytes=1000-99999", 206, 1000, 1024),
    ("bytes=1024-", 416, 0, 0),
    ("bytes=-0", 416, 0, 0),
    ("bytes=9-1", 200, 0, 1024),
    ("bytes=0-1,5-6", 200, 0, 1024),
    ("lines=1-2", 200, 0, 1024),
    ("bytes=" + "9" * 5000 + "-", 200, 0, 1024),
]


def test_ranges() -> None:
    async def check(port: int) -> None:
        for asked, status, start, end in RANGES:
            answer = await ask(port, "/c/stored", Range=asked)
            assert answer.status == status, asked
            assert answer.body == BODY[start:end], asked
            if status == 206:
                assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1024", asked

    run(check)


def test_a_range_of_something_else_is_answered_whole() -> None:
    async def check(port: int) -> None:
        assert (await ask(port, "/c/stored", Range="bytes=0-1", If_Range='"other"')).status == 200
        assert (await ask(port, "/c/stored", Range="bytes=0-1", If_Range=f'"{"ab" * 32}"')).status == 206
        assert (await ask(port, "/c/stored", If_None_Match=f'W/"x", "{"ab" * 32}"')).status == 304

    run(check)


def test_nothing_of_a_request_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the lowest level there is, from anything in the process, with requests that go well and badly."""
    caplog.set_level(logging.DEBUG)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "mailveil"):
        caplog.set_level(logging.DEBUG, logger=name)

    async def check(port: int) -> None:
        for token in ("stored", "unknown", "forgedone1", "dead"):
            await ask(port, f"/c/{token}", User_Agent="SecretClient")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /c/secretpath\x00 SecretClient\r\n\r\n")
        await reader.read()
        writer.close()

    run(check)
    said = caplog.text + "".join(capfd.readouterr())
    for secret in ("SecretClient", "/c/", "forgedone1", "secretpath", "unknown"):
        assert secret not in said
    assert "127.0.0.1:" not in "".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("asyncio")
    )


@pytest.mark.parametrize(
    ("width", "height", "size"), [(0, 0, (1, 1)), (600, 0, (600, 1)), (9**9, 2, (4096, 2)), (-1, 5, (1, 5))]
)
def test_placeholders_are_bounded(width: int, height: int, size: tuple[int, int]) -> None:
    media_type, body = placeholder(Media.IMAGE, width, height)
    assert media_type == "image/png"
    assert Image.open(io.BytesIO(body)).size == size
    assert len(body) < 10_000


def test_a_range_never_reaches_outside() -> None:
    for start in range(6):
        for last in range(6):
            span = parse_range(f"bytes={start}-{last}", 4)
            assert span is None or 0 <= span[0] <= span[1] <= 4
