"""TXT look-ups: the public keys of signatures, from the system's name servers, each asked for once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.resolver

from mailveil.ports import UnavailableError

CACHED_NAMES = 5_000
MAX_RECORDS = 10
MAX_PARALLEL = 64


class DnsTxtLookup:
    """Implements ``ports.TxtLookup`` with the system's name servers, or with those named here."""

    def __init__(self, nameservers: Sequence[str] = (), port: int = 53) -> None:
        try:
            self.resolver = dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            self.resolver = dns.asyncresolver.Resolver(configure=False)
        if nameservers:
            self.resolver.nameservers = list(nameservers)
            self.resolver.port = port
        self.resolver.cache = dns.resolver.LRUCache(CACHED_NAMES)
        self.resolver.search = []
        self._free = asyncio.Semaphore(MAX_PARALLEL)

    async def __call__(self, name: str, timeout_s: float) -> tuple[bytes, ...]:
        """Return the TXT records of a name, none if there are none; UnavailableError without an answer."""
        try:
            async with asyncio.timeout(timeout_s), self._free:
                answer = await self.resolver.resolve(name, "TXT", lifetime=timeout_s, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError, TimeoutError, ValueError) as error:
            raise UnavailableError(f"the DNS does not answer for a key: {type(error).__name__}") from error
        return tuple(b"".join(record.strings) for record in list(answer)[:MAX_RECORDS])
