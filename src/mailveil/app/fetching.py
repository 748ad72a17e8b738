"""Fetching: takes due fetches from the queue, has them made, made safe and stored."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Protocol

from mailveil.adapters.fetcher import Fetched, FetchOutcome
from mailveil.core.references.types import Media
from mailveil.core.safecopy import SafeCopy
from mailveil.ports import CopyStore, FetchJob, FetchQueue, UnavailableError

log = logging.getLogger("mailveil.fetcher")
IDLE_S = 0.5
UNAVAILABLE_S = 5.0
RETRY_AFTER_S = 60.0
MAX_RETRIES = 3


class Fetches(Protocol):
    """What makes one fetch (adapters.fetcher)."""

    async def fetch(self, url: str, media: Media) -> Fetched:
        """Return what an origin answered."""
        ...


class Sanitises(Protocol):
    """What makes its answer safe (adapters.sandbox)."""

    async def sanitise(self, body: bytes, media: Media) -> SafeCopy | str:
        """Return a safe copy or why there is none."""
        ...


class Store(CopyStore, FetchQueue, Protocol):
    """Copies and queue in one."""


class FetchLoop:
    """Works the queue with so many fetches at once. Each is on record as attempted before it begins."""

    def __init__(self, store: Store, fetcher: Fetches, sandbox: Sanitises, max_parallel: int = 16) -> None:
        self.store = store
        self.fetcher = fetcher
        self.sandbox = sandbox
        self.max_parallel = max_parallel
        self._retries: dict[int, int] = {}

    async def run(self) -> None:
        """Work until cancelled; what is under way then is a placeholder after the restart."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                job = await self._claim() if len(under_way) < self.max_parallel else None
                if job is not None:
                    task = asyncio.create_task(self._work(job))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                elif len(under_way) >= self.max_parallel:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.sleep(IDLE_S)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _claim(self) -> FetchJob | None:
        try:
            return await self.store.claim()
        except UnavailableError as error:
            log.warning("fetches have to wait: %s", error)
            await asyncio.sleep(UNAVAILABLE_S)
            return None

    async def _work(self, job: FetchJob) -> None:
        try:
            await self._settle(job, await self._copy(job))
        except UnavailableError as error:
            log.warning("a copy could not be stored and stays a placeholder: %s", error)
        except Exception:
            log.exception("a fetch failed by our own fault")
            with contextlib.suppress(UnavailableError):
                await self.store.settle(job)

    async def _copy(self, job: FetchJob) -> SafeCopy | Fetched | str:
        fetched = await self.fetcher.fetch(job.url, job.media)
        if fetched.outcome is not FetchOutcome.FETCHED:
            return fetched
        return await self.sandbox.sanitise(fetched.body, job.media)

    async def _settle(self, job: FetchJob, result: SafeCopy | Fetched | str) -> None:
        retries = self._retries.pop(job.identifier, 0)
        if isinstance(result, SafeCopy):
            await self.store.put(job, result.body, result.media_type)
            return
        if isinstance(result, Fetched):
            nothing_was_sent = result.outcome is FetchOutcome.UNREACHABLE and not result.hops
            if nothing_was_sent and retries < MAX_RETRIES:
                self._retries[job.identifier] = retries + 1
                await self.store.give_back(job, time.time() + RETRY_AFTER_S * 4**retries)
                return
        reason = str(result.outcome) if isinstance(result, Fetched) else result
        log.info("no copy of a %s: %s", job.media, reason)
        await self.store.settle(job)
