"""Hostile requests: whatever comes is answered with a problem, at once, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from api_room import ApiRoom, made_room
from control_room import ControlRoomForTests
from mailveil.ports import EngineError, UnavailableError

JSON = {"Content-Type": "application/json"}
MAIL = {"Content-Type": "message/rfc822"}


def problem(answer: Any, status: int, name: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["type"] == f"urn:mailveil:problem:{name}"
    assert told["status"] == status
    return told


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"nul", "is no JSON"),
        (b'{"name": "\xff"}', "is not UTF-8"),
        (b"\xef\xbb\xbf{}", "is no JSON"),
        (b"[" * 100_000, "is nested"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "is nested"),
        (b'{"days": ' + b"9" * 100_000 + b"}", "too large"),
        (b'{"days": -9007199254740993}', "too large"),
        (b'{"days": 1e999}', "too large"),
        (b'{"days": NaN}', "is no number"),
        (b'{"name": "a\\u0000b"}', "NUL"),
        (b'{"na\\u0000me": "b"}', "NUL"),
        (b'{"name": "\\ud800"}', "surrogate"),
        (b'{"name": "a", "name": "b"}', "twice"),
    ],
    ids=[
        "empty", "cut off", "no value", "no UTF-8", "a byte order mark", "deep lists", "deep objects", "a huge integer",
        "an integer that is not exact", "a huge number", "no number", "NUL", "NUL in a name", "half a pair",
        "a member twice",
    ],
)  # fmt: skip
def test_what_is_no_plain_json_is_refused_with_the_reason(api_room: ApiRoom, body: bytes, why: str) -> None:
    answer = api_room.ask("POST", "/tokens", content=body, headers=JSON)
    told = problem(answer, 422, "invalid")
    assert why in told["errors"][0]["detail"]
    assert told["errors"][0]["in"] == "body"


def test_each_wrong_field_is_named(api_room: ApiRoom) -> None:
    order = {"name": "", "days": "30", "scopes": [], "admin": True}
    told = problem(api_room.ask("POST", "/tokens", json=order), 422, "invalid")
    assert {each["name"] for each in told["errors"]} == {"name", "days", "scopes", "admin"}


def test_a_body_that_is_too_large_is_not_read_to_its_end(api_room: ApiRoom) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 65_536

    answer = api_room.ask("POST", "/tokens", content=endless(), headers=JSON)
    problem(answer, 413, "too-large")
    assert answer.headers["Connection"] == "close"
    declared = api_room.ask("POST", "/tokens", content=b"{}", headers={**JSON, "Content-Length": "1" * 30})
    problem(declared, 413, "too-large")
    problem(api_room.ask("GET", "/messages", content=b"x"), 413, "too-large")


def test_a_message_of_the_largest_size_is_examined_and_one_byte_more_is_not(
    control_room: ControlRoomForTests,
) -> None:
    room = made_room(control_room, max_message_bytes=1_000_000)
    assert room.ask("POST", "/inspect", content=b"x" * 1_000_000, headers=MAIL).status_code == 200
    problem(room.ask("POST", "/inspect", content=b"x" * 1_000_001, headers=MAIL), 413, "too-large")
    problem(room.ask("POST", "/clean", content=b"x" * 50_000_000, headers=MAIL), 413, "too-large")
    assert [len(each) for each in room.engine.seen] == [1_000_000]


def test_nobody_without_a_token_has_a_body_read(api_room: ApiRoom) -> None:
    async def endless() -> Any:
        raise AssertionError("it was read")
        yield b""

    for path in ("/inspect", "/tokens"):
        assert api_room.ask("POST", path, token="", content=endless(), headers=MAIL).status_code == 401


def test_other_media_types_are_refused_and_the_right_one_is_named(api_room: ApiRoom) -> None:
    form = api_room.ask("POST", "/tokens", data={"name": "a"})
    problem(form, 415, "unsupported-media-type")
    assert form.headers["Accept"] == "application/json"
    text = api_room.ask("POST", "/inspect", content=b"a", headers={"Content-Type": "text/plain"})
    problem(text, 415, "unsupported-media-type")
    assert text.headers["Accept"] == "message/rfc822"


def test_who_takes_no_json_is_told_so(api_room: ApiRoom) -> None:
    for accept in ("text/html", "application/json;q=0", "application/*;q=0, text/*", "*/*;q=0", "x"):
        problem(api_room.ask("GET", "/messages", headers={"Accept": accept}), 406, "not-acceptable")
    for accept in ("*/*", "application/*", "text/html, application/json;q=0.1", ""):
        assert api_room.ask("GET", "/messages", headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["rsik=high", "limit=1&limit=2", "limit=0", "limit=201", "limit=+5", "limit=1e1", "limit=%D9%A3",
     "has_trackers=yes", "since=yesterday", "since=1700000000", "since=2026-02-30T00:00:00Z",
     "since=2026-01-01T00:00:00", "cursor=abc", "cursor=..", "text=%00", "risk=severe"],
)  # fmt: skip
def test_a_query_that_the_document_does_not_know_is_refused(api_room: ApiRoom, query: str) -> None:
    told = problem(api_room.ask("GET", f"/messages?{query}"), 422, "invalid")
    assert told["errors"][0]["name"] == query.partition("=")[0]


def test_identifiers_of_any_kind_find_nothing_and_break_nothing(api_room: ApiRoom) -> None:
    for name in ("%00", "..%2f..%2fetc", "%ff%fe", "'%20OR%201=1", "a" * 5000, "%F0%9F%98%80", "*", "%25"):
        answer = api_room.ask("GET", f"/messages/{name}")
        assert answer.status_code in (404, 422), name
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_database_that_is_away_is_a_problem_with_a_time_to_come_again(
    api_room: ApiRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*args: Any) -> None:
        raise UnavailableError("the database does not answer (secret detail)")

    monkeypatch.setattr(type(api_room.control.room.accounts), "token", away)
    answer = api_room.ask("GET", "/messages")
    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert "secret detail" not in answer.text


def test_what_nobody_thought_of_is_told_to_the_log_without_a_word_of_the_request(
    api_room: ApiRoom, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*args: Any, **more: Any) -> None:
        raise RuntimeError(f"cannot {args} {more}")

    monkeypatch.setattr(type(api_room.control.room.observations), "messages", broken)
    with caplog.at_level(logging.DEBUG):
        answer = api_room.ask("GET", "/messages?text=confidential")
    told = problem(answer, 500, "internal-error")
    assert "detail" not in told
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("mailveil")]
    assert any("RuntimeError" in each for each in ours)
    assert not any("confidential" in each for each in ours)


def test_a_message_that_kills_its_worker_is_a_problem(api_room: ApiRoom) -> None:
    api_room.engine.error = EngineError("crashed")
    problem(api_room.ask("POST", "/inspect", content=b"x", headers=MAIL), 422, "unexaminable")
    api_room.engine.error = UnavailableError("no workers")
    problem(api_room.ask("POST", "/clean", content=b"x", headers=MAIL), 503, "unavailable")


def test_text_that_is_no_unicode_is_answered_as_json_all_the_same(api_room: ApiRoom) -> None:
    answer = api_room.ask("POST", "/inspect", content=b"x", headers=MAIL)
    assert json.loads(answer.content.decode("utf-8"))["from"] == "\ufffd"


def test_more_messages_at_once_than_there_are_places_are_turned_away(
    control_room: ControlRoomForTests,
) -> None:
    room = made_room(control_room, inspections=2)

    async def inside() -> list[Any]:
        room.engine.hold = asyncio.Event()
        first = [
            asyncio.ensure_future(room.asking("POST", "/inspect", content=b"x", headers=MAIL))
            for _ in range(2)
        ]
        while len(room.engine.seen) < 2:
            await asyncio.sleep(0.01)
        late = await room.asking("POST", "/inspect", content=b"x", headers=MAIL)
        room.engine.hold.set()
        return [late, *await asyncio.gather(*first)]

    late, *first = asyncio.run(inside())
    problem(late, 503, "unavailable")
    assert int(late.headers["Retry-After"]) > 0
    assert [each.status_code for each in first] == [200, 200]
    assert room.ask("POST", "/inspect", content=b"x", headers=MAIL).status_code == 200


def test_head_and_options_are_answered_for_everything_there_is(api_room: ApiRoom) -> None:
    got = api_room.ask("GET", "/messages")
    head = api_room.ask("HEAD", "/messages")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(got.content))
    assert head.headers["ETag"] == got.headers["ETag"]
    options = api_room.ask("OPTIONS", "/tokens", token="", headers={"Origin": "https://elsewhere.example"})
    assert options.status_code == 204
    assert options.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert not any(name.startswith("access-control") for name in options.headers)
    wrong = api_room.ask("PUT", "/tokens")
    problem(wrong, 405, "method-not-allowed")
    assert wrong.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    problem(api_room.ask("GET", "/nothing"), 404, "not-found")
    problem(api_room.ask("GET", "/messages/"), 404, "not-found")


def test_no_answer_is_kept_by_anybody_on_its_way(api_room: ApiRoom) -> None:
    for answer in (
        api_room.ask("GET", "/messages"),
        api_room.ask("GET", "/nothing"),
        api_room.ask("GET", "/messages", token=""),
        api_room.ask("GET", "/openapi.json", token=""),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers
