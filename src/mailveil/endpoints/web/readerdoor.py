"""The door of readers: programs that fetch what is published, with a token as bearer or as a password. No cookies.

Clients of TAXII and MISP know HTTP Basic authentication alone: the password is the token, the name anything.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from mailveil.control.access import ANY_ORGANISATION, Actor, Permission
from mailveil.control.records import DEFAULT_ORGANISATION
from mailveil.control.room import ControlRoom
from mailveil.control.sharedobjects import SharedObjectStore
from mailveil.control.tokens import authenticate
from mailveil.core.failure import describe_failure
from mailveil.endpoints.web.admission import Admission, Authenticate, Refusal, RefusedError
from mailveil.endpoints.web.api.limits import RateLimit, Standing
from mailveil.endpoints.web.clients import Networks
from mailveil.ports import UnavailableError

log = logging.getLogger("mailveil.published")
ORGANISATION = "Mailveil-Organisation"
RETRY_S = 5
FIELDS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Vary": f"Authorization, {ORGANISATION}, Accept",
}
CHALLENGE = 'Bearer realm="mailveil", Basic realm="mailveil", charset="UTF-8"'
_S = HTTPStatus


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """How readers are let in. ``requests_per_minute`` are those of one token, or of an address without one."""

    requests_per_minute: int = 600
    trusted_proxies: Networks = ()
    is_https: bool = False


@dataclass(slots=True, eq=False)
class TurnedAwayError(Exception):
    """A request is not answered as it was asked: the status code, why, and what goes with it."""

    status: HTTPStatus
    title: str
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, with the store of what they may read."""

    actor: Actor
    store: SharedObjectStore
    organisations: Mapping[str, str]  # names of those that they may read of, by identifier
    request: Request


Answer = Callable[[Reader], Awaitable[Response]]
Refuse = Callable[[TurnedAwayError], Response]


class ReaderDoor:
    """Lets readers in; one for everything that is published."""

    def __init__(
        self, room: ControlRoom, settings: ReaderSettings, authenticates: Authenticate | None = None
    ) -> None:
        self.settings = settings
        self._room = room
        self._admission = Admission(
            authenticates or partial(authenticate, room),
            settings.requests_per_minute,
            settings.trusted_proxies,
        )
        self._requests = RateLimit("requests", settings.requests_per_minute)

    async def pass_through(self, request: Request, answer: Answer, refuse: Refuse) -> Response:
        """Answer a request, or refuse it in the words of whoever answers."""
        standings: list[Standing] = []
        try:
            response = await answer(await self._admit(request, standings))
        except TurnedAwayError as error:
            response = refuse(error)
        except UnavailableError as error:
            log.warning("what is published cannot be read: %s", error)
            response = refuse(_later())
        except Exception as error:
            log.error("what is published cannot be read: %s", describe_failure(error))
            response = refuse(TurnedAwayError(_S.INTERNAL_SERVER_ERROR, "Something is broken here"))
        response.headers.update(FIELDS)
        for each in standings:
            response.headers["RateLimit-Policy"] = each.policy
            response.headers["RateLimit"] = each.field
        return response

    async def _admit(self, request: Request, standings: list[Standing]) -> Reader:
        try:
            actor = await self._admission.admit(request, secret_of(request), standings)
        except RefusedError as error:
            raise _turned_away(error) from error
        standings[:] = [self._requests.take(actor.identifier)]
        if standings[0].wait_s:
            raise _turned_away(RefusedError(Refusal.TOO_MANY, standings[0]))
        if Permission.INTELLIGENCE_READ not in actor.permissions:
            raise TurnedAwayError(
                _S.FORBIDDEN, "The token may not do that", "It lacks the scope intelligence:read."
            )
        if self._room.shared is None:
            raise _later()
        known = {each.identifier: each.name for each in await self._room.organisations.organisations()}
        readable = {each: name for each, name in known.items() if actor.home in (ANY_ORGANISATION, each)}
        address = self._admission.address(request)
        return Reader(replace(actor, address=address), self._room.shared, readable, request)


def chosen_organisation(reader: Reader) -> str:
    """Return of which organisation somebody reads where the path does not say it. Raises ``TurnedAwayError``."""
    home = reader.actor.home
    own = DEFAULT_ORGANISATION if home == ANY_ORGANISATION else home
    named = reader.request.headers.get(ORGANISATION, own)
    if named not in reader.organisations:
        raise TurnedAwayError(_S.NOT_FOUND, "There is no such organisation for this token")
    return named


def secret_of(request: Request) -> str:
    """Return the token that a request shows, ``""`` for none."""
    fields = request.headers.getlist("authorization")
    if len(fields) != 1:
        return ""
    scheme, _, value = fields[0].partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        raw = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return raw.partition(b":")[2].decode("utf-8", "replace")


def _turned_away(error: RefusedError) -> TurnedAwayError:
    if error.standing is not None:
        return TurnedAwayError(
            _S.TOO_MANY_REQUESTS,
            "Too many requests",
            f"No more than {error.standing.quota} a minute are answered.",
            {"Retry-After": str(error.standing.wait_s)},
        )
    why = "There was none." if error.refusal is Refusal.NO_TOKEN else "It is unknown, revoked or expired."
    return TurnedAwayError(
        _S.UNAUTHORIZED,
        "A valid token is needed",
        f"{why} Send it as a bearer token, or as the password of HTTP Basic authentication.",
        {"WWW-Authenticate": CHALLENGE},
    )


def _later() -> TurnedAwayError:
    return TurnedAwayError(
        _S.SERVICE_UNAVAILABLE, "Not now", "The database does not answer.", {"Retry-After": str(RETRY_S)}
    )
