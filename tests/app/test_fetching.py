"""The fetch loop: once on record, once made, and whatever goes wrong is a placeholder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.adapters.fetcher import Fetched, FetchOutcome, Hop
from mailveil.app import fetching as app_fetching
from mailveil.app.fetching import FetchLoop
from mailveil.core.references.types import Media
from mailveil.core.safecopy import SafeCopy
from mailveil.ports import WantedCopy

COPY = SafeCopy("image/png", b"safe")


class Origin:
    """Stands for the fetcher; counts what it is asked for."""

    def __init__(self, answer: Fetched | Exception) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0

    async def fetch(self, url: str, media: Media, may_follow: object = None) -> Fetched:
        self.asked.append(url)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.3)
        self.at_once -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Decoder:
    def __init__(self, answer: SafeCopy | str = COPY) -> None:
        self.answer = answer

    async def sanitise(self, body: bytes, media: Media, url: str = "") -> SafeCopy | str:
        return self.answer


def wanted(count: int) -> list[WantedCopy]:
    return [WantedCopy(f"token-{n}", f"https://origin.example/{n}", Media.IMAGE) for n in range(count)]


def work(
    tmp_path: Path, origin: Origin, decoder: Decoder, count: int = 1, parallel: int = 4
) -> dict[str, int]:
    """Let the loop work on ``count`` fetches until nothing is to come, and return the counts."""
    store = SqliteCopyStore(StoreSettings(tmp_path))

    async def inside() -> dict[str, int]:
        await store.recover()
        await store.reserve(wanted(count))
        await store.release(wanted(count))
        loop = asyncio.create_task(FetchLoop(store, origin, decoder, parallel).run())
        async with asyncio.timeout(30):
            while len(origin.asked) < count or origin.at_once or (await store.counts())["attempted"]:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        return await store.counts()

    try:
        return asyncio.run(inside())
    finally:
        store.close()


def test_every_fetch_is_made_once_and_stored(tmp_path: Path) -> None:
    origin = Origin(Fetched(FetchOutcome.FETCHED, b"raw"))
    counts = work(tmp_path, origin, Decoder(), count=20, parallel=4)
    assert sorted(origin.asked) == sorted(each.url for each in wanted(20))
    assert origin.most_at_once == 4
    assert counts["stored"] == 20


@pytest.mark.parametrize(
    ("answer", "decoded"),
    [
        (Fetched(FetchOutcome.HTTP_ERROR), COPY),
        (Fetched(FetchOutcome.TOO_SLOW), COPY),
        (Fetched(FetchOutcome.REFUSED_ADDRESS), COPY),
        (Fetched(FetchOutcome.UNREACHABLE, hops=(Hop("https://a", 302),)), COPY),
        (Fetched(FetchOutcome.FETCHED, b"x"), "unreadable"),
        (RuntimeError("our own fault"), COPY),
    ],
)
def test_what_brought_nothing_is_a_placeholder_for_good(
    tmp_path: Path, answer: Fetched | Exception, decoded: SafeCopy | str
) -> None:
    origin = Origin(answer)
    counts = work(tmp_path, origin, Decoder(decoded))
    assert counts["placeholder"] == 1
    assert len(origin.asked) == 1


def test_an_origin_that_could_not_be_reached_is_tried_again_later(tmp_path: Path) -> None:
    origin = Origin(Fetched(FetchOutcome.UNREACHABLE))
    counts = work(tmp_path, origin, Decoder())
    assert counts["released"] == 1
    assert len(origin.asked) == 1, "but not at once"


def test_origins_that_hang_keep_no_other_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times as many fetches as there are places hang for good, but for one, and what is next goes on."""
    monkeypatch.setattr(app_fetching, "SLOW_AFTER_S", 0.1)
    asked: list[str] = []

    class Hanging:
        async def fetch(self, url: str, media: Media, may_follow: object = None) -> Fetched:
            asked.append(url)
            if "slow" in url:
                await asyncio.sleep(3600)
            return Fetched(FetchOutcome.FETCHED, b"raw")

    store = SqliteCopyStore(StoreSettings(tmp_path))

    async def inside() -> None:
        slow = [WantedCopy(f"s{n}", f"https://slow.example/{n}", Media.IMAGE) for n in range(15)]
        await store.recover()
        await store.reserve(slow)
        await store.release(slow)
        loop = asyncio.create_task(FetchLoop(store, Hanging(), Decoder(), 4).run())
        async with asyncio.timeout(60):
            while len(asked) < 15:
                await asyncio.sleep(0.01)
            await store.reserve(wanted(5))
            await store.release(wanted(5))
            while (await store.counts())["stored"] < 5:
                await asyncio.sleep(0.05)
            more = [WantedCopy(f"m{n}", f"https://slow.example/more/{n}", Media.IMAGE) for n in range(9)]
            await store.reserve(more)
            await store.release(more)
            await asyncio.sleep(1)
        assert sum("slow" in url for url in asked) == 16, "but no more than that"
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)

    try:
        asyncio.run(inside())
    finally:
        store.close()


def test_where_many_redirects_lead_is_asked_once_and_shown_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten pictures with addresses of their own lead to one logo, all at the same time."""
    monkeypatch.setattr(app_fetching, "ANOTHER_POLL_S", 0.01)
    contacts: list[str] = []

    class Redirecting(Origin):
        async def fetch(self, url: str, media: Media, may_follow=None) -> Fetched:  # type: ignore[no-untyped-def]
            hops = (Hop(url, 302, (), 0.0, "192.0.2.1", sent_bytes=9),)
            self.asked.append(url)
            if (ended := await may_follow("https://cdn.example/logo")) is not None:
                return Fetched(ended, hops=hops)
            contacts.append("logo")
            await asyncio.sleep(0.2)
            return Fetched(FetchOutcome.FETCHED, b"body", hops)

    counts = work(tmp_path, Redirecting(Fetched(FetchOutcome.FAILED)), Decoder(), count=10, parallel=10)
    assert contacts == ["logo"]
    assert (counts["stored"], counts["attempted"], counts["placeholder"]) == (10, 0, 0)
