"""Audit: who did what."""

from __future__ import annotations

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.auditing import audit_trail
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()


@pages.get("/audit", Permission.AUDIT_READ)
async def trail(visit: Visit) -> Response:
    """List what was done in the organisation, newest first."""
    filters = {name: visit.query(name).strip() for name in ("action", "by", "subject")}
    page = await audit_trail(
        visit.room,
        visit.actor,
        visit.cut(),
        action=filters["action"],
        by=filters["by"],
        subject=filters["subject"],
    )
    return visit.page("audit.html", entries=page, filters=filters)
