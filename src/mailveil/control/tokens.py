"""Tokens: what programs show in place of signing in. The secret is shown once; what is stored is its digest."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from mailveil.control.access import ANY_ORGANISATION, PERMISSIONS, Actor, ActorKind, Permission
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.identifiers import new_identifier
from mailveil.control.records import Cut, Page, Token
from mailveil.control.room import ControlRoom
from mailveil.control.signing_in import digest_of

PREFIX = "mvt_"  # so that those who look for leaked secrets can tell what they have found
HINT_LENGTH = len(PREFIX) + 6
DAY_S = 86_400
MAX_DAYS = 3650
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; ``secret`` is known nowhere else."""

    token: Token
    secret: str


async def make_token(
    room: ControlRoom,
    actor: Actor,
    name: str,
    scopes: Collection[str],
    days: int,
    *,
    everywhere: bool = False,
) -> NewToken:
    """Make a token for the actor's organisation that may do ``scopes`` (permissions) for so many days.

    One for ``everywhere`` acts in all organisations, and only an actor who does so too can make it. One made with
    another token is that one's maker's, and does nothing either once that person may not. Raises
    ``InvalidError``; a scope that the actor itself lacks is refused with ``ForbiddenError``.
    """
    actor.require(Permission.TOKENS_WRITE)
    if everywhere:
        actor.require_everywhere(Permission.TOKENS_WRITE)
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidError(f"Give the token a name of at most {MAX_NAME} characters.", "name")
    if not 1 <= days <= MAX_DAYS:
        raise InvalidError(f"A token lasts between 1 and {MAX_DAYS} days.", "days")
    wanted = {_permission(each) for each in scopes}
    if not wanted:
        raise InvalidError("Choose at least one thing that the token may do.", "scopes")
    for permission in wanted:
        actor.require(permission)
    now, secret = room.clock.now(), PREFIX + secrets.token_urlsafe(32)
    token = Token(
        identifier=new_identifier(now),
        organisation=actor.organisation,
        name=name,
        digest=digest_of(secret),
        hint=secret[:HINT_LENGTH],
        scopes=tuple(sorted(wanted)),
        created_by=actor.maker or actor.name,
        created_at=now,
        expires_at=now + days * DAY_S,
        everywhere=everywhere,
    )
    await room.accounts.put_token(token)
    await audit(
        room,
        actor,
        "token.create",
        token.name,
        token=token.identifier,
        scopes=list(token.scopes),
        everywhere=everywhere,
    )
    return NewToken(token, secret)


async def list_tokens(room: ControlRoom, actor: Actor, cut: Cut) -> Page[Token]:
    """Return the tokens of the actor's organisation, newest first."""
    actor.require(Permission.TOKENS_READ)
    return await room.accounts.tokens(actor.organisation, cut)


async def read_token(room: ControlRoom, actor: Actor, identifier: str) -> Token:
    """Return one token. Raises ``MissingError``."""
    actor.require(Permission.TOKENS_READ)
    token = await room.accounts.token_named(actor.organisation, identifier)
    if token is None:
        raise MissingError
    return token


async def revoke_token(room: ControlRoom, actor: Actor, identifier: str) -> Token:
    """Have a token open nothing any more, from now on. Raises ``MissingError``; twice is no error."""
    actor.require(Permission.TOKENS_WRITE)
    token = await room.accounts.token_named(actor.organisation, identifier)
    if token is None:
        raise MissingError
    if token.revoked_at:
        return token
    token = replace(token, revoked_at=room.clock.now())
    await room.accounts.put_token(token)
    await audit(room, actor, "token.revoke", token.name, token=token.identifier)
    return token


async def authenticate(room: ControlRoom, secret: str, address: str = "") -> Actor | None:
    """Return who a program is by its token's secret, ``None`` where it opens nothing (any more).

    A token never does more than whoever made it may by now; that of somebody who is disabled does nothing. Of its use
    only the day is noted.
    """
    if not secret.startswith(PREFIX) or len(secret) > 100:
        return None
    token, now = await room.accounts.token(digest_of(secret)), room.clock.now()
    if token is None or token.revoked_at or now >= token.expires_at:
        return None
    permissions = frozenset(Permission(each) for each in token.scopes if each in set(Permission))
    maker = await room.accounts.user_named(token.created_by)
    if maker is not None:
        reach = (ANY_ORGANISATION,) if token.everywhere else (ANY_ORGANISATION, token.organisation)
        if maker.is_disabled or maker.home not in reach:
            return None
        permissions &= PERMISSIONS[maker.role]
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    if token.last_used_on != day:
        await room.accounts.note_token_use(token.organisation, token.identifier, day)
    return Actor(
        ActorKind.TOKEN,
        token.identifier,
        token.name,
        token.organisation,
        ANY_ORGANISATION if token.everywhere else token.organisation,
        permissions,
        address,
        token.created_by,
    )


def _permission(scope: str) -> Permission:
    try:
        return Permission(scope)
    except ValueError as error:
        raise InvalidError(
            f"There is no scope {scope[:60]!r}; there are {', '.join(Permission)}.", "scopes"
        ) from error
