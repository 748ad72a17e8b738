"""Wording: text and times from anywhere in a form that every other system takes. Pure and total."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

MAX_LINE: Final = 250
MAX_PROSE: Final = 4_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME: Final = 253_402_300_799.0  # the year 9999


def line(text: str, longest: int = MAX_LINE) -> str:
    """Return text as one line: no control characters, nothing that turns the writing, no half characters, not long."""
    shown = text[: 8 * longest]
    if not shown.isprintable():
        shown = "".join(each if each.isprintable() else " " for each in shown)
    return " ".join(shown.split())[:longest].rstrip()


def prose(*parts: str) -> str:
    """Return parts that say something as lines of one text."""
    return "\n".join(filter(None, map(line, parts)))[:MAX_PROSE]


def moment(at: float) -> float:
    """Return a time that every calendar has, seconds since the epoch, UTC, to the millisecond."""
    if not math.isfinite(at):
        return 0.0
    return math.floor(min(max(at, 0.0), _END_OF_TIME) * 1000 + 0.5) / 1000


def timestamp(at: float) -> str:
    """Return a time as STIX and others write it: ``2027-01-15T08:00:00.000Z``."""
    milliseconds = round(moment(at) * 1000)
    whole = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z".rjust(24, "0")


def fine_timestamp(microseconds: int) -> str:
    """Return a time in microseconds since the epoch as TAXII writes it: ``2027-01-15T08:00:00.000000Z``."""
    return f"{_EPOCH + timedelta(microseconds=microseconds):%Y-%m-%dT%H:%M:%S.%f}Z"
