"""Lessons: what analysts' verdicts teach: an actor found harmless falls silent, and what spoke against it weighs less.

A verdict counts once for each activity, whatever is decided about it later, and all of them together change a weight
only so far: nobody can teach the scoring to see nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.memos import LESSONS, recall
from mailveil.core.intelligence.types import AnalystVerdict, Reason

_BOUNDS: Final = (0.6, 1.4)
_PRIOR: Final = 12.0  # verdicts that it takes to halve the room between a weight and its bound, about
_LEAST: Final = 0.3  # log-odds of a reason that is worth a lesson
_MAX_COUNT: Final = 1_000
_PLACES: Final = {AnalystVerdict.BENIGN: 0, AnalystVerdict.CONFIRMED: 1}


def lessons_of(book: Book) -> Mapping[str, Any]:
    """Return what was taught: of each code how many activities with it were harmless, and how many confirmed."""
    codes: Mapping[str, Any] = (recall(book, LESSONS) or {}).get("codes", {})
    return codes


def factor_of(code: str, lessons: Mapping[str, Any]) -> float:
    """Return by what verdicts change the weight of a reason."""
    benign, confirmed = map(int, lessons.get(code, (0, 0)))
    least, most = _BOUNDS
    return min(most, max(least, (_PRIOR + confirmed) / (_PRIOR + benign)))


def with_verdict(dossier: Memo, verdict: AnalystVerdict, reasons: Sequence[Reason], book: Book) -> Memo:
    """Return a dossier with an analyst's verdict, and have the book remember what it teaches."""
    codes = {code: list(counts) for code, counts in lessons_of(book).items()}
    taught, those = dossier.get("taught", ("open", ()))
    _count(codes, taught, those, -1)
    those = sorted(
        each.code for each in reasons if each.weight >= _LEAST and not each.code.startswith("ANALYST")
    )
    _count(codes, verdict, those, 1)
    book.put(LESSONS, {"codes": codes})
    return {**dossier, "verdict": str(verdict), "taught": [str(verdict), those]}


def _count(codes: dict[str, list[int]], verdict: str, those: Sequence[str], step: int) -> None:
    place = _PLACES.get(AnalystVerdict(verdict))
    if place is None:
        return
    for code in those:
        counts = codes.setdefault(code, [0, 0])
        counts[place] = min(_MAX_COUNT, max(0, counts[place] + step))
