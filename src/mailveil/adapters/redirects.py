"""Redirects: what they lead to is asked for once a day as well, is paid for, and is never what a message links to.

It lives in the copies' SQLite file. A URL that a redirect led to stands there as a digest, with the fetch that asked
for it: whoever wants it next is given what that fetch brought.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mailveil.core.references.types import Media
from mailveil.ports import FetchJob, Followed, Step

SCHEMA = """
CREATE TABLE IF NOT EXISTS hops (
    url_digest BLOB PRIMARY KEY, fetch INTEGER NOT NULL REFERENCES fetches (id), at REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""


def asked_by(database: sqlite3.Connection, digest: bytes, since: float) -> tuple[int, str, float] | None:
    """Return the fetch that a redirect has led to a URL since then, what kind of copy it is of, and when."""
    row = database.execute(
        "SELECT fetches.id, media, at FROM hops JOIN fetches ON fetches.id = hops.fetch "
        "WHERE hops.url_digest = ? AND at > ?",
        (digest, since),
    ).fetchone()
    return None if row is None else (int(row[0]), str(row[1]), float(row[2]))


def known(
    database: sqlite3.Connection, job: FetchJob, same: Sequence[tuple[int, str, str]], through: int | None
) -> Followed | None:
    """Return what is to be done about a URL that was asked for today; ``None`` where it was not.

    ``same`` are the fetches of that URL itself (number, kind, state), ``through`` is the one whose redirect led there.
    """
    own = {job.identifier, *(each.identifier for each in job.siblings)}
    found = [each for each in same if each[2] not in ("reserved", "released")]
    if through is not None:
        found += database.execute("SELECT id, media, state FROM fetches WHERE id = ?", (through,)).fetchall()
        if not found:
            return Followed(Step.ASKED)
    if not found:
        return None
    if own & {each[0] for each in found}:
        return Followed(Step.ASKED)  # in a circle
    for identifier, media, state in found:
        if state == "stored" and media == str(job.media):
            return Followed(Step.KNOWN, known=identifier)
    return Followed(Step.WAIT if any(each[2] == "attempted" for each in found) else Step.ASKED)


def take_along(database: sqlite3.Connection, digest: bytes, now: float) -> tuple[FetchJob, ...]:
    """Claim what is due for a URL that a redirect leads to: it is asked for now, for all of them."""
    rows = database.execute(
        "UPDATE fetches SET state = 'attempted', asked = ? WHERE url_digest = ? "
        "AND state IN ('reserved', 'released') RETURNING id, url, media",
        (now, digest),
    ).fetchall()
    return tuple(FetchJob(row[0], row[1], Media(row[2])) for row in rows)


def note(database: sqlite3.Connection, digest: bytes, fetch: int, now: float) -> None:
    """Take note that a fetch asks for a URL."""
    database.execute("INSERT OR REPLACE INTO hops VALUES (?, ?, ?)", (digest, fetch, now))


def adopt(database: sqlite3.Connection, fetch: int, media: Media, known: int) -> bool:
    """Give a fetch under way the copy that another one brought; tell whether there was one of its kind."""
    cursor = database.execute(
        "UPDATE fetches SET state = 'stored', url = '', sha256 = other.sha256, media_type = other.media_type "
        "FROM fetches AS other WHERE fetches.id = ? AND fetches.state = 'attempted' "
        "AND other.id = ? AND other.state = 'stored' AND other.media = ?",
        (fetch, known, str(media)),
    )
    if cursor.rowcount != 1:
        return False
    database.execute(
        "INSERT OR REPLACE INTO facts SELECT ?, as_of_delivery, told FROM facts WHERE fetch = ?",
        (fetch, known),
    )
    database.execute(
        "INSERT OR REPLACE INTO nested SELECT ?, slot, child FROM nested WHERE parent = ?", (fetch, known)
    )
    return True


def forget(database: sqlite3.Connection, oldest: float) -> None:
    """Forget what was asked before ``oldest``."""
    database.execute("DELETE FROM hops WHERE at <= ?", (oldest,))
