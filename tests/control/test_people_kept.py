"""What is kept of a person can be taken along and erased, under whatever name it was kept.

Setup: a control room with records of two people in two organisations, some made in clear and some with pseudonyms.
Test: everything of one person is found and erased, nothing of anybody else's; the audit trail does not name them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from control_room import NOW, ControlRoomForTests, actor
from mailveil.adapters.originals import OriginalFacts, OriginalReader, OriginalStore
from mailveil.control.access import ForbiddenError, Role
from mailveil.control.failures import InvalidError
from mailveil.control.messages import messages
from mailveil.control.people import erase_person, export_person
from mailveil.control.records import Cut, Feedback, FeedbackKind, MessageQuery, ReleaseGrant
from mailveil.control.room import ControlRoom
from mailveil.core.observation import Observation, PeopleKept, RecordSettings, observation_identifier

CLEAR = RecordSettings(key=b"k" * 32)
PSEUDONYMS = replace(CLEAR, recipients=PeopleKept.PSEUDONYM)
ANNA, BERT = "anna@example.org", "bert@example.org"


def record(number: int, address: str, settings: RecordSettings, organisation: str = "default") -> Observation:
    at = NOW + number
    return Observation(
        observation_identifier(at, str(number), organisation),
        organisation,
        at,
        str(number),
        recipients=(settings.person(address, organisation),),
    )


@pytest.fixture
def room(control_room: ControlRoomForTests) -> ControlRoom:
    async def fill() -> None:
        await control_room.organisation("acme")
        seen = [
            record(1, ANNA, CLEAR),
            record(2, ANNA, PSEUDONYMS),
            record(3, BERT, PSEUDONYMS),
            record(4, ANNA, CLEAR, "acme"),
        ]
        await control_room.room.observations.add(seen)

    asyncio.run(fill())
    return replace(control_room.room, privacy=PSEUDONYMS)


async def found(room: ControlRoom, address: str, organisation: str = "default") -> list[str]:
    page = await messages(room, actor(organisation=organisation), MessageQuery(recipient=address), Cut())
    return [each.log_identifier for each in page.items]


def test_a_person_is_found_by_address_and_erased_under_every_name(
    room: ControlRoom, control_room: ControlRoomForTests
) -> None:
    async def test() -> None:
        assert await found(room, "Anna@Example.org") == ["2"]
        assert await found(replace(room, privacy=CLEAR), ANNA) == ["1"]
        export = await export_person(room, actor(), "Anna@Example.org")
        told = str(export.records)
        assert "'1'" in told
        assert "'2'" in told
        assert "'3'" not in told
        assert "'4'" not in told
        assert (await erase_person(room, actor(), ANNA)).records > 0
        assert await found(room, ANNA) == []
        assert await found(replace(room, privacy=CLEAR), ANNA) == []
        assert await found(room, BERT) == ["3"]
        assert await found(replace(room, privacy=CLEAR), ANNA, "acme") == ["4"]
        trail = await control_room.audit_trail()
        assert sorted(each.action for each in trail) == ["person.erase", "person.export"]
        assert "anna" not in str(trail).replace("actor='anna'", "")

    asyncio.run(test())


def test_who_may_not_may_not(room: ControlRoom) -> None:
    for use_case in (export_person, erase_person):
        with pytest.raises(ForbiddenError):
            asyncio.run(use_case(room, actor(Role.ANALYST), ANNA))  # type: ignore[arg-type]
        for nobody in ("", "an na@example.org", "a" * 400):
            with pytest.raises(InvalidError):
                asyncio.run(use_case(room, actor(), nobody))  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [CLEAR, PSEUDONYMS], ids=["clear", "pseudonyms"])
def test_originals_of_a_person_alone_go_with_them_and_those_of_others_stay(
    control_room: ControlRoomForTests, tmp_path: Path, settings: RecordSettings
) -> None:
    async def test() -> None:
        await control_room.organisation("acme")
        store = OriginalStore(tmp_path / "originals", b"o" * 32)
        kept = {
            name: store.keep(name.encode(), OriginalFacts(recipients=recipients))
            for name, recipients in {
                "own": ("Anna@Example.org",),
                "shared": (ANNA, BERT),
                "crowd": (ANNA,) * 100,  # there may have been more
                "elsewhere": (ANNA,),
                "bert": (BERT,),
            }.items()
        }
        records = [
            replace(record(number, address, settings, organisation), original=kept[name])
            for number, (name, address, organisation) in enumerate(
                [
                    ("own", ANNA, "default"),
                    ("shared", ANNA, "default"),
                    ("crowd", ANNA, "default"),
                    ("elsewhere", ANNA, "acme"),
                    ("bert", BERT, "default"),
                ]
            )
        ]
        await control_room.room.observations.add(records)
        room = replace(control_room.room, privacy=settings, originals=OriginalReader(store))
        erased = await erase_person(room, actor(), ANNA)
        assert (erased.originals, erased.originals_left) == (1, 2)
        left = {each.identifier for each in store.list()}
        assert left == set(kept.values()) - {kept["own"]}
        assert not (await export_person(room, actor(), ANNA)).records["messages"]

    asyncio.run(test())


def test_what_readers_and_analysts_wrote_of_a_person_is_exported_and_erased(
    room: ControlRoom, control_room: ControlRoomForTests
) -> None:
    async def test() -> None:
        def report(name: str, message: str, text: str, organisation: str = "default") -> Feedback:
            return Feedback(name, organisation, NOW, FeedbackKind.OTHER, message, text, "mail")

        own, shared = record(1, ANNA, CLEAR), "0" * 32
        for each in (
            report("r1", own.identifier, "who is this"),
            report("r2", shared, "I am ANNA@example.org. Spied on, via anna%40example.org"),
            report("r3", shared, "I am bert@example.org%, or annaXexample.org"),
            report("r4", shared, "anna@example.org", "acme"),
        ):
            await room.feedback.report(each)
        await room.feedback.grant(
            ReleaseGrant("g1", "default", shared, "x", "anna@example.org asked for it", "boss", NOW, NOW + 9)
        )
        export = (await export_person(room, actor(), ANNA)).records
        assert {each["identifier"] for each in export["reports"]} >= {"r1", "r2"}
        assert "r4" not in str(export)
        assert [each["identifier"] for each in export["leave"]] == ["g1"]
        await erase_person(room, actor(), ANNA)
        left = (await room.feedback.reports("default", Cut())).items
        assert {each.identifier: each.text for each in left} == {
            "r2": "I am *. Spied on, via *",
            "r3": "I am bert@example.org%, or annaXexample.org",
        }
        (grant,) = await room.feedback.grants("default", shared, NOW)
        assert grant.reason == "* asked for it"
        (other,) = (await room.feedback.reports("acme", Cut())).items
        assert other.text == "anna@example.org"
        again = (await export_person(room, actor(), ANNA)).records
        assert not any(again.values())

    asyncio.run(test())
