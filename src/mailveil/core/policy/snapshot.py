"""The snapshot: all organisations' rules at one moment, and what they come down to for a message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mailveil.core.policy.document import PolicyDocument, document_of
from mailveil.core.policy.messagepolicy import BannerSettings, MessagePolicy, Party
from mailveil.core.policy.organisations import organisation_of_address, organisation_table
from mailveil.core.policy.patterns import domain_of, normal_address
from mailveil.core.policy.rules import (
    BANNER_STRICTNESS,
    LEVEL_BANNERS,
    AllowEntry,
    Banner,
    Effect,
    MessageFacts,
    Rule,
    fits_recipient,
    in_order,
)
from mailveil.core.policy.settling import RulesBySender, reference_rules, settle
from mailveil.core.policy.types import CopyMode, Direction, Envelope, direction_of

FORMAT = 1


@dataclass(frozen=True, slots=True)
class OrganisationPolicy:
    """One organisation's rules. ``document`` is ``None`` where nobody has written one."""

    identifier: str
    name: str = ""
    language: str = "en"
    domains: tuple[str, ...] = ()
    document: PolicyDocument | None = None
    allowed: tuple[AllowEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An organisation with its rules in order: what is worked out once a snapshot."""

    policy: OrganisationPolicy
    document: PolicyDocument
    actions: RulesBySender
    copies: RulesBySender
    banners: RulesBySender
    monitors: RulesBySender
    languages: RulesBySender
    recognising: RulesBySender
    personal: tuple[Rule, ...]  # that are not for everybody


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """The rules of all organisations. What belongs to none of them belongs to ``default``, which is always there."""

    organisations: tuple[OrganisationPolicy, ...] = ()
    _domains: Mapping[str, str] = field(init=False, repr=False, compare=False)
    _prepared: Mapping[str, _Prepared] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = {each.identifier: each for each in (OrganisationPolicy("default"), *self.organisations)}
        domains = organisation_table((each.identifier, each.domains) for each in self.organisations)
        object.__setattr__(self, "_domains", domains)
        object.__setattr__(self, "_prepared", {name: _prepare(each) for name, each in known.items()})

    @property
    def domains(self) -> Mapping[str, str]:
        """Whose each domain is, as ``organisation_of`` takes it."""
        return self._domains

    def prepared(self, identifier: str) -> _Prepared:
        """Return an organisation with its rules in order."""
        return self._prepared[identifier]

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``snapshot_of`` makes it again."""
        return {
            "format": FORMAT,
            "organisations": [
                {
                    "identifier": each.identifier,
                    "name": each.name,
                    "language": each.language,
                    "domains": list(each.domains),
                    "document": None if each.document is None else each.document.record(),
                    "allowed": [
                        [entry.identifier, entry.author, list(entry.hosts), entry.expires_at]
                        for entry in each.allowed
                    ],
                }
                for each in self.organisations
            ],
        }


def snapshot_of(record: Mapping[str, Any]) -> PolicySnapshot:
    """Return what ``PolicySnapshot.record`` wrote down.

    Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else.
    """
    if record["format"] != FORMAT:
        raise ValueError("a snapshot of another format")
    return PolicySnapshot(
        tuple(
            OrganisationPolicy(
                str(each["identifier"]),
                str(each["name"]),
                str(each["language"]),
                tuple(each["domains"]),
                None if each["document"] is None else document_of(each["document"]),
                tuple(
                    AllowEntry(identifier, author, tuple(hosts), at)
                    for identifier, author, hosts, at in each["allowed"]
                ),
            )
            for each in record["organisations"]
        )
    )


def _prepare(policy: OrganisationPolicy) -> _Prepared:
    document = policy.document or PolicyDocument()
    rules = rules_of(document, policy.allowed)
    return _Prepared(
        policy,
        document,
        actions=RulesBySender(in_order(rules, Effect.ACTION)),
        copies=RulesBySender(in_order(rules, Effect.COPIES)),
        banners=RulesBySender(in_order(rules, Effect.BANNER)),
        monitors=RulesBySender(in_order(rules, Effect.MONITOR)),
        languages=RulesBySender(in_order(rules, Effect.LANGUAGE)),
        recognising=RulesBySender(in_order(rules, Effect.RECOGNISE)),
        personal=tuple(rule for rule in document.rules if rule.enabled and rule.when.names_recipients),
    )


def rules_of(document: PolicyDocument, allowed: Iterable[AllowEntry]) -> tuple[Rule, ...]:
    """Return the rules of an organisation, those of its allow-list last."""
    return (*document.rules, *(entry.rule() for entry in allowed))


# --- for one message ----------------------------------------------------------------------------------------


def message_facts(envelope: Envelope, recipient: str, now: float) -> MessageFacts:
    """Return what rules may know of a message for one of its recipients."""
    proof = envelope.authentication
    claimed = [normal_address(envelope.sender)] if "@" in envelope.sender else []
    domains: list[str] = []
    if proof is not None:
        claimed += map(normal_address, proof.from_addresses)
        domains += proof.from_domains
    domains += map(domain_of, claimed)
    direction = direction_of(envelope)
    submitted = direction is Direction.SUBMITTED
    return MessageFacts(
        recipient=normal_address(recipient),
        concerned=normal_address((envelope.sender or envelope.login) if submitted else recipient),
        direction=direction,
        author_domain="" if proof is None else proof.author_domain,
        author_address="" if proof is None else normal_address(proof.author_address),
        claimed=tuple(dict.fromkeys(claimed)),
        claimed_domains=tuple(dict.fromkeys(domains)),
        at=now,
    )


def recipient_profile(snapshot: PolicySnapshot, address: str) -> str:
    """Return a key that is the same for recipients to whom the same rules can apply."""
    organisation = organisation_of_address(address, snapshot.domains)
    prepared = snapshot.prepared(organisation)
    if not prepared.personal:
        return organisation
    recipient = normal_address(address)
    own = [
        rule.identifier
        for rule in prepared.personal
        if fits_recipient(rule.when, prepared.document.groups, recipient)
    ]
    return " ".join((organisation, *own))


def message_policy(
    snapshot: PolicySnapshot,
    envelope: Envelope,
    now: float,
    banner: BannerSettings | None = None,
    modes: frozenset[CopyMode] = frozenset(),
) -> MessagePolicy:
    """Return what the rules come down to for one message.

    ``banner`` is what the installation adds to a banner (where readers report), ``modes`` are the ways in which it can
    carry copies: a rule that wants another is passed over. Where recipients with different rules share the message, the
    strictest holds for all of them: it is monitored only if it is for each, and readers get the banner if one would.
    """
    profiles: dict[str, str] = {}
    submitted = direction_of(envelope) is Direction.SUBMITTED
    for recipient in envelope.recipients or ("",):
        # The rules about mail that is submitted are the sender's, and may be about any recipient.
        profiles.setdefault(recipient if submitted else recipient_profile(snapshot, recipient), recipient)
    facts = [message_facts(envelope, recipient, now) for recipient in profiles.values()]
    return policy_of_facts(snapshot, facts, banner, modes)


def policy_of_facts(
    snapshot: PolicySnapshot,
    facts: Sequence[MessageFacts],
    banner: BannerSettings | None = None,
    modes: frozenset[CopyMode] = frozenset(),
) -> MessagePolicy:
    """Return what the rules come down to for a message of which that is known, for each of its recipients.

    ``banner`` and ``modes`` are those of ``message_policy``.
    """
    settled = [_settle(snapshot, each, modes) for each in facts]
    organisations = dict.fromkeys(each.prepared.policy.identifier for each in settled)
    copies = {each.copies for each in settled}
    risk = max((each.banner for each in settled), key=BANNER_STRICTNESS.__getitem__)
    told = [each for each in settled if each.banner is risk]
    first, languages = told[0].prepared.policy, {each.language for each in told}
    notice = None
    if risk is not Banner.NONE:
        notice = replace(
            banner or BannerSettings(),
            least_risk=risk.value,
            # Readers who are addressed in several languages share that of their organisation.
            language=(languages.pop() if len(languages) == 1 else first.language) or "en",
            # Readers of one organisation are not told of another that got the message too.
            organisation=first.name if len(organisations) == 1 else "",
        )
    return MessagePolicy(
        organisation=next(iter(organisations)) if len(organisations) == 1 else "",
        banner=notice,
        monitored=all(each.monitored for each in settled),
        copies=copies.pop() if len(copies) == 1 else None,
        parties=tuple(dict.fromkeys(each.party for each in settled)),
        recognises=any(each.recognises for each in settled),
    )


@dataclass(frozen=True, slots=True)
class _Settled:
    prepared: _Prepared
    party: Party
    banner: Banner
    monitored: bool
    copies: CopyMode | None
    language: str
    recognises: bool


def _settle(snapshot: PolicySnapshot, facts: MessageFacts, modes: frozenset[CopyMode]) -> _Settled:
    prepared = snapshot.prepared(organisation_of_address(facts.concerned, snapshot.domains))
    level, groups = prepared.document.level, prepared.document.groups
    possible = [rule for rule in prepared.copies.possible(facts) if rule.then.copies in modes]
    banner = settle(prepared.banners.possible(facts), groups, facts, level, Effect.BANNER)
    monitor = settle(prepared.monitors.possible(facts), groups, facts, level, Effect.MONITOR)
    copies = settle(possible, groups, facts, level, Effect.COPIES)
    language = settle(prepared.languages.possible(facts), groups, facts, level, Effect.LANGUAGE)
    recognise = settle(prepared.recognising.possible(facts), groups, facts, level, Effect.RECOGNISE)
    return _Settled(
        prepared,
        Party(level, reference_rules(prepared.actions.possible(facts), groups, facts)),
        banner=LEVEL_BANNERS[level] if banner is None else banner.then.banner or Banner.NONE,
        monitored=monitor is not None and bool(monitor.then.monitor),
        copies=None if copies is None else copies.then.copies,
        language=prepared.policy.language if language is None else language.then.language or "",
        recognises=recognise is None or bool(recognise.then.recognise),
    )
