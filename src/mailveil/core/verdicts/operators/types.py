"""The words of the catalogue: operator, fact, source and the shape of an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mailveil.core.verdicts.lists.types import Listed
from mailveil.core.verdicts.operators.paths import PathShape
from mailveil.core.verdicts.types import Kind, Operator

UNVERIFIED_CONFIDENCE = 0.5  # no fact without a source that can be opened says more
LISTED_CONFIDENCE = 0.5  # a list's word alone; the organisation trusts it, we have not looked


class CatalogueError(Exception):
    """The catalogue's data is not what it must be; the text names the file, the operator and the fact."""


class Category(StrEnum):
    """What an operator is. Values are permanent: reports carry them."""

    MAIL_SERVICE = "mail-service"  # sends mail for others and counts its openings
    SALES = "sales"  # tells sellers, recruiters and helpers who read their mail
    READ_TRACKER = "read-tracker"  # tells anybody when mail that they sent is read
    ANALYTICS = "analytics"  # measures mail that others send
    ADVERTISING = "advertising"  # buys, sells and measures advertisements
    SOFTWARE = "software"  # runs under the names of whoever installed it
    PHISHING = "phishing"  # software and kits for deceiving people, in earnest or as an exercise
    SENDER = "sender"  # counts the openings of its own mail


class Facet(StrEnum):
    """By what an operator is known. Values are the names of the lists in the data."""

    PATTERNS = "patterns"  # the shape of an address
    HOSTS = "hosts"  # a host name or what it ends in; anything may lie there
    CNAMES = "cnames"  # what the names of customers are aliases for
    NAMESERVERS = "nameservers"  # name servers of domains that it registered
    SIGNERS = "signers"  # domains of DKIM signatures and return paths
    FIELDS = "fields"  # a header field that it puts into mail


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact stands for anybody to read: a page, or a file of a public repository at a commit.

    ``samples`` says that it is a collection of messages, which models may have been trained and tested on.
    """

    key: str
    title: str
    url: str = ""
    repository: str = ""
    path: str = ""
    commit: str = ""
    samples: bool = False

    @property
    def address(self) -> str:
        """The URL at which it can be opened."""
        if self.url:
            return self.url
        return f"https://github.com/{self.repository}/blob/{self.commit}/{self.path}"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that an operator is known by. ``source`` is ``None`` where nothing can be opened for it."""

    value: str
    source: Source | None

    @property
    def verified(self) -> bool:
        """Whether its source can be opened."""
        return self.source is not None


@dataclass(frozen=True, slots=True)
class Entry:
    """One operator: its name, whose it is, and everything that it is known by.

    ``owner`` is the company that runs it where that is another name, ``parent`` what the owner belongs to.
    ``facts`` do not hold the patterns.
    """

    name: str
    category: Category
    kinds: tuple[Kind, ...] = (Kind.OPEN,)
    owner: str = ""
    parent: str = ""
    owner_source: Source | None = None
    facts: Mapping[Facet, tuple[Fact, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of one operator's tracking addresses. Empty criteria hold for anything; all given must hold.

    ``host`` is a name or what it ends in after a dot, ``#`` standing for a number; without it the operator is
    known by ``path`` and ``query`` alone, as where it serves under its customers' names. ``query`` names
    parameters that must be there, ``has`` holds text that must stand somewhere in path or query.
    ``example`` is an address of this shape, read in ``example_source`` and not made from the shape.
    """

    entry: Entry
    path: PathShape
    host: str = ""
    query: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = (Kind.OPEN,)
    confidence: float = 0.95
    source: Source | None = None
    example: str = ""
    example_source: Source | None = None

    @property
    def name(self) -> str:
        """The operator's name."""
        return self.entry.name

    @property
    def kind(self) -> Kind:
        """The weightiest thing that it tells."""
        return self.kinds[0]

    @property
    def verified(self) -> bool:
        """Whether the source of the shape can be opened."""
        return self.source is not None

    @property
    def from_samples(self) -> bool:
        """Whether the shape was read off messages: who measures on the same ones leaves it out."""
        return self.source is not None and self.source.samples

    def fits(self, path: str, query: str, target: str) -> bool:
        """Tell whether an address has this shape; the host is the index's business."""
        if not self.path.fits(path):
            return False
        for text in self.has:
            if text not in target:
                return False
        if not self.query:
            return True
        padded = f"&{query}"
        return all(f"&{name}=" in padded for name in self.query)

    def __str__(self) -> str:
        query = "?" + "&".join(f"{name}=" for name in self.query) if self.query else ""
        return f"{self.host}{self.path.text}{query}{''.join(f' … {text}' for text in self.has)}"


def operator_of(shape: Shape) -> Operator:
    """Return who runs a tracker of this shape."""
    return named(shape.entry, shape.confidence, f"the address has the shape {shape}", shape.source)


def operator_with_lists(operator: Operator | None, listed: Sequence[Listed]) -> Operator | None:
    """Return an operator with what imported lists say besides, or whom they name where nobody else is known."""
    said = "; ".join(map(str, listed))
    if operator is not None:
        return replace(operator, evidence=f"{operator.evidence}; {said}")
    owner = next((each.owner for each in listed if each.owner), "")
    return Operator(owner, LISTED_CONFIDENCE, evidence=said, verified=False) if owner else None


def named(entry: Entry, confidence: float, evidence: str, source: Source | None) -> Operator:
    """Return an operator with the evidence that led to it."""
    return Operator(
        name=entry.name,
        confidence=confidence if source is not None else min(confidence, UNVERIFIED_CONFIDENCE),
        owner=entry.owner,
        parent=entry.parent,
        category=str(entry.category),
        evidence=evidence,
        source="" if source is None else source.address,
        verified=source is not None,
    )
