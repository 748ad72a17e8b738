"""Records: a verdict as plain values, to be handed to another process or kept, and back again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from mailveil.core.verdicts.judging import reasons_of
from mailveil.core.verdicts.signals import Signal
from mailveil.core.verdicts.types import Finding, Kind, Operator, Reason, Risk, Verdict


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as what JSON can hold."""
    operator = verdict.operator
    return {
        "verdict": str(verdict.kind_of_reference),
        "score": verdict.score,
        "log_odds": verdict.log_odds,
        "kinds": [str(kind) for kind in verdict.kinds],
        "risk": str(verdict.risk),
        "signals": [str(signal) for signal in verdict.signals],
        "reasons": [[str(each.signal), each.weight, each.words] for each in reasons_of(verdict)],
        "operator": None if operator is None else operator_record(operator),
    }


def parse_verdict(record: Mapping[str, Any]) -> Verdict:
    """Return the verdict that ``verdict_record`` wrote; raise ValueError where that is not what it is."""
    try:
        return Verdict(
            Finding(record["verdict"]),
            float(record["score"]),
            tuple(Kind(each) for each in record["kinds"]),
            tuple(Signal(each) for each in record["signals"]),
            parse_operator(record["operator"]),
            float(record["log_odds"]),
            Risk(record["risk"]),
            tuple(
                Reason(Signal(name), float(weight), str(words)) for name, weight, words in record["reasons"]
            ),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("no record of a verdict") from error


def key_of(token: str) -> str:
    """Return by what a verdict is kept and found again: made of the token of its copy, which nobody can guess."""
    return (
        hashlib.sha256(f"verdict {token}".encode("utf-8", "surrogatepass")).hexdigest()[:32] if token else ""
    )


def operator_record(operator: Operator) -> dict[str, Any]:
    """Return an operator as what JSON can hold."""
    return {name: getattr(operator, name) for name in Operator.__dataclass_fields__}


def parse_operator(record: Mapping[str, Any] | None) -> Operator | None:
    """Return the operator that ``operator_record`` wrote; what it has besides what operators have is left out."""
    if record is None:
        return None
    return Operator(**{name: record[name] for name in Operator.__dataclass_fields__ if name in record})
