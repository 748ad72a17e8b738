"""Stores of what observations mean, and of what is shared, as protocols; the same rules hold as in ``stores``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailveil.control.activityrecords import (
    ActivityFile,
    ActivityNote,
    ActivityQuery,
    OutboxEntry,
    SenderBuilt,
)
from mailveil.control.records import Cut, Page
from mailveil.core.intelligence.book import Memo
from mailveil.core.intelligence.revisions import Revision
from mailveil.core.intelligence.types import (
    Activity,
    ActivityState,
    Alert,
    Campaign,
    Decision,
    InfrastructureFacts,
    MarkedPerson,
    Nature,
)
from mailveil.core.observation import Observation
from mailveil.core.verdicts.types import Verdict

Subject = Observation | Decision | InfrastructureFacts | Revision


@dataclass(frozen=True, slots=True)
class Unstudied:
    """What is next to be studied, in the order of time.

    ``is_again`` tells that it was studied before: nobody is told of it twice. ``generation`` goes up whenever what was
    read until then must not be written back: when anything was studied, or somebody was erased.
    """

    subjects: tuple[Subject, ...] = ()
    is_again: bool = False
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Studied:
    """What came of a batch; written down as one, with what others are to be told, or not at all.

    ``outbox`` is told besides what is new of the activities. ``withdrawn`` are activities with messages that are part
    of them only as far as ``activities`` has it. ``generation`` and ``is_again`` are as they were given.
    """

    subjects: tuple[Subject, ...]
    memos: Mapping[str, Memo | None]
    at: float
    generation: int = 0
    is_again: bool = False
    activities: tuple[Activity, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    alerts: tuple[Alert, ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()
    withdrawn: tuple[tuple[str, str], ...] = ()


class StudyStore(Protocol):
    """What studying reads and writes. One process at a time studies an organisation (``leases``)."""

    async def lease(self, name: str, holder: str, now: float, until: float) -> bool:
        """Take or renew a lease; False while somebody else has it."""
        ...

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        ...

    async def unstudied(self, organisation: str, limit: int) -> Unstudied:
        """Return what is next, at most ``limit`` subjects."""
        ...

    async def memos(self, organisation: str, keys: Collection[str]) -> Mapping[str, Memo | None]:
        """Return memos by key, ``None`` for those that are not there."""
        ...

    async def write(self, organisation: str, studied: Studied) -> None:
        """Write down what came of a batch, in one transaction, and what others are told of its activities.

        Raises ``ConflictError``, and changes nothing, where somebody else has studied any of it, or ``generation`` has
        gone up.
        """
        ...

    async def revise(
        self, organisation: str, message: str, verdicts: Mapping[str, Verdict], now: float
    ) -> bool:
        """Have a message studied as it is judged by now, if that is otherwise than it was studied.

        ``verdicts`` are those on its references, by key; of one message only so many revisions are followed. Returns
        whether the message is on record.
        """
        ...

    async def tell(self, organisation: str, now: float) -> int:
        """Have others told of a portion of the activities that stand differently than they know, as time passes.

        Returns how many were looked at, 0 once there is nothing. While all is studied again nobody is told.
        """
        ...

    async def waiting_organisations(self) -> Collection[str]:
        """Return the organisations of which something waits to be studied."""
        ...

    async def waiting(self, organisation: str, most: int) -> int:
        """Return how many subjects wait to be studied, ``most`` at most."""
        ...

    async def expire(self, organisation: str, kind: str, before: float) -> int:
        """Forget a portion of what is older than that; return how many records, 0 once there are none.

        ``kind`` is ``activities``, ``campaigns``, ``alerts``, ``memos`` or ``infrastructure``. Raises ``ValueError``
        for another one.
        """
        ...

    async def begin_again(self, organisation: str) -> int:
        """Forget what studying found and remembered; everything stored is to be studied again, in the same order.

        What people decided stays. Returns how many subjects that are.
        """
        ...


class ActivityStore(Protocol):
    """Activities, campaigns and alerts, and what people decide about them."""

    async def activities(self, organisation: str, query: ActivityQuery, cut: Cut) -> Page[ActivityFile]:
        """Return activities; those that were merged into others are left out."""
        ...

    async def states(
        self, organisation: str, query: ActivityQuery, most: int
    ) -> Mapping[ActivityState | None, int]:
        """Return how many activities stand how, ``None`` for all of them, ``most`` at most of each.

        ``query.state`` does not matter.
        """
        ...

    async def activity(self, organisation: str, identifier: str) -> ActivityFile | None:
        """Return one activity."""
        ...

    async def identified(self, organisation: str, beginning: str, most: int) -> Sequence[str]:
        """Return the identifiers that begin so, ``most`` at most, also those of activities that were merged."""
        ...

    async def put_decisions(
        self,
        file: ActivityFile,
        outbox: Sequence[OutboxEntry] = (),
        decision: Decision | None = None,
        *,
        before: ActivityFile | None = None,
        as_a_whole: bool = False,
    ) -> None:
        """Write down what people decided (never the activity itself), with what others are told of it.

        ``decision`` is a verdict for scoring to learn from. With ``before`` only what differs from it is written, and
        only where it still stands as it did; ``as_a_whole``: where all of what was decided does. Raises
        ``ConflictError`` where it does not, or the activity is no more.
        """
        ...

    async def messages_of(self, organisation: str, activity: str, cut: Cut) -> Page[str]:
        """Return the identifiers of an activity's messages, newest first."""
        ...

    async def activities_of_messages(self, organisation: str, messages: Collection[str]) -> Sequence[str]:
        """Return the activities that any of some messages belongs to."""
        ...

    async def notes(self, organisation: str, activity: str) -> Sequence[ActivityNote]:
        """Return notes, oldest first."""
        ...

    async def add_note(self, note: ActivityNote) -> None:
        """Add a note."""
        ...

    async def campaigns(
        self, organisation: str, cut: Cut, *, nature: Nature | None = None, sender_domain: str = ""
    ) -> Page[Campaign]:
        """Return campaigns, the latest first."""
        ...

    async def senders_built(
        self, organisation: str, since: float, until: float, most: int
    ) -> Sequence[SenderBuilt]:
        """Return senders that had campaigns with tracking of their own in a time, those of most messages first."""
        ...

    async def alerts(
        self, organisation: str, cut: Cut, *, activity: str = "", since: float = 0.0, until: float = 0.0
    ) -> Page[Alert]:
        """Return alerts, newest first; ``until`` is where they end, 0 for nowhere."""
        ...

    async def marked(self, organisation: str) -> Sequence[MarkedPerson]:
        """Return the people whom the organisation says something of."""
        ...

    async def mark(self, organisation: str, person: MarkedPerson, by: str, at: float) -> None:
        """Say something of a person; with neither function nor value, nothing any more."""
        ...

    async def stamp(self, organisation: str) -> str:
        """Return what changes whenever activities, decisions or marked people do; cheap to ask for."""
        ...


@dataclass(frozen=True, slots=True)
class InfrastructureShared:
    """What several hosts have in common: ``hosts`` are the others where they are few, ``total`` counts them.

    ``role`` is one of ``Role``, or ``server``: the same answer, field by field and byte by byte.

    What very many have in common tells nothing: it serves everybody.
    """

    role: str
    value: str
    hosts: tuple[str, ...]
    total: int


class InfrastructureStore(Protocol):
    """What lies behind the hosts of trackers that no vendor is known to run."""

    async def wanted(self, organisation: str, now: float, limit: int) -> Collection[str]:
        """Return hosts that were met lately and that nothing is known of, or nothing new for long."""
        ...

    async def known(self, organisation: str, host: str) -> InfrastructureFacts | None:
        """Return what is known of a host (a template)."""
        ...

    async def alike(self, organisation: str, host: str) -> Sequence[InfrastructureShared]:
        """Return what a host has in common with others."""
        ...

    async def found(self, organisation: str, facts: Mapping[str, InfrastructureFacts], now: float) -> int:
        """Write down what is known of hosts; what is new is to be studied. Return how much that is."""
        ...
