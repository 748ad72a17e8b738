"""Application: the operations behind their door, and what answers where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match as RouteMatch
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailveil.control.room import ControlRoom
from mailveil.control.tokens import authenticate
from mailveil.endpoints.web.api import describing
from mailveil.endpoints.web.api.door import Authenticate, Door, Handler, finished, problem_of
from mailveil.endpoints.web.api.operations import Operation, Resource
from mailveil.endpoints.web.api.problems import BROKEN, METHOD_NOT_ALLOWED, NOT_FOUND, ProblemError
from mailveil.endpoints.web.api.resources import RESOURCES
from mailveil.endpoints.web.api.settings import ApiSettings

DOCUMENT = "/openapi.json"


def build(
    room: ControlRoom,
    settings: ApiSettings,
    *,
    authenticate: Authenticate = authenticate,
    resources: Sequence[Resource] = RESOURCES,
) -> ASGIApp:
    """Return the ASGI application. ``authenticate`` tells who holds a secret."""
    door = Door(room, settings, authenticate)
    # No pages of documentation: those of FastAPI load their scripts from elsewhere.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for resource in resources:
        for operation in resource.operations:
            _add(app, door, operation)
    document = json.dumps(describing.document(app, resources, settings)).encode("ascii")

    async def describe(request: Request) -> Response:
        return await door.pass_stranger(request, Response(document, media_type="application/json"))

    app.router.add_route(DOCUMENT, describe, methods=["GET"])
    app.add_exception_handler(HTTPException, _refused)
    return Methods(app)


def _add(app: FastAPI, door: Door, operation: Operation) -> None:
    class Route(APIRoute):
        """The route of one operation, behind the door."""

        def get_route_handler(self) -> Any:
            handler: Handler = super().get_route_handler()
            parameters = frozenset(each.alias for each in self.dependant.query_params)
            if operation.method == "GET":
                door.readers[operation.path] = handler

            async def answer(request: Request) -> Response:
                return await door.pass_through(operation, parameters, request, handler)

            return answer

    summary, _, description = (operation.endpoint.__doc__ or "").strip().partition("\n")
    app.router.add_api_route(
        operation.path,
        operation.endpoint,
        methods=[operation.method],
        status_code=operation.status,
        response_model=operation.answer,
        tags=[operation.tag],
        summary=summary.rstrip("."),
        description=description.strip() or summary,
        operation_id=describing.operation_id(operation),
        route_class_override=Route,
    )


async def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return finished(ProblemError(NOT_FOUND).response())
    return finished(problem_of(error).response())


class Methods:
    """Answers for methods: ``HEAD`` is ``GET`` without the body, ``OPTIONS`` and refusals name all that there are."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        offered = self._offered(scope)
        method = scope["method"]
        if not offered:
            await finished(ProblemError(NOT_FOUND).response())(scope, receive, send)
        elif method == "OPTIONS":
            allow = {"Allow": ", ".join(sorted(offered))}
            await finished(Response(status_code=204, headers=allow))(scope, receive, send)
        elif method not in offered:
            problem = ProblemError(METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(offered))})
            await finished(problem.response())(scope, receive, send)
        elif method == "HEAD":
            await self._answer({**scope, "method": "GET"}, receive, _without_body(send))
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by an operation; what goes wrong outside of every operation is a problem, too."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if has_begun:
                raise
            problem = problem_of(error) if not isinstance(error, ProblemError) else ProblemError(BROKEN)
            await finished(problem.response())(scope, receive, send)

    def _offered(self, scope: Scope) -> frozenset[str]:
        here = {**scope, "app": self.app}
        methods: set[str] = set()
        for route in self.app.router.routes:
            match, _ = route.matches(here)
            if match is not RouteMatch.NONE:
                methods |= getattr(route, "methods", None) or set()
        if "GET" in methods:
            methods.add("HEAD")
        return frozenset(methods | {"OPTIONS"}) if methods else frozenset()


def _without_body(send: Send) -> Send:
    async def head_only(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return head_only
