"""Settings: what an organisation says of itself to whoever studies its mail. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mailveil.core.intelligence.types import Activity, Alert, Campaign, LearnedTracker, MarkedPerson

#: From here on there is an alert, unless somebody chose otherwise.
ALERT_SCORE: Final = 0.5


@dataclass(frozen=True, slots=True)
class StudySettings:
    """``people`` are those the organisation says something of, ``own_domains`` the domains it receives mail for.

    ``alert_score`` is what an activity has to reach for an alert. How many people there are, in each function and of
    high value, is counted once.
    """

    people: Mapping[str, MarkedPerson] = field(default_factory=dict)
    own_domains: frozenset[str] = frozenset()
    alert_score: float = ALERT_SCORE
    marked: int = field(init=False, default=0)
    high_value: int = field(init=False, default=0)
    function_sizes: Mapping[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        sizes = Counter(each.function for each in self.people.values() if each.function)
        object.__setattr__(self, "marked", len(self.people))
        object.__setattr__(self, "high_value", sum(each.is_high_value for each in self.people.values()))
        object.__setattr__(self, "function_sizes", dict(sizes))


@dataclass(frozen=True, slots=True)
class Findings:
    """What is new after one subject was studied: each as it stands now.

    ``learned`` is tracking that somebody built and that was met for the first time. ``withdrawn`` are activities with
    messages that turned out to be no part of them, or to be so in another way: as ``activities`` has it then.
    """

    activities: tuple[Activity, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    alerts: tuple[Alert, ...] = ()
    learned: tuple[LearnedTracker, ...] = ()
    withdrawn: tuple[tuple[str, str], ...] = ()
