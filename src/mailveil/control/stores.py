"""Stores: what the control room needs from a database, as protocols. Every method is bound to one organisation.

Every method raises ``ports.UnavailableError`` where the database cannot answer, and those that take a ``Cut``
``CursorError`` for a cursor that is none of theirs; nothing of another organisation is ever returned or changed. What
changes something is one transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from mailveil.control.access import Role
from mailveil.control.records import (
    AllowRecord,
    AuditEntry,
    Count,
    Cut,
    Feedback,
    FeedbackState,
    Figures,
    FiguresAt,
    MessageLine,
    MessageQuery,
    OneTimeLink,
    OperatorLine,
    Organisation,
    Page,
    PersonExport,
    PolicyVersion,
    ReleaseGrant,
    RepeatedAnswer,
    Session,
    Token,
    Tracker,
    TrackerQuery,
    User,
)
from mailveil.core.observation import Observation


class ConflictError(Exception):
    """What is to be changed has changed meanwhile, or exists already; the text says which."""


class CursorError(ValueError):
    """A cursor that the list it is shown to has not given."""


class UnderWayError(ConflictError):
    """The very same request is being done at this moment."""


class ObservationStore(Protocol):
    """What was seen, and the figures made of it as it came in."""

    async def add(self, observations: Sequence[Observation]) -> int:
        """Write observations down with all figures that they add to; what is there already is left as it is.

        Returns how many were new.
        """
        ...

    async def messages(self, organisation: str, query: MessageQuery, cut: Cut) -> Page[MessageLine]:
        """Return messages, newest first.

        A part may be shorter than asked for, even empty, and still have a ``next``: what several filters hardly hold
        for is looked for a bounded while. The same goes for trackers.
        """
        ...

    async def subjects(self, organisation: str, identifiers: Collection[str]) -> Mapping[str, str]:
        """Return the subjects of messages that are kept, by their identifiers."""
        ...

    async def lines(self, organisation: str, identifiers: Collection[str]) -> Mapping[str, MessageLine]:
        """Return what lists show of messages that are kept, by their identifiers."""
        ...

    async def message(self, organisation: str, identifier: str) -> Observation | None:
        """Return one message with its references."""
        ...

    async def trackers(self, organisation: str, query: TrackerQuery, cut: Cut) -> Page[Tracker]:
        """Return trackers."""
        ...

    async def tracker(self, organisation: str, identifier: str) -> Tracker | None:
        """Return one tracker."""
        ...

    async def operators(self, organisation: str, since: float, cut: Cut) -> Page[OperatorLine]:
        """Return operators met since then, the most frequent first."""
        ...

    async def operator(self, organisation: str, name: str) -> OperatorLine | None:
        """Return one operator."""
        ...

    async def figures(self, organisation: str, since: float, until: float) -> Figures:
        """Return the counts of a period, in whole hours."""
        ...

    async def series(self, organisation: str, since: float, until: float, step_s: int) -> Sequence[FiguresAt]:
        """Return the counts of each step of a period, the empty ones included; ``step_s`` is whole hours."""
        ...

    async def top(
        self, organisation: str, dimension: str, since: float, until: float, limit: int
    ) -> Sequence[Count]:
        """Return what was met most in a period: ``operator``, ``sender_domain``, ``kind``, ``host``, ``risk``."""
        ...

    def replayable(self, organisation: str, since: float, until: float) -> AsyncIterator[Observation]:
        """Give every observation of a period, newest first, a batch in memory at a time."""
        ...

    async def expire(self, organisation: str, kind: str, before: float) -> int:
        """Forget a portion of what is older than that; return how many records, 0 once there are none.

        Kinds are ``messages``, ``subjects``, ``recipients``, ``figures`` and ``trackers``.
        """
        ...

    async def person(self, organisation: str, recipient: str) -> PersonExport:
        """Return everything that is kept of a recipient."""
        ...

    async def erase(self, organisation: str, recipient: str) -> int:
        """Delete everything that is kept of a recipient, what a URL could tell included; return how many records."""
        ...


class OrganisationStore(Protocol):
    """The organisations of this installation."""

    async def organisations(self) -> Sequence[Organisation]:
        """Return all of them; there is always ``default``."""
        ...

    async def put(self, organisation: Organisation) -> None:
        """Make or change one. Raises ``ConflictError`` where a domain is another's."""
        ...

    async def remove(self, identifier: str) -> None:
        """Delete one with everything that is kept of it. ``default`` stays."""
        ...


class PolicyStore(Protocol):
    """Policies with their history, and allow-lists."""

    async def current(self, organisation: str) -> PolicyVersion | None:
        """Return the policy in force, ``None`` where none was ever written."""
        ...

    async def put(self, version: PolicyVersion) -> None:
        """Write the next version. Raises ``ConflictError`` unless ``version`` is the current one plus 1."""
        ...

    async def version(self, organisation: str, number: int) -> PolicyVersion | None:
        """Return one version."""
        ...

    async def version_at(self, organisation: str, at: float) -> PolicyVersion | None:
        """Return the version that was in force at a time."""
        ...

    async def history(self, organisation: str, cut: Cut) -> Page[PolicyVersion]:
        """Return versions, newest first."""
        ...

    async def allowed(self, organisation: str, cut: Cut, *, all_states: bool = False) -> Page[AllowRecord]:
        """Return allow-list entries, newest first; those in force only, unless ``all_states``."""
        ...

    async def allow(self, record: AllowRecord) -> None:
        """Write an entry; one of that identifier is replaced."""
        ...

    async def entry(self, organisation: str, identifier: str) -> AllowRecord | None:
        """Return one entry."""
        ...

    async def stamp(self) -> str:
        """Return what changes whenever any policy, allow-list or organisation does; cheap to ask for."""
        ...


