"""Splunk's HTTP Event Collector: a stand-in that checks what its documentation demands. No Splunk was there.

After "HTTP Event Collector REST API endpoints" and "Troubleshoot HTTP Event Collector" (help.splunk.com): the header
``Authorization: Splunk <token>``, event objects one behind the other without commas, their members ``time``, ``host``,
``source``, ``sourcetype``, ``index`` and ``event``, the codes in answers, and acknowledgements by channel.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mailveil.adapters.publishing import splunk
from mailveil.control.sharingrecords import Destination, DestinationKind
from mailveil.core.sharing.types import SharedEvent
from mailveil.ports import DeliveryError
from sharing_room import Received, Reply, destinations_at_work, maker
from stix_values import ACTIVITY, ALERT, AT, event

TOKEN = "B5A79AAD-D822-46CC-80D1-819F80D7BFB0"


@dataclass
class Collector:
    """An HTTP Event Collector, with one token and one index."""

    uses_ack: bool = False
    busy: int = 0
    poison: str = ""
    indexed: list[dict[str, object]] = field(default_factory=list)
    acks: dict[str, int] = field(default_factory=dict)  # how often each is asked for until it is true
    channels: set[str] = field(default_factory=set)

    def __call__(self, received: Received) -> Reply:
        status, said = self.answer(received)
        return status, {"Content-Type": "application/json"}, json.dumps(said).encode()

    def answer(self, received: Received) -> tuple[int, dict[str, object]]:
        scheme, _, token = received.headers.get("authorization", "").partition(" ")
        if scheme != "Splunk":
            return 401, {"text": "Invalid authorization", "code": 3}
        if token != TOKEN:
            return 403, {"text": "Invalid token", "code": 4}
        channel = received.headers.get("x-splunk-request-channel", "")
        self.channels.add(str(uuid.UUID(channel)))
        if received.path == "/services/collector/ack":
            found = {}
            for each in json.loads(received.body)["acks"]:
                self.acks[str(each)] -= 1
                found[str(each)] = self.acks[str(each)] <= 0
            return 200, {"acks": found}
        if received.path != "/services/collector/event":
            return 404, {"text": "The requested URL was not found on this server.", "code": 404}
        if self.busy:
            self.busy -= 1
            return 503, {"text": "Server is busy", "code": 9}
        return self.take(received.body.decode())

    def take(self, text: str) -> tuple[int, dict[str, object]]:
        decoder, place, batch = json.JSONDecoder(), 0, []
        while place < len(text):
            made, place = decoder.raw_decode(text, place)
            if not made.get("event"):
                return 400, {
                    "text": "Event field is required",
                    "code": 12,
                    "invalid-event-number": len(batch),
                }
            if made.get("index", "main") != "main":
                return 400, {"text": "Incorrect index", "code": 7, "invalid-event-number": len(batch)}
            if self.poison and self.poison in json.dumps(made):
                return 400, {"text": "Invalid data format", "code": 6, "invalid-event-number": len(batch)}
            batch.append(made)
        if not batch:
            return 400, {"text": "No data", "code": 5}
        self.indexed += batch
        said: dict[str, object] = {"text": "Success", "code": 0}
        if self.uses_ack:
            said["ackId"] = len(self.acks)
            self.acks[str(len(self.acks))] = 2
        return 200, said


def destination(port: int, **more: object) -> Destination:
    made = Destination(
        "d", "default", "Splunk", DestinationKind.SPLUNK, f"http://127.0.0.1:{port}", "plain", secret=TOKEN
    )
    return replace(made, **more)  # type: ignore[arg-type]


async def send(to: Destination, tmp_path: Path, *events: SharedEvent) -> None:
    publisher = maker(tmp_path).publisher(to)
    try:
        await publisher.publish(events)
    finally:
        await publisher.close()


def test_events_are_indexed_in_one_request(tmp_path: Path) -> None:
    async def steps() -> None:
        collector = Collector()
        async with destinations_at_work(answer=collector) as there:
            options = {"index": "main", "sourcetype": "mv", "source": "gateway"}
            await send(
                destination(there.port, options=options), tmp_path, event(ACTIVITY, 1), event(ALERT, 2)
            )
            assert len(there.received) == 1
        first, second = collector.indexed
        assert (first["time"], first["sourcetype"], first["source"], first["index"]) == (
            AT + 1,
            "mv",
            "gateway",
            "main",
        )
        assert first["event"]["activity"]["actor"] == "deals-evil.example"  # type: ignore[index]
        assert second["event"]["type"] == "alert.raised"  # type: ignore[index]

    asyncio.run(steps())


@pytest.mark.parametrize("form", ["plain", "ecs", "ocsf", "cef"])
@pytest.mark.parametrize("path", ["", "/", "/services/collector", "/services/collector/event"])
def test_every_format_and_spelling_of_the_address(tmp_path: Path, form: str, path: str) -> None:
    async def steps() -> None:
        collector = Collector()
        async with destinations_at_work(answer=collector) as there:
            to = destination(there.port, format=form, address=f"http://127.0.0.1:{there.port}{path}")
            await send(to, tmp_path, event(ACTIVITY))
        (got,) = collector.indexed
        assert isinstance(got["event"], str if form == "cef" else dict)

    asyncio.run(steps())


def test_acknowledgements_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splunk, "_ACK_PAUSE_S", 0.01)

    async def steps() -> None:
        collector = Collector(uses_ack=True)
        async with destinations_at_work(answer=collector) as there:
            await send(destination(there.port), tmp_path, event(ACTIVITY))
            assert [each.path for each in there.received][1:] == ["/services/collector/ack"] * 2
            assert len(collector.channels) == 1
            monkeypatch.setattr(splunk, "ACK_WAIT_S", 0.01)
            with pytest.raises(DeliveryError, match="not acknowledged") as caught:
                await send(destination(there.port), tmp_path, event(ACTIVITY))
            assert caught.value.is_outage

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("changes", "words", "is_permanent"),
    [
        ({"secret": "wrong"}, r"403 \(the token is invalid\)", False),
        ({"options": {"index": "secret"}}, r"400 \(the token may not write to this index\)", False),
    ],
)
def test_mistakes_of_the_destination_wait_until_they_are_mended(
    tmp_path: Path, changes: dict[str, object], words: str, is_permanent: bool
) -> None:
    async def steps() -> None:
        async with destinations_at_work(answer=Collector()) as there:
            with pytest.raises(DeliveryError, match=words) as caught:
                await send(destination(there.port, **changes), tmp_path, event(ACTIVITY))
            assert (caught.value.is_outage, caught.value.is_permanent) == (True, is_permanent)
            assert TOKEN not in str(caught.value)

    asyncio.run(steps())


def test_a_busy_server_is_an_outage_and_a_bad_event_is_not(tmp_path: Path) -> None:
    async def steps() -> None:
        collector = Collector(busy=1, poison="event-2")
        async with destinations_at_work(answer=collector) as there:
            to = destination(there.port)
            with pytest.raises(DeliveryError, match="busy") as caught:
                await send(to, tmp_path, event(None, 1))
            assert caught.value.is_outage
            with pytest.raises(DeliveryError, match="invalid data format") as caught:
                await send(to, tmp_path, event(None, 1), event(None, 2))
            assert caught.value.is_permanent
            await send(to, tmp_path, event(None, 1))

    asyncio.run(steps())


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"[]", b'{"code": 17}', b"[" * 10_000, b"\xff"])
def test_what_is_no_collector_is_told(tmp_path: Path, body: bytes) -> None:
    async def steps() -> None:
        async with destinations_at_work(answer=lambda received: (200, {}, body)) as there:
            with pytest.raises(DeliveryError, match="check the address"):
                await send(destination(there.port), tmp_path, event(None))

    asyncio.run(steps())
