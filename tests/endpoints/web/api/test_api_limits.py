"""Limits: a token makes so many requests in a minute, an address of strangers as many, and each is told so."""

from __future__ import annotations

import ipaddress

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


def test_behind_a_proxy_each_client_has_its_own_quota_and_none_chooses_it(
    control_room: ControlRoomForTests,
) -> None:
    proxies = (ipaddress.ip_network("10.0.0.0/8"),)
    room = made_room(control_room, requests_per_minute=3, trusted_proxies=proxies)

    def guess(client: str, forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return room.ask(
            "GET", "/messages", token="mvt_" + "a" * 43, client=client, headers=headers
        ).status_code

    assert [guess("10.0.0.1", "198.51.100.9") for _ in range(4)] == [401] * 3 + [429]
    assert guess("10.0.0.1", "203.0.113.1, 198.51.100.9") == 429, "what the client itself claims is nothing"
    assert guess("10.0.0.1", "198.51.100.10") == 401
    assert guess("::ffff:10.0.0.1", "198.51.100.9") == 429, "the same proxy over a socket for IPv6 too"
    assert [guess("192.0.2.66", f"198.51.100.{n}") for n in range(20, 24)] == [401] * 3 + [429]
    assert [guess("10.0.0.1", f"2001:db8:1:2::{n}") for n in range(1, 5)] == [401] * 3 + [429]
    headers = {"X-Forwarded-For": "198.51.100.77"}
    invitation = {"name": "willi", "role": "viewer"}
    room.ask("POST", "/users", json=invitation, client="10.0.0.1", headers=headers)
    (made,) = room.ask("GET", "/audit", params={"action": "user.create"}).json()["items"]
    assert made["address"] == "198.51.100.77"
