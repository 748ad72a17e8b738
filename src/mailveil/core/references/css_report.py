"""Reports of addresses in CSS: which property they stand in, who is contacted, what takes their place."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Final

from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect
from mailveil.core.references.css_tokens import (
    WHITE_SPACE,
    Origins,
    find_beginning,
    strip_comments,
    unescape,
    unescape_with_origins,
)
from mailveil.core.references.data_url import find_in_data_url
from mailveil.core.references.types import (
    BLANK_CSS,
    BLANK_GIF,
    BLANK_URL,
    COPYABLE,
    Reference,
    Scope,
    Vector,
)
from mailveil.core.references.url import real_characters, remote

# Properties whose url() is an SVG element in another document rather than a picture.
_ELEMENT_PROPERTIES: Final = frozenset(
    {
        "filter", "-webkit-filter", "backdrop-filter", "clip-path", "-webkit-clip-path", "offset-path",
        "fill", "stroke", "marker", "marker-start", "marker-mid", "marker-end",
    }
)  # fmt: skip
_KNOWN_NAMESPACES: Final = ("http://www.w3.org/", "https://www.w3.org/", "http://schemas.", "urn:")

_INERT: Final[Mapping[Vector, str]] = {
    Vector.CSS_URL: BLANK_GIF,
    Vector.CSS_IMPORT: BLANK_CSS,
    Vector.CSS_FONT: BLANK_URL,
    Vector.CSS_FILTER: BLANK_URL,
    Vector.CSS_BEHAVIOR: BLANK_URL,
    Vector.CSS_NAMESPACE: "urn:x",
    Vector.SCRIPT_INLINE: "0",
}


class EnoughError(Exception):
    """More was found than a message may hold: the rest need not be searched."""


class CssReporter:
    """A reading of CSS, and where it stands.

    ``text`` are the characters as this reading has them. ``origins`` leads back to those of ``place`` where
    they are not the same. ``covered`` marks the characters of ``place`` that a reference already stands for.
    ``declared`` is the property where ``text`` is only its value. ``declaration`` is where the current
    declaration starts, ``dubious`` tells that readers may differ about where some string, comment or url
    ends.
    """

    __slots__ = (
        "attributes", "covered", "declaration", "declared", "dubious", "element", "named", "named_at",
        "origins", "place", "scope", "text",
    )  # fmt: skip

    def __init__(
        self,
        place: Text,
        scope: Scope,
        element: str,
        attributes: Mapping[str, str],
        declared: str | None = None,
    ) -> None:
        self.place = place
        self.text = place.text
        self.scope = scope
        self.element = element
        self.attributes = attributes
        self.declared = declared
        self.origins: Origins | None = None
        self.covered: bytearray | None = None  # made with the first reference
        self.dubious = False
        self.declaration = 0
        self.named_at = -1
        self.named = ""

    def property(self, at: int) -> str:
        """Return the lower-case name of the property whose value ``at`` is in, or ``""``."""
        if self.declared is not None:
            return self.declared
        if self.named_at != self.declaration:
            self.named_at = self.declaration
            colon = self.text.find(":", self.declaration, at)
            name = self.text[self.declaration : max(colon, self.declaration)]
            if "/*" in name:
                name = strip_comments(self.text[self.declaration : at])[0].partition(":")[0]
            # Hacks such as "*background" and "_background" are for the property behind them.
            name = unescape(name).strip(WHITE_SPACE).lower().lstrip("*_+#.$&/<>!|~`^=%,")
            words = name.split()
            self.named = words[-1] if words else ""
        return self.named

    def report_beginning(self, start: int, end: int, vector: Vector) -> None:
        """Report a value in a broken token by its beginning, since readers differ about its end."""
        self.dubious = True
        first, last = find_beginning(self.text, start, end)
        url = self.url(self.text[first:last]) or self.url(self.text[first:end].rstrip(WHITE_SPACE))
        if url and last > first and not self.is_covered(first, last):
            self.append(url, vector, first, last, broken=True)

    def report(self, start: int, end: int, vector: Vector) -> None:
        """Report the value ``[start, end)`` where it is remote; look into it where it is a ``data:`` URL."""
        raw = self.text[start:end]
        if vector is Vector.CSS_BEHAVIOR and raw.lstrip().startswith("#"):
            return  # a behaviour of the browser's own, such as #default#VML
        url = self.url(raw)
        if vector is Vector.CSS_IMPORT and (url is None or self.scope.base):
            self.scope.findings.sheets.add(unescape(raw).strip())
        if url is None:
            value = unescape(raw).lstrip()
            if value[:5].lower() == "data:":
                self.look_into_data_url(start, end, sheet=vector is Vector.CSS_IMPORT)
            return
        if vector is Vector.CSS_NAMESPACE and url.startswith(_KNOWN_NAMESPACES):
            return
        if not self.is_covered(start, end):
            self.append(url, vector, start, end)

    def url(self, raw: str) -> str | None:
        """Return what would be contacted for a value, with its escapes decoded or as it stands."""
        charset = self.place.charset
        if "\\" not in raw:
            return remote(real_characters(raw, charset), self.scope)
        url = remote(real_characters(unescape(raw), charset), self.scope)
        return url or remote(real_characters(raw, charset), self.scope)

    def look_into_data_url(self, start: int, end: int, *, sheet: bool) -> None:
        """Search the ``data:`` URL ``[start, end)``, once; ``sheet`` where it is imported."""
        if self.is_covered(start, end):
            return
        raw = self.text[start:end]
        if self.origins is None and "\\" not in raw:
            self.cover(start, end)
            start += len(raw) - len(raw.lstrip())
            find_in_data_url(self.place, start, end, self.scope, sheet=sheet)
            return
        value, origins = unescape_with_origins(raw)
        origins = origins.within(self.origins, start)
        self.cover(start, end)
        data_url = _derive(self.place, value, origins)
        find_in_data_url(data_url, len(value) - len(value.lstrip()), len(value), self.scope, sheet=sheet)

    def append(self, url: str, vector: Vector, start: int, end: int, *, broken: bool = False) -> None:
        """Add a reference; a ``broken`` value gets no copy, since what follows it would spoil the address."""
        findings = self.scope.findings
        if len(findings.references) > self.scope.limits.max_references:
            findings.defects.append(Defect.TOO_MANY_REFERENCES)
            raise EnoughError
        inert = _INERT[vector]
        media = None if broken else COPYABLE.get(vector)
        if vector is Vector.CSS_URL and self.property(start) in _ELEMENT_PROPERTIES:
            media, inert = None, BLANK_URL
        start, end = self.cover(start, end)
        span = self.place.span(start, end)
        findings.references.append(
            Reference(
                url=url,
                vector=vector,
                part=self.scope.part,
                source=self.place.source,
                start=span.start,
                end=span.end,
                inert=inert,
                encoding=self.place.encoding,
                media=media,
                element=self.element,
                attributes=self.described(),
            )
        )

    def described(self) -> Mapping[str, str]:
        """Return what the judge is told of the place, beside the element's own attributes."""
        return self.attributes

    def cover(self, start: int, end: int) -> tuple[int, int]:
        """Mark a value as reported and return its range in ``place``."""
        if self.origins is not None:
            start, end = self.origins.place(start, end)
        if self.covered is None:
            self.covered = bytearray(len(self.place.text))
        self.covered[start:end] = b"\1" * (end - start)
        return start, end

    def is_covered(self, start: int, end: int) -> bool:
        """Tell whether something in ``[start, end)`` has been reported."""
        if self.covered is None or start >= end:
            return False
        if self.origins is not None:
            start, end = self.origins.place(start, end)
        return self.covered.find(1, start, end) >= 0


def _derive(place: Text, value: str, origins: Origins) -> Text:
    """Return ``value``, made from characters of ``place``, as a text of its own."""
    if place.starts is None or place.ends is None:
        starts = array("q", (place.offset + start for start in origins.starts))
        ends = array("q", (place.offset + end for end in origins.ends))
    else:
        starts = array("q", (place.starts[start] for start in origins.starts))
        ends = array("q", (place.ends[end - 1] for end in origins.ends))
    return Text(value, place.source, starts=starts, ends=ends, encoding=place.encoding, charset=place.charset)
