"""The sandbox: real decoders in a process that can be lost without anybody noticing."""

from __future__ import annotations

import asyncio
import io
import os
import struct
import sys
import zlib

import pytest
from PIL import Image

from mailveil.adapters.frames import encode_frame
from mailveil.adapters.sandbox import Sandbox
from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits, SafeCopy


def picture(width: int = 30, height: int = 20) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(written, "PNG")
    return written.getvalue()


def bomb() -> bytes:
    """Return a small PNG that claims to be enormous."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


async def in_sandbox(work, **settings):
    sandbox = Sandbox(**settings)
    try:
        return await asyncio.wait_for(work(sandbox), 60)
    finally:
        await sandbox.close()


def test_contents_are_made_safe_by_one_child() -> None:
    async def work(sandbox: Sandbox) -> None:
        first = await sandbox.sanitise(picture(), Media.IMAGE)
        child = sandbox._child
        assert isinstance(first, SafeCopy)
        assert Image.open(io.BytesIO(first.body)).size == (30, 20)
        assert await sandbox.sanitise(b"no picture", Media.IMAGE) == "unknown-type"
        assert await sandbox.sanitise(bomb(), Media.IMAGE) in ("too-many-pixels", "unreadable")
        sheet = await sandbox.sanitise(b"p { background: url(https://t.example/x) }", Media.STYLESHEET)
        assert isinstance(sheet, SafeCopy)
        assert b"t.example" not in sheet.body
        assert sandbox._child is child

    asyncio.run(in_sandbox(work))


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"p{background:url(https://t.e\x9bx\xf0\x9f\x98\x80.example/\xed\xa0\x80)}", Media.STYLESHEET),
        ("p{background:url(https://bücher.example/日本)}".encode(), Media.STYLESHEET),
        *(
            (
                f'<?xml version="1.0" encoding="{codec}"?><svg xmlns="http://www.w3.org/2000/svg"><g/></svg>'.encode(),
                Media.IMAGE,
            )
            for codec in (
                "windows-1252",
                "koi8-r",
                "shift_jis",
                "iso-8859-15",
                "mac-roman",
                "no-such-codec",
                "utf-7",
            )
        ),
    ],
)
def test_nothing_is_loaded_any_more_once_hostile_bytes_are_read(body: bytes, media: Media) -> None:
    async def work(sandbox: Sandbox) -> None:
        assert await sandbox.sanitise(body, media, "https://t.example/") not in ("crashed", "timed-out")

    asyncio.run(in_sandbox(work))


def test_a_lost_child_costs_one_content() -> None:
    async def work(sandbox: Sandbox) -> None:
        await sandbox.sanitise(picture(), Media.IMAGE)
        os.kill(sandbox._child.pid, 9)
        assert await sandbox.sanitise(picture(), Media.IMAGE) == "crashed"
        assert isinstance(await sandbox.sanitise(picture(), Media.IMAGE), SafeCopy)

    asyncio.run(in_sandbox(work))


def test_a_child_that_hangs_is_ended() -> None:
    async def work(sandbox: Sandbox) -> None:
        await sandbox.sanitise(picture(), Media.IMAGE)
        os.kill(sandbox._child.pid, 19)  # SIGSTOP
        assert await sandbox.sanitise(picture(), Media.IMAGE) == "timed-out"
        assert isinstance(await sandbox.sanitise(picture(), Media.IMAGE), SafeCopy)

    asyncio.run(in_sandbox(work, timeout_s=0.5))


def test_memory_is_bounded() -> None:
    async def work(sandbox: Sandbox) -> None:
        assert isinstance(await sandbox.sanitise(picture(), Media.IMAGE), SafeCopy)
        large = picture(7000, 7000)
        assert not isinstance(await sandbox.sanitise(large, Media.IMAGE), SafeCopy)
        assert isinstance(await sandbox.sanitise(picture(), Media.IMAGE), SafeCopy)

    asyncio.run(in_sandbox(work, max_bytes=220 << 20))


@pytest.mark.parametrize("size", [10, 100])
def test_limits_reach_the_child(size: int) -> None:
    async def work(sandbox: Sandbox) -> None:
        assert await sandbox.sanitise(picture(500, 500), Media.IMAGE) == "too-large"

    asyncio.run(in_sandbox(work, limits=CopyLimits(max_bytes=size)))


FAKE = "import sys, time; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1])); sys.stdout.flush(); time.sleep(600)"
FAIR = {
    "media_type": "image/png", "width": 1, "height": 1, "frames": 1, "duration_s": 0.0, "is_silent": None,
    "replaced": False, "nested": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "body"),
    [
        ({"refusal": "https://origin.example/?reader=anna"}, b""),
        ({**FAIR, "media_type": "image/png\r\nSet-Cookie: a=b"}, b"x"),
        ({**FAIR, "width": float("inf")}, b"x"),
        ({**FAIR, "duration_s": float("nan")}, b"x"),
        ({**FAIR, "nested": [["https://o.example/", "image"]]}, b"x"),
        (FAIR, b"x" * 2001),
    ],
)
def test_a_child_taken_over_is_believed_nothing_that_cannot_be(told: dict[str, object], body: bytes) -> None:
    async def work(sandbox: Sandbox) -> None:
        sandbox._child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FAKE, encode_frame(told, body).hex(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert await sandbox.sanitise(picture(), Media.IMAGE) == "crashed"

    asyncio.run(in_sandbox(work, limits=CopyLimits(max_bytes=1000), timeout_s=60))
