"""Sharing records: where events go to, and whose indicators are taken in. Times are seconds since the epoch, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from mailveil.core.sharing.types import PeopleShared, TrafficLight

# What is said where a destination's or a feed's secret cannot be read any more.
SECRET_LOST: Final = "the stored secret does not open (sharing.key was replaced or lost); set it anew"  # noqa: S105


class DestinationKind(StrEnum):
    """What kind of system a destination is. Values are permanent."""

    SYSLOG = "syslog"
    SPLUNK = "splunk"
    ELASTICSEARCH = "elasticsearch"
    JSON_LINES = "json-lines"
    WEBHOOK = "webhook"
    MISP = "misp"
    COLLECTION = "collection"  # our own TAXII server's, always there


COLLECTION: Final = "collection"  # the identifier of every organisation's own


class FeedKind(StrEnum):
    """What kind of system a feed is read from. Values are permanent."""

    TAXII = "taxii"
    MISP = "misp"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an organisation's events go. ``secret`` is what authenticates us, encrypted by whoever stores it.

    ``events`` are kinds of ``EventKind`` (empty: all), ``least_score`` leaves activities below it out, ``format`` what
    a SIEM is written in (``cef``, ``ecs``, ``ocsf``). ``position`` is the number of the last event that was delivered
    or given up; ``problem`` says in words why nothing is delivered now. ``delivered`` counts the events that it took,
    ``missed`` those that were gone before it could be reached, the last ones at ``missed_at``. ``is_secret_lost``:
    what is stored does not open.
    """

    identifier: str
    organisation: str
    name: str
    kind: DestinationKind
    address: str
    format: str = ""
    events: tuple[str, ...] = ()
    least_score: float = 0.0
    people: PeopleShared = PeopleShared.NONE
    traffic_light: TrafficLight = TrafficLight.AMBER
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: str = field(default="", repr=False)
    is_enabled: bool = True
    created_by: str = ""
    created_at: float = 0.0
    changed_at: float = 0.0
    position: int = 0
    attempts: int = 0
    next_try_at: float = 0.0
    delivered_at: float = 0.0
    problem: str = ""
    delivered: int = 0
    missed: int = 0
    missed_at: float = 0.0
    is_secret_lost: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a destination is behind: events that wait for it, and those that it did not take."""

    waiting: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What delivery looks at every moment: a destination, and whether there is something to do for it.

    ``last`` is the number of the organisation's last event.
    """

    destination: Destination
    last: int = 0
    has_retries: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a destination did not take, with the reason. ``retry_at``: since when it is to be tried again."""

    destination: str
    organisation: str
    number: int
    at: float
    died_at: float
    kind: str
    subject: str
    problem: str
    record: Mapping[str, Any] = field(default_factory=dict)
    identifier: str = ""
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Feed:
    """Whose indicators an organisation takes in. ``position`` is where the next reading begins.

    ``attempts`` counts readings that failed since one worked, ``figures`` are those of the last one that did: how many
    indicators were taken, withdrawn and passed over, and why. ``is_secret_lost`` says that the stored secret does not
    open any more.
    """

    identifier: str
    organisation: str
    name: str
    kind: FeedKind
    address: str
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: str = field(default="", repr=False)
    is_enabled: bool = True
    created_by: str = ""
    created_at: float = 0.0
    position: str = ""
    read_at: float = 0.0
    next_read_at: float = 0.0
    problem: str = ""
    indicators: int = 0
    attempts: int = 0
    figures: Mapping[str, int] = field(default_factory=dict)
    is_secret_lost: bool = False


@dataclass(frozen=True, slots=True)
class ImportedIndicator:
    """An indicator that others shared: a domain with all below it, a host, a URL or the beginning of URLs.

    ``identifier`` is that of the object of theirs which told of it; several indicators may come from one.
    """

    feed: str
    identifier: str
    kind: str  # "domain", "host", "url", "prefix", "shape"
    value: str
    confidence: float = 0.5
    valid_from: float = 0.0
    valid_until: float = 0.0  # 0: without end
    name: str = ""
    source: str = ""
    marking: str = ""
