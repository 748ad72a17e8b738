"""Door: what happens to every request before and after its operation, in one order for all of them.

Who asks, how often, whether they may; whether the request is one that the document describes; whether it was made
before; whether the state that it changes is the one its client has seen. Then the operation, then entity tags.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from weakref import WeakValueDictionary

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from mailveil.control.access import ANY_ORGANISATION, Actor, ForbiddenError, Permission
from mailveil.control.failures import BusyError, InvalidError, MissingError
from mailveil.control.inspecting import InspectionDesk
from mailveil.control.records import DEFAULT_ORGANISATION
from mailveil.control.room import ControlRoom
from mailveil.control.stores import ConflictError, CursorError
from mailveil.core.failure import describe_failure
from mailveil.endpoints.web.admission import Admission, Refusal, RefusedError
from mailveil.endpoints.web.api import tags
from mailveil.endpoints.web.api.asking import Asked
from mailveil.endpoints.web.api.bodies import (
    JSON,
    MAX_JSON_BYTES,
    MESSAGE,
    BodyRequest,
    check_media_type,
    parse_json,
    read_body,
)
from mailveil.endpoints.web.api.limits import RateLimit, Standing
from mailveil.endpoints.web.api.operations import Body, Match, Operation
from mailveil.endpoints.web.api.problems import (
    BROKEN,
    CHANGED,
    CONFLICT,
    FORBIDDEN,
    INVALID,
    MATCH_REQUIRED,
    MEDIA_TYPE,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    TOO_MANY,
    UNAUTHENTICATED,
    UNEXAMINABLE,
    ProblemError,
    WrongField,
    invalid,
    later,
)
from mailveil.endpoints.web.api.repeating import Repeatable, fingerprint_of, key_of
from mailveil.endpoints.web.api.settings import ApiSettings
from mailveil.ports import EngineError, UnavailableError

log = logging.getLogger("mailveil.api")
ORGANISATION = "Mailveil-Organisation"
ORGANISATION_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
RETRY_S = 5
FIELDS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}

Handler = Callable[[Request], Awaitable[Response]]
Authenticate = Callable[[ControlRoom, str], Awaitable[Actor | None]]


class Door:
    """Lets requests in to operations. One for an application."""

    def __init__(
        self,
        room: ControlRoom,
        settings: ApiSettings,
        authenticate: Authenticate,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.room = room
        self.settings = settings
        self._admission = Admission(
            partial(authenticate, room), settings.requests_per_minute, settings.trusted_proxies, now
        )
        self._desk = InspectionDesk(settings.inspections)
        self._requests = RateLimit("requests", settings.requests_per_minute, now)
        self._inspections = RateLimit("inspect", settings.inspect_per_minute, now)
        self._changing: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self.readers: dict[str, Handler] = {}  # the operation that reads a path, where there is one

    async def pass_through(
        self, operation: Operation, parameters: frozenset[str], request: Request, handler: Handler
    ) -> Response:
        """Answer a request by its operation, or with a problem. ``parameters`` are those its query may have."""
        asked: Asked | None = None
        standings: list[Standing] = []
        try:
            asked = await self._admit(request, operation, standings)
            response = await self._answer(asked, operation, parameters, handler)
        except Exception as error:  # whatever it is, it is answered as a problem
            response = problem_of(error, operation).response()
        return finished(response, standings)

    async def pass_stranger(self, request: Request, response: Response) -> Response:
        """Answer a request for which nobody has to say who they are; the client's address has its quota."""
        standing = self._admission.take_stranger(request)
        if standing.wait_s:
            response = _too_many(standing).response()
        return finished(response, [standing])

    # --- who asks ----------------------------------------------------------------------------------------

    async def _admit(self, request: Request, operation: Operation, standings: list[Standing]) -> Asked:
        secret = _bearer(request)
        actor = await self._actor(request, secret, standings)
        standings[:] = [self._requests.take(actor.identifier)]
        if operation.inspects and not standings[0].wait_s:
            standings.append(self._inspections.take(actor.identifier))
        for standing in standings:
            if standing.wait_s:
                raise _too_many(standing)
        for permission in operation.scopes:
            if permission not in actor.permissions:
                raise _lacks(permission)
        if operation.everywhere and actor.home != ANY_ORGANISATION:
            raise ProblemError(FORBIDDEN, "This concerns all organisations, and the token belongs to one.")
        return Asked(self.room, self.settings, self._desk, actor, request, secret)

    async def _actor(self, request: Request, secret: str, standings: list[Standing]) -> Actor:
        """Return who holds the token. Raises ``ProblemError``."""
        try:
            actor = await self._admission.admit(request, secret, standings)
        except RefusedError as error:
            raise _refused(error) from error
        chosen = await self._organisation(request, actor)
        return replace(actor, organisation=chosen, address=self._admission.address(request))

    async def _organisation(self, request: Request, actor: Actor) -> str:
        """Return in which organisation somebody acts: their own, or where they belong to all, the one they name."""
        named = request.headers.getlist(ORGANISATION)
        if not named:
            return actor.home if actor.home != ANY_ORGANISATION else DEFAULT_ORGANISATION
        if len(named) != 1 or not ORGANISATION_NAME.fullmatch(named[0]):
            raise invalid("header", ORGANISATION, "has to be the identifier of one organisation")
        if actor.home not in (ANY_ORGANISATION, named[0]):
            raise ProblemError(FORBIDDEN, "The token belongs to another organisation.")
        if actor.home == ANY_ORGANISATION and named[0] not in {
            each.identifier for each in await self.room.organisations.organisations()
        }:
            raise ProblemError(NOT_FOUND, "There is no such organisation.")
        return named[0]

    # --- what is asked -----------------------------------------------------------------------------------

    async def _answer(
        self, asked: Asked, operation: Operation, parameters: frozenset[str], handler: Handler
    ) -> Response:
        request = asked.request
        _check_query(request, parameters)
        _check_accept(request, operation.media_type)
        body = await self._body(asked, operation)
        asked = replace(asked, request=body)
        body.state.asked = asked
        key = key_of(request) if operation.is_write else ""

        async def do() -> Response:
            async with self._matched(asked, operation):
                response = await _within(operation, handler, body)
            response.headers.update(asked.headers)
            return response

        if key:
            actor = asked.actor
            fingerprint = fingerprint_of(request, actor.organisation, body.raw)
            repeatable = Repeatable(self.room.repeats, actor.identifier, asked.secret, key, fingerprint)
            return await repeatable.answer(self.room.clock.now(), do)
        response = await do()
        if operation.method == "GET":
            return _tagged(request, response)
        return response

    async def _body(self, asked: Asked, operation: Operation) -> BodyRequest:
        request = BodyRequest(asked.request.scope, asked.request.receive)
        match operation.body:
            case Body.JSON:
                check_media_type(request, JSON)
                raw = await read_body(request, MAX_JSON_BYTES)
                request.value = await asyncio.to_thread(parse_json, raw)
                request.raw = raw
            case Body.MESSAGE:
                check_media_type(request, MESSAGE)
                request.raw = await read_body(request, self.settings.max_message_bytes)
            case Body.NONE:
                await read_body(request, 0)
        return request

    @contextlib.asynccontextmanager
    async def _matched(self, asked: Asked, operation: Operation) -> AsyncIterator[None]:
        """Hold the state of what is changed as the client has seen it. Raises ``ProblemError`` where it is another.

        Two changes through this process come one after the other; what another process does between is for the store
        to find out, which raises ``ConflictError``.
        """
        if operation.match is Match.NONE:
            yield
            return
        request = asked.request
        if operation.match is Match.MUST and "if-match" not in request.headers:
            raise ProblemError(MATCH_REQUIRED)
        place = (asked.actor.organisation, request.scope["path"])
        lock = self._changing.setdefault(place, asyncio.Lock())
        async with lock:
            if "if-match" in request.headers:
                reader = self.readers[operation.path]
                present = await reader(Request({**request.scope, "method": "GET"}, request.receive))
                if tags.is_match(request, tags.tag_of(bytes(present.body))) is False:
                    raise ProblemError(CHANGED)
                request.state.asked = replace(asked, present=bytes(present.body))
            try:
                yield
            except ConflictError as error:
                if "if-match" in request.headers:
                    raise ProblemError(CHANGED, str(error)) from error
                raise


