"""Rollups: figures of hours and counts of days, added up for a period; what was met most, without reading all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.writing import DAY_S, HOUR_S, SPANS, chunks
from mailveil.control.records import Count, Figures, FiguresAt

DIMENSIONS = ("operator", "sender_domain", "kind", "host", "risk")
MAX_STEPS = 10_000  # of one series
MAX_TOP = 200
LONG_DAYS, MAX_DAYS = 64, 1_900  # of one period; of longer ones the last five years
FIRST_DEPTH, LAST_DEPTH = 40, 640  # values of each span that are looked at
_NAMES = tuple(column.name for column in tables.figures.c if not column.primary_key)


async def figures_of_period(
    connection: AsyncConnection, organisation: str, since: float, until: float
) -> Figures:
    """Return what was counted from the hour of ``since`` to the one that holds the last moment before ``until``."""
    columns = tables.figures.c
    first, end = _hours(since, until)
    sums = [sa.func.coalesce(sa.func.sum(columns[name]), 0) for name in _NAMES]
    question = sa.select(*sums).where(
        columns.organisation == organisation, columns.hour >= first, columns.hour < end
    )
    row = (await connection.execute(question)).one()
    return _figures(row)


async def series_of_period(
    connection: AsyncConnection, organisation: str, since: float, until: float, step_s: int
) -> list[FiguresAt]:
    """Return what was counted in each step, from the hour of ``since``. Raises ``ValueError`` for an odd step."""
    if step_s < HOUR_S or step_s % HOUR_S:
        raise ValueError("a step of a series is whole hours")
    first, end = _hours(since, until)
    step = step_s // HOUR_S
    if (end - first) / step > MAX_STEPS:
        raise ValueError(f"a series has at most {MAX_STEPS} steps")
    columns = tables.figures.c
    question = sa.select(columns.hour, *(columns[name] for name in _NAMES)).where(
        columns.organisation == organisation, columns.hour >= first, columns.hour < end
    )
    sums = [[0] * len(_NAMES) for _ in range(first, end, step)]
    for hour, *numbers in await connection.execute(question):
        total = sums[(hour - first) // step]
        for at, number in enumerate(numbers):
            total[at] += number
    return [FiguresAt(float((first + at * step) * HOUR_S), _figures(total)) for at, total in enumerate(sums)]


def _hours(since: float, until: float) -> tuple[int, int]:
    first = int(max(0.0, since) // HOUR_S)
    return first, max(first, math.ceil(min(max(0.0, until), 1e11) / HOUR_S))


def _figures(numbers: Sequence[Any]) -> Figures:
    return Figures(**dict(zip(_NAMES, map(int, numbers), strict=True)))


async def top_of_period(
    connection: AsyncConnection, organisation: str, dimension: str, *, since: float, until: float, limit: int
) -> list[Count]:
    """Return the values of a dimension that most messages had, in the days (UTC) that the period touches.

    The period is put together from spans of 16, 4 and 1 days, each of which has its values in order. The first ones of
    every span are added up over all of them; that is the answer once no value further down can come to more than what
    was found. Where that is not so among ``LAST_DEPTH`` of each span – thousands of values that are met alike – what is
    returned is exact in its numbers, but others may have come to as many. Raises ``ValueError`` for another dimension.
    """
    if dimension not in DIMENSIONS:
        raise ValueError(f"there is no dimension {dimension!r:.40}; there are: {', '.join(DIMENSIONS)}")
    limit = min(max(limit, 1), MAX_TOP)
    first, end = int(max(0.0, since) // DAY_S), math.ceil(min(max(0.0, until), 1e11) / DAY_S)
    if end - first > LONG_DAYS:
        first, end = await _counted_days(connection, organisation, dimension, first, end)
    spans = spans_of(first, end)
    if not spans:
        return []
    depth = max(FIRST_DEPTH, 2 * limit)
    while True:
        heads, left = await _heads(connection, organisation, dimension, spans, depth)
        found = await _added_up(connection, organisation, dimension, spans, sorted(heads))
        certain = not left or (len(found) >= limit and found[limit - 1].messages >= left)
        if certain or depth >= LAST_DEPTH:
            return found[:limit]
        depth *= 4


async def _counted_days(
    connection: AsyncConnection, organisation: str, dimension: str, first: int, end: int
) -> tuple[int, int]:
    """Return the part of a long period of which anything was counted."""
    columns = tables.counts.c
    longest = (
        columns.organisation == organisation,
        columns.dimension == dimension,
        columns.span == SPANS[0],
    )
    question = sa.select(
        sa.select(sa.func.min(columns.day)).where(*longest).scalar_subquery(),
        sa.select(sa.func.max(columns.day)).where(*longest).scalar_subquery(),
    )
    oldest, newest = (await connection.execute(question)).one()
    if oldest is None:
        return 0, 0
    end = min(end, newest + SPANS[0])
    return max(first, oldest, end - MAX_DAYS), end


def spans_of(first: int, end: int) -> list[tuple[int, int]]:
    """Return the spans (length, first day) that make up the days from ``first`` to before ``end``."""
    spans = []
    while first < end:
        span = next(each for each in SPANS if first % each == 0 and first + each <= end)
        spans.append((span, first))
        first += span
    return spans


async def _heads(
    connection: AsyncConnection, organisation: str, dimension: str, spans: list[tuple[int, int]], depth: int
) -> tuple[set[str], int]:
    """Return the first values of every span, and how many messages one that is none of them can have at most."""
    columns = tables.counts.c
    of_each = [
        sa.select(columns.day, columns.value, columns.messages)
        .where(_of_span(organisation, dimension, span))
        .order_by(columns.messages.desc())
        .limit(depth)
        .subquery()
        for span in spans
    ]
    values: dict[int, set[str]] = {}
    fewest: dict[int, int] = {}
    question = sa.union_all(*(sa.select(each) for each in of_each))
    for day, value, messages in await connection.execute(question):
        values.setdefault(day, set()).add(value)
        fewest[day] = min(messages, fewest.get(day, messages))
    left = sum(fewest[day] for day, found in values.items() if len(found) == depth)
    return set().union(*values.values()), left


async def _added_up(
    connection: AsyncConnection,
    organisation: str,
    dimension: str,
    spans: list[tuple[int, int]],
    values: list[str],
) -> list[Count]:
    """Return how often values were met in all spans together, the most frequent first."""
    columns = tables.counts.c
    sums: dict[str, tuple[int, int]] = {}
    for some in chunks(values):
        of_each = (
            sa.select(columns.value, columns.messages, columns.references).where(
                _of_span(organisation, dimension, span), columns.value.in_(some)
            )
            for span in spans
        )
        for value, messages, references in await connection.execute(sa.union_all(*of_each)):
            before = sums.get(value, (0, 0))
            sums[value] = (before[0] + messages, before[1] + references)
    found = [Count(value, messages, references) for value, (messages, references) in sums.items()]
    return sorted(found, key=lambda each: (-each.messages, each.value))


def _of_span(organisation: str, dimension: str, span: tuple[int, int]) -> sa.ColumnElement[bool]:
    columns = tables.counts.c
    return sa.and_(
        columns.organisation == organisation,
        columns.dimension == dimension,
        columns.span == span[0],
        columns.day == span[1],
    )
