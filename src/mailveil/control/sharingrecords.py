"""Sharing records: where events go to, and whose indicators are taken in. Times are seconds since the epoch, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mailveil.core.sharing.types import PeopleShared, TrafficLight


class DestinationKind(StrEnum):
    """What kind of system a destination is. Values are permanent."""

    SYSLOG = "syslog"
    SPLUNK = "splunk"
    ELASTICSEARCH = "elasticsearch"
    JSON_LINES = "json-lines"
    WEBHOOK = "webhook"
    MISP = "misp"
    COLLECTION = "collection"  # our own TAXII server's, always there


class FeedKind(StrEnum):
    """What kind of system a feed is read from. Values are permanent."""

    TAXII = "taxii"
    MISP = "misp"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an organisation's events go. ``secret`` is what authenticates us, encrypted by whoever stores it.

    ``events`` are kinds of ``EventKind`` (empty: all), ``least_score`` leaves activities below it out, ``format`` what
    a SIEM is written in (``cef``, ``ecs``, ``ocsf``). ``position`` is the number of the last event that was delivered
    or given up; ``problem`` says in words why nothing is delivered now.
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
    subjects: bool = False
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


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a destination did not take, with the reason."""

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


@dataclass(frozen=True, slots=True)
class Feed:
    """Whose indicators an organisation takes in. ``position`` is where the next reading begins."""

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


@dataclass(frozen=True, slots=True)
class ImportedIndicator:
    """An indicator that others shared: a domain, host or URL, and where it came from."""

    feed: str
    identifier: str
    kind: str  # "domain", "host", "url"
    value: str
    confidence: float = 0.5
    valid_from: float = 0.0
    valid_until: float = 0.0  # 0: without end
    name: str = ""
    source: str = ""
    marking: str = ""
