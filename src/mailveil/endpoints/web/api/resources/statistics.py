"""Statistics: figures of a period, step by step, and what was met most."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from pydantic import BeforeValidator, Field

from mailveil.control import statistics as use
from mailveil.control.access import Permission
from mailveil.control.records import Figures as FiguresRecord
from mailveil.control.statistics import DAY_S, HOUR_S, MAX_TOP, Dimension
from mailveil.endpoints.web.api.asking import Asked, Asking
from mailveil.endpoints.web.api.operations import Resource
from mailveil.endpoints.web.api.parameters import Moment, Text, moment, seconds, whole
from mailveil.endpoints.web.api.resources.models import Answer

resource = Resource(
    "statistics",
    "How much passed and what was in it. Messages are counted as they pass; openings are not known.",
)

Since = Annotated[Moment | None, Query(description="From this time on. Left out: the last 24 hours.")]
Until = Annotated[Moment | None, Query(description="Up to this time. Left out: now.")]


class Figures(Answer):
    """Counts of a period."""

    messages: int = Field(ge=0, description="Messages.", examples=[1840])
    with_remote: int = Field(ge=0, description="Those with remote references.", examples=[1210])
    with_trackers: int = Field(ge=0, description="Those with trackers.", examples=[760])
    risky: int = Field(ge=0, description="Those of medium or high risk.", examples=[133])
    changed: int = Field(ge=0, description="Those that went on changed.", examples=[1204])
    references: int = Field(ge=0, description="Remote references.", examples=[18233])
    trackers: int = Field(ge=0, description="Trackers among them.", examples=[1477])
    prevented: int = Field(
        ge=0, description="Contacts that opening each message once would have made.", examples=[17900]
    )
    unexamined: int = Field(ge=0, description="Messages that nobody could look into.", examples=[1])
    bytes: int = Field(ge=0, description="How large they were together.", examples=[93000000])


class FiguresOf(Answer):
    """Counts of a period, and which."""

    since: Moment = Field(description="Where the period begins.")
    until: Moment = Field(description="Where it ends.")
    figures: Figures = Field(description="The counts.")


class Step(Answer):
    """Counts of one step of a series."""

    at: Moment = Field(description="Where the step begins.")
    figures: Figures = Field(description="The counts.")


class Series(Answer):
    """Counts step by step."""

    step_hours: int = Field(ge=1, description="How long a step is, in hours.", examples=[1])
    steps: list[Step] = Field(description="The steps in the order of time, the empty ones included.")


class Often(Answer):
    """How often something was met."""

    value: Text = Field(description="What.", examples=["Mailchimp"])
    messages: int = Field(ge=0, description="In how many messages.", examples=[410])
    references: int = Field(ge=0, description="How many references.", examples=[902])


class Top(Answer):
    """What was met most."""

    dimension: Dimension = Field(description="What was counted.", examples=["operator"])
    items: list[Often] = Field(description="The most frequent first.")


def figures(record: FiguresRecord) -> Figures:
    """Return counts as they are answered."""
    return Figures(**{name: getattr(record, name) for name in Figures.model_fields})


def _period(asked: Asked, since: Moment | None, until: Moment | None) -> tuple[float, float]:
    end = seconds(until) if until is not None else asked.room.clock.now()
    return (seconds(since) if since is not None else max(0.0, end - DAY_S)), end


@resource.get("/statistics/figures", Permission.STATISTICS_READ, FiguresOf)
async def get_figures(asked: Asking, since: Since = None, until: Until = None) -> FiguresOf:
    """Get the figures of a period.

    Counted in whole hours.
    """
    begin, end = _period(asked, since, until)
    found = await use.figures(asked.room, asked.actor, begin, end)
    return FiguresOf(since=moment(begin), until=moment(end), figures=figures(found))


@resource.get("/statistics/series", Permission.STATISTICS_READ, Series)
async def get_series(
    asked: Asking,
    *,
    since: Since = None,
    until: Until = None,
    step_hours: Annotated[
        int,
        Field(ge=1, le=8784),
        BeforeValidator(whole),
        Query(description="How long a step is, in hours."),
    ] = 1,
) -> Series:
    """Get figures step by step.

    At most 1,000 steps; for a longer period take longer ones.
    """
    begin, end = _period(asked, since, until)
    found = await use.series(asked.room, asked.actor, begin, end, step_hours * HOUR_S)
    steps = [Step(at=moment(each.at), figures=figures(each.figures)) for each in found]
    return Series(step_hours=step_hours, steps=steps)


@resource.get("/statistics/top/{dimension}", Permission.STATISTICS_READ, Top)
async def get_top(
    asked: Asking,
    *,
    dimension: Annotated[Dimension, Path(description="What is counted.")],
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int, Field(ge=1, le=MAX_TOP), BeforeValidator(whole), Query(description="How many at most.")
    ] = 10,
) -> Top:
    """Get what was met most.

    Counted in whole days (UTC).
    """
    begin, end = _period(asked, since, until)
    found = await use.top(asked.room, asked.actor, dimension, begin, end, limit=limit)
    items = [Often(value=each.value, messages=each.messages, references=each.references) for each in found]
    return Top(dimension=dimension, items=items)
