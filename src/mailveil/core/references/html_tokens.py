"""Tokens of markup: tags with the spans of their attribute values, and character references with a way back.

Two grammars of tags live here. A *clean* tag is one that every known parser reads alike. Any other tag is
read both as the WHATWG tokeniser does (HTML section 13.2.5) and *loosely*, as parsers do that give up on
quotes. No pattern backtracks over more than one name, so everything takes time linear in what it consumes.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from html.entities import html5
from typing import Final, NamedTuple

from mailveil.core.message.text import Text
from mailveil.core.references.url import real_characters

_SPACE: Final = r"[ \t\n\r\f]"
_NAME: Final = r"[a-zA-Z0-9_:.\-\[\]@$*#]++"
_VALUE: Final = r"""(?:"[^"]*+"|'[^']*+'|[^ \t\n\r\f"'<>=`][^ \t\n\r\f"'<>`]*+)"""

#: A start tag that every parser reads alike; group 1 is the element's name.
CLEAN_TAG: Final = re.compile(
    rf"<([a-zA-Z][a-zA-Z0-9:_.\-]*+)(?:{_SPACE}++{_NAME}(?:{_SPACE}*+={_SPACE}*+{_VALUE})?+)*+{_SPACE}*+/?+>"
)
_CLEAN_ATTRIBUTE: Final = re.compile(
    rf"{_SPACE}++({_NAME})"
    rf"""(?:{_SPACE}*+={_SPACE}*+(?:"([^"]*+)"|'([^']*+)'|([^ \t\n\r\f"'<>=`][^ \t\n\r\f"'<>`]*+)))?"""
)
_TAG_NAME: Final = re.compile(r"</?+([^ \t\n\r\f/>]*+)")
_PLAIN_NAME: Final = re.compile(r"</?+\x00*+([a-zA-Z][a-zA-Z0-9:_.\-]*+)")
# One attribute as the WHATWG tokeniser reads it: from "before attribute name" to after the value.
_ANY_ATTRIBUTE: Final = re.compile(
    rf"[ \t\n\r\f/]*+(?:(>)|(=[^ \t\n\r\f/>=]*+|[^ \t\n\r\f/>=]++)"
    rf"""(?:{_SPACE}*+={_SPACE}*+(?:"([^"]*+)(?:"|\Z)|'([^']*+)(?:'|\Z)"""
    r"""|([^ \t\n\r\f>"'][^ \t\n\r\f>]*+))?)?)"""
)
_QUOTES: Final = ("", "", "", '"', "'", "")
_TAG_STOP: Final = re.compile(r"[<>]")

#: Attributes that load, or steer loading, on some element. A loose reading looks for these names only.
LOADING_NAMES: Final = frozenset({
    "action", "altimg", "archive", "artwork", "attributename", "attributionsrc", "background", "by", "classid",
    "clip-path", "codebase", "code", "config", "content", "cursor", "data", "dynsrc", "fill", "filter", "from", "href",
    "http-equiv", "icon", "imagesrcset", "implementation", "itemprop", "lowsrc", "manifest", "marker-end",
    "marker-mid", "marker-start", "marker", "mask", "movie", "name", "object", "ping", "poster", "property", "rel",
    "srcdoc", "srcset", "src", "stroke", "style", "to", "type", "values", "value", "xml:base",
})  # fmt: skip
_LOOSE_ATTRIBUTE: Final = re.compile(
    r"(?<![a-zA-Z0-9_\-.])([a-zA-Z\-]++(?::[a-zA-Z\-]++)?+)[\s\x00-\x20]*+="
    # Two quotes are an empty value, unless an address follows them.
    r"[\s\x00-\x20]*+(?:([\"'`]++)(?=\s*+(?:[a-zA-Z][a-zA-Z0-9+.\-]*+:|[/\\]{2}))|([\"'`]?+))[\s\x00-\x20]*+"
)
_LOOSE_END: Final = {
    "": re.compile(r"[\s\"'`<>]"),
    '"': re.compile('"'),
    "'": re.compile("'"),
    "`": re.compile("`"),
}
# How far a value reaches that has no end of its own; what lies beyond stays behind the replacement.
_LOOSE_VALUE_MAX: Final = 4_096


class Attribute(NamedTuple):
    """An attribute: name in lower case, value in characters ``[start, end)``, ``start`` -1 without one."""

    name: str
    start: int
    end: int
    quote: str


_attribute: Final = tuple.__new__  # what a named tuple's own constructor calls, without its detour


