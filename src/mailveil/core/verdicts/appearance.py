"""How a reference is declared to appear: its size, and whether anybody could see it."""

from __future__ import annotations

import re
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
