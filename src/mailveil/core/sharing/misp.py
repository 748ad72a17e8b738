"""MISP: activities and learned trackers as events of MISP's core format, for its feeds and its REST API. Pure.

``to_ids`` is set for what is exact, the actor's own and not dismissed: such an attribute blocks things elsewhere.
Shapes of URLs and addresses are told for people to look at. One event for each activity or tracker, for ever.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid5

from mailveil.core.intelligence.types import ActivityState, AnalystVerdict, Role
from mailveil.core.sharing.claims import (
    Claim,
    ClaimKind,
    address_or_network,
    claims_of_activity,
    claims_of_tracker,
    is_disowned,
    name_in,
)
from mailveil.core.sharing.stixvocabulary import NAMESPACE, technique_name
from mailveil.core.sharing.stixwriter import NAMELESS
from mailveil.core.sharing.types import (
    SharedActivity,
    SharedEvent,
    SharedTracker,
    TrafficLight,
    is_withdrawn,
)
from mailveil.core.sharing.wording import line, moment, prose
from mailveil.core.verdicts.addresses import registrable_domain

Event = dict[str, Any]
MAX_ATTRIBUTES: Final = 600
DISMISSED: Final = "Dismissed: "
MERGED: Final = "Part of another: "
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
# How far MISP passes an event on: 0 nobody else, 1 this community, 2 connected communities, 3 everybody.
_DISTRIBUTION: Final[Mapping[TrafficLight, str]] = {
    TrafficLight.RED: "0",
    TrafficLight.AMBER_STRICT: "0",
    TrafficLight.AMBER: "1",
    TrafficLight.GREEN: "2",
    TrafficLight.CLEAR: "3",
}
_THREAT: Final = {"high": "1", "medium": "2", "low": "3"}
_UNDEFINED: Final = "4"
_SUMMARY: Final = "summary"
_MANIFEST: Final = ("Orgc", "Tag", "info", "date", "analysis", "threat_level_id", "timestamp")


def misp_event(event: SharedEvent) -> Event | None:
    """Return the event that MISP is told, ``None`` for what is none of its business (alerts, tests)."""
    if event.activity is not None:
        return activity_event(event.activity)
    if event.tracker is not None:
        return tracker_event(
            event.tracker, event.organisation, event.traffic_light, event.at, told_by=event.told_by
        )
    return None


def activity_event(activity: SharedActivity) -> Event:
    """Return the event of an activity. One that was dismissed says so, and nothing in it is for detection.

    One that turned out to be part of another extends the event of that.
    """
    is_dismissed = activity.verdict is AnalystVerdict.BENIGN
    opening = DISMISSED if is_dismissed else MERGED if activity.merged_into else ""
    stamp = _stamp(max(activity.changed_at, activity.first_at))
    actor = line(activity.actor, 200) or "somebody unknown"
    uuid = _uuid("event", "activity", activity.identifier)
    attributes = [
        _claimed(uuid, each, stamp, to_ids=not is_dismissed) for each in claims_of_activity(activity)
    ]
    attributes += [
        made for each in activity.infrastructure if not each.shared and (made := _other(uuid, each, stamp))
    ]
    summary = prose(
        f"{activity.total_probes} probes in {activity.total_messages} messages to {activity.total_people} people.",
        *(f"Would have learned: {line(each)}" for each in activity.learned[:10]),
        *(f"Because: {line(each.words)}" for each in activity.reasons[:20] if each.weight > 0),
        f"Fingerprint of its technology: {line(activity.fingerprint, 100)}" if activity.fingerprint else "",
    )
    attributes.append(_summary(uuid, summary, stamp))
    tags = [f"tlp:{activity.traffic_light}", "kill-chain:Reconnaissance"]
    tags += [
        f'misp-galaxy:mitre-attack-pattern="{technique_name(each.technique)} - {each.technique}"'
        for each in activity.techniques
    ]
    if is_dismissed:
        tags.append('false-positive:risk="high"')
    return _event(
        uuid,
        f"{opening}Reconnaissance by mail: {actor}",
        activity.first_at,
        stamp,
        organisation=activity.organisation,
        told_by=activity.told_by,
        traffic_light=activity.traffic_light,
        threat=_UNDEFINED if is_dismissed else _THREAT.get(activity.risk, _UNDEFINED),
        # 1: going on, 2: complete
        analysis="2" if is_dismissed or activity.state is ActivityState.CLOSED else "1",
        tags=tags,
        attributes=attributes,
        extends=_uuid("event", "activity", activity.merged_into) if activity.merged_into else "",
    )


def tracker_event(
    tracker: SharedTracker,
    organisation: str,
    traffic_light: TrafficLight,
    changed_at: float,
    *,
    told_by: str = "",
) -> Event | None:
    """Return the event of a tracker that somebody built, ``None`` for a vendor's.

    ``told_by`` is the UUID of the organisation: others that learn the same tracker have an event of their own.
    """
    claims = claims_of_tracker(tracker)
    if not claims:
        return None
    stamp = _stamp(max(changed_at, tracker.first_at))
    uuid = _tracker_uuid(tracker, told_by)
    attributes = [_claimed(uuid, each, stamp, to_ids=True) for each in claims]
    if fingerprint := line(tracker.fingerprint, 100):
        attributes.append(_summary(uuid, f"Fingerprint of its technology: {fingerprint}", stamp))
    return _event(
        uuid,
        f"Tracking in mail, built by its sender: {line(tracker.domain or tracker.host, 200) or 'somebody'}",
        tracker.first_at,
        stamp,
        organisation=organisation,
        told_by=told_by,
        traffic_light=traffic_light,
        threat=_THREAT["low"],
        analysis="2",
        tags=[f"tlp:{traffic_light}", "kill-chain:Reconnaissance"],
        attributes=attributes,
    )


def dismissed(event: Event, changed_at: float) -> Event:
    """Return an event whose subject turned out to be something else: it says so, and nothing in it is for detection."""
    stamp, inner = _stamp(changed_at), event["Event"]
    attributes = [{**each, "to_ids": False, "timestamp": stamp} for each in inner["Attribute"]]
    return {
        "Event": {
            **inner,
            "info": f"{DISMISSED}{inner['info'].removeprefix(DISMISSED)}",
            "timestamp": stamp,
            "publish_timestamp": stamp,
            "threat_level_id": _UNDEFINED,
            "Attribute": attributes,
        }
    }


def with_earlier(event: Event, known: Event, activity: SharedActivity) -> Event:
    """Return an activity's event with what it had before and has no more.

    Whoever reads a feed keeps what an event does not name: what is wrong now has to be named to detect nothing more.
    """
    stamp, inner = event["Event"]["timestamp"], event["Event"]
    now = {each["uuid"] for each in inner["Attribute"]}
    earlier = [
        {**each, "to_ids": False, "timestamp": stamp}
        if each["to_ids"] and not still_detects(each, activity)
        else each
        for each in known["Event"]["Attribute"]
        if each["uuid"] not in now and each["type"] != "comment"
    ]
    return {"Event": {**inner, "Attribute": [*inner["Attribute"], *earlier][:MAX_ATTRIBUTES]}}


def still_detects(attribute: Mapping[str, Any], activity: SharedActivity) -> bool:
    """Tell whether what an activity's event claimed before holds although it is not among the latest any more."""
    name = name_in(str(attribute.get("value")))
    return bool(name) and not is_withdrawn(activity) and not is_disowned(name, activity.infrastructure)


