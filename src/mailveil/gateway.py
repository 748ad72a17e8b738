"""The pipeline: the one place that orders parsing, searching, judging, deciding and rewriting."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mailveil.core.copyaddress import CopyAddresses, content_id
from mailveil.core.message.header import decode_header_text
from mailveil.core.message.parse import parse_message
from mailveil.core.message.signed import SignedPart, find_signed
from mailveil.core.message.transfer import place_all
from mailveil.core.message.types import Coding, Defect, Limits, Message, Part, Source, Span
from mailveil.core.policy import (
    Action,
    Envelope,
    PolicySettings,
    SignedMail,
    decide,
    direction_of,
    is_protected,
)
from mailveil.core.references.certificates import known_issuer_among
from mailveil.core.references.search import SearchSettings, find_references
from mailveil.core.references.types import Insertion, Media, Reference, nothing_is_ours
from mailveil.core.rewrite import (
    EmbeddedCopy,
    Replacement,
    embed_copies,
    inert_part_edits,
    rewrite,
    unsign_edits,
)
from mailveil.core.verdicts.rules import judge, risk_of
from mailveil.core.verdicts.types import MessageContext, Risk, Verdict
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
    Transaction,
    UnavailableError,
)

log = logging.getLogger("mailveil.gateway")

MAX_ROUNDS = 4
# An address as it stands in a field, good enough to know it again in a URL; the parser of the library that
# reads the whole grammar took a tenth of the time that a message takes.
ADDRESS = re.compile(r"[^\s<>,;:\"()\[\]@]++@[^\s<>,;:\"()\[\]@]++")
LIST_FIELDS = frozenset({"list-id", "list-unsubscribe", "feedback-id", "precedence"})
ADDRESSEE_FIELDS = frozenset({"to", "cc", "delivered-to", "x-original-to"})
MAX_ADDRESSEES = 50
INERT_NOTICE = (
    "This part of the message could not be examined for hidden callbacks and is shown as plain text. "
    "Your mail administrator can release the original."
)
UNFETCHABLE_SCHEMES = ("http://", "https://")
PLACEHOLDER_GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b"
)


class CopyMode(StrEnum):
    """How safe copies reach the reader."""

    HOSTED = "hosted"  # from the organisation's copies server
    EMBEDDED = "embedded"  # inside the message, as cid: parts
    NONE = "none"  # not at all: placeholders only


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything that the engine depends on besides the message; holds keys, so it is never logged."""

    limits: Limits = field(default_factory=Limits)
    policy: PolicySettings = field(default_factory=PolicySettings)
    mode: CopyMode = CopyMode.NONE
    addresses: CopyAddresses | None = None
    content_id_domain: str = "mailveil.invalid"
    authorities: tuple[bytes, ...] = ()  # certificates (DER) of issuers that clients know without asking


@dataclass(frozen=True, slots=True)
class Wanted:
    """A safe copy that the message wants: fetched after delivery (hosted) or before it (embedded).

    ``may_fetch`` is False where a contact could do more than load content: the URL also stands in a link or a
    List-* field, or has no http scheme. Its copy is a placeholder.
    """

    token: str
    url: str
    media: Media
    may_fetch: bool
    width: int = 0
    height: int = 0


class Decision(NamedTuple):
    """One reference with its verdict, what is done about it, and the copy that it wants, if any."""

    reference: Reference
    verdict: Verdict
    action: Action
    wanted: Wanted | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a message contains and what will be done about it. Pure data; nobody was contacted to make it."""

    raw: bytes
    settings: EngineSettings
    message: Message
    decisions: tuple[Decision, ...]
    insertions: tuple[Insertion, ...]
    unexamined: tuple[Part, ...]
    signed: tuple[SignedPart, ...]
    defects: tuple[Defect, ...]
    risk: Risk
    ambiguous: bool
    protected: bool  # False where policy lets the message's direction pass

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """Return the safe copies that the message wants, each token once."""
        found: dict[str, Wanted] = {}
        for decision in self.decisions:
            if decision.wanted is not None:
                found.setdefault(decision.wanted.token, decision.wanted)
        return tuple(found.values())

    def record(self, path: str) -> dict[str, Any]:
        """Return what ``scan --json`` prints for this message; ``path`` names where it was read from."""
        root = self.message.root
        places = _places([decision.reference for decision in self.decisions])
        return {
            "path": path,
            "message_id": root.field("message-id"),
            "from": decode_header_text(root.field("from")),
            "subject": decode_header_text(root.field("subject")),
            "bytes": len(self.raw),
            "defects": [str(defect) for defect in self.defects],
            "risk": str(self.risk),
            "references": [
                reference_record(decision, place)
                for decision, place in zip(self.decisions, places, strict=True)
            ],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A message as it is to be delivered.

    ``raw`` is the very same object as the input where nothing had to change. ``unsigned`` are the signed parts
    whose signature could not stay, ``inert_parts`` the section numbers of parts that became inert text;
    where there are any of either the original has to be kept before the message may be delivered.
    """

    raw: bytes
    changed: bool
    plan: Plan
    unsigned: tuple[SignedPart, ...] = ()
    inert_parts: tuple[str, ...] = ()

    @property
    def keep_original(self) -> bool:
        """Tell whether something was taken from the reader that only the original can give back."""
        return bool(self.unsigned or self.inert_parts)


