"""The gateway: takes one message from the door to the next hop; the only place that orders the stages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mailveil.core.observation import Passed
from mailveil.core.policy import CopyMode, Envelope, MessagePolicy, PolicySettings
from mailveil.core.recognition.types import Recognition
from mailveil.ports import (
    UNKNOWN_FAILURE,
    Attempt,
    AttemptRecord,
    Authenticator,
    Clock,
    CopyStore,
    Engine,
    FetchQueue,
    Indicators,
    Memory,
    NextHop,
    OriginalStore,
    Policies,
    Protected,
    Reply,
    ReportIntake,
    Requester,
    Sealer,
    Transaction,
    UnavailableError,
    Watch,
)
from mailveil.stages import Embedding, Examination, Recording, Records, UnexaminedError
from mailveil.stages.authenticity import authenticated, sealed
from mailveil.stages.examination import told_of
from mailveil.stages.measuring import Instruments, NoInstruments, Stage
from mailveil.stages.observation import passed_of
from mailveil.stages.recognising import Recognising
from mailveil.stages.reporting import named

log = logging.getLogger("mailveil.gateway")


@dataclass(frozen=True, slots=True)
class Gateway:
    """Takes one message from the door to the next hop. The only place that orders the stages.

    A dead copy store or database delays no mail; a message whose original cannot be kept, though it must be,
    stays with its sender. With ``attempts`` a message that breaks the engine ``max_attempts`` times becomes
    inert text, but no more than ``max_inert`` of them in an hour. ``store`` is for hosted copies, ``embedding``
    for those that messages carry themselves; how large they may become is for ``next_hop`` to say. What passed
    goes on ``records``, with verdicts that ``memory`` has compared with mail of before; with ``keeps_changed`` the
    originals of all messages that were changed are kept, as far as there is room. Fetches begin
    ``release_after_s`` later where the message may yet be refused by whoever has it from us. ``policies`` are the
    organisations' rules, with ``report_key`` for the codes by which readers report, which ``reports`` takes in by mail;
    ``copies`` is how copies reach readers where they say nothing of it (``None``: as there is ``store`` or
    ``embedding``). ``watch`` knows actors that were met before, of whom readers are told, ``indicators``
    what others told.
    """

    engine: Engine
    originals: OriginalStore
    clock: Clock
    store: CopyStore | None = None
    queue: FetchQueue | None = None
    records: Records | None = None
    keeps_changed: bool = False
    attempts: AttemptRecord | None = None
    max_attempts: int = 3
    max_inert: int = 10
    policy: PolicySettings = field(default_factory=PolicySettings)
    embedding: Embedding | None = None
    next_hop: NextHop | None = None
    release_after_s: float = 0.0
    authenticator: Authenticator | None = None
    sealer: Sealer | None = None
    memory: Memory | None = None
    policies: Policies | None = None
    copies: CopyMode | None = None
    report_key: bytes = field(default=b"", repr=False)
    reports: ReportIntake | None = None
    watch: Watch | None = None
    indicators: Indicators | None = None
    instruments: Instruments = field(default_factory=NoInstruments)
    _examination: Examination = field(init=False, repr=False, compare=False)
    _recording: Recording = field(init=False, repr=False, compare=False)
    _recognising: Recognising = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        examination = Examination(
            self.engine, self.originals, self.attempts, self.max_attempts, self.max_inert, self.policy
        )
        object.__setattr__(self, "_examination", examination)
        object.__setattr__(self, "_recording", Recording(self.records, self.memory))
        organisations = self.records.organisations if self.records is not None else None
        object.__setattr__(self, "_recognising", Recognising(self.watch, self.indicators, organisations))

    async def accept(
        self, envelope: Envelope, raw: bytes, transaction: Transaction, identifier: str
    ) -> Reply:
        """Protect a message, deliver it and return what the sender is to be told."""
        with self.instruments.message(identifier):
            return await self._accept(envelope, raw, transaction, identifier)

    async def _accept(
        self, envelope: Envelope, raw: bytes, transaction: Transaction, identifier: str
    ) -> Reply:
        stage = self.instruments.stage
        at = self.clock.now()
        sealing: tuple[str, ...] = ()
        requester = requester_of(envelope, identifier)
        protected = Protected(raw)
        reply = UNKNOWN_FAILURE
        known: Mapping[str, Recognition] = {}
        try:
            attempt = await self._examination.begin(raw)  # before anything looks into the message
            with stage(Stage.AUTHENTICATE):
                envelope = await self._authenticated(attempt, envelope, raw)
            policy = self._policy(envelope, at, identifier)
            with stage(Stage.EXAMINE):
                protected = await self._examination.examine(attempt, raw, envelope, identifier, policy)
                known = self._recognising.look(envelope, protected, identifier)
                indications = self._recognising.indicated(envelope, protected, identifier)
                if warning := self._recognising.warning(envelope, policy, known, indications):
                    protected, policy = await self._examination.warn(
                        protected, raw, envelope, identifier, policy=policy, warning=warning
                    )
            if self.embedding is not None and protected.wanted and self._mode(policy) is not CopyMode.HOSTED:
                with stage(Stage.EMBED):
                    protected = await self._embed(
                        self.embedding, protected, raw, envelope, policy, requester=requester
                    )
            protected = await self._kept(protected, raw, envelope, identifier)
            with stage(Stage.RESERVE):
                reserved = self._mode(policy) is not CopyMode.EMBEDDED and await self._reserve(
                    protected, requester
                )
            outgoing = protected.raw
            if outgoing != raw:
                with stage(Stage.SEAL):
                    outgoing, sealing = await sealed(self.sealer, outgoing, envelope, identifier)
            passed = Passed(at, identifier, envelope, len(raw), changed=protected.raw != raw, sealing=sealing)
            passed = replace(passed, recognised=known)
            self._recording.begin(passed_of(passed, protected))
            with stage(Stage.DELIVER):
                reply = await transaction.deliver(outgoing)
            if self.reports is not None and reply.is_positive:
                self.reports.note(envelope, raw, identifier, policy.organisation if policy else "")
            if reserved:
                # Once the message is away its pictures are due, whether or not the client still listens.
                await asyncio.shield(self._settle(protected, reply, identifier))
        except UnexaminedError as error:  # has been logged where it arose
            protected = replace(protected, defects=(str(error),), examined=False)
        except Exception as error:  # whatever it is, the sender keeps the message
            log.error("message %s could not be processed: %s", identifier, told_of(error))
            reply = UNKNOWN_FAILURE
        finally:
            passed = Passed(at, identifier, envelope, len(raw), sealing=sealing, recognised=known)
            self._note(passed, protected, reply, raw)
        return reply

    async def _kept(self, protected: Protected, raw: bytes, envelope: Envelope, identifier: str) -> Protected:
        """Return the message with its original kept, where it must be or may be."""
        if protected.keep_original:
            reason = "; ".join(protected.reasons)
            name = await self.originals.keep(raw, envelope, reason)
            log.info("message %s: original kept as %s", identifier, name)
            return replace(protected, original=name)
        if not self.keeps_changed or protected.raw == raw or protected.original:
            return protected
        try:
            name = await self.originals.keep(raw, envelope, "kept because it was changed", is_needed=False)
        except UnavailableError as error:
            log.warning("message %s goes on without its original kept: %s", identifier, error)
            return protected
        return replace(protected, original=name)

    def _policy(self, envelope: Envelope, at: float, identifier: str) -> MessagePolicy | None:
        if self.policies is None:
            return None
        policy = self.policies.for_message(envelope, self.clock.now())
        return named(policy, at, identifier, self.report_key)

    def _mode(self, policy: MessagePolicy | None) -> CopyMode | None:
        return self.copies if policy is None or policy.copies is None else policy.copies

    async def _authenticated(self, attempt: Attempt, envelope: Envelope, raw: bytes) -> Envelope:
        if not self._examination.is_worthwhile(attempt):
            return envelope
        try:
            return await authenticated(self.authenticator, envelope, raw)
        except BaseException:
            self._examination.abandon(attempt)
            raise

    async def _embed(
        self,
        embedding: Embedding,
        protected: Protected,
        raw: bytes,
        envelope: Envelope,
        policy: MessagePolicy | None,
        *,
        requester: Requester,
    ) -> Protected:
        """Return the message with the copies that came in time; as it is where it would become too large."""
        copies = await embedding.collect(protected.wanted, requester)
        if not copies:
            return protected
        carrying = await self._examination.carry(raw, envelope, copies, requester.message, policy)
        if carrying is None:
            return protected
        if not embedding.fits(carrying.raw, self.next_hop.max_message_bytes if self.next_hop else 0):
            log.info("message %s is too large for the next hop with its copies", requester.message)
            return protected
        return carrying

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
                await self.queue.release(protected.wanted, after_s=self.release_after_s)
            elif not reply.is_transient:
                # After 4yz the next hop may have the message all the same: what was reserved stays.
                await self.queue.abandon(protected.wanted)
        except UnavailableError as error:
            log.warning("message %s: copies have to wait for a restart: %s", identifier, error)
        except Exception:  # the next hop has answered: nothing may change that any more
            log.exception("message %s: copies have to wait for a restart", identifier)

    def _note(self, passed: Passed, protected: Protected, reply: Reply, raw: bytes) -> None:
        try:
            seconds = max(0.0, self.clock.now() - passed.at)
            ended = replace(
                passed_of(passed, protected, reply), seconds=seconds, changed=protected.raw != raw
            )
            self.instruments.passed(ended)
            self._recording.note(ended, protected, raw, went_on=reply.is_positive)
        except Exception as error:  # a report is never a decision
            log.error("message %s is missing on record: %s", passed.identifier, told_of(error))

    async def finish(self) -> None:
        """Wait a little for what is still to be put on record."""
        await self._recording.finish()


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
