"""Hostile origins: none gets further than a placeholder with a name for what it did, and none is asked twice."""

# ruff: noqa: E501 - one hostile origin a line
from __future__ import annotations

import asyncio
import datetime
import gzip
import ssl
import zlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailveil.adapters.egress import EgressGuard, EgressLimits
from mailveil.adapters.fetcher import Fetched, FetchOutcome, OriginFetcher
from mailveil.core.references.types import Media
from origin_room import GIF, Handler, Names, answer, fetching

URL = "http://news.example.com/x"


def raw(data: bytes, *, then_close: bool = True) -> Handler:
    """Answer with these very bytes."""

    async def handle(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if not then_close:
            await asyncio.sleep(3600)

    return handle


def ask(handler: Handler, media: Media = Media.IMAGE, **limits: object) -> tuple[Fetched, int]:
    """Fetch once; return what came of it and how many requests the origin saw."""

    async def work() -> tuple[Fetched, int]:
        async with fetching(handler, **limits) as (fetcher, origin, _names):  # type: ignore[arg-type]
            fetched = await fetcher.fetch(URL, media)
            return fetched, len(origin.requests)

    return asyncio.run(work())


async def endless_header(_path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Field: " + b"a" * 1000 + b"\r\n")
        await writer.drain()


async def endless_line(_path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Field: ")
    while True:
        writer.write(b"a" * 65536)
        await writer.drain()


async def interim_answers(_path: str, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)
        await writer.drain()


async def loris(_path: str, writer: asyncio.StreamWriter) -> None:
    for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 10_000:
        writer.write(bytes((letter,)))
        await writer.drain()
        await asyncio.sleep(0.1)


async def silence(_path: str, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def endless_body(_path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\n\r\n" + GIF)
    while True:
        writer.write(b"\0" * 65536)
        await writer.drain()


async def endless_wav(_path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n\r\nRIFF")
    while True:
        writer.write(b"\0" * 8)
        await writer.drain()
        await asyncio.sleep(0.2)


async def stalled_body(_path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nGIF89a")
    await writer.drain()
    await asyncio.sleep(3600)


async def slow_to_the_end(_path: str, writer: asyncio.StreamWriter) -> None:
    """Above the least rate, but for longer than a fetch may take."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"\0" * 200)
        await writer.drain()
        await asyncio.sleep(0.1)


def zeros(size: int, packer) -> bytes:  # type: ignore[no-untyped-def]
    return packer(b"\0" * size)


def bomb(coding: str, body: bytes) -> Handler:
    return answer(body, fields=f"Content-Type: image/gif\r\nContent-Encoding: {coding}\r\n")


NESTED = gzip.compress(gzip.compress(b"\0" * 50_000_000))

HOSTILE = [
    ("endless header", endless_header, FetchOutcome.TOO_MANY_FIELDS, {}),
    ("interim answers without end", interim_answers, FetchOutcome.TOO_MANY_FIELDS, {}),
    ("slow loris", loris, FetchOutcome.TOO_SLOW, {"timeout_s": 3}),
    ("no answer", silence, FetchOutcome.TOO_SLOW, {"timeout_s": 3}),
    ("no answer for long", silence, FetchOutcome.TOO_SLOW, {"answer_s": 1}),
    ("slow loris for long", loris, FetchOutcome.TOO_SLOW, {"answer_s": 1}),
    ("endless body", endless_body, FetchOutcome.TOO_LARGE, {"max_bytes": 500_000}),
    ("silent WAV in drops", endless_wav, FetchOutcome.DRIP_FED, {"min_rate_over_s": 2}),
    ("stalled body", stalled_body, FetchOutcome.TOO_SLOW, {"min_rate_over_s": 2}),
    ("slow to the end", slow_to_the_end, FetchOutcome.DRIP_FED, {"timeout_s": 4, "min_bytes_per_s": 500, "min_rate_over_s": 60}),
    ("gzip bomb", bomb("gzip", gzip.compress(b"\0" * 30_000_000)), FetchOutcome.DECOMPRESSION_BOMB, {}),
    ("deflate bomb", bomb("deflate", zlib.compress(b"\0" * 30_000_000)), FetchOutcome.DECOMPRESSION_BOMB, {}),
    ("nested bomb", bomb("gzip, gzip", NESTED), FetchOutcome.DECOMPRESSION_BOMB, {}),
    ("too many codings", bomb(", ".join(["gzip"] * 30), GIF), FetchOutcome.MALFORMED, {}),
    ("garbage for gzip", bomb("gzip", b"no gzip at all"), FetchOutcome.MALFORMED, {}),
    ("too short", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nGIF89a"), FetchOutcome.MALFORMED, {}),
    ("chunks of garbage", raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGIF\r\n"), FetchOutcome.MALFORMED, {}),
    ("chunk cut off", raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nGIF"), FetchOutcome.MALFORMED, {}),
    ("contradicting lengths", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nGIF89a!"), FetchOutcome.MALFORMED, {}),
    ("no HTTP", raw(b"220 mail.example.com ESMTP\r\n"), FetchOutcome.MALFORMED, {}),
    ("HTTP/0.9", raw(GIF * 10), FetchOutcome.MALFORMED, {}),
    ("nothing", raw(b""), FetchOutcome.FAILED, {}),
    ("204 for ever", raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"), FetchOutcome.HTTP_ERROR, {}),
    ("a part unasked for", raw(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nGI"), FetchOutcome.HTTP_ERROR, {}),
    ("redirect to nowhere", raw(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), FetchOutcome.HTTP_ERROR, {}),
    ("redirect to itself", raw(b"HTTP/1.1 302 Found\r\nLocation: /x#again\r\nContent-Length: 0\r\n\r\n"), FetchOutcome.REDIRECT_LOOP, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("handler", "outcome", "limits"), [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE]
)
def test_ends_in_a_named_outcome(handler: Handler, outcome: FetchOutcome, limits: dict[str, object]) -> None:
    fetched, requests = ask(
        handler, Media.AUDIO if outcome is FetchOutcome.DRIP_FED else Media.IMAGE, **limits
    )
    assert fetched.outcome is outcome, (fetched.detail, fetched.hops)
    assert fetched.body == b""
    assert requests == 1
    assert not fetched.sent_nothing
    assert fetched.hops[0].address == "127.0.0.1"
    assert fetched.hops[0].sent_bytes > 0


def test_a_header_line_without_end_is_cut_off() -> None:
    fetched, requests = ask(endless_line)
    assert fetched.outcome in (FetchOutcome.TOO_MANY_FIELDS, FetchOutcome.TOO_LARGE, FetchOutcome.FAILED)
    assert fetched.hops[0].received_bytes < 20_000_000
    assert requests == 1


TARGETS = [
    "http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/",
    "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:a9fe:a9fe]/", "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/", "http://[2002:7f00:1::]/", "http://[fe80::1]/", "http://[fd00::1]/",
    "http://169.254.169.254/latest/meta-data/", "http://metadata.google.internal/", "http://100.64.0.1/",
    "http://192.168.0.1/", "http://224.0.0.1/", "http://0.0.0.0/", "http://localhost/", "http://router.lan/",
    "http://news.example.com:22/", "http://news.example.com:8080/", "https://news.example.com:80443/",
    "ftp://news.example.com/x", "file:///etc/passwd", "gopher://news.example.com/", "javascript:alert(1)",
    "data:image/gif;base64,R0lGODlh", "http://user:secret@news.example.com/", "//",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_a_redirect_leads_nowhere_it_must_not(target: str) -> None:
    async def work() -> None:
        handler = answer(b"", status="302 Found", fields=f"Location: {target}\r\n")
        book = {"news.example.com": ["127.0.0.1"], "localhost": ["127.0.0.1"], "router.lan": ["192.168.0.1"],
                "metadata.google.internal": ["169.254.169.254"]}  # fmt: skip
        # Only the very first connection is let through to the loopback address.
        async with fetching(handler, book) as (fetcher, origin, _names):
            choose = fetcher.guard.choose

            async def once(permit, way_out=None):  # type: ignore[no-untyped-def]
                if origin.requests:
                    fetcher.guard.extra_allowed = frozenset()
                return await choose(permit, way_out)

            fetcher.guard.choose = once  # type: ignore[method-assign]
            fetched = await fetcher.fetch(URL, Media.IMAGE)
            assert fetched.outcome in (
                FetchOutcome.REFUSED_ADDRESS, FetchOutcome.HTTP_ERROR, FetchOutcome.NO_SUCH_NAME
            )  # fmt: skip
            assert len(origin.requests) == 1
            assert not any(hop.sent_bytes for hop in fetched.hops[1:])

    asyncio.run(work())


# --- TLS -------------------------------------------------------------------------------------------------------------


def certificate(folder: Path, *, host: str, days: int = 365) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2 * 365))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "tls.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_of_nobodys_is_no_certificate(tmp_path: Path) -> None:
    async def work() -> None:
        tls = certificate(tmp_path, host="news.example.com")
        async with fetching(answer(GIF), tls=tls) as (fetcher, origin, _names):
            fetcher.verify = True
            fetched = await fetcher.fetch("https://news.example.com/x", Media.IMAGE)
            assert fetched.outcome is FetchOutcome.BAD_CERTIFICATE
            assert not fetched.sent_nothing, "it has seen a TLS hello, so it is not contacted again"
            assert origin.requests == []
            assert fetched.hops[0].address == "127.0.0.1"

    asyncio.run(work())


FIELDS_OVER_TLS = """\
GET /thing HTTP/1.1
Host: news.example.com
Connection: keep-alive
sec-ch-ua-platform: "macOS"
User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36
sec-ch-ua: "Not;A=Brand";v="8", "Chromium";v="150", "Google Chrome";v="150"
sec-ch-ua-mobile: ?0
Accept: {accept}
Sec-Fetch-Site: cross-site
Sec-Fetch-Mode: no-cors
Sec-Fetch-Dest: {destination}
Sec-Fetch-Storage-Access: none
Accept-Encoding: {codings}
Accept-Language: en-US,en;q=0.9
"""
PICTURES = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    ("media", "accept", "destination", "codings", "more"),
    [
        (Media.IMAGE, PICTURES, "image", "gzip, deflate, br, zstd", ""),
        (Media.STYLESHEET, "text/css,*/*;q=0.1", "style", "gzip, deflate, br, zstd", ""),
        (Media.AUDIO, "*/*", "audio", "identity", "Range: bytes=0-\n"),
        (Media.VIDEO, "*/*", "video", "identity", "Range: bytes=0-\n"),
    ],
)
def test_the_request_is_a_browsers_byte_for_byte(
    tmp_path: Path, media: Media, accept: str, destination: str, codings: str, more: str
) -> None:
    """As captured from Chromium for the parts of a page of another site, in its order.

    Over HTTP/1.1, where browsers send no Priority.
    """

    async def work() -> None:
        tls = certificate(tmp_path, host="news.example.com")
        async with fetching(answer(GIF), tls=tls) as (fetcher, origin, _names):
            assert (await fetcher.fetch("https://news.example.com/thing", media)).body == GIF
            expected = FIELDS_OVER_TLS.format(accept=accept, destination=destination, codings=codings) + more
            assert origin.requests[0].replace("\r\n", "\n") == expected + "\n"

    asyncio.run(work())


def test_a_font_is_asked_for_by_nobody_in_particular(tmp_path: Path) -> None:
    async def work() -> None:
        tls = certificate(tmp_path, host="news.example.com")
        async with fetching(answer(GIF), tls=tls) as (fetcher, origin, _names):
            await fetcher.fetch("https://news.example.com/f.woff2", Media.FONT)
            lines = origin.requests[0].split("\r\n")
            assert lines[3] == "Origin: null"
            assert "Sec-Fetch-Mode: cors" in lines
            assert "Referer" not in origin.requests[0]

    asyncio.run(work())


def test_nothing_that_an_origin_says_comes_back_to_it() -> None:
    """No cookie, no ETag, no date: not at the next hop of a redirect, and not at the next fetch."""

    async def handle(path: str, writer: asyncio.StreamWriter) -> None:
        marks = 'Set-Cookie: id=7; Max-Age=9999\r\nETag: "reader-7"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n'
        marks += "Accept-CH: Sec-CH-UA-Model, Viewport-Width\r\nCritical-CH: Sec-CH-UA-Model\r\n"
        if path == "/one":
            await answer(b"", status="302 Found", fields=f"Location: /two\r\n{marks}")(path, writer)
        else:
            await answer(GIF, fields=marks + "Cache-Control: max-age=9999\r\n")(path, writer)

    async def work() -> None:
        async with fetching(handle) as (fetcher, origin, _names):
            for _ in range(2):
                assert (await fetcher.fetch("http://news.example.com/one", Media.IMAGE)).body == GIF
            assert len(origin.requests) == 4
            told = "".join(origin.requests).lower()
            for mark in (
                "cookie",
                "if-none-match",
                "if-modified-since",
                "referer",
                "reader-7",
                "sec-ch",
                "viewport",
            ):
                assert mark not in told
            assert len({request.split(" ", 2)[2] for request in origin.requests}) == 1, "all alike"

    asyncio.run(work())


# --- asked to wait ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "field", "seconds"),
    [
        ("429 Too Many Requests", "Retry-After: 120\r\n", 120.0),
        ("503 Unavailable", "", None),
        ("503 Unavailable", "Retry-After: soon\r\n", None),
    ],
)
def test_who_asks_us_to_wait_says_for_how_long(status: str, field: str, seconds: float | None) -> None:
    fetched, requests = ask(answer(b"", status=status, fields=field))
    assert fetched.outcome is FetchOutcome.ASKED_TO_WAIT
    assert (fetched.again_at, fetched.again_s) == (URL, seconds)
    assert requests == 1


# --- the guard -------------------------------------------------------------------------------------------------------


def test_one_address_has_only_so_many_connections_at_once() -> None:
    async def work() -> None:
        guarded = {"limits": EgressLimits(max_per_address=2, connect_timeout_s=1, patience_s=0.2)}
        async with fetching(silence, guarded=guarded, timeout_s=60, answer_s=60) as (fetcher, origin, _names):  # type: ignore[arg-type]
            first = [asyncio.create_task(fetcher.fetch(f"{URL}{number}", Media.IMAGE)) for number in range(2)]
            async with asyncio.timeout(30):
                while len(origin.requests) < 2:
                    await asyncio.sleep(0.05)
            third = await fetcher.fetch(f"{URL}-third", Media.IMAGE)
            assert third.outcome is FetchOutcome.BUSY
            assert third.sent_nothing
            for task in first:
                task.cancel()
            await asyncio.gather(*first, return_exceptions=True)

    asyncio.run(work())


def test_an_address_without_budget_is_not_contacted() -> None:
    async def never(address: str) -> bool:
        assert address == "127.0.0.1"
        return False

    async def work() -> None:
        async with fetching(answer(GIF), guarded={"may_contact": never}) as (fetcher, origin, _names):
            fetched = await fetcher.fetch(URL, Media.IMAGE)
            assert fetched.outcome is FetchOutcome.OVER_BUDGET
            assert fetched.sent_nothing
            assert origin.requests == []

    asyncio.run(work())


def test_a_name_that_does_not_exist_is_told_from_one_that_cannot_be_looked_up() -> None:
    async def work() -> None:
        async with EgressGuard(Names({})) as guard:
            fetched = await OriginFetcher(guard).fetch("http://nowhere.example.com/", Media.IMAGE)
            assert fetched.outcome is FetchOutcome.NO_SUCH_NAME
            assert fetched.sent_nothing
            assert fetched.hops[0].name is not None
            assert fetched.hops[0].name.defect == "nxdomain"

    asyncio.run(work())
