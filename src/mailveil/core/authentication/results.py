"""Authentication-Results (RFC 8601): what a server wrote down about a message, however it was written.

Of 1,693 such fields in real mail the strict grammar refuses five in six, most of them because Microsoft
leaves the authserv-id out. This parser takes what is there, says what was odd, and never fails. Total and
linear in the length of the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

MAX_RESULTS: Final = 200

_PIECE: Final = re.compile(r"[ \t\r\n]++|\(|;|=|\"(?:[^\"\\]|\\.)*+\"?|[^ \t\r\n();=\"]++|\)", re.DOTALL)
_IN_COMMENT: Final = re.compile(r"\\.|[()]|[^\\()]++|\\", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_VERSION: Final = re.compile(r"[0-9]{1,9}")
_PTYPE: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


class Oddity(StrEnum):
    """What is not as RFC 8601 has it."""

    NO_AUTHSERV_ID = "no-authserv-id"
    UNTERMINATED = "unterminated"  # a quoted string or comment has no end
    STRAY_TEXT = "stray-text"  # something that is no method, reason or property
    TOO_MANY = "too-many"  # more results than anybody writes; the rest was not read


class Property(NamedTuple):
    """One ``ptype.property=value``; ``name`` is lower-case with the dot, without it where none was written."""

    name: str
    value: str


class MethodResult(NamedTuple):
    """One method with its result, both lower-case, and what it rests on."""

    method: str
    version: str
    result: str
    reason: str
    properties: tuple[Property, ...]


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """One Authentication-Results or ARC-Authentication-Results field.

    ``authserv_id`` is lower-case, ``""`` where none is written; ``instance`` is that of an ARC set, else 0.
    ``comments`` stand in the order of the field, without their parentheses.
    """

    authserv_id: str = ""
    version: str = ""
    instance: int = 0
    results: tuple[MethodResult, ...] = ()
    comments: tuple[str, ...] = ()
    oddities: tuple[Oddity, ...] = ()


class _Token(NamedTuple):
    """A run without white space, or one of ``; =``; ``joined``: nothing stands between it and the last one."""

    text: str
    joined: bool
    quoted: bool = False


def parse_authentication_results(value: str) -> AuthenticationResults:
    """Return what a field says. Total and linear.

    Folding, comments anywhere, quoted strings, white space around ``=``, missing authserv-ids, results
    without properties, properties without type (``action=none``) and empty parts are taken as they come.
    """
    reader = _Reader(value)
    segments = reader.segments
    instance, authserv_id, version = 0, "", ""
    if segments and (number := _instance_of(segments[0])):
        instance = number
        segments = segments[1:]
    if segments:
        first = segments[0]
        pair_at = next((at for at, token in enumerate(first) if token.text == "=" and not token.quoted), -1)
        if pair_at < 0:
            words = _words(first)
            if len(words) != 1 or words[0].lower() != "none":
                authserv_id = words[0].lower() if words else ""
                version = words[1] if len(words) > 1 and _VERSION.fullmatch(words[1]) else ""
                if len(words) > 1 + bool(version):
                    reader.note(Oddity.STRAY_TEXT)
                segments = segments[1:]
        elif pair_at > 1 and not first[pair_at - 1].joined and not first[1].joined:
            # "mx.example.org dkim=pass": the semicolon was forgotten, after a version perhaps.
            before = _words(first[: pair_at - 1])
            authserv_id = before[0].lower()
            version = before[1] if len(before) > 1 and _VERSION.fullmatch(before[1]) else ""
            reader.note(Oddity.STRAY_TEXT)
            segments = [first[pair_at - 1 :], *segments[1:]]
    if not authserv_id:
        reader.note(Oddity.NO_AUTHSERV_ID)
    results: list[MethodResult] = []
    for segment in segments:
        if len(results) >= MAX_RESULTS:
            reader.note(Oddity.TOO_MANY)
            break
        found = _method_result(segment, reader)
        if found is not None:
            results.append(found)
    return AuthenticationResults(
        authserv_id, version, instance, tuple(results), tuple(reader.comments), tuple(reader.oddities)
    )


class _Reader:
    """Splits a value at its semicolons, comments set apart."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.oddities: dict[Oddity, None] = {}
        self.comments: list[str] = []
        self.segments: list[list[_Token]] = [[]]
        at, joined = 0, False
        while at < len(value):
            match = _PIECE.match(value, at)
            assert match is not None  # every character begins one of the alternatives
            text = match[0]
            at = match.end()
            if text == "(":
                at = self.comment(at)
                joined = False
            elif text == ";":
                self.segments.append([])
                joined = False
            elif text[0] in " \t\r\n":
                joined = False
            elif text == ")":
                self.note(Oddity.STRAY_TEXT)
                joined = False
            elif text[0] == '"':
                closed = len(text) > 1 and text.endswith('"') and not _ends_escaped(text)
                if not closed:
                    self.note(Oddity.UNTERMINATED)
                inner = _ESCAPED.sub(r"\1", text[1:-1] if closed else text[1:])
                self.segments[-1].append(_Token(inner, joined, quoted=True))
                joined = True
            else:
                self.segments[-1].append(_Token(text, joined))
                joined = True
        self.segments = [segment for segment in self.segments if segment]

    def note(self, oddity: Oddity) -> None:
        """Note an oddity once."""
        self.oddities[oddity] = None

    def comment(self, at: int) -> int:
        """Read a comment whose parenthesis is open, with those nested in it; return where it ends."""
        depth, start = 1, at
        while at < len(self.value):
            match = _IN_COMMENT.match(self.value, at)
            assert match is not None
            at = match.end()
            depth += {"(": 1, ")": -1}.get(match[0], 0)
            if depth == 0:
                self.comments.append(self.value[start : at - 1])
                return at
        self.note(Oddity.UNTERMINATED)
        self.comments.append(self.value[start:])
        return at


