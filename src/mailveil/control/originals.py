"""Originals: messages as they came in, for those who may read them: with a reason, for a time, and on record.

Where an original was kept (``[records] keep_originals``), somebody with ``originals:release`` gives leave to read it,
until a moment that is set. Whoever has ``originals:read`` may then see it, and before and after side by side; each
reading is in the audit trail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailveil.control.access import Actor, ForbiddenError, Permission
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.identifiers import new_identifier
from mailveil.control.records import ReleaseGrant
from mailveil.control.room import ControlRoom
from mailveil.core.observation import Observation, place_of_url, url_template
from mailveil.ports import Engine, OriginalReader, UnavailableError

HOUR_S = 3600.0
MAX_HOURS = 7 * 24
MAX_REASON = 500
MAX_PLACES = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where one remote reference stands in the original: bytes ``start`` to ``end``, and what it is."""

    start: int
    end: int
    vector: str
    finding: str
    kind: str
    action: str
    template: str
    host: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """A message before and after, none of which makes anybody's client ask anybody.

    ``original`` are the bytes as they came in: source text to be shown as such, never to be rendered. ``before`` is the
    same message with a label in place of each remote picture and nothing in place of other references, ``after`` what
    readers get, with the copies and placeholders of today and labels where policy leaves a reference alone. Both may be
    rendered, by a client that takes pictures from ``data:`` and our own copies alone. ``places`` are those of the
    references, at most ``MAX_PLACES`` of ``total``.
    """

    message: str
    original: bytes
    places: tuple[Place, ...]
    total: int
    before: bytes
    after: bytes


async def grant_release(
    room: ControlRoom, actor: Actor, message: str, reason: str, hours: float = 24.0
) -> ReleaseGrant:
    """Give leave to read a message's original for so many hours, at most a week.

    Raises ``MissingError`` where there is no such message or no original of it, ``InvalidError`` for what a reason or a
    time cannot be.
    """
    actor.require(Permission.ORIGINALS_RELEASE)
    reason = " ".join(reason.split())
    if not reason or len(reason) > MAX_REASON:
        raise InvalidError(f"a reason is needed, of at most {MAX_REASON} characters", "reason")
    if not 0 < hours <= MAX_HOURS:
        raise InvalidError(f"leave lasts more than no hours, and at most {MAX_HOURS}", "hours")
    observation = await _with_original(room, actor, message)
    now = room.clock.now()
    grant = ReleaseGrant(
        identifier=new_identifier(now),
        organisation=actor.organisation,
        message=message,
        original=observation.original,
        reason=reason,
        granted_by=actor.name,
        granted_at=now,
        expires_at=now + hours * HOUR_S,
    )
    await audit(room, actor, "original.grant", message, reason=reason, hours=round(hours, 2))
    await room.feedback.grant(grant)
    return grant


async def leave_to_read(room: ControlRoom, actor: Actor, message: str) -> Sequence[ReleaseGrant]:
    """Return the leave that holds for a message now, the latest first. Raises ``MissingError``."""
    actor.require(Permission.ORIGINALS_READ)
    if await room.observations.message(actor.organisation, message) is None:
        raise MissingError(message)
    return await room.feedback.grants(actor.organisation, message, room.clock.now())


async def read_original(room: ControlRoom, actor: Actor, message: str) -> bytes:
    """Return a message as it came in, byte for byte.

    Raises ``ForbiddenError`` without leave that holds now, ``MissingError`` where the original is gone,
    ``UnavailableError`` where this process has none or it cannot be read.
    """
    return await _read(room, actor, message, "original.read")


async def before_after(room: ControlRoom, actor: Actor, message: str) -> BeforeAfter:
    """Return a message before and after. Raises what ``read_original`` does, and ``EngineError``."""
    original = await _read(room, actor, message, "original.view")
    engine: Engine | None = room.engine
    if engine is None:
        raise UnavailableError("this process has no workers")
    before = await engine.examine(original, clean=True, labelled=True)
    after = (await engine.examine(original, clean=True)).raw
    if (left := await engine.examine(after, clean=True, labelled=True)).record["references"]:
        after = left.raw  # policy lets some references through, and looking at them here must ask nobody
    references = before.record["references"]
    return BeforeAfter(
        message=message,
        original=original,
        places=tuple(_place(each) for each in references[:MAX_PLACES]),
        total=len(references),
        before=before.raw,
        after=after,
    )


async def _read(room: ControlRoom, actor: Actor, message: str, action: str) -> bytes:
    actor.require(Permission.ORIGINALS_READ)
    reader: OriginalReader | None = room.originals
    if reader is None:
        raise UnavailableError("this process has no originals")
    observation = await _with_original(room, actor, message)
    grants = await room.feedback.grants(actor.organisation, message, room.clock.now())
    grant = next((each for each in grants if each.original == observation.original), None)
    if grant is None:
        raise ForbiddenError("nobody has given leave to read this original, or it has expired")
    # On record first: no reading is to be had without.
    await audit(room, actor, action, message, grant=grant.identifier)
    raw = await reader.read(observation.original)
    if raw is None:
        raise MissingError(message)
    return raw


async def _with_original(room: ControlRoom, actor: Actor, message: str) -> Observation:
    observation = await room.observations.message(actor.organisation, message)
    if observation is None or not observation.original:
        raise MissingError(message)
    return observation


def _place(reference: Mapping[str, Any]) -> Place:
    start, end = reference["span"]
    return Place(
        start=start,
        end=end,
        vector=reference["vector"],
        finding=reference["verdict"],
        kind=reference["kind"] or "",
        action=reference["action"],
        template=url_template(reference["url"]),
        host=place_of_url(reference["url"])[0],
        reasons=tuple(each["words"] for each in reference["reasons"]),
    )
