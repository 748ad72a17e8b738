"""Readings: walk HTML as every known kind of parser does at once, so that what any of them sees is seen.

Parsers differ about where a tag ends whose quotes are unbalanced, about which comments are markup after all
(Outlook's conditional comments, comments that SGML and HTML end at different places), about elements whose
content is raw text, and about CDATA sections. Each combination that some parser embodies is one *reading*, a
bit in a set. All readings stand at a place in the text; the hindmost step forward together, and readings that
arrive at the same place have nothing left to differ in, since a place between tags is the whole state. So
every place is visited at most once, and ordinary mail, which all readings agree on, is walked once, mostly
within one regular expression.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from mailveil.core.references.html_tokens import (
    CLEAN_TAG,
    Tag,
    clean_attributes,
    element_name,
    loose_attributes,
    loose_end,
    read_tag,
)

# The readings. "Raw" ones honour raw text elements, as browsers do in HTML; the others see markup in them,
# as browsers do in SVG, sanitisers and Word. "Live" ones take for markup every comment that parsers differ
# about.
BROWSER: Final = 1  # WHATWG tags and comments, raw text
FOREIGN: Final = 2  # WHATWG tags and comments, no raw text, CDATA sections: SVG, MathML and XML
OUTLOOK: Final = 4  # WHATWG tags, live comments, raw text
LENIENT: Final = 8  # WHATWG tags, live comments, no raw text
LOOSE: Final = 16  # tags without regard to unbalanced quotes, live comments, no raw text
LOOSE_RAW: Final = 32  # the same with raw text
ALL: Final = 63
_RAW: Final = BROWSER | OUTLOOK | LOOSE_RAW
_EXACT_TAGS: Final = BROWSER | FOREIGN | OUTLOOK | LENIENT
_EXACT_COMMENTS: Final = BROWSER | FOREIGN

RAW_ELEMENTS: Final = frozenset(
    {"style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "noscript", "plaintext"}
)

#: Elements of which no parser loads anything but by attributes that hold everywhere (style, background, src).
PLAIN_ELEMENTS: Final = frozenset(
    {
        "table", "tbody", "td", "tr", "th", "thead", "tfoot", "span", "div", "p", "br", "b", "strong",
        "em", "font", "center", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ul", "ol", "li", "small", "big",
        "blockquote", "pre", "o:p", "i", "u", "sup", "sub", "option", "label", "section", "address", "col",
        "colgroup", "dl", "dt", "dd", "body",
    }
)  # fmt: skip


def _either_case(letters: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else re.escape(c) for c in letters)


def _any_of(words: str) -> str:
    """Return a pattern for any of the words in a string, in either case."""
    return _one_of(words.split())


def _one_of(words: list[str]) -> str:
    """Return a pattern without backtracking for any of ``words``, in either case, as a tree of prefixes."""
    branches: dict[str, list[str]] = {}
    for word in words:
        if word:
            branches.setdefault(word[0], []).append(word[1:])
    if not branches:
        return ""
    pattern = "|".join(_either_case(first) + _one_of(rest) for first, rest in branches.items())
    return f"(?:{pattern}){'?+' if '' in words else ''}"


# Attribute names that load nothing on plain elements: all but those that begin like one that does, and of
# those the common ones. Prefixed names never count.
_DULL_NAMES: Final = (
    r"(?:[acefgijkmnqrtuvwyzACEFGIJKMNQRTUVWYZ][a-zA-Z0-9_\-]*+|(?:"
    + _any_of("border bordercolor bgcolor height hspace size scope start summary span lang link dir")
    + r")(?![a-zA-Z0-9_\-:.])|data-[a-zA-Z0-9_\-]*+)"
)
# Declarations without functions (but for colours), escapes, at-rules and custom properties.
_DULL_TURN: Final = r"(?:-(?!-)|(?<=[rR][gG][bB])\([\d., %]*+\)|(?<=rgba)\([\d., %]*+\)|&(?:quot|apos|\#39);)"
_DULL_STYLE: Final = (
    _either_case("style")
    + rf"""=(?:"[^"<(&\\@\-\x00]*+(?:{_DULL_TURN}[^"<(&\\@\-\x00]*+)*+\""""
    + rf"""|'[^'<(&\\@\-\x00]*+(?:{_DULL_TURN}[^'<(&\\@\-\x00]*+)*+')"""
)
_SPACE: Final = r"[ \t\n\r\f]"
_DULL_ATTRIBUTE: Final = (
    rf"{_SPACE}++(?:{_DULL_STYLE}|{_DULL_NAMES}"
    r"""(?:=(?:"[^"<]*+"|'[^'<]*+'|[^ \t\n\r\f"'<>=`][^ \t\n\r\f"'<>`]*+))?+)"""
)
_DULL_TAG: Final = (
    rf"/[a-zA-Z][a-zA-Z0-9:]*+{_SPACE}*+>"
    rf"|{_one_of(sorted(PLAIN_ELEMENTS))}(?:{_DULL_ATTRIBUTE})*+{_SPACE}*+/?+>"
    # Without an attribute nothing with a prefix loads, nor does the island of XML that holds such.
    rf"|(?:[a-zA-Z]++:[a-zA-Z]++|xml){_SPACE}*+/?+>"
    rf"|{_either_case('title')}>[^<]*+</{_either_case('title')}>"
    rf"|(?:meta|META)(?:{_SPACE}++(?:http-equiv=\"(?:[cC]ontent-[tT]ype|X-UA-Compatible)\""
    r"|name=\"(?:viewport|[gG]enerator|format-detection|[pP]rog[iI]d|[oO]riginator"
    r"|x-apple-disable-message-reformatting"
    r"|color-scheme|supported-color-schemes)\"|charset=\"[^\"<]*+\"|content=\"[^\"<]*+\"))*+"
    rf"{_SPACE}*+/?+>"
)
# Comments that end alike for all, and conditional comments with nothing but dull tags between their ends:
# whether a reading sees those tags or not, it comes out behind.
_DULL_DECLARATION: Final = (
    r"!(?:--(?:[^<>\[\-]*+(?:-[^<>\[\-]++)*+-->"
    rf"|\[if [^<>]*+>(?:<!-->|(?:[^<]*+<(?:{_DULL_TAG}))*+[^<]*+<!\[endif\]-->)"
    r"|<!\[endif\]-->)"
    r"|\[(?:if |endif)[^<>]*+>)"
)
#: Nothing to do in any reading, and all readings agree where each of these ends.
_DULL: Final = re.compile(rf"(?:[^<]*+<(?:{_DULL_TAG}|{_DULL_DECLARATION}))*+[^<]*+")
_TEXT: Final = re.compile(r"[^<]*+")
# By far the most frequent tags: an ordinary link and an image (group 1) with nothing else of interest.
_HARMLESS_ATTRIBUTE: Final = (
    rf"{_SPACE}++(?:{_DULL_STYLE}|(?:"
    + _any_of("target title class id name rel role alt align dir lang width height border hspace vspace")
    + r"""|data-[a-z0-9_\-]*+|aria-[a-z]*+)(?:=(?:"[^"<]*+"|'[^'<]*+'|[^ \t\n\r\f"'<>=`]++))?+)"""
)
LINK_TAG: Final = re.compile(
    rf"<[aA](?:{_HARMLESS_ATTRIBUTE})*+{_SPACE}++(?:href|HREF)=\"([^\"<]*+)\""
    rf"(?:{_HARMLESS_ATTRIBUTE})*+{_SPACE}*+>"
)
IMAGE_TAG: Final = re.compile(
    rf"<(?:img|IMG)(?:{_HARMLESS_ATTRIBUTE})*+{_SPACE}++(?:src|SRC)=\"([^\"<]*+)\""
    rf"(?:{_HARMLESS_ATTRIBUTE})*+{_SPACE}*+/?+>"
)

_END_TAG: Final = re.compile(rf"</[a-zA-Z][a-zA-Z0-9:_.\-]*+{_SPACE}*+/?+>")
_COMMENT_END: Final = re.compile("--!?+>")
# The first of what ends a comment for every parser (group 1), or makes parsers differ about it.
_COMMENT_TURN: Final = re.compile(
    r"(-->)|--!>|--[ \t\n\r\f]++>|<!|\[\s*+(?:if|endif)"
    r"|</(?:style|script|title|textarea|xmp|no[efs]|iframe|plain)",
    re.IGNORECASE,
)
_AFTER_RAW: Final = frozenset(" \t\n\r\f/>")


class Visitor(Protocol):
    """What is told of the markup. Places come in ascending order of where each token starts."""

    def visit_tag(self, tag: Tag, agreed: bool) -> None:
        """A start tag; ``agreed`` tells that every reading sees it here."""

    def visit_link(self, start: int, end: int, agreed: bool) -> None:
        """An ordinary link's address; nothing else about the link is of interest."""

    def visit_image(self, start: int, end: int, value_start: int, value_end: int, agreed: bool) -> None:
        """An image at ``[start, end)`` of which nothing but the address is of interest."""

    def visit_raw(self, tag: Tag, start: int, end: int) -> None:
        """The content of a style or script element."""

    def visit_instruction(self, start: int, end: int) -> None:
        """A processing instruction ``<?…>``."""

    def visit_doctype(self, end: int) -> None:
        """A document type that every reading sees."""


def walk(text: str, visitor: Visitor, *, skip_dull: bool = True) -> None:
    """Tell ``visitor`` every tag, raw content and instruction that some reading of ``text`` sees.

    Linear in the length of ``text``, given a linear visitor. ``skip_dull=False`` visits what is uninteresting
    too, and tells everything by ``visit_tag``.
    """
    _Walker(text, visitor, skip_dull=skip_dull).walk()


class _Walker:
    """The readings' way through one text."""

    def __init__(self, text: str, visitor: Visitor, *, skip_dull: bool) -> None:
        self.text = text
        self.visitor = visitor
        self.skip_dull = skip_dull
        self.dull = _DULL if skip_dull else _TEXT
        self.raw_ends: dict[str, tuple[int, int]] = {}  # by element: searched from, found at

    def walk(self) -> None:
        length = len(self.text)
        places = {0: ALL}
        while places:
            position = min(places)
            readings = places.pop(position)
            self.advance(position, readings, min(places, default=length), places)

    def advance(self, position: int, readings: int, limit: int, places: dict[int, int]) -> None:
        """Walk on from ``position`` until ``readings`` may part, or come to ``limit``, where others wait."""
        text, skip, visitor = self.text, self.dull.match, self.visitor
        agreed = readings == ALL
        while True:
            dull = skip(text, position, limit)
            if dull is not None:
                position = dull.end()
            if position >= limit:
                if limit < len(text):
                    _arrive(places, position, readings)
                return
            if self.skip_dull and text.startswith(("<a ", "<img ", "<A ", "<IMG "), position):
                match = LINK_TAG.match(text, position)
                if match is not None:
                    visitor.visit_link(match.start(1), match.end(1), agreed)
                    position = match.end()
                    continue
                match = IMAGE_TAG.match(text, position)
                if match is not None:
                    visitor.visit_image(position, match.end(), match.start(1), match.end(1), agreed)
                    position = match.end()
                    continue
            match = CLEAN_TAG.match(text, position)
            if match is None:
                self.step(position, readings, places)
                return
            end = match.end()
            name = match[1].lower()
            tag = Tag(name, position, end, clean_attributes(text, match.end(1), end))
            visitor.visit_tag(tag, agreed)
            if name in RAW_ELEMENTS:
                end = self.enter_raw(tag, readings, places)
                if end < 0:
                    return
            position = end

    def step(self, at: int, readings: int, places: dict[int, int]) -> None:
        """Read the token at ``at``, any but a clean start tag; note where it leads each of ``readings``."""
        text = self.text
        after = text[at + 1 : at + 2]
        if (after.isascii() and after.isalpha()) or (after == "\0" and element_name(text, at)):
            self.read_odd_tag(at, readings, places)
        elif after == "!":
            self.read_declaration(at, readings, places)
        elif after == "/":
            self.read_end_tag(at, readings, places)
        elif after == "?":
            self.read_instruction(at, readings, places)
        else:
            _arrive(places, at + 1, readings)

    # Tags

    def read_odd_tag(self, at: int, readings: int, places: dict[int, int]) -> None:
        exact = readings & _EXACT_TAGS
        loose = readings & ~_EXACT_TAGS
        if exact:
            # Only for readings that jump over the whole tag, so that nothing is read twice.
            tag = read_tag(self.text, at)
            self.visitor.visit_tag(tag, False)
            self.leave_tag(tag, exact, places)
        if loose:
            end = loose_end(self.text, at)
            tag = Tag(element_name(self.text, at), at, end, [*loose_attributes(self.text, at, end)], odd=True)
            self.visitor.visit_tag(tag, False)
            self.leave_tag(tag, loose, places)

    def leave_tag(self, tag: Tag, readings: int, places: dict[int, int]) -> None:
        end = self.enter_raw(tag, readings, places) if tag.name in RAW_ELEMENTS else tag.end
        if end >= 0:
            _arrive(places, end, readings)

    def enter_raw(self, tag: Tag, readings: int, places: dict[int, int]) -> int:
        """Go behind the content of a raw text element in readings that have such, into it in the others.

        Returns where all of them arrive, or -1 where they part.
        """
        end = self.raw_end(tag.name, tag.end)
        if tag.name in {"style", "script"}:
            self.visitor.visit_raw(tag, tag.end, end)
        if self.text.find("<", tag.end, end) < 0:
            return end
        _arrive(places, end, readings & _RAW)
        _arrive(places, tag.end, readings & ~_RAW)
        return -1

    def raw_end(self, name: str, start: int) -> int:
        """Return where the end tag stands that ends raw text from ``start``."""
        text = self.text
        if name == "plaintext":
            return len(text)
        searched_from, found = self.raw_ends.get(name, (-1, -1))
        if searched_from <= start <= found:
            return found
        at = start
        while True:
            at = text.find("</", at)
            if at < 0:
                at = len(text)
                break
            behind = at + 2 + len(name)
            if text[at + 2 : behind].lower() == name and text[behind : behind + 1] in _AFTER_RAW:
                break
            at += 2
        self.raw_ends[name] = (start, at)
        return at

    def read_end_tag(self, at: int, readings: int, places: dict[int, int]) -> None:
        text = self.text
        match = _END_TAG.match(text, at)
        if match is not None:
            _arrive(places, match.end(), readings)
        elif text[at + 2 : at + 3].isascii() and text[at + 2 : at + 3].isalpha():
            exact = readings & _EXACT_TAGS
            if exact:
                _arrive(places, read_tag(text, at).end, exact)
            if readings & ~_EXACT_TAGS:
                _arrive(places, loose_end(text, at), readings & ~_EXACT_TAGS)
        elif text.startswith("</>", at):
            _arrive(places, at + 3, readings)
        else:
            self.read_bogus_comment(at, readings, places)

    # Declarations

    def read_declaration(self, at: int, readings: int, places: dict[int, int]) -> None:
        text = self.text
        if text.startswith("--", at + 2):
            self.read_comment(at, readings, places)
            return
        if text[at + 2 : at + 9].upper() == "[CDATA[":
            if readings & FOREIGN:
                closing = text.find("]]>", at + 9)
                _arrive(places, len(text) if closing < 0 else closing + 3, FOREIGN)
            readings &= ~FOREIGN
        elif readings == ALL and text[at + 2 : at + 9].upper() == "DOCTYPE":
            end = loose_end(text, at)
            if text[end - 1] == ">":
                self.visitor.visit_doctype(end)
        self.read_bogus_comment(at, readings, places)

    def read_bogus_comment(self, at: int, readings: int, places: dict[int, int]) -> None:
        """``<!…>``, ``<?…>`` or ``</ …>``: up to the first ``>``, or markup for who does not know it."""
        exact = readings & _EXACT_COMMENTS
        if exact:
            found = self.text.find(">", at)
            end = len(self.text) if found < 0 else found + 1
            if self.text.find("<", at + 1, end) < 0:
                exact = readings
            _arrive(places, end, exact)
        _arrive(places, at + 2, readings & ~exact)

    def read_comment(self, at: int, readings: int, places: dict[int, int]) -> None:
        text = self.text
        exact = readings & _EXACT_COMMENTS
        if exact:
            if text.startswith(">", at + 4) or text.startswith("->", at + 4):
                end = text.index(">", at) + 1
            else:
                closing = _COMMENT_END.search(text, at + 4)
                end = closing.end() if closing else len(text)
            _arrive(places, end, exact)
        live = readings & ~exact
        if live:
            turn = _COMMENT_TURN.search(text, at + 4)
            early = text.startswith(">", at + 4) or text.startswith("->", at + 4)
            if turn is not None and turn[1] and not early:
                _arrive(places, turn.end(), live)
            else:
                _arrive(places, at + 4, live)

    def read_instruction(self, at: int, readings: int, places: dict[int, int]) -> None:
        end = loose_end(self.text, at)
        self.visitor.visit_instruction(at, end)
        self.read_bogus_comment(at, readings, places)


def _arrive(places: dict[int, int], place: int, readings: int) -> None:
    if readings:
        places[place] = places.get(place, 0) | readings
