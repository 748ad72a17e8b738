"""Stores of what is shared, as protocols: destinations and how far each has come; the rules of ``stores`` hold.

Progress is written for the position that it was made from alone, so that of two who deliver at once, or of a delivery
and a replay, the later one finds that it was overtaken (False) and looks again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from mailveil.control.activityrecords import OutboxEntry
from mailveil.control.records import Cut, Page
from mailveil.control.sharingrecords import DeadLetter, Destination, Pulse, Standing


class SharingStore(Protocol):
    """Destinations, the outbox as they read it, and what they did not take."""

    # --- destinations --------------------------------------------------------------------------------------

    async def destinations(self, organisation: str) -> Sequence[Destination]:
        """Return an organisation's destinations, by name."""
        ...

    async def destination(self, organisation: str, identifier: str) -> Destination | None:
        """Return one destination."""
        ...

    async def put_destination(self, destination: Destination) -> None:
        """Make a destination, or change what people chose of one: how far it has come stays as it is.

        A secret that does not open stays, too, unless there is another one. Raises ``ConflictError`` where there is no
        such organisation.
        """
        ...

    async def remove_destination(self, organisation: str, identifier: str) -> bool:
        """Delete a destination with its dead letters; False where there is none."""
        ...

    async def standings(self, organisation: str) -> dict[str, Standing]:
        """Return how far each destination is behind, by identifier."""
        ...

    async def pulse(self) -> Sequence[Pulse]:
        """Return the enabled destinations of all organisations."""
        ...

    # --- progress ------------------------------------------------------------------------------------------

    async def lease(self, name: str, holder: str, now: float, until: float) -> bool:
        """Take or renew a lease; False while somebody else has it."""
        ...

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        ...

    async def advance(self, destination: Destination, position: int, delivered: int, at: float) -> bool:
        """Write down that events up to ``position`` are over; nothing keeps the destination back any more."""
        ...

    async def put_off(
        self, destination: Destination, attempts: int, next_try_at: float, problem: str
    ) -> bool:
        """Write down that it did not work, why, and when to try again."""
        ...

    async def bury(self, destination: Destination, letter: DeadLetter) -> bool:
        """Write down that an event was not taken, and that its number is over."""
        ...

    async def rewind(self, organisation: str, identifier: str, position: int) -> None:
        """Have a destination go on after another position, at once."""
        ...

    async def disable(self, organisation: str, identifier: str, problem: str) -> None:
        """Deliver nothing any more to a destination, for the reason given."""
        ...

    # --- the outbox ----------------------------------------------------------------------------------------

    async def entries_after(self, organisation: str, position: int, limit: int) -> Sequence[OutboxEntry]:
        """Return what comes after a position, in order."""
        ...

    async def last_number(self, organisation: str) -> int:
        """Return the number of the last event, 0 where there was none."""
        ...

    async def position_before(self, organisation: str, at: float) -> int:
        """Return the position from which all events since ``at`` that are kept follow."""
        ...

    async def append(self, entries: Sequence[OutboxEntry]) -> None:
        """Add events, which get their numbers."""
        ...

    async def prune(self, organisation: str, before: float, most: int, at: float) -> int:
        """Delete a portion of the oldest events, as far as they are older than ``before`` or more than ``most``.

        Destinations that they were still to be delivered to are counted as having missed them ``at`` this time, and
        go on behind.
        Returns how many were deleted, 0 once there are none; dead letters from before that time go, too.
        """
        ...

    # --- dead letters --------------------------------------------------------------------------------------

    async def dead_letters(self, organisation: str, destination: str, cut: Cut) -> Page[DeadLetter]:
        """Return what a destination did not take, newest first."""
        ...

    async def dead_letter(self, organisation: str, destination: str, number: int) -> DeadLetter | None:
        """Return one of them."""
        ...

    async def retry(self, organisation: str, destination: str, numbers: Collection[int], at: float) -> int:
        """Have dead letters tried again (no numbers: all of them); return how many."""
        ...

    async def to_retry(self, organisation: str, destination: str, limit: int) -> Sequence[DeadLetter]:
        """Return those that are to be tried again, in order."""
        ...

    async def bury_again(self, letter: DeadLetter) -> None:
        """Write down that one was not taken once more; where it is gone meanwhile, it stays so."""
        ...

    async def forget(self, organisation: str, destination: str, numbers: Collection[int]) -> int:
        """Delete dead letters (no numbers: all of them); return how many."""
        ...
