"""Indicators: what others told of, ready to be found in a message, and which of it is never taken. Pure.

A feed is others' word, and may be wrong or turned against us: nothing in it can name what everybody uses, or the
organisation itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

from mailveil.core.recognition.shared import PLATFORMS, is_shared_domain, is_shared_host
from mailveil.core.recognition.types import KnownBy, MessageTraits, Recognition
from mailveil.core.references.url import resolve
from mailveil.core.verdicts.addresses import registrable_domain, take_apart
from mailveil.core.verdicts.lists.types import Indication
from mailveil.core.verdicts.operators import ASSET_HOSTS

MAX_FOUND: Final = 50  # of one message
MAX_AT_ONE_HOST: Final = 500  # that are compared with each URL there
MAX_WILDCARDS: Final = 12  # of one shape
# What looks like somebody's own place at a host that serves many.
_SOMEBODYS: Final = re.compile(r"(?=[\w-]*\d)[\w-]{8}|[\w-]{16}")


class Taken(NamedTuple):
    """An indicator as it is kept: ``kind`` is ``domain`` (with all below it) or ``host``, or else of URLs.

    Those are ``url``, ``prefix`` and ``shape``, in which ``*`` stands for anything.
    """

    kind: str
    value: str


def taken_as(kind: str, value: str, own_domains: Iterable[str]) -> Taken | str:
    """Return how an indicator is kept (a ``host``, all ``below`` one, or a kind of URLs), or why it is not."""
    own = frozenset(own_domains)
    if kind == "shape":
        return _taken_shape(value, own)
    if kind in ("url", "prefix"):
        return _taken_address(kind, value, own)
    domain = registrable_domain(value)
    if not domain:
        return "public-suffix"
    if _is_own(value, own):
        return "own-domain"
    if value == domain or kind == "below":
        if is_shared_domain(domain) or _serves_below(value):
            return "serves-everybody"
        return Taken("domain", value)
    return "serves-everybody" if is_shared_host(value) else Taken("host", value)


def _taken_address(kind: str, value: str, own: frozenset[str]) -> Taken | str:
    url = resolve(value)
    if url is None:
        return "no-address"
    place = take_apart(url)
    if not place.host:
        return "no-address"
    if not registrable_domain(place.host):
        return "public-suffix"
    if _is_own(place.host, own):
        return "own-domain"
    is_root = place.target in ("", "/", "/#") or (len(place.path.strip("/")) == 0 and not place.query)
    is_shared = is_shared_host(place.host) or is_shared_domain(registrable_domain(place.host))
    if is_root and is_shared_host(place.host):
        return "serves-everybody"
    if kind == "prefix" and is_shared and _SOMEBODYS.search(place.target) is None:
        return "serves-everybody"  # all forms, or all files, of whoever has any there
    return Taken(kind, url)


def _taken_shape(value: str, own: frozenset[str]) -> Taken | str:
    """Return how the shape of URLs is kept: at hosts of one domain that serves nobody else."""
    scheme, _, rest = value.partition("://")
    host, slash, path = rest.partition("/")
    kept = Indication("shape", f"{scheme.lower()}://{host.lower()}{slash}{path}", "")
    if not slash or "*" in kept.base or value.count("*") > MAX_WILDCARDS:
        return "wildcards"
    if resolve(value.replace("*", "x")) is None:
        return "no-address"
    domain = registrable_domain(kept.base)
    if not domain:
        return "public-suffix"
    if _is_own(kept.base, own):
        return "own-domain"
    if is_shared_host(kept.base) or is_shared_domain(domain) or _serves_below(kept.base):
        return "serves-everybody"
    return Taken("shape", kept.value)


def _serves_below(domain: str) -> bool:
    """Tell whether a host of a domain serves everybody: ``www.w3.org`` does, and so nobody names ``w3.org``."""
    return domain in _above_shared_hosts()


@cache
def _above_shared_hosts() -> frozenset[str]:
    labels = (each.split(".") for each in PLATFORMS | ASSET_HOSTS)
    return frozenset(".".join(each[at:]) for each in labels for at in range(1, len(each)))


def _is_own(host: str, own: frozenset[str]) -> bool:
    return any(host == each or host.endswith(f".{each}") or each.endswith(f".{host}") for each in own)


@dataclass(frozen=True, slots=True, eq=False)
class IndicatorIndex:
    """An organisation's indicators by where they are looked up. Build it once with ``indicators_of``.

    ``record`` is what it was made of, to be kept.
    """

    stamp: str = ""
    names: Mapping[str, Indication] = field(default_factory=dict)  # domains, and hosts with a leading "="
    addresses: Mapping[str, Indication] = field(default_factory=dict)
    prefixes: Mapping[str, tuple[Indication, ...]] = field(default_factory=dict)  # by host, shapes too

    def __bool__(self) -> bool:
        return bool(self.names or self.addresses or self.prefixes)

    def record(self) -> dict[str, Any]:
        """Return it as a JSON object, from which ``indicator_index_of`` makes it again."""
        listed = [*self.names.values(), *self.addresses.values()]
        listed += [each for some in self.prefixes.values() for each in some]
        return {"stamp": self.stamp, "indicators": [list(each) for each in listed]}

    def of_host(self, host: str) -> Indication | None:
        """Return what names a host, or a domain that it belongs to."""
        exact = self.names.get(f"={host}")
        if exact is not None:
            return exact
        while host:
            found = self.names.get(host)
            if found is not None:
                return found
            host = host.partition(".")[2]
        return None

    def of_address(self, url: str) -> Indication | None:
        """Return what names a normalised URL."""
        found = self.addresses.get(url)
        if found is not None:
            return found
        host = take_apart(url).host
        above = host
        while above:
            for each in self.prefixes.get(above, ()):
                if each.names(url, host):
                    return each
            above = above.partition(".")[2]
        return self.of_host(host)

    def look(self, urls: Iterable[str]) -> tuple[Indication, ...]:
        """Return what names any of a message's references, each once."""
        found: dict[Indication, None] = {}
        if self:
            for url in urls:
                indication = self.of_address(url)
                if indication is not None:
                    found[indication] = None
                    if len(found) >= MAX_FOUND:
                        break
        return tuple(found)


