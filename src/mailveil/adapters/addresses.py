"""Which IP addresses the fetcher may ever connect to: an explicit table, the same under every Python version.

``ipaddress.is_global`` differs between Python releases and calls some translated and mapped addresses global, so
nothing here leans on it. Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and the
entries added since), RFC 6052 and RFC 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

FORBIDDEN_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared address space (CGNAT)
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a public address, but Azure's platform answers it inside each of its machines
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relay anycast
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Only global unicast is allowed at all; within it these are not.
GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
FORBIDDEN_IPV6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments, Teredo, ORCHID, benchmarking
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: the address inside decides where it goes
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
        "3ffe::/16",  # the old 6bone
    )
)
METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})


def is_allowed(address: IPAddress, own_networks: Iterable[IPNetwork] = ()) -> bool:
    """Tell whether a fetch may connect to an address.

    Mapped, translated and tunnelled IPv6 addresses (``::ffff:0:0/96``, ``64:ff9b::/96``, ``2002::/16`` …) are
    outside of what is allowed whatever address they carry, and so is everything in ``own_networks``.
    """
    if any(address.version == network.version and address in network for network in own_networks):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in FORBIDDEN_IPV4)
    if address.scope_id is not None or address not in GLOBAL_IPV6:
        return False
    return not any(address in network for network in FORBIDDEN_IPV6)


def machine_of(address: IPAddress) -> str:
    """Return what budgets of addresses count as one: an IPv4 address, or the IPv6 network of one link.

    Whoever is given an IPv6 network has all 2^64 addresses of it (RFC 4291 section 2.5.1).
    """
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


def source_addresses() -> tuple[IPNetwork, ...]:
    """Return the addresses that this machine speaks to the internet from: our own, whatever the settings name.

    Asks the system's routes and sends nothing. The addresses asked about are for documentation (RFC 5737, RFC 3849).
    """
    found: list[IPNetwork] = []
    for family, place in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError, ValueError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((place, 9))
            found.append(ipaddress.ip_network(probe.getsockname()[0].partition("%")[0]))
    return tuple(found)


def parse_address(host: str) -> IPAddress | None:
    """Return the address that a URL's host literal stands for, ``None`` where it is a name.

    Takes what WHATWG URL parsing leaves: dotted IPv4, or IPv6 with or without brackets.
    """
    text = host.strip("[]")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_local_name(name: str) -> bool:
    """Tell whether a host name can only mean something inside, so that it is not even looked up."""
    name = name.rstrip(".").lower()
    if "." not in name or name in METADATA_NAMES:
        return True
    return name.endswith(
        (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".intranet", ".corp", ".onion")
    )
