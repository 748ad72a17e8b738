"""Publishing into our own collections: what TAXII, the feed for MISP and the filter list hand out. Nobody is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mailveil.control.sharedobjects import ACTIVITIES, EVENTS, RULES, TRACKERS, SharedObjectStore
from mailveil.core.sharing.adblock import rule_of
from mailveil.core.sharing.misp import activity_event, dismissed, tracker_event, uuid_of, with_earlier
from mailveil.core.sharing.stix import (
    activity_objects,
    alert_objects,
    campaign_identifier,
    merged_objects,
    tracker_objects,
)
from mailveil.core.sharing.stixhistory import (
    continued,
    is_live,
    live_identifier,
    no_longer_claimed,
    revoked,
)
from mailveil.core.sharing.types import SharedActivity, SharedAlert, SharedEvent, SharedTracker, is_withdrawn
from mailveil.core.sharing.wording import timestamp
from mailveil.ports import DeliveryError, UnavailableError


class CollectionPublisher:
    """Writes an organisation's events into its collections (``ports.Publisher``). People are in none of them."""

    def __init__(self, store: SharedObjectStore, organisation: str) -> None:
        """``organisation`` is its identifier."""
        self._store = store
        self._organisation = organisation

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        """Write events in order. Raises ``DeliveryError`` where the database cannot answer."""
        for taken, event in enumerate(events):
            try:
                await self._write(event)
            except UnavailableError as error:
                raise DeliveryError(str(error), taken=taken) from error

    async def close(self) -> None:
        """Nothing is held."""

    async def _write(self, event: SharedEvent) -> None:
        if event.activity is not None:
            await self._write_activity(without_people(event.activity))
        elif event.alert is not None:
            await self._write_alert(event, replace(event.alert, people=()))
        elif event.tracker is not None:
            await self._write_tracker(event, event.tracker)

    async def _write_activity(self, activity: SharedActivity) -> None:
        known = await self._known(ACTIVITIES, activity.identifier)
        if is_withdrawn(activity) and not known:
            return  # there is nothing to take back
        if not is_withdrawn(activity) or is_live(known):
            await self._add(ACTIVITIES, await self._next(activity, known), activity.identifier)
        misp = activity_event(activity)
        if before := await self._known(EVENTS, activity.identifier):
            misp = with_earlier(misp, before[0]["event"], activity)
        await self._add(EVENTS, [_kept_event(misp, activity.changed_at)], activity.identifier)

    async def _next(self, activity: SharedActivity, known: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the objects of an activity after those that are known."""
        if activity.merged_into:
            campaign = live_identifier(campaign_identifier(activity.identifier), known)
            survivor = await self._campaign(activity.merged_into)
            return [
                *merged_objects(activity, campaign, survivor),
                *revoked(known, activity.changed_at),
            ]
        objects = continued(activity_objects(activity), known)
        if not is_withdrawn(activity):
            return [*objects, *no_longer_claimed(activity, known, objects)]
        now = {each["id"] for each in objects}
        return [*objects, *revoked((each for each in known if each["id"] not in now), activity.changed_at)]

    async def _campaign(self, activity: str) -> str:
        """Return the identifier by which an activity's campaign goes now."""
        return live_identifier(campaign_identifier(activity), await self._known(ACTIVITIES, activity))

    async def _write_alert(self, event: SharedEvent, alert: SharedAlert) -> None:
        campaign = await self._campaign(alert.activity) if alert.activity else ""
        objects = alert_objects(
            alert, event.organisation, event.traffic_light, campaign, told_by=event.told_by
        )
        await self._add(ACTIVITIES, objects, alert.identifier)

    async def _write_tracker(self, event: SharedEvent, tracker: SharedTracker) -> None:
        objects = tracker_objects(
            tracker, event.organisation, event.traffic_light, event.at, told_by=event.told_by
        )
        before = await self._known(TRACKERS, tracker.identifier)
        # a vendor's, perhaps found out only now
        objects = continued(objects, before) if objects else revoked(before, event.at)
        await self._add(TRACKERS, objects, tracker.identifier)
        misp = tracker_event(
            tracker, event.organisation, event.traffic_light, event.at, told_by=event.told_by
        )
        if misp is None:
            known = await self._known(EVENTS, tracker.identifier)
            misp = dismissed(known[0]["event"], event.at) if known else None
        if misp is not None:
            await self._add(EVENTS, [_kept_event(misp, event.at)], tracker.identifier)
        rule = {
            "id": tracker.identifier,
            "type": "adblock-rule",
            "modified": timestamp(event.at),
            "rule": rule_of(tracker),
        }
        if rule["rule"] or await self._known(RULES, tracker.identifier):
            await self._add(RULES, [rule], tracker.identifier)

    async def _known(self, collection: str, subject: str) -> list[dict[str, Any]]:
        found = await self._store.of_subject(self._organisation, collection, subject)
        return [dict(each.object) for each in found]

    async def _add(self, collection: str, objects: Sequence[Mapping[str, Any]], subject: str) -> None:
        await self._store.add(self._organisation, collection, objects, subject)


def without_people(activity: SharedActivity) -> SharedActivity:
    """Return an activity that names nobody, whatever it was made with."""
    probes = tuple(replace(each, person="", function="") for each in activity.probes)
    return replace(activity, people=(), functions=(), probes=probes)


def _kept_event(event: dict[str, Any], changed_at: float) -> dict[str, Any]:
    return {"id": uuid_of(event), "type": "misp-event", "modified": timestamp(changed_at), "event": event}
