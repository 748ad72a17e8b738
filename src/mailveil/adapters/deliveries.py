"""Journal: a bounded record of what passed, for the console; it holds no person and nothing of a body."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mailveil.core.observation import ObservedReference
from mailveil.ports import Passage

log = logging.getLogger("mailveil.journal")
SCHEMA = """
CREATE TABLE IF NOT EXISTS passages (id INTEGER PRIMARY KEY, passage TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
MAX_WAITING = 1000
# Messages of so long a time are written together: one by one they would take as long as examining them.
TOGETHER_S = 0.2
MAX_FOUND = 200


class SqliteJournal:
    """Implements ``ports.Journal``. Written by a thread of its own; what it cannot write is dropped."""

    def __init__(self, path: Path, keep: int = 500) -> None:
        self.path = path
        self.keep = keep
        self._waiting: queue.Queue[Passage | None] = queue.Queue(MAX_WAITING)
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def note(self, passage: Passage) -> None:
        """Take note of a message, at leisure."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(passage)

    async def latest(self, limit: int = 50) -> Sequence[Passage]:
        """Return the latest messages, newest first; none where the journal cannot be read."""
        return await asyncio.to_thread(self._latest, limit)

    async def totals(self) -> dict[str, int]:
        """Return counters since the beginning."""
        return await asyncio.to_thread(self._totals)

    def close(self) -> None:
        """Write what waits, and end."""
        self._is_closing.set()
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=1)
        self._thread.join(timeout=2)

    def _latest(self, limit: int) -> list[Passage]:
        try:
            with contextlib.closing(self._open()) as database:
                rows = database.execute(
                    "SELECT passage FROM passages ORDER BY id DESC LIMIT ?", (limit,)
                ).fetchall()
        except (sqlite3.Error, OSError):
            return []
        return [_read(row[0]) for row in rows]

    def _totals(self) -> dict[str, int]:
        try:
            with contextlib.closing(self._open()) as database:
                return dict(database.execute("SELECT name, count FROM totals").fetchall())
        except (sqlite3.Error, OSError):
            return {}

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=2)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(SCHEMA)
        except BaseException:
            database.close()
            raise
        return database

    def _write(self) -> None:
        database: sqlite3.Connection | None = None
        is_closing = False
        while not is_closing:
            together = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while len(together) < MAX_WAITING:
                    together.append(self._waiting.get_nowait())
            is_closing = None in together  # what came in before has been taken out before
            try:
                database = database or self._open()
                with database:
                    self._add(database, [passage for passage in together if passage is not None])
            except (sqlite3.Error, OSError) as error:
                log.warning("journal cannot be written: %s", error)
                if database is not None:
                    database.close()
                database = None  # a fresh one next time, whatever was wrong with this
            if not is_closing and not self._is_closing.is_set():
                self._is_closing.wait(TOGETHER_S)
        if database is not None:
            database.close()

    def _add(self, database: sqlite3.Connection, passages: Sequence[Passage]) -> None:
        counted = dict.fromkeys(("messages", "changed", "references", "trackers"), 0)
        for passage in passages:
            short = replace(passage, found=passage.found[:MAX_FOUND])
            try:
                told = json.dumps(asdict(short))
            except Exception:  # one message that cannot be noted must not be the last
                log.exception("a message is missing in the journal")
                continue
            database.execute("INSERT INTO passages (passage) VALUES (?)", (told,))
            counted["messages"] += 1
            counted["changed"] += int(passage.changed)
            counted["references"] += len(passage.found)
            counted["trackers"] += sum(found.finding == "tracker" for found in passage.found)
        database.execute("DELETE FROM passages WHERE id <= (SELECT max(id) FROM passages) - ?", (self.keep,))
        database.executemany(
            "INSERT INTO totals VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
            counted.items(),
        )


def _read(text: str) -> Passage:
    values = json.loads(text)
    values["found"] = tuple(_read_found(found) for found in values["found"])
    for name in ("defects", "authentication"):
        values[name] = tuple(values.get(name, ()))
    return Passage(**values)


def _read_found(values: dict[str, Any]) -> ObservedReference:
    lists = {name: tuple(values.get(name, ())) for name in ("kinds", "reasons", "signals")}
    return ObservedReference(**{**values, **lists})
