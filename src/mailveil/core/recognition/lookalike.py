"""Look-alikes: whether a domain was chosen to be taken for another one, and keys by which to find such domains.

What counts is a domain's own label, such as ``shop`` of ``shop.co.uk``, without words that are put around a name to
borrow its credit (``shop-invoices``). Short names and words that many use are never alike: there one letter makes an
honest other name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from mailveil.core.recognition.commonwords import ADDED, COMMON, JOINED
from mailveil.core.recognition.confusables import plain_letters
from mailveil.core.verdicts.addresses import is_ip_address, registrable_domain

MAX_KEYS: Final = 22
_MAX_LABEL: Final = 63  # RFC 1035 section 2.3.4
_LEAST_NAME: Final = 5  # letters of a name that can be imitated at all
_LEAST_MISSPELT: Final = 7  # of the longer one, where they differ by a letter
_LEAST_MISSPELT_ELSEWHERE: Final = 9  # and are under different endings besides
_LONG: Final = 18  # from here on, keys are the two ends of a name rather than all that one letter less leaves
_END: Final = 8
_MAX_ADDED: Final = 3
# Several letters, or a digit, that pass for another letter at a glance; the longer ones first.
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("c1", "d"))
_SINGLE: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "3": "e", "4": "a", "q": "g"})


class _Name(NamedTuple):
    """A domain as it is compared: its label as it reads, its ending, its core and how that looks."""

    label: str
    ending: str
    core: str
    look: str


def skeleton(domain: str) -> str:
    """Return how a domain's own name looks: equal for names that the eye takes for one another. Total."""
    return _look(_name_of(domain).label)


@lru_cache(maxsize=8_192)
def look_alike_keys(domain: str) -> frozenset[str]:
    """Return at most ``MAX_KEYS`` keys: two domains of which ``looks_like`` tells something share one of them.

    Empty where nothing can look like it.
    """
    name = _name_of(domain)
    if not _can_be_imitated(name):
        return frozenset()
    look, keys = name.look, {name.look}
    if len(look) <= _LONG:
        # One letter more, less or another, or two that changed places: with one letter less both are the same.
        keys.update(look[:at] + look[at + 1 :] for at in range(len(look)))
    if len(look) >= _LONG:
        keys.update((f"{look[:_END]}*", f"*{look[-_END:]}"))
    return frozenset(keys)


@lru_cache(maxsize=8_192)
def looks_like(one: str, other: str) -> str:
    """Return in words why two domains may be taken for one another, ``""`` where they may not. Total, symmetric."""
    left, right = _name_of(one), _name_of(other)
    if (left.label, left.ending) == (right.label, right.ending):
        return ""
    if not (_can_be_imitated(left) and _can_be_imitated(right)):
        return ""
    if left.label == right.label:
        return "it has the same name under another ending"
    if left.look == right.look:
        return _why_alike(left, right)
    shorter, longer = sorted((len(left.look), len(right.look)))
    least = _LEAST_MISSPELT if left.ending == right.ending else _LEAST_MISSPELT_ELSEWHERE
    if longer < least or longer - shorter > 1 or not _one_edit(left.look, right.look):
        return ""
    if _differ_by_number(left.core, right.core):
        return "it differs in a number alone"
    if shorter == longer and sorted(left.look) == sorted(right.look):
        return "two letters have changed places in it"
    return "it differs in one letter"


def _why_alike(left: _Name, right: _Name) -> str:
    if _squeezed(left.core) != _squeezed(right.core):
        return "it has letters that look like those of the other"
    if _squeezed(left.label) == _squeezed(right.label):
        return "it differs in hyphens alone"
    return "it has the same name with words added"


def _can_be_imitated(name: _Name) -> bool:
    return (
        len(name.core) >= _LEAST_NAME and len(name.look) >= _LEAST_NAME - 1 and name.look not in _COMMON_LOOKS
    )


@lru_cache(maxsize=8_192)
def _name_of(domain: str) -> _Name:
    domain = domain.strip().strip(".").lower()[-253:]
    if not domain or is_ip_address(domain):
        return _Name("", domain, "", "")
    own = registrable_domain(domain) or domain
    label, _, ending = own.partition(".")
    label = plain_spelling(label)[:_MAX_LABEL]
    core = _core(label)
    return _Name(label, ending, core, _look(core))


def plain_spelling(label: str) -> str:
    """Return a label as it reads where it is written for the DNS (``xn--…``, RFC 3492); itself where it is not."""
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode").lower()
    except (UnicodeError, ValueError, OverflowError):
        return label


def _core(label: str) -> str:
    """Return a label without the words that were put around a name."""
    words = [each for each in label.split("-") if each]
    for _ in range(_MAX_ADDED):
        if len(words) > 1 and _look(words[-1]) in _ADDED_LOOKS and _is_name("".join(words[:-1])):
            words.pop()
        elif len(words) > 1 and _look(words[0]) in _ADDED_LOOKS and _is_name("".join(words[1:])):
            words.pop(0)
        else:
            break
    core = "-".join(words)
    look = _look(core)
    for word in _JOINED_LOOKS:
        if look.endswith(word) and _is_name(look[: -len(word)]):
            return look[: -len(word)]
        if look.startswith(word) and _is_name(look[len(word) :]):
            return look[len(word) :]
    return core


def _is_name(text: str) -> bool:
    return len(text) >= _LEAST_NAME and _look(text) not in _COMMON_LOOKS


def _look(label: str) -> str:
    look = plain_letters(label).replace("-", "")
    for pair, letter in _PAIRS:
        look = look.replace(pair, letter)
    return look.translate(_SINGLE)


def _squeezed(label: str) -> str:
    return label.replace("-", "")


def _one_edit(one: str, other: str) -> bool:
    """Tell whether one letter more, less or other, or two that changed places, make one text the other."""
    if len(one) > len(other):
        one, other = other, one
    start = 0
    while start < len(one) and one[start] == other[start]:
        start += 1
    if len(one) < len(other):
        return one[start:] == other[start + 1 :]
    if one[start + 1 :] == other[start + 1 :]:
        return True
    return one[start : start + 2] == other[start : start + 2][::-1] and one[start + 2 :] == other[start + 2 :]


def _differ_by_number(one: str, other: str) -> bool:
    letters = ["".join(each for each in text if not each.isdigit()) for text in (one, other)]
    return letters[0] == letters[1] and one != other


_COMMON_LOOKS: Final = frozenset(map(_look, COMMON | ADDED))
_ADDED_LOOKS: Final = frozenset(map(_look, ADDED))
_JOINED_LOOKS: Final = tuple(sorted(map(_look, JOINED), key=lambda each: (-len(each), each)))
