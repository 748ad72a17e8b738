"""The schema: every released version becomes this one's, once, whole or not at all; what is newer is left alone."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from control_room import fill, opened_room
from mailveil.adapters.database import schema
from mailveil.adapters.database.tables import metadata
from mailveil.ports import UnavailableError
from postgres_room import DatabasePlace

DUMPS = Path(__file__).parent / "dumps"


def difference(connection: sa.Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


async def row_counts(
    connection: sa.ext.asyncio.AsyncConnection, names: Mapping[str, object]
) -> dict[str, int]:
    counts = {}
    for name in names:
        query = sa.select(sa.func.count()).select_from(sa.table(name))
        counts[name] = int((await connection.execute(query)).scalar_one())
    return counts


def particulars(connection: sa.Connection) -> set[tuple[Any, ...]]:
    """Return what the comparison above does not see: how text is compared, and how rows are stored."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        return {(name, "WITHOUT ROWID" in sql, "AUTOINCREMENT" in sql) for name, sql in rows}
    query = (
        "SELECT table_name, column_name, data_type, collation_name, column_default IS NULL "
        "FROM information_schema.columns WHERE table_schema = 'public'"
    )
    return {tuple(row) for row in connection.exec_driver_sql(query)}


def test_upgrading_makes_what_the_tables_say_to_the_last_particular(
    bare_database: DatabasePlace, database: DatabasePlace
) -> None:
    if bare_database.kind != database.kind:
        return

    async def steps() -> None:
        async with bare_database.opened() as made, database.opened() as upgraded:
            async with made.write() as connection:
                await connection.run_sync(metadata.create_all)
            async with upgraded.read() as one, made.read() as other:
                found = await one.run_sync(particulars)
                version = {each for each in found if each[0] == schema.VERSION_TABLE}
                assert found - version == await other.run_sync(particulars)

    asyncio.run(steps())


def test_upgrading_an_empty_database_makes_the_tables_of_this_program(bare_database: DatabasePlace) -> None:
    async def steps() -> None:
        async with bare_database.opened() as database:
            assert await schema.read_revision(database) == ""
            assert await schema.upgrade(database) == schema.Upgrade("", schema.head_revision())
            async with database.read() as connection:
                assert await connection.run_sync(difference) == []
            again = await schema.upgrade(database)
            assert again.is_needless
            assert await schema.read_revision(database) == schema.head_revision()

    asyncio.run(steps())


def test_of_several_that_start_together_one_upgrades_and_the_others_wait(
    bare_database: DatabasePlace,
) -> None:
    async def one() -> schema.Upgrade:
        async with bare_database.opened(timeout_s=120) as database:
            return await schema.upgrade(database)

    async def steps() -> None:
        done = await asyncio.gather(*(one() for _ in range(4)))
        assert sorted(each.before for each in done) == ["", *[schema.head_revision()] * 3]
        async with bare_database.opened() as database, database.read() as connection:
            assert await connection.run_sync(difference) == []

    asyncio.run(steps())


def test_a_database_of_a_newer_program_is_refused_and_left_alone(bare_database: DatabasePlace) -> None:
    async def steps() -> None:
        async with bare_database.opened() as database:
            await schema.upgrade(database)
            async with database.write() as connection:
                await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
            with pytest.raises(schema.NewerDatabaseError, match=r"newer mailveil .*9999.*restore a backup"):
                await schema.upgrade(database)
            assert await schema.read_revision(database) == "9999"

    asyncio.run(steps())


def test_an_upgrade_that_breaks_off_leaves_the_database_as_it_was(
    bare_database: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic.operations import Operations

    original = Operations.create_table

    def create_table(self: Any, name: str, *columns: Any, **options: Any) -> Any:
        if name == "trackers":
            raise OSError("the disk is full")
        return original(self, name, *columns, **options)

    async def steps() -> None:
        async with bare_database.opened() as database:
            with monkeypatch.context() as patch:
                patch.setattr(Operations, "create_table", create_table)
                with pytest.raises(UnavailableError):
                    await schema.upgrade(database)
            async with database.read() as connection:
                assert await connection.run_sync(lambda each: sa.inspect(each).get_table_names()) == []
            assert (await schema.upgrade(database)).before == ""

    asyncio.run(steps())


def value_of(value: object, kind: sa.types.TypeEngine[Any]) -> object:
    return base64.b64decode(str(value)) if isinstance(kind, sa.LargeBinary) else value


@pytest.mark.skipif("MAILVEIL_BLESS" not in os.environ, reason="writes rows down only when it is told to")
def test_bless_rows_of_this_revision(sqlite_database: DatabasePlace) -> None:
    """Write down some rows of each table as they are stored now, for the tests of versions to come."""

    async def steps() -> list[str]:
        async with opened_room(sqlite_database) as room:
            await fill(room)
            async with room.database.read() as connection:
                found = []
                for table in metadata.sorted_tables:
                    for row in (await connection.execute(sa.select(table))).mappings():
                        plain = {
                            name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
                            for name, value in row.items()
                        }
                        found.append(json.dumps({"table": table.name, "row": plain}))
                return found

    lines = asyncio.run(steps())
    (DUMPS / f"{schema.head_revision()}.jsonl").write_text("\n".join(lines) + "\n")


def test_there_is_data_of_every_revision_and_table() -> None:
    assert sorted(path.stem for path in DUMPS.glob("*.jsonl")) == list(schema.revisions())
    newest = (DUMPS / f"{schema.head_revision()}.jsonl").read_text().splitlines()
    assert {json.loads(line)["table"] for line in newest} == set(metadata.tables)


@pytest.mark.parametrize("revision", schema.revisions())
def test_every_revision_becomes_this_one_with_all_its_rows(
    bare_database: DatabasePlace, revision: str
) -> None:
    """``dumps/REVISION.jsonl`` holds rows as that revision stored them (see ``MAILVEIL_BLESS`` above)."""
    lines = [json.loads(line) for line in (DUMPS / f"{revision}.jsonl").read_text().splitlines()]
    expected: dict[str, int] = {}

    def fill_in(connection: sa.Connection) -> None:
        stored = sa.MetaData()
        for each in lines:
            table = sa.Table(each["table"], stored, autoload_with=connection)
            row = {name: value_of(value, table.c[name].type) for name, value in each["row"].items()}
            connection.execute(table.insert().values(row))
            expected[table.name] = expected.get(table.name, 0) + 1

    async def steps() -> None:
        async with bare_database.opened() as database:
            await schema.upgrade(database, revision)
            async with database.write() as connection:
                await connection.run_sync(fill_in)
            assert (await schema.upgrade(database)).after == schema.head_revision()
            if revision == "0001":  # what was kept is studied from then on
                expected["unstudied"] = expected["messages"]
            async with database.read() as connection:
                assert await connection.run_sync(difference) == []
                assert await row_counts(connection, expected) == expected
                for table in metadata.sorted_tables:  # and every row can be read as it is read now
                    await connection.execute(sa.select(table))

    asyncio.run(steps())
