"""The whole path with its defaults: a message by swaks through ``make run`` into a mailbox and into a browser.

Setup: the sealed room, with the whole product started inside it as a newcomer starts it (nothing is set but where
it keeps its files), and origins on an address that the fetcher takes for a public one, since there it is.
Test: the delivered message, opened before and after its safe copies were made, contacts nobody; its pictures
come from the copies listener, of the size they have at the origin; the origins saw one fetch each and no reader.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leak.reader import documents
from leak.sealed_room import SealedRoom, what_is_missing
from mailveil import __file__ as package

PROJECT = Path(package).parents[2]
HERO, LOGO, OPEN = "/2026/hero.png", "/logo.png", "/open/7f3a91c2d4e5?u=reader%40example.org"
PICTURES = {HERO: 240, LOGO: 48}
MESSAGE = f"""\
From: "Harbour & Hill" <news@newsletter.example>
To: reader@example.org
Subject: Your picks
Message-ID: <whole-path@newsletter.example>
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<!DOCTYPE html><html><head><link rel="dns-prefetch" href="//cdn.newsletter.example">
<style>@import "http://css.newsletter.example/late.css"; h1:hover {{ color: #369 }}</style></head>
<body background="http://img.newsletter.example/paper.png"><h1>Your picks</h1>
<p><img src="http://img.newsletter.example{HERO}" alt="hero"></p>
<p><img src="http://img.newsletter.example{LOGO}" alt="logo"></p>
<p><a href="http://shop.newsletter.example/">To the shop</a></p>
<img src="http://t.newsletter.example{OPEN}" width="1" height="1" alt="">
</body></html>
""".replace("\n", "\r\n")


def _png(width: int, colour: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + colour * width) * width
    head = struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def _origins() -> dict[str, tuple[str, str]]:
    return {
        f"img.newsletter.example{path}": (
            "image/png",
            base64.b64encode(_png(width, b"\x30\x60\x90")).decode(),
        )
        for path, width in PICTURES.items()
    }


@pytest.fixture(scope="module")
def room() -> Iterator[SealedRoom]:
    missing = what_is_missing() or next(
        (name for name in ("swaks", "nsenter", "make") if not shutil.which(name)), ""
    )
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the whole path needs {missing}")
        pytest.skip(f"the whole path needs {missing}")
    with SealedRoom() as opened:
        yield opened


@contextmanager
def _product(room: SealedRoom, folder: Path) -> Iterator[Path]:
    """Run the product as ``make run`` does, once it is set up; give the folder where it keeps its files."""
    state = folder / "state"
    command = [
        "make",
        "--no-print-directory",
        "-C",
        str(PROJECT),
        "--assume-old=setup",
        f"VENV={sys.prefix}",
        "run",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    with (folder / "said").open("w+") as said:
        process = room.start(
            command,
            env={**environment, "MAILVEIL_STORAGE__DIRECTORY": str(state)},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _until(lambda: process.poll() is not None or "Behind Postfix" in (folder / "said").read_text())
            assert process.poll() is None, (folder / "said").read_text()
            yield state
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise


def _until(happened: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def _is_quiet(room: SealedRoom, contacts: list[dict[str, str]]) -> bool:
    """Tell whether nobody was contacted for longer than the fetcher waits before a fetch; note who was."""
    for _ in range(25):
        time.sleep(0.2)
        late = room.show({"origins": _origins()})["contacts"]
        contacts.extend(late)
        if late:
            return False
    return True


def _swaks(room: SealedRoom, folder: Path) -> None:
    data = folder / "message.eml"
    data.write_bytes(MESSAGE.encode())
    command = ["swaks", "--server", "127.0.0.1:2525", "--from", "bounce@newsletter.example"]
    command += ["--to", "reader@example.org", "--data", f"@{data}"]
    process = room.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _nothing = process.communicate(timeout=60)
    assert process.returncode == 0, said


def _open(room: SealedRoom, raw: bytes) -> tuple[list[dict[str, str]], dict[str, Any]]:
    (document,) = documents(raw)
    shown = room.show(document.job("whole path", pictures=True, origins=_origins()))
    return shown["contacts"], {picture["alt"]: picture for picture in shown["pictures"]}


def test_a_message_reaches_its_reader_silent_and_with_its_pictures(room: SealedRoom, tmp_path: Path) -> None:
    room.show({"origins": _origins()})
    with _product(room, tmp_path) as state:
        _swaks(room, tmp_path)
        (delivered,) = (state / "maildir" / "new").iterdir()  # 250 was said, so it is there
        raw = delivered.read_bytes()
        assert b"Subject: Your picks" in raw
        assert b'<a href="http://shop.newsletter.example/">' in raw, "links stay as they are"
        for host in (b"img.", b"css.", b"cdn.", b"t."):
            assert host + b"newsletter.example" not in raw

        contacts: list[dict[str, str]] = []

        def fetched() -> bool:
            contacts.extend(room.show({"origins": _origins()})["contacts"])
            return {HERO, LOGO, OPEN} <= {each["path"] for each in contacts}

        _until(fetched)
        _until(lambda: _is_quiet(room, contacts))  # what the fetcher still does is no contact of the reader's
        paths = [each["path"] for each in contacts if each["kind"] == "http"]
        assert len(paths) == len(set(paths)), "an origin is asked once"
        assert not {each["host"] for each in contacts} & {"cdn.newsletter.example", "shop.newsletter.example"}

        pictures: dict[str, Any] = {}

        def has_pictures() -> bool:
            seen, found = _open(room, raw)
            assert seen == []
            pictures.update(found)
            return {name: pictures[name]["width"] for name in ("hero", "logo")} == {"hero": 240, "logo": 48}

        _until(has_pictures)
        for picture in pictures.values():
            address = urllib.parse.urlsplit(picture["source"])
            assert (address.scheme, address.netloc) == ("http", "127.0.0.1:8081")
        contacts_at_last, _pictures = _open(room, raw)
        assert contacts_at_last == []
    assert _open(room, MESSAGE.encode())[0], "the trap must catch the original"
