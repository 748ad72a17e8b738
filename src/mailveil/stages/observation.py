"""Observation: what passed is put on record, after the judge has compared it with what it remembers. Off mail's way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mailveil.core.failure import describe_failure
from mailveil.core.observation import (
    Fared,
    Observation,
    ObservedReference,
    Passed,
    RecordSettings,
    make_observations,
    passages_of,
    told_anew,
)
from mailveil.core.policy import Envelope
from mailveil.core.policy.organisations import DEFAULT_ORGANISATION
from mailveil.core.verdicts.types import Verdict
from mailveil.ports import (
    Memory,
    ObservationLog,
    Organisations,
    Protected,
    Reply,
    SeenMessage,
    UnavailableError,
)

log = logging.getLogger("mailveil.gateway")
MAX_UNDER_WAY = 500
FINISH_S = 5.0
# After each comparison mail has the processor for so many times as long: comparing is a report, and under a load
# that leaves no time for it the rest is noted without.
REST = 2.0
MAX_REST_S = 0.5


@dataclass(frozen=True, slots=True)
class Records:
    """Where observations go, whose each address is, and how much of people they hold.

    Without ``organisations`` everything belongs to ``default``.
    """

    log: ObservationLog
    organisations: Organisations | None = None
    settings: RecordSettings = field(default_factory=RecordSettings)

    def begin(self, passed: Passed) -> None:
        """Put a message on record that is about to be delivered, should this process end before that is known."""
        for observation in self._made(passed):
            self.log.begin(replace(observation, delivered=False))

    def note(self, passed: Passed) -> None:
        """Put a message on record for each organisation that it concerns."""
        for observation in self._made(passed):
            self.log.note(observation)

    def passages(self, passed: Passed) -> tuple[tuple[str, str], ...]:
        """Return the organisations that a message concerns, with what it is called on record there."""
        return passages_of(passed, self.organisations.of if self.organisations is not None else _of_nobody)

    def _made(self, passed: Passed) -> tuple[Observation, ...]:
        whose = self.organisations.of if self.organisations is not None else _of_nobody
        return make_observations(passed, whose, self.settings)


@dataclass(frozen=True, slots=True)
class Recording:
    """Takes note of messages. What cannot be remembered is noted all the same; nothing here raises or waits."""

    records: Records | None = None
    memory: Memory | None = None
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _is_finishing: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, passed: Passed) -> None:
        """Put a message on record that is about to be delivered."""
        if self.records is None:
            return
        try:
            self.records.begin(passed)
        except Exception as error:  # a report is never a decision
            log.error("message %s may be missing on record: %s", passed.identifier, describe_failure(error))

    def note(self, passed: Passed, protected: Protected, raw: bytes, *, went_on: bool) -> None:
        """Put a message on record at once, or where the judge remembers, as soon as that has answered."""
        if self.memory is None or not went_on or not protected.judged:
            self._write(passed)
        elif len(self._under_way) >= MAX_UNDER_WAY:
            log.debug(
                "message %s is not compared with earlier ones: too many wait for that", passed.identifier
            )
            self._write(passed)
        else:
            seen = seen_message(protected, passed.envelope, raw)
            if self.records is not None:
                seen = replace(seen, passages=self.records.passages(passed))
            task = asyncio.get_running_loop().create_task(self._compare(self.memory, passed, seen))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def finish(self) -> None:
        """Wait a little for what is under way, so that it is on record; what has not begun is noted as it is."""
        self._is_finishing.set()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=FINISH_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _compare(self, memory: Memory, passed: Passed, seen: SeenMessage) -> None:
        try:
            async with self._turn:
                if not self._is_finishing.is_set():
                    passed = await self._compared(memory, passed, seen)
        finally:
            self._write(passed)

    async def _compared(self, memory: Memory, passed: Passed, seen: SeenMessage) -> Passed:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            verdicts = await memory.meet(seen)
            return replace(passed, found=revised(passed.found, verdicts))
        except UnavailableError as error:
            log.warning("message %s is not compared with earlier ones: %s", passed.identifier, error)
        except Exception:  # a report is never a decision
            log.exception("message %s is not compared with earlier ones", passed.identifier)
        finally:
            with contextlib.suppress(TimeoutError):
                rest_s = min(MAX_REST_S, REST * (loop.time() - started))
                async with asyncio.timeout(rest_s):
                    await self._is_finishing.wait()
        return passed

    def _write(self, passed: Passed) -> None:
        try:
            if self.records is not None:
                self.records.note(passed)
        except Exception as error:  # a report is never a decision
            log.error("message %s is missing on record: %s", passed.identifier, describe_failure(error))


def _of_nobody(address: str) -> str:
    """Return the organisation of an address where there is but one."""
    del address
    return DEFAULT_ORGANISATION


def passed_of(passed: Passed, protected: Protected, reply: Reply | None = None) -> Passed:
    """Return a message that passed with what was found in it and what the next hop said, if that is known."""
    return replace(
        passed,
        fared=_fared(reply) if reply is not None else Fared(),
        by_recipient=tuple((address, _fared(each)) for address, each in reply.recipients) if reply else (),
        found=protected.found,
        facts=protected.facts,
        message_id=protected.message_id,
        subject=protected.subject,
        defects=protected.defects,
        examined=protected.examined,
        monitored=protected.monitored,
        banner=protected.banner,
        original=protected.original,
    )


def _fared(reply: Reply) -> Fared:
    return Fared(reply.code, " ".join(part for part in (reply.status, reply.text) if part))


def seen_message(protected: Protected, envelope: Envelope, raw: bytes) -> SeenMessage:
    """Return what the judge is to remember of a message by digests: two copies of it have one identifier."""
    identifier = protected.message_id or hashlib.sha256(raw).hexdigest()
    domain = envelope.sender.rpartition("@")[2].lower()
    return SeenMessage(identifier, domain, protected.subject, envelope.recipients, protected.judged)


def revised(found: Sequence[ObservedReference], verdicts: Sequence[Verdict]) -> tuple[ObservedReference, ...]:
    """Return what a report tells with these verdicts; where there are fewer of them, the rest stays as it is."""
    changed = [told_anew(each, verdict) for each, verdict in zip(found, verdicts, strict=False)]
    return (*changed, *found[len(changed) :])
