"""Reports: make a value in markup a reference whose replacement harms no reading of the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect
from mailveil.core.references.data_url import find_in_data_url
from mailveil.core.references.html_tokens import (
    Attribute,
    Tag,
    clean_attributes,
    clean_pairs,
    decode_text,
    decode_value,
)
from mailveil.core.references.types import (
    BLANK_CSS,
    BLANK_FRAME,
    BLANK_GIF,
    BLANK_URL,
    COPYABLE,
    Media,
    Reference,
    Scope,
    Vector,
)
from mailveil.core.references.url import is_relative, remote

#: Documents within documents (srcdoc, ``data:``) that are looked into; deeper ones are emptied.
MAX_DEPTH: Final = 6
_MAX_ATTRIBUTES: Final = 40
_MAX_ATTRIBUTE_LENGTH: Final = 2_000
# Contents that overlap (style elements that never end) may be read again for so many times the text's length.
_REREAD_FACTOR: Final = 8
_REREAD_LEAST: Final = 65_536

#: What is reported as the address of a document that is nested too deeply to look into.
DEEP_DOCUMENT: Final = "about:srcdoc"
#: As an inert value: nothing at all, written as the place's quoting demands.
EMPTY: Final = ""
INERT: Final[Mapping[Vector, str]] = {
    **dict.fromkeys(
        (
            Vector.IMG_SRC, Vector.IMG_SRCSET, Vector.IMG_LOWSRC, Vector.INPUT_SRC, Vector.BACKGROUND,
            Vector.VIDEO_POSTER, Vector.SOURCE_SRCSET, Vector.SVG_IMAGE, Vector.SVG_FEIMAGE, Vector.VML_SRC,
        ),
        BLANK_GIF,
    ),
    Vector.LINK_STYLESHEET: BLANK_CSS,
    **dict.fromkeys((Vector.IFRAME_SRC, Vector.FRAME_SRC, Vector.PORTAL_SRC), BLANK_FRAME),
    **dict.fromkeys((Vector.BASE_HREF, Vector.META_REFRESH, Vector.EVENT_HANDLER), EMPTY),
}  # fmt: skip

# Characters that mean something between attributes and tags to one parser or another.
_STRUCTURE: Final = re.compile(r"[<>\"'`]")
_RAW_STRUCTURE: Final = re.compile(rb"[<>\"'`]")
_STRUCTURE_RUN: Final = re.compile(r"[<>\"'`\s]*+")
_LOOKED_INTO: Final = frozenset("dDjJvVlL")  # data:, javascript: and kin
#: An address that URL parsing leaves as it is, so that the parser need not be asked; a test compares the two.
NORMAL_URL: Final = re.compile(
    r"https?://(?:[a-wyz0-9][a-z0-9]*+(?:-[a-z0-9]++)*+\.)++[a-z]{2,24}+/(?!%)"
    r"(?:[A-Za-z0-9_~!$&()*+,;=:@%\-?]++|(?<=[A-Za-z0-9_])\.|/(?![.%]))*+\Z"
)
_IGNORED: Final = dict.fromkeys(range(0x21))
# What a script's result becomes a document in, markup and all.
_FRAMES: Final = frozenset({"iframe", "frame", "object", "embed"})
_SCRIPT_SCHEMES: Final = ("javascript:", "vbscript:", "livescript:")


#: An absolute address anywhere in a value.
EMBEDDED_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]{1,20}+://[^\s&\"'<>|,;]++")


class EnoughError(Exception):
    """So much was found that the rest need not be searched: the whole text has to become inert."""


class Reporter:
    """What the grammars of single attributes need: values in, references out.

    ``text`` is the document, ``scope`` where it stands, with the document's own base. ``find_in_document``
    searches a nested document. ``agreed`` tells whether every reading sees the tag that is being read.
    """

    def __init__(self, text: Text, scope: Scope, find_in_document: Callable[[Text, Scope], None]) -> None:
        self.text = text
        self.scope = scope
        self.find_in_document = find_in_document
        self.agreed = True
        self.has_links = False  # to hosts whose names a client might look up beforehand
        self.has_relative_links = False  # which lead nowhere without the base
        self.links_seen: set[str] = set()
        self.words_tag: Tag | None = None
        self.words_found: dict[str, set[str]] = {}
        self.reread_until = 0
        self.reread_left = _REREAD_LEAST + _REREAD_FACTOR * len(text.text)

    # Values

    def value(self, attribute: Attribute) -> str:
        """Return what an attribute's value means."""
        raw = self.text.text[attribute.start : attribute.end]
        if raw.isascii() and "&" not in raw:
            return raw
        return decode_value(raw, self.text.charset)

    def decoded(self, attribute: Attribute) -> Text:
        """Return an attribute's value as a text of its own, references decoded."""
        return decode_text(self.text, attribute.start, attribute.end)

    def words(self, tag: Tag, name: str) -> set[str]:
        """Return the lower-case words of every attribute of a tag that is called ``name``."""
        if self.words_tag is not tag:
            self.words_tag = tag
            self.words_found = {}
        found = self.words_found.get(name)
        if found is None:
            found = self.words_found[name] = set()
            for attribute in tag.attributes:
                if attribute.name == name and attribute.start >= 0:
                    found.update(self.value(attribute).lower().split())
        return found

    def attributes(self, tag: Tag) -> dict[str, str]:
        """Return a tag's attributes for the judge: the first of each name, bounded."""
        text = self.text.text
        if tag.end - tag.start <= _MAX_ATTRIBUTE_LENGTH:
            raw = {a.name: text[a.start : a.end] for a in tag.attributes[_MAX_ATTRIBUTES - 1 :: -1]}
        else:
            raw = {
                a.name: text[a.start : min(a.end, a.start + _MAX_ATTRIBUTE_LENGTH)]
                for a in tag.attributes[_MAX_ATTRIBUTES - 1 :: -1]
            }
        for name, value in raw.items():
            if "&" in value or not value.isascii():
                raw[name] = decode_value(value, self.text.charset)
        return raw

    def remote(self, value: str) -> str | None:
        """Return what would be contacted for a value, as :func:`remote` does."""
        if NORMAL_URL.match(value) is not None:
            return None if self.scope.ours(value) else value
        return remote(value, self.scope)

    # Reports

    def image(self, start: int, end: int, value_start: int, value_end: int) -> None:
        """Report the image of an ``img`` at ``[start, end)`` that every parser reads alike."""
        text = self.text
        value = text.text[value_start:value_end]
        if value.startswith("cid:"):
            return
        if "&" in value or not value.isascii():
            value = decode_value(value, text.charset)
        url = self.remote(value)
        if url is None:
            if value[:1] in _LOOKED_INTO or value[:1] <= " ":
                tag = Tag("img", start, end, clean_attributes(text.text, start + 4, end))
                for attribute in tag.attributes:
                    if attribute.start == value_start:
                        self.look_into_local(tag, attribute, value)
            return
        self.check_room()
        first, last = text.span(value_start, value_end)
        self.scope.findings.references.append(
            Reference(
                url,
                Vector.IMG_SRC,
                self.scope.part,
                text.source,
                first,
                last,
                BLANK_GIF,
                text.encoding,
                Media.IMAGE,
                "img",
                self.image_attributes(start, end),
            )
        )

    def address(self, tag: Tag, attribute: Attribute, vector: Vector, media: Media | None = None) -> None:
        """Report a value that is one address, or look into it where it is a ``data:`` URL."""
        if attribute.start < 0 or (attribute.start == attribute.end and not attribute.quote):
            return
        value = self.value(attribute)
        url = None if value.startswith(("cid:", "data:")) else self.remote(value)
        if url is not None:
            self.report(tag, attribute, url, vector, media)
        else:
            self.look_into_local(tag, attribute, value)

    def image_attributes(self, start: int, end: int) -> dict[str, str]:
        """Return the attributes of a clean ``img`` tag as :meth:`attributes` does."""
        if end - start > _MAX_ATTRIBUTE_LENGTH:
            return self.attributes(Tag("img", start, end, clean_attributes(self.text.text, start + 4, end)))
        pairs = clean_pairs(self.text.text, start + 4, end - 1)
        found = {
            name.lower(): one or two or three for name, one, two, three in pairs[_MAX_ATTRIBUTES - 1 :: -1]
        }
        for name, value in found.items():
            if "&" in value or not value.isascii():
                found[name] = decode_value(value, self.text.charset)
        return found

    def look_into_local(self, tag: Tag, attribute: Attribute, value: str) -> None:
        """Look into an address that contacts nobody by itself: ``data:`` documents and scripts."""
        head = value[:256].translate(_IGNORED).lower()
        if head.startswith("data:"):
            text = self.decoded(attribute)
            sheet = tag.name == "link" and any("stylesheet" in word for word in self.words(tag, "rel"))
            self.look_into_data_url(text, 0, len(text.text), sheet=sheet and attribute.name == "href")
        elif tag.name == "link" and attribute.name == "href":
            self.scope.findings.sheets.add(value.strip())
        elif (self.scope.attached or tag.name in _FRAMES) and head.startswith(_SCRIPT_SCHEMES):
            self.report(tag, attribute, "javascript:", Vector.EVENT_HANDLER)

    def look_into_data_url(self, text: Text, start: int, end: int, *, sheet: bool = False) -> None:
        """Search the ``data:`` URL in characters ``[start, end)`` of ``text``, after any white space."""
        known = len(self.scope.findings.linked)
        while start < end and text.text[start] <= " ":
            start += 1
        find_in_data_url(text, start, end, self.scope, sheet=sheet)
        self.has_links = self.has_links or len(self.scope.findings.linked) > known

    def report(
        self, tag: Tag, attribute: Attribute, url: str, vector: Vector, media: Media | None = None
    ) -> None:
        """Report a whole attribute value."""
        inert = INERT.get(vector, BLANK_URL)
        if inert == EMPTY and (not attribute.quote or tag.odd or not self.agreed):
            # Within another document's attribute there may be no quotes, and where parsers differ about the
            # attribute's name, an empty address could mean the document's base.
            inert = '""' if self.agreed and not tag.odd and not self.scope.depth else BLANK_URL
        self.report_range(
            tag, self.text, (attribute.start, attribute.end), url, vector, inert=inert, media=media
        )

    def report_range(
        self,
        tag: Tag,
        text: Text,
        place: tuple[int, int],
        url: str,
        vector: Vector,
        *,
        inert: str | None = None,
        media: Media | None = None,
        whole: bool = False,
    ) -> None:
        """Report the characters at ``place`` of ``text``, the document's own or one derived from it.

        Where parsers differ about the tag, a value may hold what another parser takes for the end of the tag,
        so only its beginning is replaced, unless ``whole`` says that nothing less helps.
        """
        self.check_room()
        media = media or COPYABLE.get(vector)
        if inert is None:
            inert = INERT.get(vector, BLANK_URL)
        start, end = place
        if tag.odd and inert in {BLANK_URL, BLANK_CSS} and vector is not Vector.EVENT_HANDLER:
            inert = (
                BLANK_FRAME  # where another parser sees a longer value, the rest must not become a document
            )
        if (tag.odd or not self.agreed) and not whole and _STRUCTURE.search(text.text, start, end):
            start, end = self.first_run(text.text, start, end, vector)
            url = remote(text.text[start:end], self.scope) or url
            # What is left behind it must not become the content of a style sheet or document, nor a script.
            media = None
            if inert != BLANK_GIF:
                inert = BLANK_URL if vector is Vector.EVENT_HANDLER else BLANK_FRAME
        span = text.span(start, end)
        self.scope.findings.references.append(
            Reference(
                url=url,
                vector=vector,
                part=self.scope.part,
                source=text.source,
                start=span.start,
                end=span.end,
                inert=inert,
                encoding=text.encoding,
                media=media,
                element=tag.name,
                attributes=self.attributes(tag),
            )
        )

    def first_run(self, characters: str, start: int, end: int, vector: Vector) -> tuple[int, int]:
        """Return the first stretch of ``[start, end)`` that holds nothing of structure."""
        if not self.scope.base and vector is not Vector.EVENT_HANDLER:
            opening = _STRUCTURE_RUN.match(characters, start, end)
            first = opening.end() if opening else start
        else:
            first = start  # what stands before would still be a relative address, or a script
        if first == end:
            return start, start
        stop = _STRUCTURE.search(characters, first, end)
        return first, stop.start() if stop else end

    def check_room(self) -> None:
        """Give up where there are as many references as may be."""
        findings = self.scope.findings
        if len(findings.references) >= self.scope.limits.max_references:
            findings.defects.append(Defect.TOO_MANY_REFERENCES)
            raise EnoughError

    def narrow(self, since: int) -> None:
        """Cut references that were found from number ``since`` on, where parsers differ about the markup.

        What another grammar found may hold what one parser takes for the end of a tag, just as values may.
        """
        references = self.scope.findings.references
        for index in range(since, len(references)):
            reference = references[index]
            if reference.source is not self.text.source or reference.encoding != "ascii":
                continue
            raw = reference.source.data[reference.start : reference.end]
            turn = _RAW_STRUCTURE.search(raw)
            if turn is None or reference.url == DEEP_DOCUMENT:
                continue
            inert = BLANK_GIF if reference.inert == BLANK_GIF else BLANK_FRAME
            end = reference.start + turn.start()
            references[index] = replace(reference, end=end, inert=inert, media=None)

    # Links, which nobody fetches

    def link(self, tag: Tag, attribute: Attribute) -> None:
        """Note an ordinary link."""
        if attribute.start >= 0:
            self.link_at(attribute.start, attribute.end, is_plain=self.agreed and not tag.odd)

    def link_at(self, start: int, end: int, *, is_plain: bool) -> None:
        """Note an ordinary link whose address is characters ``[start, end)``.

        ``is_plain`` tells that every parser sees it, so that no replacement can make it another one.
        """
        value = self.text.text[start:end]
        if value in self.links_seen and not self.scope.base:
            return
        self.links_seen.add(value)
        if "&" in value or not value.isascii():
            value = decode_value(value, self.text.charset)
        url = self.remote(value)
        if url is None:
            return
        self.scope.findings.linked.add(url)
        if url.startswith("http"):
            self.has_links = True
        if is_plain and self.scope.base and not self.has_relative_links:
            self.has_relative_links = is_relative(value)

    # Contents

    def may_read(self, start: int, end: int) -> None:
        """Account for reading content ``[start, end)``, parts of which may have been read before."""
        if start < self.reread_until:
            self.reread_left -= end - start
            if self.reread_left < 0:
                self.scope.findings.defects.append(Defect.TOO_MANY_REFERENCES)
                raise EnoughError
        self.reread_until = max(self.reread_until, end)
