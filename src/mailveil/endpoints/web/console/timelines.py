"""Timelines: who was probed when, worked out here and drawn as SVG by ``templates/console/activity_charts.html``.

Pure, as ``charts`` is: across in percent, down in pixels. A person has a lane, a probe a mark in it; marks that would
cover each other are one larger mark that says how many it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from mailveil.core.intelligence.types import Probe, Target
from mailveil.endpoints.web.console.charts import Label, zone_words
from mailveil.endpoints.web.console.wording import plural

HOUR_S, DAY_S = 3600, 86_400
MOST_LANES = 14
MOST_MARKS = 7  # of time under a drawing
LANE_HEIGHT = 44
CELLS = 40  # of a lane: what falls into one of them is one mark
INSET = 2.0  # percent at either end, so that marks are whole
LEAST_SPAN_S = 6 * HOUR_S
SPARK_STEPS = 30


@dataclass(frozen=True, slots=True)
class Mark:
    """One or more messages at a time: ``x`` in percent, ``size`` in pixels from its middle to its edge."""

    x: float
    size: float
    count: int
    words: str
    is_follow_up: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """One person. ``y`` is the line that marks stand on, in pixels; without a name it is of all other people."""

    name: str
    y: float
    probes: int
    marks: tuple[Mark, ...]
    function: str = ""
    is_high_value: bool = False
    people: int = 1


@dataclass(frozen=True, slots=True)
class Timeline:
    """Lanes over one stretch of time, with marks of time below."""

    title: str
    summary: str
    lanes: tuple[Lane, ...]
    labels: tuple[Label, ...]
    height: int
    zone: str
    has_follow_ups: bool = False


@dataclass(frozen=True, slots=True)
class Blip:
    """One bar of a sparkline, in a square of 100 by 100."""

    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """When an activity probed within a stretch of time up to now, small enough for a line of a table."""

    blips: tuple[Blip, ...]
    words: str


def timeline(
    title: str,
    probes: Sequence[Probe],
    follow_ups: Sequence[Probe] = (),
    targets: Sequence[Target] = (),
    zone: tzinfo | None = None,
) -> Timeline:
    """Return probes by person over time; ``follow_ups`` are marked otherwise. ``zone`` is as in ``time_chart``."""
    told = [*((each, False) for each in probes), *((each, True) for each in follow_ups)]
    since, until = _stretch([each.at for each, _ in told])
    lanes = _lanes(told, targets, since, until, zone)
    moments = [datetime.fromtimestamp(at, zone).astimezone(zone) for at in (since, until)]
    return Timeline(
        title=title,
        summary=_summary(told, lanes, zone),
        lanes=lanes,
        labels=time_marks(since, until, zone),
        height=LANE_HEIGHT * len(lanes),
        zone=zone_words(moments),
        has_follow_ups=any(is_follow_up for _, is_follow_up in told),
    )


def pulse(probes: Iterable[Probe], until: float, days: int, total: int = 0) -> Pulse:
    """Return the sparkline of the ``days`` before ``until``; ``total`` is how many probes there were at any time."""
    step_s = days * DAY_S / SPARK_STEPS
    counts = [0] * SPARK_STEPS
    for each in probes:
        place = SPARK_STEPS - 1 - int((until - each.at) // step_s)
        if 0 <= place < SPARK_STEPS:
            counts[place] += 1
    most, wide = max(counts) or 1, 100 / SPARK_STEPS
    blips = tuple(
        Blip(
            round(wide * place + wide * 0.12, 2), round(wide * 0.76, 2), round(100 - tall, 1), round(tall, 1)
        )
        for place, count in enumerate(counts)
        if count and (tall := max(25.0, 100 * count / most))
    )
    met = sum(counts)
    words = plural(met, "probe") if met else "none"
    return Pulse(blips, f"{words}, {total:,} in all" if total > met else words)


def time_marks(since: float, until: float, zone: tzinfo | None = None) -> tuple[Label, ...]:
    """Return labels at whole hours, days or months of the time zone, few enough to stand beside each other."""
    found: list[tuple[float, str]] = []
    for steps in _grids(since, until, zone):
        found = [(at, text) for at, text in steps if since <= at <= until]
        if len(found) <= MOST_MARKS:
            break
    return tuple(
        Label(place_of(at, since, until), text, is_minor=number % 2 == 1)
        for number, (at, text) in enumerate(found[: 2 * MOST_MARKS])
    )


def place_of(at: float, since: float, until: float) -> float:
    """Return where a time stands between two others, in percent."""
    return round(INSET + (100 - 2 * INSET) * (at - since) / (until - since), 2)


def _stretch(times: Sequence[float]) -> tuple[float, float]:
    first, last = min(times, default=0.0), max(times, default=0.0)
    lacking = max(0.0, LEAST_SPAN_S - (last - first)) / 2
    return first - lacking, last + lacking


def _lanes(
    told: Sequence[tuple[Probe, bool]],
    targets: Sequence[Target],
    since: float,
    until: float,
    zone: tzinfo | None,
) -> tuple[Lane, ...]:
    known = {each.person: each for each in targets}
    of_person: dict[str, list[tuple[Probe, bool]]] = {}
    for each in told:
        of_person.setdefault(each[0].person, []).append(each)

    def rank(person: str) -> tuple[bool, int, float, str]:
        mine = of_person[person]
        is_high_value = person in known and known[person].is_high_value
        return not is_high_value, -len(mine), min(each.at for each, _ in mine), person

    order = sorted(of_person, key=rank)
    shown = order if len(order) <= MOST_LANES else order[: MOST_LANES - 1]
    groups = [(person, of_person[person], 1) for person in shown]
    if rest := order[len(shown) :]:
        groups.append(("", [each for person in rest for each in of_person[person]], len(rest)))
    lanes = []
    for number, (person, mine, people) in enumerate(groups):
        target = known.get(person)
        lanes.append(
            Lane(
                name=person,
                y=LANE_HEIGHT * number + LANE_HEIGHT - 13,
                probes=sum(not is_follow_up for _, is_follow_up in mine),
                marks=_marks(mine, since, until, zone),
                function=target.function if target else "",
                is_high_value=target is not None and target.is_high_value,
                people=people,
            )
        )
    return tuple(lanes)


def _marks(
    mine: Sequence[tuple[Probe, bool]], since: float, until: float, zone: tzinfo | None
) -> tuple[Mark, ...]:
    cells: dict[tuple[int, bool], list[float]] = {}
    for probe, is_follow_up in mine:
        cell = min(CELLS - 1, int(CELLS * (probe.at - since) / (until - since)))
        cells.setdefault((cell, is_follow_up), []).append(probe.at)
    marks = []
    for (_, is_follow_up), times in sorted(cells.items()):
        middle = (min(times) + max(times)) / 2
        size = 4.5 if len(times) == 1 else min(9.0, 5.5 + len(times) / 4)
        words = _mark_words(times, zone, is_follow_up=is_follow_up)
        marks.append(Mark(place_of(middle, since, until), size, len(times), words, is_follow_up))
    return tuple(marks)


def _mark_words(times: Sequence[float], zone: tzinfo | None, *, is_follow_up: bool) -> str:
    what = plural(len(times), "later message" if is_follow_up else "probe")
    first, last = (_moment(at, zone) for at in (min(times), max(times)))
    when = f"{first:%a} {first.day} {first:%b %Y, %H:%M}"
    if first.date() != last.date():
        when = f"{when} to {last:%a} {last.day} {last:%b %Y, %H:%M}"
    elif first != last:
        when = f"{when} to {last:%H:%M}"
    return f"{what}, {when} {zone_words((first, last))}".rstrip()


def _summary(told: Sequence[tuple[Probe, bool]], lanes: Sequence[Lane], zone: tzinfo | None) -> str:
    """Return what the drawing says in a sentence or two."""
    if not told:
        return "No probe is kept one by one."
    probes = [each.at for each, is_follow_up in told if not is_follow_up]
    later = len(told) - len(probes)
    people = sum(each.people for each in lanes)
    first, last = (
        _moment(at, zone) for at in (min(each.at for each, _ in told), max(each.at for each, _ in told))
    )
    when = f"from {first.day} {first:%b %Y} to {last.day} {last:%b %Y}"
    if first.date() == last.date():
        when = f"on {first.day} {first:%b %Y}"
    words = f"{plural(len(probes), 'probe')} of {plural(people, 'person', 'people')} {when}."
    return (
        f"{words} {plural(later, 'later message')} of the same sender carried no tracker." if later else words
    )


def _moment(at: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at, zone).astimezone(zone)


def _grids(since: float, until: float, zone: tzinfo | None) -> Iterator[Iterator[tuple[float, str]]]:
    """Give ways of marking a stretch of time, the finest first."""
    span_s = until - since
    if span_s <= MOST_MARKS * 12 * HOUR_S:
        for hours in (1, 2, 3, 6, 12):
            yield _hours(since, until, hours, zone)
    for days in (1, 2, 7, 14):
        if span_s <= (MOST_MARKS + 1) * days * DAY_S:
            yield _days(since, until, days, zone)
    for months in (1, 2, 3, 6, 12, 60, 240, 1200):
        yield _months(since, until, months, zone)


def _hours(since: float, until: float, every: int, zone: tzinfo | None) -> Iterator[tuple[float, str]]:
    at = since - since % HOUR_S
    while at <= until:
        local = _moment(at, zone)
        if local.minute == 0 and local.hour % every == 0:
            yield at, f"{local.day} {local:%b}" if local.hour == 0 else f"{local:%H:%M}"
        at += HOUR_S / 2  # some zones are half an hour off


def _days(since: float, until: float, every: int, zone: tzinfo | None) -> Iterator[tuple[float, str]]:
    day = _moment(since, zone).date()
    while (at := _midnight(day, zone)) <= until:
        yield at, f"{day.day} {day:%b}"
        day += timedelta(days=every)


def _months(since: float, until: float, every: int, zone: tzinfo | None) -> Iterator[tuple[float, str]]:
    first = _moment(since, zone)
    number = 12 * first.year + first.month - 1
    number -= number % every
    while number // 12 <= 9999:
        day = date(max(1, number // 12), number % 12 + 1, 1)
        if (at := _midnight(day, zone)) > until:
            return
        yield at, f"{day:%b %Y}" if every < 12 else f"{day.year}"
        number += every


def _midnight(day: date, zone: tzinfo | None) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(zone).timestamp()
