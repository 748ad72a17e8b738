"""Resources at the API: what each of them tells and does, as a program sees it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from api_room import PREFIX, ApiRoom, made_room, observation, replace_room
from control_room import NOW, ControlRoomForTests
from mailveil.control.messages import judged_anew, up_to_date
from mailveil.core.intelligence.types import InfrastructureFacts
from mailveil.core.verdicts.types import Finding, Kind, Risk, Verdict


def test_a_list_is_walked_part_by_part_and_nothing_comes_twice(control_room: ControlRoomForTests) -> None:
    room = made_room(control_room, messages=7)
    seen: list[str] = []
    path = "/messages?limit=3&risk=low"
    while path:
        answer = room.ask("GET", path)
        seen += [each["id"] for each in answer.json()["items"]]
        link = answer.headers.get("Link")
        assert (link is None) == (answer.json()["next"] is None)
        if link is not None:
            assert f"cursor={answer.json()['next']}" in link
            assert "risk=low" in link, "the filters stay"
            assert link.endswith('; rel="next"')
        path = link[1 : link.index(">")].removeprefix(PREFIX) if link else ""
    assert len(seen) == 7
    assert seen == sorted(room.messages["acme"], reverse=True)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("sender=acme-news.example", 3),
        ("sender=news@acme-news.example", 3),
        ("sender=elsewhere.example", 0),
        ("recipient=Ann@acme.example", 3),
        ("recipient=bob@acme.example", 0),
        ("text=plan", 3),
        ("text=nothing", 0),
        ("risk=medium", 3),
        ("risk=high", 0),
        ("operator=Operator of acme", 3),
        ("host=t.acme-news.example", 3),
        ("host=acme-news.example", 3),
        ("host=t.other-news.example", 0),
        ("has_trackers=true", 3),
        ("has_trackers=false", 0),
        ("has_remote=true", 3),
        ("changed=true", 3),
        ("changed=false", 0),
        ("since=2027-01-15T06:59:00Z", 2),
        ("since=2027-01-15T06:59:00Z&until=2027-01-15T07:00:00%2B00:00", 1),
        ("since=2027-01-15T08:59:00%2B02:00", 2),
    ],
)
def test_messages_are_found_by_every_filter(api_room: ApiRoom, query: str, count: int) -> None:
    answer = api_room.ask("GET", f"/messages?{query}")
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == count


def test_trackers_lead_to_the_messages_with_them(api_room: ApiRoom) -> None:
    (tracker,) = api_room.ask("GET", "/trackers").json()["items"]
    assert tracker["people"] == 1
    assert len(api_room.ask("GET", f"/messages?tracker={tracker['id']}").json()["items"]) == 3
    assert api_room.ask("GET", f"/trackers/{tracker['id']}").json() == tracker
    operator = api_room.ask("GET", "/operators/Operator of acme").json()
    assert operator["messages"] == 3


def test_what_lies_behind_a_tracker_is_told_with_what_it_shares(api_room: ApiRoom) -> None:
    (tracker,) = api_room.ask("GET", "/trackers").json()["items"]
    path = f"/trackers/{tracker['id']}/infrastructure"
    empty = api_room.ask("GET", path).json()
    assert (empty["host"], empty["name_servers"], empty["alike"]) == (tracker["host"], [], [])
    facts = InfrastructureFacts(
        tracker["host"], ("edge.hosting.example",), ("ns1.spy.example",), ("192.0.2.9",), "ab" * 32
    )

    async def find() -> None:
        other = replace(observation("acme").references[0], host="px.other.example", operator="")
        own = replace(other, host=tracker["host"])
        seen = replace(observation("acme"), identifier="f" * 32, at=NOW, references=(own, other))
        await api_room.control.room.observations.add([seen])
        store = api_room.control.room.infrastructure
        both = {each: replace(facts, host=each) for each in (tracker["host"], "px.other.example")}
        await store.found("acme", both, NOW)

    asyncio.run(find())
    told = api_room.ask("GET", path).json()
    assert (told["certificate"], told["addresses"]) == ("ab" * 32, ["192.0.2.9"])
    assert {each["role"]: each["hosts"] for each in told["alike"]}["certificate"] == ["px.other.example"]


class Remembering:
    """A judge's memory that has learnt that one tracker is worse than it seemed."""

    def __init__(self, verdicts: dict[str, Verdict]) -> None:
        self.known = verdicts

    async def verdicts(self, keys: Any) -> dict[str, Verdict]:
        return {key: self.known[key] for key in keys if key in self.known}


