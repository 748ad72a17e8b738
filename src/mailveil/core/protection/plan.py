"""The plan of a message: what it contains, what is done about it, and what came of it. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from mailveil.core.authentication.trust import TrustedServers
from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.message.header import decode_header_text
from mailveil.core.message.signed import SignedPart
from mailveil.core.message.transfer import place_all
from mailveil.core.message.types import Defect, Field, Limits, Message, Part, Source, Span
from mailveil.core.policy import Action, CopyMode, MessagePolicy, PolicySettings, SignedMail
from mailveil.core.references.types import Insertion, Media, Reference
from mailveil.core.verdicts.judging import reasons_of
from mailveil.core.verdicts.lists import ImportedList
from mailveil.core.verdicts.types import Risk, Verdict


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything that the engine depends on besides the message; holds keys, so it is never logged."""

    limits: Limits = field(default_factory=Limits)
    policy: PolicySettings = field(default_factory=PolicySettings)
    mode: CopyMode = CopyMode.NONE
    addresses: CopyAddresses | None = None
    content_id_domain: str = "mailveil.invalid"
    authorities: tuple[bytes, ...] = ()  # certificates (DER) of issuers that clients know without asking
    authserv_id: str = ""  # what Authentication-Results of our own would be signed with; none may come in
    trust: TrustedServers = field(default_factory=TrustedServers)
    lists: tuple[ImportedList, ...] = ()  # what the organisation imported as evidence for verdicts
    banner_key: bytes = b""  # by which banners of our own are known again


@dataclass(frozen=True, slots=True)
class Wanted:
    """A safe copy that the message wants: fetched after delivery (hosted) or before it (embedded).

    ``may_fetch`` is False where a contact could do more than load content: the URL also stands in a link or a
    List-* field, or has no http scheme. Its copy is a placeholder. ``links`` tells what must not
    be fetched for it either, should a redirect or a style sheet lead there: the digests of those URLs
    (references/links), or ``*`` for every one. They are the same for all copies of a message.
    """

    token: str
    url: str
    media: Media
    may_fetch: bool
    width: int = 0
    height: int = 0
    links: str = ""


class Decision(NamedTuple):
    """One reference with its verdict, what is done about it, and the copy that it wants, if any.

    ``rule`` names what chose the action: ``rule:ID``, ``allow:ID`` or ``level:NAME``; ``""`` without a policy.
    """

    reference: Reference
    verdict: Verdict
    action: Action
    wanted: Wanted | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a message contains and what will be done about it. Pure data; nobody was contacted to make it.

    ``protected`` is False where policy lets the message's direction pass, or only wants a report of it.
    """

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
    protected: bool
    forged: tuple[tuple[Part, Field], ...] = ()  # fields that claim to be ours, with the header they stand in
    policy: MessagePolicy | None = None

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """Return the safe copies that the message wants, each token once; none for what policy leaves alone."""
        found: dict[str, Wanted] = {}
        if not self.protected:
            return ()
        for decision in self.decisions:
            if decision.wanted is not None and not is_left_alone(decision, self):
                found.setdefault(decision.wanted.token, decision.wanted)
        return tuple(found.values())

    def record(self, path: str) -> dict[str, Any]:
        """Return what ``scan --json`` prints for this message; ``path`` names where it was read from."""
        root = self.message.root
        places = places_of([decision.reference for decision in self.decisions])
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
    where there are any of either the original has to be kept before the message may be delivered. ``banner``:
    readers find a notice in it.
    """

    raw: bytes
    changed: bool
    plan: Plan
    unsigned: tuple[SignedPart, ...] = ()
    inert_parts: tuple[str, ...] = ()
    banner: bool = False

    @property
    def keep_original(self) -> bool:
        """Tell whether something was taken from the reader that only the original can give back."""
        return bool(self.unsigned or self.inert_parts)


def is_left_alone(decision: Decision, plan: Plan) -> bool:
    """Tell whether policy leaves a reference where it stands."""
    if decision.action is Action.KEEP:
        return True
    if plan.settings.policy.signed_mail is SignedMail.LEAVE:
        return any(
            stands_in(decision.reference.source, decision.reference.start, signed.part)
            for signed in plan.signed
        )
    return False


def stands_in(source: Source, at: int, part: Part) -> bool:
    """Tell whether byte ``at`` of a source, or what it is encoded in, lies inside a part."""
    current: Source | None = source
    while current is not None:
        if current is part.source:
            return part.span.start <= at < max(part.span.end, part.span.start + 1)
        at = current.span.start
        current = current.within
    return False


def places_of(references: Sequence[Reference]) -> list[Span]:
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
        "kinds": [str(kind) for kind in verdict.kinds],
        "risk": str(verdict.risk),
        "signals": [str(signal) for signal in verdict.signals],
        "reasons": [
            {"signal": str(reason.signal), "weight": reason.weight, "words": reason.words}
            for reason in reasons_of(verdict)
        ],
        "operator": None if operator is None else asdict(operator),
        "action": str(decision.action),
        **({"rule": decision.rule} if decision.rule else {}),
    }
