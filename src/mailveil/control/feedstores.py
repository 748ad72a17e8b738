"""Feeds, as protocols: where they and their indicators are kept, and what reads them; the rules of ``stores`` hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mailveil.control.records import Cut, Page
from mailveil.control.sharingrecords import Feed, ImportedIndicator
from mailveil.core.sharing.indicators import SharedSource


class FeedError(Exception):
    """A feed cannot be read; the text says why, without secrets. ``is_permanent``: not without a change here."""

    def __init__(self, text: str, *, is_permanent: bool = False) -> None:
        super().__init__(text)
        self.is_permanent = is_permanent


@dataclass(frozen=True, slots=True)
class FeedReading:
    """What one reading brought: ``sources`` in the order in which they are told, and where the next one begins.

    ``is_complete`` says that nothing more is waiting there now. Where ``present`` is given, the feed no longer has any
    other source than these.
    """

    sources: tuple[SharedSource, ...] = ()
    position: str = ""
    is_complete: bool = True
    present: frozenset[str] | None = None


class FeedReader(Protocol):
    """Reads feeds."""

    async def objection(self, feed: Feed) -> str:
        """Say why a feed could never be read, ``""`` where nothing speaks against it. Asks nobody but the DNS."""
        ...

    async def read(self, feed: Feed) -> FeedReading:
        """Read on from a feed's position. Raises ``FeedError``."""
        ...


@dataclass(frozen=True, slots=True)
class FeedOutcome:
    """What came of a reading, to be written down: sources with what is kept of each, in place of what was kept."""

    indicators: Mapping[str, tuple[ImportedIndicator, ...]]
    position: str
    at: float
    next_read_at: float
    figures: Mapping[str, int] = field(default_factory=dict)
    present: frozenset[str] | None = None


class FeedStore(Protocol):
    """Feeds and what they told."""

    async def feeds(self, organisation: str) -> Sequence[Feed]:
        """Return an organisation's feeds, by name, with how many indicators are kept of each."""
        ...

    async def feed(self, organisation: str, identifier: str) -> Feed | None:
        """Return one feed."""
        ...

    async def put_feed(self, feed: Feed) -> None:
        """Make a feed, or change what people chose of one; a secret that does not open stays, unless there is another.

        Raises ``ConflictError`` where there is no such organisation.
        """
        ...

    async def remove_feed(self, organisation: str, identifier: str) -> bool:
        """Delete a feed with its indicators; False where there is none."""
        ...

    async def due(self, now: float) -> Sequence[Feed]:
        """Return enabled feeds of all organisations whose next reading is due, longest due first."""
        ...

    async def kept_of_sources(self, feed: Feed) -> Mapping[str, int]:
        """Return how many indicators are kept of each source of a feed."""
        ...

    async def took(self, feed: Feed, outcome: FeedOutcome) -> bool:
        """Write down what came of a reading; False where the feed is gone or was changed meanwhile."""
        ...

    async def failed(self, feed: Feed, problem: str, attempts: int, next_read_at: float) -> None:
        """Write down that a reading failed, why, and when to try again."""
        ...

    async def read_at_once(self, organisation: str, identifier: str, *, from_beginning: bool = False) -> None:
        """Have a feed read at the next turn."""
        ...

    async def indicators(
        self, organisation: str, cut: Cut, *, feed: str = "", value: str = ""
    ) -> Page[ImportedIndicator]:
        """Return indicators, by feed and value; ``value`` is what one begins with."""
        ...

    async def in_force(self, organisation: str, now: float, limit: int) -> Sequence[ImportedIndicator]:
        """Return the indicators of enabled feeds that hold now, the surest first."""
        ...

    async def expire(self, now: float) -> int:
        """Delete indicators whose time is over; return how many."""
        ...

    async def stamp(self, organisation: str) -> str:
        """Return what changes whenever an organisation's feeds or indicators do; cheap to ask for."""
        ...

    async def lease(self, name: str, holder: str, now: float, until: float) -> bool:
        """Take or renew a lease; False while somebody else has it."""
        ...

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        ...
