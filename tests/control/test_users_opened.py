"""Users: nobody opens an account that may do more than they, and what is made for them works once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from control_room import ControlRoomForTests, actor
from mailveil.control.access import PERMISSIONS, ForbiddenError, Permission, Role
from mailveil.control.passwords import Passwords
from mailveil.control.records import Cut
from mailveil.control.secondfactor import STEP_S, code_at
from mailveil.control.signing_in import SigningIn
from mailveil.control.users import (
    first_administrator_link,
    invite_user,
    password_link,
    remove_second_factor,
    set_disabled,
    set_role,
    use_link,
)

FEW = (Permission.USERS_READ, Permission.USERS_WRITE)


def test_who_may_only_manage_users_makes_no_administrator_of_anybody(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        room, few = control_room.room, actor(name="program", permissions=FEW)
        viewer = await control_room.user("vera", Role.VIEWER)
        chief = await control_room.user("anna", password_hash="$x", totp_secret="GEZDGNBVGY3TQOJQ")
        tries: list[Callable[[], Awaitable[object]]] = [
            lambda: invite_user(room, few, "mallory", Role.ADMINISTRATOR),
            lambda: invite_user(room, few, "mallory", Role.VIEWER),
            lambda: set_role(room, few, viewer.identifier, Role.ADMINISTRATOR),
            lambda: password_link(room, few, chief.identifier),
            lambda: remove_second_factor(room, few, chief.identifier),
        ]
        for attempt in tries:
            with pytest.raises(ForbiddenError, match="cannot give it"):
                await attempt()
        await set_disabled(room, few, chief.identifier, True)
        with pytest.raises(ForbiddenError, match="cannot give it"):
            await set_disabled(room, few, chief.identifier, False)
        enough = actor(name="program", permissions=[*FEW, *PERMISSIONS[Role.VIEWER]])
        await invite_user(room, enough, "willi", Role.VIEWER)
        await password_link(room, enough, viewer.identifier)
        with pytest.raises(ForbiddenError):
            await password_link(room, enough, chief.identifier)

    asyncio.run(inside())


def test_two_links_for_the_first_administrator_make_one(control_room: ControlRoomForTests) -> None:
    """Of links opened at once, the one whose password is worked out first holds."""

    async def inside() -> None:
        from mailveil.control.access import command_line_actor

        room, operator = control_room.room, command_line_actor("default", "root (command line)")
        passwords = Passwords(memory_kib=64, rounds=1, parallel=1)
        links = [await first_administrator_link(room, operator) for _ in range(2)]
        worked = asyncio.Event()
        hashed = passwords.hash

        async def slow(password: str) -> str:
            made = await hashed(password)
            await worked.wait()
            return made

        passwords.hash = slow  # type: ignore[method-assign]
        late = asyncio.ensure_future(
            use_link(room, passwords, links[0].secret, "wading heron at dusk", name="m")
        )
        soon = Passwords(memory_kib=64, rounds=1)
        await use_link(room, soon, links[1].secret, "wading heron at dusk", name="anna")
        worked.set()
        results = await asyncio.gather(late, return_exceptions=True)
        assert isinstance(results[0], Exception)
        assert [each.name for each in (await room.accounts.users("*", Cut())).items] == ["anna"]

    asyncio.run(inside())


def test_without_a_second_factor_no_code_is_right(control_room: ControlRoomForTests) -> None:
    """Nor the one that comes of no secret, in a session that began while there was one."""

    async def inside() -> None:
        anna = await control_room.user("anna")
        signing_in = SigningIn(control_room.room, Passwords(memory_kib=64, rounds=1))
        code = code_at("", int(control_room.clock.now() // STEP_S))
        assert not await signing_in.check_code(anna, "", code)

    asyncio.run(inside())