def _places(references: Sequence[Reference]) -> list[Span]:
    """Find all references in the raw message at once: one by one would take quadratic time."""
    return place_all([(reference.source, reference.start, reference.end) for reference in references])


def reference_record(decision: Decision, span: Span) -> dict[str, Any]:
    """Return the JSON object of one reference; ``span`` are offsets into the raw message."""
    reference, verdict = decision.reference, decision.verdict
    operator = verdict.operator
    return {
        "url": reference.url,
        "vector": str(reference.vector),
        "part": reference.part,
        "span": [span.start, span.end],
        "verdict": str(verdict.kind_of_reference),
        "kind": None if verdict.kind is None else str(verdict.kind),
        "score": round(verdict.score, 3),
        "signals": [str(signal) for signal in verdict.signals],
        "operator": None if operator is None else {"name": operator.name, "confidence": operator.confidence},
        "action": str(decision.action),
    }


def inspect(raw: bytes, settings: EngineSettings, envelope: Envelope | None = None) -> Plan:
    """Find, judge and decide about every remote reference of a message.

    Total: any bytes give a plan. Pure: contacts nobody.
    """
    envelope = envelope or Envelope()
    message = parse_message(raw, settings.limits)
    addresses = settings.addresses
    ours = nothing_is_ours if addresses is None else addresses.is_ours
    issuers = known_issuers(settings.authorities)
    search = find_references(message, SearchSettings(settings.limits, ours, issuers))
    references = search.findings.references
    if search.ambiguous:
        references = unrepeated(references)
    context = message_context(message, envelope, search.findings.linked)
    verdicts = judge(references, context)
    decisions = _Decisions(raw, settings, search.findings.linked)
    return Plan(
        raw=raw,
        settings=settings,
        message=message,
        decisions=tuple(map(decisions.decide, references, verdicts)),
        insertions=tuple(search.findings.insertions),
        unexamined=tuple(search.unexamined),
        signed=tuple(find_signed(message)),
        defects=tuple(dict.fromkeys((*message.defects, *search.findings.defects))),
        risk=risk_of(verdicts, context),
        ambiguous=search.ambiguous,
        protected=is_protected(direction_of(envelope), settings.policy),
    )


def finish(plan: Plan, copies: Mapping[str, EmbeddedCopy] | None = None) -> Outcome:
    """Write a plan's decisions into the message.

    ``copies`` are the safe copies by token in embedded mode; a missing one is a placeholder. Where clients could
    read the message in more than one way the result is searched again, until nothing is left that anyone would
    fetch; a part that resists becomes inert text. Total and pure.
    """
    if not plan.protected:
        return Outcome(plan.raw, changed=False, plan=plan)
    raw, unsigned, inert = _apply(plan, copies or {})
    if raw is plan.raw or not plan.ambiguous:
        return Outcome(raw, raw is not plan.raw, plan, unsigned, inert)
    for round_number in range(1, MAX_ROUNDS + 1):
        again = inspect(raw, plan.settings)
        if not _has_work(again):
            break
        after, more_unsigned, more_inert = _apply(again, {}, everything_inert=round_number == MAX_ROUNDS)
        unsigned, inert = (*unsigned, *more_unsigned), (*inert, *more_inert)
        if after == raw:
            break
        raw = after
    return Outcome(raw, changed=True, plan=plan, unsigned=unsigned, inert_parts=inert)


def protect(raw: bytes, settings: EngineSettings, envelope: Envelope | None = None) -> Outcome:
    """Inspect and finish in one go, with placeholders or hosted addresses: what needs no copy at hand."""
    return finish(inspect(raw, settings, envelope))


