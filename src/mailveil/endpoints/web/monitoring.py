"""Monitoring: what machines ask for: alive (``/healthz``), ready (``/readyz``), and figures (``/metrics``)."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mailveil.endpoints.web.guard import PAGE_HEADERS

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process can do its work now, and what keeps it from that, in words. Nothing in it is a secret."""

    ready: bool
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Answers. ``may_read`` tells whether a bearer token is good for figures; without one, they are for ``clients``."""

    version: str
    readiness: Callable[[], Awaitable[Readiness]]
    render: Callable[[str], Awaitable[tuple[bytes, str]]]
    clients: Sequence[IPv4Network | IPv6Network] = ()
    may_read: Callable[[str], Awaitable[bool]] | None = None

    async def alive(self, request: Request) -> Response:
        """Answer that the process lives: it is not to be restarted for what others fail at."""
        del request
        return JSONResponse({"status": "ok", "version": self.version}, headers=PAGE_HEADERS)

    async def ready(self, request: Request) -> Response:
        """Answer whether work may be sent here."""
        del request
        found = await self.readiness()
        body = {"status": "ready" if found.ready else "not ready", "troubles": list(found.troubles)}
        return JSONResponse(body, 200 if found.ready else 503, headers=PAGE_HEADERS)

    async def figures(self, request: Request) -> Response:
        """Answer with the figures, to whom they are for."""
        if not await self._is_for(request):
            return PlainTextResponse(
                "Figures are for the addresses in [metrics] clients, asked for directly, and for tokens for "
                "all organisations with the scope health:read.\n",
                403,
                headers=PAGE_HEADERS,
            )
        return await self.figures_for_anybody(request)

    async def figures_for_anybody(self, request: Request) -> Response:
        """Answer with the figures whoever asks, on a listener of their own."""
        text, media_type = await self.render(request.headers.get("accept", ""))
        return Response(text, headers={**PAGE_HEADERS, "Content-Type": media_type})

    def application(self) -> ASGIApp:
        """Return what a listener of its own answers."""
        return Starlette(
            routes=[
                Route("/healthz", self.alive),
                Route("/readyz", self.ready),
                Route("/metrics", self.figures_for_anybody),
            ]
        )

    async def _is_for(self, request: Request) -> bool:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.may_read is not None:
            return await self.may_read(secret.strip())
        # A reverse proxy on this machine asks from here for whoever asked it.
        if any(name in request.headers for name in FORWARDED) or request.client is None:
            return False
        try:
            address = ipaddress.ip_address(request.client.host.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.clients)
