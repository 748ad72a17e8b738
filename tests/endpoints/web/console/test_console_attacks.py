"""The console under attack: strange requests, many at once, and those who would have others shut out."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from console_room import ConsoleRoom, console_room
from control_room import ControlRoomForTests
from mailveil.control.access import command_line_actor

OPERATOR = command_line_actor("default", "root (command line)")
STRANGE = (
    "日本\0\ud800",
    "\u202e\r\nSet-Cookie: a=b",
    "1e999",
    "9" * 400,
    "'\"><script>alert(1)</script>{{7*7}}",
    base64.urlsafe_b64encode(b'["\\ud800"]').decode(),
)
FIELDS = (
    *("name", "password", "next", "theme", "after", "code", "q", "risk", "only", "period", "sender", "from"),
    *("to", "host", "operator", "tracker", "recipient", "organisation", "state", "role", "home", "days"),
    *("scopes", "hosts", "author", "expires", "reason", "owner", "document", "version", "level", "note"),
    *("kind", "text", "identifier", "domains", "language", "typed", "action", "order", "sort", "before"),
    *("secret", "id", "rule", "file", "score", "position", "hours", "until", "group", "display_name"),
)


def walk(control: ControlRoomForTests, steps: Callable[[ConsoleRoom], Awaitable[None]], **facts: Any) -> None:
    async def inside() -> None:
        async with console_room(control, **facts) as room:
            await steps(room)

    asyncio.run(asyncio.wait_for(inside(), 300))


def test_no_page_breaks_whatever_it_is_asked(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        browser = room.browser()
        await browser.sign_in("anna")
        await browser.get("/account")
        token = browser.token()
        client = browser.client
        cookies = dict(client.cookies)
        broken = []
        for page in room.console.pages:
            if page.path == "/sign-out":
                continue
            for text in STRANGE:
                sent = text.encode("utf-8", "surrogatepass")
                part = "".join(f"%{each:02x}" for each in sent[:300])
                path = re.sub(r"\{\w+(:\w+)?\}", part, page.path)
                pairs = "&".join(f"{name}={part}" for name in FIELDS)
                client.cookies.clear()
                client.cookies.update(cookies)
                headers = {"Origin": browser.origin, "Sec-Fetch-Site": "same-origin"}
                try:
                    if page.method == "POST":
                        headers["Content-Type"] = "application/x-www-form-urlencoded"
                        body = f"csrf={token}&{pairs}"
                        answer = await client.post(path, content=body, headers=headers)
                    else:
                        answer = await client.get(f"{path}?{pairs}"[:60_000], headers=headers)
                except Exception as error:
                    broken.append((page.method, page.path, text[:20], repr(error)[:200]))
                    continue
                if answer.status_code >= 500:
                    broken.append((page.method, page.path, text[:20], answer.text[:200]))
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "<script>alert" not in answer.text
                assert "a" not in answer.cookies
        assert broken == []

    walk(control_room, steps)


def test_cookies_that_nobody_gave_out_break_no_page(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        deep = base64.urlsafe_b64encode(b"[" * 100_000).decode()
        for text in (deep, "\xe9", "W10=", "WyJnb29kIiwgMV0="):
            for path in ("/sign-in", "/sign-in/openid/back?state=x"):
                names = ("session", "known", "note", "theme", "attempt")
                cookies = "; ".join(f"mailveil-{name}={text}" for name in names)
                answer = await room.browser().client.get(path, headers={"Cookie": cookies.encode("latin-1")})
                assert answer.status_code in (200, 404), (text[:20], path)

    walk(control_room, steps)
