"""The console under attack: strange requests, many at once, and those who would have others shut out."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from console_room import PASSWORD, ConsoleRoom, console_room
from control_room import ControlRoomForTests
from mailveil.control.access import command_line_actor
from mailveil.control.users import password_link

NEW_PASSWORD = "a quarter past the lighthouse"
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
    *(
        "verdict",
        "actor",
        "person",
        "function",
        "nature",
        "value",
        "number",
        "least_score",
        "people",
        "address",
        "events",
    ),
    *(
        "traffic_light",
        "format",
        "option-minutes",
        "option-max_bytes",
        "option-distribution",
        "option-ca_pem",
    ),
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


def test_people_behind_one_address_sign_in_all_day(control_room: ControlRoomForTests) -> None:
    """What was right is not counted as failed: an office has one address, and a proxy that is not trusted too."""

    async def steps(room: ConsoleRoom) -> None:
        for number in range(25):
            name = f"person{number}"
            await room.user(name)
            assert (await room.browser().sign_in(name)).status_code == 200, number
        codes = [(await room.browser().sign_in(f"x{n}", "x" * 12)).status_code for n in range(22)]
        assert codes == [422] * 20 + [429] * 2, "and guessing there is slowed down as before"

    walk(control_room, steps)


def test_whoever_guesses_behind_the_same_address_locks_nobody_out_of_a_browser_of_theirs(
    control_room: ControlRoomForTests,
) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        own = room.browser()
        await own.sign_in("anna")
        await own.get("/account")
        await own.post("/sign-out")
        for number in range(22):
            await room.browser().sign_in(f"name{number}", "a wrong password")
        assert (await room.browser().sign_in("anna")).status_code == 429
        assert (await own.sign_in("anna")).status_code == 200
        await own.get("/account")
        await own.post("/sign-out")
        codes = [(await own.sign_in("anna", "a wrong password")).status_code for _ in range(6)]
        assert codes == [422] * 5 + [429], "nor does such a browser guess without end"

    walk(control_room, steps)


def test_the_only_administrator_gets_in_by_a_link_whoever_goes_on_guessing(
    control_room: ControlRoomForTests,
) -> None:
    async def steps(room: ConsoleRoom) -> None:
        anna = await room.user("anna")

        async def guess() -> None:
            for number in range(8):
                await room.browser(f"198.51.100.{number}").sign_in("anna", "a wrong password")

        await guess()
        own = room.browser()
        assert (await own.sign_in("anna")).status_code == 429
        link = await password_link(control_room.room, OPERATOR, anna.identifier)
        form = {"password": NEW_PASSWORD, "password_again": NEW_PASSWORD}
        assert (await own.post(f"/link/{link.secret}", form)).status_code == 303
        await guess()
        assert (await own.sign_in("anna", NEW_PASSWORD)).status_code == 200

    walk(control_room, steps)


def test_attempts_that_nobody_had_time_for_are_not_counted(
    control_room: ControlRoomForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        passwords = room.console.signing_in.passwords
        monkeypatch.setattr(passwords, "_most", 0)
        codes = [(await room.browser().sign_in("anna")).status_code for _ in range(7)]
        assert codes == [503] * 7
        monkeypatch.undo()
        assert (await room.browser().sign_in("anna")).status_code == 200

    walk(control_room, steps)


def test_a_page_of_the_same_name_without_encryption_is_not_ours(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        form = {"name": "anna", "password": PASSWORD}
        client = room.browser().client
        codes = []
        for origin in ("http://console.example.org", "https://console.example.org"):
            answer = await client.post("/sign-in", data=form, headers={"Origin": origin})
            codes.append(answer.status_code)
        assert codes == [403, 303]

    walk(control_room, steps, console_url="https://console.example.org")


def test_no_form_is_longer_than_it_may_be_whatever_it_says(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            for _ in range(20):
                sent += 1_000_000
                yield b"a" * 1_000_000

        browser = room.browser()
        headers = {"Origin": browser.origin, "Content-Type": "multipart/form-data; boundary=x"}
        request = browser.client.build_request("POST", "/sign-in", content=endless(), headers=headers)
        request.headers["Content-Length"] = "20"
        del request.headers["Transfer-Encoding"]
        answer = await browser.client.send(request)
        assert answer.status_code == 413
        assert sent <= 2_000_000

    walk(control_room, steps)
