"""Settings of the API."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from mailveil.control.health import HealthCheck
from mailveil.core.policy import PolicySettings

API_PATH = "/api/v1"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What the composition root tells the API.

    ``requests_per_minute`` are those of one token, or of one client address without a valid one;
    ``inspect_per_minute`` messages to examine, of one token. ``max_message_bytes`` is the largest message that is
    examined, ``inspections`` how many at once. ``health`` tells how everything is doing,
    ``policy`` is what the configuration file says of the rules.
    ``trusted_proxies`` are taken at their word for a client's address.
    """

    version: str = ""
    requests_per_minute: int = 600
    inspect_per_minute: int = 60
    max_message_bytes: int = 52_428_800
    inspections: int = 4
    health: HealthCheck | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    policy: PolicySettings | None = None
