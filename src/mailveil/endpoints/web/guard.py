"""Guards: what every web listener for people does before its pages, and says with each of them."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PAGE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-DNS-Prefetch-Control": "off",
    "Cache-Control": "no-store",
}


class HostGuard:
    """Answers only under names that are ours: a page elsewhere could point its own name at this address."""

    def __init__(self, app: ASGIApp, host_names: frozenset[str]) -> None:
        self.app = app
        self.host_names = host_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421."""
        fields = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"]
        if scope["type"] == "http" and (len(fields) != 1 or host_name(fields[0]) not in self.host_names):
            response = PlainTextResponse("This page does not go by that name.\n", 421, headers=PAGE_HEADERS)
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def host_name(field: str) -> str:
    """Return the name in a ``Host`` field without its port, lower-case; ``""`` where it is malformed."""
    try:
        return (urlsplit(f"//{field}").hostname or "").rstrip(".")
    except ValueError:
        return ""
