"""Inspecting: raw bytes to a plan. Finds, judges and decides; pure, total, contacts nobody."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.message.header import decode_header_text
from mailveil.core.message.parse import parse_message
from mailveil.core.message.signed import find_signed
from mailveil.core.message.types import Message, Part, Span
from mailveil.core.policy import (
    Action,
    CopyMode,
    Envelope,
    MessagePolicy,
    decide_by,
    direction_of,
    is_protected,
)
from mailveil.core.protection.forged import forged_fields
from mailveil.core.protection.plan import Decision, EngineSettings, Plan, Wanted, places_of
from mailveil.core.references.certificates import known_issuer_among
from mailveil.core.references.links import EVERY_LINK, place_digest, same_place
from mailveil.core.references.search import SearchSettings, find_references
from mailveil.core.references.types import Media, Reference, nothing_is_ours
from mailveil.core.verdicts.addresses import registrable_domain
from mailveil.core.verdicts.judging import judge, risk_of
from mailveil.core.verdicts.lists import lists_of
from mailveil.core.verdicts.operators import operator_by_authentication
from mailveil.core.verdicts.types import SERVICE_FIELDS, MessageContext, Risk, Verdict

# An address as it stands in a field, good enough to know it again in a URL; the parser of the library that
# reads the whole grammar took a tenth of the time that a message takes.
ADDRESS = re.compile(r"[^\s<>,;:\"()\[\]@]++@[^\s<>,;:\"()\[\]@]++")
TOLD_FIELDS = frozenset({"list-id", "list-unsubscribe", "precedence", *SERVICE_FIELDS})
ADDRESSEE_FIELDS = frozenset({"to", "cc", "delivered-to", "x-original-to"})
MAX_ADDRESSEES = 50
MAX_LINKS = 2_000
MAX_STYLE = 4_000
DIMENSION = re.compile(r"(?<![-\w])(width|height)[ \t\r\n]*+:[ \t\r\n]*+([^;!\"'()]{1,30}+)")
RELATIVE_LENGTH = re.compile(r"[0-9]{1,6}+(?:\.[0-9]{0,6}+)?[ ]?(?:%|vw|vh|em|rem)")
FLAT_PIXELS = 600
FETCHABLE_SCHEMES = ("http://", "https://")


def inspect(
    raw: bytes,
    settings: EngineSettings,
    envelope: Envelope | None = None,
    policy: MessagePolicy | None = None,
) -> Plan:
    """Find, judge and decide about every remote reference of a message.

    ``policy`` is what the rules of its recipients' organisation come down to; without one, ``settings`` decide alone.
    Total: any bytes give a plan. Pure: contacts nobody.
    """
    if policy is not None and policy.copies is not None:
        settings = replace(settings, mode=policy.copies)
    envelope = envelope or Envelope()
    message = parse_message(raw, settings.limits)
    addresses = settings.addresses
    ours = nothing_is_ours if addresses is None else addresses.is_ours
    issuers = known_issuers(settings.authorities)
    search = find_references(message, SearchSettings(settings.limits, ours, issuers))
    references = search.findings.references
    if search.ambiguous:
        references = unrepeated(references)
    lists = lists_of(settings.lists)
    if policy is not None:
        lists = lists.with_indications(policy.indications)
    context = replace(message_context(message, envelope, search.findings.linked), lists=lists)
    verdicts = judge(references, context)
    settled = _Decisions(raw, settings, search.findings.linked, policy)
    decisions = tuple(map(settled.decide, references, verdicts))
    return Plan(
        raw=raw,
        settings=settings,
        message=message,
        decisions=decisions,
        insertions=() if _may_stay(decisions, envelope) else tuple(search.findings.insertions),
        unexamined=tuple(search.unexamined),
        signed=tuple(find_signed(message)),
        defects=tuple(dict.fromkeys((*message.defects, *search.findings.defects))),
        risk=_risk(verdicts, context, policy),
        ambiguous=search.ambiguous,
        protected=is_protected(direction_of(envelope), settings.policy)
        and not (policy is not None and policy.monitored),
        forged=forged_fields(message, settings.authserv_id, settings.trust),
        policy=policy,
    )


def _risk(verdicts: Sequence[Verdict], context: MessageContext, policy: MessagePolicy | None) -> Risk:
    """Return the message's risk; mail of a known actor needs no tracker to be dangerous."""
    if policy is not None and policy.recognition is not None:
        return Risk.HIGH
    return risk_of(verdicts, context)


def _may_stay(decisions: Sequence[Decision], envelope: Envelope) -> bool:
    """Tell whether a message of a proven author may leave as it came in: rules keep all its references.

    His signature is worth more then than to turn off the prefetching of its links' names.
    """
    proof = envelope.authentication
    if proof is None or not proof.author_domain or not decisions:
        return False
    return all(each.action is Action.KEEP and each.rule.startswith(("rule:", "allow:")) for each in decisions)


