"""Baselines: the simple rules that reconnaissance could be looked for with, at every strictness at once.

Each looks for something new that reaches people: at strictness k it raises an alarm once, when the k-th person is
reached. New is what was first met at most thirty days ago.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from mailveil.core.observation import Observation
from mailveil.learning.simulation.types import DAY_S

STRICTEST: Final = 20
NEW_FOR_S: Final = 30 * DAY_S
NAMES: Final = ("new domain", "rare tracker", "new domain and rare tracker")


class _Newcomers:
    """What was met first when, and by how many people."""

    def __init__(self) -> None:
        self._first_at: dict[str, float] = {}
        self._people: dict[str, set[str]] = {}

    def is_new(self, name: str, at: float) -> bool:
        return at - self._first_at.setdefault(name, at) <= NEW_FOR_S

    def reached(self, name: str, people: tuple[str, ...]) -> Iterator[int]:
        """Give the numbers of the people who are reached now for the first time."""
        known = self._people.setdefault(name, set())
        for person in people:
            if person not in known:
                known.add(person)
                yield len(known)


class Baseline(Protocol):
    """A rule. ``levels`` gives every strictness at which a message raises an alarm."""

    def levels(self, seen: Observation) -> list[int]:
        """Look at one message."""
        ...


class NewDomain:
    """Whoever writes from a domain that nobody has heard from before."""

    def __init__(self) -> None:
        self._senders = _Newcomers()

    def levels(self, seen: Observation) -> list[int]:
        """Look at one message."""
        if seen.direction != "inbound" or not self._senders.is_new(seen.sender_domain, seen.at):
            return []
        return list(self._senders.reached(seen.sender_domain, seen.recipients))


class RareTracker:
    """A tracker that nobody runs who is known, on a domain on which none was met before."""

    def __init__(self) -> None:
        self._domains = _Newcomers()

    def levels(self, seen: Observation) -> list[int]:
        """Look at one message."""
        found: list[int] = []
        for domain in unknown_trackers(seen):
            if self._domains.is_new(domain, seen.at):
                found += self._domains.reached(domain, seen.recipients)
        return found


class NewDomainAndRareTracker:
    """Both at once."""

    def __init__(self) -> None:
        self._senders, self._domains = _Newcomers(), _Newcomers()

    def levels(self, seen: Observation) -> list[int]:
        """Look at one message."""
        if seen.direction != "inbound":
            return []
        is_new = self._senders.is_new(seen.sender_domain, seen.at)
        rare = [each for each in unknown_trackers(seen) if self._domains.is_new(each, seen.at)]
        return list(self._senders.reached(seen.sender_domain, seen.recipients)) if is_new and rare else []


def baselines() -> dict[str, Baseline]:
    """Return the baselines, which know nothing yet, by name."""
    return dict(zip(NAMES, (NewDomain(), RareTracker(), NewDomainAndRareTracker()), strict=True))


def unknown_trackers(seen: Observation) -> list[str]:
    """Return the domains of trackers whose operator is not known."""
    if seen.direction != "inbound":
        return []
    return sorted(
        {each.domain for each in seen.references if each.is_tracker and not each.operator and each.domain}
    )
