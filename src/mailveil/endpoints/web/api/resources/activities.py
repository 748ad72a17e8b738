"""Activities: who reconnoitres whom, what is decided about it, alerts, campaigns, and people who weigh more."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from mailveil.control import activities as use
from mailveil.control.access import Permission
from mailveil.control.activityrecords import ActivityQuery
from mailveil.control.blocking import block_activity as block
from mailveil.control.records import MessageLine
from mailveil.core.intelligence.types import ActivityState, AnalystVerdict, Nature
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Match, Resource
from mailveil.endpoints.web.api.parameters import (
    NO_NUL,
    Cursor,
    Identifier,
    Limit,
    Moment,
    Text,
    Words,
    cleaned,
    cut,
    moment,
    seconds,
)
from mailveil.endpoints.web.api.resources.activitymodels import (
    ID,
    Activity,
    ActivityDetail,
    Alert,
    Campaign,
    Decisions,
    Note,
    activity,
    alert,
    campaign,
    decisions,
    detail,
    note,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part, Request

resource = Resource(
    "activities",
    "Reconnaissance: who watches whom now, explained, with what was decided about it. People are named in bodies and "
    "answers alone, since URLs end up in logs.",
)


class Deed(StrEnum):
    """What can be decided about an activity."""

    ACKNOWLEDGE = "acknowledge"  # somebody looks at it
    CLOSE = "close"
    REOPEN = "reopen"
    CONFIRM = "confirm"  # it is reconnaissance
    DISMISS = "dismiss"  # it is benign
    UNDECIDE = "undecide"  # the verdict is taken back


VERDICTS = {
    Deed.CONFIRM: AnalystVerdict.CONFIRMED,
    Deed.DISMISS: AnalystVerdict.BENIGN,
    Deed.UNDECIDE: AnalystVerdict.OPEN,
}


class ActivityDecision(Request):
    """What is decided about an activity."""

    decision: Annotated[Deed, Field(strict=False)] = Field(
        description="What. Scoring learns from `confirm` and `dismiss`.", examples=["acknowledge"]
    )


class NoteOrder(Request):
    """What is to be noted."""

    text: Annotated[str, Field(min_length=1, max_length=4000, pattern=NO_NUL)] = Field(
        description="What.", examples=["They called, too."]
    )


class ActivityMessage(Answer):
    """A message of an activity; only its identifier is left once it is no longer kept."""

    id: str = Field(description="The identifier.", examples=[ID])
    at: Moment | None = Field(description="When it passed; null: it is no longer kept.")
    author: Text = Field(description="The address in the From field.", examples=["anna@spy.example"])
    subject: Text = Field(description="The subject, if it is kept.", examples=["Our meeting"])
    trackers: int = Field(ge=0, description="How many trackers it has.", examples=[1])


class Blocked(Answer):
    """What rules are now against; they take out what is remote, and refuse no mail."""

    sender_domains: list[Text] = Field(
        description="Mail from there has nothing remote left, and a notice.", examples=[[".spy.example"]]
    )
    hosts: list[Text] = Field(
        description="References that lead there are taken out.", examples=[[".px.example"]]
    )
    unproven: list[Text] = Field(
        description="Left out, since mail only claimed to come from there: confirm the activity first.",
        examples=[["partner.example"]],
    )
    version: int = Field(ge=0, description="The policy that says so.", examples=[4])


class Marked(Answer):
    """What the organisation says of somebody."""

    person: Text = Field(description="Who, as records call them.", examples=["ann@example.org"])
    function: Text = Field(description="Their function.", examples=["finance"])
    is_high_value: bool = Field(description="Whether they weigh more.", examples=[True])


class MarkedList(Answer):
    """Everybody of whom the organisation says something."""

    items: list[Marked] = Field(description="By name.")


class MarkOrder(Request):
    """What is to be said of somebody; neither function nor value: nothing any more."""

    address: Annotated[str, Field(min_length=1, max_length=320, pattern=NO_NUL)] = Field(
        description="An address, or the pseudonym that records show.", examples=["bea@example.org"]
    )
    function: Annotated[str, Field(max_length=60, pattern=NO_NUL)] = Field(
        default="", description="Their function, such as `finance`.", examples=["finance"]
    )
    is_high_value: bool = Field(default=False, description="Whether they weigh more.", examples=[True])


class BlockOrder(Request):
    """Why an activity is blocked."""

    comment: Annotated[str, Field(max_length=300, pattern=NO_NUL)] = Field(
        default="", description="Why, for the history of the policy.", examples=["It went on for a week"]
    )


class RecomputeOrder(Request):
    """What is to be studied again."""

    everything: Literal[True] = Field(description="All that is kept; there is no less.", examples=[True])


class Recomputed(Answer):
    """What is studied again."""

    subjects: int = Field(ge=0, description="How many messages, verdicts and facts.", examples=[120_000])


@resource.get("/activities", Permission.ACTIVITIES_READ, Part[Activity], is_list=True)
async def list_activities(
    asked: Asking,
    *,
    state: Annotated[ActivityState | None, Query(description="Only those that stand so.")] = None,
    verdict: Annotated[AnalystVerdict | None, Query(description="Only those with this verdict.")] = None,
    least_score: Annotated[float, Query(ge=0, le=1, description="Of this score or a higher one.")] = 0.0,
    actor: Annotated[Words, Query(description="Of this actor: its first sender domain.")] = "",
    since: Annotated[Moment | None, Query(description="With a message at this time or later.")] = None,
    order: Annotated[
        Literal["score", "last", "changed"],
        Query(description="By score, by the last message, or by what changed last."),
    ] = "score",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[Activity]:
    """List activities.

    The highest first. All filters have to hold. One whose score fell below 0.15 is left out, unless somebody decided or
    noted something about it, or it raised an alert.
    """
    now, part = asked.room.clock.now(), cut(limit, cursor)
    query = ActivityQuery(
        now,
        state=state,
        verdict=verdict,
        least_score=least_score,
        actor=actor,
        since=seconds(since),
        order=order,
    )
    page = await use.activities(asked.room, asked.actor, query, part)
    return Part[Activity](items=[activity(each, now) for each in page.items], next=asked.listed(page, part))


@resource.get("/activities/{activity_id}", Permission.ACTIVITIES_READ, ActivityDetail)
async def get_activity(asked: Asking, activity_id: Identifier) -> ActivityDetail:
    """Get an activity.

    Of one that was merged into another, that other one.
    """
    found = await use.activity(asked.room, asked.actor, activity_id)
    return detail(found, asked.room.clock.now())


@resource.get("/activities/{activity_id}/export", Permission.ACTIVITIES_READ, dict[str, Any])
async def export_activity(asked: Asking, activity_id: Identifier) -> dict[str, Any]:
    """Export an activity.

    As its record is, with notes, alerts, campaigns and messages. The audit trail tells that it was asked for.
    """
    found: dict[str, Any] = cleaned(await use.export_activity(asked.room, asked.actor, activity_id))
    return found


@resource.get(
    "/activities/{activity_id}/messages",
    Permission.ACTIVITIES_READ,
    Part[ActivityMessage],
    is_list=True,
    also=(Permission.MESSAGES_READ,),
)
async def list_activity_messages(
    asked: Asking, activity_id: Identifier, *, limit: Limit = 50, cursor: Cursor = ""
) -> Part[ActivityMessage]:
    """List the messages of an activity.

    Newest first.
    """
    part = cut(limit, cursor)
    page = await use.activity_messages(asked.room, asked.actor, activity_id, part)
    return Part[ActivityMessage](items=[_message(each) for each in page.items], next=asked.listed(page, part))


def _message(line: MessageLine | str) -> ActivityMessage:
    if isinstance(line, str):
        return ActivityMessage(id=line, at=None, author="", subject="", trackers=0)
    return ActivityMessage(
        id=line.identifier,
        at=moment(line.at),
        author=line.author,
        subject=line.subject,
        trackers=line.total_trackers,
    )


@resource.post(
    "/activities/{activity_id}/notes", Permission.ACTIVITIES_WRITE, Note, status=201, body=Body.JSON
)
async def note_activity(asked: Asking, activity_id: Identifier, order: NoteOrder) -> Note:
    """Note something about an activity."""
    return note(await use.note_activity(asked.room, asked.actor, activity_id, order.text))


@resource.get("/activities/{activity_id}/decision", Permission.ACTIVITIES_READ, Decisions)
async def get_decision(asked: Asking, activity_id: Identifier) -> Decisions:
    """Get what was decided about an activity.

    Its entity tag, as `If-Match`, has the next decision made only where nobody has decided anything meanwhile.
    """
    return decisions(await use.decided(asked.room, asked.actor, activity_id))


@resource.post(
    "/activities/{activity_id}/decision",
    Permission.ACTIVITIES_WRITE,
    Activity,
    body=Body.JSON,
    match=Match.MAY,
    also=(Permission.ACTIVITIES_READ,),
)
async def decide_activity(asked: Asking, activity_id: Identifier, order: ActivityDecision) -> Activity:
    """Decide about an activity.

    What was decided already is no error. `If-Match` takes the entity tag of what `GET` answers here.
    """
    seen = json.loads(asked.present)["revision"] if asked.present else ""
    match order.decision:
        case Deed.ACKNOWLEDGE:
            file = await use.acknowledge_activity(asked.room, asked.actor, activity_id, seen=seen)
        case Deed.CLOSE:
            file = await use.close_activity(asked.room, asked.actor, activity_id, seen=seen)
        case Deed.REOPEN:
            file = await use.reopen_activity(asked.room, asked.actor, activity_id, seen=seen)
        case verdict:
            file = await use.decide_activity(
                asked.room, asked.actor, activity_id, VERDICTS[verdict], seen=seen
            )
    return activity(file, asked.room.clock.now())


@resource.post(
    "/activities/{activity_id}/block",
    Permission.POLICY_WRITE,
    Blocked,
    body=Body.JSON,
    also=(Permission.ACTIVITIES_READ, Permission.POLICY_READ),
)
async def block_activity(asked: Asking, activity_id: Identifier, order: BlockOrder) -> Blocked:
    """Block an activity.

    Adds the strictest rules that a policy has against its own domains and hosts; what serves others is left out, and
    of an activity that nobody confirmed what mail only claimed to come from. Mail still arrives: refusing it is for the
    mail server.
    """
    blocked = await block(asked.room, asked.actor, activity_id, comment=order.comment)
    return Blocked(
        sender_domains=list(blocked.sender_domains),
        hosts=list(blocked.hosts),
        unproven=list(blocked.unproven),
        version=blocked.policy.version,
    )


@resource.post("/activities/recompute", Permission.ACTIVITIES_WRITE, Recomputed, body=Body.JSON)
async def recompute(asked: Asking, order: RecomputeOrder) -> Recomputed:
    """Study everything again.

    In the order in which it was. What was decided stays, and nobody is told of anything twice.
    """
    assert order.everything
    return Recomputed(subjects=await use.recompute(asked.room, asked.actor))


@resource.get("/alerts", Permission.ACTIVITIES_READ, Part[Alert], is_list=True)
async def list_alerts(
    asked: Asking,
    *,
    activity: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.-]{0,64}$", description="Of this activity.")] = "",
    since: Annotated[Moment | None, Query(description="At this time or later.")] = None,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[Alert]:
    """List alerts.

    Newest first.
    """
    part = cut(limit, cursor)
    page = await use.alerts(asked.room, asked.actor, part, activity=activity, since=seconds(since))
    return Part[Alert](items=[alert(each) for each in page.items], next=asked.listed(page, part))


@resource.get("/campaigns", Permission.ACTIVITIES_READ, Part[Campaign], is_list=True)
async def list_campaigns(
    asked: Asking,
    *,
    nature: Annotated[Nature | None, Query(description="Of this nature.")] = None,
    sender_domain: Annotated[Words, Query(description="From this domain.")] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[Campaign]:
    """List campaigns.

    The latest first.
    """
    part = cut(limit, cursor)
    page = await use.campaigns(asked.room, asked.actor, part, nature=nature, sender_domain=sender_domain)
    return Part[Campaign](items=[campaign(each) for each in page.items], next=asked.listed(page, part))


@resource.get("/people/marked", Permission.ACTIVITIES_READ, MarkedList)
async def list_marked_people(asked: Asking) -> MarkedList:
    """List people of whom something is said."""
    found = await use.marked_people(asked.room, asked.actor)
    return MarkedList(
        items=[
            Marked(person=each.person, function=each.function, is_high_value=each.is_high_value)
            for each in found
        ]
    )


@resource.post("/people/mark", Permission.ACTIVITIES_WRITE, Marked, body=Body.JSON)
async def mark_person(asked: Asking, order: MarkOrder) -> Marked:
    """Say something of a person.

    Scoring goes by it from then on. The audit trail tells that it was said, not of whom.
    """
    made = await use.mark_person(
        asked.room,
        asked.actor,
        order.address,
        function=order.function,
        is_high_value=order.is_high_value,
    )
    return Marked(person=made.person, function=made.function, is_high_value=made.is_high_value)
