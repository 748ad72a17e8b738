"""Rounds: looking at something again and again beside mail's way, more rarely while it cannot be looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from mailveil.ports import UnavailableError

LONGEST_PAUSE_S: Final = 300.0


async def go_round(
    look: Callable[[], Awaitable[object]], every_s: float, what: str, log: logging.Logger
) -> None:
    """Look every ``every_s`` seconds, until cancelled; the log calls it ``what``, in the plural.

    Where ``look`` raises ``UnavailableError``, pauses grow up to the longest; after anything else, that one follows.
    """
    pause_s = every_s
    while True:
        try:
            await look()
            pause_s = every_s
        except UnavailableError as error:
            log.info("%s are looked for later: %s", what, error)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        except Exception:  # whatever it is, the next round may know better, and mail does not wait for it
            log.exception("%s could not be looked for", what)
            pause_s = LONGEST_PAUSE_S
        await asyncio.sleep(pause_s)
