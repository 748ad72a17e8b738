"""The site: what one listener answers, path by path, and under which names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from mailveil.endpoints.web.guard import PAGE_HEADERS, EveryAnswer, HostGuard

REPORT_PATH = "/report"
STRICT_TRANSPORT = "max-age=31536000"
Answer = Callable[[Request], Awaitable[Response]]


def build_site(
    host_names: frozenset[str],
    console: ASGIApp,
    *,
    answers: Mapping[str, Answer] | None = None,
    parts: Mapping[str, ASGIApp] | None = None,
    places: Mapping[str, str] | None = None,
    is_https: bool = False,
) -> ASGIApp:
    """Return one application for the listener: ``answers`` at single paths, ``parts`` below theirs, then the console.

    All of it is answered under ``host_names`` alone, and under the names in ``places`` what is below one path.
    ``parts`` are such as ``/api/v1`` and ``/report``; each sees what
    follows its own path. ``is_https``: browsers come by https, and shall keep to it.
    """
    routes: list[BaseRoute] = [Route(path, answer) for path, answer in (answers or {}).items()]
    routes += [Mount(path, part) for path, part in (parts or {}).items()]
    routes.append(Mount("", console))
    fields = {**PAGE_HEADERS, "Strict-Transport-Security": STRICT_TRANSPORT} if is_https else PAGE_HEADERS
    return EveryAnswer(HostGuard(Starlette(routes=routes), host_names, places), fields)
