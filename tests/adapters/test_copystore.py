"""The copy store: what is promised survives kill -9, nothing is fetched twice, nothing grows for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.core.references.types import Media
from mailveil.ports import StoredCopy, UnavailableError, WantedCopy

DAY = 86_400.0
LOGO = WantedCopy("token-1", "https://origin.example/logo.png", Media.IMAGE, width=30, height=20)
SAME = WantedCopy("token-2", "https://origin.example/logo.png", Media.IMAGE, width=60, height=40)
OTHER = WantedCopy("token-3", "https://origin.example/other.png", Media.IMAGE)
NEVER = WantedCopy("token-4", "https://origin.example/unsubscribe", Media.IMAGE, may_fetch=False)


class Room:
    def __init__(self, directory: Path, **settings: object) -> None:
        self.clock = 1_000_000.0
        self.directory = directory
        self.store = SqliteCopyStore(StoreSettings(directory, **settings), lambda: self.clock)

    def do(self, coroutine):
        return asyncio.run(coroutine)

    def fetched(self, copy: WantedCopy, body: bytes = b"image") -> None:
        self.do(self.store.reserve([copy]))
        self.do(self.store.release([copy]))
        job = self.do(self.store.claim())
        assert job is not None
        assert self.do(self.store.put(job, body, "image/png"))


@pytest.fixture
def room(tmp_path: Path):
    room = Room(tmp_path / "copies")
    yield room
    room.store.close()


def test_somebody_who_waits_gets_no_delay_and_who_comes_later_gets_more(tmp_path: Path) -> None:
    room = Room(tmp_path / "copies", max_delay_s=100.0)
    try:
        room.do(room.store.reserve([LOGO, OTHER]))
        room.do(room.store.release([LOGO], immediately=True))
        room.do(room.store.release([OTHER], after_s=50.0))
        first = room.do(room.store.claim())
        assert first is not None
        assert first.url == LOGO.url
        room.clock += 49.0
        assert room.do(room.store.claim()) is None
        room.clock += 101.0
        assert room.do(room.store.claim()) is not None
    finally:
        room.store.close()


def test_a_token_goes_from_reserved_to_stored(room: Room) -> None:
    assert room.do(room.store.get("token-1")) is None
    room.do(room.store.reserve([LOGO]))
    assert room.do(room.store.get("token-1")) == StoredCopy(Media.IMAGE, width=30, height=20, pending=True)
    assert room.do(room.store.claim()) is None, "nothing is fetched before the message is delivered"
    room.do(room.store.release([LOGO]))
    job = room.do(room.store.claim())
    assert (job.url, job.media) == (LOGO.url, Media.IMAGE)
    assert room.do(room.store.claim()) is None
    assert room.do(room.store.put(job, b"image", "image/png"))
    copy = room.do(room.store.get("token-1"))
    assert (copy.body, copy.media_type, copy.width, copy.pending) == (b"image", "image/png", 30, False)


def test_one_url_is_one_fetch_for_all_its_tokens(room: Room) -> None:
    room.do(room.store.reserve([LOGO]))
    room.do(room.store.reserve([SAME]))
    room.do(room.store.release([LOGO]))
    room.do(room.store.release([SAME]))
    job = room.do(room.store.claim())
    assert room.do(room.store.claim()) is None
    room.do(room.store.put(job, b"image", "image/png"))
    assert room.do(room.store.get("token-2")).body == b"image"
    assert room.do(room.store.get("token-2")).width == 60, "its own dimensions"


def test_a_url_is_fetched_again_when_its_copy_is_old(room: Room) -> None:
    room.fetched(LOGO, b"yesterday")
    room.clock += DAY + 1
    room.fetched(SAME, b"today")
    assert room.do(room.store.get("token-1")).body == b"yesterday", "as of delivery"
    assert room.do(room.store.get("token-2")).body == b"today"


def test_what_must_not_be_fetched_is_a_placeholder_for_good(room: Room) -> None:
    room.do(room.store.reserve([NEVER]))
    room.do(room.store.release([NEVER]))
    assert room.do(room.store.claim()) is None
    assert room.do(room.store.get("token-4")) == StoredCopy(Media.IMAGE)


def test_a_refused_message_leaves_nothing(room: Room) -> None:
    room.do(room.store.reserve([LOGO, OTHER]))
    room.do(room.store.reserve([SAME]))
    room.do(room.store.abandon([LOGO, OTHER]))
    assert room.do(room.store.get("token-1")) is None
    room.do(room.store.recover())
    urls = {room.do(room.store.claim()).url, getattr(room.do(room.store.claim()), "url", None)}
    assert urls == {SAME.url, None}, "the message that shares a URL still gets it"


def test_a_fetch_that_brought_nothing_is_never_made_again(room: Room) -> None:
    room.do(room.store.reserve([LOGO]))
    room.do(room.store.release([LOGO]))
    room.do(room.store.settle(room.do(room.store.claim())))
    assert room.do(room.store.claim()) is None
    assert room.do(room.store.get("token-1")) == StoredCopy(Media.IMAGE, width=30, height=20)


def test_a_fetch_that_sent_nothing_may_be_given_back(room: Room) -> None:
    room.do(room.store.reserve([LOGO]))
    room.do(room.store.release([LOGO]))
    job = room.do(room.store.claim())
    room.do(room.store.give_back(job, room.clock + 60))
    assert room.do(room.store.claim()) is None
    room.clock += 61
    assert room.do(room.store.claim()) == replace(job, retries=1)


def test_after_a_restart_nothing_is_fetched_twice_and_nothing_forgotten(room: Room) -> None:
    room.do(room.store.reserve([LOGO, OTHER]))
    room.do(room.store.release([LOGO]))
    attempted = room.do(room.store.claim())
    room.store.close()
    room.store = SqliteCopyStore(room.store.settings, lambda: room.clock)
    room.do(room.store.recover())
    job = room.do(room.store.claim())
    assert attempted.url == LOGO.url
    assert job.url == OTHER.url, "reserved when the process died: its message may have been delivered"
    assert room.do(room.store.claim()) is None
    assert not room.do(room.store.get("token-1")).pending
    assert not room.do(room.store.put(attempted, b"late", "image/png")), "too late"


def test_kill_9_right_after_the_claim(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, os, signal, sys
        from pathlib import Path
        from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
        from mailveil.core.references.types import Media
        from mailveil.ports import WantedCopy
        store = SqliteCopyStore(StoreSettings(Path(sys.argv[1])))
        wanted = [WantedCopy(f"t{n}", f"https://origin.example/{n}", Media.IMAGE) for n in range(5)]
        async def work():
            await store.recover()
            await store.reserve(wanted)
            await store.release(wanted)
            print((await store.claim()).url, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(work())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    room = Room(tmp_path)
    room.clock = time.time() + 5
    room.do(room.store.recover())
    urls = [done.stdout.strip()]
    while job := room.do(room.store.claim()):
        urls.append(job.url)
    assert sorted(urls) == [f"https://origin.example/{n}" for n in range(5)]
    room.store.close()


def test_only_one_process_fetches(room: Room) -> None:
    room.do(room.store.recover())
    room.do(room.store.recover())
    second = SqliteCopyStore(room.store.settings)
    with pytest.raises(RuntimeError, match="another process fetches"):
        room.do(second.recover())
    second.close()


def test_the_quota_holds_and_equal_content_is_stored_once(tmp_path: Path) -> None:
    room = Room(tmp_path, max_store_bytes=10)
    room.fetched(LOGO, b"12345678")
    room.fetched(OTHER, b"12345678")
    assert room.do(room.store.counts())["bytes"] == 8
    more = WantedCopy("token-5", "https://origin.example/5", Media.IMAGE)
    room.do(room.store.reserve([more]))
    room.do(room.store.release([more]))
    assert not room.do(room.store.put(room.do(room.store.claim()), b"123", "image/png"))
    assert room.do(room.store.get("token-5")) == StoredCopy(Media.IMAGE)
    assert room.do(room.store.get("token-1")).body == b"12345678"
    room.store.close()


def test_retention_goes_by_age_alone(tmp_path: Path) -> None:
    room = Room(tmp_path, retention_days=30)
    room.fetched(LOGO, b"old")
    room.clock += 20 * DAY
    room.fetched(OTHER, b"young")
    room.clock += 11 * DAY
    for _ in range(5):
        room.do(room.store.get("token-1"))  # being looked at keeps nothing alive
    assert room.do(room.store.expire(room.clock)) == 1
    assert room.do(room.store.get("token-1")) is None
    assert room.do(room.store.get("token-3")).body == b"young"
    assert len(list((tmp_path / "objects").glob("??/*"))) == 1
    room.store.close()


def test_retention_0_keeps_for_ever(tmp_path: Path) -> None:
    room = Room(tmp_path, retention_days=0)
    room.fetched(LOGO)
    assert room.do(room.store.expire(room.clock + 10_000 * DAY)) == 0
    assert room.do(room.store.get("token-1")).body == b"image"
    room.store.close()


def test_files_that_a_crash_left_are_removed(room: Room) -> None:
    room.fetched(LOGO)
    stray = room.directory / "objects" / "ab" / ("ab" * 32)
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    os.utime(stray, (1, 1))
    for path in (room.directory / "objects").glob("??/*"):
        os.utime(path, (1, 1))
    room.do(room.store.expire(room.clock))
    assert not stray.exists()
    assert room.do(room.store.get("token-1")).body == b"image"


def test_serving_leaves_no_trace(room: Room) -> None:
    room.fetched(LOGO)
    files = sorted(
        path for path in room.directory.rglob("*") if path.is_file() and path.suffix != ".sqlite3-shm"
    )
    before = [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    for _ in range(3):
        room.do(room.store.get("token-1"))
    assert before == [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in files]


def test_the_file_gives_neither_tokens_nor_fetched_urls_away(room: Room) -> None:
    room.fetched(LOGO)
    room.store.close()
    with sqlite3.connect(room.directory / "copies.sqlite3") as database:
        dump = "\n".join(database.iterdump())
    database.close()
    assert "token-1" not in dump
    assert "logo.png" not in dump


def test_a_dead_store_says_so_instead_of_waiting(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no directory")
    room = Room(blocked / "copies")
    with pytest.raises(UnavailableError):
        room.do(room.store.reserve([LOGO]))
    blocked.unlink()
    room.do(room.store.reserve([LOGO]))  # and it comes back by itself
    room.store.close()


def test_a_locked_store_says_so_in_time(room: Room) -> None:
    room.do(room.store.reserve([LOGO]))
    other = sqlite3.connect(room.directory / "copies.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(UnavailableError):
        room.do(room.store.reserve([OTHER]))
    assert time.monotonic() - started < 3
    assert room.do(room.store.get("token-1")) is not None, "copies are served meanwhile"
    other.close()


def test_a_stuck_disk_piles_nothing_up(tmp_path: Path) -> None:
    room = Room(tmp_path, timeout_s=0.05, max_waiting=3)

    async def flood() -> list[BaseException | None]:
        blocker = asyncio.create_task(room.store._writer.run(lambda database: time.sleep(0.5)))
        await asyncio.sleep(0.01)
        results = await asyncio.gather(
            *(room.store.reserve([LOGO]) for _ in range(50)), return_exceptions=True
        )
        await asyncio.gather(blocker, return_exceptions=True)
        return results

    results = room.do(flood())
    assert all(isinstance(result, UnavailableError) for result in results)
    assert sum("overloaded" in str(result) for result in results) >= 47
    room.store.close()


def test_a_file_deleted_by_hand_is_a_placeholder(room: Room) -> None:
    room.fetched(LOGO)
    for path in (room.directory / "objects").glob("??/*"):
        path.unlink()
    assert room.do(room.store.get("token-1")) == StoredCopy(Media.IMAGE, width=30, height=20)
