"""Rich text: fields, templates, linked pictures and objects, and the HTML that Outlook wraps in it."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from mailveil.core.message.rtf import MAX_GROUPS, Kind, Token, read_tokens
from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect
from mailveil.core.references.html import find_in_html
from mailveil.core.references.types import BLANK_FRAME, Findings, Reference, Scope, Vector
from mailveil.core.references.url import remote

# Fields (ECMA-376 part 1 section 17.16.5) whose arguments are text, links or names. Word opens the addresses
# in any other: INCLUDEPICTURE, INCLUDETEXT, LINK, DDEAUTO, RD, DATABASE …
_TEXT_FIELDS: Final = frozenset({
    "addin", "author", "bibliography", "citation", "comments", "compare", "date", "docproperty",
    "docvariable", "eq", "gotobutton", "hyperlink", "if", "keywords", "macrobutton", "mergefield", "noteref",
    "page", "pageref", "private", "quote", "ref", "seq", "set", "styleref", "subject", "symbol", "ta", "tc",
    "time", "title", "toc", "username", "xe",
})  # fmt: skip
_COMMAND_FIELDS: Final = frozenset({"dde", "ddeauto"})  # hand what follows to another program
_LINK_FIELDS: Final = frozenset({"hyperlink"})
# Destinations whose text names a file that is opened with the document.
_FILES: Final = frozenset({
    "template", "sv", "file", "nextfile", "fontfile", "htmlbase", "mmdatasource", "mmheadersource",
    "mmconnectstr", "mmodsosrc", "mmodsoudldata", "xmlhref", "linkval",
})  # fmt: skip
_LINKS: Final = frozenset({"hlsrc", "hlloc", "hlfr"})
_COLLECTED: Final = _FILES | _LINKS | {"fldinst", "htmltag", "mhtmltag", "objdata", "sn"}
_HIDDEN: Final = frozenset({
    "fonttbl", "colortbl", "stylesheet", "info", "pict", "listtable", "listoverridetable", "rsidtbl",
    "pntext", "header", "footer", "generator", "xmlnstbl", "objclass", "objname",
})  # fmt: skip
_LINKED_OBJECT: Final = frozenset({"objautlink", "objlink", "objupdate", "objsub", "objocx", "objhtml"})
_SHOWN_NAMES: Final = frozenset({"wzname", "wzdescription", "wztooltip", "gtextunicode", "metroblob"})
_CHARACTERS: Final = {
    "par": "\r\n", "line": "\r\n", "tab": "\t", "lquote": "'", "rquote": "'", "ldblquote": '"',
    "rdblquote": '"', "bullet": "*", "endash": "-", "emdash": "-",
}  # fmt: skip
_SYMBOLS: Final = {"~": " ", "_": "-", "{": "{", "}": "}", "\\": "\\"}
# What an OLE object holds where it is only a link: its class, or the monikers of URLs and files.
_LINK_MARKS: Final = (
    b"OLE2Link",
    bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b"),
    bytes.fromhex("0303000000000000c000000000000046"),
)
_OLE_ADDRESS: Final = re.compile(
    rb"(?i)(?:https?|ftp|file|mk|mhtml):|\\\\(?=[\w.\-]{2})"
    rb"|(?:h\0t\0t\0p\0(?:s\0)?|f\0t\0p\0|f\0i\0l\0e\0|m\0k\0|m\0h\0t\0m\0l\0):\0|\\\0\\\0(?=(?:[\w.\-]\0){2})"
)
_ARGUMENT: Final = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*+)"?|(?P<bare>[^\s"]++)', re.DOTALL)
_VALUE: Final = re.compile(r'[^\s"=;]++')
_BRACE: Final = re.compile(rb"\\.|[{}]", re.DOTALL)
_BLANKS: Final = re.compile(r"[\x00-\x20]")
_HEX: Final = "0123456789abcdefABCDEF"
_FIELD_NAME: Final = re.compile(r"\s*+([A-Za-z]++)(?![^\s\"\\])")


def find_in_rtf(text: Text, scope: Scope) -> None:
    """Append what a word processor or Outlook would fetch for a document in rich text. Total and linear.

    Outlook's encapsulated HTML (MS-OXRTFEX) is put together and searched as HTML.
    """
    _Search(text, scope).run()


class _Passage:
    """Characters collected from rich text, in runs that stand together, with the way back to their place."""

    __slots__ = ("ends", "length", "offsets", "pieces", "starts")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.offsets: list[int] = []  # of each run among the characters
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.length = 0

    def add(self, characters: str, start: int, end: int) -> None:
        """Add characters that came from ``[start, end)``: one for one, or a single one of any width."""
        self.pieces.append(characters)
        self.offsets.append(self.length)
        self.starts.append(start)
        self.ends.append(end)
        self.length += len(characters)

    def __str__(self) -> str:
        return "".join(self.pieces)

    def place(self, at: int) -> tuple[int, int]:
        """Return where character ``at`` came from."""
        run = bisect_right(self.offsets, at) - 1
        start, end = self.starts[run], self.ends[run]
        if end - start != len(self.pieces[run]):
            return start, end
        start += at - self.offsets[run]
        return start, start + 1

    def runs(self, raw: str, start: int, end: int) -> list[tuple[int, int]]:
        """Return where characters ``[start, end)`` stand, in as many pieces as braces stand in between.

        Replacing the pieces leaves the groups as they are.
        """
        first, _ = self.place(start)
        found: list[tuple[int, int]] = []
        at = first
        run = bisect_right(self.offsets, start) - 1
        while run < len(self.offsets) and self.offsets[run] < end:
            gap = raw[at : self.starts[run]]
            if "{" in gap or "}" in gap:
                found.append((first, at))
                first = self.starts[run]
            at = max(at, self.ends[run])
            run += 1
        _, last = self.place(end - 1)
        found.append((first, last))
        return found

    def text(self, origin: Text) -> Text:
        """Return the characters as a text with a way back to the bytes of ``origin``'s source."""
        starts, ends = array("Q"), array("Q")
        for piece, start, end in zip(self.pieces, self.starts, self.ends, strict=True):
            if origin.starts is None and end - start == len(piece):
                starts.extend(range(origin.offset + start, origin.offset + end))
                ends.extend(range(origin.offset + start + 1, origin.offset + end + 1))
                continue
            for at in range(len(piece)):
                one = len(piece) == end - start
                span = origin.span(start + at, start + at + 1) if one else origin.span(start, end)
                starts.append(span.start)
                ends.append(span.end)
        return Text(
            str(self),
            origin.source,
            starts=starts,
            ends=ends,
            encoding=origin.encoding,
            charset=origin.charset,
        )


