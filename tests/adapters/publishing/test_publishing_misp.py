"""Pushing to a MISP: one event for each subject, however often it is told, and what was wrong is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymisp import MISPEvent, PyMISP

from http_room import http_room
from mailveil.control.sharingrecords import Destination, DestinationKind
from mailveil.core.intelligence.types import AnalystVerdict, Tooling
from mailveil.core.sharing.misp import activity_event, uuid_of
from mailveil.core.sharing.types import SharedEvent
from mailveil.ports import DeliveryError
from misp_room import KEY, FakeMisp
from sharing_room import maker
from stix_values import ACTIVITY, ALERT, AT, TRACKER, activity, event

Publish = Callable[..., Awaitable[None]]


def with_misp(
    tmp_path: Path,
    steps: Callable[[FakeMisp, Publish], Awaitable[None]],
    *,
    key: str = KEY,
    path: str = "/",
    **options: Any,
) -> FakeMisp:
    """Run steps with a MISP at work and what publishes to it."""
    misp = FakeMisp()

    async def run() -> None:
        async with http_room(misp) as port:
            there = Destination(
                "d", "default", "MISP", DestinationKind.MISP, f"http://127.0.0.1:{port}{path}", secret=key,
                options=options,
            )  # fmt: skip
            publisher = maker(tmp_path).publisher(there)

            async def publish(*events: SharedEvent) -> None:
                await publisher.publish(events)

            try:
                await steps(misp, publish)
            finally:
                await publisher.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    return misp


def to_ids(misp: FakeMisp) -> dict[str, bool]:
    (kept,) = misp.events.values()
    return {each["value"]: each["to_ids"] for each in kept["Attribute"]}


def test_an_event_is_added_once_and_edited_from_then_on(tmp_path: Path) -> None:
    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(ACTIVITY, 1))
        await publish(event(activity(changed_at=AT + 60, actor="other-evil.example"), 2), event(ALERT, 3))

    misp = with_misp(tmp_path, steps)
    (kept,) = misp.events.values()
    assert kept["uuid"] == uuid_of(activity_event(ACTIVITY))
    assert kept["info"] == "Reconnaissance by mail: other-evil.example"
    assert [path.rpartition("/")[0] or path for method, path in misp.calls if method == "POST"] == [
        "events", "events/edit",
    ]  # fmt: skip


def test_what_comes_twice_changes_nothing(tmp_path: Path) -> None:
    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(ACTIVITY, 1), event(ACTIVITY, 1))
        before = dict(misp.events)
        await publish(event(ACTIVITY, 1))
        assert misp.events == before

    assert sum(method == "POST" for method, _ in with_misp(tmp_path, steps).calls) == 1


def test_two_changes_within_a_second_both_arrive(tmp_path: Path) -> None:
    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(activity(changed_at=AT + 0.1), 1))
        await publish(event(activity(changed_at=AT + 0.2, actor="b-evil.example"), 2))
        await publish(event(activity(changed_at=AT + 0.3, actor="c-evil.example"), 3))

    (kept,) = with_misp(tmp_path, steps).events.values()
    assert kept["info"].endswith("c-evil.example")


def test_what_was_dismissed_detects_nothing_any_more(tmp_path: Path) -> None:
    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(ACTIVITY, 1))
        assert to_ids(misp)["deals-evil.example"]
        # What an analyst there added is theirs.
        (kept,) = misp.events.values()
        kept["Attribute"].append(
            {
                "uuid": "11111111-1111-4111-8111-111111111111", "type": "domain", "category": "Network activity",
                "value": "theirs.example", "to_ids": True,
            }
        )  # fmt: skip
        gone = activity(verdict=AnalystVerdict.BENIGN, changed_at=AT + 60, infrastructure=(), probes=())
        await publish(event(gone, 2))
        found = to_ids(misp)
        assert found.pop("theirs.example") is True
        assert not any(found.values())

    (kept,) = with_misp(tmp_path, steps).events.values()
    assert kept["info"].startswith("Dismissed: ")


def test_what_was_never_told_need_not_be_taken_back(tmp_path: Path) -> None:
    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(activity(verdict=AnalystVerdict.BENIGN), 1))
        await publish(event(replace(TRACKER, tooling=Tooling.BOUGHT), 2))

    assert with_misp(tmp_path, steps).events == {}


def test_a_tracker_that_turned_out_to_be_a_vendors_detects_nothing_any_more(tmp_path: Path) -> None:
    exact = replace(TRACKER, template="https://t.built.example/a.gif")

    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(exact, 1))
        assert to_ids(misp)["https://t.built.example/a.gif"] is True
        await publish(event(replace(exact, tooling=Tooling.BOUGHT), 2))
        assert not any(to_ids(misp).values())

    with_misp(tmp_path, steps)


def test_an_event_that_another_added_meanwhile_is_edited(tmp_path: Path) -> None:
    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(ACTIVITY, 1))
        misp.hidden_once |= set(misp.events)
        await publish(event(activity(changed_at=AT + 60, actor="later-evil.example"), 2))

    (kept,) = with_misp(tmp_path, steps).events.values()
    assert kept["info"].endswith("later-evil.example")


def test_a_test_shows_the_key_and_changes_nothing(tmp_path: Path) -> None:
    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(None))

    misp = with_misp(tmp_path, steps)
    assert misp.calls == [("GET", "servers/getVersion")]

    with pytest.raises(DeliveryError, match="403"):
        with_misp(tmp_path, steps, key="wrong")


def test_options_say_whether_it_is_published_and_how_far_it_goes(tmp_path: Path) -> None:
    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(ACTIVITY, 1))

    (kept,) = with_misp(tmp_path, steps).events.values()
    assert (kept["published"], str(kept["distribution"])) == (False, "1")
    (kept,) = with_misp(tmp_path, steps, published=True, distribution=0).events.values()
    assert (kept["published"], str(kept["distribution"])) == (True, "0")


@pytest.mark.parametrize(
    ("trouble", "key", "is_permanent", "is_outage", "words"),
    [
        ("", "wrong", False, True, "403"),
        ("blocked", KEY, True, False, "block list"),
        ("stranger", KEY, True, False, "another organisation"),
        ("down", KEY, False, True, "503"),
        ("page", KEY, False, True, "no MISP"),
    ],
)
def test_refusals_are_told_apart(
    tmp_path: Path, trouble: str, key: str, is_permanent: bool, is_outage: bool, words: str
) -> None:
    async def steps(misp: FakeMisp, publish: Publish) -> None:
        uuid = uuid_of(activity_event(ACTIVITY))
        match trouble:
            case "blocked":
                misp.blocked.add(uuid)
            case "stranger":
                await publish(event(ACTIVITY, 0))
                misp.others.add(uuid)
            case "down":
                misp.down = 503
            case "page":
                misp.down = 200
        told = activity(changed_at=AT + 60, actor="b-evil.example")
        with pytest.raises(DeliveryError, match=words) as caught:
            await publish(event(ALERT, 1), event(told, 2))
        assert (caught.value.is_permanent, caught.value.is_outage) == (is_permanent, is_outage)
        assert caught.value.taken == 1
        assert KEY not in str(caught.value)

    with_misp(tmp_path, steps, key=key)


def test_pymisp_takes_our_misp_for_one_and_reads_what_was_pushed(tmp_path: Path) -> None:
    misp = FakeMisp()

    def visit(address: str) -> None:
        client = PyMISP(address, KEY)
        try:
            found = client.get_event(uuid_of(activity_event(ACTIVITY)), pythonify=True)
            assert isinstance(found, MISPEvent)
            assert {each.value for each in found.attributes} >= {"deals-evil.example", "px-evil.example"}
            assert client.add_event(found)["errors"][0] == 404  # type: ignore[index]
            assert client.update_event(found)["errors"][0] == 403  # type: ignore[index]
            found.timestamp = AT + 99
            found.info = "Changed there"
            changed = client.update_event(found, pythonify=True)
            assert isinstance(changed, MISPEvent)
            assert changed.info == "Changed there"
        finally:
            client._PyMISP__session.close()  # type: ignore[attr-defined]  # it has no other way

    async def run() -> None:
        async with http_room(misp) as port:
            address = f"http://127.0.0.1:{port}/"
            there = Destination("d", "default", "MISP", DestinationKind.MISP, address, secret=KEY)
            publisher = maker(tmp_path).publisher(there)
            await publisher.publish([event(ACTIVITY, 1)])
            await publisher.close()
            await asyncio.to_thread(visit, address)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_only_what_turned_out_to_be_wrong_detects_nothing_any_more(tmp_path: Path) -> None:
    url = "https://px-evil.example/open/a.gif"
    shared = tuple(
        replace(each, shared=each.value == "deals-evil.example" or each.shared)
        for each in ACTIVITY.infrastructure
    )

    async def steps(misp: FakeMisp, publish: Publish) -> None:
        await publish(event(activity(probes=(replace(ACTIVITY.probes[0], template=url),)), 1))
        await publish(event(activity(changed_at=AT + 60, infrastructure=shared, total_probes=9), 2))
        last = event(activity(changed_at=AT + 60, infrastructure=shared, total_probes=9), 3)
        before = len(misp.calls)
        await publish(last)
        assert all(method == "GET" for method, _ in misp.calls[before:])

    misp = with_misp(tmp_path, steps)
    assert to_ids(misp)[url], "a probe that is not among the latest is no mistake"
    assert not to_ids(misp)["deals-evil.example"]
    (kept,) = misp.events.values()
    assert sum(each["type"] == "comment" for each in kept["Attribute"]) == 1
