"""TXT look-ups: asked of a real name server on loopback, each name once, and never without an end.

Setup: a name server of dnslib on loopback that counts its questions; one that never answers.
Test: records with several strings, names that are not there, failures, and the cache.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from dnslib import QTYPE, RCODE, RR, TXT, DNSRecord
from dnslib.server import BaseResolver, DNSServer

from mailveil.adapters.txtlookup import DnsTxtLookup
from mailveil.ports import UnavailableError


class Zone(BaseResolver):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        reply = request.reply()
        name = str(request.q.qname).rstrip(".")
        self.asked.append(f"{name} {QTYPE[request.q.qtype]}")
        if name == "long.example":
            reply.add_answer(RR(name, QTYPE.TXT, rdata=TXT([b"a" * 200, b"\xff;b"]), ttl=300))
        elif name == "failing.example":
            reply.header.rcode = RCODE.SERVFAIL
        elif name != "empty.example":
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


@pytest.fixture
def zone() -> Iterator[tuple[Zone, int]]:
    found = Zone()
    server = DNSServer(found, address="127.0.0.1", port=0)
    server.start_thread()
    yield found, server.server.server_address[1]
    server.stop()
    server.server.server_close()


def test_records_come_whole_and_each_name_is_asked_for_once(zone: tuple[Zone, int]) -> None:
    async def work() -> None:
        lookup = DnsTxtLookup(["127.0.0.1"], zone[1])
        for _ in range(3):
            assert await lookup("long.example", 30) == (b"a" * 200 + b"\xff;b",)
        assert await lookup("missing.example", 30) == ()
        assert await lookup("empty.example", 30) == ()
        with pytest.raises(UnavailableError):
            await lookup("failing.example", 5)
        with pytest.raises(UnavailableError):
            await lookup("x" * 64 + ".example", 5)

    asyncio.run(work())
    assert zone[0].asked[:3] == ["long.example TXT", "missing.example TXT", "empty.example TXT"]


def test_silence_has_an_end() -> None:
    async def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            lookup = DnsTxtLookup(["127.0.0.1"], silent.getsockname()[1])
            with pytest.raises(UnavailableError, match="does not answer"):
                await lookup("a.example", 0.3)

    asyncio.run(work())
