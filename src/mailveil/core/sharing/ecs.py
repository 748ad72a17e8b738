"""ECS: an event as a document of Elastic Common Schema 8.11, with our own JSON below ``mailveil``. Pure and total."""

from __future__ import annotations

import ipaddress
from typing import Any, Final
from urllib.parse import urlsplit

from mailveil import __version__
from mailveil.core.sharing.attack import FRAMEWORK, TACTIC, TACTIC_NAME, TECHNIQUES
from mailveil.core.sharing.headlines import PRODUCT, VENDOR, Headline, headline, strongest
from mailveil.core.sharing.plain import encode_plain, lines, number, value, words
from mailveil.core.sharing.types import (
    EventKind,
    SharedActivity,
    SharedEvent,
    SharedTracker,
    TrafficLight,
)
from mailveil.core.sharing.wording import line, timestamp

VERSION: Final = "8.11.0"
DATASET: Final = "mailveil.events"
TACTIC_URL: Final = f"https://attack.mitre.org/tactics/{TACTIC}/"
_KINDS: Final = {
    EventKind.ACTIVITY_CLOSED: "event",
    EventKind.ACTIVITY_DECIDED: "event",
    EventKind.TRACKER_LEARNED: "enrichment",
    EventKind.TEST: "event",
}


def encode_ecs(event: SharedEvent) -> dict[str, Any]:
    """Return an event as a document."""
    told = headline(event)
    document: dict[str, Any] = {
        "@timestamp": timestamp(event.at),
        "ecs": {"version": VERSION},
        "message": told.message,
        "tags": [f"tlp:{event.traffic_light}"],
        "event": _event(event, told),
        "organization": {"name": line(event.organisation)},
        "observer": {"vendor": VENDOR, "product": PRODUCT, "version": __version__, "type": "mail-gateway"},
        "labels": _labels(event, told),
        "mailveil": encode_plain(event),
    }
    if related := _related(told):
        document["related"] = related
    if told.templates or event.tracker is not None:
        document["url"] = _url(told)
    if event.activity is not None:
        document["rule"] = _rule(told)
        if event.activity.techniques:
            document["threat"] = _threat(event.activity)
    if event.tracker is not None:
        document["threat"] = {"indicator": _indicator(event.tracker, event.traffic_light)}
    return document


def _event(event: SharedEvent, told: Headline) -> dict[str, Any]:
    is_tracker = event.tracker is not None
    made: dict[str, Any] = {
        "id": line(event.identifier),
        "code": str(event.kind),
        "action": str(event.kind),
        "kind": _KINDS.get(event.kind, "alert"),
        "category": ["threat"] if is_tracker else ["email", "intrusion_detection"],
        "type": ["indicator"] if is_tracker else ["info"],
        "module": "mailveil",
        "dataset": DATASET,
        "provider": PRODUCT,
        "severity": round(told.score * 100),
        "risk_score": number(told.score * 100, 1),
        "sequence": event.number,
        "created": timestamp(event.at),
    }
    if told.first_at > 0:
        made |= {"start": timestamp(told.first_at), "end": timestamp(told.last_at)}
    if event.activity is not None:
        made["reason"] = words("; ".join(each.words for each in strongest(event.activity)))
    return made


def _labels(event: SharedEvent, told: Headline) -> dict[str, str]:
    """Return what to filter by; values of labels are keywords."""
    made = {"tlp": str(event.traffic_light), "people": str(told.total_people)}
    if told.subject:
        made["subject"] = told.subject
    if event.activity is not None:
        activity = event.activity
        made |= {
            "state": str(activity.state),
            "verdict": str(activity.verdict),
            "risk": line(activity.risk),
            "tooling": str(activity.tooling),
        }
    if event.alert is not None:
        made |= {"alert": str(event.alert.kind), "activity": line(event.alert.activity)}
    return made


def _related(told: Headline) -> dict[str, list[str]]:
    """Return what is searched for over all sources. Wildcards are no hosts; networks are no addresses."""
    made = {
        "hosts": [each for each in told.hosts if "*" not in each],
        "ip": [each for each in told.addresses if _is_address(each)],
        "user": list(told.people),
    }
    return {name: found for name, found in made.items() if found}


def _url(told: Headline) -> dict[str, str]:
    template = told.templates[0] if told.templates else ""
    made = {"original": template}
    scheme, host = _parts(template)
    if host and "*" not in host:
        made["domain"] = host
    if scheme:
        made["scheme"] = scheme
    return {name: text for name, text in made.items() if text}


def _parts(template: str) -> tuple[str, str]:
    try:
        parts = urlsplit(template)
        return parts.scheme, parts.hostname or ""
    except ValueError:
        return "", ""


def _rule(told: Headline) -> dict[str, str]:
    return {"name": told.name, "category": "reconnaissance", "ruleset": "mailveil", "version": __version__}


def _threat(activity: SharedActivity) -> dict[str, Any]:
    """Return the techniques; what is a part of one stands below its parent."""
    parents: dict[str, str] = {}
    parts: dict[str, str] = {}
    for each in activity.techniques:
        facts = TECHNIQUES[each.technique]
        if facts.parent:
            parts[facts.identifier] = facts.name
            parents.setdefault(facts.parent, facts.parent_name)
        else:
            parents.setdefault(facts.identifier, facts.name)
    technique = _techniques(parents)
    if parts:
        technique["subtechnique"] = _techniques(parts)
    return {
        "framework": FRAMEWORK,
        "tactic": {"id": [TACTIC], "name": [TACTIC_NAME], "reference": [TACTIC_URL]},
        "technique": technique,
    }


def _techniques(named: dict[str, str]) -> dict[str, Any]:
    references = [f"https://attack.mitre.org/techniques/{each.replace('.', '/')}/" for each in named]
    return {"id": list(named), "name": list(named.values()), "reference": references}


def _indicator(tracker: SharedTracker, traffic_light: TrafficLight) -> dict[str, Any]:
    host = value(tracker.host)
    made: dict[str, Any] = {
        "type": "url",
        "provider": PRODUCT,
        "name": value(tracker.template) or host,
        "description": words(f"Tracking for {', '.join(lines(tracker.kinds)) or 'an unknown purpose'}"),
        "first_seen": timestamp(tracker.first_at),
        "last_seen": timestamp(tracker.last_at),
        "sightings": max(tracker.messages, 0),
        "marking": {"tlp": str(traffic_light).upper(), "tlp_version": "2.0"},
        "url": {"original": value(tracker.template)},
    }
    if host and "*" not in host:
        made["url"]["domain"] = host
    return made


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
