"""The engine: one database, SQLite in a file or PostgreSQL, behind one way to read and one to write."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from mailveil.ports import UnavailableError

TIMEOUT_S = 10.0
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class DatabaseAddressError(ValueError):
    """An address of a database that cannot be used; the text says what would do and repeats no password."""


def database_url(address: str, directory: Path) -> sa.URL:
    """Return where the database is: ``address`` as ``postgresql://user:password@host:port/name``.

    Empty: SQLite in ``directory``. Raises ``DatabaseAddressError``.
    """
    if not address:
        return sa.URL.create(DRIVERS["sqlite"], database=str(directory / "mailveil.sqlite3"))
    try:
        url = sa.make_url(address)
    except (SQLAlchemyError, ValueError) as error:
        raise DatabaseAddressError("is no URL; write postgresql://user:password@host:5432/name") from error
    driver = DRIVERS.get(url.drivername.partition("+")[0])
    if driver is None or not url.database:
        raise DatabaseAddressError(
            "has to be postgresql://user:password@host:5432/name or sqlite:////path/to/file"
        )
    return url.set(drivername=driver)


class Database:
    """One database. Nothing is contacted before it is first read or written."""

    def __init__(self, url: sa.URL, *, timeout_s: float = TIMEOUT_S, pool_size: int = 5) -> None:
        self.url = url
        self.refusal = ""  # why nothing may be read or written now, such as tables of another version
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._timeout_s = timeout_s
        self._writing = asyncio.Lock()  # SQLite has one writer; waiting here is cheaper than there
        if self.is_sqlite:
            self._engine = create_async_engine(
                url, connect_args={"timeout": timeout_s, "factory": _LettingGo}
            )
            sa.event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine.sync_engine, "begin", _begin_sqlite)
        else:
            self._engine = create_async_engine(
                url,
                pool_size=pool_size,
                pool_pre_ping=True,
                pool_timeout=timeout_s,
                connect_args={"timeout": timeout_s, "command_timeout": 6 * timeout_s},
            )

    @property
    def engine(self) -> AsyncEngine:
        """The engine of SQLAlchemy, for migrations."""
        return self._engine

    @contextlib.asynccontextmanager
    async def read(self, *, even_if_refused: bool = False) -> AsyncIterator[AsyncConnection]:
        """Open a connection to read from. Raises ``UnavailableError`` where the database cannot answer."""
        if self.refusal and not even_if_refused:
            raise UnavailableError(self.refusal)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(_unavailable())
            yield await self._connected(stack)

    @contextlib.asynccontextmanager
    async def write(self, *, is_long: bool = False) -> AsyncIterator[AsyncConnection]:
        """Open a transaction, which ends with the block: kept, or taken back where that raises.

        With ``is_long`` a command may take as long as it takes: what it does grows with the database.
        Raises ``UnavailableError`` where the database cannot answer; a constraint that does not hold stays
        ``sqlalchemy.exc.IntegrityError``.
        """
        if self.refusal:
            raise UnavailableError(self.refusal)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(_unavailable())
            if self.is_sqlite:
                await stack.enter_async_context(self._writing)
            is_patient = is_long and not self.is_sqlite
            connection = await (self._patient(stack) if is_patient else self._connected(stack))
            if self.is_sqlite:
                connection = await connection.execution_options(mailveil_writes=True)
            async with connection.begin():
                yield connection

    @contextlib.asynccontextmanager
    async def rebuild(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction for work on all of it, which may take long and make tables anew.

        Where a table is made anew, no rows of others go with it. Raises as ``write`` does.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(_unavailable())
            if self.is_sqlite:
                await stack.enter_async_context(self._writing)
                connection = await self._connected(stack)
                await connection.execution_options(mailveil_writes=True)
                # SQLite takes notice of this outside transactions only.
                await _pragma(connection, "foreign_keys=OFF")
                stack.push_async_callback(_pragma, connection, "foreign_keys=ON")
            else:
                connection = await self._patient(stack)
            async with connection.begin():
                yield connection

    async def sweep(self) -> None:
        """Empty the log of SQLite, in which deleted rows stand still, as far as nobody reads from it just now."""
        if not self.is_sqlite:
            return
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(_unavailable())
            await stack.enter_async_context(self._writing)
            connection = await self._connected(stack)
            # A reader that takes long is not waited for; the next checkpoint comes by itself.
            await _pragma(connection, "busy_timeout=1000")
            stack.push_async_callback(_pragma, connection, "busy_timeout=10000")
            await _pragma(connection, "wal_checkpoint(TRUNCATE)")

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection that sees everything as it is at one moment, for as long as reading it takes."""
        if self.is_sqlite:
            async with self.read(even_if_refused=True) as connection:
                yield connection  # in WAL mode a transaction sees one moment
            return
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(_unavailable())
            connection = await self._patient(stack)
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    async def _patient(self, stack: contextlib.AsyncExitStack) -> AsyncConnection:
        """Return a connection to PostgreSQL on which a command may take as long as it takes."""
        patient = create_async_engine(self.url, poolclass=NullPool, connect_args={"timeout": self._timeout_s})
        stack.push_async_callback(patient.dispose)
        return await stack.enter_async_context(patient.connect())

    async def _connected(self, stack: contextlib.AsyncExitStack) -> AsyncConnection:
        """Return a connection that answers; asking one of the pool whether it does is within the time limit, too."""
        async with asyncio.timeout(2 * self._timeout_s):
            return await stack.enter_async_context(self._engine.connect())

    async def close(self) -> None:
        """Let go of all connections."""
        await self._engine.dispose()


class _LettingGo(sqlite3.Connection):
    """A connection that takes its transaction back when it is closed.

    Where a task is cancelled, SQLAlchemy closes the connection under it, whose statements may live on in the frames of
    that task. SQLite keeps such a connection open until they are gone, and with it the lock that nobody else gets.
    """

    def close(self) -> None:
        """Roll back, which ends all statements, and close."""
        with contextlib.suppress(sqlite3.Error):  # closing comes after whatever goes wrong with it
            self.rollback()
        super().close()


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except (DBAPIError, sa.exc.TimeoutError, OSError, TimeoutError) as error:
        reason = type(getattr(error, "orig", None) or error).__name__
        raise UnavailableError(f"the database does not answer ({reason})") from error


async def _pragma(connection: AsyncConnection, text: str) -> None:
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    async with driver.execute(f"PRAGMA {text}"):
        pass


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    """Set up a connection: WAL, so that readers never wait; transactions begin where we say so."""
    del record
    connection.isolation_level = None
    cursor = connection.cursor()
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=NORMAL",
        "PRAGMA foreign_keys=ON",
        "PRAGMA busy_timeout=10000",
        "PRAGMA cache_size=-65536",
        "PRAGMA temp_store=MEMORY",
        "PRAGMA secure_delete=ON",  # what is deleted is overwritten
    ):
        cursor.execute(statement)
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at once where the transaction writes: asking for it later fails where another has it."""
    writes = connection.get_execution_options().get("mailveil_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
