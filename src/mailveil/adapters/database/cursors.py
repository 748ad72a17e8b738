"""Cursors: where a list goes on. The values that the last row is ordered by, so that going on costs the same anywhere.

A cursor comes back from outside and may hold anything; what no list of ours gave out is a ``CursorError``.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from mailveil.control.records import MAX_PAGE, Cut, Page
from mailveil.control.stores import CursorError

Item = TypeVar("Item")
Value = str | int | float
MAX_CURSOR = 4096
MAX_NUMBER = 2**31 - 1  # of an integer column in PostgreSQL


def encode_cursor(*values: Value) -> str:
    """Return the cursor behind a row that is ordered by these values."""
    raw = json.dumps(values, separators=(",", ":")).encode("ascii")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str, *kinds: type[Any]) -> tuple[Any, ...]:
    """Return the values in a cursor, of these kinds (``str``, ``int``, ``float``), ``()`` for the first part.

    Raises ``CursorError``.
    """
    if not cursor:
        return ()
    try:
        if len(cursor) > MAX_CURSOR:
            raise ValueError("too long")
        raw = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        values = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise CursorError("the cursor is none that a list has given") from error
    if not isinstance(values, list) or len(values) != len(kinds):
        raise CursorError("the cursor belongs to another list")
    return tuple(_checked(value, kind) for value, kind in zip(values, kinds, strict=True))


def _checked(value: object, kind: type) -> Value:
    match value:
        case str() if kind is str:
            return value
        case bool():
            pass
        case int() if kind is int and abs(value) <= MAX_NUMBER:
            return value
        case float() | int() if kind is float and abs(value) < 1e18 and math.isfinite(value):
            return float(value)
    raise CursorError("the cursor belongs to another list")


def beyond(
    columns: Sequence[sa.ColumnElement[Any]], values: Sequence[Value], *, descending: bool = False
) -> sa.ColumnElement[bool]:
    """Return the condition for the rows behind ``values``, in the order of ``columns``; all rows for no values."""
    if not values:
        return sa.true()
    row = sa.tuple_(*columns)
    bounds = sa.tuple_(
        *(sa.bindparam(None, value, column.type) for column, value in zip(columns, values, strict=True))
    )
    return row < bounds if descending else row > bounds


def limit_of(cut: Cut) -> int:
    """Return how many items a part of a list holds at most; ask for one more to see whether there are any."""
    return min(max(cut.limit, 1), MAX_PAGE)


def page_of(
    rows: Sequence[sa.Row[Any]],
    cut: Cut,
    item: Callable[[sa.Row[Any]], Item],
    values: Callable[[sa.Row[Any]], Sequence[Value]],
) -> Page[Item]:
    """Return part of a list from its rows, of which there is one more where the list goes on."""
    limit = limit_of(cut)
    shown = rows[:limit]
    following = encode_cursor(*values(shown[-1])) if len(rows) > limit else ""
    return Page(tuple(item(row) for row in shown), following)
