"""Destinations in the API: made, changed, tried, replayed, and their secrets shown to nobody."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from api_room import ApiRoom
from control_room import NOW
from mailveil.control.activityrecords import OutboxEntry
from mailveil.control.sharingrecords import DeadLetter

SPLUNK = {
    "name": "Splunk",
    "kind": "splunk",
    "address": "https://splunk.example:8088",
    "options": {"index": "mail"},
    "secret": "token-of-splunk",
    "events": ["alert.raised"],
    "least_score": 0.5,
}


def made(api_room: ApiRoom, **changes: Any) -> dict[str, Any]:
    answer = api_room.ask("POST", "/destinations", json={**SPLUNK, **changes})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/api/v1/destinations/{body['id']}"
    return body


def test_a_destination_is_made_listed_changed_and_removed(api_room: ApiRoom) -> None:
    body = made(api_room)
    assert (body["kind"], body["people"], body["tlp"], body["has_secret"]) == (
        "splunk",
        "none",
        "amber",
        True,
    )
    assert (body["secret"], body["waiting"], body["format"]) == (None, 0, "plain")
    path = f"/destinations/{body['id']}"
    order = {**SPLUNK, "name": "Other", "enabled": False}
    del order["secret"]
    changed = api_room.ask("PUT", path, json=order)
    assert (changed.json()["name"], changed.json()["enabled"], changed.json()["has_secret"]) == (
        "Other",
        False,
        True,
    )
    names = [each["name"] for each in api_room.ask("GET", "/destinations").json()["items"]]
    assert "Other" in names
    first = api_room.ask("GET", "/destinations?limit=1").json()
    second = api_room.ask("GET", f"/destinations?limit=1&cursor={first['next']}").json()
    assert [first["items"][0]["name"], second["items"][0]["name"]] == names[:2]
    for answer in (changed, api_room.ask("GET", path), api_room.ask("GET", "/audit")):
        assert "token-of-splunk" not in answer.text
    assert api_room.ask("DELETE", path).json()["name"] == "Other"
    assert api_room.ask("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"address": "http://splunk.example"}, "address"),
        ({"options": {"nonsense": "x"}}, "options"),
        ({"events": ["nonsense"]}, "events"),
        ({"kind": "collection"}, "kind"),
        ({"secret": ""}, "secret"),
    ],
)
def test_what_cannot_be_is_refused(api_room: ApiRoom, changes: dict[str, Any], field: str) -> None:
    answer = api_room.ask("POST", "/destinations", json={**SPLUNK, **changes})
    assert answer.status_code == 422
    assert field in answer.text
    assert "token-of-splunk" not in answer.text


def test_a_webhook_gets_a_secret_which_is_shown_once_and_rotated(api_room: ApiRoom) -> None:
    order = {"name": "Hook", "kind": "webhook", "address": "https://hook.example/in"}
    body = api_room.ask("POST", "/destinations", json=order).json()
    assert body["secret"].startswith("whsec_")
    path = f"/destinations/{body['id']}"
    assert body["secret"] not in api_room.ask("GET", path).text
    again = api_room.ask("POST", f"{path}/secret", json={}).json()
    assert again["secret"] not in (None, body["secret"])


def test_replaying_and_what_was_not_taken(api_room: ApiRoom) -> None:
    body = made(api_room, from_beginning=True)
    path = f"/destinations/{body['id']}"

    async def fill() -> None:
        store = api_room.control.room.sharing
        assert store is not None
        await store.append(
            [OutboxEntry("acme", f"e{n}", NOW, "alert.raised", "s", {"x": "ann@acme"}) for n in range(4)]
        )
        for entry in (await store.entries_after("acme", body["position"], 10))[-4:-2]:
            found = await store.destination("acme", body["id"])
            assert found is not None
            letter = DeadLetter(
                body["id"], "acme", entry.number, NOW, NOW, entry.kind, entry.subject, "it answers 400", entry.record,
                entry.identifier,
            )  # fmt: skip
            assert await store.bury(found, letter)

    asyncio.run(fill())
    dead = api_room.ask("GET", f"{path}/dead").json()["items"]
    assert [each["event"] for each in dead] == ["e1", "e0"]
    assert (dead[0]["problem"], dead[0]["retry"]) == ("it answers 400", False)
    assert "ann@acme" not in json.dumps(dead)
    state = api_room.ask("GET", path).json()
    assert (state["dead"], state["waiting"]) == (2, 2)
    assert api_room.ask("POST", f"{path}/dead/retry", json={"numbers": [dead[0]["number"]]}).json() == {
        "retried": 1
    }
    assert [each["retry"] for each in api_room.ask("GET", f"{path}/dead").json()["items"]] == [True, False]
    assert api_room.ask("POST", f"{path}/dead/forget", json={}).json() == {"removed": 2}
    assert api_room.ask("POST", f"{path}/replay", json={"number": 1}).json()["waiting"] >= 4
    assert api_room.ask("POST", f"{path}/replay", json={}).status_code == 422
    tried = api_room.ask("POST", f"{path}/test")
    assert tried.status_code == 422
    assert "[sharing] enabled" in tried.text
