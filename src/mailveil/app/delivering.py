"""Delivering: one destination's events, at least once and in order; what it refuses for good is put aside.

An outage (no connection, 5xx, 429, a wrong secret) is waited for, with longer and longer pauses. An event that the
destination refuses, or that fails again and again while the destination takes the one behind it, becomes a dead
letter, and the next one has its turn. Nothing here holds up any other destination: between two answers only this task
waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from mailveil.control.activityrecords import OutboxEntry
from mailveil.control.publishing import Publishers
from mailveil.control.sharingrecords import SECRET_LOST, DeadLetter, Destination, DestinationKind
from mailveil.control.sharingstores import SharingStore
from mailveil.core.failure import describe_failure
from mailveil.core.sharing.entries import Entry
from mailveil.core.sharing.types import Disclosure, EventKind, PeopleShared, SharedEvent, is_withdrawn
from mailveil.core.sharing.veiling import Organisation, share
from mailveil.ports import Clock, DeliveryError, Publisher, UnavailableError

log = logging.getLogger("mailveil.sharing")

BATCH_EVENTS: Final = 50
BATCH_BYTES: Final = 1_000_000  # of records, before they are encoded
MAX_ATTEMPTS: Final = 10  # of one event, while the destination answers
ALONE_ATTEMPTS: Final = 3  # after so many, what may be an outage is looked for in a single event
STUBBORN_ATTEMPTS: Final = (
    12  # after so many (some 25 minutes), it is tried whether the next event would be taken
)
ONE_BY_ONE: Final = frozenset(
    {DestinationKind.WEBHOOK, DestinationKind.MISP}
)  # each event has its own answer
PAUSES_S: Final = (2.0, 600.0)  # the first and the longest
ATTEMPT_S: Final = 60.0  # what takes longer has failed
LEASE_S: Final = 180.0  # longer than two attempts take, with room to write down how it went
MAX_RETRY_AFTER_S: Final = 86_400.0
RETRY_S: Final = 1_800.0  # so long a dead letter is tried again and again


class Tally(Protocol):
    """Counts, for metrics."""

    def delivered(self, kind: str, count: int) -> None:
        """Take note of events that a destination of this kind took."""
        ...

    def died(self, kind: str) -> None:
        """Take note of an event that one did not take."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every delivery needs. ``pseudonyms`` gives the key of pseudonyms, ``chance`` numbers from 0 to 1."""

    store: SharingStore
    publishers: Publishers
    clock: Clock
    tally: Tally
    pseudonyms: Callable[[], bytes] = field(default=bytes, repr=False)
    organisation: Callable[[str], Awaitable[Organisation]] = field(repr=False, kw_only=True)
    chance: Callable[[], float] = random.random
    attempt_s: float = ATTEMPT_S


@dataclass(frozen=True, slots=True)
class _Item:
    """An entry, and what the destination is told of it (``None``: nothing); ``problem`` where it cannot be read."""

    entry: OutboxEntry
    event: SharedEvent | None = None
    problem: str = ""


