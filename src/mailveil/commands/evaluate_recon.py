"""``mailveil evaluate --recon``: how well reconnaissance is found in simulated mail, seed by seed."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from mailveil.commands.terminal import complain, note
from mailveil.core.intelligence.settings import ALERT_SCORE
from mailveil.core.intelligence.studying import study
from mailveil.learning.recon.account import text_of
from mailveil.learning.recon.evaluating import Run, figures, run
from mailveil.learning.recon.running import Detector, Studying
from mailveil.learning.simulation import Grade, Simulation, SimulationSettings

UNUSABLE = 2
_SEEDS = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_MAX_SEEDS = 1_000


@dataclass(frozen=True, slots=True)
class ReconRequest:
    """What the command line asked for. ``seeds`` is as in ``1001-1005`` or ``1,2,7``; ``jobs`` 0: as many as cores."""

    people: int = 200
    days: int = 120
    seeds: str = "1001-1005"
    actors: int = 4
    warm_up_days: int = 28
    alert_score: float = ALERT_SCORE
    json_file: str = ""
    jobs: int = 0


def evaluate_recon(request: ReconRequest) -> int:
    """Simulate, evaluate and print; return 0, or 2 where it cannot be done."""
    try:
        seeds = parse_seeds(request.seeds)
        if request.days <= request.warm_up_days:
            raise ValueError(f"there are no days after {request.warm_up_days} days of warm-up")
        settings = SimulationSettings(
            people=request.people,
            days=request.days,
            actors=dict.fromkeys(Grade, request.actors),
            warm_up_days=request.warm_up_days,
        )
        jobs = request.jobs or os.cpu_count() or 1
        runs = _runs(settings, seeds, jobs, request.alert_score)
        found = {"alert_score": request.alert_score, **figures(runs, settings)}
        if request.json_file not in {"", "-"}:
            Path(request.json_file).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    except ValueError as error:
        complain(str(error))
        return UNUSABLE
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}")
        return UNUSABLE
    print(json.dumps(found, indent=1) if request.json_file == "-" else text_of(found))
    return 0


def parse_seeds(text: str) -> list[int]:
    """Return seeds from a list of numbers and ranges. Raises ``ValueError``, saying what is wrong."""
    seeds: list[int] = []
    for part in text.split(","):
        match = _SEEDS.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part!r} is no seed; write them as 1001-1005 or 1,2,7")
        first = int(match[1])
        last = int(match[2] or first)
        if last < first or last - first >= _MAX_SEEDS:
            raise ValueError(f"{part.strip()!r} is no range of at most {_MAX_SEEDS:,} seeds")
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def _runs(settings: SimulationSettings, seeds: Sequence[int], jobs: int, alert_score: float) -> list[Run]:
    one = partial(_run_one, settings, alert_score)
    if jobs == 1 or len(seeds) == 1:
        return [one(seed) for seed in seeds]
    with ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=get_context("spawn")) as pool:
        return list(pool.map(one, seeds))


def _run_one(settings: SimulationSettings, alert_score: float, seed: int) -> Run:
    return run(replace(settings, seed=seed), partial(_studying, alert_score), _say)


def _studying(alert_score: float, simulation: Simulation) -> Detector:
    return Studying(replace(simulation.study_settings(), alert_score=alert_score), study)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        note(text)
