"""People: what is kept of one recipient, for whom it is about: all of it to take along, or none any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailveil.control.access import Actor, Permission
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError
from mailveil.control.records import PersonExport
from mailveil.control.room import ControlRoom
from mailveil.ports import OriginalReader

MAX_ADDRESS = 320  # RFC 5321 section 4.5.3.1


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was deleted of a person.

    ``originals_left`` are those of messages that others got, too: they stay until their days end.
    """

    records: int
    originals: int = 0
    originals_left: int = 0


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


async def erase_person(room: ControlRoom, actor: Actor, address: str) -> Erasure:
    """Delete everything that is kept of a recipient in the actor's organisation, originals of their own mail included.

    Raises ``InvalidError`` for what is no address. What waits for the database is not reached: that is seconds old as a
    rule, and erased by asking again once it has been written. Policies, the allow-list and the audit trail stay.
    """
    actor.require(Permission.PEOPLE_ERASE)
    names = _names(room, actor, address)
    # First of all, since the records tell which ones they are.
    originals, left = await _forget_originals(room, actor, names)
    erased = 0
    for name in names:
        erased += await room.observations.erase(actor.organisation, name)
    told = {"originals": originals, "originals_left": left} if originals or left else {}
    await audit(room, actor, "person.erase", _told(room, actor, address), records=erased, **told)
    return Erasure(erased, originals, left)


async def _forget_originals(room: ControlRoom, actor: Actor, names: Sequence[str]) -> tuple[int, int]:
    """Delete the originals of messages to one person alone; return how many went, and how many others stay."""
    store: OriginalReader | None = room.originals
    kept: dict[str, None] = {}
    for name in names:
        records = (await room.observations.person(actor.organisation, name)).records
        kept |= dict.fromkeys(each["original"] for each in records["messages"] if each.get("original"))
    if store is None or not kept:
        return 0, len(kept)

    def are_all(recipients: Sequence[str]) -> bool:
        known = frozenset(names)
        called = [room.privacy.names(each, actor.organisation) for each in recipients]
        return bool(called) and all(known.intersection(each) for each in called)

    gone = [await store.forget(original, are_all) for original in kept]
    return gone.count(True), gone.count(False)


def _names(room: ControlRoom, actor: Actor, address: str) -> tuple[str, ...]:
    address = address.strip()
    if not address or len(address) > MAX_ADDRESS or any(each.isspace() for each in address):
        raise InvalidError("is no address", "address")
    return room.privacy.names(address, actor.organisation)


def _told(room: ControlRoom, actor: Actor, address: str) -> str:
    """Return what the audit trail calls somebody: it outlives what is kept of people, so their domain at most."""
    name = room.privacy.names(address, actor.organisation)[-1]
    return name if name.startswith("person-") else f"*@{address.strip().rpartition('@')[2].lower()}"
