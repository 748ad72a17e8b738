"""Evaluating: how good a judge is on what it has never seen, on what attackers make of it, and against baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from mailveil.core.verdicts.addresses import take_apart, template_of
from mailveil.core.verdicts.appearance import appearance_of
from mailveil.core.verdicts.features import FEATURES
from mailveil.core.verdicts.judging import log_odds_of, probability_of
from mailveil.core.verdicts.meaning import BIAS, WEIGHTS
from mailveil.core.verdicts.signals import FACTS, EvidenceClass
from mailveil.core.verdicts.trees import Model
from mailveil.core.verdicts.types import Measured
from mailveil.learning.folds import UNKNOWN_ALL, UNKNOWN_HOST, UNKNOWN_SENDER, Key, later, splits
from mailveil.learning.learning import Lessons, Said, _silent
from mailveil.learning.rows import CONTENT, Row, measure_varied
from mailveil.learning.scoring import (
    AT,
    FALSE_POSITIVES,
    Bools,
    Floats,
    Scored,
    curves_of,
    headline,
    is_gold,
    rate_of,
    reliability_of,
    rule_errs,
    simple_rule,
    threshold_at,
)
from mailveil.learning.training import FOLDS, calibrate, model_of, weights_of
from mailveil.learning.variations import ATTACKS, EVALUATION, LOOK_ALIKES, vary

_LOOK_ALIKE_ROWS: Final = 1_500
_MODEL_EVIDENCE: Final = (EvidenceClass.URL, EvidenceClass.RENDERING, EvidenceClass.MESSAGE)
_MAX_ERRORS: Final = 400


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Every scored row with its log-odds, and the model that gave them: one that knows nothing of the row."""

    rows: tuple[Row, ...]
    measured: tuple[Measured, ...]
    log_odds: Floats
    models: tuple[Model, ...]
    of: tuple[int, ...]  # which model each row was judged by

    @property
    def scored(self) -> Scored:
        """The rows with their scores."""
        return Scored(self.rows, self.log_odds)


def judged_out_of_fold(
    lessons: Lessons, keys: Sequence[Key], without: frozenset[EvidenceClass] = frozenset(), folds: int = FOLDS
) -> Judged:
    """Judge every scored row by a model that knows nothing of it, calibrated on the other folds."""
    examples = lessons.examples
    sums = np.zeros(len(examples.rows))
    fold_of: list[int] = [0] * len(examples.rows)
    raw: list[Model] = []
    for learned, tested in splits(examples.rows, keys, folds=folds, seed=lessons.seed):
        model = lessons.model_for(learned, tested, keys, without)
        for place in tested:
            measured = examples.measured[place]
            sums[place] = model.sum_of(_masked(measured, without)) + measured.meaning
            fold_of[place] = len(raw)
        raw.append(model)
    folded = np.array(fold_of)
    models = []
    for number, model in enumerate(raw):
        others = np.flatnonzero(folded != number)
        rows = [examples.rows[place] for place in others]
        knots = calibrate(sums[others], examples.labels[others], weights_of(rows))
        models.append(model_of(model.trees, knots, {})[0])
    by_row = {id(row): fold for row, fold in zip(examples.rows, fold_of, strict=True)}
    return _judged(lessons, tuple(models), lambda row: by_row.get(id(row), 0), without)


def judged_by(lessons: Lessons, model: Model) -> Judged:
    """Judge every scored row by one model."""
    return _judged(lessons, (model,), lambda row: 0, frozenset())  # noqa: ARG005


def _judged(
    lessons: Lessons,
    models: tuple[Model, ...],
    model_for: Callable[[Row], int],
    without: frozenset[EvidenceClass],
) -> Judged:
    kept = [(row, each) for row, each in zip(lessons.rows, lessons.measured, strict=True) if row.is_scored]
    of = tuple(model_for(row) for row, _each in kept)
    log_odds = np.array(
        [_log_odds(each, models[number], without) for (_row, each), number in zip(kept, of, strict=True)]
    )
    return Judged(tuple(row for row, _ in kept), tuple(each for _, each in kept), log_odds, models, of)


def _masked(measured: Measured, without: frozenset[EvidenceClass]) -> tuple[float, ...]:
    if not without:
        return measured.numbers
    return tuple(
        0.0 if feature.evidence in without else number
        for number, feature in zip(measured.numbers, FEATURES.values(), strict=True)
    )


