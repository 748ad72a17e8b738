"""Asking: what every operation is given about the request it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import Depends
from starlette.requests import Request

from mailveil.control.access import Actor
from mailveil.control.inspecting import InspectionDesk
from mailveil.control.records import Cut, Page
from mailveil.control.room import ControlRoom
from mailveil.endpoints.web.api.settings import API_PATH, ApiSettings

Item = TypeVar("Item")
Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, its body read: who asks whom. ``headers`` go with its answer; ``secret`` is the token's.

    ``present`` is the representation that ``If-Match`` was compared with.
    """

    room: ControlRoom
    settings: ApiSettings
    desk: InspectionDesk
    actor: Actor
    request: Request
    secret: str = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict)
    present: bytes = field(default=b"", repr=False)

    async def body(self) -> bytes:
        """Return the body, which has been read."""
        return await self.request.body()

    def located(self, *segments: str) -> None:
        """Name what was made (``Location``)."""
        self.headers["Location"] = "/".join((API_PATH, *(quote(each, safe="") for each in segments)))

    def listed(self, page: Page[Any], cut: Cut) -> str | None:
        """Link to the next part of a list (RFC 8288) and return its cursor, ``None`` at the end."""
        if not page.next:
            return None
        url = self.request.url.include_query_params(cursor=page.next, limit=cut.limit)
        self.headers["Link"] = f'<{API_PATH}{_below(self.request)}?{url.query}>; rel="next"'
        return page.next


def _below(request: Request) -> str:
    """Return the path of a request below the prefix, as it stands in a URL."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return quote(path, safe="/")


def _asked(request: Request) -> Asked:
    asked: Asked = request.state.asked
    return asked


Asking = Annotated[Asked, Depends(_asked)]
