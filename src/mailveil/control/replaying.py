"""Replaying: what a policy would have done otherwise about the mail of the last days, found out from what was seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from mailveil.control.access import Actor, Permission
from mailveil.control.allowing import read_entries
from mailveil.control.failures import BusyError
from mailveil.control.policies import facts_of_observation, facts_of_observed, read_policy
from mailveil.control.room import ControlRoom
from mailveil.core.observation import Observation
from mailveil.core.policy.document import PolicyDocument
from mailveil.core.policy.messagepolicy import MessagePolicy, choose
from mailveil.core.policy.rules import RISK_ORDER, AllowEntry
from mailveil.core.policy.snapshot import OrganisationPolicy, PolicySnapshot, policy_of_facts
from mailveil.core.policy.types import PolicySettings
from mailveil.core.verdicts.types import Risk

MAX_EXAMPLES: Final = 20
MAX_CHANGES: Final = 1_000  # kinds of change that are told apart; rules can be many
WORK_S: Final = 0.002  # at a stretch, after which mail has the processor for as long: it never waits for more
LONGEST_S: Final = 120.0
WAIT_S: Final = 20.0  # for others to be done with theirs
DEFAULT: Final = "default"  # a snapshot of one organisation: everything is its own

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ReplayedChange:
    """References that would have been treated otherwise, all in the same way by the same rule.

    ``before`` and ``after`` are actions, or for whole messages ``protected`` and ``reported only``, ``banner`` and ``no
    banner``. ``rule`` is what would have chosen ``after``: ``rule:ID``, ``allow:ID`` or ``level:NAME``.
    """

    before: str
    after: str
    rule: str
    messages: int
    references: int


@dataclass(frozen=True, slots=True)
class ReplayedExample:
    """A reference that would have been treated otherwise, to look at."""

    message: str
    at: float
    sender_domain: str
    host: str
    before: str
    after: str
    rule: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What a policy would have changed. ``complete`` is False where time ran out; then it reaches back to ``reached``.

    ``unseen_references`` are those that messages had beyond what is kept of one, ``pseudonymous`` counts messages whose
    recipients are not known by address, so that rules about recipients could not be tried on them.
    """

    since: float
    until: float
    messages: int
    references: int
    changed_messages: int
    changed_references: int
    changes: tuple[ReplayedChange, ...]
    examples: tuple[ReplayedExample, ...]
    complete: bool = True
    reached: float = 0.0
    unseen_references: int = 0
    pseudonymous: int = 0


async def replay(
    room: ControlRoom,
    actor: Actor,
    document: PolicyDocument,
    since: float,
    *,
    until: float = 0.0,
    allowed: Iterable[AllowEntry] | None = None,
    settings: PolicySettings | None = None,
    longest_s: float = LONGEST_S,
    progress: Progress | None = None,
    gently: bool = True,
) -> Replay:
    """Return what ``document`` would have done otherwise than was done about the messages since then, newest first.

    The allow-list is the one in force unless ``allowed`` is given; ``settings`` are the configuration file's. Memory is
    bounded by the number of rules, time by ``longest_s``; ``progress`` is told how many messages were looked at, and
    cancelling it ends it at once. ``gently`` leaves half of the time to mail in the same process. Raises ``BusyError``
    where others replay theirs for too long.
    """
    actor.require(Permission.POLICY_READ)
    actor.require(Permission.STATISTICS_READ)
    until = until or room.clock.now()
    entries = await read_entries(room.policies, actor.organisation) if allowed is None else tuple(allowed)
    current = (await read_policy(room, actor)).document
    count = _Count(
        candidate=_alone(document, entries),
        current=_alone(current, await read_entries(room.policies, actor.organisation)),
        settings=settings or PolicySettings(),
    )
    complete, reached = True, since
    loop = asyncio.get_running_loop()
    async with _turn(room.replaying):
        started, begun = room.clock.now(), loop.time()
        async for observation in room.observations.replayable(actor.organisation, since, until):
            count.look_at(observation)
            if (worked := loop.time() - begun) < WORK_S:
                continue
            if progress is not None:
                progress(count.messages)
            if room.clock.now() - started > longest_s:
                complete, reached = False, observation.at
                break
            await asyncio.sleep(worked if gently else 0)
            begun = loop.time()
    if progress is not None:
        progress(count.messages)
    return count.told(since, until, complete=complete, reached=reached)


