"""vCard 2.1, 3.0 and 4.0: photos, logos, sounds and keys that are fetched when a card is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect
from mailveil.core.references.content_lines import ContentLine, PropertyReporter, content_lines
from mailveil.core.references.links import note_links
from mailveil.core.references.types import Scope, Vector

# Properties whose value some client fetches (RFC 2426, RFC 6350). FBURL, CALURI and URL are asked only when
# somebody follows them.
_FETCHED: Final = {
    "PHOTO": Vector.VCARD_PHOTO,
    "LOGO": Vector.VCARD_LOGO,
    "SOUND": Vector.VCARD_SOUND,
    "AGENT": Vector.VCARD_OTHER,
    "KEY": Vector.VCARD_OTHER,
    "SOURCE": Vector.VCARD_OTHER,
}
_PICTURES: Final = ("IMAGE", "PHOTO", "LOGO", "ICON", "AVATAR", "PICTURE")
_PICTURE_URLS: Final = tuple(f"{picture}-URL" for picture in _PICTURES)
_FETCHED_PARAMETERS: Final = ("ALTREP", "URI", "URL", "HREF", "SRC", *_PICTURES)

_MAX_AGENTS: Final = 4  # cards within cards: each level reads the rest once more


def find_in_vcard(text: Text, scope: Scope) -> None:
    """Append the references of a vCard to ``scope.findings``; every other URL is a link. Total and linear."""
    reporter = PropertyReporter(text, scope)
    for line in content_lines(text):
        if not reporter.begin(line):
            return
        reporter.parameters(line, _FETCHED_PARAMETERS, Vector.VCARD_OTHER)
        vector = _vector_of(line.name)
        if vector is None:
            note_links(line.value, scope)
        elif line.name == "AGENT" and "begin:vcard" in line.value[:64].lower():
            _find_in_agent(line, scope)
        else:
            reporter.value(line, line.value_start, len(line.line), vector)


def _find_in_agent(line: ContentLine, scope: Scope) -> None:
    """Look into a card that stands escaped in the value of another card (RFC 2426 section 3.5.4)."""
    if scope.depth >= _MAX_AGENTS:
        scope.findings.defects.append(Defect.TOO_DEEP)
    elif not line.continuation:
        inner = line.unescaped(line.value_start, len(line.line))
        find_in_vcard(inner, replace(scope, depth=scope.depth + 1))


def _vector_of(name: str) -> Vector | None:
    vector = _FETCHED.get(name)
    if vector is None and name.startswith("X-"):
        if name.endswith(_PICTURES + _PICTURE_URLS):
            return Vector.VCARD_PHOTO
        if name.endswith("SOUND"):
            return Vector.VCARD_SOUND
    return vector
