"""Roles: what a process can do."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a process can do."""

    GATEWAY = "gateway"
    COPIES = "copies"
    FETCHER = "fetcher"
    CONSOLE = "console"
    EGRESS = "egress"  # an exit for the fetchers of other machines; never unless it is asked for


ALL_ROLES = frozenset(Role) - {Role.EGRESS}
