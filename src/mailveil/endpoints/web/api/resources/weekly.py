"""Weekly reports: what a week brought, and who was watching, for programs and as files."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Query, Response
from pydantic import Field, StringConstraints

from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError
from mailveil.control.weekly import weekly_report
from mailveil.control.weeklyreport import WeeklyReport as Report
from mailveil.control.weeks import read_week, week_at
from mailveil.core.intelligence.types import ActivityState, AlertKind, AnalystVerdict, Technique, Tooling
from mailveil.endpoints.web.api.asking import Asked, Asking
from mailveil.endpoints.web.api.operations import Resource
from mailveil.endpoints.web.api.parameters import Flag, Moment, Text
from mailveil.endpoints.web.api.resources.models import Answer
from mailveil.endpoints.web.api.resources.statistics import Figures
from mailveil.endpoints.web.weekly import MEDIA_TYPES, Form, Table, write_report
from mailveil.endpoints.web.weekly.record import record_of

resource = Resource(
    "reports",
    "What a week brought: mail with remote content, trackers and risk, what was prevented, and who was watching.",
)

Share = Annotated[float | None, Field(ge=0, le=1, examples=[0.64])]
AskedWeek = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-W[0-9]{2}$"),
    Query(description="The week (ISO 8601, in UTC). Left out: the last one that is over.", examples=["2026-W47"]),
]  # fmt: skip
People = Annotated[
    Flag, Query(description="Whether to name the people that were probed; takes the scope activities:read.")
]


class Shares(Answer):
    """Shares between 0 and 1; null where there is nothing to have a share of."""

    with_remote: Share = Field(description="Of all messages, those with remote references.")
    with_trackers: Share = Field(description="Of those, the ones with trackers.")
    risky: Share = Field(description="Of those, the ones of medium or high risk.")


class DayFigures(Answer):
    """Counts of one day."""

    at: Moment = Field(description="Where the day begins, in UTC.")
    figures: Figures = Field(description="The counts.")


class WeekFigures(Answer):
    """Counts of one week."""

    at: Moment = Field(description="Where the week begins, in UTC.")
    figures: Figures = Field(description="The counts.")
    shares: Shares = Field(description="The shares.")


class KindMet(Answer):
    """What trackers wanted to know."""

    kind: Text = Field(description="What.", examples=["open"])
    messages: int = Field(ge=0, description="In how many messages.", examples=[410])


class OperatorMet(Answer):
    """An operator whose trackers were bought."""

    name: Text = Field(description="The operator.", examples=["Mailchimp"])
    owner: Text = Field(description="Whose it is; empty: not known.", examples=["Intuit"])
    category: Text = Field(description="What it does; empty: not known.", examples=["mail-service"])
    messages: int = Field(ge=0, description="In how many messages.", examples=[410])
    references: int = Field(ge=0, description="How many references.", examples=[902])


class SenderBuilt(Answer):
    """A sender with tracking of its own."""

    sender_domain: Text = Field(description="The sender.", examples=["newsroom.example"])
    campaigns: int = Field(ge=0, description="How many of its campaigns reached into the week.", examples=[2])
    messages: int = Field(ge=0, description="Their messages from the beginning.", examples=[340])
    people: int = Field(ge=0, description="The most people that one of them reached.", examples=[120])
    first_at: Moment = Field(description="Since when.")


class ReasonTold(Answer):
    """What speaks for an activity, or against it."""

    code: str = Field(description="The permanent name.", examples=["NEW_SENDER"])
    weight: float = Field(description="In log-odds.", examples=[1.2])
    words: Text = Field(description="In words.", examples=["the sender was never seen before"])


class TargetTold(Answer):
    """Somebody who was probed."""

    person: Text = Field(description="What records call them.", examples=["ann@acme.example"])
    first_at: Moment = Field(description="When first.")
    last_at: Moment = Field(description="When last.")
    probes: int = Field(ge=0, description="How often.", examples=[3])
    function: Text = Field(description="What the organisation says of them.", examples=["finance"])
    is_high_value: bool = Field(description="Whether they weigh more.", examples=[False])


class WeekActivity(Answer):
    """An activity of reconnaissance."""

    identifier: str = Field(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    actor: Text = Field(description="What the actor goes by.", examples=["acme-invoices.example"])
    score: float = Field(ge=0, le=1, description="How surely it is one.", examples=[0.93])
    risk: Text = Field(description="How bad it is.", examples=["high"])
    state: ActivityState = Field(description="How it stood at the end of the week.", examples=["active"])
    verdict: AnalystVerdict = Field(description="What an analyst found.", examples=["open"])
    first_at: Moment = Field(description="Its first probe.")
    last_at: Moment = Field(description="Its last one.")
    is_new: bool = Field(description="Whether it began in the week.", examples=[True])
    is_ended: bool = Field(description="Whether it ended in the week.", examples=[False])
    week_probes: int = Field(ge=0, description="Probes of the week that are kept.", examples=[4])
    week_people: int = Field(ge=0, description="Whom these were for.", examples=[3])
    total_probes: int = Field(ge=0, description="All of its probes.", examples=[9])
    total_people: int = Field(ge=0, description="All whom they were for.", examples=[3])
    kinds: list[Text] = Field(description="What it wanted to know.", examples=[["open"]])
    techniques: list[Technique] = Field(description="Techniques of ATT&CK.", examples=[["T1598.003"]])
    tooling: Tooling = Field(description="Whether its tracking was bought or built.", examples=["built"])
    operator: Text = Field(description="Whose tracking it is; empty: not known.", examples=[""])
    domains: list[Text] = Field(description="What it was carried out with.", examples=[["a.example"]])
    targets: list[TargetTold] = Field(description="The people; empty unless asked for.")
    reasons: list[ReasonTold] = Field(description="What speaks for it.")


class WeekAlert(Answer):
    """An alert."""

    at: Moment = Field(description="When.")
    kind: AlertKind = Field(description="Why.", examples=["follow-up"])
    activity: str = Field(description="Of which activity.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    sender_domain: Text = Field(description="Whose mail it was.", examples=["acme-invoices.example"])
    score: float = Field(description="The activity's score then.", examples=[0.93])
    earlier: Moment | None = Field(description="When the actor was first seen; null: not said.")
    words: Text = Field(description="In words.", examples=["Later mail of an actor that probed before"])
    people: list[Text] = Field(description="Whom it is about; empty unless asked for.", examples=[[]])


class FunctionProbed(Answer):
    """How many people of a function were probed."""

    function: Text = Field(description="The function; empty: none is told.", examples=["finance"])
    people: int = Field(ge=0, description="How many.", examples=[3])


class WatchingTold(Answer):
    """Who was watching."""

    new: int = Field(ge=0, description="Activities that began in the week.", examples=[1])
    ended: int = Field(ge=0, description="Those that ended in it.", examples=[0])
    active: int = Field(ge=0, description="Those active at its end.", examples=[2])
    weaker: int = Field(ge=0, description="Those too weak to be told one by one.", examples=[5])
    confirmed: int = Field(ge=0, description="Those that analysts confirmed in it.", examples=[0])
    dismissed: int = Field(ge=0, description="Those that analysts dismissed in it.", examples=[0])
    is_whole: bool = Field(description="False where there were more than a report reads.", examples=[True])
    activities: list[WeekActivity] = Field(description="Those worth a look, by score.")
    alerts: list[WeekAlert] = Field(description="Alerts, newest first.")
    functions: list[FunctionProbed] = Field(description="Whose people were probed; empty unless asked for.")


class WeeklyReport(Answer):
    """What a week brought. What is null takes a scope that the token lacks, and `missing` says which."""

    organisation: str = Field(description="The identifier of the organisation.", examples=["acme"])
    organisation_name: Text = Field(description="Its name.", examples=["Acme"])
    week: str = Field(description="The week.", examples=["2026-W47"])
    since: Moment = Field(description="Where it begins.")
    until: Moment = Field(description="Where its figures end: now, in a week that is not over.")
    is_complete: bool = Field(description="Whether it is over.", examples=[True])
    made_at: Moment = Field(description="When the report was made.")
    with_people: bool = Field(description="Whether it names people.", examples=[False])
    said: list[Text] = Field(
        description="The week in sentences.", examples=[["120 messages were protected."]]
    )
    missing: list[Text] = Field(description="What the figures do not tell.", examples=[[]])
    figures: Figures = Field(description="The counts.")
    shares: Shares = Field(description="The shares.")
    figures_before: Figures = Field(description="The counts of as long a part of the week before.")
    shares_before: Shares = Field(description="Its shares.")
    days: list[DayFigures] = Field(description="Day by day.")
    weeks: list[WeekFigures] = Field(description="Twelve weeks, this one last.")
    kinds: list[KindMet] = Field(description="What trackers wanted to know, the most frequent first.")
    operators: list[OperatorMet] | None = Field(description="Operators met most.")
    built_by_senders: list[SenderBuilt] | None = Field(description="Senders with tracking of their own.")
    watching: WatchingTold | None = Field(description="Who was watching.")


async def _report(asked: Asked, week: str, people: bool) -> Report:
    try:
        chosen = read_week(week) if week else week_at(asked.room.clock.now()).plus(-1)
    except ValueError as error:
        raise InvalidError(str(error), "week") from error
    return await weekly_report(asked.room, asked.actor, chosen, with_people=people)


async def _file(asked: Asked, week: str, people: bool, form: Form, table: Table = Table.DAYS) -> Response:
    report = await _report(asked, week, people)
    made = await asyncio.to_thread(write_report, report, form, table)
    asked.headers["Content-Disposition"] = f'attachment; filename="{made.name}"'
    return Response(made.body, media_type=made.media_type)


@resource.get("/reports/weekly", Permission.STATISTICS_READ, WeeklyReport)
async def get_weekly_report(asked: Asking, week: AskedWeek = "", people: People = False) -> WeeklyReport:
    """Get the report of a week.

    Without `people` it tells of nobody: names, functions and whatever may have been made for one person are left out.
    """
    return WeeklyReport.model_validate(record_of(await _report(asked, week, people)))


@resource.get(
    "/reports/weekly/pdf",
    Permission.STATISTICS_READ,
    None,
    media_type=MEDIA_TYPES[Form.PDF],
    example="%PDF-1.4 …",
)
async def get_weekly_report_as_pdf(asked: Asking, week: AskedWeek = "", people: People = False) -> Response:
    """Get the report of a week as PDF.

    With charts, for people.
    """
    return await _file(asked, week, people, Form.PDF)


@resource.get(
    "/reports/weekly/html",
    Permission.STATISTICS_READ,
    None,
    media_type=MEDIA_TYPES[Form.HTML],
    example="<!doctype html>…",
)
async def get_weekly_report_as_html(asked: Asking, week: AskedWeek = "", people: People = False) -> Response:
    """Get the report of a week as one HTML file.

    It loads nothing, whatever shows it.
    """
    return await _file(asked, week, people, Form.HTML)


@resource.get(
    "/reports/weekly/csv",
    Permission.STATISTICS_READ,
    None,
    media_type=MEDIA_TYPES[Form.CSV],
    example="day,messages\r\n2026-11-16,120\r\n",
)
async def get_weekly_report_as_csv(
    asked: Asking,
    *,
    week: AskedWeek = "",
    people: People = False,
    table: Annotated[Table, Query(description="Which table.")] = Table.DAYS,
) -> Response:
    """Get a table of a week's report as CSV.

    Its figures by day, or its activities.
    """
    return await _file(asked, week, people, Form.CSV, table)
