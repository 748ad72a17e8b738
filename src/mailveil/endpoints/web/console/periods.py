"""Periods: the stretches of time that pages look back over, cut at whole hours and days of this machine's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

HOUR_S = 3600
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time up to now. ``before`` is what the time before it is called."""

    name: str
    title: str
    seconds: int
    step_s: int
    before: str


DAY = Period("24h", "24 hours", DAY_S, HOUR_S, "the 24 hours before")
WEEK = Period("7d", "7 days", 7 * DAY_S, 6 * HOUR_S, "the week before")
MONTH = Period("30d", "30 days", 30 * DAY_S, DAY_S, "the 30 days before")
QUARTER = Period("90d", "90 days", 90 * DAY_S, DAY_S, "the 90 days before")
PERIODS = (DAY, WEEK, MONTH)
LONG_PERIODS = (WEEK, MONTH, QUARTER)


def period_of(name: str, default: Period = WEEK, among: tuple[Period, ...] = PERIODS) -> Period:
    """Return the period of this name, the default for whatever else was asked for."""
    return next((each for each in among if each.name == name), default)


def bounds(period: Period, now: float, zone: tzinfo | None = None) -> tuple[float, float]:
    """Return where a period begins and ends, in seconds since the epoch: whole steps, the last one under way.

    Steps begin at whole steps of the local day, so that bars of six hours begin at midnight.
    """
    local = datetime.fromtimestamp(now, zone).astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    hours = max(1, period.step_s // HOUR_S)
    if hours >= 24:
        end = midnight + timedelta(days=1)
    else:
        whole = local.replace(minute=0, second=0, microsecond=0)
        end = whole + timedelta(hours=hours - whole.hour % hours)
    until = end.timestamp()
    return until - period.seconds, until
