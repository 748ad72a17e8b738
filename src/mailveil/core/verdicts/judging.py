"""Judging: a verdict for each reference, from what its facts mean and what a trained model makes of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

from mailveil.core.references.types import Reference
from mailveil.core.verdicts.explaining import explain
from mailveil.core.verdicts.features import Surroundings, measure
from mailveil.core.verdicts.meaning import BIAS
from mailveil.core.verdicts.signals import Signal
from mailveil.core.verdicts.trees import Model, parse_model
from mailveil.core.verdicts.types import Finding, Kind, Measured, MessageContext, Reason, Risk, Verdict

THRESHOLD: Final = 0.5
_FARTHEST: Final = 30.0  # log-odds beyond which a probability says nothing more

# What a signal says about the kind of tracker, the weightiest kind first.
_KINDS: Final[tuple[tuple[Kind, frozenset[Signal]], ...]] = (
    (Kind.CREDENTIAL, frozenset({Signal.CREDENTIAL_PATH})),
    (Kind.RECEIPT, frozenset({Signal.RECEIPT_REQUEST})),
    (Kind.DNS, frozenset({Signal.HOST_LOOKUP, Signal.RECIPIENT_IN_HOST, Signal.NAME_PER_MESSAGE})),
    (
        Kind.INTERACTION,
        frozenset(
            {Signal.PRINT_BEACON, Signal.HOVER_BEACON, Signal.FORWARD_BEACON, Signal.PING, Signal.SCRIPT}
        ),
    ),
    (
        Kind.DWELL,
        frozenset(
            {Signal.SILENT_MEDIA, Signal.REFRESH, Signal.DRIP_FED, Signal.ENDLESS_BODY, Signal.SILENT_AUDIO}
        ),
    ),
    (
        Kind.IDENTITY,
        frozenset({Signal.RECIPIENT_IN_URL, Signal.RECIPIENT_IN_HOST, Signal.ADDRESS_IN_URL}),
    ),
    (Kind.DEVICE, frozenset({Signal.DEVICE_QUERY})),
)
# Signals that say when a reference is fetched instead of at once when the message is opened.
_NOT_ON_OPENING: Final = frozenset(
    {Signal.RECEIPT_REQUEST, Signal.PRINT_BEACON, Signal.HOVER_BEACON, Signal.FORWARD_BEACON, Signal.PING}
)
_GRAVE: Final = frozenset({Kind.CREDENTIAL, Kind.DWELL, Kind.DNS})


@lru_cache(maxsize=1)
def shipped_model() -> Model:
    """Return the model that comes with the program."""
    return parse_model((files("mailveil.core.verdicts") / "model.json").read_text("ascii"))


def judge(
    references: Sequence[Reference], context: MessageContext, model: Model | None = None
) -> list[Verdict]:
    """Return one verdict for each reference, in order. Pure; time linear in the number of references."""
    if not references:
        return []
    model = model or shipped_model()
    surroundings = Surroundings(references, context)
    known: dict[Measured, Verdict] = {}
    verdicts = []
    for reference in references:
        measured = measure(reference, surroundings)
        verdict = known.get(measured)
        if verdict is None:
            verdict = known[measured] = verdict_of(measured, context, model)
        verdicts.append(verdict)
    return verdicts


def log_odds_of(measured: Measured, model: Model) -> float:
    """Return the log-odds that what was measured is a tracker."""
    if measured.decided:
        return BIAS + measured.meaning
    return model.log_odds(measured.numbers, measured.meaning)


def probability_of(log_odds: float) -> float:
    """Return log-odds as a probability."""
    return 1 / (1 + math.exp(-max(-_FARTHEST, min(_FARTHEST, log_odds))))


def verdict_of(measured: Measured, context: MessageContext, model: Model) -> Verdict:
    """Return the verdict about what was measured."""
    log_odds = log_odds_of(measured, model)
    score = round(probability_of(log_odds), 4)
    if score < THRESHOLD:
        return Verdict(
            Finding.CONTENT, score, (), measured.signals, None, log_odds, Risk.LOW, measured=measured
        )
    kinds = kinds_of(measured.signals, measured.operator_kind)
    risk = _risk(kinds, known=measured.operator is not None or context.is_list_mail)
    reasons = explain(measured, model)
    return Verdict(
        Finding.TRACKER, score, kinds, measured.signals, measured.operator, log_odds, risk, reasons, measured
    )


def reasons_of(verdict: Verdict, model: Model | None = None) -> tuple[Reason, ...]:
    """Return what weighed most in a verdict; of content this is worked out now."""
    if verdict.reasons or verdict.measured is None:
        return verdict.reasons
    return explain(verdict.measured, model or shipped_model())


def kinds_of(signals: Sequence[Signal], operator_kind: Kind | None = None) -> tuple[Kind, ...]:
    """Return the kinds of a tracker with these signals, the weightiest first."""
    kinds = [kind for kind, telling in _KINDS if not telling.isdisjoint(signals)]
    if operator_kind is not None and operator_kind is not Kind.OPEN and operator_kind not in kinds:
        kinds.append(operator_kind)
    if _NOT_ON_OPENING.isdisjoint(signals):
        kinds.append(Kind.OPEN)
    return tuple(kinds) or (Kind.OPEN,)


def _risk(kinds: Sequence[Kind], *, known: bool) -> Risk:
    if not _GRAVE.isdisjoint(kinds):
        return Risk.HIGH
    return Risk.HIGH if Kind.IDENTITY in kinds and not known else Risk.MEDIUM


def risk_of(verdicts: Sequence[Verdict], context: MessageContext) -> Risk:
    """Return how much the message would give away; the rule stands in docs/verdicts.md."""
    if not verdicts:
        return Risk.NONE
    trackers = [verdict for verdict in verdicts if verdict.is_tracker]
    if not trackers:
        return Risk.LOW
    if any(verdict.risk is Risk.HIGH for verdict in trackers):
        return Risk.HIGH
    kinds = {kind for verdict in trackers for kind in verdict.kinds}
    unknown = not context.is_list_mail and any(verdict.operator is None for verdict in trackers)
    if unknown and Kind.RECEIPT in kinds and Kind.OPEN in kinds:
        return Risk.HIGH
    return Risk.MEDIUM
