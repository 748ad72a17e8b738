"""Setup: a control room with feeds in SQLite and PostgreSQL, and a TAXII server of others.

Test: what administrators choose is checked, kept and audited; what a feed tells is taken in, changed and withdrawn with
it, within bounds; a feed that fails waits longer and longer; organisations have nothing in common.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from control_room import NOW, ControlRoomForTests, actor, opened_room
from mailveil.adapters.database import feeds as feeds_in_database
from mailveil.adapters.database import tables
from mailveil.adapters.database.feeds import SqlFeedStore
from mailveil.adapters.database.sharingsecrets import SharingSealer
from mailveil.adapters.feeds.reading import OutgoingFeedReader
from mailveil.control import feedtaking
from mailveil.control.access import Actor, ForbiddenError
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.feeds import (
    FeedOrder,
    change_feed,
    list_feeds,
    list_indicators,
    make_feed,
    read_feed,
    read_now,
    remove_feed,
    show_feed,
)
from mailveil.control.feedstores import FeedOutcome
from mailveil.control.records import Cut
from mailveil.control.room import ControlRoom
from mailveil.control.sharingrecords import Feed, FeedKind, ImportedIndicator
from mailveil.control.stores import ConflictError
from postgres_room import DatabasePlace
from taxii_origin import TaxiiOrigin, indicator, taxii_origin

READER = OutgoingFeedReader((ipaddress.ip_network("127.0.0.0/8"),))


def order(address: str, **more: Any) -> FeedOrder:
    options = {"username": "reader", "collection": "Spies", "plain_http": True, **more.pop("options", {})}
    return FeedOrder(
        **{
            "name": "CERT",
            "kind": FeedKind.TAXII,
            "address": address,
            "options": options,
            "secret": "secret",
            **more,
        }
    )


def added(day: int, record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"2026-02-{day:02d}T00:00:00.000000Z", record


@asynccontextmanager
async def feeding(
    place: DatabasePlace,
) -> AsyncIterator[tuple[ControlRoomForTests, ControlRoom, TaxiiOrigin]]:
    async with opened_room(place) as made, taxii_origin() as others:
        await made.organisation("acme", ["acme.example"])
        yield made, replace(made.room, feed_reader=READER), others


async def told(room: ControlRoom, who: Actor, **wanted: Any) -> list[tuple[str, str]]:
    page = await list_indicators(room, who, Cut(100), **wanted)
    return [(each.kind, each.value) for each in page.items]


def test_what_a_feed_tells_is_taken_in_changed_and_withdrawn(database: DatabasePlace) -> None:
    admin = actor(organisation="acme")

    async def steps() -> None:
        async with feeding(database) as (made, room, others):
            patterns = {
                1: "[domain-name:value = 'spy1.example']",
                2: "[domain-name:value = 'gmail.com'] OR [url:value = 'https://spy2.example/a']",
                3: "[domain-name:value = 'mail.acme.example']",
                4: "[ipv4-addr:value = '192.0.2.1']",
            }
            others.objects = [
                added(number, {**indicator(number), "pattern": pattern})
                for number, pattern in patterns.items()
            ]
            others.objects.append(added(5, indicator(5, valid_until="2026-03-01T00:00:00Z")))
            view = await make_feed(room, admin, order(others.address))
            identifier = view.feed.identifier
            assert (view.has_secret, view.feed.secret) == (True, "")
            read = (await read_now(room, admin, identifier)).feed
            assert await told(room, admin) == [("url", "https://spy2.example/a"), ("domain", "spy1.example")]
            assert (read.problem, read.indicators, read.read_at) == ("", 2, NOW)
            assert read.next_read_at == NOW + 3600
            assert read.figures == {
                "taken": 2, "withdrawn": 0, "skipped:serves-everybody": 1, "skipped:own-domain": 1,
                "skipped:other-object": 1, "skipped:over": 1,
            }  # fmt: skip
            assert room.feeds is not None
            stamp = await room.feeds.stamp("acme")

            others.objects.append(
                added(6, {**indicator(1), "pattern": "[domain-name:value = 'spy6.example']"})
            )
            others.objects.append(added(7, {**indicator(2), "revoked": True}))
            read = (await read_now(room, admin, identifier)).feed
            assert await told(room, admin) == [("domain", "spy6.example")]
            assert read.figures["withdrawn"] == 1
            assert await room.feeds.stamp("acme") != stamp
            assert await told(room, actor(organisation="default")) == []
            assert await told(room, admin, value="SPY6") == [("domain", "spy6.example")]
            assert await told(room, admin, value="x") == []

            await remove_feed(room, admin, identifier)
            assert await told(room, admin) == []
            with pytest.raises(MissingError):
                await show_feed(room, admin, identifier)
            actions = sorted(each.action for each in await made.audit_trail("acme"))
            assert actions == ["feed.create", "feed.read", "feed.read", "feed.remove"]

    asyncio.run(steps())


def test_what_holds_now_is_in_force(database: DatabasePlace) -> None:
    admin = actor(organisation="acme")

    async def steps() -> None:
        async with feeding(database) as (made, room, others):
            assert room.feeds is not None
            others.objects = [
                added(1, indicator(1, valid_until="2027-02-01T00:00:00Z")),
                added(2, {**indicator(2), "valid_from": "2027-03-01T00:00:00Z"}),
                added(3, indicator(3, confidence=90)),
            ]
            identifier = (await make_feed(room, admin, order(others.address))).feed.identifier
            await read_now(room, admin, identifier)

            async def values(at: float) -> list[str]:
                assert room.feeds is not None
                return [each.value for each in await room.feeds.in_force("acme", at, 10)]

            assert await values(NOW) == ["spy3.example", "spy1.example"]
            assert await values(NOW + 90 * 86_400) == ["spy3.example", "spy2.example"]
            assert await room.feeds.expire(NOW) == 0
            assert await room.feeds.expire(NOW + 90 * 86_400) == 1
            await change_feed(room, admin, identifier, order(others.address, is_enabled=False, secret=None))
            assert await values(NOW) == []
            assert await room.feeds.due(NOW) == ()
            assert made.clock.now() == NOW

    asyncio.run(steps())


def test_very_many_indicators_hold_up_nobody_who_has_the_same_event_loop(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail shares the loop: each step of taking in and of reading back has to be short."""
    count = 6_000

    async def steps() -> None:
        async with feeding(database) as (made, room, _):
            assert room.feeds is not None
            feed = Feed("f", "acme", "CERT", FeedKind.TAXII, "https://cert.example/", created_at=NOW)
            await room.feeds.put_feed(feed)
            statements: list[int] = []

            def listen(*told: Any) -> None:
                statements.append(len(told[2]))

            told = tuple(
                ImportedIndicator("f", "all", "domain", f"spy{number}.example", valid_until=NOW + 1)
                for number in range(count)
            )
            sa.event.listen(made.database.engine.sync_engine, "before_cursor_execute", listen)
            assert await room.feeds.took(feed, FeedOutcome({"all": told}, "1", NOW, NOW + 60))
            assert max(statements) < 1_000, "a long statement takes long to be made up"
            turns, is_over = 0, False

            async def turn() -> None:
                nonlocal turns
                while not is_over:
                    await asyncio.sleep(0)
                    turns += 1

            def made_in_a_turn(row: Any) -> ImportedIndicator:
                in_turns.append(turns)
                return made_of(row)

            made_of, in_turns = feeds_in_database._indicator, list[int]()
            monkeypatch.setattr(feeds_in_database, "_indicator", made_in_a_turn)
            turning = asyncio.create_task(turn())
            assert len(await room.feeds.in_force("acme", NOW, count)) == count
            is_over = True
            await turning
            assert len(in_turns) == count
            assert max(Counter(in_turns).values()) <= 1_000

    asyncio.run(steps())


