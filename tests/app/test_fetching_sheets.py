"""A style sheet with all that it refers to, from the queue to what the copies server answers.

Setup: a message wants a sheet; its origin is played by a table, sandbox and store are real.
Test: sheet, nested sheet, pictures and fonts are fetched once each and found at their slots; the URL that the message
links to is never asked for; a picture that is not meant to last is marked.
"""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from PIL import Image

from http_room import ask, http_room
from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.adapters.fetcher import Fetched
from mailveil.adapters.sandbox import Sandbox
from mailveil.adapters.specimens import font
from mailveil.app.fetching import FetchLoop
from mailveil.core.references.links import link_digest
from mailveil.core.references.types import Media
from mailveil.core.verdicts.evidence import FetchOutcome, Hop
from mailveil.endpoints.web.copies import CopiesServer
from mailveil.ports import WantedCopy

ORIGIN = "https://o.example"


def picture() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(written, "PNG")
    return written.getvalue()


OUTER = (
    b"@import 'sub/b.css'; p { background: url(i.png) } a { background: url(/unsubscribe?u=1) }"
    b" @font-face { font-family: F; src: url(f.woff2) } b { background: url(gone.png) }"
)
ANSWERS = {
    "/moved.css": (302, b""),
    "/mail/a.css": (200, OUTER),
    "/mail/sub/b.css": (200, b"q { background: url(countdown.png) } i { background: url(../i.png) }"),
    "/mail/i.png": (200, picture()),
    "/mail/sub/countdown.png": (200, picture()),
    "/mail/f.woff2": (200, font("woff2")),
}


class Origin:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, url: str, media: Media, may_follow: object = None) -> Fetched:
        path = url.removeprefix(ORIGIN)
        self.asked.append(path)
        status, body = ANSWERS.get(path, (404, b""))
        hops = (Hop(url, status),)
        if status == 302:  # redirected: what the sheet refers to is relative to where it came from in the end
            status, body = ANSWERS["/mail/a.css"]
            hops += (Hop(ORIGIN + "/mail/a.css", status),)
        outcome = FetchOutcome.FETCHED if status == 200 else FetchOutcome.HTTP_ERROR
        return Fetched(outcome, body, hops)


def test_a_sheet_with_all_that_it_refers_to(tmp_path: Path) -> None:
    store, sandbox, origin = SqliteCopyStore(StoreSettings(tmp_path)), Sandbox(timeout_s=60), Origin()
    links = link_digest("http://o.example/unsubscribe?u=1#here")
    wanted = [WantedCopy("token", ORIGIN + "/moved.css", Media.STYLESHEET, links=links)]

    async def work() -> None:
        await store.recover()
        await store.reserve(wanted)
        await store.release(wanted, immediately=True)
        loop = FetchLoop(store, origin, sandbox, 4)
        running = asyncio.create_task(loop.run())
        async with asyncio.timeout(120):
            while True:
                counts = await store.counts()
                if counts["stored"] + counts["placeholder"] == 6:
                    break
                await asyncio.sleep(0.1)
        loop.stop()
        await running
        await sandbox.close()
        async with http_room(CopiesServer(store, lambda token: token == "token")) as port:
            sheet = await ask(port, "/c/token")
            assert sheet.body.startswith(b"@import '?0'; p { background: url(?1) } a { background: url(?2) }")
            types = {
                slot: (await ask(port, f"/c/token?{slot}")).headers["content-type"]
                for slot in ("0", "1", "3", "4", "0.0", "0.1")
            }
            spared, gone = await ask(port, "/c/token?2"), await ask(port, "/c/token?4")
        assert types == {
            "0": "text/css; charset=utf-8", "1": "image/png", "3": "font/woff2", "4": "image/png",
            "0.0": "image/png", "0.1": "image/png",
        }  # fmt: skip
        assert spared.headers["cache-control"] == gone.headers["cache-control"] == "no-store"
        lasting, passing = await store.get("token", (0, 1)), await store.get("token", (0, 0))
        assert lasting is not None
        assert passing is not None
        assert (lasting.as_of_delivery, passing.as_of_delivery) == (False, True)

    try:
        asyncio.run(work())
    finally:
        store.close()
    assert sorted(origin.asked) == [
        "/mail/f.woff2", "/mail/gone.png", "/mail/i.png", "/mail/sub/b.css", "/mail/sub/countdown.png", "/moved.css",
    ]  # fmt: skip
