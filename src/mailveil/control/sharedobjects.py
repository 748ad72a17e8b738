"""Shared objects: what collections hold for others to fetch, and the store of it as a protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from mailveil.control.records import Cut, Page

ACTIVITIES: Final = "activities"  # of STIX objects, as is the next
TRACKERS: Final = "trackers"
EVENTS: Final = "misp"  # of MISP's events
RULES: Final = "rules"  # of filter lists
MAX_OBJECTS: Final = 1_000  # of one part of a list


@dataclass(frozen=True, slots=True)
class SharedObject:
    """One version of an object. ``added_at`` is in microseconds since the epoch; no two of a collection are alike."""

    identifier: str
    version: str
    added_at: int
    kind: str
    object: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SharedQuery:
    """Which objects are wanted: of these identifiers and kinds (empty: all), added after a time in microseconds.

    ``versions`` are ``last``, ``first``, ``all`` or versions themselves; what fits any of them is wanted.
    """

    added_after: int = 0
    identifiers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    versions: tuple[str, ...] = ("last",)


class SharedObjectStore(Protocol):
    """Collections of an organisation. Raises ``UnavailableError`` where the database cannot answer."""

    async def add(
        self, organisation: str, collection: str, objects: Sequence[Mapping[str, Any]], subject: str
    ) -> int:
        """Add objects that a collection does not have in this version yet, in this order; return how many.

        Twice is once. What is as the latest version but for ``modified`` is no new version, what is older is left out,
        and ``created`` stays what it was at first.
        """
        ...

    async def objects(
        self, organisation: str, collection: str, query: SharedQuery, cut: Cut
    ) -> Page[SharedObject]:
        """Return objects in the order in which they were added. Raises ``CursorError``."""
        ...

    async def of_subject(self, organisation: str, collection: str, subject: str) -> Sequence[SharedObject]:
        """Return the latest version of everything that was made of an activity, alert or tracker."""
        ...

    async def latest(self, organisation: str, collection: str) -> int:
        """Return when something was last added, in microseconds, 0 where nothing ever was."""
        ...
