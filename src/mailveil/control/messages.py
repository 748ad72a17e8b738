"""Messages: what was seen, as it is known now, and the copies that were made for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mailveil.control.access import Actor, Permission
from mailveil.control.auditing import audit
from mailveil.control.failures import MissingError
from mailveil.control.records import Cut, MessageLine, MessageQuery, Page
from mailveil.control.room import ControlRoom
from mailveil.core.observation import Observation, ObservedReference
from mailveil.core.verdicts.types import Risk, Verdict
from mailveil.ports import CopyState, UnavailableError

MAX_COPIES = 200  # of a message that are told one by one


@dataclass(frozen=True, slots=True)
class ReferenceCopy:
    """The copy that a reference of a message points to, and what is known of it."""

    position: int
    reference: ObservedReference
    state: CopyState

    @property
    def token(self) -> str:
        """Under which it is served."""
        return self.reference.token


async def messages(room: ControlRoom, actor: Actor, query: MessageQuery, cut: Cut) -> Page[MessageLine]:
    """Return messages of the actor's organisation, newest first."""
    actor.require(Permission.MESSAGES_READ)
    if query.recipient:
        query = replace(query, recipient=room.privacy.person(query.recipient, actor.organisation))
    return await room.observations.messages(actor.organisation, query, cut)


async def message(room: ControlRoom, actor: Actor, identifier: str) -> Observation:
    """Return one message, its references judged by all that is known now. Raises ``MissingError``."""
    actor.require(Permission.MESSAGES_READ)
    found = await _find(room, actor, identifier)
    verdicts = await verdicts_now(room, [each.key for each in found.references if each.key])
    return up_to_date(found, verdicts)


async def verdicts_now(room: ControlRoom, keys: Sequence[str]) -> Mapping[str, Verdict]:
    """Return the verdicts under these keys as they stand; none where the judge's memory does not answer."""
    if room.memory is None or not keys:
        return {}
    try:
        return await room.memory.verdicts(keys)
    except UnavailableError:
        return {}  # what was written down is the answer, too, only an older one


def up_to_date(observation: Observation, verdicts: Mapping[str, Verdict]) -> Observation:
    """Return a message with these verdicts, by key, in the place of those with which it went on.

    What was done about each reference stays: that has happened.
    """
    if not verdicts:
        return observation
    references = tuple(
        judged_anew(each, verdicts[each.key]) if each.key in verdicts else each
        for each in observation.references
    )
    before = sum(each.is_tracker for each in observation.references)
    after = sum(each.is_tracker for each in references)
    risks = list(Risk)
    worst = max((Risk(each.risk) for each in references), key=risks.index, default=Risk.NONE)
    is_whole = len(observation.references) == observation.total_references
    known = worst if is_whole else max(worst, Risk(observation.risk), key=risks.index)
    return replace(
        observation,
        references=references,
        total_trackers=max(0, observation.total_trackers + after - before),
        risk=str(known),
    )


def judged_anew(reference: ObservedReference, verdict: Verdict) -> ObservedReference:
    """Return a reference with another verdict."""
    operator = verdict.operator
    return replace(
        reference,
        finding=str(verdict.kind_of_reference),
        kind=str(verdict.kind or ""),
        kinds=tuple(str(kind) for kind in verdict.kinds),
        score=round(verdict.score, 3),
        risk=str(verdict.risk),
        operator=operator.name if operator else "",
        operator_confidence=operator.confidence if operator else 0.0,
        evidence=operator.evidence if operator else "",
        signals=tuple(str(signal) for signal in verdict.signals),
        reasons=tuple(each.words for each in verdict.reasons),
    )


async def copies_of(room: ControlRoom, actor: Actor, identifier: str) -> Sequence[ReferenceCopy]:
    """Return the copies that a message points to, the first ones. Raises ``MissingError``, ``UnavailableError``."""
    actor.require(Permission.COPIES_READ)
    found = await _find(room, actor, identifier)
    if room.copies is None:
        raise UnavailableError("this process has no store of copies")
    first: dict[str, int] = {}
    for position, each in enumerate(found.references):
        if each.token and len(first) < MAX_COPIES:
            first.setdefault(each.token, position)
    states = await room.copies.describe(list(first))
    return [
        ReferenceCopy(position, found.references[position], state)
        for position, state in zip(first.values(), states, strict=True)
    ]


async def purge_copies_of(room: ControlRoom, actor: Actor, identifier: str) -> int:
    """Have placeholders answer for all copies of a message, for good; return how many went.

    Raises ``MissingError``, ``UnavailableError``.
    """
    actor.require(Permission.COPIES_WRITE)
    found = await _find(room, actor, identifier)
    if room.copies is None:
        raise UnavailableError("this process has no store of copies")
    tokens = dict.fromkeys(each.token for each in found.references if each.token)
    gone = 0
    for token in tokens:
        gone += await room.copies.delete_token(token)
    await audit(room, actor, "copies.purge", identifier, copies=gone)
    return gone


async def all_copies(room: ControlRoom, actor: Actor) -> Mapping[str, int | float | None]:
    """Return what the store of copies holds, for whoever belongs to all organisations: it is one for all of them."""
    actor.require_everywhere(Permission.COPIES_READ)
    if room.copies is None:
        raise UnavailableError("this process has no store of copies")
    return await room.copies.inventory()


async def purge_copies(room: ControlRoom, actor: Actor, *, before: float = 0.0, host: str = "") -> int:
    """Delete copies of messages that came before a time, and what was fetched from a host or below it.

    For whoever belongs to all organisations. Returns how many went. Raises ``UnavailableError``.
    """
    actor.require_everywhere(Permission.COPIES_WRITE)
    if room.copies is None:
        raise UnavailableError("this process has no store of copies")
    gone = await room.copies.delete_older(before) if before else 0
    if host:
        gone += await room.copies.delete_urls(await room.copies.fetched_from(host))
    await audit(room, actor, "copies.purge", host, before=before, copies=gone)
    return gone


async def _find(room: ControlRoom, actor: Actor, identifier: str) -> Observation:
    found = await room.observations.message(actor.organisation, identifier)
    if found is None:
        raise MissingError("there is no such message")
    return found