class Tag(NamedTuple):
    """A start tag at characters ``[start, end)``. ``odd`` tells that parsers differ in how they read it."""

    name: str
    start: int
    end: int
    attributes: list[Attribute]
    odd: bool = False

    def find(self, name: str) -> Attribute | None:
        """Return the first attribute called ``name`` that has a value."""
        for attribute in self.attributes:
            if attribute.name == name and attribute.start >= 0:
                return attribute
        return None


def clean_attributes(text: str, start: int, end: int) -> list[Attribute]:
    """Return the attributes of a clean tag, ``start`` after its name, ``end`` after its ``>``."""
    found: list[Attribute] = []
    for match in _CLEAN_ATTRIBUTE.finditer(text, start, end - 1):
        group = match.lastindex or 1
        if group == 1:
            found.append(_attribute(Attribute, (match[1].lower(), -1, -1, "")))
        else:
            first, last = match.span(group)
            found.append(_attribute(Attribute, (match[1].lower(), first, last, _QUOTES[group + 1])))
    return found


#: (name, value in double quotes, in single quotes, without quotes) of each attribute of a clean tag.
clean_pairs: Final = _CLEAN_ATTRIBUTE.findall


def read_tag(text: str, start: int) -> Tag:
    """Return the tag (start or end tag) at ``start`` as the WHATWG tokeniser reads it.

    ``text[start]`` is ``<``, a letter or a slash and a letter follow. Where the text ends within the tag, so
    does the tag: a standard parser drops such a tag, others render it.
    """
    name = _TAG_NAME.match(text, start)
    at = name.end() if name else start + 1
    attributes: list[Attribute] = []
    while True:
        match = _ANY_ATTRIBUTE.match(text, at)
        if match is None:
            return Tag(element_name(text, start), start, len(text), attributes, odd=True)
        at = match.end()
        group = match.lastindex or 2
        if group == 1:
            return Tag(element_name(text, start), start, at, attributes, odd=True)
        if group == 2:
            attributes.append(Attribute(match[2].lower(), -1, -1, ""))
        else:
            first, last = match.span(group)
            attributes.append(Attribute(match[2].lower(), first, last, _QUOTES[group]))


def element_name(text: str, start: int) -> str:
    """Return the element's name, lower case, up to the first character that does not belong into one."""
    match = _PLAIN_NAME.match(text, start)
    return match[1].lower() if match else ""


def loose_end(text: str, start: int) -> int:
    """Return where a tag ends for who ignores quotes: after the first ``>``, or before the next ``<``."""
    match = _TAG_STOP.search(text, start + 1)
    if match is None:
        return len(text)
    return match.end() if match[0] == ">" else match.start()


def loose_attributes(text: str, start: int, end: int) -> Iterator[Attribute]:
    """Yield the loading attributes that some parser might see in ``[start, end)`` whatever the quotes say."""
    for match in _LOOSE_ATTRIBUTE.finditer(text, start, end):
        name = match[1].lower()
        if name not in LOADING_NAMES and not name.startswith("on") and not name.endswith((":href", ":src")):
            continue
        first = match.end()
        quote = (match[2] or match[3] or "")[-1:]
        stop = min(end, first + _LOOSE_VALUE_MAX)
        closing = _LOOSE_END[quote].search(text, first, stop)
        last = closing.start() if closing else stop
        if closing is None and text[last - 1 : last] == ">":
            last -= 1
        if last < first:
            continue
        yield Attribute(name, first, last, quote)


_REFERENCE: Final = re.compile(r"&(?:#(?:[xX]([0-9a-fA-F]++)|([0-9]++));?|([A-Za-z][A-Za-z0-9]*+)(;?))")
# HTML section 13.2.5.80: numeric references to C1 controls mean windows-1252.
_C1: Final = {
    number: bytes([number]).decode("windows-1252", "ignore") or chr(number) for number in range(0x80, 0xA0)
}


def _referred(match: re.Match[str], value: str, *, in_attribute: bool) -> tuple[str, int]:
    """Return what a character reference stands for and where it ends; ``("", …)`` where it is none."""
    hexadecimal, decimal, name, semicolon = match.groups()
    if name is None:
        digits = (hexadecimal or decimal).lstrip("0")
        number = 0x110000 if len(digits) > 7 else int(digits or "0", 16 if hexadecimal else 10)
        if number == 0 or number > 0x10FFFF or 0xD800 <= number < 0xE000:
            return "\ufffd", match.end()
        return _C1.get(number) or chr(number), match.end()
    if semicolon and name + ";" in html5:
        return html5[name + ";"], match.end()
    after_name = match.end(3)
    if in_attribute:
        if name in html5 and value[after_name : after_name + 1] != "=":
            return html5[name], after_name
        return "", match.end()
    for length in range(min(6, len(name)), 1, -1):
        if name[:length] in html5:
            return html5[name[:length]], match.start(3) + length
    return "", match.end()


