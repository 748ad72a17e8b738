"""Lane: SQLite on a thread of its own; operations that wait together share one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from mailveil.ports import UnavailableError

Result = TypeVar("Result")

MAX_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class _Operation:
    """What is to be done, whether it has to be on the disk afterwards, and who waits for it."""

    work: Callable[[sqlite3.Connection], Any]
    durable: bool
    future: Future[Any]


class Lane:
    """One thread with one connection; what takes too long is left to itself, and nothing piles up behind.

    Whatever is told to be done survives the end of this process; only what is ``durable`` is on the disk, and so
    survives a loss of power too, before its caller goes on: that takes a hundred times as long.
    """

    def __init__(
        self, opener: Callable[[], sqlite3.Connection], begin: str, *, timeout_s: float, max_waiting: int
    ) -> None:
        """``begin`` is the statement that opens a transaction; at most ``max_waiting`` operations wait."""
        self._open = opener
        self._begin = begin
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._operations: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._waiting = 0
        self._is_closed = False
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[sqlite3.Connection], Result], *, durable: bool = False) -> Result:
        """Do ``work`` within a transaction; raise ``UnavailableError`` where that fails or takes too long.

        ``work`` may be done twice, if a transaction that it shared had to be taken back.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._is_closed:
                raise UnavailableError("copy store is closed")
            if self._waiting >= self._max_waiting:
                raise UnavailableError("copy store is overloaded")
            self._waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="copies", daemon=True)
                self._thread.start()
            self._operations.put(_Operation(work, durable, future))
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

    def _serve(self) -> None:
        is_closing = False
        while not is_closing:
            first = self._operations.get()
            if first is None:
                break
            together = [first]
            with contextlib.suppress(queue.Empty):
                while len(together) < MAX_TOGETHER:
                    following = self._operations.get_nowait()
                    if following is None:
                        is_closing = True
                        break
                    together.append(following)
            self._carry_out([each for each in together if each.future.set_running_or_notify_cancel()])
        if self._database is not None:
            self._database.close()
            self._database = None

    def _carry_out(self, operations: list[_Operation]) -> None:
        """Do all in one transaction; where one of them fails, each in its own, so that none fails for another."""
        if not operations:
            return
        try:
            results = self._transact(operations)
        except BaseException as error:
            if len(operations) > 1:
                for each in operations:
                    self._carry_out([each])
            else:
                operations[0].future.set_exception(error)
        else:
            for each, result in zip(operations, results, strict=True):
                each.future.set_result(result)

    def _transact(self, operations: list[_Operation]) -> list[Any]:
        database = self._connection()
        try:
            durable = any(each.durable for each in operations)
            database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with database:
                database.execute(self._begin)
                return [each.work(database) for each in operations]
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
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._operations.put(None)
        if thread is not None:
            thread.join()
