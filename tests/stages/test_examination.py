"""A message that breaks our own code: tried so many times, then delivered as inert text, its original kept.

Setup: the real attempt record and the real store of originals; the engine fails as it is told to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mailveil.adapters.attempts import AttemptFiles, count_given_up
from mailveil.adapters.originals import OriginalError, OriginalKeeper, OriginalStore
from mailveil.core.authentication import Authentication
from mailveil.core.observation import Observation
from mailveil.core.policy import Envelope, PolicySettings
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.gateway import Gateway
from mailveil.ports import EngineError, Protected, Reply, UnavailableError
from mailveil.stages import Records

RAW = b"From: a@example.com\r\nSubject: breaks us\r\n\r\n<img src=https://t.example/p.gif>\r\n"
INBOUND = Envelope("a@example.com", ("b@example.org",))
SUBMITTED = Envelope("a@example.org", ("b@example.com",), authenticated=True)


@dataclass
class World:
    """Engine, next hop, clock and record; attempts and originals are real."""

    directory: Path
    engine: Callable[[bytes], Protected]
    max_attempts: int = 3
    max_inert: int = 10
    max_bytes: int = 1 << 20
    policy: PolicySettings = field(default_factory=PolicySettings)
    reply: Reply = field(default_factory=lambda: Reply(250, "2.0.0", "queued"))
    delivered: list[bytes] = field(default_factory=list)
    noted: list[Observation] = field(default_factory=list)
    examined: int = 0

    def __post_init__(self) -> None:
        self.attempts = AttemptFiles(self.directory / "attempts", b"k" * 32)
        self.originals = OriginalStore(self.directory / "originals", b"o" * 32, max_bytes=self.max_bytes)
        self.gateway = Gateway(
            engine=self,
            originals=OriginalKeeper(self.originals),
            clock=self,
            records=Records(self),
            attempts=self.attempts,
            max_attempts=self.max_attempts,
            max_inert=self.max_inert,
            policy=self.policy,
        )

    def now(self) -> float:
        return 5.0

    async def protect(
        self,
        raw: bytes,
        envelope: Envelope,
        copies: Mapping[str, EmbeddedCopy] | None = None,
        policy: object = None,
    ) -> Protected:
        self.examined += 1
        await asyncio.sleep(0.01)
        return self.engine(raw)

    async def deliver(self, raw: bytes) -> Reply:
        self.delivered.append(raw)
        return self.reply

    def begin(self, observation: Observation) -> None:
        assert not observation.delivered

    def note(self, observation: Observation) -> None:
        self.noted.append(observation)

    def accept(self, raw: bytes = RAW, envelope: Envelope = INBOUND) -> Reply:
        return asyncio.run(self.gateway.accept(envelope, raw, self, "id"))


def broken(_raw: bytes) -> Protected:
    raise EngineError("crashed: signal SIGSEGV")


def unavailable(_raw: bytes) -> Protected:
    raise UnavailableError("no worker can be started")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path, broken)
    yield found
    found.attempts.close()


@pytest.mark.parametrize("most", [1, 3])
def test_so_many_attempts_then_inert_text(tmp_path: Path, most: int) -> None:
    world = World(tmp_path, broken, max_attempts=most)
    for attempt in range(1, most):
        assert (world.accept().code, world.delivered) == (451, [])
        assert world.noted[-1].defects == (
            f"attempt {attempt} of {most} to examine it failed: crashed: signal SIGSEGV",
        )
    assert world.accept() is world.reply
    (inert,) = world.delivered
    assert b"Content-Type: text/plain" in inert
    assert b"t.example" not in inert
    (kept,) = world.originals.list()
    assert world.originals.release(kept.identifier) == RAW, "the original comes back byte for byte"
    assert kept.identifier in str(world.noted[-1].defects)
    assert world.noted[-1].changed
    assert not world.noted[-1].examined
    assert f"{most} attempts" in kept.facts.reason
    world.attempts.close()


def test_a_retry_does_not_trouble_the_engine_again(world: World) -> None:
    world.reply = Reply(451, "4.3.0", "busy")
    for _ in range(3):
        world.accept()
    assert world.examined == 3
    assert world.accept().code == 451
    world.reply = Reply(250, "2.0.0", "queued")
    assert world.accept(b"Received: by another way\r\n" + RAW).code == 250
    assert world.examined == 3


def test_other_messages_are_not_concerned(world: World) -> None:
    for _ in range(3):
        world.accept()
    world.engine = Protected
    other = RAW.replace(b"breaks us", b"does not")
    assert world.accept(other).code == 250
    assert world.delivered[-1] is other


def test_without_room_for_the_original_it_stays_with_its_sender(tmp_path: Path) -> None:
    world = World(tmp_path, broken, max_bytes=10)
    for _ in range(5):
        assert world.accept().code == 451
    assert world.delivered == []
    assert "No room for originals" not in str(world.noted[-1].reply)
    with pytest.raises(OriginalError):
        world.originals.release("1767225600-" + 24 * "0")
    world.attempts.close()


def test_an_engine_that_cannot_work_at_all_blames_no_message(world: World) -> None:
    world.engine = unavailable
    for _ in range(10):
        assert world.accept().code == 451
    assert world.delivered == []
    world.engine = Protected
    assert world.accept().code == 250
    assert world.delivered == [RAW]


def test_what_policy_lets_pass_passes_without_an_engine(world: World) -> None:
    assert world.accept(envelope=SUBMITTED).code == 250
    assert world.delivered == [RAW]
    assert "not examined" in str(world.noted[-1].defects)
    assert not world.noted[-1].changed


def test_where_policy_protects_submitted_mail_it_does_not(tmp_path: Path) -> None:
    world = World(tmp_path, broken, policy=PolicySettings(protect_submitted=True))
    assert world.accept(envelope=SUBMITTED).code == 451
    assert world.delivered == []
    world.attempts.close()


def test_a_client_that_does_not_wait_hides_no_failure(world: World) -> None:
    async def vanish() -> None:
        accepting = asyncio.ensure_future(world.gateway.accept(INBOUND, RAW, world, "id"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        await asyncio.sleep(0.1)

    for _ in range(3):
        asyncio.run(vanish())
    assert world.examined == 3
    assert world.accept().code == 250, "the engine is not asked a fourth time"
    assert b"text/plain" in world.delivered[0]


def test_what_kills_the_process_before_the_engine_counts_and_is_not_tried_again(world: World) -> None:
    asked: list[bytes] = []

    class Authenticator:
        async def authenticate(self, raw: bytes) -> Authentication:
            asked.append(raw)
            assert sum(world.attempts._state.open.values()) == 1, "on record before anybody looks"
            raise SystemExit  # as near to being killed as a test can come and go on

    world.gateway = replace(world.gateway, authenticator=Authenticator())
    for _ in range(2):
        with pytest.raises(SystemExit):
            world.accept()
    assert world.attempts._state.open == {}
    for _ in range(3):
        world.attempts.end(asyncio.run(world.attempts.begin(RAW)), failed=True)
    assert world.accept().code == 250
    assert len(asked) == 2, "after so many failures nobody looks into it any more"
    assert b"text/plain" in world.delivered[0]


def test_a_record_that_fails_changes_no_reply(world: World) -> None:
    def note(observation: Observation) -> None:
        raise OSError("record is gone")

    world.note = note  # type: ignore[method-assign]
    world.engine = Protected
    assert world.accept() is world.reply


def test_nothing_of_a_message_is_kept_once_it_is_away(world: World) -> None:
    world.engine = Protected
    for number in range(200):
        assert world.accept(b"Subject: %d\r\n\r\nx" % number).code == 250
    assert world.attempts._state.open == {}
    assert world.attempts._state.failures == {}
    assert world.gateway._examination._under_way == set()


def numbered(number: int) -> bytes:
    return RAW.replace(b"breaks us", b"number %d" % number)


def test_when_everything_fails_mail_stays_with_its_senders(tmp_path: Path, caplog: Any) -> None:
    world = World(tmp_path, broken, max_attempts=1, max_inert=3)
    assert [world.accept(numbered(each)).code for each in range(6)] == [250] * 3 + [451] * 3
    assert len(world.delivered) == 3
    assert len(world.originals.list()) == 3
    assert "max_inert_per_hour" in str(world.noted[-1].defects)
    assert not world.noted[-1].examined
    assert "go back to the release before" in caplog.records[-1].getMessage()
    assert world.accept(numbered(1)).code == 250, "what was given up before goes on when it is tried again"
    world.engine = Protected
    assert world.accept(b"Subject: fine\r\n\r\n").code == 250, "what can be examined goes on"
    world.attempts.close()


def test_that_holds_for_restarts_and_for_an_hour(tmp_path: Path) -> None:
    for number in range(2):
        world = World(tmp_path, broken, max_attempts=1, max_inert=2)
        assert world.accept(numbered(number)).code == 250
        world.attempts.close()
    world = World(tmp_path, broken, max_attempts=1, max_inert=2)
    assert world.accept(numbered(2)).code == 451
    assert count_given_up(tmp_path / "attempts", time.time()) == 2
    assert count_given_up(tmp_path / "attempts", time.time() + 3601) == 0
    world.attempts.close()
    later = World(tmp_path, broken, max_attempts=1, max_inert=2)
    later.attempts.close()
    later.gateway = replace(
        later.gateway,
        attempts=AttemptFiles(tmp_path / "attempts", b"k" * 32, lambda: time.time() + 3601),
    )
    assert later.accept(numbered(2)).code == 250


def test_mail_that_policy_lets_pass_does_not_count(tmp_path: Path) -> None:
    world = World(tmp_path, broken, max_attempts=1, max_inert=0)
    assert world.accept(envelope=SUBMITTED).code == 250
    assert world.accept().code == 451
    assert world.delivered == [RAW]
    world.attempts.close()
