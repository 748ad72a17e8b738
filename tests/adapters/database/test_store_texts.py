"""Whatever text and number comes, each store takes it and gives it back as every database has it; none crosses over.

Setup: a control room over each database with two organisations; texts with NUL, lone surrogates, accents, wildcards
and quotes, and numbers at their ends.
Test: what is written is read again, alike in both databases; what is asked for in one organisation is never found in
the other, nor by a wildcard or another case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from control_room import NOW, ControlRoomForTests, opened_room
from mailveil.control.records import (
    AllowRecord,
    AuditEntry,
    Cut,
    Feedback,
    FeedbackKind,
    PolicyVersion,
    ReleaseGrant,
)
from postgres_room import DatabasePlace

TEXTS = [
    "plain",
    "nul\0in it",
    "lone \ud800 surrogate",
    "Ä ä a\u0308 É \N{PILE OF POO}",
    "100% _any_ \\ 'quoted' \"twice\"; --",
    "x" * 5_000,
    "\r\n\u2028\u202e",
    "",
]
Steps = Callable[[ControlRoomForTests], Awaitable[None]]


@pytest.fixture
def in_two_organisations(database: DatabasePlace) -> Callable[[Steps], None]:
    async def run(steps: Steps) -> None:
        async with opened_room(database) as room:
            await room.organisation("acme", ("acme.example",))
            await room.organisation("other", ("other.example",))
            await steps(room)

    return lambda steps: asyncio.run(run(steps))


def stored(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_come_back_as_every_database_has_them(
    in_two_organisations: Callable[[Steps], None], text: str
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        stores = room.room
        report = Feedback("f1", "acme", NOW, FeedbackKind.OTHER, text[:64], text, "link", note=text)
        await stores.feedback.report(report)
        found = await stores.feedback.report_of("acme", "f1")
        assert found is not None
        assert (found.text, found.note) == (stored(text), stored(text))
        assert await stores.feedback.report_of("other", "f1") is None

        await stores.feedback.grant(ReleaseGrant("g1", "acme", "m1", "o", text, "boss", NOW, NOW + 9))
        (grant,) = await stores.feedback.grants("acme", "m1", NOW)
        assert grant.reason == stored(text)
        assert not await stores.feedback.grants("other", "m1", NOW)

        await stores.audit.write(
            AuditEntry("a1", NOW, "acme", "user", text, "x.y", text, {"why": text, "n": 2**60})
        )
        (entry,) = (await stores.audit.entries("acme", Cut(), subject=text, actor=text)).items
        assert entry.details["n"] == 2**60
        assert stored(str(entry.details["why"])) == stored(text)
        assert not (await stores.audit.entries("other", Cut(), subject=text)).items
        assert await stores.audit.organisations() == ["acme"]

        await stores.policies.put(PolicyVersion("acme", 1, {"a": text, text: [2**53]}, NOW, text, text))
        version = await stores.policies.current("acme")
        assert version is not None
        assert stored(version.comment) == stored(text)
        assert await stores.policies.current("other") is None

        await stores.policies.allow(
            AllowRecord("e1", "acme", f"{text}@x.example", (text,), text, text, text, NOW, NOW + 9)
        )
        allowed = await stores.policies.entry("acme", "e1")
        assert allowed is not None
        assert allowed.reason == stored(text)
        assert await stores.policies.entry("other", "e1") is None
        assert not (await stores.policies.allowed("other", Cut(), all_states=True)).items

    in_two_organisations(steps)


@pytest.mark.parametrize("asked", ["f%", "F1", "f_", "f1 ", "f1\0", "", "fı", "f1\ud800"])
def test_identifiers_are_met_by_themselves_alone(
    in_two_organisations: Callable[[Steps], None], asked: str
) -> None:
    async def steps(room: ControlRoomForTests) -> None:
        stores = room.room
        await stores.feedback.report(Feedback("f1", "acme", NOW, FeedbackKind.OTHER))
        await stores.audit.write(AuditEntry("f1", NOW, "acme", "user", "f1", "f1", "f1"))
        assert await stores.feedback.report_of("acme", asked) is None
        assert await stores.feedback.report_of(asked, "f1") is None
        assert await stores.accounts.token(asked) is None
        assert await stores.accounts.user(asked) is None
        assert await stores.observations.message("acme", asked) is None
        assert await stores.observations.tracker("acme", asked) is None
        assert await stores.observations.operator("acme", asked) is None
        assert await stores.policies.entry("acme", asked) is None
        if asked:
            assert not (await stores.audit.entries("acme", Cut(), actor=asked)).items
        assert await stores.observations.erase("acme", asked) == 0
        assert (await stores.feedback.report_of("acme", "f1")) is not None

    in_two_organisations(steps)