class AccountStore(Protocol):
    """Users, their sessions, one-time links, and tokens."""

    async def users(self, organisation: str, cut: Cut) -> Page[User]:
        """Return users at home in the organisation (``*``: of everywhere), by name."""
        ...

    async def user(self, identifier: str) -> User | None:
        """Return a user."""
        ...

    async def user_named(self, name: str) -> User | None:
        """Return the user who signs in with this name, whatever its case."""
        ...

    async def user_of(self, subject: str) -> User | None:
        """Return the user of an OpenID Connect subject (``issuer|sub``)."""
        ...

    async def put_user(self, user: User) -> None:
        """Make or change a user. Raises ``ConflictError`` where the name or subject is another's."""
        ...

    async def note_sign_in(self, identifier: str, at: float) -> None:
        """Take note of when a user signed in, and change nothing else."""
        ...

    async def count_users(self, role: Role | None = None) -> int:
        """Return how many users of a role can sign in."""
        ...

    async def put_session(self, session: Session) -> None:
        """Make a session."""
        ...

    async def renew_session(self, digest: str, *, seen_at: float, organisation: str) -> bool:
        """Change a session that is there; False where it has ended, which this must never take back."""
        ...

    async def sessions_of(self, user: str) -> Sequence[Session]:
        """Return the sessions of a user, newest first."""
        ...

    async def session(self, digest: str) -> Session | None:
        """Return a session."""
        ...

    async def end_session(self, digest: str) -> None:
        """End a session."""
        ...

    async def end_sessions_of(self, user: str, *, but: str = "") -> int:
        """End all sessions of a user, except one; return how many."""
        ...

    async def use_step(self, user: str, step: int) -> bool:
        """Take note that a time-based code was used; False where it was before (RFC 6238 section 5.2)."""
        ...

    async def put_link(self, link: OneTimeLink) -> None:
        """Write a one-time link."""
        ...

    async def link(self, digest: str) -> OneTimeLink | None:
        """Return a one-time link."""
        ...

    async def use_link(self, digest: str, at: float) -> bool:
        """Use a link up; False where it was used before."""
        ...

    async def note_failure(self, key: str, at: float) -> None:
        """Take note of a failed sign-in, by name or by address."""
        ...

    async def failures(self, key: str, since: float) -> int:
        """Return how many there were."""
        ...

    async def forget_failure(self, key: str, at: float) -> None:
        """Take back one that was noted for that moment."""
        ...

    async def forget_failures(self, key: str) -> None:
        """Begin anew, after a sign-in."""
        ...

    async def tokens(self, organisation: str, cut: Cut) -> Page[Token]:
        """Return tokens, newest first."""
        ...

    async def put_token(self, token: Token) -> None:
        """Make or change a token."""
        ...

    async def note_token_use(self, organisation: str, identifier: str, day: str) -> None:
        """Take note of the day (``YYYY-MM-DD``) on which a token was last used, and change nothing else."""
        ...

    async def token(self, digest: str) -> Token | None:
        """Return a token by what it is the secret of."""
        ...

    async def token_named(self, organisation: str, identifier: str) -> Token | None:
        """Return a token by its identifier."""
        ...

    async def expire(self, now: float) -> int:
        """Delete sessions, links, failures and used codes that mean nothing any more."""
        ...


class AuditLog(Protocol):
    """Who did what. Only ever added to, until its retention time ends."""

    async def write(self, entry: AuditEntry) -> None:
        """Add an entry."""
        ...

    async def entries(
        self, organisation: str, cut: Cut, *, action: str = "", actor: str = "", subject: str = ""
    ) -> Page[AuditEntry]:
        """Return entries, newest first."""
        ...

    async def organisations(self) -> Sequence[str]:
        """Return whose entries there are, organisations that were removed included."""
        ...

    async def expire(self, organisation: str, before: float) -> int:
        """Delete a portion of the entries older than that; return how many, 0 once there are none."""
        ...


class FeedbackStore(Protocol):
    """What readers reported, and who may read an original."""

    async def report(self, feedback: Feedback) -> None:
        """Write a report."""
        ...

    async def reports(
        self, organisation: str, cut: Cut, *, state: FeedbackState | None = None
    ) -> Page[Feedback]:
        """Return reports, newest first."""
        ...

    async def report_of(self, organisation: str, identifier: str) -> Feedback | None:
        """Return one report."""
        ...

    async def grant(self, grant: ReleaseGrant) -> None:
        """Write leave to read an original."""
        ...

    async def grants(self, organisation: str, message: str, now: float) -> Sequence[ReleaseGrant]:
        """Return the leave that holds for a message now."""
        ...

    async def expire(self, organisation: str, before: float) -> int:
        """Delete a portion of the reports and leaves older than that; return how many, 0 once there are none."""
        ...


class RepeatStore(Protocol):
    """Answers to writes, by idempotency key, so that a repeated request is answered again and not done again.

    ``body`` is opaque here: whoever answers has encrypted it.
    """

    async def begin(self, actor: str, key: str, fingerprint: str, at: float) -> RepeatedAnswer | None:
        """Return ``None`` where the request is new (and is now under way), else its stored answer.

        Raises ``UnderWayError`` where this request is still under way, any other ``ConflictError`` where the key was
        used for another one.
        """
        ...

    async def finish(self, actor: str, key: str, status: int, body: str) -> None:
        """Store the answer."""
        ...

    async def abandon(self, actor: str, key: str) -> None:
        """Forget a request that came to nothing, so that it may be tried again."""
        ...

    async def expire(self, before: float) -> int:
        """Forget requests older than that, those never finished included; return how many."""
        ...
