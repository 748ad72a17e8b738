"""Operators: who is behind mail tracking, as data with the source of every fact (docs/operators.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

from mailveil.core.verdicts.operators.assets import ASSET_HOSTS
from mailveil.core.verdicts.operators.matching import Finder
from mailveil.core.verdicts.operators.reading import Catalogue, parse_catalogue
from mailveil.core.verdicts.operators.types import (
    CatalogueError,
    Category,
    Entry,
    Facet,
    Fact,
    Shape,
    Source,
    operator_of,
    operator_with_lists,
)
from mailveil.core.verdicts.types import Operator

__all__ = [
    "ASSET_HOSTS",
    "Catalogue",
    "CatalogueError",
    "Category",
    "Entry",
    "Facet",
    "Fact",
    "Shape",
    "Source",
    "catalogue",
    "find_operator",
    "operator_by_authentication",
    "operator_by_cname",
    "operator_by_fields",
    "operator_by_nameserver",
    "operator_of",
    "operator_of_host",
    "operator_with_lists",
]


@cache
def catalogue() -> Catalogue:
    """Return the catalogue as it ships; read once. Raises ``CatalogueError`` where its data is wrong."""
    folder = resources.files(__name__)
    files = {each.name: each.read_text("utf-8") for each in folder.iterdir() if each.name.endswith(".json")}
    return parse_catalogue(files)


@cache
def _finder() -> Finder:
    return Finder(catalogue())


def find_operator(host: str, target: str) -> Shape | None:
    """Return the shape that an address has, or ``None``.

    ``host`` is lower-case without port, ``target`` path and query as they stand. Takes a time bounded by the
    length of both.
    """
    return _finder().shape(host, target)


def operator_by_cname(chain: Iterable[str]) -> Operator | None:
    """Return to whom a chain of CNAMEs leads: where a tracker hides behind its customer's name."""
    return _finder().by_cname(chain)


def operator_by_nameserver(names: Iterable[str]) -> Operator | None:
    """Return whose name servers these are."""
    return _finder().by_nameserver(names)


def operator_by_authentication(domains: Iterable[str]) -> Operator | None:
    """Return which mail service signed a message (the d= of DKIM) or takes its bounces (the return path)."""
    return _finder().by_signer(domains)


def operator_by_fields(fields: Mapping[str, str]) -> Operator | None:
    """Return which mail service's header fields these are; names in lower case."""
    return _finder().by_fields(fields)


def operator_of_host(host: str) -> Operator | None:
    """Return whose host this is, whatever lies there; no sign of tracking in itself."""
    return _finder().by_host_name(host)
