"""Setup: activities of a database that changes, dies and comes back, and a file beside it.

Test: whoever was met before goes on being known, whatever becomes of the database, also after a restart; each
organisation knows its own alone; and what an analyst finds benign is known no more.
"""

from __future__ import annotations

import asyncio
import logging
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from activity_room import ACTOR, KeptActivities, activity_of_actor
from control_room import ControlRoomForTests, opened_room
from mailveil.adapters.watchlistsource import WatchlistSource
from mailveil.control.activitystores import Studied
from mailveil.core.intelligence.types import AnalystVerdict, Decision
from mailveil.core.recognition.types import MessageTraits
from postgres_room import DatabasePlace

FOLLOW_UP = MessageTraits(author_domain=ACTOR)


def source(control_room: ControlRoomForTests, store: KeptActivities, folder: Path) -> WatchlistSource:
    room = control_room.room
    return WatchlistSource(
        room.organisations,
        store,  # type: ignore[arg-type]
        control_room.clock,
        folder / "watchlist.json",
        look_every_s=0.01,
    )


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_an_activity_is_known_without_a_restart_and_forgotten_once_it_is_benign(
    control_room: ControlRoomForTests, tmp_path: Path
) -> None:
    store = KeptActivities()
    watch = source(control_room, store, tmp_path)

    async def steps() -> None:
        await watch.start()
        try:
            assert watch.recognise("default", FOLLOW_UP) is None
            store.put(activity_of_actor())
            await until(lambda: watch.recognise("default", FOLLOW_UP) is not None)
            known = watch.recognise("default", FOLLOW_UP)
            assert known is not None
            assert (known.activity, known.confirmed) == ("a1", False)
            store.decide("a1", AnalystVerdict.CONFIRMED)
            await until(lambda: getattr(watch.recognise("default", FOLLOW_UP), "confirmed", False))
            store.decide("a1", AnalystVerdict.BENIGN)
            await until(lambda: watch.recognise("default", FOLLOW_UP) is None)
        finally:
            await watch.stop()

    asyncio.run(steps())


def test_a_low_score_counts_only_once_an_analyst_confirmed_it(
    control_room: ControlRoomForTests, tmp_path: Path
) -> None:
    store = KeptActivities()
    store.put(activity_of_actor(score=0.2))
    watch = source(control_room, store, tmp_path)
    assert asyncio.run(watch.refresh())
    assert watch.recognise("default", FOLLOW_UP) is None
    store.decide("a1", AnalystVerdict.CONFIRMED)
    assert asyncio.run(watch.refresh())
    assert watch.recognise("default", FOLLOW_UP) is not None


def test_what_is_unchanged_is_not_read_again(control_room: ControlRoomForTests, tmp_path: Path) -> None:
    store = KeptActivities()
    for number in range(450):
        store.put(activity_of_actor(f"a{number}"))
    watch = source(control_room, store, tmp_path)

    async def steps() -> None:
        await watch.refresh()
        reads = store.reads
        assert reads > 2, "there are several pages of them"
        await watch.refresh()
        assert store.reads == reads

    asyncio.run(steps())
    known = watch.watchlist("default")
    assert known is not None
    assert len(known.actors) == 450


def test_organisations_know_their_own_alone(control_room: ControlRoomForTests, tmp_path: Path) -> None:
    store = KeptActivities()
    store.put(activity_of_actor(organisation="acme"))
    watch = source(control_room, store, tmp_path)

    async def steps() -> None:
        await control_room.organisation("acme", ["acme.example"])
        await control_room.organisation("other", ["other.example"])
        await watch.refresh()

    asyncio.run(steps())
    assert watch.recognise("acme", FOLLOW_UP) is not None
    assert watch.recognise("other", FOLLOW_UP) is None
    assert watch.recognise("default", FOLLOW_UP) is None
    assert watch.recognise("nobody", FOLLOW_UP) is None


