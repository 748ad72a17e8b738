"""States: entity tags tell what a client has seen, and no change overwrites another that it has not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api_room import ApiRoom

STRICT = {"document": {"level": "strict"}}
NORMAL = {"document": {"level": "normal"}, "comment": "softer"}


def test_what_a_client_has_is_not_sent_again(api_room: ApiRoom) -> None:
    path = f"/messages/{api_room.messages['acme'][0]}"
    first = api_room.ask("GET", path)
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = api_room.ask("GET", path, headers={"If-None-Match": known})
        assert again.status_code == 304, known
        assert again.content == b""
        assert again.headers["ETag"] == tag
    assert api_room.ask("GET", path, headers={"If-None-Match": '"other"'}).json() == first.json()


def test_the_tag_changes_with_what_it_stands_for(api_room: ApiRoom) -> None:
    before = api_room.ask("GET", "/policy").headers["ETag"]
    changed = api_room.ask("PUT", "/policy", json=NORMAL, headers={"If-Match": before})
    assert changed.status_code == 200
    assert changed.json()["version"] == 2
    after = api_room.ask("GET", "/policy")
    assert after.headers["ETag"] == changed.headers["ETag"] != before
    assert after.json() == changed.json()


def test_a_policy_is_changed_only_by_whoever_has_seen_it(api_room: ApiRoom) -> None:
    unseen = api_room.ask("PUT", "/policy", json=NORMAL)
    assert unseen.status_code == 428
    assert unseen.json()["type"] == "urn:mailveil:problem:if-match-required"
    stale = api_room.ask("PUT", "/policy", json=NORMAL, headers={"If-Match": '"0123"'})
    assert stale.status_code == 412
    weak = f"W/{api_room.ask('GET', '/policy').headers['ETag']}"
    assert api_room.ask("PUT", "/policy", json=NORMAL, headers={"If-Match": weak}).status_code == 412
    malformed = api_room.ask("PUT", "/policy", json=NORMAL, headers={"If-Match": "0123"})
    assert malformed.status_code == 422
    assert api_room.ask("GET", "/policy").json()["version"] == 1


@pytest.mark.parametrize("path", ["/policy", "/organisations/acme"])
def test_of_ten_changes_at_once_to_what_all_have_seen_one_is_made(api_room: ApiRoom, path: str) -> None:
    async def inside() -> list[int]:
        headers = {"Mailveil-Organisation": "acme"}
        seen = await api_room.asking("GET", path, organisation="*", headers=headers)
        headers["If-Match"] = seen.headers["ETag"]

        def body(number: int) -> dict[str, Any]:
            if path == "/policy":
                return {"document": {"level": "normal", "comment": f"number {number}"}}
            return {"name": f"Acme {number}", "domains": ["acme.example"], "language": "en"}

        asking = [
            api_room.asking("PUT", path, organisation="*", headers=headers, json=body(number))
            for number in range(10)
        ]
        return [each.status_code for each in await asyncio.gather(*asking)]

    codes = asyncio.run(inside())
    assert sorted(codes) == [200] + [412] * 9


def test_a_change_by_another_process_between_is_not_overwritten(
    api_room: ApiRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    from control_room import actor
    from mailveil.control import policies

    tag = api_room.ask("GET", "/policy").headers["ETag"]
    change = policies.change_policy

    async def overtaken(room: Any, who: Any, document: Any, **more: Any) -> Any:
        other = policies.policy_of_record({"level": "gentle"})
        await change(room, actor(organisation="acme"), other, based_on=1)
        return await change(room, who, document, **more)

    with monkeypatch.context() as patch:
        patch.setattr(policies, "change_policy", overtaken)
        answer = api_room.ask("PUT", "/policy", json=NORMAL, headers={"If-Match": tag})
    assert answer.status_code == 412
    assert api_room.ask("GET", "/policy").json()["document"]["level"] == "gentle"


def test_where_it_need_not_be_said_it_still_counts(api_room: ApiRoom) -> None:
    path = f"/reports/{api_room.others['acme']['report']}"
    tag = api_room.ask("GET", path).headers["ETag"]
    decided = api_room.ask("PATCH", path, json={"state": "confirmed"}, headers={"If-Match": tag})
    assert decided.status_code == 200
    stale = api_room.ask("PATCH", path, json={"state": "rejected"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    assert api_room.ask("PATCH", path, json={"state": "open"}).status_code == 200


def decision_path(room: ApiRoom) -> str:
    return f"/activities/{room.others['acme']['activity']}/decision"


def test_an_activity_is_decided_about_only_as_it_was_seen_where_that_is_said(api_room: ApiRoom) -> None:
    path = decision_path(api_room)
    seen = api_room.ask("GET", path)
    tag = seen.headers["ETag"]
    assert (seen.json()["verdict"], seen.json()["acknowledged_at"]) == ("open", None)
    mine = api_room.ask("POST", path, json={"decision": "acknowledge"}, headers={"If-Match": tag})
    assert mine.status_code == 200
    for decision in ("dismiss", "close", "acknowledge", "reopen", "confirm"):
        later = api_room.ask("POST", path, json={"decision": decision}, headers={"If-Match": tag})
        assert later.status_code == 412, decision
        assert later.json()["type"] == "urn:mailveil:problem:changed-meanwhile"
    now = api_room.ask("GET", path)
    assert now.headers["ETag"] != tag
    assert (now.json()["verdict"], now.json()["closed_by"]) == ("open", "")
    assert now.json()["acknowledged_by"]
    assert (
        api_room.ask("POST", path, json={"decision": "dismiss"}).status_code == 200
    )  # who says nothing of it
    tag = api_room.ask("GET", path).headers["ETag"]
    undone = api_room.ask("POST", path, json={"decision": "undecide"}, headers={"If-Match": tag})
    assert undone.json()["verdict"] == "open"


def test_of_analysts_who_decide_at_once_from_the_same_state_one_does(api_room: ApiRoom) -> None:
    path = decision_path(api_room)

    async def inside() -> list[int]:
        tag = (await api_room.asking("GET", path)).headers["ETag"]
        asking = [
            api_room.asking("POST", path, headers={"If-Match": tag}, json={"decision": decision})
            for decision in ("dismiss", "close", "confirm", "acknowledge", "dismiss", "confirm")
        ]
        return [each.status_code for each in await asyncio.gather(*asking)]

    assert sorted(asyncio.run(inside())) == [200] + [412] * 5


def test_a_decision_by_another_process_between_is_not_overwritten(
    api_room: ApiRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    from control_room import actor
    from mailveil.control import activities
    from mailveil.core.intelligence.types import AnalystVerdict

    path = decision_path(api_room)
    tag = api_room.ask("GET", path).headers["ETag"]
    close = activities.close_activity

    async def overtaken(room: Any, who: Any, identifier: str, **more: Any) -> Any:
        ben = actor("analyst", organisation="acme")
        await activities.decide_activity(room, ben, identifier, AnalystVerdict.CONFIRMED)
        return await close(room, who, identifier, **more)

    with monkeypatch.context() as patch:
        patch.setattr(activities, "close_activity", overtaken)
        answer = api_room.ask("POST", path, json={"decision": "close"}, headers={"If-Match": tag})
    assert answer.status_code == 412
    now = api_room.ask("GET", path).json()
    assert (now["verdict"], now["closed_at"]) == ("confirmed", None)


def test_an_organisation_goes_only_where_its_state_was_seen(api_room: ApiRoom) -> None:
    assert api_room.ask("DELETE", "/organisations/other", organisation="*").status_code == 428
    tag = api_room.ask("GET", "/organisations/other", organisation="*").headers["ETag"]
    gone = api_room.ask("DELETE", "/organisations/other", organisation="*", headers={"If-Match": tag})
    assert gone.status_code == 204
    assert api_room.ask("GET", "/messages", token=api_room.tokens["other"]).status_code == 401
