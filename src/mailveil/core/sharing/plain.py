"""Plain: our own JSON of an event. Members are added to it, never renamed or taken away. Pure and total.

Every member is always there, lists may be empty; text is one line without control characters, times are RFC 3339, UTC.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Final

from mailveil.core.sharing.attack import TECHNIQUES
from mailveil.core.sharing.types import (
    SharedActivity,
    SharedAlert,
    SharedEvent,
    SharedInfrastructure,
    SharedProbe,
    SharedTracker,
)
from mailveil.core.sharing.wording import line, timestamp

SCHEMA: Final = "mailveil.event/1"
MAX_WORDS: Final = 1_000
MAX_VALUE: Final = 2_000
MAX_ITEMS: Final = 500


def encode_plain(event: SharedEvent) -> dict[str, Any]:
    """Return an event as a JSON object."""
    return {
        "schema": SCHEMA,
        "id": line(event.identifier),
        "number": event.number,
        "time": timestamp(event.at),
        "type": str(event.kind),
        "organisation": line(event.organisation),
        "tlp": str(event.traffic_light),
        "activity": None if event.activity is None else _activity(event.activity),
        "alert": None if event.alert is None else _alert(event.alert),
        "tracker": None if event.tracker is None else _tracker(event.tracker),
    }


def to_json(value: Any) -> str:
    """Return a JSON text on one line, all of it ASCII: whatever reads it, it stays one line and what it is."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def number(value: float, digits: int = 3) -> float:
    """Return a number that JSON has, to so many digits."""
    return round(value, digits) if math.isfinite(value) else 0.0


def words(text: str) -> str:
    """Return a sentence from anywhere as one line."""
    return line(text, MAX_WORDS)


def value(text: str) -> str:
    """Return a name or URL from anywhere as one line."""
    return line(text, MAX_VALUE)


def lines(texts: Iterable[str]) -> list[str]:
    """Return several of them."""
    return [value(each) for each in list(texts)[:MAX_ITEMS]]


def _activity(activity: SharedActivity) -> dict[str, Any]:
    return {
        "id": line(activity.identifier),
        "actor": value(activity.actor),
        "first_at": timestamp(activity.first_at),
        "last_at": timestamp(activity.last_at),
        "changed_at": timestamp(activity.changed_at),
        "score": number(activity.score),
        "risk": line(activity.risk),
        "state": str(activity.state),
        "verdict": str(activity.verdict),
        "reasons": [
            {"code": line(each.code), "weight": number(each.weight), "words": words(each.words)}
            for each in activity.reasons[:MAX_ITEMS]
        ],
        "techniques": [
            {
                "id": str(each.technique),
                "name": TECHNIQUES[each.technique].name,
                "because": words(each.because),
            }
            for each in activity.techniques[:MAX_ITEMS]
        ],
        "learned": [words(each) for each in activity.learned[:MAX_ITEMS]],
        "kinds": lines(activity.kinds),
        "tooling": str(activity.tooling),
        "operator": value(activity.operator),
        "fingerprint": value(activity.fingerprint),
        "confidence": number(activity.confidence),
        "infrastructure": [_infrastructure(each) for each in activity.infrastructure[:MAX_ITEMS]],
        "probes": [_probe(each) for each in activity.probes[-MAX_ITEMS:]],
        "people": lines(activity.people),
        "functions": lines(activity.functions),
        "total_messages": activity.total_messages,
        "total_probes": activity.total_probes,
        "total_people": activity.total_people,
        "high_value_people": activity.high_value_people,
        "merged_into": line(activity.merged_into),
    }


def _infrastructure(found: SharedInfrastructure) -> dict[str, Any]:
    return {
        "role": str(found.role),
        "value": value(found.value),
        "first_at": timestamp(found.first_at),
        "last_at": timestamp(found.last_at),
        "messages": found.messages,
        "shared": found.shared,
    }


def _probe(probe: SharedProbe) -> dict[str, Any]:
    return {
        "at": timestamp(probe.at),
        "sender_domain": value(probe.sender_domain),
        "person": value(probe.person),
        "function": value(probe.function),
        "kinds": lines(probe.kinds),
        "template": value(probe.template),
        "host": value(probe.host),
        "domain": value(probe.domain),
        "vector": value(probe.vector),
    }


def _alert(alert: SharedAlert) -> dict[str, Any]:
    return {
        "id": line(alert.identifier),
        "at": timestamp(alert.at),
        "kind": str(alert.kind),
        "activity": line(alert.activity),
        "words": words(alert.words),
        "score": number(alert.score),
        "sender_domain": value(alert.sender_domain),
        "people": lines(alert.people),
        "total_people": alert.total_people,
        "earlier_at": timestamp(alert.earlier) if alert.earlier > 0 else None,
    }


def _tracker(tracker: SharedTracker) -> dict[str, Any]:
    return {
        "id": line(tracker.identifier),
        "template": value(tracker.template),
        "host": value(tracker.host),
        "domain": value(tracker.domain),
        "kinds": lines(tracker.kinds),
        "vector": value(tracker.vector),
        "fingerprint": value(tracker.fingerprint),
        "tooling": str(tracker.tooling),
        "operator": value(tracker.operator),
        "first_at": timestamp(tracker.first_at),
        "last_at": timestamp(tracker.last_at),
        "messages": tracker.messages,
    }