class Courier:
    """Delivers to one destination."""

    def __init__(self, around: Surroundings, holder: str, destination: Destination) -> None:
        """``holder`` names this process among those that deliver."""
        self._around = around
        self._holder = holder
        self._destination = destination
        self._lease = f"deliver:{destination.organisation}:{destination.identifier}"
        self._publisher: Publisher | None = None
        self._alone_until = (
            0  # up to this number events are sent one by one, to find out which one is refused
        )

    async def deliver(self, last: int) -> None:
        """Deliver what waits up to the number ``last`` and beyond, until nothing does or it does not work now."""
        around = self._around
        if not await self._hold():
            return
        try:
            while (found := await self._read()) is not None:
                if found.position >= last and not await around.store.entries_after(
                    found.organisation, found.position, 1
                ):
                    break
                if not await self._step(found, last) or not await self._hold():
                    return
            if found is not None:
                await self._try_dead_letters(found)
        finally:
            with contextlib.suppress(UnavailableError):  # it ends by itself
                await around.store.release(self._lease, self._holder)

    async def close(self) -> None:
        """Let go of connections."""
        if self._publisher is not None:
            publisher, self._publisher = self._publisher, None
            await publisher.close()

    # --- one batch -----------------------------------------------------------------------------------------

    async def _step(self, destination: Destination, last: int) -> bool:
        """Deliver a batch; False where it is not to be gone on with now."""
        around = self._around
        limit = 1 if destination.position < self._alone_until else BATCH_EVENTS
        entries = await around.store.entries_after(destination.organisation, destination.position, limit)
        if not entries:  # the rest was erased
            return await around.store.advance(destination, last, 0, around.clock.now())
        items = await self._items(destination, entries)
        if items[0].problem:
            await self._bury(destination, items[0].entry, items[0].problem)
            return True
        items = _readable(items)
        told = [each for each in items if each.event is not None]
        try:
            count = await self._publish(destination, [each.event for each in told if each.event is not None])
        except DeliveryError as error:
            return await self._fail(destination, items, error)
        done = items[-1] if count == len(told) else told[count - 1]
        return await self._advance(destination, done.entry.number, count)

    async def _fail(self, destination: Destination, items: Sequence[_Item], error: DeliveryError) -> bool:
        told = [each for each in items if each.event is not None]
        taken = min(error.taken, len(told) - 1)
        if taken:
            if not await self._advance(destination, told[taken - 1].entry.number, taken):
                return False
            found = await self._read()
            if found is None:
                return False
            destination = found
        if error.is_gone:
            log.warning("destination %s: %s; it is switched off", destination.identifier, error)
            await self._around.store.disable(destination.organisation, destination.identifier, str(error))
            return False
        first, rest = told[taken].entry, told[taken:]
        attempts = destination.attempts + 1
        is_among_others = len(rest) > 1 and destination.position >= self._alone_until
        if is_among_others and (not error.is_outage or attempts >= ALONE_ATTEMPTS):
            self._alone_until = rest[-1].entry.number
            return True
        if error.is_outage:
            if attempts >= STUBBORN_ATTEMPTS and await self._goes_on_without(destination, first, error):
                return True
            await self._put_off(destination, error)
            return False
        if error.is_permanent or attempts >= MAX_ATTEMPTS:
            await self._bury(destination, first, str(error))
            return True
        await self._put_off(destination, error)
        return False

    async def _goes_on_without(
        self, destination: Destination, first: OutboxEntry, error: DeliveryError
    ) -> bool:
        """Put an event aside that alone keeps failing: the destination takes the one behind it.

        In an outage it does not, and nothing is lost; where nothing waits behind it, nothing is held up either.
        """
        following = await self._wanted_after(destination, first.number)
        if following is None or following.event is None or not await self._hold():
            return False
        try:
            await self._publish(destination, [following.event])
        except DeliveryError:
            return False
        await self._bury(destination, first, f"{error}, while it takes others")
        found = await self._read()
        return found is not None and await self._advance(found, following.entry.number, 1)

    async def _wanted_after(self, destination: Destination, number: int) -> _Item | None:
        """Return the next event that the destination is to be told, unless one that cannot be read is before it."""
        store = self._around.store
        while entries := await store.entries_after(destination.organisation, number, BATCH_EVENTS):
            items = await self._items(destination, entries)
            for each in items:
                if each.problem or each.event is not None:
                    return None if each.problem else each
            number = items[-1].entry.number
        return None

    async def _items(self, destination: Destination, entries: Sequence[OutboxEntry]) -> list[_Item]:
        around = self._around
        organisation = await around.organisation(destination.organisation)
        disclosure = Disclosure(
            people=destination.people,
            traffic_light=destination.traffic_light,
            key=around.pseudonyms() if destination.people is PeopleShared.PSEUDONYM else b"",
        )
        return await asyncio.to_thread(_read_items, destination, entries, disclosure, organisation)

    async def _publish(self, destination: Destination, events: Sequence[SharedEvent]) -> int:
        """Have events delivered; return how many, as time allows. Raises ``DeliveryError``, whatever went wrong."""
        if not events:
            return 0
        if destination.is_secret_lost:
            raise DeliveryError(SECRET_LOST)
        if destination.kind not in ONE_BY_ONE:
            await self._publish_together(destination, events)
            return len(events)
        # However long each one takes: what was taken is written down in time.
        until = time.monotonic() + self._around.attempt_s
        for taken, event in enumerate(events):
            if taken and time.monotonic() >= until:
                return taken
            try:
                await self._publish_together(destination, [event])
            except DeliveryError as error:
                error.taken = taken
                raise
        return len(events)

    async def _publish_together(self, destination: Destination, events: Sequence[SharedEvent]) -> None:
        try:
            if self._publisher is None:
                self._publisher = self._around.publishers.publisher(destination)
            async with asyncio.timeout(self._around.attempt_s):
                await self._publisher.publish(events)
        except DeliveryError:
            raise
        except TimeoutError as error:
            await self.close()
            raise DeliveryError(f"it took longer than {self._around.attempt_s:g} seconds") from error
        except Exception as error:  # a mistake of ours must not hold up what comes after
            log.exception("destination %s: an event cannot be delivered", destination.identifier)
            await self.close()
            raise DeliveryError(f"a fault of mailveil: {describe_failure(error)}", is_outage=False) from error

    # --- dead letters --------------------------------------------------------------------------------------

    async def _try_dead_letters(self, destination: Destination) -> None:
        """Deliver dead letters that somebody wants tried again; they come late, so out of order."""
        around = self._around
        letters = await around.store.to_retry(destination.organisation, destination.identifier, BATCH_EVENTS)
        for letter in letters:
            entry = OutboxEntry(
                letter.organisation,
                letter.identifier,
                letter.at,
                letter.kind,
                letter.subject,
                letter.record,
                letter.number,
            )
            (item,) = await self._items(destination, [entry])
            try:
                if item.problem:
                    raise DeliveryError(item.problem, is_permanent=True)
                await self._publish(destination, [item.event] if item.event is not None else [])
            except DeliveryError as error:
                if error.is_outage and around.clock.now() < letter.retry_at + RETRY_S:
                    await self._put_off(destination, error)
                    return
                again = replace(letter, retry_at=0.0, died_at=around.clock.now(), problem=str(error))
                await around.store.bury_again(again)
                continue
            await around.store.forget(letter.organisation, letter.destination, (letter.number,))
            if not await self._hold() or not await self._advance(destination, destination.position, 1):
                return
            if (found := await self._read()) is None:
                return
            destination = found

    # --- details -------------------------------------------------------------------------------------------

    async def _hold(self) -> bool:
        now = self._around.clock.now()
        return await self._around.store.lease(self._lease, self._holder, now, now + LEASE_S)

    async def _read(self) -> Destination | None:
        """Return the destination as it is now; ``None`` where it is to get nothing from here any more."""
        known = self._destination
        found = await self._around.store.destination(known.organisation, known.identifier)
        if found is None or not found.is_enabled or found.changed_at != known.changed_at:
            return None
        return found

    async def _advance(self, destination: Destination, position: int, count: int) -> bool:
        done = await self._around.store.advance(destination, position, count, self._around.clock.now())
        if count:
            self._around.tally.delivered(str(destination.kind), count)
        if destination.problem and done:
            log.info("destination %s: takes events again", destination.identifier)
        return done

    async def _put_off(self, destination: Destination, error: DeliveryError) -> None:
        around = self._around
        pause = pause_s(destination.attempts, around.chance())
        pause = max(pause, min(error.retry_after_s, MAX_RETRY_AFTER_S))
        text = str(error)
        if text != destination.problem:
            log.warning("destination %s: %s; it is tried again and again", destination.identifier, text)
        await around.store.put_off(destination, destination.attempts + 1, around.clock.now() + pause, text)

    async def _bury(self, destination: Destination, entry: OutboxEntry, problem: str) -> None:
        letter = DeadLetter(
            destination=destination.identifier,
            organisation=destination.organisation,
            number=entry.number,
            at=entry.at,
            died_at=self._around.clock.now(),
            kind=entry.kind,
            subject=entry.subject,
            problem=problem,
            record=entry.record,
            identifier=entry.identifier,
        )
        if await self._around.store.bury(destination, letter):
            self._around.tally.died(str(destination.kind))
            log.warning(
                "destination %s: event %d was not taken: %s", destination.identifier, entry.number, problem
            )


