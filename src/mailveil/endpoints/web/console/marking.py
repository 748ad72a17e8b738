"""Marking: people of whom the organisation says that they weigh more, and what they do."""

from __future__ import annotations

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.activities import mark_person, marked_people
from mailveil.control.failures import InvalidError
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()
HINT = "As it receives mail here."
PSEUDONYM_HINT = "Type the address; what is kept is the pseudonym under which records know it."


@pages.get("/people/marked", Permission.ACTIVITIES_READ)
async def marked(visit: Visit) -> Response:
    """Show whom the organisation says something of."""
    return await _page(visit)


@pages.post("/people/marked", Permission.ACTIVITIES_WRITE)
async def mark(visit: Visit) -> Response:
    """Say something of somebody; with neither function nor value, nothing any more."""
    function, is_high_value = visit.text("function"), visit.is_ticked("high_value")
    try:
        await mark_person(
            visit.room, visit.actor, visit.text("person"), function=function, is_high_value=is_high_value
        )
    except InvalidError as error:
        return await _page(visit, error)
    is_marked = function or is_high_value
    return visit.go("/people/marked", "Marked." if is_marked else "Marked no more.")


async def _page(visit: Visit, error: InvalidError | None = None) -> Response:
    people = await marked_people(visit.room, visit.actor)
    return visit.page(
        "marked.html",
        422 if error else 200,
        marked=sorted(people, key=lambda each: (not each.is_high_value, each.function, each.person)),
        may_write=visit.actor.may(Permission.ACTIVITIES_WRITE),
        person_hint=PSEUDONYM_HINT if visit.room.privacy.are_pseudonyms else HINT,
        errors={"function" if error.field == "function" else "person": str(error)} if error else {},
        filled={
            "person": visit.text("person"),
            "function": visit.text("function"),
            "high_value": visit.is_ticked("high_value"),
        },
    )
