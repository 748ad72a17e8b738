"""Feeding: feeds are read when they are due, by one process, and what is wrong with one costs no other anything.

Setup: loops over one database, SQLite and PostgreSQL, and TAXII servers of others that answer, fail, or never end.
Test: what a feed told is looked up in the next message, and no more once the feed is gone; one that fails waits longer
and longer; two loops read it once; a database that is away is told of once; what everybody uses is never taken.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from control_room import ControlRoomForTests, actor, opened_room
from http_room import http_room
from mailveil.adapters.feeds.reading import OutgoingFeedReader
from mailveil.adapters.indicatorsource import IndicatorSource
from mailveil.app.feeding import FeedLoop
from mailveil.control.feeds import FeedOrder, make_feed, remove_feed, show_feed
from mailveil.control.room import ControlRoom
from mailveil.control.sharingrecords import Feed, FeedKind
from mailveil.core.recognition.types import KnownBy, MessageTraits
from postgres_room import DatabasePlace
from taxii_origin import COLLECTION, indicator, taxii_origin

READER = OutgoingFeedReader((ipaddress.ip_network("127.0.0.0/8"),))
SPY = MessageTraits(author_domain="spy1.example")


@dataclass
class Tally:
    """Counts readings, as metrics do."""

    seen: list[tuple[str, bool]] = field(default_factory=list)

    def feed_read(self, kind: str, *, failed: bool) -> None:
        self.seen.append((kind, failed))


@dataclass
class Feeding:
    made: ControlRoomForTests
    room: ControlRoom
    tally: Tally

    def loop(self) -> FeedLoop:
        return FeedLoop(self.room, self.tally, poll_s=0.02)

    async def feed(self, address: str, name: str = "CERT") -> Feed:
        options = {"username": "reader", "collection": "Spies", "plain_http": True}
        order = FeedOrder(name, FeedKind.TAXII, address, options, "secret")
        return (await make_feed(self.room, actor(), order)).feed

    async def as_it_is(self, feed: Feed) -> Feed:
        return (await show_feed(self.room, actor(), feed.identifier)).feed


@asynccontextmanager
async def feeding(place: DatabasePlace) -> AsyncIterator[Feeding]:
    async with opened_room(place) as made:
        yield Feeding(made, replace(made.room, feed_reader=READER), Tally())


@asynccontextmanager
async def running(*loops: FeedLoop) -> AsyncIterator[None]:
    for each in loops:
        each.start()
    try:
        yield
    finally:
        await asyncio.gather(*(each.stop() for each in loops))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


def objects(*numbers: int, **more: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(f"2026-02-{number:02d}T00:00:00.000000Z", {**indicator(number), **more}) for number in numbers]


def test_what_a_feed_told_holds_until_the_feed_is_gone(database: DatabasePlace, tmp_path: Path) -> None:
    async def steps() -> None:
        async with feeding(database) as here, taxii_origin(objects=objects(1)) as others:
            assert here.room.feeds is not None
            stores = here.room
            source = IndicatorSource(
                stores.organisations, here.room.feeds, here.made.clock, tmp_path / "indicators.json"
            )
            async with running(here.loop()):
                feed = await here.feed(others.address)

                async def is_known() -> bool:
                    assert await source.refresh()
                    return source.recognise("default", SPY) is not None and bool(here.tally.seen)

                await until(is_known)
                known = source.recognise("default", SPY)
                assert known is not None
                assert (known.known_by, known.actor) == (KnownBy.INDICATOR, "CERT")
                assert here.tally.seen == [("taxii", False)]
                asked = len(others.asked)
                others.objects += objects(2)
                await asyncio.sleep(0.2)
                assert len(others.asked) == asked, "it is not due"
                here.made.clock.moment += 3_601

                async def is_read_on() -> bool:
                    return (await here.as_it_is(feed)).indicators == 2

                await until(is_read_on)
                await remove_feed(here.room, actor(), feed.identifier)
                assert await source.refresh()
                assert source.recognise("default", SPY) is None
                assert source.look("default", ["https://spy1.example/a.gif"]) == ()

    asyncio.run(steps())


def test_one_that_fails_waits_and_costs_no_other_anything(
    database: DatabasePlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps() -> None:
        async with (
            feeding(database) as here,
            taxii_origin(objects=objects(1)) as others,
            taxii_origin(fault=503) as broken,
            running(here.loop()),
        ):
            bad = await here.feed(broken.address, "Broken")
            good = await here.feed(others.address)

            async def are_read() -> bool:
                return len(here.tally.seen) == 2

            await until(are_read)
            assert sorted(here.tally.seen) == [("taxii", False), ("taxii", True)]
            failed, fine = await here.as_it_is(bad), await here.as_it_is(good)
            assert ("503" in failed.problem, failed.attempts) == (True, 1)
            assert failed.next_read_at == here.made.clock.now() + 300
            assert (fine.problem, fine.indicators) == ("", 1)
            here.made.clock.moment += 301

            async def failed_again() -> bool:
                return (await here.as_it_is(bad)).attempts == 2

            await until(failed_again)
            assert (await here.as_it_is(bad)).next_read_at == here.made.clock.now() + 600

    with caplog.at_level(logging.WARNING):
        asyncio.run(steps())
    assert [each for each in caplog.messages if "cannot be read: the server answers 503" in each]


def test_several_processes_read_a_feed_once(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with feeding(database) as here, taxii_origin(objects=objects(1)) as others:
            loops = [here.loop() for _ in range(3)]
            async with running(*loops):
                feed = await here.feed(others.address)

                async def is_read() -> bool:
                    return (await here.as_it_is(feed)).read_at > 0

                await until(is_read)
                await asyncio.sleep(0.2)
            assert sum("/objects/" in each for each in others.asked) == 1

    asyncio.run(steps())


def test_a_database_that_is_away_is_told_of_once_and_waited_for(
    sqlite_database: DatabasePlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps() -> None:
        async with feeding(sqlite_database) as here, taxii_origin(objects=objects(1)) as others:
            feed = await here.feed(others.address)
            here.made.database.refusal = "the database is away"
            async with running(here.loop()):
                await asyncio.sleep(0.2)
                here.made.database.refusal = ""

                async def is_read() -> bool:
                    return (await here.as_it_is(feed)).indicators == 1

                await until(is_read)

    with caplog.at_level(logging.WARNING):
        asyncio.run(steps())
    assert caplog.messages.count("no feeds are read now: the database is away") == 1


def test_a_server_that_never_answers_keeps_nothing_from_ending(sqlite_database: DatabasePlace) -> None:
    asked = asyncio.Event()

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await asyncio.sleep(3_600)

    async def steps() -> None:
        async with feeding(sqlite_database) as here, http_room(silent) as port:
            feed = await here.feed(f"http://127.0.0.1:{port}/api1/collections/{COLLECTION}/")
            async with running(here.loop()):
                async with asyncio.timeout(60):
                    await asked.wait()
            assert here.room.feeds is not None
            now = here.made.clock.now()
            lease = f"feed {feed.identifier}"
            assert await here.room.feeds.lease(lease, "the next one", now, now + 60), "it was given back"

    asyncio.run(steps())


EVERYBODYS = (
    "com", "co.uk", "google.com", "www.google.com", "mail.google.com", "gmail.com", "outlook.com", "github.io",
    "sendgrid.net", "list-manage.com", "example.org", "mail.example.org", "office.com",
)  # fmt: skip


def test_what_everybody_uses_is_never_taken(sqlite_database: DatabasePlace) -> None:
    """A feed that was broken into, or wrong, must not have all mail marked."""

    async def steps() -> None:
        patterns = [f"[domain-name:value = '{each}']" for each in EVERYBODYS]
        patterns += [f"[domain-name:value LIKE '%.{each}']" for each in EVERYBODYS]
        patterns += [f"[url:value = 'https://{each}/']" for each in EVERYBODYS]
        hostile = [
            (f"2026-02-01T00:00:{number:02d}.000000Z", {**indicator(number), "pattern": pattern})
            for number, pattern in enumerate(patterns)
        ]
        async with feeding(sqlite_database) as here, taxii_origin(objects=hostile, page=100) as others:
            await here.made.organisation("default", ["example.org"])
            async with running(here.loop()):
                feed = await here.feed(others.address)

                async def is_read() -> bool:
                    return (await here.as_it_is(feed)).read_at > 0

                await until(is_read)
            assert here.room.feeds is not None
            taken = [each.value for each in await here.room.feeds.in_force("default", 2e9, 100)]
            assert taken == []
            assert sum((await here.as_it_is(feed)).figures.values()) == len(patterns)

    asyncio.run(steps())
