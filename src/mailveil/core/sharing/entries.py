"""Entries: what waits in the outbox, as JSON objects: the whole of it, before anything is veiled. And back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailveil.core.intelligence.types import (
    Activity,
    ActivityState,
    Alert,
    AnalystVerdict,
    LearnedTracker,
    activity_of,
    alert_of,
    learned_tracker_of,
)
from mailveil.core.sharing.types import EventKind


@dataclass(frozen=True, slots=True)
class Standing:
    """How an activity stood when something was told of it."""

    state: ActivityState = ActivityState.ACTIVE
    verdict: AnalystVerdict = AnalystVerdict.OPEN
    changed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the outbox: what kind of event, its permanent identifier and number, and the whole record."""

    kind: EventKind
    identifier: str
    number: int
    at: float
    record: Mapping[str, Any] = field(default_factory=dict)


def activity_entry(activity: Activity, standing: Standing) -> dict[str, Any]:
    """Return the record of an event about an activity."""
    return {
        "activity": activity.record(),
        "state": str(standing.state),
        "verdict": str(standing.verdict),
        "changed_at": standing.changed_at,
    }


def alert_entry(alert: Alert) -> dict[str, Any]:
    """Return the record of an event about an alert."""
    return {"alert": alert.record()}


def tracker_entry(tracker: LearnedTracker) -> dict[str, Any]:
    """Return the record of an event about a tracker that was learned."""
    return {"tracker": tracker.record()}


def read_entry(
    record: Mapping[str, Any],
) -> tuple[Activity, Standing] | Alert | LearnedTracker | None:
    """Return what a record is about, ``None`` for a test. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
    if "activity" in record:
        standing = Standing(
            ActivityState(record.get("state", ActivityState.ACTIVE)),
            AnalystVerdict(record.get("verdict", AnalystVerdict.OPEN)),
            float(record.get("changed_at", 0.0)),
        )
        return activity_of(record["activity"]), standing
    if "alert" in record:
        return alert_of(record["alert"])
    if "tracker" in record:
        return learned_tracker_of(record["tracker"])
    return None
