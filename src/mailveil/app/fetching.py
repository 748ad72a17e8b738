"""Fetching: takes due fetches from the queue, has them made, made safe and stored."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from mailveil.adapters.fetcher import Fetched, MayFollow
from mailveil.adapters.resolver import registrable_domain
from mailveil.core.references.types import Media
from mailveil.core.safecopy import SafeCopy
from mailveil.core.safecopy.freshness import shows_delivery
from mailveil.core.verdicts.evidence import BodyFacts, FetchOutcome
from mailveil.ports import CopyFacts, CopyStore, FetchJob, FetchQueue, Memory, Step, UnavailableError
from mailveil.stages.measuring import Instruments, NoInstruments

log = logging.getLogger("mailveil.fetcher")
IDLE_S = 0.5
# A fetch that takes longer gives up its place; with those that did there are at most so many times as many.
SLOW_AFTER_S = 2.0
SLOW_FACTOR = 4
UNAVAILABLE_S = 5.0
RETRY_AFTER_S = 60.0
MAX_RETRIES = 3
# What an origin may ask for with 429 or 503, and what is waited where it does not say.
MIN_AGAIN_S, AGAIN_S, MAX_AGAIN_S = 5.0, 300.0, 3600.0
# What only has to wait for its turn, or for an exit, waits so long before it becomes a placeholder.
PATIENT = frozenset({FetchOutcome.BUSY, FetchOutcome.NO_EXIT})
PATIENCE_S = 86_400.0
MAX_PATIENT_WAIT_S = 300.0
# How often the store is asked to take what was fetched, since it will not be fetched again.
STORE_ATTEMPTS = 6
STORE_AGAIN_S = 5.0
# How long a redirect waits for another fetch that is where it leads.
ANOTHER_S, ANOTHER_POLL_S = 10.0, 0.2
ENDS: Mapping[Step, FetchOutcome | None] = {
    Step.GO: None,
    Step.KNOWN: FetchOutcome.KNOWN,
    Step.LINKED: FetchOutcome.LINKED,
    Step.OVER_BUDGET: FetchOutcome.OVER_BUDGET,
}


class Fetches(Protocol):
    """What makes one fetch (adapters.fetcher)."""

    async def fetch(self, url: str, media: Media, may_follow: MayFollow | None = None) -> Fetched:
        """Return what an origin answered; ``may_follow`` is asked before each redirect."""
        ...


class Sanitises(Protocol):
    """What makes its answer safe (adapters.sandbox)."""

    async def sanitise(self, body: bytes, media: Media, url: str = "") -> SafeCopy | str:
        """Return a safe copy or why there is none; a style sheet's references are relative to ``url``."""
        ...


class Store(CopyStore, FetchQueue, Protocol):
    """Copies and queue in one."""


