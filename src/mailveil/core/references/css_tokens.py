"""CSS tokens as CSS Syntax Level 3 reads them: strings, escapes, url() and names, in linear time."""

from __future__ import annotations

import re
from array import array
from enum import Enum, auto
from typing import Final, NamedTuple

WHITE_SPACE: Final = " \t\n\r\f"
NAME_CHARACTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_ESCAPE: Final = r"\\(?:[0-9A-Fa-f]{1,6}+(?:\r\n|[ \t\n\r\f])?+|[^0-9A-Fa-f\n\r\f])"

# Everything between two characters that a scanner has to look at.
PLAIN: Final = re.compile(r"""[^"'/@\\(){};\[\]]*+""")
ESCAPE: Final = re.compile(_ESCAPE)
SPACE: Final = re.compile(r"[ \t\n\r\f]*+")
NAME: Final = re.compile(rf"(?:[A-Za-z0-9_\x80-\U0010ffff-]++|{_ESCAPE})*+")
_TO_DOUBLE_QUOTE: Final = re.compile(r'(?:[^"\\\n\r\f]++|\\(?:\r\n|[\s\S]))*+')
_TO_SINGLE_QUOTE: Final = re.compile(r"(?:[^'\\\n\r\f]++|\\(?:\r\n|[\s\S]))*+")
_UNQUOTED: Final = re.compile(rf"(?:[^\x00- \"'()\\\x7f]++|{_ESCAPE})*+")
_BAD_URL_REST: Final = re.compile(r"(?:[^)\\]++|\\[\s\S]?)*+")
# The part of a value in a broken token that every reading agrees to be its beginning.
BEGINNING: Final = re.compile(r"[^\x00- \"'(){};\x7f]*+")
_IGNORED: Final = re.compile(r"[\x00- \x7f]*+")
_SPREAD: Final = re.compile(r"[\"'(){};\n\r\f]|/\*")
_ESCAPED: Final = re.compile(
    r"\\(?:([0-9A-Fa-f]{1,6}+)(?:\r\n|[ \t\n\r\f])?+|(\r\n|[\n\r\f])|([\s\S])|\Z)",
)


class StringEnd(Enum):
    """How a string token ends."""

    CLOSED = auto()
    AT_NEWLINE = auto()  # a bad string: other readers let it run on
    AT_END = auto()  # valid, but other readers may disagree


class Origins(NamedTuple):
    """For each character of a text made from another one: the range of that one it came from."""

    starts: array[int]
    ends: array[int]

    def keep(self, start: int, end: int) -> None:
        """Add characters ``[start, end)`` as they are."""
        self.starts.extend(range(start, end))
        self.ends.extend(range(start + 1, end + 1))

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return the range that characters ``[start, end)`` came from."""
        if start < end:
            return self.starts[start], self.ends[end - 1]
        at = self.starts[start] if start < len(self.starts) else (self.ends[-1] if self.ends else 0)
        return at, at

    def within(self, outer: Origins | None, offset: int) -> Origins:
        """Return the same counted in the text that ``outer`` leads to, from ``offset`` characters on."""
        if outer is None:
            return Origins(
                array("q", (start + offset for start in self.starts)),
                array("q", (end + offset for end in self.ends)),
            )
        return Origins(
            array("q", (outer.starts[start + offset] for start in self.starts)),
            array("q", (outer.ends[end + offset - 1] for end in self.ends)),
        )


class Url(NamedTuple):
    """The unquoted contents ``[start, end)`` of a url token, and where scanning goes on.

    ``broken`` means that CSS Syntax calls it a bad url; ``spread`` that readers differ where it ends, so that
    only its beginning can be replaced.
    """

    start: int
    end: int
    after: int
    broken: bool
    spread: bool


def find_string_end(text: str, quote: int) -> tuple[int, StringEnd]:
    """Return the end of the contents of the string whose opening quote is at ``quote``."""
    pattern = _TO_DOUBLE_QUOTE if text[quote] == '"' else _TO_SINGLE_QUOTE
    match = pattern.match(text, quote + 1)
    end = match.end() if match else quote + 1
    if end >= len(text) or text[end] == "\\":  # a backslash here is the last character
        return end, StringEnd.AT_END
    return end, StringEnd.CLOSED if text[end] == text[quote] else StringEnd.AT_NEWLINE


def read_unquoted_url(text: str, start: int) -> Url:
    """Read the contents of an unquoted url token from ``start``, which is no white space."""
    end = match_end(_UNQUOTED, text, start)
    after = match_end(SPACE, text, end)
    if after >= len(text):
        return Url(start, end, after, broken=False, spread=False)
    if text[after] == ")":
        return Url(start, end, after + 1, broken=False, spread=False)
    close = match_end(_BAD_URL_REST, text, after)
    end = start + len(text[start:close].rstrip(WHITE_SPACE))
    spread = close >= len(text) or _SPREAD.search(text, start, end) is not None
    return Url(start, end, close + 1, broken=True, spread=spread)


def find_beginning(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the first stretch of ``[start, end)`` without white space, quotes, brackets and semicolons."""
    start = min(match_end(_IGNORED, text, start), end)
    match = BEGINNING.match(text, start, end)
    return start, match.end() if match else start


