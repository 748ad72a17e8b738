"""Limits: how many requests one token or one client address may make, as token buckets in memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 60
MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How one client stands: what is ``left`` of its quota, and in how many seconds all of it is back."""

    name: str
    quota: int
    left: int
    full_in_s: int
    wait_s: int = 0  # until one more request is answered

    @property
    def policy(self) -> str:
        """The item of ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers)."""
        return f'"{self.name}";q={self.quota};w={WINDOW_S}'

    @property
    def field(self) -> str:
        """The item of ``RateLimit``."""
        return f'"{self.name}";r={self.left};t={self.full_in_s}'


class RateLimit:
    """One token bucket for each key: a quota at once, and it comes back within a minute.

    Keys are forgotten where there are too many, the ones longest unseen first: they have their quota back anyway.
    """

    def __init__(self, name: str, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.quota = per_minute
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> Standing:
        """Take one request of a key's quota; ``wait_s`` is above 0 where there is none."""
        left = self._left(key)
        wait_s = 0
        if left >= 1:
            left -= 1
        else:
            wait_s = max(1, math.ceil((1 - left) * WINDOW_S / self.quota))
        self._keep(key, left)
        return self._standing(left, wait_s)

    def give_back(self, key: str) -> None:
        """Give back what was taken: the request counts elsewhere."""
        self._keep(key, min(float(self.quota), self._left(key) + 1))

    def _left(self, key: str) -> float:
        left, at = self._buckets.get(key, (float(self.quota), self._now()))
        return min(float(self.quota), left + (self._now() - at) * self.quota / WINDOW_S)

    def _keep(self, key: str, left: float) -> None:
        self._buckets[key] = (left, self._now())
        self._buckets.move_to_end(key)
        while len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)

    def _standing(self, left: float, wait_s: int) -> Standing:
        full_in_s = math.ceil((self.quota - left) * WINDOW_S / self.quota)
        return Standing(self.name, self.quota, int(left), full_in_s, wait_s)
