"""Repeated requests: a write with an idempotency key is done once, whoever asks how often, and whatever goes wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from api_room import ApiRoom
from mailveil.control.access import Permission
from mailveil.ports import UnavailableError
from postgres_room import DatabasePlace

ORDER = {"name": "siem", "scopes": ["messages:read"], "days": 30}
KEY = {"Idempotency-Key": '"order-17"'}


def tokens(room: ApiRoom, name: str = "siem") -> list[dict[str, Any]]:
    return [each for each in room.ask("GET", "/tokens").json()["items"] if each["name"] == name]


def test_the_same_request_is_answered_again_and_done_once(api_room: ApiRoom) -> None:
    first = api_room.ask("POST", "/tokens", json=ORDER, headers=KEY)
    again = api_room.ask("POST", "/tokens", json=ORDER, headers={"Idempotency-Key": "order-17"})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json(), "even the secret, which is shown once"
    assert first.headers["Location"] == again.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(tokens(api_room)) == 1


def test_twenty_at_once_are_done_once(api_room: ApiRoom) -> None:
    async def inside() -> list[Any]:
        asking = [api_room.asking("POST", "/tokens", json=ORDER, headers=KEY) for _ in range(20)]
        return await asyncio.gather(*asking)

    answers = asyncio.run(inside())
    codes = [each.status_code for each in answers]
    assert set(codes) <= {201, 409}
    assert codes.count(201) >= 1
    assert len({each.text for each in answers if each.status_code == 201}) == 1
    assert {each.json()["type"] for each in answers if each.status_code == 409} <= {
        "urn:mailveil:problem:under-way"
    }
    assert len(tokens(api_room)) == 1


def test_a_key_belongs_to_one_request(api_room: ApiRoom) -> None:
    api_room.ask("POST", "/tokens", json=ORDER, headers=KEY)
    other = api_room.ask("POST", "/tokens", json={**ORDER, "days": 31}, headers=KEY)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:mailveil:problem:idempotency-key-reused"
    elsewhere = api_room.ask("POST", "/people/erase", json={"address": "ann@acme.example"}, headers=KEY)
    assert elsewhere.status_code == 422
    assert len(tokens(api_room)) == 1


def test_a_key_of_one_token_means_nothing_to_another(api_room: ApiRoom) -> None:
    first = api_room.ask("POST", "/tokens", json=ORDER, headers=KEY)
    theirs = api_room.ask("POST", "/tokens", json=ORDER, headers=KEY, organisation="other")
    assert theirs.status_code == 201
    assert theirs.json()["secret"] != first.json()["secret"]


def test_what_came_to_nothing_may_be_tried_again_with_the_same_key(api_room: ApiRoom) -> None:
    wrong = api_room.ask("POST", "/tokens", json={**ORDER, "days": 0}, headers=KEY)
    assert wrong.status_code == 422
    assert api_room.ask("POST", "/tokens", json=ORDER, headers=KEY).status_code == 201


def test_a_write_that_breaks_leaves_the_key_free(api_room: ApiRoom, monkeypatch: Any) -> None:
    async def away(*args: Any) -> None:
        raise UnavailableError("the database does not answer")

    accounts = type(api_room.control.room.accounts)
    with monkeypatch.context() as patch:
        patch.setattr(accounts, "put_token", away)
        answer = api_room.ask("POST", "/tokens", json=ORDER, headers=KEY)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert api_room.ask("POST", "/tokens", json=ORDER, headers=KEY).status_code == 201


def test_kept_answers_are_readable_by_the_token_that_asked_alone(
    api_room: ApiRoom, sqlite_database: DatabasePlace
) -> None:
    secret = api_room.ask("POST", "/tokens", json=ORDER, headers=KEY).json()["secret"]
    path = Path(sqlite_database.address.partition("///")[2])
    with sqlite3.connect(path) as database:
        ((body,),) = database.execute("SELECT body FROM repeats").fetchall()
    database.close()
    assert body
    for file in path.parent.glob(path.name + "*"):
        assert secret.encode() not in file.read_bytes(), file.name


def test_a_malformed_key_is_refused(api_room: ApiRoom) -> None:
    for key in ("", " ", '"', "a" * 201, 'a"b', "sch\u00f6n"):
        answer = api_room.ask(
            "POST", "/tokens", json=ORDER, headers={"Idempotency-Key": key.encode("latin-1")}
        )
        assert answer.status_code == 422, key
    assert tokens(api_room) == []


def test_a_token_without_the_scope_learns_nothing_by_a_key(api_room: ApiRoom) -> None:
    api_room.ask("POST", "/tokens", json=ORDER, headers=KEY)
    poor = asyncio.run(api_room.token("acme", Permission.MESSAGES_READ))
    assert api_room.ask("POST", "/tokens", json=ORDER, headers=KEY, token=poor).status_code == 403
