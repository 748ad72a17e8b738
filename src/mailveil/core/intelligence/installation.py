"""Installation: since when mail is looked at, and about how many people get any."""

from __future__ import annotations

from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.memos import INSTALLATION, recall, size_of, with_members
from mailveil.core.intelligence.sight import Sight


def with_message(memo: Memo | None, sight: Sight) -> Memo:
    """Return the memo of the installation after one more message."""
    memo = memo or {"first": sight.at, "last": sight.at, "messages": 0, "people": []}
    people = memo["people"] if sight.submitted else with_members(memo["people"], sight.people)
    return {
        "first": min(memo["first"], sight.at),
        "last": max(memo["last"], sight.at),
        "messages": memo["messages"] + 1,
        "people": people,
    }


def everybody(book: Book) -> int:
    """Return about how many people get mail at all."""
    return size_of((recall(book, INSTALLATION) or {}).get("people"))


def watched_s(at: float, book: Book) -> float:
    """Return for how long mail had been looked at by some time."""
    installation = recall(book, INSTALLATION) or {}
    return float(max(0.0, at - installation.get("first", at)))
