"""Embedding: waits, briefly, for the copies that a message is to carry itself.

They come the way that hosted ones come, from the queue into the store, so that once-only, budgets and retries
hold; a message that is tried again finds them there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mailveil.core.copyaddress import content_id
from mailveil.core.protection import EngineSettings
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.ports import CopyStore, FetchQueue, Requester, UnavailableError, WantedCopy

log = logging.getLogger("mailveil.gateway")
FIRST_LOOK_S = 0.05
LONGEST_LOOK_S = 0.5
BASE64_LINE_BYTES = 57  # of data on a line of 76 characters and a line break
PART_BYTES = 400  # boundary and header fields of one more part
TRACE_BYTES = 1024  # what a relay puts on top
READ_S = 2.0  # for what has come, once the waiting is over


@dataclass(frozen=True, slots=True)
class Embedding:
    """Collects copies for messages that carry their own.

    ``wait_s`` bounds all that a message waits for, a store that does not answer included; ``max_bytes`` is how
    much a message may grow by its copies, as encoded; beyond ``max_copies`` the rest are placeholders.
    """

    store: CopyStore
    queue: FetchQueue
    wait_s: float = 8.0
    max_bytes: int = 2_000_000
    max_copies: int = 200
    max_message_bytes: int = 50 * 1024 * 1024
    content_id_domain: str = EngineSettings().content_id_domain

    async def collect(self, wanted: Sequence[WantedCopy], requester: Requester) -> dict[str, EmbeddedCopy]:
        """Have copies made and return, by token, what there is in time, first come in the message first."""
        due = [copy for copy in wanted if copy.may_fetch][: self.max_copies]
        if not due:
            return {}
        pending = list(due)
        try:
            async with asyncio.timeout(self.wait_s):
                await self.store.reserve(due, requester)
                await self.queue.release(due, immediately=True)
                await self._wait(pending)
        except TimeoutError:
            log.info("message %s: %d copies have not come in time", requester.message, len(pending))
        except UnavailableError as error:
            log.warning("message %s goes on without copies: %s", requester.message, error)
            return {}
        copies: dict[str, EmbeddedCopy] = {}
        try:
            async with asyncio.timeout(READ_S):
                await self._read(due, copies)
                # Nobody will ever see what comes later, so no origin is asked for it any more.
                await self.queue.abandon(pending)
        except (UnavailableError, TimeoutError) as error:
            log.warning("message %s: copy store: %s", requester.message, str(error) or "timed out")
        return copies

    def fits(self, raw: bytes, next_hop_bytes: int) -> bool:
        """Tell whether a message of copies is small enough for the next hop (0: it has not said) and for us."""
        limit = min(next_hop_bytes or self.max_message_bytes, self.max_message_bytes)
        return len(raw) + TRACE_BYTES <= limit

    async def _wait(self, pending: list[WantedCopy]) -> None:
        """Wait until nothing is pending any more, taking out of the list what is settled."""
        look_s = FIRST_LOOK_S
        while True:
            for copy in tuple(pending):
                stored = await self.store.get(copy.token)
                if stored is None or not stored.pending:
                    pending.remove(copy)
            if not pending:
                return
            await asyncio.sleep(look_s)
            look_s = min(look_s * 1.5, LONGEST_LOOK_S)

    async def _read(self, due: Sequence[WantedCopy], copies: dict[str, EmbeddedCopy]) -> None:
        left = self.max_bytes
        counted: set[str] = set()
        for each in due:
            stored = await self.store.get(each.token)
            if stored is None or not stored.body:
                continue
            size = 0 if stored.sha256 in counted else encoded_bytes(len(stored.body))
            if size > left:
                continue  # a smaller one may still fit
            name = content_id(stored.sha256[:40], self.content_id_domain)
            try:
                copies[each.token] = EmbeddedCopy(name, stored.media_type, stored.body)
            except ValueError:
                log.warning("a copy of type %r cannot be embedded", stored.media_type)
                continue
            counted.add(stored.sha256)
            left -= size


def encoded_bytes(size_bytes: int) -> int:
    """Return how much a message grows by a copy of so many bytes, at most (RFC 2045 section 6.8)."""
    return PART_BYTES + 78 * -(-size_bytes // BASE64_LINE_BYTES)
