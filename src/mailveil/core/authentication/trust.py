"""Trust: whose Authentication-Results count, and who the author of a message is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mailveil.core.authentication.results import AuthenticationResults, parse_authentication_results
from mailveil.core.authentication.types import Result, VouchedResult
from mailveil.core.message.header import decode_header_text
from mailveil.core.message.types import Field

MAX_FIELDS: Final = 100
MAX_VALUE_CHARACTERS: Final = 65_536
MAX_DOMAIN: Final = 253  # characters, RFC 1035 section 2.3.4
MAX_PROPERTIES: Final = 10
MAX_DOMAINS: Final = 50

_COMMENT_PIECE: Final = re.compile(r"\\.|\"(?:[^\"\\]|\\.)*+\"?|[()]|[^\\()\"]++|\\", re.DOTALL)
_DOMAIN: Final = re.compile(r"@[ \t\r\n]*+(\[[^\]\r\n]*+\]?|[^\s<>()\[\],;:@\"]++)")
_QUOTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*+\"?", re.DOTALL)
_MAILBOX_END: Final = frozenset(' \t\r\n<>()[],:;@"\\')
_MAX_MAILBOX: Final = 64  # RFC 5321 section 4.5.3.1.1
_PLAIN_ID: Final = re.compile(r"[ \t]*+([^ \t;()\"\\=]++)(?:[ \t]++[0-9]++)?[ \t]*+(?:;|$)")
_RESULTS: Final = frozenset(str(result) for result in Result)


@dataclass(frozen=True, slots=True)
class TrustedServers:
    """Whose word counts. All names are lower-case.

    ``authserv_id`` is the id that the trusted server signs its fields with, ``""`` where none is trusted;
    ``missing_id``: fields without one are taken for its own. ``hops`` are the names under which the
    administrator's own servers write their Received fields.
    """

    authserv_id: str = ""
    missing_id: bool = False
    hops: frozenset[str] = frozenset()

    def signed(self, results: AuthenticationResults, written: str) -> bool:
        """Tell whether a field with the value ``written`` is signed as the trusted server signs.

        Its id has to stand there plainly, as that server writes it and as it removes it from mail that comes in:
        behind a comment, in quotation marks or encoded words a sender could hide it from that removal. Place has
        to be looked at besides.
        """
        if not results.authserv_id:
            return self.missing_id
        if not self.authserv_id or results.authserv_id != self.authserv_id or results.instance:
            return False
        plain = _PLAIN_ID.match(written)
        return plain is not None and plain[1].lower() == self.authserv_id


def trusted_fields(
    fields: Sequence[Field], trust: TrustedServers
) -> Iterator[tuple[Field, AuthenticationResults]]:
    """Yield the Authentication-Results fields that count, topmost first.

    Servers add their fields on top, so the header is read from there, past the Received fields of one's own
    servers. The first Received field of anybody else ends what can be trusted: whatever stands below came in
    with the message, and a sender writes there what he likes.
    """
    own = trust.hops | ({trust.authserv_id} - {""})
    seen = 0
    for field in fields:
        if field.name == "received":
            if receiver(field.value[:MAX_VALUE_CHARACTERS]) not in own:
                return
        elif field.name == "authentication-results":
            seen += 1
            if seen > MAX_FIELDS:
                return
            value = field.value[:MAX_VALUE_CHARACTERS]
            results = parse_authentication_results(field_text(value))
            if trust.signed(results, value):
                yield field, results


def field_text(value: str) -> str:
    """Return a field's value; Microsoft writes the whole of it as encoded words where a domain is not ASCII."""
    return decode_header_text(value) if value.startswith("=?") else value


def vouched(fields: Sequence[Field], trust: TrustedServers, method: str) -> VouchedResult | None:
    """Return what the trusted server says of a method, ``None`` where it says nothing.

    The topmost field that speaks of the method counts, so that one which came in with the message cannot
    speak against what the server itself wrote above it.
    """
    for _field, results in trusted_fields(fields, trust):
        for each in results.results:
            if each.method == method and each.result in _RESULTS:
                properties = tuple((name, value) for name, value in each.properties[:MAX_PROPERTIES])
                return VouchedResult(Result(each.result), results.authserv_id, properties)
    return None


def receiver(value: str) -> str:
    """Return the name of the server that wrote a Received field (its ``by`` clause), lower-case, or ``""``."""
    words = without_comments(value.partition(";")[0]).split()
    for at, word in enumerate(words[:-1]):
        if word.lower() == "by":
            return words[at + 1].lower().rstrip(".")
    return ""


def without_comments(value: str, *, quoted: bool = True) -> str:
    """Return a structured field's value without comments (RFC 5322 section 3.2.2). Total and linear.

    Without ``quoted``, quoted strings go as well. A comment without end ends with the value.
    """
    pieces: list[str] = []
    depth = at = 0
    while at < len(value):
        match = _COMMENT_PIECE.match(value, at)
        assert match is not None
        text = match[0]
        if depth and text[0] == '"':
            text = '"'  # in a comment a quotation mark is a character like others
        at += len(text)
        if text == "(":
            depth += 1
            pieces.append(" ")
        elif text == ")":
            depth = max(0, depth - 1)
        elif not depth and (quoted or text[0] != '"'):
            pieces.append(text)
    return "".join(pieces)


def author_domains(value: str) -> tuple[str, ...]:
    """Return the domains of all addresses in a From field, lower-case A-labels, without repeats, at most 50.

    Whatever looks like an address counts, in a display name too unless it is quoted: a message of one author
    has one domain here, and one that could be read in two ways has two.
    """
    bare = without_comments(value[:MAX_VALUE_CHARACTERS], quoted=False)
    found: dict[str, None] = {}
    for match in _DOMAIN.finditer(bare):
        found[ascii_domain(match[1])] = None
        if len(found) >= MAX_DOMAINS:
            break
    return tuple(found)


def author_addresses(value: str) -> tuple[str, ...]:
    """Return the addresses in a From field, lower-case with A-labels, without repeats, at most 50.

    As with ``author_domains`` whatever looks like an address counts, so that a field of one author has one here. One
    whose mailbox is quoted has none before its ``@``: nobody is told by it.
    """
    bare = _QUOTED.sub('"', without_comments(value[:MAX_VALUE_CHARACTERS]))
    found: dict[str, None] = {}
    for match in _DOMAIN.finditer(bare):
        found[f"{_mailbox(bare, match.start()).lower()}@{ascii_domain(match[1])}"] = None
        if len(found) >= MAX_DOMAINS:
            break
    return tuple(found)


def _mailbox(text: str, end: int) -> str:
    """Return what stands before an ``@``, ``""`` where that is no plain mailbox."""
    at = end
    while at > 0 and text[at - 1] not in _MAILBOX_END:
        at -= 1
        if end - at > _MAX_MAILBOX:
            return ""
    return "" if at > 0 and text[at - 1] in '"\\@' else text[at:end]


def ascii_domain(name: str) -> str:
    """Return a domain in lower case and A-labels (RFC 5890); as it stands where it is none."""
    name = name.strip().rstrip(".")
    if name.isascii():
        return name.lower()
    try:
        text = name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        text = name
    if len(text) > MAX_DOMAIN:
        return text.lower()  # it is none, and would take long to be told so
    try:
        return text.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return text.lower()
