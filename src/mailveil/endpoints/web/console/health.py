"""Health: how everything that mailveil needs is doing, and what to do where it is not doing well."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.health import Condition, Measure, worst
from mailveil.endpoints.web.console.overview import alarms_of, health_of
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()
AREAS = {
    "mail": "Mail",
    "copies": "Copies for readers",
    "fetching": "Fetching",
    "storage": "Storage",
    "knowledge": "What verdicts rest on",
    "certificates": "Certificates",
    "sharing": "Sharing with others",
}
SUMMARIES = {
    Condition.OK: ("good", "Everything that was looked at is well."),
    Condition.WARN: ("plain", "It works, and something should be looked after."),
    Condition.BAD: ("bad", "Something does not work."),
}
CONDITION_WORDS = {
    Condition.OK: "well",
    Condition.WARN: "look",
    Condition.BAD: "broken",
    Condition.OFF: "off",
}


@pages.get("/health", Permission.HEALTH_READ)
async def health(visit: Visit) -> Response:
    """Look at everything now, and show how it is doing."""
    measures = await health_of(visit, anew=True)
    alarms = await alarms_of(visit)
    condition = Condition.BAD if alarms else worst(measures)
    tone, summary = SUMMARIES[condition if condition in SUMMARIES else Condition.OK]
    return visit.page(
        "health.html",
        areas=by_area(measures),
        alarms=alarms,
        tone=tone,
        summary=summary if measures or alarms else "Nothing is looked at in this process.",
        words=CONDITION_WORDS,
    )


def by_area(measures: Sequence[Measure]) -> list[tuple[str, list[Measure]]]:
    """Return measures by what they belong to, in the order of the page; others under their own name at the end."""
    found: dict[str, list[Measure]] = {name: [] for name in AREAS}
    for each in measures:
        found.setdefault(each.area, []).append(each)
    return [(AREAS.get(name, name.title()), each) for name, each in found.items() if each]
