"""Published files: the feed that a MISP fetches, and the filter list of learned trackers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from mailveil.control.exporting import filter_list_of, misp_events_of
from mailveil.control.records import Cut
from mailveil.control.sharedobjects import EVENTS, SharedQuery
from mailveil.core.sharing.misp import document, hashes, manifest
from mailveil.endpoints.web.readerdoor import Reader, ReaderDoor, TurnedAwayError, chosen_organisation

FEED_PATH = "/misp/feed"
LISTS_PATH = "/lists"
JSON = "application/json"


File = Callable[[Reader, str, str], Awaitable[Response]]  # of an organisation, by its name


class PublishedFiles:
    """An ASGI application that answers files below one path, to be mounted there."""

    def __init__(self, door: ReaderDoor, file: File) -> None:
        """``file`` is ``feed_file`` or ``list_file``."""
        self._door = door
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        response = await self._door.pass_through(Request(scope, receive), self._answer, _refused)
        await response(scope, receive, send)

    async def _answer(self, reader: Reader) -> Response:
        request = reader.request
        if request.method not in ("GET", "HEAD"):
            raise TurnedAwayError(
                HTTPStatus.METHOD_NOT_ALLOWED, "That cannot be done here", headers={"Allow": "GET, HEAD"}
            )
        name = request.scope["path"].removeprefix(request.scope.get("root_path", "")).strip("/")
        return await self._file(reader, chosen_organisation(reader), name)


async def feed_file(reader: Reader, organisation: str, name: str) -> Response:
    """Return a file of the feed for MISP: ``manifest.json``, ``hashes.csv`` or one event's."""
    if name == "manifest.json":
        return _json(manifest(await misp_events_of(reader.store, organisation)))
    if name == "hashes.csv":
        text = hashes(await misp_events_of(reader.store, organisation))
        return Response(text, media_type="text/csv; charset=utf-8")
    uuid = name.removesuffix(".json")
    if name.endswith(".json") and uuid and "\0" not in uuid:
        query = SharedQuery(identifiers=(uuid,))
        found = (await reader.store.objects(organisation, EVENTS, query, Cut(1))).items
        if found:
            return Response(document(dict(found[0].object["event"])), media_type=JSON)
    raise _missing()


async def list_file(reader: Reader, organisation: str, name: str) -> Response:
    """Return a filter list: ``learned.txt``."""
    if name != "learned.txt":
        raise _missing()
    return PlainTextResponse(
        await filter_list_of(reader.store, organisation, reader.organisations[organisation])
    )


def _json(value: Mapping[str, Any]) -> Response:
    return Response(json.dumps(value).encode("ascii"), media_type=JSON)


def _refused(error: TurnedAwayError) -> Response:
    text = ". ".join(filter(None, (error.title, error.description)))
    return PlainTextResponse(f"{text}\n", error.status, headers=dict(error.headers))


def _missing() -> TurnedAwayError:
    return TurnedAwayError(HTTPStatus.NOT_FOUND, "There is no such file")
