"""Sign-in: name and password, the second factor, and out again; and what every visitor may set."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from mailveil.control.failures import BusyError, InvalidError
from mailveil.control.signing_in import HALFWAY_S, RefusedError, SignedIn, TooManyAttemptsError
from mailveil.endpoints.web.console.browsers import (
    KNOWN,
    SESSION,
    THEME,
    THEMES,
    YEAR_S,
    address_of,
    cookie,
    drop_cookie,
    leave_cookie,
    local_path,
)
from mailveil.endpoints.web.console.pages import Entry, Pages
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()


@pages.get("/sign-in", Entry.ANYBODY)
async def sign_in_page(visit: Visit) -> Response:
    """Ask for name and password."""
    back = local_path(visit.query("next", "/"))
    if visit.visitor is not None and visit.visitor.session.is_complete:
        return visit.go(back)
    has_users = await visit.room.accounts.count_users() > 0
    return visit.page("sign_in.html", next=back, has_users=has_users, given={"name": visit.query("name")})


@pages.post("/sign-in", Entry.ANYBODY)
async def sign_in(visit: Visit) -> Response:
    """Begin a session where name and password belong together."""
    back, address = local_path(visit.text("next", "/")), address_of(visit.request, visit.facts)
    known = cookie(visit.request, KNOWN, visit.facts)
    try:
        begun = await visit.console.signing_in.sign_in(
            visit.text("name"), visit.secret("password"), address, known
        )
    except RefusedError:
        wrong = InvalidError("Name and password do not belong together.", "name")
        return visit.wrong("sign_in.html", wrong, next=back, has_users=True)
    except (TooManyAttemptsError, BusyError) as error:
        return later(visit.wrong("sign_in.html", wait(error), next=back, has_users=True), error)
    if visit.visitor is not None:  # whoever sat here before is gone
        await visit.room.accounts.end_session(visit.visitor.session.digest)
    if begun.session.is_complete:
        return enter(visit, begun, back)
    return halfway(visit, begun, back)


@pages.get("/sign-in/code", Entry.HALFWAY)
async def code_page(visit: Visit) -> Response:
    """Ask for the code of the second factor."""
    back = local_path(visit.query("next", "/"))
    return visit.go(back) if visit.signed_in.session.is_complete else visit.page("code.html", next=back)


@pages.post("/sign-in/code", Entry.HALFWAY)
async def complete(visit: Visit) -> Response:
    """Begin the whole session where the code is right."""
    back, address = local_path(visit.text("next", "/")), address_of(visit.request, visit.facts)
    if visit.signed_in.session.is_complete:
        return visit.go(back)
    try:
        begun = await visit.console.signing_in.complete(visit.signed_in, visit.text("code"), address)
    except RefusedError:
        wrong = InvalidError("That code is wrong, or was used before. Wait for the next one.", "code")
        return visit.wrong("code.html", wrong, next=back)
    except TooManyAttemptsError as error:
        return later(visit.wrong("code.html", wait(error), next=back), error)
    return enter(visit, begun, back)


@pages.post("/sign-out", Entry.HALFWAY)
async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await visit.console.signing_in.sign_out(visit.signed_in, address_of(visit.request, visit.facts))
    response = visit.go("/sign-in", "You are signed out.")
    drop_cookie(response, SESSION, visit.facts)
    return response


@pages.post("/theme", Entry.ANYBODY)
async def theme(visit: Visit) -> Response:
    """Keep to light or dark in this browser."""
    response = visit.go(local_path(visit.text("next", "/")))
    if visit.text("theme") in THEMES:
        leave_cookie(response, THEME, visit.text("theme"), visit.facts, seconds=YEAR_S)
    else:
        drop_cookie(response, THEME, visit.facts)
    return response


@pages.post("/organisation", Entry.SIGNED_IN)
async def look_at(visit: Visit) -> Response:
    """Look at another organisation."""
    if not await visit.console.signing_in.look_at(visit.signed_in, visit.text("organisation")):
        return visit.go("/", "That organisation is not yours to look at.", "bad")
    return visit.go("/")


def enter(visit: Visit, begun: SignedIn, path: str, note: str = "") -> Response:
    """Give the browser its session, and go on."""
    response = visit.go(path, note)
    leave_cookie(response, SESSION, begun.secret, visit.facts)
    if begun.known:
        leave_cookie(response, KNOWN, begun.known, visit.facts, seconds=YEAR_S)
    return response


def halfway(visit: Visit, begun: SignedIn, path: str) -> Response:
    """Give the browser half a session, and ask for the second factor."""
    response = RedirectResponse(f"/sign-in/code?{urlencode({'next': path})}", 303)
    leave_cookie(response, SESSION, begun.secret, visit.facts, seconds=int(HALFWAY_S))
    return response


def wait(error: TooManyAttemptsError | BusyError) -> InvalidError:
    """Return what is said to whoever has to wait."""
    if isinstance(error, BusyError):
        return InvalidError("Too many people sign in at this moment. Try again in a few seconds.")
    minutes = max(1, round(error.retry_after_s / 60))
    return InvalidError(f"Too many attempts failed. Try again in {minutes} min.")


def later(response: Response, error: TooManyAttemptsError | BusyError) -> Response:
    """Say so in the language of programs as well (RFC 6585 section 4)."""
    response.status_code = 429 if isinstance(error, TooManyAttemptsError) else 503
    seconds = error.retry_after_s if isinstance(error, TooManyAttemptsError) else 5
    response.headers["Retry-After"] = str(int(seconds))
    return response
