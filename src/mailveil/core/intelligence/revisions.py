"""Revisions: what the judge found of a message's references once more was known than the message alone. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from mailveil.core.observation import Observation, ObservedReference
from mailveil.core.verdicts.types import Verdict

LATER: Final = "what became known later"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict on one reference as far as studying makes use of it. It names nobody and no host."""

    finding: str
    kind: str = ""
    kinds: tuple[str, ...] = ()
    score: float = 0.0
    risk: str = "none"
    operator: str = ""
    operator_confidence: float = 0.0
    signals: tuple[str, ...] = ()

    @property
    def essence(self) -> tuple[str, ...]:
        """What has to differ for a message to be studied anew: whether it tracks, what for, and for whom."""
        is_tracker = self.finding == "tracker"
        return (self.finding, self.operator, *self.kinds) if is_tracker else (self.finding,)

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``judgement_of`` makes it again."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Revision:
    """A message of which the judge thinks otherwise than when it was studied.

    ``message`` is on record as it went on; ``before`` and ``after`` are the verdicts, by the references' keys, that
    differ from that: those with which it was studied last, and those that stand now. ``identifier`` sorts by time.
    """

    identifier: str
    organisation: str
    at: float
    message: Observation
    before: Mapping[str, Judgement]
    after: Mapping[str, Judgement]


def essence_of(verdict: Verdict) -> tuple[str, ...]:
    """Return what has to differ between two verdicts on a reference for its message to be studied anew."""
    operator = verdict.operator.name if verdict.operator else ""
    kinds = tuple(str(each) for each in verdict.kinds)
    return Judgement(str(verdict.kind_of_reference), kinds=kinds, operator=operator).essence


def judgement(reference: ObservedReference) -> Judgement:
    """Return the verdict that a reference bears."""
    return Judgement(
        reference.finding, reference.kind, reference.kinds, reference.score, reference.risk,
        reference.operator, reference.operator_confidence, reference.signals,
    )  # fmt: skip


def judgement_of(record: Mapping[str, Any]) -> Judgement:
    """Return what ``Judgement.record`` wrote down. Raises ``TypeError`` for anything else."""
    told = dict(record)
    return Judgement(**told | {name: tuple(told.get(name, ())) for name in ("kinds", "signals")})


def as_judged(message: Observation, judgements: Mapping[str, Judgement]) -> Observation:
    """Return a message with these verdicts, by key, in the place of those with which it is on record."""
    if not judgements:
        return message
    references = tuple(
        _judged(each, judgements[each.key]) if each.key in judgements else each for each in message.references
    )
    return replace(message, references=references)


def _judged(reference: ObservedReference, told: Judgement) -> ObservedReference:
    evidence = reference.evidence if told.operator == reference.operator else LATER
    return replace(reference, evidence=evidence if told.operator else "", reasons=(), **asdict(told))