class _Group:
    """What holds within one group; inherited by the groups in it."""

    __slots__ = ("destination", "fallback", "hidden", "linked", "nested", "owner", "passage", "starred")

    def __init__(self) -> None:
        self.destination = ""
        self.passage: _Passage | None = None
        self.owner = False  # this group began the passage
        self.hidden = False  # not part of the encapsulated HTML
        self.fallback = 1  # characters to skip after \\u
        self.starred = False
        self.linked = False  # an object that is only a link
        self.nested = [False]  # whether the field around has one in it

    def inner(self) -> _Group:
        """Return what holds in a group that begins here."""
        group = _Group()
        group.destination, group.passage, group.hidden = self.destination, self.passage, self.hidden
        group.fallback, group.linked, group.nested = self.fallback, self.linked, self.nested
        return group

    def enter(self, destination: str, passage: _Passage | None) -> None:
        """Let what follows in this group belong to a destination."""
        self.destination, self.passage, self.owner = destination, passage, passage is not None


class _Search:
    def __init__(self, text: Text, scope: Scope) -> None:
        self.text = text
        self.raw = text.text
        # Relative names in rich text mean local files, whatever the message's base is.
        self.scope = replace(scope, base="")
        self.html = _Passage()
        self.encapsulated = False
        self.shape_property = ""
        self.skip = 0

    def run(self) -> None:
        raw = self.raw
        group = _Group()
        stack: list[_Group] = []
        depth = 0
        for token in read_tokens(raw):
            kind, start, end = token.kind, token.start, token.end
            if kind is Kind.TEXT:
                self.characters(group, start, end)
            elif kind is Kind.WORD:
                self.word(group, token)
            elif kind is Kind.OPEN:
                depth += 1
                self.skip = 0
                if depth <= MAX_GROUPS:
                    stack.append(group)
                    group = group.inner()
                elif depth == MAX_GROUPS + 1:
                    self.scope.findings.defects.append(Defect.TOO_DEEP)
            elif kind is Kind.CLOSE:
                if depth <= MAX_GROUPS and stack:
                    self.close(group)
                    group = stack.pop()
                depth = max(0, depth - 1)
                self.skip = 0
            elif kind is Kind.HEX:
                self.character(group, token.name, start, end)
            elif kind is Kind.SYMBOL:
                if token.name == "*":
                    group.starred = True
                elif token.name in _SYMBOLS:
                    self.character(group, _SYMBOLS[token.name], start, end)
            elif kind is Kind.BINARY and group.destination == "objdata":
                self.search_binary(start, end)
        self.close(group)
        while stack:
            self.close(group := stack.pop())
        if self.encapsulated:
            self.search_html(self.html)

    def word(self, group: _Group, token: Token) -> None:
        name, number = token.name, token.number
        if name == "u" and number is not None:
            self.skip = 0
            self.character(group, chr(number & 0xFFFF), token.start, token.end)
            self.skip = group.fallback
        elif name == "uc":
            group.fallback = max(0, min(number if number is not None else 1, 64))
        elif name == "htmlrtf":
            group.hidden = number != 0
        elif name == "fromhtml":
            self.encapsulated = True
        elif name in _CHARACTERS:
            self.character(group, _CHARACTERS[name], token.start, token.end)
        elif name in _LINKED_OBJECT:
            group.linked = True
        elif name in _COLLECTED:
            self.close(group)
            if name == "fldinst":
                group.nested[0] = True
                group.nested = [False]
            self.skip = 0
            group.enter(name, self.html if name == "htmltag" else _Passage())
        elif name == "fldrslt":
            self.close(group)
            group.enter("", None)
        elif name in _HIDDEN or group.starred:
            self.close(group)
            group.enter(name, None)
            group.hidden = True
        group.starred = False

    def characters(self, group: _Group, start: int, end: int) -> None:
        if self.skip:
            step = min(self.skip, end - start)
            self.skip -= step
            start += step
        passage = self.passage(group)
        if passage is not None and start < end:
            passage.add(self.raw[start:end], start, end)

    def character(self, group: _Group, character: str, start: int, end: int) -> None:
        if self.skip:
            self.skip -= 1
            return
        passage = self.passage(group)
        if passage is not None:
            for one in character:
                passage.add(one, start, end)

    def passage(self, group: _Group) -> _Passage | None:
        if group.passage is not None:
            return group.passage
        return None if group.hidden or group.destination else self.html

    def close(self, group: _Group) -> None:
        passage = group.passage
        if not group.owner or passage is None:
            return
        if group.destination == "fldinst":
            self.search_field(passage, group.nested[0])
        elif group.destination == "sn":
            self.shape_property = str(passage).strip().lower()
        elif group.destination == "objdata":
            self.search_object(passage, group.linked)
        elif group.destination == "mhtmltag":
            self.search_html(passage)
        elif group.destination in _LINKS:
            url = remote(str(passage).strip(), self.scope)
            if url is not None:
                self.scope.findings.linked.add(url)
        elif group.destination in _FILES:
            if group.destination == "sv" and self.shape_property in _SHOWN_NAMES:
                return
            self.search_file(passage, group.destination)

    def search_file(self, passage: _Passage, name: str) -> None:
        text = str(passage)
        stripped = text.strip()
        if not stripped:
            return
        start = len(text) - len(text.lstrip())
        places = [(start, start + len(stripped))]
        if remote(stripped, self.scope) is None:
            places = [match.span() for match in _VALUE.finditer(text)]
        for start, end in places:
            url = remote(text[start:end], self.scope)
            if url is not None:
                self.replace(passage, start, end, url, name)

    def search_field(self, passage: _Passage, nested: bool) -> None:
        text = str(passage)
        named = _FIELD_NAME.match(text)
        name = named[1].lower() if named is not None else ""
        commanding = name in _COMMAND_FIELDS and ("//" in text or "\\\\" in text)
        if named is not None and (commanding or (nested and name not in _TEXT_FIELDS)):
            # The fields within may compute the address, or the other program: the field itself must go.
            url = f"{name}:{text[named.end() :].strip()[:200]}"
            self.replace(passage, named.start(1), named.end(1), url, name, inert="QUOTE")
        for start, end, value in _arguments(text, named.end() if named is not None else 0):
            found = remote(value, self.scope) or remote(text[start:end], self.scope)
            if found is None:
                continue
            if name in _LINK_FIELDS:
                self.scope.findings.linked.add(found)
            elif name not in _TEXT_FIELDS:
                apart = start == 0 or text[start - 1] in ' \t\r\n"'
                self.replace(
                    passage, start, end, found, name, inert=BLANK_FRAME if apart else f" {BLANK_FRAME}"
                )

    def search_object(self, passage: _Passage, linked: bool) -> None:
        packed = digits = str(passage)
        positions: array[int] | None = None
        if digits.strip(_HEX):
            positions = array("I", (at for at, digit in enumerate(digits) if digit in _HEX))
            packed = "".join(digits[at] for at in positions)
        data = bytes.fromhex(packed[: len(packed) & ~1])
        if not linked and data[4:8] != b"\1\0\0\0" and not any(mark in data for mark in _LINK_MARKS):
            return
        for match, wide, url in self.addresses(data):
            first, last = match.start() * 2, match.end() * 2
            if positions is not None:
                first, last = positions[first], positions[last - 1] + 1
            start, end = passage.runs(self.raw, first, last)[0]
            # As long as what it replaces, since lengths are written inside; "?" is in no scheme and no path.
            count = sum(character in _HEX for character in self.raw[start:end])
            inert = ("3f003f00" if wide else "3f3f3f3f") * (count // 8 + 1)
            self.report(start, end, url, "objdata", inert[:count])

    def search_binary(self, start: int, end: int) -> None:
        """Search an object's data that stands there as it is (after ``\\bin``)."""
        for match, wide, url in self.addresses(self.raw[start:end].encode("latin-1", "replace")):
            length = match.end() - match.start()
            inert = ("?\0" if wide else "??") * (length // 2 + 1)
            self.report(start + match.start(), start + match.end(), url, "objdata", inert[:length])

    def addresses(self, data: bytes) -> Iterator[tuple[re.Match[bytes], bool, str]]:
        """Yield where an address begins in an object's data, whether in UTF-16, and the address."""
        for match in _OLE_ADDRESS.finditer(data):
            found = data[match.start() : match.start() + 2048]
            wide = found[1:2] == b"\0"
            value = (found[0::2] if wide else found).decode("latin-1")
            url = remote(_BLANKS.split(value, maxsplit=1)[0], self.scope)
            if url is not None:
                yield match, wide, url

    def search_html(self, passage: _Passage) -> None:
        findings = Findings()
        find_in_html(passage.text(self.text), replace(self.scope, findings=findings))
        for reference in findings.references:
            self.scope.findings.references.append(self.kept_whole(reference))
        # Insertions are left out: who shows HTML from rich text does not look up links' hosts beforehand.
        self.scope.findings.defects.extend(findings.defects)
        self.scope.findings.linked |= findings.linked

    def kept_whole(self, reference: Reference) -> Reference:
        """Return a reference that replaces nothing beyond the first brace within its value."""
        if reference.source is not self.text.source:
            return reference
        covered = reference.source.data[reference.start : reference.end]
        for match in _BRACE.finditer(covered):
            if match[0] in (b"{", b"}"):
                return replace(reference, end=reference.start + match.start(), inert=BLANK_FRAME, media=None)
        return reference

    def replace(
        self, passage: _Passage, start: int, end: int, url: str, element: str, *, inert: str = BLANK_FRAME
    ) -> None:
        """Append what replaces characters of a passage; where groups cut them up, what follows goes too."""
        for first, last in passage.runs(self.raw, start, end):
            self.report(first, last, url, element, inert)
            inert = ""

    def report(self, start: int, end: int, url: str, element: str, inert: str = BLANK_FRAME) -> None:
        """Append a reference to characters ``[start, end)``."""
        span = self.text.span(start, end)
        vector = Vector.CONTENT_BASE if element == "htmlbase" else Vector.RTF_FIELD
        self.scope.findings.references.append(
            Reference(
                url,
                vector,
                self.scope.part,
                self.text.source,
                span.start,
                span.end,
                inert,
                encoding=self.text.encoding,
                element=element,
            )
        )


def _arguments(text: str, at: int) -> Iterator[tuple[int, int, str]]:
    """Yield a field's arguments: where each stands, and its value without escapes."""
    for match in _ARGUMENT.finditer(text, at):
        group = "quoted" if match["quoted"] is not None else "bare"
        value = match[group]
        if value:
            yield match.start(group), match.end(group), _unescaped(value)


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) if "\\" in value else value
