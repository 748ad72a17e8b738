"""A study batch: what came off the queue together is studied in small pieces, in a thread, so that mail does not wait.

Memos are loaded as they are asked for: for the whole batch at first, then for each subject as far as what came before
it has changed what it touches. A subject that cannot be studied leaves no trace in the memos, and holds nothing up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from mailveil.control.activitystores import Studied, Subject, Unstudied
from mailveil.control.telling import alert_event, tracker_event
from mailveil.core.failure import describe_failure
from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.settings import Findings, StudySettings
from mailveil.core.intelligence.studying import keys_of, study
from mailveil.core.intelligence.types import Activity, Alert, Campaign, LearnedTracker

log = logging.getLogger("mailveil.studying")
PIECE_S = 0.01  # so long the processor is taken at once
AHEAD = 2  # memos name others; so often those of a whole batch are asked for together
MAX_ROUNDS = 50  # of asking which memos a subject touches

Item = TypeVar("Item", Activity, Alert, Campaign, LearnedTracker)


class Memos(Protocol):
    """Where memos are kept (``control.activitystores.StudyStore``)."""

    async def memos(self, organisation: str, keys: Collection[str]) -> Mapping[str, Memo | None]:
        """Return memos by key, ``None`` for those that are not there."""
        ...


class Scholar(Protocol):
    """Who studies (``core.intelligence.studying``)."""

    def keys_of(self, subject: Subject, book: Book) -> Collection[str]:
        """Return the keys of the memos that a subject touches, as far as the book tells."""
        ...

    def study(self, subject: Subject, book: Book, settings: StudySettings) -> Findings:
        """Study one subject: read and write the book, and return what is new."""
        ...


class Intelligence:
    """The scholar that the core has."""

    def keys_of(self, subject: Subject, book: Book) -> Collection[str]:
        """Return the keys of the memos that a subject touches, as far as the book tells."""
        return keys_of(subject, book)

    def study(self, subject: Subject, book: Book, settings: StudySettings) -> Findings:
        """Study one subject: read and write the book, and return what is new."""
        return study(subject, book, settings)


@dataclass(slots=True)
class _Found:
    """What was found so far: each as it stands now."""

    activities: dict[str, Activity] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    learned: dict[str, LearnedTracker] = field(default_factory=dict)
    withdrawn: dict[tuple[str, str], None] = field(default_factory=dict)

    def take(self, findings: Findings) -> None:
        _take(self.activities, findings.activities)
        _take(self.campaigns, findings.campaigns)
        _take(self.alerts, findings.alerts)
        _take(self.learned, findings.learned)
        self.withdrawn.update(dict.fromkeys(findings.withdrawn))


def _take(known: dict[str, Item], new: Sequence[Item]) -> None:
    known.update({each.identifier: each for each in new})


@dataclass(slots=True)
class StudyBatch:
    """Studies what came off an organisation's queue; ``seconds`` is how long the processor was at it."""

    organisation: str
    waiting: Unstudied
    settings: StudySettings
    memos: Memos
    scholar: Scholar
    seconds: float = 0.0
    set_aside: int = 0
    _book: Book = field(default_factory=Book)
    _loaded: dict[str, Memo | None] = field(default_factory=dict)
    _changed: dict[str, Memo | None] = field(default_factory=dict)
    _found: _Found = field(default_factory=_Found)
    _next: int = 0

    async def studied(self, at: float) -> Studied:
        """Study all of it, and return what is to be written down. Raises ``UnavailableError``."""
        for _ in range(AHEAD):
            await self._load(await self._in_thread(self._keys_of_all))
        rounds = 0
        while self._next < len(self.waiting.subjects):
            before = self._next
            lacking = await self._in_thread(self._piece)
            rounds = rounds + 1 if self._next == before else 0
            if rounds > MAX_ROUNDS:
                self._give_up(RuntimeError("it touches ever more memos"))
            elif lacking:
                await self._load(lacking)
        found = self._found
        outbox = [alert_event(each, at) for each in found.alerts.values()]
        outbox += [tracker_event(each, at) for each in found.learned.values()]
        return Studied(
            self.waiting.subjects,
            self._changed,
            at,
            self.waiting.generation,
            self.waiting.is_again,
            tuple(found.activities.values()),
            tuple(found.campaigns.values()),
            tuple(found.alerts.values()),
            () if self.waiting.is_again else tuple(outbox),
            tuple(found.withdrawn),
        )

    async def _in_thread(self, work: Work) -> Collection[str]:
        started = time.perf_counter()
        try:
            return await asyncio.to_thread(work)
        finally:
            self.seconds += time.perf_counter() - started

    async def _load(self, keys: Collection[str]) -> None:
        if keys:
            memos = dict(await self.memos.memos(self.organisation, keys))
            self._loaded |= memos
            self._book.load(memos)

    def _keys_of_all(self) -> Collection[str]:
        """Return what the batch touches as far as can be told before anything is loaded."""
        wanted: set[str] = set()
        for each in self.waiting.subjects:
            try:
                wanted |= self._book.lacks(self.scholar.keys_of(each, self._book))
            except Exception as error:  # told of when it is its turn
                log.debug("what %s touches cannot be told: %s", each.identifier, describe_failure(error))
        return wanted

    def _piece(self) -> Collection[str]:
        """Study on until a memo is lacking, which is returned, or enough time has passed."""
        end = time.perf_counter() + PIECE_S
        while self._next < len(self.waiting.subjects):
            subject = self.waiting.subjects[self._next]
            try:
                lacking = self._book.lacks(self.scholar.keys_of(subject, self._book))
                if lacking:
                    return lacking
                findings = self.scholar.study(subject, self._book, self.settings)
            except Exception as error:  # whatever it is, the next one has its turn
                self._give_up(error)
            else:
                self._found.take(findings)
                self._changed |= self._book.changes()
                self._next += 1
            if time.perf_counter() > end:
                break
        return ()

    def _give_up(self, error: Exception) -> None:
        """Set a subject aside: the book is again as it was before it."""
        subject = self.waiting.subjects[self._next]
        log.error("%s cannot be studied and is set aside: %s", subject.identifier, describe_failure(error))
        self.set_aside += 1
        self._next += 1
        self._book = Book({**self._loaded, **self._changed})


class Work(Protocol):
    """One piece of work, which returns the memos that it lacks."""

    def __call__(self) -> Collection[str]:
        """Do it."""
        ...