WORSE = Verdict(Finding.TRACKER, 0.999, (Kind.IDENTITY,), risk=Risk.HIGH)


def test_verdicts_are_told_as_they_stand_now_and_what_was_done_as_it_was(
    control_room: ControlRoomForTests,
) -> None:
    room = made_room(replace_room(control_room, memory=Remembering({"key-acme-0": WORSE})))
    message = f"/messages/{room.messages['acme'][0]}"
    first, second = room.ask("GET", f"{message}/references").json()["items"]
    assert (first["kind"], first["risk"], first["score"], first["action"]) == (
        "identity", "high", 0.999, "copy",
    )  # fmt: skip
    assert first["operator"] is None
    assert second["verdict"] == "content"
    assert room.ask("GET", message).json()["risk"] == "high"


def test_a_message_of_which_only_some_references_are_kept_never_seems_less_risky() -> None:
    made = observation("acme", risk="high", total_references=900)
    better = Verdict(Finding.CONTENT, 0.1, risk=Risk.NONE)
    assert up_to_date(made, {"key-acme-0": better}).risk == "high"
    whole = replace(made, total_references=2)
    assert up_to_date(whole, {"key-acme-0": better}).risk == "none"
    assert up_to_date(whole, {"key-acme-0": better}).total_trackers == 0
    assert judged_anew(made.references[0], better).action == "copy"


def test_copies_of_a_message_are_told_and_deleted_with_an_entry_on_record(api_room: ApiRoom) -> None:
    path = f"/messages/{api_room.messages['acme'][0]}/copies"
    items = api_room.ask("GET", path).json()["items"]
    assert [(each["position"], each["state"], each["width"]) for each in items] == [
        (0, "stored", 6), (1, "stored", 6),
    ]  # fmt: skip
    assert api_room.ask("DELETE", path).json() == {"removed": 2}
    assert sorted(api_room.copies.deleted) == ["p" * 40, "t" * 40]
    (entry,) = api_room.ask("GET", "/audit?action=copies.purge").json()["items"]
    assert entry["subject"] == api_room.messages["acme"][0]
    assert (entry["actor"], entry["actor_kind"]) == ("token of acme", "token")
    assert entry["address"] == "192.0.2.1"


def test_all_copies_are_for_whoever_belongs_to_all_organisations(api_room: ApiRoom) -> None:
    assert api_room.ask("GET", "/copies", organisation="*").json()["addresses"] == 3
    purge = {"before": "2026-01-01T00:00:00Z", "host": "img.example"}
    assert api_room.ask("POST", "/copies/purge", organisation="*", json=purge).json() == {"removed": 3}
    assert api_room.copies.deleted == ["before 1767225600.0", "img.example"]


def test_figures_series_and_top_agree(api_room: ApiRoom) -> None:
    period = "since=2027-01-15T00:00:00Z&until=2027-01-15T08:00:00Z"
    total = api_room.ask("GET", f"/statistics/figures?{period}").json()["figures"]
    steps = api_room.ask("GET", f"/statistics/series?{period}&step_hours=1").json()["steps"]
    assert total["messages"] == 3 == sum(each["figures"]["messages"] for each in steps)
    assert len(steps) == 8
    top = api_room.ask("GET", f"/statistics/top/sender_domain?{period}").json()["items"]
    assert top == [{"value": "acme-news.example", "messages": 3, "references": top[0]["references"]}]


@pytest.mark.parametrize(
    "query",
    [
        "since=2027-01-15T00:00:00Z&until=2027-01-14T00:00:00Z",
        "since=1990-01-01T00:00:00Z",
        "since=2028-01-01T00:00:00Z",
    ],
    ids=["backwards", "decades", "to come"],
)
def test_a_period_that_makes_no_sense_is_refused_at_once(api_room: ApiRoom, query: str) -> None:
    for path in ("figures", "series", "top/host"):
        assert api_room.ask("GET", f"/statistics/{path}?{query}").status_code == 422


