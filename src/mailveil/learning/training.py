"""Training: gradient-boosted trees from labelled rows, the same bytes for the same rows and seed.

The one place that needs LightGBM (the extra ``train``). What an operator's address weighs is kept out of training:
a vendor that is known today has new host names tomorrow, and its shapes are what the trees are to learn.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mailveil.core.verdicts.features import FEATURES
from mailveil.core.verdicts.meaning import WEIGHTS
from mailveil.core.verdicts.signals import EvidenceClass
from mailveil.core.verdicts.trees import Model, Tree, model_record, parse_model
from mailveil.core.verdicts.types import Measured
from mailveil.learning.constructed import constructed_rows
from mailveil.learning.rows import Row, measure_rows, measure_varied
from mailveil.learning.variations import ATTACKS, LOOK_ALIKES, TRAINING, vary

if TYPE_CHECKING:
    from numpy.typing import NDArray

TREES: Final = 90
LEAVES: Final = 10
CONSTRUCTED_MESSAGES: Final = 400
FOLDS: Final = 5
_OF_VARIED: Final = 0.12  # what a varied row weighs, as a share of the row that it was made of
_OF_CONSTRUCTED: Final = 0.35  # what all constructed rows weigh, as a share of all others
_KNOTS: Final = 14
_DIGITS: Final = 5
INSTALL: Final = "LightGBM is missing, which training needs: pip install 'mailveil[train]'"


class TrainingError(Exception):
    """Training is not possible; the text says what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Rows as training takes them: numbers, what their meaning weighs, labels and weights, all in one order."""

    rows: tuple[Row, ...]
    measured: tuple[Measured, ...]
    numbers: NDArray[np.float64]
    meaning: NDArray[np.float64]
    labels: NDArray[np.bool_]

    def of(self, chosen: NDArray[np.intp]) -> Examples:
        """Return some of them."""
        return Examples(
            tuple(self.rows[each] for each in chosen),
            tuple(self.measured[each] for each in chosen),
            self.numbers[chosen],
            self.meaning[chosen],
            self.labels[chosen],
        )


def examples_of(rows: Sequence[Row], measured: Sequence[Measured]) -> Examples:
    """Return rows with what was measured of them; those that no model is asked about are left out."""
    kept = [
        (row, each) for row, each in zip(rows, measured, strict=True) if row.is_scored and not each.decided
    ]
    return Examples(
        tuple(row for row, _each in kept),
        tuple(each for _row, each in kept),
        np.array([each.numbers for _row, each in kept], dtype=np.float64).reshape(len(kept), len(FEATURES)),
        np.array([_taught_meaning(each) for _row, each in kept], dtype=np.float64),
        np.array([row.is_tracker for row, _each in kept], dtype=np.bool_),
    )


def _taught_meaning(measured: Measured) -> float:
    return sum(WEIGHTS.get(signal, 0.0) for signal in measured.signals)


def join(*parts: Examples) -> Examples:
    """Return several sets of examples as one."""
    return Examples(
        tuple(row for part in parts for row in part.rows),
        tuple(each for part in parts for each in part.measured),
        np.vstack([part.numbers for part in parts]),
        np.concatenate([part.meaning for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def varied_examples(rows: Sequence[Row], *, seed: int) -> Examples:
    """Return what attackers would make of the trackers among rows, and what looks like them among the content."""
    parts = []
    trackers = [row for row in rows if row.is_tracker]
    contents = [row for row in rows if row.label == "content"]
    for changes, of in ((ATTACKS, trackers), (LOOK_ALIKES, contents)):
        for name, change in changes.items():
            pairs = vary(of, name, change, TRAINING, seed=seed)
            if pairs:
                parts.append(examples_of([made for _row, made in pairs], measure_varied(rows, pairs)))
    return join(*parts) if parts else examples_of([], [])


def constructed_examples(*, seed: int) -> Examples:
    """Return the constructed messages as examples."""
    rows = constructed_rows(CONSTRUCTED_MESSAGES, seed=seed)
    return examples_of(rows, measure_rows(rows))


def weights_of(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return what rows count: less for those of large families and for URLs that come again and again."""
    families = Counter((row.family, row.is_tracker) for row in rows)
    urls = Counter(row.url for row in rows)
    return np.array(
        [row.weight / math.sqrt(families[row.family, row.is_tracker] * urls[row.url]) for row in rows],
        dtype=np.float64,
    )


def training_weights(examples: Examples) -> NDArray[np.float64]:
    """Return the weights of examples: real rows, less of what was made of them, both classes brought nearer."""
    rows = examples.rows
    made = np.array([row.source == "made" for row in rows])
    varied = np.array([bool(row.variant) for row in rows])
    weights = np.zeros(len(rows))
    for chosen in (~made & ~varied, made & ~varied):
        places = np.flatnonzero(chosen)
        weights[places] = weights_of([rows[each] for each in places])
        _balance(weights, places, examples.labels)
    for name in sorted({row.variant for row in rows if row.variant}):
        places = np.flatnonzero(np.array([row.variant == name for row in rows]))
        weights[places] = weights_of([rows[each] for each in places])
    real, of_made = float(weights[~made & ~varied].sum()), float(weights[made].sum())
    if of_made:
        weights[made] *= _OF_CONSTRUCTED * real / of_made
    for name in sorted({row.variant for row in rows if row.variant}):
        chosen = np.array([row.variant == name for row in rows])
        weights[chosen] *= _OF_VARIED * real / 2 / max(float(weights[chosen].sum()), 1e-9)
    mean = float(weights.mean()) or 1.0
    result: NDArray[np.float64] = weights / mean
    return result


