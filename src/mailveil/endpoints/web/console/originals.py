"""Originals: leave to read one, before and after in frames that can do nothing; reports by whoever looks at mail."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.feedback import report_by_analyst
from mailveil.control.originals import BeforeAfter, before_after, grant_release, read_original
from mailveil.control.records import FeedbackKind
from mailveil.endpoints.web.console.mailbox import preview_policy
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.visit import Visit
from mailveil.endpoints.web.guard import PAGE_HEADERS
from mailveil.endpoints.web.preview import Preview, read_preview

pages = Pages()
HELD_S = 300.0
MAX_HELD = 8
HOURS = (("1", "an hour"), ("24", "a day"), ("168", "a week"))
VIEWS = ("before", "after")


@dataclass(slots=True)
class HeldViews:
    """What a page has just been made of, for its two frames: to read it again would be another reading on record.

    Kept in memory for some minutes, for the very session that was shown the page.
    """

    _held: OrderedDict[tuple[str, str, str], tuple[float, dict[str, Preview]]] = field(
        default_factory=OrderedDict
    )

    def hold(self, visit: Visit, found: BeforeAfter) -> None:
        """Keep the views of a message for the frames of one page."""
        key = self._key(visit, found.message)
        views = {"before": read_preview(found.before), "after": read_preview(found.after)}
        self._held[key] = (visit.room.clock.now() + HELD_S, views)
        self._held.move_to_end(key)
        while len(self._held) > MAX_HELD:
            self._held.popitem(last=False)

    def take(self, visit: Visit, message: str, view: str) -> Preview:
        """Return one of them. Raises ``MissingError`` where it is held no more, or for somebody else."""
        until, views = self._held.get(self._key(visit, message), (0.0, {}))
        if until < visit.room.clock.now() or view not in views:
            raise MissingError
        return views[view]

    @staticmethod
    def _key(visit: Visit, message: str) -> tuple[str, str, str]:
        return visit.signed_in.session.digest, visit.actor.organisation, message


@pages.post("/messages/{identifier}/release", Permission.ORIGINALS_RELEASE)
async def release(visit: Visit) -> Response:
    """Give leave to read the original of a message."""
    identifier = visit.path("identifier")
    hours = visit.text("hours")
    try:
        await grant_release(
            visit.room,
            visit.actor,
            identifier,
            visit.text("reason"),
            float(hours) if hours in dict(HOURS) else 0,
        )
    except InvalidError as error:
        return visit.go(f"/messages/{identifier}#original", f"No leave was given: {error}.", "bad")
    return visit.go(f"/messages/{identifier}#original", "Leave to read the original is given.")


@pages.get("/messages/{identifier}/original", Permission.ORIGINALS_READ)
async def original(visit: Visit) -> Response:
    """Show a message before and after. It is on record that it was read."""
    await _kept(visit)
    found = await before_after(visit.room, visit.actor, visit.path("identifier"))
    visit.console.views.hold(visit, found)
    return visit.page("original.html", message=found.message, places=found.places, total=found.total)


async def _kept(visit: Visit) -> None:
    """Raise ``MissingError`` unless there is such a message of which the original was kept."""
    found = await visit.room.observations.message(visit.actor.organisation, visit.path("identifier"))
    if found is None or not found.original:
        raise MissingError


@pages.get("/messages/{identifier}/original/{view}", Permission.ORIGINALS_READ)
async def one_view(visit: Visit) -> Response:
    """Answer with one view of a message, for its frame, or with the source as text."""
    view = visit.path("view")
    if view == "source":
        await _kept(visit)
        raw = await read_original(visit.room, visit.actor, visit.path("identifier"))
        headers = {**PAGE_HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
        return Response(raw, media_type="text/plain; charset=utf-8", headers=headers)
    if view not in VIEWS:
        raise MissingError
    preview = visit.console.views.take(visit, visit.path("identifier"), view)
    kind = "text/html" if preview.is_html else "text/plain"
    headers = {
        **PAGE_HEADERS,
        "Content-Type": f"{kind}; charset={preview.charset}",
        "Content-Security-Policy": preview_policy(visit.facts.copies_url),
    }
    return Response(preview.document, headers=headers)


@pages.post("/messages/{identifier}/report", Permission.FEEDBACK_WRITE)
async def report(visit: Visit) -> Response:
    """Report a false alarm or a missed spy."""
    identifier = visit.path("identifier")
    try:
        kind = FeedbackKind(visit.text("kind"))
        await report_by_analyst(visit.room, visit.actor, identifier, kind, visit.text("text"))
    except ValueError as error:  # InvalidError is one
        words = str(error) if isinstance(error, InvalidError) else "Choose what is wrong."
        return visit.go(f"/messages/{identifier}#report", words, "bad")
    return visit.go(f"/messages/{identifier}", "The report is in the queue.")