def test_a_feed_that_fails_waits_longer_and_longer(database: DatabasePlace) -> None:
    admin = actor(organisation="acme")

    async def steps() -> None:
        async with feeding(database) as (_, room, others):
            assert room.feeds is not None
            others.fault = 503
            identifier = (await make_feed(room, admin, order(others.address))).feed.identifier
            pauses = []
            for _number in range(9):
                feed = await room.feeds.feed("acme", identifier)
                assert feed is not None
                assert await read_feed(room, feed, "me")
                after = await room.feeds.feed("acme", identifier)
                assert after is not None
                assert "503" in after.problem
                pauses.append(after.next_read_at - NOW)
            assert pauses == [300, 600, 1200, 2400, 4800, 9600, 19200, 21600, 21600]
            others.fault, others.objects = 0, [added(1, indicator(1))]
            again = (await read_now(room, admin, identifier)).feed
            assert (again.problem, again.attempts, again.indicators) == ("", 0, 1)

    asyncio.run(steps())


def test_only_one_reads_and_what_was_changed_meanwhile_counts(database: DatabasePlace) -> None:
    admin = actor(organisation="acme")

    async def steps() -> None:
        async with feeding(database) as (_, room, others):
            assert room.feeds is not None
            others.objects = [added(1, indicator(1))]
            identifier = (await make_feed(room, admin, order(others.address))).feed.identifier
            feed = await room.feeds.feed("acme", identifier)
            assert feed is not None
            assert await room.feeds.lease(f"feed {identifier}", "another", NOW, NOW + 60)
            assert not await read_feed(room, feed, "me")
            with pytest.raises(InvalidError, match="being read"):
                await read_now(room, admin, identifier)
            await room.feeds.release(f"feed {identifier}", "another")
            await room.feeds.put_feed(replace(feed, address="https://elsewhere.example/"))
            assert await read_feed(room, feed, "me")
            assert await told(room, admin) == [], "it was read from where the feed no longer is"

    asyncio.run(steps())