class FetchLoop:
    """Works the queue with so many fetches at once. Each is on record as attempted before it begins."""

    def __init__(
        self,
        store: Store,
        fetcher: Fetches,
        sandbox: Sanitises,
        max_parallel: int = 16,
        memory: Memory | None = None,
        *,
        instruments: Instruments | None = None,
    ) -> None:
        """``memory`` is told what fetches showed, where the judge has one; ``instruments`` count them."""
        self.instruments = instruments or NoInstruments()
        self.memory = memory
        self.store = store
        self.fetcher = fetcher
        self.sandbox = sandbox
        self.max_parallel = max_parallel
        self._stopping = asyncio.Event()
        self._under_way: dict[asyncio.Task[None], float] = {}

    def stop(self) -> None:
        """Have ``run`` return once what is under way is done: a fetch that is cut off is never made again."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped or cancelled; what is cancelled is a placeholder after the restart."""
        try:
            while not self._stopping.is_set():
                wait_s = self._until_place()
                job = await self._claim() if wait_s <= 0 else None
                if job is not None:
                    task = asyncio.create_task(self._work(job))
                    self._under_way[task] = time.monotonic()
                    task.add_done_callback(lambda done: self._under_way.pop(done, None))
                elif wait_s > 0:
                    await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED, timeout=wait_s)
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), IDLE_S)
            if self._under_way:
                await asyncio.wait(list(self._under_way))
        finally:
            tasks = list(self._under_way)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _until_place(self) -> float:
        """Return in how many seconds there may be a place for another fetch; 0 where there is one.

        A fetch that takes long only waits, and gives its place to another: origins that hang must not keep the
        others waiting. There are so many of those as well, but not more.
        """
        now = time.monotonic()
        if len(self._under_way) >= SLOW_FACTOR * self.max_parallel:
            return SLOW_AFTER_S
        begun = sorted(each for each in self._under_way.values() if now - each < SLOW_AFTER_S)
        if len(begun) < self.max_parallel:
            return 0.0
        return max(begun[0] + SLOW_AFTER_S - now, 0.01)

    async def _claim(self) -> FetchJob | None:
        try:
            return await self.store.claim()
        except UnavailableError as error:
            log.warning("fetches have to wait: %s", error)
            await asyncio.sleep(UNAVAILABLE_S)
            return None

    async def _work(self, job: FetchJob) -> None:
        try:
            # The rest of a URL often tells who the reader is, and a name of the DNS may: neither stands in a log.
            log.debug("fetching a %s from %s", job.media, registrable_domain(host_of(job.url)))
            redirects = _Redirects(self.store, job)
            started = time.monotonic()
            try:
                fetched = await self.fetcher.fetch(job.url, job.media, redirects.may_follow)
            finally:
                job = redirects.job  # with what has come along
            self.instruments.fetched(str(fetched.outcome), time.monotonic() - started)
            await self._settle(job, fetched, redirects.known)
        except UnavailableError as error:
            log.warning("a copy could not be stored and stays a placeholder: %s", error)
        except Exception:
            log.exception("a fetch failed by our own fault")
            with contextlib.suppress(UnavailableError):
                for each in (job, *job.siblings):
                    await self.store.settle(each)

    async def _settle(self, job: FetchJob, fetched: Fetched, known: int = 0) -> None:
        if await self._given_back(job, fetched):
            return
        facts = fetched.facts
        if fetched.outcome is FetchOutcome.KNOWN:
            await self.store.adopt(job, known)
        elif fetched.outcome is not FetchOutcome.FETCHED:
            log.info("no copy (%s): %s", job.media, fetched.outcome)
            for each in (job, *job.siblings):
                await self.store.settle(each)
            if fetched.part and self.memory is not None:
                facts = _with_sight(facts, await self.sandbox.sanitise(fetched.part, job.media))
        else:
            for each in (job, *job.siblings):
                copy = await self.sandbox.sanitise(fetched.body, each.media, final_url(fetched, each.url))
                if isinstance(copy, SafeCopy):
                    facts = _with_sight(facts, copy)
                    await self._put(each, copy, facts_of(copy, fetched, each))
                else:
                    log.info("no copy (%s): %s", each.media, copy)
                    await self.store.settle(each)
        await self._testify(job, fetched, facts)

    async def _given_back(self, job: FetchJob, fetched: Fetched) -> bool:
        """Return a fetch to the queue where it may be made again; tell whether it was returned.

        That is where no origin has seen a byte of it, or once where one has told us to come again.
        """
        now = time.time()
        age_s = max(0.0, now - job.created)
        again = random.SystemRandom()
        if fetched.outcome is FetchOutcome.ASKED_TO_WAIT and not job.asked_again:
            wait_s = AGAIN_S if fetched.again_s is None else fetched.again_s
            if wait_s > MAX_AGAIN_S:
                return False
            later = now + max(wait_s, MIN_AGAIN_S) + again.uniform(0, MIN_AGAIN_S)
            await self.store.give_back(job, later, again_at=fetched.again_at)
            await self._testify(job, fetched, fetched.facts, settled=False)
            return True
        if not fetched.sent_nothing:
            return False
        if fetched.outcome in PATIENT and age_s < PATIENCE_S:
            wait_s = min(max(age_s, 4.0) * again.uniform(0.3, 0.7), MAX_PATIENT_WAIT_S)
            await self.store.give_back(job, now + wait_s, counts=False)
            return True
        if fetched.outcome is FetchOutcome.UNREACHABLE and job.retries < MAX_RETRIES:
            await self.store.give_back(job, now + RETRY_AFTER_S * 4**job.retries)
            return True
        return False

    async def _testify(
        self, job: FetchJob, fetched: Fetched, facts: BodyFacts, *, settled: bool = True
    ) -> None:
        evidence = replace(fetched.evidence, body=facts)
        try:
            await self.store.testify(job, evidence)
        except UnavailableError as error:
            log.warning("what a fetch showed could not be kept: %s", error)
        if self.memory is None or not settled:
            return
        try:
            await self.memory.learn(job.url, evidence)
        except UnavailableError as error:
            log.warning("nothing is learned from a fetch: %s", error)

    async def _put(self, job: FetchJob, copy: SafeCopy, facts: CopyFacts) -> None:
        for attempt in range(1, STORE_ATTEMPTS + 1):
            try:
                if not await self.store.put(job, copy.body, copy.media_type, facts):
                    log.warning(
                        "no room for a safe copy: [copies] max_store_bytes is reached or the disk is full"
                    )
                return
            except UnavailableError:
                if attempt == STORE_ATTEMPTS or self._stopping.is_set():
                    raise
                await asyncio.sleep(STORE_AGAIN_S)