def pause_s(attempts: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row, give or take, so that not all come back at once."""
    longest: float = min(PAUSES_S[0] * 2.0 ** min(attempts, 30), PAUSES_S[1])
    return longest * (0.5 + chance / 2)


def _read_items(
    destination: Destination,
    entries: Sequence[OutboxEntry],
    disclosure: Disclosure,
    organisation: Organisation,
) -> list[_Item]:
    """Return what a destination is told of entries, as many as go into a batch, at least one."""
    items: list[_Item] = []
    size = 0
    for entry in entries:
        size += len(json.dumps(entry.record))
        if items and size > BATCH_BYTES:
            break
        items.append(_read_item(destination, entry, disclosure, organisation))
    return items


def _read_item(
    destination: Destination, entry: OutboxEntry, disclosure: Disclosure, organisation: Organisation
) -> _Item:
    try:
        kind = EventKind(entry.kind)
        if destination.events and kind not in destination.events:
            return _Item(entry)
        event = share(
            Entry(kind, entry.identifier, entry.number, entry.at, entry.record), disclosure, organisation
        )
    except Exception as error:  # whatever is wrong with one record, the next one has its turn
        return _Item(entry, problem=f"it cannot be read: {describe_failure(error)}")
    return _Item(entry, event if is_wanted(destination, event) else None)


def is_wanted(destination: Destination, event: SharedEvent) -> bool:
    """Tell whether a destination wants an event, by its score."""
    if destination.kind is DestinationKind.COLLECTION:
        return True
    if event.activity is not None and is_withdrawn(event.activity):
        return True  # whoever may have been told of it before has to know
    scored = event.activity or event.alert
    return scored is None or scored.score >= destination.least_score


def _readable(items: Sequence[_Item]) -> list[_Item]:
    """Return what comes before the first item that cannot be read, which gets its turn next."""
    for place, each in enumerate(items):
        if each.problem:
            return list(items[:place])
    return list(items)
