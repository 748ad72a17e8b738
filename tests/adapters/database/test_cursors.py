"""Cursors: lists go on where they stopped, and what comes back from outside is believed in nothing."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mailveil.adapters.database import tables
from mailveil.adapters.database.cursors import MAX_NUMBER, beyond, decode_cursor, encode_cursor, page_of
from mailveil.control.records import Cut
from mailveil.control.stores import CursorError
from postgres_room import DatabasePlace


@given(st.text(), st.integers(-MAX_NUMBER, MAX_NUMBER), st.floats(-1e17, 1e17))
def test_a_cursor_gives_back_what_was_put_in(text: str, number: int, time: float) -> None:
    assert decode_cursor(encode_cursor(text, number, time), str, int, float) == (text, number, time)


@given(st.text())
def test_any_other_text_is_refused_as_a_cursor(text: str) -> None:
    try:
        values = decode_cursor(text, str, float)
    except CursorError:
        return
    assert values == () or [type(each) for each in values] == [str, float]


@pytest.mark.parametrize(
    "cursor",
    [
        encode_cursor("a"),
        encode_cursor("a", "b"),
        encode_cursor(1, 1.0),
        "W10",
        "bnVsbA",
        "WyJhIiwgTmFOXQ",  # NaN
        "WyJhIiwgMWU5OTld",  # an infinity
        "WyJhIiwgdHJ1ZV0",  # true
        "A" * 5000,
        "[" * 3000,
    ],
)
def test_a_cursor_of_another_list_is_refused(cursor: str) -> None:
    with pytest.raises(CursorError):
        decode_cursor(cursor, str, float)


def test_a_number_that_no_column_holds_is_refused() -> None:
    with pytest.raises(CursorError):
        decode_cursor(encode_cursor(2**63), int)


def test_a_list_in_parts_is_the_whole_list(database: DatabasePlace) -> None:
    table = tables.organisations
    rows = [
        {"identifier": f"o{number:02}", "name": "", "language": "en", "created_at": float(number // 3)}
        for number in range(20)
    ]

    async def walk(descending: bool) -> list[str]:
        found: list[str] = []
        cut = Cut(3)
        order = (table.c.created_at, table.c.identifier)
        async with database.opened() as opened:
            while True:
                query = (
                    sa.select(table)
                    .where(beyond(order, decode_cursor(cut.cursor, float, str), descending=descending))
                    .order_by(*(each.desc() if descending else each for each in order))
                    .limit(cut.limit + 1)
                )
                async with opened.read() as connection:
                    fetched = (await connection.execute(query)).all()
                page = page_of(
                    fetched,
                    cut,
                    lambda row: str(row.identifier),
                    lambda row: (row.created_at, row.identifier),
                )
                found += page.items
                assert len(page.items) <= 3
                if not page.next:
                    return found
                cut = Cut(3, page.next)

    async def steps() -> None:
        async with database.opened() as opened, opened.write() as connection:
            await connection.execute(table.insert(), rows)
        assert await walk(False) == [row["identifier"] for row in rows]
        assert await walk(True) == [row["identifier"] for row in reversed(rows)]

    asyncio.run(steps())


def test_text_that_a_database_refuses_is_stored_in_a_form_that_it_takes(database: DatabasePlace) -> None:
    name = "\0 \ud800 " + "é" * 300

    async def steps() -> None:
        row = {"identifier": "o", "name": name, "language": "\0" * 36, "created_at": 0.0}
        async with database.opened() as opened:
            async with opened.write() as connection:
                await connection.execute(tables.organisations.insert(), row)
            async with opened.read() as connection:
                query = sa.select(tables.organisations).where(tables.organisations.c.name == name)
                found = (await connection.execute(query)).one()
        assert found.name == ("\N{REPLACEMENT CHARACTER} ? " + "é" * 300)[:200]
        assert found.language == "\N{REPLACEMENT CHARACTER}" * 35

    asyncio.run(steps())
