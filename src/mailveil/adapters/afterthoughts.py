"""Afterthoughts: which verdicts of the judge's memory have to be looked at again, since something touched them later.

What another message or a fetch may have changed is marked as it happens, a bounded number of verdicts each time: those
of the first messages with something in common, since later ones were judged with all that it can prove.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS traced (         -- a verdict that something touches which others may have in common with it
    trace BLOB NOT NULL, key BLOB NOT NULL, day INTEGER NOT NULL,
    PRIMARY KEY (trace, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS traced_by_day ON traced (day);
CREATE TABLE IF NOT EXISTS told (           -- as what a verdict stands on record, and in which records
    key BLOB PRIMARY KEY, record BLOB NOT NULL, day INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS told_by_day ON told (day);
CREATE TABLE IF NOT EXISTS stale (          -- a verdict that may stand differently by now
    key BLOB PRIMARY KEY, due REAL NOT NULL, tries INTEGER NOT NULL, day INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS stale_by_due ON stale (due);
CREATE INDEX IF NOT EXISTS stale_by_day ON stale (day);
"""
TABLES: Final = {"traced": "day", "told": "day", "stale": "day"}
MAX_OF_A_TRACE: Final = 48
SETTLE_S: Final = 1.0  # what changes again within so long is looked at once
MAX_TRIES: Final = 12
LONGEST_S: Final = 600.0
DAY_S: Final = 86_400.0


def trace(database: sqlite3.Connection, traces: Iterable[bytes], key: bytes, day: int) -> None:
    """Take note of what touches a verdict; of the first ones alone."""
    for each in dict.fromkeys(traces):
        if each:
            database.execute(
                "INSERT OR IGNORE INTO traced SELECT ?1, ?2, ?3 "
                "WHERE (SELECT count(*) FROM traced WHERE trace = ?1) < ?4",
                (each, key, day, MAX_OF_A_TRACE),
            )


def mark(database: sqlite3.Connection, trace: bytes, now: float) -> None:
    """Have the verdicts looked at again that something touches."""
    database.execute(
        "INSERT OR IGNORE INTO stale SELECT key, ?2, 0, ?3 FROM traced WHERE trace = ?1",
        (trace, now + SETTLE_S, int(now // DAY_S)),
    )


def mark_url(database: sqlite3.Connection, url: bytes, now: float) -> None:
    """Have the verdicts on a URL looked at again."""
    database.execute(
        "INSERT OR IGNORE INTO stale SELECT key, ?2, 0, ?3 FROM "
        "(SELECT key FROM verdicts WHERE url = ?1 ORDER BY rowid DESC LIMIT ?4)",
        (url, now + SETTLE_S, int(now // DAY_S), MAX_OF_A_TRACE),
    )


def marked(database: sqlite3.Connection, now: float, limit: int) -> list[bytes]:
    """Return the verdicts that are to be looked at now."""
    rows = database.execute("SELECT key FROM stale WHERE due <= ? ORDER BY due LIMIT ?", (now, limit))
    return [bytes(key) for (key,) in rows]


def unmark(database: sqlite3.Connection, key: bytes) -> None:
    """Have a verdict looked at no more, until something touches it again."""
    database.execute("DELETE FROM stale WHERE key = ?", (key,))


def postpone(database: sqlite3.Connection, key: bytes, now: float) -> None:
    """Have a verdict looked at later, ever more rarely, and at last no more."""
    database.execute("DELETE FROM stale WHERE key = ? AND tries >= ?", (key, MAX_TRIES))
    database.execute(
        "UPDATE stale SET tries = tries + 1, due = ? + min(?, 2 << tries) WHERE key = ?",
        (now, LONGEST_S, key),
    )