def decode_value(value: str, charset: str = "") -> str:
    """Return an attribute value as the characters it means, references decoded (HTML section 13.2.5.72)."""
    value = real_characters(value, charset)
    if "&" not in value:
        return value
    return _REFERENCE.sub(lambda match: _replacement(match, value), value)


def _replacement(match: re.Match[str], value: str) -> str:
    replacement, end = _referred(match, value, in_attribute=True)
    return replacement + value[end : match.end()] if replacement else match[0]


def decode_text(text: Text, start: int, end: int, *, in_attribute: bool = True) -> Text:
    """Return characters ``[start, end)`` with their character references decoded, as a text of its own."""
    value = text.text[start:end]
    if "&" not in value:
        return text.sub(start, end)
    decoder = TextBuilder(text, start)
    at = 0
    for match in _REFERENCE.finditer(value):
        if match.start() < at:
            continue
        replacement, last = _referred(match, value, in_attribute=in_attribute)
        if replacement:
            decoder.copy(at, match.start())
            decoder.put(replacement, match.start(), last)
            at = last
    decoder.copy(at, len(value))
    return decoder.build()


class TextBuilder:
    """Makes a text from pieces of another one, run by run, so that long texts stay cheap."""

    def __init__(self, text: Text, start: int = 0) -> None:
        self.text = text
        self.start = start
        self.pieces: list[str] = []
        # Four bytes a character: a text of many megabytes must not become gigabytes of integers.
        self.starts = array("I")
        self.ends = array("I")

    def copy(self, first: int, last: int) -> None:
        """Take over characters ``[first, last)``, counted from where this builder starts."""
        if first >= last:
            return
        text, a, b = self.text, self.start + first, self.start + last
        self.pieces.append(text.text[a:b])
        if text.starts is None or text.ends is None:
            self.starts.extend(range(text.offset + a, text.offset + b))
            self.ends.extend(range(text.offset + a + 1, text.offset + b + 1))
        else:
            # One by one, since those may be an array of another kind.
            self.starts.extend(iter(text.starts[a:b]))
            self.ends.extend(iter(text.ends[a:b]))

    def put(self, characters: str, first: int, last: int) -> None:
        """Add characters that stand for characters ``[first, last)`` of the original."""
        charset = self.text.charset
        if charset and not characters.isascii():
            # The text is bytes seen as latin-1, so the characters have to become the bytes that mean them.
            try:
                characters = characters.encode(charset).decode("latin-1")
            except (ValueError, LookupError):
                characters = "?"
        span = self.text.span(self.start + first, self.start + last)
        self.pieces.append(characters)
        self.starts.extend([span.start] * len(characters))
        self.ends.extend([span.end] * len(characters))

    def build(self) -> Text:
        """Return the text."""
        text = self.text
        return Text(
            "".join(self.pieces),
            text.source,
            offset=text.span(self.start, self.start).start,
            starts=self.starts,
            ends=self.ends,
            encoding=text.encoding,
            charset=text.charset,
        )


def tags(text: str) -> Iterator[Tag]:
    """Yield every start tag of an XML document: comments, CDATA sections and instructions are passed over.

    Nothing well-formed is required; no element has raw text. What never ends reaches to the end of the text.
    """
    at = text.find("<")
    while at >= 0:
        after = text[at + 1 : at + 2]
        end = at + 1
        if after == "!":
            opening, closing = ("<!--", "-->") if text.startswith("<!--", at) else ("<!", ">")
            if text.startswith("<![CDATA[", at):
                opening, closing = "<![CDATA[", "]]>"
            found = text.find(closing, at + len(opening))
            end = len(text) if found < 0 else found + len(closing)
        elif after == "?":
            found = text.find("?>", at)
            end = len(text) if found < 0 else found + 2
        elif after.isalpha() or after in {"_", ":"}:
            clean = CLEAN_TAG.match(text, at)
            if clean is None:
                tag = read_tag(text, at)
            else:
                attributes = clean_attributes(text, clean.end(1), clean.end())
                tag = Tag(clean[1].lower(), at, clean.end(), attributes)
            yield tag
            end = tag.end
        at = text.find("<", end)
