"""Account: one's own password, second factor and sessions."""

from __future__ import annotations

from typing import Any

import segno
from starlette.responses import Response

from mailveil.control.failures import BusyError, InvalidError
from mailveil.control.records import User
from mailveil.control.secondfactor import enrolment_url, new_secret
from mailveil.control.signing_in import RefusedError, TooManyAttemptsError
from mailveil.control.users import change_password, drop_second_factor, end_other_sessions, set_second_factor
from mailveil.endpoints.web.console.pages import Entry, Pages
from mailveil.endpoints.web.console.sign_in import enter, later, wait
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()
NOT_YOURS = "That is not your password."


@pages.get("/account", Entry.SIGNED_IN)
async def account(visit: Visit) -> Response:
    """Show who one is here."""
    return visit.page("account.html", **await _account(visit))


@pages.post("/account/password", Entry.SIGNED_IN)
async def new_password(visit: Visit) -> Response:
    """Change one's password; every other browser is signed out."""
    try:
        if visit.secret("password") != visit.secret("password_again"):
            raise InvalidError("The two new passwords are not the same.", "password")
        user = await change_password(
            visit.console.signing_in,
            visit.actor,
            visit.user,
            visit.secret("old_password"),
            visit.secret("password"),
        )
    except RefusedError:
        return visit.wrong("account.html", InvalidError(NOT_YOURS, "old_password"), **await _account(visit))
    except (TooManyAttemptsError, BusyError) as error:
        return later(visit.wrong("account.html", wait(error), **await _account(visit)), error)
    except InvalidError as error:
        return visit.wrong("account.html", error, **await _account(visit))
    return await _anew(visit, user, "Your password is changed. All your other sessions have ended.")


@pages.get("/account/second-factor", Entry.SIGNED_IN)
async def second_factor(visit: Visit) -> Response:
    """Offer a secret for an authenticator app."""
    if visit.user.totp_secret:
        return visit.go("/account")
    return visit.page("second_factor.html", **_offer(visit, new_secret()))


@pages.post("/account/second-factor", Entry.SIGNED_IN)
async def confirm_second_factor(visit: Visit) -> Response:
    """Have every sign-in ask for a code from now on, once a first one shows that the app has the secret."""
    if visit.user.totp_secret:
        return visit.go("/account")
    secret = visit.text("secret")
    try:
        user = await set_second_factor(
            visit.console.signing_in, visit.actor, visit.user, secret, visit.text("code")
        )
    except InvalidError as error:
        return visit.wrong("second_factor.html", error, **_offer(visit, secret))
    return await _anew(visit, user, "From now on, signing in takes a code from your app.")


@pages.post("/account/second-factor/remove", Entry.SIGNED_IN)
async def remove_second_factor(visit: Visit) -> Response:
    """Do without a second factor from now on."""
    try:
        user = await drop_second_factor(
            visit.console.signing_in, visit.actor, visit.user, visit.secret("old_password")
        )
    except RefusedError:
        return visit.wrong("account.html", InvalidError(NOT_YOURS), **await _account(visit))
    except (TooManyAttemptsError, BusyError) as error:
        return later(visit.wrong("account.html", wait(error), **await _account(visit)), error)
    return await _anew(visit, user, "Your second factor is removed.")


@pages.post("/account/sessions/end", Entry.SIGNED_IN)
async def end_sessions(visit: Visit) -> Response:
    """Sign out every other browser."""
    ended = await end_other_sessions(visit.room, visit.actor, visit.signed_in.session)
    return visit.go("/account", f"{ended} other session{'s' if ended != 1 else ''} ended.")


async def _anew(visit: Visit, user: User, note: str) -> Response:
    return enter(visit, await visit.console.signing_in.anew(visit.signed_in, user), "/account", note)


async def _account(visit: Visit) -> dict[str, Any]:
    now = visit.room.clock.now()
    sessions = [
        each for each in await visit.room.accounts.sessions_of(visit.user.identifier) if each.expires_at > now
    ]
    return {"user": visit.user, "sessions": sessions}


def _offer(visit: Visit, secret: str) -> dict[str, Any]:
    spelled = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    try:
        picture = segno.make(enrolment_url(secret, visit.user.name), error="m").png_data_uri(
            scale=6, border=4
        )
    except segno.DataOverflowError:
        picture = ""
    return {"secret": secret, "spelled": spelled, "picture": picture}
