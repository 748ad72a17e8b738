from __future__ import annotations

import asyncio
import concurrent.futures
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.adapters.originals import (
    DAY_S,
    KeptOriginal,
    OriginalError,
    OriginalFacts,
    OriginalKeeper,
    OriginalReader,
    OriginalsFullError,
    OriginalStore,
    facts_of,
    load_key,
)
from mailveil.app.building import build_originals
from mailveil.config import load
from mailveil.core.policy import Envelope

FACTS = OriginalFacts(
    message_id="<1@sender.example>",
    sender="Ann <ann@sender.example>",
    recipients=("bob@example.org", "eve@example.org"),
    subject="Geheim \N{SNOWMAN}",
    reason="signature removed",
)
NOW = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> OriginalStore:
    return OriginalStore(tmp_path / "originals", load_key(tmp_path / "key"))


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "originals").iterdir())


def test_what_is_kept_comes_back_byte_for_byte(store: OriginalStore) -> None:
    raw = bytes(range(256)) * 40
    identifier = store.keep(raw, FACTS, now=NOW)
    assert store.release(identifier) == raw
    assert store.list() == [KeptOriginal(identifier, NOW, store.list()[0].stored_bytes, FACTS)]


def test_nothing_readable_stands_on_disk(store: OriginalStore, tmp_path: Path) -> None:
    store.keep(b"Subject: a secret\r\n\r\nthe secret body", FACTS)
    for path in files(tmp_path):
        data = path.read_bytes()
        assert b"secret" not in data
        assert b"example" not in data


def test_nobody_else_can_read_anything_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = OriginalStore(tmp_path / "originals", load_key(tmp_path / "deep" / "key"))
        store.keep(b"x", FACTS)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "originals").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "deep" / "key").stat().st_mode) == 0o600
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)] == [0o600]


def test_the_key_is_made_once_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    key = load_key(tmp_path / "key")
    assert len(key) == 32
    assert load_key(tmp_path / "key") == key
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_key_that_others_can_read_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    load_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(OriginalError, match="chmod 600"):
        load_key(tmp_path / "key")


def test_a_cut_key_is_refused(tmp_path: Path) -> None:
    load_key(tmp_path / "key")
    os.truncate(tmp_path / "key", 31)
    with pytest.raises(OriginalError, match="backup"):
        load_key(tmp_path / "key")


def test_another_key_says_so(store: OriginalStore, tmp_path: Path) -> None:
    identifier = store.keep(b"x", FACTS)
    other = OriginalStore(tmp_path / "originals", load_key(tmp_path / "other"))
    with pytest.raises(OriginalError, match="another key"):
        other.release(identifier)
    (listed,) = other.list()
    assert "another key" in listed.problem
    assert listed.facts == OriginalFacts()


@pytest.mark.parametrize("at", [0, 3, 6, 10, 40, -1])
def test_a_damaged_file_says_so(store: OriginalStore, tmp_path: Path, at: int) -> None:
    identifier = store.keep(b"x" * 100, FACTS)
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(OriginalError, match="damaged"):
        store.release(identifier)


@pytest.mark.parametrize("length", [0, 5, 20, 200])
def test_a_cut_file_says_so(store: OriginalStore, tmp_path: Path, length: int) -> None:
    identifier = store.keep(b"x" * 100, FACTS)
    os.truncate(files(tmp_path)[0], length)
    with pytest.raises(OriginalError, match="damaged"):
        store.release(identifier)
    assert len(store.list()) == 1


def test_a_file_under_another_name_does_not_open(store: OriginalStore, tmp_path: Path) -> None:
    store.keep(b"x", FACTS, now=NOW)
    forged = f"{int(NOW) + 5:010d}-{'0' * 24}"
    files(tmp_path)[0].rename(tmp_path / "originals" / f"{forged}.original")
    with pytest.raises(OriginalError):
        store.release(forged)


@pytest.mark.parametrize("name", ["", "../key", "1800000000-" + "0" * 23, "1800000000-" + "g" * 24, "a/b"])
def test_only_names_that_were_given_out_are_taken(store: OriginalStore, name: str) -> None:
    with pytest.raises(OriginalError, match="no name"):
        store.release(name)


def test_what_has_expired_is_gone_and_says_so(store: OriginalStore) -> None:
    old = store.keep(b"old", FACTS, now=NOW)
    new = store.keep(b"new", FACTS, now=NOW + 20 * DAY_S)
    assert store.expire(NOW + 30 * DAY_S - 1) == 0
    assert store.expire(NOW + 30 * DAY_S) == 1
    assert [kept.identifier for kept in store.list()] == [new]
    with pytest.raises(OriginalError, match="expired"):
        store.release(old)


def test_the_quota_refuses_rather_than_forgets(tmp_path: Path) -> None:
    store = OriginalStore(tmp_path / "originals", load_key(tmp_path / "key"), max_bytes=3_000)
    kept = store.keep(b"x" * 1_000, FACTS, now=NOW)
    with pytest.raises(OriginalsFullError, match="originals_max_bytes"):
        store.keep(b"x" * 2_000, FACTS, now=NOW)
    assert store.release(kept) == b"x" * 1_000
    assert len(files(tmp_path)) == 1
    # What has expired makes room.
    store.keep(b"x" * 2_000, FACTS, now=NOW + 31 * DAY_S)
    assert len(files(tmp_path)) == 1


