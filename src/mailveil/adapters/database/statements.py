"""Statements: what SQLite and PostgreSQL say alike but SQLAlchemy spells apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

POLICY_STAMP = "policy"  # goes up with every change of a policy, an allow-list or an organisation


def insert(connection: AsyncConnection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insertion that can say what happens to a row that is there already."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


async def put(connection: AsyncConnection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Write a row; the one of the same primary key is replaced. Raises ``IntegrityError`` for what is another's."""
    await put_all(connection, table, [row])


async def put_all(connection: AsyncConnection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of the same columns as ``put`` does, with one statement."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = insert(connection, table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    upsert = statement.on_conflict_do_update(index_elements=keys, set_=changed)
    await connection.execute(upsert, [dict(each) for each in rows])


async def add(connection: AsyncConnection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Write a row unless one of the same primary key is there; tell whether it was written.

    Of two that write the same one at once, the second waits for the first and is told False.
    """
    keys = [column.name for column in table.primary_key]
    statement = insert(connection, table).values(dict(row)).on_conflict_do_nothing(index_elements=keys)
    return (await connection.execute(statement)).rowcount == 1


async def bump(connection: AsyncConnection, stamps: sa.Table, name: str) -> None:
    """Let a stamp go up; it is there afterwards in any case."""
    statement = insert(connection, stamps).values(name=name, number=1)
    higher = {"number": stamps.c.number + 1}
    await connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=higher))


async def delete_in_portions(
    connection: AsyncConnection, table: sa.Table, condition: sa.ColumnElement[bool], portion: int
) -> int:
    """Delete at most ``portion`` rows that fulfil a condition; return how many."""
    keys: Collection[sa.ColumnElement[Any]] = list(table.primary_key)
    chosen = sa.select(*keys).where(condition).limit(portion)
    statement = sa.delete(table).where(sa.tuple_(*keys).in_(chosen))
    return (await connection.execute(statement)).rowcount
