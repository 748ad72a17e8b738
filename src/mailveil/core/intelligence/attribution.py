"""Attribution: whose a tracker is. Bought of a vendor, and by which customer, or built by whoever uses it.

What anybody can copy weighs less than what only a vendor can show: the shape of an address and a header field are
written by the sender, an alias in the DNS, a host of the vendor's own and a signature are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from mailveil.core.intelligence.memos import digest
from mailveil.core.intelligence.types import Attribution, InfrastructureFacts, Tooling
from mailveil.core.observation import ObservedReference
from mailveil.core.verdicts.addresses import registrable_domain
from mailveil.core.verdicts.operators import (
    Category,
    Entry,
    catalogue,
    operator_by_authentication,
    operator_by_cname,
    operator_by_fields,
    operator_by_nameserver,
    operator_of_host,
)
from mailveil.core.verdicts.types import Operator

#: How sure a vendor has to be before its tracker counts as bought.
SURE: Final = 0.45
_MAX_EVIDENCE: Final = 8
_COPIED_SHAPE: Final = 0.6  # of the confidence that is left where a shape is all there is
_BY_SIGNER: Final = 0.7
_BY_FIELD: Final = 0.4
_BUILT: Final = 0.5
_LEAST_GRAMMAR: Final = 2  # words of an address that make a fingerprint at all
_LITERAL: Final = re.compile(r"[A-Za-z0-9_]+")
_GENERIC_LABELS: Final = frozenset(
    {"*", "www", "t", "e", "click", "open", "track", "trk", "email", "mail", "links"}
)


@dataclass(frozen=True, slots=True)
class SenderFacts:
    """What is known of who sent the message with a tracker. ``signers`` are proved, the field is only said."""

    domain: str = ""
    signers: tuple[str, ...] = ()
    mail_service: str = ""


@dataclass(frozen=True, slots=True)
class Grammar:
    """How an address is built, whatever its domain. ``words`` counts what tells it from others."""

    text: str
    words: int


def attribute(
    reference: ObservedReference, sender: SenderFacts, facts: InfrastructureFacts | None = None
) -> Attribution:
    """Return whose a tracker is, with what speaks for it in words. Total."""
    facts = facts or InfrastructureFacts(reference.host)
    vendor, evidence = _vendor(reference, sender, facts)
    fingerprint = fingerprint_of(reference)
    if vendor is None:
        return _built(reference, sender, facts, fingerprint)
    entry = _entries().get(vendor.name)
    category = "" if entry is None else str(entry.category)
    owner = vendor.owner or ("" if entry is None else entry.owner)
    if category in (Category.SOFTWARE, Category.PHISHING):
        evidence.append(f"{vendor.name} is software that runs wherever somebody installs it")
        return Attribution(
            Tooling.BUILT, vendor.name, owner, sender.domain, vendor.confidence, fingerprint, tuple(evidence)
        )
    tooling = Tooling.BOUGHT if vendor.confidence >= SURE else Tooling.UNKNOWN
    customer, because = customer_of(reference, sender)
    if because:
        evidence.append(because)
    shown = tuple(evidence[:_MAX_EVIDENCE])
    return Attribution(tooling, vendor.name, owner, customer, round(vendor.confidence, 3), fingerprint, shown)


def vendor_behind(facts: InfrastructureFacts) -> Operator | None:
    """Return the vendor to whom a host's aliases or name servers lead, ``None`` where they lead to nobody known."""
    alias = operator_by_cname(each[:253] for each in facts.canonical_names[:8])
    return alias or operator_by_nameserver(each[:253] for each in facts.name_servers[:8])


def category_of(operator: str) -> str:
    """Return what the catalogue says an operator is, ``""`` where it does not know it."""
    entry = _entries().get(operator)
    return "" if entry is None else str(entry.category)


def customer_of(reference: ObservedReference, sender: SenderFacts) -> tuple[str, str]:
    """Return for which customer a vendor's tracker reports, and by what that is known; both ``""`` where it is not."""
    host, domain = reference.host[:253].lower(), reference.domain[:253].lower()
    if domain and operator_of_host(host) is None:
        if domain != sender.domain:
            return domain, f"the customer tracks under its own domain {domain}"
        return domain, f"the customer tracks under the sender's domain {domain}"
    account = host.removesuffix(domain).rstrip(".").partition(".")[0] if domain else ""
    if sender.domain:
        told = f" with the account {account}" if account and account not in _GENERIC_LABELS else ""
        return sender.domain, f"the customer sends as {sender.domain}{told}"
    if account and account not in _GENERIC_LABELS:
        return account, f"the host names the account {account}"
    return "", ""


