"""The result of a check: one thing that was tried, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check went."""

    GOOD = "good"
    NOTICE = "notice"  # works, but an administrator should know
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was tried, and what came of it."""

    name: str
    outcome: Outcome
    text: str