def _log_odds(measured: Measured, model: Model, without: frozenset[EvidenceClass]) -> float:
    if not without:
        return log_odds_of(measured, model)
    meaning = sum(
        WEIGHTS.get(signal, 0.0) for signal in measured.signals if FACTS[signal].evidence not in without
    )
    if EvidenceClass.OPERATOR not in without:
        meaning += measured.meaning - sum(WEIGHTS.get(signal, 0.0) for signal in measured.signals)
    if measured.decided:
        return BIAS + meaning
    return model.log_odds(_masked(measured, without), meaning)


def evaluate(
    lessons: Lessons, *, model: Model | None = None, quick: bool = False, say: Said = _silent
) -> dict[str, Any]:
    """Return the whole account, as JSON can hold it. Without a model, rows are judged out of fold."""
    say("judging" + (" by the model" if model else " by models that know nothing of the rows"))
    judged = judged_by(lessons, model) if model else judged_out_of_fold(lessons, UNKNOWN_ALL)
    scored = judged.scored
    border = threshold_at(scored, AT)
    account: dict[str, Any] = {
        "data": _data(judged.rows),
        "how": "one model, as it is"
        if model
        else f"{FOLDS} models, each knowing no host, owner, sender or "
        "message template of the rows that it is tested on",
        "headline": _figures(scored),
        "spacers": _spacers(judged, border),
        "wrongly_accused_by_the_simple_rule": _accused(judged, border),
        "baselines": _baselines(judged.rows),
        "curves": asdict(curves_of(scored)),
        "calibration": _calibration(judged),
    }
    say("attacking")
    account["attacked"] = _attacked(lessons, judged, border)
    if not model:
        account["splits"] = _splits(lessons, scored, say, quick=quick)
        account["evidence"] = _evidence(lessons, scored, say, quick=quick)
    account["unsure"] = _unsure(lessons, judged)
    account["errors"] = _errors(judged, border)
    return account


def _data(rows: Sequence[Row]) -> dict[str, Any]:
    trackers = [row for row in rows if row.is_tracker]
    return {
        "rows": len(rows),
        "trackers": len(trackers),
        "content": len(rows) - len(trackers),
        "gold_trackers": sum(map(is_gold, trackers)),
        "trackers_that_the_simple_rule_misses": sum(map(rule_errs, trackers)),
        "families": len({row.family for row in trackers}),
        "hosts": len({row.domain for row in rows}),
        "senders": len({row.sender for row in rows}),
    }


def _figures(scored: Scored) -> dict[str, Any]:
    """Return true-positive rates at each rate of false positives, for each set of trackers."""
    sets: Mapping[str, Callable[[Row], bool]] = {
        "headline (gold, or missed by the simple rule)": headline,
        "gold": is_gold,
        "missed by the simple rule": lambda row: row.is_tracker and rule_errs(row),
        "all trackers": lambda row: row.is_tracker,
    }
    found: dict[str, Any] = {}
    for name, belongs in sets.items():
        chosen = np.array([belongs(row) for row in scored.rows], dtype=np.bool_)
        rows = [row for row, kept in zip(scored.rows, chosen, strict=True) if kept]
        found[name] = {
            f"{rate:.1%}": asdict(rate_of(rows, scored.scores[chosen] > threshold_at(scored, rate)))
            for rate in FALSE_POSITIVES
        }
    return found


def _spacers(judged: Judged, border: float) -> dict[str, Any]:
    chosen = np.array([row.source == "spacer" for row in judged.rows], dtype=np.bool_)
    scores = judged.log_odds[chosen]
    count = max(len(scores), 1)
    return {
        "rows": len(scores),
        "called_trackers_at_even_odds": float((scores >= 0).sum()) / count,
        "called_trackers_at_0.5%": float((scores > border).sum()) / count,
    }


def _accused(judged: Judged, border: float) -> dict[str, Any]:
    chosen = np.array([not row.is_tracker and simple_rule(row) for row in judged.rows], dtype=np.bool_)
    scores = judged.log_odds[chosen]
    return {
        "rows": len(scores),
        "still_accused_at_0.5%": float((scores > border).mean()) if len(scores) else 0.0,
    }


