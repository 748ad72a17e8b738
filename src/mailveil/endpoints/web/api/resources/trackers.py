"""Trackers and operators: who watches, since when, and how many people that concerns."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import Field

from mailveil.control import trackers as use
from mailveil.control.access import Permission
from mailveil.control.records import OperatorLine, TrackerQuery
from mailveil.control.records import Tracker as TrackerRecord
from mailveil.core.intelligence.types import Attribution, InfrastructureFacts, Tooling
from mailveil.core.verdicts.types import Kind, Risk
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Resource
from mailveil.endpoints.web.api.parameters import (
    Cursor,
    Identifier,
    Limit,
    Moment,
    Text,
    Words,
    cut,
    moment,
    seconds,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part

resource = Resource(
    "trackers", "Who watches, where, since when, and how many people that concerns; never which people."
)


class Tracker(Answer):
    """References of one host and template, over time."""

    id: str = Field(description="The identifier.", examples=["6c1f0a9d3b7e4f2a"])
    host: Text = Field(description="The host.", examples=["t.shop.example"])
    domain: Text = Field(description="The registrable domain of that.", examples=["shop.example"])
    template: Text = Field(
        description="The address with `*` for all that was made for one recipient.",
        examples=["https://t.shop.example/o.gif?u=*"],
    )
    operator: Text = Field(description="Who runs it; empty where nobody knows.", examples=["Mailchimp"])
    kind: str = Field(description="What it mainly tells its operator.", examples=["open"])
    vector: str = Field(description="Where in messages it stands.", examples=["img"])
    risk: Risk = Field(description="What it alone gives away.", examples=["medium"])
    first_at: Moment = Field(description="When it was first met.")
    last_at: Moment = Field(description="When it was last met.")
    messages: int = Field(ge=0, description="In how many messages.", examples=[41])
    references: int = Field(ge=0, description="How often.", examples=[41])
    people: int = Field(ge=0, description="How many people it was aimed at.", examples=[17])
    example: str = Field(description="A message with it.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    evidence: Text = Field(description="By what the operator is known.", examples=["host list-manage.com"])


class SharedBy(Answer):
    """Something that a host has in common with others; what very many have serves everybody and tells nothing."""

    role: str = Field(description="What it is.", examples=["certificate"])
    value: Text = Field(description="Which.", examples=["ns1.spy.example"])
    hosts: list[Text] = Field(
        description="The other hosts, where they are few.", examples=[["px.other.example"]]
    )
    total: int = Field(ge=0, description="How many other hosts.", examples=[1])


class Infrastructure(Answer):
    """What lies behind a tracker's host; host names made for one recipient are `*`."""

    host: Text = Field(description="The host.", examples=["*.spy.example"])
    canonical_names: list[Text] = Field(
        description="What it is an alias for.", examples=[["edge.hosting.example"]]
    )
    name_servers: list[Text] = Field(
        description="The name servers of its domain.", examples=[["ns1.spy.example"]]
    )
    addresses: list[Text] = Field(description="Its addresses.", examples=[["198.51.100.7"]])
    certificate: str = Field(description="SHA-256 of its certificate.", examples=["9f86d081884c7d65"])
    header_order: str = Field(
        description="Digest of the order of header fields.", examples=["5d41402abc4b2a76"]
    )
    body: str = Field(description="Digest of the content.", examples=["7d793037a0760186"])
    tooling: Tooling = Field(description="Whether it was bought of a vendor or built.", examples=["built"])
    owner: Text = Field(description="Whose it is, as far as is known.", examples=["spy.example"])
    customer: Text = Field(description="For whom a vendor's tracker reports.", examples=["shop.example"])
    confidence: float = Field(ge=0, le=1, description="How sure that is.", examples=[0.7])
    fingerprint: str = Field(
        description="By what built tracking is found again.", examples=["a4c1b2d3e4f50617"]
    )
    because: list[Text] = Field(
        description="What speaks for it.", examples=[["no vendor is known to run it"]]
    )
    alike: list[SharedBy] = Field(description="What it has in common with other hosts.")


class Operator(Answer):
    """Who runs trackers, as it was met."""

    name: Text = Field(description="The name.", examples=["Mailchimp"])
    owner: Text = Field(description="The company behind it.", examples=["Intuit"])
    category: str = Field(description="What kind of company.", examples=["marketing"])
    first_at: Moment = Field(description="When it was first met.")
    last_at: Moment = Field(description="When it was last met.")
    messages: int = Field(ge=0, description="In how many messages.", examples=[410])
    references: int = Field(ge=0, description="How many references.", examples=[902])
    trackers: int = Field(ge=0, description="How many trackers.", examples=[7])
    people: int = Field(ge=0, description="How many people they were aimed at.", examples=[120])


