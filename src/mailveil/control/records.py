"""Records: the values that the control room keeps and shows. Times are seconds since the epoch, UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from mailveil.control.access import Role
from mailveil.core.policy import organisations

Item = TypeVar("Item")

DEFAULT_ORGANISATION = organisations.DEFAULT_ORGANISATION
MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Part of a list. ``next`` is the cursor at which the following part begins, ``""`` at the end."""

    items: tuple[Item, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a list is wanted: at most ``limit`` items after ``cursor`` (``""``: from the beginning)."""

    limit: int = 50
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation: people with mail domains of their own, kept strictly apart from every other.

    ``identifier`` is a short word. ``domains`` are those it receives mail for; the organisation ``default`` gets what
    belongs to no other. ``language`` (BCP 47) is what its readers are addressed in where nothing else is known.
    """

    identifier: str
    name: str
    domains: tuple[str, ...] = ()
    language: str = "en"
    created_at: float = 0.0


# --- people who sign in, and programs ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who signs in. ``home`` is an organisation's identifier, or ``*`` for every one.

    ``password_hash`` is Argon2id in PHC format, ``""`` where only OpenID Connect signs in; ``totp_secret`` is encrypted
    by whoever stores it, ``""`` without a second factor; ``subject`` is ``issuer|sub`` of OpenID Connect.
    """

    identifier: str
    name: str
    home: str
    role: Role
    display_name: str = ""
    password_hash: str = field(default="", repr=False)
    totp_secret: str = field(default="", repr=False)
    subject: str = ""
    language: str = ""
    is_disabled: bool = False
    created_at: float = 0.0
    last_sign_in_at: float = 0.0
    password_changed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. ``digest`` is SHA-256 of the cookie's secret, which nobody keeps.

    ``organisation`` is the one looked at, ``is_complete`` False until the second factor was shown.
    """

    digest: str
    user: str
    organisation: str
    created_at: float
    seen_at: float
    expires_at: float
    is_complete: bool = True
    csrf: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A program's token. ``digest`` is SHA-256 of its secret; ``hint`` its first characters, to tell it by.

    One that is good ``everywhere`` acts in any organisation, and belongs to the one in which it was made.
    """

    identifier: str
    organisation: str
    name: str
    digest: str = field(repr=False)
    hint: str
    scopes: tuple[str, ...]
    created_by: str
    created_at: float
    expires_at: float
    last_used_on: str = ""  # a day (YYYY-MM-DD), no finer
    revoked_at: float = 0.0
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """An invitation or a reset: whoever holds the secret of ``digest`` may set a password once."""

    digest: str = field(repr=False)
    purpose: str  # "first-administrator", "invitation", "reset"
    user: str
    home: str
    role: Role
    created_by: str
    expires_at: float
    used_at: float = 0.0


# --- policy ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """An organisation's policy as it was at one time. ``document`` is what ``mailveil policy export`` writes."""

    organisation: str
    version: int
    document: Mapping[str, Any]
    at: float
    by: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class AllowRecord:
    """A partner who is trusted: its authenticated domain (or address), and which references that reaches.

    ``author`` is ``example.org``, ``.example.org`` (and what is below) or ``somebody@example.org``; ``hosts``
    narrows it to references at these names (``.cdn.example`` with what is below), empty: all. ``expires_at`` 0: never.
    """

    identifier: str
    organisation: str
    author: str
    hosts: tuple[str, ...]
    owner: str
    reason: str
    created_by: str
    created_at: float
    expires_at: float = 0.0
    revoked_at: float = 0.0
    revoked_by: str = ""


# --- what happened ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what. ``details`` hold no secrets and no message content."""

    identifier: str
    at: float
    organisation: str
    actor_kind: str
    actor: str
    action: str  # "policy.change", "token.create", "session.refused" …
    subject: str = ""  # what it was done to
    details: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""


class FeedbackKind(StrEnum):
    """What a reader tells about a message. Values are permanent."""

    FALSE_ALARM = "false-alarm"
    MISSED = "missed"
    OTHER = "other"


class FeedbackState(StrEnum):
    """What became of it. Values are permanent."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a reader reported. ``message`` is an observation's identifier, ``""`` where none was found for it."""

    identifier: str
    organisation: str
    at: float
    kind: FeedbackKind
    message: str = ""
    text: str = ""
    channel: str = "link"  # "link" or "mail"
    state: FeedbackState = FeedbackState.OPEN
    closed_by: str = ""
    closed_at: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseGrant:
    """A privileged person's leave to read the original of a message until ``expires_at``."""

    identifier: str
    organisation: str
    message: str
    original: str
    reason: str
    granted_by: str
    granted_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class RepeatedAnswer:
    """What a request was answered with when it was first made; ``body`` is whatever was stored."""

    status: int
    body: str


# --- lists and figures --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """Which messages are wanted; what is empty holds for all. ``text`` is sought in subject, author and sender, by
    the beginnings of words, and as a whole log identifier.

    ``recipient`` is a whole address, ``sender`` an address or domain, ``host`` a reference's host or
    registrable domain.
    """

    since: float = 0.0
    until: float = 0.0
    text: str = ""
    sender: str = ""
    recipient: str = ""
    risk: str = ""  # at least
    operator: str = ""
    host: str = ""
    tracker: str = ""  # a tracker's identifier
    has_trackers: bool | None = None
    has_remote: bool | None = None
    changed: bool | None = None


@dataclass(frozen=True, slots=True)
class MessageLine:
    """What a list tells of a message."""

    identifier: str
    at: float
    log_identifier: str
    direction: str
    sender_domain: str
    author: str
    subject: str
    recipients: int
    risk: str
    total_references: int
    total_trackers: int
    changed: bool
    delivered: bool
    examined: bool
    monitored: bool
    operators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackerQuery:
    """Which trackers are wanted."""

    text: str = ""
    operator: str = ""
    domain: str = ""
    kind: str = ""
    since: float = 0.0  # seen since then
    order: str = "last"  # "last", "first", "messages", "people"


@dataclass(frozen=True, slots=True)
class Tracker:
    """References of one host and template, over time. ``people`` counts distinct recipients."""

    identifier: str
    host: str
    domain: str
    template: str
    operator: str
    kind: str
    vector: str
    risk: str
    first_at: float
    last_at: float
    messages: int
    references: int
    people: int
    example: str = ""  # a message's identifier
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class OperatorLine:
    """An operator as it was met. ``owner`` and ``category`` come from the catalogue."""

    name: str
    owner: str
    category: str
    first_at: float
    last_at: float
    messages: int
    references: int
    trackers: int
    people: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of a period. ``prevented`` are the contacts that opening once would have made."""

    messages: int = 0
    with_remote: int = 0
    with_trackers: int = 0
    risky: int = 0
    changed: int = 0
    references: int = 0
    trackers: int = 0
    prevented: int = 0
    unexamined: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class FiguresAt:
    """The figures of one step of a series; ``at`` is where it begins."""

    at: float
    figures: Figures


@dataclass(frozen=True, slots=True)
class Count:
    """How often something was met."""

    value: str
    messages: int
    references: int = 0


@dataclass(frozen=True, slots=True)
class PersonExport:
    """Everything that is kept of one recipient, as JSON objects by kind of record."""

    person: str
    records: Mapping[str, Sequence[Mapping[str, Any]]]
