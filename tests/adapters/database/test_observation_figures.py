"""Figures: what is counted as it comes in is what a recount gives.

Setup: a fresh database of each kind, and observations over weeks.
Test: hours and steps, also empty ones; what was met most, against counting everything; any sequence of observations,
also repeated ones, against a recount; several writers at once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailveil.adapters.database import rollups, tables
from mailveil.adapters.database.engine import Database, database_url
from mailveil.adapters.database.observations import SqlObservationStore
from mailveil.control.records import Cut, Figures, TrackerQuery
from mailveil.core.observation import Observation
from observation_room import DAY, EVER, HOUR, NOON, message, opened, picture, pixel, with_store
from postgres_room import DatabasePlace


def test_figures_and_series_are_of_whole_hours_and_empty_steps_are_there(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        kept = (pixel(action="keep"), picture())
        await store.add(
            [
                message(0),
                message(1, references=(), examined=False),
                message(
                    2,
                    at=NOON + 2 * HOUR,
                    references=kept,
                    total_references=500,
                    total_trackers=9,
                    risk="low",
                ),
                message(3, at=NOON + 2 * HOUR, monitored=True),
            ]
        )
        assert await store.figures("default", NOON, NOON + 1) == Figures(
            messages=2, with_remote=1, with_trackers=1, risky=1, changed=1, references=2, trackers=1,
            prevented=2, unexamined=1, bytes=40_000,
        )  # fmt: skip
        later = await store.figures("default", NOON + HOUR, NOON + 3 * HOUR)
        assert (later.messages, later.references, later.trackers, later.prevented) == (2, 502, 10, 1)
        series = await store.series("default", NOON, NOON + 4 * HOUR, 3600)
        assert [each.at for each in series] == [NOON + number * HOUR for number in range(4)]
        assert [each.figures.messages for each in series] == [2, 0, 2, 0]
        longer = await store.series("default", NOON, NOON + 4 * HOUR, 7200)
        assert [each.figures.messages for each in longer] == [2, 2]
        assert await store.figures("default", NOON + DAY, NOON) == Figures()
        for step in (0, 100, -3600, 5400):
            with pytest.raises(ValueError, match="whole hours"):
                await store.series("default", *EVER, step)
        with pytest.raises(ValueError, match="at most"):
            await store.series("default", *EVER, 3600)
        with pytest.raises(ValueError, match="there is no dimension"):
            await store.top("default", "recipient", *EVER, 5)

    with_store(database, steps)


def test_what_was_met_most_is_the_same_as_by_counting_all(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "FIRST_DEPTH", 3)

    async def steps(store: SqlObservationStore) -> None:
        random = Random(5)
        domains = [f"d{number}.example" for number in range(60)]
        weights = [1 / (number + 1) for number in range(60)]
        seen = [
            message(
                number,
                at=NOON + random.randrange(40) * DAY,
                sender_domain=random.choices(domains, weights)[0],
            )
            for number in range(600)
        ]
        await store.add(seen)
        for first, end in ((0, 40), (3, 33), (17, 18), (5, 6), (39, 40)):
            period = (NOON + first * DAY, NOON + (end - 1) * DAY + 60)
            exact = Counter(each.sender_domain for each in seen if period[0] <= each.at <= period[1])
            for limit in (1, 5, 100):
                ranked = sorted(exact.items(), key=lambda each: (-each[1], each[0]))[:limit]
                top = await store.top("default", "sender_domain", *period, limit)
                assert [each.messages for each in top] == [count for _, count in ranked]
                assert all(exact[each.value] == each.messages for each in top)

    with_store(database, steps)


def test_two_gateways_that_write_the_same_at_once_count_it_once(database: DatabasePlace) -> None:
    async def run() -> None:
        async with opened(database) as store, database.opened() as second:
            batch = [message(number) for number in range(30)]
            stores = (store, SqlObservationStore(second))
            added = await asyncio.gather(
                *(each.add(batch[at : at + 20]) for at in (0, 5, 10) for each in stores)
            )
            assert sum(added) == 30
            assert (await store.figures("default", *EVER)).messages == 30
            (tracker,) = (await store.trackers("default", TrackerQuery(), Cut())).items
            assert (tracker.messages, tracker.people) == (30, 1)

    asyncio.run(run())


# --- any sequence ----------------------------------------------------------------------------------------------

_REFERENCES = st.lists(
    st.builds(
        lambda host, operator, is_tracker: (pixel if is_tracker else picture)(
            f"{host}.t.example", operator=operator
        ),
        st.sampled_from("abc"),
        st.sampled_from(["", "Spyglass", "Nosy"]),
        st.booleans(),
    ),
    max_size=4,
).map(tuple)
_OBSERVATIONS = st.lists(
    st.builds(
        lambda number, references, recipients, hours: message(
            number, at=NOON + hours * HOUR, references=references, recipients=tuple(recipients)
        ),
        st.integers(0, 6),
        _REFERENCES,
        st.lists(
            st.sampled_from(["ann@a.example", "Ann@A.example", "bob@a.example"]), max_size=3, unique=True
        ),
        st.integers(0, 60),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_OBSERVATIONS, max_size=4))
def test_figures_are_those_of_a_recount_whatever_comes_in_and_however_often(
    tmp_path: Path, batches: list[list[Observation]]
) -> None:
    async def run() -> None:
        path = tmp_path / f"{secrets.token_hex(8)}.sqlite3"
        database = Database(database_url("", tmp_path).set(database=str(path)))
        try:
            async with database.write() as connection:
                await connection.run_sync(tables.metadata.create_all)
                await connection.execute(
                    tables.organisations.insert(),
                    {"identifier": "default", "name": "", "language": "en", "created_at": 0.0},
                )
            await _compare(SqlObservationStore(database), batches)
        finally:
            await database.close()

    asyncio.run(run())


async def _compare(store: SqlObservationStore, batches: list[list[Observation]]) -> None:
    kept: dict[str, Observation] = {}
    for batch in batches:
        fresh = {each.identifier for each in batch} - set(kept)
        assert await store.add(batch) == len(fresh)
        for each in batch:
            kept.setdefault(each.identifier, each)
    seen = list(kept.values())
    figures = await store.figures("default", *EVER)
    assert figures.messages == len(seen)
    assert figures.references == sum(len(each.references) for each in seen)
    assert figures.trackers == sum(each.total_trackers for each in seen)
    assert figures.bytes == sum(each.size_bytes for each in seen)
    series = await store.series("default", NOON, NOON + 61 * HOUR, 3600)
    hours = Counter(int((each.at - NOON) // HOUR) for each in seen)
    assert [each.figures.messages for each in series] == [hours[number] for number in range(61)]

    hosts: defaultdict[str, list[Observation]] = defaultdict(list)
    operators: defaultdict[str, list[Observation]] = defaultdict(list)
    for each in seen:
        for host in {one.host for one in each.references if one.is_tracker}:
            hosts[host].append(each)
        for operator in {one.operator for one in each.references if one.operator}:
            operators[operator].append(each)
    trackers = (await store.trackers("default", TrackerQuery(), Cut(200))).items
    assert {each.host for each in trackers} == set(hosts)
    for tracker in trackers:
        its = hosts[tracker.host]
        assert tracker.messages == len(its)
        assert tracker.references == sum(
            one.is_tracker and one.host == tracker.host for each in its for one in each.references
        )
        assert tracker.people == _people(its)
        assert (tracker.first_at, tracker.last_at) == (
            min(each.at for each in its),
            max(each.at for each in its),
        )
    lines = (await store.operators("default", 0.0, Cut(200))).items
    assert {each.name for each in lines} == set(operators)
    for line in lines:
        its = operators[line.name]
        assert line.messages == len(its)
        assert line.people == _people(its)
        assert line.trackers == sum(each.operator == line.name for each in trackers)
    top = await store.top("default", "operator", *EVER, 10)
    assert {each.value: each.messages for each in top} == {name: len(its) for name, its in operators.items()}


def _people(seen: list[Observation]) -> int:
    return len({person.lower() for each in seen for person in each.recipients})
