"""Trees: a trained model as data. Read and checked from JSON, evaluated without any library, explained.

A model is a sum of small decision trees in natural logarithms of odds, and a table that calibrates the sum. The
format stands in docs/model.md. A file that is not such a model is refused with the reason; nothing in a file can
do more than give wrong numbers.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mailveil.core.verdicts.features import FEATURES

FORMAT: Final = "mailveil-model"
VERSION: Final = 1
MAX_CHARACTERS: Final = 4_000_000
MAX_TREES: Final = 1_000
MAX_NODES: Final = 255
MAX_DEPTH: Final = 12
MAX_KNOTS: Final = 200
_MOST: Final = 1e6
_STEP: Final = 16  # trees summed up in one expression
_LEAF: Final = -1

Steps = tuple[tuple[int, float], ...]


class ModelError(Exception):
    """A file is not a model that can be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree. Node 0 is the root; a node of feature -1 is a leaf; children come after their parent.

    A row goes left where its number is at most the threshold. ``value`` of an inner node is the mean of what is
    below it, which is what makes the tree explain itself.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A checked model. ``provenance`` tells what it was trained on; ``knots`` calibrate (pairs of log-odds).

    ``start`` is what every row starts from: the sum of the trees' means.
    ``steps_of`` gives for each tree what every feature adds on the way from its root to a row's leaf.
    """

    trees: tuple[Tree, ...]
    knots: tuple[tuple[float, float], ...]
    provenance: Mapping[str, Any]
    sum_of: Callable[[Sequence[float]], float]
    start: float
    steps_of: Callable[[Sequence[float]], Sequence[Steps]]

    def log_odds(self, numbers: Sequence[float], meaning: float) -> float:
        """Return the calibrated log-odds of a tracker; ``meaning`` is what is known besides the numbers."""
        return self.calibrated(self.sum_of(numbers) + meaning)

    def calibrated(self, log_odds: float) -> float:
        """Return what a raw sum means, by the table; strictly increasing, and on along its ends."""
        knots = self.knots
        if len(knots) < 2:
            return log_odds
        at = min(max(bisect_right(knots, (log_odds, math.inf)), 1), len(knots) - 1)
        (x0, y0), (x1, y1) = knots[at - 1], knots[at]
        return y0 + (log_odds - x0) * (y1 - y0) / (x1 - x0)

    def contributions(self, numbers: Sequence[float]) -> tuple[float, dict[int, float]]:
        """Return what every row starts from, and what each feature added to it; together they are the sum."""
        found = [0.0] * len(FEATURES)
        for steps in self.steps_of(numbers):
            for asked, weight in steps:
                found[asked] += weight
        return self.start, {asked: weight for asked, weight in enumerate(found) if weight}


def parse_model(text: str) -> Model:
    """Return the model that a JSON text holds; raise ModelError where it holds none that can be used."""
    if len(text) > MAX_CHARACTERS:
        raise ModelError(f"the model is longer than {MAX_CHARACTERS:,} characters")
    try:
        record = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the model is no JSON: {str(error)[:120]}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ModelError(f'not a model: "format" has to be "{FORMAT}"')
    if record.get("version") != VERSION:
        raise ModelError(
            f"the model has a version that this program does not know; it reads version {VERSION}"
        )
    names = record.get("features")
    if names != list(FEATURES):
        raise ModelError("the model was trained on other features than this program measures: train it again")
    trees = record.get("trees")
    if not isinstance(trees, list) or not 1 <= len(trees) <= MAX_TREES:
        raise ModelError(f"the model has to have between 1 and {MAX_TREES:,} trees")
    checked = tuple(_tree(each, f"tree {number}") for number, each in enumerate(trees))
    provenance = record.get("provenance", {})
    if not isinstance(provenance, dict):
        raise ModelError("the provenance of the model is no object")
    knots = _knots(record.get("calibration"))
    start = sum(tree.value[0] for tree in checked)
    return Model(checked, knots, provenance, _compiled_sum(checked), start, _compiled_steps(checked))


def model_record(
    trees: Sequence[Tree], knots: Sequence[tuple[float, float]], provenance: Mapping[str, Any]
) -> str:
    """Return the JSON text of a model, the same for the same model."""
    record = {
        "format": FORMAT,
        "version": VERSION,
        "provenance": dict(provenance),
        "features": list(FEATURES),
        "monotone": [feature.monotone for feature in FEATURES.values()],
        "calibration": [list(knot) for knot in knots],
        "trees": [
            {
                "feature": list(tree.feature),
                "threshold": list(tree.threshold),
                "left": list(tree.left),
                "right": list(tree.right),
                "value": list(tree.value),
            }
            for tree in trees
        ],
    }
    text = json.dumps(record, indent=1, ensure_ascii=True)
    # One line for each list of numbers, so that a difference can be read.
    return _on_one_line(text) + "\n"


def _on_one_line(text: str) -> str:
    lines: list[str] = []
    within = False
    for line in text.split("\n"):
        bare = line.strip()
        if within:
            lines[-1] += bare
            within = not bare.startswith("]")
            continue
        lines.append(line)
        within = bare.endswith("[") and not bare.startswith(('"trees"', '"calibration"'))
    return "\n".join(lines)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no finite number")


def _numbers(record: Any, name: str, where: str, length: int | None = None) -> list[float]:
    found = record.get(name) if isinstance(record, dict) else None
    if not isinstance(found, list) or (length is not None and len(found) != length):
        raise ModelError(f'{where}: "{name}" has to be a list with one number for each node')
    for each in found:
        if isinstance(each, bool) or not isinstance(each, int | float) or not abs(each) <= _MOST:
            raise ModelError(f'{where}: "{name}" holds something that is no number up to {_MOST:,.0f}')
    return found


def _indices(record: Any, name: str, where: str, length: int) -> tuple[int, ...]:
    found = _numbers(record, name, where, length)
    if not all(isinstance(each, int) for each in found):
        raise ModelError(f'{where}: "{name}" holds something that is no whole number')
    return tuple(int(each) for each in found)


def _tree(record: Any, where: str) -> Tree:
    value = _numbers(record, "value", where)
    length = len(value)
    if not 1 <= length <= MAX_NODES:
        raise ModelError(f"{where}: a tree has to have between 1 and {MAX_NODES} nodes")
    threshold = _numbers(record, "threshold", where, length)
    feature, left, right = (_indices(record, name, where, length) for name in ("feature", "left", "right"))
    depth = {0: 0}
    for node in range(length):
        if node not in depth:
            raise ModelError(f"{where}: node {node} belongs to no node before it")
        if feature[node] == _LEAF:
            continue
        if not 0 <= feature[node] < len(FEATURES):
            raise ModelError(f"{where}: node {node} asks for a feature that there is not")
        if depth[node] == MAX_DEPTH:
            raise ModelError(f"{where}: deeper than {MAX_DEPTH} steps")
        for child in (left[node], right[node]):
            if not node < child < length or child in depth:
                raise ModelError(f"{where}: node {node} leads to a node that cannot be its child")
            depth[child] = depth[node] + 1
    return Tree(feature, tuple(map(float, threshold)), left, right, tuple(map(float, value)))


def _knots(record: Any) -> tuple[tuple[float, float], ...]:
    if not isinstance(record, list) or len(record) > MAX_KNOTS:
        raise ModelError(f"the calibration has to be a list of at most {MAX_KNOTS} pairs")
    found: list[tuple[float, float]] = []
    for each in record:
        first, second = _numbers({"knot": each}, "knot", "calibration", 2)
        if found and not (first > found[-1][0] and second > found[-1][1]):
            raise ModelError("the calibration has to rise from pair to pair")
        found.append((float(first), float(second)))
    return tuple(found)


def _compiled_sum(trees: Sequence[Tree]) -> Callable[[Sequence[float]], float]:
    """Return the trees as one function of conditional expressions: ten times as fast as walking them.

    What is compiled is made of numbers that were checked, and of nothing else of a file.
    """
    lines = [*_header(trees), " total = 0.0"]
    for at in range(0, len(trees), _STEP):
        expressions = (_expression(tree, 0, list(map(repr, tree.value))) for tree in trees[at : at + _STEP])
        lines.append(f" total += {' + '.join(expressions)}")
    made = _compiled([*lines, " return total"], {})
    found: Callable[[Sequence[float]], float] = made
    return found


def _compiled_steps(trees: Sequence[Tree]) -> Callable[[Sequence[float]], Sequence[Steps]]:
    """Return in the same way what gives the steps to the leaf of each tree."""
    steps: list[Steps] = []
    expressions = []
    for tree in trees:
        names = [f"steps[{len(steps) + node}]" for node in range(len(tree.value))]
        steps += _steps(tree)
        expressions.append(_expression(tree, 0, names))
    found: Callable[[Sequence[float]], Sequence[Steps]] = _compiled(
        [*_header(trees), f" return ({', '.join(expressions)},)"], {"steps": steps}
    )
    return found


def _header(trees: Sequence[Tree]) -> list[str]:
    used = sorted({each for tree in trees for each in tree.feature if each != _LEAF})
    return ["def made(numbers):", *(f" f{number} = numbers[{number}]" for number in used)]


def _compiled(lines: Sequence[str], known: dict[str, Any]) -> Any:
    names: dict[str, Any] = {"__builtins__": {}, **known}
    exec(compile("\n".join(lines), "<model>", "exec"), names)  # noqa: S102 - made of checked numbers alone
    return names["made"]


def _steps(tree: Tree) -> list[Steps]:
    added: list[dict[int, float]] = [{} for _ in tree.value]
    for node, asked in enumerate(tree.feature):
        if asked == _LEAF:
            continue
        for child in (tree.left[node], tree.right[node]):
            more = tree.value[child] - tree.value[node]
            added[child] = {**added[node], asked: added[node].get(asked, 0.0) + more}
    return [tuple(each.items()) for each in added]


def _expression(tree: Tree, node: int, leaves: Sequence[str]) -> str:
    if tree.feature[node] == _LEAF:
        return leaves[node]
    left, right = (_expression(tree, child, leaves) for child in (tree.left[node], tree.right[node]))
    return f"({left} if f{tree.feature[node]} <= {tree.threshold[node]!r} else {right})"
