"""The authenticator: finds out who sent a message before anything in it is changed, in bounded time.

Reading and hashing run in threads, in pieces that leave the event loop room; keys are asked for meanwhile.
Nothing here raises and nothing here holds mail up for longer than its time: what is not known by then is
recorded as such.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mailveil.core.authentication import (
    ArcState,
    Authentication,
    Opened,
    Result,
    TrustedServers,
    judge,
    leave_unverified,
    open_message,
)
from mailveil.core.authentication.canonical import hash_bodies
from mailveil.ports import TxtLookup, UnavailableError

log = logging.getLogger("mailveil.authentication")
THREADS = 2
# The header of so small a message is read sooner than a thread takes it up.
AT_ONCE_BYTES = 64 * 1024
ASKING_SHARE = 0.8  # of the time, so that what was answered can still be made use of

Done = TypeVar("Done")


class MessageAuthenticator:
    """Implements ``ports.Authenticator``."""

    def __init__(
        self,
        lookup: TxtLookup,
        trust: TrustedServers,
        *,
        timeout_s: float = 3.0,
        verify: bool = True,
        max_header_bytes: int = 1024 * 1024,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Without ``verify`` no signature is looked at, and nobody is asked for keys."""
        self.lookup = lookup
        self.trust = trust
        self.timeout_s = timeout_s
        self.verify = verify
        self.max_header_bytes = max_header_bytes
        self.now = now
        self._threads = ThreadPoolExecutor(THREADS, "authentication")

    async def authenticate(self, raw: bytes) -> Authentication:
        """Return what is known of who sent a message by the end of the time. Never raises."""
        deadline = time.monotonic() + self.timeout_s
        opened: Opened | None = None
        try:
            # The time given is a budget for each step, too: a thread that is stuck holds no mail up.
            async with asyncio.timeout(self.timeout_s):
                opened = await self._open(raw)
                if not self.verify:
                    return leave_unverified(opened)
                return await self._verify(raw, opened, deadline)
        except TimeoutError:
            log.warning("a message could not be authenticated within [authentication] timeout_s")
        except Exception as error:  # whatever it is, it is no reason to keep mail from going on
            # The error's text may quote the message.
            log.error("a message could not be authenticated: %s", type(error).__name__)
        return await self._without_answers(opened)

    async def _open(self, raw: bytes) -> Opened:
        if len(raw) <= AT_ONCE_BYTES:
            return open_message(raw, self.trust, self.max_header_bytes)
        return await self._run(lambda: open_message(raw, self.trust, self.max_header_bytes))

    async def _verify(self, raw: bytes, opened: Opened, deadline: float) -> Authentication:
        if not opened.key_names:
            return judge(opened, {}, {}, self.now())
        asking = asyncio.gather(*(self._ask(name) for name in opened.key_names))
        try:
            start = opened.header.body_start if opened.header else len(raw)
            bodies = await self._run(
                lambda: hash_bodies(raw, start, opened.body_forms, lambda: time.monotonic() < deadline)
            )
            answers = dict(zip(opened.key_names, await asking, strict=True))
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
        return await self._run(lambda: judge(opened, bodies, answers, self.now()))

    async def _ask(self, name: str) -> Sequence[bytes] | None:
        try:
            return await self.lookup(name, self.timeout_s * ASKING_SHARE)
        except UnavailableError as error:
            log.debug("%s", error)
            return None

    async def _without_answers(self, opened: Opened | None) -> Authentication:
        """Return what the header alone tells, every signature as not verified."""
        if opened is None:
            return Authentication(disputed=True, arc=ArcState(Result.TEMPERROR, reason="not read in time"))
        try:
            return judge(opened, {}, {}, self.now())
        except Exception as error:
            log.error("a message's signatures cannot be described: %s", type(error).__name__)
            return opened.known

    async def _run(self, work: Callable[[], Done]) -> Done:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Let go of the threads, without waiting for what they do."""
        self._threads.shutdown(wait=False, cancel_futures=True)
