"""Prospecting: what is known of hosts, and since when, as the gateway's one fetch tells it after a message."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from mailveil.core.intelligence.types import InfrastructureFacts
from mailveil.core.observation import Observation

#: So long after the first message that names a host something is known of it.
KNOWN_AFTER_S: Final = 60.0


class Prospecting:
    """Hosts of trackers that no vendor is known to run: what lies behind them is known a moment after their message."""

    def __init__(self, facts: Mapping[str, InfrastructureFacts]) -> None:
        """``facts`` is what could be known, which may grow."""
        self._facts = facts
        self._asked: set[str] = set()
        self._waiting: deque[tuple[float, str]] = deque()

    def until(self, at: float) -> Iterator[InfrastructureFacts]:
        """Give what has become known by a time, in the order in which it did."""
        while self._waiting and self._waiting[0][0] <= at:
            _at, host = self._waiting.popleft()
            yield self._facts[host]

    def note(self, seen: Observation) -> None:
        """Take note of a message's trackers."""
        for each in seen.references:
            host = each.host
            if each.is_tracker and not each.operator and host in self._facts and host not in self._asked:
                self._asked.add(host)
                self._waiting.append((seen.at + KNOWN_AFTER_S, host))
