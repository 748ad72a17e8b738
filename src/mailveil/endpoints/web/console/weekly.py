"""Weekly: the report of a week as a page, and as files to take away."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TypeVar

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError
from mailveil.control.weekly import weekly_report
from mailveil.control.weeklyreport import WeeklyReport
from mailveil.control.weeks import Week, read_week, week_at
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.weekly import Form, Table, write_report
from mailveil.endpoints.web.weekly.shown import shown

pages = Pages()
Choice = TypeVar("Choice", bound=StrEnum)


@pages.get("/weekly", Permission.STATISTICS_READ)
async def weekly(visit: Visit) -> Response:
    """Show a week: the one under way unless another is asked for."""
    report = await _report(visit)
    week, this = report.week, week_at(visit.room.clock.now())
    return visit.page(
        "weekly.html",
        shown=shown(report),
        earlier=str(week.plus(-1)),
        later=str(week.plus(1)) if week < this else "",
        asked={"week": str(week), "people": "yes" if report.with_people else ""},
    )


@pages.get("/weekly/file", Permission.STATISTICS_READ)
async def file(visit: Visit) -> Response:
    """Give the report of a week as a file."""
    form = _choice(Form, visit.query("format", Form.PDF), "format")
    table = _choice(Table, visit.query("table", Table.DAYS), "table")
    report = await _report(visit)
    made = await asyncio.to_thread(write_report, report, form, table)
    headers = {
        **visit.console.rendering.headers(),
        "Content-Disposition": f'attachment; filename="{made.name}"',
    }
    return Response(made.body, media_type=made.media_type, headers=headers)


async def _report(visit: Visit) -> WeeklyReport:
    return await weekly_report(
        visit.room, visit.actor, _week(visit), with_people=visit.query("people") == "yes"
    )


def _week(visit: Visit) -> Week:
    asked = visit.query("week")
    if not asked:
        return week_at(visit.room.clock.now())
    try:
        return read_week(asked)
    except ValueError as error:
        raise InvalidError(str(error), "week") from error


def _choice(kind: type[Choice], text: str, name: str) -> Choice:
    try:
        return kind(text)
    except ValueError as error:
        known = ", ".join(str(each) for each in kind)
        raise InvalidError(f"there is no {name} of this name; there are {known}", name) from error
