"""A room with databases: SQLite in a file and a real PostgreSQL, each test with a fresh one of its own.

PostgreSQL is the server that MAILVEIL_TEST_POSTGRES names (``postgresql://user@host:port/postgres``), else one that
takes the user ``postgres`` without a password on 127.0.0.1:5432, else a private cluster made of Debian's programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from postfix_room import free_port

if TYPE_CHECKING:
    from mailveil.adapters.database.engine import Database

NAMED_BY = "MAILVEIL_TEST_POSTGRES"
NAMED_SERVER = os.environ.get(NAMED_BY, "")  # before conftest.py takes such variables away
USUAL_SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"
PATIENCE_S = 120.0


@dataclass(frozen=True)
class DatabasePlace:
    """Where a test's own database is; its tables are there and empty, unless it was asked for without."""

    address: str  # as [database] url takes it
    kind: str  # "sqlite", "postgresql"

    @contextlib.asynccontextmanager
    async def opened(self, **settings: Any) -> AsyncIterator[Database]:
        """Open it; to be used within the event loop of the test."""
        from mailveil.adapters.database.engine import Database, database_url

        database = Database(database_url(self.address, Path("/nonexistent")), **settings)
        try:
            yield database
        finally:
            await database.close()


# --- a private cluster -------------------------------------------------------------------------------------


def _unprivileged() -> dict[str, Any]:
    """Return how to start PostgreSQL's programs, which refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise AssertionError("there is no unprivileged user to run PostgreSQL as")


def postgres_programs() -> Path | None:
    """Return the folder with initdb and postgres, the newest version of those installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    program = shutil.which("initdb")
    return Path(program).parent if program else None


@dataclass
class PostgresCluster:
    """A PostgreSQL of a test's own, which may be killed and started again."""

    programs: Path
    root: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """The database that others are made from."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Make the cluster's files."""
        user = _unprivileged()
        if user:
            os.chown(self.root, user["user"], user["group"])
        command = [self.programs / "initdb", "-D", self.root / "data", "-U", "postgres", "-A", "trust"]
        command += ["-E", "UTF8", "--no-locale", "--no-sync"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **user)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 60,
            "shared_buffers": "32MB",
        }
        command = [str(self.programs / "postgres"), "-D", str(self.root / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", start_new_session=True, **_unprivileged()
            )
        end = time.monotonic() + PATIENCE_S
        while not asyncio.run(_answers(self.address)):
            text = (self.root / "log").read_text(errors="replace")
            assert self.process.poll() is None, text
            assert time.monotonic() < end, text
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would, so that everything under way breaks off."""
        assert self.process is not None
        self._signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        """Let it neither answer nor refuse, as a machine that has lost its network."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        """Signal it and its children, of which each serves a connection."""
        assert self.process is not None
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        for pid in (own, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """End it for good and leave nothing behind."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # a fast shutdown
            try:
                self.process.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.root, ignore_errors=True)


async def _answers(address: str) -> bool:
    import asyncpg

    try:
        connection = await asyncpg.connect(address, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


def _lack(reason: str) -> Any:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def private_cluster() -> PostgresCluster:
    """Make and start a cluster; skip the test by name where PostgreSQL is not installed, fail under CI."""
    programs = postgres_programs()
    if programs is None:
        _lack("postgresql is not installed")
    cluster = PostgresCluster(
        programs, Path(tempfile.mkdtemp(prefix="mailveil-pg-", dir="/var/tmp")), free_port()
    )
    try:
        cluster.make()
        cluster.start()
    except BaseException:
        cluster.stop()
        raise
    return cluster


@pytest.fixture
def postgres_cluster() -> Iterator[PostgresCluster]:
    """A PostgreSQL of the test's own, to be killed."""
    cluster = private_cluster()
    try:
        yield cluster
    finally:
        cluster.stop()


# --- databases to fill -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL whose user may make databases."""
    if NAMED_SERVER:
        assert asyncio.run(_answers(NAMED_SERVER)), f"{NAMED_BY} does not answer"
        yield NAMED_SERVER
    elif asyncio.run(_answers(USUAL_SERVER)):
        yield USUAL_SERVER
    else:
        cluster = private_cluster()
        try:
            yield cluster.address
        finally:
            cluster.stop()


def _own(server: str, name: str) -> str:
    before, question, after = server.partition("?")
    return f"{before.rpartition('/')[0]}/{name}{question}{after}"


async def _command(server: str, *statements: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server, timeout=PATIENCE_S)
    try:
        for each in statements:
            await connection.execute(each, timeout=PATIENCE_S)
    finally:
        await connection.close()


async def _fill(place: DatabasePlace) -> None:
    """Make the tables."""
    from mailveil.adapters.database import schema

    async with place.opened() as database:
        await schema.upgrade(database)


@contextlib.contextmanager
def postgres_database(server: str, template: str = "template1") -> Iterator[DatabasePlace]:
    """Make a database that goes when the block ends."""
    name = f"mailveil_test_{os.getpid()}_{secrets.token_hex(4)}"
    asyncio.run(_command(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    try:
        yield DatabasePlace(_own(server, name), "postgresql")
    finally:
        asyncio.run(_command(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a database with empty tables, which others are copied from."""
    with postgres_database(postgres_server) as place:
        asyncio.run(_fill(place))
        yield place.address.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with empty tables, which others are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    asyncio.run(_fill(DatabasePlace(f"sqlite:///{path}", "sqlite")))
    return path


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> DatabasePlace:
    """An SQLite database of the test's own."""
    path = tmp_path / "mailveil.sqlite3"
    shutil.copyfile(sqlite_template, path)
    return DatabasePlace(f"sqlite:///{path}", "sqlite")


@pytest.fixture
def postgresql_database(postgres_server: str, postgres_template: str) -> Iterator[DatabasePlace]:
    """A PostgreSQL database of the test's own."""
    with postgres_database(postgres_server, postgres_template) as place:
        yield place


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> DatabasePlace:
    """A database of the test's own with empty tables, in SQLite and, in a second run, in PostgreSQL."""
    place: DatabasePlace = request.getfixturevalue(f"{request.param}_database")
    return place


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabasePlace]:
    """A database of the test's own without any table, in SQLite and, in a second run, in PostgreSQL."""
    if request.param == "sqlite":
        yield DatabasePlace(f"sqlite:///{tmp_path / 'bare.sqlite3'}", "sqlite")
    else:
        with postgres_database(request.getfixturevalue("postgres_server")) as place:
            yield place
