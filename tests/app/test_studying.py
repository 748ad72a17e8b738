"""What is written down of mail is studied once, in order and within seconds, whatever happens meanwhile.

Setup: months of an organisation's mail with a spy in it, in SQLite and PostgreSQL; loops that run, race, break off, or
have no database for a while.
Test: what is found is what studying the same mail in memory finds; studied again, the same comes out; others are told
once of each thing; what people decided stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest

from control_room import ControlRoomForTests, opened_room
from intelligence_room import DAY, HOUR, finance, mail, quiet_weeks, tracker
from mailveil.adapters.database import tables
from mailveil.app import studying
from mailveil.app.studybatch import Intelligence, StudyBatch
from mailveil.app.studying import SWEEP_S, StudyLoop, WakingSink
from mailveil.control.activityrecords import ActivityNote, ActivityQuery
from mailveil.control.activitystores import StudyStore, Subject
from mailveil.control.records import Cut
from mailveil.control.stores import ConflictError
from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.settings import Findings, StudySettings
from mailveil.core.intelligence.types import AnalystVerdict, Decision
from mailveil.ports import UnavailableError
from postgres_room import DatabasePlace
from study_room import ACTOR, LATER, found_by, found_in, inhabit, letters, probes, rows_of, study_all

EVERYTHING = Cut(100)


def in_the_room(place: DatabasePlace, steps: Callable[[ControlRoomForTests], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened_room(place) as room:
            await inhabit(room)
            await steps(room)

    asyncio.run(run())


async def activity_identifiers(room: ControlRoomForTests) -> list[str]:
    query = ActivityQuery(room.clock.now())
    return [
        each.activity.identifier
        for each in (await room.room.activities.activities("default", query, EVERYTHING)).items
    ]


async def events(room: ControlRoomForTests) -> list[str]:
    rows = await rows_of(room, tables.outbox, "number")
    assert [each["number"] for each in rows] == list(range(1, len(rows) + 1))
    return [each["kind"] for each in rows]


def test_what_is_found_is_what_studying_in_memory_finds(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = letters()
        for start in range(0, len(seen), 61):
            await room.room.observations.add(seen[start : start + 61])
            await study_all(room)
        kept, expected = await found_in(room), found_by(seen)
        for name, records in expected.items():
            assert kept[name] == records, name
        (identifier,) = await activity_identifiers(room)
        assert kept["activities"][identifier]["actor"] == ACTOR
        page = await room.room.activities.messages_of("default", identifier, EVERYTHING)
        assert page.items == tuple(sorted((each.identifier for each in probes()), reverse=True))

    in_the_room(database, steps)


def test_what_comes_late_is_studied_last_and_again_in_that_order(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = letters()
        late = [each for number, each in enumerate(seen) if number % 7 == 3]
        soon = [each for each in seen if each not in late]
        await room.room.observations.add(soon)
        await study_all(room)
        await room.room.observations.add(late)
        await study_all(room)
        before = await found_in(room)
        for name, records in found_by([*soon, *late]).items():
            assert before[name] == records, name
        assert await room.room.studies.begin_again("default") == len(seen)
        empty = await found_in(room)
        assert not any(empty.values())
        await study_all(room)
        assert await found_in(room) == before

    in_the_room(database, steps)


def test_studying_again_may_itself_begin_again_in_the_middle(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = letters()
        await room.room.observations.add(seen)
        await study_all(room)
        before = await found_in(room)
        await room.room.studies.begin_again("default")
        for _ in range(2):
            waiting = await room.room.studies.unstudied("default", 40)
            assert waiting.is_again
            await write_studied(room, waiting)
        await room.room.studies.begin_again("default")
        young = list(probes(2, "other.example", LATER + 10 * HOUR))
        await room.room.observations.add(young)
        await study_all(room)
        order = [each["subject"] for each in await rows_of(room, tables.studies, "number")]
        assert order == [each.identifier for each in (*seen, *young)]
        assert (await found_in(room))["activities"].items() >= before["activities"].items()

    in_the_room(database, steps)


async def write_studied(room: ControlRoomForTests, waiting: Any) -> Any:
    stores = room.room
    people = {each.person: each for each in await stores.activities.marked("default")}
    chosen = StudySettings(people, frozenset({"here.example"}))
    batch = StudyBatch("default", waiting, chosen, stores.studies, Intelligence())
    studied = await batch.studied(room.clock.now())
    await stores.studies.write("default", studied)
    return studied


def test_of_two_that_study_the_same_one_changes_nothing(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        await room.room.observations.add(list(probes()))
        waiting = await room.room.studies.unstudied("default", 3)
        studied = await write_studied(room, waiting)
        before = await found_in(room), await events(room)
        with pytest.raises(ConflictError, match="somebody else"):
            await room.room.studies.write("default", studied)
        rest = await room.room.studies.unstudied("default", 3)
        mixed = replace(studied, subjects=(waiting.subjects[0], *rest.subjects), generation=rest.generation)
        with pytest.raises(ConflictError, match="somebody else"):
            await room.room.studies.write("default", mixed)
        assert (await found_in(room), await events(room)) == before
        await room.room.studies.begin_again("default")
        with pytest.raises(ConflictError, match="no longer"):
            await room.room.studies.write("default", studied)
        assert not any((await found_in(room)).values())

    in_the_room(database, steps)


def test_several_processes_study_each_message_once(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = letters()
        async with database.opened() as second, database.opened() as third:
            rooms = [room.room, *(room_over(each, room) for each in (second, third))]
            await room.room.observations.add(seen)

            async def work(which: Any) -> int:
                loop, count = StudyLoop(which), 0
                while await room.room.studies.waiting("default", 1):
                    count += await loop.round()
                    await asyncio.sleep(0.01)
                return count

            counts = await asyncio.gather(*map(work, rooms))
        assert sum(counts) == len(seen)
        kept, expected = await found_in(room), found_by(seen)
        for name, records in expected.items():
            assert kept[name] == records, name

    in_the_room(database, steps)


def test_what_somebody_else_remembered_meanwhile_is_not_overwritten(database: DatabasePlace) -> None:
    """Two that both have the lease, as with clocks that differ, and of whom one met what came late."""

    async def steps(room: ControlRoomForTests) -> None:
        late, soon = list(probes(2)), list(probes(3, start=LATER + 5 * HOUR))
        await room.room.observations.add(soon)
        mine = await room.room.studies.unstudied("default", 3)
        await room.room.observations.add(late)
        others = await room.room.studies.unstudied("default", 2)
        assert not {each.identifier for each in mine.subjects} & {each.identifier for each in others.subjects}
        stores = room.room
        people = {each.person: each for each in await stores.activities.marked("default")}
        chosen = StudySettings(people, frozenset({"here.example"}))
        both = [
            await StudyBatch("default", each, chosen, stores.studies, Intelligence()).studied(LATER)
            for each in (mine, others)
        ]
        await stores.studies.write("default", both[0])
        with pytest.raises(ConflictError, match="somebody else"):
            await stores.studies.write("default", both[1])
        await study_all(room)
        assert (await found_in(room))["memos"] == found_by([*soon, *late])["memos"]

    in_the_room(database, steps)


class Refusing:
    """A study store that breaks down with each batch of an organisation, in a way that nobody thought of."""

    def __init__(self, store: StudyStore, organisation: str) -> None:
        self._store = store
        self._organisation = organisation

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, organisation: str, studied: Any) -> None:
        if organisation == self._organisation and studied.memos:
            raise ValueError("private words")
        await self._store.write(organisation, studied)


def test_what_goes_wrong_with_one_organisation_costs_the_others_nothing(
    sqlite_database: DatabasePlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        await room.organisation("acme")
        seen = list(probes())
        await room.room.observations.add([replace(seen[0], organisation="acme"), *seen])
        store: Any = Refusing(room.room.studies, "acme")
        loop = StudyLoop(replace(room.room, studies=store))
        with pytest.raises(ValueError, match="private words"):
            await loop.round()
        assert await room.room.studies.waiting_organisations() == {"acme"}
        for _ in range(2 * studying.PATIENCE - 1):
            with pytest.raises(ValueError, match="private words"):
                await loop.round()
        assert await loop.round() == 1  # and what nobody can write down holds nothing up for ever
        assert await room.room.studies.waiting_organisations() == set()
        assert loop.progress.set_aside == 1
        assert "private words" not in caplog.text

    in_the_room(sqlite_database, steps)


def test_organisations_have_turns_however_much_waits_of_one(
    sqlite_database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studying, "SLICE_S", -1.0)
    monkeypatch.setattr(studying, "BATCH", 10)

    async def steps(room: ControlRoomForTests) -> None:
        await room.organisation("zoo")
        many = letters()
        await room.room.observations.add([*many, *(replace(each, organisation="zoo") for each in probes(3))])
        loop = StudyLoop(room.room)
        assert await loop.round() == 10 + 3
        assert await room.room.studies.waiting("default", 1_000) == len(many) - 10
        count = 13
        while done := await loop.round():
            count += done
        assert count == len(many) + 3

    in_the_room(sqlite_database, steps)


def test_a_clock_that_is_set_back_keeps_nobody_waiting(
    sqlite_database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studying, "SLICE_S", 0.0)
    monkeypatch.setattr(studying, "BATCH", 10)

    async def steps(room: ControlRoomForTests) -> None:
        await room.room.observations.add(letters())
        loop, told = StudyLoop(room.room), []

        async def tell(organisation: str, now: float) -> int:
            told.append((organisation, now))
            return 0

        monkeypatch.setattr(room.room.studies, "tell", tell)
        assert await loop.round() == 10, "a turn ends although the clock stands still"
        room.clock.moment -= HOUR
        assert await loop.round() == 10
        assert [at for _, at in told] == [room.clock.moment + HOUR, room.clock.moment]

    in_the_room(sqlite_database, steps)


def test_the_log_and_health_tell_how_far_a_backlog_is(
    sqlite_database: DatabasePlace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mailveil.studying")
    monkeypatch.setattr(studying, "BACKLOG", 10)
    monkeypatch.setattr(studying, "TELL_S", 0.0)
    monkeypatch.setattr(studying, "SLICE_S", 1.5)

    async def steps(room: ControlRoomForTests) -> None:
        await room.room.observations.add(letters())
        write = room.room.studies.write

        async def write_slowly(organisation: str, studied: Any) -> None:
            await asyncio.sleep(1)
            await write(organisation, studied)

        monkeypatch.setattr(room.room.studies, "write", write_slowly)
        loop = StudyLoop(room.room)
        loop.start()
        async with asyncio.timeout(60):
            while not loop.progress.pace:
                await asyncio.sleep(0.05)
        await loop.finish()
        assert 0 < loop.progress.pace < 60

    in_the_room(sqlite_database, steps)
    assert "to be studied, which takes about" in caplog.text
    assert [studying.describe_span(each) for each in (3, 600, 9_000)] == [
        "about 1 minute",
        "about 10 minutes",
        "about 2 hours",
    ]


def test_a_record_that_is_damaged_holds_nothing_up(
    database: DatabasePlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = list(probes())
        await room.room.observations.add(seen)
        async with room.database.write() as connection:
            columns = tables.message_records.c
            await connection.execute(
                tables.message_records.update()
                .where(columns.message == seen[2].identifier)
                .values(record=b"rust")
            )
        assert await StudyLoop(room.room).round() == len(seen) - 1
        assert await room.room.studies.waiting("default", 1) == 0
        assert f"the record of {seen[2].identifier} cannot be read" in caplog.text

    in_the_room(database, steps)


def test_what_was_kept_before_an_upgrade_is_studied_first_and_only_what_goes_on_is_told(
    database: DatabasePlace,
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        kept = [*quiet_weeks(), *probes(4)]
        await room.room.observations.add(kept)
        async with room.database.write() as connection:  # as the migration does
            await connection.execute(tables.unstudied.update().values(place=1))
        room.clock.moment = LATER + 200 * DAY
        young = list(probes(4, "young.example", LATER + 199 * DAY))
        await room.room.observations.add(young)
        await study_all(room)
        await StudyLoop(room.room).round()
        order = [each["subject"] for each in await rows_of(room, tables.studies, "number")]
        assert order == [each.identifier for each in sorted(kept, key=lambda each: each.identifier)] + [
            each.identifier for each in young
        ]
        told = {each["subject"] for each in await rows_of(room, tables.outbox, "number")}
        old, new = sorted(await activity_identifiers(room))
        assert new in told
        assert old not in told

    in_the_room(database, steps)


def room_over(database: Any, room: ControlRoomForTests) -> Any:
    from mailveil.adapters.database.activities import SqlActivityStore
    from mailveil.adapters.database.organisations import SqlOrganisationStore
    from mailveil.adapters.database.studying import SqlStudyStore

    return replace(
        room.room,
        organisations=SqlOrganisationStore(database),
        activities=SqlActivityStore(database),
        studies=SqlStudyStore(database),
    )


class Breaking:
    """A study store that breaks off around the writing of some batches."""

    def __init__(self, store: StudyStore, when: Callable[[int], str]) -> None:
        self._store = store
        self._when = when
        self.batches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, organisation: str, studied: Any) -> None:
        self.batches += 1
        how = self._when(self.batches)
        if how == "before":
            raise UnavailableError("the database does not answer")
        await self._store.write(organisation, studied)
        if how == "after":  # it was written, and nobody heard of it
            raise UnavailableError("the database does not answer")


def test_whoever_breaks_off_before_or_after_writing_loses_and_repeats_nothing(
    database: DatabasePlace,
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = letters()
        await room.room.observations.add(seen)
        store: Any = Breaking(room.room.studies, lambda number: ("before", "", "after", "")[number % 4])
        broken = replace(room.room, studies=store)
        failures = 0
        while await room.room.studies.waiting("default", 1):
            try:
                await StudyLoop(broken).round()  # a new process each time
            except UnavailableError:
                failures += 1
        assert failures >= 2
        kept, expected = await found_in(room), found_by(seen)
        for name, records in expected.items():
            assert kept[name] == records, name
        assert [each["subject"] for each in await rows_of(room, tables.studies, "number")] == [
            each.identifier for each in seen
        ]

    in_the_room(database, steps)


class Asked:
    """A study store that counts how often it is asked for memos."""

    def __init__(self, store: StudyStore) -> None:
        self._store = store
        self.times = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def memos(self, organisation: str, keys: Collection[str]) -> Mapping[str, Memo | None]:
        self.times += 1
        return await self._store.memos(organisation, keys)


def test_a_batch_asks_for_what_is_remembered_a_handful_of_times(sqlite_database: DatabasePlace) -> None:
    """Each question is a way to a database and back, and a backlog is studied no faster than they go."""

    async def steps(room: ControlRoomForTests) -> None:
        seen = letters(6)
        await room.room.observations.add(seen)
        store: Any = Asked(room.room.studies)
        await study_all(replace(room, room=replace(room.room, studies=store)))
        assert store.times < 5 * len(seen) / studying.BATCH + 5

    in_the_room(sqlite_database, steps)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studying, "RETRY_S", (0.01, 0.05))
    monkeypatch.setattr(studying, "IDLE_S", 0.2)


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await what():
            await asyncio.sleep(0.02)


def test_an_activity_shows_once_the_mail_that_reveals_it_was_written_down(
    database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studying, "IDLE_S", 3600.0)  # it is woken, and does not look by itself

    async def steps(room: ControlRoomForTests) -> None:
        await room.room.observations.add([*quiet_weeks()])
        await study_all(room)
        loop = StudyLoop(room.room)
        loop.start()
        sink = WakingSink(room.room.observations, loop)
        try:
            await sink.add(list(probes(3)))

            async def is_shown() -> bool:
                return bool(await activity_identifiers(room))

            await until(is_shown)
        finally:
            await loop.finish()
        assert "alert.raised" in await events(room)

    in_the_room(database, steps)


@pytest.mark.usefixtures("hurry")
def test_a_database_that_is_away_is_waited_for(
    sqlite_database: DatabasePlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        await room.room.observations.add(list(probes()))
        store: Any = Breaking(room.room.studies, lambda number: "before" if number < 5 else "")
        loop = StudyLoop(replace(room.room, studies=store))
        loop.start()

        async def is_done() -> bool:
            return not await room.room.studies.waiting("default", 1)

        await until(is_done)
        await loop.finish()
        assert loop.progress.problem == ""
        assert "studied later" in caplog.text

    in_the_room(sqlite_database, steps)


class Stumbling(Intelligence):
    """A scholar that cannot make anything of some messages, and says so late."""

    def __init__(self, bad: Collection[str]) -> None:
        self.bad = bad

    def study(self, subject: Subject, book: Book, settings: StudySettings) -> Findings:
        findings = super().study(subject, book, settings)
        if subject.identifier in self.bad:
            raise ValueError("private words")
        return findings


def test_what_cannot_be_studied_is_set_aside_and_leaves_no_trace(
    database: DatabasePlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = letters()
        bad = {each.identifier for each in seen[10::25]}
        await room.room.observations.add(seen)
        with caplog.at_level(logging.ERROR):
            loop = StudyLoop(room.room, scholar=Stumbling(bad))
            assert await loop.round() == len(seen)
        assert loop.progress.set_aside == len(bad)
        assert all(each in caplog.text for each in bad)
        assert "private words" not in caplog.text
        kept = await found_in(room)
        for name, records in found_by([each for each in seen if each.identifier not in bad]).items():
            assert kept[name] == records, name

    in_the_room(database, steps)


class Unwritable:
    """A study store that cannot write what comes of one message, though it answers."""

    def __init__(self, store: StudyStore, bad: str) -> None:
        self._store = store
        self._bad = bad

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, organisation: str, studied: Any) -> None:
        memos: Mapping[str, Memo | None] = studied.memos
        if memos and any(each.identifier == self._bad for each in studied.subjects):
            raise UnavailableError("the database does not answer (DataError)")
        await self._store.write(organisation, studied)


@pytest.mark.usefixtures("hurry")
def test_what_no_database_takes_holds_nothing_up(
    sqlite_database: DatabasePlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = list(probes())
        await room.room.observations.add(seen)
        store: Any = Unwritable(room.room.studies, seen[2].identifier)
        loop = StudyLoop(replace(room.room, studies=store))
        loop.start()

        async def is_done() -> bool:
            return not await room.room.studies.waiting("default", 1)

        await until(is_done)
        await loop.finish()
        assert f"what was found of {seen[2].identifier} cannot be written down" in caplog.text
        kept = await found_in(room)
        expected = found_by([each for each in seen if each is not seen[2]])
        assert kept["memos"] == expected["memos"]

    in_the_room(sqlite_database, steps)


def test_whoever_probes_without_end_does_not_fill_the_outbox(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        await room.room.observations.add([*quiet_weeks(), *probes(3)])
        loop = StudyLoop(room.room)
        await loop.round()
        first = await events(room)
        assert first.count("activity.opened") == 1
        for number in range(6):
            await room.room.observations.add(list(probes(1, start=LATER + (20 + number) * HOUR)))
            await loop.round()
            room.clock.advance(SWEEP_S / 10)
        assert (await events(room)).count("activity.changed") == 0
        room.clock.advance(SWEEP_S)
        await loop.round()
        assert (await events(room)).count("activity.changed") == 1
        newest = [each["record"] for each in await rows_of(room, tables.outbox, "number")][-1]
        assert newest["activity"]["total_messages"] == 9

    in_the_room(database, steps)


def test_others_are_told_once_of_each_thing_also_as_time_passes(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        await room.room.observations.add([*quiet_weeks(), *probes(3)])
        await study_all(room)
        first = await events(room)
        assert first.count("activity.opened") == 1
        assert first.count("alert.raised") == 1
        await room.room.observations.add(list(probes(1, start=LATER + 20 * HOUR)))
        await study_all(room)
        assert (await events(room))[len(first) :] == ["activity.changed"]
        room.clock.moment = LATER + 16 * DAY
        await study_all(room)
        await StudyLoop(room.room).round()
        room.clock.moment = LATER + 95 * DAY
        await StudyLoop(room.room).round()
        await StudyLoop(room.room).round()
        assert (await events(room))[len(first) :] == [
            "activity.changed",
            "activity.changed",
            "activity.closed",
        ]
        records = [each["record"] for each in await rows_of(room, tables.outbox, "number")]
        assert [each["state"] for each in records if "activity" in each] == [
            "active", "active", "quiet", "closed",
        ]  # fmt: skip
        told = await events(room)
        await room.room.studies.begin_again("default")
        await study_all(room)
        await StudyLoop(room.room).round()
        assert await events(room) == told

    in_the_room(database, steps)


def test_what_people_decided_outlives_studying_again(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        store = room.room.activities
        await room.room.observations.add([*quiet_weeks(), *probes(3)])
        await study_all(room)
        (identifier,) = await activity_identifiers(room)
        file = await store.activity("default", identifier)
        assert file is not None
        now = room.clock.now()
        decided = replace(
            file, verdict=AnalystVerdict.CONFIRMED, decided_by="anna", decided_at=now, changed_at=now
        )
        verdict = Decision("f" * 32, "default", now, identifier, AnalystVerdict.CONFIRMED)
        await store.put_decisions(decided, (), verdict)
        await store.add_note(ActivityNote("n1", "default", identifier, now, "anna", "they called, too"))
        await study_all(room)
        before = await found_in(room)
        assert await room.room.studies.begin_again("default") > 200
        assert await activity_identifiers(room) == []
        assert await store.activity("default", identifier) is None
        with pytest.raises(ConflictError, match="worked out anew"):
            await store.put_decisions(decided)
        await study_all(room)
        assert await found_in(room) == before
        again = await store.activity("default", identifier)
        assert again is not None
        assert (again.verdict, again.decided_by) == (AnalystVerdict.CONFIRMED, "anna")
        assert [each.text for each in await store.notes("default", identifier)] == ["they called, too"]

    in_the_room(database, steps)


def test_a_message_that_is_gone_before_it_was_studied_holds_nothing_up(database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        seen = [mail(LATER, ACTOR, finance(0), tracker("px.evil.example")), *probes(2, start=LATER + HOUR)]
        await room.room.observations.add(seen)
        assert await room.room.observations.erase("default", finance(0))
        await study_all(room)
        assert await room.room.studies.waiting("default", 10) == 0

    in_the_room(database, steps)


def test_the_score_that_alerts_is_what_was_set(sqlite_database: DatabasePlace) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        await room.room.observations.add(letters())
        loop = StudyLoop(room.room, alert_score=0.99)
        while await loop.round():
            pass
        found = await found_in(room)
        assert found["activities"]
        assert not found["alerts"]

    in_the_room(sqlite_database, steps)
