"""Telling: what others are told of activities, alerts and trackers, and whether there is anything new to tell.

Pure. Records are not veiled yet: whoever delivers them does so for each destination.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mailveil.control.activityrecords import FLOOR_SCORE, ActivityFile, OutboxEntry
from mailveil.core.intelligence.types import ActivityState, Alert, AnalystVerdict, LearnedTracker
from mailveil.core.sharing.entries import Standing, activity_entry, alert_entry, tracker_entry
from mailveil.core.sharing.types import EventKind


def activity_record(file: ActivityFile, now: float) -> dict[str, Any]:
    """Return what an event holds of an activity."""
    return activity_entry(file.activity, Standing(file.state(now), file.verdict, file.changed_at))


def told_digest(file: ActivityFile, now: float) -> str:
    """Return a digest of all that others may be told of an activity."""
    record = activity_record(file, now)
    del record["changed_at"]
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def news_of(file: ActivityFile, now: float) -> OutboxEntry | None:
    """Return what others are to be told of an activity, ``None`` where they know it, or never need to."""
    if told_digest(file, now) == file.told:
        return None
    state = file.state(now)
    if not file.told_state:
        # What was over before anybody heard of it is history, as where months of mail are studied after an upgrade.
        is_over = state is ActivityState.CLOSED
        is_worth_it = file.activity.score >= FLOOR_SCORE and not (file.activity.merged_into or is_over)
        kind = EventKind.ACTIVITY_OPENED
    elif state is ActivityState.CLOSED:
        is_worth_it = file.told_state != ActivityState.CLOSED or bool(file.activity.merged_into)
        kind = EventKind.ACTIVITY_CLOSED
    else:
        is_worth_it, kind = True, EventKind.ACTIVITY_CHANGED
    if not is_worth_it or file.verdict is AnalystVerdict.BENIGN:
        return None
    return activity_event(file, now, kind)


def activity_event(file: ActivityFile, now: float, kind: EventKind) -> OutboxEntry:
    """Return an event about an activity as it stands now."""
    activity = file.activity
    record = activity_record(file, now)
    return OutboxEntry(
        activity.organisation,
        event_identifier(now, activity.organisation, kind, activity.identifier, told_digest(file, now)),
        now,
        str(kind),
        activity.identifier,
        record,
    )


def alert_event(alert: Alert, now: float) -> OutboxEntry:
    """Return the event for an alert."""
    kind = EventKind.ALERT_RAISED
    identifier = event_identifier(now, alert.organisation, kind, alert.identifier)
    return OutboxEntry(alert.organisation, identifier, now, str(kind), alert.identifier, alert_entry(alert))


def tracker_event(tracker: LearnedTracker, now: float) -> OutboxEntry:
    """Return the event for tracking that somebody built."""
    kind = EventKind.TRACKER_LEARNED
    identifier = event_identifier(now, tracker.organisation, kind, tracker.identifier)
    return OutboxEntry(
        tracker.organisation, identifier, now, str(kind), tracker.identifier, tracker_entry(tracker)
    )


def event_identifier(at: float, *parts: str) -> str:
    """Return the identifier of an event, which sorts by time: its milliseconds and a digest, as messages have them."""
    digest = hashlib.blake2b("\n".join(parts).encode("utf-8", "replace"), digest_size=10)
    return f"{max(0, int(at * 1000)):012x}{digest.hexdigest()}"
