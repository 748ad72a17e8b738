"""Paths: what the path of an address looks like, segment by segment, in time linear in its length.

A shape is written as a path. A segment stands for itself, or has one hole: ``*`` for one character or more,
``{8}`` for exactly eight, ``{20+}`` for at least twenty, ``{8-12}`` for eight to twelve; with an ``x`` (``{32x}``) for
hexadecimal digits alone. ``**`` at the end stands for anything that follows, at the beginning for any folders
before. The empty shape fits every path.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_SEGMENTS: Final = 64  # of a path; what has more is nobody's shape
_HOLE: Final = re.compile(r"\*|\{(\d{1,4})(\+|-(\d{1,4}))?(x?)\}")
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]*+")
WORD: Final = re.compile(r"[A-Za-z0-9]+")
_ENDLESS: Final = 1 << 30


class Segment(NamedTuple):
    """One segment: what it begins and ends with, and how many characters may stand between."""

    prefix: str
    least: int
    most: int
    suffix: str
    hexadecimal: bool = False

    def fits(self, text: str) -> bool:
        """Tell whether a segment of a path is one of these."""
        between = len(text) - len(self.prefix) - len(self.suffix)
        if not self.least <= between <= self.most:
            return False
        if not text.startswith(self.prefix) or not text.endswith(self.suffix):
            return False
        start = len(self.prefix)
        return not self.hexadecimal or _HEXADECIMAL.fullmatch(text, start, start + between) is not None


class PathShape(NamedTuple):
    """The shape of a path, as it was written and taken apart."""

    text: str
    segments: tuple[Segment, ...]
    floating: bool  # folders may come before
    open_ended: bool  # anything may follow

    def fits(self, path: str) -> bool:
        """Tell whether a path has this shape."""
        if not self.text:
            return True
        wanted = len(self.segments)
        parts = path.split("/", MAX_SEGMENTS)[1:]
        if not self.floating:
            return self._fits_at(parts, 0) if len(parts) >= wanted else False
        return any(self._fits_at(parts, start) for start in range(len(parts) - wanted + 1))

    def _fits_at(self, parts: list[str], start: int) -> bool:
        end = start + len(self.segments)
        if not self.open_ended and len(parts) != end:
            return False
        return all(segment.fits(part) for segment, part in zip(self.segments, parts[start:end], strict=True))

    @property
    def words(self) -> frozenset[str]:
        """The words that stand whole in every path of this shape."""
        found: set[str] = set()
        for segment in self.segments:
            if segment.most == 0:
                found.update(WORD.findall(segment.prefix))
                continue
            # What touches the hole may go on in it.
            found.update(_whole(segment.prefix, at_end=True))
            found.update(_whole(segment.suffix, at_end=False))
        return frozenset(found)


def _whole(text: str, *, at_end: bool) -> list[str]:
    words = []
    for match in WORD.finditer(text):
        if match.end() == len(text) if at_end else match.start() == 0:
            continue
        words.append(match.group())
    return words


def parse_path(text: str) -> PathShape:
    """Return the shape that ``text`` describes. Raises ``ValueError`` that says what is wrong with it."""
    if not text:
        return PathShape("", (), False, True)
    if not text.startswith("/") and not text.startswith("**/"):
        raise ValueError(f"{text!r} begins neither with / nor with **/")
    floating = text.startswith("**/")
    parts = (text[2:] if floating else text).split("/")[1:]
    open_ended = parts[-1] == "**"
    if open_ended:
        parts.pop()
    if not parts:
        raise ValueError(f"{text!r} fits every path: leave it empty instead")
    if len(parts) >= MAX_SEGMENTS:
        raise ValueError(f"{text!r} has more than {MAX_SEGMENTS - 1} segments")
    return PathShape(text, tuple(_segment(part) for part in parts), floating, open_ended)


def _segment(text: str) -> Segment:
    holes = list(_HOLE.finditer(text))
    if not holes:
        if any(character in text for character in "*{}?"):
            raise ValueError(f"{text!r} is no segment: *, {{n}}, {{n+}} or {{n-m}} make a hole")
        return Segment(text, 0, 0, "")
    if len(holes) > 1:
        raise ValueError(f"{text!r} has more than one hole")
    hole = holes[0]
    prefix, suffix = text[: hole.start()], text[hole.end() :]
    if any(character in prefix + suffix for character in "*{}?"):
        raise ValueError(f"{text!r} is no segment: *, {{n}}, {{n+}} or {{n-m}} make a hole")
    if hole.group() == "*":
        return Segment(prefix, 1, _ENDLESS, suffix)
    least = int(hole.group(1))
    bound = hole.group(2) or ""
    most = least if not bound else _ENDLESS if bound == "+" else int(hole.group(3))
    if most < least:
        raise ValueError(f"{text!r} ends below where it begins")
    return Segment(prefix, least, most, suffix, bool(hole.group(4)))