@contextlib.asynccontextmanager
async def _turn(lock: asyncio.Lock) -> AsyncIterator[None]:
    """Wait for those who were here before. Raises ``BusyError`` where that takes too long."""
    try:
        await asyncio.wait_for(lock.acquire(), WAIT_S)
    except TimeoutError as error:
        raise BusyError("other policies are being tried; try again in a moment") from error
    try:
        yield
    finally:
        lock.release()


def _alone(document: PolicyDocument, entries: Iterable[AllowEntry]) -> PolicySnapshot:
    return PolicySnapshot((OrganisationPolicy(DEFAULT, document=document, allowed=tuple(entries)),))


@dataclass(slots=True)
class _Count:
    """What has been counted so far."""

    candidate: PolicySnapshot
    current: PolicySnapshot
    settings: PolicySettings
    messages: int = 0
    references: int = 0
    changed_messages: int = 0
    changed_references: int = 0
    unseen: int = 0
    pseudonymous: int = 0
    changes: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    examples: list[ReplayedExample] = field(default_factory=list)

    def look_at(self, observation: Observation) -> None:
        """Count one message."""
        self.messages += 1
        self.references += len(observation.references)
        self.unseen += max(0, observation.total_references - len(observation.references))
        if observation.recipients and not any("@" in each for each in observation.recipients):
            self.pseudonymous += 1
        would = policy_for_observation(self.candidate, observation)
        found = self._of_message(observation, would) + self._of_references(observation, would)
        self.changed_messages += bool(found)
        for change in dict.fromkeys(found):
            if change in self.changes or len(self.changes) < MAX_CHANGES:
                self.changes.setdefault(change, [0, 0])[0] += 1

    def _of_message(self, observation: Observation, would: MessagePolicy) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        if would.monitored != observation.monitored:
            words = ("protected", "reported only")
            found.append((words[observation.monitored], words[would.monitored], ""))
        now = policy_for_observation(self.current, observation)
        banners = [_has_banner(each, observation) for each in (now, would)]
        if banners[0] != banners[1]:
            words = ("no banner", "banner")
            found.append((words[banners[0]], words[banners[1]], ""))
        return found

    def _of_references(self, observation: Observation, would: MessagePolicy) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        for reference in observation.references:
            choice = choose(would.parties, facts_of_observed(reference), self.settings)
            if str(choice.action) == reference.action:
                continue
            change = (reference.action, str(choice.action), choice.key)
            found.append(change)
            self.changed_references += 1
            if change in self.changes or len(self.changes) < MAX_CHANGES:
                self.changes.setdefault(change, [0, 0])[1] += 1
            if len(self.examples) < MAX_EXAMPLES and (
                not self.examples or self.examples[-1].message != observation.identifier
            ):
                self.examples.append(
                    ReplayedExample(
                        observation.identifier,
                        observation.at,
                        observation.sender_domain,
                        reference.host,
                        *change,
                    )
                )
        return found

    def told(self, since: float, until: float, *, complete: bool, reached: float) -> Replay:
        """Return what was counted."""
        changes = [ReplayedChange(*change, *counts) for change, counts in self.changes.items()]
        changes.sort(key=lambda each: (-each.references, -each.messages, each.before, each.after, each.rule))
        return Replay(
            since=since,
            until=until,
            messages=self.messages,
            references=self.references,
            changed_messages=self.changed_messages,
            changed_references=self.changed_references,
            changes=tuple(changes),
            examples=tuple(self.examples),
            complete=complete,
            reached=reached,
            unseen_references=self.unseen,
            pseudonymous=self.pseudonymous,
        )


def policy_for_observation(snapshot: PolicySnapshot, observation: Observation) -> MessagePolicy:
    """Return what a snapshot's rules come down to for a message that was put on record."""
    recipients = list(dict.fromkeys(observation.recipients)) or [""]
    if not snapshot.prepared(DEFAULT).personal:
        recipients = recipients[:1]  # to all of them the same rules apply
    facts = [facts_of_observation(observation, each, observation.at) for each in recipients]
    return policy_of_facts(snapshot, facts)


def _has_banner(policy: MessagePolicy, observation: Observation) -> bool:
    if policy.banner is None or policy.monitored:
        return False
    if "known_by" in observation.header:  # mail of a known actor
        if policy.recognises:
            return True
        risks = [each.risk for each in observation.references]  # as it would have been found without
    else:
        risks = [observation.risk]
    risk = max(
        (Risk(each) for each in risks if each in set(Risk)), key=RISK_ORDER.__getitem__, default=Risk.NONE
    )
    return risk is not Risk.NONE and RISK_ORDER[risk] >= RISK_ORDER[Risk(policy.banner.least_risk)]
