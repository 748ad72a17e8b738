"""Matching: which of the imported lists name an address. Tables by host and word; an existing engine where it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, Final, NamedTuple

from mailveil.core.references.types import Vector
from mailveil.core.verdicts.lists.rules import NetworkRule, words_of
from mailveil.core.verdicts.lists.types import ImportedList, Indication, Listed

MAX_CHARACTERS: Final = 2_048  # of an address; what comes after says nothing more
MAX_SHOWN: Final = 120  # of an indicator that is told
_KINDS: Final = {
    Vector.LINK_STYLESHEET: "stylesheet", Vector.CSS_IMPORT: "stylesheet", Vector.CSS_FONT: "font",
    Vector.AUDIO_SRC: "media", Vector.VIDEO_SRC: "media", Vector.SOURCE_SRC: "media", Vector.BGSOUND_SRC: "media",
    Vector.IFRAME_SRC: "subdocument", Vector.OBJECT_DATA: "object", Vector.EMBED_SRC: "object",
}  # fmt: skip
# There is no page in mail; whatever it loads is another party's to this one.
_NOWHERE: Final = "https://mail.invalid/"


def kind_of(vector: Vector) -> str:
    """Return what a list calls the request that a reference makes."""
    return _KINDS.get(vector, "image")


class _Question(NamedTuple):
    """An address as the tables are asked about it; ``after`` is where its host ends."""

    url: str
    lowered: str
    host: str
    after: int
    kind: str
    words: frozenset[str]


class Lists:
    """Imported lists, ready for questions."""

    def __init__(self, imported: Sequence[ImportedList], *, engine: bool = True) -> None:
        self.names = tuple(each.name for each in imported)
        self._lists = [_One(each, engine=engine) for each in imported]
        self._needs_words = any(each.needs_words for each in self._lists)
        self._indications: tuple[Indication, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._lists or self._indications)

    def with_indications(self, indications: Sequence[Indication]) -> Lists:
        """Return these lists together with indicators that may name something in one message."""
        if not indications:
            return self
        made = copy(self)
        made._indications = tuple(indications)
        return made

    def look(self, url: str, host: str, kind: str = "image") -> tuple[Listed, ...]:
        """Return what the lists say of an address, each list once. ``host`` is in lower case without port."""
        if not self:
            return ()
        lowered = url[:MAX_CHARACTERS].lower()
        words = frozenset(words_of(lowered)) if self._needs_words else frozenset()
        question = _Question(url, lowered, host, _end_of_host(lowered, host), kind, words)
        found = [each.look(question) for each in self._lists]
        indicated = (
            Listed(each.feed, each.value[:MAX_SHOWN], is_indicator=True)
            for each in self._indications
            if each.names(url, host)
        )
        return tuple(listed for listed in (*found, *indicated) if listed is not None)

    def look_at_names(self, chain: Iterable[str]) -> tuple[Listed, ...]:
        """Return what the lists say of the names that a host is an alias for, each list once."""
        names = [name.rstrip(".").lower() for name in chain]
        found = []
        for each in self._lists:
            listed = next(filter(None, (each.look_at_name(name) for name in names)), None)
            if listed is not None:
                found.append(listed)
        return tuple(found)


NO_LISTS: Final = Lists(())


@lru_cache(maxsize=4)
def lists_of(imported: tuple[ImportedList, ...]) -> Lists:
    """Return lists ready for questions, made once for as long as they are the same objects."""
    return Lists(imported)


class _One:
    """One list."""

    def __init__(self, imported: ImportedList, *, engine: bool) -> None:
        parsed = imported.parsed
        self.name = imported.name
        self.hosts = parsed.hosts
        self.cnames = parsed.cnames
        self.engine = _engine(parsed.lines) if engine and parsed.lines else None
        self.rules = _Index(parsed.rules) if self.engine is None else _Index(())
        self.exceptions = _Index(parsed.exceptions) if self.engine is None else _Index(())
        self.needs_words = self.rules.needs_words or self.exceptions.needs_words

    def look(self, question: _Question) -> Listed | None:
        """Return what this list says of an address."""
        for suffix in _suffixes(question.host):
            owner = self.hosts.get(suffix)
            if owner is not None:
                return Listed(self.name, suffix, owner)
        if self.engine is not None:
            return self._ask(self.engine, question)
        rule = self.rules.find(question)
        if rule is None or self.exceptions.find(question) is not None:
            return None
        return Listed(self.name, rule.text)

    def look_at_name(self, name: str) -> Listed | None:
        """Return what this list says of a name that a host is an alias for."""
        for suffix in _suffixes(name):
            for table in (self.cnames, self.hosts):
                owner = table.get(suffix)
                if owner is not None:
                    return Listed(self.name, suffix, owner)
        return None

    def _ask(self, engine: Any, question: _Question) -> Listed | None:
        try:
            answer = engine.check_network_urls(question.url[:MAX_CHARACTERS], _NOWHERE, question.kind)
        except Exception:  # the engine's own errors have no common name; what it cannot read is on no list
            return None
        return Listed(self.name, answer.filter or "a rule") if answer.matched else None


class _Index:
    """Rules by the host or the word that they are looked up by."""

    def __init__(self, rules: Iterable[NetworkRule]) -> None:
        self.by_host: dict[str, list[NetworkRule]] = {}
        self.by_word: dict[str, list[NetworkRule]] = {}
        for rule in rules:
            table, key = (self.by_host, rule.host) if rule.host else (self.by_word, rule.word)
            table.setdefault(key, []).append(rule)
        self.needs_words = bool(self.by_word)

    def find(self, question: _Question) -> NetworkRule | None:
        """Return the first rule that an address has the shape of."""
        for rules in self._candidates(question):
            for rule in rules:
                if rule.fits(question.lowered, question.after, question.kind):
                    return rule
        return None

    def _candidates(self, question: _Question) -> Iterator[list[NetworkRule]]:
        for suffix in _suffixes(question.host) if self.by_host else ():
            if suffix in self.by_host:
                yield self.by_host[suffix]
        for word in sorted(question.words & self.by_word.keys()):
            yield self.by_word[word]


def _engine(lines: Sequence[str]) -> Any:
    """Return the engine of the extra "lists" with these rules, ``None`` where it is not installed."""
    try:
        from adblock import Engine, FilterSet
    except ImportError:
        return None
    rules = FilterSet(debug=True)  # so that it says which rule it was
    rules.add_filters(list(lines))
    return Engine(rules)


def _end_of_host(url: str, host: str) -> int:
    """Return where the host of an address ends: not at its first mention, which may be user information."""
    start = url.find("//") + 2
    end = min((at for mark in "/?#" if (at := url.find(mark, start)) >= 0), default=len(url))
    start = max(start, url.rfind("@", start, end) + 1)
    return start + len(host) if url.startswith(host, start) else end


def _suffixes(host: str) -> Iterator[str]:
    while host:
        yield host
        host = host.partition(".")[2]
