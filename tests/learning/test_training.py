"""Training: what is learned from, that nothing of the tested rows is in it, and that a seed gives the same bytes.

Setup: constructed messages take the place of a data set. Test: folds, variations, calibration, the model's text.
"""

from __future__ import annotations

import builtins
import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from mailveil.core.verdicts.addresses import registrable_domain, take_apart
from mailveil.core.verdicts.judging import probability_of
from mailveil.core.verdicts.trees import parse_model
from mailveil.learning.constructed import constructed_rows
from mailveil.learning.folds import UNKNOWN_ALL, UNKNOWN_HOST, UNKNOWN_SENDER, later, names_of, splits
from mailveil.learning.learning import Lessons, train
from mailveil.learning.rows import Row, measure_rows
from mailveil.learning.training import (
    INSTALL,
    TrainingError,
    calibrate,
    constructed_examples,
    examples_of,
    grow,
)
from mailveil.learning.variations import ATTACKS, EVALUATION, LOOK_ALIKES, TRAINING, vary


def made(messages: int = 60, seed: int = 5) -> list[Row]:
    """Return constructed rows as if they were somebody's data: with templates, owners and dates."""
    rows = constructed_rows(messages, seed=seed)
    return [
        dataclasses.replace(
            row,
            message=f"data/{row.message}",
            source="struct" if row.is_tracker else "reuse",
            template=f"t{hash_of(row.sender) % 17}",
            owner=f"o{hash_of(row.domain) % 29}",
            group=f"o{hash_of(row.domain) % 29}",
            date=f"20{20 + number % 5}-03-{1 + number % 27:02}",
        )
        for number, row in enumerate(rows)
    ]


def hash_of(text: str) -> int:
    return sum(map(ord, text))


@pytest.mark.parametrize("keys", [UNKNOWN_ALL, UNKNOWN_HOST, UNKNOWN_SENDER])
def test_nothing_of_the_tested_rows_is_learned_from(keys: Any) -> None:
    rows = made(200)
    tested_once: list[int] = []
    lessons = Lessons(rows)
    some_learned = 0
    for learned, tested in splits(rows, keys, folds=5, seed=1):
        tested_once += tested
        known = frozenset().union(*(names_of(rows[place], keys) for place in tested))
        lesson = [rows[place] for place in learned]
        lesson += lessons.knowing_nothing_of([rows[place] for place in tested], keys).rows
        some_learned += len(learned)
        for row in lesson:
            assert known.isdisjoint(names_of(row, keys))
        if keys is UNKNOWN_ALL:
            tested_rows = [rows[place] for place in tested]
            for field in ("domain", "owner", "sender", "template", "message"):
                values = {getattr(row, field) for row in tested_rows} - {""}
                assert values.isdisjoint({getattr(row, field) for row in lesson})
    assert sorted(tested_once) == list(range(len(rows)))
    assert some_learned


def test_later_rows_are_never_earlier() -> None:
    rows = made()
    before, after = later(rows)
    assert before
    assert after
    assert max(rows[place].date[:10] for place in before) < min(rows[place].date[:10] for place in after)
    assert later([dataclasses.replace(row, date="") for row in rows]) == ([], [])


def test_the_same_seed_gives_the_same_bytes() -> None:
    rows = made()
    first, second = (train(rows, seed=3, date="2026-01-01")[1] for _ in range(2))
    assert first == second
    other = train(rows, seed=4, date="2026-01-01")[1]
    assert other != first
    again = parse_model(first)
    assert again.provenance["date"] == "2026-01-01"
    assert again.provenance["rows"] == len(rows)


def test_what_was_learned_tells_trackers_from_content() -> None:
    model, _text = train(made(120), seed=1)
    fresh = constructed_rows(60, seed=99)
    examples = examples_of(fresh, measure_rows(fresh))
    said = [model.log_odds(each.numbers, each.meaning) > 0 for each in examples.measured]
    assert np.mean(np.array(said) == examples.labels) > 0.95


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "lightgbm":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TrainingError, match="pip install"):
        grow(constructed_examples(seed=1), seed=1)
    assert "mailveil[train]" in INSTALL


def test_one_kind_of_label_teaches_nothing() -> None:
    rows = [row for row in made() if row.is_tracker]
    with pytest.raises(TrainingError, match="nothing to tell apart"):
        grow(examples_of(rows, measure_rows(rows)), seed=1)


def test_both_vocabularies_share_no_word() -> None:
    for field in ("paths", "parameters", "labels", "files", "texts"):
        assert not set(getattr(TRAINING, field)) & set(getattr(EVALUATION, field))


def test_variations_keep_the_label_and_change_something() -> None:
    rows = made(150)
    trackers = [row for row in rows if row.is_tracker]
    contents = [
        dataclasses.replace(row, source="spacer") if "spacer" in row.family else row
        for row in rows
        if not row.is_tracker
    ]
    for changes, of in ((ATTACKS, trackers), (LOOK_ALIKES, contents)):
        for name, change in changes.items():
            pairs = vary(of, name, change, EVALUATION, seed=1)
            assert pairs, name
            assert pairs == vary(of, name, change, EVALUATION, seed=1)
            differing = [
                one for one, other in pairs if (one.url, one.attributes) != (other.url, other.attributes)
            ]
            assert len(differing) > len(pairs) / 3, name
            for one, other in pairs:
                assert (one.label, one.message, one.order, one.family) == (
                    other.label, other.message, other.order, other.family,
                )  # fmt: skip
                assert other.variant == name
                assert other.domain == registrable_domain(take_apart(other.url).host)


def test_calibration_makes_sums_mean_what_they_say() -> None:
    chance = np.random.default_rng(1)
    sums = chance.normal(0, 3, 20_000)
    labels = chance.random(20_000) < 1 / (1 + np.exp(-(sums / 2 - 1)))
    knots = calibrate(sums, labels, np.ones(len(sums)))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(knots))
    for low in (-4.0, 0.0, 3.0):
        near = np.abs(sums - low) < 0.3
        xs, ys = zip(*knots, strict=True)
        said = probability_of(float(np.interp(low, xs, ys)))
        assert said == pytest.approx(float(labels[near].mean()), abs=0.08)
