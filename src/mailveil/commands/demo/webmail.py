"""Web mail: shows the two mailboxes of the demonstration to its readers, as web mail shows them, on loopback."""

from __future__ import annotations

import html

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mailveil.endpoints.web.preview import read_preview

HEADERS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
FRAME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{subject}</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>
body{{margin:0;font:15px/1.4 system-ui,"DejaVu Sans",sans-serif;color:#202833;background:#fff}}
header{{padding:14px 20px 12px;border-bottom:1px solid #dde3ea;background:#f7f9fb}}
h1{{font-size:18px;margin:0 0 6px}}header p{{margin:0;color:#5a6879;font-size:13px}}
iframe{{border:0;width:100%;height:540px;display:block}}
</style></head><body><header><h1>{subject}</h1><p>From <b>{sender}</b><br>to {to}</p></header>
<iframe src="{path}/body" title="Message"></iframe></body></html>"""


class WebMail:
    """Serves ``/side/number``. It blocks nothing: what a message refers to, the reader's browser fetches."""

    def __init__(self) -> None:
        self._messages: dict[str, bytes] = {}

    def put(self, path: str, raw: bytes) -> None:
        """Show a message under a path."""
        self._messages[path] = raw

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        return Starlette(
            routes=[Route("/{side}/{number}", self._message), Route("/{side}/{number}/body", self._body)]
        )

    async def _message(self, request: Request) -> Response:
        path = request.url.path
        raw = self._messages.get(path)
        if raw is None:
            return Response(status_code=404)
        shown = read_preview(raw)
        page = FRAME.format(
            subject=html.escape(shown.subject),
            sender=html.escape(shown.sender),
            to=html.escape(shown.to),
            path=html.escape(path),
        )
        return Response(page, media_type="text/html", headers=HEADERS)

    async def _body(self, request: Request) -> Response:
        raw = self._messages.get(request.url.path.removesuffix("/body"))
        if raw is None:
            return Response(status_code=404)
        shown = read_preview(raw)
        kind = f"text/html; charset={shown.charset}"
        return Response(shown.document, headers={**HEADERS, "Content-Type": kind})
