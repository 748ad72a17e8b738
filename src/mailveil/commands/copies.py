"""Safe copies for ``clean --fetch``: which are wanted, who would be contacted for them, and getting them."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mailveil.adapters.copystore import SqliteCopyStore
from mailveil.adapters.mailboxes import Stored
from mailveil.adapters.originals import load_key
from mailveil.adapters.workerprocess import Failure, Job
from mailveil.adapters.workers import WorkerPool
from mailveil.commands.outputs import UnusableError
from mailveil.commands.sources import read_sources
from mailveil.commands.terminal import note
from mailveil.config import Settings
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.ports import UnavailableError, WantedCopy

NAMED_ORIGINS = 5

FetchCopies = Callable[[Sequence[WantedCopy]], Mapping[str, EmbeddedCopy]]


def copies_key(settings: Settings, *, create: bool) -> bytes:
    """Return the key by which addresses of our own copies are known. Raises OriginalError.

    Unless told to ``create`` it, a key that nobody knows takes the place of a missing one.
    """
    if create or settings.copies_key_file.exists():
        return load_key(settings.copies_key_file)
    return secrets.token_bytes(32)


@dataclass(slots=True)
class WantedCopies:
    """The safe copies that messages want, by the path that each message was read from."""

    by_path: dict[str, tuple[WantedCopy, ...]] = field(default_factory=dict)
    copies: Mapping[str, EmbeddedCopy] = field(default_factory=dict)  # by token, once they are fetched

    def of(self, path: str) -> Mapping[str, EmbeddedCopy]:
        """Return the copies at hand for the message at a path, by token."""
        wanted = self.by_path.get(path, ())
        return {each.token: self.copies[each.token] for each in wanted if each.token in self.copies}

    def all(self) -> list[WantedCopy]:
        """Return every wanted copy."""
        return [each for wanted in self.by_path.values() for each in wanted]

    def origins(self) -> list[str]:
        """Return every host that would be contacted, in order of appearance."""
        hosts = (urlsplit(each.url).netloc for each in self.all() if each.may_fetch)
        return list(dict.fromkeys(hosts))


def find_wanted(pool: WorkerPool, source: str, max_bytes: int) -> WantedCopies:
    """Read everything once to learn which copies it wants. What cannot be read is left to the cleaning."""
    found = WantedCopies()

    def jobs() -> Iterator[Job[None]]:
        for each in read_sources((source,), max_bytes):
            if isinstance(each, Stored):
                yield Job(each.raw, None, each.path, deliver=False)

    for job, result in pool.map(jobs()):
        if not isinstance(result, Failure) and result.wanted:
            found.by_path[job.path] = result.wanted
    return found


def ask_consent(wanted: WantedCopies, settings: Settings, *, assume_yes: bool) -> None:
    """Say who would be contacted and from where, and ask where there is somebody to ask.

    Raises UnusableError where the answer is no.
    """
    origins = wanted.origins()
    proxy = settings.fetch.proxy
    whence = f"through {proxy}" if proxy else "from this machine's own address"
    named = ", ".join(origins[:NAMED_ORIGINS]) + (" …" if len(origins) > NAMED_ORIGINS else "")
    many = len({each.url for each in wanted.all() if each.may_fetch})
    note(f"{len(origins):,} origins would be contacted {whence} for {many:,} safe copies: {named or 'none'}")
    if assume_yes or not origins or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    print("Contact them? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UnusableError("nobody was contacted and nothing was written")


async def _queue(store: SqliteCopyStore, wanted: Sequence[WantedCopy]) -> None:
    await store.reserve(wanted)
    await store.release(wanted)


def queue_hosted(store: SqliteCopyStore, wanted: Sequence[WantedCopy]) -> None:
    """Have the fetcher of the copies server make copies. Raises UnusableError."""
    try:
        asyncio.run(_queue(store, wanted))
    except UnavailableError as error:
        raise UnusableError(f"the store of copies cannot be used: {error}") from error
    finally:
        store.close()
