"""Lists of messages, trackers and operators: all words are found, orders go on where they ended, cursors are checked.

Setup: a fresh database of each kind; limits made small enough for a few rows to reach them.
Test: words with accents and without spaces; filters that hardly anything fits; trackers in every order by every filter,
gathered and walked; cursors of other lists and made-up ones.
"""

from __future__ import annotations

import pytest

from mailveil.adapters.database import finding, ranking
from mailveil.adapters.database.observations import SqlObservationStore
from mailveil.control.records import Cut, MessageQuery, Tracker, TrackerQuery
from mailveil.control.stores import CursorError
from mailveil.core.observation import ObservedReference
from observation_room import DAY, EVER, HOUR, NOON, found, message, picture, pixel, with_store
from postgres_room import DatabasePlace


def test_a_short_word_that_many_begin_with_is_found_too(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "FEW", 10)

    async def steps(store: SqlObservationStore) -> None:
        letters = [f"c{chr(97 + number)}x" for number in range(24)]
        seen = [message(number, subject=letters[number % 24], author="", sender="") for number in range(48)]
        await store.add(seen)
        assert len(await found(store, limit=7, text="c")) == 48
        assert await found(store, text="cbx") == ["log-25", "log-1"]
        await store.add([message(number, subject=f"day days {number}") for number in range(100, 115)])
        assert len(await found(store, limit=4, text="day")) == 15
        assert len(await found(store, limit=4, text="day", sender="shop.example")) == 15

    with_store(database, steps)