def unrepeated(references: Sequence[Reference]) -> list[Reference]:
    """Return references without those that another reading found at the same place of the raw message."""
    found: dict[tuple[Span, str], Reference] = {}
    kept: list[Reference] = []
    for reference, place in zip(references, _places(references), strict=True):
        first = found.setdefault((place, reference.url), reference)
        # All of a container is one place of the raw message, so within one source its own places count.
        apart = first.end <= reference.start or reference.end <= first.start
        if first is reference or (first.source is reference.source and apart):
            kept.append(reference)
    return kept


def message_context(message: Message, envelope: Envelope, linked: set[str]) -> MessageContext:
    """Return what the judge has to know about the message around its references."""
    root = message.root
    fields: dict[str, str] = {}
    for candidate in root.fields:
        if candidate[0] in LIST_FIELDS:
            fields.setdefault(candidate.name, candidate.value)
    return MessageContext(
        envelope_sender=envelope.sender,
        header_from=next(iter(ADDRESS.findall(root.field("from")[-1024:])[::-1]), ""),
        recipients=envelope.recipients or addressees(root),
        subject=decode_header_text(root.field("subject")),
        fields=fields,
        linked=frozenset(linked),
        size=len(message.source.data),
    )


def addressees(root: Part) -> tuple[str, ...]:
    """Return the addresses of the To, Cc and Delivered-To fields, at most 50, where there is no envelope."""
    found: list[str] = []
    for candidate in root.fields:
        if candidate[0] in ADDRESSEE_FIELDS and len(found) < MAX_ADDRESSEES:
            found += ADDRESS.findall(candidate.value[:4096])
    return tuple(found[:MAX_ADDRESSEES])


@lru_cache(maxsize=4)
def known_issuers(authorities: tuple[bytes, ...]) -> Callable[[bytes], bool]:
    """Return what tells of a certificate whether one of ``authorities`` issued it; loads them when first asked."""
    loaded: list[Callable[[bytes], bool]] = []

    def known_issuer(certificate: bytes) -> bool:
        if not loaded:
            loaded.append(known_issuer_among(authorities))
        return loaded[0](certificate)

    return known_issuer


class _Decisions:
    """What is worked out once a message, and once a copy that several of its references share."""

    def __init__(self, raw: bytes, settings: EngineSettings, linked: set[str]) -> None:
        self.raw = raw
        self.settings = settings
        self.linked = linked
        self.digest = b""
        self.wanted: dict[tuple[str, Media, str, str], Wanted] = {}
        self.tokens: dict[tuple[str, Media], str] = {}

    def decide(self, reference: Reference, verdict: Verdict) -> Decision:
        """Decide about one reference."""
        settings, media = self.settings, reference.media
        action = decide(reference, verdict, settings.policy)
        if (
            action is not Action.COPY
            or media is None
            or settings.addresses is None
            or settings.mode is CopyMode.NONE
            or (settings.mode is CopyMode.EMBEDDED and media is not Media.IMAGE)
        ):
            return Decision(reference, verdict, action)
        attributes = reference.attributes
        width, height = attributes.get("width", ""), attributes.get("height", "")
        key = (reference.url, media, width, height)
        wanted = self.wanted.get(key)
        if wanted is None:
            wanted = self.wanted[key] = Wanted(
                token=self.token(settings.addresses, reference.url, media),
                url=reference.url,
                media=media,
                may_fetch=reference.url.startswith(UNFETCHABLE_SCHEMES) and reference.url not in self.linked,
                width=_declared_pixels(width),
                height=_declared_pixels(height),
            )
        return Decision(reference, verdict, action, wanted)

    def token(self, addresses: CopyAddresses, url: str, media: Media) -> str:
        """Return the token of a copy in this message."""
        token = self.tokens.get((url, media))
        if token is None:
            self.digest = self.digest or hashlib.sha256(self.raw).digest()
            token = self.tokens[url, media] = addresses.derive(self.digest, url, media.value)
        return token


def _declared_pixels(value: str) -> int:
    if not value:
        return 0
    digits = value.strip().removesuffix("px")
    return min(int(digits), 4096) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0


def _has_work(plan: Plan) -> bool:
    if plan.unexamined or plan.insertions:
        return True
    return any(not _is_left_alone(decision, plan) for decision in plan.decisions)


def _is_left_alone(decision: Decision, plan: Plan) -> bool:
    if decision.action is Action.KEEP:
        return True
    if plan.settings.policy.signed_mail is SignedMail.LEAVE:
        return any(
            _stands_in(decision.reference.source, decision.reference.start, signed.part)
            for signed in plan.signed
        )
    return False


