"""Users on the command line: listed, invited, changed, and let in again."""

from __future__ import annotations

from datetime import datetime

import click

from mailveil.commands.inroom import in_room, say
from mailveil.commands.terminal import note, printable
from mailveil.config import Settings
from mailveil.control.access import Actor, Role
from mailveil.control.failures import MissingError
from mailveil.control.records import MAX_PAGE, Cut, User
from mailveil.control.room import ControlRoom
from mailveil.control.users import (
    NewLink,
    first_administrator_link,
    invite_user,
    list_users,
    password_link,
    remove_second_factor,
    set_disabled,
    set_role,
    user_called,
)


def show_users(settings: Settings, *, as_json: bool) -> int:
    """Print every user."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        cut, seen = Cut(MAX_PAGE), 0
        while True:
            page = await list_users(room, actor, cut)
            for each in page.items:
                seen += 1
                if as_json:
                    say(user_record(each))
                else:
                    click.echo(_line(each))
            if not page.next:
                break
            cut = Cut(MAX_PAGE, page.next)
        if not seen and not as_json:
            note("nobody has an account; mailveil user first-administrator prints a link for the first one")
        return 0

    return in_room(settings, work)


def add_user(
    settings: Settings, name: str, role: str, home: str, *, full_name: str = "", as_json: bool = False
) -> int:
    """Make a user and print the link with which it chooses a password."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        made = await invite_user(room, actor, name, Role(role), home=home, display_name=full_name)
        _show_link(settings, made, as_json=as_json)
        return 0

    return in_room(settings, work)


def change_role(settings: Settings, name: str, role: str) -> int:
    """Give a user another role."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        user = await _named(room, actor, name)
        await set_role(room, actor, user.identifier, Role(role))
        click.echo(f"{user.name} is {role} now, and signed out")
        return 0

    return in_room(settings, work)


def change_access(settings: Settings, name: str, *, is_disabled: bool) -> int:
    """Shut a user out, or let it in again."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        user = await _named(room, actor, name)
        await set_disabled(room, actor, user.identifier, is_disabled)
        click.echo(f"{user.name} " + ("is signed out and cannot sign in" if is_disabled else "may sign in"))
        return 0

    return in_room(settings, work)


def drop_second_factor(settings: Settings, name: str) -> int:
    """Let a user sign in with the password alone."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        user = await _named(room, actor, name)
        await remove_second_factor(room, actor, user.identifier)
        click.echo(f"{user.name} signs in without a second factor")
        return 0

    return in_room(settings, work)


def show_password_link(settings: Settings, name: str, *, as_json: bool) -> int:
    """Print a link with which a user chooses a new password."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        user = await _named(room, actor, name)
        _show_link(settings, await password_link(room, actor, user.identifier), as_json=as_json)
        return 0

    return in_room(settings, work)


def show_first_link(settings: Settings, *, as_json: bool) -> int:
    """Print the link with which the first administrator is made."""

    async def work(room: ControlRoom, actor: Actor) -> int:
        _show_link(settings, await first_administrator_link(room, actor), as_json=as_json)
        return 0

    return in_room(settings, work)


def user_record(user: User) -> dict[str, object]:
    """Return what programs are told of a user: nothing that signs in."""
    return {
        "id": user.identifier,
        "name": user.name,
        "display_name": user.display_name,
        "home": user.home,
        "role": str(user.role),
        "disabled": user.is_disabled,
        "has_password": bool(user.password_hash),
        "second_factor": bool(user.totp_secret),
        "openid_subject": user.subject,
        "created_at": user.created_at,
        "last_sign_in_at": user.last_sign_in_at,
    }


async def _named(room: ControlRoom, actor: Actor, name: str) -> User:
    try:
        return await user_called(room, actor, name)
    except MissingError as error:
        raise MissingError(f"there is no user {name}") from error


def _line(user: User) -> str:
    seen = (
        f"last signed in {datetime.fromtimestamp(user.last_sign_in_at).astimezone():%Y-%m-%d}"
        if user.last_sign_in_at
        else "never signed in"
    )
    home = "all organisations" if user.home == "*" else user.home
    extra = ["second factor"] if user.totp_secret else []
    extra += ["disabled"] if user.is_disabled else []
    return printable(f"{user.name:24} {user.role:14} {home:20} {', '.join([seen, *extra])}")


def _show_link(settings: Settings, made: NewLink, *, as_json: bool) -> None:
    url = link_url(settings, made)
    if as_json:
        user = made.user.identifier if made.user else ""
        say({"url": url, "purpose": made.link.purpose, "user": user, "expires_at": made.link.expires_at})
        return
    until = datetime.fromtimestamp(made.link.expires_at).astimezone()
    note(f"Works once, until {until:%Y-%m-%d %H:%M}; whoever opens it chooses the password:")
    click.echo(url)


def link_url(settings: Settings, made: NewLink) -> str:
    """Return the address at which a link is opened."""
    return f"{settings.console_url}/link/{made.secret}"
