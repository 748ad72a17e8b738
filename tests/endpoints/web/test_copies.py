"""The copies server: one route, inert bytes, no memory of who asked."""

from __future__ import annotations

import asyncio
import io
import logging
import wave

import pytest
from PIL import Image

from http_room import ask, http_room
from mailveil.core.references.types import Media
from mailveil.endpoints.web.copies import CopiesServer, parse_range
from mailveil.endpoints.web.placeholders import placeholder
from mailveil.ports import StoredCopy, UnavailableError

BODY = bytes(range(256)) * 4
STORED = {
    "stored": StoredCopy(Media.VIDEO, "video/mp4", BODY, "ab" * 32),
    "waiting": StoredCopy(Media.IMAGE, width=300, height=40, pending=True),
    "sheet": StoredCopy(Media.STYLESHEET),
    "sound": StoredCopy(Media.AUDIO),
}


class Store:
    async def get(self, token: str) -> StoredCopy | None:
        if token == "dead":
            raise UnavailableError
        return STORED.get(token)


SERVER = CopiesServer(Store(), lambda token: token.isalpha())


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


def test_nothing_of_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def check(port: int) -> None:
        for token in ("stored", "unknown", "forged1", "dead"):
            await ask(port, f"/c/{token}", User_Agent="SecretClient")
        assert "SecretClient" not in caplog.text
        for token in ("stored", "unknown", "forged1"):
            assert f"/c/{token}" not in caplog.text
        assert "127.0.0.1" not in "".join(
            record.getMessage()
            for record in caplog.records
            if record.name.startswith(("mailveil", "uvicorn.access"))
        )

    run(check)


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