def _is_pixel(row: Row) -> bool:
    sight = appearance_of(row.attributes)
    return sight.width is not None and sight.height is not None and sight.width <= 1 and sight.height <= 1


def _baselines(rows: Sequence[Row]) -> dict[str, Any]:
    lists = sorted({name for row in rows for name in row.lists})
    rules: dict[str, Callable[[Row], bool]] = {
        "one pixel": _is_pixel,
        "invisible and with a token": simple_rule,
        "all lists": lambda row: bool(row.lists),
        "all lists, or invisible and with a token": lambda row: bool(row.lists) or simple_rule(row),
        **{f"list {name}": (lambda row, name=name: name in row.lists) for name in lists},  # type: ignore[misc]
    }
    contents = [row for row in rows if row.label == CONTENT]
    trackers = [row for row in rows if row.is_tracker]
    wanted = [row for row in trackers if headline(row)]
    return {
        name: {
            "false_positives": sum(map(rule, contents)) / max(len(contents), 1),
            "all_trackers": sum(map(rule, trackers)) / max(len(trackers), 1),
            "headline": asdict(
                rate_of(wanted, np.array([rule(row) for row in wanted], dtype=np.bool_), rounds=200)
            ),
        }
        for name, rule in rules.items()
    }


def _calibration(judged: Judged) -> dict[str, Any]:
    probabilities = np.array([probability_of(each) for each in judged.log_odds])
    labels = judged.scored.labels
    found = {}
    for name, weights in (("by row", np.ones(len(labels))), ("by family", weights_of(judged.rows))):
        bins, error = reliability_of(probabilities, labels, weights)
        found[name] = {"expected_calibration_error": error, "bins": [asdict(each) for each in bins]}
    return found


