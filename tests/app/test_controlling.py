"""The control room over its database: made at start, awaited while it is away, found again when it is back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from control_room import NOW, SetClock
from mailveil.adapters.database import schema
from mailveil.adapters.database.engine import Database, DatabaseAddressError
from mailveil.adapters.database.organisations import SqlOrganisationStore
from mailveil.app import Outcome, checking, controlling
from mailveil.app.controlling import DatabaseKeeper, build_database, build_room, opened_room, retention_rules
from mailveil.config import Settings, SettingsError, describe, load
from mailveil.control.records import Organisation
from mailveil.ports import UnavailableError
from postfix_room import free_port
from postgres_room import PATIENCE_S, DatabasePlace, PostgresCluster


def settings(tmp_path: Path, **more: str) -> Settings:
    environment = {"MAILVEIL_STORAGE__DIRECTORY": str(tmp_path / "state")}
    return load(None, {**environment, **{f"MAILVEIL_{name}": value for name, value in more.items()}})


# --- settings ----------------------------------------------------------------------------------------------


def test_without_a_setting_the_database_is_a_private_file_in_the_storage_directory(tmp_path: Path) -> None:
    async def steps() -> None:
        async with opened_room(settings(tmp_path)) as room:
            assert [each.identifier for each in await room.organisations.organisations()] == ["default"]

    asyncio.run(steps())
    path = tmp_path / "state" / "mailveil.sqlite3"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "second-factors.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"DATABASE__URL": "mysql://root:pa55word@db/x"}, "has to be postgresql://"),
        ({"DATABASE__URL": "postgresql://root:pa55word@db"}, "has to be postgresql://"),
        ({"DATABASE__URL": "pa55word"}, "is no URL; write postgresql://"),
        ({"DATABASE__URL": "postgresql://a:pa55word@db:port/x"}, "is no URL"),
        ({"DATABASE__URL": "postgresql://a:pa55word@db/x", "DATABASE__URL_FILE": "/x"}, "only one of them"),
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_its_password(
    tmp_path: Path, values: Mapping[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        settings(tmp_path, **values)
    assert "pa55word" not in str(caught.value)


def test_the_password_is_shown_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    address = f"postgresql://mailveil:pa55word@127.0.0.1:{free_port()}/mailveil"
    known = settings(tmp_path, DATABASE__URL=address)
    shown = [each for each in describe(known) if each.area == "database"]
    assert [each.value for each in shown] == ['"***"', '""']

    async def steps() -> None:
        database = build_database(known)
        assert "pa55word" not in repr(database.url)
        keeper = DatabaseKeeper(database, build_room(known, database), retention_rules(known))
        await keeper.start(patience_s=0)
        while keeper.problem == controlling.NOT_READY:
            await asyncio.sleep(0.01)
        assert "pa55word" not in keeper.problem
        await keeper.stop()

    with caplog.at_level(logging.DEBUG):
        asyncio.run(steps())
    assert "does not answer" in caplog.text
    assert "pa55word" not in caplog.text


def test_the_address_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://mailveil:pa55word@db.example/records\n")
    database = build_database(settings(tmp_path, DATABASE__URL_FILE=str(secret)))
    assert (database.url.host, database.url.database) == ("db.example", "records")
    for text, words in (("", "is empty"), ("ftp://x:pa55word@y/z", "has to be")):
        secret.write_text(text)
        with pytest.raises(DatabaseAddressError, match=rf"\[database\] url_file.* {words}") as caught:
            build_database(settings(tmp_path, DATABASE__URL_FILE=str(secret)))
        assert "pa55word" not in str(caught.value)
    with pytest.raises(DatabaseAddressError, match="No such file"):
        build_database(settings(tmp_path, DATABASE__URL_FILE=str(tmp_path / "none")))


def test_check_tells_how_the_database_is_doing(tmp_path: Path, bare_database: DatabasePlace) -> None:
    async def told(address: str) -> tuple[Outcome, str]:
        result = await checking._database(settings(tmp_path, DATABASE__URL=address))
        return result.outcome, result.text

    async def steps() -> None:
        outcome, text = await told(bare_database.address)
        assert outcome is not Outcome.BAD
        assert "is made when mailveil starts" in text or "no tables yet" in text
        async with opened_room(settings(tmp_path, DATABASE__URL=bare_database.address)):
            pass
        outcome, text = await told(bare_database.address)
        assert (outcome, text.endswith(f"answers, revision {schema.head_revision()}")) == (Outcome.GOOD, True)
        outcome, text = await told(f"postgresql://mailveil:pa55word@127.0.0.1:{free_port()}/x")
        assert outcome is Outcome.BAD
        assert "does not answer" in text
        assert "pa55word" not in text

    asyncio.run(steps())


# --- opening -----------------------------------------------------------------------------------------------


def test_what_an_administrator_named_is_not_made_anew(tmp_path: Path) -> None:
    ours = Organisation("default", "Our house", ("our.example",), "fr", NOW)

    async def steps() -> None:
        async with opened_room(settings(tmp_path)) as room:
            await room.organisations.put(ours)
        async with opened_room(settings(tmp_path)) as room:
            assert await room.organisations.organisations() == [ours]

    asyncio.run(steps())


def test_several_processes_that_start_together_make_one_database(tmp_path: Path) -> None:
    async def one() -> int:
        async with opened_room(settings(tmp_path)) as room:
            return len(await room.organisations.organisations())

    async def steps() -> None:
        assert await asyncio.gather(*(one() for _ in range(4))) == [1] * 4

    asyncio.run(steps())


def test_a_storage_directory_that_cannot_be_written_is_a_database_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, no folder")

    async def steps() -> None:
        known = settings(tmp_path)
        with pytest.raises(UnavailableError, match="cannot be opened"):
            await controlling.prepare(build_database(known), SetClock())

    asyncio.run(steps())


def test_a_newer_database_is_never_opened(tmp_path: Path) -> None:
    known = settings(tmp_path)

    async def steps() -> None:
        async with opened_room(known):
            pass
        database = build_database(known)
        async with database.write() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        room = build_room(known, database)
        keeper = DatabaseKeeper(database, room, retention_rules(known))
        await keeper.start(patience_s=0)
        while "newer mailveil" not in keeper.problem:
            await asyncio.sleep(0.01)
        with pytest.raises(UnavailableError, match="newer mailveil"):
            await room.organisations.organisations()
        with pytest.raises(UnavailableError, match="newer mailveil"):
            await room.organisations.put(Organisation("acme", "Acme"))
        await keeper.stop()
        with pytest.raises(schema.NewerDatabaseError):
            async with opened_room(known):
                pass

    asyncio.run(steps())


# --- away, and back ----------------------------------------------------------------------------------------


def test_a_database_that_is_away_at_start_is_found_when_it_comes(
    tmp_path: Path,
    postgres_cluster: PostgresCluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(controlling, "RETRY_S", (0.05, 0.2))
    postgres_cluster.kill()
    known = settings(tmp_path, DATABASE__URL=postgres_cluster.address)

    async def steps() -> None:
        database = build_database(known)
        room = build_room(known, database)
        keeper = DatabaseKeeper(database, room, retention_rules(known))
        await keeper.start(patience_s=0.01)
        while keeper.problem == controlling.NOT_READY:
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        with pytest.raises(UnavailableError, match="does not answer"):
            await room.organisations.organisations()
        assert time.monotonic() - begun < 5
        await asyncio.to_thread(postgres_cluster.start)
        await asyncio.wait_for(keeper.wait_until_ready(), PATIENCE_S)
        assert keeper.problem == ""
        assert len(await room.organisations.organisations()) == 1
        await keeper.stop()

    asyncio.run(steps())
    away = [record for record in caplog.records if "mail flows on without" in record.getMessage()]
    assert 1 <= len(away) <= 3  # said when it changes, not at every attempt
    assert "the database answers after" in caplog.text


def test_a_database_that_dies_is_missed_at_once_and_found_again_by_itself(
    tmp_path: Path, postgres_cluster: PostgresCluster
) -> None:
    known = settings(tmp_path, DATABASE__URL=postgres_cluster.address)

    async def steps() -> None:
        async with opened_room(known) as room:
            await asyncio.gather(
                *(room.organisations.organisations() for _ in range(5))
            )  # pooled connections
            postgres_cluster.kill()
            for _ in range(3):
                begun = time.monotonic()
                with pytest.raises(UnavailableError):
                    await room.organisations.organisations()
                with pytest.raises(UnavailableError):
                    await room.organisations.put(Organisation("acme", "Acme"))
                assert time.monotonic() - begun < 20
            await asyncio.to_thread(postgres_cluster.start)
            for _ in range(6):
                assert [each.identifier for each in await room.organisations.organisations()] == ["default"]
            await room.organisations.put(Organisation("acme", "Acme"))

    asyncio.run(steps())


def test_a_database_that_hangs_is_given_up_in_time(tmp_path: Path, postgres_cluster: PostgresCluster) -> None:
    """A machine that lost its network neither refuses nor answers."""
    known = settings(tmp_path, DATABASE__URL=postgres_cluster.address)

    async def steps() -> None:
        async with opened_room(known):
            pass
        database = Database(build_database(known).url, timeout_s=1)
        store = SqlOrganisationStore(database)
        assert len(await store.organisations()) == 1
        postgres_cluster.freeze()
        try:
            begun = time.monotonic()
            with pytest.raises(UnavailableError):
                await store.organisations()
            assert time.monotonic() - begun < 15
        finally:
            postgres_cluster.thaw()
        assert len(await store.organisations()) == 1
        await database.close()

    asyncio.run(steps())


def test_sqlite_and_postgresql_start_alike(bare_database: DatabasePlace, tmp_path: Path) -> None:
    known = settings(tmp_path, DATABASE__URL=bare_database.address)

    async def steps() -> None:
        database = build_database(known)
        room = build_room(known, database)
        keeper = DatabaseKeeper(database, room, retention_rules(known))
        with pytest.raises(UnavailableError, match="not been opened yet"):
            await room.organisations.organisations()
        await keeper.start(PATIENCE_S)
        assert keeper.problem == ""
        assert [each.identifier for each in await room.organisations.organisations()] == ["default"]
        await keeper.stop()

    asyncio.run(steps())
