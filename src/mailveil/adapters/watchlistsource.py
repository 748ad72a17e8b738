"""Watchlist source: whom each organisation has met before, in memory, read anew when it changes, and kept on disk.

A database that is away delays no mail and forgets nobody: the last lists that were read go on, also after a restart.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mailveil.adapters.lookout import PATIENCE_AT_START_S, Lookout
from mailveil.adapters.newfiles import write_file
from mailveil.control.activityrecords import ActivityFile, ActivityQuery
from mailveil.control.activitystores import ActivityStore
from mailveil.control.records import Cut, Organisation
from mailveil.control.stores import OrganisationStore
from mailveil.core.failure import describe_failure
from mailveil.core.intelligence.knownactors import known_actor
from mailveil.core.intelligence.types import AnalystVerdict
from mailveil.core.recognition.recognising import WatchIndex, index_of, recognise
from mailveil.core.recognition.shared import owned_domains
from mailveil.core.recognition.types import (
    KnownActor,
    MessageTraits,
    Recognition,
    Watchlist,
    watchlist_of,
)
from mailveil.ports import Clock, UnavailableError

log = logging.getLogger("mailveil.recognition")

FORMAT: Final = 1
LOOK_EVERY_S: Final = 4.0
LEAST_SCORE: Final = 0.5  # from which on an activity is worth an alert (core.intelligence.settings)
MAX_ACTORS: Final = 2_000  # of one organisation
_PAGE: Final = 50  # read between two messages: more would be felt by these


class WatchlistSource:
    """Whom each organisation has met before (``ports.Watch``).

    On a list are activities that are confirmed, or scored at least ``least_score`` and not found benign. ``path`` is
    where the last lists are kept, for this process's user alone.
    """

    def __init__(
        self,
        organisations: OrganisationStore,
        activities: ActivityStore,
        clock: Clock,
        path: Path,
        *,
        least_score: float = LEAST_SCORE,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._organisations = organisations
        self._activities = activities
        self._clock = clock
        self._path = path
        self._least_score = least_score
        self._indexes: Mapping[str, WatchIndex] = {}
        self._lookout = Lookout("known actors", self._refresh, look_every_s, log)

    def recognise(self, organisation: str, traits: MessageTraits) -> Recognition | None:
        """Return what a message to an organisation is recognised as."""
        index = self._indexes.get(organisation)
        return None if index is None else recognise(index, traits)

    def watchlist(self, organisation: str) -> Watchlist | None:
        """Return an organisation's list as it is now."""
        index = self._indexes.get(organisation)
        return None if index is None else index.watchlist

    async def start(self, patience_s: float = PATIENCE_AT_START_S) -> None:
        """Take up the lists that were kept, look briefly for newer ones, and go on looking."""
        self._indexes = await asyncio.to_thread(self._recall)
        await self._lookout.start(patience_s)

    async def stop(self) -> None:
        """End looking."""
        await self._lookout.stop()

    async def refresh(self) -> bool:
        """Take up what has changed; False where the database could not tell, and the lists stay as they are."""
        return await self._lookout.look()

    async def _refresh(self) -> None:
        indexes = await self._read()
        if indexes != self._indexes:
            self._indexes = indexes
            await asyncio.to_thread(self._keep, indexes)

    async def _read(self) -> dict[str, WatchIndex]:
        found: dict[str, WatchIndex] = {}
        for organisation in await self._organisations.organisations():
            known = self._indexes.get(organisation.identifier)
            index: WatchIndex | None
            try:
                index = await self._read_one(organisation, known)
            except UnavailableError:
                raise
            except Exception as error:  # what one organisation has there keeps no other from its own list
                log.error(
                    "the known actors of %s cannot be read: %s",
                    organisation.identifier,
                    describe_failure(error),
                )
                index = known
            if index is not None:
                found[organisation.identifier] = index
        return found

    async def _read_one(self, organisation: Organisation, known: WatchIndex | None) -> WatchIndex:
        own = owned_domains(organisation.domains)
        # What changes while this reads has another stamp, and is read the next time.
        stamp = await self._activities.stamp(organisation.identifier)
        if known is not None and known.watchlist.stamp == stamp and known.watchlist.own_domains == own:
            return known
        actors = await self._actors(organisation.identifier)
        return await asyncio.to_thread(
            index_of, Watchlist(organisation.identifier, actors=actors, own_domains=own, stamp=stamp)
        )

    async def _actors(self, organisation: str) -> tuple[KnownActor, ...]:
        now = self._clock.now()
        confirmed = ActivityQuery(now, verdict=AnalystVerdict.CONFIRMED)
        scored = ActivityQuery(now, least_score=self._least_score)
        found: dict[str, KnownActor] = {}
        for query in (confirmed, scored):
            for file in await self._files(organisation, query, MAX_ACTORS - len(found)):
                if file.verdict is not AnalystVerdict.BENIGN:
                    is_confirmed = file.verdict is AnalystVerdict.CONFIRMED
                    actor = known_actor(file.activity, confirmed=is_confirmed)
                    found.setdefault(actor.activity, actor)
        return tuple(found.values())

    async def _files(self, organisation: str, query: ActivityQuery, most: int) -> Sequence[ActivityFile]:
        files: list[ActivityFile] = []
        cut = Cut(_PAGE)
        while len(files) < most:
            page = await self._activities.activities(organisation, query, cut)
            files += page.items
            if not page.next:
                break
            cut = Cut(_PAGE, page.next)
        return files[:most]

    def _recall(self) -> Mapping[str, WatchIndex]:
        try:
            record = json.loads(self._path.read_text("utf-8"))
            if record["format"] != FORMAT:
                raise ValueError("another format")
            lists = [watchlist_of(each) for each in record["organisations"]]
            return {each.organisation: index_of(each) for each in lists}
        except FileNotFoundError:
            return {}
        except Exception as error:  # whatever stands there, mail is not kept up by it
            log.warning("the known actors kept in %s cannot be used: %s", self._path, describe_failure(error))
            return {}

    def _keep(self, indexes: Mapping[str, WatchIndex]) -> None:
        record: dict[str, Any] = {
            "format": FORMAT,
            "organisations": [each.watchlist.record() for each in indexes.values()],
        }
        try:
            write_file(self._path, json.dumps(record).encode(), None)
        except OSError as error:
            log.warning("known actors cannot be kept in %s for a restart: %s", self._path, error.strerror)
