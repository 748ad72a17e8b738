"""The resolver: looks host names up once, through the exit of their fetch, and records what the DNS answered.

Asks for A first and for AAAA only where there is no IPv4 address, sends no client subnet (RFC 7871), follows no
search list. Answers are kept for their time to live within bounds, apart for each exit: the answers may differ.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
from publicsuffixlist import PublicSuffixList

from mailveil.adapters.addresses import machine_of, parse_address
from mailveil.adapters.exits import Streams
from mailveil.core.verdicts.evidence import NameAnswer, NameRecord

# Opens a connection to a resolver at the far side of an exit.
Dial = Callable[[str], Awaitable[Streams]]

MAX_CACHED = 4096
MIN_TTL_S, MAX_TTL_S = 5, 3600
SERVERS_TTL_S = 86_400.0
MAX_RECORDS = 32
MAX_ANSWER_BYTES = 65_535


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def registrable_domain(host: str) -> str:
    """Return the registrable domain of a host name, the name itself where there is none; of an address, the machine."""
    host = host.rstrip(".").lower()
    if (address := parse_address(host)) is not None:
        return machine_of(address)
    return _suffixes().privatesuffix(host) or host


class Resolver:
    """Looks names up with the system's resolvers or those at ``nameservers``."""

    def __init__(self, nameservers: Sequence[str] = (), port: int = 53) -> None:
        self.nameservers = tuple(nameservers)
        self.port = port
        self._direct: dns.asyncresolver.Resolver | None = None
        self._asking: dict[tuple[str, str], asyncio.Task[NameAnswer]] = {}
        self._answers: OrderedDict[tuple[str, str, str], tuple[float, NameAnswer]] = OrderedDict()

    async def look_up(
        self, name: str, timeout_s: float, dial: Dial | None = None, exit_name: str = ""
    ) -> NameAnswer:
        """Return the addresses of a name and how the DNS leads to them; a failure is an answer with a defect.

        ``dial`` reaches a resolver through the exit that is called ``exit_name``; what it raises goes through.
        """
        name = name.rstrip(".").lower()
        if (cached := self._cached(exit_name, "address", name)) is not None:
            return replace(cached, cached=True, seconds=0.0)
        asking = self._asking.get((exit_name, name))
        if asking is None:
            asking = asyncio.create_task(self._look_up(name, timeout_s, dial, exit_name))
            self._asking[exit_name, name] = asking
            asking.add_done_callback(lambda task: self._asked(exit_name, name, task))
        # Whoever gives up leaves the others their answer.
        return await asyncio.shield(asking)

    def _asked(self, exit_name: str, name: str, task: asyncio.Task[NameAnswer]) -> None:
        self._asking.pop((exit_name, name), None)
        if not task.cancelled():
            task.exception()  # whoever still waits is told

    async def _look_up(self, name: str, timeout_s: float, dial: Dial | None, exit_name: str) -> NameAnswer:
        start = time.monotonic()
        answer = NameAnswer(name, defect="timeout")
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._ask(name, "A", dial)
                if answer.defect == "nodata":
                    second = await self._ask(name, "AAAA", dial)
                    if second.addresses:
                        answer = second
        except TimeoutError:
            pass
        answer = replace(answer, seconds=time.monotonic() - start)
        self._keep(exit_name, "address", name, answer)
        return answer

    async def servers(
        self, name: str, timeout_s: float, dial: Dial | None = None, exit_name: str = ""
    ) -> tuple[str, ...]:
        """Return the name servers of a name's registrable domain; none where the DNS does not tell.

        Asked at most once a day for one domain. What is asked tells nothing of the host name itself.
        """
        if parse_address(name) is not None:
            return ()
        domain = registrable_domain(name)
        cached = self._cached(exit_name, "servers", domain)
        if cached is None:
            try:
                async with asyncio.timeout(timeout_s):
                    cached = await self._ask(domain, "NS", dial)
            except (TimeoutError, OSError):
                return ()
            self._keep(exit_name, "servers", domain, cached)
        return tuple(sorted(each.value for each in cached.records if each.kind == "NS"))

    # --- asking ------------------------------------------------------------------------------------------

    async def _ask(self, name: str, kind: str, dial: Dial | None) -> NameAnswer:
        try:
            qname = dns.name.from_text(name)
        except (dns.exception.DNSException, ValueError):
            return NameAnswer(name, defect="nxdomain")
        response = await (self._through(qname, kind, dial) if dial else self._directly(qname, kind))
        return NameAnswer(name, defect="failed") if response is None else read_answer(name, kind, response)

    async def _directly(self, qname: dns.name.Name, kind: str) -> dns.message.Message | None:
        resolver = self._direct or self._system()
        try:
            answer = await resolver.resolve(
                qname, kind, search=False, raise_on_no_answer=False, lifetime=3600.0
            )
        except dns.resolver.NXDOMAIN as error:
            found: dns.message.Message = error.response(qname)  # type: ignore[no-untyped-call]
            return found
        except (dns.exception.DNSException, OSError):
            return None
        return answer.response

    def _system(self) -> dns.asyncresolver.Resolver:
        try:
            resolver = dns.asyncresolver.Resolver(configure=not self.nameservers)
        except dns.resolver.NoResolverConfiguration:
            resolver = dns.asyncresolver.Resolver(configure=False)
        if self.nameservers:
            resolver.nameservers = list(self.nameservers)
            resolver.port = self.port
        resolver.search = []
        self._direct = resolver
        return resolver

    async def _through(
        self, qname: dns.name.Name, kind: str, dial: Dial | None
    ) -> dns.message.Message | None:
        """Ask over TCP (RFC 7766), whatever resolver first answers at all."""
        assert dial is not None
        last: OSError | None = None
        for place in self.nameservers or ("",):
            query = dns.message.make_query(qname, kind)
            try:
                reader, writer = await dial(place)
            except OSError as error:
                last = error
                continue
            try:
                wire = query.to_wire()
                writer.write(struct.pack(">H", len(wire)) + wire)
                await writer.drain()
                (length,) = struct.unpack(">H", await reader.readexactly(2))
                response = dns.message.from_wire(await reader.readexactly(length), ignore_trailing=True)
                if query.is_response(response) and response.rcode() in (
                    dns.rcode.NOERROR,
                    dns.rcode.NXDOMAIN,
                ):
                    return response
            except (OSError, EOFError, dns.exception.DNSException, ValueError):
                continue
            finally:
                writer.transport.abort()
        if last is not None:
            raise last
        return None

    # --- keeping -----------------------------------------------------------------------------------------

    def _cached(self, exit_name: str, kind: str, name: str) -> NameAnswer | None:
        found = self._answers.get((exit_name, kind, name))
        if found is None or found[0] <= time.monotonic():
            return None
        return found[1]

    def _keep(self, exit_name: str, kind: str, name: str, answer: NameAnswer) -> None:
        if answer.defect in ("timeout", "failed"):
            return
        lowest = min((each.ttl_s for each in answer.records), default=60)
        ttl_s = SERVERS_TTL_S if kind == "servers" else float(max(MIN_TTL_S, min(lowest, MAX_TTL_S)))
        self._answers[exit_name, kind, name] = (time.monotonic() + ttl_s, answer)
        self._answers.move_to_end((exit_name, kind, name))
        while len(self._answers) > MAX_CACHED:
            self._answers.popitem(last=False)


