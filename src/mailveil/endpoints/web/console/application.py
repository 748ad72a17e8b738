"""The console's application: finds the page, makes sure of who asks and of where the form stood, and answers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from mailveil.control.access import ANY_ORGANISATION, Actor, ActorKind, ForbiddenError, Permission
from mailveil.control.failures import BusyError, InvalidError, MissingError
from mailveil.control.health import HealthCheck
from mailveil.control.records import DEFAULT_ORGANISATION
from mailveil.control.room import ControlRoom
from mailveil.control.signing_in import SigningIn
from mailveil.control.stores import ConflictError, CursorError
from mailveil.core.failure import trace_failure
from mailveil.endpoints.web.console import (
    account,
    allow,
    audit,
    campaigns,
    feeds,
    health,
    link,
    mailbox,
    marking,
    messages,
    openid,
    organisations,
    originals,
    overview,
    policy,
    reports,
    sharing,
    sign_in,
    tokens,
    trackers,
    users,
    watchdeeds,
    watching,
    weekly,
)
from mailveil.endpoints.web.console.browsers import (
    SESSION,
    address_of,
    comes_from_us,
    cookie,
    is_same,
    local_path,
)
from mailveil.endpoints.web.console.facts import ConsoleFacts
from mailveil.endpoints.web.console.link import SpentLinkError
from mailveil.endpoints.web.console.openid import OpenId
from mailveil.endpoints.web.console.pages import Entry, Page, Pages
from mailveil.endpoints.web.console.rendering import Rendering, here
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.console.wording import sentence
from mailveil.ports import Mailbox, UnavailableError

log = logging.getLogger("mailveil.console")
MAX_FORM_BYTES = 1_048_576
MAX_FIELDS = 1000
TITLES: Mapping[int, str] = {  # what a page is called that cannot be shown, instead of HTTP's own words
    403: "Not for you",
    404: "Not found",
    405: "That cannot be done here",
    409: "Something else was in the way",
    422: "That cannot be shown",
    500: "Something went wrong",
    503: "Not just now",
}
TOO_LONG = HTTPException(413, f"A form may have {MAX_FORM_BYTES:,} bytes.")
MODULES: tuple[Pages, ...] = (
    sign_in.pages,
    openid.pages,
    link.pages,
    overview.pages,
    watching.pages,
    watchdeeds.pages,
    campaigns.pages,
    marking.pages,
    messages.pages,
    originals.pages,
    trackers.pages,
    policy.pages,
    allow.pages,
    reports.pages,
    sharing.pages,
    feeds.pages,
    health.pages,
    account.pages,
    users.pages,
    tokens.pages,
    audit.pages,
    organisations.pages,
    mailbox.pages,
    weekly.pages,
)
NOBODY = Actor(ActorKind.USER, "", "nobody", "", "", frozenset())


class Console:
    """The pages, and what they are made of. ``health`` looks at what mailveil needs, ``alarms`` at what is wrong."""

    def __init__(
        self,
        room: ControlRoom,
        facts: ConsoleFacts,
        signing_in: SigningIn,
        *,
        mailbox: Mailbox | None = None,
        health: HealthCheck | None = None,
        alarms: Callable[[], Sequence[str]] = tuple,
        openid: OpenId | None = None,
        modules: Sequence[Pages] = MODULES,
    ) -> None:
        self.room = room
        self.facts = facts
        self.signing_in = signing_in
        self.mailbox = mailbox
        self.health = health
        self.alarms = alarms
        self.openid = openid
        self.views = originals.HeldViews()
        self.pages: tuple[Page, ...] = tuple(page for module in modules for page in module.all)
        self.rendering = Rendering(facts, [page.path for page in self.pages], room.clock.now)

    def application(self) -> ASGIApp:
        """Return the ASGI application, for ``site.py`` to put behind its guard."""
        routes = [Route(page.path, self._endpoint(page), methods=[page.method]) for page in self.pages]
        routes.append(Route("/assets/{name}", self.rendering.asset))
        return Starlette(routes=routes, exception_handlers={HTTPException: self._not_found})

    def _endpoint(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            visit = Visit(self, request, NOBODY)
            try:
                visit = await self._visit(request)
                return await self._answer(page, visit)
            except HTTPException as error:
                return self._sorry(visit, error.status_code, str(error.detail))
            except ForbiddenError as error:
                return self._sorry(visit, 403, f"{error}.")
            except SpentLinkError as error:
                return self._sorry(visit, 404, str(error), "This link does not work any more")
            except MissingError as error:
                return self._sorry(visit, 404, str(error) or "There is nothing here, or not for you.")
            except ConflictError as error:
                return self._sorry(visit, 409, str(error))
            except (InvalidError, CursorError) as error:
                return self._sorry(visit, 422, str(error))
            except BusyError as error:
                return self._sorry(visit, 503, str(error))
            except UnavailableError as error:
                log.warning("a page could not be made: %s", error)
                return self._sorry(visit, 503, "The database does not answer. Mail flows all the same.")
            except Exception as error:
                for line in trace_failure(error):
                    log.error("a page could not be made: %s", line)
                return self._sorry(visit, 500, "Something went wrong here. The log of mailveil says where.")

        return answer

    async def _visit(self, request: Request) -> Visit:
        """Return who asks. An organisation that is gone is not looked at any more."""
        visitor = await self.signing_in.visitor(cookie(request, SESSION, self.facts))
        if visitor is None:
            return Visit(self, request, NOBODY)
        actor = visitor.actor(address_of(request, self.facts))
        organisations = tuple(await self.room.organisations.organisations())
        known = {each.identifier for each in organisations}
        if actor.organisation not in known:
            if actor.home != ANY_ORGANISATION:
                return Visit(self, request, NOBODY)
            actor = replace(actor, organisation=DEFAULT_ORGANISATION)
        return Visit(self, request, actor, visitor, organisations=organisations)

    async def _answer(self, page: Page, visit: Visit) -> Response:
        if (elsewhere := _sent_elsewhere(page, visit)) is not None:
            return elsewhere
        if isinstance(page.need, Permission):
            visit.actor.require(page.need)
        if page.method != "POST":
            return await page.answer(visit)
        if not comes_from_us(visit.request, self.facts):
            raise HTTPException(403, "That form did not stand on a page of this console.")
        visit = await _with_form(visit)
        if page.need is not Entry.ANYBODY and not is_same(visit.signed_in.session.csrf, visit.secret("csrf")):
            raise HTTPException(403, "That form is out of date. Go back, load the page again and repeat it.")
        return await page.answer(visit)

    async def _not_found(self, request: Request, error: Exception) -> Response:
        """Answer where no page is: as everywhere, only those who are signed in are told."""
        assert isinstance(error, HTTPException)
        visit = Visit(self, request, NOBODY)
        with contextlib.suppress(UnavailableError):
            visit = await self._visit(request)
        text = {404: "There is no such page.", 405: "That page does not do that."}
        return self._sorry(visit, error.status_code, text.get(error.status_code, str(error.detail)))

    def _sorry(self, visit: Visit, status: int, text: str, title: str = "") -> Response:
        title = title or TITLES.get(status) or HTTPStatus(status).phrase
        words = sentence(text).rstrip()
        told = words if words.endswith((".", "!", "?", "…")) else f"{words}."
        return visit.page("sorry.html", status, title=title, text=told)


def _sent_elsewhere(page: Page, visit: Visit) -> Response | None:
    """Return the way to sign-in for whoever has not come so far, ``None`` for whoever may go on."""
    if page.need is Entry.ANYBODY:
        return None
    if visit.visitor is None:
        back = local_path(here(visit.request)) if page.method == "GET" else "/"
        return RedirectResponse("/sign-in" if back == "/" else f"/sign-in?{urlencode({'next': back})}", 303)
    if page.need is not Entry.HALFWAY and not visit.visitor.session.is_complete:
        return RedirectResponse("/sign-in/code", 303)
    return None


async def _with_form(visit: Visit) -> Visit:
    """Read the form of a request, which says beforehand how long it is, and is no longer whatever it said."""
    length = visit.request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise HTTPException(411, "That form does not say how long it is.")
    if int(length) > MAX_FORM_BYTES:
        raise TOO_LONG
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await visit.request.receive()
        size += len(message.get("body", b""))
        if size > MAX_FORM_BYTES:
            raise TOO_LONG
        return message

    request = Request(visit.request.scope, counted)
    fields: dict[str, list[str]] = {}
    files: dict[str, bytes] = {}
    async with request.form(max_files=4, max_fields=MAX_FIELDS, max_part_size=MAX_FORM_BYTES) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = await value.read()
            else:
                fields.setdefault(name, []).append(value)
    return replace(visit, form=fields, files=files)
