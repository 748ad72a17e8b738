"""Content lines, which iCalendar (RFC 5545 section 3.1) and vCard (RFC 6350 section 3.3) are made of."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect, Span
from mailveil.core.references.data_url import find_in_data_url
from mailveil.core.references.types import BLANK_GIF, BLANK_URL, COPYABLE, Media, Reference, Scope, Vector
from mailveil.core.references.url import remote

_LINE: Final = re.compile(r"([^\r\n]*+)(?:\r\n|\r|\n|\Z)")
_HEAD: Final = re.compile(r"[\s\ufeff]*+(?:[A-Za-z0-9_-]++\.)?+([A-Za-z0-9_-]++)[ \t]*+(?=[;:])")
_PARAMETER_NAME: Final = re.compile(r'[^=;:"]*+')
_PLAIN_VALUE: Final = re.compile(r"[^,;:]*+")
_AFTER_QUOTE: Final = re.compile(r"[^,;:]*+")
_UNQUOTED_URL: Final = re.compile(r"://[^\s;,:]*+(?::[0-9]++[^\s;,:]*+)?+")
_URL_SCHEMES: Final = frozenset({"file", "ftp", "ftps", "http", "https", "ldap", "ldaps", "smb"})
# A line that looks like the beginning of a property of its own, for clients that do not unfold.
_PROPERTY_IN_FOLD: Final = re.compile(r"[ \t]*+(?:[A-Za-z0-9_-]++\.)?+[A-Za-z0-9_-]++(?:;[^:]*+)?+:")
_SOFT_BREAK: Final = re.compile(r"quoted-printable", re.IGNORECASE)
_HEX: Final = "0123456789ABCDEFabcdef"


class Parameter(NamedTuple):
    """One parameter value: upper-case name, characters ``[start, end)`` of the line, quotes left out."""

    name: str
    value: str
    start: int
    end: int
    quoted: bool


class ContentLine:
    """One property: upper-case ``name`` without its group, ``parameters`` and the unfolded ``value``.

    Positions count characters of ``line``, the unfolded line; :meth:`span` leads back to the bytes.
    ``continuation`` marks the second reading of a line that folding made part of the property before it.
    """

    __slots__ = ("_pieces", "_starts", "_within", "continuation", "line", "name", "parameters", "value_start")

    def __init__(
        self,
        within: Text,
        line: str,
        pieces: list[tuple[int, int]],
        head: tuple[str, tuple[Parameter, ...], int],
        *,
        continuation: bool = False,
    ) -> None:
        self._within = within
        self._pieces = pieces  # (where a piece begins in ``line``, where in ``within``)
        self._starts = [first for first, _ in pieces]
        self.line = line
        self.continuation = continuation
        self.name, self.parameters, self.value_start = head

    @property
    def value(self) -> str:
        """The unfolded value, still escaped or encoded."""
        return self.line[self.value_start :]

    def parameter(self, name: str) -> str:
        """Return the first value of the parameter called ``name`` (upper-case), or ``""``."""
        for candidate in self.parameters:
            if candidate.name == name:
                return candidate.value
        return ""

    def has(self, *values: str) -> bool:
        """Tell whether any parameter value, whatever its name, equals one of ``values`` (upper-case)."""
        return any(parameter.value.upper() in values for parameter in self.parameters)

    def place(self, at: int) -> int:
        """Return where character ``at`` of the line stands in the enclosing text."""
        index = bisect_right(self._starts, at) - 1
        first, within = self._pieces[index]
        return within + at - first

    def characters(self, start: int, end: int) -> tuple[int, int]:
        """Return the range of the enclosing text that characters ``[start, end)`` of the line take up."""
        first = self.place(start)
        return first, (self.place(end - 1) + 1 if end > start else first)

    def span(self, start: int, end: int) -> Span:
        """Return the bytes that characters ``[start, end)`` of the line came from."""
        return self._within.span(*self.characters(start, end))

    def unescaped(self, start: int, end: int) -> Text:
        """Return characters ``[start, end)`` with backslash escapes undone (RFC 5545 section 3.3.11)."""
        line = self.line
        characters: list[str] = []
        places: list[tuple[int, int]] = []
        at = start
        while at < end:
            character = line[at]
            following = at + 1
            if character == "\\" and following < end:
                character = "\n" if line[following] in "nN" else line[following]
                following += 1
            characters.append(character)
            places.append(self.characters(at, following))
            at = following
        return self._within.derive("".join(characters), places)

    def unquoted(self, start: int, end: int) -> Text:
        """Return characters ``[start, end)`` with quoted-printable decoded (vCard 2.1, vCalendar 1.0)."""
        line = self.line
        characters: list[str] = []
        places: list[tuple[int, int]] = []
        at = start
        while at < end:
            character = line[at]
            following = at + 1
            if character == "=":
                digits = line[at + 1 : min(at + 3, end)]
                if len(digits) == 2 and digits[0] in _HEX and digits[1] in _HEX:
                    character = chr(int(digits, 16))
                    following = at + 3
            characters.append(character)
            places.append(self.characters(at, following))
            at = following
        return self._within.derive("".join(characters), places)


def content_lines(text: Text) -> Iterator[ContentLine]:
    """Yield every property of ``text``, under both readings where a line is folded.

    The unfolded reading comes first; a continuation that would be a property for a client that does not
    unfold follows as a line of its own. Lines without a colon are passed over. Total and linear.
    """
    lines = [match.span(1) for match in _LINE.finditer(text.text)]
    index = 0
    while index < len(lines):
        first = index
        index += 1
        while index < len(lines) and _continues(text.text, lines[index]):
            index += 1
        soft = _soft_breaks(text.text, lines[first:index])
        while (
            soft and index < len(lines) and text.text[lines[index - 1][0] : lines[index - 1][1]].endswith("=")
        ):
            index += 1
        yield from _readings(text, lines[first:index], soft)


def _continues(characters: str, line: tuple[int, int]) -> bool:
    return characters[line[0] : line[0] + 1] in {" ", "\t"}


def _soft_breaks(characters: str, lines: list[tuple[int, int]]) -> bool:
    """Tell whether these lines begin a quoted-printable value whose last line goes on."""
    start, end = lines[-1]
    if not (end > start and characters[end - 1] == "="):
        return False
    head_end = characters.find(":", lines[0][0], end)
    return head_end >= 0 and _SOFT_BREAK.search(characters, lines[0][0], head_end) is not None


def _readings(text: Text, lines: list[tuple[int, int]], soft: bool) -> Iterator[ContentLine]:
    characters = text.text
    pieces: list[tuple[int, int]] = []
    parts: list[str] = []
    length = 0
    for number, (start, end) in enumerate(lines):
        begin = start + 1 if number and _continues(characters, (start, end)) else start
        stop = end - 1 if soft and number < len(lines) - 1 and characters[end - 1 : end] == "=" else end
        if stop > begin:
            pieces.append((length, begin))
            parts.append(characters[begin:stop])
            length += stop - begin
    if pieces:
        line = "".join(parts)
        head = _head(line)
        if head is not None:
            yield ContentLine(text, line, pieces, head)
    for start, end in lines[1:]:
        if _PROPERTY_IN_FOLD.match(characters, start, end):
            line = characters[start:end]
            head = _head(line)
            if head is not None:
                yield ContentLine(text, line, [(0, start)], head, continuation=True)


def _head(line: str) -> tuple[str, tuple[Parameter, ...], int] | None:
    """Return name, parameters and where the value begins, or ``None`` where there is no property."""
    match = _HEAD.match(line)
    if match is None:
        return None
    parameters: list[Parameter] = []
    at = match.end()
    while at < len(line) and line[at] == ";":
        name_match = _PARAMETER_NAME.match(line, at + 1)
        assert name_match is not None
        name = name_match[0].strip().upper()
        at = name_match.end()
        if at >= len(line) or line[at] != "=":
            start = name_match.start()
            parameters.append(
                Parameter("", name_match[0].strip(), start, at, False)
            )  # vCard 2.1: bare values
            if line[at : at + 1] == '"':
                at = _to_delimiter(line, at)
            continue
        at += 1
        while True:
            at = _parameter_value(line, at, name, parameters)
            if line[at : at + 1] != ",":
                break
            at += 1
    colon = line.find(":", at)
    return None if colon < 0 else (match[1].upper(), tuple(parameters), colon + 1)


def _to_delimiter(line: str, at: int) -> int:
    match = _AFTER_QUOTE.match(line, at)
    assert match is not None
    return match.end()


def _parameter_value(line: str, at: int, name: str, parameters: list[Parameter]) -> int:
    """Append the value at ``at``; return where it ends."""
    if line[at : at + 1] == '"':
        end = line.find('"', at + 1)
        if end >= 0:
            parameters.append(Parameter(name, line[at + 1 : end], at + 1, end, True))
            return _to_delimiter(line, end + 1)
    match = _PLAIN_VALUE.match(line, at)
    assert match is not None
    end = match.end()
    url = _UNQUOTED_URL.match(line, end)  # quotes left out around a URL: its first colon is not the delimiter
    if url is not None and match[0].strip().lower() in _URL_SCHEMES:
        end = url.end()
    parameters.append(Parameter(name, line[at:end].strip(), at, end, False))
    return end


class PropertyReporter:
    """Appends references that stand in properties; of two readings of the same characters only one."""

    def __init__(self, text: Text, scope: Scope) -> None:
        self.text = text
        self.scope = scope
        self._first = 0  # the first reference of the property that is being read
        self._taken: list[Span] | None = None

    def begin(self, line: ContentLine) -> bool:
        """Note that ``line`` is read next; ``False`` says that there are more references than may be."""
        found = self.scope.findings.references
        if not line.continuation:
            self._first = len(found)
        self._taken = None
        if len(found) > self.scope.limits.max_references:
            self.scope.findings.defects.append(Defect.TOO_MANY_REFERENCES)
            return False
        return True

    def value(self, line: ContentLine, start: int, end: int, vector: Vector) -> None:
        """Report characters ``[start, end)`` of a property's value if they make a client go somewhere."""
        value = line.unquoted(start, end).text if line.has("QUOTED-PRINTABLE") else line.line[start:end]
        inline = line.has("BINARY", "BASE64", "B")
        if inline and ":" not in value and "\\" not in value:
            return  # what could be base64 is
        value = value.strip().strip("\"'<>")
        url = remote(value, self.scope)
        if url is None and "\\" in value:
            url = remote(value.replace("\\", ""), self.scope)  # as a client reads it that undoes escapes
        if url is not None:
            inert = BLANK_GIF if COPYABLE.get(vector) is Media.IMAGE else BLANK_URL
            self._append(line, start, end, vector=vector, url=url, inert=inert)
        elif value[:5].lower() == "data:":
            find_in_data_url(self.text, *line.characters(start, end), self.scope)

    def parameters(self, line: ContentLine, names: tuple[str, ...], vector: Vector) -> None:
        """Report the parameters whose name ends with one of ``names``."""
        for parameter in line.parameters:
            if not parameter.name.endswith(names):
                continue
            url = remote(parameter.value, self.scope)
            if url is not None:
                inert = BLANK_URL if parameter.quoted else f'"{BLANK_URL}"'
                self._append(line, parameter.start, parameter.end, vector=vector, url=url, inert=inert)

    def _append(
        self, line: ContentLine, start: int, end: int, *, vector: Vector, url: str, inert: str
    ) -> None:
        span = line.span(start, end)
        if line.continuation and self._is_taken(span):
            return
        self.scope.findings.references.append(
            Reference(
                url=url,
                vector=vector,
                part=self.scope.part,
                source=self.text.source,
                start=span.start,
                end=span.end,
                inert=inert,
                encoding=self.text.encoding,
                media=COPYABLE.get(vector),
                element=line.name.lower(),
                attributes={parameter.name.lower(): parameter.value for parameter in line.parameters},
            )
        )

    def _is_taken(self, span: Span) -> bool:
        """Tell whether the first reading replaces any of these bytes."""
        if self._taken is None:
            found = self.scope.findings.references[self._first :]
            self._taken = sorted(Span(reference.start, reference.end) for reference in found)
        index = bisect_right(self._taken, span)
        before = index > 0 and self._taken[index - 1].end > span.start
        return before or (index < len(self._taken) and self._taken[index].start < span.end)
