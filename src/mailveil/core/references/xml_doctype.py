"""Document types of XML: what they make a parser fetch, and the entities they declare (XML 1.0, 2.8)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect
from mailveil.core.references.css import find_in_style
from mailveil.core.references.html_tokens import TextBuilder, decode_value
from mailveil.core.references.types import BLANK_URL, Reference, Scope, Vector
from mailveil.core.references.url import real_characters, remote

# Identifiers of document types that everybody uses and nobody but their publisher could watch.
_WELL_KNOWN: Final = re.compile(
    r"https?://(?:www\.w3\.org|www\.apple\.com|www\.oasis-open\.org|docbook\.org|java\.sun\.com|my\.netscape\.com"
    r"|www\.openmobilealliance\.org|www\.wapforum\.org|www\.web3d\.org|www\.idpf\.org)/"
)
_MAX_DEPTH: Final = 4
# An expanded document may be longer than the document by this much; parsers refuse far longer ones too.
_EXPANSION_FACTOR: Final = 4
_EXPANSION_LEAST: Final = 65_536

_DOCTYPE: Final = re.compile(r"<!DOCTYPE\b", re.IGNORECASE)
_LITERAL: Final = re.compile(r"\"([^\"]*+)\"|'([^']*+)'")
_TO_SUBSET: Final = re.compile(r"(?:[^\"'>\[]++|\"[^\"]*+\"|'[^']*+')*+")
_DECLARATION: Final = re.compile(r"<!([A-Za-z]++)((?:[^\"'>]++|\"[^\"]*+\"|'[^']*+')*+)>")
_ENTITY: Final = re.compile(r"\s*+(%\s++)?+([^\s\"'%&;]++)\s++(SYSTEM|PUBLIC)?+")
_NUMERIC: Final = re.compile(r"&#(?:x([0-9a-fA-F]++)|([0-9]++));")
_NAMED: Final = re.compile(r"&([^\s&;#<>\"']++);")


class Literal(NamedTuple):
    """Characters ``[start, end)`` of ``text``, as a rule between quotes."""

    text: Text
    start: int
    end: int

    @property
    def raw(self) -> str:
        """The characters themselves."""
        return self.text.text[self.start : self.end]


class Entities:
    """The general entities that a document declares, and how much they may still expand to."""

    def __init__(self, text: Text) -> None:
        self.literals: dict[str, Literal] = {}
        # Every step of an expansion takes from it, so that nested entities cannot grow without bound.
        self.room = _EXPANSION_LEAST + _EXPANSION_FACTOR * len(text.text)

    def expand(self, raw: str) -> str:
        """Return ``raw`` with declared entities replaced by what they stand for.

        References to undeclared entities stay. A reference to an entity from within itself, which no parser
        accepts, ends the expansion there, and so does a lack of room.
        """
        pieces: list[str] = []
        # Each level: a text, the references left in it, where it goes on, and the entity it came from.
        stack: list[tuple[str, Iterator[re.Match[str]], int, str]] = [(raw, _NAMED.finditer(raw), 0, "")]
        active: set[str] = set()
        while stack and self.room >= 0:
            text, matches, at, origin = stack.pop()
            match = next(matches, None)
            piece = text[at : match.start() if match else len(text)]
            pieces.append(piece)
            self.room -= len(piece) + 1
            if match is None:
                active.discard(origin)
                continue
            stack.append((text, matches, match.end(), origin))
            literal = self.literals.get(match[1])
            if literal is None:
                pieces.append(match[0])
            elif match[1] not in active:
                active.add(match[1])
                inner = _NUMERIC.sub(_numeric, real_characters(literal.raw, literal.text.charset))
                stack.append((inner, _NAMED.finditer(inner), 0, match[1]))
        return "".join(pieces)


def find_in_doctype(text: Text, scope: Scope) -> tuple[Entities, int]:
    """Append what a document type makes some parser fetch. Total; linear in the length of ``text``.

    Return the entities it declares and where it ends.
    """
    characters = text.text
    entities = Entities(text)
    opening = _DOCTYPE.search(characters)
    if opening is None:
        return entities, 0
    match = _TO_SUBSET.match(characters, opening.end())
    end = match.end() if match else opening.end()
    for literal in _literals(text, opening.end(), end):
        _report_identifier(literal, scope)
    if characters[end : end + 1] == "[":
        end = _read_subset(text, end + 1, entities, scope, 0)
    return entities, end


def _literals(text: Text, start: int, end: int) -> Iterator[Literal]:
    for match in _LITERAL.finditer(text.text, start, end):
        yield Literal(text, *match.span(match.lastindex or 1))


def _read_subset(text: Text, at: int, entities: Entities, scope: Scope, depth: int) -> int:
    """Read markup declarations from ``at`` and return where they end."""
    characters = text.text
    length = len(characters)
    while at < length:
        if len(scope.findings.references) > scope.limits.max_references:
            scope.findings.defects.append(Defect.TOO_MANY_REFERENCES)
            return length
        character = characters[at]
        if character == "]":
            return at + 1
        if character != "<":
            at += 1
            continue
        closing = "-->" if characters.startswith("<!--", at) else "?>"
        if closing == "-->" or characters.startswith("<?", at):
            found = characters.find(closing, at + len(closing) + 1)
            at = length if found < 0 else found + len(closing)
            continue
        match = _DECLARATION.match(characters, at)
        if match is None:
            return at
        keyword = match[1].upper()
        if keyword == "ENTITY":
            _read_entity(Literal(text, *match.span(2)), entities, scope, depth)
        elif keyword == "ATTLIST":
            _read_defaults(Literal(text, *match.span(2)), entities, scope)
        at = match.end()
    return at


def _read_entity(declaration: Literal, entities: Entities, scope: Scope, depth: int) -> None:
    text, start, end = declaration
    match = _ENTITY.match(text.text, start, end)
    if match is None:
        return
    literals = [*_literals(text, match.end(), end)]
    if match[3]:
        for literal in literals[-1:]:
            _report_identifier(literal, scope)
    elif not literals:
        return
    elif match[1] is None:
        entities.literals.setdefault(match[2], literals[0])
    elif depth < _MAX_DEPTH:
        # A parameter entity holds declarations.
        inner = decode_numeric(literals[0])
        _read_subset(inner, 0, entities, scope, depth + 1)
    else:
        report_literal(literals[0], scope, "entity:" + match[2][:200])


def _read_defaults(declaration: Literal, entities: Entities, scope: Scope) -> None:
    """Default values of attributes, which a parser adds to the elements."""
    text, start, end = declaration
    before = start
    for literal in _literals(text, start, end):
        words = [word for word in text.text[before : literal.start - 1].split() if word != "#FIXED"]
        before = literal.end + 1
        name = words[-2].lower() if len(words) > 1 else ""
        if name == "xmlns" or name.startswith("xmlns:"):
            continue
        value = decode_value(entities.expand(real_characters(literal.raw, text.charset)))
        url = remote(value, scope) if name.rpartition(":")[2] in {"href", "src", "data", ""} else None
        url = url or remote(value, _without_base(scope))
        if url is None and ("(" in value or "<" in value or (scope.attached and name.startswith("on"))):
            # A style sheet or a script is not worth telling apart here, unless it is harmless.
            known = len(scope.findings.references)
            find_in_style(text.sub(literal.start, literal.end), scope)
            harmless = name == "style" and "&" not in literal.raw
            if len(scope.findings.references) > known or harmless:
                continue
            url = f"javascript:{value[:200]}" if name.startswith("on") else value[:200]
        if url is not None:
            report_literal(literal, scope, url)


def _without_base(scope: Scope) -> Scope:
    return replace(scope, base="") if scope.base else scope


def _report_identifier(literal: Literal, scope: Scope) -> None:
    """Report the address of an external subset or entity."""
    url = remote(real_characters(literal.raw, literal.text.charset), scope)
    if url is not None and not _WELL_KNOWN.match(url) and not literal.raw.startswith(("-//", "+//")):
        report_literal(literal, scope, url)


def report_literal(literal: Literal, scope: Scope, url: str, vector: Vector = Vector.XML_ENTITY) -> None:
    """Report a whole literal."""
    span = literal.text.span(literal.start, literal.end)
    scope.findings.references.append(
        Reference(
            url=url,
            vector=vector,
            part=scope.part,
            source=literal.text.source,
            start=span.start,
            end=span.end,
            inert=BLANK_URL,
            encoding=literal.text.encoding,
        )
    )


def decode_numeric(literal: Literal) -> Text:
    """Return the replacement text of an entity: its literal with numeric references decoded, others left."""
    raw = literal.raw
    if "&#" not in raw:
        return literal.text.sub(literal.start, literal.end)
    builder = TextBuilder(literal.text, literal.start)
    at = 0
    for match in _NUMERIC.finditer(raw):
        builder.copy(at, match.start())
        builder.put(_numeric(match), match.start(), match.end())
        at = match.end()
    builder.copy(at, len(raw))
    return builder.build()


def _numeric(match: re.Match[str]) -> str:
    digits = (match[1] or match[2]).lstrip("0") or "0"
    code = int(digits, 16 if match[1] else 10) if len(digits) <= 7 else 0
    return "\ufffd" if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)
