"""Aim: at whom an actor aims, and how little chance explains it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.memos import size_of
from mailveil.core.intelligence.settings import StudySettings
from mailveil.core.intelligence.types import DAY_S

_FULL_EVIDENCE: Final = 8.0  # log of the odds against chance from which on a reason has its full weight
_LEAST_SHARE: Final = 0.6  # of the people in one function


@dataclass(frozen=True, slots=True)
class Aim:
    """Whom an actor probes. Evidence is 0 to 1: how little chance explains that so many are alike.

    ``pause_days`` lie between two probes of one person, 0 where nobody was probed twice.
    """

    people: int = 0
    function: str = ""
    function_people: int = 0
    function_evidence: float = 0.0
    high: int = 0
    high_evidence: float = 0.0
    variations: int = 0
    most_probes: int = 0
    pause_days: float = 0.0


def aim_of(dossier: Memo, settings: StudySettings, everybody: int) -> Aim:
    """Return whom a dossier's actor aims at; ``everybody`` is about how many people get mail at all."""
    targets = dossier["targets"]
    people = max(len(targets), size_of(dossier["people"]))
    marked = [settings.people[each[0]] for each in targets if each[0] in settings.people]
    functions = Counter(each.function for each in marked if each.function)
    # Of several as many the first by name, whatever the order in which they were probed.
    function, count = min(functions.items(), key=lambda each: (-each[1], each[0]), default=("", 0))
    known = max(everybody, settings.marked, people)
    is_one = count >= 2 and count >= _LEAST_SHARE * len(targets)
    expected = settings.function_sizes.get(function, 0) / known if known else 1.0
    high = sum(each.is_high_value for each in marked)
    return Aim(
        people=people,
        function=function if is_one else "",
        function_people=count,
        function_evidence=_evidence(count, people, expected) if is_one else 0.0,
        high=high,
        high_evidence=_evidence(high, people, settings.high_value / known if known else 1.0),
        variations=max((len(each[4]) for each in targets), default=0),
        most_probes=max((each[3] for each in targets), default=0),
        pause_days=_pause_days(targets),
    )


def _pause_days(targets: Sequence[Sequence[Any]]) -> float:
    """Return how many days usually lie between two probes of one person, 0 where nobody was probed twice."""
    pauses = sorted((last - first) / (times - 1) for _, first, last, times, *_ in targets if times > 1)
    if not pauses:
        return 0.0
    # Of two the longer one: whoever was met by chance in two mailings is no sequence.
    return float(max(0.0, pauses[len(pauses) // 2]) / DAY_S)


def _evidence(count: int, of: int, expected: float) -> float:
    """Return how surprising it is that ``count`` of ``of`` people are of a kind that ``expected`` of all people are."""
    if count == 0 or of == 0:
        return 0.0
    share, expected = count / of, min(1.0, max(0.01, expected))
    if share <= expected:
        return 0.0
    surprise = count * math.log(share / expected)
    if share < 1.0 and expected < 1.0:
        surprise += (of - count) * math.log((1.0 - share) / (1.0 - expected))
    return min(1.0, max(0.0, surprise / _FULL_EVIDENCE))
