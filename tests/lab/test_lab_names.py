"""The lab's name server.

Setup: a lab on free ports of the loopback address, asked with dnspython.
Test: every kind of answer that its zones can give, over UDP and TCP, and that each question is on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest

from mailveil.lab import Lab
from mailveil.lab.contacts import ContactKind
from mailveil.lab.zones import zone


def in_lab(work: Callable[[Lab], Awaitable[None]], **options: object) -> None:
    async def run() -> None:
        async with Lab(**options) as lab:  # type: ignore[arg-type]
            await work(lab)

    asyncio.run(run())


async def ask(
    lab: Lab, name: str, kind: str = "A", *, tcp: bool = False, **more: object
) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **more)  # type: ignore[arg-type]
    way = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    return await way(query, "127.0.0.1", timeout=20, port=lab.names.port)


def values(response: dns.message.Message) -> list[str]:
    return sorted(record.to_text() for rrset in response.answer for record in rrset)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_answers_from_its_zones_and_keeps_a_record(tcp: bool) -> None:
    async def work(lab: Lab) -> None:
        response = await ask(lab, "open.adlytics.example", tcp=tcp)
        (address,) = values(response)
        assert address.startswith("11.77.")
        assert response.answer[0].ttl == 300
        assert response.flags & dns.flags.AA
        (contact,) = lab.contacts
        assert (contact.kind, contact.host, contact.method) == (ContactKind.DNS, "open.adlytics.example", "A")
        assert contact.origin == "plain-pixel"
        assert contact.answer == (address,)
        assert contact.status == "NOERROR"
        assert contact.arrival.client == "127.0.0.1"

    in_lab(work)


def test_each_owner_has_name_servers_of_its_own() -> None:
    async def work(lab: Lab) -> None:
        assert values(await ask(lab, "adlytics.example", "NS")) == [
            "ns1.adlytics.example.",
            "ns2.adlytics.example.",
        ]
        assert values(await ask(lab, "d.namewatch.example", "NS"))[0] == "ns1.d.namewatch.example."
        assert values(await ask(lab, "ns1.d.namewatch.example"))
        (soa,) = values(await ask(lab, "adlytics.example", "SOA"))
        assert soa.startswith("ns1.adlytics.example.")

    in_lab(work)


def test_a_wildcard_zone_has_every_name_and_tells_them_apart() -> None:
    async def work(lab: Lab) -> None:
        one = await ask(lab, "0123abcd.d.namewatch.example")
        assert values(one)
        assert one.answer[0].ttl == 0
        assert (await ask(lab, "0123abcd.d.namewatch.example", "TXT")).rcode() == dns.rcode.NOERROR
        assert [each.host for each in lab.contacts.select(token="0123abcd")] == [
            "0123abcd.d.namewatch.example"
        ] * 2

    in_lab(work)


def test_aliases_are_followed_into_other_zones() -> None:
    async def work(lab: Lab) -> None:
        response = await ask(lab, "metrics.harbourhill.example")
        chain = [(rrset.name.to_text(), rrset[0].to_text()) for rrset in response.answer]
        assert chain[0] == ("metrics.harbourhill.example.", "harbourhill.collect.cloakvendor.example.")
        assert chain[1][0] == "harbourhill.collect.cloakvendor.example."
        assert (await ask(lab, "www.circle-names.example")).answer, "a circle ends"

    in_lab(work)


def test_what_is_not_there_is_denied() -> None:
    async def work(lab: Lab) -> None:
        nowhere = await ask(lab, "www.example.net")
        assert (nowhere.rcode(), nowhere.answer) == (dns.rcode.NXDOMAIN, [])
        missing = await ask(lab, "nobody.adlytics.example")
        assert missing.rcode() == dns.rcode.NXDOMAIN
        assert missing.authority[0].name.to_text() == "adlytics.example."
        other_type = await ask(lab, "open.adlytics.example", "AAAA")
        assert (other_type.rcode(), other_type.answer) == (dns.rcode.NOERROR, [])

    in_lab(work)


def test_a_rebinding_name_changes_its_mind_with_the_second_question() -> None:
    async def work(lab: Lab) -> None:
        first = values(await ask(lab, "rebind.example"))
        assert first[0].startswith("11.77.")
        assert [values(await ask(lab, "rebind.example")) for _ in range(2)] == [["127.0.0.1"]] * 2

    in_lab(work)


def test_slow_and_silent_servers() -> None:
    async def work(lab: Lab) -> None:
        query = dns.message.make_query("www.silent-names.example", "A")
        with pytest.raises(dns.exception.Timeout):
            await dns.asyncquery.udp(query, "127.0.0.1", timeout=0.5, port=lab.names.port)
        assert lab.contacts.select(host="silent-names.example")[0].status == "silence"
        assert values(await ask(lab, "www.patient.example"))
        (contact,) = lab.contacts.select(host="patient.example")
        assert contact.dwelt() >= 0.3

    in_lab(work, zones=[zone("patient.example", "11.77.0.1", owners=("www",), delay_s=0.3)])


def test_a_large_answer_is_cut_short_over_udp_and_whole_over_tcp() -> None:
    many = tuple(f"11.77.9.{last}" for last in range(250))
    large = zone("large.example", "11.77.9.1", more={("www", "A"): many})

    async def work(lab: Lab) -> None:
        short = await ask(lab, "www.large.example", use_edns=False)
        assert short.flags & dns.flags.TC
        assert len(values(await ask(lab, "www.large.example", tcp=True))) == 250

    in_lab(work, zones=[large])


def test_a_client_subnet_would_be_on_record() -> None:
    import dns.edns

    async def work(lab: Lab) -> None:
        await ask(lab, "open.adlytics.example", options=[dns.edns.ECSOption("198.51.100.0", 24)], use_edns=0)
        (contact,) = lab.contacts
        assert "198.51.100.0" in contact.fields[0][1]

    in_lab(work)
