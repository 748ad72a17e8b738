"""Running: simulated mail goes by whoever raises alarms, and what they raise is held against the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from mailveil.core.intelligence.book import Book, WholeBook
from mailveil.core.intelligence.settings import Findings, StudySettings
from mailveil.core.intelligence.types import InfrastructureFacts
from mailveil.core.observation import Observation
from mailveil.learning.simulation import Grade, Simulated, Truth
from mailveil.learning.simulation.types import DAY_S

Study = Callable[[Observation | InfrastructureFacts, Book, StudySettings], Findings]


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm: about which message, and what activity it is about."""

    message: str
    activity: str = ""


class Scored(NamedTuple):
    """How an activity is scored, and its latest probe."""

    score: float
    message: str


class Detector(Protocol):
    """Whoever raises alarms: is given every message, and what becomes known of hosts, in the order of time."""

    def see(self, subject: Observation | InfrastructureFacts) -> Sequence[Raised]:
        """Look at a message, or at what lies behind a host, and return what is raised by it."""
        ...

    @property
    def scores(self) -> Mapping[str, Scored]:
        """How the activities that the last subject changed are scored now."""
        ...


class Studying:
    """mailveil's own study of observations, with everything it remembers in memory."""

    def __init__(self, settings: StudySettings, study: Study) -> None:
        """``study`` is ``core.intelligence.studying.study``."""
        self._settings, self._study, self._book = settings, study, WholeBook()
        self._scores: dict[str, Scored] = {}

    @property
    def scores(self) -> Mapping[str, Scored]:
        """How the activities that the last subject changed are scored now."""
        return self._scores

    @property
    def remembered(self) -> int:
        """How many memos there are."""
        return len(self._book)

    def see(self, subject: Observation | InfrastructureFacts) -> Sequence[Raised]:
        """Study a message, or what lies behind a host."""
        findings = self._study(subject, self._book, self._settings)
        self._book.changes()
        self._scores = {
            each.identifier: Scored(each.score, each.probes[-1].message)
            for each in findings.activities
            if each.probes and not each.merged_into
        }
        return [Raised(each.message, each.activity) for each in findings.alerts]


@dataclass(slots=True)
class ActorOutcome:
    """What became of one actor. ``number`` of the probe that raised the first alarm, 0: none did.

    ``is_like_seller`` tells that they write as sellers do.
    """

    name: str
    grade: Grade
    first_at: float
    probes: int = 0
    number: int = 0
    days: float = 0.0
    people_before: int = 0
    follow_ups: int = 0
    recognised: int = 0
    is_like_seller: bool = False
    people: set[str] = field(default_factory=set)

    @property
    def is_detected(self) -> bool:
        """Whether a probe raised an alarm."""
        return self.number > 0


@dataclass(slots=True)
class Outcome:
    """What one detector did with one simulation. False alarms are counted by what honest mail raised them.

    ``of_taken_over`` counts alarms on honest mail from an address that an actor has spied from before: its mailbox is
    in somebody else's hands, so that they are neither right nor wrong.
    """

    actors: dict[str, ActorOutcome] = field(default_factory=dict)
    false_alarms: dict[str, int] = field(default_factory=dict)
    false_in_warm_up: int = 0
    of_taken_over: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def total_false(self) -> int:
        """All false alarms after the warm-up."""
        return sum(self.false_alarms.values())


_MAX_EXAMPLES = 40


class Reckoning:
    """Holds alarms against the truth, message by message. An alarm counts for whose message it names."""

    def __init__(self, warm_until: float, truths: dict[str, tuple[Truth, str]] | None = None) -> None:
        """Alarms before ``warm_until`` are counted apart. Several may share the ``truths`` that one takes note of."""
        self.outcome = Outcome()
        self._warm_until = warm_until
        self._truths = {} if truths is None else truths
        self._taken_over: set[str] = set()

    def note(self, simulated: Simulated) -> None:
        """Take note of a message before what it raises."""
        seen, truth = simulated.observation, simulated.truth
        self._truths[seen.identifier] = (truth, seen.author)
        if truth.grade is None:
            return
        new = ActorOutcome(truth.actor, truth.grade, seen.at, is_like_seller=truth.is_like_seller)
        actor = self.outcome.actors.setdefault(truth.actor, new)
        if truth.is_probe:
            actor.probes += 1
            self._taken_over.add(seen.author)
        else:
            actor.follow_ups += 1

    def judge(self, simulated: Simulated, raised: Iterable[Raised]) -> None:
        """Count what was raised at a message; whom an actor has probed so far is known only thereafter."""
        self.count(raised, simulated.observation.at)
        truth = simulated.truth
        if truth.is_probe:
            self.outcome.actors[truth.actor].people.update(simulated.observation.recipients)

    def count(self, raised: Iterable[Raised], now: float) -> None:
        """Count what was raised at a time; several alarms about one message are one."""
        for message in sorted({each.message for each in raised}):
            self._judge_one(message, now)

    def _judge_one(self, message: str, now: float) -> None:
        truth, author = self._truths[message]
        if truth.grade is None:
            if author in self._taken_over:
                self.outcome.of_taken_over += 1
                return
            self._count_false(str(truth.cause), author, now)
            return
        actor = self.outcome.actors[truth.actor]
        if truth.is_follow_up:
            actor.recognised += 1
        elif not actor.is_detected:
            actor.number = actor.probes
            actor.days = (now - actor.first_at) / DAY_S
            actor.people_before = len(actor.people)

    def _count_false(self, cause: str, author: str, now: float) -> None:
        outcome = self.outcome
        if now < self._warm_until:
            outcome.false_in_warm_up += 1
            return
        outcome.false_alarms[cause] = outcome.false_alarms.get(cause, 0) + 1
        if len(outcome.examples) < _MAX_EXAMPLES:
            outcome.examples.append(f"{cause}: {author}")
