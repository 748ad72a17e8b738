"""Content-Type values with the place of every parameter, for parameters that tell a client where to go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

_SPACE: Final = re.compile(r"[ \t\r\n\0]*+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"?+', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_LINE_BREAKS: Final = {0x0D: None, 0x0A: None, 0x00: None}
_COMMENT_MARK: Final = re.compile(r"[()\\]")
_SEGMENT: Final = re.compile(r"([^*]*+)\*([0-9]{0,3}+)\*?+\Z")


@dataclass(frozen=True, slots=True)
class RawParameter:
    """One parameter as written: ``name`` lower-case with its RFC 2231 marks, ``value`` unquoted and unfolded.

    ``start`` and ``end`` bound the value in the scanned text, quotes included.
    """

    name: str
    value: str
    start: int
    end: int

    @property
    def attribute(self) -> str:
        """The name without the marks of continuation and encoding (RFC 2231 sections 3 and 4)."""
        return self.name.partition("*")[0]

    @property
    def is_encoded(self) -> bool:
        """Whether the value is an extended one: ``charset'language'percent-encoded``."""
        return self.name.endswith("*")


@dataclass(frozen=True, slots=True)
class RawContentType:
    """A media type (lower-case, without comments and space), its place, and its parameters in order."""

    media_type: str
    start: int
    end: int
    parameters: tuple[RawParameter, ...]

    def values(self) -> dict[str, str]:
        """Return each parameter's value, RFC 2231 decoded and joined; of duplicates the first."""
        segments: dict[str, dict[int, str]] = {}
        for parameter in self.parameters:
            match = _SEGMENT.match(parameter.name)
            index = int(match[2]) if match and match[2] else 0
            text = parameter.value
            if parameter.is_encoded:
                if index == 0 and text.count("'") >= 2:
                    text = text.split("'", 2)[2]
                text = unquote(text, "latin-1")
            segments.setdefault(parameter.attribute, {}).setdefault(index, text)
        return {
            attribute: "".join(text for _, text in sorted(found.items()))
            for attribute, found in segments.items()
        }


def scan_content_type(raw: str) -> RawContentType:
    """Return what stands where in the raw value of a Content-Type field (RFC 2045 section 5.1).

    Takes any characters, comments and folding included; an unterminated quoted string runs to the end, an
    unterminated comment is none. Linear.
    """
    scanner = _Scanner(raw)
    pieces: list[str] = []
    at = scanner.skip(0)
    start = at
    end = at
    while at < len(raw) and raw[at] != ";":
        following = scanner.skip(at)
        if following > at:
            at = following
            continue
        pieces.append(raw[at])
        at += 1
        end = at
    parameters: list[RawParameter] = []
    while at < len(raw):
        at = scanner.skip(at + 1)  # past the semicolon
        at = scanner.parameter(at, parameters)
    return RawContentType("".join(pieces).lower(), start, end, tuple(parameters))


class _Scanner:
    """Reads comments, white space and parameters; remembers once that no comment ends any more."""

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self.comments_end = True

    def skip(self, at: int) -> int:
        """Return where neither white space nor a comment stands."""
        raw = self.raw
        while True:
            match = _SPACE.match(raw, at)
            at = match.end() if match else at
            if at >= len(raw) or raw[at] != "(" or not self.comments_end:
                return at
            end = self.comment(at)
            if end < 0:
                self.comments_end = False
                return at
            at = end

    def comment(self, at: int) -> int:
        """Return the end of the comment at ``at``, or -1 where it never ends."""
        depth = 0
        while True:
            match = _COMMENT_MARK.search(self.raw, at)
            if match is None:
                return -1
            at = match.end()
            if match[0] == "(":
                depth += 1
            elif match[0] == ")":
                depth -= 1
                if depth == 0:
                    return at
            else:
                at += 1  # quoted-pair

    def parameter(self, at: int, parameters: list[RawParameter]) -> int:
        """Append the parameter at ``at`` if there is one; return the place of the next semicolon."""
        raw = self.raw
        semicolon = raw.find(";", at)
        stop = len(raw) if semicolon < 0 else semicolon
        equals = raw.find("=", at, stop)
        if equals < 0:
            return stop
        name = "".join(raw[at:equals].split()).lower()
        start = self.skip(equals + 1)
        quoted = _QUOTED.match(raw, start)
        if quoted is not None:
            value = _ESCAPE.sub(r"\1", quoted[1].translate(_LINE_BREAKS))
            parameters.append(RawParameter(name, value, start, quoted.end()))
            following = raw.find(";", quoted.end())
            return len(raw) if following < 0 else following
        if start > stop:  # a comment with a semicolon in it stood before the value
            following = raw.find(";", start)
            stop = len(raw) if following < 0 else following
        written = raw[start:stop].rstrip(" \t\r\n\0")
        parameters.append(RawParameter(name, written.translate(_LINE_BREAKS), start, start + len(written)))
        return stop
