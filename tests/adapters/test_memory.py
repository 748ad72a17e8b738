"""The judge's memory.

Setup: a memory in a folder of its own, messages with tracker-like and honest references for several recipients, and
evidence of their fetches.
Test: the same template with another token for each recipient makes trackers, the same URL for several makes content;
copies of one message, a group of recipients and one forwarded message prove little or nothing; what a fetch shows
changes the verdicts of the references that wanted it, before and after; nothing of persons or addresses stands in the
file; it is bounded, forgets, survives being killed, and where it is dead says so in time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailveil.adapters.memory import MAX_OF_A_PATTERN, MAX_OF_A_THING, MemorySettings, SqliteMemory
from mailveil.core.verdicts.evidence import (
    BodyFacts,
    FetchEvidence,
    FetchOutcome,
    Hop,
    NameAnswer,
    NameRecord,
)
from mailveil.core.verdicts.record import key_of
from mailveil.core.verdicts.signals import Signal
from mailveil.core.verdicts.types import Finding, Kind, Verdict
from mailveil.ports import Judged, SeenMessage, UnavailableError

CONTENT = Verdict(Finding.CONTENT, 0.1, (), (), None, -2.2)
TRACKER = Verdict(Finding.TRACKER, 0.9, (Kind.OPEN,), (), None, 2.2)
LOGO = "https://cdn.shop.example/img/logo.png"
DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.at = 20_000 * DAY

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[SqliteMemory]:
    memory = SqliteMemory(MemorySettings(tmp_path, days=30, timeout_s=30.0), clock)
    yield memory
    memory.close()


def pixel(number: int) -> str:
    return f"https://t.mailer.example/o/{number:016x}.gif"


def message(
    who: str, *urls: str, verdict: Verdict = CONTENT, identifier: str = "", subject: str = "May"
) -> SeenMessage:
    judged = tuple(Judged(url, verdict, f"{who} {url}") for url in urls)
    return SeenMessage(identifier or f"<{who}@id>", "news.example", subject, tuple(who.split()), judged)


def fetched(
    url: str, *fields: tuple[str, str], sha256: str = "aa", outcome: str = "fetched"
) -> FetchEvidence:
    hop = Hop(url, 200, fields, address="192.0.2.1")
    return FetchEvidence(FetchOutcome(outcome), hops=(hop,), body=BodyFacts(90, sha256 * 32, complete=True))


def meet(memory: SqliteMemory, *messages: SeenMessage) -> list[tuple[Verdict, ...]]:
    return [asyncio.run(memory.meet(each)) for each in messages]


def test_another_token_for_another_recipient_is_the_strongest_proof(memory: SqliteMemory) -> None:
    found = meet(memory, *(message(f"r{n}@example.org", pixel(n), LOGO) for n in range(6)))
    assert Signal.TOKEN_PER_RECIPIENT not in found[0][0].signals
    assert Signal.TOKEN_PER_RECIPIENT in found[-1][0].signals
    assert found[-1][0].is_tracker
    scores = [verdicts[0].score for verdicts in found]
    assert scores == sorted(scores)
    assert not found[-1][1].is_tracker
    assert Signal.URL_SHARED in found[-1][1].signals


def test_the_same_address_for_all_is_the_strongest_disproof(memory: SqliteMemory) -> None:
    found = meet(memory, *(message(f"r{n}@example.org", pixel(1), verdict=TRACKER) for n in range(6)))
    assert found[0][0].is_tracker
    assert not found[-1][0].is_tracker


def test_copies_of_one_message_prove_nothing(memory: SqliteMemory) -> None:
    found = meet(
        memory,
        *(message(f"r{n}@example.org", pixel(1), verdict=TRACKER, identifier="<one>") for n in range(6)),
    )
    assert found[-1] == (TRACKER,)


def test_a_group_of_recipients_is_one(memory: SqliteMemory) -> None:
    found = meet(memory, message("a@example.org b@example.org c@example.org", pixel(1), verdict=TRACKER))
    assert found == [(TRACKER,)]


def test_one_forwarded_message_disproves_little(memory: SqliteMemory) -> None:
    found = meet(memory, *(message(f"r{n}@example.org", pixel(1), verdict=TRACKER) for n in range(2)))
    assert found[-1][0].is_tracker
    assert found[-1][0].score < TRACKER.score


def test_pictures_of_different_mailings_are_no_tokens(memory: SqliteMemory) -> None:
    found = meet(
        memory, *(message(f"r{n}@example.org", pixel(n), subject=f"Issue {'abc'[n]}x") for n in range(3))
    )
    assert found[-1] == (CONTENT,)


def test_many_addresses_of_one_template_are_pictures(memory: SqliteMemory) -> None:
    found = meet(
        memory,
        *(message(f"r{n}@example.org", *(pixel(10 * n + each) for each in range(4))) for n in range(4)),
    )
    assert found[-1] == (CONTENT,) * 4


def test_a_name_for_each_message_makes_a_tracker_by_look_up(memory: SqliteMemory) -> None:
    urls = [f"https://{n:08x}4c1d.d.watch.example/i.gif" for n in range(5)]
    found = meet(memory, *(message(f"r{n}@example.org", url) for n, url in enumerate(urls)))
    assert found[-1][0].kinds[0] is Kind.DNS


def test_hosts_are_new_only_to_a_memory_of_some_age(memory: SqliteMemory, clock: Clock) -> None:
    assert meet(memory, message("a@example.org", LOGO)) == [(CONTENT,)]
    clock.at += 20 * DAY
    (verdict,) = meet(memory, message("b@example.org", pixel(1)))[0]
    assert Signal.NEW_HOST in verdict.signals
    (verdict,) = meet(memory, message("c@example.org", LOGO))[0]
    assert Signal.NEW_HOST not in verdict.signals


def test_a_fetch_changes_the_verdicts_of_those_who_wanted_it(memory: SqliteMemory) -> None:
    meet(memory, message("a@example.org", pixel(1)))
    key = key_of(f"a@example.org {pixel(1)}")
    before = asyncio.run(memory.verdicts([key, "00" * 16]))
    assert before == {key: CONTENT}
    asyncio.run(memory.learn(pixel(1), fetched(pixel(1), ("cache-control", "no-store"), outcome="drip-fed")))
    after = asyncio.run(memory.verdicts([key]))[key]
    assert after.is_tracker
    assert after.kinds[0] is Kind.DWELL
    assert after == asyncio.run(memory.verdicts_on([pixel(1)]))[pixel(1)]


def test_a_fetch_of_before_counts_for_the_next_message(memory: SqliteMemory) -> None:
    asyncio.run(memory.learn(pixel(1), fetched(pixel(1), outcome="drip-fed")))
    (verdict,) = meet(memory, message("a@example.org", pixel(1)))[0]
    assert Signal.DRIP_FED in verdict.signals


def test_one_content_for_all_tokens_counts_once_it_is_known(memory: SqliteMemory) -> None:
    meet(memory, *(message(f"r{n}@example.org", pixel(n)) for n in range(3)))
    for n in range(3):
        asyncio.run(memory.learn(pixel(n), fetched(pixel(n))))
    keys = [key_of(f"r{n}@example.org {pixel(n)}") for n in range(3)]
    verdicts = asyncio.run(memory.verdicts(keys))
    assert all(Signal.SHARED_BODY in verdicts[key].signals for key in keys), "the first one's as well"
    asyncio.run(memory.learn(pixel(3), fetched(pixel(3), sha256="bb")))
    assert Signal.SHARED_BODY not in asyncio.run(memory.verdicts(keys))[keys[0]].signals


def test_names_that_are_answered_alike_are_those_of_a_wildcard(memory: SqliteMemory) -> None:
    urls = [f"https://{n:08x}4c1d.d.watch.example/i.gif" for n in range(2)]
    meet(memory, *(message(f"r{n}@example.org", url) for n, url in enumerate(urls)))
    for url in urls:
        host = url.split("/")[2]
        answer = NameAnswer(host, (NameRecord(host, "A", 300, "192.0.2.9"),))
        asyncio.run(
            memory.learn(url, FetchEvidence(FetchOutcome.FETCHED, hops=(Hop(url, 200, name=answer),)))
        )
    key = key_of(f"r0@example.org {urls[0]}")
    assert Signal.WILDCARD_ZONE in asyncio.run(memory.verdicts([key]))[key].signals


def test_what_lies_behind_a_host_is_known_by_its_template(memory: SqliteMemory) -> None:
    name = NameAnswer(
        "johanna-7f3a.px.spy.example",
        (
            NameRecord("johanna-7f3a.px.spy.example", "CNAME", 60, "edge.spy-hosting.example"),
            NameRecord("edge.spy-hosting.example", "A", 60, "192.0.2.9"),
        ),
        ("NS2.spy.example.", "ns1.spy.example"),
    )
    url = "https://johanna-7f3a.px.spy.example/o.gif"
    fields = (("date", "x"), ("server", "nginx"), ("content-type", "image/gif"))
    hop = Hop(url, 200, fields, address="192.0.2.9", name=name, certificate="c" * 64)
    asyncio.run(
        memory.learn(url, FetchEvidence(FetchOutcome.FETCHED, hops=(hop,), body=BodyFacts(43, "d" * 64)))
    )
    known = asyncio.run(memory.infrastructure(["*.spy.example", "px.elsewhere.example"]))
    assert list(known) == ["*.spy.example"]
    facts = known["*.spy.example"]
    assert facts.canonical_names == ("*.spy-hosting.example",)
    assert facts.name_servers == ("ns1.spy.example", "ns2.spy.example")
    assert (facts.addresses, facts.certificate, facts.body) == (("192.0.2.9",), "c" * 64, "d" * 32)
    later = FetchEvidence(FetchOutcome.FETCHED, hops=(replace(hop, fields=(("age", "1"), *fields[1:])),))
    asyncio.run(memory.learn(url, later))
    assert (
        asyncio.run(memory.infrastructure(["*.spy.example"]))["*.spy.example"].header_order
        == facts.header_order
    )


def test_what_reached_nobody_is_not_learned(memory: SqliteMemory) -> None:
    asyncio.run(memory.learn(pixel(1), fetched(pixel(1), outcome="drip-fed")))
    asyncio.run(memory.learn(pixel(1), FetchEvidence(FetchOutcome.NO_EXIT)))
    (verdict,) = meet(memory, message("a@example.org", pixel(1)))[0]
    assert Signal.DRIP_FED in verdict.signals


def test_nothing_of_persons_and_addresses_stands_in_the_files(memory: SqliteMemory, tmp_path: Path) -> None:
    meet(
        memory,
        message("anna.muster@example.org", pixel(7), "https://t.mailer.example/?e=anna.muster@example.org"),
    )
    asyncio.run(memory.learn(pixel(7), fetched(pixel(7))))
    memory.close()
    files = [path for path in tmp_path.iterdir() if path.name != "memory.key"]
    assert files
    for path in files:
        raw = path.read_bytes()
        for told in (b"anna", b"muster", b"example", b"mailer", b"news", f"{7:016x}".encode(), b"May"):
            assert told not in raw, path.name


def test_a_pattern_takes_bounded_room(memory: SqliteMemory) -> None:
    meet(memory, *(message(f"r{n}@example.org", pixel(n)) for n in range(MAX_OF_A_PATTERN + 20)))
    count = asyncio.run(memory._run(lambda each: each.execute("SELECT count(*) FROM seen").fetchone()[0]))
    assert count == MAX_OF_A_PATTERN + MAX_OF_A_THING, "of the addresses, and of their host name"


def test_what_is_old_is_forgotten(memory: SqliteMemory, clock: Clock) -> None:
    meet(memory, message("a@example.org", pixel(1), LOGO))
    asyncio.run(memory.learn(pixel(1), fetched(pixel(1), outcome="drip-fed")))
    key = key_of(f"a@example.org {pixel(1)}")
    clock.at += 29 * DAY
    assert asyncio.run(memory.prune(clock.at)) == 0
    clock.at += 2 * DAY
    assert asyncio.run(memory.prune(clock.at)) > 5
    assert asyncio.run(memory.verdicts([key])) == {}
    tables = ("seen", "answers", "hosts", "behaviours", "verdicts")
    counts = asyncio.run(
        memory._run(
            lambda each: [each.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables]
        )
    )
    assert counts == [0] * 5


def test_of_too_much_the_oldest_go(tmp_path: Path, clock: Clock) -> None:
    memory = SqliteMemory(MemorySettings(tmp_path, days=365, max_rows=10, timeout_s=30.0), clock)
    for day in range(20):
        meet(
            memory,
            message(f"r{day}@example.org", f"https://h{day}x.example/{day}/a.png", subject=f"n{'x' * day}"),
        )
        clock.at += DAY
    asyncio.run(memory.prune(clock.at))
    counts = asyncio.run(
        memory._run(lambda each: each.execute("SELECT count(*), min(day) FROM verdicts").fetchone())
    )
    assert counts[0] == 10
    assert counts[1] == 20_010
    memory.close()


def test_what_was_remembered_outlives_the_process(memory: SqliteMemory, tmp_path: Path, clock: Clock) -> None:
    meet(memory, *(message(f"r{n}@example.org", pixel(n)) for n in range(5)))
    other = SqliteMemory(MemorySettings(tmp_path, timeout_s=30.0), clock)  # while the first is still open
    assert Signal.TOKEN_PER_RECIPIENT in meet(other, message("x@example.org", pixel(99)))[0][0].signals
    other.close()


def test_a_dead_memory_says_so(tmp_path: Path) -> None:
    (tmp_path / "judge").write_text("no folder")
    memory = SqliteMemory(MemorySettings(tmp_path / "judge"))
    with pytest.raises(UnavailableError):
        meet(memory, message("a@example.org", LOGO))
    memory.close()
    with pytest.raises(UnavailableError, match="closed"):
        meet(memory, message("a@example.org", LOGO))


def test_a_stuck_memory_keeps_nobody_waiting(tmp_path: Path) -> None:
    memory = SqliteMemory(MemorySettings(tmp_path, timeout_s=0.2, max_waiting=2))

    async def inside() -> list[object]:
        stuck = [memory._run(lambda _: time.sleep(2)) for _ in range(2)]
        return await asyncio.gather(
            *stuck, memory.meet(message("a@example.org", LOGO)), return_exceptions=True
        )

    assert all(isinstance(each, UnavailableError) for each in asyncio.run(inside()))
    memory.close()


def test_a_key_that_is_another_is_an_error_and_no_verdict(memory: SqliteMemory, tmp_path: Path) -> None:
    meet(memory, message("a@example.org", pixel(1)))
    (tmp_path / "memory.key").write_bytes(b"k" * 32)
    other = SqliteMemory(MemorySettings(tmp_path, timeout_s=30.0))
    with pytest.raises(UnavailableError, match=r"memory\.key"):
        asyncio.run(other.verdicts([key_of(f"a@example.org {pixel(1)}")]))
    other.close()


def test_a_message_of_thousands_of_references_takes_bounded_room(memory: SqliteMemory) -> None:
    urls = [f"https://h{n}.example/a.png" for n in range(3000)]
    (verdicts,) = meet(memory, message("a@example.org", *urls))
    assert len(verdicts) == 3000
    counts = asyncio.run(memory._run(lambda each: each.execute("SELECT count(*) FROM hosts").fetchone()))
    assert counts == (500,)
