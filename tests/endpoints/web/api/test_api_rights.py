"""Rights at the API: every operation of the served document, for every scope and role, and across organisations.

The operations come from the document itself, so that a new one is tried without anybody remembering to.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from api_room import PREFIX, SECRETS_OF, ApiRoom
from mailveil.control.access import PERMISSIONS, Permission, Role
from mailveil.control.records import Cut
from mailveil.control.signing_in import digest_of

METHODS = ("get", "post", "put", "patch", "delete")
MARKS_OF_OTHER = (
    SECRETS_OF["other"],
    "other-news.example",
    "other.example",
    "user-of-other",
    "token of other",
)


def operations(room: ApiRoom) -> list[tuple[str, str, dict[str, Any]]]:
    """Return method, path and description of every operation that takes a token."""
    document = room.ask("GET", "/openapi.json", token="").json()
    return [
        (method.upper(), path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
        if method in METHODS and described["security"]
    ]


def identifiers(room: ApiRoom, organisation: str) -> dict[str, str]:
    """Return a thing of an organisation for each parameter in a path; a new one has to be added here."""

    async def found() -> dict[str, str]:
        stores = room.control.room
        trackers = await stores.observations.trackers(organisation, _query(), Cut())
        users = await stores.accounts.users(organisation, Cut())
        tokens = await stores.accounts.tokens(organisation, Cut())
        api_identifiers = room.others[organisation]
        return {
            "message": room.messages[organisation][0],
            "tracker_id": trackers.items[0].identifier,
            "name": f"Operator of {organisation}",
            "dimension": "operator",
            "user_id": users.items[0].identifier,
            "token_id": tokens.items[0].identifier,
            "organisation_id": organisation,
            "entry_id": api_identifiers["entry"],
            "destination_id": api_identifiers["destination"],
            "report_id": api_identifiers["report"],
            "feed_id": api_identifiers["feed"],
            "activity_id": api_identifiers["activity"],
            "version": "0",
        }

    return asyncio.run(found())


def _query() -> Any:
    from mailveil.control.records import TrackerQuery

    return TrackerQuery()


def filled(path: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


def needed(described: dict[str, Any]) -> list[str]:
    """Return the scopes that an operation needs."""
    ((_, scopes),) = described["security"][0].items()
    assert scopes
    return scopes


def request_of(described: dict[str, Any]) -> dict[str, Any]:
    """Return what an operation needs to be asked: the example of its body, and ``If-Match`` for whatever is there."""
    more: dict[str, Any] = {"headers": {}}
    if any("IfMatch" in each.get("$ref", "") for each in described["parameters"]):
        more["headers"]["If-Match"] = "*"
    body = described.get("requestBody")
    if body is not None:
        ((kind, content),) = body["content"].items()
        ((_, example),) = content["examples"].items()
        if kind == "application/json":
            # A token grants nothing that it lacks itself.
            granted = {"scopes": ["tokens:write"]} if "scopes" in example["value"] else {}
            more["json"] = {**example["value"], **granted}
        else:
            more["content"] = example["value"].encode()
            more["headers"]["Content-Type"] = kind
    return more


def test_a_token_does_what_its_scope_says_and_nothing_else(api_room: ApiRoom) -> None:
    known = identifiers(api_room, "acme")

    async def inside() -> None:
        for scope in Permission:
            secret = await api_room.token("acme", scope)
            for method, path, described in listed:
                answer = await api_room.asking(
                    method, filled(path, known), token=secret, **request_of(described)
                )
                lacking = set(needed(described)) - {scope}
                what = f"{method} {path} with {scope}"
                if lacking:
                    assert answer.status_code == 403, what
                    assert answer.json()["scope"] in lacking, what
                    assert f'scope="{answer.json()["scope"]}"' in answer.headers["WWW-Authenticate"], what
                elif described.get("x-all-organisations"):
                    assert answer.status_code == 403, what
                    assert "scope" not in answer.json(), what
                else:
                    assert answer.status_code != 401, what
                    if described.get("x-needs-leave"):
                        continue
                    assert answer.status_code != 403, (what, answer.text)

    listed = [each for each in operations(api_room) if each[0] == "GET" or not _ends_it(each)]
    asyncio.run(inside())


def _ends_it(operation: tuple[str, str, dict[str, Any]]) -> bool:
    """Tell whether an operation would take away what the others are tried with."""
    return operation[0] == "DELETE" and operation[1].startswith(("/tokens/", "/organisations/"))


@pytest.mark.parametrize("role", list(Role))
def test_a_token_never_does_more_than_the_role_of_who_made_it(api_room: ApiRoom, role: Role) -> None:
    known = identifiers(api_room, "acme")
    listed = operations(api_room)

    async def inside() -> None:
        accounts = api_room.control.room.accounts
        await api_room.control.user(f"the-{role}", role, "acme")
        secret = await api_room.token("acme")
        token = await accounts.token(digest_of(secret))
        assert token is not None
        await accounts.put_token(replace(token, created_by=f"the-{role}"))
        for method, path, described in listed:
            may = set(needed(described)) <= PERMISSIONS[role]
            if may and _ends_it((method, path, described)):
                continue
            answer = await api_room.asking(method, filled(path, known), token=secret, **request_of(described))
            if not may or described.get("x-all-organisations"):
                assert answer.status_code == 403, f"{method} {path}"
            elif not described.get("x-needs-leave"):
                assert answer.status_code not in (401, 403), f"{method} {path}: {answer.text}"
            if role is Role.VIEWER:
                assert SECRETS_OF["acme"] not in answer.text, f"{method} {path}: viewers see no subjects"
                assert "ann@acme.example" not in answer.text, f"{method} {path}: viewers see no people"

    asyncio.run(inside())


def test_nothing_of_another_organisation_is_told_or_changed_by_its_identifier(api_room: ApiRoom) -> None:
    theirs, ours = identifiers(api_room, "other"), identifiers(api_room, "acme")
    tried = 0

    async def inside() -> None:
        nonlocal tried
        for method, path, described in listed:
            names = set(re.findall(r"\{(\w+)\}", path)) - {"dimension", "version"}
            for name in names:
                crossed = filled(path, {**ours, name: theirs[name]})
                answer = await api_room.asking(method, crossed, **request_of(described))
                assert answer.status_code in (403, 404), f"{method} {crossed}: {answer.status_code}"
                assert not any(mark in answer.text for mark in MARKS_OF_OTHER), f"{method} {crossed}"
                tried += 1

    listed = operations(api_room)
    before = api_room.ask("GET", "/tokens", organisation="other").json()
    asyncio.run(inside())
    assert tried > 10
    assert api_room.ask("GET", "/tokens", organisation="other").json() == before
    assert api_room.copies.deleted == []


def test_nothing_of_another_organisation_is_in_any_list_or_answer(api_room: ApiRoom) -> None:
    ours = identifiers(api_room, "acme")
    listed = [each for each in operations(api_room) if not _ends_it(each)]

    async def inside() -> None:
        for method, path, described in listed:
            answer = await api_room.asking(method, filled(path, ours), **request_of(described))
            assert not any(mark in answer.text for mark in MARKS_OF_OTHER), f"{method} {path}"

    asyncio.run(inside())


def test_a_token_of_one_organisation_cannot_choose_another(api_room: ApiRoom) -> None:
    known = identifiers(api_room, "other")
    listed = operations(api_room)

    async def inside() -> None:
        for method, path, described in listed:
            more = request_of(described)
            more["headers"]["Mailveil-Organisation"] = "other"
            answer = await api_room.asking(method, filled(path, known), **more)
            assert answer.status_code == 403, f"{method} {path}"
            assert not any(mark in answer.text for mark in MARKS_OF_OTHER), f"{method} {path}"

    asyncio.run(inside())


def test_a_token_of_all_organisations_acts_in_the_one_it_names(api_room: ApiRoom) -> None:
    def subjects(name: str) -> set[str]:
        headers = {"Mailveil-Organisation": name} if name else {}
        answer = api_room.ask("GET", "/messages", organisation="*", headers=headers)
        return {each["subject"].rsplit(" ", 1)[0] for each in answer.json()["items"]}

    assert subjects("acme") == {SECRETS_OF["acme"]}
    assert subjects("other") == {SECRETS_OF["other"]}
    assert subjects("") == set(), "without a name it acts in the default organisation"
    missing = api_room.ask("GET", "/messages", organisation="*", headers={"Mailveil-Organisation": "nobody"})
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, 'Bearer realm="mailveil"'),
        ({"Authorization": "Bearer"}, 'Bearer realm="mailveil"'),
        ({"Authorization": "Basic YTpi"}, 'Bearer realm="mailveil"'),
        ({"Authorization": "Bearer mvt_" + "a" * 43}, 'Bearer realm="mailveil", error="invalid_token"'),
        ({"Authorization": "Bearer " + "é" * 50}, 'Bearer realm="mailveil", error="invalid_token"'),
    ],
    ids=["no token", "an empty one", "a password", "an unknown one", "no ASCII"],
)
def test_who_shows_no_good_token_gets_nothing_anywhere(
    api_room: ApiRoom, headers: dict[str, str], said: str
) -> None:
    known = identifiers(api_room, "acme")
    listed = operations(api_room)
    fields = {name: value.encode("latin-1") for name, value in headers.items()}

    async def inside() -> None:
        for method, path, described in listed:
            more = request_of(described)
            more["headers"] = {**more["headers"], **fields}
            answer = await api_room.asking(method, filled(path, known), token="", **more)
            assert answer.status_code == 401, f"{method} {path}"
            assert answer.headers["WWW-Authenticate"] == said
            assert answer.headers["Content-Type"] == "application/problem+json"

    asyncio.run(inside())


def test_a_cookie_of_the_console_means_nothing_here(api_room: ApiRoom) -> None:
    cookie = {"Cookie": f"mailveil_session={api_room.tokens['acme']}; session={api_room.tokens['acme']}"}
    assert api_room.ask("GET", "/messages", token="", headers=cookie).status_code == 401


def test_two_tokens_in_one_request_are_none(api_room: ApiRoom) -> None:
    async def inside() -> int:
        import httpx

        secret = api_room.tokens["acme"]
        fields = [("Authorization", f"Bearer {secret}"), ("Authorization", f"Bearer {secret}")]
        transport = httpx.ASGITransport(api_room.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://console.example") as client:
            return (await client.get(PREFIX + "/messages", headers=fields)).status_code

    assert asyncio.run(inside()) == 401


def test_an_expired_token_opens_nothing_any_more(api_room: ApiRoom) -> None:
    assert api_room.ask("GET", "/messages").status_code == 200
    api_room.control.clock.advance(31 * 86_400)
    assert api_room.ask("GET", "/messages").status_code == 401
