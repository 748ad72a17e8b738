"""The room itself: fresh databases of both kinds, and a PostgreSQL that can be killed and comes back."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from mailveil.adapters.database import tables
from mailveil.adapters.database.engine import Database, database_url
from mailveil.ports import UnavailableError
from postgres_room import DatabasePlace, PostgresCluster

ROW = {"identifier": "default", "name": "Default", "language": "en", "created_at": 0.0}


@pytest.mark.parametrize("run", [1, 2])
def test_each_test_has_a_database_of_its_own(database: DatabasePlace, run: int) -> None:
    async def steps() -> None:
        async with database.opened() as opened:
            assert opened.is_sqlite == (database.kind == "sqlite")
            async with opened.write() as connection:
                await connection.execute(tables.organisations.insert(), ROW)
            async with opened.read() as connection:
                count = sa.select(sa.func.count()).select_from(tables.organisations)
                assert (await connection.execute(count)).scalar_one() == 1

    asyncio.run(steps())


def test_a_private_cluster_can_be_killed_and_started_again(postgres_cluster: PostgresCluster) -> None:
    async def steps(patience_s: float) -> int:
        database = Database(
            database_url(postgres_cluster.address, postgres_cluster.root), timeout_s=patience_s
        )
        try:
            async with database.read() as connection:
                return int((await connection.execute(sa.text("SELECT 1"))).scalar_one())
        finally:
            await database.close()

    assert asyncio.run(steps(60)) == 1
    postgres_cluster.kill()
    with pytest.raises(UnavailableError):
        asyncio.run(steps(5))
    postgres_cluster.start()
    assert asyncio.run(steps(60)) == 1