def indicators_of(indications: Iterable[Indication], stamp: str = "") -> IndicatorIndex:
    """Return indicators ready for questions; of several for the same thing the first one counts."""
    names: dict[str, Indication] = {}
    addresses: dict[str, Indication] = {}
    prefixes: dict[str, list[Indication]] = {}
    for each in indications:
        if each.kind == "url":
            addresses.setdefault(each.value, each)
        elif each.kind == "prefix":
            prefixes.setdefault(take_apart(each.value).host, []).append(each)
        elif each.kind == "shape":
            prefixes.setdefault(each.base, []).append(each)
        else:
            names.setdefault(each.value if each.kind == "domain" else f"={each.value}", each)
    bounded = {host: tuple(some[:MAX_AT_ONE_HOST]) for host, some in prefixes.items()}
    return IndicatorIndex(stamp, names, addresses, bounded)


def indicator_index_of(record: Mapping[str, Any]) -> IndicatorIndex:
    """Return what ``IndicatorIndex.record`` wrote down. Raises ``TypeError``, ``KeyError`` or ``ValueError``."""
    return indicators_of((Indication(*map(str, each)) for each in record["indicators"]), str(record["stamp"]))


def recognise_indicated(
    index: IndicatorIndex, traits: MessageTraits, own_domains: frozenset[str] = frozenset()
) -> Recognition | None:
    """Return a message as one from a domain that others told of; ``None`` where it is not."""
    for domain in (traits.author_domain, traits.sender_domain, traits.reply_domain):
        if not domain or domain in own_domains or is_shared_domain(domain):
            continue
        found = index.names.get(domain) or index.names.get(f"={domain}")
        if found is not None:
            words = f"{domain} is listed as an indicator by {found.feed}"
            return Recognition("", found.feed, KnownBy.INDICATOR, domain, 0.0, words)
    return None
