"""The lab: an internet in a box, with its names, its origins, and a record of every contact with them."""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from mailveil.lab import varied_honest, varied_trackers
from mailveil.lab.certificates import Authority
from mailveil.lab.contacts import Arrival, Contacts
from mailveil.lab.honest import honest
from mailveil.lab.hostile import hostile
from mailveil.lab.line import Line, Ways
from mailveil.lab.nameserver import NameServer
from mailveil.lab.origin import Origin, OriginKind, Registry
from mailveil.lab.trackers import trackers
from mailveil.lab.variety import Draw
from mailveil.lab.webserver import WebServer
from mailveil.lab.zones import APEX, Zone, Zones, zone

# The lab's own addresses. They are global unicast ones, since a fetcher rightly refuses all others; nobody
# announces them on the Internet, and nothing of the lab ever leaves the loopback interface.
NETWORK = "11.77.0.0/16"
MAX_EXPECTED = 10_000


def own_address(number: int) -> str:
    """Return the address of the lab's owner with this number, from 1 on."""
    return f"11.77.{(number - 1) % 200 + 1}.{10 + (number - 1) // 200}"


ATTACKER = "11.77.250.10"
VENDOR = "11.77.240.10"


def registry() -> Registry:
    """Return every origin that the lab has of its own."""
    return Registry(*trackers(VENDOR), *hostile(ATTACKER), *honest())


def varied(seed: int = 1, each: int = 12) -> Registry:
    """Return generated origins: so many of each family, with their ground truth, the same for the same seed."""
    families = {**varied_trackers.FAMILIES, **varied_honest.FAMILIES}
    return Registry(
        *(
            make(Draw(seed, family, 1000 * place + number))
            for place, (family, make) in enumerate(families.items())
            for number in range(each)
        )
    )


def name_firm(number: int) -> str:
    """Return a firm that serves names for others: most owners have none of their own who would."""
    return f"name-firm{number % 7}.example"


class Lab:
    """Use as ``async with``. With nothing said it listens on free ports of 127.0.0.1.

    In a network namespace, ``dns_port=53, http_port=80, https_port=443`` with ``host="0.0.0.0"`` make the lab
    all there is of the Internet; elsewhere clients come through a ``line``.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        dns_port: int = 0,
        http_port: int = 0,
        https_port: int = 0,
        more_hosts: Iterable[str] = (),
        origins: Registry | None = None,
        zones: Iterable[Zone] = (),
    ) -> None:
        """``more_hosts`` are further addresses of the web servers (``::``), ``zones`` further ones to hold."""
        self.origins = registry() if origins is None else origins
        self.contacts = Contacts()
        self._host = host
        self._ports = (dns_port, http_port, https_port)
        self._more_hosts = tuple(more_hosts)
        self._folder = tempfile.TemporaryDirectory(prefix="mailveil-lab-")
        self._authority = Authority(Path(self._folder.name))
        self._expected: OrderedDict[tuple[str, int], Arrival] = OrderedDict()
        self._lines: list[Line] = []
        self.zones = Zones((*_zones_for(self.origins), *zones))
        self.names = NameServer(self.zones, self.contacts, self._whence, self._concerns)
        self.http = WebServer(self.contacts, self._whence, self.origins.at)
        self.https = WebServer(self.contacts, self._whence, self.origins.at, self._authority)

    async def __aenter__(self) -> Lab:
        dns_port, http_port, https_port = self._ports
        try:
            await self.names.start(self._host, dns_port)
            for host in (self._host, *self._more_hosts):
                await self.http.start(host, http_port)
                await self.https.start(host, https_port)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        for line in self._lines:
            await line.stop()
        await self.names.stop()
        await self.http.stop()
        await self.https.stop()
        self._folder.cleanup()

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that vouches for the lab's https origins."""
        return self._authority.ca_file

    @property
    def trackers(self) -> tuple[Origin, ...]:
        """Everybody who spies."""
        return self.origins.of_kind(OriginKind.TRACKER)

    @property
    def hostile(self) -> tuple[Origin, ...]:
        """Everybody who attacks."""
        return self.origins.of_kind(OriginKind.HOSTILE)

    @property
    def honest(self) -> tuple[Origin, ...]:
        """Everybody who just shows something."""
        return self.origins.of_kind(OriginKind.HONEST)

    def url(self, name: str, recipient: str = "reader@example.org") -> str:
        """Return the address of an origin that stands in the message to a recipient."""
        return self.origins[name].url(token_of(recipient))

    def html(self, name: str, recipient: str = "reader@example.org") -> str:
        """Return the markup for it."""
        return self.origins[name].html(token_of(recipient))

    async def line(self, name: str, address: str) -> Line:
        """Open an access line whose user the lab sees at ``address``."""
        here = "127.0.0.1" if self._host == "0.0.0.0" else self._host  # noqa: S104
        ways = Ways((here, self.names.port), (here, self.http.port), (here, self.https.port))
        line = Line(name, address, ways, self._expect)
        await line.start()
        self._lines.append(line)
        return line

    def _expect(self, place: tuple[str, int], arrival: Arrival) -> None:
        self._expected[place[0], place[1]] = arrival
        self._expected.move_to_end((place[0], place[1]))
        if len(self._expected) > MAX_EXPECTED:
            self._expected.popitem(last=False)

    def _whence(self, peer: tuple[str, int], destination: str) -> Arrival:
        return self._expected.pop((peer[0], peer[1]), None) or Arrival(peer[0], destination)

    def _concerns(self, host: str) -> str:
        found = self.origins.at(host)
        return found.name if found else ""


def token_of(recipient: str) -> str:
    """Return what stands for a recipient in trackers' addresses: nothing that anybody else could read."""
    return hashlib.sha256(f"lab {recipient.lower()}".encode()).hexdigest()[:16]


def _zones_for(origins: Registry) -> list[Zone]:
    """Return the zones of all origins: those that they bring, and an ordinary one for every other owner."""
    brought = [each for origin in origins.values() for each in origin.zones]
    held = {each.name for each in brought}
    owners: dict[str, list[str]] = {}
    generated: set[str] = set()
    for origin in origins.values():
        for host in origin.hosts:
            labels = host.split(".")
            if not any(host == name or host.endswith("." + name) for name in held):
                owners.setdefault(".".join(labels[-2:]), []).append(".".join(labels[:-2]) or APEX)
                if origin.family:
                    generated.add(".".join(labels[-2:]))
    made = [
        zone(
            name,
            own_address(number),
            owners=dict.fromkeys((APEX, *below)),
            served_by=name_firm(number) if name in generated else "",
        )
        for number, (name, below) in enumerate(sorted(owners.items()), 1)
    ]
    return [*brought, *made]
