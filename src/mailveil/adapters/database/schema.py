"""The schema: which revision of the tables a database has, and bringing it up to that of this program."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from mailveil.adapters.database.engine import Database
from mailveil.adapters.database.tables import metadata
from mailveil.ports import UnavailableError

_LOCK = 0x6D61696C7665696C  # "mailveil": of PostgreSQL's advisory locks the one that upgrades hold
VERSION_TABLE = "alembic_version"
TABLES = frozenset(metadata.tables)  # of any revision: add those here that a migration takes away


class NewerDatabaseError(UnavailableError):
    """The database was made by a newer program; this one must not touch it."""


class DamagedDatabaseError(UnavailableError):
    """What an upgrade left behind is not whole; it was taken back."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From which revision to which a database was brought; ``before`` is ``""`` where it was empty."""

    before: str
    after: str

    @property
    def is_needless(self) -> bool:
        """Whether nothing had to be done."""
        return self.before == self.after


def script_directory() -> ScriptDirectory:
    """Return the migrations of this program."""
    return ScriptDirectory(str(resources.files("mailveil.adapters.database") / "migrations"))


def revisions() -> tuple[str, ...]:
    """Return the revisions that this program knows, the oldest first."""
    return tuple(each.revision for each in script_directory().walk_revisions())[::-1]


def head_revision() -> str:
    """Return the revision of this program's tables."""
    return revisions()[-1]


async def read_revision(database: Database) -> str:
    """Return the revision of a database, ``""`` for an empty one. Raises ``UnavailableError``."""
    async with database.read(even_if_refused=True) as connection:
        return await connection.run_sync(current_revision)


def check_revision(revision: str) -> None:
    """Raise ``NewerDatabaseError`` for a revision that this program does not know."""
    if revision and revision not in revisions():
        raise NewerDatabaseError(
            f"the database was upgraded by a newer mailveil (its revision is {revision}, this program knows "
            f"{head_revision()}); run that version, or restore a backup made before the upgrade"
        )


async def upgrade(database: Database, revision: str = "") -> Upgrade:
    """Bring a database up to a revision [default: this program's], in one transaction.

    Of two processes that start together one does it, and the other waits for that. There is no way back but a backup.
    Raises ``NewerDatabaseError``, ``DamagedDatabaseError`` or ``UnavailableError``.
    """
    before = await read_revision(database)
    check_revision(before)
    if before == (revision or head_revision()):
        return Upgrade(before, before)
    async with database.rebuild() as connection:
        await take_lock(connection)
        return await connection.run_sync(upgrade_connection, revision or head_revision())


async def take_lock(connection: AsyncConnection) -> None:
    """Wait until nobody else works on the tables; nobody does until the transaction ends."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def upgrade_connection(connection: sa.Connection, revision: str) -> Upgrade:
    """Bring tables up to a revision within a transaction of ``Database.rebuild``. Raises as ``upgrade`` does."""
    before = current_revision(connection)  # anew: somebody may have been faster
    check_revision(before)
    if before == revision:
        return Upgrade(before, before)
    script = script_directory()

    def steps(current: Any, context: object) -> Any:
        del context
        return script._upgrade_revs(revision, current)  # alembic.command does no other

    with EnvironmentContext(Config(), script, fn=steps, destination_rev=revision) as environment:
        environment.configure(
            connection=connection,
            target_metadata=metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            transactional_ddl=True,
        )
        environment.run_migrations()
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise DamagedDatabaseError(f"rows of {broken[0]} would be left without what they belong to")
    return Upgrade(before, revision)


def current_revision(connection: sa.Connection) -> str:
    """Return the revision of a database, ``""`` for an empty one."""
    return MigrationContext.configure(connection).get_current_revision() or ""
