"""References in XML documents: SVG, XHTML and any other, beyond what their markup has in common with HTML.

An XML document is read as HTML is, whose readings include those of SVG and XML. What is XML's own comes on
top: document types and their entities, names with any prefix, style sheet instructions, and that the result
has to stay well-formed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from mailveil.core.message.text import Text
from mailveil.core.references.html import find_in_html
from mailveil.core.references.html_tokens import (
    TextBuilder,
    decode_text,
    decode_value,
    loose_attributes,
    tags,
)
from mailveil.core.references.types import BLANK_URL, Findings, Reference, Scope, Vector
from mailveil.core.references.url import remote
from mailveil.core.references.xml_doctype import Entities, Literal, find_in_doctype, report_literal

_INERT_TYPE: Final = "text/inert"
# Without any of these a document is data that loads nothing but by its style sheet and document type.
_MARKUP_SIGNS: Final = (
    "xhtml", "/svg", "mathml", "vml", "xinclude", "xsl", "<!entity", "<!attlist", "<svg", ":svg", "<html",
    "<body", "<img", "<image", "<iframe", "<frame", "<script", "<style", "<object", "<embed", "<video",
    "<audio", "<picture", "<input", "<table", "<td", "<meta", "<base", "<bgsound", "<applet", "<link rel",
    "srcset", "style=", "background=", "xmlns:svg", "schemas-microsoft",
)  # fmt: skip
_NAMESPACE: Final = re.compile(r"\bxmlns(?::([^\s=\"'<>/:]++))?+\s*+=\s*+(?:\"([^\"<]*+)\"|'([^'<]*+)')")
_PREFIX: Final = re.compile(r"(</?+)([^\s<>/:=&\"'!?]++):(?=[^\s<>/:=&\"'])")
_REFERENCE: Final = re.compile(r"&([^\s&;#<>\"']++);")
_XSLT_FUNCTION: Final = re.compile(r"(?:document|doc|unparsed-text)\s*+\(\s*+(?:'([^']*+)'|\"([^\"]*+)\")")
_VML_PREFIXES: Final = frozenset({"v", "o", "w", "w10", "x", "p"})


def find_in_xml(text: Text, scope: Scope) -> None:
    """Append every reference of an XML document to ``scope.findings``. Total; linear in its length.

    Names of namespaces and the locations of schemas are left alone: no client fetches them.
    """
    found = Findings(linked=scope.findings.linked, sheets=scope.findings.sheets)
    inner = replace(scope, findings=found)
    entities, content = find_in_doctype(text, inner)
    lowered = text.text.lower()
    prefixes, hidden = _prefixes(text)
    if hidden or any(sign in lowered for sign in _MARKUP_SIGNS):
        find_in_html(text, inner)
        plain = _plain_names_and_entities(text, content, entities, prefixes, inner)
        if plain is not None:
            find_in_html(plain, inner)
        _make_scripts_well_formed(text, found)
    _find_in_instructions(text, inner, is_xslt="xsl/transform" in lowered or "wd-xsl" in lowered)
    if "xsl/transform" in lowered:
        _find_in_xslt(text, inner)
    scope.findings.references.extend(_distinct(found.references))
    scope.findings.defects.extend(found.defects)
    if "<html" in lowered:
        # Elsewhere an element before the root would end the document, and links of SVG are not looked up.
        scope.findings.insertions.extend(found.insertions[:1])


def _prefixes(text: Text) -> tuple[frozenset[str], bool]:
    """Return the prefixes of names that mean markup, and whether some namespace may stand in disguise."""
    prefixes: set[str] = set()
    hidden = False
    for match in _NAMESPACE.finditer(text.text):
        value = match[2] or match[3] or ""
        hidden = hidden or "&" in value
        name = decode_value(value).lower()
        if match[1] and (
            "&" in value or any(word in name for word in ("xhtml", "svg", "mathml", "xml/1998"))
        ):
            prefixes.add(match[1])
    return frozenset(prefixes), hidden


def _plain_names_and_entities(
    text: Text, content: int, entities: Entities, prefixes: frozenset[str], scope: Scope
) -> Text | None:
    """Return the document with prefixes dropped and entities expanded; ``None`` if it is the same."""
    characters = text.text
    builder = TextBuilder(text)
    at = 0
    changes: list[tuple[int, int, str]] = []
    if prefixes:
        names = _PREFIX.finditer(characters)
        changes += [(match.start(2), match.end(), "") for match in names if match[2] in prefixes]
    if entities.literals:
        expanded: dict[str, str] = {}
        for match in _REFERENCE.finditer(characters, content):
            name = match[1]
            if name not in entities.literals:
                continue
            if name not in expanded:
                # As ASCII, so that no charset stands between what is put in and what is meant.
                expanded[name] = (
                    entities.expand(match[0]).encode("ascii", "xmlcharrefreplace").decode("ascii")
                )
            entities.room -= len(expanded[name])
            if entities.room < 0:
                break
            changes.append((*match.span(), expanded[name]))
        if entities.room < 0:
            # More than any sensible document: empty all its entities.
            for name, literal in entities.literals.items():
                if literal.raw != BLANK_URL:
                    report_literal(literal, scope, f"entity:{name[:200]}")
    if not changes:
        return None
    for start, end, replacement in sorted(changes):
        if start >= at:
            builder.copy(at, start)
            builder.put(replacement, start, end)
            at = end
    builder.copy(at, len(characters))
    return builder.build()


def _make_scripts_well_formed(text: Text, found: Findings) -> None:
    """Give scripts their inert type as XML demands: quoted, and once."""
    wanted = {
        reference.start
        for reference in found.references
        if reference.vector is Vector.SCRIPT_INLINE and reference.start == reference.end
    }
    if not wanted:
        return
    instead: dict[int, tuple[int, int, str]] = {}
    for tag in tags(text.text):
        if tag.name.rpartition(":")[2] != "script":
            continue
        after_name = tag.start + 1 + len(tag.name)
        place = text.span(after_name, after_name).start
        declared = next((a for a in tag.attributes if a.name == "type" and a.start >= 0), None)
        if declared is not None and declared.quote:
            instead[place] = (*text.span(declared.start, declared.end), _INERT_TYPE)
        else:
            instead[place] = (place, place, f' type="{_INERT_TYPE}"')
    for index, reference in enumerate(found.references):
        if (
            reference.start == reference.end
            and reference.start in instead
            and reference.source is text.source
        ):
            start, end, inert = instead[reference.start]
            found.references[index] = replace(reference, start=start, end=end, inert=inert)


def _find_in_instructions(text: Text, scope: Scope, *, is_xslt: bool) -> None:
    """``<?xml-stylesheet href?>`` (xml-stylesheet 1.0); one that runs a transformation from here, too.

    What a transformation would load cannot be known, so one that stands in the document itself or in a
    ``data:`` URL is not to be run.
    """
    characters = text.text
    at = characters.find("<?")
    while at >= 0:
        end = characters.find("?>", at)
        end = len(characters) if end < 0 else end
        if characters[at + 2 : at + 16].lower() == "xml-stylesheet":
            for attribute in loose_attributes(characters, at, end):
                if attribute.name != "href":
                    continue
                value = decode_value(characters[attribute.start : attribute.end], text.charset).strip()
                url = remote(value, scope)
                transforms = (value.startswith("#") and is_xslt) or (
                    value[:5].lower() == "data:"
                    and "css" not in value[:12].lower()
                    and len(value) > len(BLANK_URL)
                )
                if url or transforms:
                    url = url or value[:200]
                    report_literal(
                        Literal(text, attribute.start, attribute.end), scope, url, Vector.XML_STYLESHEET
                    )
        at = characters.find("<?", end)


def _find_in_xslt(text: Text, scope: Scope) -> None:
    """Documents that a transformation reads."""
    for tag in tags(text.text):
        for attribute in tag.attributes:
            if attribute.start < 0 or "(" not in text.text[attribute.start : attribute.end]:
                continue
            value = decode_text(text, attribute.start, attribute.end)
            for match in _XSLT_FUNCTION.finditer(value.text):
                url = remote(match[match.lastindex or 1], scope)
                if url:
                    report_literal(Literal(value, *match.span(match.lastindex or 1)), scope, url)


def _distinct(references: list[Reference]) -> list[Reference]:
    """Return the references without repeats, those of XML's own elements under their own vectors."""
    found: dict[tuple[int, int, int], Reference] = {}
    for reference in references:
        key = (id(reference.source), reference.start, reference.end)
        if key not in found:
            found[key] = _of_xml(reference)
    return list(found.values())


def _of_xml(reference: Reference) -> Reference:
    if reference.vector is not Vector.VML_SRC:
        return reference
    prefix, _, local = reference.element.rpartition(":")
    if prefix in _VML_PREFIXES:
        return reference
    vector = Vector.HTML_OTHER
    if local == "include" and not prefix.startswith("xsl"):
        vector = Vector.XINCLUDE
    elif local in {"include", "import"}:
        vector = Vector.XML_STYLESHEET
    return replace(reference, vector=vector, media=None, inert=BLANK_URL)
