"""Shares: how sure a figure is that was counted: shares by Wilson, rates of rare events by Byar. Both at 95 %."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

_Z: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, and between which shares the truth lies."""

    count: int
    of: int
    value: float
    least: float
    most: float

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.value:.0%} ({self.least:.0%} to {self.most:.0%})"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so much, and between which rates the truth lies."""

    count: int
    value: float
    least: float
    most: float

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def wilson(count: int, of: int) -> Share:
    """Return a share with Wilson's interval; of nothing it may be anything."""
    if of == 0:
        return Share(0, 0, 0.0, 0.0, 1.0)
    value, squared = count / of, _Z * _Z
    middle = (value + squared / (2 * of)) / (1 + squared / of)
    half = _Z * math.sqrt(value * (1 - value) / of + squared / (4 * of * of)) / (1 + squared / of)
    least = 0.0 if count == 0 else max(0.0, middle - half)
    most = 1.0 if count == of else min(1.0, middle + half)
    return Share(count, of, value, least, most)


def rate(count: int, exposure: float) -> Rate:
    """Return events per unit of exposure with Byar's approximation of the exact Poisson interval."""
    if exposure <= 0:
        return Rate(count, 0.0, 0.0, math.inf)
    least = 0.0
    if count:
        least = count * (1 - 1 / (9 * count) - _Z / (3 * math.sqrt(count))) ** 3
    more = count + 1
    most = more * (1 - 1 / (9 * more) + _Z / (3 * math.sqrt(more))) ** 3
    return Rate(count, count / exposure, least / exposure, most / exposure)
