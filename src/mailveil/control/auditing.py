"""Auditing: who did what, written down with every change."""

from __future__ import annotations

from mailveil.control.access import Actor, ActorKind, Permission
from mailveil.control.identifiers import new_identifier
from mailveil.control.records import AuditEntry, Cut, Page
from mailveil.control.room import ControlRoom

Detail = str | int | float | bool | list[str] | None
MAX_TEXT = 500


async def audit(room: ControlRoom, actor: Actor, action: str, subject: str = "", **details: Detail) -> None:
    """Write down that an actor did something in its organisation.

    ``action`` is a permanent word such as ``policy.change``, ``subject`` what it was done to. ``details`` must hold no
    secret and nothing of a message; texts are cut. Raises ``ports.UnavailableError`` where it cannot be written.
    """
    now = room.clock.now()
    entry = AuditEntry(
        identifier=new_identifier(now),
        at=now,
        organisation=actor.organisation,
        actor_kind=str(actor.kind),
        actor=actor.name[:MAX_TEXT],
        action=action,
        subject=subject[:MAX_TEXT],
        details={
            name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in details.items()
        },
        address=actor.address,
    )
    await room.audit.write(entry)


async def audit_trail(
    room: ControlRoom, actor: Actor, cut: Cut, *, action: str = "", by: str = "", subject: str = ""
) -> Page[AuditEntry]:
    """Return who did what in the actor's organisation, newest first; filters that are empty hold for all."""
    actor.require(Permission.AUDIT_READ)
    return await room.audit.entries(actor.organisation, cut, action=action, actor=by, subject=subject)


def system_actor(organisation: str) -> Actor:
    """Return the actor for what mailveil does by itself."""
    return Actor(ActorKind.SYSTEM, "mailveil", "mailveil", organisation, organisation, frozenset())
