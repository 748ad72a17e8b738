"""Originals: messages as they came in, where they are kept, for those who have leave to read one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Response
from pydantic import BeforeValidator, Field

from mailveil.control import originals as use
from mailveil.control.access import Permission
from mailveil.control.records import ReleaseGrant
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Resource
from mailveil.endpoints.web.api.parameters import NO_NUL, Identifier, Moment, Text, exact, moment
from mailveil.endpoints.web.api.resources.models import Answer, Part, Request

resource = Resource(
    "originals",
    "Messages as they came in. They are kept only where that is switched on, encrypted and for some days; to read one "
    "takes leave with a reason, for a time, and each reading is on record.",
)


class Release(Answer):
    """Leave to read the original of a message."""

    id: str = Field(description="The identifier.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    message: str = Field(description="Of which message.", examples=["019a2b3c4d5e0123456789abcdef0123"])
    reason: Text = Field(description="Why.", examples=["The invoice is missing"])
    granted_by: Text = Field(description="Who gave it.", examples=["anna"])
    granted_at: Moment = Field(description="When.")
    expires_at: Moment = Field(description="When it ends.")


class ReleaseOrder(Request):
    """Leave to be given."""

    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)] = Field(
        description="Why.", examples=["The invoice is missing"]
    )
    hours: Annotated[int, Field(ge=1, le=int(use.MAX_HOURS)), BeforeValidator(exact)] = Field(
        default=24, description="For how many hours.", examples=[24]
    )


def release(grant: ReleaseGrant) -> Release:
    """Return leave as it is answered."""
    return Release(
        id=grant.identifier,
        message=grant.message,
        reason=grant.reason,
        granted_by=grant.granted_by,
        granted_at=moment(grant.granted_at),
        expires_at=moment(grant.expires_at),
    )


@resource.get("/messages/{message}/releases", Permission.ORIGINALS_READ, Part[Release])
async def list_releases(asked: Asking, message: Identifier) -> Part[Release]:
    """List the leave to read an original.

    What holds now.
    """
    found = await use.leave_to_read(asked.room, asked.actor, message)
    return Part[Release](items=[release(each) for each in found])


@resource.post(
    "/messages/{message}/releases", Permission.ORIGINALS_RELEASE, Release, status=201, body=Body.JSON
)
async def release_original(asked: Asking, message: Identifier, order: ReleaseOrder) -> Release:
    """Give leave to read an original."""
    return release(
        await use.grant_release(asked.room, asked.actor, message, order.reason, float(order.hours))
    )


@resource.get(
    "/messages/{message}/original", Permission.ORIGINALS_READ, None, media_type="message/rfc822", leave=True
)
async def get_original(asked: Asking, message: Identifier) -> Response:
    """Get the original of a message.

    As it came in, byte for byte. 403 without leave that holds now; each reading is on record.
    """
    raw = await use.read_original(asked.room, asked.actor, message)
    return Response(raw, media_type="message/rfc822")
