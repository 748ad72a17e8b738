"""Drawings: SVG read as XML and written anew, with nothing in it but shapes, text, colours and motion.

What survives is on a list; what readers run, load or open is not. Entities are expanded, encodings become
UTF-8, and what would draw itself a million times (nested ``use``) is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from mailveil.core.references.html import find_in_html
from mailveil.core.references.xml import find_in_xml
from mailveil.core.safecopy.inert import make_inert
from mailveil.core.safecopy.pictures import sanitise_picture
from mailveil.core.safecopy.types import CopyLimits, Refusal, SafeCopy

SVG: Final = "http://www.w3.org/2000/svg"
XLINK: Final = "http://www.w3.org/1999/xlink"
XML: Final = "http://www.w3.org/XML/1998/namespace"
MAX_ELEMENTS: Final = 200_000
MAX_DEPTH: Final = 100
MAX_TEXTS: Final = 500_000
MAX_USES: Final = 2_000
MAX_DRAWN: Final = 200_000  # elements, each as often as it is used
OPENINGS: Final = (b"<?xml", b"<svg", b"<!doctype svg", b"<!--")
WIDE_OPENINGS: Final = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")

SHAPES: Final = frozenset({
    "svg", "g", "defs", "symbol", "use", "switch", "title", "desc", "style", "image",
    "path", "rect", "circle", "ellipse", "line", "polyline", "polygon",
    "text", "tspan", "textPath", "clipPath", "mask", "pattern", "marker",
    "linearGradient", "radialGradient", "stop", "filter",
    "feBlend", "feColorMatrix", "feComponentTransfer", "feComposite", "feConvolveMatrix", "feDiffuseLighting",
    "feDisplacementMap", "feDistantLight", "feDropShadow", "feFlood", "feFuncA", "feFuncB", "feFuncG",
    "feFuncR", "feGaussianBlur", "feMerge", "feMergeNode", "feMorphology", "feOffset", "fePointLight",
    "feSpecularLighting", "feSpotLight", "feTile", "feTurbulence",
    "animate", "animateTransform", "animateMotion", "mpath", "set",
})  # fmt: skip
# What is drawn again wherever a style names it.
REPEATED: Final = frozenset({"clipPath", "marker", "mask", "pattern", "symbol"})
TRANSPARENT: Final = frozenset({"a"})  # shown without the link
ANIMATIONS: Final = frozenset({"animate", "animateTransform", "animateMotion", "set"})
# What an animation may not touch: it would put a reference or a program where none is.
NOT_ANIMATED: Final = ("href", "on", "src", "style", "begin")
KEPT_OF_XML: Final = {f"{{{XML}}}space": "xml:space", f"{{{XML}}}lang": "xml:lang"}
HREFS: Final = {"href": "href", f"{{{XLINK}}}href": "xlink:href"}
NOT_KEPT: Final = frozenset(
    {"src", "base", "ping", "target", "download", "requiredExtensions", "systemLanguage"}
)
_FRAGMENT: Final = re.compile(r"#([^\s\"'()]{1,200})")
_ESCAPE: Final = re.compile(r"\\(?:([0-9A-Fa-f]{1,6})\s?|([^\n]))")
_PICTURE: Final = re.compile(r"\s*data:image/(?:png|jpeg|jpg|gif|webp)\s*;\s*base64\s*,", re.IGNORECASE)


def is_drawing(body: bytes) -> bool:
    """Tell whether content is SVG, whatever it is called."""
    if body.startswith(WIDE_OPENINGS):
        wide = body[:4096].replace(b"\0", b"").lower()
        return b"<svg" in wide or b"<?xml" in wide
    opening = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return opening.startswith(OPENINGS) and b"<svg" in body[:65536].lower()


def sanitise_drawing(body: bytes, limits: CopyLimits) -> SafeCopy | Refusal:
    """Return SVG written anew, in UTF-8."""
    writer = _Writer(limits)
    parser = ElementTree.XMLParser(target=writer)  # noqa: S314 - as above
    try:
        parser.feed(body)
        parser.close()
    except _TooComplexError:
        return Refusal.TOO_COMPLEX
    except (ElementTree.ParseError, ValueError, LookupError):
        return Refusal.UNREADABLE
    if not writer.is_svg:
        return Refusal.WRONG_KIND
    if writer.drawn() > MAX_DRAWN:
        return Refusal.TOO_COMPLEX
    inert = make_inert("".join(writer.pieces).encode(), find_in_xml, find_in_html)
    return Refusal.STILL_REFERS if inert is None else SafeCopy("image/svg+xml", inert)


class _TooComplexError(Exception):
    """A drawing that is more work than a picture in mail may be."""


@dataclass(slots=True)
class _Element:
    """An element that has been opened: its name as written (``""``: not at all), and what it takes to draw."""

    written: str
    identifier: str = ""
    count: int = 1
    uses: list[str] = field(default_factory=list)
    is_style: bool = False


class _Writer:
    """Takes what the XML parser reads and writes what may stay."""

    def __init__(self, limits: CopyLimits) -> None:
        self.limits = limits
        self.pieces: list[str] = ['<?xml version="1.0" encoding="UTF-8"?>\n']
        self.open: list[_Element] = []
        self.dropped = 0  # how many elements deep we are in one that does not stay
        self.elements = 0
        self.uses = 0
        self.texts = 0
        self.is_svg = False
        self.named: dict[str, tuple[int, list[str]]] = {}
        self.repeated: set[str] = set()
        self.styles: list[str] = []
        self.whole: tuple[int, list[str]] = (0, [])

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""
        self.elements += 1
        if self.elements > MAX_ELEMENTS or len(self.open) + self.dropped >= MAX_DEPTH:
            raise _TooComplexError
        namespace, _, name = tag.rpartition("}")
        is_known = namespace in ("", "{" + SVG) and (name in SHAPES or name in TRANSPARENT)
        if not self.open and not self.dropped:
            self.is_svg = is_known and name == "svg"
        if self.dropped or not is_known or not self.is_svg or not self._may_animate(name, attributes):
            self.dropped += 1
            return
        written = "g" if name in TRANSPARENT else name
        element = _Element(written, attributes.get("id", "")[:200], is_style=name == "style")
        kept = [f"<{written}"]
        if not self.open:
            kept.append(f' xmlns="{SVG}" xmlns:xlink="{XLINK}"')
        kept += [f" {key}={quoteattr(value)}" for key, value in self._attributes(name, attributes, element)]
        self.pieces.append("".join(kept) + ">")
        self.open.append(element)

    def _may_animate(self, name: str, attributes: dict[str, str]) -> bool:
        if name not in ANIMATIONS:
            return True
        target = attributes.get("attributeName", "").rpartition(":")[2].strip().lower()
        return not target.startswith(NOT_ANIMATED)

    def _attributes(self, name: str, attributes: dict[str, str], element: _Element) -> list[tuple[str, str]]:
        kept: list[tuple[str, str]] = []
        for key, value in attributes.items():
            if key in HREFS:
                target = self._target(name, value, element)
                if target:
                    kept.append((HREFS[key], target))
            elif key in KEPT_OF_XML:
                kept.append((KEPT_OF_XML[key], value))
            elif not key.startswith("{") and key not in NOT_KEPT and not key.lower().startswith("on"):
                if "#" in value or "\\" in value:
                    self._note_uses(_unescaped(value), element)
                kept.append((key, value))
        return kept

    def _target(self, name: str, value: str, element: _Element) -> str:
        """Return what may stand in an ``href``: a place in the drawing itself, or a picture made anew."""
        if name in TRANSPARENT:
            return ""
        stripped = value.strip()
        if stripped.startswith("#"):
            self._note_uses(stripped, element)
            return stripped
        opening = _PICTURE.match(value)
        if name != "image" or opening is None:
            return ""
        try:
            content = base64.b64decode(re.sub(r"\s", "", value[opening.end() :]), validate=True)
        except (binascii.Error, ValueError):
            return ""
        copy = sanitise_picture(content, self.limits)
        if not isinstance(copy, SafeCopy):
            return ""
        return f"data:{copy.media_type};base64,{base64.b64encode(copy.body).decode('ascii')}"

    def _note_uses(self, value: str, element: _Element) -> None:
        for found in _FRAGMENT.finditer(value):
            self.uses += 1
            if self.uses > MAX_USES:
                raise _TooComplexError
            element.uses += _names(found.group(1))

    def end(self, tag: str) -> None:
        """Take the end of an element."""
        del tag
        if self.dropped:
            self.dropped -= 1
            return
        element = self.open.pop()
        self.pieces.append(f"</{element.written}>")
        if element.identifier:
            if element.written in REPEATED:
                self.repeated.add(element.identifier)
            self.named.setdefault(element.identifier, (element.count, list(element.uses)))
        if self.open:
            self.open[-1].count += element.count
            self.open[-1].uses += element.uses
        else:
            self.whole = (element.count, element.uses)

    def data(self, text: str) -> None:
        """Take text, which comes in one piece for each line and entity."""
        self.texts += 1
        if self.texts > MAX_TEXTS:
            raise _TooComplexError
        if self.open and not self.dropped:
            self.pieces.append(escape(text))
            if self.open[-1].is_style:
                self.styles.append(text)

    def close(self) -> None:
        """Take the end of the document."""

    def drawn(self) -> int:
        """Return how many elements a reader draws, each as often as it is used."""
        costs: dict[str, int] = {}

        def cost(count: int, uses: list[str], path: tuple[str, ...]) -> int:
            if len(path) > MAX_DEPTH:
                raise _TooComplexError
            for name in uses:
                if name not in self.named or name in path:
                    continue  # readers break the circle
                if name not in costs:
                    costs[name] = cost(*self.named[name], (*path, name))
                count += costs[name]
                if count > MAX_DRAWN:
                    return MAX_DRAWN + 1
            return count

        try:
            drawn = cost(*self.whole, ())
            # Which elements a style sheet's rules are about is not worked out: it may be those within each other.
            for name in self._repeated_by_styles():
                drawn *= cost(*self.named[name], (name,))
                if drawn > MAX_DRAWN:
                    break
            return drawn
        except _TooComplexError:
            return MAX_DRAWN + 1

    def _repeated_by_styles(self) -> set[str]:
        """Return the identifiers of what style sheets have drawn again."""
        found = _FRAGMENT.findall(_unescaped("".join(self.styles)))
        return self.repeated.intersection(name for each in found for name in _names(each))


def _names(fragment: str) -> set[str]:
    """Return the identifiers that a fragment may stand for: some readers resolve its escapes."""
    return {fragment, unquote(fragment)}


def _unescaped(style: str) -> str:
    """Return a style sheet with its escapes resolved (CSS Syntax section 4.3.7)."""
    return _ESCAPE.sub(lambda found: chr(min(int(found[1], 16), 0x10FFFF)) if found[1] else found[2], style)
