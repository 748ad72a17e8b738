"""Messages: what was seen, with references, verdicts and reasons, and the copies made for them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from mailveil.control import messages as use
from mailveil.control.access import Permission
from mailveil.control.messages import ReferenceCopy
from mailveil.control.records import MessageLine, MessageQuery
from mailveil.core.observation import Observation, ObservedReference
from mailveil.core.verdicts.types import Finding, Risk
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Resource
from mailveil.endpoints.web.api.parameters import (
    Cursor,
    Flag,
    Identifier,
    Limit,
    Moment,
    Text,
    Words,
    cut,
    moment,
    seconds,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part, Removed

resource = Resource(
    "messages",
    "What passed the gateway. Of a message its header, its references and what was done about them are kept; no body. "
    "Nobody records who opened what, so nothing here tells.",
)

MESSAGE_ID = "019a2b3c4d5e0123456789abcdef0123"


class Summary(Answer):
    """A message, as lists tell it."""

    id: str = Field(description="The identifier; it sorts by time.", examples=[MESSAGE_ID])
    at: Moment = Field(description="When it passed.")
    log_id: Text = Field(description="What the logs call it.", examples=["4f1c2a"])
    direction: str = Field(description="Where it came from.", examples=["inbound"])
    sender_domain: Text = Field(description="The author's registrable domain.", examples=["shop.example"])
    author: Text = Field(description="The address in the From field.", examples=["news@shop.example"])
    subject: Text = Field(description="The subject; empty where it is not kept.", examples=["Spring sale"])
    recipients: int = Field(ge=0, description="How many of your people it was for.", examples=[1])
    risk: Risk = Field(description="How much it would give away as a whole.", examples=["medium"])
    total_references: int = Field(ge=0, description="How many remote references it has.", examples=[12])
    total_trackers: int = Field(ge=0, description="How many of them are trackers.", examples=[2])
    changed: bool = Field(description="Whether it went on changed.", examples=[True])
    delivered: bool = Field(description="Whether the next server took it.", examples=[True])
    examined: bool = Field(description="Whether anybody could look into it.", examples=[True])
    monitored: bool = Field(description="Whether rules only reported.", examples=[False])
    operators: list[Text] = Field(description="Who runs its trackers.", examples=[["Mailchimp"]])


class Message(Answer):
    """A message, as far as it is kept."""

    id: str = Field(description="The identifier; it sorts by time.", examples=[MESSAGE_ID])
    at: Moment = Field(description="When it passed.")
    log_id: Text = Field(description="What the logs call it.", examples=["4f1c2a"])
    direction: str = Field(description="Where it came from.", examples=["inbound"])
    sender: Text = Field(description="The reverse-path.", examples=["bounce-17@mailer.example"])
    sender_domain: Text = Field(description="The author's registrable domain.", examples=["shop.example"])
    author: Text = Field(description="The address in the From field.", examples=["news@shop.example"])
    author_domain: Text = Field(
        description="The domain that provably answers for the author; empty where none does.",
        examples=["shop.example"],
    )
    recipients: list[Text] = Field(
        description="Your people it was for, in clear or as pseudonyms.", examples=[["ann@example.org"]]
    )
    subject: Text = Field(description="The subject; empty where it is not kept.", examples=["Spring sale"])
    message_id: Text = Field(description="Its Message-ID.", examples=["<17@shop.example>"])
    size_bytes: int = Field(ge=0, description="Its size as it came.", examples=[48213])
    seconds: float = Field(ge=0, description="How long it took to protect.", examples=[0.021])
    reply_code: int = Field(description="What the next server answered; 0: nothing.", examples=[250])
    reply: Text = Field(description="The same in words.", examples=["250 2.0.0 Ok"])
    risk: Risk = Field(description="How much it would give away, by what is known now.", examples=["medium"])
    total_references: int = Field(ge=0, description="How many remote references it has.", examples=[12])
    total_trackers: int = Field(ge=0, description="How many of them are trackers.", examples=[2])
    changed: bool = Field(description="Whether it went on changed.", examples=[True])
    delivered: bool = Field(description="Whether the next server took it.", examples=[True])
    examined: bool = Field(description="Whether anybody could look into it.", examples=[True])
    monitored: bool = Field(description="Whether rules only reported.", examples=[False])
    banner: bool = Field(description="Whether readers were told by a banner.", examples=[True])
    has_original: bool = Field(description="Whether the original is kept.", examples=[False])
    text_characters: int = Field(ge=0, description="How much text it has.", examples=[1830])
    defects: list[Text] = Field(description="What is wrong with its form.", examples=[["no-message-id"]])
    header: dict[str, Text] = Field(
        description="What tells mailings from letters, and `known_by`, `recognised` (the activity) and "
        "`recognised_why` of mail of an actor that was met before. `thread`, `threads` and `mailbox` are digests by "
        "which later mail is compared.",
        examples=[{"list_id": "news.shop.example"}],
    )
    authentication: dict[str, Any] = Field(
        description="What authentication showed.", examples=[{"dmarc": "pass"}]
    )


class OperatorKnown(Answer):
    """Who runs a tracker, and how that is known."""

    name: Text = Field(description="The name.", examples=["Mailchimp"])
    confidence: float = Field(ge=0, le=1, description="How sure that is, from 0 to 1.", examples=[0.95])
    evidence: Text = Field(description="By what it was known.", examples=["host list-manage.com"])


class Reference(Answer):
    """One remote reference of a message: where it stood, what it is by all that is known now, what was done."""

    position: int = Field(ge=0, description="Which one it is, from 0.", examples=[0])
    url: Text = Field(
        description="Its address, as far as it is kept.", examples=["https://t.shop.example/o.gif?u=*"]
    )
    template: Text = Field(
        description="The address with `*` for all that was made for one recipient.",
        examples=["https://t.shop.example/o.gif?u=*"],
    )
    host: Text = Field(description="Its host.", examples=["t.shop.example"])
    domain: Text = Field(description="The registrable domain of that.", examples=["shop.example"])
    vector: str = Field(description="Where in the message it stood.", examples=["img"])
    media: str = Field(description="What it would show; empty for nothing.", examples=["image"])
    verdict: Finding = Field(description="What it is there for.", examples=["tracker"])
    kind: str = Field(description="What it mainly tells its operator; empty for content.", examples=["open"])
    kinds: list[str] = Field(
        description="All that it tells, the weightiest first.", examples=[["open", "identity"]]
    )
    score: float = Field(ge=0, le=1, description="How probable it is that it tracks.", examples=[0.997])
    risk: Risk = Field(description="What it alone gives away.", examples=["medium"])
    operator: OperatorKnown | None = Field(description="Who runs it, where that is known.")
    signals: list[str] = Field(description="What speaks for and against.", examples=[["TINY_IMAGE"]])
    reasons: list[Text] = Field(
        description="The same in words, the weightiest first.",
        examples=[["is declared 1 by 1 pixel, which nobody sees"]],
    )
    action: str = Field(description="What was done about it.", examples=["copy"])
    rule: Text = Field(
        description="What chose that: `rule:ID`, `allow:ID` or `level:NAME`.", examples=["level:normal"]
    )


class Copy(Answer):
    """The copy that stands in the place of a reference."""

    position: int = Field(ge=0, description="Which of the message's references.", examples=[0])
    url: Text = Field(
        description="The reference's address, as far as it is kept.",
        examples=["https://img.shop.example/a.png"],
    )
    state: str = Field(description="`stored`, `pending`, `placeholder` or `unknown`.", examples=["stored"])
    media: str = Field(description="What kind it is; empty where unknown.", examples=["image"])
    media_type: str = Field(description="Its media type; empty without a copy.", examples=["image/png"])
    size_bytes: int = Field(ge=0, description="Its size.", examples=[5120])
    width: int = Field(ge=0, description="Its own width in pixels; 0: none.", examples=[600])
    height: int = Field(ge=0, description="Its own height in pixels; 0: none.", examples=[200])
    as_of_delivery: bool = Field(
        description="Whether its origin changes it with time, so that this shows how it was.",
        examples=[False],
    )


def summary(line: MessageLine) -> Summary:
    """Return a line of a list as it is answered."""
    return Summary(
        id=line.identifier,
        at=moment(line.at),
        log_id=line.log_identifier,
        direction=line.direction,
        sender_domain=line.sender_domain,
        author=line.author,
        subject=line.subject,
        recipients=line.recipients,
        risk=Risk(line.risk),
        total_references=line.total_references,
        total_trackers=line.total_trackers,
        changed=line.changed,
        delivered=line.delivered,
        examined=line.examined,
        monitored=line.monitored,
        operators=list(line.operators),
    )


def whole(found: Observation) -> Message:
    """Return a message as it is answered."""
    return Message(
        id=found.identifier,
        at=moment(found.at),
        log_id=found.log_identifier,
        direction=found.direction,
        sender=found.sender,
        sender_domain=found.sender_domain,
        author=found.author,
        author_domain=found.author_domain,
        recipients=list(found.recipients),
        subject=found.subject,
        message_id=found.message_id,
        size_bytes=found.size_bytes,
        seconds=found.seconds,
        reply_code=found.reply_code,
        reply=found.reply,
        risk=Risk(found.risk),
        total_references=found.total_references,
        total_trackers=found.total_trackers,
        changed=found.changed,
        delivered=found.delivered,
        examined=found.examined,
        monitored=found.monitored,
        banner=found.banner,
        has_original=bool(found.original),
        text_characters=found.text_characters,
        defects=list(found.defects),
        header=dict(found.header),
        authentication=dict(found.authentication),
    )


def reference(position: int, each: ObservedReference) -> Reference:
    """Return a reference as it is answered."""
    known = OperatorKnown(name=each.operator, confidence=each.operator_confidence, evidence=each.evidence)
    return Reference(
        position=position,
        url=each.url,
        template=each.template,
        host=each.host,
        domain=each.domain,
        vector=each.vector,
        media=each.media,
        verdict=Finding(each.finding),
        kind=each.kind,
        kinds=list(each.kinds),
        score=each.score,
        risk=Risk(each.risk),
        operator=known if each.operator else None,
        signals=list(each.signals),
        reasons=list(each.reasons),
        action=each.action,
        rule=each.rule,
    )


def copy(position: int, found: ReferenceCopy) -> Copy:
    """Return a copy as it is answered."""
    state = found.state
    return Copy(
        position=position,
        url=found.reference.url,
        state=state.state,
        media=state.media,
        media_type=state.media_type,
        size_bytes=state.size_bytes,
        width=state.facts.width,
        height=state.facts.height,
        as_of_delivery=state.facts.as_of_delivery,
    )


@resource.get("/messages", Permission.MESSAGES_READ, Part[Summary], is_list=True)
async def list_messages(
    asked: Asking,
    *,
    since: Annotated[Moment | None, Query(description="That passed at this time or later.")] = None,
    until: Annotated[Moment | None, Query(description="That passed before this time.")] = None,
    text: Annotated[Words, Query(description="With these words in subject, author or sender.")] = "",
    sender: Annotated[Words, Query(description="From this address or domain.")] = "",
    recipient: Annotated[Words, Query(description="To this address.")] = "",
    risk: Annotated[Risk | None, Query(description="Of this risk or a higher one.")] = None,
    operator: Annotated[Words, Query(description="With a tracker run by this operator.")] = "",
    host: Annotated[Words, Query(description="With a reference to this host or registrable domain.")] = "",
    tracker: Annotated[Words, Query(description="With this tracker, by its identifier.")] = "",
    has_trackers: Annotated[Flag | None, Query(description="With trackers, or without.")] = None,
    has_remote: Annotated[Flag | None, Query(description="With remote references, or without.")] = None,
    changed: Annotated[Flag | None, Query(description="That went on changed, or not.")] = None,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[Summary]:
    """List messages.

    Newest first. All filters have to hold; one that is empty holds for every message.
    """
    query = MessageQuery(
        since=seconds(since),
        until=seconds(until),
        text=text,
        sender=sender,
        recipient=recipient,
        risk=str(risk or ""),
        operator=operator,
        host=host,
        tracker=tracker,
        has_trackers=has_trackers,
        has_remote=has_remote,
        changed=changed,
    )
    part = cut(limit, cursor)
    page = await use.messages(asked.room, asked.actor, query, part)
    return Part[Summary](items=[summary(each) for each in page.items], next=asked.listed(page, part))


@resource.get("/messages/{message}", Permission.MESSAGES_READ, Message)
async def get_message(asked: Asking, message: Identifier) -> Message:
    """Get a message.

    Its risk is told by what is known now: fetches and other mail may have told more since it passed.
    """
    return whole(await use.message(asked.room, asked.actor, message))


@resource.get("/messages/{message}/references", Permission.MESSAGES_READ, Part[Reference])
async def list_references(asked: Asking, message: Identifier) -> Part[Reference]:
    """List the references of a message.

    Trackers before content, with verdicts and reasons as they stand now. Of a message with very many, the first ones;
    `total_references` of the message counts all.
    """
    found = await use.message(asked.room, asked.actor, message)
    return Part[Reference](items=[reference(*each) for each in enumerate(found.references)])


@resource.get("/messages/{message}/copies", Permission.COPIES_READ, Part[Copy])
async def list_message_copies(asked: Asking, message: Identifier) -> Part[Copy]:
    """List the safe copies of a message.

    The first 200. Nothing is fetched for this.
    """
    found = await use.copies_of(asked.room, asked.actor, message)
    return Part[Copy](items=[copy(each.position, each) for each in found])


@resource.delete("/messages/{message}/copies", Permission.COPIES_WRITE, Removed)
async def purge_message_copies(asked: Asking, message: Identifier) -> Removed:
    """Delete the safe copies of a message.

    Placeholders take their places for good; the message itself stays as it is.
    """
    return Removed(removed=await use.purge_copies_of(asked.room, asked.actor, message))
