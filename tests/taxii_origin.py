"""A TAXII 2.1 server of others, small and real: two collections, pages, credentials, faults to order."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

COLLECTION = "472c94ae-3113-4e3e-a4dd-a9f4ac7471d4"
OTHER = "365fed99-08fa-fdcd-a1b3-fb247eb41d01"
MEDIA_TYPE = "application/taxii+json;version=2.1"
USER = "Basic " + base64.b64encode(b"reader:secret").decode()


def indicator(number: int, **more: Any) -> dict[str, Any]:
    """Return an indicator of the domain ``spyNUMBER.example``, as the official library makes it."""
    import stix2

    made = stix2.Indicator(
        id=f"indicator--00000000-0000-4000-8000-{number:012d}",
        pattern=f"[domain-name:value = 'spy{number}.example']",
        pattern_type="stix",
        valid_from="2026-01-02T03:04:05Z",
        **more,
    )
    return json.loads(made.serialize())


@dataclass
class TaxiiOrigin:
    """``objects`` are (date added, object), in order; ``asked`` the paths with their queries; ``fault`` is a status."""

    objects: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    page: int = 3
    asked: list[str] = field(default_factory=list)
    fault: int = 0
    body: bytes = b""
    root: str = "/api1/"
    tells_next: bool = True
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/taxii2/"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.requests import Request
        from starlette.responses import Response

        request: Request = Request(scope, receive)
        path = request.url.path
        self.asked.append(f"{path}?{request.url.query}" if request.url.query else path)
        headers: dict[str, str] = {}
        if self.fault:
            answer, status = self.body, self.fault
        elif request.headers.get("authorization") != USER:
            answer, status = b"{}", 401
        elif request.headers.get("accept") != MEDIA_TYPE:
            answer, status = b"{}", 406
        else:
            record, headers = self._record(path, request.query_params)
            answer, status = json.dumps(record).encode(), 200 if record is not None else 404
        await Response(answer, status, headers, MEDIA_TYPE)(scope, receive, send)

    def _record(self, path: str, query: Any) -> tuple[Any, dict[str, str]]:
        if path == "/taxii2/":
            return {"title": "Others", "default": self.root, "api_roots": [self.root]}, {}
        if path == self.root:
            return {"title": "API", "versions": [MEDIA_TYPE], "max_content_length": 1}, {}
        if path == f"{self.root}collections/":
            both = (
                {"id": COLLECTION, "title": "Spies", "can_read": True, "can_write": False},
                {"id": OTHER, "title": "Noise", "can_read": True, "can_write": False},
                {"id": "closed", "title": "Closed", "can_read": False, "can_write": True},
            )
            return {"collections": list(both)}, {}
        if path == f"{self.root}collections/{COLLECTION}/objects/":
            return self._objects(query)
        return None, {}

    def _objects(self, query: Any) -> tuple[Any, dict[str, str]]:
        after, kind = query.get("added_after", ""), query.get("match[type]", "")
        fitting = [each for each in self.objects if each[0] > after and (not kind or each[1]["type"] == kind)]
        start = int(query.get("next", "0"))
        page = fitting[start : start + min(self.page, int(query.get("limit", "100")))]
        if not page:
            return {}, {}
        record: dict[str, Any] = {"objects": [each for _, each in page]}
        if start + len(page) < len(fitting):
            record["more"] = True
            if self.tells_next:
                record["next"] = str(start + len(page))
        return record, {"X-TAXII-Date-Added-First": page[0][0], "X-TAXII-Date-Added-Last": page[-1][0]}


@contextlib.asynccontextmanager
async def taxii_origin(**settings: Any) -> AsyncIterator[TaxiiOrigin]:
    """Have one listen."""
    from http_room import http_room

    made = TaxiiOrigin(**settings)
    async with http_room(made) as port:
        made.port = port
        yield made
