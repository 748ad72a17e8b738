"""Organisations: whose a mail domain is."""

from __future__ import annotations

from collections.abc import Mapping

#: The organisation of whatever belongs to no other.
DEFAULT_ORGANISATION = "default"


def organisation_of(domain: str, table: Mapping[str, str]) -> str:
    """Return the organisation of a mail domain: that of the longest domain of ``table`` that it is or lies below.

    ``table`` has organisations by lower-case domain. What belongs to nobody belongs to ``default``.
    """
    name = domain.lower().rstrip(".")
    while name:
        if name in table:
            return table[name]
        name = name.partition(".")[2]
    return DEFAULT_ORGANISATION


def organisation_of_address(address: str, table: Mapping[str, str]) -> str:
    """Return the organisation of a mail address."""
    return organisation_of(address.rpartition("@")[2], table)
