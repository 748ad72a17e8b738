"""Allow-list: partners whose references stay, bound to who they prove to be."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from mailveil.control import allowing as use
from mailveil.control.access import Permission
from mailveil.control.records import AllowRecord
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Match, Resource
from mailveil.endpoints.web.api.parameters import (
    NO_NUL,
    Cursor,
    Flag,
    Identifier,
    Limit,
    Moment,
    Text,
    cut,
    moment,
    moment_or_none,
    seconds,
)
from mailveil.endpoints.web.api.resources.models import Answer, Part, Request

resource = Resource(
    "allow-list",
    "Partners whose references stay. An entry holds for who proves to be that author (DKIM or DMARC), never for who "
    "says so.",
)


class Allowed(Answer):
    """A partner who is trusted."""

    id: str = Field(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    author: Text = Field(
        description="A domain, `.domain` with all below it, or an address.", examples=["partner.example"]
    )
    hosts: list[Text] = Field(
        description="Only references at these names; empty: all.", examples=[[".cdn.example"]]
    )
    owner: Text = Field(description="Who answers for it.", examples=["Ann, purchasing"])
    reason: Text = Field(description="Why.", examples=["Orders are tracked by contract"])
    created_by: Text = Field(description="Who made it.", examples=["anna"])
    created_at: Moment = Field(description="When.")
    expires_at: Moment | None = Field(description="When it ends; null: when it is revoked.")
    revoked_at: Moment | None = Field(description="When it was revoked; null: it was not.")
    revoked_by: Text = Field(description="Who revoked it.", examples=[""])


class AllowOrder(Request):
    """A partner to be trusted."""

    author: Annotated[str, Field(min_length=1, max_length=320, pattern=NO_NUL)] = Field(
        description="A domain, `.domain` with all below it, or an address.", examples=["partner.example"]
    )
    hosts: list[Annotated[str, Field(max_length=255, pattern=NO_NUL)]] = Field(
        default=[],
        max_length=100,
        description="Only references at these names (`.domain` with all below it); empty: all.",
        examples=[["img.partner.example"]],
    )
    owner: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)] = Field(
        description="Who answers for it.", examples=["Ann, purchasing"]
    )
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)] = Field(
        description="Why.", examples=["Orders are tracked by contract"]
    )
    expires_at: Moment | None = Field(
        default=None, description="When it ends; null: when it is revoked.", examples=["2030-01-31T00:00:00Z"]
    )


class AllowChange(Request):
    """Until when an entry is to hold."""

    expires_at: Moment | None = Field(
        description="When it ends; null: when it is revoked.", examples=["2030-01-31T00:00:00Z"]
    )
    reason: Annotated[str, Field(max_length=500, pattern=NO_NUL)] = Field(
        default="", description="Why.", examples=["The contract goes on"]
    )


def allowed(record: AllowRecord) -> Allowed:
    """Return an entry as it is answered."""
    return Allowed(
        id=record.identifier,
        author=record.author,
        hosts=list(record.hosts),
        owner=record.owner,
        reason=record.reason,
        created_by=record.created_by,
        created_at=moment(record.created_at),
        expires_at=moment_or_none(record.expires_at),
        revoked_at=moment_or_none(record.revoked_at),
        revoked_by=record.revoked_by,
    )


@resource.get("/allowed", Permission.ALLOW_READ, Part[Allowed], is_list=True)
async def list_allowed(
    asked: Asking,
    *,
    all: Annotated[Flag, Query(description="Those that have ended, too.")] = False,  # noqa: A002 - a query's name
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[Allowed]:
    """List allowed partners.

    Newest first.
    """
    part = cut(limit, cursor)
    page = await use.list_allowed(asked.room, asked.actor, part, all_states=all)
    return Part[Allowed](items=[allowed(each) for each in page.items], next=asked.listed(page, part))


@resource.post("/allowed", Permission.ALLOW_WRITE, Allowed, status=201, body=Body.JSON, has_location=True)
async def allow_partner(asked: Asking, order: AllowOrder) -> Allowed:
    """Allow a partner."""
    made = await use.allow(
        asked.room,
        asked.actor,
        order.author,
        owner=order.owner,
        reason=order.reason,
        hosts=order.hosts,
        expires_at=seconds(order.expires_at),
    )
    asked.located("allowed", made.identifier)
    return allowed(made)


@resource.get("/allowed/{entry_id}", Permission.ALLOW_READ, Allowed)
async def get_allowed(asked: Asking, entry_id: Identifier) -> Allowed:
    """Get an entry of the allow-list."""
    return allowed(await use.read_allowed(asked.room, asked.actor, entry_id))


@resource.patch(
    "/allowed/{entry_id}",
    Permission.ALLOW_WRITE,
    Allowed,
    body=Body.JSON,
    match=Match.MAY,
    also=(Permission.ALLOW_READ,),
)
async def extend_allowed(asked: Asking, entry_id: Identifier, change: AllowChange) -> Allowed:
    """Change until when an entry holds."""
    changed = await use.extend_allowed(
        asked.room, asked.actor, entry_id, seconds(change.expires_at), reason=change.reason
    )
    return allowed(changed)


@resource.delete("/allowed/{entry_id}", Permission.ALLOW_WRITE, Allowed)
async def revoke_allowed(asked: Asking, entry_id: Identifier) -> Allowed:
    """Revoke an entry.

    It holds no more, and stays on record. Twice is no error.
    """
    return allowed(await use.revoke_allowed(asked.room, asked.actor, entry_id))
