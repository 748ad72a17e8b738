"""``mailveil simulate``: an organisation's mail that never was, with the truth, into a file or a database."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mailveil.app.controlling import opened_room
from mailveil.commands.inroom import operator_name
from mailveil.commands.terminal import complain, count, note
from mailveil.config import Settings
from mailveil.control.access import command_line_actor
from mailveil.control.failures import InvalidError
from mailveil.control.organisations import change_organisation, make_organisation
from mailveil.control.records import DEFAULT_ORGANISATION, Cut, MessageQuery
from mailveil.control.room import ControlRoom
from mailveil.control.stores import ConflictError
from mailveil.core.observation import Observation
from mailveil.learning.simulation import BEGIN_AT, Grade, Simulated, Simulation, SimulationSettings
from mailveil.learning.simulation.types import DAY_S
from mailveil.ports import UnavailableError

UNUSABLE = 2
MOST_DAYS = 180
_BATCH = 500


@dataclass(frozen=True, slots=True)
class SimulateRequest:
    """What the command line asked for. ``actors`` are those of each grade, ``out`` a file (``-``: standard output).

    Without ``days`` there are ``MOST_DAYS``, into a database at most as many as it keeps messages.
    """

    people: int = 300
    days: int | None = None
    seed: int = 1
    actors: int = 4
    out: str = ""
    into_database: bool = False
    organisation: str = DEFAULT_ORGANISATION
    as_json: bool = False


class _Tally:
    """What was made so far, and how far it has come."""

    def __init__(self, settings: SimulationSettings) -> None:
        self._settings = settings
        self.messages = 0
        self.causes: Counter[str] = Counter()
        self.actors: dict[str, dict[str, Any]] = {}
        self._told = 0.0

    def count(self, each: Simulated) -> None:
        self.messages += 1
        truth, at = each.truth, each.observation.at
        self.causes[str(truth.cause)] += 1
        if truth.actor:
            actor = self.actors.setdefault(
                truth.actor, {"grade": str(truth.grade), "first_at": at, "probes": 0, "follow_ups": 0}
            )
            actor["probes" if truth.is_probe else "follow_ups"] += 1
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._told >= 1.0:
            self._told = now
            day = int((at - self._settings.begin_at) // DAY_S) + 1
            note(f"day {day} of {self._settings.days}: {count(self.messages, 'message')}")

    def record(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "people": settings.people,
            "days": settings.days,
            "seed": settings.seed,
            "begin_at": settings.begin_at,
            "messages": self.messages,
            "causes": dict(sorted(self.causes.items())),
            "actors": self.actors,
        }

    def text(self) -> str:
        causes = "\n".join(f"  {number:>9,} {cause}" for cause, number in self.causes.most_common())
        return (
            f"{count(self.messages, 'message')} in {count(self._settings.days, 'day')}, "
            f"seed {self._settings.seed}; {len(self.actors)} who reconnoitre\n{causes}"
        )


def simulate(settings: Settings, request: SimulateRequest) -> int:
    """Simulate into a file or the database; return 0, or 2 where that cannot be done."""
    begin_at, days, kept = BEGIN_AT, request.days or MOST_DAYS, settings.records.messages_days
    if request.into_database:
        if request.days is None and kept:
            days = min(days, kept)
        # A demonstration ends today, so that pages that show the last days have something to show.
        begin_at = (time.time() // DAY_S - days) * DAY_S
    simulated = SimulationSettings(
        people=request.people,
        days=days,
        seed=request.seed,
        actors=dict.fromkeys(Grade, request.actors),
        begin_at=begin_at,
        organisation=request.organisation,
        domain="office.example"
        if request.organisation == DEFAULT_ORGANISATION
        else f"{request.organisation}.example",
    )
    tally = _Tally(simulated)
    try:
        name = ""
        if request.into_database:
            name = asyncio.run(_into_database(settings, simulated, tally))
        else:
            _into_file(request.out, simulated, tally)
    except (InvalidError, ConflictError, UnavailableError) as error:
        complain(str(error))
        return UNUSABLE
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return UNUSABLE
    told = json.dumps(tally.record()) if request.as_json else tally.text()
    print(told, file=sys.stderr if request.out == "-" else sys.stdout)
    if request.into_database and not request.as_json:
        for each in _what_next(settings, simulated, name):
            note(each)
    return 0


def _what_next(settings: Settings, simulated: SimulationSettings, name: str) -> list[str]:
    """Return where to look at what was made, how long it is kept, and how it goes."""
    organisation, records = simulated.organisation, settings.records
    look = (
        "Now start mailveil serve, unless it runs: it studies this, a hundred messages a second and more. Then look at "
        f"Watching in the console, as an administrator, with {name} chosen as Organisation at the top left; or type "
        f"mailveil recon list --organisation {organisation}"
    )
    said = ["", look]
    if records.messages_days and simulated.days > records.messages_days:
        said.append(
            f"What is older than {count(records.messages_days, 'day')} is deleted as soon as mailveil runs "
            f"([records] messages_days), perhaps before it is studied: make at most --days {records.messages_days}."
        )
    if records.subjects_days and simulated.days > records.subjects_days:
        said.append(
            f"Subjects older than {count(records.subjects_days, 'day')} are deleted, as those of real mail are "
            "([records] subjects_days)."
        )
    if organisation != DEFAULT_ORGANISATION:
        said.append(f"When you have seen enough: mailveil organisation remove {organisation}")
    return said


def _into_file(out: str, settings: SimulationSettings, tally: _Tally) -> None:
    with nullcontext(sys.stdout) if out == "-" else Path(out).open("x", encoding="utf-8") as file:
        for each in Simulation(settings):
            tally.count(each)
            _write_line(file, each)


def _write_line(file: IO[str], each: Simulated) -> None:
    line = {"observation": each.observation.record(), "truth": each.truth.record()}
    file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")


async def _into_database(settings: Settings, simulated: SimulationSettings, tally: _Tally) -> str:
    """Fill the database; return what the organisation is called."""
    async with opened_room(settings) as room:
        await _make_room(room, simulated)
        simulation = Simulation(simulated)
        for batch in _batches(simulation, tally, time.time()):
            await room.observations.add(batch)
        if room.activities is not None:
            at = room.clock.now()
            for person in simulation.study_settings().people.values():
                await room.activities.mark(simulated.organisation, person, operator_name(), at)
        known = await room.organisations.organisations()
        return next(each.name for each in known if each.identifier == simulated.organisation)


def _batches(simulation: Simulation, tally: _Tally, until: float) -> Iterator[list[Observation]]:
    batch: list[Observation] = []
    for each in simulation:
        if each.observation.at > until:
            break
        tally.count(each)
        batch.append(each.observation)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _make_room(room: ControlRoom, simulated: SimulationSettings) -> None:
    """Refuse where made-up mail would come among real mail; make the organisation where it is a fresh one."""
    organisation = simulated.organisation
    known = {each.identifier: each for each in await room.organisations.organisations()}
    if organisation not in known:
        actor = command_line_actor(organisation, operator_name())
        await make_organisation(
            room, actor, organisation, f"Simulated ({organisation})", domains=[simulated.domain]
        )
        return
    for each in known if organisation == DEFAULT_ORGANISATION else (organisation,):
        page = await room.observations.messages(each, MessageQuery(), Cut(1))
        if page.items:
            raise InvalidError(
                f"Organisation {each} has messages on record already, and made-up ones must not come among them. "
                "Name a fresh organisation, as in: mailveil simulate --into-database --organisation rehearsal"
            )
    if not known[organisation].domains:
        # Else nobody could tell what looks like one of them.
        actor = command_line_actor(organisation, operator_name())
        await change_organisation(room, actor, organisation, domains=[simulated.domain])
