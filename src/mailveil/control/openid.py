"""OpenID Connect: who somebody is by the word of the organisation's own sign-in, and what that makes of them here.

People are known by issuer and subject alone. A name or mail address that a provider tells never leads to an account
that is there already: whoever could choose it there would take the account over. Somebody who has an account here and
wants to sign in with the provider connects the two while signed in.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from mailveil.control.access import ANY_ORGANISATION, Actor, ActorKind, Role
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError
from mailveil.control.records import DEFAULT_ORGANISATION, User
from mailveil.control.room import ControlRoom
from mailveil.control.signing_in import SignedIn, SigningIn, Visitor
from mailveil.control.stores import ConflictError
from mailveil.control.users import new_user

MAX_SUBJECT = 255  # OpenID Connect Core 1.0 section 2
MAX_GROUPS = 2000


class ProviderError(Exception):
    """The provider does not answer, or answers what cannot be believed; the text is for the log."""


class NotAdmittedError(Exception):
    """The provider knows who it is, but that opens nothing here; the text is for whoever signs in."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What the provider vouches for; everything but ``subject`` may be missing or of any type."""

    issuer: str
    subject: str
    told: Mapping[str, Any]


class IdentityProvider(Protocol):
    """The provider, as OpenID Connect Core 1.0 and its Discovery describe it."""

    @property
    def issuer(self) -> str:
        """What it names itself."""
        ...

    async def sign_in_address(self, attempt: Attempt, redirect: str) -> str:
        """Return where to send the browser. Raises ``ProviderError``."""
        ...

    async def claims(self, attempt: Attempt, code: str, redirect: str) -> Claims:
        """Return who came back with a code. Raises ``ProviderError`` where anything does not fit."""
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to the provider and back, kept in the browser that goes it.

    ``state`` ties the answer to the browser, ``nonce`` the token to the attempt, ``verifier`` the code to us (PKCE).
    ``session`` is the digest of the session that wants to be connected, ``""`` for signing in.
    """

    state: str
    nonce: str
    verifier: str = field(repr=False)
    next: str = "/"
    session: str = ""

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier (RFC 7636 section 4.2, S256)."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


@dataclass(frozen=True, slots=True)
class OpenIdRules:
    """What the provider's word makes of people.

    ``roles`` are the values of ``role_claim`` that make a role; with none at all, whoever is new is a viewer and roles
    are given here. ``organisation_claim`` names an organisation's identifier, else people are at home in ``home``.
    Claims within claims are named with dots (``realm_access.roles``).
    """

    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    roles: Mapping[Role, Collection[str]] = field(default_factory=dict)
    organisation_claim: str = ""
    home: str = DEFAULT_ORGANISATION
    makes_users: bool = False


def new_attempt(next_path: str, session: str = "") -> Attempt:
    """Return a new attempt."""
    return Attempt(
        secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), next_path, session
    )


async def sign_in_with(signing_in: SigningIn, rules: OpenIdRules, claims: Claims, address: str) -> SignedIn:
    """Begin a session for whoever the provider vouches for, and keep its role and home as the provider has them.

    An account with a password of its own keeps what it was given here. Raises ``NotAdmittedError`` or ``RefusedError``.
    """
    room = signing_in.room
    user = await room.accounts.user_of(subject_of(claims))
    if user is None:
        user = await _made(room, rules, claims, address)
    elif not user.password_hash:
        user = await _kept_up(room, rules, claims, user, address)
    if user.is_disabled:
        raise NotAdmittedError("Your account here is disabled.")
    return await signing_in.admit(user, address, "OpenID Connect")


async def connect(room: ControlRoom, visitor: Visitor, claims: Claims, address: str) -> User:
    """Let somebody who is signed in sign in with the provider from now on. Raises ``ConflictError``."""
    user = await room.accounts.user(visitor.user.identifier)
    if user is None or user.is_disabled:
        raise NotAdmittedError("Your account here is disabled.")
    user = replace(user, subject=subject_of(claims))
    await room.accounts.put_user(user)
    await audit(room, visitor.actor(address), "user.openid.connect", user.name, issuer=claims.issuer)
    return user


async def disconnect(room: ControlRoom, actor: Actor, user: User) -> User:
    """Have one's account open by its password alone again. Raises ``InvalidError`` where it has none."""
    now = await room.accounts.user(user.identifier)
    if now is None or not now.password_hash:
        raise InvalidError("Without a password, nothing would open this account any more.")
    now = replace(now, subject="")
    await room.accounts.put_user(now)
    await audit(room, actor, "user.openid.disconnect", now.name)
    return now


