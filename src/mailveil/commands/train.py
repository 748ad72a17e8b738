"""``mailveil train``: a model from labelled references."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from mailveil.commands.terminal import complain
from mailveil.core.verdicts.trees import Model
from mailveil.learning.learning import train as learn
from mailveil.learning.rows import DataError, read_rows
from mailveil.learning.training import TrainingError


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What the command line asked for. ``date`` goes into the model as it is."""

    data: str
    output: str
    seed: int
    date: str = ""


def train(request: TrainRequest) -> int:
    """Train and write; return 0, or 2 where it cannot be done."""
    try:
        rows = read_rows(Path(request.data))
        model, text = learn(rows, seed=request.seed, date=request.date, say=_say)
        Path(request.output).write_text(text, "ascii")
    except (DataError, TrainingError) as error:
        complain(str(error))
        return 2
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}")
        return 2
    _say(_said(model, request.output))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _said(model: Model, output: str) -> str:
    learned = model.provenance["learned_from"]
    return (
        f"{output}: {len(model.trees)} trees from {learned['rows']:,} rows, {learned['varied']:,} variations of "
        f"them and {learned['constructed']:,} constructed references. How good it is: mailveil evaluate DATA"
    )