def test_a_policy_is_tried_changed_exported_and_imported(api_room: ApiRoom) -> None:
    document = {
        "level": "strict",
        "rules": [{"id": "keep", "when": {"hosts": ["t.acme-news.example"]}, "then": {"action": "remove"}}],
    }
    trial = {"document": document, "since": "2027-01-15T00:00:00Z"}
    tried = api_room.ask("POST", "/policy/trial", json=trial)
    assert tried.status_code == 200, tried.text
    assert tried.json()["messages"] == 3
    assert tried.json()["changed_references"] >= 3
    assert api_room.ask("GET", "/policy").json()["version"] == 1, "nothing changed"
    tag = api_room.ask("GET", "/policy").headers["ETag"]
    changed = api_room.ask("PUT", "/policy", json={"document": document}, headers={"If-Match": tag})
    assert changed.json()["version"] == 2
    versions = api_room.ask("GET", "/policy/versions").json()["items"]
    assert [each["version"] for each in versions] == [2, 1]
    assert api_room.ask("GET", "/policy/versions/1").json()["document"]["level"] == "strict"
    assert any(each["rule"] == "rule:keep" for each in api_room.ask("GET", "/policy/rules").json()["items"])
    file = api_room.ask("GET", "/policy/file").json()["file"]
    assert file["policy"]["level"] == "strict"
    file["policy"]["level"] = "normal"
    planned = api_room.ask("POST", "/policy/file", json={"file": file, "dry_run": True}).json()
    assert (planned["done"], len(planned["changes"])) == (False, 1)
    assert api_room.ask("POST", "/policy/file", json={"file": file}).json()["done"]
    assert api_room.ask("GET", "/policy").json()["document"]["level"] == "normal"


def test_a_wrong_policy_is_refused_with_everything_that_is_wrong(api_room: ApiRoom) -> None:
    wrong = {"document": {"level": "sharp", "rulez": []}}
    answer = api_room.ask("PUT", "/policy", json=wrong, headers={"If-Match": "*"})
    assert answer.status_code == 422
    assert "sharp" in answer.json()["errors"][0]["detail"]
    assert "rulez" in answer.json()["errors"][0]["detail"]


def test_why_a_reference_was_treated_so_is_explained(api_room: ApiRoom) -> None:
    path = f"/messages/{api_room.messages['acme'][0]}/explanation"
    first, _ = api_room.ask("GET", path).json()["items"]
    assert first["rule"] == "level:normal"
    assert "normal" in first["words"]
    (action, *_) = [each for each in first["now"] if each["effect"] == "action"]
    assert (action["value"], action["rule"]) == ("blank", "level:strict")
    (only,) = api_room.ask("GET", f"{path}?position=1").json()["items"]
    assert only["position"] == 1


def test_a_partner_is_allowed_extended_and_revoked(api_room: ApiRoom) -> None:
    order = {"author": "partner.example", "hosts": [], "owner": "Ann", "reason": "by contract"}
    made = api_room.ask("POST", "/allowed", json={**order, "expires_at": "2027-02-01T00:00:00Z"})
    assert made.status_code == 201, made.text
    place = made.headers["Location"].removeprefix(PREFIX)
    longer = api_room.ask("PATCH", place, json={"expires_at": None}).json()
    assert longer["expires_at"] is None
    assert api_room.ask("DELETE", place).json()["revoked_at"] is not None
    listed = api_room.ask("GET", "/allowed").json()["items"]
    assert made.json()["id"] not in {each["id"] for each in listed}
    everything = api_room.ask("GET", "/allowed?all=true").json()["items"]
    assert made.json()["id"] in {each["id"] for each in everything}
    too_wide = api_room.ask("POST", "/allowed", json={**order, "author": "co.uk"})
    assert too_wide.status_code == 422
    assert too_wide.json()["errors"][0]["name"] == "author"


