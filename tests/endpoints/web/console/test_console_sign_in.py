"""Signing in, as people and as those who should not be able to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from console_room import ConsoleRoom, console_room
from control_room import ControlRoomForTests


def walk(
    control: ControlRoomForTests, steps: Callable[[ConsoleRoom], Awaitable[None]], **facts: object
) -> None:
    async def inside() -> None:
        async with console_room(control, **facts) as room:
            await steps(room)

    asyncio.run(asyncio.wait_for(inside(), 120))


def test_who_is_signed_in_gets_on_and_everybody_else_is_sent_to_sign_in(
    control_room: ControlRoomForTests,
) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        browser = room.browser()
        answer = await browser.get("/users?after=x")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fusers%3Fafter%3Dx")
        answer = await browser.sign_in("Anna ")
        assert answer.status_code == 200
        assert "Signs in as" in answer.text
        for path in ("/users", "/tokens", "/audit", "/organisations", "/mailbox", "/account/second-factor"):
            answer = await browser.get(path)
            assert answer.status_code == 200, (path, answer.text)

    walk(control_room, steps)