class _Redirects:
    """The redirects of one fetch: what is to be done about each, and what came of it."""

    def __init__(self, queue: FetchQueue, job: FetchJob) -> None:
        self.queue = queue
        self.job = job
        self.known = 0

    async def may_follow(self, url: str) -> FetchOutcome | None:
        """Return how the fetch ends at a redirect, ``None`` where it goes on; wait while another one is there."""
        ends = time.monotonic() + ANOTHER_S
        try:
            while True:
                followed = await self.queue.follow(self.job, url)
                if followed.step is not Step.WAIT or time.monotonic() > ends:
                    break
                await asyncio.sleep(ANOTHER_POLL_S)
        except UnavailableError:
            return FetchOutcome.FAILED  # nobody can tell whether it was asked before
        self.job = replace(self.job, siblings=(*self.job.siblings, *followed.along))
        self.known = followed.known
        return ENDS.get(followed.step, FetchOutcome.REDIRECT_LOOP)


def final_url(fetched: Fetched, url: str) -> str:
    """Return where an answer came from, redirects followed."""
    return fetched.hops[-1].url if fetched.hops else url


def facts_of(copy: SafeCopy, fetched: Fetched, job: FetchJob) -> CopyFacts:
    """Return what is to be known of a copy besides its bytes."""
    fields = fetched.hops[-1].fields if fetched.hops else ()
    names = (job.url, final_url(fetched, job.url))
    return CopyFacts(
        as_of_delivery=job.media is Media.IMAGE and shows_delivery(names, fields, copy.width, copy.height),
        width=copy.width,
        height=copy.height,
        frames=copy.frames,
        duration_s=copy.duration_s,
        is_silent=copy.is_silent,
        replaced=copy.replaced,
        nested=tuple((each.url, each.media) for each in copy.nested),
    )


def host_of(url: str) -> str:
    """Return the host of a URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _with_sight(facts: BodyFacts, copy: SafeCopy | str) -> BodyFacts:
    """Return what is known of a body with what its decoding has shown, the first kind of copy counting."""
    if not isinstance(copy, SafeCopy) or facts.sniffed_type:
        return facts
    return replace(
        facts,
        sniffed_type=copy.media_type,
        width=copy.width,
        height=copy.height,
        is_silent=copy.is_silent,
    )
