"""Prospecting: what fetches have shown of trackers' hosts goes from the judge's memory to where activities are studied.

A host is fetched once, some moments after the message that names it was delivered. So what lies behind it is known
later than the message, and is studied as something of its own.
"""

from __future__ import annotations

import logging

from mailveil.app.rounds import go_round
from mailveil.control.activitystores import InfrastructureStore
from mailveil.control.stores import OrganisationStore
from mailveil.ports import Clock, Memory

log = logging.getLogger("mailveil.studying")
EVERY_S = 10.0
AT_ONCE = 100  # hosts that are asked for together


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
        await go_round(self.look, EVERY_S, "facts on what lies behind trackers", log)

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
