"""Attacks: the answers that hostile origins give, from redirects and trickles to bombs and broken pictures."""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from mailveil.lab.content import PIXEL_GIF, logo_png, plain_png, png_chunk
from mailveil.lab.exchange import Answer, Exchange

# No safe copy may contain it.
MARKER = b"<script>hostile()</script>"
TRICKLE_S = 0.5


def leads_to(target: str, status: int = 302) -> Answer:
    """Return what answers with a redirect."""

    async def answer(exchange: Exchange) -> None:
        await exchange.redirect(target, status)

    return answer


def answers(body: bytes, media_type: str, *fields: tuple[str, str]) -> Answer:
    """Return what answers with a body."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reply(body, media_type, fields)

    return answer


def made(build: Callable[[], bytes], media_type: str, *fields: tuple[str, str]) -> Answer:
    """Return what answers with a body that is only made when somebody asks: bombs take a moment."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reply(await asyncio.to_thread(build), media_type, fields)

    return answer


def says(raw: bytes) -> Answer:
    """Return what sends bytes that need be no HTTP at all, and hangs up."""

    async def answer(exchange: Exchange) -> None:
        exchange.contact.status = "raw"
        await exchange.send(raw)

    return answer


async def rebinding(exchange: Exchange) -> None:
    """Have the name looked up once more: by now it leads inside."""
    await exchange.redirect(f"/next{exchange.request.target}"[:500])


async def loop(exchange: Exchange) -> None:
    """Redirect to itself."""
    await exchange.redirect(exchange.request.target)


async def endless_redirects(exchange: Exchange) -> None:
    """Redirect for ever, each time to another address."""
    count = exchange.memory["count"] = exchange.memory.get("count", 0) + 1
    await exchange.redirect(f"/further/{count}")


async def silence(exchange: Exchange) -> None:
    """Take the request and say nothing."""
    exchange.contact.status = "silence"
    while True:
        await exchange.wait(60)


async def slow_head(exchange: Exchange) -> None:
    """Send a header one byte after the other, without end."""
    exchange.contact.status = "trickle"
    await exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        await exchange.send(b"a")
        await exchange.wait(TRICKLE_S)


async def slow_body(exchange: Exchange) -> None:
    """Send a picture one byte after the other."""
    await exchange.head(200, (("Content-Type", "image/png"), ("Content-Length", "100000")))
    picture = logo_png()
    for place in range(100_000):
        await exchange.send(picture[place : place + 1] or b"\0")
        await exchange.wait(TRICKLE_S)


async def endless_body(exchange: Exchange) -> None:
    """Send as fast as is taken, for ever."""
    await exchange.head(200, (("Content-Type", "image/png"),))
    await exchange.send(b"\x89PNG\r\n\x1a\n")
    while True:
        await exchange.send(bytes(65536))


async def endless_chunks(exchange: Exchange) -> None:
    """Send chunks of one byte, for ever."""
    await exchange.head(200, (("Content-Type", "image/gif"), ("Transfer-Encoding", "chunked")))
    while True:
        await exchange.send(b"1\r\nG\r\n" * 2000)


async def endless_head(exchange: Exchange) -> None:
    """Send header fields, for ever."""
    exchange.contact.status = "header bomb"
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\n")
    number = 0
    while True:
        await exchange.send(b"".join(b"X-%d: %s\r\n" % (number + each, b"a" * 200) for each in range(200)))
        number += 200


async def long_field(exchange: Exchange) -> None:
    """Send one header field of many megabytes."""
    exchange.contact.status = "header bomb"
    await exchange.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(1024):
        await exchange.send(b"a" * 65536)
    await exchange.send(b"\r\nContent-Length: 0\r\n\r\n")


async def informational_flood(exchange: Exchange) -> None:
    """Send interim answers, for ever: the final one never comes."""
    exchange.contact.status = "103"
    while True:
        await exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" * 500)


async def short_length(exchange: Exchange) -> None:
    """Announce more than is sent."""
    await exchange.head(200, (("Content-Type", "image/png"), ("Content-Length", "1000000")))
    await exchange.send(plain_png(300, 300))


# Broken and ambiguous pictures ------------------------------------------------------------------------------


def truncated_png() -> bytes:
    """Return a picture that ends in the middle."""
    whole = logo_png(400, 200)
    return whole[: len(whole) // 2]


def wrong_checksum_png() -> bytes:
    """Return a picture whose data are not what its checksums say."""
    data = zlib.compress((b"\0" + b"\x40\x80\xc0" * 20) * 20)
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 20, 8, 2, 0, 0, 0))
    broken = png_chunk(b"IDAT", data)[:-4] + b"\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + head + broken + png_chunk(b"IEND", b"")


def empty_gif() -> bytes:
    """Return a GIF of no width and a frame that lies outside of it."""
    return b"GIF89a\0\0\0\0\0\0\0\x2c\xff\xff\xff\xff\xff\xff\xff\xff\0\x0b\xff\x3b"


def lying_jpeg() -> bytes:
    """Return a JPEG whose segments say that they are longer than the file."""
    return b"\xff\xd8\xff\xe0\xff\xffJFIF\0\xff\xc0\xff\xff\x08\xff\xff\xff\xff\x03\xff\xda" + bytes(100)


def lying_png() -> bytes:
    """Return a PNG whose chunk says that it has two gigabytes."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0x7FFFFFFF) + b"IHDR" + bytes(40)


def script_gif() -> bytes:
    """Return a GIF that is JavaScript as well."""
    width = struct.unpack("<H", b"/*")[0]
    head = b"GIF89a" + struct.pack("<HHBBB", width, 1, 0, 0, 0)
    return head + b"*/=1;" + MARKER + b"//" + PIXEL_GIF[13:]


def page_png() -> bytes:
    """Return a whole picture with a page in a text chunk and another one behind its end."""
    whole = plain_png(40, 30)
    text = png_chunk(b"tEXt", b"Comment\0" + MARKER)
    return whole[:33] + text + whole[33:] + b"<html>" + MARKER


def commented_jpeg() -> bytes:
    """Return a whole JPEG whose comment and Exif block hold a page."""
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "#3060a0").save(out, "JPEG", comment=MARKER, exif=b"Exif\0\0" + MARKER)
    return out.getvalue()


def archive_gif() -> bytes:
    """Return a whole GIF with a ZIP archive behind its end."""
    name = b"payload.html"
    head = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 0, 0, 0, 0, len(MARKER), len(MARKER), len(name), 0)
    return PIXEL_GIF + head + name + MARKER


def active_svg() -> bytes:
    """Return a drawing that runs scripts and refers to others."""
    return (
        b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9" '
        b'onload="hostile()">' + MARKER + b'<image xlink:href="http://inner.attacker.example/x.png"/>'
        b'<foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" src="http://127.0.0.1/"/></foreignObject>'
        b'<rect width="9" height="9" fill="#36c"/></svg>'
    )


def nested_sheet() -> bytes:
    """Return a sheet that imports and fetches more, among it what is inside."""
    return (
        b'@import "http://127.0.0.1/inner.css";@import url(//inner.attacker.example/a.css);'
        b"p{background:url(http://169.254.169.254/latest/);color:green}"
        b"a{behavior:url(http://inner.attacker.example/a.htc)}"
    )
