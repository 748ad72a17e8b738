"""Memos: what studying writes into the book: its keys, and crowds, which are counted without being listed. Pure.

A memo holds what JSON holds and nothing else, so that one that was kept reads like one that was just made.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from mailveil.core.intelligence.book import Book, Memo

#: The one memo about the installation itself, and the one about what analysts taught.
INSTALLATION: Final = "installation"
LESSONS: Final = "lessons"
#: The memo that says which activity imitates which domain.
IMITATED: Final = "imitated"

MAX_KEY: Final = 300  # characters; longer values go by their digest
_FEW: Final = 24  # members of a crowd that are told apart exactly
_BITS: Final = 1_024
_MEMBER: Final = 8  # hexadecimal digits by which a member of a crowd is known


def key(kind: str, value: str) -> str:
    """Return the key of a memo, such as ``sender shop.example``: printable, and never longer than may be."""
    if len(value) > MAX_KEY or not value.isprintable():
        value = f"#{digest(value)}"
    return f"{kind} {value}"


def digest(*parts: str, size: int = 10) -> str:
    """Return a digest of texts, ``2 * size`` hexadecimal digits. Total: texts may hold anything."""
    told = "\n".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=size).hexdigest()


def recall(book: Book, name: str) -> Memo | None:
    """Return a memo, ``None`` where there is none or where nobody asked for it."""
    return None if book.lacks((name,)) else book.get(name)


def member(name: str) -> str:
    """Return how a crowd knows one of its members."""
    return digest(name, size=_MEMBER // 2)


def with_members(crowd: Any, names: Iterable[str]) -> list[str] | str:
    """Return a crowd with more members. A few are known one by one; from then on it is a bitmap of fixed size."""
    new = [member(name) for name in names]
    if not isinstance(crowd, str):
        known = list(crowd or ())
        known.extend(dict.fromkeys(each for each in new if each not in known))
        if len(known) <= _FEW:
            return known
        crowd, new = "0" * (_BITS // 4), known
    bits = int(crowd, 16)
    for each in new:
        bits |= 1 << (int(each, 16) % _BITS)
    return f"{bits:0{_BITS // 4}x}"


def size_of(crowd: Any) -> int:
    """Return how many members a crowd has: exactly where they are few, else about (linear counting)."""
    if not isinstance(crowd, str):
        return len(crowd or ())
    empty = _BITS - int(crowd, 16).bit_count()
    return max(_FEW, round(-_BITS * math.log(max(1, empty) / _BITS)))


def joined(one: Any, other: Any) -> list[str] | str:
    """Return the crowd of all who are in one of two crowds."""
    if not isinstance(one, str) and not isinstance(other, str):
        known = list(dict.fromkeys((*(one or ()), *(other or ()))))
        if len(known) <= _FEW:
            return known
        one = known
    bits = _bits(one) | _bits(other)
    return f"{bits:0{_BITS // 4}x}"


def _bits(crowd: Any) -> int:
    if isinstance(crowd, str):
        return int(crowd, 16)
    bits = 0
    for each in crowd or ():
        bits |= 1 << (int(each, 16) % _BITS)
    return bits


def appended(values: Sequence[Any] | None, value: Any, most: int) -> list[Any]:
    """Return a list with a value that it may have already; full, it stays as it is."""
    values = list(values or ())
    if value not in values and len(values) < most:
        values.append(value)
    return values


def latest(values: Sequence[Any] | None, more: Iterable[Any], most: int) -> list[Any]:
    """Return a list with more at its end, without the oldest of them where it grows too long."""
    return [*(values or ()), *more][-most:]