def subject_of(claims: Claims) -> str:
    """Return by what a user of the provider is known for good."""
    return f"{claims.issuer}|{claims.subject}"


async def _made(room: ControlRoom, rules: OpenIdRules, claims: Claims, address: str) -> User:
    if not rules.makes_users:
        raise NotAdmittedError(
            "You have no account here. Ask an administrator for one, sign in with it, and connect the two under "
            "your account."
        )
    role = _role(rules, claims) if rules.roles else Role.VIEWER
    if role is None:
        raise NotAdmittedError("Your groups there give you no role here. Ask an administrator.")
    home = await _home(room, rules, claims)
    name = re.sub(r"[^\w.@+-]+", "-", _text(claim(claims.told, rules.name_claim)))[:100].lstrip("._@+-")
    if not name:
        name = "user-" + hashlib.sha256(subject_of(claims).encode()).hexdigest()[:12]
    full_name = _text(claims.told.get("name"))
    full_name = full_name[:100] if full_name.isprintable() else ""
    try:
        user = await new_user(room, name, role, home, display_name=full_name, subject=subject_of(claims))
        await room.accounts.put_user(user)
    except ConflictError as error:
        raise NotAdmittedError(
            f"There is an account {name} here that is not connected with yours there. If it is yours, sign in with "
            "its password and connect the two under your account."
        ) from error
    except InvalidError as error:
        raise NotAdmittedError("Your name there cannot be used here. Ask an administrator.") from error
    await audit(
        room, _self(user, address), "user.create", user.name, role=str(role), home=home, by="OpenID Connect"
    )
    return user


async def _kept_up(room: ControlRoom, rules: OpenIdRules, claims: Claims, user: User, address: str) -> User:
    """Give a user whom the provider made the role and home that it has there now."""
    role, home = user.role, user.home
    if rules.roles:
        found = _role(rules, claims)
        if found is None:
            await room.accounts.end_sessions_of(user.identifier)
            raise NotAdmittedError("Your groups there give you no role here any more.")
        role = found
    if rules.organisation_claim:
        home = await _home(room, rules, claims)
    if (role, home) == (user.role, user.home):
        return user
    changed = replace(user, role=role, home=home)
    await room.accounts.put_user(changed)
    await room.accounts.end_sessions_of(user.identifier)
    await audit(
        room,
        _self(changed, address),
        "user.role",
        user.name,
        before=f"{user.role} in {user.home}",
        after=f"{role} in {home}",
        by="OpenID Connect",
    )
    return changed


def _role(rules: OpenIdRules, claims: Claims) -> Role | None:
    """Return the highest role that the claims give."""
    held = set(_texts(claim(claims.told, rules.role_claim)))
    for role in (Role.ADMINISTRATOR, Role.ANALYST, Role.VIEWER):
        if held & set(rules.roles.get(role, ())):
            return role
    return None


async def _home(room: ControlRoom, rules: OpenIdRules, claims: Claims) -> str:
    if not rules.organisation_claim:
        return rules.home
    known = {each.identifier for each in await room.organisations.organisations()}
    found = [each for each in _texts(claim(claims.told, rules.organisation_claim)) if each in known]
    if len(found) != 1:
        raise NotAdmittedError(
            "You belong to none of the organisations here, or to several. Ask an administrator."
        )
    return found[0]


def claim(told: Mapping[str, Any], name: str) -> object:
    """Return a claim by its name, or one within others by a path with dots; a name with dots itself comes first."""
    if name in told:
        return told[name]
    found: object = told
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [each for each in value[:MAX_GROUPS] if isinstance(each, str)] if isinstance(value, list) else []


def _self(user: User, address: str) -> Actor:
    home = DEFAULT_ORGANISATION if user.home == ANY_ORGANISATION else user.home
    return Actor(ActorKind.USER, user.identifier, user.name, home, user.home, frozenset(), address)
