"""When mailveil itself is at fault, whoever looks is told: by `check`, by the console, by the log.

Setup: the real product whose record of attempts says that so many messages became inert text just now.
Test: the alarm is there, names the setting, and is gone when there is no reason for it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from console_door import administrator
from mailveil.app import Outcome, Role, check, serve
from mailveil.app.building import build_attempts
from mailveil.config import Settings, load
from postfix_room import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(
        None,
        environment={
            "MAILVEIL_STORAGE__DIRECTORY": str(tmp_path),
            "MAILVEIL_CONSOLE__LISTEN": f"127.0.0.1:{free_port()}",
            "MAILVEIL_GATEWAY__MAX_INERT_PER_HOUR": "2",
        },
    )


def give_up(settings: Settings, count: int) -> None:
    """Record that so many messages became inert text, as a gateway that is no more has."""
    attempts = build_attempts(settings)
    for number in range(count):
        attempt = asyncio.run(attempts.begin(b"Subject: %d\r\n\r\n" % number))
        attempts.end(attempt, failed=True)
        assert attempts.give_up(attempt, 2)
    attempts.close()


def looked_at(settings: Settings) -> tuple[str, str]:
    """Return the console, and what ``check`` says of examining (nothing: ``""``)."""

    async def inside() -> tuple[str, str]:
        stop, started = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(
            serve(settings, [Role.CONSOLE], say=str, started=lambda _: started.set(), stop=stop)
        )
        await started.wait()
        async with administrator(settings) as browser:
            page = await browser.get("/")
        found = [each for each in await check(settings) if each.name == "examining"]
        assert all(each.outcome is Outcome.BAD for each in found)
        stop.set()
        await serving
        return page.text, "".join(each.text for each in found)

    return asyncio.run(inside())


def test_an_alarm_names_what_to_do(settings: Settings) -> None:
    give_up(settings, 2)
    page, told = looked_at(settings)
    assert "max_inert_per_hour" in page
    assert "max_inert_per_hour" in told


def test_there_is_none_without_a_reason(settings: Settings) -> None:
    give_up(settings, 1)
    page, told = looked_at(settings)
    assert "max_inert_per_hour" not in page
    assert not told
