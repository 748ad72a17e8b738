"""Explaining: which rules a case meets, which of them wins for each effect, and why the others do not; in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mailveil.core.policy.document import PolicyDocument
from mailveil.core.policy.messagepolicy import Choice, Party, choose_for
from mailveil.core.policy.rules import (
    LEVEL_BANNERS,
    LEVEL_WORDS,
    AllowEntry,
    Conditions,
    Effect,
    Fit,
    MessageFacts,
    ReferenceFacts,
    Rule,
    fits_reference,
    in_order,
    specificity,
    strictness,
)
from mailveil.core.policy.settling import fit_of, reference_rules, settle
from mailveil.core.policy.types import Action, PolicySettings
from mailveil.core.verdicts.types import Finding

_FINDING_WORDS: Final = {Finding.TRACKER: "a tracker", Finding.CONTENT: "content"}
_EFFECT_WORDS: Final = {
    Effect.ACTION: "what is done about the reference",
    Effect.COPIES: "how copies reach readers",
    Effect.BANNER: "from which risk on readers get a notice",
    Effect.MONITOR: "whether the message is only reported",
    Effect.LANGUAGE: "which language readers are addressed in",
    Effect.RECOGNISE: "whether readers are told when somebody writes who spied on readers before",
}
ACTION_WORDS: Final = {
    Action.COPY: "a safe copy takes its place",
    Action.BLANK: "a blank takes its place, and nobody contacts where it leads",
    Action.REMOVE: "it is taken out",
    Action.KEEP: "it stays as it was sent",
}


@dataclass(frozen=True, slots=True)
class Considered:
    """A rule that the case meets. ``words`` say why it won, or why not; ``value`` what it says."""

    key: str
    name: str
    value: str
    won: bool
    words: str


@dataclass(frozen=True, slots=True)
class EffectExplanation:
    """One effect: what holds, what chose it (``rule:ID``, ``allow:ID``, ``level:NAME``), and all rules that were met.

    ``considered`` are in the order in which they are asked.
    """

    effect: Effect
    value: str
    key: str
    words: str
    considered: tuple[Considered, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What holds in one case, effect by effect."""

    effects: tuple[EffectExplanation, ...]

    def of(self, effect: Effect) -> EffectExplanation | None:
        """Return the explanation of one effect; there is none of the action where no reference was asked about."""
        return next((each for each in self.effects if each.effect is effect), None)

    def record(self) -> list[dict[str, Any]]:
        """Return it as JSON objects."""
        return [
            {
                "effect": str(each.effect),
                "value": each.value,
                "rule": each.key,
                "words": each.words,
                "considered": [
                    {
                        "rule": one.key,
                        "name": one.name,
                        "value": one.value,
                        "won": one.won,
                        "words": one.words,
                    }
                    for one in each.considered
                ],
            }
            for each in self.effects
        ]


def explain(
    document: PolicyDocument,
    allowed: Iterable[AllowEntry],
    facts: MessageFacts,
    reference: ReferenceFacts | None,
    settings: PolicySettings,
) -> Explanation:
    """Return what holds for a message, and with ``reference`` for that reference of it."""
    rules = (*document.rules, *(entry.rule() for entry in allowed))
    effects = [] if reference is None else [_action(rules, document, facts, reference, settings)]
    effects += [_effect(rules, document, facts, each) for each in Effect if each is not Effect.ACTION]
    return Explanation(tuple(effects))


def entries_that_fit(entries: Iterable[AllowEntry], facts: MessageFacts) -> tuple[AllowEntry, ...]:
    """Return the entries of an allow-list that say anything of a message: the others explain nothing about it."""
    return tuple(each for each in entries if fit_of(each.rule(), {}, facts) is not Fit.NO)


def describe_conditions(when: Conditions) -> str:
    """Return in words when a rule holds."""
    said = [
        ("for", (*when.recipients, *(f"the group {each}" for each in when.groups))),
        ("from", (*when.senders, *when.sender_domains)),
        ("at the hosts", when.hosts),
        ("run by", when.operators),
        ("of the kind", when.kinds),
        ("with risk", when.risks),
        ("with a risk of at least", () if when.least_risk is None else (when.least_risk,)),
        ("found to be", [_FINDING_WORDS[each] for each in when.findings]),
        ("that is", when.directions),
    ]
    words = [f"{word} {_either([str(each) for each in values])}" for word, values in said if values]
    return ", ".join(words) or "always"


def describe_effects(rule: Rule) -> str:
    """Return in words what a rule settles."""
    then = rule.then
    said = [
        "" if then.action is None else f"action {then.action}",
        "" if then.copies is None else f"copies {then.copies}",
        ""
        if then.banner is None
        else ("no banner" if then.banner == "none" else f"banner from {then.banner} risk on"),
        "" if then.monitor is None else ("report only" if then.monitor else "no report only"),
        "" if then.language is None else f"language {then.language}",
        ""
        if then.recognise is None
        else ("known actors told" if then.recognise else "known actors not told"),
    ]
    return ", ".join(each for each in said if each)


