"""MISP: reads a feed as MISP instances publish them: a manifest, and an event in a file of its own for each entry.

Only events that are new or were changed are asked for, the oldest first, and the manifest only where it was changed.
An event may be published long after it was last changed, and behind others: so it is written down which were read.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mailveil.adapters.feeds.asking import FeedCaller, json_of
from mailveil.adapters.outgoing import OutgoingClient
from mailveil.control.feedstores import FeedError, FeedReading
from mailveil.control.sharingrecords import Feed
from mailveil.core.sharing.indicators import SharedSource, indicators_of_misp

MAX_EVENTS: Final = 300  # of one reading; the next one goes on there
MAX_INDICATORS: Final = 60_000  # of one reading: no feed may have as many
MAX_MANIFEST: Final = 200_000
_DIGEST_BYTES: Final = 6  # of an event in one state
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
    waiting = [each for each in events if _digest(each) not in seen]
    read = [each for each in events if _digest(each) in seen]
    sources: list[SharedSource] = []
    indicators = 0
    for each in waiting[:MAX_EVENTS]:
        sources.append(await _event(caller, base, each[1]))
        read.append(each)
        indicators += len(sources[-1].indicators)
        if indicators >= MAX_INDICATORS:
            break
    is_complete = len(sources) == len(waiting)
    tag = answer.headers.get("etag", "")[:200] if is_complete else ""
    return FeedReading(tuple(sources), _written(read, tag), is_complete, present)


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


def _digest(event: tuple[int, str]) -> bytes:
    """Return what stands for an event as it was changed at a time."""
    return hashlib.blake2b(f"{event[0]} {event[1]}".encode(), digest_size=_DIGEST_BYTES).digest()


def _written(read: Iterable[tuple[int, str]], tag: str) -> str:
    """Return a position: which events were read in which state, and the entity tag of the manifest."""
    raw = b"".join(sorted(map(_digest, read)))
    return json.dumps({"read": base64.b64encode(raw).decode("ascii"), "etag": tag})


def _position(written: str) -> tuple[frozenset[bytes], str]:
    try:
        record = json.loads(written) if written else {}
        raw = base64.b64decode(record["read"], validate=True) if record else b""
        digests = (raw[at : at + _DIGEST_BYTES] for at in range(0, len(raw), _DIGEST_BYTES))
        return frozenset(digests), str(record.get("etag", ""))
    except (ValueError, TypeError, AttributeError, KeyError, binascii.Error):
        return frozenset(), ""  # everything is read once more
