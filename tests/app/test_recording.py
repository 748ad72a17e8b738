"""What is in the spool comes into the database once and in order, whatever becomes of the database meanwhile.

Setup: a spool, and a store that answers, is away, comes back, refuses one record, or hangs up over one.
Test: nothing is lost, nothing is there twice, what no database could take is set aside with a line in the log and
nothing waits behind it, and the loop ends in time while a store is away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from mailveil.adapters.spool import ObservationSpool
from mailveil.app import recording
from mailveil.app.recording import RecordLoop
from mailveil.core.observation import Observation
from mailveil.ports import UnavailableError


def observation(number: int) -> Observation:
    return Observation(f"{number:032x}", "default", float(number), f"id-{number}", subject="private words")


class Store:
    """Keeps records by identifier, as the real one does; ``poison`` fails in the way that is asked for."""

    def __init__(self, poison: dict[float, Exception] | None = None) -> None:
        self.kept: dict[str, Observation] = {}
        self.poison = poison or {}
        self.is_away = False
        self.asked = 0

    async def add(self, observations: Sequence[Observation]) -> int:
        self.asked += 1
        if self.is_away:
            raise UnavailableError("the database does not answer")
        for each in observations:
            if each.at in self.poison:
                raise self.poison[each.at]
        before = len(self.kept)
        for each in observations:
            self.kept.setdefault(each.identifier, each)
        return len(self.kept) - before

    @property
    def numbers(self) -> list[int]:
        return [int(each.at) for each in self.kept.values()]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "RETRY_S", (0.005, 0.02))
    monkeypatch.setattr(recording, "IDLE_S", 0.05)
    monkeypatch.setattr(recording, "TOGETHER_S", 0.001)


def in_the_room(
    tmp_path: Path, store: Store, test: Callable[[ObservationSpool, RecordLoop], Awaitable[None]]
) -> None:
    async def run() -> None:
        spool = ObservationSpool(tmp_path, 1 << 30)
        loop = RecordLoop(spool, store)
        loop.start()
        await test(spool, loop)
        await asyncio.to_thread(spool.close)
        await loop.finish()

    asyncio.run(run())


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not what():
            await asyncio.sleep(0.005)


def test_records_come_into_the_database_in_order(tmp_path: Path) -> None:
    store = Store()

    async def test(spool: ObservationSpool, loop: RecordLoop) -> None:
        for number in range(500):
            spool.note(observation(number))
        await until(lambda: len(store.kept) == 500)
        assert store.asked < 100, "many are written together"

    in_the_room(tmp_path, store, test)
    assert store.numbers == list(range(500))
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_comes_back_gets_what_came_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mailveil")
    store = Store()
    store.is_away = True

    async def test(spool: ObservationSpool, loop: RecordLoop) -> None:
        for number in range(50):
            spool.note(observation(number))
        await until(lambda: store.asked > 12)
        assert loop.problem == "the database does not answer"
        assert not list(tmp_path.glob("*.refused")), "a database that is away makes no record a bad one"
        store.is_away = False
        await until(lambda: len(store.kept) == 50)
        await until(lambda: not loop.problem)

    in_the_room(tmp_path, store, test)
    assert store.numbers == list(range(50))
    assert caplog.text.count("the database does not answer") == 1, "said once, not at every attempt"
    assert "written again" in caplog.text
    assert "private" not in caplog.text


def test_what_a_process_left_behind_is_written_by_the_next(tmp_path: Path) -> None:
    before = ObservationSpool(tmp_path, 1 << 30)
    before.note(observation(1))
    before.close()
    store = Store()

    async def test(spool: ObservationSpool, loop: RecordLoop) -> None:
        await until(lambda: len(store.kept) == 1)

    in_the_room(tmp_path, store, test)


@pytest.mark.parametrize(
    "error", [ValueError("what it holds"), UnavailableError("hung up")], ids=["refused", "hung-up"]
)
def test_one_bad_record_holds_up_no_other(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mailveil")
    store = Store({7.0: error})

    async def test(spool: ObservationSpool, loop: RecordLoop) -> None:
        for number in range(20):
            spool.note(observation(number))
        await until(lambda: len(store.kept) == 19 and bool(list(tmp_path.glob("*.refused"))))
        spool.note(observation(100))
        await until(lambda: 100 in store.numbers)
        await until(lambda: not list(tmp_path.glob("*.spool")))

    in_the_room(tmp_path, store, test)
    assert sorted(store.numbers) == [number for number in range(20) if number != 7] + [100]
    (aside,) = tmp_path.glob("*.refused")
    assert b"id-7" in aside.read_bytes()
    assert f"{7:032x}" in caplog.text
    assert "private" not in caplog.text
    assert "what it holds" not in caplog.text


def test_a_bad_record_alone_waits_until_the_store_is_known_to_answer(tmp_path: Path) -> None:
    store = Store({7.0: UnavailableError("hung up")})

    async def test(spool: ObservationSpool, loop: RecordLoop) -> None:
        spool.note(observation(7))
        await until(lambda: store.asked > 20)
        assert not list(tmp_path.glob("*.refused"))
        spool.note(observation(8))
        await until(lambda: 8 in store.numbers and bool(list(tmp_path.glob("*.refused"))))

    in_the_room(tmp_path, store, test)


def test_garbage_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "1.spool").write_bytes(b"garbage\n00000000 {}\n")
    store = Store()

    async def test(spool: ObservationSpool, loop: RecordLoop) -> None:
        spool.note(observation(1))
        await until(lambda: len(store.kept) == 1)

    in_the_room(tmp_path, store, test)
    assert (tmp_path / "1.refused").read_bytes() == b"garbage\n00000000 {}\n"


def test_the_loop_ends_while_the_store_is_away(tmp_path: Path) -> None:
    store = Store()
    store.is_away = True

    async def test(spool: ObservationSpool, loop: RecordLoop) -> None:
        spool.note(observation(1))
        await until(lambda: store.asked > 0)

    in_the_room(tmp_path, store, test)
    assert list(tmp_path.glob("*.spool")), "and what is there waits for the next start"
