"""Finding messages: lists, a part at a time, for the same cost however many there are.

A list with one filter is read off an index in its order. With several filters, the one that holds for fewest rows is
walked and the others are looked up row by row. No page looks at more than ``WINDOWS`` rows in all: where hardly any row
fits filters that each hold for many, a page is shorter than asked for, even empty, and its cursor leads on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import decode_cursor, encode_cursor, limit_of, page_of
from mailveil.adapters.database.terms import RISKS, asked_words, mark, risk_number, term
from mailveil.control.records import Cut, MessageLine, MessageQuery, Page

FEW = 500  # rows that may be gathered and put in order
WINDOWS = (250, 750, 1_250)  # rows that are walked, one window after the other
MAX_SPELLINGS = 16  # words with one beginning whose messages are merged
MAX_SPELLINGS_WALKED = 4  # while looking other filters up
LAST_CHARACTER = "\U0010ffff"

Condition = sa.ColumnElement[bool]
Check = Callable[[sa.ColumnElement[str]], Condition]  # identifier of a message -> whether it is one
Walk = Callable[[str, int], sa.Select[Any]]  # older than, so many -> identifiers of messages, newest first


def contains(column: sa.ColumnElement[str], text: str, *, is_sqlite: bool) -> Condition:
    """Return the condition that a text stands in a column, as written."""
    return (sa.func.instr(column, text) if is_sqlite else sa.func.strpos(column, text)) > 0


def from_then(at: float) -> str:
    """Return the lowest identifier of what happened at a time or later."""
    return f"{max(0, int(at * 1000)):012x}"


def until_then(at: float) -> str:
    """Return the lowest identifier of what happened after a time."""
    return f"{max(0, math.ceil(at * 1000)):012x}"


# --- messages ------------------------------------------------------------------------------------------------


def exact_terms(query: MessageQuery) -> list[str]:
    """Return the terms that a message must have, the most telling ones first."""
    asked = []
    if query.tracker:
        asked.append(term("tracker", query.tracker))
    if query.recipient:
        asked.append(term("to", query.recipient))
    if query.sender:
        asked.append(term("from" if "@" in query.sender else "domain", query.sender))
    if query.host:
        asked.append(term("host", query.host))
    if query.operator:
        asked.append(term("operator", query.operator[:200]))
    if risk_number(query.risk):
        asked.append(f"risk:{query.risk}")
    if query.has_trackers is not None:
        asked.append(mark("trackers", query.has_trackers))
    if query.changed is not None:
        asked.append(mark("changed", query.changed))
    if query.has_remote is not None:
        asked.append(mark("remote", query.has_remote))
    return asked


class MessageSearch:
    """One question for messages, newest first."""

    def __init__(self, connection: AsyncConnection, organisation: str, query: MessageQuery, cut: Cut) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._organisation = organisation
        self._cut = cut
        self._exact = exact_terms(query)
        self._words = [f"word:{each}" for each in asked_words(query.text)]
        self._finds_nothing = bool(query.text.strip()) and not self._words
        self._low = from_then(query.since) if query.since > 0 else ""
        self._high = until_then(query.until) if query.until > 0 else ""
        (self._before,) = decode_cursor(cut.cursor, str) or ("",)

    async def page(self) -> Page[MessageLine]:
        """Return the part of the list that is asked for."""
        if self._finds_nothing:
            return Page(())
        walk, checks = await self._plan()
        wanted = limit_of(self._cut) + 1
        if not checks:
            return self._page(await self._rows(walk(self._before, wanted), (), wanted))
        rows: list[sa.Row[Any]] = []
        before = self._before
        for count in WINDOWS:
            window = walk(before, count)
            rows += await self._rows(window, checks, wanted - len(rows))
            if len(rows) == wanted:
                return self._page(rows)
            walked, last = await self._walked(window)
            if walked < count:
                return self._page(rows)
            before = last
        return Page(tuple(map(_message_line, rows)), encode_cursor(before))

    def _page(self, rows: Sequence[sa.Row[Any]]) -> Page[MessageLine]:
        return page_of(rows, self._cut, _message_line, lambda row: (row.identifier,))

    async def _plan(self) -> tuple[Walk, list[Check]]:
        """Return what is walked, and what has to be looked up of each message on the way."""
        if not self._exact and not self._words:
            return self._along_time, []
        if len(self._exact) == 1 and not self._words:
            return self._along_term(self._exact[0]), []
        sizes = await self._sizes()
        rarest = min(sizes, key=sizes.__getitem__)
        walk = await self._walk_of(rarest, is_few=sizes[rarest] < FEW)
        others = [each for each in sizes if each != rarest or walk is None]
        checks = [await self._check(each) for each in others]
        return walk or self._along_time, checks

    async def _walk_of(self, asked: str, *, is_few: bool) -> Walk | None:
        """Return how to walk the messages of one filter in order; ``None`` where too many words begin like that."""
        if asked in self._exact:
            return self._along_term(asked)
        if is_few:
            return self._along_beginning(asked)
        most = MAX_SPELLINGS if len(self._exact) + len(self._words) == 1 else MAX_SPELLINGS_WALKED
        spellings = await self._spellings(asked, most + 1)
        return self._along_spellings(spellings) if len(spellings) <= most else None

    # --- conditions, and how many rows they hold for ---------------------------------------------------------

    def _within(self, identifier: sa.ColumnElement[str], before: str) -> list[Condition]:
        """Return the conditions for the period, and for what is older than the part before."""
        found = []
        if self._low:
            found.append(identifier >= self._low)
        if self._high:
            found.append(identifier < self._high)
        if before:
            found.append(identifier < before)
        return found

    def _begins(self, beginning: str) -> list[Condition]:
        columns = tables.message_terms.c
        return [
            columns.organisation == self._organisation,
            columns.term >= beginning,
            columns.term < beginning + LAST_CHARACTER,
        ]

    async def _check(self, asked: str) -> Check:
        """Return how to tell whether a message has a term, or a word of this beginning."""
        spellings = [asked]
        if asked not in self._exact:
            spellings = await self._spellings(asked, MAX_SPELLINGS_WALKED + 1)
            if len(spellings) > MAX_SPELLINGS_WALKED:
                terms, is_sqlite = tables.messages.c.terms, self._is_sqlite
                return lambda _: contains(terms, f"\n{asked}", is_sqlite=is_sqlite)
        columns = tables.message_terms.c
        return lambda message: sa.exists().where(
            columns.organisation == self._organisation,
            columns.term.in_(spellings),
            columns.message == message,
        )

    async def _sizes(self) -> dict[str, int]:
        """Return for how many messages each filter holds, counting to ``FEW``."""
        columns = tables.message_terms.c
        counts = []
        for asked in (*self._exact, *self._words):
            conditions = self._begins(asked)
            if asked in self._exact:
                conditions = [columns.organisation == self._organisation, columns.term == asked]
            some = sa.select(sa.literal(1)).where(*conditions).limit(FEW).subquery()
            counts.append(sa.select(sa.func.count()).select_from(some).scalar_subquery())
        row = (await self._connection.execute(sa.select(*counts))).one()
        return dict(zip((*self._exact, *self._words), row, strict=True))

    async def _spellings(self, beginning: str, most: int) -> list[str]:
        """Return the words that begin like that, so many at most, each found behind the one before."""
        columns = tables.message_terms.c

        def next_behind(conditions: list[Condition]) -> sa.ScalarSelect[str]:
            return sa.select(sa.func.min(columns.term)).where(*conditions).scalar_subquery()

        found = sa.select(
            next_behind(self._begins(beginning)).label("term"), sa.literal(1).label("number")
        ).cte("found", recursive=True)
        found = found.union_all(
            sa.select(
                # No lower bound but this one: SQLite would begin at the other for every word.
                next_behind(
                    [
                        columns.organisation == self._organisation,
                        columns.term > found.c.term,
                        columns.term < beginning + LAST_CHARACTER,
                    ]
                ),
                found.c.number + 1,
            ).where(found.c.term.is_not(None), found.c.number < most)
        )
        question = sa.select(found.c.term).where(found.c.term.is_not(None))
        return list(await self._connection.scalars(question))

    # --- walks -----------------------------------------------------------------------------------------------

    def _along_time(self, before: str, count: int) -> sa.Select[Any]:
        columns = tables.messages.c
        return (
            sa.select(columns.identifier.label("message"))
            .where(columns.organisation == self._organisation, *self._within(columns.identifier, before))
            .order_by(columns.identifier.desc())
            .limit(count)
        )

    def _along_term(self, asked: str) -> Walk:
        columns = tables.message_terms.c

        def walk(before: str, count: int) -> sa.Select[Any]:
            return (
                sa.select(columns.message)
                .where(
                    columns.organisation == self._organisation,
                    columns.term == asked,
                    *self._within(columns.message, before),
                )
                .order_by(columns.message.desc())
                .limit(count)
            )

        return walk

    def _along_spellings(self, spellings: Sequence[str]) -> Walk:
        walks = [self._along_term(each) for each in spellings]

        def walk(before: str, count: int) -> sa.Select[Any]:
            each_its_own = (sa.select(each(before, count).subquery().c.message) for each in walks)
            merged = sa.union_all(*each_its_own).subquery()
            return sa.select(merged.c.message).distinct().order_by(merged.c.message.desc()).limit(count)

        return walk

    def _along_beginning(self, beginning: str) -> Walk:
        columns = tables.message_terms.c

        def walk(before: str, count: int) -> sa.Select[Any]:
            return (
                sa.select(columns.message)
                .distinct()
                .where(*self._begins(beginning), *self._within(columns.message, before))
                .order_by(columns.message.desc())
                .limit(count)
            )

        return walk

    async def _rows(self, window: sa.Select[Any], checks: Sequence[Check], wanted: int) -> list[sa.Row[Any]]:
        """Return the lines of the messages in a window for which all checks hold."""
        walked, columns = window.subquery("walked"), tables.messages.c
        question = (
            sa.select(*_LINE)
            .select_from(walked.join(tables.messages, columns.identifier == walked.c.message))
            .where(
                columns.organisation == self._organisation,
                *(each(walked.c.message) for each in checks),
            )
            .order_by(walked.c.message.desc())
            .limit(wanted)
        )
        return list(await self._connection.execute(question))

    async def _walked(self, window: sa.Select[Any]) -> tuple[int, str]:
        """Return how many messages a window has, and the last one."""
        walked = window.subquery("walked")
        question = sa.select(sa.func.count(), sa.func.min(walked.c.message)).select_from(walked)
        count, last = (await self._connection.execute(question)).one()
        return count, last or ""


_LINE = tuple(
    tables.messages.c[name]
    for name in (
        "identifier", "at", "log_identifier", "direction", "sender_domain", "author", "subject", "recipients", "risk",
        "total_references", "total_trackers", "changed", "delivered", "examined", "monitored", "operators",
    )
)  # fmt: skip


def _message_line(row: sa.Row[Any]) -> MessageLine:
    return MessageLine(
        identifier=row.identifier,
        at=row.at,
        log_identifier=row.log_identifier,
        direction=row.direction,
        sender_domain=row.sender_domain,
        author=row.author,
        subject=row.subject,
        recipients=row.recipients,
        risk=RISKS[row.risk],
        total_references=row.total_references,
        total_trackers=row.total_trackers,
        changed=row.changed,
        delivered=row.delivered,
        examined=row.examined,
        monitored=row.monitored,
        operators=tuple(row.operators),
    )


async def message_lines(
    connection: AsyncConnection, organisation: str, identifiers: Collection[str]
) -> dict[str, MessageLine]:
    """Return what lists show of messages that are kept, by their identifiers."""
    columns = tables.messages.c
    question = sa.select(*_LINE).where(
        columns.organisation == organisation, columns.identifier.in_(sorted(identifiers))
    )
    return {row.identifier: _message_line(row) for row in await connection.execute(question)}
