"""Fetching for ``clean --fetch``: makes the wanted copies now, for messages or for the copies server."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from mailveil.adapters.copystore import SqliteCopyStore
from mailveil.adapters.fetcher import FetchOutcome
from mailveil.app.building import build_fetcher, build_guard, build_sandbox, build_store
from mailveil.app.fetching import Fetches, FetchLoop, Sanitises
from mailveil.commands.outputs import UnusableError
from mailveil.commands.terminal import note
from mailveil.config import Settings
from mailveil.core.copyaddress import content_id
from mailveil.core.protection import EngineSettings
from mailveil.core.references.links import leads_to_link
from mailveil.core.references.types import Media
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.core.safecopy import SafeCopy
from mailveil.ports import UnavailableError, WantedCopy

CONTENT_ID_DOMAIN = EngineSettings().content_id_domain
POLL_S = 0.2
BUSY_ATTEMPTS = 30  # each of which waits by itself for a place at the address


class FetchedCopies:
    """Copies to embed, each URL fetched once. They wait on disk, since there may be many."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mailveil-copies-")
        self._found: dict[tuple[str, Media], tuple[str, str]] = {}
        self.refused: Counter[str] = Counter()

    def __enter__(self) -> FetchedCopies:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def __len__(self) -> int:
        return len(self._found)

    def add(self, url: str, media: Media, copy: SafeCopy) -> None:
        """Keep a copy."""
        name = hashlib.sha256(copy.body).hexdigest()
        (Path(self._folder.name) / name).write_bytes(copy.body)
        self._found[url, media] = (name, copy.media_type)

    def get(self, wanted: WantedCopy) -> EmbeddedCopy | None:
        """Return the copy, or ``None`` where a placeholder has to do."""
        found = self._found.get((wanted.url, wanted.media)) if wanted.may_fetch else None
        if found is None:
            return None
        name, media_type = found
        data = (Path(self._folder.name) / name).read_bytes()
        return EmbeddedCopy(content_id(name[:40], CONTENT_ID_DOMAIN), media_type, data)

    async def fetch(
        self, wanted: Sequence[WantedCopy], fetcher: Fetches, sandbox: Sanitises, max_parallel: int
    ) -> None:
        """Fetch everything that may be fetched, once each."""
        places = asyncio.Semaphore(max_parallel)

        async def one(uses: list[WantedCopy]) -> None:
            async def may_follow(url: str) -> FetchOutcome | None:
                return FetchOutcome.LINKED if any(leads_to_link(url, each.links) for each in uses) else None

            async with places:
                fetched = await fetcher.fetch(uses[0].url, uses[0].media, may_follow)
                for _ in range(BUSY_ATTEMPTS):
                    if fetched.outcome is not FetchOutcome.BUSY:
                        break
                    fetched = await fetcher.fetch(
                        uses[0].url, uses[0].media, may_follow
                    )  # nobody was contacted
                if fetched.outcome is not FetchOutcome.FETCHED:
                    self.refused[str(fetched.outcome)] += len(uses)
                    return
                for each in uses:
                    copy = await sandbox.sanitise(fetched.body, each.media)
                    if isinstance(copy, SafeCopy):
                        self.add(each.url, each.media, copy)
                    else:
                        self.refused[str(copy)] += 1

        # One URL is one fetch, whatever kinds of copies are wanted of it and at whichever fragments.
        targets: dict[str, dict[tuple[str, Media], WantedCopy]] = {}
        for each in wanted:
            if each.may_fetch:
                targets.setdefault(each.url.partition("#")[0], {})[each.url, each.media] = each
        async with asyncio.TaskGroup() as tasks:
            for uses in targets.values():
                tasks.create_task(one(list(uses.values())))


@contextmanager
def fetched_copies(settings: Settings, wanted: Sequence[WantedCopy]) -> Iterator[FetchedCopies]:
    """Fetch copies to embed and have them at hand while the block runs."""
    with FetchedCopies() as copies:
        asyncio.run(_fetch(copies, settings, wanted))
        refused = "".join(f", {count:,} {reason}" for reason, count in copies.refused.most_common())
        note(f"{len(copies):,} safe copies made{refused}")
        yield copies


async def _fetch(copies: FetchedCopies, settings: Settings, wanted: Sequence[WantedCopy]) -> None:
    sandbox = build_sandbox(settings)
    try:
        async with build_guard(settings) as guard:
            fetcher = build_fetcher(settings, guard)
            await copies.fetch(wanted, fetcher, sandbox, settings.fetch.max_parallel)
    finally:
        await sandbox.close()


@contextmanager
def hosted_copies(settings: Settings, wanted: Sequence[WantedCopy]) -> Iterator[None]:
    """Put copies on record before the block writes their addresses into mail, and make them after it.

    Raises UnusableError where the store of copies cannot be used.
    """
    store = build_store(settings)
    try:
        try:
            asyncio.run(store.reserve(wanted))
            yield
            asyncio.run(_make(settings, store, wanted))
        except UnavailableError as error:
            raise UnusableError(f"the store of copies cannot be used: {error}") from error
    finally:
        store.close()


async def _make(settings: Settings, store: SqliteCopyStore, wanted: Sequence[WantedCopy]) -> None:
    await store.release(wanted)
    try:
        await store.recover()
    except RuntimeError:
        note("the fetcher that runs already makes the copies")
        return
    sandbox = build_sandbox(settings)
    try:
        async with build_guard(settings) as guard:
            fetcher = build_fetcher(settings, guard)
            loop = FetchLoop(store, fetcher, sandbox, settings.fetch.max_parallel)
            working = asyncio.create_task(loop.run())
            left = await _wait(store, settings.fetch.timeout_s + 5.0)
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
    finally:
        await sandbox.close()
    if left:
        note(f"{left:,} safe copies are still to come: mailveil serve --role fetcher makes them")


async def _wait(store: SqliteCopyStore, patience_s: float) -> int:
    """Wait until all is fetched, or nothing has happened for a while; return how much is left."""
    left, since = -1, time.monotonic()
    while True:
        counts = await store.counts()
        now_left = counts.get("released", 0) + counts.get("attempted", 0)
        if now_left != left:
            left, since = now_left, time.monotonic()
        if not left or time.monotonic() - since > patience_s:
            return left
        await asyncio.sleep(POLL_S)
