"""Models: the shipped one, what a hostile file can do (nothing), evaluation and explanation.

Setup: small models as JSON. Test: a whole one is read and gives what its trees say; every broken one is refused.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.types import Source
from mailveil.core.references.types import Reference, Vector
from mailveil.core.verdicts.explaining import TOLD_BY, explain, weights_of
from mailveil.core.verdicts.features import FEATURES, NUMBER_OF, Surroundings, measure
from mailveil.core.verdicts.judging import shipped_model
from mailveil.core.verdicts.signals import Signal
from mailveil.core.verdicts.trees import MAX_TREES, Model, ModelError, model_record, parse_model
from mailveil.core.verdicts.types import Measured, MessageContext

WIDTH = NUMBER_OF["width"]
TOKENS = NUMBER_OF["tokens"]
ZEROS = (0.0,) * len(FEATURES)


def record() -> dict[str, Any]:
    return {
        "format": "mailveil-model",
        "version": 1,
        "provenance": {},
        "features": list(FEATURES),
        "monotone": [feature.monotone for feature in FEATURES.values()],
        "calibration": [[-2.0, -4.0], [0.0, 0.0], [1.0, 3.0]],
        "trees": [
            {
                "feature": [WIDTH, TOKENS, -1, -1, -1],
                "threshold": [3.0, 0.5, 0, 0, 0],
                "left": [1, 2, -1, -1, -1],
                "right": [4, 3, -1, -1, -1],
                "value": [0.1, 1.0, -0.5, 2.0, -1.5],
            }
        ],
    }


def numbers(**known: float) -> tuple[float, ...]:
    found = list(ZEROS)
    for name, value in known.items():
        found[NUMBER_OF[name]] = value
    return tuple(found)


def model() -> Model:
    return parse_model(json.dumps(record()))


def test_a_model_gives_what_its_trees_say() -> None:
    small = model()
    assert small.sum_of(numbers(width=1)) == -0.5
    assert small.sum_of(numbers(width=3, tokens=1)) == 2.0
    assert small.sum_of(numbers(width=4, tokens=1)) == -1.5


def test_calibration_rises_and_goes_on_beyond_its_ends() -> None:
    small = model()
    assert [small.calibrated(each) for each in (-3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0)] == [
        -6.0, -4.0, -2.0, 0.0, 1.5, 3.0, 6.0,
    ]  # fmt: skip


def test_contributions_and_start_make_up_the_sum() -> None:
    start, found = model().contributions(numbers(width=1, tokens=2))
    assert start == pytest.approx(0.1)
    assert found == {WIDTH: pytest.approx(0.9), TOKENS: pytest.approx(1.0)}


@given(st.lists(st.floats(-10, 2_000, allow_nan=False), min_size=len(FEATURES), max_size=len(FEATURES)))
def test_of_the_shipped_model_too(row: list[float]) -> None:
    shipped = shipped_model()
    start, found = shipped.contributions(row)
    assert start + sum(found.values()) == pytest.approx(shipped.sum_of(row), abs=1e-6)


def test_more_of_a_monotone_feature_never_speaks_the_other_way() -> None:
    shipped, chance = shipped_model(), random.Random(7)
    for _ in range(300):
        row = [chance.choice((0.0, 1.0, 5.0, 40.0, 300.0)) for _ in FEATURES]
        for place, feature in enumerate(FEATURES.values()):
            if feature.monotone:
                more = [*row[:place], row[place] + chance.choice((1.0, 30.0)), *row[place + 1 :]]
                assert (shipped.sum_of(more) - shipped.sum_of(row)) * feature.monotone > -1e-3


def test_what_is_written_is_read_again() -> None:
    shipped = shipped_model()
    text = model_record(shipped.trees, shipped.knots, shipped.provenance)
    again = parse_model(text)
    assert (again.trees, again.knots, again.provenance) == (shipped.trees, shipped.knots, shipped.provenance)
    assert text == model_record(again.trees, again.knots, again.provenance)


def test_the_shipped_model_says_where_it_comes_from() -> None:
    provenance = shipped_model().provenance
    assert len(provenance["data_sha256"]) == 64
    assert provenance["rows"] > 10_000
    assert set(provenance["learned_from"]) >= {"rows", "varied", "constructed"}


def _changed(**changes: Any) -> dict[str, Any]:
    return {**record(), **changes}


def _tree(**changes: Any) -> dict[str, Any]:
    made = record()
    made["trees"][0].update(changes)
    return made


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ([], "format"),
        (_changed(format="pickle"), "format"),
        (_changed(version=2), "version"),
        (_changed(features=["tokens"]), "other features"),
        (_changed(trees=[]), "trees"),
        (_changed(trees=record()["trees"] * (MAX_TREES + 1)), "trees"),
        (_changed(trees=[7]), "value"),
        (_changed(provenance=7), "provenance"),
        (_changed(calibration=[[0, 0], [0, 1]]), "rise"),
        (_changed(calibration=[[0, 1], [1, 1]]), "rise"),
        (_changed(calibration=[[0]]), "calibration"),
        (_changed(calibration=7), "calibration"),
        (_tree(value=[0.1]), "number for each node"),
        (_tree(value=[]), "nodes"),
        (_tree(value=[0.1, 1.0, "x", 2.0, -1.5]), "no number"),
        (_tree(value=[0.1, 1.0, True, 2.0, -1.5]), "no number"),
        (_tree(value=[0.1, 1.0, 1e9, 2.0, -1.5]), "no number"),
        (_tree(feature=[WIDTH, 999, -1, -1, -1]), "not"),
        (_tree(feature=[WIDTH, -2, -1, -1, -1]), "not"),
        (_tree(feature=[WIDTH, 0.5, -1, -1, -1]), "whole"),
        (_tree(left=[0, 2, -1, -1, -1]), "child"),
        (_tree(left=[1, 1, -1, -1, -1]), "child"),
        (_tree(left=[1, 9, -1, -1, -1]), "child"),
        (_tree(left=[1, 4, -1, -1, -1]), "child"),
        (_tree(feature=[-1, -1, -1, -1, -1]), "belongs to no node"),
    ],
)
def test_a_broken_model_is_refused_with_the_reason(broken: Any, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        parse_model(json.dumps(broken))


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, json.dumps(record()).replace("-1.5", "NaN"), "x" * 5_000_000]
)
def test_what_is_no_json_or_too_much_of_it_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        parse_model(text)


def test_a_tree_may_not_be_deep_without_end() -> None:
    length = 61
    inner = length // 2
    chain = {
        "feature": [0] * inner + [-1] * (inner + 1),
        "threshold": [0.0] * length,
        "left": [*range(1, inner), inner, *([-1] * (inner + 1))],
        "right": [*range(inner + 1, length), *([-1] * (inner + 1))],
        "value": [0.0] * length,
    }
    with pytest.raises(ModelError, match="deeper"):
        parse_model(json.dumps(_changed(trees=[chain])))


def test_every_feature_can_be_told() -> None:
    assert set(TOLD_BY) == set(FEATURES)


def test_reasons_are_those_that_weighed_most_in_words() -> None:
    token = "aB3dE5gH7jK9mN1pQ2" * 2
    url = f"https://mail.x.example/wf/{token}?e=reader@example.org"
    one = Reference(
        url,
        Vector.IMG_SRC,
        "1",
        Source(b""),
        0,
        0,
        "",
        element="img",
        attributes={"width": "1", "height": "1"},
    )
    found = measure(one, Surroundings([one], MessageContext(recipients=("reader@example.org",))))
    reasons = explain(found, shipped_model())
    assert reasons[0].signal is Signal.RECIPIENT_IN_URL
    assert reasons[0].words == "the address holds a recipient's mail address"
    assert [abs(each.weight) for each in reasons] == sorted(
        (abs(each.weight) for each in reasons), reverse=True
    )
    assert all(each.signal in found.signals for each in reasons)
    total = sum(weights_of(found, shipped_model()).values()) + shipped_model().contributions(found.numbers)[0]
    assert total == pytest.approx(shipped_model().sum_of(found.numbers) + found.meaning, abs=1e-6)


def test_reasons_name_the_length_of_a_token() -> None:
    found = Measured(
        (Signal.LONG_TOKEN_IN_URL, Signal.PIXEL_1X1, Signal.PICTURE),
        numbers(width=1, tokens=1, token_longest=43),
    )
    words = {each.words for each in explain(found, model())}
    assert words == {"the picture is one pixel", "the address holds a random token of 43 characters"}
