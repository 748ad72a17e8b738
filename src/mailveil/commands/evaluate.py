"""``mailveil evaluate``: how good the judge is, from labelled references."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailveil.adapters.mailboxes import Stored
from mailveil.commands.sources import read_sources
from mailveil.commands.terminal import complain
from mailveil.core.verdicts.judging import shipped_model
from mailveil.core.verdicts.trees import Model, ModelError, parse_model
from mailveil.learning.account import page_of, share, text_of
from mailveil.learning.evaluating import evaluate as account_of
from mailveil.learning.evaluating import is_trained_on, judged_by, judged_out_of_fold
from mailveil.learning.folds import UNKNOWN_ALL
from mailveil.learning.learning import Lessons
from mailveil.learning.mail import evaluate_mail
from mailveil.learning.rows import DataError, Row, read_rows
from mailveil.learning.training import TrainingError, digest_of

_MAX_MESSAGE_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """What the command line asked for. ``model`` is a file, ``""`` for the one that is shipped."""

    data: str
    messages: str = ""
    model: str = ""
    out_of_fold: bool = False
    json_file: str = ""
    html_file: str = ""
    quick: bool = False
    seed: int = 1


def evaluate(request: EvaluateRequest) -> int:
    """Evaluate, print and write; return 0, or 2 where it cannot be done."""
    try:
        rows = read_rows(Path(request.data))
        account = _account(request, rows)
        if request.json_file:
            Path(request.json_file).write_text(json.dumps(account, indent=1) + "\n", "utf-8")
        if request.html_file:
            Path(request.html_file).write_text(page_of(account), "utf-8")
    except (DataError, ModelError, TrainingError) as error:
        complain(str(error))
        return 2
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}")
        return 2
    print(text_of(account))
    if "mail" in account:
        print(_mail_text(account["mail"]))
    return 0


def _account(request: EvaluateRequest, rows: list[Row]) -> dict[str, Any]:
    _say(f"measuring {len(rows):,} rows")
    model = (
        parse_model(Path(request.model).read_text("utf-8", "replace")) if request.model else shipped_model()
    )
    lessons = Lessons(rows, seed=request.seed)
    chosen = _model_for(request, model, digest_of(rows))
    account = account_of(lessons, model=chosen, quick=request.quick, say=_say)
    if request.messages:
        _say("judging raw messages")
        judged = judged_by(lessons, chosen) if chosen else judged_out_of_fold(lessons, UNKNOWN_ALL)
        account["mail"] = evaluate_mail(_mail(request.messages), rows, judged)
    return account


def _model_for(request: EvaluateRequest, model: Model, digest: str) -> Model | None:
    """Return the model to be evaluated, or None where its figures would be those of a test with known answers."""
    return None if request.out_of_fold or is_trained_on(model, digest) else model


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _mail(folder: str) -> Iterator[bytes]:
    for each in read_sources((folder,), _MAX_MESSAGE_BYTES):
        if isinstance(each, Stored):
            yield each.raw


def _mail_text(found: dict[str, Any]) -> str:
    lines = [
        (
            f"{found['messages']:,} raw messages: {found['trackers']:,} references labelled as trackers, "
            f"{share(found['found'])} found; {found['content']:,} as content, {share(found['accused'])} accused, "
            f"at even odds; {found['references_without_label']:,} have no label"
        ),
        *(f"  {what}: {count}" for what, count in found["errors"].items()),
    ]
    return "\n".join(lines)
