"""Backups: everything of a database in one compressed file, the same from SQLite and PostgreSQL, and back into either.

gzip (RFC 1952) of one JSON text a line. First what it is: format, program, revision of the tables, time. Then for each
table its name, columns and how many rows, and the rows, each an array in the order of the columns (bytes as base64).
Then the sealed keys, if any. Last a SHA-256 of all lines before, so that a file that was cut off or damaged is noticed.

Left out is what only matters for hours: sessions, one-time links, failed sign-ins, used codes, answers to repeat, and
who does what only one process may do.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil import __version__
from mailveil.adapters.database import schema, tables
from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.statements import POLICY_STAMP

FORMAT: Final = 1
LEFT_OUT: Final = frozenset(
    {"sessions", "links", "failures", "used_steps", "repeats", "stamps", "leases", schema.VERSION_TABLE}
)
BATCH: Final = 500
MAX_LINE_BYTES: Final = 64 * 1024 * 1024  # a row takes some hundred kB at most
LAST_TIME: Final = 253_370_000_000.0  # nearly the year 9999, in every time zone
Progress = Callable[[str, int, int], None]  # table, rows done, rows in all


class BackupError(Exception):
    """A backup cannot be written or used; the text is for an administrator. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """What is in a backup."""

    revision: str
    version: str
    made_at: float
    counts: Mapping[str, int]
    keys: Mapping[str, Any] = field(default_factory=dict)  # sealed, by file name

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.counts.values())


def silent(table: str, done: int, total: int) -> None:
    """Take note of progress by saying nothing."""
    del table, done, total


# --- writing -----------------------------------------------------------------------------------------------


async def write_backup(
    database: Database,
    file: BinaryIO,
    *,
    keys: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> BackupFacts:
    """Write what is in a database at one moment, while it is in use. ``keys`` are sealed already, and JSON.

    Raises ``BackupError``, ``UnavailableError`` or ``OSError``.
    """
    revision = await schema.read_revision(database)
    schema.check_revision(revision)
    if not revision:
        raise BackupError("the database is empty")
    counts: dict[str, int] = {}
    made_at = time.time()
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=int(made_at)) as packed:
        lines = _Lines(packed)
        head = {"mailveil": "backup", "format": FORMAT, "version": __version__, "revision": revision}
        lines.write({**head, "made_at": made_at})
        async with database.snapshot() as connection:
            for table in await _tables_of(connection):
                count = sa.select(sa.func.count()).select_from(table)
                total = int((await connection.execute(count)).scalar_one())
                lines.write(
                    {"table": table.name, "columns": [column.name for column in table.c], "rows": total}
                )
                counts[table.name] = await _write_rows(connection, table, lines, total, progress)
        if keys:
            lines.write({"keys": dict(keys)})
        lines.write({"rows": sum(counts.values()), "sha256": lines.digest()})
    return BackupFacts(revision, __version__, made_at, counts, keys or {})


async def _write_rows(
    connection: AsyncConnection, table: sa.Table, lines: _Lines, total: int, progress: Progress
) -> int:
    binary = _binary_columns(table)
    done = 0
    progress(table.name, 0, total)
    async with connection.stream(sa.select(table).execution_options(yield_per=BATCH)) as rows:
        async for part in rows.partitions(BATCH):
            for row in part:
                values = list(row)
                for place in binary:
                    values[place] = base64.b64encode(values[place]).decode("ascii")
                lines.write(values)
            done += len(part)
            progress(table.name, done, total)
    return done


class _Lines:
    """Lines of JSON, and a digest of those written so far."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, value: Any) -> None:
        line = json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
        self._digest.update(line)
        self._file.write(line)

    def digest(self) -> str:
        return self._digest.hexdigest()


# --- reading -----------------------------------------------------------------------------------------------


async def restore_backup(
    database: Database, file: BinaryIO, *, force: bool = False, progress: Progress = silent
) -> BackupFacts:
    """Put a backup into a database that is empty, or with ``force`` in place of what is there; all of it or nothing.

    One of an older version is brought up to date. Raises ``BackupError``, ``NewerDatabaseError`` or
    ``UnavailableError``.
    """
    with _readable():
        reader = _Reader(gzip.GzipFile(fileobj=file))
        head = reader.head()
        schema.check_revision(head["revision"])
        async with database.rebuild() as connection:
            await schema.take_lock(connection)
            if not force and (table := await _first_filled(connection)):
                raise BackupError(
                    f"the database is in use: there are rows in {table}. With --force they are deleted for good, "
                    "and the backup takes their place"
                )
            await connection.run_sync(_clear)
            await connection.run_sync(schema.upgrade_connection, head["revision"])
            counts = await _read_tables(connection, reader, progress)
            await connection.run_sync(schema.upgrade_connection, schema.head_revision())
            # Whoever keeps a copy of policies has to read them anew, whatever number the stamp had here before.
            await connection.execute(
                sa.insert(tables.stamps).values(name=POLICY_STAMP, number=int(time.time() * 1000))
            )
        return BackupFacts(head["revision"], head["version"], head["made_at"], counts, reader.keys)


def read_facts(file: BinaryIO) -> BackupFacts:
    """Read a backup to its end and return what is in it, touching no database. Raises ``BackupError``."""
    with _readable():
        reader = _Reader(gzip.GzipFile(fileobj=file))
        head = reader.head()
        counts = {name: sum(1 for _ in rows) for name, _, _, rows in reader.tables()}
        return BackupFacts(head["revision"], head["version"], head["made_at"], counts, reader.keys)


class _readable:  # noqa: N801 - read as a statement
    """What is wrong with a file, in words."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case EOFError():
                raise BackupError("the backup ends too early: it was cut off") from error
            case gzip.BadGzipFile() | zlib.error():
                raise BackupError("the file is no backup, or damaged") from error
            case KeyError() | TypeError() | ValueError() | OverflowError() | RecursionError():
                raise BackupError("the backup is damaged, or was not written by mailveil") from error
            case SQLAlchemyError():
                raise BackupError(f"the backup does not fit its tables ({type(error).__name__})") from error


