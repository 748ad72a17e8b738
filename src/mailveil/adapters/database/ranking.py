"""Ranking: trackers and operators in the orders that lists show them in, a part at a time, for a bounded cost.

As with messages (``finding.py``), a filter that holds for few rows is gathered and put in order, anything else is
walked in the list's order with the filters looked up on the way, and no page looks at more than ``WINDOWS`` rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import beyond, decode_cursor, encode_cursor, limit_of, page_of
from mailveil.adapters.database.finding import FEW, LAST_CHARACTER, Condition, contains
from mailveil.adapters.database.terms import RISKS, asked_words
from mailveil.control.records import Cut, OperatorLine, Page, Tracker, TrackerQuery
from mailveil.control.stores import CursorError
from mailveil.core.verdicts.operators import catalogue

Item = TypeVar("Item")
WINDOWS = (250, 500)  # rows that are walked, wider ones than those of messages
ORDERS: dict[str, tuple[str, type]] = {
    "last": ("last_at", float), "first": ("first_at", float), "messages": ("messages", int), "people": ("people", int),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Filter:
    """One filter: ``names`` gives the rows that it holds for off an index, ``holds`` tells whether it holds for one."""

    names: sa.Select[Any]
    holds: Callable[[Any], Condition]


class _Ranking:
    """One question for rows of a table, greatest first by the column ``order``, then by ``name``."""

    def __init__(
        self,
        connection: AsyncConnection,
        table: sa.Table,
        organisation: str,
        *,
        name: str,
        order: str,
        cut: Cut,
    ) -> None:
        column, kind = ORDERS[order]
        self._connection = connection
        self._table = table
        self._organisation = organisation
        self._name, self._order, self._column = name, order, column
        self._cut = cut
        self._wanted = limit_of(cut) + 1
        values = decode_cursor(cut.cursor, str, kind, str)
        if values and values[0] != order:
            raise CursorError("the cursor belongs to a list in another order")
        self._after: tuple[Any, ...] = values[1:]

    def filter_by(self, column: str, value: str) -> _Filter:
        """Return the filter that a column has a value."""
        return self._filter(lambda columns: columns[column] == value)

    def filter_since(self, since: float) -> _Filter:
        """Return the filter that something was seen since then."""
        return self._filter(lambda columns: columns["last_at"] >= since)

    def _filter(self, holds: Callable[[Any], Condition]) -> _Filter:
        return _Filter(sa.select(self._table.c[self._name]).where(self._mine, holds(self._table.c)), holds)

    def filter_word(self, word: str) -> _Filter:
        """Return the filter that a tracker is found by a word of this beginning."""
        columns = tables.tracker_terms.c
        is_sqlite = self._connection.dialect.name == "sqlite"
        names = (
            sa.select(columns.tracker.label(self._name))
            .distinct()
            .where(
                columns.organisation == self._organisation,
                columns.term >= f"word:{word}",
                columns.term < f"word:{word}{LAST_CHARACTER}",
            )
        )
        return _Filter(
            names, lambda columns: contains(columns["terms"], f"\nword:{word}", is_sqlite=is_sqlite)
        )

    @property
    def _mine(self) -> Condition:
        return self._table.c.organisation == self._organisation

    async def page(
        self, filters: Sequence[_Filter], item: Callable[[sa.Row[Any]], Item], *, is_indexed: bool = False
    ) -> Page[Item]:
        """Return the part of the list that is asked for.

        ``is_indexed`` tells that an index has what the filters hold for in the order of the list.
        """
        if is_indexed or not filters:
            holds = [each.holds(self._table.c) for each in filters]
            question = self._ordered(self._table, self._after, holds).limit(self._wanted)
            return self._page(list(await self._connection.execute(question)), item)
        rare = await self._rarest(filters)
        if rare is not None:
            return self._page(await self._gathered(rare, filters), item)
        rows: list[sa.Row[Any]] = []
        after = self._after
        for count in WINDOWS:
            window = self._ordered(self._table, after).limit(count)
            walked = window.subquery("walked")
            fitting = self._ordered(walked, (), [each.holds(walked.c) for each in filters])
            rows += await self._connection.execute(fitting.limit(self._wanted - len(rows)))
            last = (await self._connection.execute(window.offset(count - 1).limit(1))).one_or_none()
            if len(rows) == self._wanted or last is None:
                return self._page(rows, item)
            after = self._values(last)
        return Page(tuple(map(item, rows)), encode_cursor(self._order, *after))

    def _page(self, rows: Sequence[sa.Row[Any]], item: Callable[[sa.Row[Any]], Item]) -> Page[Item]:
        return page_of(rows, self._cut, item, lambda row: (self._order, *self._values(row)))

    def _values(self, row: sa.Row[Any]) -> tuple[Any, ...]:
        values = row._mapping
        return values[self._column], values[self._name]

    def _ordered(
        self, rows: sa.FromClause, after: tuple[Any, ...], conditions: Sequence[Condition] = ()
    ) -> sa.Select[Any]:
        by = (rows.c[self._column], rows.c[self._name])
        behind = beyond(by, after, descending=True)
        mine = rows.c.organisation == self._organisation
        return sa.select(rows).where(mine, behind, *conditions).order_by(*(each.desc() for each in by))

    async def _rarest(self, filters: Sequence[_Filter]) -> _Filter | None:
        """Return the filter that holds for the fewest rows, ``None`` where all hold for ``FEW`` or more."""
        counts = [
            sa.select(sa.func.count()).select_from(each.names.limit(FEW).subquery()).scalar_subquery()
            for each in filters
        ]
        sizes = list((await self._connection.execute(sa.select(*counts))).one())
        rarest = min(range(len(sizes)), key=sizes.__getitem__)
        return filters[rarest] if sizes[rarest] < FEW else None

    async def _gathered(self, rare: _Filter, filters: Sequence[_Filter]) -> list[sa.Row[Any]]:
        """Return the rows of a filter that holds for few, put in order."""
        few = rare.names.limit(FEW).subquery("few")
        name = self._table.c[self._name]
        joined = sa.select(self._table).join_from(few, self._table, name == few.c[self._name])
        gathered = joined.where(self._mine).subquery("gathered")
        holds = [each.holds(gathered.c) for each in filters if each is not rare]
        question = self._ordered(gathered, self._after, holds).limit(self._wanted)
        return list(await self._connection.execute(question))


async def trackers_page(
    connection: AsyncConnection, organisation: str, query: TrackerQuery, cut: Cut
) -> Page[Tracker]:
    """Return trackers, greatest first in the order that is asked for. Raises ``ValueError`` for an unknown order."""
    if query.order not in ORDERS:
        raise ValueError(f"there is no order {query.order!r:.40}; there are: {', '.join(ORDERS)}")
    ranking = _Ranking(
        connection, tables.trackers, organisation, name="identifier", order=query.order, cut=cut
    )
    words = asked_words(query.text)
    if query.text.strip() and not words:
        return Page(())
    filters = [
        ranking.filter_by(column, value)
        for column, value in (
            ("operator", query.operator), ("domain", query.domain.lower()), ("kind", query.kind),
        )
        if value
    ]  # fmt: skip
    is_indexed = query.order == "last" and len(filters) <= 1 and not words
    filters += [ranking.filter_word(each) for each in words]
    if query.since > 0:
        filters.append(ranking.filter_since(query.since))
    return await ranking.page(filters, tracker_of, is_indexed=is_indexed)


async def operators_page(
    connection: AsyncConnection, organisation: str, since: float, cut: Cut
) -> Page[OperatorLine]:
    """Return the operators met since then, those of the most messages first."""
    ranking = _Ranking(connection, tables.operators, organisation, name="name", order="messages", cut=cut)
    filters = [ranking.filter_since(since)] if since > 0 else []
    return await ranking.page(filters, operator_of)


def tracker_of(row: sa.Row[Any]) -> Tracker:
    """Return the tracker in a row."""
    values = row._mapping
    return Tracker(
        identifier=values["identifier"],
        host=values["host"],
        domain=values["domain"],
        template=values["template"],
        operator=values["operator"],
        kind=values["kind"],
        vector=values["vector"],
        risk=RISKS[values["risk"]],
        first_at=values["first_at"],
        last_at=values["last_at"],
        messages=values["messages"],
        references=values["references"],
        people=values["people"],
        example=values["example"],
        evidence=values["evidence"],
    )


def operator_of(row: sa.Row[Any]) -> OperatorLine:
    """Return the operator in a row, with what the catalogue says of it."""
    values = row._mapping
    owner, category = _catalogued().get(values["name"], ("", ""))
    return OperatorLine(
        name=values["name"],
        owner=owner,
        category=category,
        first_at=values["first_at"],
        last_at=values["last_at"],
        messages=values["messages"],
        references=values["references"],
        trackers=values["trackers"],
        people=values["people"],
    )


@cache
def _catalogued() -> dict[str, tuple[str, str]]:
    return {each.name: (each.owner, each.category.value) for each in catalogue().entries}
