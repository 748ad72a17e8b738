"""Trackers and operators: who watches an organisation's readers, since when, and how many people that concerns."""

from __future__ import annotations

from mailveil.control.access import Actor, Permission
from mailveil.control.failures import MissingError
from mailveil.control.records import Cut, OperatorLine, Page, Tracker, TrackerQuery
from mailveil.control.room import ControlRoom


async def trackers(room: ControlRoom, actor: Actor, query: TrackerQuery, cut: Cut) -> Page[Tracker]:
    """Return trackers that the actor's organisation has met."""
    actor.require(Permission.TRACKERS_READ)
    return await room.observations.trackers(actor.organisation, query, cut)


async def tracker(room: ControlRoom, actor: Actor, identifier: str) -> Tracker:
    """Return one tracker. Raises ``MissingError``."""
    actor.require(Permission.TRACKERS_READ)
    found = await room.observations.tracker(actor.organisation, identifier)
    if found is None:
        raise MissingError("there is no such tracker")
    return found


async def operators(room: ControlRoom, actor: Actor, since: float, cut: Cut) -> Page[OperatorLine]:
    """Return operators met since then, the most frequent first."""
    actor.require(Permission.TRACKERS_READ)
    return await room.observations.operators(actor.organisation, since, cut)


async def operator(room: ControlRoom, actor: Actor, name: str) -> OperatorLine:
    """Return one operator. Raises ``MissingError``."""
    actor.require(Permission.TRACKERS_READ)
    found = await room.observations.operator(actor.organisation, name)
    if found is None:
        raise MissingError("there is no such operator")
    return found
