"""Prospecting: what fetches have shown of trackers' hosts goes from the judge's memory to where activities are studied.

A host is fetched once, some moments after the message that names it was delivered. So what lies behind it is known
later than the message, and is studied as something of its own.
"""

from __future__ import annotations

import asyncio
import logging

from mailveil.control.activitystores import InfrastructureStore
from mailveil.control.stores import OrganisationStore
from mailveil.ports import Clock, Memory, UnavailableError

log = logging.getLogger("mailveil.studying")
EVERY_S = 10.0
AT_ONCE = 100  # hosts that are asked for together
LONGEST_PAUSE_S = 300.0


class ProspectLoop:
    """Asks the memory of this machine what is known of hosts that are wanted; whoever fetched knows."""

    def __init__(
        self, store: InfrastructureStore, organisations: OrganisationStore, memory: Memory, clock: Clock
    ) -> None:
        self._store = store
        self._organisations = organisations
        self._memory = memory
        self._clock = clock

    async def run(self) -> None:
        """Go round, until cancelled."""
        pause_s = EVERY_S
        while True:
            try:
                await self.look()
                pause_s = EVERY_S
            except UnavailableError as error:
                log.info("what lies behind trackers is looked for later: %s", error)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            except Exception:  # whatever it is, the next round may know better, and mail does not wait for it
                log.exception("what lies behind trackers could not be looked for")
                pause_s = LONGEST_PAUSE_S
            await asyncio.sleep(pause_s)

    async def look(self) -> int:
        """Look once for every organisation; return how much was new. Raises ``UnavailableError``."""
        news = 0
        for organisation in await self._organisations.organisations():
            now = self._clock.now()
            wanted = list(await self._store.wanted(organisation.identifier, now, AT_ONCE))
            if not wanted:
                continue
            known = await self._memory.infrastructure(wanted)
            if known:
                news += await self._store.found(organisation.identifier, known, now)
        return news