def grammar_of(template: str, vector: str) -> Grammar:
    """Return how an address is built: its template without scheme and host, and the construct that it stands in."""
    rest = template[:300].partition("://")[2]
    start = next((at for at, letter in enumerate(rest) if letter in "/?"), len(rest))
    shape = rest[start:]
    words = len(set(_LITERAL.findall(shape)))
    return Grammar(f"{shape} {vector}", words)


def fingerprint_of(reference: ObservedReference) -> str:
    """Return by what built tracking is found again under another domain, ``""`` where too little tells it apart."""
    grammar = grammar_of(reference.template, reference.vector)
    return digest("grammar", grammar.text, size=8) if grammar.words >= _LEAST_GRAMMAR else ""


def server_print_of(facts: InfrastructureFacts) -> str:
    """Return by what a server is found again: the order of its header fields with what it answers, else ``""``."""
    if not (facts.header_order and facts.body):
        return ""
    return digest("server", facts.header_order[:128], facts.body[:128], size=8)


def _vendor(
    reference: ObservedReference, sender: SenderFacts, facts: InfrastructureFacts
) -> tuple[Operator | None, list[str]]:
    """Return the surest vendor with what speaks for it, the strongest first."""
    found = [each for each in _candidates(reference, sender, facts) if each is not None]
    if not found:
        return None, []
    found.sort(key=lambda each: -each.confidence)
    best = found[0]
    agreeing = [each for each in found if each.name == best.name]
    # Each further kind of evidence for the same vendor leaves less room for an error.
    doubt = 1.0
    for each in agreeing[:4]:
        doubt *= 1.0 - min(0.99, max(0.0, each.confidence))
    others = [f"but {each.evidence}, which is {each.name}" for each in found if each.name != best.name]
    evidence = [f"{each.evidence}" for each in agreeing if each.evidence] + others
    named = Operator(
        best.name, min(0.99, 1.0 - doubt), next((each.owner for each in agreeing if each.owner), "")
    )
    return named, list(dict.fromkeys(evidence))[:_MAX_EVIDENCE]


def _candidates(
    reference: ObservedReference, sender: SenderFacts, facts: InfrastructureFacts
) -> list[Operator | None]:
    host, domain = reference.host[:253].lower(), reference.domain[:253].lower()
    own = operator_of_host(host) if host else None
    said = None
    if reference.operator:
        confidence, evidence = _share(reference.operator_confidence), reference.evidence or "the catalogue"
        if own is None and evidence.startswith("the address has the shape /"):
            confidence *= _COPIED_SHAPE
            evidence = f"{evidence}, which anybody can copy"
        said = Operator(reference.operator, confidence, evidence=evidence)
        own = None if own is not None and own.name == said.name else own
    alias = operator_by_cname(each[:253] for each in facts.canonical_names[:8])
    servers = operator_by_nameserver(each[:253] for each in facts.name_servers[:8])
    signer = field = None
    if domain and domain == sender.domain:
        # Services track under the sender's own name; of any other host who signed the message says nothing.
        signer = _with(operator_by_authentication(sender.signers), _BY_SIGNER)
        field = (
            _with(operator_by_fields({sender.mail_service: ""}), _BY_FIELD) if sender.mail_service else None
        )
    return [said, own, alias, servers, signer, field]


def _built(
    reference: ObservedReference, sender: SenderFacts, facts: InfrastructureFacts, fingerprint: str
) -> Attribution:
    evidence = ["no vendor is known by this address, nor by what is known of its host"]
    domain = reference.domain
    if domain and domain == sender.domain:
        evidence.append("the tracker lies under the sender's own domain")
    if any(registrable_domain(each) == domain for each in facts.name_servers[:8] if domain):
        evidence.append("its domain is served by name servers of its own")
    if fingerprint:
        evidence.append(
            f"its addresses are built like {grammar_of(reference.template, '').text.strip() or '/'}"
        )
    if facts.header_order:
        evidence.append(f"its server answers with header fields in the order {facts.header_order[:16]}")
    confidence = min(0.9, _BUILT + 0.1 * (len(evidence) - 1))
    owner = domain
    return Attribution(Tooling.BUILT, "", owner, "", round(confidence, 3), fingerprint, tuple(evidence))


def _with(operator: Operator | None, most: float) -> Operator | None:
    if operator is None:
        return None
    return Operator(operator.name, min(most, operator.confidence), operator.owner, evidence=operator.evidence)


def _share(value: float) -> float:
    return min(1.0, max(0.0, value)) if value == value else 0.0  # noqa: PLR0124 - NaN is no number


@cache
def _entries() -> Mapping[str, Entry]:
    return {each.name: each for each in catalogue().entries}
