"""Health: how each thing that mailveil needs is doing, in words, and what an administrator does about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Condition(StrEnum):
    """How something is doing. Values are permanent."""

    OK = "ok"
    WARN = "warn"  # it works, but somebody should know
    BAD = "bad"  # it does not work
    OFF = "off"  # it is switched off, or not of this process


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that was looked at. Nothing in it is a secret or about a person.

    ``area`` groups them on a page: ``mail``, ``copies``, ``fetching``, ``storage``, ``knowledge``, ``certificates``,
    ``sharing``.
    ``words`` say how it is doing, ``remedy`` what to do about it (``""``: nothing). ``figure`` is a number to read,
    such as ``3.1 GB free``.
    """

    area: str
    name: str
    condition: Condition
    words: str
    figure: str = ""
    remedy: str = ""


class HealthCheck(Protocol):
    """Looks at everything. What is not asked to be new may be what was seen a minute ago, and comes at once."""

    async def __call__(self, *, anew: bool = False) -> Sequence[Measure]:
        """Return how everything is doing; with ``anew`` it is looked at now, which may take some seconds."""
        ...


_ORDER = (Condition.BAD, Condition.WARN, Condition.OK, Condition.OFF)


def worst(measures: Sequence[Measure]) -> Condition:
    """Return the worst condition of all; what is off says nothing."""
    found = {each.condition for each in measures}
    return next((each for each in _ORDER if each in found), Condition.OK)


def troubled(measures: Sequence[Measure]) -> tuple[Measure, ...]:
    """Return what needs somebody, the worst first."""
    needing = [each for each in measures if each.condition in (Condition.BAD, Condition.WARN)]
    return tuple(sorted(needing, key=lambda each: _ORDER.index(each.condition)))
