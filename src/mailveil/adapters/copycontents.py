"""Copy contents: what is known of stored copies, what style sheets refer to, and how copies are deleted.

It lives in the copies' SQLite file. A style sheet names what it refers to by slots, so the row of its fetch leads to
those of its references, whichever message asks.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from mailveil.core.references.links import leads_to_link
from mailveil.core.references.types import Media
from mailveil.ports import CopyFacts

SCHEMA = """
CREATE TABLE IF NOT EXISTS nested (
    parent INTEGER NOT NULL REFERENCES fetches (id), slot INTEGER NOT NULL,
    child INTEGER NOT NULL REFERENCES fetches (id), PRIMARY KEY (parent, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nested_by_child ON nested (child);
CREATE TABLE IF NOT EXISTS link_sets (id BLOB PRIMARY KEY, links TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spared_sets (
    fetch INTEGER NOT NULL REFERENCES fetches (id), links BLOB NOT NULL, PRIMARY KEY (fetch, links)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (
    fetch INTEGER PRIMARY KEY REFERENCES fetches (id), as_of_delivery INTEGER NOT NULL, told TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS used (only INTEGER PRIMARY KEY CHECK (only = 1), bytes INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS spared_by_links ON spared_sets (links);
CREATE TRIGGER IF NOT EXISTS object_added AFTER INSERT ON objects
    BEGIN UPDATE used SET bytes = bytes + new.size; END;
CREATE TRIGGER IF NOT EXISTS object_removed AFTER DELETE ON objects
    BEGIN UPDATE used SET bytes = bytes - old.size; END;
"""
MAX_DEPTH = 3  # sheets within sheets, and what the innermost refers to
MAX_DESCENDANTS = 200  # of what one message names, however deep


def make_tables(database: sqlite3.Connection) -> None:
    """Make the tables, and count once what is there already."""
    database.executescript(SCHEMA)
    if database.execute("SELECT 1 FROM used").fetchone() is None:
        database.execute("INSERT OR IGNORE INTO used SELECT 1, coalesce(sum(size), 0) FROM objects")


def used_bytes(database: sqlite3.Connection) -> int:
    """Return what all copies take together."""
    row = database.execute("SELECT bytes FROM used").fetchone()
    return int(row[0]) if row else 0


# --- facts -----------------------------------------------------------------------------------------------


def keep_facts(database: sqlite3.Connection, fetch: int, facts: CopyFacts) -> None:
    """Keep what is known of a copy. Two contents under one URL tell that it changes with time."""
    others = database.execute(
        "SELECT other.id FROM fetches AS other, fetches AS mine WHERE mine.id = ? AND other.id <> mine.id "
        "AND other.url_digest = mine.url_digest AND other.media = mine.media AND other.media = 'image' "
        "AND other.sha256 IS NOT NULL AND other.sha256 <> mine.sha256",
        (fetch,),
    ).fetchall()
    database.executemany("UPDATE facts SET as_of_delivery = 1 WHERE fetch = ?", others)
    told = asdict(facts)
    del told["nested"], told["as_of_delivery"]
    database.execute(
        "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
        (fetch, int(facts.as_of_delivery or bool(others)), json.dumps(told)),
    )


def facts_of(database: sqlite3.Connection, fetch: int) -> CopyFacts:
    """Return what is known of a copy."""
    row = database.execute("SELECT as_of_delivery, told FROM facts WHERE fetch = ?", (fetch,)).fetchone()
    return CopyFacts() if row is None else CopyFacts(as_of_delivery=bool(row[0]), **json.loads(row[1]))


# --- what style sheets refer to --------------------------------------------------------------------------


def spare(database: sqlite3.Connection, fetch: int, links: str) -> None:
    """Take note of URLs that must not be fetched for a fetch, since a message links to them.

    All copies of one message have the same ones, so that they are kept once.
    """
    identifier = hashlib.sha256(links.encode()).digest()[:16]
    database.execute("INSERT OR IGNORE INTO link_sets VALUES (?, ?)", (identifier, links))
    database.execute("INSERT OR IGNORE INTO spared_sets VALUES (?, ?)", (fetch, identifier))


def is_spared(database: sqlite3.Connection, fetches: Iterable[int], url: str) -> bool:
    """Tell whether a URL must not be fetched for any of these fetches."""
    marks = [int(fetch) for fetch in fetches]
    rows = database.execute(
        "SELECT DISTINCT link_sets.links FROM json_each(?) "
        "JOIN spared_sets ON spared_sets.fetch = json_each.value "
        "JOIN link_sets ON link_sets.id = spared_sets.links",
        (json.dumps(marks),),
    )
    return any(leads_to_link(url, links) for (links,) in rows)


def inherit_spared(database: sqlite3.Connection, parent: int, child: int) -> None:
    """Have what a style sheet refers to spare the same URLs."""
    database.execute(
        "INSERT OR IGNORE INTO spared_sets SELECT ?, links FROM spared_sets WHERE fetch = ?", (child, parent)
    )


def forget_spared(database: sqlite3.Connection) -> None:
    """Forget the links of messages for which nothing is to be fetched any more."""
    database.execute(
        "DELETE FROM spared_sets WHERE NOT EXISTS (SELECT 1 FROM fetches WHERE fetches.id = spared_sets.fetch "
        "AND state IN ('reserved', 'released', 'attempted'))"
    )
    database.execute(
        "DELETE FROM link_sets WHERE NOT EXISTS (SELECT 1 FROM spared_sets WHERE spared_sets.links = link_sets.id)"
    )


def depth_of(database: sqlite3.Connection, fetch: int) -> int:
    """Return how many style sheets lie between a message and a fetch; ``MAX_DEPTH`` stands for more as well."""
    level = {fetch}
    for depth in range(MAX_DEPTH):
        marks = ",".join("?" * len(level))
        named = f"SELECT 1 FROM tokens WHERE fetch IN ({marks}) LIMIT 1"  # noqa: S608 - marks alone
        if database.execute(named, tuple(level)).fetchone():
            return depth
        above = f"SELECT parent FROM nested WHERE child IN ({marks}) LIMIT 500"  # noqa: S608
        rows = database.execute(above, tuple(level))
        level = {row[0] for row in rows}
        if not level:
            return depth
    return MAX_DEPTH


def ancestors(database: sqlite3.Connection, fetch: int) -> set[int]:
    """Return the fetches of the style sheets that lead to one, itself included."""
    rows = database.execute(
        "WITH RECURSIVE above (id) AS (SELECT ? UNION SELECT parent FROM nested JOIN above ON child = above.id) "
        "SELECT id FROM above LIMIT 1000",
        (fetch,),
    )
    return {row[0] for row in rows}


def count_descendants(database: sqlite3.Connection, fetches: Iterable[int]) -> int:
    """Return how many fetches style sheets have led to, however deep; the most of any of them."""
    most = 0
    for fetch in fetches:
        (count,) = database.execute(
            "WITH RECURSIVE below (id) AS (SELECT ? UNION SELECT child FROM nested JOIN below ON parent = below.id) "
            "SELECT count(*) FROM (SELECT id FROM below LIMIT 10000)",
            (fetch,),
        ).fetchone()
        most = max(most, count - 1)
    return most


def enter(database: sqlite3.Connection, parent: int, slot: int, child: int) -> None:
    """Record what a slot of a style sheet leads to."""
    database.execute("INSERT OR REPLACE INTO nested VALUES (?, ?, ?)", (parent, slot, child))


def follow(database: sqlite3.Connection, fetch: int | None, slots: Sequence[int]) -> tuple[int, Media] | None:
    """Return the fetch that slots lead to from a style sheet, and what kind of copy it is."""
    for slot in slots:
        row = database.execute(
            "SELECT child FROM nested WHERE parent = ? AND slot = ?", (fetch, slot)
        ).fetchone()
        if row is None:
            return None
        fetch = row[0]
    row = database.execute("SELECT id, media FROM fetches WHERE id = ?", (fetch,)).fetchone()
    return None if row is None else (row[0], Media(row[1]))


# --- deletion --------------------------------------------------------------------------------------------


def forget_fetches(database: sqlite3.Connection, oldest: float) -> None:
    """Delete old fetches that neither a token nor a style sheet leads to, and what hangs on them."""
    while (
        database.execute(
            "DELETE FROM fetches WHERE created < ? AND state IN ('stored', 'placeholder', 'reserved') "
            "AND NOT EXISTS (SELECT 1 FROM tokens WHERE tokens.fetch = fetches.id) "
            "AND NOT EXISTS (SELECT 1 FROM nested WHERE nested.child = fetches.id)",
            (oldest,),
        ).rowcount
        > 0
    ):
        for table, column in (("nested", "parent"), ("facts", "fetch"), ("spared_sets", "fetch")):
            database.execute(
                f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM fetches WHERE id = {table}.{column})"  # noqa: S608
            )


def forget_objects(database: sqlite3.Connection) -> list[str]:
    """Delete the rows of contents that no fetch has brought, and return their hashes."""
    rows = database.execute(
        "DELETE FROM objects WHERE NOT EXISTS "
        "(SELECT 1 FROM fetches WHERE fetches.sha256 = objects.sha256) RETURNING sha256"
    ).fetchall()
    return [row[0] for row in rows]


def empty_fetches(database: sqlite3.Connection, where: str, values: Sequence[object]) -> int:
    """Have placeholders take the place of stored copies; ``where`` is a condition on the table of fetches."""
    rows = database.execute(
        "UPDATE fetches SET state = 'placeholder', url = '', sha256 = NULL, media_type = '' "  # noqa: S608
        f"WHERE state = 'stored' AND ({where}) RETURNING id",
        tuple(values),
    ).fetchall()
    database.executemany("DELETE FROM facts WHERE fetch = ?", rows)
    database.executemany("DELETE FROM nested WHERE parent = ?", rows)
    return len(rows)
