"""Destinations: checked, tried, replayed; secrets go in and never come out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from control_room import NOW, ControlRoomForTests, actor
from mailveil.control.access import ForbiddenError, Role
from mailveil.control.activityrecords import OutboxEntry
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import Cut
from mailveil.control.room import ControlRoom
from mailveil.control.sharing import (
    ROTATION_S,
    DestinationOrder,
    change_destination,
    forget_dead,
    list_dead,
    list_destinations,
    make_destination,
    read_destination,
    remove_destination,
    replay,
    retry_dead,
    rotate_secret,
    test_destination,
)
from mailveil.control.sharingrecords import DeadLetter, Destination, DestinationKind
from mailveil.control.stores import ConflictError
from mailveil.control.webhookkeys import parse_webhook_keys
from mailveil.core.sharing.types import EventKind, PeopleShared, SharedEvent
from mailveil.ports import DeliveryError, Publisher

test_destination.__test__ = False  # type: ignore[attr-defined]  # the use case, no test

SPLUNK = DestinationOrder(
    "Splunk", DestinationKind.SPLUNK, "https://splunk.example:8088", secret="token-of-splunk"
)
HOOK = DestinationOrder("Hook", DestinationKind.WEBHOOK, "https://hook.example/in?t=path-secret")
SYSLOG = DestinationOrder("Syslog", DestinationKind.SYSLOG, "tls://siem.example")


@dataclass
class Publishers:
    """Takes events, unless told to refuse them or the destination."""

    objections: str = ""
    error: Exception | None = None
    sent: list[SharedEvent] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    closed: int = 0

    async def objection(self, destination: Destination) -> str:
        del destination
        return self.objections

    def publisher(self, destination: Destination) -> Publisher:
        self.secrets.append(destination.secret)
        return self

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        if self.error is not None:
            raise self.error
        self.sent.extend(events)

    async def close(self) -> None:
        self.closed += 1


def stored(room: ControlRoom) -> Any:
    assert room.sharing is not None
    return room.sharing


async def events(room: ControlRoom, count: int, organisation: str = "default") -> None:
    made = [
        OutboxEntry(organisation, f"e{n}", NOW + n, "alert.raised", f"s{n}", {"people": ["ann@acme.example"]})
        for n in range(count)
    ]
    await stored(room).append(made)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"address": "http://splunk.example"}, "plain_http"),
        ({"address": "https://u:p@splunk.example"}, "no password"),
        ({"address": "https://splunk.example/\r\nx"}, "ASCII"),
        ({"address": "file:///etc/passwd"}, "https://"),
        ({"address": "https://[::1"}, "URL"),
        ({"format": "xml"}, "plain, ecs"),
        ({"events": ("nonsense",)}, "activity.opened"),
        ({"events": ("test",)}, "no event"),
        ({"least_score": 1.5}, "0 to 1"),
        ({"least_score": float("nan")}, "0 to 1"),
        ({"options": {"indx": "a"}}, "no option 'indx'"),
        ({"options": {"index": "a b"}}, "without blanks"),
        ({"options": {"ca_pem": "/etc/ssl/cert.pem"}}, "PEM"),
        ({"secret": ""}, "token"),
        ({"secret": "tok\nen"}, "cannot be sent"),
        ({"kind": DestinationKind.COLLECTION}, "always there"),
        ({"kind": DestinationKind.JSON_LINES, "address": "../../etc/passwd", "secret": None}, "name of a file"),
        ({"kind": DestinationKind.JSON_LINES, "address": "a..b", "secret": None}, "name of a file"),
        ({"kind": DestinationKind.JSON_LINES, "address": "a.jsonl"}, "no secret"),
        ({"kind": DestinationKind.SYSLOG, "address": "siem.example", "secret": None}, "udp://"),
        ({"kind": DestinationKind.SYSLOG, "address": "tls://a/b", "secret": None}, "udp://"),
        ({"kind": DestinationKind.SYSLOG, "address": "tls://a:70000", "secret": None}, "udp://"),
        ({"kind": DestinationKind.SYSLOG, "address": "tls://a", "secret": "x"}, "private key"),
        (
            {"kind": DestinationKind.SYSLOG, "address": "tls://a", "secret": "-----BEGIN PRIVATE KEY-----"},
            "belong together",
        ),
        (
            {"kind": DestinationKind.SYSLOG, "address": "udp://a", "secret": None, "options": {"facility": "x"}},
            "one of",
        ),
        (
            {"kind": DestinationKind.SYSLOG, "address": "udp://a", "secret": None, "options": {"max_bytes": True}},
            "whole number",
        ),
        ({"kind": DestinationKind.WEBHOOK, "secret": "whsec_short"}, "24 to 64"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_words_that_help(
    control_room: ControlRoomForTests, changes: dict[str, Any], words: str
) -> None:
    async def inside() -> None:
        with pytest.raises(InvalidError, match=words) as caught:
            await make_destination(control_room.room, actor(), replace(SPLUNK, **changes))
        assert "token-of-splunk" not in str(caught.value)
        assert await list_destinations(control_room.room, actor()) == []

    asyncio.run(inside())


def test_what_is_made_is_shown_without_its_secret_and_written_down(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await events(room, 3)
        made = await make_destination(room, actor(), replace(SPLUNK, people=PeopleShared.CLEAR))
        assert made.secret == ""
        assert made.view.has_secret
        assert made.view.destination.format == "plain"
        assert made.view.destination.position == 3, "it begins at now"
        control_room.clock.advance(1)
        whole = replace(SPLUNK, name="All", secret="x")
        old = await make_destination(room, actor(), whole, from_beginning=True)
        assert old.view.destination.position == 0
        seen = await list_destinations(room, actor())
        assert [(each.destination.name, each.standing.waiting) for each in seen] == [
            ("All", 3),
            ("Splunk", 0),
        ]
        trail = await control_room.audit_trail()
        assert [each.action for each in trail] == ["destination.create"] * 2
        assert trail[1].details["people"] == "clear"
        for shown in (
            made,
            old,
            seen,
            trail,
            await read_destination(room, actor(), made.view.destination.identifier),
        ):
            assert "token-of-splunk" not in repr(shown)
        assert (await stored(room).destinations("default"))[1].secret == "token-of-splunk"
        with pytest.raises(ConflictError, match="already"):
            await make_destination(room, actor(), replace(SPLUNK, name="splunk"))

    asyncio.run(inside())


def test_rights_and_organisations_are_kept_apart(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await control_room.organisation("acme")
        made = (await make_destination(room, actor(), SPLUNK)).view.destination
        analyst, stranger = actor(Role.ANALYST), actor(organisation="acme")
        assert len(await list_destinations(room, analyst)) == 1
        with pytest.raises(ForbiddenError):
            await list_destinations(room, actor(Role.VIEWER))
        for who, error in ((analyst, ForbiddenError), (stranger, MissingError)):
            for attempt in (
                change_destination(room, who, made.identifier, SPLUNK),
                remove_destination(room, who, made.identifier),
                test_destination(room, who, made.identifier),
                rotate_secret(room, who, made.identifier),
                replay(room, who, made.identifier, number=1),
                retry_dead(room, who, made.identifier),
                forget_dead(room, who, made.identifier),
            ):
                with pytest.raises(error):
                    await attempt
        with pytest.raises(MissingError):
            await list_dead(room, stranger, made.identifier, Cut())
        with pytest.raises(ForbiddenError):
            await make_destination(room, analyst, SPLUNK)

    asyncio.run(inside())


def test_a_secret_does_not_follow_a_changed_address(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        made = (await make_destination(room, actor(), SPLUNK)).view
        identifier = made.destination.identifier
        elsewhere = replace(made.order, address="https://thief.example:8088")
        with pytest.raises(InvalidError, match="another system"):
            await change_destination(room, actor(), identifier, elsewhere)
        plain = replace(made.order, address="http://splunk.example:8088", options={"plain_http": True})
        with pytest.raises(InvalidError, match="another system"):
            await change_destination(room, actor(), identifier, plain)
        renamed = await change_destination(
            room, actor(), identifier, replace(made.order, name="B", address=SPLUNK.address + "/services")
        )
        assert renamed.view.has_secret
        assert (await stored(room).destination("default", identifier)).secret == "token-of-splunk"
        with pytest.raises(InvalidError, match="kind"):
            await change_destination(
                room, actor(), identifier, replace(elsewhere, kind=DestinationKind.WEBHOOK)
            )
        moved = await change_destination(room, actor(), identifier, replace(elsewhere, secret="other"))
        assert moved.view.destination.address == "https://thief.example:8088"

    asyncio.run(inside())


def test_the_secret_of_a_webhook_is_shown_once_and_rotated_with_both_good_for_a_day(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        room, clock = control_room.room, control_room.clock
        made = await make_destination(room, actor(), HOOK)
        identifier = made.view.destination.identifier
        assert made.secret.startswith("whsec_")
        again = await change_destination(room, actor(), identifier, replace(made.view.order, name="New"))
        assert again.secret == ""
        rotated = await rotate_secret(room, actor(), identifier)
        assert rotated.secret not in ("", made.secret)
        keys = parse_webhook_keys((await stored(room).destination("default", identifier)).secret)
        assert keys.signing(clock.now()) == (rotated.secret, made.secret)
        assert keys.signing(clock.now() + ROTATION_S) == (rotated.secret,)
        own = "whsec_" + "QUJD" * 8
        assert (await rotate_secret(room, actor(), identifier, own)).secret == ""
        trail = repr(await control_room.audit_trail())
        for secret in (made.secret, rotated.secret, own, "path-secret"):
            assert secret not in trail
        other = await make_destination(room, actor(), SPLUNK)
        with pytest.raises(InvalidError, match="webhooks"):
            await rotate_secret(room, actor(), other.view.destination.identifier)

    asyncio.run(inside())


def test_the_test_event_is_sent_at_once_and_its_failure_told(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        publishers = Publishers()
        room = replace(control_room.room, publishers=publishers)
        made = (await make_destination(room, actor(), SPLUNK)).view.destination
        assert await test_destination(room, actor(), made.identifier) is not None
        (event,) = publishers.sent
        assert (event.kind, event.organisation, event.number) == (EventKind.TEST, "Default", 0)
        assert (event.activity, event.alert, event.tracker) == (None, None, None)
        assert publishers.secrets == ["token-of-splunk"]
        control_room.clock.advance(1)
        publishers.error = DeliveryError("it answers 403", is_permanent=True)
        trial = await test_destination(room, actor(), made.identifier)
        assert (trial.arrived, trial.problem) == (False, "it answers 403")
        assert publishers.closed == 2
        arrived = [
            each.details["arrived"] for each in await control_room.audit_trail(action="destination.test")
        ]
        assert arrived == [False, True]
        with pytest.raises(InvalidError, match=r"\[sharing\] enabled"):
            await test_destination(control_room.room, actor(), made.identifier)

    asyncio.run(inside())


def test_whoever_mends_a_destination_does_not_wait_for_its_next_turn(
    control_room: ControlRoomForTests,
) -> None:
    async def inside() -> None:
        publishers = Publishers()
        room = replace(control_room.room, publishers=publishers)
        store = stored(room)

        async def in_trouble(identifier: str) -> None:
            found = await store.destination("default", identifier)
            assert await store.put_off(found, 9, NOW + 600, "it answers 401; check the secret")

        async def state(identifier: str) -> tuple[int, float, str]:
            found = await store.destination("default", identifier)
            return found.attempts, found.next_try_at, found.problem

        splunk = (await make_destination(room, actor(), SPLUNK)).view.destination.identifier
        hook = (await make_destination(room, actor(), HOOK)).view.destination.identifier
        await in_trouble(splunk)
        await change_destination(room, actor(), splunk, replace(SPLUNK, secret="another"))
        assert await state(splunk) == (0, 0.0, "")
        await in_trouble(hook)
        await rotate_secret(room, actor(), hook)
        assert await state(hook) == (0, 0.0, "")
        await in_trouble(hook)
        publishers.error = DeliveryError("it answers 401")
        assert not (await test_destination(room, actor(), hook)).arrived
        assert (await state(hook))[0] == 9
        publishers.error = None
        assert (await test_destination(room, actor(), hook)).arrived
        assert await state(hook) == (0, 0.0, "")

    asyncio.run(inside())


def test_an_address_that_may_not_be_reached_is_refused(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = replace(control_room.room, publishers=Publishers("add its network to [sharing] networks"))
        with pytest.raises(InvalidError, match=r"Add its network to \[sharing\] networks\."):
            await make_destination(room, actor(), SPLUNK)

    asyncio.run(inside())


def test_replaying_goes_back_to_a_number_or_a_time(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await events(room, 5)
        made = (await make_destination(room, actor(), SYSLOG)).view.destination
        assert made.address == "tls://siem.example:6514"
        assert (await replay(room, actor(), made.identifier, number=2)).standing.waiting == 4
        assert (await replay(room, actor(), made.identifier, since=NOW + 3)).standing.waiting == 2
        assert (await replay(room, actor(), made.identifier, number=10**30)).standing.waiting == 0
        for wrong in ({}, {"number": 1, "since": NOW}, {"number": 0}):
            with pytest.raises(InvalidError):
                await replay(room, actor(), made.identifier, **wrong)

    asyncio.run(inside())


def test_dead_letters_are_shown_without_what_is_in_them(control_room: ControlRoomForTests) -> None:
    async def inside() -> None:
        room = control_room.room
        await events(room, 2)
        made = (await make_destination(room, actor(), SPLUNK, from_beginning=True)).view.destination
        for entry in await stored(room).entries_after("default", 0, 9):
            found = await stored(room).destination("default", made.identifier)
            letter = DeadLetter(
                made.identifier,
                "default",
                entry.number,
                entry.at,
                NOW,
                entry.kind,
                entry.subject,
                "no",
                entry.record,
            )
            assert await stored(room).bury(found, letter)
        page = await list_dead(room, actor(), made.identifier, Cut())
        assert [each.number for each in page.items] == [2, 1]
        assert "ann@acme.example" not in repr(page)
        assert (await read_destination(room, actor(), made.identifier)).standing.dead == 2
        assert await retry_dead(room, actor(), made.identifier, [1]) == 1
        assert await forget_dead(room, actor(), made.identifier) == 2

    asyncio.run(inside())
