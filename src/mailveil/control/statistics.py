"""Statistics: figures of a period, step by step, and what was met most. They count messages, never openings."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from mailveil.control.access import Actor, Permission
from mailveil.control.failures import InvalidError
from mailveil.control.records import Count, Figures, FiguresAt
from mailveil.control.room import ControlRoom

HOUR_S = 3600
DAY_S = 86_400
MAX_STEPS = 1000
MAX_TOP = 100
MAX_DAYS = 3660


class Dimension(StrEnum):
    """What is counted day by day. Values are permanent."""

    OPERATOR = "operator"
    SENDER_DOMAIN = "sender_domain"
    KIND = "kind"
    HOST = "host"
    RISK = "risk"


async def figures(room: ControlRoom, actor: Actor, since: float, until: float) -> Figures:
    """Return the counts of a period, which is widened to whole hours. Raises ``InvalidError``."""
    actor.require(Permission.STATISTICS_READ)
    until = _end(room, since, until)
    return await room.observations.figures(actor.organisation, since, until)


async def series(
    room: ControlRoom, actor: Actor, since: float, until: float, step_s: int
) -> Sequence[FiguresAt]:
    """Return the counts of each step of a period, at most ``MAX_STEPS``. Raises ``InvalidError``."""
    actor.require(Permission.STATISTICS_READ)
    until = _end(room, since, until)
    if step_s < HOUR_S or step_s % HOUR_S:
        raise InvalidError("a step is one hour or several whole ones", "step")
    if (until - since) / step_s > MAX_STEPS:
        raise InvalidError(
            f"that is more than {MAX_STEPS} steps; take longer ones or a shorter period", "step"
        )
    return await room.observations.series(actor.organisation, since, until, step_s)


async def top(
    room: ControlRoom, actor: Actor, dimension: Dimension, since: float, until: float, *, limit: int = 10
) -> Sequence[Count]:
    """Return what was met most in a period, which is widened to whole days. Raises ``InvalidError``."""
    actor.require(Permission.STATISTICS_READ)
    until = _end(room, since, until)
    return await room.observations.top(
        actor.organisation, str(dimension), since, until, max(1, min(limit, MAX_TOP))
    )


def _end(room: ControlRoom, since: float, until: float) -> float:
    """Return where a period ends at the latest: what is to come has no figures. Raises ``InvalidError``."""
    until = min(until, room.clock.now() + HOUR_S)
    if since >= until:
        raise InvalidError("the period ends before it begins, or has not begun", "until")
    if until - since > MAX_DAYS * DAY_S:
        raise InvalidError(f"a period has at most {MAX_DAYS:,} days", "since")
    return until
