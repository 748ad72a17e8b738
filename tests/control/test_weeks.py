"""Setup: days and texts. Test: the week that is meant is the one of ISO 8601, in UTC."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.control.weeks import Week, read_week, week_at, week_of_day


def test_weeks_are_those_of_the_standard() -> None:
    assert week_of_day(date(2027, 1, 1)) == Week(2026, 53)
    assert week_of_day(date(2024, 12, 30)) == Week(2025, 1)
    assert str(Week(2026, 7)) == "2026-W07"
    assert read_week("2026-W47").monday == date(2026, 11, 16)
    assert read_week("2026w47") == read_week(" 2026-W47 ")
    assert Week(2026, 53).plus(1) == Week(2027, 1)
    assert Week(2026, 47).title == "16 to 22 November 2026"
    assert Week(2026, 53).title == "28 December 2026 to 3 January 2027"
    assert Week(2026, 18).title == "27 April to 3 May 2026"


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-47", "2025-W53", "2026-W00", "2026-W99", "0000-W01", "٢٠٢٦-W47"]
)
def test_whatever_is_no_week_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"week|year"):
        read_week(text)


@given(st.integers(min_value=365 * 2 * 86_400, max_value=4_000_000_000))
def test_every_moment_lies_in_its_week(at: int) -> None:
    week = week_at(at)
    assert week.since <= at < week.until
    assert read_week(str(week)) == week
    assert week.plus(1).since == week.until
    assert week.plus(1).plus(-1) == week
