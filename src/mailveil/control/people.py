"""People: what is kept of one recipient, for whom it is about: all of it to take along, or none any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mailveil.control.access import Actor, Permission
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError
from mailveil.control.records import PersonExport
from mailveil.control.room import ControlRoom

MAX_ADDRESS = 320  # RFC 5321 section 4.5.3.1


async def export_person(room: ControlRoom, actor: Actor, address: str) -> PersonExport:
    """Return everything that is kept of a recipient in the actor's organisation, under whatever name.

    Raises ``InvalidError`` for what is no address.
    """
    actor.require(Permission.PEOPLE_EXPORT)
    names = _names(room, actor, address)
    records: dict[str, list[Mapping[str, Any]]] = {}
    for name in names:
        found: Mapping[str, Sequence[Mapping[str, Any]]] = (
            await room.observations.person(actor.organisation, name)
        ).records
        for kind, some in found.items():
            records.setdefault(kind, []).extend(some)
    await audit(room, actor, "person.export", _told(room, actor, address))
    return PersonExport(names[0], records)


async def erase_person(room: ControlRoom, actor: Actor, address: str) -> int:
    """Delete everything that is kept of a recipient in the actor's organisation; return how many records.

    Raises ``InvalidError`` for what is no address. What waits for the database is not reached: that is seconds old as a
    rule, and erased by asking again once it has been written.
    """
    actor.require(Permission.PEOPLE_ERASE)
    erased = 0
    for name in _names(room, actor, address):
        erased += await room.observations.erase(actor.organisation, name)
    await audit(room, actor, "person.erase", _told(room, actor, address), records=erased)
    return erased


def _names(room: ControlRoom, actor: Actor, address: str) -> tuple[str, ...]:
    address = address.strip()
    if not address or len(address) > MAX_ADDRESS or any(each.isspace() for each in address):
        raise InvalidError("is no address", "address")
    return room.privacy.names(address, actor.organisation)


def _told(room: ControlRoom, actor: Actor, address: str) -> str:
    """Return what the audit trail calls somebody: it outlives what is kept of people, so their domain at most."""
    name = room.privacy.names(address, actor.organisation)[-1]
    return name if name.startswith("person-") else f"*@{address.strip().rpartition('@')[2].lower()}"
