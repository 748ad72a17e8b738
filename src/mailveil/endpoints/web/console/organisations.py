"""Organisations: made, changed and removed by administrators of all of them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError
from mailveil.control.organisations import (
    change_organisation,
    make_organisation,
    parse_domains,
    read_organisation,
    remove_organisation,
    told_of_language,
)
from mailveil.control.records import DEFAULT_ORGANISATION, Organisation
from mailveil.control.stores import ConflictError
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()


@pages.get("/organisations", Permission.ORGANISATIONS_WRITE)
async def organisations(visit: Visit) -> Response:
    """List the organisations."""
    visit.actor.require_everywhere(Permission.ORGANISATIONS_WRITE)
    return visit.page("organisations.html")


@pages.post("/organisations", Permission.ORGANISATIONS_WRITE)
async def make(visit: Visit) -> Response:
    """Make an organisation."""
    try:
        made = await make_organisation(
            visit.room,
            visit.actor,
            visit.text("identifier"),
            visit.text("name"),
            domains=parse_domains(visit.text("domains")),
            language=visit.text("language", "en"),
        )
    except (InvalidError, ConflictError) as error:
        return visit.wrong("organisations.html", _wrong(error))
    return visit.go(f"/organisations/{made.identifier}", _with_language(f"{made.name} is there now.", made))


@pages.get("/organisations/{identifier}", Permission.ORGANISATIONS_WRITE)
async def organisation(visit: Visit) -> Response:
    """Show one organisation."""
    visit.actor.require_everywhere(Permission.ORGANISATIONS_WRITE)
    return visit.page("organisation.html", **await _organisation(visit))


@pages.post("/organisations/{identifier}", Permission.ORGANISATIONS_WRITE)
async def change(visit: Visit) -> Response:
    """Change an organisation."""
    try:
        changed = await change_organisation(
            visit.room,
            visit.actor,
            visit.path("identifier"),
            name=visit.text("name"),
            domains=parse_domains(visit.text("domains")),
            language=visit.text("language"),
        )
    except (InvalidError, ConflictError) as error:
        return visit.wrong("organisation.html", _wrong(error), **await _organisation(visit))
    return visit.go(
        f"/organisations/{changed.identifier}", _with_language(f"{changed.name} is changed.", changed)
    )


def _with_language(note: str, organisation: Organisation) -> str:
    return f"{note} {told_of_language(organisation)}".strip()


@pages.post("/organisations/{identifier}/remove", Permission.ORGANISATIONS_WRITE)
async def remove(visit: Visit) -> Response:
    """Remove an organisation with everything that is kept of it."""
    identifier = visit.path("identifier")
    if visit.actor.organisation == identifier == visit.text("typed"):  # sessions that look at it end with it
        await visit.console.signing_in.look_at(visit.signed_in, DEFAULT_ORGANISATION)
    try:
        removed = await remove_organisation(visit.room, visit.actor, identifier, visit.text("typed"))
    except InvalidError as error:
        return visit.wrong("organisation.html", error, **await _organisation(visit))
    return visit.go("/organisations", f"{removed.name} is removed, with everything that was kept of it.")


async def _organisation(visit: Visit) -> dict[str, Any]:
    found = await read_organisation(visit.room, visit.actor, visit.path("identifier"))
    return {"organisation": found, "stays": found.identifier == DEFAULT_ORGANISATION}


def _wrong(error: InvalidError | ConflictError) -> InvalidError:
    return error if isinstance(error, InvalidError) else InvalidError(f"{error}")
