"""Generated origins.

Setup: the origins of two seeds, and a lab of one origin of each family.
Test: a seed draws the same again and another seed something else; every family is there as often as asked for, none
takes a host of another; the addresses of trackers and coupons tell recipients apart, those of other honest content do
not; the lab answers for every one of them by DNS, and by HTTP under the name that stands in the address.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from urllib.parse import urlsplit

import dns.message
import dns.rdatatype
import pytest

from mailveil.lab import Lab, Learns, Origin, OriginKind
from mailveil.lab.laboratory import registry, varied

ORIGINS = varied(each=3)
SAMPLE = varied(each=1)


def test_a_seed_draws_the_same_again() -> None:
    again = varied(each=3)
    assert list(again) == list(ORIGINS)
    assert [each.url("t") for each in again.values()] == [each.url("t") for each in ORIGINS.values()]
    other = varied(seed=2, each=3)
    assert not {each.hosts[0] for each in other.values()} & {each.hosts[0] for each in ORIGINS.values()}


def test_every_family_is_there_and_knows_its_truth() -> None:
    counts = Counter(each.family for each in ORIGINS.values())
    assert set(counts.values()) == {3}
    assert len(counts) >= 25
    for each in ORIGINS.values():
        assert each.kind in (OriginKind.TRACKER, OriginKind.HONEST)
        assert bool(each.learns) is (each.kind is OriginKind.TRACKER)
    learnt = {every for each in ORIGINS.values() for every in each.learns}
    assert {Learns.DWELL, Learns.LOOKUP, Learns.PLACE, Learns.DEVICE, Learns.LINKING} <= learnt


def test_the_lab_has_its_own_beside_them() -> None:
    assert not set(registry()) & set(ORIGINS)


@pytest.mark.parametrize("origin", ORIGINS.values(), ids=lambda each: each.name)
def test_addresses_tell_recipients_apart_where_they_should(origin: Origin) -> None:
    is_personal = origin.url("0123456789abcdef") != origin.url("fedcba9876543210")
    assert is_personal is (origin.kind is OriginKind.TRACKER or origin.family == "coupons")
    assert "{token}" not in origin.html("0123456789abcdef")
    assert "{url}" not in origin.html("0123456789abcdef")


def test_the_lab_answers_for_them() -> None:
    asyncio.run(_ask_them_all())


async def _ask_them_all() -> None:
    async with Lab(origins=SAMPLE) as lab:
        for origin in SAMPLE.values():
            host = urlsplit(origin.url("0123456789abcdef")).hostname
            assert host is not None
            answered = lab.zones.answer(dns.message.make_query(host, dns.rdatatype.A)).message
            assert answered is not None
            assert [each for each in answered.answer if each.rdtype == dns.rdatatype.A], host
            target = origin.url("0123456789abcdef").partition(host)[2] or "/"
            reader, writer = await asyncio.open_connection("127.0.0.1", lab.http.port)
            writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            async with asyncio.timeout(30):
                line = await reader.readline()
            writer.close()
            assert line.startswith(b"HTTP/1.1 "), origin.name
            seen = lab.contacts.select(origin=origin.name)
            assert seen, "it is on record whom that concerned"
