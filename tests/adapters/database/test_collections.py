"""Collections keep versions of objects in the order in which they came, also where several add at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from control_room import NOW, ControlRoomForTests, opened_room
from mailveil.adapters.database.collections import KEPT_VERSIONS
from mailveil.control.records import Cut
from mailveil.control.sharedobjects import ACTIVITIES, TRACKERS, SharedObject, SharedObjectStore, SharedQuery
from mailveil.control.stores import CursorError
from mailveil.core.sharing.wording import fine_timestamp
from postgres_room import DatabasePlace

Steps = Callable[[ControlRoomForTests, SharedObjectStore], Coroutine[Any, Any, None]]


@pytest.fixture
def with_store(database: DatabasePlace) -> Callable[[Steps], None]:
    async def run(steps: Steps) -> None:
        async with opened_room(database) as room:
            await room.organisation("acme", ("acme.example",))
            assert room.room.shared is not None
            await steps(room, room.room.shared)

    return lambda steps: asyncio.run(run(steps))


def made(number: int, second: int = 0, **members: Any) -> dict[str, Any]:
    return {
        "id": f"indicator--{number}",
        "type": "indicator",
        "created": "2027-01-15T08:00:00.000Z",
        "modified": f"2027-01-15T08:00:{second:02d}.000Z",
        "name": f"n{number}-{second}",
        **members,
    }


async def listed(
    store: SharedObjectStore, query: SharedQuery | None = None, limit: int = 3, organisation: str = "acme"
) -> list[SharedObject]:
    found: list[SharedObject] = []
    cut = Cut(limit)
    while True:
        page = await store.objects(organisation, ACTIVITIES, query or SharedQuery(), cut)
        assert len(page.items) <= limit
        found += page.items
        if not page.next:
            return found
        cut = Cut(limit, page.next)


def names(found: list[SharedObject]) -> list[str]:
    return [each.object["name"] for each in found]


def test_objects_come_in_the_order_in_which_they_were_added(with_store: Callable[[Steps], None]) -> None:
    async def steps(room: ControlRoomForTests, store: SharedObjectStore) -> None:
        assert await store.add("acme", ACTIVITIES, [made(each) for each in (3, 1, 2)], "a") == 3
        room.clock.advance(-60)  # a clock that was set back
        assert await store.add("acme", ACTIVITIES, [made(0)], "a") == 1
        found = await listed(store)
        assert names(found) == ["n3-0", "n1-0", "n2-0", "n0-0"]
        times = [each.added_at for each in found]
        assert times == sorted(set(times))
        assert times[0] == int(NOW * 1_000_000)
        assert await store.latest("acme", ACTIVITIES) == times[-1]
        assert await store.latest("acme", TRACKERS) == 0

    with_store(steps)


def test_twice_is_once_and_what_only_pretends_to_be_newer_is_no_version(
    with_store: Callable[[Steps], None],
) -> None:
    async def steps(room: ControlRoomForTests, store: SharedObjectStore) -> None:
        await store.add("acme", ACTIVITIES, [made(1, 5)], "a")
        assert await store.add("acme", ACTIVITIES, [made(1, 5), made(1, 5)], "a") == 0
        assert await store.add("acme", ACTIVITIES, [made(1, 9, name="n1-5")], "a") == 0  # nothing else is new
        assert await store.add("acme", ACTIVITIES, [made(1, 3)], "a") == 0  # older: it came again late
        assert await store.add("acme", ACTIVITIES, [made(1, 7, created="2027-01-01T00:00:00.000Z")], "a") == 1
        (found,) = await listed(store)
        assert (found.version, found.object["created"]) == (
            "2027-01-15T08:00:07.000Z",
            "2027-01-15T08:00:00.000Z",
        )

    with_store(steps)


def test_versions_are_asked_for_by_name(with_store: Callable[[Steps], None]) -> None:
    async def steps(room: ControlRoomForTests, store: SharedObjectStore) -> None:
        await store.add("acme", ACTIVITIES, [made(1), made(2)], "a")
        await store.add("acme", ACTIVITIES, [made(1, 1)], "a")
        await store.add("acme", ACTIVITIES, [made(1, 2)], "a")
        assert names(await listed(store)) == ["n2-0", "n1-2"]
        assert names(await listed(store, SharedQuery(versions=("first",)))) == ["n1-0", "n2-0"]
        assert names(await listed(store, SharedQuery(versions=("all",)))) == ["n1-0", "n2-0", "n1-1", "n1-2"]
        both = SharedQuery(versions=("first", "last"), identifiers=("indicator--1",))
        assert names(await listed(store, both)) == ["n1-0", "n1-2"]
        middle = SharedQuery(versions=("2027-01-15T08:00:01.000Z",))
        assert names(await listed(store, middle)) == ["n1-1"]
        assert names(await listed(store, SharedQuery(kinds=("campaign",)))) == []

    with_store(steps)


def test_a_list_goes_on_where_it_was_however_much_is_added_meanwhile(
    with_store: Callable[[Steps], None],
) -> None:
    async def steps(room: ControlRoomForTests, store: SharedObjectStore) -> None:
        await store.add("acme", ACTIVITIES, [made(each) for each in range(4)], "a")
        first = await store.objects("acme", ACTIVITIES, SharedQuery(), Cut(2))
        await store.add("acme", ACTIVITIES, [made(0, 1), made(3, 1), made(9)], "a")
        rest = await store.objects("acme", ACTIVITIES, SharedQuery(), Cut(10, first.next))
        assert names(list(first.items)) == ["n0-0", "n1-0"]
        assert names(list(rest.items)) == ["n2-0", "n0-1", "n3-1", "n9-0"]
        after = SharedQuery(added_after=first.items[-1].added_at)
        assert names(await listed(store, after)) == ["n2-0", "n0-1", "n3-1", "n9-0"]
        for cursor in ("x", "WzFd!", "bnVsbA"):
            with pytest.raises(CursorError):
                await store.objects("acme", ACTIVITIES, SharedQuery(), Cut(2, cursor))

    with_store(steps)


def test_several_that_add_at_once_leave_no_two_alike(with_store: Callable[[Steps], None]) -> None:
    async def steps(room: ControlRoomForTests, store: SharedObjectStore) -> None:
        adding: list[Awaitable[int]] = [
            store.add("acme", ACTIVITIES, [made(each), made(100)], f"a{each}") for each in range(8)
        ]
        assert sum(await asyncio.gather(*adding)) == 9
        times = [each.added_at for each in await listed(store)]
        assert len(times) == 9
        assert times == sorted(set(times))

    with_store(steps)


def test_organisations_and_collections_are_apart(with_store: Callable[[Steps], None]) -> None:
    async def steps(room: ControlRoomForTests, store: SharedObjectStore) -> None:
        await store.add("acme", ACTIVITIES, [made(1)], "a")
        await store.add("default", ACTIVITIES, [made(2)], "a")
        await store.add("acme", TRACKERS, [made(3)], "a")
        assert names(await listed(store)) == ["n1-0"]
        assert names(await listed(store, organisation="default")) == ["n2-0"]
        assert await store.add("nobody", ACTIVITIES, [made(1)], "a") == 0

    with_store(steps)


def test_what_has_no_versions_goes_by_when_it_came_and_belongs_to_no_subject(
    with_store: Callable[[Steps], None],
) -> None:
    async def steps(room: ControlRoomForTests, store: SharedObjectStore) -> None:
        name = {"id": "domain-name--1", "type": "domain-name", "value": "evil.example", "name": "d"}
        await store.add("acme", ACTIVITIES, [name, made(1)], "a")
        await store.add("acme", ACTIVITIES, [dict(name)], "b")
        first, _ = await listed(store)
        assert first.version == fine_timestamp(first.added_at)
        assert [each.identifier for each in await store.of_subject("acme", ACTIVITIES, "a")] == [
            "indicator--1"
        ]
        assert await store.of_subject("acme", ACTIVITIES, "b") == []

    with_store(steps)


def test_the_oldest_versions_go(with_store: Callable[[Steps], None]) -> None:
    async def steps(room: ControlRoomForTests, store: SharedObjectStore) -> None:
        await store.add("acme", ACTIVITIES, [made(2)], "a")
        for second in range(KEPT_VERSIONS + 3):
            await store.add("acme", ACTIVITIES, [made(1, second)], "a")
        found = await listed(store, SharedQuery(versions=("all",), identifiers=("indicator--1",)), limit=50)
        assert names(found) == [f"n1-{second}" for second in range(3, KEPT_VERSIONS + 3)]
        assert names(await listed(store, SharedQuery(identifiers=("indicator--2",)))) == ["n2-0"]

    with_store(steps)
