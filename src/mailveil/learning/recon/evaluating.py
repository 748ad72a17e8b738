"""Evaluating: one simulation by mailveil and by the simple rules; the outcomes of several together as figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mailveil.learning.recon.baselines import NAMES, STRICTEST, baselines
from mailveil.learning.recon.prospecting import Prospecting
from mailveil.learning.recon.running import ActorOutcome, Detector, Outcome, Raised, Reckoning, Scored
from mailveil.learning.recon.shares import Rate, rate, wilson
from mailveil.learning.simulation import Grade, Simulated, Simulation, SimulationSettings, Truth
from mailveil.learning.simulation.types import DAY_S

#: Seeds below it are there to improve detection with; what is published is of the others.
HELD_OUT: Final = 1_001
AIM_FALSE: Final = 1.0  # alarms per 1,000 mailboxes and week
MAILVEIL: Final = "mailveil"
#: How actors write: as they please, or such that they are taken for sellers.
PLAIN: Final = "plain"
LIKE_SELLER: Final = "as sellers do"
SCORES: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
Said = Callable[[str], None]


@dataclass(slots=True)
class Run:
    """What came of one simulation: mailveil's outcome, each rule's at each strictness, and by the score alone.

    ``curve`` is what there would be if an activity raised one alarm when its score first reaches each of ``SCORES``.
    """

    seed: int
    messages: int = 0
    mailbox_weeks: float = 0.0
    mailveil: Outcome = field(default_factory=Outcome)
    rules: dict[str, list[Outcome]] = field(default_factory=dict)
    curve: list[Outcome] = field(default_factory=list)


def run(settings: SimulationSettings, detector: Callable[[Simulation], Detector], say: Said) -> Run:
    """Simulate, and hold what is raised against the truth."""
    simulation = Simulation(settings)
    watching, rules = detector(simulation), baselines()
    prospecting = Prospecting(simulation.infrastructure)
    warm_until = settings.begin_at + settings.warm_up_days * DAY_S
    own = Reckoning(warm_until)
    others = {name: [Reckoning(warm_until) for _ in range(STRICTEST)] for name in rules}
    made = Run(settings.seed, mailbox_weeks=settings.people * (settings.days - settings.warm_up_days) / 7)
    by_score = _ByScore(warm_until)
    told = -1
    for simulated in simulation:
        seen = simulated.observation
        made.messages += 1
        day = int((seen.at - settings.begin_at) // DAY_S)
        if day // 30 != told:
            told = day // 30
            say(f"seed {settings.seed}: day {day} of {settings.days}, {made.messages - 1:,} messages")
        for facts in prospecting.until(seen.at):
            own.count(watching.see(facts), seen.at)
            by_score.learn(watching.scores, seen.at)
        own.note(simulated)
        own.judge(simulated, watching.see(seen))
        by_score.judge(watching.scores, simulated)
        prospecting.note(seen)
        for name, rule in rules.items():
            levels = rule.levels(seen)
            for level, reckoning in enumerate(others[name], 1):
                if simulated.truth.grade is not None or level in levels:
                    reckoning.note(simulated)
                    reckoning.judge(simulated, [Raised(seen.identifier)] if level in levels else [])
    made.mailveil = own.outcome
    made.curve = by_score.outcomes
    made.rules = {name: [each.outcome for each in reckonings] for name, reckonings in others.items()}
    return made


class _ByScore:
    """What would be raised at each score: one alarm for an activity, when it first reaches it."""

    def __init__(self, warm_until: float) -> None:
        truths: dict[str, tuple[Truth, str]] = {}
        self._first = Reckoning(warm_until, truths)  # takes note of all messages
        self._reckonings = [Reckoning(warm_until, truths) for _ in SCORES]
        self._reached: list[set[str]] = [set() for _ in SCORES]

    @property
    def outcomes(self) -> list[Outcome]:
        return [each.outcome for each in self._reckonings]

    def judge(self, scores: Mapping[str, Scored], simulated: Simulated) -> None:
        """Count what a message raises."""
        self._first.note(simulated)
        for reckoning, raised in zip(self._reckonings, self._raised(scores), strict=True):
            if raised or simulated.truth.grade is not None:
                reckoning.note(simulated)
                reckoning.judge(simulated, raised)

    def learn(self, scores: Mapping[str, Scored], now: float) -> None:
        """Count what rises by what lies behind a host."""
        for reckoning, raised in zip(self._reckonings, self._raised(scores), strict=True):
            reckoning.count(raised, now)

    def _raised(self, scores: Mapping[str, Scored]) -> list[list[Raised]]:
        found = []
        for score, reached in zip(SCORES, self._reached, strict=True):
            new = {name for name, each in scores.items() if each.score >= score} - reached
            reached.update(new)
            found.append([Raised(scores[name].message, name) for name in sorted(new)])
        return found


def figures(runs: Sequence[Run], settings: SimulationSettings) -> dict[str, Any]:
    """Return what several runs come to, as JSON can hold it."""
    weeks = sum(each.mailbox_weeks for each in runs)
    own = [each.mailveil for each in runs]
    ours = _false(own, weeks)
    found: dict[str, Any] = {
        "seeds": [each.seed for each in runs],
        "are_held_out": all(each.seed >= HELD_OUT for each in runs),
        "people": settings.people,
        "days": settings.days,
        "warm_up_days": settings.warm_up_days,
        "messages": sum(each.messages for each in runs),
        "mailbox_weeks": weeks,
        MAILVEIL: _of(own, weeks),
        "disguise": {PLAIN: _disguised(own, said=False), LIKE_SELLER: _disguised(own, said=True)},
        "curve": {
            str(score): _at_score([each.curve[number] for each in runs], weeks)
            for number, score in enumerate(SCORES)
        },
        "rules": {},
    }
    for name in NAMES:
        at_each = [[each.rules[name][level] for each in runs] for level in range(STRICTEST)]
        matched = next(
            (
                level
                for level, each in enumerate(at_each)
                if _false(each, weeks).value <= max(ours.value, AIM_FALSE)
            ),
            None,
        )
        found["rules"][name] = {
            "as it is": _of(at_each[0], weeks),
            "people_needed_to_match": None if matched is None else matched + 1,
            "matched": None if matched is None else _of(at_each[matched], weeks),
        }
    return found


def _of(outcomes: Sequence[Outcome], weeks: float) -> dict[str, Any]:
    actors = _actors(outcomes)
    causes: dict[str, int] = {}
    for outcome in outcomes:
        for cause, count in outcome.false_alarms.items():
            causes[cause] = causes.get(cause, 0) + count
    return {
        "grades": _grades(actors),
        "false": _false(outcomes, weeks).record(),
        "false_in_warm_up": sum(each.false_in_warm_up for each in outcomes),
        "of_taken_over": sum(each.of_taken_over for each in outcomes),
        "false_by_cause": dict(sorted(causes.items(), key=lambda item: (-item[1], item[0]))),
        "false_examples": [example for each in outcomes for example in each.examples],
        "missed": sorted(f"{each.name} ({each.probes} probes)" for each in actors if not each.is_detected),
    }


def _disguised(outcomes: Sequence[Outcome], *, said: bool) -> dict[str, Any]:
    """Return what becomes of those of each grade who write as sellers do (``said``), or of the others."""
    return _grades([each for each in _actors(outcomes) if each.is_like_seller is said])


def _actors(outcomes: Sequence[Outcome]) -> list[ActorOutcome]:
    return [actor for each in outcomes for actor in each.actors.values() if actor.probes]


def _grades(actors: Sequence[ActorOutcome]) -> dict[str, Any]:
    return {
        str(grade): _grade([each for each in actors if each.grade is grade])
        for grade in Grade
        if any(each.grade is grade for each in actors)
    }


def _at_score(outcomes: Sequence[Outcome], weeks: float) -> dict[str, Any]:
    found = _of(outcomes, weeks)
    shares = {name: each["within_third"]["value"] for name, each in found["grades"].items()}
    return {"false": found["false"]["value"], "within_third": shares}


def _false(outcomes: Sequence[Outcome], weeks: float) -> Rate:
    return rate(sum(each.total_false for each in outcomes), weeks / 1_000)


def _grade(actors: Sequence[ActorOutcome]) -> dict[str, Any]:
    detected = [each for each in actors if each.is_detected]
    follow_ups = sum(each.follow_ups for each in actors)
    return {
        "actors": len(actors),
        "detected": wilson(len(detected), len(actors)).record(),
        "within_third": wilson(sum(each.number <= 3 for each in detected), len(actors)).record(),
        "median_probe": _median([each.number for each in detected]),
        "median_days": _median([each.days for each in detected]),
        "median_people_before": _median([each.people_before for each in detected]),
        "follow_ups": _share(sum(each.recognised for each in actors), follow_ups),
        "follow_ups_of_detected": _share(
            sum(each.recognised for each in detected), sum(each.follow_ups for each in detected)
        ),
    }


def _share(count: int, of: int) -> dict[str, Any] | None:
    return wilson(count, of).record() if of else None


def _median(numbers: Sequence[float]) -> float | None:
    return float(statistics.median(numbers)) if numbers else None
