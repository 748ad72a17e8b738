"""Webhooks, as the library of Standard Webhooks verifies them."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from mailveil.adapters.outgoing import OutgoingAnswer
from mailveil.adapters.publishing.answers import refusal, retry_after
from mailveil.adapters.publishing.webhook import webhook_identifier
from mailveil.control.sharingrecords import Destination, DestinationKind
from mailveil.control.webhookkeys import WebhookKeys
from mailveil.core.sharing.types import EventKind, SharedEvent, TrafficLight
from mailveil.ports import DeliveryError
from sharing_room import Received, Reply, destinations_at_work, maker
from stix_values import ACTIVITY
from tls_room import Authority

OLD, NEW, OTHER = ("whsec_" + each * 8 for each in ("b2xk", "bmV3", "b3Ro"))
EVENT = SharedEvent(
    "event-1", 7, time.time(), EventKind.ACTIVITY_OPENED, "Acme", TrafficLight.AMBER, activity=ACTIVITY
)


def hook(address: str, keys: WebhookKeys, **more: object) -> Destination:
    made = Destination("d", "default", "Hook", DestinationKind.WEBHOOK, address, secret=keys.encode())
    return replace(made, **more)  # type: ignore[arg-type]


async def publish(destination: Destination, tmp_path: Path, *events: SharedEvent) -> None:
    publisher = maker(tmp_path).publisher(destination)
    try:
        await publisher.publish(events or (EVENT,))
    finally:
        await publisher.close()


def test_the_official_library_verifies_what_is_sent(tmp_path: Path) -> None:
    async def steps() -> None:
        async with destinations_at_work() as there:
            address = f"http://127.0.0.1:{there.port}/hook?a=b"
            await publish(hook(address, WebhookKeys(NEW)), tmp_path)
            (got,) = there.received
            assert got.headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
            assert got.headers["webhook-id"] == "event-1"
            event = Webhook(NEW).verify(got.body, got.headers)
            assert event["specversion"] == "1.0"
            assert event["type"] == "org.mailveil.activity.opened"
            assert (event["id"], event["source"], event["subject"]) == (
                "event-1",
                "urn:mailveil:Acme",
                "activity-1",
            )
            assert event["data"]["activity"]["actor"] == "deals-evil.example"
            for spoilt in (got.body + b" ", got.body.replace(b"evil", b"good")):
                with pytest.raises(WebhookVerificationError):
                    Webhook(NEW).verify(spoilt, got.headers)
            with pytest.raises(WebhookVerificationError):
                Webhook(OTHER).verify(got.body, got.headers)

    asyncio.run(steps())


def test_the_code_of_the_guide_verifies_it_too(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "sharing-siem.md").read_text("utf-8")
    names: dict[str, Any] = {}
    exec(guide.partition("```python")[2].partition("```")[0], names)
    is_genuine = names["is_genuine"]

    async def steps() -> None:
        async with destinations_at_work() as there:
            keys = WebhookKeys(NEW, OLD, time.time() + 3600)
            await publish(hook(f"http://127.0.0.1:{there.port}/", keys), tmp_path)
            (got,) = there.received
            assert is_genuine(NEW, got.headers, got.body)
            assert is_genuine(OLD, got.headers, got.body)
            assert not is_genuine(OTHER, got.headers, got.body)
            assert not is_genuine(NEW, got.headers, got.body + b" ")
            late = {**got.headers, "webhook-timestamp": str(int(time.time()) - 3600)}
            assert not is_genuine(NEW, late, got.body)

    asyncio.run(steps())


def test_while_a_secret_is_rotated_both_verify(tmp_path: Path) -> None:
    async def steps() -> None:
        async with destinations_at_work() as there:
            address = f"http://127.0.0.1:{there.port}/"
            for until, good in ((time.time() + 3600, (OLD, NEW)), (time.time() - 3600, (NEW,))):
                await publish(hook(address, WebhookKeys(NEW, OLD, until)), tmp_path)
                got = there.received.pop()
                for secret in (OLD, NEW):
                    if secret in good:
                        Webhook(secret).verify(got.body, got.headers)
                    else:
                        with pytest.raises(WebhookVerificationError):
                            Webhook(secret).verify(got.body, got.headers)

    asyncio.run(steps())


def test_events_are_sent_one_after_the_other_and_those_taken_are_counted(tmp_path: Path) -> None:
    def answer(received: Received) -> Reply:
        number = json.loads(received.body)["data"]["number"]
        return (500 if number == 2 else 202), {"Retry-After": "7"}, b"any words"

    async def steps() -> None:
        async with destinations_at_work(answer=answer) as there:
            events = [replace(EVENT, number=each, identifier=f"e{each}") for each in range(4)]
            with pytest.raises(DeliveryError, match="it answers 500") as caught:
                await publish(hook(f"http://127.0.0.1:{there.port}/", WebhookKeys(NEW)), tmp_path, *events)
            error = caught.value
            assert (error.taken, error.is_outage, error.is_permanent, error.retry_after_s) == (
                2,
                True,
                False,
                7,
            )
            assert "any words" not in str(error)
            assert len(there.received) == 3

    asyncio.run(steps())


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    async def steps() -> None:
        answer: Reply = (307, {"Location": "/elsewhere"}, b"")
        async with destinations_at_work(answer=lambda received: answer) as there:
            with pytest.raises(DeliveryError, match="redirects are not followed"):
                await publish(hook(f"http://127.0.0.1:{there.port}/", WebhookKeys(NEW)), tmp_path)
            assert [each.path for each in there.received] == ["/"]

    asyncio.run(steps())


def test_what_is_no_public_address_is_not_called_unless_its_network_is_named(tmp_path: Path) -> None:
    async def steps() -> None:
        async with destinations_at_work() as there:
            destination = hook(f"http://127.0.0.1:{there.port}/", WebhookKeys(NEW))
            strict = maker(tmp_path, loopback=False)
            assert "[sharing] networks" in await strict.objection(destination)
            publisher = strict.publisher(destination)
            with pytest.raises(DeliveryError, match=r"\[sharing\] networks"):
                await publisher.publish([EVENT])
            await publisher.close()
            assert await maker(tmp_path).objection(destination) == ""
            assert there.received == []

    asyncio.run(steps())


def test_certificates_are_checked_by_the_destinations_own_authority(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def steps() -> None:
        authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=authority.server("127.0.0.1"))
        port = server.sockets[0].getsockname()[1]
        address = f"https://127.0.0.1:{port}/"
        async with server:
            for each, is_believed in ((authority, True), (stranger, False), (None, False)):
                options = {"ca_pem": each.file.read_text()} if each else {}
                destination = hook(address, WebhookKeys(NEW), options=options)
                if is_believed:
                    await publish(destination, tmp_path)
                else:
                    with pytest.raises(DeliveryError, match="certificate does not hold"):
                        await publish(destination, tmp_path)
        broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        spoilt = hook(address, WebhookKeys(NEW), options={"ca_pem": broken})
        assert "cannot be read as PEM" in await maker(tmp_path).objection(spoilt)

    asyncio.run(steps())


def test_identifiers_with_anything_in_them_are_told_apart_still() -> None:
    odd = [replace(EVENT, identifier=each) for each in ("a.b", "a\r\nx: y", "é", "\udcff", "x" * 9999)]
    made = {webhook_identifier(each) for each in odd}
    assert len(made) == len(odd)
    assert all(each.isalnum() and len(each) == 64 for each in made)


@pytest.mark.parametrize(
    ("status", "is_outage", "is_permanent"),
    [(500, True, False), (503, True, False), (429, True, False), (401, True, False), (404, True, False),
     (301, True, False), (400, False, False), (422, False, False), (413, False, True)],
)  # fmt: skip
def test_what_an_answer_means(status: int, is_outage: bool, is_permanent: bool) -> None:
    error = refusal(OutgoingAnswer(status, {}, b"secret words of theirs"))
    assert (error.is_outage, error.is_permanent) == (is_outage, is_permanent)
    assert "words of theirs" not in str(error)


def test_retry_after_is_read_whatever_it_is() -> None:
    def seconds(text: str) -> float:
        return retry_after(OutgoingAnswer(503, {"retry-after": text}, b""))

    assert seconds("120") == 120
    assert seconds("999999999") == 86_400
    assert 86_000 < seconds("Fri, 31 Dec 9999 23:59:59 GMT") <= 86_400
    for text in ("", "-5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "1e9", "\u0661", "x" * 10**6):
        assert seconds(text) == 0
