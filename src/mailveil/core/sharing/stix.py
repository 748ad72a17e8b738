"""STIX 2.1: activities, alerts and learned trackers as objects, for TAXII and for files. Pure.

Encoders see shared values alone, and make no object of a person that these do not name. Of what serves everybody
nothing is claimed. Whose version an object is says ``modified``; the same value gives the same objects for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from mailveil.core.intelligence.types import AnalystVerdict, Role, Tooling
from mailveil.core.sharing.claims import (
    Claim,
    ClaimKind,
    address_or_network,
    claims_of_activity,
    claims_of_tracker,
    host_name,
)
from mailveil.core.sharing.stixpatterns import pattern_of
from mailveil.core.sharing.stixvocabulary import (
    KILL_CHAIN,
    SPEC,
    Object,
    attack_pattern,
    identifier,
)
from mailveil.core.sharing.stixwriter import StixWriter, identity
from mailveil.core.sharing.types import (
    SharedActivity,
    SharedAlert,
    SharedEvent,
    SharedInfrastructure,
    SharedTracker,
    TrafficLight,
)
from mailveil.core.sharing.wording import line, moment, prose, timestamp

MAX_COUNT: Final = 999_999_999
MAX_PEOPLE: Final = 200
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def event_objects(event: SharedEvent) -> list[Object]:
    """Return what an event says, nothing for a test."""
    if event.activity is not None:
        return activity_objects(event.activity)
    if event.alert is not None:
        return alert_objects(event.alert, event.organisation, event.traffic_light, told_by=event.told_by)
    if event.tracker is not None:
        return tracker_objects(
            event.tracker, event.organisation, event.traffic_light, event.at, told_by=event.told_by
        )
    return []


def bundle(objects: Iterable[Object]) -> Object:
    """Return objects as one document; what is there twice is there once."""
    different = {(each["id"], each.get("modified", "")): each for each in objects}
    ordered = list(different.values())
    key = [f"{name} {version}" for name, version in sorted(different)]
    return {"type": "bundle", "id": identifier("bundle", *key), "objects": ordered}


def activity_objects(activity: SharedActivity) -> list[Object]:
    """Return an activity with everything that it consists of. One that was dismissed is revoked."""
    writer = _writer(activity)
    campaign = writer.add(
        "campaign",
        (),
        name=f"Reconnaissance by {_actor(activity)}",
        description=_description(activity),
        first_seen=timestamp(activity.first_at),
        last_seen=timestamp(max(activity.first_at, activity.last_at)),
        confidence=_percent(activity.score),
        labels=["reconnaissance", f"risk-{line(activity.risk, 20) or 'unknown'}", f"state-{activity.state}"],
    )
    writer.relate(campaign, "targets", writer.organisation, activity.first_at)
    _techniques(writer, campaign, activity)
    _actor_objects(writer, campaign, activity)
    _people(writer, campaign, activity)
    infrastructure = _infrastructure(writer, campaign, activity)
    for claim in claims_of_activity(activity):
        indicator = _indicator(writer, claim, activity.score, _is_confirmed(activity))
        writer.relate(indicator, "indicates", campaign, claim.first_at)
        if infrastructure:
            writer.relate(indicator, "indicates", infrastructure, claim.first_at)
        _sighting(writer, indicator, claim)
    return writer.objects


def tracker_objects(
    tracker: SharedTracker,
    organisation: str,
    traffic_light: TrafficLight,
    changed_at: float,
    *,
    told_by: str = "",
) -> list[Object]:
    """Return a tracker that somebody built: its indicator and what it runs on; nothing for a vendor's.

    ``told_by`` is the UUID of the organisation: others that learn the same tracker tell of it by objects of their own.
    """
    claims = claims_of_tracker(tracker)
    if not claims:
        return []
    subject = " ".join(filter(None, ("tracker", told_by, tracker.identifier)))
    writer = StixWriter(organisation, traffic_light, subject, tracker.first_at, changed_at, told_by=told_by)
    name = line(tracker.domain or tracker.host, 200)
    infrastructure = writer.add(
        "infrastructure",
        (),
        name=f"Tracking built at {name}",
        description=prose(
            f"Tracks by {', '.join(line(each, 40) for each in tracker.kinds[:20])}." if tracker.kinds else "",
            f"Fingerprint of its technology: {line(tracker.fingerprint, 100)}" if tracker.fingerprint else "",
        ),
        infrastructure_types=["reconnaissance"],
        kill_chain_phases=KILL_CHAIN,
        first_seen=timestamp(tracker.first_at),
        last_seen=timestamp(max(tracker.first_at, tracker.last_at)),
    )
    for host in dict.fromkeys(filter(None, map(host_name, (tracker.host, tracker.domain)))):
        writer.relate(
            infrastructure, "consists-of", writer.observe("domain-name", value=host), tracker.first_at
        )
    for claim in claims:
        indicator = _indicator(writer, claim, 0.8, is_malicious=False)
        writer.relate(indicator, "indicates", infrastructure, claim.first_at)
        _sighting(writer, indicator, claim)
    return writer.objects


def alert_objects(
    alert: SharedAlert,
    organisation: str,
    traffic_light: TrafficLight,
    campaign: str = "",
    *,
    told_by: str = "",
) -> list[Object]:
    """Return an alert as a note about the campaign that it belongs to; by default the first of its activity."""
    subject = f"alert {alert.identifier}"
    writer = StixWriter(organisation, traffic_light, subject, alert.at, alert.at, told_by=told_by)
    earlier = f"The actor was first seen on {timestamp(alert.earlier)[:10]}." if alert.earlier > 0 else ""
    writer.add(
        "note",
        (),
        abstract=line(f"Alert: {alert.kind}"),
        content=prose(alert.words, earlier) or f"Alert: {alert.kind}",
        object_refs=[campaign or campaign_identifier(alert.activity)],
        confidence=_percent(alert.score),
    )
    return writer.objects


def merged_objects(activity: SharedActivity, campaign: str, survivor: str) -> list[Object]:
    """Return that an activity turned out to be part of another; both are identifiers of campaigns."""
    writer = _writer(activity)
    writer.relate(campaign, "duplicate-of", survivor, activity.first_at)
    return writer.objects


def campaign_identifier(activity: str) -> str:
    """Return the identifier of the campaign that an activity was first told as."""
    return identifier("campaign", f"activity {activity}")


def _writer(activity: SharedActivity) -> StixWriter:
    return StixWriter(
        activity.organisation,
        activity.traffic_light,
        f"activity {activity.identifier}",
        activity.first_at,
        activity.changed_at,
        is_revoked=activity.verdict is AnalystVerdict.BENIGN,
        told_by=activity.told_by,
    )


def _techniques(writer: StixWriter, campaign: str, activity: SharedActivity) -> None:
    for shown in activity.techniques:
        technique = writer.put(attack_pattern(shown.technique))
        writer.relate(campaign, "uses", technique, activity.first_at, prose(shown.because))


def _actor_objects(writer: StixWriter, campaign: str, activity: SharedActivity) -> None:
    """Name the actor where an analyst said that there is one; a vendor is somebody whose tools were bought."""
    if _is_confirmed(activity):
        actor = writer.add(
            "threat-actor",
            (),
            name=_actor(activity),
            threat_actor_types=["unknown"],
            first_seen=timestamp(activity.first_at),
            last_seen=timestamp(max(activity.first_at, activity.last_at)),
            confidence=_percent(activity.score),
        )
        writer.relate(campaign, "attributed-to", actor, activity.first_at)
    if activity.tooling is Tooling.BOUGHT and (vendor := line(activity.operator)):
        seller = writer.put(identity(vendor, "organization"))
        writer.relate(campaign, "related-to", seller, activity.first_at, "Its tracking was bought here.")


def _people(writer: StixWriter, campaign: str, activity: SharedActivity) -> None:
    """Name people where the destination is told of them: as somebody, never by an address to write to."""
    for name in filter(None, map(line, activity.people[:MAX_PEOPLE])):
        person = writer.add("identity", ("individual", name), name=name, identity_class="individual")
        writer.relate(campaign, "targets", person, activity.first_at)


def _infrastructure(writer: StixWriter, campaign: str, activity: SharedActivity) -> str:
    """Add what the activity was carried out with, as far as it is the actor's own; return its identifier."""
    parts = [
        (item, seen)
        for item in activity.infrastructure
        if not item.shared and not item.claimed and (seen := _observable(item))
    ]
    if not parts:
        return ""
    made = writer.add(
        "infrastructure",
        (),
        name=f"Infrastructure of {_actor(activity)}",
        description=prose(
            f"Tracking was {activity.tooling}." if activity.tooling is not Tooling.UNKNOWN else "",
            f"Fingerprint of its technology: {line(activity.fingerprint, 100)}"
            if activity.fingerprint
            else "",
        ),
        infrastructure_types=["reconnaissance"],
        kill_chain_phases=KILL_CHAIN,
        first_seen=timestamp(activity.first_at),
        last_seen=timestamp(max(activity.first_at, activity.last_at)),
    )
    writer.relate(campaign, "uses", made, activity.first_at)
    for item, (kind, contributing) in parts:
        writer.relate(made, "consists-of", writer.observe(kind, **contributing), item.first_at)
    return made


