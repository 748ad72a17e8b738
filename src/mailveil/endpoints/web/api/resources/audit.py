"""Audit: who did what."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from mailveil.control import auditing as use
from mailveil.control.access import ActorKind, Permission
from mailveil.control.records import AuditEntry as AuditRecord
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Resource
from mailveil.endpoints.web.api.parameters import Cursor, Limit, Moment, Text, Words, cut, moment
from mailveil.endpoints.web.api.resources.models import Answer, Part

resource = Resource(
    "audit", "Who changed what. Entries are only ever added, until their retention time ends."
)


class AuditEntry(Answer):
    """Something that somebody did."""

    id: str = Field(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    at: Moment = Field(description="When.")
    actor_kind: ActorKind = Field(description="How they came to do it.", examples=["token"])
    actor: Text = Field(description="Who.", examples=["siem"])
    action: Text = Field(description="What they did.", examples=["policy.change"])
    subject: Text = Field(description="To what.", examples=["7"])
    details: dict[str, Any] = Field(description="The details; no secrets.", examples=[{"comment": "pilot"}])
    address: Text = Field(description="The address of their client.", examples=["192.0.2.10"])


def entry(record: AuditRecord) -> AuditEntry:
    """Return an entry as it is answered."""
    return AuditEntry(
        id=record.identifier,
        at=moment(record.at),
        actor_kind=ActorKind(record.actor_kind),
        actor=record.actor,
        action=record.action,
        subject=record.subject,
        details={str(name): value for name, value in record.details.items()},
        address=record.address,
    )


@resource.get("/audit", Permission.AUDIT_READ, Part[AuditEntry], is_list=True)
async def list_audit(
    asked: Asking,
    *,
    action: Annotated[Words, Query(description="Only this action.")] = "",
    actor: Annotated[Words, Query(description="Only what they did.")] = "",
    subject: Annotated[Words, Query(description="Only what was done to it.")] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Part[AuditEntry]:
    """List who did what.

    Newest first.
    """
    part = cut(limit, cursor)
    page = await use.audit_trail(asked.room, asked.actor, part, action=action, by=actor, subject=subject)
    return Part[AuditEntry](items=[entry(each) for each in page.items], next=asked.listed(page, part))
