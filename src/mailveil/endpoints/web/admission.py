"""Admission: who shows which token, and how often they may ask, of all that the console's listener has for programs.

A wrong token costs its address quota, and without that nobody looks at the database; one that was good a moment ago
does not depend on its address, so that guessing at one does not lock out the programs behind the same one.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import Enum, auto

from starlette.requests import Request

from mailveil.control.access import Actor
from mailveil.control.signing_in import network
from mailveil.endpoints.web.api.limits import RateLimit, Standing
from mailveil.endpoints.web.clients import Networks, client_address

TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}")
KNOWN_S = 300.0
MAX_KNOWN = 10_000

Authenticate = Callable[[str], Awaitable[Actor | None]]


class Refusal(Enum):
    """Why somebody is not admitted."""

    NO_TOKEN = auto()
    WRONG_TOKEN = auto()
    TOO_MANY = auto()


class RefusedError(Exception):
    """Somebody is not admitted. ``standing`` is how they stand where they asked too often."""

    def __init__(self, refusal: Refusal, standing: Standing | None = None) -> None:
        super().__init__(refusal.name)
        self.refusal = refusal
        self.standing = standing


class Admission:
    """Admits those who show a token. One for an application; ``authenticate`` tells whose a secret is."""

    def __init__(
        self,
        authenticate: Authenticate,
        per_minute: int,
        trusted_proxies: Networks = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticate = authenticate
        self._trusted_proxies = trusted_proxies
        self._now = now
        self._strangers = RateLimit("requests", per_minute, now)
        self._known: OrderedDict[bytes, float] = OrderedDict()

    async def admit(self, request: Request, secret: str, standings: list[Standing]) -> Actor:
        """Return who holds the secret; ``standings`` become what is left to an address without a valid one.

        Raises ``RefusedError``.
        """
        neighbourhood = network(self.address(request))  # one customer has many IPv6 addresses
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        is_known = self._known.get(digest, -KNOWN_S) + KNOWN_S > self._now()
        if not is_known:
            standings[:] = [self._strangers.take(neighbourhood)]
            if standings[0].wait_s:
                raise RefusedError(Refusal.TOO_MANY, standings[0])
        if not secret:
            raise RefusedError(Refusal.NO_TOKEN)
        actor = await self._authenticate(secret) if TOKEN.fullmatch(secret) else None
        if actor is None:
            self._known.pop(digest, None)
            raise RefusedError(Refusal.WRONG_TOKEN)
        if not is_known:
            self._strangers.give_back(neighbourhood)
            self._known[digest] = self._now()
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return actor

    def take_stranger(self, request: Request) -> Standing:
        """Take one request of the quota that an address has without a token."""
        return self._strangers.take(network(self.address(request)))

    def address(self, request: Request) -> str:
        """Return from where a request comes."""
        return client_address(request, self._trusted_proxies)