def _observable(item: SharedInfrastructure) -> tuple[str, dict[str, Any]] | None:
    """Return the observable that a piece of infrastructure is: its kind and contributing properties."""
    if item.role is Role.FINGERPRINT:
        return None
    value = item.value.strip().lower()
    if item.role is Role.CERTIFICATE:
        digest = value.replace(":", "").removeprefix("sha256")
        return ("x509-certificate", {"hashes": {"SHA-256": digest}}) if _SHA256.fullmatch(digest) else None
    if item.role is Role.ADDRESS:
        address = address_or_network(value)
        kind = "ipv6-addr" if ":" in address else "ipv4-addr"
        return (kind, {"value": address}) if address else None
    name = host_name(value)
    return ("domain-name", {"value": name}) if name else None


def _indicator(writer: StixWriter, claim: Claim, score: float, is_malicious: bool) -> str:
    pattern = pattern_of(claim)
    return writer.add(
        "indicator",
        (pattern,),
        since=claim.first_at,
        name=line(claim.value),
        description=f"Seen as {claim.role.replace('-', ' ')} of reconnaissance by mail.",
        indicator_types=["malicious-activity" if is_malicious else "anomalous-activity"],
        pattern=pattern,
        pattern_type="stix",
        pattern_version=SPEC,
        valid_from=timestamp(claim.first_at),
        kill_chain_phases=KILL_CHAIN,
        confidence=_percent(score),
    )


