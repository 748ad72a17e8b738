"""MISP: reads a feed as MISP instances publish them: a manifest, and an event in a file of its own for each entry.

Only events that are new or were changed are asked for, the oldest first, and the manifest only where it was changed.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from mailveil.adapters.feeds.asking import FeedCaller, json_of
from mailveil.adapters.outgoing import OutgoingClient
from mailveil.control.feedstores import FeedError, FeedReading
from mailveil.control.sharingrecords import Feed
from mailveil.core.sharing.indicators import SharedSource, indicators_of_misp

MAX_EVENTS: Final = 300  # of one reading; the next one goes on there
MAX_INDICATORS: Final = 60_000  # of one reading: no feed may have as many
MAX_MANIFEST: Final = 200_000
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


async def read_misp(client: OutgoingClient, feed: Feed) -> FeedReading:
    """Read on in a feed. Raises ``FeedError``."""
    caller = FeedCaller(client, feed, "application/json")
    base = feed.address.removesuffix("manifest.json").rstrip("/") + "/"
    seen, tag = _position(feed.position)
    answer = await caller.ask(f"{base}manifest.json", {"If-None-Match": tag} if tag else None)
    if answer.status == 304:
        return FeedReading(position=feed.position)
    events = _events(await asyncio.to_thread(json_of, answer))
    present = frozenset(name for _, name in events)
    waiting = [each for each in events if each > seen]
    sources: list[SharedSource] = []
    indicators = 0
    for at, name in waiting[:MAX_EVENTS]:
        sources.append(await _event(caller, base, name))
        seen = (at, name)
        indicators += len(sources[-1].indicators)
        if indicators >= MAX_INDICATORS:
            break
    is_complete = len(sources) == len(waiting)
    tag = answer.headers.get("etag", "")[:200] if is_complete else ""
    position = json.dumps({"at": seen[0], "event": seen[1], "etag": tag})
    return FeedReading(tuple(sources), position, is_complete, present)


async def _event(caller: FeedCaller, base: str, name: str) -> SharedSource:
    try:
        record, _ = await caller.ask_json(f"{base}{name}.json")
    except FeedError as error:
        # The manifest names what is not there: one such event must not keep all later ones away.
        if "no JSON" in str(error) or "404" in str(error):
            return SharedSource(name, skipped={"no-event": 1})
        raise
    return await asyncio.to_thread(indicators_of_misp, name, record)


def _events(manifest: object) -> list[tuple[int, str]]:
    """Return events with when they were changed, the oldest first."""
    if not isinstance(manifest, Mapping):
        raise FeedError("the address leads to no manifest.json of a MISP feed", is_permanent=True)
    found = []
    for name, facts in manifest.items():
        if _UUID.fullmatch(name) and isinstance(facts, Mapping):
            found.append((_whole(facts.get("timestamp")), name.lower()))
    return sorted(found)[:MAX_MANIFEST]


def _whole(value: Any) -> int:
    try:
        return min(10**11, max(0, int(value)))
    except (TypeError, ValueError, OverflowError):
        return 0


def _position(written: str) -> tuple[tuple[int, str], str]:
    try:
        record = json.loads(written) if written else {}
        return (int(record.get("at", -1)), str(record.get("event", ""))), str(record.get("etag", ""))
    except (ValueError, TypeError, AttributeError):
        return (-1, ""), ""
