"""Messages that carry their copies wait for them, briefly, and never make an origin see a URL twice.

Setup: the real store and queue of copies and the real engine; the fetcher is this test, which claims what is due
and puts pictures into the store when it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import io
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.message.parse import parse_message
from mailveil.core.policy import Envelope
from mailveil.core.protection import CopyMode, EngineSettings, finish, inspect
from mailveil.core.references.search import find_references
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.gateway import Gateway
from mailveil.ports import Protected, Reply, UnavailableError, WantedCopy
from mailveil.stages import Embedding
from mailveil.stages.embedding import encoded_bytes

SETTINGS = EngineSettings(
    mode=CopyMode.EMBEDDED, addresses=CopyAddresses("https://copies.example", b"k" * 32)
)
ENVELOPE = Envelope("news@example.com", ("b@example.org",))
PATIENT_S = 30.0


def message(*urls: str) -> bytes:
    images = "".join(f'<img src="{url}">' for url in urls)
    return (
        f"From: news@example.com\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<p>Hi</p>{images}\r\n"
    ).encode()


def picture(colour: str, size: int = 2) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(file, "PNG")
    return file.getvalue()


@dataclass
class World:
    store: SqliteCopyStore
    embedding: Embedding
    reply: Reply = field(default_factory=lambda: Reply(250, "2.0.0", "queued"))
    max_message_bytes: int = 0
    delivered: list[bytes] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    protections: int = 0
    fails_with_copies: bool = False

    def now(self) -> float:
        return 5.0

    async def keep(self, raw: bytes, envelope: Envelope, reason: str = "") -> str:
        raise AssertionError("nothing has to be kept")

    async def protect(
        self,
        raw: bytes,
        envelope: Envelope,
        copies: Mapping[str, EmbeddedCopy] | None = None,
        policy: object = None,
    ) -> Protected:
        self.protections += 1
        if copies and self.fails_with_copies:
            raise RuntimeError("crashed")
        plan = inspect(raw, SETTINGS, envelope)
        wanted = tuple(
            WantedCopy(each.token, each.url, each.media, each.may_fetch, each.width, each.height)
            for each in plan.wanted
        )
        return Protected(finish(plan, copies).raw, wanted)

    async def deliver(self, raw: bytes) -> Reply:
        self.delivered.append(raw)
        return self.reply

    async def fetch(self, pictures: Mapping[str, bytes | None]) -> None:
        """Be the fetcher: put a picture for each URL into the store, none where there is ``None``."""
        while True:
            job = await self.store.claim()
            if job is None:
                await asyncio.sleep(0.02)
                continue
            self.fetched.append(job.url)
            body = pictures.get(job.url)
            if body is None:
                await self.store.settle(job)
            else:
                await self.store.put(job, body, "image/png")

    async def accept(self, raw: bytes, pictures: Mapping[str, bytes | None] | None = None) -> Reply:
        gateway = Gateway(engine=self, originals=self, clock=self, embedding=self.embedding, next_hop=self)  # type: ignore[arg-type]
        fetching = asyncio.create_task(self.fetch(pictures)) if pictures is not None else None
        try:
            return await gateway.accept(ENVELOPE, raw, self, "id")
        finally:
            if fetching is not None:
                fetching.cancel()
                await asyncio.gather(fetching, return_exceptions=True)


@contextlib.asynccontextmanager
async def world(directory: Path, **settings: float) -> AsyncIterator[World]:
    # A random delay before fetches that nobody has the patience for: embedding has to skip it.
    store = SqliteCopyStore(StoreSettings(directory / "copies", max_delay_s=3600.0))
    try:
        await store.recover()
        yield World(store, Embedding(store, store, **{"wait_s": PATIENT_S, **settings}))  # type: ignore[arg-type]
    finally:
        store.close()


def carried(raw: bytes) -> list[bytes]:
    """Return the pictures in a message in the order in which its HTML shows them, and check that all are there."""
    search = find_references(parse_message(raw))
    assert [each.url for each in search.findings.references if not each.url.startswith("cid:")] == []
    parsed = email.message_from_bytes(raw, policy=email.policy.SMTP)
    parts = {
        str(part["content-id"]).strip("<>"): part.get_payload(decode=True)
        for part in parsed.walk()
        if part["content-id"]
    }
    (html,) = (part for part in parsed.walk() if part.get_content_type() == "text/html")
    names = re.findall(r'src="cid:([^"]+)"', html.get_content())
    assert names
    return [parts[name] for name in names]


def run(directory: Path, work: Callable[[World], object], **settings: float) -> None:
    async def inside() -> None:
        async with asyncio.timeout(120), world(directory, **settings) as found:
            await work(found)  # type: ignore[misc]

    asyncio.run(inside())


def is_placeholder(body: bytes) -> bool:
    return body.startswith(b"GIF89a") and len(body) < 50


def test_pictures_come_into_the_message(tmp_path: Path) -> None:
    red, blue = picture("red"), picture("blue")
    raw = message("https://o.example/1", "https://o.example/2", "https://o.example/none")

    async def work(world: World) -> None:
        pictures = {"https://o.example/1": red, "https://o.example/2": blue, "https://o.example/none": None}
        assert (await world.accept(raw, pictures)).code == 250
        (first, second, third) = carried(world.delivered[0])
        assert (first, second) == (red, blue)
        assert is_placeholder(third)
        assert sorted(world.fetched) == sorted(pictures)

    run(tmp_path, work)


def test_a_message_that_is_tried_again_finds_them_in_the_store(tmp_path: Path) -> None:
    raw = message("https://o.example/1")

    async def work(world: World) -> None:
        world.reply = Reply(451, "4.2.0", "busy")
        assert (await world.accept(raw, {"https://o.example/1": picture("red")})).code == 451
        world.reply = Reply(250)
        assert (await world.accept(raw)).code == 250, "nobody fetches any more"
        assert world.delivered[0] == world.delivered[1]
        assert carried(world.delivered[1]) == [picture("red")]
        assert world.fetched == ["https://o.example/1"]

    run(tmp_path, work)


def test_a_message_without_pictures_is_examined_once_and_reserves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reserve(*_: object, **__: object) -> None:
        raise AssertionError("nothing is wanted")

    async def work(world: World) -> None:
        monkeypatch.setattr(SqliteCopyStore, "reserve", reserve)
        for raw in (b"Subject: x\r\n\r\nplain\r\n", message("cid:own"), message("ftp://o.example/x")):
            assert (await world.accept(raw)).code == 250
        linked = message("https://o.example/x").replace(b"<p>", b'<a href="https://o.example/x">x</a><p>')
        assert (await world.accept(linked)).code == 250
        assert world.protections == 4

    run(tmp_path, work)


def test_what_does_not_come_in_time_is_a_placeholder_and_never_fetched(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        assert (await world.accept(message("https://o.example/1"))).code == 250
        assert all(map(is_placeholder, carried(world.delivered[0])))
        assert await world.store.claim() is None, "nobody would see it any more"

    run(tmp_path, work, wait_s=0.3)


def test_a_fetch_that_takes_too_long_is_not_made_again(tmp_path: Path) -> None:
    raw = message("https://o.example/1", "https://o.example/2")

    async def work(world: World) -> None:
        world.reply = Reply(451, "4.2.0", "busy")
        accepting = asyncio.ensure_future(world.accept(raw))
        while (job := await world.store.claim()) is None:
            await asyncio.sleep(0.02)
        assert (await accepting).code == 451
        await world.store.put(job, picture("red"), "image/png")  # it comes after all, too late for that try
        world.reply = Reply(250)
        (other,) = {"https://o.example/1", "https://o.example/2"} - {job.url}
        assert (await world.accept(raw, {other: picture("blue")})).code == 250
        assert world.fetched == [other], "and the one that was not attempted is"
        colours = {job.url: picture("red"), other: picture("blue")}
        assert carried(world.delivered[1]) == [colours[url] for url in sorted(colours)]

    run(tmp_path, work, wait_s=3.0)


def test_the_first_pictures_that_fit_are_taken(tmp_path: Path) -> None:
    small, large = picture("red"), b"\x89PNG" + bytes(5000)
    urls = [f"https://o.example/{number}" for number in range(4)]

    async def work(world: World) -> None:
        pictures = dict(zip(urls, (small, large, picture("blue"), picture("green")), strict=True))
        assert (await world.accept(message(*urls), pictures)).code == 250
        bodies = carried(world.delivered[0])
        assert bodies[0] == small
        assert is_placeholder(bodies[1])
        assert bodies[2] == picture("blue")
        assert is_placeholder(bodies[3]), "there is room for two"

    run(tmp_path, work, max_bytes=2 * encoded_bytes(len(picture("blue"))) + 20)


@pytest.mark.parametrize("said", [0, 100_000, 10_000_000])
def test_a_message_too_large_for_the_next_hop_carries_none(tmp_path: Path, said: int) -> None:
    body = b"\x89PNG" + bytes(200_000)

    async def work(world: World) -> None:
        world.max_message_bytes = said
        raw = message("https://o.example/1")
        assert (await world.accept(raw, {"https://o.example/1": body})).code == 250
        (got,) = carried(world.delivered[0])
        assert got == body if said != 100_000 else is_placeholder(got)
        assert len(world.delivered[0]) <= (said or 1 << 30)

    run(tmp_path, work)


def test_an_engine_that_fails_at_the_copies_leaves_placeholders(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.fails_with_copies = True
        raw = message("https://o.example/1")
        assert (await world.accept(raw, {"https://o.example/1": picture("red")})).code == 250
        assert all(map(is_placeholder, carried(world.delivered[0])))

    run(tmp_path, work)


@pytest.mark.parametrize("method", ["reserve", "release", "get", "abandon"])
def test_a_dead_store_delays_nothing(tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dead(*_: object, **__: object) -> None:
        raise UnavailableError("copy store: timed out")

    async def work(world: World) -> None:
        monkeypatch.setattr(SqliteCopyStore, method, dead)
        assert (await world.accept(message("https://o.example/1"))).code == 250
        assert all(map(is_placeholder, carried(world.delivered[0])))

    run(tmp_path, work, wait_s=0.3)


def test_a_store_that_hangs_holds_up_no_longer_than_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(600)

    async def work(world: World) -> None:
        monkeypatch.setattr(SqliteCopyStore, "get", hang)
        assert (await world.accept(message("https://o.example/1"))).code == 250
        assert all(map(is_placeholder, carried(world.delivered[0])))

    run(tmp_path, work, wait_s=0.3)


def test_a_copy_of_a_strange_type_is_left_out(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        raw = message("https://o.example/1")
        accepting = asyncio.ensure_future(world.accept(raw))
        while (job := await world.store.claim()) is None:
            await asyncio.sleep(0.02)
        await world.store.put(job, b"x", 'image/png"\r\nX: y')
        assert (await accepting).code == 250
        assert all(map(is_placeholder, carried(world.delivered[0])))

    run(tmp_path, work)
