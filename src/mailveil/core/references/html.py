"""HTML: every reference that some client would fetch, in the union of how clients read the markup."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from mailveil.core.message.text import Text
from mailveil.core.message.types import Source
from mailveil.core.references.css import find_in_css
from mailveil.core.references.html_attributes import PREFIXED_READERS, READERS, read_event_handler
from mailveil.core.references.html_meta import read_link, read_meta
from mailveil.core.references.html_readings import walk
from mailveil.core.references.html_report import EnoughError, Reporter
from mailveil.core.references.html_tokens import (
    Attribute,
    Tag,
    TextBuilder,
    clean_attributes,
    decode_text,
    loose_attributes,
)
from mailveil.core.references.json_ld import find_in_json_ld
from mailveil.core.references.types import Findings, Insertion, Reference, Scope, Vector
from mailveil.core.references.url import remote

# Ordinary links are not fetched, but browsers look up their host names beforehand unless told otherwise.
PREFETCH_OFF: Final = '<meta http-equiv="x-dns-prefetch-control" content="off"/>'
# Stands as the first attribute of a script, where browsers then take the script for data.
_INERT_TYPE: Final = " type=text/inert"
_INERT_TYPE_NESTED: Final = "/type=text/inert"  # without a space, which would end a value for some parser

_SCRIPT_TYPES: Final = frozenset(
    {
        "", "module", "importmap", "speculationrules", "text/javascript", "application/javascript",
        "application/ecmascript", "application/x-ecmascript", "application/x-javascript",
        "text/ecmascript", "text/jscript", "text/livescript", "text/x-ecmascript", "text/x-javascript",
        "text/vbscript", "text/vbs", "javascript", "jscript", "vbscript", "ecmascript",
        "text/jscript.encode", "text/vbscript.encode",
    }
)  # fmt: skip
_VERSIONED_SCRIPT: Final = re.compile(r"(?:text/)?(?:java|j|live)script ?1\.\d\Z")
_MARKUP: Final = re.compile(r"<!\[CDATA\[|\]\]>|<!--|-->|<[^<>]*+>")


def find_in_html(text: Text, scope: Scope) -> None:
    """Append every reference of an HTML document to ``scope.findings``, in order of where they stand.

    Their spans never overlap. Ordinary links go to ``findings.linked``; where there are remote ones, one
    insertion turns off the prefetching of their host names. Beyond the limit of references the search ends
    with a defect, and the text must not reach a reader as it is. Total; linear in the length of ``text``.
    """
    found = Findings(linked=scope.findings.linked, sheets=scope.findings.sheets)
    try:
        _search(text, replace(scope, findings=found), found)
        if "\0" in text.text:
            # Some clients pass over NUL wherever it stands, even within names.
            _search(_without_nul(text), replace(scope, findings=found), found)
    except EnoughError:
        pass
    scope.findings.references.extend(_disjoint(found.references, text.source))
    scope.findings.insertions.extend(found.insertions[:1])
    scope.findings.defects.extend(found.defects)


def _search(text: Text, scope: Scope, found: Findings) -> None:
    before = len(found.references)
    document = _Document(text, scope, "")
    try:
        document.read()
    except _BaseFoundError as discovery:
        # Whatever stood before the base resolves against it as well, so begin again.
        del found.references[before:]
        document = _Document(text, replace(scope, base=discovery.url), discovery.url)
        document.read()


def _without_nul(text: Text) -> Text:
    builder = TextBuilder(text)
    at = 0
    characters = text.text
    while at < len(characters):
        end = characters.find("\0", at)
        end = len(characters) if end < 0 else end
        builder.copy(at, end)
        at = end + 1
    return builder.build()


def _disjoint(references: list[Reference], source: Source) -> list[Reference]:
    """Return references in order of place; of those of ``source`` that overlap, one that covers them all."""
    last_end = -1
    for reference in references:
        if reference.source is source:
            if reference.start < last_end or (
                reference.start == last_end and reference.start == reference.end
            ):
                break
            last_end = reference.end
    else:
        return references
    here = sorted((r for r in references if r.source is source), key=lambda r: (r.start, -r.end))
    merged: list[Reference] = []
    for reference in here:
        previous = merged[-1] if merged else None
        if previous is None or reference.start >= max(previous.end, previous.start + 1):
            merged.append(reference)
        elif reference.end > previous.end:
            # Of what was inserted there before, the same is now replaced.
            empty = previous.start == previous.end
            merged[-1] = reference if empty else replace(previous, end=reference.end, media=None)
        elif (reference.start, reference.end) == (
            previous.start,
            previous.end,
        ) and previous.vector is Vector.HTML_OTHER:
            merged[-1] = reference
    return merged + [r for r in references if r.source is not source]


class _BaseFoundError(Exception):
    """The document has a remote base, which everything in it resolves against."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class _Document:
    """One document while it is read; the visitor of its markup."""

    def __init__(self, text: Text, scope: Scope, base: str) -> None:
        self.text = text
        self.scope = scope
        self.base = base  # as the document itself says
        self.reporter = Reporter(text, scope, find_in_html)
        self.bases: list[tuple[Tag, Attribute, str, bool]] = []
        self.read_places: set[tuple[int, str, str]] | None = None  # once parsers differ about a tag
        self.insert_at = 1 if text.text.startswith("\ufeff") else 0
        if text.text.startswith("\xef\xbb\xbf"):
            self.insert_at = 3
        self.head_seen = False
        self.foreign: bool | None = None
        self.prefetch_off: bool | None = None  # what the first prefetch control says

    def read(self) -> None:
        walk(self.text.text, self)
        self.report_bases()
        if self.reporter.has_links and self.scope.depth == 0 and not self.prefetch_off:
            at = self.text.span(self.insert_at, self.insert_at).start
            insertion = Insertion(self.text.source, at, PREFETCH_OFF, self.text.encoding)
            self.scope.findings.insertions.append(insertion)

    # Tags

    def visit_tag(self, tag: Tag, agreed: bool) -> None:
        reporter = self.reporter
        reporter.agreed = agreed
        if tag.odd or not agreed:
            before = len(self.scope.findings.references)
            self.read_attributes(tag, agreed)
            reporter.narrow(before)
        else:
            self.read_attributes(tag, agreed)

    def read_attributes(self, tag: Tag, agreed: bool) -> None:
        reporter = self.reporter
        name = tag.name
        if tag.odd and self.read_places is None:
            self.read_places = set()
        if name == "meta":
            self.read_meta(tag)
        elif name == "link":
            read_link(reporter, tag)
        elif name == "base":
            self.read_base(tag)
        elif agreed and name in {"html", "head"}:
            self.note_opening(tag)
        elif name in {"template", "select"}:
            self.head_seen = True  # what follows may be within, where an insertion would mean nothing
        attached = self.scope.attached
        for attribute in tag.attributes:
            attribute_name = attribute.name
            reader = READERS.get(attribute_name)
            if reader is None:
                if ":" in attribute_name:
                    reader = PREFIXED_READERS.get(attribute_name.rpartition(":")[2])
                elif attached and attribute_name.startswith("on") and len(attribute_name) > 2:
                    reader = read_event_handler
                if reader is None:
                    continue
            if self.read_places is not None:
                place = (attribute.start, attribute_name, name)
                if place in self.read_places:
                    continue
                self.read_places.add(place)
            reader(reporter, tag, attribute)

    def visit_link(self, start: int, end: int, agreed: bool) -> None:
        self.reporter.link_at(start, end, is_plain=agreed)

    def visit_image(self, start: int, end: int, value_start: int, value_end: int, agreed: bool) -> None:
        if self.read_places is not None or not agreed:
            attributes = clean_attributes(self.text.text, start + 4, end)
            self.visit_tag(Tag("img", start, end, attributes), agreed)
        else:
            self.reporter.image(start, end, value_start, value_end)

    def read_meta(self, tag: Tag) -> None:
        read_meta(self.reporter, tag)
        if self.prefetch_off is not None or not self.reporter.agreed or tag.odd:
            return
        if "x-dns-prefetch-control" in self.reporter.words(tag, "http-equiv"):
            content = tag.find("content")
            value = self.reporter.value(content).strip().lower() if content else ""
            self.prefetch_off = value == "off" and not self.reporter.has_links

    def note_opening(self, tag: Tag) -> None:
        """Remember where a meta element may be inserted: as early as possible, at best within the head."""
        if not self.head_seen and not self.reporter.has_links:
            self.insert_at = tag.end
            self.head_seen = tag.name == "head"

    # Base

    def read_base(self, tag: Tag) -> None:
        for attribute in tag.attributes:
            if attribute.name.rpartition(":")[2] != "href" or attribute.start < 0:
                continue
            value = self.reporter.value(attribute)
            url = remote(value, self.scope) if value.strip() else None
            if url is None:
                continue
            if not self.base:
                raise _BaseFoundError(url)
            self.bases.append((tag, attribute, url, self.reporter.agreed))

    def report_bases(self) -> None:
        """A base fetches nothing itself; it goes, unless ordinary links would break without it."""
        if self.reporter.has_relative_links:
            return
        for tag, attribute, url, agreed in self.bases:
            self.reporter.agreed = agreed
            self.reporter.report(tag, attribute, url, Vector.BASE_HREF)
        if self.base or self.scope.depth == 0:
            self.forget_fragments(self.scope.base)

    def forget_fragments(self, base: str) -> None:
        """Take back references to a mere fragment, which without the base mean the document itself."""
        if not base:
            return
        references = self.scope.findings.references
        here = base.partition("#")[0] + "#"
        references[:] = [
            reference
            for reference in references
            if not reference.url.startswith(here)
            or not reference.source.data[reference.start : reference.start + 64].lstrip().startswith(b"#")
        ]

    # What is not a tag

    def visit_raw(self, tag: Tag, start: int, end: int) -> None:
        before = len(self.scope.findings.references)
        if tag.name == "script":
            self.read_script(tag, start, end)
        elif start < end:
            self.read_style_sheet(tag, start, end)
        if tag.odd or not self.reporter.agreed or self.text.text.find("<", start, end) >= 0:
            self.reporter.narrow(before)

    def read_style_sheet(self, tag: Tag, start: int, end: int) -> None:
        self.reporter.may_read(start, end)
        attributes = self.reporter.attributes(tag)
        sheet = self.text.sub(start, end)
        find_in_css(sheet, self.scope, attributes=attributes)
        content = sheet.text
        if ("&" in content or "<" in content.replace("<!--", "")) and self.may_be_foreign():
            # Within SVG the content is markup: references and tags are no part of the sheet.
            find_in_css(_markup_to_text(self.text, start, end), self.scope, attributes=attributes)

    def may_be_foreign(self) -> bool:
        """Tell whether some style element might be one of SVG, MathML or XHTML."""
        if self.foreign is None:
            lowered = self.text.text.lower()
            self.foreign = any(sign in lowered for sign in ("svg", "<math", "xmlns"))
        return self.foreign

    def read_script(self, tag: Tag, start: int, end: int) -> None:
        declared = tag.find("type") or tag.find("language")
        kind = self.reporter.value(declared).partition(";")[0].strip().lower() if declared else ""
        if "json" in kind:
            if "ld" in kind and start < end:
                self.reporter.may_read(start, end)
                find_in_json_ld(self.text.sub(start, end), self.scope)
            return
        if not self.scope.attached or not (kind in _SCRIPT_TYPES or _VERSIONED_SCRIPT.match(kind)):
            return
        at = tag.start + 1 + len(tag.name)
        if self.text.text[tag.start + 1 : at].lower() == tag.name:
            plain = self.reporter.agreed and not tag.odd and not self.scope.depth
            inert = _INERT_TYPE if plain else _INERT_TYPE_NESTED
            self.reporter.report_range(
                tag, self.text, (at, at), "javascript:", Vector.SCRIPT_INLINE, inert=inert, whole=True
            )

    def visit_instruction(self, start: int, end: int) -> None:
        """``<?xml-stylesheet href?>``, ``<?import implementation?>``: known to XML and Internet Explorer."""
        content = self.text.text[start + 2 : end]
        if content[:3].lower() == "xml" and content[3:4].isspace():
            if start <= self.insert_at and end > self.insert_at and not self.reporter.has_links:
                self.insert_at = end
            return
        lowered = content[:40].lower()
        vector = Vector.XML_STYLESHEET if lowered.startswith("xml-stylesheet") else Vector.HTML_OTHER
        attributes = [
            attribute
            for attribute in loose_attributes(self.text.text, start, end)
            if attribute.name in {"href", "src", "implementation"}
        ]
        self.reporter.agreed = False
        tag = Tag("?" + lowered.partition(" ")[0], start, end, attributes, odd=True)
        for attribute in attributes:
            self.reporter.address(tag, attribute, vector)

    def visit_doctype(self, end: int) -> None:
        if not self.head_seen and not self.reporter.has_links:
            self.insert_at = end


def _markup_to_text(text: Text, start: int, end: int) -> Text:
    """Return the text content of ``[start, end)`` read as markup: tags left out, references decoded."""
    builder = TextBuilder(text, start)
    at = 0
    content = text.text[start:end]
    for match in _MARKUP.finditer(content):
        builder.copy(at, match.start())
        at = match.end()
    builder.copy(at, len(content))
    bare = builder.build()
    return decode_text(bare, 0, len(bare.text), in_attribute=False)
