"""Claims: the names and URL shapes of which others may be told that they are an actor's own. Pure and total.

What serves everybody, such as a vendor's host, is never claimed: whoever blocks it blocks honest mail. Nor is anything
that reaches beyond one registrable domain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from typing import Final

from mailveil.core.intelligence.types import Role, Tooling
from mailveil.core.recognition.shared import is_shared_domain, is_shared_host
from mailveil.core.sharing.types import SharedActivity, SharedInfrastructure, SharedTracker
from mailveil.core.verdicts.addresses import is_ip_address, registrable_domain

ANY: Final = "*"
MAX_CLAIMS: Final = 300
MAX_URL: Final = 2_000
_HOST: Final = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_URL: Final = re.compile(
    r"(?P<scheme>https?|\*)://(?P<host>[^/?#:\s]+)(?P<port>:(?:\*|\d+))?(?P<rest>[/?][!-~]*)?"
)
_NAMES: Final = frozenset({Role.SENDER_DOMAIN, Role.REPLY_DOMAIN, Role.TRACKER_DOMAIN, Role.TRACKER_HOST})


class ClaimKind(StrEnum):
    """What is claimed: a host name, or a shape of URLs, in which ``*`` stands for anything."""

    NAME = "name"
    URL = "url"


@dataclass(frozen=True, slots=True)
class Claim:
    """One name (``*.`` in front: all below it) or URL shape, with when it was seen and in how many messages."""

    kind: ClaimKind
    value: str
    role: Role
    first_at: float
    last_at: float
    messages: int = 1

    @property
    def is_exact(self) -> bool:
        """Whether it stands for itself alone."""
        return ANY not in self.value


@dataclass(frozen=True, slots=True)
class UrlShape:
    """A URL's shape taken apart. ``rest`` is path and query, ``""`` for none."""

    scheme: str
    host: str
    port: str
    rest: str


def host_name(text: str) -> str:
    """Return a host name as the DNS has it, below a public suffix; ``""`` for what is none. No IP addresses."""
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = name[:300].encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    if _HOST.fullmatch(name) is None or is_ip_address(name):
        return ""
    return name if registrable_domain(name) else ""


def wild_name(text: str) -> str:
    """Return a host name that may begin with ``*.`` for whatever stands there; ``""`` for what is none."""
    bare = text.strip().removeprefix("*.")
    name = host_name(bare)
    return f"*.{name}" if name and bare != text.strip() else name


def url_shape(template: str) -> UrlShape | None:
    """Return a URL template taken apart, ``None`` for what is none or names no host."""
    if len(template) > MAX_URL or not template.isascii():
        return None
    match = _URL.fullmatch(template)
    if match is None or not (host := wild_name(match["host"])):
        return None
    return UrlShape(match["scheme"], host, match["port"] or "", match["rest"] or "")


def address_or_network(text: str) -> str:
    """Return an IP address, or the network that stands for one, as they are written; ``""`` for neither."""
    try:
        network = ip_network(text.strip().strip("[]"))
    except ValueError:
        return ""
    return str(network.network_address if network.num_addresses == 1 else network)


def claims_of_activity(activity: SharedActivity) -> tuple[Claim, ...]:
    """Return what is claimed to be the actor's own, in an order that does not change."""
    found: dict[tuple[ClaimKind, str], Claim] = {}
    for item in activity.infrastructure:
        name = wild_name(item.value) if item.role in _NAMES else ""
        if name and is_own(name, activity.infrastructure):
            _keep(found, Claim(ClaimKind.NAME, name, item.role, item.first_at, item.last_at, item.messages))
    for probe in activity.probes:
        shape = url_shape(probe.template)
        if shape and shape.rest.strip("/*?") and is_own(shape.host, activity.infrastructure):
            _keep(found, Claim(ClaimKind.URL, probe.template, Role.TRACKER_HOST, probe.at, probe.at))
    return tuple(found[key] for key in sorted(found))[:MAX_CLAIMS]


def claims_of_tracker(tracker: SharedTracker) -> tuple[Claim, ...]:
    """Return what is claimed of a tracker that somebody built: the shape of its URLs, else its host."""
    if tracker.tooling is Tooling.BOUGHT or tracker.operator:
        return ()
    shape = url_shape(tracker.template)
    if tracker.template and shape is None:
        return ()  # what cannot be read is no reason to claim a whole host
    host = shape.host if shape else wild_name(tracker.host)
    if not host or serves_everybody(host.removeprefix("*.")):
        return ()
    seen = (tracker.first_at, tracker.last_at, max(tracker.messages, 1))
    if shape and shape.rest.strip("/*?"):
        return (Claim(ClaimKind.URL, tracker.template, Role.TRACKER_HOST, *seen),)
    return (Claim(ClaimKind.NAME, host, Role.TRACKER_HOST, *seen),)


def is_own(name: str, infrastructure: Iterable[SharedInfrastructure]) -> bool:
    """Tell whether a name belongs to the actor alone, by the entry for it or else by that for its domain."""
    bare = name.removeprefix("*.")
    entries: dict[str, bool] = {}
    for item in infrastructure:
        # Under a domain that never proved itself anybody may have written: alone it is nobody's.
        if item.role in _NAMES and not item.claimed and (known := wild_name(item.value)):
            entries[known] = entries.get(known, False) or item.shared
    if serves_everybody(bare):
        return False
    for each in (name, bare, registrable_domain(bare)):
        if each in entries:
            # Of all names below a domain nobody is sure unless the domain itself is the actor's.
            beyond = name != bare and entries.get(bare, False)
            return not entries[each] and not beyond
    return False


def is_disowned(name: str, infrastructure: Iterable[SharedInfrastructure]) -> bool:
    """Tell whether a name that was claimed before turned out not to be the actor's own.

    Of what is not among the latest any more nobody has found out anything.
    """
    bare, known = name.removeprefix("*."), tuple(infrastructure)
    entries = {wild_name(item.value) for item in known if item.role in _NAMES}
    is_known = not entries.isdisjoint({name, bare, registrable_domain(bare)})
    return serves_everybody(bare) or (is_known and not is_own(name, known))


def name_in(claimed: str) -> str:
    """Return the name that a claim's value, a name or the shape of a URL, is about; ``""`` for neither."""
    shape = url_shape(claimed)
    return shape.host if shape else wild_name(claimed)


def serves_everybody(name: str) -> bool:
    """Tell whether a name belongs to a vendor, free mail or a platform: whatever a record says, it is no actor's own.

    Here a name below a platform's counts as the platform's: whoever is told of it blocks it for everybody.
    """
    return is_shared_host(name) or is_shared_domain(registrable_domain(name))


def _keep(found: dict[tuple[ClaimKind, str], Claim], claim: Claim) -> None:
    key = (claim.kind, claim.value)
    known = found.get(key)
    if known is None:
        found[key] = claim
        return
    role = min(known.role, claim.role)
    messages = (
        known.messages + claim.messages
        if claim.kind is ClaimKind.URL
        else max(known.messages, claim.messages)
    )
    found[key] = Claim(
        claim.kind,
        claim.value,
        role,
        min(known.first_at, claim.first_at),
        max(known.last_at, claim.last_at),
        messages,
    )
