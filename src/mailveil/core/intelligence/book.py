"""The book: what is remembered of the past, as far as the messages at hand touch it. Pure; whoever studies fills it.

All that studying remembers is a memo (a JSON object of bounded size) under a key such as ``sender shop.example``. One
message touches a bounded number of keys, however long the past is: that is what keeps the cost of a message the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Memo = dict[str, Any]


class Book:
    """Memos by key. A key that was never loaded is an error where it is read; one that is empty was loaded as that."""

    def __init__(self, memos: Mapping[str, Memo | None] | None = None) -> None:
        self._memos: dict[str, Memo | None] = dict(memos or {})
        self._changed: set[str] = set()

    def lacks(self, keys: Iterable[str]) -> frozenset[str]:
        """Return which of the keys were not loaded yet."""
        return frozenset(key for key in keys if key not in self._memos)

    def load(self, memos: Mapping[str, Memo | None]) -> None:
        """Take memos in from where they are kept; ``None``: there is none. What was changed meanwhile stays."""
        for key, memo in memos.items():
            self._memos.setdefault(key, memo)

    def get(self, key: str) -> Memo | None:
        """Return a memo, which nobody may change, or ``None``. Raises ``KeyError`` where the key was not loaded."""
        return self._memos[key]

    def put(self, key: str, memo: Memo) -> None:
        """Write a memo down."""
        self._memos[key] = memo
        self._changed.add(key)

    def drop(self, key: str) -> None:
        """Forget a memo."""
        self._memos[key] = None
        self._changed.add(key)

    def changes(self) -> dict[str, Memo | None]:
        """Return what has changed since the last call; ``None``: it is to be deleted."""
        changed = {key: self._memos[key] for key in sorted(self._changed)}
        self._changed.clear()
        return changed

    def __len__(self) -> int:
        return len(self._memos)


class WholeBook(Book):
    """A book that holds everything there is, as where months are studied in memory: no key is ever lacking."""

    def lacks(self, keys: Iterable[str]) -> frozenset[str]:
        """Return nothing."""
        del keys
        return frozenset()

    def get(self, key: str) -> Memo | None:
        """Return a memo, or ``None``."""
        return self._memos.get(key)
