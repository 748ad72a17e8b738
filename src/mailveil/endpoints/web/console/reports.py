"""Reports: what readers told about messages, and what is decided about it. Who reported is not known to anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError
from mailveil.control.feedback import MAX_NOTE, decide_report, list_reports, read_report
from mailveil.control.records import Feedback, FeedbackKind, FeedbackState
from mailveil.core.observation import Observation
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()
KIND_WORDS = {
    FeedbackKind.FALSE_ALARM: "a false alarm",
    FeedbackKind.MISSED: "a spy that was missed",
    FeedbackKind.OTHER: "something else",
}
STATE_WORDS = {
    FeedbackState.OPEN: "open",
    FeedbackState.CONFIRMED: "confirmed",
    FeedbackState.REJECTED: "rejected",
}
TABS = (("open", "Open"), ("confirmed", "Confirmed"), ("rejected", "Rejected"), ("all", "All"))
CHANNEL_WORDS = {"link": "by the link in a banner", "mail": "by mail", "console": "in this console"}


@pages.get("/reports", Permission.FEEDBACK_READ)
async def report_list(visit: Visit) -> Response:
    """Show the queue of reports."""
    shown = visit.query("state", "open")
    shown = shown if shown in dict(TABS) else "open"
    state = None if shown == "all" else FeedbackState(shown)
    page = await list_reports(visit.room, visit.actor, visit.cut(), state=state)
    return visit.page(
        "reports.html",
        page=page,
        shown=shown,
        tabs=TABS,
        kinds=KIND_WORDS,
        states=STATE_WORDS,
        channels=CHANNEL_WORDS,
        subjects=await _subjects(visit, page.items),
    )


@pages.get("/reports/{identifier}", Permission.FEEDBACK_READ)
async def one_report(visit: Visit) -> Response:
    """Show one report with the message that it is about."""
    return await _report_page(visit)


@pages.post("/reports/{identifier}", Permission.FEEDBACK_WRITE)
async def decide(visit: Visit) -> Response:
    """Decide about a report."""
    try:
        state = FeedbackState(visit.text("state"))
    except ValueError:
        return await _report_page(visit, InvalidError("Choose what you decide.", "state"))
    try:
        await decide_report(visit.room, visit.actor, visit.path("identifier"), state, visit.text("note"))
    except InvalidError as error:
        return await _report_page(visit, error)
    return visit.go("/reports", f"The report is {STATE_WORDS[state]}.")


async def _report_page(visit: Visit, error: InvalidError | None = None) -> Response:
    found = await read_report(visit.room, visit.actor, visit.path("identifier"))
    errors = {error.field: str(error)} if error else {}
    return visit.page(
        "report.html",
        422 if error else 200,
        report=found,
        message=await _message(visit, found.message),
        kinds=KIND_WORDS,
        states=STATE_WORDS,
        channels=CHANNEL_WORDS,
        errors=errors,
        note_text=visit.text("note") if error else found.note,
        max_note=MAX_NOTE,
    )


async def _message(visit: Visit, identifier: str) -> Observation | None:
    if not identifier or not visit.actor.may(Permission.MESSAGES_READ):
        return None
    return await visit.room.observations.message(visit.actor.organisation, identifier)


async def _subjects(visit: Visit, reports: Sequence[Feedback]) -> Mapping[str, str]:
    """Return the subjects of the messages that reports are about, as far as they are kept."""
    if not visit.actor.may(Permission.MESSAGES_READ):
        return {}
    identifiers = {each.message for each in reports}
    return await visit.room.observations.subjects(visit.actor.organisation, identifiers)
