"""Sharing: has events delivered to every destination, each by a task of its own, and what is too old forgotten.

Any number of processes may do this over one database: whoever holds a destination's lease delivers to it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mailveil.adapters.originals import load_key
from mailveil.app.delivering import MAX_RETRY_AFTER_S, Courier, Surroundings, Tally
from mailveil.app.publishers import PublisherMaker
from mailveil.config import Settings
from mailveil.control.publishing import Publishers
from mailveil.control.room import ControlRoom
from mailveil.control.sharingrecords import COLLECTION, Destination, DestinationKind, Pulse
from mailveil.core.sharing.types import PeopleShared, TrafficLight
from mailveil.core.sharing.veiling import Organisation
from mailveil.ports import UnavailableError

log = logging.getLogger("mailveil.sharing")

POLL_S: Final = 1.0
HOUSEKEEPING_S: Final = 300.0
NAMES_S: Final = 60.0  # so long names of organisations are remembered
DAY_S: Final = 86_400.0
LONGEST_WAIT_S: Final = (
    MAX_RETRY_AFTER_S + 3600.0
)  # whoever is to wait longer was told so by a clock that was wrong
PRUNE_LEASE: Final = "prune outbox"


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """What is delivered, and how long it is kept. ``is_enabled`` is about systems elsewhere."""

    is_enabled: bool = True
    has_collections: bool = False  # somebody publishes into the collections of our own TAXII server
    keep_days: int = 14
    max_events: int = 200_000


@dataclass(slots=True)
class _Round:
    """A destination's courier, and the task in which it is under way."""

    courier: Courier
    changed_at: float
    task: asyncio.Task[None] | None = None
    failed_at: float = 0.0


@dataclass(slots=True)
class DeliveryFigures:
    """What metrics and health tell of the destinations that are switched on, by kind, as last seen.

    Events that wait and those that were missed; how many destinations there are, and how many take nothing now.
    """

    waiting: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    destinations: dict[str, int] = field(default_factory=dict)
    troubled: dict[str, int] = field(default_factory=dict)


