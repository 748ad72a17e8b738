"""The words for imported lists: format, what was read of one, and what it says of an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mailveil.core.verdicts.lists.rules import NetworkRule


class ListFormat(StrEnum):
    """How a list is written. Values are permanent: what is imported says which it is."""

    ADBLOCK = "adblock"  # network rules as Adblock Plus, EasyPrivacy and uBlock Origin write them
    HOSTS = "hosts"  # a hosts file, or one host name a line
    DISCONNECT = "disconnect"  # Disconnect's services.json or entities.json
    CNAMES = "cnames"  # AdGuard's lists of trackers that hide behind the names of others


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """What was read of a list.

    ``hosts`` and ``cnames`` lead from a host name, which stands for all below it, to whose it is (``""`` where
    the list does not say). ``exceptions`` take back what ``rules`` say. ``lines`` are the network rules as they
    stand in the list. ``skipped`` counts what could not be used, by reason.
    """

    format: ListFormat
    title: str = ""
    licence: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    cnames: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[NetworkRule, ...] = ()
    exceptions: tuple[NetworkRule, ...] = ()
    lines: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many rules and names can be used."""
        return len(self.hosts) + len(self.cnames) + len(self.rules) + len(self.exceptions)

    @property
    def entries(self) -> frozenset[str]:
        """Everything that can be used, as text, to compare one edition with another."""
        return frozenset(
            (
                *(f"{host} {owner}".strip() for host, owner in self.hosts.items()),
                *(f"cname {host} {owner}".strip() for host, owner in self.cnames.items()),
                *(rule.text for rule in self.rules),
                *(rule.text for rule in self.exceptions),
            )
        )


# Compared by identity: it is large, and one object for the life of a process.
@dataclass(frozen=True, slots=True, eq=False)
class ImportedList:
    """A list that the organisation imported, under the name that it gave it."""

    name: str
    parsed: Parsed


class Indication(NamedTuple):
    """An indicator that others shared, and the feed that told of it; kinds are those of ``recognition.indicators``."""

    kind: str
    value: str
    feed: str

    def names(self, url: str, host: str) -> bool:
        """Tell whether it names an address."""
        match self.kind:
            case "url":
                return url == self.value
            case "prefix":
                return url.startswith(self.value)
            case "shape":
                return self._is_below(host) and _fits(self.value, url)
            case "domain":
                return host == self.value or host.endswith(f".{self.value}")
            case _:
                return host == self.value

    @property
    def base(self) -> str:
        """The host that a shape's URLs are at or below."""
        return self.value.partition("://")[2].partition("/")[0].partition(":")[0].removeprefix("*.")

    def _is_below(self, host: str) -> bool:
        return host == self.base or host.endswith(f".{self.base}")


def _fits(shape: str, url: str) -> bool:
    """Tell whether a URL is of a shape, in which ``*`` stands for anything. Each piece is sought once."""
    first, *pieces = shape.split("*")
    if not pieces or not url.startswith(first):
        return url == shape
    at, end = len(first), len(url) - len(pieces[-1])
    for each in pieces[:-1]:
        found = url.find(each, at, end)
        if found < 0:
            return False
        at = found + len(each)
    return at <= end and url.endswith(pieces[-1])


class Listed(NamedTuple):
    """That a list names an address: the list, the rule or host name, and whose the list says it is.

    ``is_indicator``: it is no list but a feed of indicators.
    """

    list: str
    rule: str
    owner: str = ""
    is_indicator: bool = False

    def __str__(self) -> str:
        if self.is_indicator:
            return f"{self.rule} is listed as an indicator by {self.list}"
        owner = f", which it says is {self.owner}" if self.owner else ""
        return f"the list {self.list} names {self.rule}{owner}"
