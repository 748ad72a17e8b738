"""Activity records: what studying found beside what people decided about it. Times are seconds since the epoch, UTC."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mailveil.core.intelligence.types import DAY_S, Activity, ActivityState, AnalystVerdict

QUIET_AFTER_S: Final = 14 * DAY_S
CLOSED_AFTER_S: Final = 90 * DAY_S
#: Below it an activity is remembered, and neither shown nor told; one that fell below it stays where somebody dealt
#: with it or was alerted to it.
FLOOR_SCORE: Final = 0.15


@dataclass(frozen=True, slots=True)
class ActivityNote:
    """What somebody wrote about an activity."""

    identifier: str
    organisation: str
    activity: str
    at: float
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class ActivityFile:
    """An activity with what people decided. ``changed_at`` is when either last changed.

    ``told`` is a digest of what others were told of it last, ``told_state`` the state it had then; ``""``: nothing yet.
    """

    activity: Activity
    changed_at: float
    verdict: AnalystVerdict = AnalystVerdict.OPEN
    decided_by: str = ""
    decided_at: float = 0.0
    acknowledged_by: str = ""
    acknowledged_at: float = 0.0
    closed_by: str = ""
    closed_at: float = 0.0
    told: str = ""
    told_state: str = ""

    @property
    def has_decisions(self) -> bool:
        """Whether anybody has decided anything about it."""
        return self.verdict is not AnalystVerdict.OPEN or bool(self.acknowledged_at or self.closed_at)

    @property
    def revision(self) -> str:
        """What is another one as soon as anybody decides something about it, and stays whatever is found."""
        decided = (
            self.activity.identifier,
            str(self.verdict),
            self.decided_by,
            self.decided_at,
            self.acknowledged_by,
            self.acknowledged_at,
            self.closed_by,
            self.closed_at,
        )
        return hashlib.sha256(repr(decided).encode()).hexdigest()[:32]

    def state(self, now: float) -> ActivityState:
        """Return how it stands: what comes after an analyst closed it opens it again; dismissed it stays closed."""
        if self.verdict is AnalystVerdict.BENIGN or self.activity.merged_into:
            return ActivityState.CLOSED
        if self.closed_at and self.activity.last_at <= self.closed_at:
            return ActivityState.CLOSED
        silence_s = now - self.activity.last_at
        if silence_s >= CLOSED_AFTER_S:
            return ActivityState.CLOSED
        return ActivityState.QUIET if silence_s >= QUIET_AFTER_S else ActivityState.ACTIVE

    def with_activity(self, activity: Activity, changed_at: float) -> ActivityFile:
        """Return it with what studying found now."""
        return replace(self, activity=activity, changed_at=changed_at)


@dataclass(frozen=True, slots=True)
class ActivityQuery:
    """Which activities are wanted. ``state`` is judged at ``now``; ``order`` is ``score``, ``last`` or ``changed``.

    Whatever is wanted, those below ``FLOOR_SCORE`` are left out, unless somebody decided or noted something about them,
    or they raised an alert.
    """

    now: float
    state: ActivityState | None = None
    verdict: AnalystVerdict | None = None
    least_score: float = 0.0
    person: str = ""
    actor: str = ""
    since: float = 0.0
    order: str = "score"


@dataclass(frozen=True, slots=True)
class SenderBuilt:
    """A sender with tracking of its own. ``messages`` and ``people`` count its campaigns from their beginning.

    ``is_personal`` says that the domain spells one of those to whom it wrote.
    """

    sender_domain: str
    campaigns: int
    messages: int
    people: int
    first_at: float
    is_personal: bool = False

    def with_those_of(self, other: SenderBuilt) -> SenderBuilt:
        """Return both as one, under this one's domain."""
        return replace(
            self,
            campaigns=self.campaigns + other.campaigns,
            messages=self.messages + other.messages,
            people=max(self.people, other.people),
            first_at=min(self.first_at, other.first_at),
            is_personal=self.is_personal or other.is_personal,
        )


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """Something to tell others: ``record`` as it was then, before anything is veiled.

    ``kind`` is one of ``core.sharing.types.EventKind``; ``number`` goes up within an organisation (0: not given yet).
    Records are those of ``core.sharing.entries``; ``control.telling`` makes entries.
    """

    organisation: str
    identifier: str
    at: float
    kind: str
    subject: str
    record: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