def unrepeated(references: Sequence[Reference]) -> list[Reference]:
    """Return references without those that another reading found at the same place of the raw message."""
    found: dict[tuple[Span, str], Reference] = {}
    kept: list[Reference] = []
    for reference, place in zip(references, places_of(references), strict=True):
        first = found.setdefault((place, reference.url), reference)
        # All of a container is one place of the raw message, so within one source its own places count.
        apart = first.end <= reference.start or reference.end <= first.start
        if first is reference or (first.source is reference.source and apart):
            kept.append(reference)
    return kept


def message_context(message: Message, envelope: Envelope, linked: set[str]) -> MessageContext:
    """Return what the judge has to know about the message around its references."""
    root = message.root
    proven = envelope.authentication
    fields: dict[str, str] = {}
    for candidate in root.fields:
        if candidate[0] in TOLD_FIELDS:
            fields.setdefault(candidate.name, candidate.value)
    return MessageContext(
        envelope_sender=envelope.sender,
        header_from=next(iter(ADDRESS.findall(root.field("from")[-1024:])[::-1]), ""),
        recipients=envelope.recipients or addressees(root),
        subject=decode_header_text(root.field("subject")),
        fields=fields,
        linked=frozenset(linked),
        size=len(message.source.data),
        author_domain=registrable_domain(proven.author_domain) if proven is not None else "",
        service=None if proven is None else operator_by_authentication(proven.signers),
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

    def __init__(
        self, raw: bytes, settings: EngineSettings, linked: set[str], policy: MessagePolicy | None
    ) -> None:
        self.raw = raw
        self.settings = settings
        self.linked = linked
        self.policy = policy
        self.linked_places: frozenset[str] | None = None
        self.link_digests: str | None = None
        self.digest = b""
        self.wanted: dict[tuple[str, Media, int, int], Wanted] = {}
        self.tokens: dict[tuple[str, Media], str] = {}

    def decide(self, reference: Reference, verdict: Verdict) -> Decision:
        """Decide about one reference."""
        settings, media = self.settings, reference.media
        action, rule = decide_by(self.policy, reference, verdict, settings.policy)
        if (
            action is not Action.COPY
            or media is None
            or settings.addresses is None
            or settings.mode is CopyMode.NONE
            or (settings.mode is CopyMode.EMBEDDED and media is not Media.IMAGE)
        ):
            return Decision(reference, verdict, action, rule=rule)
        width, height = declared_dimensions(reference.attributes)
        key = (reference.url, media, width, height)
        wanted = self.wanted.get(key)
        if wanted is None:
            may_fetch = reference.url.startswith(FETCHABLE_SCHEMES) and not self.is_linked(reference.url)
            wanted = self.wanted[key] = Wanted(
                token=self.token(settings.addresses, reference.url, media),
                url=reference.url,
                media=media,
                may_fetch=may_fetch,
                width=width,
                height=height,
                links=self.links() if may_fetch else "",
            )
        return Decision(reference, verdict, action, wanted, rule)

    def is_linked(self, url: str) -> bool:
        """Tell whether a URL leads where a link or a List-* field leads: fetching it could confirm or unsubscribe."""
        return url in self.linked or same_place(url) in self.places()

    def places(self) -> frozenset[str]:
        """Return where the message's links lead."""
        if self.linked_places is None:
            self.linked_places = frozenset(map(same_place, self.linked))
        return self.linked_places

    def links(self) -> str:
        """Return where neither a redirect nor a style sheet may lead."""
        if self.link_digests is None:
            digests = set(map(place_digest, self.places())) if len(self.linked) <= MAX_LINKS else {EVERY_LINK}
            self.link_digests = "".join(sorted(digests))
        return self.link_digests

    def token(self, addresses: CopyAddresses, url: str, media: Media) -> str:
        """Return the token of a copy in this message."""
        token = self.tokens.get((url, media))
        if token is None:
            self.digest = self.digest or hashlib.sha256(self.raw).digest()
            token = self.tokens[url, media] = addresses.derive(self.digest, url, media.value)
        return token


def declared_dimensions(attributes: Mapping[str, str]) -> tuple[int, int]:
    """Return width and height in pixels that a placeholder has to have, so that no layout breaks; 0 for either: any.

    Attributes come first, then the ``style``. A width in another unit (``100%``) with a height that follows from it
    asks for something flat: a square would be as high as the message is wide.
    """
    style = attributes.get("style", "")
    said = dict(DIMENSION.findall(style[:MAX_STYLE].lower())) if style else {}
    width, height = (
        _declared_pixels(attributes.get(side, "")) or _declared_pixels(said.get(side, ""))
        for side in ("width", "height")
    )
    if not width and not height:
        if _is_relative(attributes.get("width", "")) or _is_relative(said.get("width", "")):
            return FLAT_PIXELS, 0
        if _is_relative(attributes.get("height", "")) or _is_relative(said.get("height", "")):
            return 0, FLAT_PIXELS
    return width, height


def _declared_pixels(value: str) -> int:
    if not value:
        return 0
    number = value.strip().removesuffix("px").strip()
    digits = number.partition(".")[0]
    return min(int(digits), 4096) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0


def _is_relative(value: str) -> bool:
    """Tell whether a length is one that depends on what is around, such as ``100%``."""
    return RELATIVE_LENGTH.fullmatch(value.strip()) is not None
