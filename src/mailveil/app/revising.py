"""Revising: where the judge's memory thinks otherwise of a message than its record says, it is studied anew.

Several readers got the same mailing, or a fetch showed more: then what was a picture turns out to be a tracker, or the
other way round. That is known to the machine that judged the message, moments after what showed it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from mailveil.app.rounds import go_round
from mailveil.control.activitystores import StudyStore
from mailveil.ports import Clock, Memory

log = logging.getLogger("mailveil.studying")
EVERY_S = 2.0
AT_ONCE = 200  # verdicts that are looked at together


class RevisingLoop:
    """Asks the memory of this machine what it thinks otherwise by now, and has that studied."""

    def __init__(self, studies: StudyStore, memory: Memory, clock: Clock, wake: Callable[[], None]) -> None:
        """``wake`` has whoever studies look at once."""
        self._studies = studies
        self._memory = memory
        self._clock = clock
        self._wake = wake

    async def run(self) -> None:
        """Go round, until cancelled."""
        await go_round(self.look, EVERY_S, "verdicts that changed", log)

    async def look(self) -> int:
        """Look once; return how many messages are judged otherwise. Raises ``UnavailableError``.

        What ends before the memory was told that a message is queued up only queues nothing the next time.
        """
        found = await self._memory.reconsidered(AT_ONCE)
        for each in found:
            are_there = [
                await self._studies.revise(organisation, message, each.verdicts, self._clock.now())
                for organisation, message in each.passages
            ]
            await self._memory.settle(each, recorded=all(are_there))
            if any(are_there):
                self._wake()
        return len(found)
