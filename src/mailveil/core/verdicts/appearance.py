"""How a reference is declared to appear: its size, and whether anybody could see it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

_DECLARATION: Final = re.compile(
    r"(?<![a-z\-])(width|height|max-width|max-height|display|visibility|opacity|font-size|left|top|right"
    r"|text-indent|margin-left|margin-top|mso-hide|clip)[ \t\r\n]*+:"
    r"[ \t\r\n]*+([^;}]{0,40})"
)
_NUMBER: Final = re.compile(r"[+-]?+[0-9]*+\.?+[0-9]*+")
_MAX_STYLE: Final = 2_000
_FAR_AWAY: Final = -500.0
_HIDING: Final = (
    b"display:none",
    b"display: none",
    b"visibility:hidden",
    b"visibility: hidden",
    b"mso-hide:all",
)
_OPEN_TAG: Final = re.compile(rb"<([A-Za-z][A-Za-z0-9]{0,20}+)[^<>]{0,2000}+>")
_VOID: Final = frozenset({b"img", b"br", b"hr", b"input", b"meta", b"link", b"col", b"source"})
_MAX_LOOK_BACK: Final = 4_000
_MAX_HIDING: Final = 4
_MAX_PLACES: Final = 500
_POSITIONS: Final = frozenset({"left", "top", "right", "text-indent", "margin-left", "margin-top"})


class Appearance(NamedTuple):
    """Declared width and height in pixels (``None``: unknown or relative), hidden, placed out of sight."""

    width: float | None
    height: float | None
    hidden: bool
    off_screen: bool


def appearance_of(attributes: Mapping[str, str]) -> Appearance:
    """Return how an element with these attributes is declared to appear."""
    return _appearance(
        attributes.get("width", "")[:20],
        attributes.get("height", "")[:20],
        attributes.get("style", "")[:_MAX_STYLE],
        "hidden" in attributes,
    )


@lru_cache(maxsize=4_096)
def _appearance(width: str, height: str, style: str, hidden: bool) -> Appearance:
    wide, high = _pixels(width), _pixels(height)
    away = False
    if style:
        for name, written in _DECLARATION.findall(style.lower()):
            value = written.strip()
            number = _pixels(value)
            if name in {"width", "max-width"}:
                wide = number if number is not None and (wide is None or name == "width") else wide
            elif name in {"height", "max-height"}:
                high = number if number is not None and (high is None or name == "height") else high
            elif name in _POSITIONS:
                away = away or (number is not None and number <= _FAR_AWAY)
            else:
                hidden = hidden or _hides(name, value, number)
            if name.startswith("max-") and number == 0:
                hidden = True
    return Appearance(wide, high, hidden, away)


def _hides(name: str, value: str, number: float | None) -> bool:
    if name == "display":
        return value.startswith("none")
    if name == "visibility":
        return value.startswith(("hidden", "collapse"))
    if name == "mso-hide":
        return value.startswith("all")
    if name in {"opacity", "font-size"}:
        return number is not None and number <= 0.02 and bool(value) and value[0] in "0."
    if name == "clip":
        return value.replace(" ", "").startswith("rect(0")
    return False


def _pixels(value: str) -> float | None:
    """Return a length in pixels; percentages and words are none."""
    value = value.strip()
    match = _NUMBER.match(value)
    if match is None or not any(character.isdigit() for character in match[0]):
        return None
    unit = value[match.end() :].strip().lower()
    if unit[:1] == "%" or unit[:2] in {"em", "vw", "vh", "re"}:
        return 0.0 if float(match[0]) == 0 else None
    return float(match[0])


class Surrounds:
    """What stands around the elements of one source: conditional comments and hidden elements.

    A look at the markup as it is written, bounded, without a tree: an element counts as hidden by another one
    around it where that one opens within some thousand bytes before it and does not end in between.
    """

    __slots__ = ("_closings", "_data", "_hidden", "_openings")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._openings = _places(data, b"<!--[if")
        self._closings = _places(data, b"<![endif]") if self._openings else []
        self._hidden = sorted(place for word in _HIDING for place in _places(data, word))

    def is_conditional(self, start: int) -> bool:
        """Tell whether byte ``start`` stands in a conditional comment."""
        if not self._openings:
            return False
        number = bisect_right(self._openings, start)
        if not number:
            return False
        opened = self._openings[number - 1]
        if self._data.startswith(b"<!--[if !mso", opened):
            return False  # all clients but one read it
        closed = bisect_right(self._closings, start)
        return not closed or self._closings[closed - 1] < opened

    def is_hidden(self, start: int) -> bool:
        """Tell whether an element that is still open at byte ``start`` hides what is in it."""
        last = bisect_right(self._hidden, start)
        for place in reversed(self._hidden[max(0, last - _MAX_HIDING) : last]):
            if start - place > _MAX_LOOK_BACK:
                return False
            opened = self._data.rfind(b"<", max(0, place - 1_000), place)
            tag = _OPEN_TAG.match(self._data, opened) if opened >= 0 else None
            if tag is None or tag.end() <= place or tag.end() > start:
                continue
            name = tag[1].lower()
            if name in _VOID:
                continue
            between = self._data[tag.end() : start].lower()
            if 1 + between.count(b"<" + name) - between.count(b"</" + name) > 0:
                return True
        return False


def _places(data: bytes, word: bytes) -> list[int]:
    found: list[int] = []
    place = data.find(word)
    while place >= 0 and len(found) < _MAX_PLACES:
        found.append(place)
        place = data.find(word, place + len(word))
    return found
