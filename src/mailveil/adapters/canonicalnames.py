"""Canonical names: to which names the hosts of references lead in the DNS (``scan --online`` only)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import dns.exception
import dns.name
import dns.resolver

MAX_CHAIN = 16


class CanonicalNames:
    """Looks up each name once. The resolver and, in the end, the host's operator see the question."""

    def __init__(
        self, *, timeout_s: float = 5.0, parallel: int = 32, nameservers: Iterable[str] = ()
    ) -> None:
        """Use the system's resolvers, or those at ``nameservers`` (``address`` or ``address:port``)."""
        chosen = tuple(nameservers)
        self._resolver = dns.resolver.Resolver(configure=not chosen)
        if chosen:
            self._resolver.nameservers = [each.partition(":")[0] for each in chosen]
            self._resolver.port = int(chosen[0].partition(":")[2] or 53)
        self._resolver.lifetime = timeout_s
        self._workers = ThreadPoolExecutor(parallel, "dns")
        self._asked: dict[str, Future[tuple[str, ...]]] = {}

    def look_up(self, hosts: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Return the names that each host is an alias for, in order; none where the DNS does not tell."""
        wanted = dict.fromkeys(hosts)
        for host in wanted:
            if host not in self._asked:
                self._asked[host] = self._workers.submit(self._chain, host)
        return {host: self._asked[host].result() for host in wanted}

    def close(self) -> None:
        """Let go of what is still being asked."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _chain(self, host: str) -> tuple[str, ...]:
        try:
            answer = self._resolver.resolve(host, "A", raise_on_no_answer=False, search=False)
        except (dns.exception.DNSException, OSError, UnicodeError):
            return ()
        aliases = {
            rrset.name: rrset[0].target
            for rrset in answer.response.answer
            if rrset.rdtype == dns.rdatatype.CNAME and len(rrset)
        }
        chain: list[str] = []
        name = answer.qname
        while name in aliases and len(chain) < MAX_CHAIN:
            name = aliases[name]
            chain.append(name.to_text(omit_final_dot=True))
        return tuple(chain)
