"""Exporting: what collections hold, and single activities, as documents for other systems. People are in none."""

from __future__ import annotations

from typing import Any, Final

from mailveil.control.access import Actor, Permission
from mailveil.control.activities import find_activity
from mailveil.control.records import Cut
from mailveil.control.room import ControlRoom
from mailveil.control.sharedobjects import (
    ACTIVITIES,
    EVENTS,
    MAX_OBJECTS,
    RULES,
    TRACKERS,
    SharedObject,
    SharedObjectStore,
    SharedQuery,
)
from mailveil.control.sharingrecords import COLLECTION
from mailveil.core.sharing.adblock import filter_list
from mailveil.core.sharing.entries import Standing
from mailveil.core.sharing.misp import activity_event
from mailveil.core.sharing.stix import activity_objects, bundle
from mailveil.core.sharing.stixhistory import continued
from mailveil.core.sharing.types import Disclosure, SharedActivity, TrafficLight
from mailveil.core.sharing.veiling import Organisation, shared_activity
from mailveil.ports import UnavailableError

MAX_FILE: Final = 20_000  # objects of one document; the latest are in it

Document = dict[str, Any]


async def stix_bundle(
    room: ControlRoom, actor: Actor, activity: str, traffic_light: TrafficLight | None = None
) -> Document:
    """Return an activity as a bundle of STIX 2.1; of one that was merged, the other one. Raises ``MissingError``.

    By default it is marked as the collections are.
    """
    told = await _told(room, actor, activity, traffic_light)
    objects = activity_objects(told)
    if room.shared is not None:
        # What was told before keeps the time at which it was first told.
        known = await room.shared.of_subject(actor.organisation, ACTIVITIES, told.identifier)
        objects = continued(objects, [dict(each.object) for each in known])
        created = {each.identifier: each.object["created"] for each in known if "created" in each.object}
        objects = [
            {**each, "created": created[each["id"]]} if each["id"] in created else each for each in objects
        ]
    return bundle(objects)


async def misp_document(
    room: ControlRoom, actor: Actor, activity: str, traffic_light: TrafficLight | None = None
) -> Document:
    """Return an activity as an event of MISP, by default marked as the collections are. Raises ``MissingError``."""
    return activity_event(await _told(room, actor, activity, traffic_light))


async def stix_collections(room: ControlRoom, actor: Actor) -> Document:
    """Return everything that the organisation's collections of STIX objects hold as one bundle."""
    store = _store(room, actor)
    found = [
        *await _everything(store, actor.organisation, ACTIVITIES),
        *await _everything(store, actor.organisation, TRACKERS),
    ]
    return bundle(dict(each.object) for each in found)


async def misp_collection(room: ControlRoom, actor: Actor) -> list[Document]:
    """Return all events of the organisation's feed for MISP."""
    return await misp_events_of(_store(room, actor), actor.organisation)


async def learned_list(room: ControlRoom, actor: Actor) -> str:
    """Return the filter list of the trackers that the organisation learned."""
    return await filter_list_of(
        _store(room, actor), actor.organisation, await _name(room, actor.organisation)
    )


async def misp_events_of(store: SharedObjectStore, organisation: str) -> list[Document]:
    """Return the events of an organisation's feed, in the order in which they last changed."""
    return [each.object["event"] for each in await _everything(store, organisation, EVENTS)]


async def filter_list_of(store: SharedObjectStore, organisation: str, name: str) -> str:
    """Return the filter list of an organisation that goes by a name."""
    rules = await _everything(store, organisation, RULES)
    changed_at = max((each.added_at for each in rules), default=0) / 1_000_000
    return filter_list((each.object["rule"] for each in rules), name, changed_at)


async def _everything(store: SharedObjectStore, organisation: str, collection: str) -> list[SharedObject]:
    """Return the latest version of every object, of very many the latest objects."""
    found: list[SharedObject] = []
    cut = Cut(MAX_OBJECTS)
    while True:
        page = await store.objects(organisation, collection, SharedQuery(), cut)
        found = [*found, *page.items][-MAX_FILE:]
        if not page.next:
            return found
        cut = Cut(MAX_OBJECTS, page.next)


async def _told(
    room: ControlRoom, actor: Actor, identifier: str, traffic_light: TrafficLight | None
) -> SharedActivity:
    """Return an activity as others are told of it. Raises ``MissingError``."""
    actor.require(Permission.INTELLIGENCE_READ)
    found = await find_activity(room, actor, identifier)
    standing = Standing(found.state(room.clock.now()), found.verdict, found.changed_at)
    known = await room.organisations.organisations()
    mine = (each for each in known if each.identifier == actor.organisation)
    told_by = next(
        (Organisation(each.identifier, each.name, each.created_at) for each in mine),
        Organisation(actor.organisation),
    )
    disclosure = Disclosure(traffic_light=traffic_light or await _marking(room, actor.organisation))
    return shared_activity(found.activity, standing, disclosure, told_by)


async def _marking(room: ControlRoom, organisation: str) -> TrafficLight:
    """Return the marking that an organisation chose for its collections."""
    found = await room.sharing.destination(organisation, COLLECTION) if room.sharing is not None else None
    return found.traffic_light if found is not None else TrafficLight.AMBER


def _store(room: ControlRoom, actor: Actor) -> SharedObjectStore:
    actor.require(Permission.INTELLIGENCE_READ)
    if room.shared is None:
        raise UnavailableError("there are no collections in this process")
    return room.shared


async def _name(room: ControlRoom, organisation: str) -> str:
    known = {each.identifier: each.name for each in await room.organisations.organisations()}
    return known.get(organisation, organisation)
