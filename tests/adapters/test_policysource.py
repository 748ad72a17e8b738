"""Setup: the rules of a database that changes, dies and comes back, and a file beside it.

Test: mail goes by what was read last, whatever becomes of the database, also after a restart; and by new rules as soon
as they can be read.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from control_room import NOW, ControlRoomForTests, actor
from mailveil.adapters.policysource import PolicySource
from mailveil.control.allowing import allow, revoke_allowed
from mailveil.control.policies import change_policy
from mailveil.control.records import Cut, PolicyVersion
from mailveil.control.stores import PolicyStore
from mailveil.core.authentication import Authentication, Result, VouchedResult
from mailveil.core.policy import Envelope, Level, parse_policy
from mailveil.core.policy.messagepolicy import MessagePolicy
from mailveil.ports import UnavailableError

STRICT = parse_policy('level = "strict"')
PARTNER = Authentication(
    1, ("partner.example",), dmarc=VouchedResult(Result.PASS, "mx"), from_addresses=("ann@partner.example",)
)


class Mortal:
    """A policy store whose database may be away."""

    def __init__(self, store: PolicyStore) -> None:
        self.store = store
        self.is_away = False
        self.reads = 0

    async def stamp(self) -> str:
        self._check()
        return await self.store.stamp()

    async def current(self, organisation: str) -> PolicyVersion | None:
        self._check()
        self.reads += 1
        return await self.store.current(organisation)

    async def allowed(self, organisation: str, cut: Cut, *, all_states: bool = False) -> object:
        self._check()
        return await self.store.allowed(organisation, cut, all_states=all_states)

    def _check(self) -> None:
        if self.is_away:
            raise UnavailableError("the database does not answer")


def source(control_room: ControlRoomForTests, store: Mortal, folder: Path) -> PolicySource:
    room = control_room.room
    return PolicySource(room.organisations, store, folder / "policy.json", look_every_s=0.01)  # type: ignore[arg-type]


def policy(rules: PolicySource, recipient: str = "ann@example.org") -> MessagePolicy:
    return rules.for_message(Envelope("x@y.example", (recipient,), authentication=PARTNER), NOW)


def level(rules: PolicySource) -> Level:
    return policy(rules).parties[0].level


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_new_rules_hold_without_a_restart_and_are_read_only_when_they_change(
    control_room: ControlRoomForTests, tmp_path: Path
) -> None:
    async def inside() -> None:
        room = control_room.room
        store = Mortal(room.policies)
        rules = source(control_room, store, tmp_path)
        await rules.start()
        try:
            assert level(rules) is Level.NORMAL
            await change_policy(room, actor(), STRICT, based_on=0)
            await until(lambda: level(rules) is Level.STRICT)
            made = await allow(room, actor(), "partner.example", owner="bea", reason="reports")
            await until(lambda: policy(rules).parties[0].rules)
            assert policy(rules).parties[0].rules[0].key == f"allow:{made.identifier}"
            await revoke_allowed(room, actor(), made.identifier)
            await until(lambda: not policy(rules).parties[0].rules)
        finally:
            await rules.stop()
        await rules.refresh()
        reads = store.reads
        for _ in range(3):
            assert await rules.refresh()
        assert store.reads == reads, "what has not changed is not read again"

    asyncio.run(inside())


def test_a_dead_database_changes_no_policy_not_even_at_a_restart(
    control_room: ControlRoomForTests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def inside() -> None:
        room = control_room.room
        store = Mortal(room.policies)
        await change_policy(room, actor(), STRICT, based_on=0)
        first = source(control_room, store, tmp_path)
        assert await first.refresh()
        assert (tmp_path / "policy.json").stat().st_mode & 0o777 == 0o600
        store.is_away = True
        assert not await first.refresh()
        assert level(first) is Level.STRICT
        caplog.clear()
        second = source(control_room, store, tmp_path)
        with caplog.at_level(logging.WARNING):
            await second.start()
            await until(lambda: "rules cannot be read (the database does not answer)" in caplog.text)
        assert level(second) is Level.STRICT, "as it was before the restart"
        assert caplog.text.count("rules cannot be read") == 1, "it is said once, not every two seconds"
        store.is_away = False
        with caplog.at_level(logging.WARNING):
            await until(lambda: "rules can be read again" in caplog.text)
        await second.stop()

    asyncio.run(inside())


def test_without_anything_to_go_by_everything_is_protected(
    control_room: ControlRoomForTests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def inside() -> None:
        store = Mortal(control_room.room.policies)
        store.is_away = True
        (tmp_path / "policy.json").write_text('{"format": 1, "organisations": [{"identifier": 3}]}')
        rules = source(control_room, store, tmp_path)
        await rules.start()
        await rules.stop()
        assert level(rules) is Level.NORMAL
        assert "cannot be used" in caplog.text

    asyncio.run(inside())


def test_a_policy_of_a_newer_version_leaves_the_one_that_was_understood(
    control_room: ControlRoomForTests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def inside() -> None:
        room = control_room.room
        rules = source(control_room, Mortal(room.policies), tmp_path)
        await change_policy(room, actor(), STRICT, based_on=0)
        await rules.refresh()
        await room.policies.put(PolicyVersion("default", 2, {"format": 9, "level": "gentle"}, NOW, "anna"))
        assert await rules.refresh()
        assert level(rules) is Level.STRICT
        assert "version 2 of the policy of default is not understood" in caplog.text

    asyncio.run(inside())


def test_each_organisation_goes_by_its_own_rules(control_room: ControlRoomForTests, tmp_path: Path) -> None:
    async def inside() -> None:
        room = control_room.room
        await control_room.organisation("acme", ("acme.example",), "de")
        await change_policy(room, replace(actor(), organisation="acme", home="acme"), STRICT, based_on=0)
        rules = source(control_room, Mortal(room.policies), tmp_path)
        await rules.refresh()
        assert policy(rules, "a@acme.example").parties[0].level is Level.STRICT
        assert level(rules) is Level.NORMAL
        assert (
            rules.profile("a@acme.example")
            == rules.profile("b@acme.example")
            != rules.profile("ann@example.org")
        )
        banner = policy(rules, "a@acme.example").banner
        assert banner is not None
        assert (banner.language, banner.organisation) == ("de", "Acme")

    asyncio.run(inside())


class Garbled(Mortal):
    """A policy store in which something stands that nobody can read."""

    is_garbled = False
    whose = "default"

    async def stamp(self) -> str:
        if self.is_garbled and not self.whose:
            raise ValueError("no JSON")
        return f"{await super().stamp()} {self.is_garbled}"

    async def current(self, organisation: str) -> PolicyVersion | None:
        if self.is_garbled and organisation == self.whose:
            raise ValueError("no JSON")
        return await super().current(organisation)


def test_what_nobody_can_read_of_one_organisation_keeps_no_other_from_its_rules(
    control_room: ControlRoomForTests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def inside() -> None:
        room = control_room.room
        await control_room.organisation("acme", ("acme.example",), "de")
        await change_policy(room, actor(), STRICT, based_on=0)
        store = Garbled(room.policies)
        rules = source(control_room, store, tmp_path)
        await rules.refresh()
        store.is_garbled = True
        await change_policy(room, replace(actor(), organisation="acme", home="acme"), STRICT, based_on=0)
        await rules.refresh()
        assert level(rules) is Level.STRICT, "the rules that were read last go on"
        assert policy(rules, "a@acme.example").parties[0].level is Level.STRICT
        assert "the policy of default cannot be read" in caplog.text

    asyncio.run(inside())


@pytest.mark.parametrize("whose", ["default", ""])
def test_a_gateway_starts_whatever_stands_in_the_database_and_in_the_file(
    control_room: ControlRoomForTests, tmp_path: Path, caplog: pytest.LogCaptureFixture, whose: str
) -> None:
    async def inside() -> None:
        store = Garbled(control_room.room.policies)
        store.is_garbled, store.whose = True, whose
        (tmp_path / "policy.json").write_text("[" * 100_000)
        rules = source(control_room, store, tmp_path)
        await rules.start()
        assert level(rules) is Level.NORMAL
        store.is_garbled = False
        await change_policy(control_room.room, actor(), STRICT, based_on=0)
        await until(lambda: level(rules) is Level.STRICT)
        await rules.stop()
        said = "cannot be read"
        assert 1 <= sum(said in record.getMessage() for record in caplog.records) <= 3, (
            "once, not at every look"
        )

    asyncio.run(inside())
