"""Infrastructure: what the DNS and one fetch would tell of the hosts that simulated mail names."""

from __future__ import annotations

import hashlib
from typing import Final

from mailveil.core.intelligence.types import InfrastructureFacts
from mailveil.learning.simulation.chance import Chance

#: Providers of names and of servers that many domains share, attackers' among them: an assumption.
_NAME_FIRMS: Final = 25
_HOSTERS: Final = 40
_SERVERS_OF_A_HOSTER: Final = 60
#: Orders of header fields as widespread servers have them, and the pictures that widespread trackers answer with.
_USUAL_ANSWERS: Final = 12
_USUAL_PICTURES: Final = 5
#: How often nobody asked the DNS for a host, or never fetched anything from it.
_DNS_UNKNOWN: Final = 0.1
_FETCH_UNKNOWN: Final = 0.4


class Infrastructure:
    """What is known of hosts, as studying is given it."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._zones: dict[str, tuple[tuple[str, ...], str]] = {}
        self.facts: dict[str, InfrastructureFacts] = {}

    def add(self, host: str, domain: str, *, cname: str = "", like: str = "") -> None:
        """Take a host in. ``cname`` is what it is an alias for, ``like`` whose machines it shares."""
        if not host or host in self.facts:
            return
        chance = self._chance.part(host)
        servers, address = self._zone(like or domain)
        asked, fetched = not chance.often(_DNS_UNKNOWN), not chance.often(_FETCH_UNKNOWN)
        own = like and chance.often(0.8)  # machines of one's own answer alike
        answer = f"own {like}" if own else f"usual {chance.whole(1, _USUAL_ANSWERS)}"
        picture = f"own {like}" if own and chance.often(0.3) else f"usual {chance.whole(1, _USUAL_PICTURES)}"
        self.facts[host] = InfrastructureFacts(
            host,
            canonical_names=(cname,) if cname and asked else (),
            name_servers=servers if asked else (),
            addresses=(address,) if asked else (),
            certificate=_digest("certificate", host) if fetched else "",
            header_order=_digest("answer", answer) if fetched else "",
            body=_digest("picture", picture) if fetched else "",
        )

    def _zone(self, domain: str) -> tuple[tuple[str, ...], str]:
        """Return a domain's name servers and address: most share those of a provider."""
        if domain not in self._zones:
            chance = self._chance.part(f"zone {domain}")
            firm = chance.skewed(_NAME_FIRMS)
            hoster = chance.skewed(_HOSTERS)
            # A network that is set aside for measurements (RFC 2544): it belongs to nobody.
            server = chance.whole(1, _SERVERS_OF_A_HOSTER) if chance.often(0.6) else chance.whole(61, 254)
            address = f"198.{18 + hoster % 2}.{hoster * 5 + chance.whole(0, 4)}.{server}"
            names = tuple(f"ns{number}.names{firm}.example" for number in (1, 2))
            self._zones[domain] = names, address
        return self._zones[domain]


def _digest(kind: str, text: str) -> str:
    return hashlib.blake2b(f"{kind} {text}".encode(), digest_size=16).hexdigest()