class _Reader:
    """A backup, read once from beginning to end."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._rows = 0
        self.keys: Mapping[str, Any] = {}

    def _line(self) -> Any:
        before = self._digest.hexdigest()
        raw = self._file.readline(MAX_LINE_BYTES)
        if not raw.endswith(b"\n"):
            if len(raw) >= MAX_LINE_BYTES:
                raise BackupError("the backup is damaged, or was not written by mailveil: a line is too long")
            raise EOFError
        self._digest.update(raw)
        value = json.loads(raw)
        if isinstance(value, dict) and "sha256" in value:
            if value["sha256"] != before or value["rows"] != self._rows:
                raise BackupError("the backup is damaged: its checksum does not match")
            if self._file.read(1):
                raise BackupError("the backup is damaged: something follows its end")
        return value

    def head(self) -> dict[str, Any]:
        head = self._line()
        if not isinstance(head, dict) or head.get("mailveil") != "backup":
            raise BackupError("the file is no backup of mailveil")
        if head["format"] != FORMAT:
            raise BackupError(f"the backup has format {head['format']}, which a newer mailveil reads")
        made_at = float(head["made_at"])
        if not 0 <= made_at < LAST_TIME:
            raise ValueError
        return {"revision": str(head["revision"]), "version": str(head["version"]), "made_at": made_at}

    def tables(self) -> Iterator[tuple[str, list[str], int, Iterator[list[Any]]]]:
        """Give name, columns, count and rows of each table; the rows have to be taken before the next one."""
        while True:
            line = self._line()
            if "sha256" in line:
                return
            if "keys" in line:
                self.keys = line["keys"]
                continue
            yield line["table"], line["columns"], int(line["rows"]), self._table(int(line["rows"]))

    def _table(self, count: int) -> Iterator[list[Any]]:
        for _ in range(count):
            row = self._line()
            if not isinstance(row, list):
                raise BackupError("the backup is damaged: a row is missing")
            self._rows += 1
            yield row


async def _read_tables(connection: AsyncConnection, reader: _Reader, progress: Progress) -> dict[str, int]:
    known = {table.name: table for table in await _tables_of(connection)}
    counts: dict[str, int] = {}
    for name, columns, total, rows in reader.tables():
        if name not in known:
            raise BackupError("the backup is damaged: its revision has no table of that name")
        table = known[name]
        binary = {
            table.c[column].name for column in columns if isinstance(table.c[column].type, sa.LargeBinary)
        }
        counts[name] = 0
        progress(name, 0, total)
        for batch in _batches(rows):
            values = [dict(zip(columns, row, strict=True)) for row in batch]
            for each in values:
                for column in binary:
                    each[column] = base64.b64decode(each[column], validate=True)
            await connection.execute(sa.insert(table), values)
            counts[name] += len(batch)
            progress(name, counts[name], total)
    return counts


def _batches(rows: Iterator[list[Any]]) -> Iterator[list[list[Any]]]:
    batch: list[list[Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


# --- tables as they are ------------------------------------------------------------------------------------


async def _tables_of(connection: AsyncConnection) -> list[sa.Table]:
    """Return the tables that a backup holds as this database has them, whatever its revision; parents first."""

    def reflect(sync: sa.Connection) -> list[sa.Table]:
        found = sa.MetaData()
        found.reflect(sync, only=lambda name, _: name in schema.TABLES and name not in LEFT_OUT)
        return list(found.sorted_tables)

    return await connection.run_sync(reflect)


def _binary_columns(table: sa.Table) -> list[int]:
    return [place for place, column in enumerate(table.c) if isinstance(column.type, sa.LargeBinary)]


async def _first_filled(connection: AsyncConnection) -> str:
    """Return a table with rows of somebody's; ``""`` where there is nothing but what every start makes."""
    for table in await _tables_of(connection):
        query = sa.select(sa.func.count()).select_from(table)
        if table.name == tables.organisations.name:
            query = query.where(table.c.identifier != "default")
        if (await connection.execute(query)).scalar_one():
            return table.name
    return ""


def _clear(connection: sa.Connection) -> None:
    """Drop our tables, and only ours: a database in PostgreSQL may hold those of others."""
    if schema.current_revision(connection):
        schema.upgrade_connection(connection, schema.head_revision())  # so that they are the ones known here
        tables.metadata.drop_all(connection)
        sa.Table(schema.VERSION_TABLE, sa.MetaData()).drop(connection)