def test_an_original_is_read_only_with_leave_for_a_time_and_on_record(
    control_room: ControlRoomForTests,
) -> None:
    room = made_room(control_room)
    kept = observation("acme", 50, original="original-50")
    asyncio.run(control_room.room.observations.add([kept]))
    path = f"/messages/{kept.identifier}"
    assert room.ask("GET", f"{path}/original").status_code == 403
    order = {"reason": "The invoice is missing", "hours": 2}
    assert room.ask("POST", f"{path}/releases", json=order).status_code == 201
    read = room.ask("GET", f"{path}/original")
    assert read.headers["Content-Type"] == "message/rfc822"
    assert read.content == b"Subject: original original-50\r\n\r\nAs it came in.\r\n"
    assert len(room.ask("GET", f"{path}/releases").json()["items"]) == 1
    (entry,) = room.ask("GET", "/audit?action=original.read").json()["items"]
    assert entry["subject"] == kept.identifier
    room.control.clock.advance(3 * 3600)
    assert room.ask("GET", f"{path}/original").status_code == 403
    without = f"/messages/{room.messages['acme'][0]}"
    assert room.ask("POST", f"{without}/releases", json=order).status_code == 404


def test_a_report_is_decided(api_room: ApiRoom) -> None:
    path = f"/reports/{api_room.others['acme']['report']}"
    assert len(api_room.ask("GET", "/reports?state=open").json()["items"]) == 1
    decided = api_room.ask("PATCH", path, json={"state": "rejected", "note": "known shop"}).json()
    assert (decided["state"], decided["closed_by"], decided["note"]) == (
        "rejected", "token of acme", "known shop",
    )  # fmt: skip
    assert api_room.ask("GET", "/reports?state=open").json()["items"] == []


def test_a_person_is_exported_and_erased_and_the_trail_does_not_remember_them(api_room: ApiRoom) -> None:
    person = {"address": "ann@acme.example"}
    export = api_room.ask("POST", "/people/export", json=person).json()
    assert any(export["records"].values())
    assert api_room.ask("POST", "/people/erase", json=person).json()["removed"] > 0
    again = api_room.ask("POST", "/people/export", json=person).json()
    assert not any(again["records"].values())
    trail = api_room.ask("GET", "/audit").text
    assert "person.erase" in trail
    assert "ann@" not in trail


def test_a_user_is_invited_changed_and_given_another_link(api_room: ApiRoom) -> None:
    order = {"name": "bob@acme.example", "role": "viewer", "display_name": "Bob"}
    made = api_room.ask("POST", "/users", json=order)
    assert made.status_code == 201, made.text
    assert made.json()["secret"]
    place = made.headers["Location"].removeprefix(PREFIX)
    changed = api_room.ask("PATCH", place, json={"role": "analyst", "disabled": True}).json()
    assert (changed["role"], changed["disabled"]) == ("analyst", True)
    assert api_room.ask("POST", f"{place}/links").status_code == 422, "first he has to be let in again"
    api_room.ask("PATCH", place, json={"disabled": False})
    assert api_room.ask("POST", f"{place}/links").status_code == 201
    assert api_room.ask("POST", "/users", json={**order, "home": "other"}).status_code in (403, 409)
    twice = api_room.ask("POST", "/users", json=order)
    assert twice.status_code == 409
    assert made.json()["secret"] not in api_room.ask("GET", "/audit").text


def test_health_is_told_with_what_to_do(control_room: ControlRoomForTests) -> None:
    from mailveil.control.health import Condition, Measure

    async def health(*, anew: bool = False) -> list[Measure]:
        return [
            Measure("mail", "Next hop", Condition.OK, "answers"),
            Measure("storage", "Disk", Condition.WARN, "nearly full", remedy="make room"),
        ]

    room = made_room(control_room, health=health)
    told = room.ask("GET", "/health").json()
    assert (told["version"], told["condition"]) == ("1.2.3", "warn")
    assert told["measures"][1]["remedy"] == "make room"


def test_times_are_told_in_utc(api_room: ApiRoom) -> None:
    (newest, *_) = api_room.ask("GET", "/messages").json()["items"]
    assert NOW == 1_800_000_000
    assert newest["at"] == "2027-01-15T07:00:00.000Z"
