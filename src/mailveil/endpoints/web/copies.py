"""Copies server: all that readers' mail clients talk to. It answers one route and remembers nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mailveil.core.references.types import Media
from mailveil.endpoints.web.placeholders import placeholder
from mailveil.ports import CopyStore, StoredCopy, UnavailableError

PREFIX = "/c/"
# The bytes are harmless already; these make sure that nothing is ever made of them but a picture or a sound,
# whoever opens them and however. Webmail and fonts load across origins, hence CORP and CORS.
INERT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
    "Referrer-Policy": "no-referrer",
    "X-DNS-Prefetch-Control": "off",
    "X-Robots-Tag": "noindex, nofollow",
}
FOR_EVER = "private, max-age=31536000, immutable"
NOT_AT_ALL = "no-store"
RANGE = re.compile(r"bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))\Z")


class CopiesServer:
    """An ASGI application: ``GET`` and ``HEAD`` of ``/c/{token}``; everything else is 404 without a word.

    ``is_token`` tells whether a token is one of ours (core/copyaddress). Neither token nor client is logged,
    no cookie is set, and the entity tag is the content's, the same for everybody.
    """

    def __init__(self, store: CopyStore, is_token: Callable[[str], bool]) -> None:
        self.store = store
        self.is_token = is_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        response = await self.answer(scope)
        if scope["method"] == "HEAD":
            response.body = b""  # the headers keep telling the length
        await response(scope, receive, send)

    async def answer(self, scope: Scope) -> Response:
        """Return the response to a request."""
        path = scope["path"]
        token = path[len(PREFIX) :]
        if scope["method"] not in ("GET", "HEAD") or not path.startswith(PREFIX) or not self.is_token(token):
            return Response(status_code=404, headers={"Cache-Control": NOT_AT_ALL})
        try:
            copy = await self.store.get(token)
        except UnavailableError:
            copy = None
        if copy is None or not copy.body:
            return _placeholder_response(copy or StoredCopy(Media.IMAGE))
        requested = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        return _copy_response(copy, requested)


def _placeholder_response(copy: StoredCopy) -> Response:
    """A copy may still come, or come back: nobody may keep this."""
    media_type, body = placeholder(copy.media, copy.width, copy.height)
    return Response(body, headers={**INERT_HEADERS, "Content-Type": media_type, "Cache-Control": NOT_AT_ALL})


def _copy_response(copy: StoredCopy, requested: dict[bytes, str]) -> Response:
    etag = f'"{copy.sha256}"'
    headers = {
        **INERT_HEADERS,
        "Content-Type": copy.media_type,
        "Cache-Control": FOR_EVER,
        "ETag": etag,
        "Accept-Ranges": "bytes",
    }
    known = requested.get(b"if-none-match", "")
    if known and (known.strip() == "*" or etag in known):
        return Response(status_code=304, headers=headers)
    span = None
    if requested.get(b"if-range", etag) == etag:
        span = parse_range(requested.get(b"range", ""), len(copy.body))
    if span is None:
        return Response(copy.body, headers=headers)
    start, end = span
    if start >= end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(copy.body)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(copy.body)}"
    return Response(copy.body[start:end], status_code=206, headers=headers)


def parse_range(value: str, length: int) -> tuple[int, int] | None:
    """Return the half-open range that a ``Range`` field asks for (RFC 9110 section 14.1.2).

    ``None`` where the whole is to be answered: no range, several, or none that is understood. An empty range
    (start not before end) cannot be satisfied.
    """
    found = RANGE.match(value.strip())
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return (length, length) if int(suffix) == 0 else (max(0, length - int(suffix)), length)
    start = int(first)
    if last and int(last) < start:
        return None
    end = min(int(last) + 1, length) if last else length
    return (start, end) if start < length else (length, length)
