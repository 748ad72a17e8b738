"""Observation: what passed is put on record, after the judge has compared it with what it remembers. Off mail's way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mailveil.core.observation import ObservedReference, told_anew
from mailveil.core.policy import Envelope
from mailveil.core.verdicts.types import Verdict
from mailveil.ports import Journal, Memory, Passage, Protected, SeenMessage, UnavailableError

log = logging.getLogger("mailveil.gateway")
MAX_UNDER_WAY = 500
FINISH_S = 5.0
# After each comparison mail has the processor for so many times as long: comparing is a report, and under a load
# that leaves no time for it the rest is noted without.
REST = 2.0
MAX_REST_S = 0.5


@dataclass(frozen=True, slots=True)
class Observation:
    """Takes note of messages. What cannot be remembered is noted all the same; nothing here raises or waits."""

    journal: Journal | None = None
    memory: Memory | None = None
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _is_finishing: asyncio.Event = field(default_factory=asyncio.Event)

    def note(
        self, passage: Passage, protected: Protected, envelope: Envelope, raw: bytes, *, went_on: bool
    ) -> None:
        """Put a message on record at once, or where the judge remembers, as soon as that has answered."""
        if self.memory is None or not went_on or not protected.judged:
            self._write(passage)
        elif len(self._under_way) >= MAX_UNDER_WAY:
            log.debug(
                "message %s is not compared with earlier ones: too many wait for that", passage.identifier
            )
            self._write(passage)
        else:
            seen = seen_message(protected, envelope, raw)
            task = asyncio.get_running_loop().create_task(self._compare(self.memory, passage, seen))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def finish(self) -> None:
        """Wait a little for what is under way, so that the journal has it; what has not begun is noted as it is."""
        self._is_finishing.set()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=FINISH_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _compare(self, memory: Memory, passage: Passage, seen: SeenMessage) -> None:
        try:
            async with self._turn:
                if not self._is_finishing.is_set():
                    passage = await self._compared(memory, passage, seen)
        finally:
            self._write(passage)

    async def _compared(self, memory: Memory, passage: Passage, seen: SeenMessage) -> Passage:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            verdicts = await memory.meet(seen)
            return replace(passage, found=revised(passage.found, verdicts))
        except UnavailableError as error:
            log.warning("message %s is not compared with earlier ones: %s", passage.identifier, error)
        except Exception:  # a report is never a decision
            log.exception("message %s is not compared with earlier ones", passage.identifier)
        finally:
            with contextlib.suppress(TimeoutError):
                rest_s = min(MAX_REST_S, REST * (loop.time() - started))
                async with asyncio.timeout(rest_s):
                    await self._is_finishing.wait()
        return passage

    def _write(self, passage: Passage) -> None:
        if self.journal is None:
            return
        try:
            self.journal.note(passage)
        except Exception:  # a report is never a decision
            log.exception("message %s is missing in the journal", passage.identifier)


def seen_message(protected: Protected, envelope: Envelope, raw: bytes) -> SeenMessage:
    """Return what the judge is to remember of a message by digests: two copies of it have one identifier."""
    identifier = protected.message_id or hashlib.sha256(raw).hexdigest()
    domain = envelope.sender.rpartition("@")[2].lower()
    return SeenMessage(identifier, domain, protected.subject, envelope.recipients, protected.judged)


def revised(found: Sequence[ObservedReference], verdicts: Sequence[Verdict]) -> tuple[ObservedReference, ...]:
    """Return what a report tells with these verdicts; where there are fewer of them, the rest stays as it is."""
    changed = [told_anew(each, verdict) for each, verdict in zip(found, verdicts, strict=False)]
    return (*changed, *found[len(changed) :])
