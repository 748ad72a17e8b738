"""Settings of the SMTP and LMTP doors."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Settings of a door.

    ``clients`` may send to anybody, everybody else only to ``recipient_domains``; with neither, everybody who
    can connect may send, which is refused off loopback. ``trusted_peers`` may use XCLIENT and XFORWARD.
    """

    hostname: str
    clients: tuple[Network, ...] = ()
    recipient_domains: frozenset[str] = frozenset()
    trusted_peers: tuple[Network, ...] = ()
    max_message_bytes: int = 50 * 1024 * 1024
    max_bytes_in_flight: int = 256 * 1024 * 1024
    max_connections: int = 200
    max_transactions: int = 16
    max_recipients: int = 1000
    max_hops: int = 50
    timeout_s: float = 300.0
    data_timeout_s: float = 3600.0
    busy_timeout_s: float = 20.0


def contains(networks: tuple[Network, ...], address: str) -> bool:
    """Tell whether an address is in one of the networks; what is no address is in none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
