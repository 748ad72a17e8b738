"""Charts: bars stand where their numbers say, and labels at times that people count in."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.endpoints.web.console.charts import (
    PLOT_HEIGHT,
    Series,
    measures,
    nice_top,
    shares,
    short_number,
    spark,
    time_chart,
)

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = 3600, 86_400


def starts(first: datetime, step_s: int, count: int) -> list[float]:
    return [first.timestamp() + step_s * number for number in range(count)]


def hours(*values: float) -> Series:
    return Series("messages", values, "accent")


@given(st.floats(0, 1e12))
def test_the_top_of_an_axis_is_at_or_above_every_value_and_not_far_above(most: float) -> None:
    top = nice_top(most)
    assert top >= most
    assert top == 4 or top <= 2.5 * most


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=60))
def test_bars_stay_in_the_plot_and_stand_on_its_ground(values: list[tuple[int, int]]) -> None:
    first = datetime(2026, 11, 20, tzinfo=UTC)
    two = [
        Series("a", tuple(a for a, _ in values), "alarm"),
        Series("b", tuple(b for _, b in values), "quiet"),
    ]
    chart = time_chart("T", starts(first, HOUR, len(values)), two, HOUR, UTC)
    for bar, (a, b) in zip(chart.bars, values, strict=True):
        assert bar.x >= 0
        assert bar.x + bar.width <= 100.01
        assert len(bar.blocks) == bool(a) + bool(b)
        if bar.blocks:
            assert bar.blocks[0].y + bar.blocks[0].height == pytest.approx(PLOT_HEIGHT, abs=0.02)
            assert bar.blocks[-1].y >= -2.1  # what is there is at least a pixel high
    for left, right in pairwise(chart.bars):
        assert left.x + left.width < right.x


def test_a_day_is_labelled_every_three_hours_of_the_local_time() -> None:
    first = datetime(2026, 11, 24, 22, tzinfo=BERLIN)
    chart = time_chart("T", starts(first, HOUR, 24), [hours(*range(24))], HOUR, BERLIN)
    assert [each.text for each in chart.labels] == [
        "00:00",
        "03:00",
        "06:00",
        "09:00",
        "12:00",
        "15:00",
        "18:00",
        "21:00",
    ]
    assert chart.zone == "CET"


def test_a_week_is_labelled_at_its_midnights_and_a_month_at_few_of_them() -> None:
    week = time_chart(
        "T",
        starts(datetime(2026, 11, 18, 12, tzinfo=BERLIN), 6 * HOUR, 28),
        [hours(*[1] * 28)],
        6 * HOUR,
        BERLIN,
    )
    assert [each.text for each in week.labels] == [
        "Thu 19", "Fri 20", "Sat 21", "Sun 22", "Mon 23", "Tue 24", "Wed 25",
    ]  # fmt: skip
    month = time_chart(
        "T", starts(datetime(2026, 10, 27, tzinfo=BERLIN), DAY, 30), [hours(*[1] * 30)], DAY, BERLIN
    )
    assert [each.text for each in month.labels] == [
        "27 Oct", "31 Oct", "4 Nov", "8 Nov", "12 Nov", "16 Nov", "20 Nov", "24 Nov",
    ]  # fmt: skip


def test_a_chart_over_the_end_of_summer_time_names_both_zones() -> None:
    chart = time_chart(
        "T", starts(datetime(2026, 10, 20, tzinfo=BERLIN), DAY, 10), [hours(*[1] * 10)], DAY, BERLIN
    )
    assert chart.zone == "CEST / CET"


def test_a_chart_says_in_words_what_it_shows() -> None:
    chart = time_chart(
        "T", starts(datetime(2026, 11, 24, tzinfo=UTC), HOUR, 3), [hours(1, 1200, 0)], HOUR, UTC
    )
    assert chart.summary == "1,201 messages in all. The most, 1,200, on Tue 24 Nov, 01:00 to 02:00."
    assert chart.bars[1].words == "Tue 24 Nov, 01:00 to 02:00: 1,200 messages"
    assert chart.rows[1].values == (1200,)


def test_nothing_at_all_is_drawn_as_nothing() -> None:
    chart = time_chart(
        "T", starts(datetime(2026, 11, 24, tzinfo=UTC), HOUR, 24), [hours(*[0] * 24)], HOUR, UTC
    )
    assert chart.is_empty
    assert not any(bar.blocks for bar in chart.bars)
    assert time_chart("T", [], [hours()], HOUR, UTC).labels == ()
    assert shares([("a", 0, "alarm")]) == ()
    assert measures([]) == ()
    assert spark([]) == spark([3]) == ""


def test_parts_of_a_ring_make_up_one_turn() -> None:
    parts = shares([("a", 1, "alarm"), ("b", 3, "accent"), ("c", 0, "quiet")])
    assert [(each.start, each.percent) for each in parts] == [(0, 25), (25, 75), (100, 0)]


def test_bars_that_lie_are_as_long_as_their_share_of_the_longest() -> None:
    assert [(each.percent, each.share) for each in measures([("a", 40), ("b", 10)])] == [
        (100, 0.8),
        (25, 0.2),
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (950, "950"),
        (1000, "1k"),
        (1200, "1.2k"),
        (34_000, "34k"),
        (150_000, "150k"),
        (5_000_000, "5M"),
    ],
)
def test_numbers_at_an_axis_are_short(value: float, shown: str) -> None:
    assert short_number(value) == shown
