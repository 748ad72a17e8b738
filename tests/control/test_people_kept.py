"""What is kept of a person can be taken along and erased, under whatever name it was kept.

Setup: a control room with records of two people in two organisations, some made in clear and some with pseudonyms.
Test: everything of one person is found and erased, nothing of anybody else's; the audit trail does not name them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from control_room import NOW, ControlRoomForTests, actor
from mailveil.control.access import ForbiddenError, Role
from mailveil.control.failures import InvalidError
from mailveil.control.messages import messages
from mailveil.control.people import erase_person, export_person
from mailveil.control.records import Cut, MessageQuery
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
        assert await erase_person(room, actor(), ANNA) > 0
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
