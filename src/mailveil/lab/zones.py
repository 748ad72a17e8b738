"""Zones: the lab's DNS as data, and what it answers to a question.

One server plays resolver and authority: like a resolver it follows CNAMEs from zone to zone and says of every
name that no zone holds that there is none; like an authority it has the zones' own SOA, NS and TTLs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

MAX_ALIASES = 12
APEX = "@"
ANY_NAME = "*"


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone: its records by owner (relative, ``@`` for the apex, ``*`` for a wildcard) and type.

    ``turns`` are A answers that change with each question about an owner, the last of them for ever:
    rebinding. ``delay_s`` lets every answer wait; a ``silent`` zone gives none at all.
    """

    name: str
    records: Mapping[tuple[str, str], tuple[str, ...]]
    ttl_s: int = 300
    turns: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    delay_s: float = 0.0
    silent: bool = False

    @property
    def name_servers(self) -> tuple[str, ...]:
        """The names of its name servers, as its NS records give them."""
        return self.records.get((APEX, "NS"), ())


def zone(
    name: str,
    address: str,
    *,
    owners: Iterable[str] = (APEX,),
    more: Mapping[tuple[str, str], tuple[str, ...]] | None = None,
    ttl_s: int = 300,
    turns: Mapping[str, tuple[tuple[str, ...], ...]] | None = None,
    delay_s: float = 0.0,
    silent: bool = False,
    served_by: str = "",
) -> Zone:
    """Return an ordinary zone, all ``owners`` at one address, with name servers of its own or ``served_by`` a firm."""
    servers = (f"ns1.{served_by or name}.", f"ns2.{served_by or name}.")
    records: dict[tuple[str, str], tuple[str, ...]] = {
        (APEX, "SOA"): (f"{servers[0]} hostmaster.{name}. 2026010101 7200 3600 1209600 {min(ttl_s, 300)}",),
        (APEX, "NS"): servers,
        ("ns1", "A"): (address,),
        ("ns2", "A"): (address,),
        **{(owner, "A"): (address,) for owner in owners},
        **(more or {}),
    }
    return Zone(name, records, ttl_s, turns or {}, delay_s, silent)


@dataclass(frozen=True, slots=True)
class Answered:
    """What is to be sent for a question, and when; ``message`` is ``None`` where nothing ever comes."""

    message: dns.message.Message | None
    delay_s: float = 0.0
    values: tuple[str, ...] = ()


class Zones:
    """All zones of a lab."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        self._zones = {each.name.lower(): each for each in zones}
        self._asked: dict[str, int] = {}

    def __iter__(self) -> Iterator[Zone]:
        return iter(self._zones.values())

    def zone_of(self, name: str) -> Zone | None:
        """Return the zone that a name is in, the most specific one."""
        labels = name.rstrip(".").lower().split(".")
        for start in range(len(labels)):
            found = self._zones.get(".".join(labels[start:]))
            if found is not None:
                return found
        return None

    def answer(self, query: dns.message.Message) -> Answered:
        """Answer a question."""
        response = dns.message.make_response(query, recursion_available=True)
        if len(query.question) != 1 or query.question[0].rdclass != dns.rdataclass.IN:
            response.set_rcode(dns.rcode.REFUSED)
            return Answered(response)
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        values: list[str] = []
        delay_s = 0.0
        held: Zone | None = None
        for _ in range(MAX_ALIASES):
            held = self.zone_of(name)
            if held is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                break
            if held.silent:
                return Answered(None)
            delay_s += held.delay_s
            found_kind, found, exists = self._find(held, name, kind)
            if not exists:
                response.set_rcode(dns.rcode.NXDOMAIN)
            if found:
                response.answer.append(_rrset(name, held.ttl_s, found_kind, found))
                values += found
            if found_kind != "CNAME" or kind == "CNAME" or not found:
                break
            name = found[0].rstrip(".").lower()
        if not response.answer and held is not None:
            soa = held.records[(APEX, "SOA")]
            response.authority.append(_rrset(held.name, held.ttl_s, "SOA", soa))
        if held is not None:
            response.flags |= dns.flags.AA
        return Answered(response, delay_s, tuple(values))

    def _find(self, held: Zone, name: str, kind: str) -> tuple[str, tuple[str, ...], bool]:
        """Return the type and values of what a zone has for a name, and whether the name exists."""
        owner = name.removesuffix(held.name).rstrip(".") or APEX
        owners = {each for each, _ in held.records} | set(held.turns)
        exists = owner in owners or any(each.endswith("." + owner) for each in owners)
        if not exists:
            # RFC 4592: the wildcard right below the closest name that exists stands in.
            ancestor = owner
            while ancestor and not exists:
                ancestor = ancestor.partition(".")[2]
                wild = f"{ANY_NAME}.{ancestor}" if ancestor else ANY_NAME
                if wild in owners:
                    owner, exists = wild, True
                elif ancestor in owners:
                    break
        if not exists:
            return kind, (), False
        if kind == "A" and owner in held.turns:
            turn = self._asked.get(name, 0)
            self._asked[name] = turn + 1
            turns = held.turns[owner]
            return "A", turns[min(turn, len(turns) - 1)], True
        if alias := held.records.get((owner, "CNAME")):
            return "CNAME", alias, True
        return kind, held.records.get((owner, kind), ()), True


def _rrset(name: str, ttl_s: int, kind: str, values: Iterable[str]) -> dns.rrset.RRset:
    owner = dns.name.from_text(name)
    return dns.rrset.from_text_list(owner, ttl_s, "IN", kind, list(values))