def _stands_in(source: Source, at: int, part: Part) -> bool:
    """Tell whether byte ``at`` of a source, or what it is encoded in, lies inside a part."""
    current: Source | None = source
    while current is not None:
        if current is part.source:
            return part.span.start <= at < max(part.span.end, part.span.start + 1)
        at = current.span.start
        current = current.within
    return False


def _apply(
    plan: Plan, copies: Mapping[str, EmbeddedCopy], *, everything_inert: bool = False
) -> tuple[bytes, tuple[SignedPart, ...], tuple[str, ...]]:
    replacements: list[Replacement] = []
    embedded: dict[int, dict[str, EmbeddedCopy]] = {}
    broken_signatures: list[SignedPart] = []
    decided = [decision for decision in plan.decisions if not _is_left_alone(decision, plan)]
    unexamined = list(plan.unexamined)
    if everything_inert:
        sections = {decision.reference.part for decision in decided}
        unexamined += [part for part in plan.message.walk() if part.section in sections and not part.children]
    replacements += [_replacement(decision, plan, copies, embedded) for decision in decided]
    for signed in plan.signed:
        touched = any(
            _stands_in(decision.reference.source, decision.reference.start, signed.part)
            for decision in decided
        ) or any(_stands_in(part.source, part.span.start, signed.part) for part in unexamined)
        if touched and plan.settings.policy.signed_mail is SignedMail.PROTECT:
            broken_signatures.append(signed)
            if signed.part.children:
                replacements += unsign_edits(signed.part)
    untouched = [signed for signed in plan.signed if signed not in broken_signatures]
    for insertion in plan.insertions:
        if not any(_stands_in(insertion.source, insertion.at, signed.part) for signed in untouched):
            text = insertion.text.encode(insertion.encoding)
            replacements.append(Replacement(insertion.source, insertion.at, insertion.at, text))
    inert: list[str] = []
    for part in unexamined:
        replacements += inert_part_edits(part, INERT_NOTICE)
        inert.append(part.section)
    if plan.settings.mode is CopyMode.EMBEDDED and embedded:
        replacements += _embed(plan, embedded)
    return rewrite(plan.message, replacements), tuple(broken_signatures), tuple(inert)


def _replacement(
    decision: Decision,
    plan: Plan,
    copies: Mapping[str, EmbeddedCopy],
    embedded: dict[int, dict[str, EmbeddedCopy]],
) -> Replacement:
    reference, wanted, settings = decision.reference, decision.wanted, plan.settings
    text = reference.inert
    if wanted is not None and settings.addresses is not None:
        if settings.mode is CopyMode.HOSTED:
            text = settings.addresses.address(wanted.token)
        elif settings.mode is CopyMode.EMBEDDED and _embeddable(reference.source):
            copy = copies.get(wanted.token)
            if copy is None:
                name = content_id("placeholder", settings.content_id_domain)
                copy = EmbeddedCopy(name, "image/gif", PLACEHOLDER_GIF)
            embedded.setdefault(id(reference.source), {})[copy.content_id] = copy
            text = "cid:" + copy.content_id
    return Replacement(reference.source, reference.start, reference.end, text.encode(reference.encoding))


def _embeddable(source: Source) -> bool:
    """Tell whether a source is the body of a part of the message itself, which can have related parts."""
    return source.within is not None and source.within.within is None and source.coding in (
        Coding.IDENTITY, Coding.QUOTED_PRINTABLE, Coding.BASE64,
    )  # fmt: skip


def _embed(plan: Plan, embedded: Mapping[int, Mapping[str, EmbeddedCopy]]) -> list[Replacement]:
    sources = {id(decision.reference.source): decision.reference.source for decision in plan.decisions}
    replacements: list[Replacement] = []
    for identity, copies in embedded.items():
        source = sources[identity]
        for part in plan.message.walk():
            if not part.children and part.source is source.within and part.body_span == source.span:
                replacements += embed_copies(plan.message, part, tuple(copies.values()))
                break
    return replacements


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
            reserved = await self._reserve(protected, identifier)
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

    async def _reserve(self, protected: Protected, identifier: str) -> bool:
        if not protected.wanted or self.store is None:
            return False
        try:
            await self.store.reserve(protected.wanted)
        except UnavailableError as error:
            log.warning("message %s goes on without copies: %s", identifier, error)
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
