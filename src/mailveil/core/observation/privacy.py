"""Privacy: how much of people a record may hold. Pure; whoever sets it up brings the key."""

from __future__ import annotations

import codecs
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mailveil.core.observation.names import Names
from mailveil.core.observation.templates import address_template, host_template
from mailveil.core.observation.words import WORDS
from mailveil.core.verdicts.addresses import registrable_domain
from mailveil.core.verdicts.recipients import AddressForms

HIDDEN: Final = "*"
_TOGETHER: Final = 10  # recipients that AddressForms looks for in every form
_MAX_HIDDEN: Final = 100  # beyond these a text is left out: hardly anybody writes to so many at once by name
_PERSON_CHARACTERS: Final = 20
_LEAST_NAME: Final = 3
_LEAST_PART: Final = 4  # of a mailbox, such as a first name
_LEAST_SQUEEZED: Final = 6
_BETWEEN: Final = re.compile(r"[-_.+=]")
_RUN: Final = re.compile(r"[A-Za-z0-9+/_\-=%]{12,}+")
_MIXED: Final = re.compile(r"[a-z][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z]")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9._\-]{1,40}+")
_WRITTEN_BYTES: Final = re.compile(r"(?:(?:[%=][0-9A-Fa-f]{2}|&#[xX]?[0-9A-Fa-f]{1,6};).{0,8}?){3}")
_MANY_DIGITS: Final = re.compile(r"(?:[0-9][^0-9]*+){6}")


class PeopleKept(StrEnum):
    """How records name an organisation's people."""

    CLEAR = "clear"
    PSEUDONYM = "pseudonym"


