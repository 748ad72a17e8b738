"""Timelines: every probe is in one mark, in the lane of its person, at its time; labels do not cover each other."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.intelligence.types import Probe, Target
from mailveil.endpoints.web.console.timelines import (
    INSET,
    MOST_LANES,
    MOST_MARKS,
    place_of,
    pulse,
    time_marks,
    timeline,
)

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = 3600.0, 86_400.0
START = datetime(2027, 1, 4, 9, tzinfo=UTC).timestamp()


def probe(at: float, person: str = "anna@acme.example") -> Probe:
    return Probe(at, f"m{at:.0f}", person, "spy.example")


@given(st.lists(st.tuples(st.floats(0, 4e9), st.integers(0, 30), st.booleans()), min_size=1, max_size=80))
def test_every_probe_is_in_one_mark_that_stands_within_the_drawing(
    found: list[tuple[float, int, bool]],
) -> None:
    probes = [probe(at, f"p{who}") for at, who, later in found if not later]
    later = [probe(at, f"p{who}") for at, who, later in found if later]
    chart = timeline("T", probes, later, zone=UTC)
    marks = [mark for lane in chart.lanes for mark in lane.marks]
    assert sum(mark.count for mark in marks if not mark.is_follow_up) == len(probes)
    assert sum(mark.count for mark in marks if mark.is_follow_up) == len(later)
    assert all(INSET <= mark.x <= 100 - INSET for mark in marks)
    assert sum(lane.people for lane in chart.lanes) == len({each[1] for each in found})
    assert len(chart.lanes) <= MOST_LANES
    assert all(one.y < other.y <= chart.height for one, other in pairwise(chart.lanes))


@given(st.floats(0, 3e9), st.floats(6 * HOUR, 80 * 365 * DAY))
def test_labels_of_time_are_few_in_order_and_within_the_drawing(since: float, span_s: float) -> None:
    labels = time_marks(since, since + span_s, BERLIN)
    assert len(labels) <= MOST_MARKS
    assert all(INSET <= each.x <= 100 - INSET for each in labels)
    assert all(other.x - one.x > 5 for one, other in pairwise(labels))


def test_people_of_high_value_come_first_then_who_was_probed_most() -> None:
    probes = [probe(START + number * HOUR, who) for number, who in enumerate(("ben", "ben", "cleo", "anna"))]
    targets = [Target("anna", START, START, 1, "board", is_high_value=True), Target("ben", START, START, 2)]
    chart = timeline("T", probes, targets=targets, zone=UTC)
    assert [(lane.name, lane.probes, lane.function) for lane in chart.lanes] == [
        ("anna", 1, "board"),
        ("ben", 2, ""),
        ("cleo", 1, ""),
    ]
    assert [lane.is_high_value for lane in chart.lanes] == [True, False, False]


def test_many_people_share_the_last_lane() -> None:
    chart = timeline("T", [probe(START + n * HOUR, f"p{n:03}") for n in range(100)], zone=UTC)
    assert len(chart.lanes) == MOST_LANES
    assert (chart.lanes[-1].name, chart.lanes[-1].people) == ("", 100 - MOST_LANES + 1)
    assert chart.lanes[-1].probes == 100 - MOST_LANES + 1


def test_two_hundred_probes_of_one_person_are_marks_that_do_not_lie_within_each_other() -> None:
    chart = timeline("T", [probe(START + n * HOUR / 2) for n in range(200)], zone=UTC)
    (lane,) = chart.lanes
    assert all(other.x - one.x > 1 for one, other in pairwise(lane.marks))
    assert max(each.size for each in lane.marks) <= 9
    assert chart.summary == "200 probes of 1 person from 4 Jan 2027 to 8 Jan 2027."
    assert lane.marks[0].words == "5 probes, Mon 4 Jan 2027, 09:00 to 11:00 UTC"


def test_what_a_mark_says_of_time_has_its_zone_both_where_summer_time_ends_in_between() -> None:
    since = datetime(2026, 10, 24, 23, tzinfo=BERLIN).timestamp()
    chart = timeline("T", [probe(since), probe(since + 9 * HOUR), probe(since + 400 * DAY)], zone=BERLIN)
    first, last = chart.lanes[0].marks
    assert first.words == "2 probes, Sat 24 Oct 2026, 23:00 to Sun 25 Oct 2026, 07:00 CEST / CET"
    assert last.words.endswith(" CET")


def test_one_probe_stands_in_the_middle_with_hours_around_it() -> None:
    chart = timeline("T", [probe(START)], zone=UTC)
    assert [mark.x for mark in chart.lanes[0].marks] == [50]
    assert chart.lanes[0].marks[0].words == "1 probe, Mon 4 Jan 2027, 09:00 UTC"
    assert [each.text for each in chart.labels] == [f"{hour:02}:00" for hour in range(6, 13)]
    assert chart.summary == "1 probe of 1 person on 4 Jan 2027."


def test_later_mail_without_a_tracker_is_marked_otherwise_and_told() -> None:
    chart = timeline("T", [probe(START)], [probe(START + 9 * DAY)], zone=UTC)
    assert [mark.is_follow_up for mark in chart.lanes[0].marks] == [False, True]
    assert chart.has_follow_ups
    assert chart.lanes[0].probes == 1
    assert chart.summary.endswith("1 later message of the same sender carried no tracker.")


def test_nothing_that_is_kept_is_drawn_as_nothing() -> None:
    chart = timeline("T", [], zone=UTC)
    assert chart.lanes == ()
    assert chart.summary == "No probe is kept one by one."


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (1, ["12:00", "18:00", "5 Jan", "06:00"]),
        (6, ["5 Jan", "6 Jan", "7 Jan", "8 Jan", "9 Jan", "10 Jan"]),
        (40, ["11 Jan", "18 Jan", "25 Jan", "1 Feb", "8 Feb"]),
        (150, ["Feb 2027", "Mar 2027", "Apr 2027", "May 2027", "Jun 2027"]),
    ],
)
def test_labels_stand_at_times_that_people_count_in(days: int, told: list[str]) -> None:
    labels = time_marks(START, START + days * DAY, UTC)
    assert [each.text for each in labels][-len(told) :] == told


def test_days_begin_at_midnight_also_after_the_end_of_summer_time() -> None:
    since = datetime(2026, 10, 22, tzinfo=BERLIN).timestamp()
    labels = time_marks(since, since + 7 * DAY, BERLIN)
    assert [each.text for each in labels] == [f"{day} Oct" for day in range(22, 29)]
    midnight = datetime(2026, 10, 27, tzinfo=BERLIN).timestamp()
    assert labels[5].x == place_of(midnight, since, since + 7 * DAY)


def test_a_pulse_tells_the_last_days_and_all() -> None:
    found = pulse(
        [probe(START - 1.5 * DAY), probe(START - 1.5 * DAY + 5), probe(START - 400 * DAY)], START, 30, total=9
    )
    assert found.words == "2 probes, 9 in all"
    assert len(found.blips) == 1
    assert found.blips[0].height == 100
    assert pulse([], START, 30).words == "none"


@given(st.lists(st.floats(-100 * DAY, 5 * DAY), max_size=60))
def test_a_pulse_stays_in_its_square(times: list[float]) -> None:
    found = pulse([probe(START + each) for each in times], START, 30)
    for blip in found.blips:
        assert 0 <= blip.x <= blip.x + blip.width <= 100
        assert blip.y + blip.height == pytest.approx(100)
