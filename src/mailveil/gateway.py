"""The gateway: takes one message from the door to the next hop; the only place that orders the stages."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from mailveil.core.policy import Envelope, direction_of
from mailveil.ports import (
    UNKNOWN_FAILURE,
    Clock,
    CopyStore,
    Engine,
    FetchQueue,
    Journal,
    OriginalStore,
    Passage,
    Protected,
    Reply,
    Requester,
    Transaction,
    UnavailableError,
)

log = logging.getLogger("mailveil.gateway")


@dataclass(frozen=True, slots=True)
class Gateway:
    """Takes one message from the door to the next hop. The only place that orders the stages.

    A dead copy store or journal delays no mail; a message whose original cannot be kept, though it must be,
    stays with its sender.
    """

    engine: Engine
    originals: OriginalStore
    clock: Clock
    store: CopyStore | None = None
    queue: FetchQueue | None = None
    journal: Journal | None = None

    async def accept(
        self, envelope: Envelope, raw: bytes, transaction: Transaction, identifier: str
    ) -> Reply:
        """Protect a message, deliver it and return what the sender is to be told."""
        passage = Passage(
            at=self.clock.now(),
            identifier=identifier,
            sender_domain=envelope.sender.rpartition("@")[2].lower(),
            size_bytes=len(raw),
            direction=str(direction_of(envelope)),
            reply="",
        )
        protected = Protected(raw)
        reply = UNKNOWN_FAILURE
        try:
            protected = await self.engine.protect(raw, envelope)
            if protected.keep_original:
                reason = "; ".join(protected.reasons)
                name = await self.originals.keep(raw, envelope, reason)
                log.info("message %s: original kept as %s", identifier, name)
            reserved = await self._reserve(protected, requester_of(envelope, identifier))
            reply = await transaction.deliver(protected.raw)
            if reserved:
                # Once the message is away its pictures are due, whether or not the client still listens.
                await asyncio.shield(self._settle(protected, reply, identifier))
        except Exception as error:  # whatever it is, the sender keeps the message
            log.error("message %s could not be processed: %s", identifier, error)
            reply = UNKNOWN_FAILURE
        finally:
            self._note(passage, protected, reply, changed=protected.raw != raw)
        return reply

    async def _reserve(self, protected: Protected, requester: Requester) -> bool:
        if not protected.wanted or self.store is None:
            return False
        try:
            await self.store.reserve(protected.wanted, requester)
        except UnavailableError as error:
            log.warning("message %s goes on without copies: %s", requester.message, error)
            return False
        return True

    async def _settle(self, protected: Protected, reply: Reply, identifier: str) -> None:
        if self.queue is None:
            return
        try:
            if reply.is_positive:
                await self.queue.release(protected.wanted)
            elif not reply.is_transient:
                # After 4yz the next hop may have the message all the same: what was reserved stays.
                await self.queue.abandon(protected.wanted)
        except UnavailableError as error:
            log.warning("message %s: copies have to wait for a restart: %s", identifier, error)

    def _note(self, passage: Passage, protected: Protected, reply: Reply, *, changed: bool) -> None:
        if self.journal is None:
            return
        self.journal.note(
            replace(
                passage,
                # Some servers repeat the recipient in their reply; the journal knows no persons.
                reply=" ".join(word for word in str(reply)[:300].split() if "@" not in word),
                found=tuple(replace(found, url=_origin_of(found.url)) for found in protected.found),
                defects=protected.defects,
                changed=changed,
                seconds=max(0.0, self.clock.now() - passage.at),
            )
        )


def _origin_of(url: str) -> str:
    """Return scheme and host alone: the rest of a URL often tells who the reader is."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "malformed"
    return f"{parts.scheme}://{host}" if host else f"{parts.scheme}:"


def requester_of(envelope: Envelope, identifier: str) -> Requester:
    """Return for whom copies are wanted: domains, since a sender may take a new address for every message.

    A bounce has no sender, so the client that brings it stands for one.
    """
    recipient = envelope.recipients[0] if envelope.recipients else ""
    return Requester(
        message=identifier,
        sender=envelope.sender.rpartition("@")[2].lower() or envelope.client_address,
        organisation=recipient.rpartition("@")[2].lower(),
    )
