"""A room in which activities and trackers were published, behind a real listener, for other systems to read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from control_room import ControlRoomForTests, actor
from http_room import http_room

if TYPE_CHECKING:
    from mailveil.control.access import Permission

Result = TypeVar("Result")


@dataclass
class PublishedRoom:
    """``tokens`` are secrets by organisation (``*``: of all)."""

    control: ControlRoomForTests
    settings: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def application(self) -> Any:
        """Return the site with nothing else on it."""
        from starlette.responses import PlainTextResponse

        from mailveil.endpoints.web.publishedfiles import (
            FEED_PATH,
            LISTS_PATH,
            PublishedFiles,
            feed_file,
            list_file,
        )
        from mailveil.endpoints.web.readerdoor import ReaderDoor, ReaderSettings
        from mailveil.endpoints.web.site import build_site
        from mailveil.endpoints.web.taxii import TAXII_PATH, Taxii

        door = ReaderDoor(self.control.room, ReaderSettings(**self.settings))
        parts = {
            TAXII_PATH: Taxii(door),
            FEED_PATH: PublishedFiles(door, feed_file),
            LISTS_PATH: PublishedFiles(door, list_file),
        }
        return build_site(frozenset({"127.0.0.1"}), PlainTextResponse("console"), parts=parts)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Answer at the address that is given."""
        async with http_room(self.application()) as port:
            yield f"http://127.0.0.1:{port}"

    def visited(self, visit: Callable[[str], Result]) -> Result:
        """Return what a client that blocks finds at the address."""

        async def steps() -> Result:
            async with self.listening() as address:
                return await asyncio.wait_for(asyncio.to_thread(visit, address), 60)

        return asyncio.run(steps())

    async def token(self, organisation: str, *scopes: Permission, everywhere: bool = False) -> str:
        """Make a token and return its secret."""
        from mailveil.control.access import Permission
        from mailveil.control.tokens import make_token

        maker = actor(organisation=organisation, home="*", name="")
        wanted = [str(each) for each in scopes or (Permission.INTELLIGENCE_READ,)]
        return (
            await make_token(self.control.room, maker, "reader", wanted, 30, everywhere=everywhere)
        ).secret

    async def publish(self, organisation: str, *events: Any) -> None:
        """Write events into the collections of an organisation."""
        from mailveil.adapters.publishing.collections import CollectionPublisher

        assert self.control.room.shared is not None
        await CollectionPublisher(self.control.room.shared, organisation).publish(events)


@pytest.fixture
def published_room(control_room: ControlRoomForTests) -> PublishedRoom:
    """Two organisations; ``acme`` has an activity, its alert and a tracker, ``other`` another tracker."""
    from dataclasses import replace

    from stix_values import ACTIVITY, ALERT, TRACKER, event

    made = PublishedRoom(control_room)

    async def steps() -> None:
        for name in ("acme", "other"):
            await control_room.organisation(name, (f"{name}.example",))
            made.tokens[name] = await made.token(name)
        made.tokens["*"] = await made.token("default", everywhere=True)
        await made.publish("acme", event(ACTIVITY, 1), event(ALERT, 2), event(TRACKER, 3))
        others = replace(
            TRACKER, identifier="tracker-2", template="https://px.others.example/a.gif", host="px.others.example",
            domain="others.example",
        )  # fmt: skip
        await made.publish("other", event(others, 1))

    asyncio.run(steps())
    return made
