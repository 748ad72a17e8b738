"""Organisations: whose a mail domain is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mailveil.core.authentication.trust import ascii_domain

#: The organisation of whatever belongs to no other.
DEFAULT_ORGANISATION = "default"


def organisation_table(organisations: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """Return organisations by domain, out of their identifiers with their domains; the first one has a domain."""
    table: dict[str, str] = {}
    for identifier, domains in organisations:
        for domain in domains:
            table.setdefault(ascii_domain(domain.strip().lstrip("@.")), identifier)
    table.pop("", None)
    return table


def organisation_of(domain: str, table: Mapping[str, str]) -> str:
    """Return the organisation of a mail domain: that of the longest domain of ``table`` that it is or lies below.

    ``table`` has organisations by lower-case domain. What belongs to nobody belongs to ``default``.
    """
    name = ascii_domain(domain)
    while name:
        if name in table:
            return table[name]
        name = name.partition(".")[2]
    return DEFAULT_ORGANISATION


def organisation_of_address(address: str, table: Mapping[str, str]) -> str:
    """Return the organisation of a mail address."""
    return organisation_of(address.rpartition("@")[2], table)