class UrlsKept(StrEnum):
    """How much of a URL records hold."""

    FULL = "full"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How much of people records hold. ``key`` is what pseudonyms are made with; who has it can try addresses out.

    With pseudonyms URLs are kept as templates whatever ``urls`` says: they tell who reads in too many ways.
    """

    recipients: PeopleKept = PeopleKept.CLEAR
    subjects: bool = True
    urls: UrlsKept = UrlsKept.FULL
    key: bytes = field(default=b"", repr=False)

    @property
    def are_pseudonyms(self) -> bool:
        """Whether people go by pseudonyms."""
        return self.recipients is PeopleKept.PSEUDONYM

    def person(self, address: str, organisation: str) -> str:
        """Return what records call somebody: the address in lower case, or ``person-…``, the same one every time.

        Pseudonyms of different organisations have nothing in common. What is one already stays as it is.
        """
        address = address.strip().lower()
        if not self.are_pseudonyms or not address or is_pseudonym(address):
            return address
        return f"person-{self._digest('person', organisation, address)}"

    def names(self, address: str, organisation: str) -> tuple[str, ...]:
        """Return all that records may call somebody, whatever was set when they were made."""
        address = address.strip().lower()
        if not self.key or is_pseudonym(address):
            return (address,)
        return address, f"person-{self._digest('person', organisation, address)}"

    def message_id(self, written: str, organisation: str) -> str:
        """Return what records call a Message-ID: itself, or ``message-…`` since it may be made for one reader."""
        if not self.are_pseudonyms or not written or written.startswith("message-"):
            return written
        return f"message-{self._digest('message-id', organisation, written)}"

    def _digest(self, purpose: str, organisation: str, text: str) -> str:
        told = f"{purpose}\n{organisation}\n{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self.key, told, "sha256").hex()[:_PERSON_CHARACTERS]


def is_pseudonym(text: str) -> bool:
    """Tell whether records made this name."""
    return re.fullmatch(r"person-[0-9a-f]{20}", text) is not None


class Veil:
    """Takes some people's addresses out of what is said of a message, in every form in which they are looked for.

    ``strict`` also takes out what may be an address in a form that nobody thought of: whatever looks like a token.
    """

    __slots__ = ("_forms", "_hidden", "_in_labels", "_names", "_parts", "_squeezed", "_strict", "_too_many")

    def __init__(self, hidden: Sequence[str], *, strict: bool = False) -> None:
        self._strict = strict
        self._too_many = len(hidden) > _MAX_HIDDEN
        some = list(dict.fromkeys(each.lower() for each in hidden))[:_MAX_HIDDEN]
        self._forms = [
            AddressForms(some[start : start + _TOGETHER], ()) for start in range(0, len(some), _TOGETHER)
        ]
        names = list(dict.fromkeys(_names_of(some)))
        self._names = frozenset(names)
        self._parts = frozenset(part for name in names for part in _parts_of(name))
        self._squeezed = frozenset(each for name in names for each in _squeezed_forms(name))
        self._hidden = tuple(some)
        self._in_labels: Names | None = None  # made when it is asked for: most messages never do

    @property
    def hides(self) -> bool:
        """Whether there is anybody to hide."""
        return bool(self._forms)

    def holds_somebody(self, text: str) -> bool:
        """Tell whether a URL, or any text without white space, holds an address that is to be hidden."""
        return self.hides and (self._too_many or any(each.look(text).recipient for each in self._forms))

    def text(self, text: str) -> str:
        """Return a text with ``*`` for each word that names somebody, and once for several of them."""
        if not self.hides or not text:
            return text
        if self._too_many:
            return HIDDEN
        kept: list[str] = []
        for word in text.split():
            shown = HIDDEN if self._names_somebody(word) else word
            if shown != HIDDEN or kept[-1:] != [HIDDEN]:
                kept.append(shown)
        return " ".join(kept)

    def address(self, address: str) -> str:
        """Return a sender's address, or its template where it may tell for whom the message is."""
        if not self.hides:
            return address
        name = address.rpartition("@")[0]
        if self.holds_somebody(address) or (
            self._strict and (self._names_somebody(name) or _is_made(name) or self.stands_in(name))
        ):
            template = address_template(address)
            return f"{HIDDEN}@{template.rpartition('@')[2]}" if "@" in template else template
        if self._strict:
            return f"{name}@{self.domain(address.rpartition('@')[2])}" if name else address
        return address

    def domain(self, domain: str) -> str:
        """Return a domain, or its template where people are to be hidden."""
        if not (self._strict and self.hides and domain):
            return domain
        template = host_template(domain)
        registered = registrable_domain(template.removeprefix("*."))
        return template.replace(registered, self.registrable(registered)) if registered else template

    def registrable(self, domain: str) -> str:
        """Return a registrable domain, without its own label where that is somebody's name: some have one for each."""
        if self._strict and self.hides and (self.stands_in(domain) or self.holds_somebody(domain)):
            return f"{HIDDEN}.{domain.partition('.')[2]}"
        return domain

    def stands_in(self, text: str) -> bool:
        """Tell whether a domain, a mailbox or a path holds somebody's name in a form that such are made in."""
        if self._in_labels is None:
            self._in_labels = Names(self._hidden)
        return self._in_labels.stand_in(text)

    def _names_somebody(self, word: str) -> bool:
        lowered = word.lower()
        if self._names.intersection(re.split(r"[^\w.+=\-]+", lowered.strip(".,;:"))):
            return True
        if self._strict:
            if "@" in word or _WRITTEN_BYTES.search(word):
                return True
            if self._parts.intersection(re.split(r"[\W_]+", lowered)):
                return True
            squeezed = _squeeze(lowered)
            if any(each in squeezed for each in self._squeezed) or self.stands_in(word):
                return True
            if any(_MIXED.search(run[0]) for run in _RUN.finditer(word)):
                return True
        return self.holds_somebody(word)


def _names_of(addresses: Iterable[str]) -> Iterable[str]:
    """Yield the mailboxes of addresses, and those without a detail (``anna`` of ``anna+news``)."""
    for address in addresses:
        name = address.rpartition("@")[0]
        for each in (name, re.split(r"[+=]", name, maxsplit=1)[0]):
            if len(each) >= _LEAST_NAME:
                yield each


def _parts_of(name: str) -> Iterable[str]:
    """Yield what a mailbox is made of, such as somebody's first and last name."""
    for each in (name, *_BETWEEN.split(name)):
        if len(each) >= (_LEAST_NAME if each == name else _LEAST_PART) and each not in WORDS:
            yield each


def _squeezed_forms(name: str) -> Iterable[str]:
    """Yield a name as it stands between other letters: without what parts it, also backwards and rotated."""
    squeezed = _squeeze(name)
    if len(squeezed) >= _LEAST_SQUEEZED and squeezed not in WORDS:
        yield from (squeezed, squeezed[::-1], codecs.encode(squeezed, "rot13"))


def _squeeze(text: str) -> str:
    return "".join(each for each in text if each.isalnum())


def _is_made(name: str) -> bool:
    """Tell whether a mailbox looks made for one message or recipient rather than being somebody's."""
    if name and _PLAIN_NAME.fullmatch(name) is None:
        return True
    runs = _BETWEEN.split(name)
    return _MANY_DIGITS.search(name) is not None or any(
        len(run) >= 20 or (len(run) >= 12 and _MIXED.search(run) is not None) for run in runs
    )
