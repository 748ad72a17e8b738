"""Charts: where things stand in a drawing, worked out here and drawn as SVG by ``templates/console/charts.html``.

Pure: numbers in, positions out. Across, everything is in percent, so that a chart takes the width it is given and its
letters stay as large as all others; down, it is in pixels. Colours are names of tones that the style sheet has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

HOUR_S = 3600
DAY_S = 86_400
PLOT_HEIGHT = 180
GAP = 0.22  # of a step, between two bars
MOST_LINES = 4  # across a plot
MOST_LABELS = 8  # under one
FULL_TURN = 100.0


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of thing over time. ``tone`` is ``alarm``, ``accent``, ``quiet``, ``note`` or ``second``."""

    name: str
    values: tuple[float, ...]
    tone: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line across the plot with its label: ``y`` in pixels from the top."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Label:
    """A label under the plot, its middle at ``x`` percent. ``is_minor`` ones give way on narrow screens."""

    x: float
    text: str
    is_minor: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a bar: ``y`` and ``height`` in pixels."""

    y: float
    height: float
    tone: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of time: ``x`` and ``width`` in percent, its parts from the bottom up, and what it says."""

    x: float
    width: float
    blocks: tuple[Block, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """A step of time in figures, for those who do not see the drawing. ``at`` is a time to read."""

    at: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TimeChart:
    """Stacked bars over time. ``path`` is the outline of all of it, for an area, in a square of 100 by 100."""

    title: str
    summary: str
    series: tuple[Series, ...]
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]
    rows: tuple[Row, ...]
    zone: str
    area: str = ""
    outline: str = ""
    height: int = PLOT_HEIGHT

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened in all of the time."""
        return not any(any(each.values) for each in self.series)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole in a ring: ``percent`` of it, beginning at ``start`` percent of the turn."""

    name: str
    value: float
    percent: float
    start: float
    tone: str


@dataclass(frozen=True, slots=True)
class Measure:
    """One bar that lies: ``percent`` of the longest one, ``share`` of the whole (0 to 1)."""

    name: str
    value: float
    percent: float
    share: float
    href: str = ""
    detail: str = ""


def time_chart(
    title: str, starts: Sequence[float], series: Sequence[Series], step_s: int, zone: tzinfo | None = None
) -> TimeChart:
    """Return a chart of series whose values belong to steps beginning at ``starts`` (seconds since the epoch).

    ``zone`` is the time zone that labels are in, ``None`` for this machine's.
    """
    times = [datetime.fromtimestamp(at, zone).astimezone(zone) for at in starts]
    totals = [sum(each.values[number] for each in series) for number in range(len(starts))]
    top = nice_top(max(totals, default=0))
    bars = tuple(_bar(number, times, series, top, step_s) for number in range(len(times)))
    area, outline = _area(totals, top)
    rows = tuple(
        Row(step_words(at, step_s), tuple(each.values[number] for each in series))
        for number, at in enumerate(times)
    )
    return TimeChart(
        title=title,
        summary=_summary(series, totals, times, step_s),
        series=tuple(series),
        bars=bars,
        lines=_lines(top),
        labels=time_labels(times, step_s),
        rows=rows,
        zone=zone_words(times),
        area=area,
        outline=outline,
    )


def nice_top(most: float) -> int:
    """Return a round number at or above ``most`` for the top of an axis; at least 4, so that lines are whole."""
    if most <= 4:
        return 4
    exponent = 10 ** math.floor(math.log10(most))
    for step in (1, 2, 4, 5, 8, 10):
        if step * exponent >= most:
            return int(step * exponent)
    return int(10 * exponent)