def test_an_organisation_below_its_domain_is_not_its_own_spy(
    control_room: ControlRoomForTests, tmp_path: Path
) -> None:
    """Mail for ``mail.actor``, and a spy who forged its very domain: what its people write is not marked for that."""
    store = KeptActivities()
    store.put(activity_of_actor(organisation="acme"))
    watch = source(control_room, store, tmp_path)

    async def steps() -> None:
        await control_room.organisation("acme", [f"mail.{ACTOR}"])
        await watch.refresh()

    asyncio.run(steps())
    known = watch.watchlist("acme")
    assert known is not None
    assert known.actors
    assert watch.recognise("acme", FOLLOW_UP) is None


def test_a_database_that_is_away_makes_nobody_forgotten(
    control_room: ControlRoomForTests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = KeptActivities()
    store.put(activity_of_actor())
    first = source(control_room, store, tmp_path)
    assert asyncio.run(first.refresh())
    store.is_away = True
    assert not asyncio.run(first.refresh())
    assert first.recognise("default", FOLLOW_UP) is not None
    kept = tmp_path / "watchlist.json"
    assert stat.S_IMODE(kept.stat().st_mode) & 0o077 == 0

    async def steps() -> None:
        again = source(control_room, store, tmp_path)
        await again.start()
        try:
            assert again.recognise("default", FOLLOW_UP) is not None, "a restart forgets nobody either"
            store.is_away = False
            store.decide("a1", AnalystVerdict.BENIGN)
            await until(lambda: again.recognise("default", FOLLOW_UP) is None)
        finally:
            await again.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(steps())
    assert [each for each in caplog.messages if "can be read again" in each]


STRANGE = (
    '{"format": 1, "organisations": [{"organisation": "default", "own_domains": [], "stamp": "", "details": {}, '
    '"actors": [{"activity": "a", "actor": "a", "first_at": 0, "last_at": 0, "score": 1, "sender_domains": [7]}]}]}'
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"format": 9, "organisations": []}',
        '{"format": 1, "organisations": [7]}',
        STRANGE,
        "[" * 100_000,
        "\x00" * 4096,
    ],
)
def test_a_file_that_makes_no_sense_keeps_nothing_from_starting(
    control_room: ControlRoomForTests, tmp_path: Path, text: str
) -> None:
    (tmp_path / "watchlist.json").write_text(text)
    store = KeptActivities()
    store.put(replace(activity_of_actor(), score=1.0))
    watch = source(control_room, store, tmp_path)

    async def steps() -> None:
        await watch.start()
        await watch.stop()

    asyncio.run(steps())
    assert watch.recognise("default", FOLLOW_UP) is not None


def test_what_studying_wrote_and_an_analyst_decided_is_known(database: DatabasePlace, tmp_path: Path) -> None:
    """The same over the real store of activities."""

    async def steps() -> None:
        async with opened_room(database) as made:
            stores, now = made.room, made.clock.now()
            assert stores.activities is not None
            assert stores.studies is not None
            watch = WatchlistSource(
                stores.organisations, stores.activities, made.clock, tmp_path / "watchlist.json"
            )
            assert await watch.refresh()
            assert watch.recognise("default", FOLLOW_UP) is None

            waiting = await stores.studies.unstudied("default", 1)
            studied = Studied((), {}, now, waiting.generation, activities=(activity_of_actor(),))
            await stores.studies.write("default", studied)
            assert await watch.refresh()
            known = watch.recognise("default", FOLLOW_UP)
            assert known is not None
            assert (known.activity, known.confirmed) == ("a1", False)

            for verdict, is_known in ((AnalystVerdict.CONFIRMED, True), (AnalystVerdict.BENIGN, False)):
                file = await stores.activities.activity("default", "a1")
                assert file is not None
                decided = replace(file, verdict=verdict, decided_by="anna", decided_at=now)
                decision = Decision(f"d-{verdict}", "default", now, "a1", verdict)
                await stores.activities.put_decisions(decided, (), decision)
                assert await watch.refresh()
                assert (watch.recognise("default", FOLLOW_UP) is not None) is is_known

    asyncio.run(steps())
