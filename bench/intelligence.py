"""Studying a simulated organisation's mail: what a message costs in memory, whether it grows, and through a database.

The peer is what the simple rules of ``learning.recon.baselines`` cost on the same messages in the same run, both in
processor time. Making up the mail is not counted. Alone:

    cd bench && PYTHONPATH=../src python intelligence.py --messages 100000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mailveil.app.controlling import opened_room
from mailveil.app.studying import StudyLoop
from mailveil.config import load
from mailveil.core.intelligence.studying import study
from mailveil.core.observation import Observation
from mailveil.learning.recon.baselines import baselines
from mailveil.learning.recon.prospecting import Prospecting
from mailveil.learning.recon.running import Studying
from mailveil.learning.simulation import Simulation, SimulationSettings

MILLION, QUICKLY = 1_000_000, 50_000
THROUGH_DATABASE, THROUGH_DATABASE_QUICKLY = 20_000, 3_000
BATCH = 5_000
SLICES = 10
# So many people that a million messages take ten weeks; mailings to many make fewer people's mail take longer.
PEOPLE = 1_500
DAYS = 1_000


def simulation(messages: int) -> Simulation:
    """Return an organisation whose size goes with how many messages are wanted, so that days do not become years."""
    people = max(20, PEOPLE * messages // MILLION)
    return Simulation(SimulationSettings(people=people, days=DAYS, seed=1))


def in_memory(messages: int) -> dict[str, float]:
    """Study so many messages with all that is remembered in memory, and have the simple rules look at the same ones."""
    made = simulation(messages)
    studying, rules = Studying(made.study_settings(), study), baselines()
    prospecting = Prospecting(made.infrastructure)
    mail = iter(made)
    # The portions that are compared: a hundred thousand of a million.
    portion = max(BATCH, messages // SLICES)
    taken: list[float] = []
    peer_s = facts_s = 0.0
    done = alerts = 0
    last_at = made.settings.begin_at
    while batch := [each.observation for each in islice(mail, min(portion, messages - done))]:
        spent = 0.0
        for seen in batch:
            begin = time.thread_time()
            for facts in prospecting.until(seen.at):
                studying.see(facts)
            between = time.thread_time()
            alerts += len(studying.see(seen))
            end = time.thread_time()
            facts_s += between - begin
            spent += end - between
            prospecting.note(seen)
        taken.append(spent / len(batch))
        begin = time.thread_time()
        for seen in batch:
            for rule in rules.values():
                rule.levels(seen)
        peer_s += time.thread_time() - begin
        done, last_at = done + len(batch), batch[-1].at
        print(f"studied {done:,} of {messages:,}", file=sys.stderr)
    # The very first messages find nothing remembered, and cost less than any later ones.
    whole_s = sum(taken) / len(taken) * done
    return {
        "messages": done,
        "people": made.settings.people,
        "days": (last_at - made.settings.begin_at) / 86_400,
        "observations_per_s": done / (whole_s + facts_s),
        "us_a_message": whole_s / done * 1e6,
        "us_of_the_first_tenth": taken[0] * 1e6,
        "us_of_the_second_tenth": taken[min(1, len(taken) - 1)] * 1e6,
        "us_of_the_last_tenth": taken[-1] * 1e6,
        "last_tenth_against_first": taken[-1] / taken[0],
        "simple_rules_us_a_message": peer_s / done * 1e6,
        "against_simple_rules": whole_s / peer_s,
        "memos": float(studying.remembered),
        "memos_a_message": studying.remembered / done,
        "alerts": alerts,
    }


async def through_database(messages: int, folder: Path) -> dict[str, float]:
    """Write so many messages down and have the loop of ``mailveil serve`` study them, a tenth after the other.

    The loop leaves mail as much time as it takes: that is in the figure.
    """
    settings = load(Path("/dev/null"), {"MAILVEIL_STORAGE__DIRECTORY": str(folder)})
    mail: Iterator[Observation] = (each.observation for each in simulation(messages))
    taken: list[float] = []
    async with opened_room(settings) as room:
        loop = StudyLoop(room)
        for _ in range(SLICES):
            portion = list(islice(mail, messages // SLICES))
            for start in range(0, len(portion), 500):
                await room.observations.add(portion[start : start + 500])
            begin = time.perf_counter()
            studied = await loop.round()
            taken.append((time.perf_counter() - begin) / max(studied, 1))
        done = loop.progress.studied
    return {
        "messages": done,
        "observations_per_s": len(taken) / sum(taken),
        "ms_a_message_of_the_first_tenth": taken[0] * 1e3,
        "ms_a_message_of_the_last_tenth": taken[-1] * 1e3,
        "last_tenth_against_first": taken[-1] / taken[0],
    }


def measure(*, quick: bool = False, messages: int = 0) -> dict[str, Any]:
    """Return what studying costs; ``messages`` in memory instead of a million."""
    count = messages or (QUICKLY if quick else MILLION)
    through = THROUGH_DATABASE_QUICKLY if quick else THROUGH_DATABASE
    with tempfile.TemporaryDirectory() as name:
        database = asyncio.run(through_database(min(through, count), Path(name)))
    return {"in memory": in_memory(count), "through the embedded database": database}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=0, help="so many instead of a million")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print(json.dumps(measure(quick=options.quick, messages=options.messages), indent=1))


if __name__ == "__main__":
    main()
