"""Weekly report: what one organisation is told of one week, as values; whoever draws it needs nothing else.

Without ``with_people`` nothing in it tells of a single person: no names, no functions, and what else is told went
through the same veil as what leaves for other systems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailveil.control.activityrecords import SenderBuilt
from mailveil.control.records import Count, Figures, FiguresAt
from mailveil.control.weeks import Week
from mailveil.core.intelligence.types import (
    ActivityState,
    AlertKind,
    AnalystVerdict,
    Reason,
    Target,
    Technique,
    Tooling,
)


@dataclass(frozen=True, slots=True)
class OperatorMet:
    """An operator of trackers that came in the week; ``owner`` and ``category`` come from the catalogue."""

    name: str
    owner: str
    category: str
    messages: int
    references: int


@dataclass(frozen=True, slots=True)
class ActivityLine:
    """An activity of reconnaissance as it stood at the end of the week, as far as that is still known.

    ``domains`` are registrable domains that it was carried out with; whole host names may be made for one person.
    ``week_probes`` and ``week_people`` are those of the week, of the probes that are kept one by one. ``targets`` are
    there with people alone.
    """

    identifier: str
    actor: str
    score: float
    risk: str
    state: ActivityState
    verdict: AnalystVerdict
    first_at: float
    last_at: float
    is_new: bool
    is_ended: bool
    week_probes: int
    week_people: int
    total_probes: int
    total_people: int
    kinds: tuple[str, ...] = ()
    techniques: tuple[Technique, ...] = ()
    tooling: Tooling = Tooling.UNKNOWN
    operator: str = ""
    domains: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertLine:
    """An alert of the week; ``people`` are there with people alone."""

    at: float
    kind: AlertKind
    activity: str
    sender_domain: str
    score: float
    earlier: float = 0.0
    words: str = ""
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Watching:
    """Who was watching. ``activities`` are those worth a look, by score; ``weaker`` counts the others.

    ``functions`` are those of the people probed in the week, ``""`` for people of whom nothing is said; there with
    people alone. ``is_whole`` is False where there were more than a report reads.
    """

    activities: tuple[ActivityLine, ...] = ()
    weaker: int = 0
    new: int = 0
    ended: int = 0
    dismissed: int = 0
    confirmed: int = 0
    alerts: tuple[AlertLine, ...] = ()
    alert_counts: Mapping[AlertKind, int] = field(default_factory=dict)
    functions: tuple[tuple[str, int], ...] = ()
    is_whole: bool = True

    @property
    def active(self) -> int:
        """How many of the activities shown were active at the end of the week."""
        return sum(each.state is ActivityState.ACTIVE for each in self.activities)

    @property
    def follow_ups(self) -> tuple[AlertLine, ...]:
        """The alerts of mail from actors that were known already."""
        return tuple(each for each in self.alerts if each.kind is AlertKind.FOLLOW_UP)


@dataclass(frozen=True, slots=True)
class WeeklyReport:
    """The report. ``until`` is where its figures end: now, in a week that is not over.

    ``before`` are the figures of as long a part of the week before. ``days`` are those of this week, ``weeks`` the
    last twelve, the oldest first and this one last. What is ``None`` was not for this reader, and ``missing`` says so,
    with whatever else the figures do not tell. ``said`` compares the two weeks in sentences.
    """

    organisation: str
    organisation_name: str
    week: Week
    made_at: float
    until: float
    total: Figures
    before: Figures
    days: tuple[FiguresAt, ...]
    weeks: tuple[FiguresAt, ...]
    kinds: tuple[Count, ...] = ()
    operators: tuple[OperatorMet, ...] | None = None
    built: tuple[SenderBuilt, ...] | None = None
    watching: Watching | None = None
    with_people: bool = False
    said: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the week was over when the report was made."""
        return self.until >= self.week.until
