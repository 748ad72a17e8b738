"""OpenID Connect: to the provider and back, to sign in or to connect an account that is there."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailveil.control.failures import MissingError
from mailveil.control.openid import (
    Attempt,
    Claims,
    IdentityProvider,
    NotAdmittedError,
    OpenIdRules,
    ProviderError,
    connect,
    disconnect,
    new_attempt,
    sign_in_with,
)
from mailveil.control.signing_in import RefusedError
from mailveil.control.stores import ConflictError
from mailveil.endpoints.web.console.browsers import (
    address_of,
    cookie,
    drop_cookie,
    is_same,
    leave_cookie,
    local_path,
)
from mailveil.endpoints.web.console.facts import ConsoleFacts
from mailveil.endpoints.web.console.pages import Entry, Pages
from mailveil.endpoints.web.console.sign_in import enter, halfway
from mailveil.endpoints.web.console.visit import Visit

log = logging.getLogger("mailveil.console")
pages = Pages()
ATTEMPT = "mailveil-attempt"
ATTEMPT_S = 600
BACK = "/sign-in/openid/back"
MAX_CODE = 4096


@dataclass(frozen=True, slots=True)
class OpenId:
    """The provider that people may sign in with; ``title`` is what pages call it."""

    provider: IdentityProvider
    rules: OpenIdRules
    title: str


@pages.get("/sign-in/openid", Entry.ANYBODY)
async def go_to_provider(visit: Visit) -> Response:
    """Send the browser to the provider. It comes back with nothing that another browser could use."""
    attempt = new_attempt(local_path(visit.query("next", "/")))
    try:
        address = await _openid(visit).provider.sign_in_address(attempt, _back(visit.facts))
    except ProviderError as error:
        return _unanswered(visit, error)
    response = RedirectResponse(address, 303)
    _leave(response, attempt, visit.facts)
    return response


@pages.post("/account/openid/connect", Entry.SIGNED_IN)
async def go_and_connect(visit: Visit) -> Response:
    """Offer the way to the provider. A page with a link, since a form may lead to no other site."""
    attempt = new_attempt("/account", visit.signed_in.session.digest)
    try:
        address = await _openid(visit).provider.sign_in_address(attempt, _back(visit.facts))
    except ProviderError as error:
        return _unanswered(visit, error)
    response = visit.page("connect.html", address=address, title=_openid(visit).title)
    _leave(response, attempt, visit.facts)
    return response


@pages.post("/account/openid/disconnect", Entry.SIGNED_IN)
async def without_provider(visit: Visit) -> Response:
    """Have one's account open by its password alone again."""
    await disconnect(visit.room, visit.actor, visit.user)
    return visit.go("/account", "The two are not connected any more.")


@pages.get(BACK, Entry.ANYBODY)
async def come_back(visit: Visit) -> Response:
    """Take in what the provider says of whoever comes back, if this browser is the one that went."""
    openid, query = _openid(visit), visit.request.query_params
    attempt = _attempt(visit.request, visit.facts)
    if attempt is None or not is_same(attempt.state, query.get("state", "")):
        return _refused(
            visit, "This browser has not set out to sign in, or did so too long ago. Begin again."
        )
    if query.get("iss") not in (None, openid.provider.issuer):  # RFC 9207
        return _refused(visit, "The answer came from another provider than was asked.")
    code = query.get("code", "")
    if query.get("error") or not 0 < len(code) <= MAX_CODE:
        return _refused(visit, f"{openid.title} did not sign you in.")
    address = address_of(visit.request, visit.facts)
    try:
        claims = await openid.provider.claims(attempt, code, _back(visit.facts))
        if attempt.session:
            return await _connected(visit, attempt, claims)
        begun = await sign_in_with(visit.console.signing_in, openid.rules, claims, address)
    except ProviderError as error:
        return _unanswered(visit, error)
    except NotAdmittedError as error:
        return _refused(visit, str(error))
    except (RefusedError, ConflictError):
        return _refused(visit, "Your account was changed this moment. Begin again.")
    if visit.visitor is not None:
        await visit.room.accounts.end_session(visit.visitor.session.digest)
    whole = begun.session.is_complete
    response = enter(visit, begun, attempt.next) if whole else halfway(visit, begun, attempt.next)
    drop_cookie(response, ATTEMPT, visit.facts)
    return response


async def _connected(visit: Visit, attempt: Attempt, claims: Claims) -> Response:
    """Connect the account of the very session that set out."""
    visitor = visit.visitor
    if visitor is None or not visitor.session.is_complete or visitor.session.digest != attempt.session:
        return _refused(visit, "You are not signed in any more as the one who set out. Begin again.")
    try:
        await connect(visit.room, visitor, claims, visit.actor.address)
    except ConflictError:
        return _refused(visit, "Another account here is connected with that one already.")
    response = visit.go("/account", f"From now on you can sign in with {_openid(visit).title}.")
    drop_cookie(response, ATTEMPT, visit.facts)
    return response


def _openid(visit: Visit) -> OpenId:
    if visit.console.openid is None:
        raise MissingError
    return visit.console.openid


def _back(facts: ConsoleFacts) -> str:
    return facts.console_url + BACK


def _unanswered(visit: Visit, error: ProviderError) -> Response:
    log.warning("OpenID Connect: %s", error)
    title = _openid(visit).title
    return _refused(visit, f"{title} does not answer as it should; the log of mailveil says why.")


def _refused(visit: Visit, text: str) -> Response:
    response = visit.page("sorry.html", 403, title="Not signed in", text=text)
    drop_cookie(response, ATTEMPT, visit.facts)
    return response


def _leave(response: Response, attempt: Attempt, facts: ConsoleFacts) -> None:
    parts = [attempt.state, attempt.nonce, attempt.verifier, attempt.next, attempt.session]
    text = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode("ascii")
    leave_cookie(response, ATTEMPT, text, facts, seconds=ATTEMPT_S)


def _attempt(request: Request, facts: ConsoleFacts) -> Attempt | None:
    try:
        parts = json.loads(base64.urlsafe_b64decode(cookie(request, ATTEMPT, facts)))
    except (ValueError, RecursionError, binascii.Error):
        return None
    if not isinstance(parts, list) or len(parts) != 5 or not all(isinstance(each, str) for each in parts):
        return None
    return Attempt(parts[0], parts[1], parts[2], local_path(parts[3]), parts[4])
