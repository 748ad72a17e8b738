"""Test: what cannot be looked at is looked at more rarely, and as often as before once it can be; nothing ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from mailveil.app import rounds
from mailveil.ports import UnavailableError

AWAY = UnavailableError("the database is away")
FAULT = ValueError("a fault of ours")


def pauses_after(monkeypatch: pytest.MonkeyPatch, *ends: Exception | None) -> list[float]:
    """Return how long it rests after looking so many times, each of which ends so; then it is cancelled."""
    pauses: list[float] = []
    left: Iterator[Exception | None] = iter(ends)

    async def look() -> None:
        end = next(left)
        if end is not None:
            raise end

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == len(ends):
            raise asyncio.CancelledError

    async def steps() -> None:
        with pytest.raises(asyncio.CancelledError):
            await rounds.go_round(look, 2.0, "things", logging.getLogger("mailveil.test"))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(steps())
    return pauses


def test_it_rests_the_longer_the_longer_nothing_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pauses_after(monkeypatch, None, AWAY, AWAY, None, AWAY) == [2.0, 4.0, 8.0, 2.0, 4.0]
    assert max(pauses_after(monkeypatch, *[AWAY] * 20)) == rounds.LONGEST_PAUSE_S


def test_a_fault_of_ours_is_told_whole_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mailveil.test"):
        assert pauses_after(monkeypatch, AWAY, FAULT, None) == [4.0, rounds.LONGEST_PAUSE_S, 2.0]
    later, fault = caplog.records
    assert later.getMessage() == "things are looked for later: the database is away"
    assert fault.levelno == logging.ERROR
    assert fault.exc_info is not None