def test_a_feed_that_somebody_else_has_just_read_is_not_read_again(database: DatabasePlace) -> None:
    admin = actor(organisation="acme")

    async def steps() -> None:
        async with feeding(database) as (_, room, others):
            assert room.feeds is not None
            others.objects = [added(1, indicator(1))]
            await make_feed(room, admin, order(others.address))
            (due,) = await room.feeds.due(NOW)
            assert await read_feed(room, due, "another")
            asked = len(others.asked)
            assert not await read_feed(room, due, "me"), "what was looked up before is out of date"
            assert len(others.asked) == asked
            assert await room.feeds.lease(f"feed {due.identifier}", "a third", NOW, NOW + 60)

    asyncio.run(steps())


def test_a_feed_takes_in_no_more_than_there_may_be(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedtaking, "MAX_INDICATORS", 3)
    admin = actor(organisation="acme")

    async def steps() -> None:
        async with feeding(database) as (_, room, others):
            others.objects = [added(number, indicator(number)) for number in range(1, 8)]
            identifier = (await make_feed(room, admin, order(others.address))).feed.identifier
            read = (await read_now(room, admin, identifier)).feed
            assert (read.indicators, read.figures["skipped:too-many"]) == (3, 4)

    asyncio.run(steps())


def test_a_feed_that_is_read_again_replaces_what_it_told_without_taking_room_for_both(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedtaking, "MAX_INDICATORS", 3)
    admin = actor(organisation="acme")

    async def steps() -> None:
        async with feeding(database) as (_, room, others):
            assert room.feeds is not None
            others.objects = [added(number, indicator(number)) for number in range(1, 4)]
            identifier = (await make_feed(room, admin, order(others.address))).feed.identifier
            assert (await read_now(room, admin, identifier)).feed.indicators == 3
            others.objects = [added(number, indicator(number)) for number in (1, 2, 3, 9)]
            read = (await read_now(room, admin, identifier, from_beginning=True)).feed
            assert (read.indicators, read.figures["taken"], read.figures["skipped:too-many"]) == (3, 3, 1)
            found = await list_indicators(room, admin, Cut(), feed=identifier)
            assert len({each.identifier for each in found.items}) == 3

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"address": "ftp://x.example/"}, "address"),
        ({"address": "https://user:pw@x.example/"}, "address"),
        ({"address": "https://x.example/?key=secret"}, "address"),
        ({"address": "http://127.0.0.1/", "options": {"plain_http": False}}, "address"),
        ({"options": {"unknown": "x"}}, "options"),
        ({"options": {"minutes": 1}}, "options"),
        ({"options": {"minutes": "60"}}, "options"),
        ({"options": {"username": "a:b"}}, "options"),
        ({"options": {"header": "X-Key"}}, "options"),
        ({"options": {"header": "X Key: y"}}, "options"),
        ({"options": {"ca_pem": "x"}}, "options"),
        ({"secret": "x\r\ny"}, "secret"),
    ],
)
def test_what_cannot_be_a_feed_is_refused(
    sqlite_database: DatabasePlace, changes: dict[str, Any], field: str
) -> None:
    async def steps() -> None:
        async with feeding(sqlite_database) as (_, room, others):
            with pytest.raises(InvalidError) as error:
                await make_feed(room, actor(), order(**{"address": others.address, **changes}))
            assert error.value.field == field
            assert "pw" not in str(error.value)

    asyncio.run(steps())


