"""Sharing: the systems that are told what was found, how that goes, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from mailveil.control.access import Permission
from mailveil.control.failures import InvalidError
from mailveil.control.sharing import (
    DestinationView,
    Trial,
    change_destination,
    forget_dead,
    list_dead,
    list_destinations,
    make_destination,
    read_destination,
    remove_destination,
    replay,
    retry_dead,
    rotate_secret,
    test_destination,
)
from mailveil.control.sharingrecords import DestinationKind
from mailveil.control.stores import ConflictError
from mailveil.core.intelligence.types import DAY_S
from mailveil.endpoints.web.console import feeds
from mailveil.endpoints.web.console.pages import Pages
from mailveil.endpoints.web.console.sharingforms import (
    EVENT_WORDS,
    EVENTS,
    KIND_FORMS,
    PEOPLE,
    TRAFFIC_LIGHTS,
    KindForm,
    errors_of,
    filled_of,
    given_of,
    kind_of,
    order_of,
)
from mailveil.endpoints.web.console.visit import Visit

pages = Pages()
MOST_DEAD = 20
REPLAYS = ((1, "the last day"), (7, "the last 7 days"), (30, "the last 30 days"), (0, "the beginning"))
HERE = "/sharing/destinations/{identifier}"


@pages.get("/sharing", Permission.SHARING_READ)
async def sharing(visit: Visit) -> Response:
    """Show where events go to, and how each is doing."""
    found, taken = await _destinations(visit), await feeds.feeds_of(visit)
    return visit.page(
        "sharing.html",
        destinations=found,
        states={each.destination.identifier: state_of(each) for each in found},
        forms_of=KIND_FORMS,
        kinds=[each for each in KIND_FORMS.values() if each.kind is not DestinationKind.COLLECTION],
        feeds=taken,
        feed_states={each.feed.identifier: feeds.state_of(each) for each in taken},
        feed_forms=feeds.FORMS,
        is_off=visit.room.publishers is None,
        may_write=visit.actor.may(Permission.SHARING_WRITE),
    )


async def _destinations(visit: Visit) -> Sequence[DestinationView]:
    if visit.room.sharing is None:
        return ()
    return await list_destinations(visit.room, visit.actor)


def state_of(view: DestinationView) -> tuple[str, str]:
    """Return the tone and the words for how a destination is doing."""
    destination = view.destination
    if destination.is_secret_lost:
        return "bad", "secret lost"
    if not destination.is_enabled:
        return ("bad", "given up") if destination.problem else ("", "paused")
    if destination.problem:
        return "bad", "does not take anything"
    if view.standing.dead:
        return "note", "did not take everything"
    return ("good", "works") if destination.delivered_at else ("", "nothing sent yet")


@pages.get("/sharing/destinations/new", Permission.SHARING_WRITE)
async def new_destination(visit: Visit) -> Response:
    """Show the form for a destination of a kind, or the kinds to choose from."""
    form = kind_of(visit.query("kind"))
    if form is None:
        return await sharing(visit)
    return _form_page(visit, form, {"events": (), "people": "none", "traffic_light": "amber"})


def _form_page(
    visit: Visit, form: KindForm, filled: Mapping[str, Any], errors: Mapping[str, str] | None = None
) -> Response:
    return visit.page(
        "destination_new.html",
        422 if errors else 200,
        form=form,
        filled=filled,
        errors=errors or {},
        **_choices(),
    )


def _choices() -> dict[str, object]:
    return {
        "people": PEOPLE,
        "traffic_lights": TRAFFIC_LIGHTS,
        "events": EVENTS,
        "event_words": EVENT_WORDS,
        "replays": REPLAYS,
    }


@pages.post("/sharing/destinations", Permission.SHARING_WRITE)
async def add_destination(visit: Visit) -> Response:
    """Make a destination; a secret that was made for it is shown once."""
    form = kind_of(visit.text("kind"))
    if form is None:
        raise InvalidError("There is no such kind of destination.", "kind")
    try:
        order = order_of(form, visit.form)
        made = await make_destination(
            visit.room, visit.actor, order, from_beginning=visit.is_ticked("from_beginning")
        )
    except (InvalidError, ConflictError) as error:
        return _form_page(visit, form, given_of(visit.form), errors_of(error))
    if made.secret:
        return visit.page("destination_secret.html", destination=made.view.destination, secret=made.secret)
    return visit.go(_path(made.view), f"{made.view.destination.name} is told from now on. Send it a test.")


def _path(view: DestinationView) -> str:
    return f"/sharing/destinations/{quote(view.destination.identifier, safe='')}"


@pages.get(HERE, Permission.SHARING_READ)
async def one_destination(visit: Visit) -> Response:
    """Show one destination: how it is doing, what it did not take, and the form to change it."""
    view = await read_destination(visit.room, visit.actor, visit.path("identifier"))
    return await _destination_page(visit, view)


async def _destination_page(
    visit: Visit,
    view: DestinationView,
    *,
    filled: Mapping[str, Any] | None = None,
    errors: Mapping[str, str] | None = None,
    trial: Trial | None = None,
) -> Response:
    identifier = view.destination.identifier
    dead = await list_dead(visit.room, visit.actor, identifier, visit.cut(MOST_DEAD))
    return visit.page(
        "destination.html",
        422 if errors else 200,
        view=view,
        destination=view.destination,
        state=state_of(view),
        form=KIND_FORMS[view.destination.kind],
        filled=filled_of(view.order) if filled is None else filled,
        errors=errors or {},
        trial=trial,
        dead=dead,
        may_write=visit.actor.may(Permission.SHARING_WRITE),
        **_choices(),
    )


@pages.post(HERE, Permission.SHARING_WRITE)
async def change(visit: Visit) -> Response:
    """Change a destination; a secret that is left empty stays."""
    view = await read_destination(visit.room, visit.actor, visit.path("identifier"))
    form = KIND_FORMS[view.destination.kind]
    try:
        order = order_of(form, visit.form, is_enabled=view.destination.is_enabled)
        after = await change_destination(visit.room, visit.actor, view.destination.identifier, order)
    except (InvalidError, ConflictError) as error:
        return await _destination_page(visit, view, filled=given_of(visit.form), errors=errors_of(error))
    return visit.go(_path(after.view), "Changed.")


@pages.post(f"{HERE}/test", Permission.SHARING_WRITE)
async def test(visit: Visit) -> Response:
    """Send a test event, and tell how that went."""
    try:
        trial = await test_destination(visit.room, visit.actor, visit.path("identifier"))
    except InvalidError as error:
        trial = Trial(arrived=False, problem=str(error))
    view = await read_destination(visit.room, visit.actor, visit.path("identifier"))
    return await _destination_page(visit, view, trial=trial)


@pages.post(f"{HERE}/pause", Permission.SHARING_WRITE)
async def pause(visit: Visit) -> Response:
    """Send nothing until somebody has it go on; what happens meanwhile waits."""
    return await _enabled(visit, is_enabled=False)


@pages.post(f"{HERE}/resume", Permission.SHARING_WRITE)
async def resume(visit: Visit) -> Response:
    """Send again, first of all what waits."""
    return await _enabled(visit, is_enabled=True)


async def _enabled(visit: Visit, *, is_enabled: bool) -> Response:
    view = await read_destination(visit.room, visit.actor, visit.path("identifier"))
    order = replace(view.order, is_enabled=is_enabled)
    try:
        await change_destination(visit.room, visit.actor, view.destination.identifier, order)
    except InvalidError as error:
        return await _destination_page(visit, view, errors=errors_of(error))
    return visit.go(_path(view), "It goes on." if is_enabled else "Paused. What happens meanwhile waits.")


@pages.post(f"{HERE}/retry", Permission.SHARING_WRITE)
async def retry(visit: Visit) -> Response:
    """Try again what it did not take."""
    count = await retry_dead(visit.room, visit.actor, visit.path("identifier"), _numbers(visit))
    view = await read_destination(visit.room, visit.actor, visit.path("identifier"))
    return visit.go(_path(view), f"{count:,} will be tried again.")


@pages.post(f"{HERE}/forget", Permission.SHARING_WRITE)
async def forget(visit: Visit) -> Response:
    """Delete what it did not take."""
    count = await forget_dead(visit.room, visit.actor, visit.path("identifier"), _numbers(visit))
    view = await read_destination(visit.room, visit.actor, visit.path("identifier"))
    return visit.go(_path(view), f"{count:,} deleted.")


def _numbers(visit: Visit) -> tuple[int, ...]:
    """Return the numbers of events that were chosen; none means all."""
    texts = visit.texts("number")
    if not all(each.isascii() and each.isdigit() and len(each) < 16 for each in texts):
        raise InvalidError("That is no number of an event.", "number")
    return tuple(int(each) for each in texts)


@pages.post(f"{HERE}/replay", Permission.SHARING_WRITE)
async def send_again(visit: Visit) -> Response:
    """Send again what is kept of some days."""
    days = {str(each): each for each, _ in REPLAYS}.get(visit.text("days"))
    if days is None:
        raise InvalidError("Choose from when on.", "days")
    identifier = visit.path("identifier")
    if days:
        since = visit.room.clock.now() - days * DAY_S
        view = await replay(visit.room, visit.actor, identifier, since=since)
    else:
        view = await replay(visit.room, visit.actor, identifier, number=1)
    return visit.go(_path(view), "It is all sent again; the receiver knows by its identifiers what it has.")


@pages.post(f"{HERE}/rotate", Permission.SHARING_WRITE)
async def rotate(visit: Visit) -> Response:
    """Make a new secret for a webhook, and show it once."""
    made = await rotate_secret(visit.room, visit.actor, visit.path("identifier"))
    return visit.page("destination_secret.html", destination=made.view.destination, secret=made.secret)


@pages.post(f"{HERE}/remove", Permission.SHARING_WRITE)
async def remove(visit: Visit) -> Response:
    """Tell a destination nothing any more, and forget it."""
    view = await remove_destination(visit.room, visit.actor, visit.path("identifier"))
    return visit.go("/sharing", f"{view.destination.name} is told nothing any more.")
