"""What passed is put on record, compared with what the judge remembers, and never in the way of mail.

Setup: a gateway whose ports are noted in order, a memory that answers, one that is dead, one that fails and one that
never answers; and the real engine, memory, fetch loop and spool one after the other.
Test: the sender is answered before the memory is asked; the record has every message once, with the verdicts of the
memory where there are any; nothing is remembered of mail that did not go on; the same message for another recipient
and its fetch change what the record's reader is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from mailveil.adapters.memory import MemorySettings, SqliteMemory
from mailveil.adapters.spool import ObservationSpool
from mailveil.adapters.workers import WorkerPool
from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.observation import Observation, ObservedReference, Passed
from mailveil.core.policy import Envelope
from mailveil.core.protection import CopyMode, EngineSettings
from mailveil.core.verdicts.evidence import FetchEvidence, FetchOutcome, Hop
from mailveil.core.verdicts.signals import Signal
from mailveil.core.verdicts.types import Finding, Kind, Reason, Risk, Verdict
from mailveil.gateway import Gateway
from mailveil.ports import (
    Judged,
    Protected,
    Reply,
    SeenMessage,
    UnavailableError,
)
from mailveil.stages import Recording, Records
from mailveil.stages.observation import MAX_UNDER_WAY

URL = "https://t.example/o/0123456789abcdef.gif"
CONTENT = Verdict(Finding.CONTENT, 0.1, log_odds=-2.2)
TRACKER = Verdict(
    Finding.TRACKER,
    0.97,
    (Kind.DWELL, Kind.OPEN),
    reasons=(Reason(Signal.DRIP_FED, 3.0, "drop by drop"),),
    risk=Risk.HIGH,
)
FOUND = ObservedReference(URL, "", "", "", "img-src", "content", "copy", kind="", score=0.1, key="00" * 16)
PROTECTED = Protected(
    b"protected", found=(FOUND, FOUND), judged=(Judged(URL, CONTENT, "t"),), message_id="<1@x>"
)
ENVELOPE = Envelope("news@shop.example", ("anna@example.org",))
RAW = b"Subject: x\r\n\r\noriginal"


class World:
    """Engine, originals, clock, next hop, record and memory at once."""

    def __init__(self, meets: object = (TRACKER,), reply: Reply | None = None) -> None:
        self.meets = meets
        self.reply = reply or Reply(250, "2.0.0", "queued")
        self.noted: list[Observation] = []
        self.seen: list[SeenMessage] = []
        self.answered = False

    def now(self) -> float:
        return 5.0

    async def protect(
        self, raw: bytes, envelope: Envelope, copies: object = None, policy: object = None
    ) -> Protected:
        return PROTECTED

    async def keep(self, raw: bytes, envelope: Envelope, reason: str = "") -> str:
        raise AssertionError

    async def deliver(self, raw: bytes) -> Reply:
        return self.reply

    def begin(self, observation: Observation) -> None:
        assert not observation.delivered

    def note(self, observation: Observation) -> None:
        self.noted.append(observation)

    async def meet(self, message: SeenMessage) -> tuple[Verdict, ...]:
        assert self.answered, "mail does not wait for the judge's memory"
        self.seen.append(message)
        if isinstance(self.meets, Exception):
            raise self.meets
        if self.meets is None:
            await asyncio.sleep(3600)
        return self.meets  # type: ignore[return-value]

    async def learn(self, url: str, evidence: FetchEvidence) -> None:
        raise AssertionError

    async def verdicts(self, keys: Sequence[str]) -> Mapping[str, Verdict]:
        raise AssertionError

    async def accept(self, *, remembers: bool = True) -> Reply:
        gateway = Gateway(self, self, self, records=Records(self), memory=self if remembers else None)  # type: ignore[arg-type]
        reply = await gateway.accept(ENVELOPE, RAW, self, "id")  # type: ignore[arg-type]
        self.answered = True
        await compared(gateway)
        await gateway.finish()
        return reply


def test_the_record_has_the_verdicts_of_the_memory() -> None:
    world = World()
    assert asyncio.run(world.accept()).code == 250
    (record,) = world.noted
    first, second = record.references
    assert (first.finding, first.kind, first.kinds) == ("tracker", "dwell", ("dwell", "open"))
    assert first.reasons == ("drop by drop",)
    assert first.template == "https://t.example/o/*.gif"
    assert second.finding == "content", "what the memory says nothing of stays as it was"
    (seen,) = world.seen
    passages = ((record.organisation, record.identifier),)
    judged = PROTECTED.judged
    assert seen == SeenMessage("<1@x>", "shop.example", "", ("anna@example.org",), judged, passages)


@pytest.mark.parametrize("error", [UnavailableError("down"), ValueError("our own fault")])
def test_a_memory_that_fails_keeps_no_message_from_the_record(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "mailveil")
    world = World(error)
    assert asyncio.run(world.accept()).code == 250
    assert [each.finding for each in world.noted[0].references] == ["content", "content"]
    assert "is not compared with earlier ones" in caplog.text
    assert "anna" not in caplog.text
    assert "0123456789abcdef" not in caplog.text


@pytest.mark.parametrize("code", [451, 550])
def test_mail_that_does_not_go_on_is_not_remembered(code: int) -> None:
    world = World(reply=Reply(code, "", "no"))
    assert asyncio.run(world.accept()).code == code
    assert len(world.noted) == 1
    assert not world.seen


def test_without_a_memory_the_record_is_written_at_once() -> None:
    world = World()
    asyncio.run(world.accept(remembers=False))
    assert len(world.noted) == 1
    assert not world.seen


def test_messages_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(None)
    world.answered = True

    monkeypatch.setattr("mailveil.stages.observation.FINISH_S", 0.2)

    async def inside() -> None:
        recording = Recording(Records(world), world)
        passed = Passed(1.0, "id", ENVELOPE)
        for _ in range(MAX_UNDER_WAY + 7):
            recording.note(passed, PROTECTED, RAW, went_on=True)
        assert len(world.noted) == 7, "on record, though not compared"
        await asyncio.sleep(0.01)
        assert len(world.seen) == 1, "one after the other, and mail has the processor in between"
        await recording.finish()
        assert len(world.noted) == MAX_UNDER_WAY + 7, (
            "what was not compared in time is on record all the same"
        )

    asyncio.run(inside())


def html(token: str) -> bytes:
    text = "<p>These are the news of the week, and we hope that you like them as much as we do.</p>"
    return (
        f"From: news@shop.example\r\nMessage-ID: <{token}@shop.example>\r\nSubject: News\r\n"
        f"Content-Type: text/html\r\n\r\n{text}"
        f'<img src="https://img.shop.example/{token}/header.png" width=300 height=80 alt=Header>'
    ).encode()


async def compared(gateway: Gateway) -> None:
    await asyncio.gather(*gateway._recording._under_way)


class Accepting:
    async def deliver(self, raw: bytes) -> Reply:
        return Reply(250)


class Clock:
    def now(self) -> float:
        return 5.0


def recorded(spool: ObservationSpool) -> list[Observation]:
    (path,) = spool.segments()
    taken = spool.take(path)
    assert taken is not None
    taken.let_go()
    return [each.observation for each in taken.records if each.observation is not None]


def test_from_engine_to_reader(tmp_path: Path) -> None:
    asyncio.run(_from_engine_to_reader(tmp_path))


async def _from_engine_to_reader(tmp_path: Path) -> None:
    settings = EngineSettings(
        mode=CopyMode.HOSTED, addresses=CopyAddresses("https://copies.example", b"k" * 32)
    )
    spool = ObservationSpool(tmp_path / "observations", 1 << 30)
    memory = SqliteMemory(MemorySettings(tmp_path / "judge", timeout_s=30.0))
    tokens = [f"{number:x}f3a9c07d51e8b{number:x}2" for number in range(1, 6)]
    with WorkerPool(settings, processes=1) as engine:
        gateway = Gateway(engine, World(), Clock(), records=Records(spool), memory=memory)  # type: ignore[arg-type]
        for token in tokens:
            envelope = Envelope("news@shop.example", (f"{token}@example.org",))
            assert (await gateway.accept(envelope, html(token), Accepting(), token)).code == 250  # type: ignore[arg-type]
            await compared(gateway)
    spool.close()
    first, *_others, latest = recorded(spool)
    (found,) = first.references
    assert found.key
    assert Signal.TOKEN_PER_RECIPIENT in (await memory.verdicts([found.key]))[found.key].signals
    (found,) = latest.references
    before = (await memory.verdicts([found.key]))[found.key]
    assert found.score == pytest.approx(before.score, abs=0.001)
    url = f"https://img.shop.example/{tokens[-1]}/header.png"
    await memory.learn(url, FetchEvidence(FetchOutcome.DRIP_FED, hops=(Hop(url, 200, address="192.0.2.1"),)))
    after = (await memory.verdicts([found.key]))[found.key]
    assert after.log_odds > before.log_odds
    assert after.is_tracker
    assert Kind.DWELL in after.kinds
    memory.close()
