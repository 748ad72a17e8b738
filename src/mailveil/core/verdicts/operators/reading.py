"""Reading the catalogue: data to operators, with every mistake said where it stands. Pure: text in, values out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from mailveil.core.verdicts.operators.paths import WORD, parse_path
from mailveil.core.verdicts.operators.types import (
    UNVERIFIED_CONFIDENCE,
    CatalogueError,
    Category,
    Entry,
    Facet,
    Fact,
    Shape,
    Source,
)
from mailveil.core.verdicts.types import Kind

SOURCES_FILE: Final = "sources.json"
UNVERIFIED: Final = "?"  # in the place of a source: nothing can be opened for it

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
# "#" stands for a number, "-*" at the end of the first label for what follows its hyphen.
_HOST: Final = re.compile(r"(?:[a-z0-9_#-]{1,63}|[a-z0-9_-]{1,61}-\*)(?:\.[a-z0-9_#-]{1,63})*\.[a-z]{2,24}")
_FIELD: Final = re.compile(r"[A-Za-z0-9-]+(?:: \S.*)?")
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9.-]*")
_ENTRY_KEYS: Final = frozenset(
    {"name", "category", "owner", "parent", "owner_source", "kinds", "patterns", "hosts", "cnames",
     "nameservers", "signers", "fields"}
)  # fmt: skip
_PATTERN_KEYS: Final = frozenset(
    {"host", "path", "query", "has", "kinds", "confidence", "source", "example", "example_source"}
)
_SOURCE_KEYS: Final = frozenset({"title", "url", "repository", "path", "commit"})
_FACT_LISTS: Final = (Facet.HOSTS, Facet.CNAMES, Facet.NAMESERVERS, Facet.SIGNERS, Facet.FIELDS)


class Catalogue(NamedTuple):
    """All operators, the shapes of their addresses, and where the facts come from."""

    entries: tuple[Entry, ...]
    shapes: tuple[Shape, ...]
    sources: Mapping[str, Source]


def parse_catalogue(files: Mapping[str, str]) -> Catalogue:
    """Return the catalogue that ``files`` (name to JSON text) hold. Raises ``CatalogueError``."""
    if SOURCES_FILE not in files:
        raise CatalogueError(f"{SOURCES_FILE}: is missing")
    sources = _sources(_load(SOURCES_FILE, files[SOURCES_FILE]))
    entries: list[Entry] = []
    shapes: list[Shape] = []
    for name in sorted(files):
        if name == SOURCES_FILE:
            continue
        listed = _load(name, files[name])
        if not isinstance(listed, list):
            raise CatalogueError(f"{name}: is no list of operators")
        for number, record in enumerate(listed, 1):
            entry, found = _Reader(name, number, record, sources).read()
            entries.append(entry)
            shapes += found
    _nothing_twice(entries)
    return Catalogue(tuple(entries), tuple(shapes), sources)


def _load(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CatalogueError(f"{name}: is no JSON: {error}") from error


def _sources(record: Any) -> dict[str, Source]:
    if not isinstance(record, dict):
        raise CatalogueError(f"{SOURCES_FILE}: is no object of sources")
    found: dict[str, Source] = {}
    for key, value in record.items():
        where = f"{SOURCES_FILE}: {key}"
        if not _KEY.fullmatch(key):
            raise CatalogueError(f"{where}: a key is lower-case letters, digits, dots and hyphens")
        if not isinstance(value, dict):
            raise CatalogueError(f"{where}: is no object")
        unknown = sorted(set(value) - _SOURCE_KEYS - {"samples"})
        if unknown:
            raise CatalogueError(f"{where}: knows no {unknown[0]!r}")
        texts = {name: value.get(name, "") for name in _SOURCE_KEYS}
        samples = value.get("samples", False)
        if not all(isinstance(each, str) for each in texts.values()) or not isinstance(samples, bool):
            raise CatalogueError(f"{where}: holds texts, and true or false for samples")
        source = Source(key, **texts, samples=samples)
        if not source.title.strip():
            raise CatalogueError(f"{where}: has no title")
        if source.url:
            if not source.url.startswith(("https://", "http://")) or " " in source.url:
                raise CatalogueError(f"{where}: {source.url!r} is no web address")
            if source.repository or source.path or source.commit:
                raise CatalogueError(f"{where}: is either a page (url) or a file (repository, path, commit)")
        elif not (
            _REPOSITORY.fullmatch(source.repository) and source.path and _COMMIT.fullmatch(source.commit)
        ):
            raise CatalogueError(
                f"{where}: needs a url, or repository (owner/name), path and commit (40 hexadecimal digits)"
            )
        found[key] = source
    return found


class _Reader:
    """One operator's record, and what is said when it is wrong."""

    def __init__(self, file: str, number: int, record: Any, sources: Mapping[str, Source]) -> None:
        self.where = f"{file}: operator {number}"
        if not isinstance(record, dict):
            raise CatalogueError(f"{self.where}: is no object")
        name = record.get("name")
        if not isinstance(name, str) or not name or name != name.strip():
            raise CatalogueError(f"{self.where}: has no name")
        self.where = f"{file}: {name}"
        self.record = record
        self.sources = sources
        self.unknown(record, _ENTRY_KEYS)

    def read(self) -> tuple[Entry, list[Shape]]:
        record = self.record
        try:
            category = Category(str(record.get("category")))
        except ValueError:
            known = ", ".join(Category)
            raise CatalogueError(f"{self.where}: category is one of {known}") from None
        owner = self.text(record, "owner")
        entry = Entry(
            name=record["name"],
            category=category,
            kinds=self.kinds(record),
            owner=owner,
            parent=self.text(record, "parent"),
            owner_source=self.source(record, "owner_source") if owner else None,
            facts={facet: tuple(self.facts(facet)) for facet in _FACT_LISTS if facet in record},
        )
        patterns = record.get("patterns", [])
        if not isinstance(patterns, list):
            raise CatalogueError(f"{self.where}: patterns are no list")
        shapes = [self.shape(entry, number, pattern) for number, pattern in enumerate(patterns, 1)]
        if not shapes and not any(entry.facts.values()):
            raise CatalogueError(f"{self.where}: is known by nothing")
        return entry, shapes

    def shape(self, entry: Entry, number: int, record: Any) -> Shape:
        """Return one pattern."""
        where = self.where
        self.where = f"{where}: pattern {number}"
        if not isinstance(record, dict):
            raise CatalogueError(f"{self.where}: is no object")
        self.unknown(record, _PATTERN_KEYS)
        host = self.text(record, "host")
        if host:
            self.host(host)
        try:
            path = parse_path(self.text(record, "path"))
        except ValueError as error:
            raise CatalogueError(f"{self.where}: path {error}") from error
        source = self.source(record, "source")
        shape = Shape(
            entry=entry,
            path=path,
            host=host,
            query=self.texts(record, "query"),
            has=self.texts(record, "has"),
            kinds=self.kinds(record, entry.kinds),
            confidence=self.confidence(record, verified=source is not None),
            source=source,
            example=self.text(record, "example"),
            example_source=self.source(record, "example_source"),
        )
        if not shape.example.startswith(("http://", "https://")):
            raise CatalogueError(f"{self.where}: has no example, a whole address that has this shape")
        if not host and not index_words(shape):
            raise CatalogueError(f"{self.where}: without a host it needs a whole word in path or query")
        self.where = where
        return shape

    def facts(self, facet: Facet) -> Iterator[Fact]:
        """Return the facts of one list: an object of what it is known by, and the key of the source."""
        listed = self.record[facet]
        if not isinstance(listed, dict):
            raise CatalogueError(f"{self.where}: {facet} is no object of facts and their sources")
        for value in listed:
            if facet is Facet.FIELDS:
                if not _FIELD.fullmatch(value):
                    raise CatalogueError(f"{self.where}: {value!r} is no name of a header field")
            else:
                self.host(value)
            yield Fact(value, self.source(listed, value))

    def host(self, host: str) -> None:
        """Complain about what is no host name."""
        if not _HOST.fullmatch(host):
            raise CatalogueError(f"{self.where}: {host!r} is no host name in lower case")

    def source(self, record: Mapping[str, Any], key: str) -> Source | None:
        """Return where a fact comes from, ``None`` where it says that nothing can be opened for it."""
        value = record.get(key)
        if value == UNVERIFIED:
            return None
        if not isinstance(value, str) or value not in self.sources:
            raise CatalogueError(
                f"{self.where}: {key} has {value!r} for its source, which is not in {SOURCES_FILE} "
                f"(write {UNVERIFIED!r} where nothing can be opened)"
            )
        return self.sources[value]

    def confidence(self, record: Mapping[str, Any], *, verified: bool) -> float:
        """Return how sure a pattern is."""
        value = record.get("confidence", 0.95 if verified else UNVERIFIED_CONFIDENCE)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise CatalogueError(f"{self.where}: confidence is a number above 0 and up to 1")
        if not verified and value > UNVERIFIED_CONFIDENCE:
            raise CatalogueError(f"{self.where}: an unverified fact has a confidence of at most 0.5")
        return float(value)

    def kinds(self, record: Mapping[str, Any], default: tuple[Kind, ...] = (Kind.OPEN,)) -> tuple[Kind, ...]:
        """Return what it tells, the weightiest first."""
        value = record.get("kinds")
        if value is None:
            return default
        try:
            found = tuple(Kind(each) for each in value)
        except (TypeError, ValueError):
            found = ()
        if not found or len(set(found)) != len(found):
            raise CatalogueError(f"{self.where}: kinds is a list of {', '.join(Kind)}")
        return found

    def text(self, record: Mapping[str, Any], key: str) -> str:
        """Return an optional text."""
        value = record.get(key, "")
        if not isinstance(value, str) or value != value.strip():
            raise CatalogueError(f"{self.where}: {key} is no text")
        return value

    def texts(self, record: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Return an optional list of texts."""
        value = record.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise CatalogueError(f"{self.where}: {key} is no list of texts")
        return tuple(value)

    def unknown(self, record: Mapping[str, Any], known: frozenset[str]) -> None:
        """Complain about a name that nothing here reads."""
        for key in record:
            if key not in known:
                raise CatalogueError(f"{self.where}: knows no {key!r}, only {', '.join(sorted(known))}")


def index_words(shape: Shape) -> frozenset[str]:
    """Return the words by which a shape without a host is looked up."""
    return shape.path.words.union(*(WORD.findall(name) for name in shape.query))


def _nothing_twice(entries: Sequence[Entry]) -> None:
    """Complain where two operators have one name, or claim one fact that can belong to one alone."""
    names: set[str] = set()
    claimed: dict[tuple[Facet, str], str] = {}
    for entry in entries:
        if entry.name.lower() in names:
            raise CatalogueError(f"{entry.name}: stands in the catalogue twice")
        names.add(entry.name.lower())
        for facet, facts in entry.facts.items():
            for fact in facts:
                other = claimed.setdefault((facet, fact.value.lower()), entry.name)
                if other != entry.name:
                    raise CatalogueError(f"{fact.value}: {facet} of both {other} and {entry.name}")
