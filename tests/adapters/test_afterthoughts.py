"""What the judge's memory thinks otherwise of later is told once, of few messages at a time, and until it is on record.

Setup: a memory in a file of its own, and messages whose pictures turn out to be trackers, or trackers to be pictures.
Test: which messages are judged anew after which message or fetch; what is settled, put off, given up and forgotten.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mailveil.adapters import afterthoughts
from mailveil.adapters.memory import MemorySettings, SqliteMemory
from mailveil.core.verdicts.evidence import BodyFacts, FetchEvidence, FetchOutcome, Hop
from mailveil.core.verdicts.record import key_of
from mailveil.core.verdicts.types import Finding, Kind, Risk, Verdict
from mailveil.ports import Judged, Reconsidered, SeenMessage

DOUBTFUL = Verdict(Finding.CONTENT, 0.4, log_odds=-0.4)
TRACKER = Verdict(Finding.TRACKER, 0.6, (Kind.OPEN,), log_odds=0.4, risk=Risk.MEDIUM)


class Clock:
    now = 20_000 * 86_400.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[SqliteMemory]:
    memory = SqliteMemory(MemorySettings(tmp_path, days=30, timeout_s=30.0), clock)
    yield memory
    memory.close()


def url(number: int) -> str:
    return f"https://t.mailer.example/o/{number:016x}.gif"


def meet(memory: SqliteMemory, number: int, *urls: str, verdict: Verdict = DOUBTFUL) -> None:
    judged = tuple(Judged(each, verdict, f"{number} {each}") for each in urls)
    who = (f"r{number}@here.example",)
    passages = (("default", f"m{number}"),)
    asyncio.run(memory.meet(SeenMessage(f"<{number}>", "news.example", "May", who, judged, passages)))


def look(memory: SqliteMemory, clock: Clock) -> list[Reconsidered]:
    clock.now += 2 * afterthoughts.SETTLE_S
    return list(asyncio.run(memory.reconsidered(1_000)))


def settle(memory: SqliteMemory, found: Sequence[Reconsidered], *, recorded: bool = True) -> None:
    for each in found:
        asyncio.run(memory.settle(each, recorded=recorded))


def messages(found: Sequence[Reconsidered]) -> set[str]:
    return {message for each in found for _, message in each.passages}


def test_those_who_got_a_mailing_first_are_told_of_once_the_next_show_what_it_is(
    memory: SqliteMemory, clock: Clock
) -> None:
    meet(memory, 0, url(0))
    assert look(memory, clock) == []
    for number in range(1, 4):
        meet(memory, number, url(number))
    found = look(memory, clock)
    assert "m0" in messages(found)
    assert all(each.is_tracker for one in found for each in one.verdicts.values())
    first = next(each for each in found if each.passages == (("default", "m0"),))
    assert list(first.verdicts) == [key_of(f"0 {url(0)}")]
    settle(memory, found)
    assert look(memory, clock) == []


def test_a_tracker_that_everybody_gets_turns_out_to_be_none(memory: SqliteMemory, clock: Clock) -> None:
    for number in range(4):
        meet(memory, number, url(7), verdict=TRACKER)
    found = look(memory, clock)
    assert "m0" in messages(found)
    assert not any(each.is_tracker for one in found for each in one.verdicts.values())


def test_a_fetch_tells_of_the_message_that_it_was_for(memory: SqliteMemory, clock: Clock) -> None:
    meet(memory, 0, url(0))
    fields = (("cache-control", "no-store"), ("set-cookie", "u=1; Max-Age=99999999"))
    hop = Hop(url(0), 200, fields, address="192.0.2.1")
    evidence = FetchEvidence(FetchOutcome.FETCHED, hops=(hop,), body=BodyFacts(90, "aa" * 32, complete=True))
    asyncio.run(memory.learn(url(0), evidence))
    assert messages(look(memory, clock)) == {"m0"}


def test_what_is_not_on_record_yet_is_asked_for_again_ever_more_rarely_and_at_last_no_more(
    memory: SqliteMemory, clock: Clock
) -> None:
    for number in range(4):
        meet(memory, number, url(number))
    pauses, last = [], clock.now
    for _ in range(20_000):
        if found := look(memory, clock):
            settle(memory, found, recorded=False)
            pauses.append(clock.now - last)
            last = clock.now
    assert len(pauses) == afterthoughts.MAX_TRIES + 1
    assert pauses == sorted(pauses)
    assert pauses[-1] <= afterthoughts.LONGEST_S + 5


def test_what_was_not_settled_is_told_again_after_a_crash(
    memory: SqliteMemory, clock: Clock, tmp_path: Path
) -> None:
    for number in range(4):
        meet(memory, number, url(number))
    found = look(memory, clock)
    memory.close()
    anew = SqliteMemory(memory.settings, clock)
    assert look(anew, clock) == found
    anew.close()


def test_many_who_get_the_same_have_few_verdicts_looked_at_again(
    memory: SqliteMemory, clock: Clock, tmp_path: Path
) -> None:
    for number in range(60):
        meet(memory, number, url(number), "https://t.mailer.example/logo.png")
        if number > 12:
            look(memory, clock)
            with sqlite3.connect(tmp_path / "memory.sqlite3") as file:
                count = file.execute("SELECT count(*) FROM stale").fetchone()[0]
            file.close()
            settle(memory, look(memory, clock))
            assert count <= 8
    with sqlite3.connect(tmp_path / "memory.sqlite3") as file:
        (most,) = file.execute("SELECT max(c) FROM (SELECT count(*) c FROM traced GROUP BY trace)").fetchone()
    file.close()
    assert most <= afterthoughts.MAX_OF_A_TRACE


def test_a_message_that_goes_on_record_nowhere_is_not_told_of(memory: SqliteMemory, clock: Clock) -> None:
    for number in range(4):
        judged = (Judged(url(number), DOUBTFUL, f"{number}"),)
        seen = SeenMessage(f"<{number}>", "news.example", "May", (f"r{number}@here.example",), judged)
        asyncio.run(memory.meet(seen))
    assert look(memory, clock) == []


def test_what_is_old_is_forgotten_with_the_verdicts(
    memory: SqliteMemory, clock: Clock, tmp_path: Path
) -> None:
    for number in range(4):
        meet(memory, number, url(number))
    clock.now += 40 * 86_400.0
    asyncio.run(memory.prune(clock.now))
    with sqlite3.connect(tmp_path / "memory.sqlite3") as file:
        for table in afterthoughts.TABLES:
            assert file.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    file.close()
    assert look(memory, clock) == []
