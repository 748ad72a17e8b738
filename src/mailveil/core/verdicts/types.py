"""The words for what a reference is: verdict, kind, reason, operator, risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mailveil.core.verdicts.lists.matching import NO_LISTS, Lists
from mailveil.core.verdicts.signals import Signal

#: Header fields, in lower case, that mail services put on what they send.
SERVICE_FIELDS = (
    "feedback-id", "x-campaign", "x-campaignid", "x-csa-complaints", "x-dotmailer", "x-emarsys-identify",
    "x-hs-cid", "x-job", "x-klaviyo-message-id", "x-mailgun-sid", "x-mailin-campaign", "x-mailjet-campaign",
    "x-mandrill-user", "x-mc-user", "x-msys-api", "x-pm-message-id", "x-postmark-id", "x-rpcampaign",
    "x-sailthru-message-id", "x-ses-outgoing", "x-sfmc-stack", "x-sg-eid", "x-sib-id", "x-sparkpost-msfbl",
)  # fmt: skip


class Finding(StrEnum):
    """What a reference is there for."""

    TRACKER = "tracker"
    CONTENT = "content"


class Kind(StrEnum):
    """What a tracker tells its operator. Values are permanent."""

    OPEN = "open"  # that and when the message was opened
    DWELL = "dwell"  # how long it stayed open
    LOCATION = "location"  # where, beyond what any fetch gives away
    DEVICE = "device"  # which device, client or setting
    IDENTITY = "identity"  # who, by address rather than by token
    DNS = "dns"  # that it was opened, by a name look-up alone
    CREDENTIAL = "credential"  # the reader's log-in, as a challenge response
    INTERACTION = "interaction"  # that it was printed, forwarded, pointed at, replied to
    RECEIPT = "receipt"  # an answer by mail


class Risk(StrEnum):
    """How much a message as a whole would give away."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs a tracker, as far as can be told; ``confidence`` is 0 to 1.

    ``owner`` is the company behind the name where it is another, ``parent`` what the owner belongs to.
    ``evidence`` says by what it was known, ``source`` where that fact can be read, ``verified`` whether it can.
    """

    name: str
    confidence: float
    owner: str = ""
    parent: str = ""
    category: str = ""
    evidence: str = ""
    source: str = ""
    verified: bool = True


class Reason(NamedTuple):
    """One thing that weighed in a verdict, in natural logarithms of odds; positive speaks for a tracker."""

    signal: Signal
    weight: float
    words: str


class Measured(NamedTuple):
    """What there is to know of a reference before it is judged: signals, and the numbers that a model reads.

    ``numbers`` are in the order of ``features.FEATURES``; ``meaning`` is the sum of what the signals weigh by
    their meaning alone, in natural logarithms of odds, ``decided`` that nothing else is asked, ``listed`` what
    imported lists say.
    """

    signals: tuple[Signal, ...]
    numbers: tuple[float, ...]
    meaning: float = 0.0
    decided: bool = False
    operator: Operator | None = None
    operator_kind: Kind | None = None
    listed: str = ""


class Verdict(NamedTuple):
    """What one reference is. ``kinds`` is empty for content; the first is the weightiest.

    ``score`` is the calibrated probability that it is a tracker, ``log_odds`` the sum that it was made of.
    ``reasons`` are those that weighed most, the weightiest first; of content, ``judging.reasons_of`` finds them
    where they are asked for, from ``measured``. ``risk`` is what this reference alone gives away. A tuple,
    because a message has as many as references.
    """

    kind_of_reference: Finding
    score: float
    kinds: tuple[Kind, ...] = ()
    signals: tuple[Signal, ...] = ()
    operator: Operator | None = None
    log_odds: float = 0.0
    risk: Risk = Risk.LOW
    reasons: tuple[Reason, ...] = ()
    measured: Measured | None = None

    @property
    def probability(self) -> float:
        """The calibrated probability that the reference is a tracker."""
        return self.score

    @property
    def is_tracker(self) -> bool:
        """Whether the reference is there to learn something about the reader."""
        return self.kind_of_reference is Finding.TRACKER

    @property
    def kind(self) -> Kind | None:
        """The main kind, ``None`` for content."""
        return self.kinds[0] if self.kinds else None


@dataclass(frozen=True, slots=True)
class MessageContext:
    """What a judge may know of the message around a reference.

    ``envelope_sender`` is the reverse-path, ``header_from`` the address of the From field, ``recipients``
    those of the envelope or, without one, of the To and Cc fields. ``fields`` holds header fields by
    lower-case name, at least those that tell list and bulk mail: ``list-id``, ``list-unsubscribe``,
    ``precedence``, ``feedback-id``.
    ``linked`` are the URLs of ordinary links, ``size`` the message's length in bytes, ``author_domain`` the
    registrable domain of the author that authentication proved, ``""`` where it proved none, ``lists`` the block
    lists that the organisation imported, ``service`` the mail service that authentication proved.
    """

    envelope_sender: str = ""
    header_from: str = ""
    recipients: tuple[str, ...] = ()
    subject: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    linked: frozenset[str] = frozenset()
    size: int = 0
    author_domain: str = ""
    lists: Lists = NO_LISTS
    service: Operator | None = None

    @property
    def is_list_mail(self) -> bool:
        """Whether the message declares itself as list or bulk mail (RFC 2919, RFC 2369, Precedence)."""
        if any(name in self.fields for name in ("list-id", "list-unsubscribe", "feedback-id")):
            return True
        return self.fields.get("precedence", "").strip().lower() in {"bulk", "list"}

    @property
    def mail_service(self) -> str:
        """The header field, in lower case, that names a mail service, ``""`` where there is none."""
        return next((name for name in SERVICE_FIELDS if name in self.fields), "")

    def proves(self, domain: str) -> bool:
        """Tell whether authentication proved an author with this registrable domain."""
        return bool(domain) and domain == self.author_domain