def short_number(value: float) -> str:
    """Return a number in few characters: 950, 1.2k, 34k, 5M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            shown = f"{value / size:.1f}"
            return f"{shown.removesuffix('.0') if value < 100 * size else round(value / size)}{unit}"
    return f"{value:.0f}"


def time_labels(times: Sequence[datetime], step_s: int) -> tuple[Label, ...]:
    """Return labels at whole hours, days or weeks of the time zone, never more than eight."""
    if not times:
        return ()
    span_s = step_s * len(times)
    marks = _marks(times, step_s, span_s)
    labels = []
    middle = 0.5 if step_s >= DAY_S else 0  # a day is named in its middle, an hour where it begins
    for place, (number, text) in enumerate(marks):
        labels.append(Label(round(100 * (number + middle) / len(times), 2), text, is_minor=place % 2 == 1))
    return tuple(labels)


def _marks(times: Sequence[datetime], step_s: int, span_s: int) -> list[tuple[int, str]]:
    if span_s <= 2 * DAY_S:
        every = next(
            hours for hours in (1, 2, 3, 4, 6, 12) if span_s / (hours * HOUR_S) <= MOST_LABELS or hours == 12
        )
        found = [
            (number, f"{at:%H:%M}")
            for number, at in enumerate(times)
            if at.hour % every == 0 and at.minute < 60
        ]
        return found[:: max(1, HOUR_S // step_s)] if step_s < HOUR_S else found
    first_of_day = [
        number for number, at in enumerate(times) if number == 0 or at.date() != times[number - 1].date()
    ]
    if first_of_day[0] == 0 and times[0].hour >= 12 and step_s < DAY_S:
        first_of_day = first_of_day[1:]  # the rest of a day needs no label of its own
    every = max(1, math.ceil(len(first_of_day) / MOST_LABELS))
    pattern = "%a %-d" if every == 1 else "%-d %b"
    return [(number, times[number].strftime(pattern)) for number in first_of_day[::every]]


def step_words(at: datetime, step_s: int) -> str:
    """Return which step of time is meant, to read."""
    if step_s >= DAY_S:
        return f"{at:%a} {at.day} {at:%b %Y}"
    until = at + timedelta(seconds=step_s)
    return f"{at:%a} {at.day} {at:%b}, {at:%H:%M} to {until:%H:%M}"


def zone_words(times: Sequence[datetime]) -> str:
    """Return the name of the time zone, both where it changes in between."""
    names = list(dict.fromkeys(at.tzname() or "" for at in (times[:1] and [times[0], times[-1]])))
    return " / ".join(name for name in names if name)


def _bar(number: int, times: Sequence[datetime], series: Sequence[Series], top: int, step_s: int) -> Bar:
    wide = 100 / len(times)
    blocks, base = [], float(PLOT_HEIGHT)
    for each in series:
        height = PLOT_HEIGHT * each.values[number] / top
        if height:
            height = max(height, 1.0)
            base -= height
            blocks.append(Block(round(base, 2), round(height, 2), each.tone))
    said = ", ".join(f"{each.values[number]:,.0f} {each.name}" for each in series)
    words = f"{step_words(times[number], step_s)}: {said}"
    return Bar(round(wide * (number + GAP / 2), 3), round(wide * (1 - GAP), 3), tuple(blocks), words)


def _lines(top: int) -> tuple[Line, ...]:
    count = next(parts for parts in (MOST_LINES, 5, 2, 1) if top % parts == 0)
    values = [top * part // count for part in range(count + 1)]
    return tuple(Line(round(PLOT_HEIGHT * (1 - value / top), 2), short_number(value)) for value in values)


def _area(totals: Sequence[float], top: int) -> tuple[str, str]:
    """Return the paths of the area and of its upper edge; both empty where there is nothing to draw."""
    if len(totals) < 2:
        return "", ""
    last = len(totals) - 1
    points = [
        f"{100 * number / last:.2f} {100 * (1 - value / top):.2f}" for number, value in enumerate(totals)
    ]
    outline = "M" + "L".join(points)
    return f"{outline}L100 100L0 100Z", outline


def _summary(
    series: Sequence[Series], totals: Sequence[float], times: Sequence[datetime], step_s: int
) -> str:
    """Return what the drawing says in a sentence or two."""
    if not any(totals):
        return "Nothing in this time."
    sums = ", ".join(f"{sum(each.values):,.0f} {each.name}" for each in series)
    most = max(range(len(totals)), key=totals.__getitem__)
    return f"{sums} in all. The most, {totals[most]:,.0f}, on {step_words(times[most], step_s)}."


def spark(values: Sequence[float]) -> str:
    """Return the path of a sparkline in a square of 100 by 100; ``""`` without two values."""
    return _area(values, max(1, math.ceil(max(values, default=0))))[1]


def shares(parts: Sequence[tuple[str, float, str]]) -> tuple[Share, ...]:
    """Return parts of a whole, given as name, value and tone; empty where the whole is nothing."""
    whole = sum(value for _, value, _ in parts)
    found, start = [], 0.0
    for name, value, tone in parts if whole else ():
        percent = FULL_TURN * value / whole
        found.append(Share(name, value, round(percent, 3), round(start, 3), tone))
        start += percent
    return tuple(found)


def measures(
    rows: Sequence[tuple[str, float]],
    whole: float = 0,
    hrefs: Sequence[str] = (),
    details: Sequence[str] = (),
) -> tuple[Measure, ...]:
    """Return bars that lie, as long as their values; ``whole`` is what shares are of (0: of their sum)."""
    most = max((value for _, value in rows), default=0) or 1
    whole = whole or sum(value for _, value in rows) or 1
    return tuple(
        Measure(
            name,
            value,
            round(100 * value / most, 2),
            value / whole,
            hrefs[number] if number < len(hrefs) else "",
            details[number] if number < len(details) else "",
        )
        for number, (name, value) in enumerate(rows)
    )
