"""Settling: which rules fit a message, and which of them wins for an effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mailveil.core.policy.messagepolicy import ReferenceRule
from mailveil.core.policy.rules import (
    BANNER_STRICTNESS,
    LEVEL_BANNERS,
    Effect,
    Effects,
    Fit,
    Level,
    MessageFacts,
    Rule,
    fits_recipient,
    fits_sender,
    strictness,
)
from mailveil.core.policy.types import Action

Groups = Mapping[str, Sequence[str]]


class RulesBySender:
    """Rules in order, found by whom they name as senders: an allow-list may have thousands of them.

    Each stands at one place, with a domain or an address that a message must name for it to hold.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._for_all: list[int] = []
        self._by_name: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            names = rule.when.sender_domains or rule.when.senders
            for name in names:
                self._by_name.setdefault(name, []).append(number)
            if not names:
                self._for_all.append(number)

    def possible(self, facts: MessageFacts) -> Sequence[Rule]:
        """Return the rules that may hold for a message, in their order: all that do are among them."""
        if not self._by_name:
            return self.rules
        found = set(self._for_all)
        for address in (facts.author_address, *facts.claimed):
            found.update(self._by_name.get(address, ()))
        for domain in {facts.author_domain, *facts.claimed_domains}:
            for pattern in _patterns_over(domain):
                found.update(self._by_name.get(pattern, ()))
        return [self.rules[number] for number in sorted(found)]


def _patterns_over(domain: str) -> Iterator[str]:
    """Give all patterns that cover a domain, as ``patterns.covers_domain`` reads them."""
    if domain:
        yield domain
        yield f".{domain}"
    while "." in domain:
        domain = domain.partition(".")[2]
        yield f".{domain}"


def fit_of(rule: Rule, groups: Groups, facts: MessageFacts) -> Fit:
    """Tell whether a rule is in force for a message, as far as its references do not matter."""
    if not rule.holds_at(facts.at) or (rule.when.directions and facts.direction not in rule.when.directions):
        return Fit.NO
    if not fits_recipient(rule.when, groups, facts.recipient):
        return Fit.NO
    return fits_sender(rule.when, facts)


def reference_rules(rules: Sequence[Rule], groups: Groups, facts: MessageFacts) -> tuple[ReferenceRule, ...]:
    """Return the rules about references that fit a message, in their order.

    A rule that keeps, for a sender who is merely claimed, is not among them: it could never hold.
    """
    found: list[ReferenceRule] = []
    for rule in rules:
        action, fit = rule.then.action, fit_of(rule, groups, facts)
        if action is None or fit is Fit.NO or (fit is Fit.CLAIMED and action is Action.KEEP):
            continue
        found.append(ReferenceRule(rule.key, action, rule.when.about_references(), fit is Fit.CLAIMED))
    return tuple(found)


def level_strictness(level: Level, effect: Effect) -> int:
    """Return how strict a level is in an effect on messages, as ``strictness`` counts."""
    match effect:
        case Effect.BANNER:
            return BANNER_STRICTNESS[LEVEL_BANNERS[level]]
        case Effect.MONITOR:
            return strictness(Effects(monitor=False), effect)
        case Effect.RECOGNISE:
            return strictness(Effects(recognise=True), effect)
        case _:
            return 0


def settle(
    rules: Sequence[Rule], groups: Groups, facts: MessageFacts, level: Level, effect: Effect
) -> Rule | None:
    """Return the rule that wins for an effect on messages, ``None`` where the level decides.

    ``rules`` are in order. One whose sender is merely claimed wins only where it is no less strict than what holds
    without it.
    """
    fitting = [(rule, fit) for rule in rules if (fit := fit_of(rule, groups, facts)) is not Fit.NO]
    otherwise = next((rule for rule, fit in fitting if fit is Fit.PROVEN), None)
    least = level_strictness(level, effect) if otherwise is None else strictness(otherwise.then, effect)
    for rule, fit in fitting:
        if fit is Fit.PROVEN or strictness(rule.then, effect) >= least:
            return rule
    return None