async def _within(operation: Operation, handler: Handler, body: BodyRequest) -> Response:
    response = await handler(body)
    is_state = operation.method in ("PUT", "PATCH") and response.status_code == 200
    if is_state and operation.answer is not None:
        response.headers["ETag"] = tags.tag_of(bytes(response.body))
    return response


def _tagged(request: Request, response: Response) -> Response:
    if response.status_code != 200:
        return response
    tag = tags.tag_of(bytes(response.body))
    if tags.is_known(request, tag):
        kept = {name: value for name, value in response.headers.items() if name.lower() in ("link",)}
        return Response(status_code=304, headers={**kept, "ETag": tag})
    response.headers["ETag"] = tag
    return response


def finished(response: Response, standings: Sequence[Standing] = ()) -> Response:
    """Return an answer with what every answer carries."""
    response.headers.update(FIELDS)
    response.headers["Vary"] = f"Authorization, {ORGANISATION}"
    if standings:
        response.headers["RateLimit-Policy"] = ", ".join(each.policy for each in standings)
        response.headers["RateLimit"] = ", ".join(each.field for each in standings)
    return response


def problem_of(error: Exception, operation: Operation | None = None) -> ProblemError:
    """Return how an error is answered. What nobody thought of is logged, without a word of the request."""
    match error:
        case ProblemError():
            return error
        case RequestValidationError():
            return ProblemError(INVALID, errors=tuple(_wrong_field(each) for each in error.errors()))
        case ForbiddenError():
            return ProblemError(FORBIDDEN, str(error))
        case MissingError():
            return ProblemError(NOT_FOUND, str(error))
        case CursorError():
            return invalid("query", "cursor", str(error))
        case InvalidError():
            return invalid(
                "body" if operation and operation.body is Body.JSON else "query", error.field, str(error)
            )
        case ConflictError():
            return ProblemError(CONFLICT, str(error))
        case BusyError():
            return later(str(error), RETRY_S)
        case UnavailableError():
            log.warning("a request cannot be answered: %s", error)
            return later("The database or the workers do not answer.", RETRY_S)
        case EngineError():
            return ProblemError(UNEXAMINABLE, str(error))
        case _:
            log.error("a request could not be answered: %s", describe_failure(error))
            return ProblemError(BROKEN)


