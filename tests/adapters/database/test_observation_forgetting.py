"""Forgetting: each kind of record goes when its time has come, and a person's when they ask.

Setup: a fresh database of each kind with messages to one and to several, some of them old.
Test: what goes and what stays of each kind, in portions; a person's export names nobody else; after an erasure nothing
in any table holds the person's address, as written, in bounce addresses or in URLs.
"""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailveil.adapters.database import forgetting, tables
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.observations import SqlObservationStore
from mailveil.control.records import Cut, MessageQuery, TrackerQuery
from mailveil.core.observation import Observation
from observation_room import DAY, EVER, NOON, found, message, opened, picture, pixel, with_store
from postgres_room import DatabasePlace

ANN, BOB = "ann@here.example", "bob@here.example"


async def expire(store: SqlObservationStore, kind: str, before: float = NOON + DAY) -> int:
    gone = 0
    while count := await store.expire("default", kind, before):
        gone += count
    return gone


def old_and_new(count: int = 3) -> list[Observation]:
    old = [message(number, recipients=(ANN, BOB)) for number in range(count)]
    return [*old, message(count, at=NOON + 2 * DAY, recipients=(ANN,))]


async def everything(database: Database) -> str:
    """Return all that stands in the database, records unpacked."""
    texts = []
    async with database.read() as connection:
        for table in tables.metadata.sorted_tables:
            for row in await connection.execute(sa.select(table)):
                values = [zlib.decompress(each).decode() if isinstance(each, bytes) else each for each in row]
                texts.append(f"{table.name} {values}")
    return "\n".join(texts).lower()


def test_old_messages_go_with_all_that_hangs_on_them_and_figures_stay(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "PORTION", 2)

    async def run() -> None:
        async with opened(database) as store, database.opened() as beside:
            old = message(9, references=(pixel("old.example"),), subject="Bygones")
            await store.add([*old_and_new(), old])
            before = await store.figures("default", *EVER)
            assert await expire(store, "messages") == 4
            assert await found(store) == ["log-3"]
            for query in ({"text": "bygones"}, {"host": "old.example"}, {"recipient": BOB}):
                assert await found(store, **query) == [], query
            assert await store.message("default", old.identifier) is None
            assert await store.figures("default", *EVER) == before
            trackers = (await store.trackers("default", TrackerQuery(), Cut())).items
            assert [each.messages for each in trackers] == [4, 1]
            assert [each.example == "" for each in trackers] == [False, True]
            left = await everything(beside)
            assert old.identifier not in left
            assert "bygones" not in left

    asyncio.run(run())


