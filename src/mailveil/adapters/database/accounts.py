"""Accounts in the database: users, their sessions, one-time links, and tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import beyond, decode_cursor, limit_of, page_of
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.secondfactors import SecondFactorSealer
from mailveil.adapters.database.statements import add, put
from mailveil.control.access import ANY_ORGANISATION, Role
from mailveil.control.records import Cut, OneTimeLink, Page, Session, Token, User
from mailveil.control.stores import ConflictError

FAILURES_KEPT_S = 86_400.0
STEPS_KEPT = 100  # behind the latest one that was used


def folded(name: str) -> str:
    """Return a name as it is compared: without blanks around it, whatever its case or compatibility form."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).strip().casefold())


class SqlAccountStore:
    """Who signs in, and with what (``control.stores.AccountStore``)."""

    def __init__(self, database: Database, sealer: SecondFactorSealer) -> None:
        self._database = database
        self._sealer = sealer

    # --- users ---------------------------------------------------------------------------------------------

    async def users(self, organisation: str, cut: Cut) -> Page[User]:
        """Return users at home in the organisation (``*``: of everywhere), by name."""
        order = (tables.users.c.folded_name,)
        query = (
            sa.select(tables.users)
            .where(beyond(order, decode_cursor(cut.cursor, str)))
            .order_by(*order)
            .limit(limit_of(cut) + 1)
        )
        if organisation != ANY_ORGANISATION:
            query = query.where(tables.users.c.home == organisation)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return page_of(rows, cut, self._user, lambda row: (row.folded_name,))

    async def user(self, identifier: str) -> User | None:
        """Return a user."""
        return await self._one_user(tables.users.c.identifier == identifier)

    async def user_named(self, name: str) -> User | None:
        """Return the user who signs in with this name, whatever its case."""
        return await self._one_user(tables.users.c.folded_name == folded(name))

    async def user_of(self, subject: str) -> User | None:
        """Return the user of an OpenID Connect subject (``issuer|sub``)."""
        return await self._one_user(tables.users.c.subject == subject) if subject else None

    async def _one_user(self, condition: sa.ColumnElement[bool]) -> User | None:
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(tables.users).where(condition))).first()
        return None if row is None else self._user(row)

    async def put_user(self, user: User) -> None:
        """Make or change a user. Raises ``ConflictError`` where the name or subject is another's."""
        row = {
            "identifier": user.identifier,
            "name": user.name,
            "folded_name": folded(user.name),
            "home": user.home,
            "role": str(user.role),
            "display_name": user.display_name,
            "password_hash": user.password_hash,
            "totp_secret": self._sealer.seal(user.identifier, user.totp_secret),
            "subject": user.subject or None,
            "language": user.language,
            "is_disabled": user.is_disabled,
            "created_at": user.created_at,
            "last_sign_in_at": user.last_sign_in_at,
            "password_changed_at": user.password_changed_at,
        }
        try:
            async with self._database.write() as connection:
                await put(connection, tables.users, row)
        except IntegrityError as error:
            other = await self.user_named(user.name)
            what = "name" if other is not None and other.identifier != user.identifier else "OpenID subject"
            raise ConflictError(f"another user has this {what}") from error

    async def note_sign_in(self, identifier: str, at: float) -> None:
        """Take note of when a user signed in, and change nothing else."""
        users = tables.users
        async with self._database.write() as connection:
            statement = sa.update(users).where(users.c.identifier == identifier).values(last_sign_in_at=at)
            await connection.execute(statement)

    async def count_users(self, role: Role | None = None) -> int:
        """Return how many users of a role can sign in."""
        users = tables.users.c
        can_sign_in = ~users.is_disabled & ((users.password_hash != "") | users.subject.is_not(None))
        query = sa.select(sa.func.count()).select_from(tables.users).where(can_sign_in)
        if role is not None:
            query = query.where(users.role == str(role))
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    def _user(self, row: sa.Row[Any]) -> User:
        return User(
            identifier=row.identifier,
            name=row.name,
            home=row.home,
            role=Role(row.role),
            display_name=row.display_name,
            password_hash=row.password_hash,
            totp_secret=self._sealer.open(row.identifier, row.totp_secret),
            subject=row.subject or "",
            language=row.language,
            is_disabled=row.is_disabled,
            created_at=row.created_at,
            last_sign_in_at=row.last_sign_in_at,
            password_changed_at=row.password_changed_at,
        )

    # --- sessions ------------------------------------------------------------------------------------------

    async def put_session(self, session: Session) -> None:
        """Make a session. Raises ``ConflictError`` where its user is gone."""
        row = {
            "digest": session.digest,
            "user": session.user,
            "organisation": session.organisation,
            "created_at": session.created_at,
            "seen_at": session.seen_at,
            "expires_at": session.expires_at,
            "is_complete": session.is_complete,
            "csrf": session.csrf,
        }
        try:
            async with self._database.write() as connection:
                await connection.execute(sa.insert(tables.sessions).values(row))
        except IntegrityError as error:
            raise ConflictError("the session's user is gone") from error

    async def renew_session(self, digest: str, *, seen_at: float, organisation: str) -> bool:
        """Change a session that is there; False where it has ended, which this must never take back."""
        changed = {"seen_at": seen_at, "organisation": organisation}
        statement = sa.update(tables.sessions).where(tables.sessions.c.digest == digest).values(changed)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def sessions_of(self, user: str) -> Sequence[Session]:
        """Return the sessions of a user, newest first."""
        sessions = tables.sessions.c
        query = (
            sa.select(tables.sessions)
            .where(sessions.user == user)
            .order_by(sessions.created_at.desc(), sessions.digest)
        )
        async with self._database.read() as connection:
            return [_session(row) for row in await connection.execute(query)]

    async def session(self, digest: str) -> Session | None:
        """Return a session."""
        query = sa.select(tables.sessions).where(tables.sessions.c.digest == digest)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _session(row)

    async def end_session(self, digest: str) -> None:
        """End a session."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.digest == digest))

    async def end_sessions_of(self, user: str, *, but: str = "") -> int:
        """End all sessions of a user, except one; return how many."""
        sessions = tables.sessions.c
        statement = sa.delete(tables.sessions).where(sessions.user == user, sessions.digest != but)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount

    async def use_step(self, user: str, step: int) -> bool:
        """Take note that a time-based code was used; False where it was before (RFC 6238 section 5.2)."""
        used = tables.used_steps.c
        try:
            async with self._database.write() as connection:
                if not await add(connection, tables.used_steps, {"user": user, "step": step}):
                    return False
                old = (used.user == user) & (used.step < step - STEPS_KEPT)
                await connection.execute(sa.delete(tables.used_steps).where(old))
        except IntegrityError:  # the user is gone, and so is what the code was for
            return False
        return True

    # --- one-time links ------------------------------------------------------------------------------------

    async def put_link(self, link: OneTimeLink) -> None:
        """Write a one-time link."""
        row = {
            "digest": link.digest,
            "purpose": link.purpose,
            "user": link.user,
            "home": link.home,
            "role": str(link.role),
            "created_by": link.created_by,
            "expires_at": link.expires_at,
            "used_at": link.used_at,
        }
        async with self._database.write() as connection:
            await put(connection, tables.links, row)

    async def link(self, digest: str) -> OneTimeLink | None:
        """Return a one-time link."""
        query = sa.select(tables.links).where(tables.links.c.digest == digest)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        return OneTimeLink(
            digest=row.digest,
            purpose=row.purpose,
            user=row.user,
            home=row.home,
            role=Role(row.role),
            created_by=row.created_by,
            expires_at=row.expires_at,
            used_at=row.used_at,
        )

    async def use_link(self, digest: str, at: float) -> bool:
        """Use a link up; False where it was used before, has expired, or never was."""
        links = tables.links.c
        unused = (links.digest == digest) & (links.used_at == 0) & (links.expires_at > at)
        async with self._database.write() as connection:
            # Two at once: the second waits for the first, and then the condition holds no more.
            result = await connection.execute(sa.update(tables.links).where(unused).values(used_at=at))
            return result.rowcount == 1

    # --- failures ------------------------------------------------------------------------------------------

    async def note_failure(self, key: str, at: float) -> None:
        """Take note of a failed sign-in, by name or by address."""
        async with self._database.write() as connection:
            await connection.execute(sa.insert(tables.failures).values(key=key, at=at))

    async def failures(self, key: str, since: float) -> int:
        """Return how many there were."""
        matching = (tables.failures.c.key == key) & (tables.failures.c.at >= since)
        query = sa.select(sa.func.count()).select_from(tables.failures).where(matching)
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def forget_failure(self, key: str, at: float) -> None:
        """Take back one that was noted for that moment."""
        failures = tables.failures.c
        one = sa.select(sa.func.max(failures.number)).where(failures.key == key, failures.at == at)
        async with self._database.write() as connection:
            await connection.execute(
                sa.delete(tables.failures).where(failures.number == one.scalar_subquery())
            )

    async def forget_failures(self, key: str) -> None:
        """Begin anew, after a sign-in."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.failures).where(tables.failures.c.key == key))

    # --- tokens --------------------------------------------------------------------------------------------

    async def tokens(self, organisation: str, cut: Cut) -> Page[Token]:
        """Return tokens, newest first."""
        order = (tables.tokens.c.created_at, tables.tokens.c.identifier)
        query = (
            sa.select(tables.tokens)
            .where(
                tables.tokens.c.organisation == organisation,
                beyond(order, decode_cursor(cut.cursor, float, str), descending=True),
            )
            .order_by(*(each.desc() for each in order))
            .limit(limit_of(cut) + 1)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return page_of(rows, cut, _token, lambda row: (row.created_at, row.identifier))

    async def put_token(self, token: Token) -> None:
        """Make or change a token. Raises ``ConflictError`` for another's secret or without its organisation."""
        row = {
            "organisation": token.organisation,
            "identifier": token.identifier,
            "name": token.name,
            "digest": token.digest,
            "hint": token.hint,
            "scopes": list(token.scopes),
            "created_by": token.created_by,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "last_used_on": token.last_used_on,
            "revoked_at": token.revoked_at,
            "everywhere": token.everywhere,
        }
        try:
            async with self._database.write() as connection:
                await put(connection, tables.tokens, row)
        except IntegrityError as error:
            raise ConflictError("the token's secret is another's, or its organisation is gone") from error

    async def note_token_use(self, organisation: str, identifier: str, day: str) -> None:
        """Take note of the day (``YYYY-MM-DD``) on which a token was last used, and change nothing else."""
        tokens = tables.tokens.c
        its_row = (tokens.organisation == organisation) & (tokens.identifier == identifier)
        async with self._database.write() as connection:
            await connection.execute(sa.update(tables.tokens).where(its_row).values(last_used_on=day))

    async def token(self, digest: str) -> Token | None:
        """Return a token by what it is the secret of."""
        return await self._one_token(tables.tokens.c.digest == digest)

    async def token_named(self, organisation: str, identifier: str) -> Token | None:
        """Return a token by its identifier."""
        tokens = tables.tokens.c
        return await self._one_token(
            (tokens.organisation == organisation) & (tokens.identifier == identifier)
        )

    async def _one_token(self, condition: sa.ColumnElement[bool]) -> Token | None:
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(tables.tokens).where(condition))).first()
        return None if row is None else _token(row)

    async def expire(self, now: float) -> int:
        """Delete sessions, links and failures that mean nothing any more; return how many."""
        gone = 0
        async with self._database.write() as connection:
            for table, condition in (
                (tables.sessions, tables.sessions.c.expires_at <= now),
                (tables.links, tables.links.c.expires_at <= now),
                (tables.failures, tables.failures.c.at <= now - FAILURES_KEPT_S),
            ):
                gone += (await connection.execute(sa.delete(table).where(condition))).rowcount
        return gone


def _session(row: sa.Row[Any]) -> Session:
    return Session(
        digest=row.digest,
        user=row.user,
        organisation=row.organisation,
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        is_complete=row.is_complete,
        csrf=row.csrf,
    )


def _token(row: sa.Row[Any]) -> Token:
    return Token(
        identifier=row.identifier,
        organisation=row.organisation,
        name=row.name,
        digest=row.digest,
        hint=row.hint,
        scopes=tuple(row.scopes),
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_on=row.last_used_on,
        revoked_at=row.revoked_at,
        everywhere=row.everywhere,
    )
