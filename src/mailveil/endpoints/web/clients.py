"""Clients: from where a request comes, also where a proxy in front of us hands it on."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from starlette.requests import Request

Networks = Sequence[IPv4Network | IPv6Network]


def client_address(request: Request, trusted_proxies: Networks) -> str:
    """Return the client's address; behind trusted proxies, what the outermost of them saw (``X-Forwarded-For``).

    What is further out in that field was written by whoever asks, and is not looked at.
    """
    address = _plain(request.client.host) if request.client else ""
    seen = [each.strip() for each in ",".join(request.headers.getlist("x-forwarded-for")).split(",")]
    while seen and _is_trusted(address, trusted_proxies):
        nearer = _plain(seen.pop())
        if not nearer:
            break
        address = nearer
    return address


def _plain(text: str) -> str:
    """Return an address as it is written alone: an IPv4 one that came over an IPv6 socket too; ``""`` for others."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _is_trusted(address: str, trusted_proxies: Networks) -> bool:
    return bool(address) and any(ipaddress.ip_address(address) in each for each in trusted_proxies)