def test_what_a_crash_left_is_not_listed_and_goes(store: OriginalStore, tmp_path: Path) -> None:
    partial = tmp_path / "originals" / "1800000000-000000000000000000000000.partial"
    partial.write_bytes(b"half")
    os.utime(partial, (NOW, NOW))
    assert store.list() == []
    store.expire(NOW + 2 * DAY_S)
    assert files(tmp_path) == []


def test_a_directory_that_cannot_be_written_says_so(store: OriginalStore, tmp_path: Path) -> None:
    (tmp_path / "originals").rmdir()
    (tmp_path / "originals").write_bytes(b"")
    with pytest.raises(OriginalError):
        store.keep(b"x", FACTS)


def test_it_is_on_disk_before_the_name_is_given_out(
    store: OriginalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store.keep(b"x", FACTS)
    assert synced == ["file", "directory"]


def test_the_gateway_keeps_by_header_and_envelope(store: OriginalStore) -> None:
    raw = b"Subject: a\r\n  b\r\nMESSAGE-ID: <2@x>\r\nFrom: c@d\r\n\r\nbody"
    identifier = asyncio.run(OriginalKeeper(store, "unsigned").keep(raw, Envelope("s@x", ("r@y",))))
    assert store.release(identifier) == raw
    assert store.list()[0].facts == OriginalFacts("<2@x>", "c@d", ("r@y",), "a b", "unsigned")


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_facts_of_anything(raw: bytes) -> None:
    assert facts_of(raw, Envelope("s@x", ("r@y",))).recipients == ("r@y",)


def test_a_message_that_comes_again_is_kept_once(tmp_path: Path) -> None:
    store = OriginalStore(tmp_path / "originals", load_key(tmp_path / "key"), max_age_days=30)
    first = store.keep(b"raw", FACTS, now=NOW)
    again = replace(FACTS, reason="signature removed in another attempt")
    assert [store.keep(b"raw", again, now=NOW + hour * 3600) for hour in range(1, 100)] == [first] * 99
    assert store.keep(b"rav", FACTS, now=NOW) != first, "one byte makes another message"
    other = replace(FACTS, recipients=("eve@example.org",))
    assert store.keep(b"raw", other, now=NOW) != first, "the list tells whom a message was for"
    late = store.keep(b"raw", FACTS, now=NOW + 16 * DAY_S)
    assert late != first, "one that is about to go is kept anew"
    assert store.keep(b"raw", FACTS, now=NOW + 17 * DAY_S) == late
    store.expire(NOW + 31 * DAY_S)
    assert store.release(late) == b"raw"


def test_names_tell_nothing_without_the_key(tmp_path: Path) -> None:
    names = {
        OriginalStore(tmp_path / each, load_key(tmp_path / f"{each}.key")).keep(b"raw", FACTS, now=NOW)
        for each in "abc"
    }
    assert len(names) == 3


def test_the_quota_is_the_setting(tmp_path: Path) -> None:
    variables = {
        "MAILVEIL_STORAGE__DIRECTORY": str(tmp_path),
        "MAILVEIL_POLICY__ORIGINALS_MAX_BYTES": "1000000",
    }
    store = build_originals(load(environment=variables))
    with pytest.raises(OriginalsFullError, match="originals_max_bytes"):
        store.keep(bytes(1_000_000), FACTS)


def test_what_nobody_needs_leaves_half_of_the_room_to_what_must_be_kept(tmp_path: Path) -> None:
    store = OriginalStore(tmp_path / "originals", b"k" * 32, max_bytes=20_000)
    name = store.keep(b"x" * 4_000, OriginalFacts(sender="a@shop.example"), is_needed=False)
    assert store.release(name) == b"x" * 4_000
    store.keep(b"y" * 4_000, OriginalFacts(), is_needed=False)
    with pytest.raises(OriginalsFullError, match="Half of the 20000 bytes"):
        store.keep(b"z" * 4_000, OriginalFacts(), is_needed=False)
    store.keep(b"z" * 8_000, OriginalFacts())
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "originals").iterdir())


def test_an_original_that_is_gone_reads_as_none(tmp_path: Path) -> None:
    store = OriginalStore(tmp_path / "originals", b"k" * 32)
    name = store.keep(b"x", OriginalFacts(), is_needed=False)
    assert store.keep(b"x", OriginalFacts(), float(name[:10]), is_needed=False) == name
    reader = OriginalReader(store)
    assert asyncio.run(reader.read(name)) == b"x"
    assert asyncio.run(reader.read(f"1767225600-{24 * '0'}")) is None
    with pytest.raises(OriginalError, match="no name"):
        asyncio.run(reader.read("../etc/passwd"))


@pytest.mark.parametrize("is_needed", [True, False])
def test_one_message_that_comes_several_times_at_once_is_kept(
    store: OriginalStore, tmp_path: Path, *, is_needed: bool
) -> None:
    other = OriginalStore(tmp_path / "originals", load_key(tmp_path / "key"))  # of another gateway
    raw, together = bytes(100_000), threading.Barrier(8)

    def keep(number: int) -> str:
        together.wait()
        return (store, other)[number % 2].keep(raw, FACTS, NOW, is_needed=is_needed)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        (name,) = set(pool.map(keep, range(8)))
    assert store.release(name) == raw
    assert [each.name for each in files(tmp_path)] == [f"{name}.original"]


@pytest.mark.parametrize("is_needed", [True, False])
def test_a_folder_that_is_away_is_told_as_all_that_fails(
    store: OriginalStore, tmp_path: Path, *, is_needed: bool
) -> None:
    (tmp_path / "originals").rmdir()
    with pytest.raises(OriginalError, match="No such file"):
        store.keep(b"x", FACTS, is_needed=is_needed)
