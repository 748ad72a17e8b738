"""Tokens: shown once, stored as a digest, and never good for more than whoever made them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from control_room import ControlRoomForTests, actor
from mailveil.control.access import ForbiddenError, Permission, Role
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import Cut
from mailveil.control.tokens import authenticate, list_tokens, make_token, read_token, revoke_token

DAY = 86_400


def test_a_token_opens_what_its_scopes_say_until_it_expires(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room, clock = control_room.room, control_room.clock
        made = await make_token(room, actor(), "  SIEM  export ", ["messages:read", "trackers:read"], 30)
        assert made.token.name == "SIEM export"
        assert made.secret not in repr(await room.accounts.tokens("default", Cut()))
        who = await authenticate(room, made.secret, "192.0.2.9")
        assert who is not None
        assert (who.organisation, who.home, who.name) == ("default", "default", "SIEM export")
        assert who.permissions == {Permission.MESSAGES_READ, Permission.TRACKERS_READ}
        assert who.may(Permission.MESSAGES_READ)
        assert not replace(who, organisation="other").may(Permission.MESSAGES_READ)
        used = await read_token(room, actor(), made.token.identifier)
        assert used.last_used_on == "2027-01-15", "a day, no finer"
        clock.advance(30 * DAY)
        assert await authenticate(room, made.secret) is None

    asyncio.run(inside())


def test_a_revoked_token_opens_nothing_and_its_use_does_not_revive_it(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        room = control_room.room
        made = await make_token(room, actor(), "a", ["inspect"], 30)
        control_room.clock.advance(1)
        await revoke_token(room, actor(), made.token.identifier)
        await revoke_token(room, actor(), made.token.identifier)
        await room.accounts.note_token_use("default", made.token.identifier, "2027-01-16")
        assert await authenticate(room, made.secret) is None
        actions = [each.action for each in await control_room.audit_trail()]
        assert actions == ["token.revoke", "token.create"], "twice is once"
        assert made.secret not in repr(await control_room.audit_trail())

    asyncio.run(inside())


def test_nobody_gives_away_what_they_have_not(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        few = actor(permissions=[Permission.TOKENS_WRITE, Permission.MESSAGES_READ])
        await make_token(room, few, "fine", ["messages:read"], 1)
        with pytest.raises(ForbiddenError, match="policy:write"):
            await make_token(room, few, "more", ["messages:read", "policy:write"], 1)
        for role in (Role.VIEWER, Role.ANALYST):
            with pytest.raises(ForbiddenError):
                await make_token(room, actor(role), "x", ["statistics:read"], 1)
            with pytest.raises(ForbiddenError):
                await list_tokens(room, actor(role), Cut())

    asyncio.run(inside())


def test_a_token_does_not_outlive_the_rights_of_whoever_made_it(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        anna = await control_room.user("anna")
        made = await make_token(room, actor(name="anna"), "t", ["policy:write", "trackers:read"], 30)
        await room.accounts.put_user(replace(anna, role=Role.VIEWER))
        who = await authenticate(room, made.secret)
        assert who is not None
        assert who.permissions == {Permission.TRACKERS_READ}
        await room.accounts.put_user(replace(anna, is_disabled=True))
        assert await authenticate(room, made.secret) is None

    asyncio.run(inside())


def test_tokens_of_other_organisations_are_not_there(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await control_room.organisation("acme")
        made = await make_token(room, actor(organisation="acme"), "theirs", ["inspect"], 30)
        assert (await list_tokens(room, actor(), Cut())).items == ()
        for use in (read_token, revoke_token):
            with pytest.raises(MissingError):
                await use(room, actor(), made.token.identifier)
        assert await authenticate(room, made.secret) is not None

    asyncio.run(inside())


@pytest.mark.parametrize(
    ("name", "scopes", "days", "field"),
    [
        ("", ["inspect"], 1, "name"),
        ("a\x00b", ["inspect"], 1, "name"),
        ("n" * 101, ["inspect"], 1, "name"),
        ("n", [], 1, "scopes"),
        ("n", ["everything"], 1, "scopes"),
        ("n", ["inspect"], 0, "days"),
        ("n", ["inspect"], 3651, "days"),
    ],
)
def test_what_makes_no_token(
    control_room: ControlRoomForTests, name: str, scopes: list[str], days: int, field: str
) -> None:
    with pytest.raises(InvalidError) as raised:
        asyncio.run(make_token(control_room.room, actor(), name, scopes, days))
    assert raised.value.field == field


@pytest.mark.parametrize("secret", ["", "mvt_", "mvt_" + "a" * 43, "Bearer mvt_x", "mvt_" + "a" * 4000, "é"])
def test_what_is_no_token_opens_nothing(control_room: ControlRoomForTests, secret: str) -> None:
    assert asyncio.run(authenticate(control_room.room, secret)) is None


def test_a_token_that_a_token_made_is_no_better_than_its_makers_maker(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        room = control_room.room
        anna = await control_room.user("anna")
        first = await make_token(room, actor(name="anna"), "first", ["tokens:write", "trackers:read"], 30)
        program = await authenticate(room, first.secret)
        assert program is not None
        second = await make_token(room, program, "second", ["trackers:read", "tokens:write"], 30)
        further = await authenticate(room, second.secret)
        assert further is not None
        third = await make_token(room, further, "third", ["trackers:read"], 30)
        assert await authenticate(room, third.secret) is not None
        await room.accounts.put_user(replace(anna, is_disabled=True))
        for made in (first, second, third):
            assert await authenticate(room, made.secret) is None, made.token.name

    asyncio.run(inside())


def test_a_token_opens_nothing_once_its_maker_belongs_elsewhere(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await control_room.organisation("acme")
        anna = await control_room.user("anna")
        made = await make_token(room, actor(name="anna"), "t", ["trackers:read"], 30)
        await room.accounts.put_user(replace(anna, home="acme"))
        assert await authenticate(room, made.secret) is None
        await room.accounts.put_user(replace(anna, home="*"))
        assert await authenticate(room, made.secret) is not None

    asyncio.run(inside())