def _attacked(lessons: Lessons, judged: Judged, border: float) -> dict[str, Any]:
    """Return what becomes of the true and false positives under each variation, at the border of honest rows."""
    model_of_row = {id(row): number for row, number in zip(judged.rows, judged.of, strict=True)}
    trackers = [row for row in judged.rows if row.is_tracker]
    contents = [row for row in judged.rows if row.label == CONTENT]
    step = max(1, len(contents) // _LOOK_ALIKE_ROWS)
    spacers = [row for row in contents if row.source == "spacer"]
    found: dict[str, Any] = {"trackers": {}, "content": {}}
    rows_of_all: list[Row] = []
    hits_of_all: list[bool] = []
    for name, change in ATTACKS.items():
        pairs = vary(trackers, name, change, EVALUATION, seed=lessons.seed + 1_000)
        if not pairs:
            continue
        hits = _accused_rows(lessons, judged.models, model_of_row, pairs, border)
        originals = [original for original, _made in pairs]
        chosen = [place for place, row in enumerate(originals) if headline(row)]
        rows_of_all += originals
        hits_of_all += hits.tolist()
        found["trackers"][name] = {
            "all": asdict(rate_of(originals, hits, rounds=200)),
            "headline": asdict(rate_of([originals[each] for each in chosen], hits[chosen], rounds=200)),
        }
    together = np.array(hits_of_all, dtype=np.bool_)
    chosen = [place for place, row in enumerate(rows_of_all) if headline(row)]
    found["trackers"]["all of these together"] = {
        "all": asdict(rate_of(rows_of_all, together, rounds=200)),
        "headline": asdict(rate_of([rows_of_all[each] for each in chosen], together[chosen])),
    }
    for name, change in LOOK_ALIKES.items():
        pairs = vary(
            spacers if name == "spacer" else contents[::step],
            name,
            change,
            EVALUATION,
            seed=lessons.seed + 1_000,
        )
        if pairs:
            hits = _accused_rows(lessons, judged.models, model_of_row, pairs, border)
            even = _accused_rows(lessons, judged.models, model_of_row, pairs, 0.0)
            found["content"][name] = {
                "rows": len(pairs),
                "false_positives": float(hits.mean()),
                "false_positives_at_even_odds": float(even.mean()),
            }
    return found


def _accused_rows(
    lessons: Lessons,
    models: Sequence[Model],
    model_of_row: Mapping[int, int],
    pairs: Sequence[tuple[Row, Row]],
    border: float,
) -> Bools:
    measured = measure_varied(lessons.rows, pairs)
    return np.array(
        [
            log_odds_of(each, models[model_of_row[id(original)]]) > border
            for each, (original, _made) in zip(measured, pairs, strict=True)
        ],
        dtype=np.bool_,
    )


def _one_figure(scored: Scored) -> dict[str, Any]:
    chosen = np.array([headline(row) for row in scored.rows], dtype=np.bool_)
    rows = [row for row, kept in zip(scored.rows, chosen, strict=True) if kept]
    every = scored.labels
    border = threshold_at(scored, AT)
    return {
        "headline": asdict(rate_of(rows, scored.scores[chosen] > border)),
        "all_trackers": float((scored.scores[every] > border).mean()) if every.any() else 0.0,
    }


def _splits(lessons: Lessons, scored: Scored, say: Said, *, quick: bool) -> dict[str, Any]:
    found = {"unknown host, owner, sender and template": _one_figure(scored)}
    if quick:
        return found
    for name, keys in (
        ("unknown host and owner", UNKNOWN_HOST),
        ("unknown sender and template", UNKNOWN_SENDER),
    ):
        say(f"split: {name}")
        found[name] = _one_figure(judged_out_of_fold(lessons, keys).scored)
    say("split: later in time")
    examples = lessons.examples
    learned, tested = later(examples.rows)
    labels = examples.labels
    if learned and tested and 0 < labels[learned].sum() < len(learned) and labels[tested].any():
        model = lessons.model_for(learned, tested, UNKNOWN_ALL[-1:])
        rows = tuple(examples.rows[place] for place in tested)
        scores = np.array([log_odds_of(examples.measured[place], model) for place in tested])
        found["later in time"] = _one_figure(Scored(rows, scores))
    return found


def _evidence(lessons: Lessons, scored: Scored, say: Said, *, quick: bool) -> dict[str, Any]:
    """Return what becomes of the headline without each class of evidence."""
    found = {"with all": _one_figure(scored)}
    if quick:
        return found
    for each in (*_MODEL_EVIDENCE, EvidenceClass.RECIPIENT, EvidenceClass.OPERATOR):
        say(f"without evidence of class {each}")
        found[f"without {each}"] = _one_figure(
            judged_out_of_fold(lessons, UNKNOWN_ALL, frozenset({each})).scored
        )
    return found


def _unsure(lessons: Lessons, judged: Judged) -> dict[str, Any]:
    """Return how rows are judged that nobody could label, by what made them doubtful: no figure counts them."""
    model_of_message = {row.message: number for row, number in zip(judged.rows, judged.of, strict=True)}
    found: dict[str, list[bool]] = {}
    for row, measured in zip(lessons.rows, lessons.measured, strict=True):
        if not row.is_scored:
            model = judged.models[model_of_message.get(row.message, 0)]
            found.setdefault(row.source, []).append(log_odds_of(measured, model) >= 0)
    return {
        source: {"rows": len(said), "called_trackers_at_even_odds": sum(said) / len(said)}
        for source, said in sorted(found.items())
    }


def _errors(judged: Judged, border: float) -> dict[str, Any]:
    """Return every error at the border, by host and template: no token stands in it."""
    found: dict[str, dict[tuple[str, str, str], list[float]]] = {"missed": {}, "accused": {}}
    for row, score in zip(judged.rows, judged.log_odds, strict=True):
        wrong = "missed" if row.is_tracker and score <= border else ""
        wrong = "accused" if not row.is_tracker and score > border else wrong
        if wrong:
            key = (_shape_of(row), row.source, str(row.vector))
            found[wrong].setdefault(key, []).append(float(score))
    return {
        wrong: [
            {"template": template[:160], "label_source": source, "vector": vector, "rows": len(scores),
             "log_odds": round(max(scores), 2)}
            for (template, source, vector), scores in sorted(each.items(), key=lambda item: -max(item[1]))
        ][:_MAX_ERRORS]
        for wrong, each in found.items()
    }  # fmt: skip


def _shape_of(row: Row) -> str:
    """Return a URL without anything that could be made for one reader."""
    template = template_of(take_apart(row.url))
    steps = template[len(take_apart(row.url).host) :].split("/")
    return row.domain + "/".join("*" if "@" in step else step for step in steps)


def is_trained_on(model: Model, digest: str) -> bool:
    """Tell whether a model learned from the data set with this digest."""
    return model.provenance.get("data_sha256") == digest