def test_words_without_spaces_and_with_accents_are_found_by_any_piece(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        await store.add(
            [message(1, subject="ご注文の確認メール"), message(2, subject="Être à l’Élysée, Straße")]
        )
        for text, expected in (
            ("確認", ["log-1"]),
            ("elysee", ["log-2"]),
            ("STRASSE", ["log-2"]),
            ("確定", []),
        ):
            assert await found(store, text=text) == expected, text

    with_store(database, steps)


def test_a_search_that_hardly_anything_fits_gives_short_parts_and_goes_on(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "FEW", 10)
    monkeypatch.setattr(finding, "WINDOWS", (4, 8))

    async def steps(store: SqlObservationStore) -> None:
        both = message(0, at=NOON - DAY)
        bare = [message(number, references=()) for number in range(1, 41)]
        other = [message(number, at=NOON + DAY + number, subject="Lunch") for number in range(41, 81)]
        await store.add([both, *bare, *other])
        query = MessageQuery(text="sale", has_trackers=True)
        first = await store.messages("default", query, Cut(5))
        assert first.items == ()
        assert first.next
        assert await found(store, limit=5, text="sale", has_trackers=True) == ["log-0"]
        assert len(await found(store, limit=5, text="sale", has_trackers=False)) == 40
        assert len(await found(store, limit=3, text="winter sale number")) == 41

    with_store(database, steps)


def test_trackers_come_in_every_order_and_by_every_filter(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(store: SqlObservationStore) -> None:
        spy = pixel("open.spy.example", operator="Spyglass")
        nosy = pixel("px.nosy.example", operator="Nosy", kind="dwell")
        anon = pixel("t.spy.example", operator="")
        people = tuple(f"p{number}@here.example" for number in range(5))
        await store.add(
            [
                message(0, references=(spy, spy)),
                message(1, references=(spy, nosy)),
                message(2, references=(nosy,), recipients=people),
                message(3, references=(anon,), at=NOON + DAY),
            ]
        )

        async def hosts(**query: object) -> list[str]:
            items: list[Tracker] = []
            cursor = ""
            while True:
                page = await store.trackers("default", TrackerQuery(**query), Cut(1, cursor))  # type: ignore[arg-type]
                items += page.items
                if not page.next:
                    return [each.host.split(".")[0] for each in items]
                cursor = page.next

        for _ in range(2):  # gathered, and the second time walked
            assert await hosts() == ["t", "px", "open"]
            assert await hosts(order="first") == ["t", "px", "open"]
            assert (await hosts(order="people"))[0] == "px"
            assert (await hosts(order="messages"))[2] == "t"
            assert await hosts(operator="Nosy") == ["px"]
            assert await hosts(domain="SPY.example") == ["t", "open"]
            assert await hosts(domain="spy.example", order="messages") == ["open", "t"]
            assert await hosts(kind="dwell", order="first") == ["px"]
            assert await hosts(since=NOON + HOUR) == ["t"]
            assert await hosts(since=NOON + HOUR, order="messages") == ["t"]
            assert await hosts(text="spy", operator="Spyglass") == ["open"]
            assert await hosts(text="nos exam") == ["px"]
            assert await hosts(text="?") == []
            monkeypatch.setattr(ranking, "FEW", 1)
            monkeypatch.setattr(ranking, "WINDOWS", (1, 1))
        with pytest.raises(ValueError, match="there is no order"):
            await hosts(order="size")

        (tracker,) = (await store.trackers("default", TrackerQuery(operator="Spyglass"), Cut())).items
        assert (tracker.messages, tracker.references, tracker.people) == (2, 3, 1)
        assert (tracker.first_at, tracker.last_at) == (NOON, NOON + 1)
        assert await store.tracker("default", tracker.identifier) == tracker
        assert await store.message("default", tracker.example) is not None
        first = await store.operators("default", 0.0, Cut(1))
        second = await store.operators("default", 0.0, Cut(1, first.next))
        assert not second.next
        assert [each.name for each in (*first.items, *second.items)] == ["Spyglass", "Nosy"]
        (line,) = second.items
        assert (line.messages, line.references, line.trackers, line.people) == (2, 2, 1, 6)
        assert await store.operator("default", "Nosy") == line
        assert (await store.operators("default", NOON + HOUR, Cut())).items == ()

    with_store(database, steps)


def test_a_tracker_is_one_for_all_readers_and_gets_its_name_when_that_is_known(
    database: DatabasePlace,
) -> None:
    async def steps(store: SqlObservationStore) -> None:
        def own(number: int, operator: str) -> ObservedReference:
            host, template = f"x{number}.t.example", "https://*.t.example/o/*.gif"
            return pixel(host, template=template, domain="t.example", operator=operator)

        await store.add([message(1, references=(own(1, ""),))])
        await store.add([message(2, references=(own(2, "Nosy"),)), message(3, references=(own(3, ""),))])
        (tracker,) = (await store.trackers("default", TrackerQuery(text="nosy"), Cut())).items
        assert (tracker.host, tracker.operator, tracker.messages) == ("*.t.example", "Nosy", 3)
        assert (await store.operator("default", "Nosy")).trackers == 1  # type: ignore[union-attr]
        assert await found(store, host="x2.t.example") == ["log-2"]
        assert [each.value for each in await store.top("default", "host", *EVER, 9)] == ["*.t.example"]

    with_store(database, steps)


def test_what_the_catalogue_knows_of_an_operator_is_told(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        await store.add([message(1, references=(picture(operator="Mailchimp"),))])
        line = await store.operator("default", "Mailchimp")
        assert line is not None
        assert (line.owner, line.category) == ("Intuit", "mail-service")
        assert await store.operator("default", "Nobody") is None

    with_store(database, steps)


def test_cursors_of_other_lists_and_made_up_ones_are_refused(database: DatabasePlace) -> None:
    async def steps(store: SqlObservationStore) -> None:
        await store.add([message(number, references=(pixel(f"a{number}.example"),)) for number in range(3)])
        messages = (await store.messages("default", MessageQuery(), Cut(1))).next
        last = (await store.trackers("default", TrackerQuery(), Cut(1))).next
        for cursor in ("x", "!!", messages[:-3], last, "\0", "é" * 9):
            with pytest.raises(CursorError):
                await store.messages("default", MessageQuery(), Cut(1, cursor))
        for cursor in ("x", messages):
            with pytest.raises(CursorError):
                await store.trackers("default", TrackerQuery(), Cut(1, cursor))
            with pytest.raises(CursorError):
                await store.operators("default", 0.0, Cut(1, cursor))
        for order in ("first", "messages", "people"):
            with pytest.raises(CursorError):
                await store.trackers("default", TrackerQuery(order=order), Cut(1, last))

    with_store(database, steps)