def subject_uuid(event: SharedEvent) -> str:
    """Return the UUID of the event for what an event is about, ``""`` where there is none for that."""
    if event.activity is not None:
        return _uuid("event", "activity", event.activity.identifier)
    return _tracker_uuid(event.tracker, event.told_by) if event.tracker is not None else ""


def is_own_attribute(event: str, attribute: Mapping[str, Any]) -> bool:
    """Tell whether an attribute, as a MISP has it, was made here and by nobody else."""
    made = _uuid("attribute", event, str(attribute.get("type")), str(attribute.get("value")))
    return attribute.get("uuid") in (made, _uuid("attribute", event, _SUMMARY))


def uuid_of(event: Event) -> str:
    """Return an event's UUID."""
    return str(event["Event"]["uuid"])


def manifest(events: Iterable[Event]) -> dict[str, Any]:
    """Return what a feed says of its events (``manifest.json``), by UUID."""
    return {uuid_of(each): {name: each["Event"][name] for name in _MANIFEST} for each in events}


def hashes(events: Iterable[Event]) -> str:
    """Return the digests of a feed's values with the events that they are in (``hashes.csv``)."""
    lines = []
    for each in events:
        for attribute in each["Event"]["Attribute"]:
            digest = hashlib.md5(attribute["value"].encode("utf-8"), usedforsecurity=False).hexdigest()
            lines.append(f"{digest},{uuid_of(each)}\n")
    return "".join(lines)