def unescape(text: str) -> str:
    """Return ``text`` with CSS escapes decoded and escaped line breaks removed."""
    return _ESCAPED.sub(_character, text) if "\\" in text else text


def unescape_with_origins(text: str) -> tuple[str, Origins]:
    """Return what :func:`unescape` does, and the range of ``text`` that each character came from."""
    characters: list[str] = []
    origins = Origins(array("q"), array("q"))
    at = 0
    for match in _ESCAPED.finditer(text):
        characters.append(text[at : match.start()])
        origins.keep(at, match.start())
        character = _character(match)
        if character:
            characters.append(character)
            origins.starts.append(match.start())
            origins.ends.append(match.end())
        at = match.end()
    characters.append(text[at:])
    origins.keep(at, len(text))
    return "".join(characters), origins


def read_last_name(stretch: str) -> str:
    """Return the decoded lower-case name that ``stretch``, the text before a bracket, ends in; or ``""``.

    White space between name and bracket does not separate them for every reader.
    """
    stretch = stretch.rpartition("<!--")[2]  # a token of its own, though it ends like the beginning of a name
    if "\\" not in stretch:
        stretch = stretch.rstrip(WHITE_SPACE)
        return stretch[len(stretch.rstrip(NAME_CHARACTERS)) :].lower()
    name = ""
    at = 0
    while at < len(stretch):
        end = match_end(NAME, stretch, at)
        if end > at:
            name = stretch[at:end]
            at = end
        else:
            if stretch[at] not in WHITE_SPACE:
                name = ""
            at += 1
    return unescape(name).lower()


def strip_comments(text: str) -> tuple[str, Origins]:
    """Return ``text`` without comments and NUL, and where in ``text`` each character kept stands."""
    kept: list[str] = []
    origins = Origins(array("q"), array("q"))
    at = 0
    while at < len(text):
        opening = text.find("/*", at)
        stop = len(text) if opening < 0 else opening
        while at < stop:
            nul = text.find("\0", at, stop)
            end = stop if nul < 0 else nul
            kept.append(text[at:end])
            origins.keep(at, end)
            at = end + 1
        closing = text.find("*/", stop + 2)
        at = len(text) if opening < 0 or closing < 0 else closing + 2
    return "".join(kept), origins


def _character(match: re.Match[str]) -> str:
    hexadecimal, newline, literal = match.groups()
    if hexadecimal:
        code = int(hexadecimal, 16)
        return "\ufffd" if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)
    if newline:
        return ""
    return literal or ""


def match_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Return where a pattern that always matches ends."""
    match = pattern.match(text, start)
    return match.end() if match else start
