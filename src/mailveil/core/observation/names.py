"""Names: how people's names stand in labels of host names and in mailboxes that were made for them. Pure and total.

A domain or a mailbox is written with what parts a name left out, with the parts in another order, with an initial in
place of one, with a number that somebody has, in the letters that every registry takes, or as a digest or a coding
that anybody can try out. All of these are looked for. Nicknames are not.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from typing import Final

from mailveil.core.observation.words import WORDS
from mailveil.core.recognition.commonwords import ADDED, COMMON

_LEAST_WITHIN: Final = 6  # letters of a name that is found within others
_SHORTEST: Final = 5  # of what is found within others: digits of somebody's number
_LEAST_ALONE: Final = 4  # and of one that stands alone, such as "jdoe"
_LEAST_PART: Final = 5  # of one part of a name that stands alone, such as a surname
_LEAST_CODED: Final = 8
_MOST_TEXT: Final = 320  # of what is looked at: an address is no longer (RFC 5321 section 4.5.3.1)
_MOST_PARTS: Final = 3  # of which every order is looked for
_BETWEEN: Final = re.compile(r"[\W_]+")
_NO_NAMES: Final = WORDS | COMMON | ADDED
_NUMBER: Final = re.compile(r"[0-9]{5,}+")
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{8,128}+")
_DIGESTS: Final = ("md5", "sha1", "sha256", "sha384", "sha512")
_ENCODED: Final = "xn--"
_GERMAN: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "æ": "ae"})
_BARE: Final = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})


class Names:
    """The names of some people, to be looked for. ``addresses`` are theirs."""

    __slots__ = ("_addresses", "_alone", "_digests", "_lengths_from", "_within")

    def __init__(self, addresses: Iterable[str]) -> None:
        self._addresses = tuple(dict.fromkeys(each.lower() for each in addresses))
        self._digests: list[str] | None = None
        alone: set[str] = set()
        within: set[str] = set()
        for address in self._addresses:
            name, _, domain = address.rpartition("@")
            own = _squeeze(domain)
            for written in _written(re.split(r"[+=]", name, maxsplit=1)[0]):
                parts = [each for each in _BETWEEN.split(written) if each]
                alone.update(each for each in parts if _is_telling(each, own))
                for form in _joined(parts):
                    if len(parts) > 1 or _is_telling(form, own):
                        (within if len(form) >= _LEAST_WITHIN else alone).add(form)
            within.update(_NUMBER.findall(name))
        within |= {each[::-1] for each in within} | {codecs.encode(each, "rot13") for each in within}
        for address in self._addresses:
            within.update(_coded(address))
        self._alone = frozenset(each for each in alone if len(each) >= _LEAST_ALONE)
        self._within = frozenset(within)
        self._lengths_from: dict[str, set[int]] = {}
        for each in within:
            self._lengths_from.setdefault(each[:_SHORTEST], set()).add(len(each))

    def stand_in(self, text: str) -> bool:
        """Tell whether a host name or a mailbox, written in any case, holds somebody's name."""
        if not self._addresses:
            return False
        lowered = text[:_MOST_TEXT].lower()
        for written in {each for form in (lowered, _decoded(lowered)) for each in _written(form)}:
            if not self._alone.isdisjoint(_BETWEEN.split(written)):
                return True
            if self._holds(_squeeze(written)):
                return True
        return any(self._is_digest(each[0]) for each in _HEXADECIMAL.finditer(lowered))

    def _holds(self, squeezed: str) -> bool:
        """Tell whether a text holds one of the names: how long it takes does not grow with how many there are."""
        return any(
            squeezed[at : at + length] in self._within
            for at in range(len(squeezed) - _SHORTEST + 1)
            for length in self._lengths_from.get(squeezed[at : at + _SHORTEST], ())
        )

    def _is_digest(self, run: str) -> bool:
        """Tell whether hexadecimal digits are those that a digest of somebody begins with."""
        if self._digests is None:
            self._digests = sorted(each for address in self._addresses for each in _digests_of(address))
        at = bisect_left(self._digests, run)
        return at < len(self._digests) and self._digests[at].startswith(run)


def _is_telling(part: str, own: str) -> bool:
    """Tell whether part of a name names somebody: no word that many names have, nor what an organisation is called."""
    return len(part) >= _LEAST_PART and part not in _NO_NAMES and part not in own


def _joined(parts: Sequence[str]) -> Iterator[str]:
    """Yield a name as one word: its parts in every order, and two of them with an initial in place of one."""
    yield "".join(parts)
    for some in permutations(parts[:_MOST_PARTS]):
        yield "".join(some)
    for one, other in permutations(parts[: 2 * _MOST_PARTS], 2):
        yield from (one + other, one[0] + other, other + one[0])


def _written(text: str) -> tuple[str, ...]:
    """Return a text as it is and in letters without marks, as they are left out and as Germans write them."""
    if text.isascii():
        return (text,)
    bare = unicodedata.normalize("NFKD", text.translate(_BARE))
    without = "".join(each for each in bare if not unicodedata.combining(each))
    return tuple(dict.fromkeys((text, without, unicodedata.normalize("NFC", text).translate(_GERMAN))))


def _decoded(name: str) -> str:
    """Return a host name with the letters that its encoded labels (RFC 3492) stand for."""
    if _ENCODED not in name:
        return name
    return ".".join(map(_decoded_label, name.split(".")))


def _decoded_label(label: str) -> str:
    if not label.startswith(_ENCODED):
        return label
    try:
        return label.removeprefix(_ENCODED).encode("ascii").decode("punycode").lower()
    except (UnicodeError, ValueError):
        return label


def _coded(address: str) -> Iterator[str]:
    """Yield what somebody's address and mailbox are in codings that labels have room for."""
    for text in (address, address.rpartition("@")[0]):
        raw = text.encode("utf-8", "replace")
        for coded in (
            raw.hex(),
            *(code(raw).decode("ascii") for code in (base64.b32encode, base64.b64encode)),
        ):
            # The last digits differ with what comes after the name.
            told = _squeeze(coded.lower())[: len(coded.rstrip("=")) - 1]
            if len(told) >= _LEAST_CODED:
                yield told


def _digests_of(address: str) -> Iterator[str]:
    """Yield digests of somebody's address and mailbox, in small letters, capitals, and with capitals in front."""
    name, at, domain = address.rpartition("@")
    for text in (address, name):
        for written in {
            text,
            text.upper(),
            f"{name.title()}{at}{domain}" if text == address else text.title(),
        }:
            raw = written.encode("utf-8", "replace")
            for kind in _DIGESTS:
                yield hashlib.new(kind, raw, usedforsecurity=False).hexdigest()


def _squeeze(text: str) -> str:
    return "".join(each for each in text if each.isalnum())
