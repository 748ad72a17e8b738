"""Retention: what is older than its kind may get goes, a small portion at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from mailveil.control.room import ControlRoom

DAY_S = 86_400.0
REPEATS_KEPT_S = DAY_S  # answers to requests with an idempotency key
Portion = Callable[[float], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """How many days each kind of record is kept; 0 and what is not named: for ever.

    ``observed`` are the kinds that ``ObservationStore.expire`` knows, such as ``messages`` and ``subjects``,
    ``studied`` those that ``StudyStore.expire`` knows.
    """

    observed: Mapping[str, int] = field(default_factory=dict)
    studied: Mapping[str, int] = field(default_factory=dict)
    audit_days: int = 0
    feedback_days: int = 0


async def expire_records(room: ControlRoom, rules: RetentionRules) -> Mapping[str, int]:
    """Delete what is too old in every organisation; return how many records of each kind went.

    Others get their turn between two portions. Raises ``ports.UnavailableError`` where the database does not answer;
    what went until then is gone.
    """
    now, gone = room.clock.now(), Counter[str]()
    for organisation in await room.organisations.organisations():
        name = organisation.identifier
        portions: list[tuple[str, int, Portion]] = [
            (kind, days, partial(room.observations.expire, name, kind))
            for kind, days in rules.observed.items()
        ]
        portions += [
            (kind, days, partial(room.studies.expire, name, kind)) for kind, days in rules.studied.items()
        ]
        portions.append(("feedback", rules.feedback_days, partial(room.feedback.expire, name)))
        for kind, days, portion in portions:
            gone[kind] += await _expire(portion, days, now)
    for name in await room.audit.organisations():  # also of organisations that are no more
        gone["audit"] += await _expire(partial(room.audit.expire, name), rules.audit_days, now)
    gone["sessions"] += await room.accounts.expire(now)
    gone["repeats"] += await room.repeats.expire(now - REPEATS_KEPT_S)
    return {kind: count for kind, count in gone.items() if count}


async def _expire(portion: Portion, days: int, now: float) -> int:
    """Delete, a portion at a time, what is older than so many days; return how many records."""
    total = 0
    while days and (count := await portion(now - days * DAY_S)):
        total += count
        await asyncio.sleep(0)
    return total
