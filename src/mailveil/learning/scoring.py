"""Scoring: how well scores tell trackers from content, with how far chance may have had a hand in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mailveil.learning.rows import GOLD, Row

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FALSE_POSITIVES: Final = (0.001, 0.005, 0.01)
#: The rate of false positives that the headline is given at.
AT: Final = 0.005
_ROUNDS: Final = 400
_POINTS: Final = 120


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Rows with a score each; higher speaks for a tracker. Only rows whose label counts."""

    rows: tuple[Row, ...]
    scores: Floats

    @property
    def labels(self) -> Bools:
        """Whether each row is a tracker."""
        return np.array([row.is_tracker for row in self.rows], dtype=np.bool_)

    def of(self, chosen: Bools) -> Scored:
        """Return some of them."""
        return Scored(
            tuple(row for row, kept in zip(self.rows, chosen, strict=True) if kept), self.scores[chosen]
        )


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of rows, as they are and macro-averaged by family, with the interval that holds 95 % of resamplings.

    Resampled are whole hosts: rows of one host are no independent observations.
    """

    rows: int
    families: int
    micro: float
    macro: float
    low: float
    high: float


def threshold_at(scored: Scored, false_positives: float) -> float:
    """Return the score above which at most so large a share of the content lies."""
    contents = np.sort(scored.scores[~scored.labels])
    if not len(contents):
        return -np.inf
    return float(contents[max(0, len(contents) - 1 - int(false_positives * len(contents)))])


def is_gold(row: Row) -> bool:
    """Tell whether a tracker's label rests on more than structure."""
    return row.is_tracker and row.source in GOLD


def simple_rule(row: Row) -> bool:
    """Tell what the rule "invisible and with a token" says."""
    return row.invisible and row.has_token


def rule_errs(row: Row) -> bool:
    """Tell whether that rule is wrong about a row."""
    return row.is_scored and simple_rule(row) is not row.is_tracker


def headline(row: Row) -> bool:
    """Tell whether a tracker belongs to the headline: a gold label, or one that the simple rule misses."""
    return row.is_tracker and (is_gold(row) or rule_errs(row))


def rate_of(rows: Sequence[Row], found: Bools, *, seed: int = 1, rounds: int = _ROUNDS) -> Rate:
    """Return how many of ``rows`` were found."""
    if not rows:
        return Rate(0, 0, 0.0, 0.0, 0.0, 0.0)
    families = defaultdict(list)
    hosts: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        families[row.family].append(place)
        hosts[row.domain].append(place)
    number = {family: index for index, family in enumerate(families)}
    of = np.array([number[row.family] for row in rows])
    clusters = [np.array(places) for places in hosts.values()]
    chance = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds):
        chosen = np.concatenate([clusters[each] for each in chance.integers(0, len(clusters), len(clusters))])
        drawn.append(_macro(of[chosen], found[chosen], len(families)))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Rate(
        len(rows),
        len(families),
        float(found.mean()),
        _macro(of, found, len(families)),
        float(low),
        float(high),
    )


def _macro(families: NDArray[np.intp], found: Bools, count: int) -> float:
    total = np.bincount(families, minlength=count)
    hit = np.bincount(families, weights=found.astype(np.float64), minlength=count)
    there = total > 0
    return float((hit[there] / total[there]).mean())


@dataclass(frozen=True, slots=True)
class Curves:
    """Points of the curves: (false positives, true positives) and (recall, precision), and the areas under them."""

    roc: tuple[tuple[float, float], ...]
    precision_recall: tuple[tuple[float, float], ...]
    roc_area: float
    average_precision: float


def curves_of(scored: Scored) -> Curves:
    """Return both curves; rows of the same score are taken together."""
    labels = scored.labels
    order = np.argsort(-scored.scores, kind="stable")
    values, hits = scored.scores[order], labels[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    trackers, total = np.cumsum(hits)[last], last + 1.0
    positives, negatives = max(float(labels.sum()), 1.0), max(float((~labels).sum()), 1.0)
    recall, fall_out = trackers / positives, (total - trackers) / negatives
    precision = trackers / total
    x, y = np.concatenate(([0.0], fall_out)), np.concatenate(([0.0], recall))
    area = float(((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum())
    average = float((np.diff(np.concatenate(([0.0], recall))) * precision).sum())
    return Curves(_thin(x, y), _thin(recall, precision), area, average)


def _thin(x: Floats, y: Floats) -> tuple[tuple[float, float], ...]:
    if len(x) > _POINTS:
        # Half of the points by number, half where the first hundredth of the x axis lies.
        near = np.flatnonzero(x <= 0.02)
        places = np.unique(
            np.concatenate(
                (
                    np.linspace(0, len(x) - 1, _POINTS // 2).astype(int),
                    near[np.linspace(0, len(near) - 1, _POINTS // 2).astype(int)] if len(near) else near,
                )
            )
        )
        x, y = x[places], y[places]
    return tuple((round(float(a), 5), round(float(b), 5)) for a, b in zip(x, y, strict=True))


@dataclass(frozen=True, slots=True)
class Reliability:
    """One bin of probabilities: how many rows, the mean probability, the share of trackers."""

    rows: int
    said: float
    true: float


def reliability_of(probabilities: Floats, labels: Bools, weights: Floats) -> tuple[list[Reliability], float]:
    """Return ten bins of probabilities, and the expected calibration error over them."""
    places = np.minimum((probabilities * 10).astype(int), 9)
    bins, error, total = [], 0.0, float(weights.sum()) or 1.0
    for number in range(10):
        chosen = places == number
        if not chosen.any():
            continue
        weight = float(weights[chosen].sum())
        said = float((probabilities[chosen] * weights[chosen]).sum() / weight)
        true = float((labels[chosen] * weights[chosen]).sum() / weight)
        bins.append(Reliability(int(chosen.sum()), said, true))
        error += weight / total * abs(said - true)
    return bins, error
