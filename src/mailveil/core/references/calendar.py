"""iCalendar and vCalendar: attachments, images and sounds that a calendar client fetches by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mailveil.core.message.text import Text
from mailveil.core.references.content_lines import ContentLine, PropertyReporter, content_lines
from mailveil.core.references.html import find_in_html
from mailveil.core.references.links import note_links
from mailveil.core.references.types import Scope, Vector

# Properties whose value some client fetches. RFC 5545 (ATTACH, also the sound of an alarm; TZURL), RFC 7986
# (IMAGE; SOURCE, fetched again and again), RFC 9073 (STRUCTURED-DATA, STYLED-DESCRIPTION by reference),
# vCalendar 1.0 (AALARM, PALARM and kin).
_FETCHED: Final = {
    "ATTACH": Vector.CALENDAR_ATTACH,
    "IMAGE": Vector.CALENDAR_IMAGE,
    "SOURCE": Vector.CALENDAR_OTHER,
    "STRUCTURED-DATA": Vector.CALENDAR_OTHER,
    "STYLED-DESCRIPTION": Vector.CALENDAR_OTHER,
    "TZURL": Vector.CALENDAR_OTHER,
}
_ALARMS: Final = frozenset({"AALARM", "DALARM", "MALARM", "PALARM"})
_PICTURES: Final = ("IMAGE", "PHOTO", "LOGO", "ICON", "AVATAR", "THUMBNAIL", "BANNER")
_PICTURE_URLS: Final = tuple(f"{picture}-URL" for picture in _PICTURES)
_OTHER_FETCHED: Final = ("ATTACH", "SOUND")
# Parameters by which a client finds another form of a property (RFC 5545 section 3.2.1, 3.2.6).
_FETCHED_PARAMETERS: Final = ("ALTREP", "DIR", "URI", "URL", "HREF", "SRC", *_PICTURES)
# Text properties that one client or another renders as HTML.
_MARKUP: Final = frozenset(
    {"COMMENT", "DESCRIPTION", "LOCATION", "STYLED-DESCRIPTION", "SUMMARY", "X-ALT-DESC"}
)


def find_in_calendar(text: Text, scope: Scope) -> None:
    """Append the references of a ``text/calendar`` or ``text/x-vcalendar`` body to ``scope.findings``.

    URL, CONFERENCE, LINK and addresses in running text are links. Total and linear.
    """
    reporter = PropertyReporter(text, scope)
    for line in content_lines(text):
        if not reporter.begin(line):
            return
        reporter.parameters(line, _FETCHED_PARAMETERS, Vector.CALENDAR_OTHER)
        start, end = line.value_start, len(line.line)
        if line.name in _MARKUP and not line.continuation:
            _find_in_markup(line, start, end, scope)
        vector = _vector_of(line.name)
        if vector is not None:
            reporter.value(line, start, end, vector)
        elif line.name in _ALARMS:
            for piece in line.value.split(";"):
                reporter.value(line, start, start + len(piece), Vector.CALENDAR_ATTACH)
                start += len(piece) + 1
        else:
            note_links(line.value, scope)


def _find_in_markup(line: ContentLine, start: int, end: int, scope: Scope) -> None:
    """Lead a text property that holds markup to the HTML grammar."""
    if line.has("QUOTED-PRINTABLE"):
        inner = line.unquoted(start, end)
    elif "<" in line.value:
        inner = line.unescaped(start, end)
    else:
        return
    if "<" in inner.text:
        find_in_html(inner, replace(scope, depth=scope.depth + 1))


def _vector_of(name: str) -> Vector | None:
    vector = _FETCHED.get(name)
    if vector is None and name.startswith("X-"):
        if name.endswith(_PICTURES + _PICTURE_URLS):
            return Vector.CALENDAR_IMAGE
        if name.endswith(_OTHER_FETCHED):
            return Vector.CALENDAR_OTHER
    return vector
