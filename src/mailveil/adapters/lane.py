"""Lane: SQLite on a thread of its own, one transaction after the other."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mailveil.ports import UnavailableError

Result = TypeVar("Result")


class Lane:
    """One thread with one connection; what takes too long is left to itself, and nothing piles up behind."""

    def __init__(
        self, opener: Callable[[], sqlite3.Connection], begin: str, *, timeout_s: float, max_waiting: int
    ) -> None:
        """``begin`` is the statement that opens a transaction; at most ``max_waiting`` operations wait."""
        self._open = opener
        self._begin = begin
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="copies")
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._waiting = 0

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do ``work`` in one transaction; raise ``UnavailableError`` where that fails or takes too long."""
        with self._lock:
            if self._waiting >= self._max_waiting:
                raise UnavailableError("copy store is overloaded")
            self._waiting += 1
        try:
            future = self._executor.submit(self._transact, work)
        except RuntimeError as error:
            self._done(None)
            raise UnavailableError("copy store is closed") from error
        future.add_done_callback(self._done)
        try:
            # Not wait_for: until Python 3.12 that may swallow a cancellation, and a loop then never ends.
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(future)
        except (sqlite3.Error, OSError, TimeoutError) as error:
            raise UnavailableError(f"copy store: {str(error) or 'timed out'}") from error

    def _done(self, _: object) -> None:
        with self._lock:
            self._waiting -= 1

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        database = self._connection()
        try:
            with database:
                database.execute(self._begin)
                return work(database)
        except sqlite3.Error:
            database.close()
            self._database = None  # a fresh one next time, whatever was wrong with this
            raise

    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._open()
        return self._database

    def close(self) -> None:
        """Finish what is under way, then close the connection."""
        self._executor.shutdown(wait=True)
        if self._database is not None:
            self._database.close()
            self._database = None