def test_old_subjects_are_blanked_and_not_found_any_more(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        batch = old_and_new()
        await store.add(batch)
        assert await expire(store, "subjects") == 3
        assert await found(store, text="winter") == ["log-3"]
        assert await found(store, text="news") == ["log-3", "log-2", "log-1", "log-0"]
        back = await store.message("default", batch[0].identifier)
        assert back is not None
        assert (back.subject, back.recipients, back.references) == ("", (ANN, BOB), batch[0].references)
        lines = (await store.messages("default", MessageQuery(), Cut())).items
        assert [bool(each.subject) for each in lines] == [True, False, False, False]

    with_store(database, steps)


def test_old_recipients_are_taken_out_and_their_number_stays(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        batch = old_and_new()
        await store.add(batch)
        assert await expire(store, "recipients") == 3 + 2  # messages, and what met Bob for the last time then
        assert await found(store, recipient=BOB) == []
        assert await found(store, recipient=ANN) == ["log-3"]
        back = await store.message("default", batch[0].identifier)
        assert back is not None
        assert back.recipients == ()
        assert [each.url for each in back.references] == [each.template for each in batch[0].references]
        lines = (await store.messages("default", MessageQuery(), Cut())).items
        assert [each.recipients for each in lines] == [1, 2, 2, 2]
        (tracker,) = (await store.trackers("default", TrackerQuery(), Cut())).items
        assert tracker.people == 2

    with_store(database, steps)


def test_many_recipients_are_taken_out_of_texts_by_their_domain(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        crowd = tuple(f"p{number}@here.example" for number in range(1_500))
        seen = message(
            1,
            recipients=crowd,
            subject="p7@here.example, p8%40here.example and ann@there.example",
            sender="b+p9=here.example@shop.example",
            references=tuple(pixel(url="https://a.example/" + "x" * 8_000) for _ in range(200)),
        )
        await store.add([seen])
        assert await expire(store, "recipients") > 0
        back = await store.message("default", seen.identifier)
        assert back is not None
        assert back.subject == "*, * and ann@there.example"
        assert back.sender == "*@shop.example"

    with_store(database, steps)


def test_old_figures_and_old_trackers_go(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        gone = message(9, references=(pixel("old.example", operator="Bygone"),))
        await store.add([*old_and_new(), gone])
        assert await expire(store, "trackers") == 2  # and its operator
        assert [each.host for each in (await store.trackers("default", TrackerQuery(), Cut())).items] == [
            "open.tracker.example"
        ]
        assert (await store.trackers("default", TrackerQuery(text="old"), Cut())).items == ()
        assert [each.name for each in (await store.operators("default", 0.0, Cut())).items] == ["Spyglass"]
        assert len((await store.person("default", ANN)).records["met"]) == 2
        assert (await store.figures("default", *EVER)).messages == 5
        assert await expire(store, "figures", NOON + 40 * DAY) > 0
        assert (await store.figures("default", *EVER)).messages == 0
        assert await store.top("default", "host", *EVER, 5) == []
        with pytest.raises(ValueError, match="there is no kind"):
            await store.expire("default", "secrets", NOON)

    with_store(database, steps)


def test_what_is_young_stays_whatever_its_kind(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        batch = old_and_new()
        await store.add(batch)
        for kind in forgetting.KINDS:
            assert await store.expire("default", kind, NOON - DAY) == 0
        assert [each async for each in store.replayable("default", *EVER)] == batch[::-1]

    with_store(database, steps)


def test_a_person_is_given_what_is_kept_of_them_and_nobody_else(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        shared = message(
            1, recipients=("Ann@Here.example", BOB), sender="bounce+bob=here.example@shop.example"
        )
        own = message(2, recipients=(ANN,))
        wrote = message(3, author=ANN, sender=ANN, recipients=(BOB,), direction="submitted")
        await store.add([shared, own, wrote, message(4, recipients=(BOB,))])
        export = await store.person("default", ANN)
        assert export.person == ANN
        assert [each["log_identifier"] for each in export.records["messages"]] == ["log-3", "log-2", "log-1"]
        assert [each["other_recipients"] for each in export.records["messages"]] == [1, 0, 1]
        assert export.records["messages"][1]["references"][0]["url"] == own.references[0].url
        assert {(each["what"], each["messages"]) for each in export.records["met"]} == {
            ("tracker", 2),
            ("operator", 2),
        }
        assert "bob" not in str(export).lower()

    with_store(database, steps)


def test_nothing_of_an_erased_person_stands_anywhere(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "PORTION", 2)

    async def run() -> None:
        async with opened(database) as store, database.opened() as beside:
            named = pixel(
                url="https://open.tracker.example/o/t.gif?u=ann%40here.example",
                reasons=("has ann@here.example in its address",),
            )
            shared = [
                message(
                    number,
                    recipients=("Ann@Here.example", BOB),
                    references=(named, picture()),
                    sender="bounce+ann=here.example@shop.example",
                    subject="For ANN@here.example",
                    reply="550 <ann@here.example> unknown",
                )
                for number in range(5)
            ]
            own = [message(number, recipients=(ANN,)) for number in range(5, 10)]
            wrote = message(10, author=ANN, sender=ANN, recipients=(BOB,), subject="Between us")
            other = message(11, recipients=(BOB,))
            await store.add([*shared, *own, wrote, other])
            async with beside.write() as connection:
                await connection.execute(
                    tables.feedback.insert(),
                    {
                        "organisation": "default",
                        "identifier": "f1",
                        "at": NOON,
                        "kind": "other",
                        "message": own[0].identifier,
                        "text": "I am ann@here.example",
                        "channel": "link",
                        "state": "open",
                        "closed_by": "",
                        "closed_at": 0.0,
                        "note": "",
                    },
                )
            figures = await store.figures("default", *EVER)
            assert await store.erase("default", " ANN@here.example") == 11 + 2
            left = await everything(beside)
            for trace in ("ann@here", "ann=here", "ann%40here", "between us", "u=ann"):
                assert trace not in left, trace
            assert own[0].identifier not in left
            assert await found(store) == [f"log-{number}" for number in (11, 10, 4, 3, 2, 1, 0)]
            assert await found(store, recipient=BOB) == await found(store)
            assert await store.message("default", other.identifier) == other
            back = await store.message("default", shared[0].identifier)
            assert back is not None
            assert (back.recipients, back.subject) == ((BOB,), "For *")
            assert [each.url for each in back.references] == [named.template, picture().url]
            assert (back.references[0].token, back.references[0].key) == ("", "")
            assert await store.figures("default", *EVER) == figures
            assert not any((await store.person("default", ANN)).records.values())
            assert await store.erase("default", ANN) == 0

    asyncio.run(run())


def test_what_is_erased_is_overwritten_in_the_file_and_gone_from_its_log(
    sqlite_database: DatabasePlace,
) -> None:
    async def run() -> None:
        async with opened(sqlite_database) as store, sqlite_database.opened() as beside:
            path = Path(beside.url.database or "")
            await store.add([message(number, recipients=(ANN,)) for number in range(50)])
            await store.add([message(number, recipients=(ANN, BOB)) for number in range(50, 99)])

            def told(ending: str) -> int:
                return path.with_name(path.name + ending).read_bytes().lower().count(b"ann@here")

            assert told("-wal") > 99
            assert await store.erase("default", ANN) > 0
            assert told("-wal") == 0
            assert told("") < 5, "fragments, in pages that are in use"
            async with beside.read() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                async with driver.execute("VACUUM"):
                    pass
            await beside.sweep()
            assert told("") + told("-wal") == 0

    asyncio.run(run())


def test_erasing_nobody_erases_nothing(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        bounce = message(1, sender="", recipients=())
        await store.add([bounce])
        for nobody in ("", " ", "*", "%", "here.example"):
            assert await store.erase("default", nobody) == 0
        assert await store.message("default", bounce.identifier) == bounce

    with_store(database, steps)
