"""Limits: a token makes so many requests in a minute, an address of strangers as many, and each is told so."""

from __future__ import annotations

from api_room import ApiRoom, made_room
from control_room import ControlRoomForTests
from mailveil.endpoints.web.api.limits import MAX_KEYS, RateLimit


class StandingClock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_quota_is_there_at_once_and_comes_back_within_a_minute() -> None:
    clock = StandingClock()
    limit = RateLimit("requests", 60, clock)
    standings = [limit.take("a") for _ in range(61)]
    assert [each.left for each in standings[:3]] == [59, 58, 57]
    assert standings[0].policy == '"requests";q=60;w=60'
    assert standings[0].field == '"requests";r=59;t=1'
    assert standings[59].wait_s == 0
    assert standings[60].wait_s == 1
    assert standings[60].field == '"requests";r=0;t=60'
    assert limit.take("b").left == 59, "others have their own"
    clock.at += 1
    assert limit.take("a").wait_s == 0
    assert limit.take("a").wait_s == 1
    clock.at += 3600
    assert limit.take("a").left == 59


def test_many_keys_take_no_more_memory_than_some() -> None:
    limit = RateLimit("requests", 60, StandingClock())
    for number in range(MAX_KEYS + 100):
        limit.take(str(number))
    assert len(limit._buckets) == MAX_KEYS


def limited(control_room: ControlRoomForTests, requests: int, inspect: int = 1000) -> ApiRoom:
    return made_room(control_room, requests_per_minute=requests, inspect_per_minute=inspect)


def test_beyond_its_quota_a_token_is_told_when_to_come_again(control_room: ControlRoomForTests) -> None:
    room = limited(control_room, 3)
    answers = [room.ask("GET", "/trackers") for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=3;w=60'
    assert answers[0].headers["RateLimit"].startswith('"requests";r=2;t=')
    assert answers[3].json()["type"] == "urn:mailveil:problem:too-many-requests"
    assert 0 < int(answers[3].headers["Retry-After"]) <= 20
    assert room.ask("GET", "/trackers", organisation="other").status_code == 200, "another token has its own"


def test_examining_messages_has_a_quota_of_its_own(control_room: ControlRoomForTests) -> None:
    room = limited(control_room, 1000, 1)
    mail = {"Content-Type": "message/rfc822"}
    first = room.ask("POST", "/inspect", content=b"x", headers=mail)
    assert first.headers["RateLimit-Policy"] == '"requests";q=1000;w=60, "inspect";q=1;w=60'
    assert room.ask("POST", "/clean", content=b"x", headers=mail).status_code == 429
    assert room.ask("GET", "/trackers").status_code == 200


def test_guessing_tokens_costs_the_address_its_quota_and_nobody_else(
    control_room: ControlRoomForTests,
) -> None:
    room = limited(control_room, 3)
    assert room.ask("GET", "/trackers").status_code == 200, "known from here on"
    codes = [room.ask("GET", "/trackers", token=f"mvt_{number:043}").status_code for number in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    assert room.ask("GET", "/trackers").status_code == 200, "a good token at the same address still works"


def test_a_good_token_costs_its_address_nothing(control_room: ControlRoomForTests) -> None:
    room = limited(control_room, 3)
    for _ in range(3):
        room.ask("GET", "/trackers")
    assert room.ask("GET", "/trackers", token="").status_code == 401
    assert room.ask("GET", "/trackers", organisation="other").status_code == 200


def test_the_document_is_for_strangers_too_as_often_as_they_may(control_room: ControlRoomForTests) -> None:
    room = limited(control_room, 2)
    codes = [room.ask("GET", "/openapi.json", token="").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
