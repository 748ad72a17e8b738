"""Guards: what every web listener for people does before its pages, and says with each of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailveil.core.failure import trace_failure

log = logging.getLogger("mailveil.web")

PAGE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-DNS-Prefetch-Control": "off",
    "Cache-Control": "no-store",
}


class HostGuard:
    """Answers only under names that are ours: a page elsewhere could point its own name at this address.

    ``places`` are further names, each with the one path that is answered there with all below it.
    """

    def __init__(
        self, app: ASGIApp, host_names: frozenset[str], places: Mapping[str, str] | None = None
    ) -> None:
        self.app = app
        self.host_names = host_names
        self.places = places or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421; 400 where it says in two ways how long it is (RFC 9112 section 6.1)."""
        names = {name for name, _ in scope.get("headers", ())}
        if {b"content-length", b"transfer-encoding"} <= names:
            fields_too = {**PAGE_HEADERS, "Connection": "close"}
            answer = PlainTextResponse("How long is that?\n", 400, headers=fields_too)
            await answer(scope, receive, send)
            return
        fields = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"]
        if scope["type"] == "http" and (len(fields) != 1 or not self._is_ours(fields[0], scope["path"])):
            response = PlainTextResponse("This page does not go by that name.\n", 421, headers=PAGE_HEADERS)
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_ours(self, field: str, path: str) -> bool:
        name = host_name(field)
        place = self.places.get(name)
        return name in self.host_names or (
            place is not None and (path == place or path.startswith(f"{place}/"))
        )


class EveryAnswer:
    """Gives each answer the fields that it lacks, redirects and refusals too, and answers where something breaks.

    What broke goes into the log by its place, without the text of the error: that may quote a message or a secret.
    """

    def __init__(self, app: ASGIApp, fields: Mapping[str, str]) -> None:
        self.app = app
        self.fields = fields

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        has_begun = False

        async def completed(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self.fields.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, completed)
        except Exception as error:
            for line in trace_failure(error):
                log.error("a request could not be answered: %s", line)
            if not has_begun:  # else the connection ends in the middle, as it should
                await PlainTextResponse("Something went wrong here.\n", 500)(scope, receive, completed)


def host_name(field: str) -> str:
    """Return the name in a ``Host`` field without its port, lower-case; ``""`` where it is malformed."""
    try:
        return (urlsplit(f"//{field}").hostname or "").rstrip(".")
    except ValueError:
        return ""
