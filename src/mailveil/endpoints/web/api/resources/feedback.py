"""Feedback: what readers reported, for analysts to decide."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from mailveil.control import feedback as use
from mailveil.control.access import Permission
from mailveil.control.records import Feedback, FeedbackKind, FeedbackState
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Match, Resource
from mailveil.endpoints.web.api.parameters import (
    NO_NUL,
    Cursor,
    Identifier,
    Limit,
    Moment,
    Text,
    cut,
    moment,
    moment_or_none,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part, Request

resource = Resource(
    "reports", "What readers reported: false alarms and missed spies. Nobody knows who they are."
)


class Report(Answer):
    """What a reader reported."""

    id: str = Field(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    at: Moment = Field(description="When.")
    kind: FeedbackKind = Field(description="What they told.", examples=["false-alarm"])
    message: str = Field(
        description="The message, if it was found; else empty.", examples=["019a2b3c4d5e0123456789abcdef0123"]
    )
    text: Text = Field(description="In their words.", examples=["I know that shop"])
    channel: str = Field(description="How it came: `link` or `mail`.", examples=["link"])
    state: FeedbackState = Field(description="What became of it.", examples=["open"])
    closed_by: Text = Field(description="Who decided.", examples=[""])
    closed_at: Moment | None = Field(description="When; null: nobody has.")
    note: Text = Field(description="What they noted.", examples=[""])


class Decision(Request):
    """What an analyst decides."""

    state: Annotated[FeedbackState, Field(strict=False)] = Field(
        description="What became of it.", examples=["confirmed"]
    )
    note: Annotated[str, Field(max_length=2000, pattern=NO_NUL)] = Field(
        default="", description="A note.", examples=["The rule is changed"]
    )


def report(record: Feedback) -> Report:
    """Return a report as it is answered."""
    return Report(
        id=record.identifier,
        at=moment(record.at),
        kind=record.kind,
        message=record.message,
        text=record.text,
        channel=record.channel,
        state=record.state,
        closed_by=record.closed_by,
        closed_at=moment_or_none(record.closed_at),
        note=record.note,
    )


@resource.get("/reports", Permission.FEEDBACK_READ, Part[Report], is_list=True)
async def list_reports(
    asked: Asking,
    *,
    state: Annotated[FeedbackState | None, Query(description="Only those in this state.")] = None,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[Report]:
    """List reports.

    Newest first.
    """
    part = cut(limit, cursor)
    page = await use.list_reports(asked.room, asked.actor, part, state=state)
    return Part[Report](items=[report(each) for each in page.items], next=asked.listed(page, part))


@resource.get("/reports/{report_id}", Permission.FEEDBACK_READ, Report)
async def get_report(asked: Asking, report_id: Identifier) -> Report:
    """Get a report."""
    return report(await use.read_report(asked.room, asked.actor, report_id))


@resource.patch(
    "/reports/{report_id}",
    Permission.FEEDBACK_WRITE,
    Report,
    body=Body.JSON,
    match=Match.MAY,
    also=(Permission.FEEDBACK_READ,),
)
async def decide_report(asked: Asking, report_id: Identifier, decision: Decision) -> Report:
    """Decide a report.

    Confirm it, reject it, or open it again.
    """
    return report(await use.decide_report(asked.room, asked.actor, report_id, decision.state, decision.note))