class DeliveryLoop:
    """Delivers until it is stopped."""

    def __init__(
        self,
        room: ControlRoom,
        publishers: Publishers,
        rules: DeliveryRules,
        tally: Tally,
        *,
        pseudonyms: Callable[[], bytes] = bytes,
        poll_s: float = POLL_S,
    ) -> None:
        """``pseudonyms`` gives the key that pseudonyms are made with, once one is needed."""
        assert room.sharing is not None
        self.figures = DeliveryFigures()
        self._room = room
        self._store = room.sharing
        self._rules = rules
        self._poll_s = poll_s
        self._holder = secrets.token_hex(16)
        self._rounds: dict[tuple[str, str], _Round] = {}
        self._names: dict[str, Organisation] = {}
        self._names_at = self._kept_at = float("-inf")
        self._problem = ""
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._around = Surroundings(
            self._store, publishers, room.clock, tally, pseudonyms, organisation=self._organisation
        )

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    def notice(self) -> None:
        """Look at once: something has happened."""
        self._news.set()

    async def stop(self) -> None:
        """End. What is under way is given up: it comes once more, here or elsewhere."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for key in list(self._rounds):
            await self._end(key)

    async def _run(self) -> None:
        while True:
            try:
                if time.monotonic() - self._kept_at >= HOUSEKEEPING_S:
                    await self._keep_house()
                    self._kept_at = time.monotonic()
                await self._go_round(await self._store.pulse())
                self._say("")
            except UnavailableError as error:
                self._say(str(error))
            except Exception:  # nothing else hangs on it, and the next time may do
                log.exception("could not look after what is to be shared")
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()

    def _say(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.warning("nothing is shared now: %s", problem)
        self._problem = problem

    # --- destinations --------------------------------------------------------------------------------------

    async def _go_round(self, pulses: Sequence[Pulse]) -> None:
        """Set couriers going for whatever waits; end those of destinations that are gone or were changed."""
        wanted = {_key(each.destination): each for each in pulses if self._is_ours(each.destination)}
        self._count(list(wanted.values()))
        for key, under_way in list(self._rounds.items()):
            pulse = wanted.get(key)
            if pulse is None or pulse.destination.changed_at != under_way.changed_at:
                await self._end(key)
        now = self._room.clock.now()
        for key, pulse in wanted.items():
            found = pulse.destination
            has_work = pulse.last > found.position or pulse.has_retries
            if has_work and not now < found.next_try_at <= now + LONGEST_WAIT_S:
                self._set_going(key, pulse)

    def _is_ours(self, destination: Destination) -> bool:
        if destination.kind is DestinationKind.COLLECTION:
            return self._rules.has_collections
        return self._rules.is_enabled

    def _set_going(self, key: tuple[str, str], pulse: Pulse) -> None:
        under_way = self._rounds.get(key)
        if under_way is None:
            courier = Courier(self._around, self._holder, pulse.destination)
            under_way = self._rounds[key] = _Round(courier, pulse.destination.changed_at)
        if under_way.task is not None and not under_way.task.done():
            return
        if time.monotonic() - under_way.failed_at < HOUSEKEEPING_S and under_way.failed_at:
            return
        under_way.failed_at = 0.0
        under_way.task = asyncio.create_task(self._deliver(under_way, pulse))

    async def _deliver(self, under_way: _Round, pulse: Pulse) -> None:
        try:
            await under_way.courier.deliver(pulse.last)
        except UnavailableError as error:
            self._say(str(error))
        except Exception:  # a fault of ours; not at every turn
            log.exception("destination %s: nothing is delivered for now", pulse.destination.identifier)
            under_way.failed_at = time.monotonic()

    async def _end(self, key: tuple[str, str]) -> None:
        under_way = self._rounds.pop(key)
        if under_way.task is not None:
            under_way.task.cancel()
            await asyncio.gather(under_way.task, return_exceptions=True)
        try:
            await under_way.courier.close()
        except Exception:
            log.exception("destination %s: its connections could not be closed", key[1])

    def _count(self, pulses: list[Pulse]) -> None:
        none = {str(each): 0 for each in DestinationKind}
        waiting, missed, count, troubled = none, dict(none), dict(none), dict(none)
        for each in pulses:
            kind = each.destination.kind
            waiting[kind] += max(0, each.last - each.destination.position)
            missed[kind] += each.destination.missed
            count[kind] += 1
            troubled[kind] += bool(each.destination.problem)
        self.figures.waiting.update(waiting)
        self.figures.missed.update(missed)
        self.figures.destinations.update(count)
        self.figures.troubled.update(troubled)

    # --- keeping house -------------------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        room, now = self._room, self._room.clock.now()
        organisations = await room.organisations.organisations()
        if self._rules.has_collections:
            for each in organisations:
                if await self._store.destination(each.identifier, COLLECTION) is None:
                    await self._store.put_destination(_collection(each.identifier, now))
        if not await self._store.lease(PRUNE_LEASE, self._holder, now, now + HOUSEKEEPING_S):
            return
        for each in organisations:
            gone = 0
            while count := await self._store.prune(
                each.identifier, now - self._rules.keep_days * DAY_S, self._rules.max_events, now
            ):
                gone += count
            if gone:
                log.info("%d events of %s past their days were deleted", gone, each.identifier)

    async def _organisation(self, identifier: str) -> Organisation:
        if time.monotonic() - self._names_at >= NAMES_S or identifier not in self._names:
            known = await self._room.organisations.organisations()
            self._names = {
                each.identifier: Organisation(each.identifier, each.name, each.created_at) for each in known
            }
            self._names_at = time.monotonic()
        return self._names.get(identifier, Organisation(identifier))


def build_delivery(settings: Settings, room: ControlRoom, tally: Tally) -> DeliveryLoop:
    """Return what delivers an installation's events."""
    sharing = settings.sharing
    rules = DeliveryRules(
        is_enabled=sharing.enabled,
        has_collections=room.shared is not None,
        keep_days=sharing.keep_days,
        max_events=sharing.max_events,
    )
    return DeliveryLoop(
        room,
        PublisherMaker(settings, room.clock, room.shared),
        rules,
        tally,
        pseudonyms=lambda: load_key(settings.pseudonyms_key_file),
    )


def _key(destination: Destination) -> tuple[str, str]:
    return destination.organisation, destination.identifier


def _collection(organisation: str, now: float) -> Destination:
    """Return the destination that our own TAXII server's collections are. It tells nobody's name."""
    return Destination(
        identifier=COLLECTION,
        organisation=organisation,
        name="TAXII collections",
        kind=DestinationKind.COLLECTION,
        address="",
        people=PeopleShared.NONE,
        traffic_light=TrafficLight.AMBER,
        created_by="mailveil",
        created_at=now,
        changed_at=now,
    )
