"""Signing in, as people and as those who should not be able to."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from console_room import PASSWORD, Browser, ConsoleRoom, console_room
from control_room import ControlRoomForTests
from mailveil.control.access import Role, command_line_actor
from mailveil.control.records import Cut
from mailveil.control.secondfactor import code_at
from mailveil.control.users import (
    first_administrator_link,
    invite_user,
    password_link,
    set_disabled,
    set_role,
)
from mailveil.endpoints.web.console.browsers import local_path

OPERATOR = command_line_actor("default", "root (command line)")
NEW_PASSWORD = "a quarter past the lighthouse"


def walk(control: ControlRoomForTests, steps: Callable[[ConsoleRoom], Awaitable[None]], **facts: Any) -> None:
    async def inside() -> None:
        async with console_room(control, **facts) as room:
            await steps(room)

    asyncio.run(asyncio.wait_for(inside(), 300))


async def is_signed_in(browser: Browser) -> bool:
    return (await browser.get("/account")).status_code == 200


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
        await browser.get("/account")
        assert (await browser.post("/sign-out")).status_code == 303
        assert not await is_signed_in(browser)

    walk(control_room, steps)


def test_the_first_administrator_comes_by_a_link_that_works_once(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        assert "first-administrator" in (await room.browser().get("/sign-in")).text
        made = await first_administrator_link(control_room.room, OPERATOR)
        other = await first_administrator_link(control_room.room, OPERATOR)
        path = f"/link/{made.secret}"
        browsers = [room.browser() for _ in range(5)]
        for browser in browsers:
            assert (await browser.get(path)).status_code == 200, "looking at a link does not use it"
        weak = {"name": "anna", "password": "mailveil1234", "password_again": "mailveil1234"}
        assert (await browsers[0].post(path, weak)).status_code == 422
        forms = [
            {"name": f"anna{number}", "password": PASSWORD, "password_again": PASSWORD} for number in range(5)
        ]
        answers = await asyncio.gather(
            *(browser.post(path, form) for browser, form in zip(browsers, forms, strict=True))
        )
        assert sorted(answer.status_code for answer in answers) == [303, 404, 404, 404, 404]
        (user,) = (await control_room.room.accounts.users("*", Cut())).items
        assert (user.role, user.home) == (Role.ADMINISTRATOR, "*")
        assert (await room.browser().get(path)).status_code == 404
        assert (await room.browser().get(f"/link/{other.secret}")).status_code == 404, "there is one now"
        assert (await room.browser().sign_in(user.name)).status_code == 200

    walk(control_room, steps)


def test_an_invitation_expires_and_a_reset_ends_what_was_begun(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        accounts = control_room.room.accounts
        invited = await invite_user(control_room.room, OPERATOR, "berta", Role.VIEWER)
        control_room.clock.advance(24 * 3600)
        expired = await room.browser().get(f"/link/{invited.secret}")
        assert expired.status_code == 404
        assert "<h1>This link does not work any more</h1>" in expired.text
        anna = await room.user("anna")
        browser = room.browser()
        await browser.sign_in("anna")
        assert await is_signed_in(browser)
        link = await password_link(control_room.room, OPERATOR, anna.identifier)
        form = {"password": NEW_PASSWORD, "password_again": NEW_PASSWORD, "name": "somebody-else"}
        assert (await room.browser().post(f"/link/{link.secret}", form)).status_code == 303
        assert not await is_signed_in(browser)
        assert (await accounts.user_named("somebody-else")) is None, "a link is for its user alone"
        assert (await room.browser().sign_in("anna", NEW_PASSWORD)).status_code == 200

    walk(control_room, steps)


def test_a_second_link_does_nothing_once_the_password_was_changed(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        anna = await room.user("anna")
        first = await password_link(control_room.room, OPERATOR, anna.identifier)
        second = await password_link(control_room.room, OPERATOR, anna.identifier)
        control_room.clock.advance(60)
        form = {"password": NEW_PASSWORD, "password_again": NEW_PASSWORD}
        assert (await room.browser().post(f"/link/{first.secret}", form)).status_code == 303
        assert (await room.browser().post(f"/link/{second.secret}", form)).status_code == 404

    walk(control_room, steps)


def test_a_session_that_somebody_else_chose_is_worth_nothing(control_room: ControlRoomForTests) -> None:
    """Fixation: a cookie planted before sign-in is not the one afterwards, and each sign-in has its own."""

    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        browser, attacker = room.browser(), room.browser("192.0.2.66")
        browser.client.cookies.set("mailveil-session", "chosen-by-somebody-else", "localhost.local")
        await browser.sign_in("anna")
        assert browser.client.cookies["mailveil-session"] != "chosen-by-somebody-else"
        attacker.client.cookies.set("mailveil-session", "chosen-by-somebody-else", "localhost.local")
        assert not await is_signed_in(attacker)
        before = browser.client.cookies["mailveil-session"]
        await browser.get("/sign-in")
        await browser.post("/sign-in", {"name": "anna", "password": PASSWORD})
        assert browser.client.cookies["mailveil-session"] != before
        attacker.client.cookies.set("mailveil-session", before, "localhost.local")
        assert not await is_signed_in(attacker), "the one before has ended"

    walk(control_room, steps)


def test_sessions_end_when_idle_when_old_and_with_every_change(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        anna, clock = await room.user("anna"), control_room.clock

        async def begun() -> Browser:
            browser = room.browser()
            assert (await browser.sign_in("anna")).status_code == 200
            return browser

        browser = await begun()
        clock.advance(3599)
        assert await is_signed_in(browser)
        clock.advance(3600)
        assert not await is_signed_in(browser)
        browser = await begun()
        for _ in range(12 * 2 - 1):
            clock.advance(1800)
            assert await is_signed_in(browser)
        clock.advance(1800)
        assert not await is_signed_in(browser), "however busy"
        browser = await begun()
        await set_role(control_room.room, OPERATOR, anna.identifier, Role.VIEWER)
        assert not await is_signed_in(browser)
        browser = await begun()
        await set_disabled(control_room.room, OPERATOR, anna.identifier, True)
        assert not await is_signed_in(browser)
        assert (await room.browser().sign_in("anna")).status_code == 422
        await set_disabled(control_room.room, OPERATOR, anna.identifier, False)
        browser, other = await begun(), await begun()
        await browser.get("/account")
        changed = {"old_password": PASSWORD, "password": NEW_PASSWORD, "password_again": NEW_PASSWORD}
        before = browser.client.cookies["mailveil-session"]
        assert (await browser.post("/account/password", changed)).status_code == 303
        assert await is_signed_in(browser)
        assert browser.client.cookies["mailveil-session"] != before
        assert not await is_signed_in(other)

    walk(control_room, steps)


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:8081", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:8080.evil.example", "Sec-Fetch-Site": ""},
        {"Origin": "", "Sec-Fetch-Site": ""},
        {"Origin": "null", "Sec-Fetch-Site": ""},
    ],
)
def test_forms_of_other_sites_do_nothing(control_room: ControlRoomForTests, fields: dict[str, str]) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        browser = room.browser()
        answer = await browser.post("/sign-in", {"name": "anna", "password": PASSWORD}, **fields)
        assert answer.status_code == 403, "nor does anybody sign you in as somebody else"
        await browser.sign_in("anna")
        assert (await browser.post("/sign-out", **fields)).status_code == 403
        assert await is_signed_in(browser)

    walk(control_room, steps)


def test_every_form_that_changes_something_needs_the_token_of_its_own_session(
    control_room: ControlRoomForTests,
) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        await room.user("berta")
        other = room.browser()
        await other.sign_in("berta")
        stolen = other.token()
        browser = room.browser()
        await browser.sign_in("anna")
        checked = 0
        for page in room.console.pages:
            if page.method != "POST" or page.need == "anybody":
                continue
            path = re.sub(r"\{[^}]*\}", "x", page.path)
            for form in ({"csrf": ""}, {"csrf": stolen}, {"csrf": "é"}):
                answer = await browser.post(path, form)
                assert answer.status_code == 403, (path, form)
                assert "out of date" in answer.text, path
            checked += 1
        assert checked >= 15
        assert await is_signed_in(browser), "not even signed out"

    walk(control_room, steps)


def test_guessing_is_slowed_down_by_name_and_by_address(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        codes = []
        for number in range(7):
            browser = room.browser(f"198.51.100.{number}")
            answer = await browser.sign_in("anna", "a wrong password")
            codes.append(answer.status_code)
        assert codes == [422] * 5 + [429] * 2
        assert int(answer.headers["retry-after"]) == 60
        assert (await room.browser("198.51.100.99").sign_in("anna")).status_code == 429, "even the right one"
        control_room.clock.advance(61)
        assert (await room.browser("198.51.100.99").sign_in("anna")).status_code == 200
        spraying = room.browser("203.0.113.5")
        codes = [
            (await spraying.sign_in(f"name{number}", "password of the season")).status_code
            for number in range(22)
        ]
        assert codes == [422] * 20 + [429] * 2
        within = room.browser("2001:db8:1:2::1")
        codes = [(await within.sign_in(f"other{n}", "x" * 12)).status_code for n in range(20)]
        assert codes == [422] * 20
        neighbour = room.browser("2001:db8:1:2:ffff::9")
        assert (await neighbour.sign_in("anna", "x" * 12)).status_code == 429, "one customer has a /64"

    walk(control_room, steps)


def test_whoever_guesses_elsewhere_locks_nobody_out_of_a_browser_of_theirs(
    control_room: ControlRoomForTests,
) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        own = room.browser()
        await own.sign_in("anna")
        await own.post("/sign-out")
        for number in range(8):
            await room.browser(f"198.51.100.{number}").sign_in("anna", "a wrong password")
        assert (await room.browser("198.51.100.50").sign_in("anna")).status_code == 429
        assert (await own.sign_in("anna")).status_code == 200
        thief = room.browser("198.51.100.51")
        thief.client.cookies.set("mailveil-known", "x.y", "localhost.local")
        assert (await thief.sign_in("anna")).status_code == 429, "a mark that was made up is none"

    walk(control_room, steps)


def test_nobody_learns_which_names_there_are(
    control_room: ControlRoomForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(room: ConsoleRoom) -> None:
        anna = await room.user("anna")
        disabled = await room.user("disabled")
        await control_room.room.accounts.put_user(replace(disabled, is_disabled=True))
        await control_room.user("invited")
        worked: list[str] = []
        passwords = room.console.signing_in.passwords
        matches = passwords._matches
        monkeypatch.setattr(passwords, "_matches", lambda e, p: worked.append(e) or matches(e, p))
        pages = set()
        for name in ("anna", "disabled", "invited", "nobody"):
            answer = await room.browser().sign_in(name, "a wrong password")
            assert answer.status_code == 422
            pages.add(answer.text.replace(name, "NAME"))
        assert len(pages) == 1
        assert len(worked) == 4, "the same work for each"
        assert [each == anna.password_hash for each in worked] == [True, False, False, False]
        parameters = {each.rsplit("$", 2)[0] for each in worked}
        assert len(parameters) == 1, "at the same cost"
        told = repr(await control_room.audit_trail())
        assert "a wrong password" not in told

    walk(control_room, steps)


def test_a_second_factor_is_set_up_asked_for_and_works_once(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        browser = room.browser()
        await browser.sign_in("anna")
        page = await browser.get("/account/second-factor")
        assert 'src="data:image/png;base64,' in page.text
        found = re.search(r'name="secret" value="([A-Z2-7]{32})"', page.text)
        assert found
        secret = found[1]
        assert (
            await browser.post("/account/second-factor", {"secret": secret, "code": "000000"})
        ).status_code == 422
        step = int(control_room.clock.now() // 30)
        form = {"secret": secret, "code": code_at(secret, step)}
        assert (await browser.post("/account/second-factor", form)).status_code == 303
        assert await is_signed_in(browser)

        late = room.browser()
        await late.get("/sign-in")
        answer = await late.post("/sign-in", {"name": "anna", "password": PASSWORD})
        assert answer.headers["location"].startswith("/sign-in/code")
        for path in ("/", "/account", "/users", "/audit"):
            answer = await late.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/code"), path
        await late.get("/sign-in/code")
        assert (await late.post("/sign-in/code", {"code": form["code"]})).status_code == 422, "used before"
        half = late.client.cookies["mailveil-session"]
        code = code_at(secret, step + 1)
        assert (await late.post("/sign-in/code", {"code": code})).status_code == 303
        assert late.client.cookies["mailveil-session"] != half
        assert await is_signed_in(late)
        for _ in range(8):
            guess = room.browser()
            await guess.get("/sign-in")
            await guess.post("/sign-in", {"name": "anna", "password": PASSWORD})
            await guess.get("/sign-in/code")
            answer = await guess.post("/sign-in/code", {"code": "123456"})
        assert answer.status_code == 429

    walk(control_room, steps)


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/%0d%0aSet-Cookie:x\r\nSet-Cookie: x=y",
        "javascript:alert(1)",
        "/\tevil",
        " //evil.example",
        "/a\nb",
        "http:/evil.example",
    ],
)
def test_sign_in_leads_to_no_other_site(control_room: ControlRoomForTests, target: str) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        browser = room.browser()
        answer = await browser.post("/sign-in", {"name": "anna", "password": PASSWORD, "next": target})
        assert answer.headers["location"] == "/", target
        assert "x" not in answer.cookies
        answer = await browser.client.get("/sign-in", params={"next": target})
        assert answer.headers["location"] == "/"

    assert local_path(target) == "/"
    walk(control_room, steps)


def test_cookies_behind_https_go_nowhere_else(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom) -> None:
        await room.user("anna")
        browser = room.browser()
        await browser.get("/sign-in")
        answer = await browser.post("/sign-in", {"name": "anna", "password": PASSWORD})
        assert answer.status_code == 303
        for field in answer.headers.get_list("set-cookie"):
            assert field.startswith("__Host-mailveil-")
            for flag in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"):
                assert flag in field, field
            assert "Domain" not in field
        assert (await browser.get("/account")).headers["strict-transport-security"] == "max-age=31536000"
        inside = room.browser("127.0.0.1")
        await inside.post(
            "/sign-in",
            {"name": "anna", "password": "wrong"},
            **{"X-Forwarded-For": "198.51.100.1, 192.0.2.200"},
        )
        refused = await control_room.audit_trail(action="session.refused")
        assert refused[0].address == "192.0.2.200", "the outermost proxy of ours saw that one"

    walk(
        control_room,
        steps,
        console_url="https://console.example.org",
        trusted_proxies=(ipaddress.ip_network("127.0.0.0/8"),),
    )
