"""The TAXII application: discovery, one API root for each organisation, and its collections (TAXII 2.1 parts 4 and 5).

Everything is read-only. Whatever a token may not see is answered as what is not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import uuid5

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mailveil.control.records import Page
from mailveil.control.sharedobjects import ACTIVITIES, TRACKERS, SharedObject, SharedQuery
from mailveil.control.stores import CursorError
from mailveil.core.sharing.stixvocabulary import NAMESPACE
from mailveil.core.sharing.wording import fine_timestamp
from mailveil.endpoints.web.readerdoor import Reader, ReaderDoor, TurnedAwayError
from mailveil.endpoints.web.taxii.questions import (
    MEDIA_TYPE,
    check_accept,
    check_content,
    cut_of,
    query_of,
    wrong,
)

TAXII_PATH = "/taxii2"
CONTENT = "application/stix+json;version=2.1"
MAX_CONTENT_BYTES = 1_048_576
Render = Callable[[Sequence[SharedObject]], dict[str, Any]]
_TITLES: Mapping[str, tuple[str, str]] = {
    ACTIVITIES: ("Reconnaissance", "Who spied on this organisation by mail, and with what. No people."),
    TRACKERS: ("Learned trackers", "Tracking in mail that its senders built themselves."),
}


class Taxii:
    """The ASGI application, to be mounted at ``/taxii2``."""

    def __init__(self, door: ReaderDoor) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._door.pass_through(request, self._answer, refused)
        await response(scope, receive, send)

    async def _answer(self, reader: Reader) -> Response:
        request = reader.request
        steps = _steps(request)
        match steps:
            case []:
                resource = self._discovery(reader)
            case [root]:
                resource = _root(reader, root)
            case [root, "collections"]:
                _known(reader, root)
                resource = {"collections": [_collection(root, each) for each in _TITLES]}
            case [root, "collections", name]:
                resource = _collection(root, _collection_named(reader, root, name))
            case [root, "collections", name, "manifest"]:
                return await self._listed(reader, root, _collection_named(reader, root, name), _manifest)
            case [root, "collections", name, "objects"]:
                _refuse_writing(request)
                return await self._listed(reader, root, _collection_named(reader, root, name), _envelope)
            case [root, "collections", name, "objects", identifier]:
                collection = _collection_named(reader, root, name)
                _refuse_writing(request)
                return await self._listed(reader, root, collection, _envelope, identifier)
            case [root, "collections", name, "objects", identifier, "versions"]:
                collection = _collection_named(reader, root, name)
                return await self._listed(reader, root, collection, _versions, identifier)
            case _:
                raise _missing()
        _read_only(request)
        check_accept(request)
        return _answered(resource)

    def _discovery(self, reader: Reader) -> dict[str, Any]:
        request = reader.request
        scheme = "https" if self._door.settings.is_https else request.url.scheme
        home = f"{scheme}://{request.headers.get('host') or request.url.netloc}{TAXII_PATH}"
        roots = [f"{home}/{quote(each, safe='')}/" for each in sorted(reader.organisations)]
        found = {
            "title": "mailveil",
            "description": "Reconnaissance by mail: who spies on an organisation, and with what.",
            "api_roots": roots,
        }
        return {**found, "default": roots[0]} if len(roots) == 1 else found

    async def _listed(
        self, reader: Reader, root: str, collection: str, render: Render, identifier: str = ""
    ) -> Response:
        request = reader.request
        _read_only(request)
        check_accept(request)
        query = query_of(
            request, identifier=identifier, versions=("all",) if render is _versions else ("last",)
        )
        cut = cut_of(request)
        page: Page[SharedObject] = Page(())
        try:
            if query is not None:
                page = await reader.store.objects(root, collection, query, cut)
        except CursorError as error:
            raise wrong("next", "is none that this collection has given") from error
        if identifier and not page.items:
            everything = SharedQuery(identifiers=(identifier,), versions=("all",))
            if not (await reader.store.objects(root, collection, everything, cut_of(_bare(request)))).items:
                raise _missing()
        more = {"more": True, "next": page.next} if page.next else {"more": False}
        response = _answered(
            {**more, **(render(page.items) if page.items else {})}
        )  # no empty lists in TAXII
        if page.items:
            response.headers["X-TAXII-Date-Added-First"] = fine_timestamp(page.items[0].added_at)
            response.headers["X-TAXII-Date-Added-Last"] = fine_timestamp(page.items[-1].added_at)
        return response


def refused(error: TurnedAwayError) -> Response:
    """Return an error as TAXII writes it (section 3.6.1)."""
    resource = {"title": error.title, "http_status": str(int(error.status))}
    if error.description:
        resource["description"] = error.description
    return _answered(resource, error.status, error.headers)


def collection_identifier(organisation: str, collection: str) -> str:
    """Return the UUID of a collection, the same for ever."""
    return str(uuid5(NAMESPACE, json.dumps(["taxii", organisation, collection])))


def _answered(resource: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(resource).encode("ascii")
    return Response(body, status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def _root(reader: Reader, root: str) -> dict[str, Any]:
    return {
        "title": f"mailveil: {_known(reader, root)}",
        "versions": [MEDIA_TYPE],
        "max_content_length": MAX_CONTENT_BYTES,
    }


def _collection(root: str, name: str) -> dict[str, Any]:
    title, description = _TITLES[name]
    return {
        "id": collection_identifier(root, name),
        "title": title,
        "description": description,
        "alias": name,
        "can_read": True,
        "can_write": False,
        "media_types": [CONTENT],
    }


def _known(reader: Reader, root: str) -> str:
    """Return the name of an organisation. Raises ``TurnedAwayError`` for one that the reader may not see."""
    if root not in reader.organisations:
        raise _missing()
    return reader.organisations[root]


def _collection_named(reader: Reader, root: str, name: str) -> str:
    """Return the collection that goes by an identifier or alias. Raises ``TurnedAwayError``."""
    _known(reader, root)
    for each in _TITLES:
        if name in (each, collection_identifier(root, each)):
            return each
    raise _missing()


def _manifest(items: Sequence[SharedObject]) -> dict[str, Any]:
    return {"objects": list(map(_record, items))}


def _record(item: SharedObject) -> dict[str, str]:
    return {
        "id": item.identifier,
        "date_added": fine_timestamp(item.added_at),
        "version": item.version,
        "media_type": CONTENT,
    }


def _envelope(items: Sequence[SharedObject]) -> dict[str, Any]:
    return {"objects": [each.object for each in items]}


def _versions(items: Sequence[SharedObject]) -> dict[str, Any]:
    return {"versions": [each.version for each in items]}


def _steps(request: Request) -> list[str]:
    """Return the steps of the path below our own; the last slash does not count."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return str(path).strip("/").split("/") if str(path).strip("/") else []


def _refuse_writing(request: Request) -> None:
    if request.method in ("POST", "DELETE"):
        if request.method == "POST":
            check_content(request)
        raise TurnedAwayError(HTTPStatus.FORBIDDEN, "This collection is read-only")


def _read_only(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise TurnedAwayError(
            HTTPStatus.METHOD_NOT_ALLOWED, "That cannot be done here", headers={"Allow": "GET, HEAD"}
        )


def _bare(request: Request) -> Request:
    return Request({**request.scope, "query_string": b"limit=1"})


def _missing() -> TurnedAwayError:
    return TurnedAwayError(HTTPStatus.NOT_FOUND, "There is no such thing, or not for this token")
