"""Bounds: any text and number is stored, and no organisation reaches another's.

Setup: a fresh database of each kind with two organisations.
Test: text that no database takes, numbers that no column holds, more of everything than is kept; every method asked for
what is another organisation's.
"""

from __future__ import annotations

import json

import pytest

from mailveil.adapters.database import forgetting, observations
from mailveil.adapters.database.observations import SqlObservationStore
from mailveil.control.records import Cut, MessageQuery, TrackerQuery
from observation_room import EVER, HOUR, NOON, found, message, pixel, with_store
from postgres_room import DatabasePlace


def test_any_text_and_any_number_is_stored(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        hostile = "a\0b\ud800c\N{PILE OF POO}\n%_\\'\"" + "x" * 70_000
        references = tuple(
            pixel(
                hostile, url=hostile, template=f"https://{number}{hostile}/", domain=hostile, operator=hostile,
                kind=hostile, vector=hostile, risk=hostile, evidence=hostile, score=float("nan"),
            )
            for number in range(300)
        )  # fmt: skip
        seen = message(
            1, references=references, subject=hostile, author=hostile, sender=hostile, author_domain=hostile,
            sender_domain=hostile, recipients=tuple(f"{number}{hostile}" for number in range(3_000)),
            message_id=hostile, log_identifier=hostile, risk=hostile, size_bytes=10**30,
            total_references=10**12, total_trackers=-5, reply_code=10**20, reply=hostile, seconds=float("inf"),
            header={hostile: hostile}, direction=hostile, defects=(hostile,) * 5_000,
            authentication={"deep": [[[[[[[[hostile]]]]]]]]},
        )  # fmt: skip
        assert await store.add([seen]) == 1
        (line,) = (await store.messages("default", MessageQuery(operator=hostile), Cut())).items
        back = await store.message("default", line.identifier)
        assert back is not None
        assert len(back.references) == 200
        assert back.subject.startswith("a\N{REPLACEMENT CHARACTER}b?c\N{PILE OF POO}")
        json.dumps(back.record(), allow_nan=False).encode("utf-8")
        queries: tuple[dict[str, object], ...] = (
            {"text": hostile},
            {"sender": hostile},
            {"host": hostile},
            {"recipient": f"7{hostile}"},
        )
        for query in queries:
            assert await found(store, **query), str(query)[:40]
        odd: tuple[dict[str, object], ...] = (
            {"tracker": "\0"},
            {"risk": "\ud800"},
            {"text": "%"},
            {"since": -1e300},
            {"until": 1e300},
            {"since": 1e300},
        )
        for query in odd:
            await store.messages("default", MessageQuery(**query), Cut())  # type: ignore[arg-type]
        assert (await store.trackers("default", TrackerQuery(text=hostile[:500]), Cut())).items

    with_store(database, steps)


def test_what_belongs_to_an_organisation_that_is_gone_is_left_out(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        assert await store.add([message(1, organisation="gone"), message(2)]) == 1
        assert await store.add([]) == 0
        assert await store.add([message(1, organisation="gone")]) == 0

    with_store(database, steps)


def test_every_observation_of_a_period_can_be_replayed(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "REPLAY_BATCH", 4)

    async def steps(store: SqlObservationStore) -> None:
        seen = [message(number) for number in range(12)]
        await store.add(seen)
        assert [each async for each in store.replayable("default", *EVER)] == seen[::-1]
        part = [each async for each in store.replayable("default", NOON + 2, NOON + 7)]
        assert part == seen[2:7][::-1]

    with_store(database, steps)


def test_no_organisation_sees_or_touches_anything_of_another(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        theirs = message(1, organisation="other", recipients=("ann@here.example", "bob@here.example"))
        own_pixel = pixel("x.mine.example", operator="Mine")
        mine = message(2, recipients=("eve@here.example",), references=(own_pixel,))
        await store.add([theirs, mine])
        (line,) = (await store.messages("other", MessageQuery(), Cut())).items
        (tracker,) = (await store.trackers("other", TrackerQuery(), Cut())).items
        assert await found(store) == ["log-2"]
        queries: tuple[dict[str, object], ...] = (
            {"text": "number1"},
            {"recipient": "ann@here.example"},
            {"operator": "Spyglass"},
            {"host": "tracker.example"},
            {"tracker": tracker.identifier},
            {"text": "number1", "has_trackers": True},
        )
        for query in queries:
            assert await found(store, **query) == [], query
        assert await store.message("default", line.identifier) is None
        assert await store.tracker("default", tracker.identifier) is None
        assert await store.operator("default", "Spyglass") is None
        for order in ("last", "first", "messages", "people"):
            names = (await store.trackers("default", TrackerQuery(order=order), Cut())).items
            assert [each.operator for each in names] == ["Mine"]
        assert [each.name for each in (await store.operators("default", 0.0, Cut())).items] == ["Mine"]
        assert (await store.figures("default", *EVER)).messages == 1
        series = await store.series("default", NOON, NOON + HOUR, 3600)
        assert sum(each.figures.messages for each in series) == 1
        for dimension in ("operator", "sender_domain", "kind", "host", "risk"):
            assert {each.messages for each in await store.top("default", dimension, *EVER, 50)} == {1}
        assert [each async for each in store.replayable("default", *EVER)] == [mine]
        assert not any((await store.person("default", "ann@here.example")).records.values())
        assert await store.erase("default", "ann@here.example") == 0
        for kind in forgetting.KINDS:
            while await store.expire("default", kind, NOON * 2):
                pass
        assert await found(store) == []
        assert await store.message("other", theirs.identifier) == theirs
        assert (await store.figures("other", *EVER)).messages == 1
        assert await store.tracker("other", tracker.identifier) == tracker
        assert len((await store.person("other", "ann@here.example")).records["met"]) == 2

    with_store(database, steps)
