"""Settling: which rules fit a message, and which of them wins for an effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