def _wrong_field(error: Mapping[str, object]) -> WrongField:
    location = error.get("loc")
    where, *names = location if isinstance(location, tuple) and location else ("body",)
    why = str(error.get("msg", "is wrong")).removeprefix("Value error, ")
    place = str(where) if where in ("body", "query", "path", "header") else "body"
    return WrongField(place, ".".join(str(each) for each in names), why)


def _lacks(permission: Permission) -> ProblemError:
    field = f'Bearer realm="mailveil", error="insufficient_scope", scope="{permission}"'
    return ProblemError(
        FORBIDDEN,
        f"The token lacks the scope {permission}.",
        members={"scope": str(permission)},
        headers={"WWW-Authenticate": field},
    )


def _unauthenticated(detail: str, error: str = "") -> ProblemError:
    field = f'Bearer realm="mailveil", error="{error}"' if error else 'Bearer realm="mailveil"'
    return ProblemError(UNAUTHENTICATED, detail, headers={"WWW-Authenticate": field})


def _refused(error: RefusedError) -> ProblemError:
    if error.standing is not None:
        return _too_many(error.standing)
    if error.refusal is Refusal.NO_TOKEN:
        return _unauthenticated("Send a token as “Authorization: Bearer mvt_…”.")
    return _unauthenticated("The token is unknown, revoked or expired.", error="invalid_token")


def _too_many(standing: Standing) -> ProblemError:
    return ProblemError(
        TOO_MANY,
        f"No more than {standing.quota} a minute are answered.",
        headers={"Retry-After": str(standing.wait_s)},
    )


def _bearer(request: Request) -> str:
    """Return the secret that a request shows, ``""`` for none. Cookies are not looked at."""
    fields = request.headers.getlist("authorization")
    if len(fields) != 1:
        return ""
    scheme, _, secret = fields[0].partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _check_query(request: Request, parameters: frozenset[str]) -> None:
    seen: set[str] = set()
    wrong: list[WrongField] = []
    for name, value in request.query_params.multi_items():
        if name not in parameters:
            wrong.append(WrongField("query", name, "there is no such parameter here"))
        elif name in seen:
            wrong.append(WrongField("query", name, "is there twice"))
        elif "\0" in value:
            wrong.append(WrongField("query", name, "has a NUL"))
        seen.add(name)
    if wrong:
        raise ProblemError(INVALID, errors=tuple(wrong))


def _check_accept(request: Request, media_type: str) -> None:
    """Refuse a request that takes no answer of our kind (RFC 9110 section 12.5.1)."""
    field = ", ".join(request.headers.getlist("accept")).lower()
    if not field.strip():
        return
    kind = media_type.partition("/")[0]
    best = (-1, 0.0)
    for item in field.split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        precision = (
            ("*/*", f"{kind}/*", media_type).index(name) if name in ("*/*", f"{kind}/*", media_type) else -1
        )
        if precision > best[0]:
            best = (precision, _quality(parameters))
    if best[1] <= 0:
        raise ProblemError(NOT_ACCEPTABLE, f"The answer is {media_type}; problems are {MEDIA_TYPE}.")


def _quality(parameters: Sequence[str]) -> float:
    for each in parameters:
        name, _, value = each.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
