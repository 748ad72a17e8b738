"""Learning: from labelled rows to a model with its calibration and its provenance, one way for one seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from mailveil import __version__
from mailveil.core.verdicts.signals import EvidenceClass
from mailveil.core.verdicts.trees import Model
from mailveil.learning.folds import UNKNOWN_ALL, Key, names_of, splits
from mailveil.learning.rows import Row, measure_rows
from mailveil.learning.training import (
    CONSTRUCTED_MESSAGES,
    FOLDS,
    LEAVES,
    TREES,
    Examples,
    calibrate,
    constructed_examples,
    digest_of,
    examples_of,
    grow,
    join,
    model_of,
    sums_of,
    varied_examples,
    weights_of,
)

SEED: Final = 1
Said = Callable[[str], None]


def _silent(text: str) -> None:
    del text


class Lessons:
    """Everything that there is to learn from: the rows, what was varied of them, and what was constructed."""

    def __init__(self, rows: Sequence[Row], *, seed: int = SEED) -> None:
        self.rows = tuple(rows)
        self.seed = seed
        self.measured = tuple(measure_rows(self.rows))
        self.examples = examples_of(self.rows, self.measured)
        self.varied = varied_examples(self.rows, seed=seed)
        self.constructed = constructed_examples(seed=seed)

    def knowing_nothing_of(self, tested: Sequence[Row], keys: Sequence[Key]) -> Examples:
        """Return what was varied and constructed, without what shares a name with any tested row."""
        known = frozenset().union(*(names_of(row, keys) for row in tested))
        parts = []
        for part in (self.varied, self.constructed):
            kept = [place for place, row in enumerate(part.rows) if known.isdisjoint(names_of(row, keys))]
            parts.append(part.of(np.array(kept, dtype=np.intp)))
        return join(*parts)

    def model_for(
        self,
        learned: Sequence[int],
        tested: Sequence[int],
        keys: Sequence[Key],
        without: frozenset[EvidenceClass] = frozenset(),
    ) -> Model:
        """Return a model that learned from some rows and knows nothing of the tested ones; not calibrated."""
        rows = [self.examples.rows[place] for place in tested]
        lesson = join(self.examples.of(np.array(learned, dtype=np.intp)), self.knowing_nothing_of(rows, keys))
        return model_of(grow(lesson, seed=self.seed, without=without), (), {})[0]

    def sums_out_of_fold(
        self, keys: Sequence[Key], without: frozenset[EvidenceClass] = frozenset(), folds: int = FOLDS
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return a sum for each example, from a model that knows nothing of it."""
        sums = np.zeros(len(self.examples.rows))
        for learned, tested in splits(self.examples.rows, keys, folds=folds, seed=self.seed):
            model = self.model_for(learned, tested, keys, without)
            sums[tested] = sums_of(model, self.examples.of(np.array(tested, dtype=np.intp)))
        return sums


def train(rows: Sequence[Row], *, seed: int = SEED, date: str = "", say: Said = _silent) -> tuple[Model, str]:
    """Return a model trained on all rows, and its text. ``date`` is written into its provenance as it is."""
    say(f"measuring {len(rows):,} rows, their variations and the constructed messages")
    lessons = Lessons(rows, seed=seed)
    say("calibrating on rows that no tree has seen")
    sums = lessons.sums_out_of_fold(UNKNOWN_ALL)
    knots = calibrate(sums, lessons.examples.labels, weights_of(lessons.examples.rows))
    say("growing the trees")
    trees = grow(join(lessons.examples, lessons.varied, lessons.constructed), seed=seed)
    return model_of(trees, knots, provenance_of(lessons, seed=seed, date=date))


def provenance_of(lessons: Lessons, *, seed: int, date: str) -> dict[str, Any]:
    """Return what a model says of where it comes from."""
    labels = Counter(row.label for row in lessons.rows)
    return {
        "program": f"mailveil {__version__}",
        "date": date,
        "data_sha256": digest_of(lessons.rows),
        "rows": len(lessons.rows),
        "labels": dict(sorted(labels.items())),
        "learned_from": {
            "rows": len(lessons.examples.rows),
            "varied": len(lessons.varied.rows),
            "constructed": len(lessons.constructed.rows),
            "constructed_messages": CONSTRUCTED_MESSAGES,
        },
        "seed": seed,
        "trees": TREES,
        "leaves": LEAVES,
    }
