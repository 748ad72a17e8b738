"""Fetching: takes due fetches from the queue, has them made, made safe and stored."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Protocol
from urllib.parse import urlsplit

from mailveil.adapters.fetcher import Fetched, FetchOutcome
from mailveil.core.references.types import Media
from mailveil.core.safecopy import SafeCopy
from mailveil.ports import CopyStore, FetchJob, FetchQueue, UnavailableError

log = logging.getLogger("mailveil.fetcher")
IDLE_S = 0.5
UNAVAILABLE_S = 5.0
RETRY_AFTER_S = 60.0
MAX_RETRIES = 3
# How often the store is asked to take what was fetched, since it will not be fetched again.
STORE_ATTEMPTS = 6
STORE_AGAIN_S = 5.0


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
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Have ``run`` return once what is under way is done: a fetch that is cut off is never made again."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped or cancelled; what is cancelled is a placeholder after the restart."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            while not self._stopping.is_set():
                job = await self._claim() if len(under_way) < self.max_parallel else None
                if job is not None:
                    task = asyncio.create_task(self._work(job))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                elif len(under_way) >= self.max_parallel:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), IDLE_S)
            if under_way:
                await asyncio.wait(under_way)
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
        # The rest of a URL often tells who the reader is, so it stands in no log.
        log.debug("fetching a %s from %s", job.media, host_of(job.url))
        fetched = await self.fetcher.fetch(job.url, job.media)
        if fetched.outcome is not FetchOutcome.FETCHED:
            return fetched
        return await self.sandbox.sanitise(fetched.body, job.media)

    async def _settle(self, job: FetchJob, result: SafeCopy | Fetched | str) -> None:
        retries = self._retries.pop(job.identifier, 0)
        if isinstance(result, SafeCopy):
            await self._put(job, result)
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

    async def _put(self, job: FetchJob, copy: SafeCopy) -> None:
        for attempt in range(1, STORE_ATTEMPTS + 1):
            try:
                if not await self.store.put(job, copy.body, copy.media_type):
                    log.warning("no room for a safe copy: [copies] max_store_bytes is reached")
                return
            except UnavailableError:
                if attempt == STORE_ATTEMPTS or self._stopping.is_set():
                    raise
                await asyncio.sleep(STORE_AGAIN_S)


def host_of(url: str) -> str:
    """Return the host of a URL, all of it that is ever logged."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