def _ends_escaped(text: str) -> bool:
    """Tell whether the last character is escaped by a backslash."""
    before = text[:-1]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _words(tokens: list[_Token]) -> list[str]:
    """Return what stands apart, with what touches each other joined."""
    words: list[str] = []
    for token in tokens:
        if token.joined and words:
            words[-1] += token.text
        else:
            words.append(token.text)
    return words


def _instance_of(segment: list[_Token]) -> int:
    """Return the number of an ARC set from its first part, such as ``i=1``; 0 where that is something else."""
    text = "".join(token.text for token in segment).lower()
    number = text[2:]
    if text.startswith("i=") and number.isascii() and number.isdigit() and len(number) <= 3:
        return int(number)
    return 0


def _method_result(segment: list[_Token], reader: _Reader) -> MethodResult | None:
    pairs = _pairs(segment, reader)
    if not pairs:
        return None
    name, result = pairs[0]
    method, _, version = name.lower().partition("/")
    reason = ""
    properties: list[Property] = []
    for key, value in pairs[1:]:
        if key.lower() == "reason" and not reason:
            reason = value
        else:
            known = _PTYPE.fullmatch(key)
            properties.append(Property((known[0] if known else key).lower(), value))
    return MethodResult(method, version, result.lower(), reason, tuple(properties))


def _pairs(segment: list[_Token], reader: _Reader) -> list[tuple[str, str]]:
    """Return the ``key=value`` pairs of a part. An ``=`` inside of a value belongs to it."""
    pairs: list[tuple[str, str]] = []
    at = 0
    while at < len(segment):
        token = segment[at]
        key = [token.text]
        at += 1
        while at < len(segment) and segment[at].joined and segment[at].text != "=":
            key.append(segment[at].text)
            at += 1
        if token.text == "=" or at >= len(segment) or segment[at].text != "=" or segment[at].quoted:
            if "".join(key).lower() != "none" or len(segment) > 1:
                reader.note(Oddity.STRAY_TEXT)
            continue
        at += 1
        value: list[str] = []
        if at < len(segment) and not _opens_pair(segment, at):
            value.append(segment[at].text)
            at += 1
            while at < len(segment) and segment[at].joined:
                value.append(segment[at].text)
                at += 1
        pairs.append(("".join(key), "".join(value)))
    return pairs


def _opens_pair(segment: list[_Token], at: int) -> bool:
    """Tell whether the token after an ``=`` is the next pair's key, because the value is empty."""
    following = at + 1
    return (
        not segment[at].joined
        and following < len(segment)
        and segment[following].text == "="
        and segment[following].joined
        and "." in segment[at].text
    )
