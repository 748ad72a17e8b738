"""Backups: all that is there, from one database into another of any kind, whole or not at all."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from control_room import fill, opened_room
from mailveil.adapters.database import backup as backup_module
from mailveil.adapters.database import schema, tables
from mailveil.adapters.database.backup import (
    LEFT_OUT,
    BackupError,
    read_facts,
    restore_backup,
    write_backup,
)
from mailveil.adapters.database.backupkeys import open_keys, seal_keys
from mailveil.adapters.database.engine import Database
from mailveil.ports import UnavailableError
from postgres_room import DatabasePlace, postgres_database

Content = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabasePlace]:
    """Another database, without any table."""
    if request.param == "sqlite":
        yield DatabasePlace(f"sqlite:///{tmp_path / 'target.sqlite3'}", "sqlite")
    else:
        with postgres_database(request.getfixturevalue("postgres_server")) as place:
            yield place


async def content(database: Database) -> Content:
    """Return every row of every table that a backup holds."""
    found: Content = {}
    async with database.read() as connection:
        for table in tables.metadata.sorted_tables:
            if table.name not in LEFT_OUT:
                rows = [dict(row) for row in (await connection.execute(sa.select(table))).mappings()]
                found[table.name] = sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))
    return found


async def saved(place: DatabasePlace, keys: dict[str, Any] | None = None) -> tuple[bytes, Content]:
    """Fill a database and return its backup and content."""
    async with opened_room(place) as room:
        await fill(room)
        file = io.BytesIO()
        facts = await write_backup(room.database, file, keys=keys)
        kept = await content(room.database)
        assert facts.counts == {name: len(rows) for name, rows in kept.items()}
        return file.getvalue(), kept


def lines_of(backup: bytes) -> list[Any]:
    return [json.loads(line) for line in gzip.decompress(backup).splitlines()]


def test_what_was_backed_up_is_there_again_in_either_database(
    database: DatabasePlace, target: DatabasePlace
) -> None:
    async def steps() -> None:
        backup, kept = await saved(database)
        assert all(kept.values()), "a table without rows proves nothing"
        async with target.opened() as other:
            told: list[tuple[str, int, int]] = []
            facts = await restore_backup(other, io.BytesIO(backup), progress=lambda *each: told.append(each))
            assert facts.counts == {name: len(rows) for name, rows in kept.items()}
            assert await content(other) == kept
            assert await schema.read_revision(other) == schema.head_revision()
            assert told[0][1] == 0
            assert ("messages", 6, 6) in told
        async with opened_room(target) as room:  # and it works: keys are unique still, numbers go on
            await room.room.accounts.note_failure("k", 1.0)
            anna = await room.room.accounts.user_named("Änna")
            assert anna is not None
            assert anna.totp_secret == "GEZDGNBVGY3TQOJQ"
            assert await room.room.accounts.sessions_of(anna.identifier) == []
            assert int(await room.room.policies.stamp()) > 1_000_000

    asyncio.run(steps())


def test_a_backup_shows_one_moment_while_others_write(database: DatabasePlace) -> None:
    async def steps() -> None:
        await saved(database)
        async with opened_room(database) as room:
            before = await content(room.database)
            file = io.BytesIO()
            pending: list[asyncio.Task[Any]] = []

            def interfere(table: str, done: int, total: int) -> None:
                if not pending:  # as soon as the first table is read
                    pending.append(asyncio.create_task(room.organisation("late", ("late.example",))))

            async def backup() -> None:
                async with database.opened() as other:
                    await write_backup(other, file, progress=interfere)

            await backup()
            await pending[0]
            assert len(await room.room.organisations.organisations()) == 3
        names = [line for line in lines_of(file.getvalue()) if isinstance(line, list) and "late" in line]
        assert names == []
        assert read_facts(io.BytesIO(file.getvalue())).counts["organisations"] == len(before["organisations"])

    asyncio.run(steps())


def test_a_database_in_use_is_only_replaced_by_force(database: DatabasePlace) -> None:
    async def steps() -> None:
        backup, kept = await saved(database)
        async with opened_room(database) as room:
            await room.organisation("later")
            changed = await content(room.database)
            with pytest.raises(BackupError, match=r"in use: there are rows in \w+\. With --force"):
                await restore_backup(room.database, io.BytesIO(backup))
            assert await content(room.database) == changed
            await restore_backup(room.database, io.BytesIO(backup), force=True)
            assert await content(room.database) == kept

    asyncio.run(steps())


def test_a_database_that_was_only_started_counts_as_empty(
    sqlite_database: DatabasePlace, target: DatabasePlace
) -> None:
    async def steps() -> None:
        backup, kept = await saved(sqlite_database)
        async with target.opened() as other:
            await schema.upgrade(other)
        async with opened_room(target) as room:  # with the organisation default, as every start makes it
            await restore_backup(room.database, io.BytesIO(backup))
            assert await content(room.database) == kept

    asyncio.run(steps())


@pytest.mark.parametrize(
    "damage",
    ["cut", "flipped", "row changed", "row missing", "appended", "not gzip", "other json", "newer format"],
)
def test_a_damaged_backup_changes_nothing(database: DatabasePlace, damage: str) -> None:
    async def steps() -> None:
        backup, kept = await saved(database)
        lines = gzip.decompress(backup).splitlines(keepends=True)
        place = next(number for number, line in enumerate(lines) if line.startswith(b'["acme'))
        match damage:
            case "cut":
                backup = backup[: len(backup) // 2]
            case "flipped":
                middle = len(backup) // 2
                backup = backup[:middle] + bytes((backup[middle] ^ 0x55,)) + backup[middle + 1 :]
            case "row changed":
                lines[place] = lines[place].replace(b"acme", b"acne", 1)
                backup = gzip.compress(b"".join(lines))
            case "row missing":
                backup = gzip.compress(b"".join(lines[:place] + lines[place + 1 :]))
            case "appended":
                backup = gzip.compress(b"".join(lines) + b"[]\n")
            case "not gzip":
                backup = b"PK\3\4" + backup
            case "other json":
                backup = gzip.compress(b'{"hello": "world"}\n')
            case "newer format":
                backup = gzip.compress(lines[0].replace(b'"format":1', b'"format":2'))
        async with opened_room(database) as room:
            with pytest.raises(BackupError):
                await restore_backup(room.database, io.BytesIO(backup), force=True)
            assert await content(room.database) == kept

    asyncio.run(steps())


def test_a_backup_of_a_newer_program_is_refused(
    sqlite_database: DatabasePlace, target: DatabasePlace
) -> None:
    async def steps() -> None:
        backup, _ = await saved(sqlite_database)
        raw = gzip.decompress(backup).replace(
            f'"revision":"{schema.head_revision()}"'.encode(), b'"revision":"9999"', 1
        )
        async with target.opened() as other:
            with pytest.raises(schema.NewerDatabaseError, match="9999"):
                await restore_backup(other, io.BytesIO(gzip.compress(raw)))
            assert await schema.read_revision(other) == ""

    asyncio.run(steps())


def test_neither_an_empty_nor_a_newer_database_is_backed_up(bare_database: DatabasePlace) -> None:
    async def steps() -> None:
        async with bare_database.opened() as database:
            with pytest.raises(BackupError, match="empty"):
                await write_backup(database, io.BytesIO())
            await schema.upgrade(database)
            async with database.write() as connection:
                await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
            with pytest.raises(UnavailableError, match="newer"):
                await write_backup(database, io.BytesIO())

    asyncio.run(steps())


def test_nothing_that_signs_in_for_hours_is_in_a_backup(sqlite_database: DatabasePlace) -> None:
    backup, _ = asyncio.run(saved(sqlite_database))
    names = {line["table"] for line in lines_of(backup) if isinstance(line, dict) and "table" in line}
    assert names == set(tables.metadata.tables) - LEFT_OUT
    text = gzip.decompress(backup)
    assert b"GEZDGNBVGY3TQOJQ" not in text  # second factors stay encrypted
    assert b"fingerprint" not in text.replace(b'"fingerprint"', b"")


def test_a_table_of_somebody_else_in_the_same_database_stays(postgresql_database: DatabasePlace) -> None:
    async def steps() -> None:
        backup, kept = await saved(postgresql_database)
        async with postgresql_database.opened() as database:
            async with database.write() as connection:
                await connection.execute(sa.text("CREATE TABLE theirs (x int)"))
                await connection.execute(sa.text("INSERT INTO theirs VALUES (7)"))
            await restore_backup(database, io.BytesIO(backup), force=True)
            assert await content(database) == kept
            async with database.read() as connection:
                assert (await connection.execute(sa.text("SELECT x FROM theirs"))).scalar_one() == 7

    asyncio.run(steps())


def test_keys_travel_sealed_with_a_passphrase(sqlite_database: DatabasePlace) -> None:
    keys = {"second-factors.key": bytes(range(32)), "copies.key": b"k" * 32}
    sealed = seal_keys(keys, "correct horse battery")
    backup, _ = asyncio.run(saved(sqlite_database, sealed))
    kept = read_facts(io.BytesIO(backup)).keys
    assert open_keys(kept, "correct horse battery") == keys
    with pytest.raises(BackupError, match="passphrase"):
        open_keys(kept, "another passphrase")
    swapped = {**kept, "files": {"copies.key": kept["files"]["second-factors.key"]}}
    with pytest.raises(BackupError, match="passphrase"):
        open_keys(swapped, "correct horse battery")
    with pytest.raises(BackupError, match="damaged"):
        open_keys({"files": {}}, "correct horse battery")
    with pytest.raises(BackupError, match="12 characters"):
        seal_keys(keys, "short")


@pytest.mark.parametrize("hostile", ["endless line", "deep", "huge number", "no time", "two tables", "path"])
def test_a_hostile_backup_is_refused_in_words_and_changes_nothing(
    database: DatabasePlace, hostile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "MAX_LINE_BYTES", 1 << 20)

    async def steps() -> None:
        backup, kept = await saved(database)
        lines = gzip.decompress(backup).splitlines(keepends=True)
        place = next(
            number for number, line in enumerate(lines) if line.startswith(b'{"table":"organisations"')
        )
        match hostile:
            case "endless line":
                lines[place] = b'{"table":"' + b"x" * (1 << 22)
            case "deep":
                lines[place] = b"[" * 200_000 + b"]" * 200_000 + b"\n"
            case "huge number":
                lines[place + 1] = b'["big","Big","en",1' + b"0" * 400 + b"]\n"
            case "no time":
                lines[0] = re.sub(rb'"made_at":[0-9.]+', b'"made_at":1e300', lines[0])
            case "two tables":
                count = int(json.loads(lines[place])["rows"])
                lines[place:place] = lines[place : place + 1 + count]
            case "path":
                lines[place] = lines[place].replace(b"organisations", b"../../etc/passwd")
        whole = [*lines[:-1]]
        rows = sum(line.startswith(b"[") for line in whole)
        digest = hashlib.sha256(b"".join(whole)).hexdigest()
        whole.append(json.dumps({"rows": rows, "sha256": digest}).encode() + b"\n")
        async with opened_room(database) as room:
            with pytest.raises((BackupError, UnavailableError)):
                await restore_backup(room.database, io.BytesIO(gzip.compress(b"".join(whole))), force=True)
            assert await content(room.database) == kept

    asyncio.run(steps())


def test_keys_that_would_take_hours_to_open_are_refused() -> None:
    sealed = seal_keys({"copies.key": b"k" * 32}, "correct horse battery")
    for cost in ({"p": 1 << 17}, {"n": 1 << 40}, {"n": -1}, {"r": 0}):
        with pytest.raises(BackupError, match="damaged"):
            open_keys({**sealed, "scrypt": {**sealed["scrypt"], **cost}}, "correct horse battery")
