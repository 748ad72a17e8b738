"""Looking: the page on health tells what works, what does not, and what to do; the overview never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mailveil.app.check_result import CheckResult, Outcome
from mailveil.app.looking import FRESH_S, Backlog, HealthWatch, Studying
from mailveil.app.sharing import DeliveryFigures
from mailveil.config import Settings, load
from mailveil.control.health import Condition, Measure, troubled, worst
from mailveil.ports import UnavailableError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {"MAILVEIL_STORAGE__DIRECTORY": str(tmp_path)})


class Checked:
    """Stands for the check: tells what it is given, and counts how often it was asked."""

    def __init__(self, *results: CheckResult) -> None:
        self.results = results
        self.asked = 0

    async def __call__(self, settings: Settings) -> Sequence[CheckResult]:
        self.asked += 1
        return self.results


class Copies:
    def __init__(self, counts: dict[str, int] | None) -> None:
        self.found = counts

    async def counts(self) -> dict[str, int]:
        if self.found is None:
            raise UnavailableError("the file is locked")
        return self.found


def look(watch: HealthWatch) -> dict[str, Measure]:
    return {each.name: each for each in asyncio.run(watch(anew=True))}


def watch_with(settings: Settings, **parts: Any) -> HealthWatch:
    return HealthWatch(settings, **{"tried": Checked(), **parts})


@pytest.mark.parametrize(
    ("left", "words"),
    [("about 3 hours", "has fallen behind; it takes about 3 hours more"), ("", "has fallen behind")],
)
def test_a_backlog_tells_how_long_it_takes(settings: Settings, left: str, words: str) -> None:
    async def studying() -> Studying:
        return Studying(1_000_000, left=left)

    seen = look(watch_with(settings, studying=studying))["studying of what was seen"]
    assert (seen.condition, seen.words, seen.figure) == (Condition.WARN, words, "1,000,000 to come")


def test_what_the_check_finds_is_told_where_it_belongs(settings: Settings) -> None:
    results = (
        CheckResult("next hop", Outcome.BAD, "does not answer"),
        CheckResult("exit", Outcome.NOTICE, "slow"),
        CheckResult("storage", Outcome.GOOD, "41 GB free"),
    )
    found = look(watch_with(settings, tried=Checked(*results)))
    assert (found["next hop"].area, found["next hop"].condition) == ("mail", Condition.BAD)
    assert (found["exit"].area, found["exit"].condition) == ("fetching", Condition.WARN)
    assert found["storage"].condition is Condition.OK


def test_what_waits_for_a_database_that_is_away_is_told(settings: Settings) -> None:
    found = look(watch_with(settings, backlog=lambda: Backlog(20_000, "connection refused")))
    assert found["spool of observations"].condition is Condition.WARN
    assert "connection refused" in found["spool of observations"].words
    assert found["spool of observations"].figure == "20 kB wait"


def test_lost_observations_are_told_before_anything_else_of_the_spool(settings: Settings) -> None:
    found = look(watch_with(settings, backlog=lambda: Backlog(1, "away", dropped=12)))
    assert found["spool of observations"].condition is Condition.BAD
    assert "12 observations" in found["spool of observations"].words


@pytest.mark.parametrize(
    ("counts", "store", "queue"),
    [
        ({"stored": 5, "bytes": 10**6, "released": 3}, Condition.OK, Condition.OK),
        ({"stored": 5, "bytes": 10**6, "released": 5000}, Condition.OK, Condition.WARN),
        (None, Condition.BAD, None),
    ],
)
def test_copies_and_the_fetches_that_wait(
    settings: Settings, counts: dict[str, int] | None, store: Condition, queue: Condition | None
) -> None:
    found = look(watch_with(settings, copies=Copies(counts)))
    assert found["store of copies"].condition is store
    assert (found["fetch queue"].condition if "fetch queue" in found else None) is queue


def test_who_does_not_ask_for_news_gets_the_last_look_at_once(settings: Settings) -> None:
    checked, moment = Checked(CheckResult("lists", Outcome.GOOD, "none")), [1000.0]

    async def visit() -> None:
        watch = watch_with(settings, tried=checked, now=lambda: moment[0])
        assert await watch() == ()  # nobody has looked yet; this visit has somebody do it
        assert watch._under_way is not None
        await watch._under_way
        assert [each.name for each in await watch()] == ["lists"]
        assert checked.asked == 1
        moment[0] += FRESH_S + 1
        await watch()
        await watch._under_way
        assert checked.asked == 2

    asyncio.run(visit())


def test_the_worst_is_what_a_page_begins_with() -> None:
    well = Measure("mail", "a", Condition.OK, "")
    off = Measure("mail", "b", Condition.OFF, "")
    warned = Measure("mail", "c", Condition.WARN, "")
    bad = Measure("mail", "d", Condition.BAD, "")
    assert worst([]) is Condition.OK
    assert worst([well, off]) is Condition.OK
    assert worst([well, warned, off]) is Condition.WARN
    assert worst([warned, bad]) is Condition.BAD
    assert troubled([well, warned, off, bad]) == (bad, warned)


def test_destinations_that_take_nothing_are_told_without_their_names(settings: Settings) -> None:
    none = DeliveryFigures()
    assert "destinations" not in look(watch_with(settings, sharing=lambda: none))
    well = DeliveryFigures(waiting={"syslog": 3}, destinations={"syslog": 1, "webhook": 2})
    found = look(watch_with(settings, sharing=lambda: well))["destinations"]
    assert (found.area, found.condition, found.figure) == ("sharing", Condition.OK, "3 events wait")
    well.troubled["webhook"] = 1
    found = look(watch_with(settings, sharing=lambda: well))["destinations"]
    assert (found.condition, found.words) == (Condition.WARN, "1 of 3 takes no events now")
