"""The page: what the spy learned, side by side, for a browser. Server-rendered, and refers to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mailveil import __version__
from mailveil.commands.demo.findings import Result, clock
from mailveil.commands.demo.report import download_line, how_it_was_read
from mailveil.endpoints.web.guard import PAGE_HEADERS, HostGuard

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
NAMES = frozenset({"localhost", "127.0.0.1"})


class DemoPage:
    """Builds the application. There is nothing in it that a visitor could change."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("mailveil.commands.demo", "pages"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(clock=clock, downloads=download_line)
        self._sheet = resources.files("mailveil.commands.demo").joinpath("pages/demo.css").read_text("utf-8")

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        routes = [
            Route("/", self._page),
            Route("/demo.css", self._style),
            Route("/result.json", self._json),
            Route("/picture/{side}/{letter}.png", self._picture),
        ]
        return HostGuard(Starlette(routes=routes), NAMES)

    async def _page(self, request: Request) -> Response:
        del request
        result = self._result
        values: Mapping[str, object] = {
            "version": __version__,
            "result": result,
            "read": how_it_was_read(result),
            "pairs": list(zip(result.unprotected.letters, result.protected.letters, strict=True)),
        }
        html = self._templates.get_template("demo.html").render(values)
        return Response(
            html, media_type="text/html", headers={**PAGE_HEADERS, "Content-Security-Policy": POLICY}
        )

    async def _style(self, request: Request) -> Response:
        del request
        return Response(self._sheet, media_type="text/css", headers=PAGE_HEADERS)

    async def _json(self, request: Request) -> Response:
        del request
        return JSONResponse(self._result.as_record(), headers=PAGE_HEADERS)

    async def _picture(self, request: Request) -> Response:
        picture = self._result.pictures.get(f"{request.path_params['side']}/{request.path_params['letter']}")
        if picture is None:
            return Response(status_code=404, headers=PAGE_HEADERS)
        return Response(picture, media_type="image/png", headers=PAGE_HEADERS)
