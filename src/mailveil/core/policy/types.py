"""Policy: what is done about each reference, given its verdict, the envelope and the organisation's rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mailveil.core.references.types import Reference, Vector

if TYPE_CHECKING:
    from mailveil.core.authentication.types import Authentication
    from mailveil.core.verdicts.types import Verdict


class Action(StrEnum):
    """What is done about a reference."""

    COPY = "copy"  # a safe copy, or until there is one a placeholder, takes its place
    BLANK = "blank"  # a placeholder takes its place; its origin is never contacted
    REMOVE = "remove"  # it is taken out; nothing is shown in its place
    KEEP = "keep"  # it stays


class CopyMode(StrEnum):
    """How safe copies reach the reader."""

    HOSTED = "hosted"  # from the organisation's copies server
    EMBEDDED = "embedded"  # inside the message, as cid: parts
    NONE = "none"  # not at all: placeholders only


class Direction(StrEnum):
    """Where a message comes from, as far as the gateway can prove it."""

    INBOUND = "inbound"  # from outside, and whatever cannot be proven to be something else
    SUBMITTED = "submitted"  # by an authenticated sender (RFC 6409)
    LOCAL = "local"  # generated on the mail server itself


class SignedMail(StrEnum):
    """What is done about a signed message that has remote references."""

    PROTECT = "protect"  # delivered protected without its signature, the original kept
    LEAVE = "leave"  # delivered as it is


@dataclass(frozen=True, slots=True)
class Envelope:
    """The SMTP envelope (RFC 5321 section 2.3.1) and what the session proved about the client.

    ``sender`` is the reverse-path without angle brackets (``""`` for bounces), ``recipients`` the forward-paths.
    ``authenticated`` and ``local_origin`` are only ever true on the word of a peer that the administrator
    listed as trusted, or of this server itself: a sender's own claim proves nothing. From ``client_name`` on the
    fields are what the next hop is told for its logs (XFORWARD), ``""`` where nobody knows; ``login`` is who was
    authenticated, and ``queue_id`` how the server before us calls the message. ``authentication`` is
    what the message itself and trusted servers tell of its author; ``None`` where nobody looked.
    """

    sender: str = ""
    recipients: tuple[str, ...] = ()
    client_address: str = ""
    helo: str = ""
    authenticated: bool = False
    local_origin: bool = False
    smtputf8: bool = False
    body_8bit: bool = False
    client_name: str = ""
    client_port: str = ""
    client_protocol: str = ""
    queue_id: str = ""
    login: str = ""
    authentication: Authentication | None = None


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The organisation's rules. Unprotected directions pass byte-identical."""

    protect_inbound: bool = True
    protect_submitted: bool = False
    protect_local: bool = False
    signed_mail: SignedMail = SignedMail.PROTECT
    disable_attached_scripts: bool = True
    trackers: Action = Action.COPY
    content: Action = Action.COPY


def direction_of(envelope: Envelope) -> Direction:
    """Tell where a message comes from."""
    if envelope.authenticated:
        return Direction.SUBMITTED
    if envelope.local_origin:
        return Direction.LOCAL
    return Direction.INBOUND


def is_protected(direction: Direction, settings: PolicySettings) -> bool:
    """Tell whether messages of this direction are rewritten at all."""
    return {
        Direction.INBOUND: settings.protect_inbound,
        Direction.SUBMITTED: settings.protect_submitted,
        Direction.LOCAL: settings.protect_local,
    }[direction]


def decide(reference: Reference, verdict: Verdict, settings: PolicySettings) -> Action:
    """Return the action for one reference.

    Whatever the verdict, the reference stops reaching its origin from the reader's client; the verdict only
    chooses between a copy and a placeholder.
    """
    if reference.vector is Vector.SCRIPT_INLINE or reference.vector is Vector.EVENT_HANDLER:
        return Action.REMOVE if settings.disable_attached_scripts else Action.KEEP
    if reference.media is None:
        return Action.REMOVE
    wanted = settings.trackers if verdict.is_tracker else settings.content
    return Action.BLANK if wanted is Action.REMOVE else wanted
