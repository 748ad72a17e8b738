"""People: what is kept of one reader. Addresses come in bodies, since URLs end up in logs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mailveil.control import people as use
from mailveil.control.access import Permission
from mailveil.endpoints.web.api.asking import Asking
from mailveil.endpoints.web.api.operations import Body, Resource
from mailveil.endpoints.web.api.parameters import NO_NUL, Text, cleaned
from mailveil.endpoints.web.api.resources.models import Answer, Removed, Request

resource = Resource(
    "people", "Everything that is kept of one reader, told or deleted. What they opened is not known."
)


class Person(Request):
    """Whom it is about."""

    address: Annotated[str, Field(min_length=1, max_length=320, pattern=NO_NUL)] = Field(
        description="An address, or the pseudonym that records show.", examples=["ann@example.org"]
    )


class Export(Answer):
    """Everything that is kept of somebody."""

    person: Text = Field(description="Whom.", examples=["ann@example.org"])
    records: dict[str, list[dict[str, Any]]] = Field(
        description="The records by kind.", examples=[{"messages": [{"subject": "Spring sale"}]}]
    )


@resource.post("/people/export", Permission.PEOPLE_EXPORT, Export, body=Body.JSON)
async def export_person(asked: Asking, person: Person) -> Export:
    """Export what is kept of a person.

    The audit trail tells that it was asked for, not of whom.
    """
    found = await use.export_person(asked.room, asked.actor, person.address)
    records = {kind: [cleaned(dict(each)) for each in some] for kind, some in found.records.items()}
    return Export(person=found.person, records=records)


@resource.post("/people/erase", Permission.PEOPLE_ERASE, Removed, body=Body.JSON)
async def erase_person(asked: Asking, person: Person) -> Removed:
    """Erase what is kept of a person.

    In this organisation, for good, originals of messages that nobody else got included; figures stay. The audit trail
    tells that it was done, not to whom.
    """
    erased = await use.erase_person(asked.room, asked.actor, person.address)
    return Removed(removed=erased.records + erased.originals)
