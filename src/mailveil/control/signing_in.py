"""Signing in: who a browser belongs to, from the password to the end of the session.

A session's secret is known to the browser alone; what is stored is its digest. A name that nobody has is answered like
a wrong password, at the same cost. Guessing is slowed down by name and by address; a browser in which the user has
signed in before is counted by itself, so that whoever guesses elsewhere cannot lock the user out.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailveil.control.access import ANY_ORGANISATION, PERMISSIONS, Actor, ActorKind
from mailveil.control.auditing import audit
from mailveil.control.failures import BusyError
from mailveil.control.passwords import MAX_LENGTH, Passwords
from mailveil.control.records import DEFAULT_ORGANISATION, Session, User
from mailveil.control.room import ControlRoom
from mailveil.control.secondfactor import matching_step

SECRET_BYTES = 32
HALFWAY_S = 600.0  # for the second factor
SEEN_EVERY_S = 60.0
MAX_NAME = 200
# (seconds, failures): at so many failures within that time the next one has to wait for the oldest to pass.
NAME_LIMITS = ((60.0, 5), (900.0, 10), (3600.0, 20))
CODE_LIMITS = NAME_LIMITS
ADDRESS_LIMITS = ((60.0, 20), (900.0, 60), (3600.0, 120))
Counted = tuple[str, tuple[tuple[float, int], ...]]  # what is counted, and how much of it there may be


class RefusedError(Exception):
    """Name and password do not belong together, or the code is wrong; it is not said which."""


class TooManyAttemptsError(Exception):
    """Too many failures lately: nothing is tried before ``retry_after_s`` has passed at the most."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many failed attempts")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How long a session lasts without use (``idle_s``) and at all (``whole_s``)."""

    idle_s: float = 3600.0
    whole_s: float = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session just begun: ``secret`` is for the browser's cookie, ``known`` for the one that outlives sessions."""

    secret: str
    session: Session
    user: User
    known: str = ""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A session and whose it is."""

    session: Session
    user: User

    def actor(self, address: str) -> Actor:
        """Return who asks, in the organisation looked at, with the rights of a session that is complete."""
        organisation = self.session.organisation if self.user.home == ANY_ORGANISATION else self.user.home
        permissions = PERMISSIONS[self.user.role] if self.session.is_complete else frozenset()
        return Actor(
            ActorKind.USER,
            self.user.identifier,
            self.user.name,
            organisation,
            self.user.home,
            permissions,
            address,
        )


class SigningIn:
    """Begins, follows and ends sessions."""

    def __init__(self, room: ControlRoom, passwords: Passwords, rules: SessionRules | None = None) -> None:
        self.room = room
        self.passwords = passwords
        self.rules = rules or SessionRules()

    async def sign_in(self, name: str, password: str, address: str, known: str = "") -> SignedIn:
        """Begin a session, which is not complete yet where the user has a second factor.

        ``known`` is what an earlier ``SignedIn`` gave this browser. Raises ``RefusedError``, ``TooManyAttemptsError``
        or ``BusyError``.
        """
        name, accounts = folded(name), self.room.accounts
        user = await accounts.user_named(name) if name else None
        is_known = user is not None and _is_known(user, known)
        by_name = f"known:{known[:64]}" if is_known else name_key(name)
        counted = [(by_name, NAME_LIMITS)]
        if not is_known:  # else whoever guesses behind the same proxy would shut out everybody there
            counted.append((f"address:{network(address)}", ADDRESS_LIMITS))
        taken_at = await self._take_turn(*counted)
        expected = user.password_hash if user is not None and not user.is_disabled else ""
        try:
            is_right = await self.passwords.verify(expected, password[: MAX_LENGTH + 1])
        except BusyError:
            await self._give_back(counted, taken_at)
            raise
        if not is_right or user is None:
            await self._refused(user, address, "password")
            raise RefusedError
        await self._give_back(counted, taken_at)
        await accounts.forget_failures(by_name)
        user = await self._still(user)
        if self.passwords.is_outdated(user.password_hash):
            hashed = await self.passwords.hash(password)
            user = replace(await self._still(user), password_hash=hashed)
            await accounts.put_user(user)
        return await self.admit(user, address, "password")

    async def admit(self, user: User, address: str, how: str) -> SignedIn:
        """Begin a session for a user whom something vouches for, half a one where a second factor is set up."""
        if user.totp_secret:
            return await self._begin(user, is_complete=False)
        return await self.welcome(user, address, how)

    async def complete(self, visitor: Visitor, code: str, address: str) -> SignedIn:
        """Show the second factor: the half session ends and a whole one begins, under another secret.

        Raises ``RefusedError`` or ``TooManyAttemptsError``.
        """
        user, accounts = visitor.user, self.room.accounts
        key = f"code:{user.identifier}"
        await self._take_turn((key, CODE_LIMITS))
        if not await self.check_code(user, user.totp_secret, code):
            await self._refused(user, address, "code")
            raise RefusedError
        await accounts.forget_failures(key)
        await accounts.end_session(visitor.session.digest)
        return await self.welcome(user, address, "password and code")

    async def check_code(self, user: User, secret: str, code: str) -> bool:
        """Tell whether a code is right for a secret, and use it up."""
        step = matching_step(secret, code, self.room.clock.now()) if secret else None
        return step is not None and await self.room.accounts.use_step(user.identifier, step)

    async def check_password(self, user: User, password: str, address: str) -> None:
        """Make sure that it is the user who sits there. Raises ``RefusedError`` or ``TooManyAttemptsError``."""
        key = f"again:{user.identifier}"
        await self._take_turn((key, NAME_LIMITS))
        if not await self.passwords.verify(user.password_hash, password[: MAX_LENGTH + 1]):
            await self._refused(user, address, "password")
            raise RefusedError
        await self.room.accounts.forget_failures(key)

    async def welcome(self, user: User, address: str, how: str) -> SignedIn:
        """Begin a whole session for a user who has shown who it is; ``how`` goes into the audit trail."""
        user = await self._still(user)
        await self.room.accounts.note_sign_in(user.identifier, self.room.clock.now())
        begun = await self._begin(user, is_complete=True)
        actor = Visitor(begun.session, user).actor(address)
        await audit(self.room, actor, "session.begin", user.name, how=how)
        return begun

    async def visitor(self, secret: str) -> Visitor | None:
        """Return whose secret that is, ``None`` where the session is over, and take note that it is in use."""
        if not secret or len(secret) > 100:
            return None
        accounts, now = self.room.accounts, self.room.clock.now()
        session = await accounts.session(digest_of(secret))
        if session is None:
            return None
        user = await accounts.user(session.user)
        is_over = now >= session.expires_at or now - session.seen_at >= self.rules.idle_s
        if user is None or user.is_disabled or is_over:
            await accounts.end_session(session.digest)
            return None
        if now - session.seen_at >= SEEN_EVERY_S:
            await accounts.renew_session(session.digest, seen_at=now, organisation=session.organisation)
        return Visitor(session, user)

    async def look_at(self, visitor: Visitor, organisation: str) -> bool:
        """Have the session look at another organisation; False where its user may not or there is none."""
        if visitor.user.home != ANY_ORGANISATION:
            return False
        if organisation not in {each.identifier for each in await self.room.organisations.organisations()}:
            return False
        now = self.room.clock.now()
        return await self.room.accounts.renew_session(
            visitor.session.digest, seen_at=now, organisation=organisation
        )

    async def anew(self, visitor: Visitor, user: User) -> SignedIn:
        """End every session of a user and begin one in this browser: after a change of what signs in."""
        await self.room.accounts.end_sessions_of(user.identifier)
        return await self._begin(user, is_complete=True, organisation=visitor.session.organisation)

    async def sign_out(self, visitor: Visitor, address: str) -> None:
        """End the session."""
        await self.room.accounts.end_session(visitor.session.digest)
        await audit(self.room, visitor.actor(address), "session.end", visitor.user.name)

    async def _begin(self, user: User, *, is_complete: bool, organisation: str = "") -> SignedIn:
        now, secret = self.room.clock.now(), secrets.token_urlsafe(SECRET_BYTES)
        home = DEFAULT_ORGANISATION if user.home == ANY_ORGANISATION else user.home
        session = Session(
            digest=digest_of(secret),
            user=user.identifier,
            organisation=organisation or home,
            created_at=now,
            seen_at=now,
            expires_at=now + (self.rules.whole_s if is_complete else HALFWAY_S),
            is_complete=is_complete,
            csrf=secrets.token_urlsafe(SECRET_BYTES),
        )
        await self.room.accounts.put_session(session)
        return SignedIn(secret, session, user, browser_mark(user) if is_complete else "")

    async def _still(self, user: User) -> User:
        """Return a user as it is now. Raises ``RefusedError`` where what it has shown does not count any more."""
        now = await self.room.accounts.user(user.identifier)
        if now is None or now.is_disabled or now.password_hash != user.password_hash:
            raise RefusedError
        return now

    async def _take_turn(self, *counted: Counted) -> float:
        """Count an attempt as failed before it is made, so that many at once are counted too; return when.

        What has to wait is not counted: else whoever never stops guessing would lock others out for ever.
        """
        now = self.room.clock.now()
        for key, limits in counted:
            for seconds, most in limits:
                if await self.room.accounts.failures(key, now - seconds) >= most:
                    raise TooManyAttemptsError(seconds)
        for key, limits in counted:
            await self.room.accounts.note_failure(key, now)
            seconds, most = limits[0]
            if await self.room.accounts.failures(key, now - seconds) > most:
                raise TooManyAttemptsError(seconds)
        return now

    async def _give_back(self, counted: Sequence[Counted], taken_at: float) -> None:
        """Count an attempt no more, since it has not failed: people behind one address sign in all day."""
        for key, _ in counted:
            await self.room.accounts.forget_failure(key, taken_at)

    async def _refused(self, user: User | None, address: str, what: str) -> None:
        """Write down that somebody was refused; never the name that was typed, which may be a password."""
        home = user.home if user is not None else DEFAULT_ORGANISATION
        organisation = DEFAULT_ORGANISATION if home == ANY_ORGANISATION else home
        name = user.name if user is not None else "nobody"
        actor = Actor(ActorKind.USER, "", name, organisation, organisation, frozenset(), address)
        await audit(self.room, actor, "session.refused", user.name if user is not None else "", what=what)


def digest_of(secret: str) -> str:
    """Return what is stored of a secret of 256 random bits; with so many, nothing slower is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def folded(name: str) -> str:
    """Return a name as it is compared: without blanks around it, in compatible letters, whatever its case."""
    return unicodedata.normalize("NFKC", name[: 2 * MAX_NAME]).strip().casefold()[:MAX_NAME]


def name_key(name: str) -> str:
    """Return by what attempts under a name are counted; names that nobody has are counted alike, and not kept."""
    return f"name:{hashlib.sha256(folded(name).encode()).hexdigest()}"


def network(address: str) -> str:
    """Return by what an address is counted: IPv6 by the /64 that one customer has, IPv4 by itself."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


def browser_mark(user: User) -> str:
    """Return what tells a browser in which the user has signed in. It only holds while the password does.

    Keyed with the password's hash, whose salt and result nobody outside the database has; of no use for signing in.
    """
    nonce = secrets.token_urlsafe(12)
    return f"{nonce}.{_mark(user, nonce)}" if user.password_hash else ""


def _is_known(user: User, known: str) -> bool:
    nonce, _, mark = known.partition(".")
    return bool(user.password_hash and mark) and hmac.compare_digest(
        _mark(user, nonce).encode(), mark.encode("utf-8", "replace")
    )


def _mark(user: User, nonce: str) -> str:
    text = f"known browser|{user.identifier}|{nonce}"
    return hmac.new(user.password_hash.encode(), text.encode("utf-8", "replace"), "sha256").hexdigest()[:32]
