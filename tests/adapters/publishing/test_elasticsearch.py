"""Elasticsearch's _bulk: a stand-in that checks what its reference demands. No Elasticsearch or OpenSearch was there.

After the reference of the Bulk API (elastic.co, opensearch.org): NDJSON with a line feed behind the last line,
``create`` with ``_index`` and ``_id``, an answer with an item for each action in order, 409 for what is there already,
and after that of API keys and of Basic authentication.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mailveil.control.sharingrecords import Destination, DestinationKind
from mailveil.core.sharing.types import SharedEvent
from mailveil.ports import DeliveryError
from sharing_room import Received, Reply, destinations_at_work, maker
from stix_values import ACTIVITY, ALERT, event

API_KEY = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw=="


@dataclass
class Cluster:
    """Indices that take documents once. ``statuses`` are answered for documents with these numbers."""

    statuses: dict[int, int] = field(default_factory=dict)
    documents: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def __call__(self, received: Received) -> Reply:
        allowed = {f"ApiKey {API_KEY}", "Basic " + base64.b64encode(b"elastic:p:w").decode()}
        if received.headers.get("authorization") not in allowed:
            return (
                401,
                {},
                b'{"error": {"type": "security_exception", "reason": "secret words"}, "status": 401}',
            )
        if received.path != "/_bulk" or received.headers["content-type"] != "application/x-ndjson":
            return 406, {}, b"{}"
        text = received.body.decode()
        assert text.endswith("\n")
        lines = [json.loads(each) for each in text.splitlines()]
        items = [self.create(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]
        failed = any(each["create"]["status"] >= 300 for each in items)
        return 200, {}, json.dumps({"took": 1, "errors": failed, "items": items}).encode()

    def create(self, action: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        assert action.keys() == {"create"}
        assert document["@timestamp"].endswith("Z"), "data streams need it"
        where = action["create"]["_index"], action["create"]["_id"]
        number = document.get("mailveil", document).get("number", 0)
        error: dict[str, Any] = {}
        if where in self.documents:
            status, error = 409, {"type": "version_conflict_engine_exception", "reason": "exists"}
        elif (status := self.statuses.get(number, 201)) != 201:
            error = {"type": "mapper_parsing_exception", "reason": "failed to parse [secret value]"}
        else:
            self.documents[where] = document
        item = {"_index": where[0], "_id": where[1], "status": status}
        return {"create": {**item, "error": error} if error else item}


def destination(port: int, **more: object) -> Destination:
    made = Destination(
        "d", "acme", "ES", DestinationKind.ELASTICSEARCH, f"http://127.0.0.1:{port}", "ecs", secret=API_KEY
    )
    return replace(made, **more)  # type: ignore[arg-type]


async def send(to: Destination, tmp_path: Path, *events: SharedEvent) -> None:
    publisher = maker(tmp_path).publisher(to)
    try:
        await publisher.publish(events)
    finally:
        await publisher.close()


@pytest.mark.parametrize("form", ["ecs", "ocsf", "plain"])
def test_what_is_sent_again_is_there_once(tmp_path: Path, form: str) -> None:
    async def steps() -> None:
        cluster = Cluster()
        async with destinations_at_work(answer=cluster) as there:
            to = destination(there.port, format=form)
            await send(to, tmp_path, event(ACTIVITY, 1), event(ALERT, 2))
            await send(to, tmp_path, event(ACTIVITY, 1), event(ALERT, 2), event(None, 3))
            assert len(cluster.documents) == 3
            assert {index for index, _ in cluster.documents} == {"mailveil-events"}
            await send(replace(to, organisation="other"), tmp_path, event(ACTIVITY, 1))
            assert len(cluster.documents) == 4, "the same number of another organisation is another event"
            await send(replace(to, options={"index": "logs-mail-default"}), tmp_path, event(None, 3))
            assert ("logs-mail-default" in {index for index, _ in cluster.documents}) is True

    asyncio.run(steps())


def test_a_user_with_a_password_does_as_well_and_a_wrong_key_is_told(tmp_path: Path) -> None:
    async def steps() -> None:
        cluster = Cluster()
        async with destinations_at_work(answer=cluster) as there:
            await send(destination(there.port, secret="elastic:p:w"), tmp_path, event(None))
            assert len(cluster.documents) == 1
            with pytest.raises(DeliveryError, match="it answers 401; check the secret") as caught:
                await send(destination(there.port, secret="wrong"), tmp_path, event(None))
            assert caught.value.is_outage
            assert "secret words" not in str(caught.value)

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("status", "is_permanent"), [(400, True), (429, False), (503, False), (403, False), (404, False)]
)
def test_how_each_document_fared_is_looked_at(tmp_path: Path, status: int, is_permanent: bool) -> None:
    async def steps() -> None:
        cluster = Cluster(statuses={2: status})
        async with destinations_at_work(answer=cluster) as there:
            numbered = [event(None, number) for number in (1, 2, 3)]
            with pytest.raises(DeliveryError, match=rf"{status} \(mapper_parsing_exception\)") as caught:
                await send(destination(there.port), tmp_path, *numbered)
            error = caught.value
            assert (error.taken, error.is_permanent, error.is_outage) == (1, is_permanent, not is_permanent)
            assert "secret value" not in str(error)
            cluster.statuses.clear()
            await send(destination(there.port), tmp_path, *numbered[1:])
            assert len(cluster.documents) == 3

    asyncio.run(steps())


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b'{"items": []}', b'{"items": [{"create": {}}]}', b'{"items": [{"create": {"status": "201"}}]}',
     b"[" * 10_000],
)  # fmt: skip
def test_what_is_no_elasticsearch_is_told(tmp_path: Path, body: bytes) -> None:
    async def steps() -> None:
        async with destinations_at_work(answer=lambda received: (200, {}, body)) as there:
            with pytest.raises(DeliveryError, match="check the address"):
                await send(destination(there.port), tmp_path, event(None))

    asyncio.run(steps())
