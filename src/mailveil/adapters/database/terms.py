"""Terms: the words and marks by which messages and trackers are found. Pure: values in, text out.

A term is ``field:value``. Every filter of a list is one term, or for words the beginning of one, and every term has its
messages in the order of time; so each filter alone costs what it shows, and several are walked from the rarest.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator

from mailveil.core.observation import Observation, ObservedReference

MAX_TEXT = 8_000  # characters of one value
MAX_WORD = 40
MAX_WORDS = 100  # of one subject
MAX_ASKED = 8  # words of one question
IDEOGRAPHS = 8  # characters of a word in a script without spaces
RISKS = ("none", "low", "medium", "high")
KEEPS_SUBJECT, KEEPS_RECIPIENTS = "keeps:subject", "keeps:recipients"


def risk_number(risk: str) -> int:
    """Return how grave a risk is, 0 to 3; what is no risk is none."""
    return RISKS.index(risk) if risk in RISKS else 0


def storable(text: str) -> str:
    """Return text as every database takes it, and cut."""
    text = text[:MAX_TEXT]
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def fold(text: str) -> str:
    """Return text as it is compared: compatibility forms, case and accents do not count."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(each for each in decomposed if not unicodedata.combining(each))


def words_of(text: str) -> Iterator[str]:
    """Give the folded words of a text, as they are asked for."""
    word: list[str] = []
    for each in fold(text) + " ":
        if each.isalnum():
            word.append(each)
        elif word:
            yield "".join(word)
            word.clear()


def written_words(*texts: str, most: int = MAX_WORDS) -> list[str]:
    """Return the words under which texts are found, each once.

    A script without spaces has a word beginning at each character, so that any piece of it is found.
    """
    found: dict[str, None] = {}
    for text in texts:
        for word in words_of(text):
            if len(found) >= most:
                return list(found)
            if word.isascii() or not any(_has_no_spaces(each) for each in word):
                found[word[:MAX_WORD]] = None
                continue
            for at in range(min(len(word), most - len(found))):
                found[word[at : at + IDEOGRAPHS]] = None
    return list(found)


def asked_words(text: str) -> list[str]:
    """Return the beginnings of words that a question asks for; all of them have to be there."""
    asked: dict[str, None] = {}
    for word in words_of(storable(text[:1000])):
        spaceless = not word.isascii() and any(_has_no_spaces(each) for each in word)
        asked[word[: IDEOGRAPHS if spaceless else MAX_WORD]] = None
    return list(asked)[:MAX_ASKED]


def _has_no_spaces(character: str) -> bool:
    """Tell whether it belongs to a script that is written without spaces: kana, ideographs, Thai, Lao, Khmer."""
    return (
        "\u3040" <= character <= "\u30ff"
        or "\u3400" <= character <= "\u9fff"
        or "\u0e00" <= character <= "\u0eff"
        or "\u1780" <= character <= "\u17ff"
        or "\U00020000" <= character <= "\U0003ffff"
    )


def term(field: str, value: str) -> str:
    """Return a term; the value in lower case, on one line and not too long."""
    return f"{field}:{' '.join(storable(value).lower().split())[:320]}"


def domain_of(address: str) -> str:
    """Return the domain of an address."""
    return address.rpartition("@")[2].lower() if "@" in address else ""


def tracker_host(reference: ObservedReference) -> str:
    """Return the host as the template shows it: labels that were made for one reader are ``*``."""
    _, scheme, rest = reference.template.partition("://")
    if not scheme:
        return reference.host.lower()
    authority = rest.replace("?", "/").replace("#", "/").partition("/")[0]
    host = authority.rpartition("@")[2]
    return (host.partition(":")[0] if "[" not in host else host).lower() or reference.host.lower()


def tracker_identifier(reference: ObservedReference) -> str:
    """Return the identifier of the tracker that a reference belongs to.

    It is a digest of registrable domain and template. The template has ``*`` also for labels of the host that were made
    for one reader, so a host of one's own makes no tracker of one's own; the scheme, the construct that the reference
    stands in and the operator do not count, since the same tracker comes in all of them.
    """
    template = reference.template or reference.host or reference.vector
    shape = template.partition("://")[2] or template
    text = f"{reference.domain.lower()}\n{shape}".encode("utf-8", "replace")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def message_terms(seen: Observation) -> tuple[str, ...]:
    """Return everything that a message is found by."""
    found: dict[str, None] = {}

    def add(each: str) -> None:
        found[each] = None

    for address in (seen.sender, seen.author):
        if address:
            add(term("from", address))
    for domain in (
        seen.sender_domain, seen.author_domain, domain_of(seen.sender), domain_of(seen.author),
    ):  # fmt: skip
        if domain:
            add(term("domain", domain))
    for recipient in seen.recipients:
        add(term("to", recipient))
    for each in RISKS[1 : risk_number(seen.risk) + 1]:
        add(f"risk:{each}")
    add(mark("trackers", seen.total_trackers > 0))
    add(mark("remote", seen.total_references > 0))
    add(mark("changed", seen.changed))
    for reference in seen.references:
        if reference.operator:
            add(term("operator", reference.operator[:200]))
        for host in (reference.host, tracker_host(reference), reference.domain):
            if host:
                add(term("host", host))
        if reference.is_tracker:
            add(f"tracker:{tracker_identifier(reference)}")
    for text, most in (
        (seen.log_identifier, 10),
        (seen.author, 20),
        (seen.sender, 20),
        (seen.subject, MAX_WORDS),
    ):
        for word in written_words(text, most=most):
            add(f"word:{word}")
    if seen.subject:
        add(KEEPS_SUBJECT)
    if seen.recipients:
        add(KEEPS_RECIPIENTS)
    return tuple(found)


def mark(name: str, holds: bool) -> str:
    """Return the term for something that holds or does not."""
    return f"is:{name}" if holds else f"not:{name}"


def tracker_terms(host: str, domain: str, template: str, operator: str) -> tuple[str, ...]:
    """Return the words that a tracker is found by."""
    return tuple(f"word:{each}" for each in written_words(host, domain, operator, template, most=40))


def joined(terms: Iterable[str]) -> str:
    """Return terms as one column holds them, each behind a line feed."""
    return "".join(f"\n{each}" for each in terms) + "\n"


def apart(terms: str) -> tuple[str, ...]:
    """Return the terms of a column."""
    return tuple(terms.strip("\n").split("\n")) if terms.strip("\n") else ()
