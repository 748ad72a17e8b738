"""From what studying finds to what a TAXII client, a MISP and a browser read: through the outbox, without people.

Setup: an activity that was studied, of which the outbox knows, and the delivery that a gateway runs.
Test: the collections are filled without anybody having set up a destination, and name nobody.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
import stix2
from taxii2client.v21 import Collection

from activity_room import activity_of_actor
from control_room import NOW
from mailveil.control.activityrecords import ActivityFile
from mailveil.control.records import Cut
from mailveil.control.sharedobjects import ACTIVITIES, SharedQuery
from mailveil.control.telling import activity_event
from mailveil.core.intelligence.types import AnalystVerdict, Infrastructure, Probe, Role, Target
from mailveil.core.sharing.types import EventKind
from mailveil.endpoints.web.taxii.application import collection_identifier
from published_room import PublishedRoom
from sharing_room import delivering, maker, store_of, until

PERSON = "ann.reader@default.example"
COLLECTION = collection_identifier("default", ACTIVITIES)
MADE_FOR_HER = "ann-reader-4711.pixelhost-zwei.org"


def told_activity() -> Any:
    """Return an activity whose every part knows whom it was aimed at."""
    known = activity_of_actor(score=0.95)
    at = NOW - 450_000.0
    probe = Probe(
        at,
        "m1",
        PERSON,
        known.actor,
        ("open",),
        f"https://{MADE_FOR_HER}/ann.reader/o.gif?u=ann.reader",
        MADE_FOR_HER,
    )
    return replace(
        known,
        probes=(probe, probe),
        targets=(Target(PERSON, at, at, 2, "ann reader's office"),),
        learned=(f"when {PERSON} reads",),
        infrastructure=(*known.infrastructure, Infrastructure(Role.TRACKER_HOST, MADE_FOR_HER, at, at)),
        total_people=1,
        total_probes=2,
        total_messages=2,
    )


def test_what_is_found_is_read_by_others_and_names_nobody(
    published_room: PublishedRoom, tmp_path: Path
) -> None:
    room = published_room.control

    async def tell(verdict: AnalystVerdict, at: float) -> None:
        file = ActivityFile(told_activity(), at, verdict)
        await store_of(room).append([activity_event(file, at, EventKind.ACTIVITY_CHANGED)])

    def everything(address: str) -> tuple[list[dict[str, Any]], str]:
        auth = ("x", token)
        with Collection(
            f"{address}/taxii2/default/collections/{COLLECTION}/", user="x", password=token
        ) as found:
            objects = found.get_objects().get("objects", [])
        texts = [json.dumps(objects)]
        feed = f"{address}/misp/feed"
        manifest = requests.get(f"{feed}/manifest.json", auth=auth, timeout=30)
        texts += [manifest.text, requests.get(f"{feed}/hashes.csv", auth=auth, timeout=30).text]
        texts += [requests.get(f"{feed}/{uuid}.json", auth=auth, timeout=30).text for uuid in manifest.json()]
        texts.append(requests.get(f"{address}/lists/learned.txt", auth=auth, timeout=30).text)
        return objects, "\n".join(texts)

    async def steps() -> None:
        nonlocal token
        token = await published_room.token("default")

        async def read() -> tuple[list[dict[str, Any]], str]:
            async with published_room.listening() as address:
                return await asyncio.to_thread(everything, address)

        async def has_come(*, is_revoked: bool) -> bool:
            assert room.room.shared is not None
            query = SharedQuery(kinds=("campaign",))
            found = (await room.room.shared.objects("default", ACTIVITIES, query, Cut())).items
            return bool(found) and bool(found[0].object.get("revoked")) is is_revoked

        async with delivering(room, maker(tmp_path, shared=room.room.shared), has_collections=True):
            await tell(AnalystVerdict.OPEN, NOW)
            await until(lambda: has_come(is_revoked=False))
            objects, text = await read()
            stix2.parse(
                {"type": "bundle", "id": f"bundle--{'0' * 8}-0000-4000-8000-{'0' * 12}", "objects": objects}
            )
            assert "fabrikam-billing.com" in text
            assert "*.pixelhost-zwei.org" in text
            for mark in ("ann", "reader", "4711", "@"):
                assert mark not in text.lower().replace("reading", ""), mark
            await tell(AnalystVerdict.BENIGN, NOW + 60)
            await until(lambda: has_come(is_revoked=True))

    token = ""
    asyncio.run(asyncio.wait_for(steps(), 120))
