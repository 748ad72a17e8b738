"""Addresses on the net: a URL's host and target, registrable domains, random tokens, URL templates."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple

from publicsuffixlist import PublicSuffixList

_SUFFIXES: Final = PublicSuffixList()
_TARGET: Final = re.compile(r"[/?#]")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_\-]{16,}+")
_RUNS: Final = re.compile(r"[a-z]++|[A-Z]++|[0-9]++")
_VARYING: Final = re.compile(r"[A-Za-z_\-~=%+]*+[0-9][A-Za-z0-9_\-~=%+]*+|[A-Za-z_\-~=%+]{20,}+")
_VALUE: Final = re.compile(r"=[^&;]*+")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{16,}+")
_MAX_CHARACTERS: Final = 4_096  # of a URL; what comes after says nothing more
_MAX_TOKENS: Final = 24
# Letters, digits and cases alternate in random tokens; words and dates make long runs.
_RANDOM: Final = 0.28


class Place(NamedTuple):
    """A URL taken apart: scheme and host in lower case, host without port and userinfo, path with query."""

    scheme: str
    host: str
    path: str
    query: str

    @property
    def target(self) -> str:
        """Path and query as they stand."""
        return f"{self.path}?{self.query}" if self.query else self.path


def take_apart(url: str) -> Place:
    """Return the pieces of a normalised URL; what has no authority (``mailto:``) has no host."""
    scheme, _, rest = url[:_MAX_CHARACTERS].partition(":")
    if not rest.startswith("//"):
        return Place(scheme.lower(), "", rest, "")
    match = _TARGET.search(rest, 2)
    end = match.start() if match else len(rest)
    authority = rest[2:end]
    if "@" in authority:
        authority = authority.rpartition("@")[2]
    host = authority[: authority.find("]") + 1] if authority.startswith("[") else authority.partition(":")[0]
    path, _, query = rest[end:].partition("?")
    return Place(scheme.lower(), host.lower(), path, query)


@lru_cache(maxsize=8_192)
def registrable_domain(host: str) -> str:
    """Return the registrable domain of a host name, an IP address as it is, ``""`` for a public suffix."""
    if is_ip_address(host):
        return host
    return _SUFFIXES.privatesuffix(host.rstrip(".").lower()) or ""


@lru_cache(maxsize=8_192)
def is_ip_address(host: str) -> bool:
    """Tell whether a host is an IP address rather than a name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def is_random(token: str) -> bool:
    """Tell whether a token of at least sixteen characters looks made by chance rather than of words."""
    runs = len(_RUNS.findall(token))
    if runs >= len(token) * _RANDOM:
        return True
    return len(token) >= 24 and _HEX.fullmatch(token) is not None and not token.isdigit()


def random_tokens(text: str) -> list[str]:
    """Return the random-looking tokens of a path or query, the first few of them."""
    found = []
    for match in _TOKEN.finditer(text):
        if is_random(match[0]):
            found.append(match[0])
            if len(found) == _MAX_TOKENS:
                break
    return found


def template_of(place: Place) -> str:
    """Return a URL's template: its host and path with whatever could tell readers apart taken out.

    Two URLs that a sender made for two readers from one pattern have one template; values of the query do not
    count, their names do.
    """
    path = _VARYING.sub("*", place.path)
    query = _VALUE.sub("=*", place.query)
    return f"{place.host}{path}?{query}"