def read_answer(name: str, kind: str, response: dns.message.Message) -> NameAnswer:
    """Return what a response says: the chain from the name asked for, what is at its end, and name servers."""
    records: list[NameRecord] = []
    wanted = dns.rdatatype.from_text(kind)
    place = dns.name.from_text(name)
    for _ in range(MAX_RECORDS):
        sets = [each for each in response.answer if each.name == place]
        at_end = [each for each in sets if each.rdtype == wanted]
        if at_end:
            for rrset in at_end:
                records += [_record(rrset.name, kind, rrset.ttl, value) for value in rrset]
            break
        alias = next((each for each in sets if each.rdtype == dns.rdatatype.CNAME and len(each)), None)
        if alias is None:
            break
        place = alias[0].target
        records.append(_record(alias.name, "CNAME", alias.ttl, place))
    servers = tuple(
        sorted(
            _text(value.target)
            for rrset in response.authority
            if rrset.rdtype == dns.rdatatype.NS
            for value in rrset
        )
    )[:MAX_RECORDS]
    found = any(each.kind == kind for each in records)
    defect = "" if found else "nxdomain" if response.rcode() == dns.rcode.NXDOMAIN else "nodata"
    return NameAnswer(name, tuple(records[:MAX_RECORDS]), servers, defect)


def _record(name: dns.name.Name, kind: str, ttl_s: int, value: object) -> NameRecord:
    target = getattr(value, "target", value)
    return NameRecord(_text(name), kind, int(ttl_s), _text(getattr(target, "address", target)))


def _text(value: object) -> str:
    text = value.to_text(omit_final_dot=True) if isinstance(value, dns.name.Name) else str(value)
    return text.lower()
