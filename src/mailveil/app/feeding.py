"""Feeding: has feeds read when they are due, side by side; one that fails costs no other anything, and no mail."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final, Protocol

from mailveil.control.feeds import read_feed
from mailveil.control.feedtaking import pause_s
from mailveil.control.room import ControlRoom
from mailveil.control.sharingrecords import Feed
from mailveil.core.failure import describe_failure
from mailveil.ports import UnavailableError

log = logging.getLogger("mailveil.feeds")

POLL_S: Final = 15.0
AT_ONCE: Final = 4
BROKEN: Final = "it took too long, or holds what we cannot read"
READ_S: Final = 600.0  # for one reading; its lease lasts longer


class FeedTally(Protocol):
    """Counts, for metrics."""

    def feed_read(self, kind: str, *, failed: bool) -> None:
        """Take note of a reading of a feed of this kind."""
        ...


class FeedLoop:
    """Reads feeds until it is stopped. Any number of processes may do this over one database."""

    def __init__(self, room: ControlRoom, tally: FeedTally, *, poll_s: float = POLL_S) -> None:
        self._room = room
        self._tally = tally
        self._poll_s = poll_s
        self._holder = secrets.token_hex(16)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._problem = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what is under way is read again another time."""
        tasks = [*filter(None, [self._task]), *self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        assert self._room.feeds is not None
        while True:
            try:
                now = self._room.clock.now()
                gone = await self._room.feeds.expire(now)
                if gone:
                    log.info("%d indicators whose time was over were deleted", gone)
                for feed in await self._room.feeds.due(now):
                    self._begin(feed)
                self._say("")
            except UnavailableError as error:
                self._say(str(error))
            except Exception as error:  # nothing else hangs on it, and the next time may do
                log.error("could not look after feeds: %s", describe_failure(error))
            await asyncio.sleep(self._poll_s)

    def _begin(self, feed: Feed) -> None:
        if feed.identifier in self._under_way:
            return
        task = asyncio.create_task(self._read(feed))
        self._under_way[feed.identifier] = task
        task.add_done_callback(lambda _: self._under_way.pop(feed.identifier, None))

    async def _read(self, feed: Feed) -> None:
        assert self._room.feeds is not None
        try:
            async with self._turns, asyncio.timeout(READ_S):
                if not await read_feed(self._room, feed, self._holder):
                    return
            found = await self._room.feeds.feed(feed.organisation, feed.identifier)
            if found is not None:
                self._tally.feed_read(str(feed.kind), failed=bool(found.problem))
            if found is not None and found.problem:
                log.warning("the feed %s cannot be read: %s", feed.identifier, found.problem)
            elif found is not None:
                log.info("the feed %s was read; indicators: %d", feed.identifier, found.indicators)
        except UnavailableError as error:
            self._say(str(error))
        except Exception as error:  # whatever a feed holds, the others go on
            log.error("the feed %s cannot be read: %s", feed.identifier, describe_failure(error))
            self._tally.feed_read(str(feed.kind), failed=True)
            await self._put_off(feed)

    async def _put_off(self, feed: Feed) -> None:
        assert self._room.feeds is not None
        try:
            attempts = feed.attempts + 1
            later = self._room.clock.now() + pause_s(attempts)
            await self._room.feeds.failed(feed, BROKEN, attempts, later)
        except UnavailableError as error:
            self._say(str(error))

    def _say(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.warning("no feeds are read now: %s", problem)
        self._problem = problem
