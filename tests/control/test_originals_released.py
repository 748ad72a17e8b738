"""An original is read by those who have leave, for as long as they have it, and each reading is on record.

Setup: a control room with two organisations, a message whose original is kept, and a real engine.
Test: nobody reads without a right and leave that holds; leave needs a reason and ends; another organisation finds
nothing; before and after ask nobody anything, and say where each reference stood.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_room import NOW, ControlRoomForTests, actor
from mailveil.adapters.originals import OriginalFacts, OriginalReader, OriginalStore
from mailveil.adapters.workers import WorkerPool
from mailveil.control.access import ForbiddenError, Permission, Role
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.originals import before_after, grant_release, leave_to_read, read_original
from mailveil.control.room import ControlRoom
from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.observation import Observation, observation_identifier
from mailveil.core.policy import PolicySettings
from mailveil.core.protection import CopyMode, EngineSettings, inspect
from mailveil.ports import UnavailableError

RAW = (
    b"From: news@shop.example\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n"
    b'<p>Hello</p><img src="https://t.shop.example/open/8f3a9c07d51e8b22.gif" width=1 height=1>\r\n'
    b"<img src='https://<b>\".shop.example/a.png'><style>body{background:url(https://bg.example/x.png)}</style>\r\n"
    b'<link rel=stylesheet href="https://css.shop.example/a.css"><img srcset="https://s.example/1.png 2x">\r\n'
)
MESSAGE = observation_identifier(NOW, "log-1", "default")
ADMINISTRATOR, ANALYST = actor(), actor(Role.ANALYST, name="bea")
ADDRESSES = CopyAddresses("https://copies.test", b"k" * 32)
SETTINGS = EngineSettings(mode=CopyMode.HOSTED, addresses=ADDRESSES)


@pytest.fixture
def room(control_room: ControlRoomForTests, tmp_path: Path) -> Iterator[ControlRoom]:
    originals = OriginalStore(tmp_path / "originals", b"o" * 32, max_age_days=30)
    name = originals.keep(RAW, OriginalFacts())
    kept = Observation(MESSAGE, "default", NOW, "log-1", original=name)
    other = replace(
        kept, identifier=observation_identifier(NOW, "log-2", "default"), original="", log_identifier="log-2"
    )
    with WorkerPool(SETTINGS, processes=1) as engine:
        made = replace(control_room.room, engine=engine, originals=OriginalReader(originals))
        asyncio.run(made.observations.add([kept, other]))
        yield made


def run(awaitable: object) -> object:
    return asyncio.run(awaitable)  # type: ignore[arg-type]


def test_reading_takes_a_right_and_leave(room: ControlRoom, control_room: ControlRoomForTests) -> None:
    with pytest.raises(ForbiddenError, match="nobody has given leave"):
        run(read_original(room, ADMINISTRATOR, MESSAGE))
    with pytest.raises(ForbiddenError, match="originals:release"):
        run(grant_release(room, ANALYST, MESSAGE, "because"))
    grant = asyncio.run(grant_release(room, ADMINISTRATOR, MESSAGE, "a reader asked for it", hours=2))
    assert grant.expires_at == NOW + 7200
    assert run(read_original(room, ANALYST, MESSAGE)) == RAW
    assert run(leave_to_read(room, ANALYST, MESSAGE)) == [grant]
    with pytest.raises(ForbiddenError, match="originals:read"):
        run(read_original(room, actor(Role.VIEWER), MESSAGE))
    control_room.clock.advance(7200)
    with pytest.raises(ForbiddenError, match="expired"):
        run(read_original(room, ANALYST, MESSAGE))
    trail = [(each.action, each.actor, each.subject) for each in asyncio.run(control_room.audit_trail())]
    assert sorted(trail) == [("original.grant", "anna", MESSAGE), ("original.read", "bea", MESSAGE)]


@pytest.mark.parametrize(
    ("reason", "hours", "field"),
    [
        ("", 1, "reason"),
        (" \n", 1, "reason"),
        ("x" * 501, 1, "reason"),
        ("x", 0, "hours"),
        ("x", 169, "hours"),
        ("x", float("nan"), "hours"),
    ],
)
def test_leave_needs_a_reason_and_an_end(room: ControlRoom, reason: str, hours: float, field: str) -> None:
    with pytest.raises(InvalidError) as raised:
        run(grant_release(room, ADMINISTRATOR, MESSAGE, reason, hours))
    assert raised.value.field == field


def test_another_organisation_finds_nothing(room: ControlRoom, control_room: ControlRoomForTests) -> None:
    asyncio.run(control_room.organisation("acme"))
    run(grant_release(room, ADMINISTRATOR, MESSAGE, "because"))
    stranger = actor(organisation="acme")
    for attempt in (read_original, before_after, leave_to_read):
        with pytest.raises(MissingError):
            run(attempt(room, stranger, MESSAGE))
    with pytest.raises(MissingError):
        run(grant_release(room, stranger, MESSAGE, "because"))
    crossing = replace(stranger, organisation="default")
    with pytest.raises(ForbiddenError):
        run(read_original(room, crossing, MESSAGE))


def test_what_was_never_kept_or_is_gone_is_missing(room: ControlRoom) -> None:
    for message in (observation_identifier(NOW, "log-2", "default"), "nothing"):
        with pytest.raises(MissingError):
            run(grant_release(room, ADMINISTRATOR, message, "because"))

    class Empty:
        async def read(self, name: str) -> bytes | None:
            return None

    run(grant_release(room, ADMINISTRATOR, MESSAGE, "because"))
    with pytest.raises(MissingError):
        run(read_original(replace(room, originals=Empty()), ANALYST, MESSAGE))
    with pytest.raises(UnavailableError):
        run(read_original(replace(room, originals=None), ANALYST, MESSAGE))
    with pytest.raises(UnavailableError):
        run(before_after(replace(room, engine=None), ANALYST, MESSAGE))


def test_before_and_after_ask_nobody(room: ControlRoom, control_room: ControlRoomForTests) -> None:
    run(grant_release(room, ADMINISTRATOR, MESSAGE, "because"))
    view = asyncio.run(before_after(room, ANALYST, MESSAGE))
    assert view.original == RAW
    assert inspect(view.before, SETTINGS).decisions == (), "whatever any client would fetch is a label"
    assert inspect(view.after, SETTINGS).decisions == (), "or one of our copies"
    assert b"data:image/svg+xml;base64," in view.before
    assert b"https://copies.test/" in view.after
    assert b"copies.test" not in view.before
    assert view.total == len(view.places) >= 5
    first = view.places[0]
    assert b"t.shop.example/open" in RAW[first.start : first.end]
    assert (first.finding, first.template, first.host) == (
        "tracker",
        "https://t.shop.example/open/*.gif",
        "t.shop.example",
    )
    assert first.reasons
    for label in re.findall(rb"base64,([A-Za-z0-9+/=]+)", view.before):
        assert b"<b>" not in _decoded(label)
    trail = asyncio.run(control_room.audit_trail())
    assert sorted(each.action for each in trail) == ["original.grant", "original.view"]


def test_what_policy_lets_through_asks_nobody_either(room: ControlRoom) -> None:
    settings = replace(SETTINGS, policy=PolicySettings(protect_inbound=False))
    run(grant_release(room, ADMINISTRATOR, MESSAGE, "because"))
    with WorkerPool(settings, processes=1) as engine:
        view = asyncio.run(before_after(replace(room, engine=engine), ANALYST, MESSAGE))
    assert inspect(view.before, SETTINGS).decisions == ()
    assert inspect(view.after, SETTINGS).decisions == ()


def test_who_may_grant() -> None:
    assert Permission.ORIGINALS_RELEASE in ADMINISTRATOR.permissions
    assert Permission.ORIGINALS_RELEASE not in ANALYST.permissions


def _decoded(label: bytes) -> bytes:
    return base64.b64decode(label)
