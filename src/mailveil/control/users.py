"""Users: who may sign in, invited and let back in by links that work once.

An administrator of one organisation sees and changes the people of that one; one of all organisations (home ``*``)
everybody. Nobody takes the rights of an administrator from itself, so that there is always one, and nobody opens an
account that may do more than they: a token with ``users:write`` alone makes no administrator.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace

from mailveil.control.access import (
    ANY_ORGANISATION,
    PERMISSIONS,
    Actor,
    ActorKind,
    ForbiddenError,
    Permission,
    Role,
)
from mailveil.control.auditing import audit, system_actor
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.identifiers import new_identifier
from mailveil.control.passwords import Passwords, check_password
from mailveil.control.records import DEFAULT_ORGANISATION, Cut, OneTimeLink, Page, Session, User
from mailveil.control.room import ControlRoom
from mailveil.control.secondfactor import new_secret
from mailveil.control.signing_in import SigningIn, digest_of, name_key
from mailveil.control.stores import ConflictError

FIRST = "first-administrator"
INVITATION = "invitation"
RESET = "reset"
LINK_S = 24 * 3600.0
NAME = re.compile(r"[^\W_][\w.@+-]{0,99}\Z")
MAX_DISPLAY_NAME = 100


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link just made; ``secret`` is known nowhere else. ``user`` is ``None`` for the first administrator."""

    secret: str
    link: OneTimeLink
    user: User | None = None


# --- seeing ------------------------------------------------------------------------------------------------


async def list_users(room: ControlRoom, actor: Actor, cut: Cut) -> Page[User]:
    """Return the users whom the actor may see, by name."""
    actor.require(Permission.USERS_READ)
    everywhere = actor.home == ANY_ORGANISATION
    return await room.accounts.users(ANY_ORGANISATION if everywhere else actor.organisation, cut)


async def read_user(room: ControlRoom, actor: Actor, identifier: str) -> User:
    """Return a user. Raises ``MissingError``, also for people of other organisations."""
    actor.require(Permission.USERS_READ)
    user = await room.accounts.user(identifier)
    if user is None or actor.home not in (ANY_ORGANISATION, user.home):
        raise MissingError
    return user


async def user_called(room: ControlRoom, actor: Actor, name: str) -> User:
    """Return a user by the name that it signs in with. Raises ``MissingError``."""
    user = await room.accounts.user_named(name)
    if user is None:
        raise MissingError
    return await read_user(room, actor, user.identifier)


# --- making and changing -----------------------------------------------------------------------------------


async def invite_user(
    room: ControlRoom, actor: Actor, name: str, role: Role, *, home: str = "", display_name: str = ""
) -> NewLink:
    """Make a user, and the link with which it chooses a password.

    ``home`` is the actor's organisation unless named; another one, or ``*``, takes an actor of all. Raises
    ``InvalidError``, ``ForbiddenError`` or ``ConflictError``.
    """
    actor.require(Permission.USERS_WRITE)
    _require_all_of(actor, role)
    user = await new_user(room, name, role, home or actor.organisation, display_name=display_name)
    if user.home != actor.organisation:
        actor.require_everywhere(Permission.USERS_WRITE)
    await room.accounts.put_user(user)
    await audit(room, actor, "user.create", user.name, role=str(role), home=user.home)
    return await _link(room, actor, INVITATION, user)


async def new_user(
    room: ControlRoom, name: str, role: Role, home: str, *, display_name: str = "", subject: str = ""
) -> User:
    """Return a user who is not stored yet. Raises ``InvalidError``, or ``ConflictError`` where the name is taken."""
    name, display_name = name.strip(), " ".join(display_name.split())
    if not NAME.match(name):
        raise InvalidError(
            "A name begins with a letter or digit and has letters, digits, and the signs . _ @ + - after it.",
            "name",
        )
    if len(display_name) > MAX_DISPLAY_NAME or not display_name.isprintable():
        raise InvalidError(f"A full name has at most {MAX_DISPLAY_NAME} characters.", "display_name")
    homes = {each.identifier for each in await room.organisations.organisations()}
    if home != ANY_ORGANISATION and home not in homes:
        raise InvalidError("There is no such organisation.", "home")
    if await room.accounts.user_named(name) is not None:
        raise ConflictError(f"There is a user {name} already.")
    now = room.clock.now()
    return User(
        identifier=new_identifier(now),
        name=name,
        home=home,
        role=role,
        display_name=display_name,
        subject=subject,
        created_at=now,
    )


