"""A room for sharing: events in an outbox, a real HTTP destination that answers as it is told, and delivery to it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from control_room import NOW, ControlRoomForTests

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from mailveil.app.publishers import PublisherMaker
    from mailveil.app.sharing import DeliveryLoop
    from mailveil.control.activityrecords import OutboxEntry
    from mailveil.control.sharingrecords import Destination
    from mailveil.control.sharingstores import SharingStore

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
PERSON = "ann.reader@acme.example"
PATIENCE_S = 60.0
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Received:
    """What came to the destination."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Destinations:
    """Any number of HTTP destinations in one, told apart by path; each answers as ``answer`` says (204 unless)."""

    answer: Callable[[Received], Reply | Awaitable[Reply]] = lambda received: (204, {}, b"")
    received: list[Received] = field(default_factory=list)
    port: int = 0

    def at(self, path: str) -> list[Received]:
        """Return what came to a path, in order."""
        return [each for each in self.received if each.path == path]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.requests import ClientDisconnect, Request
        from starlette.responses import Response

        request: Request = Request(scope, receive)
        try:
            got = Received(request.url.path, dict(request.headers), await request.body())
        except ClientDisconnect:
            return  # whoever was sending has nothing to say any more: its organisation was removed, say
        answer = self.answer(got)
        status, headers, body = answer if isinstance(answer, tuple) else await answer
        self.received.append(got)
        await Response(body, status, headers)(scope, receive, send)


@contextlib.asynccontextmanager
async def destinations_at_work(**settings: Any) -> AsyncIterator[Destinations]:
    """Have destinations listen."""
    from http_room import http_room

    made = Destinations(**settings)
    async with http_room(made) as port:
        made.port = port
        yield made


@dataclass
class Tallied:
    """What was counted."""

    taken: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)

    def delivered(self, kind: str, count: int) -> None:
        self.taken[kind] = self.taken.get(kind, 0) + count

    def died(self, kind: str) -> None:
        self.dead[kind] = self.dead.get(kind, 0) + 1


def maker(directory: Path, *, loopback: bool = True, **others: Any) -> PublisherMaker:
    """Return what makes publishers; it may reach this machine."""
    from control_room import SetClock
    from mailveil.app.publishers import PublisherMaker
    from mailveil.config import load

    environment = {
        "MAILVEIL_STORAGE__DIRECTORY": str(directory),
        "MAILVEIL_SHARING__NETWORKS": ",".join(map(str, LOOPBACK)) if loopback else "",
    }
    return PublisherMaker(load(None, environment), SetClock(time.time()), **others)


def alert_entry(number: int, organisation: str = "default", *, score: float = 0.9) -> OutboxEntry:
    """Return an event that names a person, as it stands in the outbox."""
    from mailveil.control.activityrecords import OutboxEntry
    from mailveil.core.intelligence.types import Alert, AlertKind
    from mailveil.core.sharing.entries import alert_entry

    alert = Alert(
        identifier=f"alert-{number}",
        organisation=organisation,
        at=NOW + number,
        kind=AlertKind.RECONNAISSANCE,
        activity="activity-1",
        message="m1",
        words=f"somebody probes {PERSON} for the {number}th time",
        score=score,
        sender_domain="evil-news.example",
        people=(PERSON,),
    )
    return OutboxEntry(
        organisation,
        f"event-{number}",
        NOW + number,
        "alert.raised",
        alert.identifier,
        alert_entry(alert),
    )


def store_of(room: ControlRoomForTests) -> SharingStore:
    """Return the store of what is shared."""
    assert room.room.sharing is not None
    return room.room.sharing


async def tell(room: ControlRoomForTests, numbers: Sequence[int], organisation: str = "default") -> None:
    """Put events into the outbox."""
    await store_of(room).append([alert_entry(each, organisation) for each in numbers])


async def webhook(room: ControlRoomForTests, address: str, name: str = "Hook", **more: Any) -> Destination:
    """Make a webhook that gets everything from the beginning; return it with its secret."""
    from control_room import actor
    from mailveil.control.sharing import DestinationOrder, make_destination
    from mailveil.control.sharingrecords import DestinationKind

    order = DestinationOrder(name, DestinationKind.WEBHOOK, address, options={"plain_http": True}, **more)
    made = await make_destination(room.room, actor(), order, from_beginning=True)
    return await found(room, made.view.destination.identifier)


async def found(room: ControlRoomForTests, identifier: str) -> Destination:
    """Return a destination as it is now."""
    destination = await store_of(room).destination("default", identifier)
    assert destination is not None
    return destination


@contextlib.asynccontextmanager
async def delivering(room: ControlRoomForTests, publishers: Any, **rules: Any) -> AsyncIterator[DeliveryLoop]:
    """Deliver while the block runs."""
    from mailveil.app.sharing import DeliveryLoop, DeliveryRules

    tally = rules.pop("tally", None) or Tallied()
    loop = DeliveryLoop(
        room.room, publishers, DeliveryRules(**rules), tally, pseudonyms=lambda: bytes(32), poll_s=0.02
    )
    loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something to become true, for as long as it takes."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            value = condition()
            if await value if isinstance(value, Awaitable) else value:
                return
            await asyncio.sleep(0.01)
