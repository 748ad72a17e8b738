"""Settings: what an organisation says of itself to whoever studies its mail. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailveil.core.intelligence.types import Activity, Alert, Campaign, LearnedTracker, MarkedPerson


@dataclass(frozen=True, slots=True)
class StudySettings:
    """``people`` are those the organisation says something of, ``own_domains`` the domains it receives mail for.

    ``alert_score`` is what an activity has to reach for an alert.
    """

    people: Mapping[str, MarkedPerson] = field(default_factory=dict)
    own_domains: frozenset[str] = frozenset()
    alert_score: float = 0.5


@dataclass(frozen=True, slots=True)
class Findings:
    """What is new after one subject was studied: each as it stands now.

    ``learned`` is tracking that somebody built and that was met for the first time.
    """

    activities: tuple[Activity, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    alerts: tuple[Alert, ...] = ()
    learned: tuple[LearnedTracker, ...] = ()
