"""Campaigns: what senders sent of one make in one stretch of time, and what it is."""

from __future__ import annotations

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.activities import campaigns
from mailveil.core.intelligence.types import Nature
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.trackers import operators_with_pages
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.console.watching import warm_up

pages = Pages()
NATURES = (
    ("", "All"),
    (str(Nature.TARGETED), "Targeted"),
    (str(Nature.BULK), "Mailings"),
    (str(Nature.PERSONAL), "Letters"),
    (str(Nature.UNKNOWN), "Unknown"),
)


@pages.get("/campaigns", Permission.ACTIVITIES_READ)
async def campaign_list(visit: Visit) -> Response:
    """Show campaigns, the latest first."""
    nature = visit.query("nature")
    nature = nature if nature in dict(NATURES) else ""
    sender = visit.query("sender").strip().lower()
    page = await campaigns(
        visit.room,
        visit.actor,
        visit.cut(),
        nature=Nature(nature) if nature else None,
        sender_domain=sender,
    )
    return visit.page(
        "campaigns.html",
        page=page,
        asked={"nature": nature, "sender": sender},
        tabs=[
            {
                "name": title,
                "href": f"/campaigns?nature={key}" if key else "/campaigns",
                "here": key == nature,
            }
            for key, title in NATURES
        ],
        with_pages=await operators_with_pages(visit, (each.operator for each in page.items)),
        may_read=visit.actor.may(Permission.MESSAGES_READ),
        warm_up="" if page.items else await warm_up(visit),
    )
