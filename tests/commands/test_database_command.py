"""``mailveil database``: what an administrator does to look after it, on both databases."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from control_room import fill, opened_room
from mailveil.app.controlling import opened_room as opened_as_configured
from mailveil.config import load
from postfix_room import free_port
from postgres_room import DatabasePlace

PASSPHRASE = "a passphrase of words"


def mailveil(
    place: DatabasePlace | str, directory: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "MAILVEIL_STORAGE__DIRECTORY": str(directory),
        "MAILVEIL_DATABASE__URL": place if isinstance(place, str) else place.address,
    }
    command = [sys.executable, "-P", "-m", "mailveil", "database", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


async def filled(place: DatabasePlace) -> None:
    async with opened_room(place) as room:
        await fill(room)


def test_a_new_database_is_made_and_told_about(bare_database: DatabasePlace, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    before = mailveil(bare_database, state, "status")
    assert (before.returncode, "none yet" in before.stdout) == (0, True), before
    made = mailveil(bare_database, state, "upgrade")
    assert (made.returncode, made.stdout) == (0, "the database is at revision 0002, was empty\n"), made
    again = mailveil(bare_database, state, "upgrade")
    assert again.stdout == "the database is at revision 0002\n"
    facts = json.loads(mailveil(bare_database, state, "status", "--json").stdout)
    assert facts["kind"] == bare_database.kind
    assert facts["revision"] == facts["program_revision"] == "0002"
    assert facts["rows"]["organisations"] == 1
    assert facts["size_bytes"] > 10_000


def test_moving_from_sqlite_to_postgresql_and_back(
    sqlite_database: DatabasePlace, postgresql_database: DatabasePlace, tmp_path: Path
) -> None:
    asyncio.run(filled(sqlite_database))
    old, new, last = tmp_path / "old", tmp_path / "new", tmp_path / "last"
    for each in (old, new, last):
        each.mkdir(mode=0o700)
    (old / "second-factors.key").write_bytes(bytes(range(32)))  # that of control_room
    (old / "second-factors.key").chmod(0o600)
    (tmp_path / "words").write_text(PASSPHRASE + "\n")
    secret = ("--passphrase-file", str(tmp_path / "words"))

    first = tmp_path / "first.backup"
    done = mailveil(sqlite_database, old, "backup", str(first), *secret)
    assert done.returncode == 0, done
    assert first.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    done = mailveil(postgresql_database, new, "restore", str(first), *secret)
    assert done.returncode == 0, done
    assert "sign in again" in done.stdout
    assert (new / "second-factors.key").read_bytes() == bytes(range(32))
    assert (new / "second-factors.key").stat().st_mode & 0o777 == 0o600

    second = tmp_path / "second.backup"
    assert mailveil(postgresql_database, new, "backup", str(second), *secret).returncode == 0
    done = mailveil("", last, "restore", str(second), *secret)  # into the file in the storage directory
    assert done.returncode == 0, done
    assert (last / "mailveil.sqlite3").stat().st_mode & 0o777 == 0o600

    def rows(place: DatabasePlace | str, directory: Path) -> dict[str, int]:
        found: dict[str, int] = json.loads(mailveil(place, directory, "status", "--json").stdout)["rows"]
        return {name: count for name, count in found.items() if name not in gone}

    gone = {"sessions", "links", "failures", "used_steps", "repeats", "stamps", "leases"}
    assert rows(sqlite_database, old) == rows(postgresql_database, new) == rows("", last)

    async def second_factor() -> str:
        settings = load(None, {"MAILVEIL_STORAGE__DIRECTORY": str(last)})
        async with opened_as_configured(settings) as room:
            anna = await room.accounts.user_named("änna")
            assert anna is not None
            return anna.totp_secret

    assert asyncio.run(second_factor()) == "GEZDGNBVGY3TQOJQ"


def test_nothing_is_written_over_unless_it_is_asked_for(database: DatabasePlace, tmp_path: Path) -> None:
    asyncio.run(filled(database))
    state, backup, words = tmp_path / "state", tmp_path / "b", tmp_path / "words"
    state.mkdir(mode=0o700)
    words.write_text(PASSPHRASE)
    (state / "copies.key").write_bytes(b"1" * 32)
    assert mailveil(database, state, "backup", str(backup), "--passphrase-file", str(words)).returncode == 0
    again = mailveil(database, state, "backup", str(backup))
    assert (again.returncode, "never written over" in again.stderr) == (2, True)

    refused = mailveil(database, state, "restore", str(backup))
    assert (refused.returncode, "With --force they are deleted for good" in refused.stderr) == (2, True)
    (state / "copies.key").write_bytes(b"2" * 32)
    secret = ("--passphrase-file", str(words))
    forced = mailveil(database, state, "restore", str(backup), "--force", *secret)
    assert forced.returncode == 0, forced
    assert (state / "copies.key").read_bytes() == b"1" * 32
    assert [path.read_bytes() for path in state.glob("copies.key.*")] == [b"2" * 32]
    (state / "copies.key").write_bytes(b"3" * 32)
    other = tmp_path / "other.sqlite3"
    refused = mailveil(f"sqlite:///{other}", state, "restore", str(backup), *secret)
    assert (refused.returncode, "is another key" in refused.stderr) == (2, True)
    words.write_text("not the same words")
    refused = mailveil(f"sqlite:///{other}", state, "restore", str(backup), *secret)
    assert (refused.returncode, "passphrase is not that" in refused.stderr) == (2, True)
    assert not other.exists()


def test_a_backup_without_keys_says_so(sqlite_database: DatabasePlace, tmp_path: Path) -> None:
    asyncio.run(filled(sqlite_database))
    done = mailveil(sqlite_database, tmp_path, "backup", str(tmp_path / "b"))
    assert done.returncode == 0
    assert "keep second-factors.key" in done.stdout
    (tmp_path / "words").write_text(PASSPHRASE)
    refused = mailveil(
        "", tmp_path / "new", "restore", str(tmp_path / "b"), "--passphrase-file", str(tmp_path / "words")
    )
    assert (refused.returncode, "no keys in the backup" in refused.stderr) == (2, True)


@pytest.mark.parametrize("command", [("status",), ("upgrade",), ("backup", "FILE"), ("restore", "FILE")])
def test_a_database_that_is_away_is_told_without_its_password(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "none").write_bytes(b"no backup")
    target = str(tmp_path / ("none" if command[0] == "restore" else "new"))
    address = f"postgresql://mailveil:pa55word@127.0.0.1:{free_port()}/mailveil"
    done = mailveil(address, tmp_path, *(target if each == "FILE" else each for each in command))
    assert done.returncode == 2
    expected = "no backup, or damaged" if command[0] == "restore" else "the database does not answer"
    assert expected in done.stderr
    assert "pa55word" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "new").exists()
