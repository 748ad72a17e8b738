"""Answers to repeated requests in the database."""

from __future__ import annotations

import sqlalchemy as sa

from mailveil.adapters.database import tables
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.statements import add
from mailveil.control.records import RepeatedAnswer
from mailveil.control.stores import ConflictError, UnderWayError


class SqlRepeatStore:
    """Answers to writes, by idempotency key (``control.stores.RepeatStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, actor: str, key: str, fingerprint: str, at: float) -> RepeatedAnswer | None:
        """Return ``None`` where the request is new (and is now under way), else its stored answer.

        Raises ``UnderWayError`` where this request is still under way, any other ``ConflictError`` where the key was
        used for another one.
        """
        row = {"actor": actor, "key": key, "fingerprint": fingerprint, "at": at, "status": 0, "body": ""}
        query = sa.select(tables.repeats).where(_is(actor, key))
        async with self._database.write() as connection:
            # Who writes the row first does the work; the others see it there.
            if await add(connection, tables.repeats, row):
                return None
            known = (await connection.execute(query)).first()
        if known is None or (known.fingerprint == fingerprint and known.status == 0):
            # None: it was given up a moment ago, and may be tried again like any that is under way.
            raise UnderWayError("the same request is being done at this moment")
        if known.fingerprint != fingerprint:
            raise ConflictError("the idempotency key was used for another request")
        return RepeatedAnswer(known.status, known.body)

    async def finish(self, actor: str, key: str, status: int, body: str) -> None:
        """Store the answer."""
        async with self._database.write() as connection:
            statement = sa.update(tables.repeats).where(_is(actor, key)).values(status=status, body=body)
            await connection.execute(statement)

    async def abandon(self, actor: str, key: str) -> None:
        """Forget a request that came to nothing, so that it may be tried again."""
        async with self._database.write() as connection:
            unfinished = _is(actor, key) & (tables.repeats.c.status == 0)
            await connection.execute(sa.delete(tables.repeats).where(unfinished))

    async def expire(self, before: float) -> int:
        """Forget requests older than that, those never finished included; return how many."""
        async with self._database.write() as connection:
            statement = sa.delete(tables.repeats).where(tables.repeats.c.at < before)
            return (await connection.execute(statement)).rowcount


def _is(actor: str, key: str) -> sa.ColumnElement[bool]:
    return (tables.repeats.c.actor == actor) & (tables.repeats.c.key == key)
