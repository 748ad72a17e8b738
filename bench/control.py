"""The control room with 100,000 messages against 1,000, both over thirty days, on the embedded database.

Every question that a page or an API list asks is asked of both in turn, and the ratio of the medians is printed: what
costs the same however much is kept is 1, the aim is 2 at most. ``pages.py`` asks as people and programs do, by HTTP.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mailveil.adapters.database import tables
from mailveil.adapters.database.engine import Database, database_url
from mailveil.adapters.database.observations import SqlObservationStore
from mailveil.adapters.database.schema import upgrade
from mailveil.control.records import Cut, MessageQuery, Page, TrackerQuery
from observations import (
    DAYS,
    FREQUENT_WORD,
    HOT_OPERATOR,
    HOT_PERSON,
    RARE_HOST,
    RARE_OPERATOR,
    RARE_WORD,
    generated,
)

ORGANISATION = "default"
UNTIL = time.time() // 3_600 * 3_600
DAY = 86_400.0
BATCH = 200
SMALL, LARGE, LARGE_QUICKLY = 1_000, 100_000, 20_000
ROUNDS = 31
DEEP = 0.8  # of a list that lies before a deep page

Question = Callable[[SqlObservationStore], Awaitable[object]]


async def prepared(database: Database, organisation: str = ORGANISATION) -> None:
    """Make the tables as ``mailveil serve`` does, with an organisation."""
    await upgrade(database)
    async with database.write() as connection:
        await connection.execute(
            tables.organisations.insert(),
            {"identifier": organisation, "name": organisation, "language": "en", "created_at": 0.0},
        )


async def seeded(folder: Path, count: int, organisation: str = ORGANISATION) -> tuple[Database, float]:
    """Return a database with so many messages, and how many a second were written."""
    database = Database(database_url("", folder).set(database=str(file_of(folder, count))))
    await prepared(database, organisation)
    store = SqlObservationStore(database)
    batch, spent = [], 0.0
    for number, seen in enumerate(generated(count, 1, organisation, UNTIL), 1):
        batch.append(seen)
        if len(batch) == BATCH or number == count:
            begin = time.perf_counter()
            await store.add(batch)
            spent += time.perf_counter() - begin
            batch = []
    return database, count / spent


MESSAGES: dict[str, MessageQuery] = {
    "all": MessageQuery(),
    "since 24 h": MessageQuery(since=UNTIL - DAY),
    "a week in the past": MessageQuery(since=UNTIL - 20 * DAY, until=UNTIL - 13 * DAY),
    "frequent word": MessageQuery(text=FREQUENT_WORD),
    "rare word": MessageQuery(text=RARE_WORD),
    "one letter": MessageQuery(text="s"),
    "two frequent words": MessageQuery(text=f"{FREQUENT_WORD} report"),
    "frequent and rare word": MessageQuery(text=f"{FREQUENT_WORD} {RARE_WORD}"),
    "no such word": MessageQuery(text="xylophone"),
    "frequent sender": MessageQuery(sender="sender0.example"),
    "rare sender": MessageQuery(sender="sender2990.example"),
    "author": MessageQuery(sender="news@sender1.example"),
    "frequent recipient": MessageQuery(recipient=HOT_PERSON),
    "rare recipient": MessageQuery(recipient="person490@office.example"),
    "low risk and above": MessageQuery(risk="low"),
    "high risk": MessageQuery(risk="high"),
    "frequent operator": MessageQuery(operator=HOT_OPERATOR),
    "rare operator": MessageQuery(operator=RARE_OPERATOR),
    "frequent host": MessageQuery(host="service0.example"),
    "rare host": MessageQuery(host=RARE_HOST),
    "with trackers": MessageQuery(has_trackers=True),
    "without trackers": MessageQuery(has_trackers=False),
    "with remote content": MessageQuery(has_remote=True),
    "changed": MessageQuery(changed=True),
    "operator, risk, since": MessageQuery(operator=HOT_OPERATOR, risk="high", since=UNTIL - 7 * DAY),
    "word, sender, trackers": MessageQuery(text="report", sender="sender0.example", has_trackers=True),
    "trackers but not changed": MessageQuery(has_trackers=True, changed=False),
}
TRACKERS: dict[str, TrackerQuery] = {
    "last": TrackerQuery(),
    "first": TrackerQuery(order="first"),
    "messages": TrackerQuery(order="messages"),
    "people": TrackerQuery(order="people"),
    "frequent operator": TrackerQuery(operator=HOT_OPERATOR),
    "frequent operator by people": TrackerQuery(operator=HOT_OPERATOR, order="people"),
    "rare operator": TrackerQuery(operator=RARE_OPERATOR),
    "domain": TrackerQuery(domain="service0.example"),
    "frequent kind": TrackerQuery(kind="open"),
    "rare kind by messages": TrackerQuery(kind="dwell", order="messages"),
    "since 24 h": TrackerQuery(since=UNTIL - DAY),
    "since 24 h by messages": TrackerQuery(since=UNTIL - DAY, order="messages"),
    "frequent word": TrackerQuery(text="gif"),
    "rare word": TrackerQuery(text="seldom"),
    "once only": TrackerQuery(text="once", order="people"),
}


async def deep(ask: Callable[[Cut], Awaitable[Page[Any]]]) -> Cut:
    """Return where a page most of the way down a list begins."""
    cursors, cursor = [""], ""
    while True:
        page = await ask(Cut(200, cursor))
        if not page.next:
            return Cut(50, cursors[int(len(cursors) * DEEP)])
        cursor = page.next
        cursors.append(cursor)


async def questions(store: SqlObservationStore) -> dict[str, Question]:
    """Return everything that is asked of a store, by name."""
    asked: dict[str, Question] = {}

    def messages(query: MessageQuery, cut: Cut) -> Question:
        return lambda its: its.messages(ORGANISATION, query, cut)

    def trackers(query: TrackerQuery, cut: Cut) -> Question:
        return lambda its: its.trackers(ORGANISATION, query, cut)

    for name, query in MESSAGES.items():
        asked[f"messages: {name}"] = messages(query, Cut())
    for name in ("all", "frequent word", "low risk and above", "frequent operator"):
        place = await deep(lambda cut, query=MESSAGES[name]: store.messages(ORGANISATION, query, cut))  # type: ignore[misc]
        asked[f"messages: {name}, deep"] = messages(MESSAGES[name], place)
    for name, sought in TRACKERS.items():
        asked[f"trackers: {name}"] = trackers(sought, Cut())
    for name in ("last", "people"):
        place = await deep(lambda cut, query=TRACKERS[name]: store.trackers(ORGANISATION, query, cut))  # type: ignore[misc]
        asked[f"trackers: {name}, deep"] = trackers(TRACKERS[name], place)
    asked["operators"] = lambda its: its.operators(ORGANISATION, 0.0, Cut())
    asked["operators: since 24 h"] = lambda its: its.operators(ORGANISATION, UNTIL - DAY, Cut())
    (line, *_) = (await store.messages(ORGANISATION, MessageQuery(has_trackers=True), Cut())).items
    (tracker, *_) = (await store.trackers(ORGANISATION, TrackerQuery(), Cut())).items
    asked["one message"] = lambda its: its.message(ORGANISATION, line.identifier)
    asked["one tracker"] = lambda its: its.tracker(ORGANISATION, tracker.identifier)
    asked["one tracker's messages"] = messages(MessageQuery(tracker=tracker.identifier), Cut())
    asked["one operator"] = lambda its: its.operator(ORGANISATION, HOT_OPERATOR)
    for name, days in (("24 h", 1), ("7 d", 7), ("30 d", 30)):
        since, step = UNTIL - days * DAY, 86_400 if days == DAYS else 3_600
        asked[f"figures of {name}"] = lambda its, since=since: its.figures(ORGANISATION, since, UNTIL)
        asked[f"series of {name}"] = lambda its, since=since, step=step: its.series(
            ORGANISATION, since, UNTIL, step
        )
        for dimension in ("operator", "sender_domain", "host", "kind", "risk"):
            asked[f"top {dimension} of {name}"] = lambda its, since=since, dimension=dimension: its.top(
                ORGANISATION, dimension, since, UNTIL, 10
            )
    return asked


async def compared(questions: Sequence[Callable[[], Awaitable[object]]], rounds: int) -> dict[str, float]:
    """Return what a question costs of few messages and of many, asked in turn, so that other work disturbs both alike.

    Medians, in milliseconds of the clock and as ratios of the clock and of this process's processor time.
    """
    clock: list[list[float]] = [[], []]
    processor: list[list[float]] = [[], []]
    for question in questions:
        await question()
    for _ in range(rounds):
        for at, question in enumerate(questions):
            begin, begin_processor = time.perf_counter(), time.process_time()
            await question()
            processor[at].append(time.process_time() - begin_processor)
            clock[at].append(time.perf_counter() - begin)
    few, many = (statistics.median(each) * 1e3 for each in clock)
    of_processor = statistics.median(processor[1]) / statistics.median(processor[0])
    return {"ms_few": few, "ms_many": many, "ratio": many / few, "processor_ratio": of_processor}


async def measured(folder: Path, small: int, large: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return what each question costs with few messages and with many."""
    databases: Sequence[Database] = ()
    try:
        few, few_rate = await seeded(folder, small)
        databases = (few,)
        many, many_rate = await seeded(folder, large)
        databases = (few, many)
        results = {
            "messages/s written": {"few": few_rate, "many": many_rate, "ratio": few_rate / many_rate},
        }
        of_few, of_many = SqlObservationStore(few), SqlObservationStore(many)
        few_asked, many_asked = await questions(of_few), await questions(of_many)
        for name, question in few_asked.items():
            both = (partial(question, of_few), partial(many_asked[name], of_many))
            results[name] = await compared(both, rounds)
        return results
    finally:
        for database in databases:
            await database.close()


def measure(folder: Path, *, quick: bool = False) -> dict[str, dict[str, float]]:
    """Return the costs of the control room's questions, and of writing down what is seen.

    The databases stay in ``folder``, where ``file_of`` names them.
    """
    large = how_many(quick=quick)
    results = asyncio.run(measured(folder, SMALL, large, 11 if quick else ROUNDS))
    size = sum(path.stat().st_size for path in folder.glob(f"{large}.sqlite3*"))
    return {"kB a message on disk": {"many": size / large / 1e3}} | results


def how_many(*, quick: bool) -> int:
    """Return how many messages many are."""
    return LARGE_QUICKLY if quick else LARGE


def file_of(folder: Path, count: int) -> Path:
    """Return where the database with so many messages is."""
    return folder / f"{count}.sqlite3"
