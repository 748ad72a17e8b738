"""What copies are made of: style sheets lead to their own references, reports know facts, deletion deletes.

Setup: a real store in a temporary directory, with a clock of our own.
Test: everything goes through the store's own methods, as the fetcher, the copies server and the commands use them.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import sqlite3
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import pytest

from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.adapters.fetchqueue import url_digest
from mailveil.core.references.links import link_digest
from mailveil.core.references.types import Media
from mailveil.ports import CopyFacts, FetchJob, StoredCopy, WantedCopy

Result = TypeVar("Result")
DAY = 86_400.0
SHEET = WantedCopy("sheet", "https://o.example/s.css", Media.STYLESHEET)
IMAGE = ("https://o.example/i.png", Media.IMAGE)


class Room:
    def __init__(self, directory: Path, **settings: object) -> None:
        self.clock = 1_000_000.0
        self.directory = directory
        self.store = SqliteCopyStore(StoreSettings(directory, **settings), lambda: self.clock)

    def do(self, work: Awaitable[Result]) -> Result:
        async def inside() -> Result:
            return await work

        return asyncio.run(inside())

    def wanted(self, *wanted: WantedCopy) -> None:
        self.do(self.store.reserve(wanted))
        self.do(self.store.release(wanted))
        self.clock += 1

    def jobs(self) -> list[FetchJob]:
        self.clock += 1
        found = []
        while job := self.do(self.store.claim()):
            found.append(job)
        return found

    def fetched(self, wanted: WantedCopy, body: bytes, *nested: tuple[str, Media], **facts: object) -> None:
        self.wanted(wanted)
        (job,) = self.jobs()
        self.put(job, body, *nested, **facts)

    def put(self, job: FetchJob, body: bytes, *nested: tuple[str, Media], **facts: object) -> bool:
        kind = "text/css" if job.media is Media.STYLESHEET else "image/png"
        return self.do(self.store.put(job, body, kind, CopyFacts(nested=nested, **facts)))

    def objects(self) -> int:
        return len(list((self.directory / "objects").glob("??/*")))


@pytest.fixture
def room(tmp_path: Path):
    room = Room(tmp_path)
    yield room
    room.store.close()


def test_a_sheet_leads_to_what_it_refers_to(room: Room) -> None:
    room.fetched(SHEET, b"sheet", IMAGE, ("https://o.example/t.css", Media.STYLESHEET))
    first, second = sorted(room.jobs(), key=lambda job: job.url)
    assert (first.url, second.url) == (IMAGE[0], "https://o.example/t.css")
    assert room.do(room.store.get("sheet", (0,))) == StoredCopy(Media.IMAGE, pending=True)
    room.put(first, b"picture")
    room.put(second, b"inner", ("https://o.example/f.woff2", Media.FONT))
    (font,) = room.jobs()
    assert room.put(font, b"font")
    assert room.do(room.store.get("sheet", (0,))).body == b"picture"
    assert room.do(room.store.get("sheet", (1,))).media_type == "text/css"
    assert room.do(room.store.get("sheet", (1, 0))).body == b"font"
    for slots in ((2,), (0, 0), (1, 1), (1, 0, 0)):
        assert room.do(room.store.get("sheet", slots)) is None


def test_another_message_shares_the_sheet_and_all_below_it(room: Room) -> None:
    room.fetched(SHEET, b"sheet", IMAGE)
    (job,) = room.jobs()
    room.put(job, b"picture")
    room.wanted(WantedCopy("other", SHEET.url, Media.STYLESHEET))
    assert room.jobs() == []
    assert room.do(room.store.get("other", (0,))).body == b"picture"


def test_a_url_that_the_message_links_to_is_never_fetched_for_its_sheet(room: Room) -> None:
    links = link_digest("https://o.example/unsubscribe?u=1#top") + link_digest("https://o.example/confirm")
    room.wanted(WantedCopy("sheet", SHEET.url, Media.STYLESHEET, links=links))
    (job,) = room.jobs()
    inner = "https://o.example/t.css"
    room.put(job, b"sheet", ("https://o.example/unsubscribe?u=1", Media.IMAGE), (inner, Media.STYLESHEET))
    (job,) = room.jobs()
    assert job.url == inner
    room.put(job, b"inner", ("https://o.example/confirm", Media.IMAGE), IMAGE)
    assert [job.url for job in room.jobs()] == [IMAGE[0]]


def test_where_there_are_too_many_links_nothing_is_fetched_for_a_sheet(room: Room) -> None:
    room.wanted(WantedCopy("sheet", SHEET.url, Media.STYLESHEET, links="*"))
    (job,) = room.jobs()
    room.put(job, b"sheet", IMAGE)
    assert room.jobs() == []


def test_sheets_within_sheets_come_to_an_end(room: Room) -> None:
    room.fetched(SHEET, b"0", ("https://o.example/1.css", Media.STYLESHEET))
    for level in range(1, 10):
        jobs = room.jobs()
        if not jobs:
            break
        room.put(jobs[0], b"%d" % level, (f"https://o.example/{level + 1}.css", Media.STYLESHEET))
    assert level == 4


def test_sheets_that_lead_in_a_circle_come_to_an_end(room: Room) -> None:
    inner = ("https://o.example/t.css", Media.STYLESHEET)
    room.fetched(SHEET, b"outer", (SHEET.url, Media.STYLESHEET), inner)
    (job,) = room.jobs()
    room.put(job, b"inner", (SHEET.url, Media.STYLESHEET), inner)
    assert room.jobs() == []
    assert room.do(room.store.get("sheet", (0,))) is None
    assert room.do(room.store.get("sheet", (1, 0))) is None


def test_what_sheets_lead_to_is_bounded_however_they_are_written(room: Room) -> None:
    number = iter(range(100_000))

    def nested() -> list[tuple[str, Media]]:
        sheets = [(f"https://o.example/{next(number)}.css", Media.STYLESHEET) for _ in range(8)]
        return sheets + [(f"https://o.example/{next(number)}.png", Media.IMAGE) for _ in range(42)]

    room.fetched(SHEET, b"x", *nested())
    asked = 1
    while jobs := room.jobs():
        asked += len(jobs)
        for job in jobs:
            room.put(job, job.url.encode(), *(nested() if job.media is Media.STYLESHEET else ()))
    assert asked == 201


def test_what_a_sheet_leads_to_lives_as_long_as_the_sheet(tmp_path: Path) -> None:
    room = Room(tmp_path, retention_days=30)
    room.fetched(SHEET, b"sheet", IMAGE)
    (job,) = room.jobs()
    room.put(job, b"picture")
    room.clock += 20 * DAY
    room.wanted(WantedCopy("later", "https://o.example/later", Media.IMAGE))
    room.do(room.store.expire(room.clock))
    assert room.do(room.store.get("sheet", (0,))).body == b"picture"
    room.clock += 11 * DAY
    room.do(room.store.expire(room.clock))
    assert room.objects() == 0
    with sqlite3.connect(tmp_path / "copies.sqlite3") as database:
        for table in ("nested", "facts", "spared_sets"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    database.close()
    room.store.close()


def test_reports_know_what_a_copy_is(room: Room) -> None:
    room.fetched(
        WantedCopy("a", "https://o.example/a", Media.IMAGE), b"x", as_of_delivery=True, width=3, height=4
    )
    room.fetched(WantedCopy("b", "https://o.example/b", Media.IMAGE), b"y", is_silent=True, duration_s=2.5)
    room.wanted(WantedCopy("c", "https://o.example/c", Media.IMAGE))
    a, b, c, d = room.do(room.store.describe(["a", "b", "c", "d"]))
    assert (a.state, a.size_bytes, a.facts) == (
        "stored",
        1,
        CopyFacts(as_of_delivery=True, width=3, height=4),
    )
    assert b.facts == CopyFacts(is_silent=True, duration_s=2.5)
    assert (c.state, d.state) == ("pending", "unknown")
    assert room.do(room.store.get("a")).as_of_delivery
    assert not room.do(room.store.get("b")).as_of_delivery


def test_two_contents_of_one_url_change_with_time(room: Room) -> None:
    for token, body in (("a", b"one"), ("b", b"one")):
        room.fetched(WantedCopy(token, "https://o.example/x", Media.IMAGE), body)
        room.clock += 2 * DAY
    assert not room.do(room.store.get("b")).as_of_delivery
    room.fetched(WantedCopy("c", "https://o.example/x", Media.IMAGE), b"other")
    assert [room.do(room.store.get(token)).as_of_delivery for token in "abc"] == [True, True, True]


def test_deletion_leaves_a_placeholder_of_the_same_size(room: Room) -> None:
    shared = WantedCopy("a", "https://o.example/x", Media.IMAGE, width=30, height=20)
    room.fetched(shared, b"picture")
    room.wanted(WantedCopy("b", shared.url, Media.IMAGE))
    assert room.do(room.store.delete_token("a")) == 1
    assert room.do(room.store.get("a")) == StoredCopy(Media.IMAGE, width=30, height=20)
    assert room.do(room.store.get("b")).body == b"picture"
    assert room.do(room.store.delete_token("b")) == 1
    assert room.do(room.store.delete_token("b")) == 0
    assert room.objects() == 0
    assert room.do(room.store.inventory())["bytes"] == 0


def test_deletion_by_content_and_by_url(room: Room) -> None:
    for token, url in (
        ("a", "https://o.example/1"),
        ("b", "https://o.example/2"),
        ("c", "https://o.example/3"),
    ):
        room.fetched(WantedCopy(token, url, Media.IMAGE), b"same" if token != "c" else b"other")
    assert room.do(room.store.delete_content(hashlib.sha256(b"same").hexdigest().upper())) == 2
    assert room.objects() == 1
    assert room.do(room.store.delete_urls([url_digest("https://o.example/3")])) == 1
    assert room.objects() == 0
    assert all(not room.do(room.store.get(token)).body for token in "abc")
    room.wanted(WantedCopy("d", "https://o.example/3", Media.IMAGE))
    assert room.jobs() == [], "what was deleted is not fetched again for another message of that day"


def test_deletion_by_age(room: Room) -> None:
    room.fetched(WantedCopy("a", "https://o.example/1", Media.IMAGE), b"1")
    room.clock += 10 * DAY
    room.fetched(WantedCopy("b", "https://o.example/2", Media.IMAGE), b"2")
    assert room.do(room.store.delete_older(room.clock - 5 * DAY)) == 1
    assert room.do(room.store.get("a")) is None
    assert room.do(room.store.get("b")).body == b"2"
    told = room.do(room.store.inventory())
    assert (told["addresses"], told["contents"], told["stored"], told["bytes"]) == (1, 1, 1, 1)


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_in_a_placeholder_and_not_in_retries(
    room: Room, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(reason, os.strerror(reason))

    room.wanted(WantedCopy("a", "https://o.example/1", Media.IMAGE))
    (job,) = room.jobs()
    monkeypatch.setattr(os, "fsync", full)
    assert not room.put(job, b"1")
    monkeypatch.undo()
    assert room.do(room.store.get("a")) == StoredCopy(Media.IMAGE)
    assert room.objects() == 0
    assert not room.put(job, b"1"), "it stays a placeholder"


def test_the_running_total_is_that_of_the_contents(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.fetched(WantedCopy("a", "https://o.example/1", Media.IMAGE), b"123")
    room.store.close()
    with sqlite3.connect(tmp_path / "copies.sqlite3") as database:
        database.executescript("DROP TABLE used; DROP TRIGGER object_added; DROP TRIGGER object_removed")
    database.close()
    room = Room(tmp_path)
    assert room.do(room.store.counts())["bytes"] == 3, "a store of before is counted once"
    room.fetched(WantedCopy("b", "https://o.example/2", Media.IMAGE), b"4567")
    assert room.do(room.store.counts())["bytes"] == 7
    room.store.close()


def test_looking_at_a_copy_leaves_its_time_of_access(room: Room) -> None:
    room.fetched(WantedCopy("a", "https://o.example/1", Media.IMAGE), b"123")
    (path,) = (room.directory / "objects").glob("??/*")
    os.utime(path, (1_000, 2_000))  # so long ago that reading would be noted even with relatime
    for _ in range(3):
        assert room.do(room.store.get("a")).body == b"123"
    assert path.stat().st_atime == 1_000