async def set_role(room: ControlRoom, actor: Actor, identifier: str, role: Role) -> User:
    """Give a user another role. Its sessions end. Raises ``MissingError`` or ``ForbiddenError``."""
    user = await _changeable(room, actor, identifier)
    if user.role is role:
        return user
    _require_all_of(actor, role)
    before, user = user.role, replace(user, role=role)
    await room.accounts.put_user(user)
    await room.accounts.end_sessions_of(user.identifier)
    await audit(room, actor, "user.role", user.name, before=str(before), after=str(role))
    return user


async def set_disabled(room: ControlRoom, actor: Actor, identifier: str, is_disabled: bool) -> User:
    """Shut a user out, or let it in again. Sessions end, and tokens that it made do nothing meanwhile."""
    user = await _changeable(room, actor, identifier)
    if user.is_disabled is is_disabled:
        return user
    if not is_disabled:
        _require_all_of(actor, user.role)
    user = replace(user, is_disabled=is_disabled)
    await room.accounts.put_user(user)
    await room.accounts.end_sessions_of(user.identifier)
    await audit(room, actor, "user.disable" if is_disabled else "user.enable", user.name)
    return user


async def remove_second_factor(room: ControlRoom, actor: Actor, identifier: str) -> User:
    """Let a user whose phone is lost sign in with the password alone, and set up another. Its sessions end."""
    user = await _changeable(room, actor, identifier)
    if not user.totp_secret:
        return user
    _require_all_of(actor, user.role)
    user = replace(user, totp_secret="")
    await room.accounts.put_user(user)
    await room.accounts.end_sessions_of(user.identifier)
    await audit(room, actor, "user.second-factor.remove", user.name)
    return user


async def password_link(room: ControlRoom, actor: Actor, identifier: str) -> NewLink:
    """Make a link with which a user chooses a new password. Raises ``MissingError``.

    Whoever has forgotten the password is let in again by somebody who knows the person, not by mail. So is whoever
    cannot sign in because others guess: what failed under the name is forgotten once the link is used.
    """
    user = await _changeable(room, actor, identifier)
    _require_all_of(actor, user.role)
    if user.is_disabled:
        raise InvalidError(f"{user.name} is disabled; enable the account first.")
    return await _link(room, actor, RESET if user.password_hash else INVITATION, user)


async def _changeable(room: ControlRoom, actor: Actor, identifier: str) -> User:
    """Return a user whom the actor may change: anybody whom it may see, except itself."""
    actor.require(Permission.USERS_WRITE)
    user = await read_user(room, actor, identifier)
    if actor.kind is ActorKind.USER and actor.identifier == user.identifier:
        raise ForbiddenError("Nobody changes that about themselves; ask another administrator")
    return user


def _require_all_of(actor: Actor, role: Role) -> None:
    """Raise ``ForbiddenError`` where a role may do what the actor may not: it would give more than it has."""
    lacking = sorted(PERMISSIONS[role] - actor.permissions)
    if lacking:
        raise ForbiddenError(f"{actor.name} lacks {lacking[0]}, which {role}s have, and cannot give it")


# --- links -------------------------------------------------------------------------------------------------


async def first_administrator_link(room: ControlRoom, actor: Actor) -> NewLink:
    """Make the link with which the first administrator is made. Raises ``ConflictError`` where there is one."""
    if actor.kind is not ActorKind.COMMAND_LINE:
        raise ForbiddenError("The first administrator is made from the command line")
    if await room.accounts.count_users(Role.ADMINISTRATOR):
        raise ConflictError("There is an administrator already.")
    return await _link(room, actor, FIRST, None)


async def open_link(room: ControlRoom, secret: str) -> tuple[OneTimeLink, User | None]:
    """Return what a link is for, without using it. Raises ``MissingError`` where it does nothing (any more)."""
    if not secret or len(secret) > 100:
        raise MissingError
    link = await room.accounts.link(digest_of(secret))
    if link is None or link.used_at or room.clock.now() >= link.expires_at:
        raise MissingError
    if link.purpose == FIRST:
        if await room.accounts.count_users(Role.ADMINISTRATOR):
            raise MissingError
        return link, None
    user = await room.accounts.user(link.user)
    if user is None or user.is_disabled or user.password_changed_at > _made_at(link):
        raise MissingError
    return link, user


