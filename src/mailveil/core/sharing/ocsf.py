"""OCSF: an event as a Detection Finding (class 2004) of the Open Cybersecurity Schema Framework 1.3. Pure and total.

An activity is one finding that is created, updated and closed; ``finding_info.uid`` is the same through all of it.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from mailveil import __version__
from mailveil.core.intelligence.types import AnalystVerdict, TechniqueShown
from mailveil.core.sharing.attack import TACTIC, TACTIC_NAME, TECHNIQUES
from mailveil.core.sharing.headlines import PRODUCT, VENDOR, Headline, headline, is_over, milliseconds
from mailveil.core.sharing.plain import encode_plain, words
from mailveil.core.sharing.types import EventKind, SharedActivity, SharedEvent
from mailveil.core.sharing.wording import line

VERSION: Final = "1.3.0"
CLASS: Final = 2004
CATEGORY: Final = 2
_ACTIVITIES: Final = {1: "Create", 2: "Update", 3: "Close"}
_SEVERITIES: Final = ((0.9, 5, "Critical"), (0.7, 4, "High"), (0.4, 3, "Medium"), (0.0, 2, "Low"))
_STATUSES: Final = {1: "New", 2: "In Progress", 3: "Suppressed", 4: "Resolved"}
_CONFIDENCES: Final = ((0.75, 3, "High"), (0.4, 2, "Medium"), (0.0, 1, "Low"))
_HOSTNAME: Final = (1, "Hostname")
_ADDRESS: Final = (2, "IP Address")
_USER: Final = (4, "User Name")
_URL: Final = (6, "URL String")


def encode_ocsf(event: SharedEvent) -> dict[str, Any]:
    """Return an event as a finding."""
    told = headline(event)
    activity = _activity_of(event)
    severity, severity_name = _severity(event, told)
    status = _status(event)
    evidences, observables = _evidences(told)
    finding: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity],
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {_ACTIVITIES[activity]}",
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": _STATUSES[status],
        "time": milliseconds(event.at),
        "message": told.message,
        "metadata": _metadata(event),
        "finding_info": _finding_info(event, told),
        "is_alert": event.kind in (EventKind.ACTIVITY_OPENED, EventKind.ALERT_RAISED),
        "risk_score": round(told.score * 100),
        "unmapped": {"mailveil": encode_plain(event)},
    }
    if told.first_at > 0:
        finding |= {"start_time": milliseconds(told.first_at), "end_time": milliseconds(told.last_at)}
    if event.activity is not None:
        finding |= _confidence(event.activity)
    if evidences:
        finding |= {"evidences": evidences}
    if told.people:
        finding["resources"] = [{"type": "Person", "name": each} for each in told.people]
        observables += [
            _observable(f"resources[{place}].name", _USER, each) for place, each in enumerate(told.people)
        ]
    if observables:
        finding["observables"] = observables
    return finding


def _activity_of(event: SharedEvent) -> int:
    if event.activity is None:
        return 1
    if is_over(event.activity) or event.kind is EventKind.ACTIVITY_CLOSED:
        return 3
    return 1 if event.kind is EventKind.ACTIVITY_OPENED else 2


def _severity(event: SharedEvent, told: Headline) -> tuple[int, str]:
    if event.kind is EventKind.TEST:
        return 1, "Informational"
    return next((number, name) for least, number, name in _SEVERITIES if told.score >= least)


def _status(event: SharedEvent) -> int:
    activity = event.activity
    if activity is None:
        return 1
    if activity.verdict is AnalystVerdict.BENIGN:
        return 3
    if is_over(activity):
        return 4
    return 2 if activity.verdict is AnalystVerdict.CONFIRMED else 1


def _metadata(event: SharedEvent) -> dict[str, Any]:
    return {
        "version": VERSION,
        "product": {"name": PRODUCT, "vendor_name": VENDOR, "version": __version__},
        "uid": line(event.identifier),
        "sequence": event.number,
        "event_code": str(event.kind),
        "log_provider": PRODUCT,
        "labels": [f"tlp:{event.traffic_light}", f"organisation:{line(event.organisation)}"],
        "original_time": str(milliseconds(event.at)),
    }


def _finding_info(event: SharedEvent, told: Headline) -> dict[str, Any]:
    info: dict[str, Any] = {
        "uid": told.subject or line(event.identifier),
        "title": words(f"{told.name}: {told.actor}") if told.actor else told.name,
        "desc": told.message,
        "types": ["Reconnaissance" if event.tracker is None else "Tracking"],
        "data_sources": ["email"],
        "analytic": {"name": "mailveil reconnaissance", "type_id": 2, "type": "Behavioral"},
    }
    if told.first_at > 0:
        info |= {
            "created_time": milliseconds(told.first_at),
            "first_seen_time": milliseconds(told.first_at),
            "last_seen_time": milliseconds(told.last_at),
        }
    if event.activity is not None:
        info["modified_time"] = milliseconds(event.activity.changed_at)
        if event.activity.techniques:
            info["attacks"] = [_attack(each) for each in event.activity.techniques]
    return info


def _attack(shown: TechniqueShown) -> dict[str, Any]:
    facts = TECHNIQUES[shown.technique]
    attack: dict[str, Any] = {"tactic": {"uid": TACTIC, "name": TACTIC_NAME}}
    if facts.parent:
        attack["technique"] = {"uid": facts.parent, "name": facts.parent_name}
        attack["sub_technique"] = {"uid": facts.identifier, "name": facts.name}
    else:
        attack["technique"] = {"uid": facts.identifier, "name": facts.name}
    return attack


def _confidence(activity: SharedActivity) -> dict[str, Any]:
    score = min(max(activity.confidence, 0.0), 1.0) if activity.confidence == activity.confidence else 0.0
    number, name = next((number, name) for least, number, name in _CONFIDENCES if score >= least)
    return {"confidence_id": number, "confidence": name, "confidence_score": round(score * 100)}


def _evidences(told: Headline) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what the finding rests on, and for each name and address in it what points there."""
    evidences: list[dict[str, Any]] = []
    observables: list[dict[str, Any]] = []
    for host in told.hosts:
        if "*" in host:
            evidences.append({"data": {"host_pattern": host}})
            continue
        observables.append(_observable(f"evidences[{len(evidences)}].url.hostname", _HOSTNAME, host))
        evidences.append({"url": {"hostname": host}})
    for address in told.addresses:
        if not _is_address(address):
            evidences.append({"data": {"network": address}})
            continue
        observables.append(_observable(f"evidences[{len(evidences)}].src_endpoint.ip", _ADDRESS, address))
        evidences.append({"src_endpoint": {"ip": address}})
    for template in told.templates:
        if "*" in template:
            evidences.append({"data": {"url_pattern": template}})
            continue
        observables.append(_observable(f"evidences[{len(evidences)}].url.url_string", _URL, template))
        evidences.append({"url": {"url_string": template}})
    return evidences, observables


def _observable(name: str, kind: tuple[int, str], text: str) -> dict[str, Any]:
    return {"name": name, "type_id": kind[0], "type": kind[1], "value": text}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
