"""Trackers and operators: who watches an organisation's readers, since when, and how many people that concerns."""

from __future__ import annotations

from dataclasses import dataclass

from mailveil.control.access import Actor, Permission
from mailveil.control.activitystores import InfrastructureShared
from mailveil.control.failures import MissingError
from mailveil.control.records import Cut, OperatorLine, Page, Tracker, TrackerQuery
from mailveil.control.room import ControlRoom
from mailveil.core.intelligence.attribution import SenderFacts, attribute
from mailveil.core.intelligence.sight import signers_of
from mailveil.core.intelligence.types import Attribution, InfrastructureFacts
from mailveil.core.observation import Observation


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


@dataclass(frozen=True, slots=True)
class Behind:
    """Whose a tracker is, what lies behind its host as its one fetch showed it, and what else shares that.

    ``attribution`` is judged by the latest message that held it, ``None`` where that is no longer on record.
    """

    attribution: Attribution | None
    facts: InfrastructureFacts | None
    alike: tuple[InfrastructureShared, ...] = ()


async def behind(room: ControlRoom, actor: Actor, found: Tracker) -> Behind:
    """Return who and what lies behind a tracker."""
    actor.require(Permission.TRACKERS_READ)
    facts = await room.infrastructure.known(actor.organisation, found.host)
    example = await room.observations.message(actor.organisation, found.example) if found.example else None
    attribution = None if example is None else _attributed(found, example, facts)
    return Behind(attribution, facts, tuple(await room.infrastructure.alike(actor.organisation, found.host)))


def _attributed(
    found: Tracker, example: Observation, facts: InfrastructureFacts | None
) -> Attribution | None:
    for each in example.references:
        if (each.host, each.template) == (found.host, found.template):
            service = example.header.get("mail_service", "")
            sender = SenderFacts(example.sender_domain, signers_of(example.authentication), service)
            return attribute(each, sender, facts)
    return None


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
