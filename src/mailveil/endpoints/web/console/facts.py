"""Facts: what the composition root tells the console about the process that it is in."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from mailveil.core.policy.types import PolicySettings


@dataclass(frozen=True, slots=True)
class Listening:
    """One line of what listens where: ``name`` of the role, its address, and in a few words what for."""

    name: str
    address: str
    purpose: str


@dataclass(frozen=True, slots=True)
class ConsoleFacts:
    """What the composition root tells the console about itself. Nothing here is a secret.

    ``policy_settings`` are those of the configuration file, beside every organisation's own policy.
    """

    version: str
    listening: tuple[Listening, ...]
    next_hop: str
    copies_url: str
    copies_mode: str
    fetching: bool
    try_command: str
    postfix_recipe: str
    directory: str
    host_names: frozenset[str]
    warnings: tuple[str, ...] = ()
    console_url: str = "http://localhost"
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    policy_settings: PolicySettings = field(default_factory=PolicySettings)

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the console by https."""
        return self.console_url.startswith("https://")
