"""Syslog as a real rsyslog understands it, by UDP, TCP and TLS."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from cef_reader import read_cef
from mailveil.control.sharingrecords import Destination, DestinationKind
from mailveil.core.intelligence.types import Reason
from mailveil.core.sharing.types import SharedEvent
from mailveil.ports import DeliveryError
from postfix_room import free_port
from rsyslog_room import PROGRAM, Rsyslog, rsyslog, running_rsyslog
from sharing_room import maker
from stix_values import ACTIVITY, ALERT, TRACKER, event
from tls_room import Authority

__all__ = ["rsyslog"]
HOSTILE = 'a]b"c\\d\r\n<134>1 - evil - - - forged\u2028\x00é測試 x=y|z'


def destination(address: str, **more: object) -> Destination:
    made = Destination("d", "default", "Syslog", DestinationKind.SYSLOG, address, format="cef")
    return replace(made, **more)  # type: ignore[arg-type]


async def send(to: Destination, tmp_path: Path, *events: SharedEvent) -> None:
    publisher = maker(tmp_path).publisher(to)
    try:
        await publisher.publish(events)
    finally:
        await publisher.close()


@pytest.fixture
def fresh(rsyslog: Rsyslog) -> Rsyslog:
    """An rsyslog that has written nothing yet."""
    (rsyslog.root / "out").write_bytes(b"")
    return rsyslog


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_rsyslog_understands_every_field(fresh: Rsyslog, tmp_path: Path, transport: str) -> None:
    options = {"facility": "local3", "app_name": "mailveil-test"}
    if transport == "tls":
        options["ca_pem"] = fresh.authority.file.read_text()
    to = destination(f"{transport}://127.0.0.1:{fresh.ports[transport]}", options=options)
    sent = [event(each, number) for number, each in enumerate((ACTIVITY, ALERT, TRACKER, None), 1)]
    asyncio.run(send(to, tmp_path, *sent))
    got = asyncio.run(fresh.understood(4, transport))
    assert [each["msgid"] for each in got] == [
        "activity.changed",
        "alert.raised",
        "tracker.learned",
        "test",
    ]
    assert [each["severity"] for each in got] == ["crit", "crit", "warning", "info"]
    first = got[0]
    assert (first["facility"], first["app"], first["version"], first["procid"]) == (
        "local3",
        "mailveil-test",
        "1",
        "-",
    )
    assert first["hostname"] == socket.getfqdn()
    assert first["time"] == "2027-01-15T08:00:01.000Z"
    data = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', first["data"]))
    assert (data["id"], data["number"], data["organisation"], data["tlp"], data["subject"]) == (
        "event-1",
        "1",
        "Acme",
        "amber",
        "activity-1",
    )
    assert data["sequenceId"] == "1"
    cef = read_cef(first["msg"])
    assert cef.header[:3] == ["CEF:0", "mailveil", "mailveil"]
    assert (cef.values["shost"], cef.values["cs5"]) == (
        "deals-evil.example",
        "T1598, T1598.003, T1589, T1590.005, T1592",
    )


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("form", ["cef", "ecs", "ocsf", "plain"])
def test_nothing_that_an_event_says_becomes_a_message_of_its_own(
    fresh: Rsyslog, tmp_path: Path, transport: str, form: str
) -> None:
    options: dict[str, object] = {"max_bytes": 60_000}
    if transport == "tls":
        options["ca_pem"] = fresh.authority.file.read_text()
    to = destination(f"{transport}://127.0.0.1:{fresh.ports[transport]}", format=form, options=options)
    hostile = replace(ACTIVITY, actor=HOSTILE, reasons=(Reason("A", 2.0, HOSTILE),), identifier=HOSTILE)
    sent = [replace(event(hostile, n), organisation=HOSTILE, identifier=HOSTILE) for n in (1, 2)]
    asyncio.run(send(to, tmp_path, *sent, event(None, 3)))
    got = asyncio.run(fresh.understood(3, transport))
    assert [each["msgid"] for each in got] == ["activity.changed", "activity.changed", "test"]
    for each in got[:2]:
        text = each["msg"].removeprefix("\ufeff")
        if form == "cef":
            assert read_cef(text).values["shost"] == 'a]b"c\\d <134>1 - evil - - - forged é測試 x=y|z'
        else:
            assert "forged" in json.dumps(json.loads(text))


@pytest.mark.parametrize("form", ["cef", "ecs", "ocsf", "plain"])
@pytest.mark.parametrize("most", [480, 2048, 8192])
def test_what_is_too_long_stays_whole_and_loses_details(
    fresh: Rsyslog, tmp_path: Path, form: str, most: int
) -> None:
    probes = ACTIVITY.probes * 150
    large = replace(ACTIVITY, probes=probes, people=tuple(f"p{n}" for n in range(3000)))
    to = destination(f"udp://127.0.0.1:{fresh.ports['udp']}", format=form, options={"max_bytes": most})
    asyncio.run(send(to, tmp_path, event(large)))
    (got,) = asyncio.run(fresh.understood(1, "udp"))
    assert got["msgid"] == "activity.changed"
    assert 'id="event-1"' in got["data"]
    text = got["msg"].removeprefix("\ufeff")
    if text.startswith("event "):
        assert most == 480
    elif form == "cef":
        assert read_cef(text).values["externalId"] == "event-1"
    else:
        json.loads(text)


def test_messages_may_end_with_a_line_feed_instead(fresh: Rsyslog, tmp_path: Path) -> None:
    to = destination(f"tcp://127.0.0.1:{fresh.ports['tcp']}", options={"framing": "newline"})
    asyncio.run(send(to, tmp_path, event(ACTIVITY, 1), event(None, 2)))
    got = asyncio.run(fresh.understood(2, "tcp"))
    assert [each["msgid"] for each in got] == ["activity.changed", "test"]


def test_whoever_cannot_prove_to_be_the_collector_gets_nothing(fresh: Rsyslog, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    for options in ({}, {"ca_pem": stranger.file.read_text()}):
        to = destination(f"tls://127.0.0.1:{fresh.ports['tls']}", options=options)
        with pytest.raises(DeliveryError, match="certificate does not hold"):
            asyncio.run(send(to, tmp_path, event(ACTIVITY)))
    to = destination(
        f"tls://localhost:{fresh.ports['tls']}", options={"ca_pem": fresh.authority.file.read_text()}
    )
    with pytest.raises(DeliveryError, match=r"certificate does not hold.*localhost"):
        asyncio.run(send(to, tmp_path, event(ACTIVITY)))
    assert fresh.messages() == []


def test_a_client_certificate_is_shown_where_one_is_asked_for(tmp_path: Path) -> None:
    if not PROGRAM.exists():
        pytest.skip("rsyslog is not installed")
    with running_rsyslog(client_name="gateway.example") as strict:
        certificate, key = strict.authority.issue("gateway.example")
        ca = {"ca_pem": strict.authority.file.read_text()}
        known = destination(
            f"tls://127.0.0.1:{strict.ports['tls']}",
            options={**ca, "client_certificate_pem": certificate.read_text()},
            secret=key.read_text(),
        )
        assert asyncio.run(maker(tmp_path).objection(known)) == ""
        asyncio.run(send(known, tmp_path, event(ALERT)))
        (got,) = asyncio.run(strict.understood(1, "tls"))
        assert got["msgid"] == "alert.raised"
        spoilt = replace(known, secret="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        assert "PEM" in asyncio.run(maker(tmp_path).objection(spoilt))


def test_a_collector_that_is_away_or_hangs_up_is_told(tmp_path: Path) -> None:
    async def steps() -> None:
        to = destination(f"tcp://127.0.0.1:{free_port()}")
        with pytest.raises(DeliveryError, match="refused") as caught:
            await send(to, tmp_path, event(ACTIVITY))
        assert caught.value.is_outage

        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            with pytest.raises(DeliveryError, match=r"hung up|connection broke") as caught:
                await send(destination(f"tcp://127.0.0.1:{port}"), tmp_path, event(ACTIVITY))
            assert caught.value.is_outage

    asyncio.run(steps())


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["tcp", "tls"])
def test_a_collector_that_dies_in_the_middle_of_what_it_is_told_is_away(
    tmp_path: Path, is_encrypted: bool
) -> None:
    """A machine that dies resets connections: that is no fault of an event, which would become a dead letter."""
    authority = Authority(tmp_path)
    context = authority.server("127.0.0.1")

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.pause_reading()
        await asyncio.sleep(0.3)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()

    async def steps() -> None:
        server = await asyncio.start_server(
            die, "127.0.0.1", 0, limit=1000, ssl=context if is_encrypted else None
        )
        kind = "tls" if is_encrypted else "tcp"
        to = destination(
            f"{kind}://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            options={"ca_pem": authority.file.read_text(), "max_bytes": 60_000},
        )
        async with server:
            publisher = maker(tmp_path).publisher(to)
            for _ in range(2):  # the connection is made anew
                with pytest.raises(DeliveryError, match=r"hung up|connection broke") as caught:
                    await publisher.publish([event(ACTIVITY, each) for each in range(1, 1_500)])
                assert caught.value.is_outage
            await publisher.close()

    asyncio.run(steps())


def test_a_connection_that_was_closed_while_idle_is_made_anew(tmp_path: Path) -> None:
    heard: list[bytes] = []
    is_over = asyncio.Event()

    async def take_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int(await reader.readuntil(b" "))
        heard.append(await reader.readexactly(size))
        await is_over.wait()
        writer.close()
        await writer.wait_closed()

    async def steps() -> None:
        server = await asyncio.start_server(take_one, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            publisher = maker(tmp_path).publisher(destination(f"tcp://127.0.0.1:{port}"))
            for number in (1, 2, 3):
                is_over.clear()
                await publisher.publish([event(None, number)])
                is_over.set()
                async with asyncio.timeout(30):
                    while not publisher._stream[0].at_eof():
                        await asyncio.sleep(0.01)
            await publisher.close()

    asyncio.run(steps())
    assert [re.search(rb'number="(\d)"', each)[1] for each in heard] == [b"1", b"2", b"3"]


def test_udp_tells_of_a_closed_port_as_far_as_that_is_told(tmp_path: Path) -> None:
    to = destination(f"udp://127.0.0.1:{free_port()}")
    with pytest.raises(DeliveryError, match="refused") as caught:
        asyncio.run(send(to, tmp_path, *(event(None, number) for number in range(5))))
    assert caught.value.is_outage


def test_a_datagram_is_never_larger_than_one_may_be(tmp_path: Path) -> None:
    reasons = tuple(Reason(f"CODE_{each}", 1.0, "words " * 30) for each in range(400))
    activity = replace(ACTIVITY, reasons=reasons, learned=("x" * 900,) * 400)

    async def steps() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)
            there.bind(("127.0.0.1", 0))
            options = {"max_bytes": 1_000_000}
            to = destination(f"udp://127.0.0.1:{there.getsockname()[1]}", format="plain", options=options)
            await send(to, tmp_path, event(activity, 1), event(ALERT, 2))
            first, second = there.recv(70_000), there.recv(70_000)
            assert 2048 < len(first) < 65_508
            assert b'"activity.changed"' in first
            assert b'"alert.raised"' in second

    asyncio.run(steps())
