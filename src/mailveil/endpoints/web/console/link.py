"""Links: where somebody who was invited, or has forgotten the password, chooses one. Each works once."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.records import OneTimeLink, User
from mailveil.control.signing_in import browser_mark
from mailveil.control.stores import ConflictError
from mailveil.control.users import open_link, use_link
from mailveil.endpoints.web.console.browsers import KNOWN, YEAR_S, address_of, leave_cookie
from mailveil.endpoints.web.console.pages import Entry, Pages
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()


class SpentLinkError(MissingError):
    """A link that opens nothing, or nothing any more."""


@pages.get("/link/{secret}", Entry.ANYBODY)
async def link_page(visit: Visit) -> Response:
    """Ask for a password. Looking at the link does not use it: mail filters and messengers look at links too."""
    link, user = await _opened(visit)
    return visit.page("link.html", link=link, user=user)


@pages.post("/link/{secret}", Entry.ANYBODY)
async def choose_password(visit: Visit) -> Response:
    """Set the password, and use the link up."""
    link, user = await _opened(visit)
    password = visit.secret("password")
    try:
        if password != visit.secret("password_again"):
            raise InvalidError("The two passwords are not the same.", "password")
        made = await use_link(
            visit.room,
            visit.console.signing_in.passwords,
            visit.path("secret"),
            password,
            name=visit.text("name"),
            address=address_of(visit.request, visit.facts),
        )
    except InvalidError as error:
        return visit.wrong("link.html", error, link=link, user=user)
    except ConflictError as error:
        return visit.wrong("link.html", InvalidError(str(error), "name"), link=link, user=user)
    response = visit.go(
        f"/sign-in?{urlencode({'name': made.name})}", f"The password of {made.name} is set. Sign in with it."
    )
    # Who guesses at the name elsewhere does not keep its owner out of this browser.
    leave_cookie(response, KNOWN, browser_mark(made), visit.facts, seconds=YEAR_S)
    return response


async def _opened(visit: Visit) -> tuple[OneTimeLink, User | None]:
    try:
        return await open_link(visit.room, visit.path("secret"))
    except MissingError as error:
        raise SpentLinkError("It was used already, has expired, or never was. Ask for another.") from error
