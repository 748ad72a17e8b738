"""What was seen: written once, found by everything it can be asked for, and counted right.

Setup: a fresh database of each kind with two organisations, and observations like a gateway's.
Test: a message comes back as it was; one that is written down again adds nothing; every filter finds what it should
and nothing else; lists go on where they ended; figures are those of a recount; any text is stored.
"""

from __future__ import annotations

from mailveil.adapters.database.observations import SqlObservationStore
from mailveil.control.records import Cut, TrackerQuery
from observation_room import DAY, EVER, NOON, found, message, pixel, with_store
from postgres_room import DatabasePlace


def test_a_message_comes_back_as_it_was(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        seen = message(
            1,
            subject="Ihre Bestellung \N{EM DASH} 注文の確認",
            header={"list_id": "news.shop.example"},
            authentication={"dkim": [{"domain": "shop.example", "result": "pass"}]},
            defects=("no Date field",),
        )
        assert await store.add([seen]) == 1
        assert await store.message("default", seen.identifier) == seen
        assert await store.message("default", "0" * 32) is None

    with_store(database, steps)


def test_what_is_written_down_again_adds_nothing(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        batch = [message(number) for number in range(3)]
        assert await store.add([*batch, batch[0]]) == 3
        before = await store.figures("default", *EVER)
        (tracker,) = (await store.trackers("default", TrackerQuery(), Cut())).items
        assert await store.add([*batch, message(3)]) == 1
        assert await store.add(batch) == 0
        after = await store.figures("default", *EVER)
        assert (before.messages, after.messages) == (3, 4)
        assert (await store.tracker("default", tracker.identifier)).messages == 4  # type: ignore[union-attr]
        assert (await store.top("default", "host", *EVER, 5))[0].messages == 4

    with_store(database, steps)


def test_every_filter_finds_what_it_should(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        plain = message(
            1, references=(), subject="Re: Lunch on Friday", author="bob@there.example", sender="bob@there.example",
            author_domain="", sender_domain="there.example", recipients=("ann@here.example", "Eve@here.example"),
        )  # fmt: skip
        grave = message(2, references=(pixel("t.spy.example", operator="Nosy", risk="high"),), risk="high")
        await store.add([message(0), plain, grave, message(3, at=NOON + 2 * DAY, changed=False)])
        nosy = (await store.trackers("default", TrackerQuery(operator="Nosy"), Cut())).items[0]
        for query, expected in (
            ({}, [3, 2, 1, 0]),
            ({"since": NOON + DAY}, [3]),
            ({"until": NOON + DAY}, [2, 1, 0]),
            ({"text": "WINTER sale"}, [3, 2, 0]),
            ({"text": "lun fri"}, [1]),
            ({"text": "lunch winter"}, []),
            ({"text": "log-2"}, [2]),
            ({"text": "news@shop.example"}, [3, 2, 0]),
            ({"text": "!!!"}, []),
            ({"sender": "bob@THERE.example"}, [1]),
            ({"sender": "mail.shop.example"}, [3, 2, 0]),
            ({"sender": "there.example"}, [1]),
            ({"recipient": "eve@here.example"}, [1]),
            ({"risk": "high"}, [2]),
            ({"risk": "low"}, [3, 2, 0]),
            ({"risk": "none"}, [3, 2, 1, 0]),
            ({"operator": "Spyglass"}, [3, 0]),
            ({"host": "t.spy.example"}, [2]),
            ({"host": "spy.example"}, [2]),
            ({"tracker": nosy.identifier}, [2]),
            ({"has_trackers": False}, [1]),
            ({"has_remote": True}, [3, 2, 0]),
            ({"changed": False}, [3, 1]),
            ({"changed": True, "operator": "Spyglass", "text": "winter"}, [0]),
            ({"sender": "shop.example", "since": NOON + 1, "until": NOON + DAY}, [2]),
        ):
            logs = [f"log-{number}" for number in expected]
            assert await found(store, **query) == logs, query
            assert await found(store, limit=1, **query) == logs, query

    with_store(database, steps)
