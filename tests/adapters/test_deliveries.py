"""The journal: bounded, without persons, and never in the way of mail."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from mailveil.adapters.deliveries import SqliteJournal
from mailveil.core.observation import ObservedReference
from mailveil.ports import Passage

FOUND = ObservedReference(
    "https://t.example/p", "", "", "", "img-src", "tracker", "copy", kind="pixel", score=0.9
)


def passage(number: int, **fields: object) -> Passage:
    return Passage(float(number), f"id-{number}", "example.com", 100, "inbound", "250 OK", **fields)


def written(path: Path, *passages: Passage, keep: int = 500) -> SqliteJournal:
    journal = SqliteJournal(path, keep)
    for each in passages:
        journal.note(each)
    journal.close()
    return journal


def test_what_was_noted_is_read_newest_first(tmp_path: Path) -> None:
    noted = [passage(1), passage(2, found=(FOUND,), changed=True, defects=("nul",))]
    journal = written(tmp_path / "journal.sqlite3", *noted)
    assert list(asyncio.run(journal.latest())) == noted[::-1]
    assert asyncio.run(journal.totals()) == {"messages": 2, "changed": 1, "references": 1, "trackers": 1}


def test_only_the_latest_are_kept_but_all_are_counted(tmp_path: Path) -> None:
    journal = written(tmp_path / "journal.sqlite3", *(passage(number) for number in range(20)), keep=5)
    assert [each.identifier for each in asyncio.run(journal.latest())] == [
        f"id-{n}" for n in (19, 18, 17, 16, 15)
    ]
    assert asyncio.run(journal.totals())["messages"] == 20


def test_a_message_of_a_thousand_references_takes_bounded_room(tmp_path: Path) -> None:
    journal = written(tmp_path / "journal.sqlite3", passage(1, found=(FOUND,) * 10_000))
    assert len(asyncio.run(journal.latest())[0].found) == 200


def test_a_journal_that_cannot_be_written_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    started = time.monotonic()
    journal = written(tmp_path / "file" / "journal.sqlite3", *(passage(number) for number in range(5000)))
    assert time.monotonic() - started < 3
    assert asyncio.run(journal.latest()) == []
    assert asyncio.run(journal.totals()) == {}
