"""Signing in with OpenID Connect: a real provider by HTTP on loopback, honest and not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from console_room import Browser, ConsoleRoom, console_room
from control_room import ControlRoomForTests
from mailveil.adapters.openid import OpenIdProvider
from mailveil.control.access import Role
from mailveil.control.openid import OpenIdRules
from mailveil.control.records import Cut, User
from mailveil.control.secondfactor import code_at
from mailveil.endpoints.web.console.openid import OpenId
from openid_room import CLIENT, SECRET, Provider, new_key, openid_room, unsigned

GROUPS = {
    Role.ADMINISTRATOR: ("mailveil-admins",),
    Role.ANALYST: ("soc",),
    Role.VIEWER: ("staff",),
}
MAKES = OpenIdRules(makes_users=True)
Steps = Callable[[ConsoleRoom, Provider], Awaitable[None]]


def walk(control: ControlRoomForTests, steps: Steps, rules: OpenIdRules = MAKES, **facts: Any) -> None:
    async def inside() -> None:
        async with openid_room(control.clock.now) as provider:
            asked = OpenIdProvider(provider.issuer, CLIENT, SECRET, now=control.clock.now)
            openid = OpenId(asked, rules, "Staff sign-on")
            async with console_room(control, openid=openid, **facts) as room:
                await steps(room, provider)

    asyncio.run(asyncio.wait_for(inside(), 120))


async def at_provider(address: str) -> str:
    """Sign in at the provider as a browser does, and return where it sends one back to."""
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(address)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix("http://localhost:8080")


async def go(browser: Browser, path: str = "/sign-in/openid") -> httpx.Response:
    """Go to the provider and back; return what the console says then."""
    answer = await browser.get(path)
    assert answer.status_code == 303, answer.text
    return await browser.get(await at_provider(answer.headers["location"]))


async def only_user(room: ConsoleRoom) -> User:
    (user,) = (await room.control.room.accounts.users("*", Cut())).items
    return user


def test_whoever_comes_for_the_first_time_gets_an_account_and_then_the_same(
    control_room: ControlRoomForTests,
) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        provider.person |= {"name": "Paula Modersohn", "email": "paula@example.org"}
        browser = room.browser()
        sign_in = await browser.get("/sign-in?next=/account")
        assert "Sign in with Staff sign-on" in sign_in.text
        answer = await go(browser, "/sign-in/openid?next=/account")
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        page = await browser.follow(answer)
        assert "Paula Modersohn" in page.text
        user = await only_user(room)
        assert (user.name, user.role, user.home, user.password_hash) == ("paula", Role.VIEWER, "default", "")
        assert user.subject == f"{provider.issuer}|1001"
        provider.person["preferred_username"] = "renamed"
        await go(room.browser())
        assert (await only_user(room)).identifier == user.identifier
        actions = [each.action for each in await control_room.audit_trail()]
        assert sorted(actions) == ["session.begin", "session.begin", "user.create"]

    walk(control_room, steps)


def test_groups_give_roles_and_take_them(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        provider.info = {"realm_access": {"roles": ["soc", "staff"]}}
        browser = room.browser()
        assert (await go(browser)).status_code == 303
        assert (await only_user(room)).role is Role.ANALYST
        assert (await browser.get("/users")).status_code == 403
        provider.info["realm_access"]["roles"] = ["staff"]
        assert (await go(room.browser())).status_code == 303
        assert (await only_user(room)).role is Role.VIEWER
        assert (await browser.get("/account")).status_code == 303, "what was begun as an analyst is over"
        provider.info = {}
        answer = await go(room.browser())
        assert answer.status_code == 403
        assert "no role here any more" in answer.text

    walk(control_room, steps, replace(MAKES, roles=GROUPS, role_claim="realm_access.roles"))


def test_the_organisation_comes_from_a_claim(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        await control_room.organisation("acme")
        provider.person["tenant"] = "acme"
        assert (await go(room.browser())).status_code == 303
        assert (await only_user(room)).home == "acme"
        for tenant in ("*", "elsewhere", "", ["acme", "default"], 7):
            provider.person |= {"sub": "1002", "tenant": tenant}
            answer = await go(room.browser())
            assert answer.status_code == 403, tenant
        assert (await only_user(room)).home == "acme", "nobody else came in"

    walk(control_room, steps, replace(MAKES, organisation_claim="tenant"))


def _another(name: str, value: object) -> Callable[[Provider], None]:
    def prepare(provider: Provider) -> None:
        provider.lie = lambda claims: claims.__setitem__(name, value)

    return prepare


def _without(name: str) -> Callable[[Provider], None]:
    def prepare(provider: Provider) -> None:
        provider.lie = lambda claims: claims.pop(name, None) and None

    return prepare


def _older(seconds: int) -> Callable[[Provider], None]:
    def prepare(provider: Provider) -> None:
        provider.lie = lambda claims: claims.update(iat=claims["iat"] - seconds, exp=claims["exp"] - seconds)

    return prepare


def _signed_by(sign: Callable[[Provider, dict[str, Any]], str]) -> Callable[[Provider], None]:
    def prepare(provider: Provider) -> None:
        provider.sign = lambda claims: sign(provider, claims)

    return prepare


def _with_shared_secret(provider: Provider, claims: dict[str, Any]) -> str:
    """Sign with what everybody knows, the public key, as if it were a secret (RFC 8725 section 2.1)."""
    from joserfc import jwt
    from joserfc.jwk import OctKey

    public = provider.key.as_pem(private=False)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        key = OctKey.import_key(public)
    return jwt.encode({"alg": "HS256", "kid": provider.key.kid}, claims, key, algorithms=["HS256"])


def _tampered(provider: Provider, claims: dict[str, Any]) -> str:
    head, _, signature = provider.signed(claims).split(".")
    return f"{head}.{unsigned(claims | {'sub': '1'}).split('.')[1]}.{signature}"


@pytest.mark.parametrize(
    "prepare",
    [
        _another("nonce", "of another attempt"),
        _without("nonce"),
        _another("aud", "another client"),
        _another("aud", ["another client", "one more"]),
        _another("aud", [CLIENT, "another client"]),
        _another("azp", "another client"),
        _another("iss", "http://127.0.0.1:1"),
        _older(3600),
        _older(-3600),
        _without("exp"),
        _without("iat"),
        _without("sub"),
        _another("sub", ""),
        _another("sub", 1001),
        _another("sub", "s" * 256),
        _another("nbf", 9_999_999_999),
        _signed_by(lambda provider, claims: unsigned(claims)),
        _signed_by(lambda provider, claims: provider.signed(claims, new_key("first"))),
        _signed_by(lambda provider, claims: provider.signed(claims, new_key("unknown"))),
        _signed_by(_with_shared_secret),
        _signed_by(_tampered),
        _signed_by(lambda provider, claims: "no token at all"),
        lambda provider: provider.info.update(sub="somebody else"),
        lambda provider: provider.metadata.update(issuer="http://127.0.0.1:1"),
        lambda provider: provider.metadata.update(token_endpoint="ftp://127.0.0.1/token"),
        lambda provider: setattr(provider, "broken", "/token"),
        lambda provider: setattr(provider, "broken", "/keys"),
    ],
    ids=lambda prepare: None,
)
def test_nobody_comes_in_by_what_cannot_be_believed(
    control_room: ControlRoomForTests, prepare: Callable[[Provider], None]
) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        prepare(provider)
        browser = room.browser()
        answer = await browser.get("/sign-in/openid")
        if answer.status_code == 303:
            answer = await browser.get(await at_provider(answer.headers["location"]))
        assert answer.status_code == 403, answer.text
        assert "does not answer as it should" in answer.text
        assert not (await room.control.room.accounts.users("*", Cut())).items
        assert (await browser.get("/account")).status_code == 303

    walk(control_room, steps)


def test_a_provider_that_changes_its_keys_is_believed_with_the_new_ones(
    control_room: ControlRoomForTests,
) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        assert (await go(room.browser())).status_code == 303
        provider.key = new_key("second")
        control_room.clock.advance(61)
        assert (await go(room.browser())).status_code == 303
        provider.sign = lambda claims: provider.signed(claims, new_key("never published"))
        before = provider.asked.count("/keys")
        for _ in range(3):
            assert (await go(room.browser())).status_code == 403
        assert provider.asked.count("/keys") == before, "not for every token with an unknown key"

    walk(control_room, steps)


def test_an_answer_only_counts_in_the_browser_that_went(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        attacker, victim = room.browser(), room.browser("192.0.2.8")
        answer = await attacker.get("/sign-in/openid")
        back = await at_provider(answer.headers["location"])
        assert (await victim.get(back)).status_code == 403, "it never went"
        await victim.get("/sign-in/openid")
        assert (await victim.get(back)).status_code == 403, "it went for something else"
        assert (await attacker.get(back.replace("state=", "state=x"))).status_code == 403
        answer = await attacker.get("/sign-in/openid")
        back = await at_provider(answer.headers["location"])
        other = back.replace(
            f"iss={provider.issuer}".replace(":", "%3A").replace("/", "%2F"), "iss=http%3A%2F%2Fevil"
        )
        assert other != back
        assert (await attacker.get(other)).status_code == 403, "RFC 9207: from another provider"
        answer = await attacker.get("/sign-in/openid")
        back = await at_provider(answer.headers["location"])
        assert (await attacker.get(back)).status_code == 303
        assert (await room.browser().get(back)).status_code == 403, "nor twice"
        assert (await attacker.get("/sign-in/openid/back?error=access_denied&state=x")).status_code == 403

    walk(control_room, steps)


def test_no_name_or_address_takes_over_an_account_that_is_there(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        anna = await room.user("anna@example.org")
        provider.person |= {
            "preferred_username": "ANNA@example.org",
            "email": "anna@example.org",
            "email_verified": True,
            "groups": ["mailveil-admins"],
        }
        answer = await go(room.browser())
        assert answer.status_code == 403
        assert "is not connected with yours there" in answer.text
        assert (await only_user(room)) == anna

    walk(control_room, steps, replace(MAKES, roles=GROUPS))


def test_an_account_is_connected_by_whoever_is_signed_in_to_it(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        await room.user("anna")
        answer = await go(room.browser())
        assert "You have no account here" in answer.text
        browser = room.browser()
        await browser.sign_in("anna")
        page = await browser.post("/account/openid/connect")
        assert page.status_code == 200, page.text
        from html import unescape

        address = unescape(page.text.split('class="button" href="')[1].split('"')[0])
        answer = await browser.get(await at_provider(address))
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        user = await only_user(room)
        assert user.subject == f"{provider.issuer}|1001"
        assert (await go(room.browser())).status_code == 303
        user = await only_user(room)
        assert user.role is Role.ADMINISTRATOR, "a role that was given here stays"
        await browser.get("/account")
        assert (await browser.post("/account/openid/disconnect")).status_code == 303
        assert (await go(room.browser())).status_code == 403

    walk(control_room, steps, replace(MAKES, makes_users=False, roles=GROUPS))


def test_what_one_session_set_out_for_does_not_connect_another(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        from html import unescape

        await room.user("anna")
        await room.user("berta")
        browser = room.browser()
        await browser.sign_in("anna")
        page = await browser.post("/account/openid/connect")
        address = unescape(page.text.split('class="button" href="')[1].split('"')[0])
        back = await at_provider(address)
        await browser.get("/account")
        await browser.post("/sign-out")
        await browser.sign_in("berta")
        assert (await browser.get(back)).status_code == 403
        users = (await room.control.room.accounts.users("*", Cut())).items
        assert [each.subject for each in users] == ["", ""]

    walk(control_room, steps)


def test_who_is_shut_out_here_stays_out_and_a_second_factor_is_asked_for(
    control_room: ControlRoomForTests,
) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        assert (await go(room.browser())).status_code == 303
        user = await only_user(room)
        await room.control.room.accounts.put_user(replace(user, totp_secret="A" * 32))
        browser = room.browser()
        answer = await go(browser, "/sign-in/openid?next=/account")
        assert answer.headers["location"] == "/sign-in/code?next=%2Faccount"
        assert (await browser.get("/account")).headers["location"] == "/sign-in/code"
        await browser.get("/sign-in/code?next=/account")
        code = code_at("A" * 32, int(control_room.clock.now() // 30))
        answer = await browser.post("/sign-in/code", {"code": code, "next": "/account"})
        assert answer.headers["location"] == "/account"
        await room.control.room.accounts.put_user(replace(user, is_disabled=True))
        answer = await go(room.browser())
        assert answer.status_code == 403
        assert "disabled" in answer.text

    walk(control_room, steps)


def test_a_provider_that_is_away_costs_nothing_but_its_own_way_in(control_room: ControlRoomForTests) -> None:
    async def steps(room: ConsoleRoom, provider: Provider) -> None:
        provider.broken = "/.well-known/openid-configuration"
        await room.user("anna")
        assert (await room.browser().get("/sign-in/openid")).status_code == 403
        assert (await room.browser().sign_in("anna")).status_code == 200

    walk(control_room, steps)


def test_without_a_provider_there_is_no_such_way(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        async with console_room(control_room) as room:
            for path in ("/sign-in/openid", "/sign-in/openid/back?code=x&state=y"):
                assert (await room.browser().get(path)).status_code == 404

    asyncio.run(inside())
