"""Safe copies for ``clean --fetch``: which are wanted, who would be contacted for them, and getting them."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from mailveil.adapters.mailboxes import Stored
from mailveil.adapters.originals import load_key
from mailveil.adapters.workerprocess import Failure, Job
from mailveil.adapters.workers import WorkerPool
from mailveil.commands.outputs import UnusableError
from mailveil.commands.sources import Source
from mailveil.commands.terminal import note
from mailveil.config import Settings
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.ports import WantedCopy

NAMED_ORIGINS = 5


def copies_key(settings: Settings, *, create: bool) -> bytes:
    """Return the key by which addresses of our own copies are known. Raises OriginalError.

    Unless told to ``create`` it, a key that nobody knows takes the place of a missing one.
    """
    if create or settings.copies_key_file.exists():
        return load_key(settings.copies_key_file)
    return secrets.token_bytes(32)


class CopiesAtHand(Protocol):
    """Safe copies that have been made."""

    def get(self, wanted: WantedCopy) -> EmbeddedCopy | None:
        """Return the copy, or ``None`` where a placeholder has to do."""
        ...


@dataclass(slots=True)
class WantedCopies:
    """The safe copies that messages want, by the path that each message was read from."""

    by_path: dict[str, tuple[WantedCopy, ...]] = field(default_factory=dict)
    at_hand: CopiesAtHand | None = None

    def of(self, path: str) -> Mapping[str, EmbeddedCopy]:
        """Return the copies at hand for the message at a path, by token."""
        if self.at_hand is None:
            return {}
        found = ((each.token, self.at_hand.get(each)) for each in self.by_path.get(path, ()))
        return {token: copy for token, copy in found if copy is not None}

    def all(self) -> list[WantedCopy]:
        """Return every wanted copy."""
        return [each for wanted in self.by_path.values() for each in wanted]

    def origins(self) -> list[str]:
        """Return every host that would be contacted, in order of appearance."""
        hosts = (urlsplit(each.url).netloc for each in self.all() if each.may_fetch)
        return list(dict.fromkeys(hosts))


def find_wanted(pool: WorkerPool, sources: Iterable[Source]) -> WantedCopies:
    """Examine everything once to learn which copies it wants. What cannot be read is left to the cleaning."""
    found = WantedCopies()
    stored = (each for each in sources if isinstance(each, Stored))
    for job, result in pool.map(Job(each.raw, None, each.path, deliver=False) for each in stored):
        if not isinstance(result, Failure) and result.wanted:
            found.by_path[job.path] = result.wanted
    return found


def ask_consent(wanted: WantedCopies, settings: Settings, *, assume_yes: bool) -> None:
    """Say who would be contacted and from where, and ask where there is somebody to ask.

    Raises UnusableError where the answer is no.
    """
    origins = wanted.origins()
    exits = ", ".join(str(each) for each in settings.fetch.exits)
    whence = f"through {exits}" if exits else "from this machine's own address"
    named = ", ".join(origins[:NAMED_ORIGINS]) + (" …" if len(origins) > NAMED_ORIGINS else "")
    many = len({each.url for each in wanted.all() if each.may_fetch})
    note(f"{len(origins):,} origins would be contacted {whence} for {many:,} safe copies: {named or 'none'}")
    if assume_yes or not origins or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    print("Contact them? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UnusableError("nobody was contacted and nothing was written")
