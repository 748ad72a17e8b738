"""The database: how it is doing, bringing it up to date, and backups that go back into any other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from mailveil.adapters.database import schema
from mailveil.adapters.database.backup import (
    BackupError,
    BackupFacts,
    Progress,
    read_facts,
    restore_backup,
    silent,
    write_backup,
)
from mailveil.adapters.database.backupkeys import open_keys, seal_keys
from mailveil.adapters.database.engine import Database, DatabaseAddressError
from mailveil.adapters.newfiles import new_file
from mailveil.adapters.originals import OriginalError
from mailveil.app.clock import SystemClock
from mailveil.app.controlling import build_database, make_private, prepare
from mailveil.commands.terminal import complain, count
from mailveil.config import Settings
from mailveil.ports import UnavailableError

UNUSABLE = 2
TRAVELLING_KEYS = ("second-factors.key", "copies.key", "originals.key", "pseudonyms.key", "sharing.key")


@dataclass(frozen=True, slots=True)
class Restoration:
    """What is to be restored, and how."""

    source: str
    force: bool = False
    passphrase_file: str = ""


def show_database(settings: Settings, *, as_json: bool) -> int:
    """Print how the database is doing; return the exit code."""
    return _with_database(settings, lambda database: _show(database, as_json=as_json))


async def _show(database: Database, *, as_json: bool) -> int:
    revision = await schema.read_revision(database)
    facts: dict[str, Any] = {
        "database": database.url.render_as_string(hide_password=True),
        "kind": "sqlite" if database.is_sqlite else "postgresql",
        "revision": revision,
        "program_revision": schema.head_revision(),
    }
    async with database.snapshot() as connection:
        names = await connection.run_sync(lambda each: set(sa.inspect(each).get_table_names()))
        rows = {}
        for name in sorted(names & schema.TABLES):
            query = sa.select(sa.func.count()).select_from(sa.table(name))
            rows[name] = int((await connection.execute(query)).scalar_one())
        if database.is_sqlite:
            path = Path(database.url.database or "")
            files = [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm")]
            facts["size_bytes"] = sum(each.stat().st_size for each in files if each.exists())
        else:
            size = sa.text("SELECT pg_database_size(current_database())")
            facts["size_bytes"] = int((await connection.execute(size)).scalar_one())
    facts["rows"] = rows
    if as_json:
        click.echo(json.dumps(facts))
    else:
        click.echo(f"database   {facts['database']}")
        click.echo(f"revision   {_revision_in_words(revision)}")
        click.echo(f"size       {facts['size_bytes']:,} bytes")
        for name, number in rows.items():
            click.echo(f"{number:>15,}  {name}")
    schema.check_revision(revision)
    return 0


def _revision_in_words(revision: str) -> str:
    head = schema.head_revision()
    if not revision:
        return "none yet: the tables are made when mailveil starts, or by `mailveil database upgrade`"
    if revision == head:
        return f"{revision}, that of this program"
    if revision in schema.revisions():
        return f"{revision}; this program's is {head}: it upgrades when it starts"
    return f"{revision}, of a newer program; this one's is {head}"


def upgrade_database(settings: Settings) -> int:
    """Make the tables or bring them up to date; return the exit code."""

    async def steps(database: Database) -> int:
        before = await _revision_if_any(database)
        await prepare(database, SystemClock())
        after = await schema.read_revision(database)
        click.echo(
            f"the database is at revision {after}" + (f", was {before or 'empty'}" if before != after else "")
        )
        return 0

    return _with_database(settings, steps)


async def _revision_if_any(database: Database) -> str:
    if database.is_sqlite and not Path(database.url.database or "").exists():
        return ""
    return await schema.read_revision(database)


def back_up(settings: Settings, target: str, passphrase_file: str) -> int:
    """Write a backup while the database is in use; return the exit code."""
    path = Path(target)

    async def steps(database: Database) -> int:
        if path.exists():
            raise BackupError(f"{path}: exists already; a backup is never written over")
        keys = _sealed_keys(settings, passphrase_file)
        # Its owner's alone, and under another name until it is whole.
        with new_file(path, None) as file, _progress("backed up") as progress:
            facts = await write_backup(database, file, keys=keys, progress=progress)
            file.flush()
            os.fsync(file.fileno())
        click.echo(
            f"{path}: {count(facts.rows, 'row')} of {len(facts.counts)} tables, {path.stat().st_size:,} bytes"
        )
        if keys is None:
            click.echo(
                f"Without keys: keep {', '.join(TRAVELLING_KEYS)} of {settings.directory} in another safe place, "
                "or give --passphrase-file. Without them second factors have to be set up anew."
            )
        return 0

    return _with_database(settings, steps)


def restore(settings: Settings, restoration: Restoration) -> int:
    """Put a backup into the database that is configured; return the exit code."""

    async def steps(database: Database) -> int:
        with Path(restoration.source).open("rb") as file:
            # Read once beforehand: a damaged file, or another's passphrase, is told before anything is locked.
            facts = read_facts(file)
            keys = _opened_keys(facts, restoration.passphrase_file)
            _check_keys(settings.directory, keys, force=restoration.force)
            file.seek(0)
            make_private(database)
            with _progress("restored") as progress:
                await restore_backup(database, file, force=restoration.force, progress=progress)
        await prepare(database, SystemClock())
        made = datetime.fromtimestamp(facts.made_at).astimezone().isoformat(" ", "minutes")
        click.echo(
            f"{count(facts.rows, 'row')} of {made}, written by mailveil {facts.version}, are in the database"
        )
        for line in _put_keys(settings.directory, keys):
            click.echo(line)
        if facts.keys and not keys:
            click.echo("The keys in the backup were left there; give --passphrase-file to restore them, too.")
        click.echo("Everybody has to sign in again.")
        return 0

    return _with_database(settings, steps)


# --- keys --------------------------------------------------------------------------------------------------


def _sealed_keys(settings: Settings, passphrase_file: str) -> dict[str, Any] | None:
    if not passphrase_file:
        return None
    paths = [settings.directory / name for name in TRAVELLING_KEYS]
    return seal_keys(
        {path.name: path.read_bytes() for path in paths if path.exists()}, _passphrase(passphrase_file)
    )


def _opened_keys(facts: BackupFacts, passphrase_file: str) -> dict[str, bytes]:
    if not passphrase_file:
        return {}
    if not facts.keys:
        raise BackupError("there are no keys in the backup; leave out --passphrase-file")
    keys = open_keys(facts.keys, _passphrase(passphrase_file))
    return {name: key for name, key in keys.items() if name in TRAVELLING_KEYS}


def _passphrase(file: str) -> str:
    try:
        return Path(file).read_text("utf-8").strip("\r\n")
    except UnicodeDecodeError as error:
        raise BackupError(f"{file}: is not UTF-8 text") from error


def _check_keys(directory: Path, keys: dict[str, bytes], *, force: bool) -> None:
    for name, key in keys.items():
        path = directory / name
        if path.exists() and path.read_bytes() != key and not force:
            raise BackupError(
                f"{path}: is another key than that in the backup. With --force the backup's takes its place, "
                "and this one is kept beside it"
            )


def _put_keys(directory: Path, keys: dict[str, bytes]) -> Iterator[str]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, key in keys.items():
        path = directory / name
        if path.exists() and path.read_bytes() == key:
            continue
        if path.exists():
            aside = path.with_name(f"{name}.{int(time.time())}")
            path.rename(aside)
            yield f"{aside}: the key that was in use before"
        with new_file(path, None) as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        yield f"{path}: restored"


# --- around all of them ------------------------------------------------------------------------------------


def _with_database(settings: Settings, work: Callable[[Database], Awaitable[int]]) -> int:
    async def steps() -> int:
        database = build_database(settings)
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(steps())
    except (DatabaseAddressError, UnavailableError, OriginalError, BackupError) as error:
        complain(str(error))
        return UNUSABLE


@contextlib.contextmanager
def _progress(verb: str) -> Iterator[Progress]:
    """Show on standard error how far it is, if that is a terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = bar.add_task(f"{table} {verb}", total=total or 1)
            bar.update(tasks[table], completed=done)

        yield show