async def use_link(
    room: ControlRoom, passwords: Passwords, secret: str, password: str, *, name: str = "", address: str = ""
) -> User:
    """Set the password that a link is for; it works no more. ``name`` is the first administrator's.

    The user signs in with it afterwards, and with a second factor where there is one: a link does not replace that.
    Raises ``MissingError`` for a link that does nothing, ``InvalidError`` for a name or password that will not do
    (the link is not used then), ``ConflictError`` or ``passwords.BusyError``.
    """
    link, user = await open_link(room, secret)
    if user is None:
        user = await new_user(room, name, link.role, link.home)
    check_password(password, user.name, user.display_name)
    hashed = await passwords.hash(password)
    await open_link(room, secret)  # while the password was worked out, another link may have been used
    now = room.clock.now()
    if not await room.accounts.use_link(link.digest, now):
        raise MissingError
    if link.purpose != FIRST:  # while the password was worked out, somebody may have changed the user
        _, user = await _still(room, link, user)
    user = replace(user, password_hash=hashed, password_changed_at=now)
    await room.accounts.put_user(user)
    await room.accounts.end_sessions_of(user.identifier)
    await room.accounts.forget_failures(name_key(user.name))
    home = DEFAULT_ORGANISATION if user.home == ANY_ORGANISATION else user.home
    actor = replace(
        system_actor(home), kind=ActorKind.USER, identifier=user.identifier, name=user.name, address=address
    )
    await audit(room, actor, "user.password", user.name, by=link.purpose, link_made_by=link.created_by)
    return user


async def _still(room: ControlRoom, link: OneTimeLink, user: User) -> tuple[OneTimeLink, User]:
    now = await room.accounts.user(user.identifier)
    if now is None or now.is_disabled:
        raise MissingError
    return link, now


async def _link(room: ControlRoom, actor: Actor, purpose: str, user: User | None) -> NewLink:
    now, secret = room.clock.now(), secrets.token_urlsafe(32)
    link = OneTimeLink(
        digest=digest_of(secret),
        purpose=purpose,
        user=user.identifier if user else "",
        home=user.home if user else ANY_ORGANISATION,
        role=user.role if user else Role.ADMINISTRATOR,
        created_by=actor.name,
        expires_at=now + LINK_S,
    )
    await room.accounts.put_link(link)
    await audit(room, actor, "user.link", user.name if user else "", purpose=purpose)
    return NewLink(secret, link, user)


def _made_at(link: OneTimeLink) -> float:
    return link.expires_at - LINK_S


# --- one's own account -------------------------------------------------------------------------------------


async def change_password(signing_in: SigningIn, actor: Actor, user: User, old: str, new: str) -> User:
    """Change one's own password. Whoever calls begins a new session; all others have ended.

    Raises ``InvalidError`` for a password that will not do, and what ``SigningIn.check_password`` raises.
    """
    await signing_in.check_password(user, old, actor.address)
    check_password(new, user.name, user.display_name)
    if old == new:
        raise InvalidError("That is the password you have.", "password")
    hashed = await signing_in.passwords.hash(new)
    room = signing_in.room
    user = await _own(room, user)
    user = replace(user, password_hash=hashed, password_changed_at=room.clock.now())
    await room.accounts.put_user(user)
    await room.accounts.end_sessions_of(user.identifier)
    await audit(room, actor, "user.password", user.name, by="the user")
    return user


def proposed_secret() -> str:
    """Return the secret of a second factor that is not set up yet."""
    return new_secret()


async def set_second_factor(signing_in: SigningIn, actor: Actor, user: User, secret: str, code: str) -> User:
    """Set up one's second factor, once a code shows that the app has its secret. All sessions end.

    Raises ``InvalidError`` where the code is wrong.
    """
    room = signing_in.room
    if not re.fullmatch(r"[A-Z2-7]{32}", secret):
        raise InvalidError("Begin again: that is no secret of ours.", "code")
    if not await signing_in.check_code(user, secret, code):
        raise InvalidError("That code is wrong. Does the phone's clock go right? Try the next one.", "code")
    user = replace(await _own(room, user), totp_secret=secret)
    await room.accounts.put_user(user)
    await room.accounts.end_sessions_of(user.identifier)
    await audit(room, actor, "user.second-factor.add", user.name)
    return user


async def drop_second_factor(signing_in: SigningIn, actor: Actor, user: User, password: str) -> User:
    """Do without one's second factor from now on. All sessions end. Raises what ``check_password`` raises."""
    await signing_in.check_password(user, password, actor.address)
    room = signing_in.room
    user = replace(await _own(room, user), totp_secret="")
    await room.accounts.put_user(user)
    await room.accounts.end_sessions_of(user.identifier)
    await audit(room, actor, "user.second-factor.remove", user.name)
    return user


async def end_other_sessions(room: ControlRoom, actor: Actor, session: Session) -> int:
    """Sign out every other browser of one's own; return how many."""
    ended = await room.accounts.end_sessions_of(session.user, but=session.digest)
    await audit(room, actor, "session.end", actor.name, others=ended)
    return ended


async def _own(room: ControlRoom, user: User) -> User:
    now = await room.accounts.user(user.identifier)
    if now is None or now.is_disabled:
        raise MissingError
    return now
