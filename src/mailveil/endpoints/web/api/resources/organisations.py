"""Organisations: which there are, and whose mail is whose."""

from __future__ import annotations

from typing import Annotated

from fastapi import Response
from pydantic import Field

from mailveil.control import organisations as use
from mailveil.control.access import Permission
from mailveil.control.records import Organisation as OrganisationRecord
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Match, Resource
from mailveil.endpoints.web.api.parameters import NO_NUL, Identifier, Moment, Text, moment
from mailveil.endpoints.web.api.resources.models import Answer, Part, Request

resource = Resource(
    "organisations",
    "People with mail domains of their own, kept strictly apart. To change them takes a token of all organisations.",
)

LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
Domain = Annotated[str, Field(max_length=253, pattern=rf"^{LABEL}(?:\.{LABEL})+$")]  # by its A-labels
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}$")]


class Organisation(Answer):
    """An organisation."""

    id: str = Field(description="The identifier.", examples=["acme"])
    name: Text = Field(description="Its name for people.", examples=["Acme"])
    domains: list[Text] = Field(description="Whose mail it gets.", examples=[["acme.example"]])
    language: str = Field(description="The language of its readers (BCP 47).", examples=["en"])
    created_at: Moment = Field(description="When it was made.")


class OrganisationState(Request):
    """What an organisation is to be."""

    name: Name = Field(description="Its name for people.", examples=["Acme"])
    domains: list[Domain] = Field(
        max_length=1000, description="Whose mail it gets.", examples=[["acme.example"]]
    )
    language: Language = Field(description="The language of its readers (BCP 47).", examples=["en"])


class OrganisationOrder(OrganisationState):
    """An organisation to be made."""

    id: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9-]*$")] = Field(
        description="The identifier, for ever.", examples=["acme"]
    )


def organisation(record: OrganisationRecord) -> Organisation:
    """Return an organisation as it is answered."""
    return Organisation(
        id=record.identifier,
        name=record.name,
        domains=list(record.domains),
        language=record.language,
        created_at=moment(record.created_at),
    )


@resource.get("/organisations", Permission.ORGANISATIONS_READ, Part[Organisation])
async def list_organisations(asked: Asking) -> Part[Organisation]:
    """List organisations.

    The token's own, or all of them. There are never so many that they come in parts.
    """
    found = await use.list_organisations(asked.room, asked.actor)
    return Part[Organisation](items=[organisation(each) for each in found])


@resource.post(
    "/organisations",
    Permission.ORGANISATIONS_WRITE,
    Organisation,
    status=201,
    body=Body.JSON,
    everywhere=True,
    has_location=True,
)
async def make_organisation(asked: Asking, order: OrganisationOrder) -> Organisation:
    """Make an organisation."""
    made = await use.make_organisation(
        asked.room, asked.actor, order.id, order.name, domains=order.domains, language=order.language
    )
    asked.located("organisations", made.identifier)
    return organisation(made)


@resource.get("/organisations/{organisation_id}", Permission.ORGANISATIONS_READ, Organisation)
async def get_organisation(asked: Asking, organisation_id: Identifier) -> Organisation:
    """Get an organisation."""
    return organisation(await use.read_organisation(asked.room, asked.actor, organisation_id))


@resource.put(
    "/organisations/{organisation_id}",
    Permission.ORGANISATIONS_WRITE,
    Organisation,
    body=Body.JSON,
    match=Match.MUST,
    everywhere=True,
    also=(Permission.ORGANISATIONS_READ,),
)
async def change_organisation(
    asked: Asking, organisation_id: Identifier, state: OrganisationState
) -> Organisation:
    """Change an organisation.

    `If-Match` has to name the state that was seen, so that nobody overwrites what somebody else has changed meanwhile.
    """
    changed = await use.change_organisation(
        asked.room,
        asked.actor,
        organisation_id,
        name=state.name,
        domains=state.domains,
        language=state.language,
    )
    return organisation(changed)


@resource.delete(
    "/organisations/{organisation_id}",
    Permission.ORGANISATIONS_WRITE,
    None,
    status=204,
    match=Match.MUST,
    everywhere=True,
    also=(Permission.ORGANISATIONS_READ,),
)
async def remove_organisation(asked: Asking, organisation_id: Identifier) -> Response:
    """Delete an organisation.

    With everything that is kept of it and everybody at home in it; only its audit trail stays. `If-Match` has to name
    the state that was seen. The organisation `default` stays.
    """
    await use.remove_organisation(asked.room, asked.actor, organisation_id, organisation_id)
    return Response(status_code=204)