def _sighting(writer: StixWriter, indicator: str, claim: Claim) -> None:
    """Say when an indicator was seen here, with the observed data behind it where that names something exactly."""
    first, last = timestamp(claim.first_at), timestamp(max(claim.first_at, claim.last_at))
    count = min(max(claim.messages, 1), MAX_COUNT)
    observed = []
    if claim.is_exact:
        kind = "domain-name" if claim.kind is ClaimKind.NAME else "url"
        seen = writer.observe(kind, value=claim.value)
        observed.append(
            writer.add(
                "observed-data",
                (indicator,),
                since=claim.first_at,
                first_observed=first,
                last_observed=last,
                number_observed=count,
                object_refs=[seen],
            )
        )
    writer.add(
        "sighting",
        (indicator,),
        since=claim.first_at,
        first_seen=first,
        last_seen=last,
        count=count,
        sighting_of_ref=indicator,
        observed_data_refs=observed,
        where_sighted_refs=[writer.organisation],
    )


def _description(activity: SharedActivity) -> str:
    people = f"{activity.total_people} people" if activity.total_people != 1 else "one person"
    weighty = f", of them {activity.high_value_people} of high value" if activity.high_value_people else ""
    functions = f" Functions: {', '.join(line(each, 60) for each in activity.functions[:20])}."
    return prose(
        f"{activity.total_probes} probes in {activity.total_messages} messages to {people}{weighty}."
        + (functions if activity.functions else ""),
        *(f"Would have learned: {line(each)}" for each in activity.learned[:10]),
        *(f"Because: {line(each.words)}" for each in activity.reasons[:20] if each.weight > 0),
    )


def _actor(activity: SharedActivity) -> str:
    return line(activity.actor, 200) or "somebody unknown"


def _is_confirmed(activity: SharedActivity) -> bool:
    return activity.verdict is AnalystVerdict.CONFIRMED


def _percent(score: float) -> int:
    return min(max(round(100 * moment(score)), 0), 100)