def _action(
    rules: Sequence[Rule],
    document: PolicyDocument,
    facts: MessageFacts,
    reference: ReferenceFacts,
    settings: PolicySettings,
) -> EffectExplanation:
    ordered = in_order(rules, Effect.ACTION)
    party = Party(document.level, reference_rules(ordered, document.groups, facts))
    choice = choose_for(party, reference, settings)
    met = [
        (rule, fit)
        for rule in ordered
        if (fit := fit_of(rule, document.groups, facts)) is not Fit.NO
        and rule.then.action is not None
        and fits_reference(rule.when, rule.then.action, reference)
    ]
    if reference.is_script or not reference.has_copy:
        why = (
            "scripts in attached documents are switched off by the configuration file"
            if reference.is_script
            else "no safe copy could take its place, and no rule can keep such a reference"
        )
        if choice.action is Action.KEEP:
            why = "the configuration file leaves scripts in attached documents alone"
        considered = tuple(
            Considered(
                rule.key, rule.name, _value(rule, Effect.ACTION), won=False, words=f"does not count: {why}"
            )
            for rule, _ in met
        )
        return EffectExplanation(Effect.ACTION, str(choice.action), choice.key, f"{why}", considered)
    return EffectExplanation(
        Effect.ACTION,
        str(choice.action),
        choice.key,
        _outcome(choice, document, rules),
        _considered(met, choice.key, Effect.ACTION),
    )


def _outcome(choice: Choice, document: PolicyDocument, rules: Sequence[Rule]) -> str:
    what = ACTION_WORDS[choice.action]
    rule = next((each for each in rules if each.key == choice.key), None)
    if rule is None:
        level = f"on the level {document.level} {_lower(LEVEL_WORDS[document.level])}"
        return f"{what}: no rule says otherwise, and {level}"
    title = f' "{rule.name}"' if rule.name and rule.origin == "rule" else ""
    who = (
        f"the allow-list entry {rule.identifier}"
        if rule.origin == "allow"
        else f"the rule {rule.identifier}{title}"
    )
    return f"{what}: {who} says so ({describe_conditions(rule.when)})"


def _effect(
    rules: Sequence[Rule], document: PolicyDocument, facts: MessageFacts, effect: Effect
) -> EffectExplanation:
    ordered = in_order(rules, effect)
    rule = settle(ordered, document.groups, facts, document.level, effect)
    met = [(each, fit) for each in ordered if (fit := fit_of(each, document.groups, facts)) is not Fit.NO]
    if rule is not None:
        words = (
            f"{_EFFECT_WORDS[effect]}: the rule {rule.identifier} says so ({describe_conditions(rule.when)})"
        )
        return EffectExplanation(
            effect, _value(rule, effect), rule.key, words, _considered(met, rule.key, effect)
        )
    key = f"level:{document.level}"
    value = {
        Effect.COPIES: "as configured",
        Effect.BANNER: str(LEVEL_BANNERS[document.level]),
        Effect.LANGUAGE: "the organisation's",
        Effect.RECOGNISE: "true",
    }.get(effect, "false")
    words = f"{_EFFECT_WORDS[effect]}: no rule says otherwise"
    return EffectExplanation(effect, value, key, words, _considered(met, key, effect))


def _value(rule: Rule, effect: Effect) -> str:
    value = getattr(rule.then, effect.value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _considered(met: Sequence[tuple[Rule, Fit]], key: str, effect: Effect) -> tuple[Considered, ...]:
    winner = next((rule for rule, _ in met if rule.key == key), None)
    return tuple(
        Considered(rule.key, rule.name, _value(rule, effect), rule is winner, _why(rule, fit, winner, effect))
        for rule, fit in met
    )


def _why(rule: Rule, fit: Fit, winner: Rule | None, effect: Effect) -> str:
    if rule is winner:
        proof = "; its sender is not proven, but it is no less strict" if fit is Fit.CLAIMED else ""
        return f"wins: {describe_conditions(rule.when)}{proof}"
    own = specificity(rule.when)
    if fit is Fit.CLAIMED and (winner is None or own >= specificity(winner.when)):
        return (
            "does not count: the message only claims to be from there, nobody proved it, and the rule is less strict "
            "than what holds without it"
        )
    if winner is None:
        return "does not count"
    other = specificity(winner.when)
    for place, (mine, its) in zip(_PLACES, zip(own, other, strict=True), strict=True):
        if mine < its:
            return f"loses to {winner.key}, which says more closely {place}"
    if strictness(rule.then, effect) < strictness(winner.then, effect):
        return f"loses to {winner.key}, which is as specific and stricter"
    return f"loses to {winner.key}, which is as specific and stands before it"


_PLACES: Final = ("for whom it is", "from whom", "about which references", "in which direction")


def _either(words: Sequence[str]) -> str:
    shown = [*words[:5], f"{len(words) - 5} more"] if len(words) > 6 else list(words)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
