"""Intelligence: what an organisation found out, in the languages of other systems. Nobody's people are in it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import Field, StringConstraints

from mailveil.control import exporting as use
from mailveil.control.access import Permission
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Resource
from mailveil.endpoints.web.api.resources.models import Answer

resource = Resource(
    "intelligence",
    "What an organisation found out about who spies on it, in the languages of other systems. It names no people, and "
    "what serves everybody, such as a vendor, is no indicator. TAXII is at `/taxii2/`, the feed for MISP at "
    "`/misp/feed/`.",
)

STIX = "application/stix+json"
AskedActivity = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.-]{0,64}$"),
    Query(
        description="Of this activity alone. Left out: everything that was published.",
        examples=["019a2b3c4d5e0123456789abcdef0123"],
    ),
]
_EVENT = {
    "Event": {"uuid": "8e03978e-40d5-53dd-bc93-6894a57f9324", "info": "Reconnaissance by mail: a.example"}
}


class MispEvents(Answer):
    """Events in MISP's core format."""

    events: list[dict[str, Any]] = Field(description="The events.", examples=[[_EVENT]])


@resource.get(
    "/intelligence/stix",
    Permission.INTELLIGENCE_READ,
    None,
    media_type=STIX,
    example={"type": "bundle", "id": "bundle--8e03978e-40d5-53dd-bc93-6894a57f9324", "objects": []},
)
async def get_stix_bundle(asked: Asking, activity: AskedActivity = "") -> Response:
    """Get a bundle of STIX 2.1.

    With `activity`, of that activity as it stands now.
    """
    if activity:
        made = await use.stix_bundle(asked.room, asked.actor, activity)
    else:
        made = await use.stix_collections(asked.room, asked.actor)
    return Response(json.dumps(made).encode("ascii"), media_type=STIX)


@resource.get("/intelligence/misp", Permission.INTELLIGENCE_READ, MispEvents)
async def get_misp_events(asked: Asking, activity: AskedActivity = "") -> MispEvents:
    """Get events for a MISP.

    With `activity`, that of this activity as it stands now.
    """
    if activity:
        return MispEvents(events=[await use.misp_document(asked.room, asked.actor, activity)])
    return MispEvents(events=await use.misp_collection(asked.room, asked.actor))


@resource.get(
    "/intelligence/filter-list",
    Permission.INTELLIGENCE_READ,
    None,
    media_type="text/plain",
    example="[Adblock Plus 2.0]\n! Title: Trackers that mailveil learned (Acme)\n",
)
async def get_filter_list(asked: Asking) -> Response:
    """Get the trackers that were learned as a filter list.

    In the syntax of Adblock Plus; known vendors are left to other lists.
    """
    return Response(await use.learned_list(asked.room, asked.actor), media_type="text/plain")
