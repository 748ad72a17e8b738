"""The words of sharing: what leaves for other systems. Encoders are given these values alone, and so cannot tell more.

``veiling`` makes them of what we know, as a destination's ``Disclosure`` has it: people are absent, pseudonyms or in
clear, and whatever may have been made for one person is a wildcard. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mailveil.core.intelligence.types import (
    ActivityState,
    AlertKind,
    AnalystVerdict,
    Reason,
    Role,
    TechniqueShown,
    Tooling,
)


class PeopleShared(StrEnum):
    """How people are named to others. Values are permanent."""

    NONE = "none"  # counts alone
    PSEUDONYM = "pseudonym"  # keyed, the same one every time, another one for each organisation
    CLEAR = "clear"  # their addresses, where an administrator chose so for this destination


class TrafficLight(StrEnum):
    """How far others may pass on what they get (Traffic Light Protocol 2.0). Values are permanent."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"


class EventKind(StrEnum):
    """What an event says. Values are permanent: webhooks carry them."""

    ACTIVITY_OPENED = "activity.opened"
    ACTIVITY_CHANGED = "activity.changed"
    ACTIVITY_CLOSED = "activity.closed"
    ACTIVITY_DECIDED = "activity.decided"  # an analyst confirmed or dismissed it
    ALERT_RAISED = "alert.raised"
    TRACKER_LEARNED = "tracker.learned"  # tracking that somebody built, met for the first time
    TEST = "test"  # from the button beside a destination


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What a destination may be told. ``key`` is what pseudonyms are made with."""

    people: PeopleShared = PeopleShared.NONE
    traffic_light: TrafficLight = TrafficLight.AMBER
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class SharedInfrastructure:
    """Something that an activity was carried out with; labels made for one person are ``*``.

    ``claimed`` says that it is a sender's domain that never proved itself, or one that answers were merely to go to:
    anybody may have written its name.
    """

    role: Role
    value: str
    first_at: float
    last_at: float
    messages: int = 1
    shared: bool = False  # it serves everybody, such as a vendor: no indicator
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class SharedProbe:
    """One probe. ``person`` is a pseudonym, an address or ``""``, as the disclosure has it."""

    at: float
    sender_domain: str
    person: str = ""
    function: str = ""
    kinds: tuple[str, ...] = ()
    template: str = ""
    host: str = ""
    domain: str = ""
    vector: str = ""


@dataclass(frozen=True, slots=True)
class SharedActivity:
    """An activity as others are told of it. ``organisation`` names who tells, as its administrators want it.

    ``told_by`` is the UUID of who tells, which no other organisation anywhere has, whatever it is called.
    ``changed_at`` goes up with every change. ``tooling``, ``operator`` and ``fingerprint`` are of its trackers,
    ``people`` is empty unless disclosed. ``merged_into`` names the activity that this one turned out to be part of.
    """

    identifier: str
    organisation: str
    actor: str
    first_at: float
    last_at: float
    changed_at: float
    score: float
    risk: str
    state: ActivityState
    verdict: AnalystVerdict
    traffic_light: TrafficLight
    reasons: tuple[Reason, ...] = ()
    techniques: tuple[TechniqueShown, ...] = ()
    learned: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    tooling: Tooling = Tooling.UNKNOWN
    operator: str = ""
    fingerprint: str = ""
    confidence: float = 0.0
    infrastructure: tuple[SharedInfrastructure, ...] = ()
    probes: tuple[SharedProbe, ...] = ()
    people: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    total_messages: int = 0
    total_probes: int = 0
    total_people: int = 0
    high_value_people: int = 0
    merged_into: str = ""
    told_by: str = ""


@dataclass(frozen=True, slots=True)
class SharedAlert:
    """An alert as others are told of it."""

    identifier: str
    at: float
    kind: AlertKind
    activity: str
    words: str
    score: float = 0.0
    sender_domain: str = ""
    people: tuple[str, ...] = ()
    total_people: int = 0
    earlier: float = 0.0


@dataclass(frozen=True, slots=True)
class SharedTracker:
    """A tracker that was learned: no vendor's, found by its own grammar."""

    identifier: str
    template: str
    host: str
    domain: str
    kinds: tuple[str, ...] = ()
    vector: str = ""
    fingerprint: str = ""
    tooling: Tooling = Tooling.UNKNOWN
    operator: str = ""
    first_at: float = 0.0
    last_at: float = 0.0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """One event for one destination. ``identifier`` is permanent: whoever gets it twice knows it by that.

    ``number`` goes up by one organisation's events in order. Exactly one of the three is there, none for a test.
    """

    identifier: str
    number: int
    at: float
    kind: EventKind
    organisation: str
    traffic_light: TrafficLight
    activity: SharedActivity | None = None
    alert: SharedAlert | None = None
    tracker: SharedTracker | None = None
    told_by: str = ""  # the UUID of the organisation


def is_withdrawn(activity: SharedActivity) -> bool:
    """Tell whether an activity is none any more: an analyst dismissed it, or it is part of another."""
    return activity.verdict is AnalystVerdict.BENIGN or bool(activity.merged_into)
