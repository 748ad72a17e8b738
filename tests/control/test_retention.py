"""Retention: each kind of record goes when its days are over, in every organisation, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from control_room import ControlRoomForTests, fill, opened_room
from mailveil.adapters.database import tables
from mailveil.app.controlling import retention_rules
from mailveil.config import load
from mailveil.control.records import AuditEntry, Cut, MessageQuery
from mailveil.control.retention import DAY_S, RetentionRules, expire_records
from mailveil.core.observation import observation_identifier
from postgres_room import DatabasePlace

DEFAULTS = retention_rules(load(Path("/dev/null"), {}))


async def rows(room: ControlRoomForTests) -> dict[str, int]:
    found = {}
    async with room.database.read() as connection:
        for table in tables.metadata.sorted_tables:
            count = sa.select(sa.func.count()).select_from(table)
            found[table.name] = int((await connection.execute(count)).scalar_one())
    return found


def test_nothing_goes_before_its_time(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await fill(room)
            before = await rows(room)
            room.clock.advance(20 * 3600)
            gone = await expire_records(room.room, DEFAULTS)
            assert set(gone) <= {"sessions", "repeats"}
            short = {"sessions", "links", "failures", "repeats"}
            after = await rows(room)
            assert {name: n for name, n in after.items() if name not in short} == {
                name: n for name, n in before.items() if name not in short
            }

    asyncio.run(steps())


def test_each_kind_goes_when_its_days_are_over(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await fill(room)
            start = room.clock.now()

            async def after(days: float) -> Mapping[str, int]:
                room.clock.moment = start + days * DAY_S
                return await expire_records(room.room, DEFAULTS)

            assert set(await after(29)) == {"sessions", "repeats"}
            assert await after(31) == {"subjects": 6}
            shown = (await room.room.observations.messages("acme", MessageQuery(), Cut())).items
            assert [each.subject for each in shown] == [""] * 3
            assert [each.recipients for each in shown] == [1] * 3
            assert {"recipients", "messages", "activities", "campaigns", "alerts"} <= set(await after(92))
            assert (await room.room.observations.messages("acme", MessageQuery(), Cut())).items == ()
            figures = await room.room.observations.figures("acme", start - DAY_S, start + DAY_S)
            assert figures.messages == 3  # the counts stay for longer
            assert len((await room.room.feedback.reports("acme", Cut())).items) == 1
            assert await after(366) == {"feedback": 4}
            assert set(await after(402)) == {"memos", "infrastructure"}
            assert {"trackers", "figures"} <= set(await after(733))
            assert len(await room.audit_trail("acme")) == 1
            await after(760)  # counts of several days go with the last of them
            assert await after(1096) == {"audit": 2}
            left = {name: count for name, count in (await rows(room)).items() if count}
            assert set(left) <= {
                "organisations", "domains", "policies", "allowed", "tokens", "users", "used_steps", "stamps",
                "study_states", "marked_people", "destinations", "feeds", "indicators", "leases",
                "outbox_numbers", "outbox", "dead_letters",  # for delivery to let go of
            }  # fmt: skip

    asyncio.run(steps())


def test_zero_days_keep_for_ever(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await fill(room)
            before = await rows(room)
            room.clock.advance(100 * 365 * DAY_S)
            never = RetentionRules(dict.fromkeys(DEFAULTS.observed, 0))
            assert set(await expire_records(room.room, never)) == {"sessions", "repeats"}
            after = await rows(room)
            assert {name: before[name] - after[name] for name in before if before[name] != after[name]} == {
                "sessions": 1, "links": 1, "failures": 1, "repeats": 1,
            }  # fmt: skip

    asyncio.run(steps())


def test_what_is_younger_stays_while_the_older_goes(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await fill(room)
            old = (await room.room.feedback.reports("acme", Cut())).items[0]
            seen = (await room.room.observations.messages("acme", MessageQuery(), Cut())).items[0]
            first = await room.room.observations.message("acme", seen.identifier)
            assert first is not None
            room.clock.advance(365.5 * DAY_S)
            now = room.clock.now()
            identifier = observation_identifier(now, "young", "acme")
            await room.room.observations.add([replace(first, identifier=identifier, at=now)])
            await room.room.feedback.report(replace(old, identifier="young", at=now))
            await expire_records(room.room, DEFAULTS)
            reports = await room.room.feedback.reports("acme", Cut())
            assert [each.identifier for each in reports.items] == ["young"]
            shown = (await room.room.observations.messages("acme", MessageQuery(), Cut())).items
            assert [(each.identifier, each.subject) for each in shown] == [(identifier, first.subject)]

    asyncio.run(steps())


def test_the_audit_trail_of_an_organisation_that_is_no_more_goes_in_its_time(database: DatabasePlace) -> None:
    async def steps() -> None:
        async with opened_room(database) as room:
            await room.organisation("gone")
            await room.room.audit.write(
                AuditEntry("a1", room.clock.now(), "gone", "user", "anna", "policy.change")
            )
            await room.room.organisations.remove("gone")
            assert await room.room.audit.organisations() == ["gone"]
            room.clock.advance(DEFAULTS.audit_days * DAY_S - 1)
            assert "audit" not in await expire_records(room.room, DEFAULTS)
            room.clock.advance(2)
            assert (await expire_records(room.room, DEFAULTS))["audit"] == 1
            assert await room.room.audit.organisations() == []

    asyncio.run(steps())
