"""Publishing to a MISP: each activity and learned tracker is one event there, added once and edited from then on.

An event of ours is looked at before it is changed: MISP takes an edit only if it is newer than what it has, to the
second, and keeps attributes that an edit does not name. Those of ours that turned out to be wrong detect nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mailveil.adapters.outgoing import OutgoingAnswer, OutgoingError
from mailveil.adapters.publishing.answers import refusal, unreached
from mailveil.adapters.publishing.calls import Caller
from mailveil.core.sharing.misp import (
    Event,
    dismissed,
    is_own_attribute,
    misp_event,
    still_detects,
    subject_uuid,
    uuid_of,
)
from mailveil.core.sharing.types import SharedEvent, is_withdrawn
from mailveil.ports import DeliveryError

HEADERS: Final = {"Accept": "application/json", "Content-Type": "application/json"}
_THERE_ALREADY: Final = "already exists"
_NOT_NEWER: Final = "not newer"


class MispPublisher:
    """Adds and edits events by the REST API of a MISP (``ports.Publisher``). Of people it is told nothing."""

    def __init__(
        self, caller: Caller, address: str, *, published: bool = False, distribution: int | None = None
    ) -> None:
        """``caller`` shows the key. ``published``: without an analyst there; ``distribution`` in place of the usual."""
        self._caller = caller
        self._base = address.rstrip("/")
        self._published = published
        self._distribution = distribution

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        """Bring events in order. Raises ``DeliveryError``."""
        for taken, event in enumerate(events):
            try:
                await self._bring(event, taken)
            except OutgoingError as error:
                raise unreached(error, taken) from error

    async def close(self) -> None:
        """Let go of connections."""
        await self._caller.close()

    async def _bring(self, event: SharedEvent, taken: int) -> None:
        made, uuid = misp_event(event), subject_uuid(event)
        if not uuid:  # an alert, which is no event of MISP's, or a test
            if event.alert is None:
                await self._greet(taken)
            return
        known = await self._known(uuid, taken)
        if known is None and event.activity is not None and is_withdrawn(event.activity):
            return  # there is nothing to take back
        if made is None:  # a tracker that turned out to be a vendor's
            if known is None:
                return
            made = dismissed(_ours(known), event.at)
        if known is None and await self._add(made, taken):
            return
        known = known or await self._known(uuid, taken)
        if known is not None:
            made = _with_earlier(made, known, event)
        await self._edit(made, known, taken)

    async def _greet(self, taken: int) -> None:
        """Show the key, and change nothing: what a test is for."""
        answer = await self._caller.call("GET", f"{self._base}/servers/getVersion", HEADERS)
        if "version" not in _object(answer, taken):
            raise refusal(answer, taken=taken, words="and is no MISP")

    async def _known(self, uuid: str, taken: int) -> Event | None:
        """Return an event as MISP has it, ``None`` where it has none."""
        answer = await self._caller.call("GET", f"{self._base}/events/view/{uuid}", HEADERS)
        if answer.status == 404 and _is_json(answer):
            return None
        found = _object(answer, taken)
        if not isinstance(found.get("Event"), dict):
            raise refusal(answer, taken=taken, words="and is no MISP")
        return {"Event": found["Event"]}

    async def _add(self, event: Event, taken: int) -> bool:
        """Add an event; False where somebody has added it meanwhile."""
        answer = await self._call("events/add", event)
        if answer.status == 404 and _THERE_ALREADY in _words(answer):
            return False
        if answer.status in (400, 403) and _is_about_the_event(answer):
            raise DeliveryError(
                "MISP does not take this event: it was deleted there and is on the block list, or breaks a rule there",
                is_permanent=True,
                taken=taken,
            )
        _object(answer, taken)
        return True

    async def _edit(self, event: Event, known: Event | None, taken: int) -> None:
        """Bring an event that is there up to date."""
        if known is not None:
            if _is_same(event, known):
                return
            event = _after(event, known)
        answer = await self._call(f"events/edit/{uuid_of(event)}", event)
        if answer.status == 403 and _NOT_NEWER in _words(answer):
            raise DeliveryError("MISP has changed the event at the same moment", is_outage=False, taken=taken)
        if answer.status == 403 and "not authorised" in _words(answer):
            raise DeliveryError(
                "MISP does not let this key edit the event: it belongs to another organisation there",
                is_permanent=True,
                taken=taken,
            )
        _object(answer, taken)

    async def _call(self, path: str, event: Event) -> OutgoingAnswer:
        chosen: dict[str, Any] = {**event["Event"], "published": self._published}
        if self._distribution is not None:
            chosen["distribution"] = str(self._distribution)
        body = json.dumps({"Event": chosen}, ensure_ascii=True).encode("ascii")
        return await self._caller.call("POST", f"{self._base}/{path}", HEADERS, body)


def _with_earlier(made: Event, known: Event, event: SharedEvent) -> Event:
    """Return an event with what of ours MISP has for detection and is wrong now."""
    now = {each["uuid"] for each in made["Event"]["Attribute"]}
    wrong = [
        {**_attribute(each), "to_ids": False}
        for each in _attributes(known)
        if _detects(each)
        and each.get("uuid") not in now
        and is_own_attribute(uuid_of(made), each)
        and not (event.activity is not None and still_detects(each, event.activity))
    ]
    return {"Event": {**made["Event"], "Attribute": [*made["Event"]["Attribute"], *wrong]}}


def _after(event: Event, known: Event) -> Event:
    """Return an event as an edit of what MISP has, which is newer."""
    stamp = str(max(int(event["Event"]["timestamp"]), _stamp(known) + 1))
    attributes = [{**each, "timestamp": stamp} for each in event["Event"]["Attribute"]]
    return {"Event": {**event["Event"], "timestamp": stamp, "Attribute": attributes}}


def _ours(known: Event) -> Event:
    """Return of an event that MISP has what an edit may name."""
    names = ("uuid", "info", "date", "analysis", "distribution", "threat_level_id", "timestamp")
    inner = known["Event"]
    own = [_attribute(each) for each in _attributes(known) if is_own_attribute(str(inner.get("uuid")), each)]
    return {"Event": {**{name: inner[name] for name in names if name in inner}, "Attribute": own}}


def _is_same(event: Event, known: Event) -> bool:
    """Tell whether MISP has this very event already: what was delivered twice changes nothing."""
    if (
        _stamp(known) < int(event["Event"]["timestamp"])
        or known["Event"].get("info") != event["Event"]["info"]
    ):
        return False
    ours = {each["uuid"]: bool(each["to_ids"]) for each in event["Event"]["Attribute"]}
    theirs = {
        each["uuid"]: _detects(each) for each in _attributes(known) if is_own_attribute(uuid_of(event), each)
    }
    return all(theirs.get(uuid) is to_ids for uuid, to_ids in ours.items())


def _detects(attribute: Mapping[str, Any]) -> bool:
    return attribute.get("to_ids") in (True, 1, "1")


def _attributes(event: Event) -> list[Mapping[str, Any]]:
    found = event["Event"].get("Attribute")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _attribute(each: Mapping[str, Any]) -> dict[str, Any]:
    names = ("uuid", "category", "type", "value", "comment", "distribution", "disable_correlation")
    return {name: each[name] for name in names if name in each}


def _stamp(event: Event) -> int:
    text = str(event["Event"].get("timestamp", ""))
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0


def _object(answer: OutgoingAnswer, taken: int) -> dict[str, Any]:
    """Return what MISP answered. Raises ``DeliveryError`` for a refusal, and for what is none of MISP's."""
    if not 200 <= answer.status < 300:
        raise refusal(answer, taken=taken)
    found = _json(answer)
    if not isinstance(found, dict):
        raise refusal(answer, taken=taken, words="and is no MISP")
    return found


def _json(answer: OutgoingAnswer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _is_json(answer: OutgoingAnswer) -> bool:
    return isinstance(_json(answer), dict)


def _is_about_the_event(answer: OutgoingAnswer) -> bool:
    """Tell a refusal of this event from one of the key."""
    found = _json(answer)
    return isinstance(found, dict) and found.get("saved") is False


def _words(answer: OutgoingAnswer) -> str:
    return answer.body[:4_000].decode("utf-8", "replace")
