"""Trimming: an event with fewer details, for whoever takes no more than so many bytes; its totals stay. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mailveil.core.sharing.types import SharedEvent
from mailveil.core.sharing.wording import line

STEPS: Final = (500, 100, 30, 10, 3, 1, 0)
MAX_IDENTIFIER: Final = 100


def trimmed(event: SharedEvent, most: int) -> SharedEvent:
    """Return an event with at most so many details of each sort: the latest probes, the first of everything else."""
    activity, alert = event.activity, event.alert
    if activity is not None:
        activity = replace(
            activity,
            reasons=activity.reasons[:most],
            techniques=activity.techniques[: max(most, 1)],
            learned=activity.learned[:most],
            infrastructure=activity.infrastructure[:most],
            probes=activity.probes[-most:] if most else (),
            people=activity.people[:most],
            functions=activity.functions[:most],
        )
    if alert is not None:
        alert = replace(alert, people=alert.people[:most])
    return replace(event, activity=activity, alert=alert)


def fitting(event: SharedEvent, encode: Callable[[SharedEvent], str], max_bytes: int) -> str:
    """Return an event encoded with as many details as fit into so many bytes; ``""`` where not even none do."""
    for most in STEPS:
        text = encode(trimmed(event, most))
        if len(text.encode("utf-8", "replace")) <= max_bytes:
            return text
    return ""


def name_only(event: SharedEvent) -> SharedEvent:
    """Return an event that says no more than which it is."""
    return replace(
        event,
        identifier=line(event.identifier, MAX_IDENTIFIER),
        organisation=line(event.organisation, MAX_IDENTIFIER),
        activity=None,
        alert=None,
        tracker=None,
    )