def document(event: Event) -> str:
    """Return an event as JSON."""
    return json.dumps(event, ensure_ascii=True)


def _event(
    uuid: str,
    info: str,
    at: float,
    stamp: str,
    *,
    organisation: str,
    told_by: str,
    traffic_light: TrafficLight,
    threat: str,
    analysis: str,
    tags: list[str],
    attributes: list[dict[str, Any]],
    extends: str = "",
) -> Event:
    name = line(organisation) or NAMELESS
    different = {each["uuid"]: each for each in attributes}
    return {
        "Event": {
            "uuid": uuid,
            "info": info,
            "date": f"{datetime.fromtimestamp(moment(at), UTC):%Y-%m-%d}",
            "timestamp": stamp,
            "publish_timestamp": stamp,
            "published": True,
            "analysis": analysis,
            "threat_level_id": threat,
            "distribution": _DISTRIBUTION[traffic_light],
            **({"extends_uuid": extends} if extends else {}),
            "Orgc": {"name": name, "uuid": told_by or _uuid("organisation", name)},
            "Tag": [{"name": each, "colour": "#0f7b83"} for each in tags],
            "Attribute": list(different.values())[:MAX_ATTRIBUTES],
        }
    }


def _claimed(event: str, claim: Claim, stamp: str, *, to_ids: bool) -> dict[str, Any]:
    """Return the attribute of what is the actor's own."""
    if claim.kind is ClaimKind.URL:
        kind = "url" if claim.is_exact else "pattern-in-traffic"
    else:
        kind = "domain" if claim.value == registrable_domain(claim.value) else "hostname"
        kind = kind if claim.is_exact else "pattern-in-traffic"
    comment = f"Seen as {claim.role.replace('-', ' ')} in mail"
    made = _attribute(
        event, "Network activity", kind, claim.value, stamp, comment=comment, to_ids=to_ids and claim.is_exact
    )
    return {**made, "first_seen": _iso(claim.first_at), "last_seen": _iso(max(claim.first_at, claim.last_at))}


def _other(event: str, item: Any, stamp: str) -> dict[str, Any] | None:
    """Return the attribute of an address or a certificate: for people, since others may use the same."""
    value = item.value.strip().lower()
    if item.role is Role.ADDRESS and (address := address_or_network(value)):
        return _attribute(event, "Network activity", "ip-dst", address, stamp, comment="Where its host was")
    if item.role is Role.CERTIFICATE and _SHA256.fullmatch(value):
        return _attribute(
            event,
            "Network activity",
            "x509-fingerprint-sha256",
            value,
            stamp,
            comment="Its host’s certificate",
        )
    return None


def _summary(event: str, text: str, stamp: str) -> dict[str, Any]:
    """Return the attribute that says what happened: one, however often its words change."""
    return {
        **_attribute(event, "Other", "comment", text, stamp),
        "uuid": _uuid("attribute", event, _SUMMARY),
    }


def _attribute(
    event: str, category: str, kind: str, value: str, stamp: str, *, comment: str = "", to_ids: bool = False
) -> dict[str, Any]:
    return {
        "uuid": _uuid("attribute", event, kind, value),
        "category": category,
        "type": kind,
        "value": value,
        "to_ids": to_ids,
        "comment": comment,
        "distribution": "5",  # as the event
        "timestamp": stamp,
        "disable_correlation": category == "Other",
    }


def _tracker_uuid(tracker: SharedTracker, told_by: str) -> str:
    return _uuid("event", "tracker", *filter(None, (told_by, tracker.identifier)))


def _uuid(*key: str) -> str:
    return str(uuid5(NAMESPACE, json.dumps(["misp", *key])))


def _stamp(at: float) -> str:
    return str(int(moment(at)))


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(moment(at)), UTC).isoformat(timespec="microseconds")
