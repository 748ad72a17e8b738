"""Setup: a lane on a real SQLite file, kept busy so that operations wait together.

Test: what waits together shares one transaction, none fails for another, what is durable says so to SQLite, and
what fails, waits too long or comes too late is an error in words.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from mailveil.adapters.lane import Lane
from mailveil.ports import UnavailableError


class Room:
    def __init__(self, folder: Path, *, timeout_s: float = 30.0, max_waiting: int = 100) -> None:
        self.path = folder / "lane.sqlite3"
        self.begun = 0
        self.levels: list[int] = []
        self.lane = Lane(self.open, "BEGIN IMMEDIATE", timeout_s=timeout_s, max_waiting=max_waiting)
        self.go_on = threading.Event()

    def open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY)")
        database.set_trace_callback(self.trace)
        return database

    def trace(self, statement: str) -> None:
        self.begun += statement.startswith("BEGIN")

    def wait(self, database: sqlite3.Connection) -> None:
        assert self.go_on.wait(30)

    def add(self, number: int):
        def work(database: sqlite3.Connection) -> int:
            self.levels.append(database.execute("PRAGMA synchronous").fetchone()[0])
            database.execute("INSERT INTO numbers VALUES (?)", (number,))
            return number

        return work

    def numbers(self) -> list[int]:
        with sqlite3.connect(self.path) as database:
            return [row[0] for row in database.execute("SELECT number FROM numbers ORDER BY number")]

    async def together(self, *works, durable: bool = False) -> list[object]:
        """Have operations wait behind one that takes its time, and return what became of them."""
        first = asyncio.create_task(self.lane.run(self.wait))
        await asyncio.sleep(0.05)
        tasks = [asyncio.create_task(self.lane.run(work, durable=durable)) for work in works]
        await asyncio.sleep(0.05)
        self.go_on.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await first
        return results


def test_what_waits_together_shares_a_transaction(tmp_path: Path) -> None:
    room = Room(tmp_path)
    results = asyncio.run(room.together(*(room.add(number) for number in range(20))))
    room.lane.close()
    assert results == list(range(20))
    assert room.numbers() == list(range(20))
    assert room.begun == 2, "one for the operation that took its time, one for all that waited"


def test_none_fails_for_another(tmp_path: Path) -> None:
    room = Room(tmp_path)

    def broken(_database: sqlite3.Connection) -> None:
        raise ValueError("mine alone")

    one, same, bad, two = asyncio.run(room.together(room.add(1), room.add(1), broken, room.add(2)))
    room.lane.close()
    assert (one, two) == (1, 2)
    assert isinstance(same, UnavailableError)
    assert isinstance(bad, ValueError)
    assert room.numbers() == [1, 2]


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_only_what_is_durable_waits_for_the_disk(tmp_path: Path, durable: bool, level: int) -> None:
    room = Room(tmp_path)
    asyncio.run(room.together(room.add(1), durable=durable))
    room.lane.close()
    assert room.levels == [level]  # PRAGMA synchronous: 1 is NORMAL, 2 is FULL


def test_too_slow_too_many_and_too_late_are_errors_in_words(tmp_path: Path) -> None:
    async def work() -> None:
        room = Room(tmp_path, timeout_s=0.2, max_waiting=2)
        held = [asyncio.create_task(room.lane.run(room.wait)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(UnavailableError, match="overloaded"):
            await room.lane.run(room.add(1))
        for each in held:
            with pytest.raises(UnavailableError, match="timed out"):
                await each
        room.go_on.set()
        await asyncio.to_thread(room.lane.close)
        with pytest.raises(UnavailableError, match="closed"):
            await room.lane.run(room.add(1))

    asyncio.run(work())


def test_what_was_given_in_is_done_before_the_end(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        first = asyncio.create_task(room.lane.run(room.wait))
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(room.lane.run(room.add(number))) for number in range(5)]
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(asyncio.to_thread(room.lane.close))
        await asyncio.sleep(0.05)
        room.go_on.set()
        await asyncio.gather(first, closing, *waiting)

    room = Room(tmp_path)
    asyncio.run(work(room))
    assert room.numbers() == list(range(5))
