"""Weeks: ISO 8601 weeks in UTC, by which reports are told apart; they begin on Monday at 00:00."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
_WRITTEN = re.compile(r"(\d{4})-?W(\d{2})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Week:
    """A week: ``year`` is the one that its Thursday lies in, ``number`` counts from 1."""

    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year:04}-W{self.number:02}"

    @property
    def monday(self) -> date:
        """Its first day."""
        return date.fromisocalendar(self.year, self.number, 1)

    @property
    def since(self) -> float:
        """Where it begins, in seconds since the epoch."""
        return datetime.combine(self.monday, datetime.min.time(), UTC).timestamp()

    @property
    def until(self) -> float:
        """Where it ends, which is where the next one begins."""
        return self.since + WEEK_S

    @property
    def title(self) -> str:
        """Which days it has, to read: ``16 to 22 November 2026``."""
        first, last = self.monday, self.monday + timedelta(days=6)
        if first.year != last.year:
            return f"{first.day} {first:%B %Y} to {last.day} {last:%B %Y}"
        if first.month != last.month:
            return f"{first.day} {first:%B} to {last.day} {last:%B %Y}"
        return f"{first.day} to {last.day} {last:%B %Y}"

    def plus(self, weeks: int) -> Week:
        """Return the week so many weeks later; negative: earlier."""
        return week_of_day(self.monday + timedelta(weeks=weeks))


def week_at(at: float) -> Week:
    """Return the week that a moment lies in."""
    return week_of_day(datetime.fromtimestamp(at, UTC).date())


def week_of_day(day: date) -> Week:
    """Return the week that a day lies in."""
    year, number, _ = day.isocalendar()
    return Week(year, number)


def read_week(text: str) -> Week:
    """Return the week that ``2026-W47`` names. Raises ``ValueError``, whose text says what is wrong."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise ValueError("a week is written as a year and its number, such as 2026-W47")
    week = Week(int(found[1]), int(found[2]))
    if not 1970 < week.year < 9000:
        raise ValueError("there is nothing to report of that year")
    try:
        date.fromisocalendar(week.year, week.number, 1)
    except ValueError as error:
        raise ValueError(f"the year {week.year} has no week {week.number}") from error
    return week
