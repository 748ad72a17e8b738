"""Users: who may sign in, and as what."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from mailveil.control.access import ANY_ORGANISATION, Permission, Role
from mailveil.control.failures import InvalidError
from mailveil.control.records import User
from mailveil.control.stores import ConflictError
from mailveil.control.users import (
    NewLink,
    invite_user,
    list_users,
    password_link,
    read_user,
    remove_second_factor,
    set_disabled,
    set_role,
)
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()
ROLE_WORDS = {
    Role.VIEWER: "sees figures, trackers and operators; no message and no person",
    Role.ANALYST: "sees messages too, and works through what readers report",
    Role.ADMINISTRATOR: "may do everything",
}


@pages.get("/users", Permission.USERS_READ)
async def users(visit: Visit) -> Response:
    """List the users."""
    return visit.page("users.html", **await _users(visit))


@pages.post("/users", Permission.USERS_WRITE)
async def invite(visit: Visit) -> Response:
    """Make a user, and show the link for it, once."""
    try:
        made = await invite_user(
            visit.room,
            visit.actor,
            visit.text("name"),
            _role(visit),
            home=visit.text("home"),
            display_name=visit.text("display_name"),
        )
    except InvalidError as error:
        return visit.wrong("users.html", error, **await _users(visit))
    except ConflictError as error:
        return visit.wrong("users.html", InvalidError(str(error), "name"), **await _users(visit))
    return _shown(visit, made)


@pages.get("/users/{identifier}", Permission.USERS_READ)
async def user(visit: Visit) -> Response:
    """Show one user."""
    found = await read_user(visit.room, visit.actor, visit.path("identifier"))
    return visit.page("user.html", **_about(visit, found))


@pages.post("/users/{identifier}/role", Permission.USERS_WRITE)
async def change_role(visit: Visit) -> Response:
    """Give a user another role."""
    changed = await set_role(visit.room, visit.actor, visit.path("identifier"), _role(visit))
    return visit.go(f"/users/{changed.identifier}", f"{changed.name} is {changed.role} now.")


@pages.post("/users/{identifier}/disable", Permission.USERS_WRITE)
async def disable(visit: Visit) -> Response:
    """Shut a user out."""
    changed = await set_disabled(visit.room, visit.actor, visit.path("identifier"), True)
    return visit.go(
        f"/users/{changed.identifier}", f"{changed.name} is signed out and cannot sign in any more."
    )


@pages.post("/users/{identifier}/enable", Permission.USERS_WRITE)
async def enable(visit: Visit) -> Response:
    """Let a user in again."""
    changed = await set_disabled(visit.room, visit.actor, visit.path("identifier"), False)
    return visit.go(f"/users/{changed.identifier}", f"{changed.name} may sign in again.")


@pages.post("/users/{identifier}/second-factor/remove", Permission.USERS_WRITE)
async def without_second_factor(visit: Visit) -> Response:
    """Let a user whose phone is lost sign in with the password alone."""
    changed = await remove_second_factor(visit.room, visit.actor, visit.path("identifier"))
    return visit.go(f"/users/{changed.identifier}", f"The second factor of {changed.name} is removed.")


@pages.post("/users/{identifier}/password-link", Permission.USERS_WRITE)
async def new_link(visit: Visit) -> Response:
    """Make a link for a new password, and show it, once."""
    return _shown(visit, await password_link(visit.room, visit.actor, visit.path("identifier")))


def _shown(visit: Visit, made: NewLink) -> Response:
    return visit.page("new_link.html", made=made, url=f"{visit.facts.console_url}/link/{made.secret}")


async def _users(visit: Visit) -> dict[str, Any]:
    homes = [(each.identifier, each.name) for each in visit.organisations]
    if visit.actor.home == ANY_ORGANISATION:
        homes.append((ANY_ORGANISATION, "all organisations"))
    else:
        homes = [each for each in homes if each[0] == visit.actor.organisation]
    page = await list_users(visit.room, visit.actor, visit.cut())
    return {"users": page, "homes": homes, "roles": ROLE_WORDS}


def _about(visit: Visit, found: User) -> dict[str, Any]:
    return {"user": found, "roles": ROLE_WORDS, "is_self": found.identifier == visit.actor.identifier}


def _role(visit: Visit) -> Role:
    try:
        return Role(visit.text("role"))
    except ValueError as error:
        raise InvalidError("Choose a role.", "role") from error
