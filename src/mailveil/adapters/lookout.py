"""Lookout: has what is in memory read anew again and again; a database that is away is told of once, and waited for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from mailveil.core.failure import describe_failure
from mailveil.ports import UnavailableError

PATIENCE_AT_START_S: Final = 5.0
PAUSES_PER_LOOK: Final = (
    9  # a look that takes long is followed by a pause that is so much longer: mail comes first
)


class Lookout:
    """Calls ``read`` every so often. ``what`` names in logs what is read. Nothing here raises."""

    def __init__(
        self, what: str, read: Callable[[], Awaitable[None]], every_s: float, log: logging.Logger
    ) -> None:
        self._what = what
        self._read = read
        self._every_s = every_s
        self._log = log
        self._is_away = False
        self._task: asyncio.Task[None] | None = None

    async def start(self, patience_s: float = PATIENCE_AT_START_S) -> None:
        """Look briefly, and go on looking."""
        try:
            async with asyncio.timeout(patience_s):
                await self.look()
        except TimeoutError:
            self._note_away("the database did not answer in time")
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """End looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> bool:
        """Look once; False where that failed, and what was read last stays."""
        try:
            await self._read()
        except UnavailableError as error:
            self._note_away(str(error))
            return False
        except Exception as error:  # whatever it is, mail goes on with what is there
            self._note_away(describe_failure(error))
            return False
        if self._is_away:
            self._is_away = False
            self._log.warning("%s can be read again", self._what)
        return True

    async def _go_on(self) -> None:
        took = 0.0
        while True:
            await asyncio.sleep(max(self._every_s, PAUSES_PER_LOOK * took))
            started = time.monotonic()
            await self.look()
            took = time.monotonic() - started

    def _note_away(self, reason: str) -> None:
        if not self._is_away:
            self._log.warning("%s cannot be read (%s): what was read last goes on", self._what, reason)
        self._is_away = True
