"""The imported lists on disk: one file a list, its facts in the first line and its text as it was below."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from mailveil.adapters.newfiles import write_file
from mailveil.core.verdicts.lists import ImportedList, ListError, ListFormat, Parsed, parse_list

MAX_BYTES: Final = 64 * 1024 * 1024
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SUFFIX: Final = ".list"
_MAGIC: Final = "mailveil list 1"


class ListStoreError(Exception):
    """A list cannot be kept or read; the text says what an administrator can do."""


@dataclass(frozen=True, slots=True)
class ListFacts:
    """Where a list came from. ``imported_at`` is in seconds since the epoch, ``source`` a path or URL."""

    name: str
    source: str
    format: ListFormat
    title: str
    licence: str
    imported_at: float
    sha256: str
    size_bytes: int
    rules: int
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class StoredList:
    """A list with its facts; ``problem`` says why it cannot be used, and then there is nothing in it."""

    facts: ListFacts
    parsed: Parsed | None
    problem: str = ""


def facts_of(name: str, source: str, raw: bytes, parsed: Parsed, now: float) -> ListFacts:
    """Return the facts of a list that is about to be kept."""
    return ListFacts(
        name=name,
        source=source,
        format=parsed.format,
        title=parsed.title,
        licence=parsed.licence,
        imported_at=now,
        sha256=hashlib.sha256(raw).hexdigest(),
        size_bytes=len(raw),
        rules=parsed.count,
        skipped=dict(parsed.skipped),
    )


def is_name(name: str) -> bool:
    """Tell whether a list may have this name, which is also its file's."""
    return _NAME.fullmatch(name) is not None and not name.endswith(_SUFFIX)


class ListStore:
    """The lists in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Return the names of the lists that are kept, in order. Raises ListStoreError."""
        try:
            found = [path.name.removesuffix(_SUFFIX) for path in self.folder.glob(f"*{_SUFFIX}")]
        except OSError as error:
            raise ListStoreError(f"{self.folder}: {error.strerror}") from error
        return sorted(name for name in found if is_name(name))

    def save(self, facts: ListFacts, raw: bytes) -> None:
        """Keep a list, in the place of one with its name. Whole or not at all. Raises ListStoreError."""
        head = json.dumps({"kind": _MAGIC, **asdict(facts)}, ensure_ascii=True)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._path(facts.name), head.encode() + b"\n" + raw, None)
        except OSError as error:
            raise ListStoreError(f"{self._path(facts.name)}: {error.strerror}") from error

    def read(self, name: str) -> StoredList:
        """Return a list. Raises ListStoreError where there is none of this name or it cannot be read."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1_000_000)
        except FileNotFoundError as error:
            raise ListStoreError(f"there is no list {name}") from error
        except OSError as error:
            raise ListStoreError(f"{path}: {error.strerror}") from error
        head, _, raw = content.partition(b"\n")
        facts = _facts(path, head)
        if facts.name != name or hashlib.sha256(raw).hexdigest() != facts.sha256:
            problem = f"{path} is not as it was imported: import it again"
            return StoredList(facts, None, problem)
        try:
            return StoredList(facts, parse_list(raw.decode("utf-8", "replace"), facts.format))
        except ListError as error:
            return StoredList(facts, None, f"{path}: {error}")

    def remove(self, name: str) -> None:
        """Forget a list. Raises ListStoreError."""
        try:
            self._path(name).unlink()
        except FileNotFoundError as error:
            raise ListStoreError(f"there is no list {name}") from error
        except OSError as error:
            raise ListStoreError(f"{self._path(name)}: {error.strerror}") from error

    def _path(self, name: str) -> Path:
        if not is_name(name):
            raise ListStoreError(
                f"{name!r} is no name for a list: lower-case letters, digits, dots, hyphens, at most 63"
            )
        return self.folder / f"{name}{_SUFFIX}"


def _facts(path: Path, head: bytes) -> ListFacts:
    try:
        record: dict[str, Any] = json.loads(head)
        if record.pop("kind") != _MAGIC:
            raise ValueError
        return ListFacts(**{**record, "format": ListFormat(record["format"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ListStoreError(f"{path} is no imported list: remove it or import it again") from error


def read_lists(folder: Path) -> tuple[tuple[ImportedList, ...], tuple[str, ...]]:
    """Return all lists that can be used, and what is wrong with the others. Never raises for what lists hold."""
    store = ListStore(folder)
    found: list[ImportedList] = []
    problems: list[str] = []
    try:
        names = store.names()
    except ListStoreError as error:
        return (), (str(error),)
    for name in names:
        try:
            stored = store.read(name)
        except ListStoreError as error:
            problems.append(str(error))
            continue
        if stored.parsed is None:
            problems.append(stored.problem)
        else:
            found.append(ImportedList(name, stored.parsed))
    return tuple(found), tuple(problems)
