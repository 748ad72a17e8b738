"""Indicator source: what feeds told each organisation, in memory, read anew when it changes, and kept on disk.

A database that is away changes nothing and delays no mail, also after a restart.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailveil.adapters.lookout import PATIENCE_AT_START_S, Lookout
from mailveil.adapters.newfiles import write_file
from mailveil.control.feedstores import FeedStore
from mailveil.control.records import Organisation
from mailveil.control.stores import OrganisationStore
from mailveil.core.failure import describe_failure
from mailveil.core.recognition.indicators import (
    IndicatorIndex,
    indicator_index_of,
    indicators_of,
    recognise_indicated,
)
from mailveil.core.recognition.shared import owned_domains
from mailveil.core.recognition.types import MessageTraits, Recognition
from mailveil.core.verdicts.lists.types import Indication
from mailveil.ports import Clock

log = logging.getLogger("mailveil.recognition")

FORMAT: Final = 1
LOOK_EVERY_S: Final = 5.0
ANEW_S: Final = 600.0  # some begin and end to hold though nothing was changed
MAX_INDICATORS: Final = 200_000  # of one organisation


@dataclass(frozen=True, slots=True)
class _Known:
    """One organisation's indicators, and when they were read."""

    index: IndicatorIndex
    own_domains: frozenset[str] = frozenset()
    read_at: float = 0.0


class IndicatorSource:
    """What feeds told each organisation (``ports.Indicators``); ``path`` is where that is kept."""

    def __init__(
        self,
        organisations: OrganisationStore,
        feeds: FeedStore,
        clock: Clock,
        path: Path,
        *,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._organisations = organisations
        self._feeds = feeds
        self._clock = clock
        self._path = path
        self._known: Mapping[str, _Known] = {}
        self._lookout = Lookout("indicators", self._refresh, look_every_s, log)

    def look(self, organisation: str, urls: Iterable[str]) -> tuple[Indication, ...]:
        """Return what names any of a message's references."""
        known = self._known.get(organisation)
        return () if known is None else known.index.look(urls)

    def recognise(self, organisation: str, traits: MessageTraits) -> Recognition | None:
        """Return what a message to an organisation is recognised as."""
        known = self._known.get(organisation)
        return None if known is None else recognise_indicated(known.index, traits, known.own_domains)

    async def start(self, patience_s: float = PATIENCE_AT_START_S) -> None:
        """Take up what was kept, look briefly for what is new, and go on looking."""
        self._known = await asyncio.to_thread(self._recall)
        await self._lookout.start(patience_s)

    async def stop(self) -> None:
        """End looking."""
        await self._lookout.stop()

    async def refresh(self) -> bool:
        """Take up what has changed; False where the database could not tell, and all stays as it is."""
        return await self._lookout.look()

    async def _refresh(self) -> None:
        found: dict[str, _Known] = {}
        for organisation in await self._organisations.organisations():
            found[organisation.identifier] = await self._read_one(
                organisation, self._known.get(organisation.identifier)
            )
        if found != self._known:
            self._known = found
            await asyncio.to_thread(self._keep, found)

    async def _read_one(self, organisation: Organisation, known: _Known | None) -> _Known:
        own, now, name = owned_domains(organisation.domains), self._clock.now(), organisation.identifier
        # What changes while this reads has another stamp, and is read the next time.
        stamp = await self._feeds.stamp(name)
        is_fresh = known is not None and (not known.index or known.read_at <= now < known.read_at + ANEW_S)
        if known is not None and is_fresh and known.index.stamp == stamp and known.own_domains == own:
            return known
        feeds = {each.identifier: each.name for each in await self._feeds.feeds(name)}
        told = await self._feeds.in_force(name, now, MAX_INDICATORS) if feeds else ()
        indications = [Indication(each.kind, each.value, feeds.get(each.feed, each.feed)) for each in told]
        return _Known(await asyncio.to_thread(indicators_of, indications, stamp), own, now)

    def _recall(self) -> Mapping[str, _Known]:
        try:
            record = json.loads(self._path.read_text("utf-8"))
            if record["format"] != FORMAT:
                raise ValueError("another format")
            return {
                str(name): _Known(indicator_index_of(each["index"]), frozenset(each["own_domains"]))
                for name, each in record["organisations"].items()
            }
        except FileNotFoundError:
            return {}
        except Exception as error:  # whatever stands there, mail is not kept up by it
            log.warning("the indicators kept in %s cannot be used: %s", self._path, describe_failure(error))
            return {}

    def _keep(self, known: Mapping[str, _Known]) -> None:
        organisations = {
            name: {"index": each.index.record(), "own_domains": sorted(each.own_domains)}
            for name, each in known.items()
        }
        try:
            write_file(
                self._path, json.dumps({"format": FORMAT, "organisations": organisations}).encode(), None
            )
        except OSError as error:
            log.warning("indicators cannot be kept in %s for a restart: %s", self._path, error.strerror)
