"""Mail: raw messages with labels keyed by URL, judged as they would be on arrival."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mailveil.core.message.parse import parse_message
from mailveil.core.policy import Envelope
from mailveil.core.protection.inspecting import message_context
from mailveil.core.references.search import find_references
from mailveil.core.verdicts.addresses import registrable_domain, take_apart
from mailveil.core.verdicts.features import Surroundings, measure
from mailveil.core.verdicts.judging import log_odds_of
from mailveil.core.verdicts.trees import Model
from mailveil.core.verdicts.types import Measured
from mailveil.learning.evaluating import Judged
from mailveil.learning.rows import Row


def labels_by_url(rows: Sequence[Row]) -> dict[str, Row]:
    """Return a row for each URL that all its rows label alike."""
    found: dict[str, Row] = {}
    disputed: set[str] = set()
    for row in rows:
        if row.is_scored and found.setdefault(row.url, row).label != row.label:
            disputed.add(row.url)
    return {url: row for url, row in found.items() if url not in disputed}


def measure_mail(raw: bytes) -> list[tuple[str, Measured]]:
    """Return every reference of a message, by URL, with what is measured of it."""
    message = parse_message(raw)
    findings = find_references(message).findings
    context = message_context(message, Envelope(), findings.linked)
    surroundings = Surroundings(findings.references, context)
    return [(each.url, measure(each, surroundings)) for each in findings.references]


def evaluate_mail(mail: Iterable[bytes], rows: Sequence[Row], judged: Judged) -> dict[str, Any]:
    """Return how the labelled references of raw messages are judged.

    Each by the model that its URL's row was judged by, which knows nothing of the row's host and sender. A
    border of even odds: it is the one that ``scan`` has.
    """
    labelled = labels_by_url(rows)
    model_of = {row.url: judged.models[number] for row, number in zip(judged.rows, judged.of, strict=True)}
    scores: list[float] = []
    labels: list[bool] = []
    unlabelled = messages = 0
    wrong: dict[str, int] = {}
    for raw in mail:
        messages += 1
        for url, measured in measure_mail(raw):
            row = labelled.get(url)
            if row is None:
                unlabelled += 1
                continue
            score = _score(url, measured, model_of)
            scores.append(score)
            labels.append(row.is_tracker)
            if (score >= 0) is not row.is_tracker:
                host = registrable_domain(take_apart(url).host)
                key = f"{'missed' if row.is_tracker else 'accused'} {host}"
                wrong[key] = wrong.get(key, 0) + 1
    said, true = np.array(scores) >= 0, np.array(labels, dtype=np.bool_)
    return {
        "messages": messages,
        "references_without_label": unlabelled,
        "trackers": int(true.sum()),
        "content": int((~true).sum()),
        "found": float(said[true].mean()) if true.any() else 0.0,
        "accused": float(said[~true].mean()) if (~true).any() else 0.0,
        "errors": dict(sorted(wrong.items(), key=lambda each: -each[1])),
    }


def _score(url: str, measured: Measured, model_of: Mapping[str, Model]) -> float:
    return log_odds_of(measured, model_of[url])