def tracker(found: TrackerRecord) -> Tracker:
    """Return a tracker as it is answered."""
    return Tracker(
        id=found.identifier,
        host=found.host,
        domain=found.domain,
        template=found.template,
        operator=found.operator,
        kind=found.kind,
        vector=found.vector,
        risk=Risk(found.risk),
        first_at=moment(found.first_at),
        last_at=moment(found.last_at),
        messages=found.messages,
        references=found.references,
        people=found.people,
        example=found.example,
        evidence=found.evidence,
    )


def operator(found: OperatorLine) -> Operator:
    """Return an operator as it is answered."""
    return Operator(
        name=found.name,
        owner=found.owner,
        category=found.category,
        first_at=moment(found.first_at),
        last_at=moment(found.last_at),
        messages=found.messages,
        references=found.references,
        trackers=found.trackers,
        people=found.people,
    )


@resource.get("/trackers", Permission.TRACKERS_READ, Part[Tracker], is_list=True)
async def list_trackers(
    asked: Asking,
    *,
    text: Annotated[Words, Query(description="With this in host or template.")] = "",
    operator: Annotated[Words, Query(description="Run by this operator.")] = "",
    domain: Annotated[Words, Query(description="At this registrable domain.")] = "",
    kind: Annotated[Kind | None, Query(description="That mainly tell this.")] = None,
    since: Annotated[Moment | None, Query(description="Met at this time or later.")] = None,
    order: Annotated[
        Literal["last", "first", "messages", "people"],
        Query(description="Last met first, first met last, or by how many messages or people."),
    ] = "last",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[Tracker]:
    """List trackers.

    In the chosen order. All filters have to hold; one that is empty holds for every tracker.
    """
    query = TrackerQuery(text, operator, domain, str(kind or ""), seconds(since), order)
    part = cut(limit, cursor)
    page = await use.trackers(asked.room, asked.actor, query, part)
    return Part[Tracker](items=[tracker(each) for each in page.items], next=asked.listed(page, part))


@resource.get("/trackers/{tracker_id}", Permission.TRACKERS_READ, Tracker)
async def get_tracker(asked: Asking, tracker_id: Identifier) -> Tracker:
    """Get a tracker."""
    return tracker(await use.tracker(asked.room, asked.actor, tracker_id))


@resource.get("/trackers/{tracker_id}/infrastructure", Permission.TRACKERS_READ, Infrastructure)
async def get_infrastructure(asked: Asking, tracker_id: Identifier) -> Infrastructure:
    """Get what lies behind a tracker's host.

    As its one fetch showed it; empty where nothing is known.
    """
    found = await use.tracker(asked.room, asked.actor, tracker_id)
    behind = await use.behind(asked.room, asked.actor, found)
    facts = behind.facts or InfrastructureFacts(found.host)
    whose = behind.attribution or Attribution()
    return Infrastructure(
        host=found.host,
        canonical_names=list(facts.canonical_names),
        name_servers=list(facts.name_servers),
        addresses=list(facts.addresses),
        certificate=facts.certificate,
        header_order=facts.header_order,
        body=facts.body,
        tooling=whose.tooling,
        owner=whose.operator or whose.owner,
        customer=whose.customer,
        confidence=whose.confidence,
        fingerprint=whose.fingerprint,
        because=list(whose.evidence),
        alike=[
            SharedBy(role=str(each.role), value=each.value, hosts=list(each.hosts), total=each.total)
            for each in behind.alike
        ],
    )


@resource.get("/operators", Permission.TRACKERS_READ, Part[Operator], is_list=True)
async def list_operators(
    asked: Asking,
    *,
    since: Annotated[Moment | None, Query(description="Met at this time or later.")] = None,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[Operator]:
    """List operators.

    The most frequent first.
    """
    part = cut(limit, cursor)
    page = await use.operators(asked.room, asked.actor, seconds(since), part)
    return Part[Operator](items=[operator(each) for each in page.items], next=asked.listed(page, part))


@resource.get("/operators/{name}", Permission.TRACKERS_READ, Operator)
async def get_operator(
    asked: Asking,
    name: Annotated[
        str,
        Path(
            min_length=1,
            max_length=200,
            pattern=r"^[^\x00-\x1f\x7f/]+$",
            description="The operator's name.",
            examples=["Mailchimp"],
        ),
    ],
) -> Operator:
    """Get an operator."""
    return operator(await use.operator(asked.room, asked.actor, name))
