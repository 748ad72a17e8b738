"""The fetcher against origins on loopback, the hostile ones included."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path

import pytest

from mailveil.adapters.browser import VERSION
from mailveil.adapters.egress import EgressGuard
from mailveil.adapters.fetcher import FetchOutcome, OriginFetcher
from mailveil.core.references.types import Media
from origin_room import GIF, Names, Origin, answer, fetching
from tls_room import Authority


def test_fetches_once_like_a_browser() -> None:
    async def work() -> None:
        async with fetching(answer(GIF)) as (fetcher, origin, names):
            fetched = await fetcher.fetch("http://news.example.com/a.gif?x=1", Media.IMAGE)
            assert fetched.outcome is FetchOutcome.FETCHED
            assert fetched.body == GIF
            assert [hop.status for hop in fetched.hops] == [200]
            assert names.asked == ["news.example.com"]
            (request,) = origin.requests
            # As Chromium sends it for a picture of another site over plain http: neither client hints nor
            # Fetch Metadata, and no upgrade to HTTP/2 is offered.
            assert request == (
                "GET /a.gif?x=1 HTTP/1.1\r\n"
                "Host: news.example.com\r\n"
                "Connection: keep-alive\r\n"
                "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 "
                f"(KHTML, like Gecko) Chrome/{VERSION}.0.0.0 Safari/537.36\r\n"
                "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8\r\n"
                "Accept-Encoding: gzip, deflate\r\n"
                "Accept-Language: en-US,en;q=0.9\r\n\r\n"
            )

    asyncio.run(work())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://10.0.0.1/",
        "http://localhost/",
        "http://inside.example.com/",
        "http://mixed.example.com/",
        "http://news.example.com:8080/",
        "http://user@news.example.com/",
        "ftp://news.example.com/",
        "file://news.example.com/x",
    ],
)
def test_forbidden_places_see_no_byte(url: str) -> None:
    async def work() -> None:
        book = {
            "news.example.com": ["8.8.8.8"],
            "inside.example.com": ["10.1.2.3"],
            "mixed.example.com": ["8.8.8.8 127.0.0.1"],
            "localhost": ["127.0.0.1"],
        }
        async with Origin(answer(GIF)) as origin, EgressGuard(Names(book)) as guard:
            fetched = await OriginFetcher(guard).fetch(url, Media.IMAGE)
            assert fetched.outcome is FetchOutcome.REFUSED_ADDRESS
            assert fetched.sent_nothing
            assert not origin.requests

    asyncio.run(work())


def test_a_redirect_inside_is_refused() -> None:
    async def work() -> None:
        handler = answer(b"", status="302 Found", fields="Location: http://169.254.169.254/latest\r\n")
        async with fetching(handler) as (fetcher, origin, _names):
            fetched = await fetcher.fetch("http://news.example.com/", Media.IMAGE)
            assert fetched.outcome is FetchOutcome.REFUSED_ADDRESS
            assert [hop.status for hop in fetched.hops] == [302]
            assert len(origin.requests) == 1

    asyncio.run(work())


def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """DNS rebinding: a name is looked up once a fetch, and the next answer is checked like the first."""

    async def handle(path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/one":
            await answer(b"", status="302 Found", fields="Location: /two\r\n")(path, writer)
        else:
            await answer(GIF)(path, writer)

    async def work() -> None:
        book = {"rebind.example.com": ["127.0.0.1", "10.0.0.1"]}
        async with fetching(handle, book) as (fetcher, origin, names):
            fetched = await fetcher.fetch("http://rebind.example.com/one", Media.IMAGE)
            assert fetched.body == GIF
            assert names.asked == ["rebind.example.com"]
            fetched = await fetcher.fetch("http://rebind.example.com/three", Media.IMAGE)
            assert fetched.outcome is FetchOutcome.REFUSED_ADDRESS
            assert len(origin.requests) == 2

    asyncio.run(work())


def test_redirects_are_followed_and_counted() -> None:
    async def handle(path: str, writer: asyncio.StreamWriter) -> None:
        step = int(path.strip("/"))
        if step == 0:
            await answer(GIF)(path, writer)
        else:
            await answer(b"", status="302 Found", fields=f"Location: /{step - 1}\r\n")(path, writer)

    async def work() -> None:
        async with fetching(handle, max_redirects=3) as (fetcher, _origin, _names):
            assert (await fetcher.fetch("http://news.example.com/3", Media.IMAGE)).body == GIF
            ended = await fetcher.fetch("http://news.example.com/4", Media.IMAGE)
            assert ended.outcome is FetchOutcome.TOO_MANY_REDIRECTS

    asyncio.run(work())


def test_who_may_not_follow_a_redirect_sends_nothing_there() -> None:
    asked: list[str] = []

    async def may_follow(url: str) -> FetchOutcome | None:
        asked.append(url)
        return FetchOutcome.LINKED if url.endswith("/leave") else None

    async def handle(path: str, writer: asyncio.StreamWriter) -> None:
        target = {"/a": "/b", "/b": "/leave#x"}.get(path)
        fields = f"Location: {target}\r\n" if target else ""
        await answer(GIF, status="302 Found" if target else "200 OK", fields=fields)(path, writer)

    async def work() -> None:
        async with fetching(handle) as (fetcher, origin, _names):
            fetched = await fetcher.fetch("http://news.example.com/a", Media.IMAGE, may_follow)
            assert (fetched.outcome, fetched.body, len(fetched.hops)) == (FetchOutcome.LINKED, b"", 2)
            assert not fetched.sent_nothing
            assert len(origin.requests) == 2
            assert asked == ["http://news.example.com/b", "http://news.example.com/leave"]

    asyncio.run(work())


def test_endless_and_oversized_bodies_are_cut() -> None:
    async def endless(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n\r\n")
        while True:
            writer.write(b"\0" * 65536)
            await writer.drain()

    async def work() -> None:
        async with fetching(endless, max_bytes=300_000) as (fetcher, _origin, _names):
            fetched = await fetcher.fetch("http://news.example.com/x.wav", Media.AUDIO)
            assert fetched.outcome is FetchOutcome.TOO_LARGE
            assert fetched.body == b""

    asyncio.run(work())


def test_a_gzip_bomb_is_cut_at_its_decompressed_size() -> None:
    import gzip

    bomb = gzip.compress(b"\0" * 20_000_000)

    async def work() -> None:
        handler = answer(bomb, fields="Content-Type: image/gif\r\nContent-Encoding: gzip\r\n")
        async with fetching(handler, max_bytes=1_000_000) as (fetcher, _origin, _names):
            fetched = await fetcher.fetch("http://news.example.com/x", Media.IMAGE)
            assert fetched.outcome is FetchOutcome.DECOMPRESSION_BOMB
            assert fetched.facts.encoded_bytes < 30_000

    asyncio.run(work())


def test_drip_feeding_is_cut_off() -> None:
    async def drip(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n\r\n")
        for _ in range(100):
            writer.write(b"\0")
            await writer.drain()
            await asyncio.sleep(0.1)

    async def work() -> None:
        async with fetching(drip, min_rate_over_s=1) as (fetcher, _origin, _names):
            fetched = await fetcher.fetch("http://news.example.com/x.wav", Media.AUDIO)
            assert fetched.outcome is FetchOutcome.DRIP_FED
            assert len(fetched.facts.profile) >= 3

    asyncio.run(work())


def test_an_error_page_is_no_copy() -> None:
    async def work() -> None:
        async with fetching(answer(b"no", status="404 Not Found")) as (fetcher, _origin, _names):
            fetched = await fetcher.fetch("http://news.example.com/", Media.IMAGE)
            assert (fetched.outcome, fetched.detail) == (FetchOutcome.HTTP_ERROR, "404")

    asyncio.run(work())


def test_the_certificate_that_an_origin_shows_is_told_by_its_digest(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("news.example.com")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    expected = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()

    async def steps() -> None:
        async with fetching(answer(GIF), tls=tls) as (fetcher, _, _):
            fetched = await fetcher.fetch("https://news.example.com/p.gif", Media.IMAGE)
            assert [hop.certificate for hop in fetched.hops] == [expected]
        async with fetching(answer(GIF)) as (fetcher, _, _):
            fetched = await fetcher.fetch("http://news.example.com/p.gif", Media.IMAGE)
            assert [hop.certificate for hop in fetched.hops] == [""]

    asyncio.run(steps())
