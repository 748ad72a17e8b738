"""A MISP in a few lines: its REST API for events as MISP 2.5 answers it. No real one runs here; PyMISP accepts it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pymisp import MISPEvent

KEY = "k" * 40
EXISTS = "Event already exists, if you would like to edit it, use the url in the location header."
OLDER = "Event could not be saved: Event in the request not newer than the local copy."
STRANGER = (
    "Event could not be saved: The user used to edit the event is not authorised to do so. This can be caused by the "
    "user not being of the same organisation as the original creator of the event whilst also not being a site "
    "administrator."
)
DENIED = (
    "Authentication failed. Please make sure you pass the API key of an API enabled user along in the "
    "Authorization header."
)
Reply = tuple[int, dict[str, str], Any]


@dataclass
class FakeMisp:
    """An ASGI application. ``blocked`` are UUIDs that were deleted, ``others`` events of other organisations."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    calls: list[tuple[str, str]] = field(default_factory=list)
    down: int = 0  # a status code that everything is answered with
    hidden_once: set[str] = field(
        default_factory=set
    )  # added by somebody else right after they were asked for

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.requests import Request
        from starlette.responses import Response

        request: Request = Request(scope, receive)
        raw = await request.body()
        path = unquote(request.url.path).strip("/")
        self.calls.append((request.method, path))
        status, headers, body = self.answer(request.method, path, request.headers, raw)
        content = body if isinstance(body, str) else json.dumps(body)
        await Response(content, status, {"Content-Type": "application/json", **headers})(scope, receive, send)

    def answer(self, method: str, path: str, headers: Any, raw: bytes) -> Reply:
        if self.down:
            return self.down, {"Content-Type": "text/html"}, "<h1>Sorry</h1>"
        if headers.get("authorization") != KEY:
            return 403, {}, failure(DENIED, f"/{path}")
        if headers.get("accept") != "application/json":
            return 200, {"Content-Type": "text/html"}, "<html>a page</html>"
        match (method, path.split("/")):
            case ("GET", ["servers", "getVersion"]):
                return 200, {}, {
                    "version": "2.5.34", "pymisp_recommended_version": "2.5.34", "perm_sync": True,
                    "perm_sighting": True, "perm_galaxy_editor": True,
                }  # fmt: skip
            case ("GET", ["users", "view", "me"]):
                return 200, {}, {
                    "User": {"id": "1", "email": "sync@misp.example", "org_id": "1"},
                    "Role": {"id": "1", "name": "Sync"},
                    "UserSetting": {},
                }  # fmt: skip
            case ("GET", ["events", "view", uuid]):
                return self.view(uuid)
            case ("POST", ["events", "add"]):
                return self.add(json.loads(raw))
            case ("POST", ["events", "edit", uuid]):
                return self.edit(uuid, json.loads(raw))
        return 404, {}, failure("Not Found", f"/{path}")

    def view(self, uuid: str) -> Reply:
        if uuid not in self.events or uuid in self.hidden_once:
            self.hidden_once.discard(uuid)
            return 404, {}, failure("Invalid event", f"/events/view/{uuid}")
        return 200, {}, {"Event": self.events[uuid]}

    def add(self, document: dict[str, Any]) -> Reply:
        event = read(document)
        if event["uuid"] in self.events:
            number = self.events[event["uuid"]]["id"]
            return 404, {"Location": f"http://misp.example/events/{number}"}, failure(EXISTS, "/events/add")
        if event["uuid"] in self.blocked:
            message = "Could not add Event"
            return 403, {}, {"saved": False, **failure(message, "/events/add"), "errors": []}
        self.events[event["uuid"]] = {**event, "id": str(len(self.events) + 1)}
        return 200, {}, {"Event": self.events[event["uuid"]]}

    def edit(self, uuid: str, document: dict[str, Any]) -> Reply:
        known = self.events.get(uuid)
        if known is None:
            return 404, {}, failure("Invalid event", f"/events/edit/{uuid}")
        event = read(document)
        if not event["timestamp"]:  # one that has none is an edit of now
            event["timestamp"] = str(int(known["timestamp"]) + 1)
        if int(event["timestamp"]) <= int(known["timestamp"]):
            return 403, {}, {**failure(OLDER, f"/events/edit/{uuid}"), "saved": False, "errors": OLDER}
        if uuid in self.others:
            return 403, {}, {**failure(STRANGER, f"/events/edit/{uuid}"), "saved": False, "errors": STRANGER}
        merged = {each["uuid"]: each for each in known["Attribute"]}
        for each in event["Attribute"]:
            merged[each["uuid"]] = {**merged.get(each["uuid"], {}), **each}
        self.events[uuid] = {**known, **event, "id": known["id"], "Attribute": list(merged.values())}
        return 200, {}, {"Event": self.events[uuid]}


def read(document: dict[str, Any]) -> dict[str, Any]:
    """Return an event as PyMISP understands it, in the form in which MISP answers."""
    event = MISPEvent()
    inner = document.get("Event", document)
    event.load(json.loads(json.dumps(inner)))  # it takes apart what it is given
    made: dict[str, Any] = json.loads(event.to_json())
    return {**made, "timestamp": str(inner.get("timestamp", "")), "Attribute": made.get("Attribute", [])}


def failure(message: str, url: str) -> dict[str, Any]:
    """Return how MISP words an error."""
    return {"name": message, "message": message, "url": url}
