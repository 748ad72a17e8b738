"""Origin: who answers in the lab, as data with its ground truth: what it does, and what it learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mailveil.core.references.types import Media
from mailveil.lab.certificates import Flaw
from mailveil.lab.exchange import Answer
from mailveil.lab.zones import Zone

TOKEN = "{token}"  # noqa: S105 - a place in an address


class OriginKind(StrEnum):
    """Why an origin is there."""

    TRACKER = "tracker"
    HOSTILE = "hostile"
    HONEST = "honest"


class Learns(StrEnum):
    """What a tracker learns when a mail client asks for what the message refers to."""

    OPENING = "opening"  # that and when the message was opened, each time
    RECIPIENT = "recipient"  # by whom: the address is one recipient's own
    ADDRESS = "address"  # the client's IP address, and so about where it is
    CLIENT = "client"  # which program on which device
    DWELL = "dwell"  # for how long it stayed open
    LOOKUP = "lookup"  # the name was looked up, even if nothing was fetched
    PRINTING = "printing"  # that it was printed
    REPETITION = "repetition"  # that this client has been here before
    LINKING = "linking"  # that it is the same reader whom other senders know
    PLACE = "place"  # where the reader is: what is answered is made for it
    DEVICE = "device"  # what the device is like: what is answered is made for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One origin of the lab.

    ``hosts`` are the names that it answers under, the first of them that of its URL (it may hold the
    recipient's token as a label; ``*.`` stands for any one). ``markup`` is what stands in a message, with
    ``{url}``. ``learns`` is the ground truth of a tracker, ``marker`` bytes that no safe copy may contain,
    ``contacts`` how many requests a client makes that follows where it is led, redirects and sheets included.
    ``family`` is what generated origins have in common, ``""`` for those written by hand.
    """

    name: str
    kind: OriginKind
    does: str
    hosts: tuple[str, ...]
    path: str
    answer: Answer
    media: Media = Media.IMAGE
    markup: str = '<img src="{url}" alt="">'
    learns: frozenset[Learns] = frozenset()
    scheme: str = "http"
    flaw: Flaw = Flaw.NONE
    zones: tuple[Zone, ...] = ()
    marker: bytes = b""
    contacts: int = 1
    family: str = ""

    def url(self, token: str) -> str:
        """Return the address that stands in the message to the recipient with this token."""
        host = self.hosts[0].replace("*", token)
        return f"{self.scheme}://{host}{self.path}".replace(TOKEN, token)

    def html(self, token: str) -> str:
        """Return the markup that stands in that message."""
        return self.markup.replace("{url}", self.url(token).replace("&", "&amp;"))

    def answers_under(self, host: str) -> bool:
        """Tell whether a host is one of its names."""
        return any(
            host == each or (each.startswith("*.") and host.endswith(each[1:]) and host != each[2:])
            for each in self.hosts
        )


class Registry(Mapping[str, Origin]):
    """Origins by name. A part of the lab adds its own here, and everything else finds them."""

    def __init__(self, *origins: Origin) -> None:
        self._origins: dict[str, Origin] = {}
        for each in origins:
            self.add(each)

    def add(self, origin: Origin) -> None:
        """Add an origin. Raises ``ValueError`` where its name or one of its hosts is taken."""
        if origin.name in self._origins:
            raise ValueError(f"{origin.name} is taken")
        taken = {host: each.name for each in self._origins.values() for host in each.hosts}
        for host in origin.hosts:
            if host in taken:
                raise ValueError(f"{origin.name}: {host} is a host of {taken[host]}")
        self._origins[origin.name] = origin

    def __getitem__(self, name: str) -> Origin:
        return self._origins[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._origins)

    def __len__(self) -> int:
        return len(self._origins)

    def of_kind(self, kind: OriginKind) -> tuple[Origin, ...]:
        """Return the origins of one kind, in the order in which they were added."""
        return tuple(each for each in self._origins.values() if each.kind is kind)

    def at(self, host: str) -> Origin | None:
        """Return the origin that answers under a host; an exact name wins over a wildcard."""
        found = [each for each in self._origins.values() if each.answers_under(host)]
        return next((each for each in found if host in each.hosts), found[0] if found else None)
