"""Headlines: an event in a few words and figures that every SIEM has a place for. Pure and total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mailveil.core.intelligence.types import ActivityState, AlertKind, AnalystVerdict, Reason, Role
from mailveil.core.sharing.plain import MAX_ITEMS, number, value, words
from mailveil.core.sharing.types import EventKind, SharedActivity, SharedAlert, SharedEvent, SharedTracker
from mailveil.core.sharing.wording import moment

VENDOR: Final = "mailveil"
PRODUCT: Final = "mailveil"
TRACKER_SCORE: Final = 0.4  # learned tracking matters, but nobody in particular was reconnoitred by it
_NAMES: Final[Mapping[EventKind, str]] = {
    EventKind.ACTIVITY_OPENED: "Reconnaissance found",
    EventKind.ACTIVITY_CHANGED: "Reconnaissance goes on",
    EventKind.ACTIVITY_CLOSED: "Reconnaissance closed",
    EventKind.ACTIVITY_DECIDED: "Reconnaissance judged by an analyst",
    EventKind.ALERT_RAISED: "Alert",
    EventKind.TRACKER_LEARNED: "Tracking learned",
    EventKind.TEST: "Test event",
}
_ALERTS: Final[Mapping[AlertKind, str]] = {
    AlertKind.RECONNAISSANCE: "Reconnaissance is worth looking at",
    AlertKind.ESCALATION: "Reconnaissance has become worse",
    AlertKind.FOLLOW_UP: "Mail of somebody who reconnoitred before",
}
_HOSTS: Final = frozenset(
    {
        Role.SENDER_DOMAIN,
        Role.REPLY_DOMAIN,
        Role.TRACKER_DOMAIN,
        Role.TRACKER_HOST,
        Role.CANONICAL_NAME,
        Role.NAME_SERVER,
    }
)


@dataclass(frozen=True, slots=True)
class Headline:
    """What there is of every event. ``score`` is 0 to 1, ``subject`` the identifier of what it is about."""

    name: str
    message: str
    score: float
    subject: str = ""
    actor: str = ""
    first_at: float = 0.0
    last_at: float = 0.0
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    total_people: int = 0


def headline(event: SharedEvent) -> Headline:
    """Return an event's headline."""
    if event.activity is not None:
        return _of_activity(event, event.activity)
    if event.alert is not None:
        return _of_alert(event.alert, event.at)
    if event.tracker is not None:
        return _of_tracker(event.tracker)
    message = f"A test from {value(event.organisation)}: events of mailveil arrive here."
    return Headline(_NAMES[event.kind], message, 0.0, first_at=event.at, last_at=event.at)


def _of_activity(event: SharedEvent, activity: SharedActivity) -> Headline:
    name = _NAMES[event.kind]
    actor = value(activity.actor)
    people = f"{activity.total_people} {'person' if activity.total_people == 1 else 'people'}"
    probes = f"{activity.total_probes} {'probe' if activity.total_probes == 1 else 'probes'}"
    because = "; ".join(words(each.words) for each in strongest(activity))
    infrastructure = activity.infrastructure
    return Headline(
        name=name,
        message=words(f"{name}: {actor} ({people}, {probes}){': ' if because else ''}{because}"),
        score=_unit(activity.score),
        subject=value(activity.identifier),
        actor=actor,
        first_at=activity.first_at,
        last_at=activity.last_at,
        hosts=_each(each.value for each in infrastructure if each.role in _HOSTS and not each.shared),
        addresses=_each(
            each.value for each in infrastructure if each.role is Role.ADDRESS and not each.shared
        ),
        templates=_each(each.template for each in activity.probes),
        people=_each(activity.people),
        total_people=activity.total_people,
    )


def _of_alert(alert: SharedAlert, at: float) -> Headline:
    return Headline(
        name=_ALERTS[alert.kind],
        message=words(alert.words) or _ALERTS[alert.kind],
        score=_unit(alert.score),
        subject=value(alert.identifier),
        actor=value(alert.sender_domain),
        first_at=alert.earlier or alert.at or at,
        last_at=alert.at or at,
        hosts=_each((alert.sender_domain,)),
        people=_each(alert.people),
        total_people=alert.total_people,
    )


def _of_tracker(tracker: SharedTracker) -> Headline:
    name = _NAMES[EventKind.TRACKER_LEARNED]
    return Headline(
        name=name,
        message=words(f"{name}: {value(tracker.host)}, {', '.join(tracker.kinds) or 'unknown purpose'}"),
        score=TRACKER_SCORE,
        subject=value(tracker.identifier),
        actor=value(tracker.domain),
        first_at=tracker.first_at,
        last_at=tracker.last_at,
        hosts=_each((tracker.host, tracker.domain)),
        templates=_each((tracker.template,)),
    )


def strongest(activity: SharedActivity, most: int = 3) -> list[Reason]:
    """Return the reasons that speak most for an activity."""
    speaking = [each for each in activity.reasons if each.weight > 0]
    return sorted(speaking, key=lambda each: -each.weight)[:most]


def is_over(activity: SharedActivity) -> bool:
    """Tell whether nothing is left to be done about an activity."""
    return activity.state is ActivityState.CLOSED or activity.verdict is AnalystVerdict.BENIGN


def severity(score: float) -> int:
    """Return a score as a severity of 0 to 10."""
    return round(_unit(score) * 10)


def milliseconds(at: float) -> int:
    """Return a time in milliseconds since the epoch."""
    return round(moment(at) * 1000)


def _unit(score: float) -> float:
    return min(max(number(score), 0.0), 1.0)


def _each(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (value(each) for each in values))))[:MAX_ITEMS]
