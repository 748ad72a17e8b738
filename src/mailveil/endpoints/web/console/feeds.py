"""Feeds: whose indicators are taken in, how that goes, and what each told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError
from mailveil.control.feeds import (
    FeedOrder,
    FeedView,
    change_feed,
    list_feeds,
    list_indicators,
    make_feed,
    read_now,
    remove_feed,
    show_feed,
)
from mailveil.control.sharingrecords import FeedKind
from mailveil.control.stores import ConflictError
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.sharingforms import CA, PLAIN, Option, errors_of, given_of, options_of
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()
HERE = "/sharing/feeds/{identifier}"
MOST_INDICATORS = 50
_ACCOUNT = (
    Option("username", "User name", "Where it asks for a name with the secret as password."),
    Option(
        "header", "Header field of the secret", "Where it asks for a field of its own, such as X-API-Key."
    ),
)
_PACE = (
    Option("minutes", "Read every … minutes", "From 5 on; empty: 60.", "whole"),
    Option("least_confidence", "Least confidence", "0 to 100; what they are less sure of is left out.", "whole"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeedForm:
    """What the form of a kind of feed is like."""

    kind: FeedKind
    title: str
    purpose: str
    example: str
    secret: str
    options: tuple[Option, ...]

    @property
    def places(self) -> tuple[str, ...]:
        """The names of the fields that are folded away."""
        return ("options", *(f"option-{each.name}" for each in self.options))


FORMS: Mapping[FeedKind, FeedForm] = {
    FeedKind.TAXII: FeedForm(
        FeedKind.TAXII, "TAXII 2.1", "Collections of a TAXII server, such as that of a CERT or of another mailveil.",
        "https://taxii.example.org/taxii2/", "Password or token",
        (
            Option("api_root", "API root", "Empty: the default one."),
            Option("collection", "Collection", "Its identifier or title; empty: all that may be read."),
            *_ACCOUNT, *_PACE, CA, PLAIN,
        ),
    ),
    FeedKind.MISP: FeedForm(
        FeedKind.MISP, "MISP", "A feed in MISP’s format, or a MISP server.", "https://misp.example.org/feed/",
        "API key or password", (*_ACCOUNT, *_PACE, CA, PLAIN),
    ),
}  # fmt: skip

FIGURE_WORDS = {
    "taken": "Taken",
    "withdrawn": "Withdrawn by whoever told them",
    "skipped:own-domain": "Passed over: your own domain",
    "skipped:serves-everybody": "Passed over: serves everybody",
    "skipped:public-suffix": "Passed over: a whole top-level domain",
    "skipped:no-address": "Passed over: no address",
    "skipped:over": "Passed over: held no more",
    "skipped:unsure": "Passed over: less sure than wanted",
    "skipped:too-many": "Passed over: too many",
    "skipped:other-object": "Passed over: of another kind",
}


async def feeds_of(visit: Visit) -> Sequence[FeedView]:
    """Return the feeds of the organisation, for the page that shows all of sharing."""
    return () if visit.room.feeds is None else await list_feeds(visit.room, visit.actor)


def state_of(view: FeedView) -> tuple[str, str]:
    """Return the tone and the words for how a feed is doing."""
    feed = view.feed
    if feed.is_secret_lost:
        return "bad", "secret lost"
    if not feed.is_enabled:
        return "", "paused"
    if feed.problem:
        return "bad", "cannot be read"
    return ("good", "works") if feed.read_at else ("", "not read yet")


@pages.get("/sharing/feeds/new", Permission.SHARING_WRITE)
async def new_feed(visit: Visit) -> Response:
    """Show the form for a feed of a kind."""
    form = FORMS.get(_kind(visit.query("kind")))
    if form is None:
        return visit.go("/sharing")
    return _form_page(visit, form, {})


def _kind(text: str) -> Any:
    return next((each for each in FeedKind if each == text), None)


def _form_page(
    visit: Visit, form: FeedForm, filled: Mapping[str, Any], errors: Mapping[str, str] | None = None
) -> Response:
    return visit.page("feed_new.html", 422 if errors else 200, form=form, filled=filled, errors=errors or {})


@pages.post("/sharing/feeds", Permission.SHARING_WRITE)
async def add_feed(visit: Visit) -> Response:
    """Take in what another source shares."""
    form = FORMS.get(_kind(visit.text("kind")))
    if form is None:
        raise InvalidError("There is no such kind of feed.", "kind")
    try:
        made = await make_feed(visit.room, visit.actor, _order(visit, form))
    except (InvalidError, ConflictError) as error:
        return _form_page(visit, form, given_of(visit.form), errors_of(error))
    return visit.go(_path(made), f"{made.feed.name} is read within a minute.")


def _order(visit: Visit, form: FeedForm, *, is_enabled: bool = True) -> FeedOrder:
    return FeedOrder(
        name=visit.text("name"),
        kind=form.kind,
        address=visit.text("address"),
        options=options_of(form.options, visit.form),
        secret=visit.text("secret") or None,
        is_enabled=is_enabled,
    )


def _path(view: FeedView) -> str:
    return f"/sharing/feeds/{quote(view.feed.identifier, safe='')}"


@pages.get(HERE, Permission.SHARING_READ)
async def one_feed(visit: Visit) -> Response:
    """Show one feed: how it is doing, what it told, and the form to change it."""
    return await _feed_page(visit, await show_feed(visit.room, visit.actor, visit.path("identifier")))


async def _feed_page(
    visit: Visit,
    view: FeedView,
    *,
    filled: Mapping[str, Any] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    feed, asked = view.feed, visit.query("value").strip()
    told = await list_indicators(
        visit.room, visit.actor, visit.cut(MOST_INDICATORS), feed=feed.identifier, value=asked
    )
    before = {"name": feed.name, "address": feed.address}
    before |= {f"option-{name}": value for name, value in feed.options.items()}
    return visit.page(
        "feed.html",
        422 if errors else 200,
        view=view,
        feed=feed,
        state=state_of(view),
        form=FORMS[feed.kind],
        filled=before if filled is None else filled,
        errors=errors or {},
        told=told,
        figure_words=FIGURE_WORDS,
        asked=asked,
        may_write=visit.actor.may(Permission.SHARING_WRITE),
    )


@pages.post(HERE, Permission.SHARING_WRITE)
async def change(visit: Visit) -> Response:
    """Change a feed; a secret that is left empty stays."""
    view = await show_feed(visit.room, visit.actor, visit.path("identifier"))
    try:
        order = _order(visit, FORMS[view.feed.kind], is_enabled=view.feed.is_enabled)
        after = await change_feed(visit.room, visit.actor, view.feed.identifier, order)
    except (InvalidError, ConflictError) as error:
        return await _feed_page(visit, view, filled=given_of(visit.form), errors=errors_of(error))
    return visit.go(_path(after), "Changed.")


@pages.post(f"{HERE}/read", Permission.SHARING_WRITE)
async def read(visit: Visit) -> Response:
    """Read a feed now."""
    view = await show_feed(visit.room, visit.actor, visit.path("identifier"))
    try:
        after = await read_now(visit.room, visit.actor, view.feed.identifier)
    except InvalidError as error:
        return visit.go(_path(view), str(error), "bad")
    if after.feed.problem:
        return visit.go(_path(after), "It could not be read.", "bad")
    return visit.go(_path(after), f"Read: {after.feed.indicators:,} indicators.")


@pages.post(f"{HERE}/pause", Permission.SHARING_WRITE)
async def pause(visit: Visit) -> Response:
    """Read a feed no more until somebody has it go on; what it told stays."""
    return await _enabled(visit, is_enabled=False)


@pages.post(f"{HERE}/resume", Permission.SHARING_WRITE)
async def resume(visit: Visit) -> Response:
    """Read a feed again."""
    return await _enabled(visit, is_enabled=True)


async def _enabled(visit: Visit, *, is_enabled: bool) -> Response:
    view = await show_feed(visit.room, visit.actor, visit.path("identifier"))
    feed = view.feed
    order = FeedOrder(feed.name, feed.kind, feed.address, feed.options, None, is_enabled)
    try:
        await change_feed(visit.room, visit.actor, feed.identifier, order)
    except (InvalidError, ConflictError) as error:
        return await _feed_page(visit, view, errors=errors_of(error))
    return visit.go(_path(view), "It goes on." if is_enabled else "Paused. What it told stays.")


@pages.post(f"{HERE}/remove", Permission.SHARING_WRITE)
async def remove(visit: Visit) -> Response:
    """Forget a feed with everything it told."""
    view = await remove_feed(visit.room, visit.actor, visit.path("identifier"))
    return visit.go("/sharing", f"{view.feed.name} and what it told are forgotten.")