def _balance(weights: NDArray[np.float64], places: NDArray[np.intp], labels: NDArray[np.bool_]) -> None:
    trackers, contents = places[labels[places]], places[~labels[places]]
    if len(trackers) and len(contents):
        weights[trackers] *= 0.6 * float(weights[contents].sum()) / float(weights[trackers].sum())


def grow(
    examples: Examples, *, seed: int, without: frozenset[EvidenceClass] = frozenset()
) -> tuple[Tree, ...]:
    """Return the trees that LightGBM grows from examples; ``without`` leaves classes of evidence out."""
    try:
        import lightgbm
    except ImportError as error:
        raise TrainingError(INSTALL) from error
    if not examples.labels.any() or examples.labels.all():
        raise TrainingError("the data hold trackers only or content only: there is nothing to tell apart")
    left_out = np.array([feature.evidence in without for feature in FEATURES.values()])
    numbers = np.where(left_out, 0.0, examples.numbers)
    data = lightgbm.Dataset(
        numbers,
        label=examples.labels.astype(np.float64),
        weight=training_weights(examples),
        init_score=examples.meaning,
        params={"min_data_in_bin": 3, "max_bin": 127, "feature_pre_filter": False, "verbose": -1},
        free_raw_data=True,
    )
    booster = lightgbm.train(_parameters(seed), data, num_boost_round=TREES)
    return tuple(tree_of(each["tree_structure"]) for each in booster.dump_model()["tree_info"])


def _parameters(seed: int) -> dict[str, Any]:
    return {
        "objective": "binary",
        "boost_from_average": False,
        "num_leaves": LEAVES,
        "max_depth": 8,
        "learning_rate": 0.09,
        "min_data_in_leaf": 15,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "feature_fraction": 0.5,
        "lambda_l2": 5.0,
        "monotone_constraints": [feature.monotone for feature in FEATURES.values()],
        "monotone_constraints_method": "intermediate",
        "use_missing": False,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
        "verbose": -1,
    }


def tree_of(structure: dict[str, Any]) -> Tree:
    """Return a tree of LightGBM's dump as ours: children behind their parents, means at inner nodes."""
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []

    def add(node: dict[str, Any]) -> tuple[int, float]:
        place = len(feature)
        for each in (feature, left, right):
            each.append(-1)
        threshold.append(0.0)
        value.append(0.0)
        if "split_feature" not in node:
            value[place] = round(float(node["leaf_value"]), _DIGITS)
            return place, float(node.get("leaf_count", 1) or 1)
        feature[place] = int(node["split_feature"])
        threshold[place] = float(f"{float(node['threshold']):.9g}")
        left[place], lefts = add(node["left_child"])
        right[place], rights = add(node["right_child"])
        mean = (value[left[place]] * lefts + value[right[place]] * rights) / (lefts + rights)
        value[place] = round(mean, _DIGITS)
        return place, lefts + rights

    add(structure)
    return Tree(tuple(feature), tuple(threshold), tuple(left), tuple(right), tuple(value))


def calibrate(
    sums: NDArray[np.float64], labels: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[tuple[float, float], ...]:
    """Return the table that turns sums into log-odds, from sums of rows that no tree had seen.

    Isotonic over groups of equal weight, made strictly rising so that no two sums change places.
    """
    order = np.argsort(sums, kind="stable")
    edges = np.searchsorted(np.cumsum(weights[order]) / weights.sum(), np.linspace(0, 1, 61)[1:-1])
    blocks: list[list[float]] = []  # weight, weight of trackers, weighted sum
    for places in np.split(order, edges):
        if not len(places):
            continue
        weight = float(weights[places].sum())
        positive = float(weights[places][labels[places]].sum())
        blocks.append([weight, positive, float((weights[places] * sums[places]).sum())])
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][0] >= blocks[-1][1] / blocks[-1][0]:
            last = blocks.pop()
            blocks[-1] = [mine + its for mine, its in zip(blocks[-1], last, strict=True)]
    total = float(weights.sum())
    knots: list[tuple[float, float]] = []
    for weight, positive, weighted in blocks:
        share = (positive + total * 2e-4) / (weight + total * 4e-4)
        knot = (round(weighted / weight, 4), round(math.log(share / (1 - share)), 4))
        if not knots or (knot[0] >= knots[-1][0] + 0.25 and knot[1] >= knots[-1][1] + 0.05):
            knots.append(knot)
    return tuple(_thinned(knots))


def _thinned(knots: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(knots) <= _KNOTS:
        return knots
    places = sorted({round(each) for each in np.linspace(0, len(knots) - 1, _KNOTS)})
    return [knots[each] for each in places]


def sums_of(model: Model, examples: Examples) -> NDArray[np.float64]:
    """Return the raw sums of examples: trees, meaning, and what the catalogue of operators says."""
    return np.array(
        [model.sum_of(each.numbers) + each.meaning for each in examples.measured], dtype=np.float64
    )


def model_of(
    trees: Sequence[Tree], knots: Sequence[tuple[float, float]], provenance: dict[str, Any]
) -> tuple[Model, str]:
    """Return a model and its text."""
    text = model_record(trees, knots, provenance)
    return parse_model(text), text


def digest_of(rows: Sequence[Row]) -> str:
    """Return what tells one data set from another, whatever its file looks like."""
    digest = hashlib.sha256()
    for line in sorted(f"{row.message}\t{row.order}\t{row.url}\t{row.label}" for row in rows):
        digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
