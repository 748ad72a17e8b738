"""Folds: parts of a data set to be tested on, and what may be learned from for each without knowing any of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from mailveil.learning.rows import Row

Key = Callable[[Row], str]


def _host(row: Row) -> str:
    return f"host {row.domain}" if row.domain else ""


def _owner(row: Row) -> str:
    return f"owner {row.owner}" if row.owner else ""


def _sender(row: Row) -> str:
    return f"sender {row.sender}" if row.sender else ""


def _template(row: Row) -> str:
    return f"template {row.template}" if row.template else ""


def _message(row: Row) -> str:
    return f"message {row.message}"


#: What tested rows may not share with rows that were learned from, by the question that is asked.
UNKNOWN_HOST: Final[tuple[Key, ...]] = (_host, _owner, _message)
UNKNOWN_SENDER: Final[tuple[Key, ...]] = (_sender, _template, _message)
UNKNOWN_ALL: Final[tuple[Key, ...]] = (_host, _owner, _sender, _template, _message)


def names_of(row: Row, keys: Sequence[Key]) -> frozenset[str]:
    """Return by what a row is known."""
    return frozenset(name for key in keys if (name := key(row)))


def fold_of(name: str, folds: int, seed: int) -> int:
    """Return the fold that a name belongs to, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big") % folds


def splits(
    rows: Sequence[Row], keys: Sequence[Key], *, folds: int, seed: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield, for each fold, the places of the rows to learn from and of those to test on.

    Each row is tested once. Rows that share a name with any tested row are in neither, so that what is learned
    knows nothing of the hosts, owners, senders and templates that it is tested on. Rows whose verdict needs no
    model (``decided``) should not be among ``rows``: fonts of one host would tie all messages together.
    """
    names = [names_of(row, keys) for row in rows]
    main = [row.group if UNKNOWN_HOST[0] in keys else (row.sender or row.message) for row in rows]
    of = [fold_of(each, folds, seed) for each in main]
    for fold in range(folds):
        tested = [place for place in range(len(rows)) if of[place] == fold]
        if not tested:
            continue
        known = frozenset().union(*(names[place] for place in tested))
        learned = [
            place for place in range(len(rows)) if of[place] != fold and known.isdisjoint(names[place])
        ]
        yield learned, tested


def later(rows: Sequence[Row], share: float = 0.7) -> tuple[list[int], list[int]]:
    """Return the places of the earlier rows and of the later ones, by the day of the message."""
    dated = sorted(place for place, row in enumerate(rows) if "1990" < row.date < "2100")
    dated.sort(key=lambda place: rows[place].date)
    if not dated:
        return [], []
    border = rows[dated[int(len(dated) * share)]].date[:10]
    return [each for each in dated if rows[each].date[:10] < border], [
        each for each in dated if rows[each].date[:10] >= border
    ]
