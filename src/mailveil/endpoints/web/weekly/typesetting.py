"""Typesetting: the fonts of a PDF, and texts from outside made into what these fonts can show.

A font that is embedded shows every reader the same. reportlab brings one with Western letters; where the machine has
wider ones, they are used. What no font has, what would be hidden, and what is written from right to left or joins its
letters, which reportlab cannot set, stands as its number: ``[U+05D0]``. Nothing becomes an empty box, or disappears.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

FOLDERS: Final = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts/Supplemental",
)
#: Files with TrueType outlines, each with its bold companion, the most wanted first; what reportlab brings comes last.
WANTED: Final = (
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"),
    ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
    ("Arial Unicode.ttf", "Arial Unicode.ttf"),
    ("wqy-microhei.ttc", "wqy-microhei.ttc"),
    ("wqy-zenhei.ttc", "wqy-zenhei.ttc"),
    ("DroidSansFallbackFull.ttf", "DroidSansFallbackFull.ttf"),
    ("ipag.ttf", "ipag.ttf"),
    ("NanumGothic.ttf", "NanumGothicBold.ttf"),
)
BROUGHT: Final = ("Vera.ttf", "VeraBd.ttf")
MOST_NUMBERS: Final = 8  # one after the other; the rest is counted
_HIDDEN: Final = ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_RIGHT_TO_LEFT: Final = frozenset(("R", "AL", "AN"))
_JOINING: Final = ((0x0900, 0x0DFF), (0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1700, 0x18AF), (0x1900, 0x1CFF))


@dataclass(frozen=True, slots=True)
class Face:
    """A font in two weights, by the names that reportlab knows them by, with the characters that both have."""

    regular: str
    bold: str
    characters: frozenset[int] = field(repr=False)


@dataclass(slots=True)
class Fonts:
    """Fonts in the order of preference; those after the first are loaded once a text needs them."""

    waiting: list[tuple[Path, Path]]
    loaded: list[Face] = field(default_factory=list)

    def face_of(self, character: str) -> Face | None:
        """Return the first font that has a character, ``None`` where none has."""
        number = ord(character)
        for face in self.loaded:
            if number in face.characters:
                return face
        while self.waiting:
            found = _loaded(*self.waiting.pop(0))
            if found is None:
                continue
            self.loaded.append(found)
            if number in found.characters:
                return found
        return None

    @property
    def main(self) -> Face:
        """The font of everything that is ours."""
        found = self.face_of("A")
        assert found is not None, "reportlab's own font is gone"
        return found

    def markup(self, text: object, *, bold: bool = False, most: int = 300) -> str:
        """Return a text for a ``Paragraph``: nothing in it is markup but the fonts that it takes."""
        main, parts = self.main, []
        for face, piece in self._pieces(str(text), most):
            escaped = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            name = face.bold if bold else face.regular
            parts.append(escaped if face is main else f'<font name="{name}">{escaped}</font>')
        return "".join(parts)

    def plain(self, text: object, most: int = 300) -> str:
        """Return a text that the main font has all of."""
        main = self.main
        return "".join(
            piece if face is main else "".join(map(_number, piece))
            for face, piece in self._pieces(str(text), most)
        )

    def _pieces(self, text: str, most: int) -> Sequence[tuple[Face, str]]:
        """Return a text in pieces of one font each, with numbers for what is not to be set, cut where it gets long."""
        pieces: list[tuple[Face, str]] = []
        numbers, marks, length = 0, 0, 0

        def add(face: Face, piece: str) -> None:
            if pieces and pieces[-1][0] is face:
                pieces[-1] = (face, pieces[-1][1] + piece)
            else:
                pieces.append((face, piece))

        def end_numbers() -> None:
            if numbers > MOST_NUMBERS:
                add(self.main, f"[{numbers - MOST_NUMBERS} more]")

        for at, character in enumerate(text):
            if length >= most - 1 and at + 1 < len(text):
                add(self.main, "…")
                return pieces
            marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
            face = self.face_of(character) if is_settable(character) and marks <= 2 else None
            if face is not None:
                end_numbers()
                numbers = 0
                length += 1
                add(face, " " if character.isspace() else character)
                continue
            numbers += 1
            if numbers <= MOST_NUMBERS:
                length += len(_number(character))
                add(self.main, _number(character))
        end_numbers()
        return pieces


def is_settable(character: str) -> bool:
    """Tell whether a character can stand by itself, from left to right, and be seen."""
    if character in _BLANK or unicodedata.category(character) in _HIDDEN:
        return False
    if unicodedata.bidirectional(character) in _RIGHT_TO_LEFT:
        return False
    number = ord(character)
    return not any(first <= number <= last for first, last in _JOINING)


def _number(character: str) -> str:
    return f"[U+{ord(character):04X}]"


@cache
def fonts() -> Fonts:
    """Return the fonts that this machine has."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted(Path(folder).rglob("*.tt[cf]")):
            found.setdefault(path.name, path)
    pairs = [
        (found[regular], found.get(bold, found[regular])) for regular, bold in WANTED if regular in found
    ]
    return Fonts([*pairs, brought()])


def brought() -> tuple[Path, Path]:
    """Return the font that reportlab brings."""
    import reportlab

    folder = Path(reportlab.__file__).parent / "fonts"
    return folder / BROUGHT[0], folder / BROUGHT[1]


def _loaded(regular: Path, bold: Path) -> Face | None:
    """Return a font, ``None`` for one that cannot be read or may not be embedded."""
    try:
        both: list[Any] = [TTFont(f"mailveil-{path.stem}", str(path)) for path in (regular, bold)]
    except (TTFError, OSError, ValueError, LookupError):
        return None
    for each in both:
        pdfmetrics.registerFont(each)
    has = [frozenset(each.face.charToGlyph) for each in both]
    # Letters of another font within a Paragraph are found by family; each of ours stands for itself.
    for each in both:
        pdfmetrics.registerFontFamily(
            each.fontName, each.fontName, each.fontName, each.fontName, each.fontName
        )
    return Face(both[0].fontName, both[1].fontName, has[0] & has[1])
