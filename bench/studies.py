"""Studying: a backlog through the study loop, what the last tenth costs against the first, and who waits meanwhile.

All of the mail is there before studying begins, as after an upgrade. Before and while the middle of it is studied, a
message is written down and a page of the console is read again and again, and is waited for the event loop that mail
shares; their times are compared within the run, since other work on the machine disturbs the clock.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from control import BATCH, ORGANISATION, UNTIL, prepared
from mailveil.adapters.database.engine import Database, database_url
from mailveil.app.controlling import build_room
from mailveil.app.studying import StudyLoop
from mailveil.config import load
from mailveil.control.records import Cut, MessageQuery
from mailveil.control.room import ControlRoom
from observations import generated
from processes import memory_bytes

PAUSE_S = 0.05  # between two questions of those who wait
CALM_S = 5.0
TURN_S = 0.005


@dataclass
class _Figures:
    """When a batch was done, by the clock and by processor time (``app.studying.Figures``)."""

    marks: list[tuple[int, float, float]] = field(default_factory=list)
    total: int = 0

    def studied(self, subjects: int, set_aside: int, activities: int, alerts: int) -> None:
        """Take note of a batch."""
        del activities, alerts
        assert not set_aside, "an observation cannot be studied"
        self.total += subjects
        self.marks.append((self.total, time.perf_counter(), time.process_time()))

    def between(self, begin: float, end: float) -> tuple[float, float]:
        """Return the messages a second and the processor time a message, in milliseconds, between two shares of all."""
        first, last = (
            next(each for each in self.marks if each[0] >= share * self.total) for share in (begin, end)
        )
        count = last[0] - first[0]
        return count / (last[1] - first[1]), (last[2] - first[2]) / count * 1e3


class _Waiters:
    """Those who wait meanwhile: one writes messages down and reads pages, mail has its turn in the event loop."""

    def __init__(self, room: ControlRoom, seed: int) -> None:
        self._room = room
        self._more = generated(100_000, seed, ORGANISATION, UNTIL + 30 * 86_400.0)
        self._tasks: list[asyncio.Task[None]] = []
        self.seconds: dict[str, list[float]] = {"a message written": [], "a page read": [], "a turn": []}
        self._is_over = False

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._use()), asyncio.create_task(self._turn())]

    async def stop(self) -> None:
        """End with what is under way."""
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _use(self) -> None:
        store = self._room.observations
        while not self._is_over:
            begin = time.perf_counter()
            await store.add([next(self._more)])
            written = time.perf_counter()
            await store.messages(ORGANISATION, MessageQuery(has_trackers=True), Cut(50))
            self.seconds["a page read"].append(time.perf_counter() - written)
            self.seconds["a message written"].append(written - begin)
            await asyncio.sleep(PAUSE_S)

    async def _turn(self) -> None:
        while not self._is_over:
            begin = time.perf_counter()
            await asyncio.sleep(TURN_S)
            self.seconds["a turn"].append(time.perf_counter() - begin - TURN_S)


def measure(folder: Path, *, quick: bool = False, address: str = "") -> dict[str, dict[str, float]]:
    """Return what studying costs, in the embedded database or the one at an address."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return asyncio.run(_measure(Path(place), 3_000 if quick else 20_000, address))


async def _measure(folder: Path, count: int, address: str) -> dict[str, dict[str, float]]:
    settings = load(None, environment={"MAILVEIL_STORAGE__DIRECTORY": str(folder)})
    database = Database(database_url(address, folder))
    try:
        await prepared(database)
        room = build_room(settings, database)
        mail = iter(generated(count, 1, ORGANISATION, UNTIL))
        while batch := list(islice(mail, BATCH)):
            await room.observations.add(batch)
        calm = _Waiters(room, 2)
        calm.start()
        await asyncio.sleep(CALM_S)
        await calm.stop()
        return await _studied(room, count, calm)
    finally:
        await database.close()


async def _studied(room: ControlRoom, count: int, calm: _Waiters) -> dict[str, dict[str, float]]:
    figures, busy, before = _Figures(), _Waiters(room, 3), memory_bytes(os.getpid())
    figures.marks.append((0, time.perf_counter(), time.process_time()))
    studying = asyncio.create_task(_study_all(StudyLoop(room, figures=figures)))
    for share, step in ((0.15, busy.start), (0.85, busy.stop)):
        while figures.total < share * count and not studying.done():
            await asyncio.sleep(0.05)
        if (ending := step()) is not None:
            await ending
    await studying
    (_, first), (_, last) = figures.between(0, 0.1), figures.between(0.9, 1.0)
    result = {
        "messages/s": {"alone": figures.between(0.9, 1.0)[0], "with others": figures.between(0.2, 0.8)[0]},
        "processor time, ms": {"first tenth": first, "last tenth": last, "ratio": last / first},
        "memory, MB": {"grown": (memory_bytes(os.getpid()) - before) / 1e6},
    }
    for name, calmly in calm.seconds.items():
        meanwhile = busy.seconds[name]
        result[f"{name}, ms"] = {
            "before": statistics.median(calmly) * 1e3,
            "meanwhile": statistics.median(meanwhile) * 1e3,
            "one in a hundred, before": _hundredth(calmly),
            "one in a hundred, meanwhile": _hundredth(meanwhile),
        }
    return result


async def _study_all(loop: StudyLoop) -> None:
    while await loop.round():
        pass


def _hundredth(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] * 1e3
