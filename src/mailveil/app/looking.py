"""Looking: how everything that this process and its settings name is doing, for the console's page on health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from mailveil.adapters.liststore import ListStore, ListStoreError
from mailveil.app.check_result import CheckResult, Outcome
from mailveil.app.checking import check
from mailveil.app.sharing import DeliveryFigures
from mailveil.config import Settings
from mailveil.control.health import Condition, Measure
from mailveil.ports import CopyStore, UnavailableError

DAY_S = 86_400
FRESH_S = 60.0  # what was seen so long ago may still be told without looking again
OLD_LIST_DAYS = 30
MANY_WAITING = 1000  # fetches to come
MANY_UNSTUDIED = 5_000  # messages to be studied
#: Where the results of ``mailveil check`` stand on the page.
AREAS = {
    "storage": "storage",
    "database": "storage",
    "lists": "knowledge",
    "examining": "mail",
    "relaying": "mail",
    "next hop": "mail",
    "certificate": "certificates",
    "lmtp": "mail",
    "gateway": "mail",
    "milter": "mail",
    "copies": "copies",
    "console": "copies",
    "fetching": "fetching",
    "exit": "fetching",
    "authentication": "knowledge",
    "sealing": "certificates",
}
CONDITIONS = {Outcome.GOOD: Condition.OK, Outcome.NOTICE: Condition.WARN, Outcome.BAD: Condition.BAD}


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be written to the database: how many bytes, and why it cannot be written now (``""``: it can)."""

    waiting_bytes: int = 0
    problem: str = ""
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Studying:
    """How studying is going: how much waits, what could not be studied, and why nothing can be now.

    ``left`` tells in words how long it takes to catch up, "" where this process cannot tell.
    """

    waiting: int = 0
    set_aside: int = 0
    problem: str = ""
    left: str = ""


@dataclass(slots=True)
class HealthWatch:
    """Looks at everything (``control.health.HealthCheck``), by one visitor at a time.

    ``backlog`` tells what waits for the database, ``None`` where this process has no spool.
    ``sharing`` tells how destinations fare, ``None`` where this process delivers nothing.
    ``studying`` tells how that goes, where this process takes part in it.
    """

    settings: Settings
    copies: CopyStore | None = None
    backlog: Callable[[], Backlog | None] = lambda: None
    sharing: Callable[[], DeliveryFigures | None] = lambda: None
    studying: Callable[[], Awaitable[Studying | None]] | None = None
    now: Callable[[], float] = time.time
    tried: Callable[[Settings], Awaitable[Sequence[CheckResult]]] = check
    _seen: tuple[Measure, ...] = ()
    _seen_at: float = 0.0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _under_way: asyncio.Task[Sequence[Measure]] | None = None

    async def __call__(self, *, anew: bool = False) -> Sequence[Measure]:
        """Return how everything is doing; without ``anew`` what was seen last, while somebody looks again."""
        if anew:
            return await self._look()
        if self.now() - self._seen_at > FRESH_S and (self._under_way is None or self._under_way.done()):
            self._under_way = asyncio.create_task(self._look())
        return self._seen

    async def stop(self) -> None:
        """End a look that is under way."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)

    async def _look(self) -> Sequence[Measure]:
        async with self._turn:
            results = await self.tried(self.settings)
            self._seen = (
                *(measure_of(each) for each in results),
                *self._spool(),
                *self._sharing(),
                *await self._studying(),
                *await self._copies(),
                *await asyncio.to_thread(self._lists),
            )
            self._seen_at = self.now()
            return self._seen

    def _spool(self) -> list[Measure]:
        found = self.backlog()
        if found is None:
            return []
        figure = f"{found.waiting_bytes / 1000:,.0f} kB wait"
        name = "spool of observations"
        if found.dropped:
            words = f"was full: {found.dropped:,} observations are lost"
            remedy = "Give it more room, or see that the database answers."
            return [Measure("storage", name, Condition.BAD, words, figure, remedy)]
        if found.problem:
            words = f"cannot be written to the database: {found.problem}"
            return [
                Measure(
                    "storage", name, Condition.WARN, words, figure, "It is written as soon as that answers."
                )
            ]
        return [Measure("storage", name, Condition.OK, "is written to the database as it comes", figure)]

    def _sharing(self) -> list[Measure]:
        """Tell of the destinations of all organisations together; each is told of its own by name elsewhere."""
        found = self.sharing()
        if found is None or not (count := sum(found.destinations.values())):
            return []
        figure = f"{sum(found.waiting.values()):,} events wait"
        if troubled := sum(found.troubled.values()):
            words = f"{troubled:,} of {count:,} {'takes' if troubled == 1 else 'take'} no events now"
            remedy = "See why: mailveil sharing list. Events wait for as many days as [sharing] keep_days."
            return [Measure("sharing", "destinations", Condition.WARN, words, figure, remedy)]
        return [Measure("sharing", "destinations", Condition.OK, "take what they are told", figure)]

    async def _studying(self) -> list[Measure]:
        found = None if self.studying is None else await self.studying()
        if found is None:
            return []
        name, figure = "studying of what was seen", f"{found.waiting:,} to come"
        if found.problem:
            remedy = "It goes on as soon as the database answers."
            return [Measure("storage", name, Condition.WARN, f"waits: {found.problem}", figure, remedy)]
        if found.set_aside:
            words = f"has left out {found.set_aside:,} since the start that could not be studied"
            return [Measure("storage", name, Condition.WARN, words, figure, "The log says why.")]
        if found.waiting > MANY_UNSTUDIED:
            words = f"has fallen behind; it takes {found.left} more" if found.left else "has fallen behind"
            remedy = "Activities show later until it has caught up; mail is not affected."
            return [Measure("storage", name, Condition.WARN, words, figure, remedy)]
        return [Measure("storage", name, Condition.OK, "keeps up", figure)]

    async def _copies(self) -> list[Measure]:
        if self.copies is None:
            return []
        try:
            counts = await self.copies.counts()
        except UnavailableError as error:
            remedy = "Readers see placeholders until it answers; mail flows."
            return [
                Measure(
                    "copies", "store of copies", Condition.BAD, f"does not answer: {error}", remedy=remedy
                )
            ]
        waiting = counts.get("released", 0) + counts.get("attempted", 0)
        queue = Measure("fetching", "fetch queue", Condition.OK, "is worked off", f"{waiting:,} to come")
        if waiting > MANY_WAITING:
            remedy = "See whether the exits work, and whether fetching keeps up."
            queue = Measure(
                "fetching", "fetch queue", Condition.WARN, "is long", f"{waiting:,} to come", remedy
            )
        stored = f"{counts.get('stored', 0):,} copies, {counts.get('bytes', 0) / 1e6:,.0f} MB"
        return [Measure("copies", "store of copies", Condition.OK, "answers", stored), queue]

    def _lists(self) -> list[Measure]:
        """Tell of imported lists that have not been renewed for long."""
        store, found = ListStore(self.settings.lists_folder), []
        for name in store.names():
            try:
                days = (self.now() - store.read(name).facts.imported_at) / DAY_S
            except (ListStoreError, OSError):
                continue  # told of by the check
            if days > OLD_LIST_DAYS:
                words, remedy = f"was imported {days:.0f} days ago", "Import it anew: mailveil lists import."
                found.append(Measure("knowledge", f"list {name}", Condition.WARN, words, remedy=remedy))
        return found


def measure_of(result: CheckResult) -> Measure:
    """Return a result of the check as the page shows it."""
    condition = CONDITIONS[result.outcome]
    return Measure(AREAS.get(result.name, "mail"), result.name, condition, result.text)