def test_a_secret_follows_nobody_elsewhere_and_stands_nowhere(sqlite_database: DatabasePlace) -> None:
    admin = actor()

    async def steps() -> None:
        async with feeding(sqlite_database) as (made, room, others):
            view = await make_feed(room, admin, order(others.address, secret="s3cret"))
            identifier = view.feed.identifier
            with pytest.raises(ConflictError):
                await make_feed(room, admin, order(others.address, name="cert"))
            moved = order("http://127.0.0.1:9/", secret=None)
            with pytest.raises(InvalidError, match="give its secret"):
                await change_feed(room, admin, identifier, moved)
            kept = await change_feed(
                room, admin, identifier, order(others.address, name="Renamed", secret=None)
            )
            assert (kept.has_secret, kept.feed.name) == (True, "Renamed")
            async with made.database.read() as connection:
                rows = (await connection.execute(sa.select(tables.feeds))).all()
                trail = (await connection.execute(sa.select(tables.audit))).all()
            assert "s3cret" not in f"{rows}{trail}{await list_feeds(room, admin)}"

            lost = replace(room, feeds=SqlFeedStore(made.database, SharingSealer(bytes(32))))
            read = (await read_now(lost, admin, identifier)).feed
            assert "does not open" in read.problem
            assert others.asked == []

    asyncio.run(steps())


def test_who_may_do_what(sqlite_database: DatabasePlace) -> None:
    async def steps() -> None:
        async with feeding(sqlite_database) as (_, room, others):
            identifier = (await make_feed(room, actor(), order(others.address))).feed.identifier
            analyst, viewer = actor(role="analyst"), actor(role="viewer")
            assert len(await list_feeds(room, analyst)) == 1
            with pytest.raises(ForbiddenError):
                await list_feeds(room, viewer)
            for attempt in (
                make_feed(room, analyst, order(others.address, name="other")),
                change_feed(room, analyst, identifier, order(others.address)),
                remove_feed(room, analyst, identifier),
                read_now(room, analyst, identifier),
            ):
                with pytest.raises(ForbiddenError):
                    await attempt
            with pytest.raises(MissingError):
                await show_feed(room, actor(organisation="acme"), identifier)
            assert isinstance((await show_feed(room, analyst, identifier)).feed, Feed)

    asyncio.run(steps())
