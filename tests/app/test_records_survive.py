"""What was delivered is on record exactly once, whatever is killed meanwhile, and no mail waits for the database.

Setup: a real ``mailveil serve`` that delivers into a Maildir, with SQLite or a PostgreSQL of the test's own.
Test: it is killed with SIGKILL in the middle of a burst and started again; its PostgreSQL is killed, stopped in its
tracks and brought back. Every message of the Maildir is in the database once, within seconds when all is well, and
delivery took no longer while the database was away. With pseudonyms, subjects and addresses are in no file at all.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import re
import smtplib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from disguises import DISGUISES
from mailveil.adapters.database.engine import Database, database_url
from mailveil.ports import UnavailableError
from mailveil_room import Mailveil, mailveil_room
from postgres_room import PostgresCluster

PATIENCE_S = 120.0
RECIPIENT = "anna.kettler@example.org"


def message(number: int) -> bytes:
    return (
        f"From: News <news@shop.example>\r\nTo: {RECIPIENT}\r\nSubject: number {number}.\r\n"
        f"Message-ID: <{number}@shop.example>\r\nContent-Type: text/html\r\n\r\n"
        f'<p>Hello</p><img src="https://t.shop.example/open/{number:08x}a9c.gif" width=1 height=1>\r\n'
    ).encode()


def send(mailveil: Mailveil, numbers: list[int]) -> int:
    """Send messages until that is not possible any more; return how many were taken."""
    taken = 0
    with (
        contextlib.suppress(OSError, smtplib.SMTPException),
        smtplib.SMTP("127.0.0.1", mailveil.port, timeout=PATIENCE_S) as client,
    ):
        for number in numbers:
            client.sendmail("news@shop.example", [RECIPIENT], message(number))
            taken += 1
    return taken


def delivered(mailveil: Mailveil) -> Counter[str]:
    """Return the Message-IDs in the Maildir, each with how often it is there."""
    folder = mailveil.settings.local_maildir / "new"
    texts = [path.read_bytes() for path in folder.iterdir()] if folder.exists() else []
    return Counter(re.search(rb"Message-ID: (<\S+>)", text)[1].decode() for text in texts)  # type: ignore[index]


def recorded(mailveil: Mailveil) -> Counter[str]:
    """Return the Message-IDs in the database."""

    async def read() -> list[str]:
        database = Database(database_url(str(mailveil.settings.database.url), mailveil.settings.directory))
        try:
            async with database.read() as connection:
                return list((await connection.execute(sa.text("SELECT message_id FROM messages"))).scalars())
        finally:
            await database.close()

    try:
        return Counter(asyncio.run(read()))
    except UnavailableError:
        return Counter()


def until(what: Callable[[], bool], mailveil: Mailveil) -> float:
    """Wait for something, and return how long that took."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < PATIENCE_S, mailveil.log()
        time.sleep(0.05)
    return time.monotonic() - started


def test_a_process_that_is_killed_in_a_burst_leaves_every_message_on_record() -> None:
    with (
        mailveil_room({"workers": {"processes": 1}}) as mailveil,
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        for burst in range(2):
            shares = [list(range(first, first + 100)) for first in range(burst * 400, burst * 400 + 400, 100)]
            before = delivered(mailveil).total()
            sending = [pool.submit(send, mailveil, share) for share in shares]
            until(lambda before=before: delivered(mailveil).total() > before + 30, mailveil)  # type: ignore[misc]
            mailveil.kill()
            assert sum(each.result() for each in sending) < 400, "it was killed in the middle"
            mailveil.start()
        there = delivered(mailveil)
        until(lambda: not there - recorded(mailveil), mailveil)
        records = recorded(mailveil)
        assert {each: records[each] for each in there} == dict(there), "each passage once"
        assert not list((mailveil.settings.directory / "observations").glob("*.refused"))


def test_mail_does_not_wait_for_postgresql_and_nothing_is_lost(postgres_cluster: PostgresCluster) -> None:
    with mailveil_room(
        {"database": {"url": postgres_cluster.address}, "workers": {"processes": 1}}
    ) as mailveil:
        assert send(mailveil, [1]) == 1
        until(lambda: recorded(mailveil).total() == 1, mailveil)
        postgres_cluster.kill()
        started = time.monotonic()
        assert send(mailveil, [2, 3, 4]) == 3
        assert time.monotonic() - started < 30
        until(lambda: "mail is not affected" in mailveil.log(), mailveil)
        postgres_cluster.start()
        until(lambda: recorded(mailveil).total() == 4, mailveil)
        postgres_cluster.freeze()
        try:
            assert send(mailveil, [5, 6]) == 2
        finally:
            postgres_cluster.thaw()
        until(lambda: recorded(mailveil).total() == 6, mailveil)
        assert set(recorded(mailveil).values()) == {1}


def test_from_delivery_to_the_database_within_seconds() -> None:
    with mailveil_room({"workers": {"processes": 1}}) as mailveil:
        send(mailveil, [1])  # the first one starts the worker
        until(lambda: recorded(mailveil).total() == 1, mailveil)
        taken = []
        for number in range(2, 6):
            assert send(mailveil, [number]) == 1
            taken.append(until(lambda number=number: recorded(mailveil).total() == number, mailveil))  # type: ignore[misc]
        assert min(taken) < 2.0, taken


@pytest.mark.parametrize("disguise", ["plain", "base64 for URLs", "hexadecimal"])
def test_with_pseudonyms_no_file_and_no_log_names_a_recipient(disguise: str) -> None:
    text = DISGUISES[disguise](RECIPIENT)
    raw = (
        f"From: News <bounce+{text}@shop.example>\r\nTo: {RECIPIENT}\r\nSubject: For {text}\r\n"
        f"Message-ID: <{text}@shop.example>\r\nList-Id: <{text}.shop.example>\r\nContent-Type: text/html\r\n\r\n"
        f'<p>Hello</p><img src="https://t.shop.example/open/{text}.gif?u={text}" width=1 height=1>\r\n'
    ).encode()
    table = {"records": {"recipients": "pseudonym"}, "log": {"level": "debug"}, "workers": {"processes": 1}}
    with mailveil_room(table) as mailveil:
        with smtplib.SMTP("127.0.0.1", mailveil.port, timeout=PATIENCE_S) as client:
            client.sendmail(f"bounce+{text}@shop.example", [RECIPIENT], raw)
        until(lambda: recorded(mailveil).total() == 1, mailveil)
        mailveil.stop()
        assert "person-" in _everything(mailveil)
        told = _everything(mailveil)
        for each in DISGUISES.values():
            assert each(RECIPIENT).lower() not in told, each


def _everything(mailveil: Mailveil) -> str:
    """Return the log and all files of ours but the mail itself and the copies' addresses, in lower case."""
    folder = mailveil.settings.directory
    ours = [path for path in folder.rglob("*") if path.is_file() and not _is_others(path.relative_to(folder))]
    return "\n".join([mailveil.log(), *(path.read_bytes().decode("latin-1") for path in ours)]).lower()


def _is_others(path: Path) -> bool:
    return path.parts[0] in ("maildir", "copies")
