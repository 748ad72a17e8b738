"""Matching: which operator an address, a chain of names, a signature or a header field belongs to.

Everything is looked up in tables: by the ends of a host name, and by the words of a path where a service answers
under its customers' names. An answer takes a time bounded by the length of the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from mailveil.core.verdicts.operators.paths import WORD
from mailveil.core.verdicts.operators.reading import Catalogue, index_words
from mailveil.core.verdicts.operators.types import Entry, Facet, Fact, Shape, named
from mailveil.core.verdicts.types import Operator

MAX_CHARACTERS: Final = 2_048  # of path and query; what comes after says nothing more
MAX_NAMES: Final = 64
MAX_HOST: Final = 255
_NUMBER: Final = re.compile(r"[0-9]+")
# Of a name that everybody's mail may hold, such as a cloud's, less than of an operator's own.
_BY_NAME: Final = 0.9
_BY_HOST: Final = 0.8
_BY_FIELD: Final = 0.8


class Finder:
    """The catalogue, ready for questions."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.by_host: dict[str, list[Shape]] = {}
        self.by_word: dict[str, list[Shape]] = {}
        common = _frequencies(catalogue.shapes)
        for shape in catalogue.shapes:
            if shape.host:
                self.by_host.setdefault(shape.host, []).append(shape)
            else:
                # The rarest and longest of its words, so that few shapes have to be looked at.
                word = min(index_words(shape), key=lambda each: (common[each], -len(each), each))
                self.by_word.setdefault(word, []).append(shape)
        for shapes in (*self.by_host.values(), *self.by_word.values()):
            shapes.sort(key=lambda shape: (not shape.path.text, -shape.confidence))
        self.words = frozenset(self.by_word)
        # Most hosts are nobody's, and a message names few.
        self.shapes_of = lru_cache(maxsize=4_096)(self._shapes_of)
        self.facts: dict[Facet, dict[str, tuple[Entry, Fact]]] = {facet: {} for facet in Facet}
        for entry in catalogue.entries:
            for facet, facts in entry.facts.items():
                for fact in facts:
                    key = fact.value.partition(":")[0] if facet is Facet.FIELDS else fact.value
                    self.facts[facet][key.lower()] = (entry, fact)

    def shape(self, host: str, target: str) -> Shape | None:
        """Return the shape that an address has, ``None`` for nobody's."""
        target = target[:MAX_CHARACTERS]
        path, _, query = target.partition("?")
        for shape in self.shapes_of(host[-MAX_HOST:]):
            if shape.fits(path, query, target):
                return shape
        best: Shape | None = None
        for word in self.words.intersection(WORD.findall(target)):
            for shape in self.by_word[word]:
                if (best is None or _before(shape, best)) and shape.fits(path, query, target):
                    best = shape
        return best

    def _shapes_of(self, host: str) -> tuple[Shape, ...]:
        """Return the shapes of a host, those of its longest suffix first."""
        return tuple(shape for name in _suffixes(host) for shape in self.by_host.get(name, ()))

    def by_names(
        self, facet: Facet, names: Iterable[str], evidence: str, confidence: float
    ) -> Operator | None:
        """Return the operator to whom the first of ``names`` that is anybody's belongs."""
        table = self.facts[facet]
        for number, each in enumerate(names):
            if number >= MAX_NAMES:
                break
            for suffix in _suffixes(each.rstrip(".").lower()):
                found = table.get(suffix)
                if found is not None:
                    entry, fact = found
                    return named(entry, confidence, evidence.format(suffix), fact.source)
        return None

    def by_cname(self, chain: Iterable[str]) -> Operator | None:
        """Return whose name a chain of CNAMEs leads to."""
        return self.by_names(Facet.CNAMES, chain, "the host is an alias for {}", _BY_NAME)

    def by_nameserver(self, names: Iterable[str]) -> Operator | None:
        """Return whose name servers a domain has."""
        return self.by_names(Facet.NAMESERVERS, names, "its name server is {}", _BY_NAME)

    def by_signer(self, domains: Iterable[str]) -> Operator | None:
        """Return who signed a message or takes its bounces."""
        return self.by_names(Facet.SIGNERS, domains, "the message is signed or bounces to {}", _BY_NAME)

    def by_host_name(self, host: str) -> Operator | None:
        """Return whose host it is, whatever lies there: no sign of tracking in itself."""
        return self.by_names(Facet.HOSTS, (host,), "the host belongs to {}", _BY_HOST)

    def by_fields(self, fields: Mapping[str, str]) -> Operator | None:
        """Return which mail service's header fields a message has; names in lower case."""
        table = self.facts[Facet.FIELDS]
        for name, value in fields.items():
            found = table.get(name)
            if found is None:
                continue
            entry, fact = found
            wanted = fact.value.partition(": ")[2]
            if wanted.lower() in value.lower():
                return named(entry, _BY_FIELD, f"the message has the field {fact.value}", fact.source)
        return None


def _frequencies(shapes: Iterable[Shape]) -> dict[str, int]:
    found: dict[str, int] = {}
    for shape in shapes:
        for word in index_words(shape) if not shape.host else ():
            found[word] = found.get(word, 0) + 1
    return found


def _before(one: Shape, other: Shape) -> bool:
    """Tell whether a shape says more than another: the surer, then the longer, then by name."""
    left = (-one.confidence, -len(one.path.text), one.name)
    return left < (-other.confidence, -len(other.path.text), other.name)


def _suffixes(host: str) -> Iterator[str]:
    """Return a host name and what it ends in by whole labels, from the longest, each in all its forms."""
    name = host[-MAX_HOST:]
    while name:
        yield from _forms(name)
        name = name.partition(".")[2]


def _forms(name: str) -> tuple[str, ...]:
    """Return a name, with ``#`` for its numbers, and with ``*`` for what follows a hyphen in its first label."""
    general = _NUMBER.sub("#", name)
    label, _, rest = name.partition(".")
    if "-" in label:
        return (name, general, f"{label.partition('-')[0]}-*.{rest}")
    return (name,) if general == name else (name, general)
