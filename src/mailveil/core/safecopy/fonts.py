"""Fonts: taken apart into their tables and put together anew; nothing passes that was not understood.

What a font says of itself, the programs that fit it to a grid of pixels, and pictures within it do not
survive. What is left is outlines, their distances and which character they stand for.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import brotli
from fontTools.misc.psCharStrings import SimpleT2Decompiler
from fontTools.ttLib import TTFont, getTableModule, newTable

from mailveil.core.safecopy.types import CopyLimits, Refusal, SafeCopy

FONT_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"wOF2", "font/woff2"),
    (b"wOFF", "font/woff"),
    (b"OTTO", "font/otf"),
    (b"\0\1\0\0", "font/ttf"),
    (b"true", "font/ttf"),
)
# Tables that readers need to draw text; each is decoded and encoded anew (OpenType 1.9 chapter "Font tables").
NEEDED_TABLES = frozenset({"OS/2", "cmap", "head", "hhea", "hmtx", "maxp", "post"})
OUTLINE_TABLES = frozenset({"CFF ", "glyf"})
KEPT_TABLES = frozenset(
    {*NEEDED_TABLES, *OUTLINE_TABLES, "loca", "vhea", "vmtx", "VORG", "kern", "GDEF", "GPOS", "GSUB"}
    # of variable fonts
    | {"fvar", "avar", "gvar", "HVAR", "VVAR", "MVAR"}
)
# Rebuilt out of the tables around them.
DERIVED_TABLES = frozenset({"name"})
MAX_TABLES = 100
WOFF_HEADER_BYTES = 44
WOFF2_HEADER_BYTES = 48
MAX_COMPONENT_DEPTH = 8
MAX_COMPONENTS = 2_000
MAX_GLYPH_POINTS = 50_000  # of one glyph, with all that it is composed of
MAX_CHARSTRING_STEPS = 1_000_000  # of all glyphs together, subroutines each time that they are called
NAME = "Copy"


class _RefusedError(Exception):
    """A font that has no safe copy."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def sanitise_font(body: bytes, limits: CopyLimits) -> SafeCopy | Refusal:
    """Return a font anew in its own container. Collections and colour fonts alone are refused."""
    media_type = next((kind for magic, kind in FONT_MAGIC if body.startswith(magic)), "")
    if not media_type:
        return Refusal.WRONG_KIND
    try:
        _check_expansion(body, media_type, limits)
        return SafeCopy(media_type, _rebuild(body, limits))
    except _RefusedError as refused:
        return refused.refusal
    except MemoryError:
        raise
    except Exception:  # the decoder trusts what a table says of itself and fails in every way there is
        return Refusal.UNREADABLE


def load_tables() -> None:
    """Load what takes tables apart, for a process in which no file can be opened any more."""
    for tag in KEPT_TABLES | DERIVED_TABLES:
        getTableModule(tag)


def _check_expansion(body: bytes, media_type: str, limits: CopyLimits) -> None:
    """Refuse what would become too large without compression, before anything is decompressed at once."""
    if media_type == "font/woff2":
        if len(body) < WOFF2_HEADER_BYTES:
            raise _RefusedError(Refusal.UNREADABLE)
        # The rest of the header tells where the one compressed run begins; what matters here is its size
        # (WOFF 2.0 section 4.1), which every decoder would believe the stream for, not the header.
        _count_brotli(body, limits)
    elif media_type == "font/woff":
        _count_woff(body, limits)


def _count_brotli(body: bytes, limits: CopyLimits) -> None:
    total, tables = struct.unpack(">I", body[20:24])[0], struct.unpack(">H", body[12:14])[0]
    if tables > MAX_TABLES:
        raise _RefusedError(Refusal.TOO_COMPLEX)
    start = WOFF2_HEADER_BYTES
    for _ in range(tables):  # the table directory: flags, a tag where it is not a known one, lengths
        flags = body[start]
        start += 1 if flags & 0x3F != 0x3F else 5
        start = _after_base128(body, start)
        is_glyphs = flags & 0x3F in (10, 11)  # glyf and loca, transformed unless version 3 says otherwise
        if (is_glyphs and flags >> 6 != 3) or (not is_glyphs and flags >> 6 != 0):
            start = _after_base128(body, start)
    decoder = brotli.Decompressor()
    size = len(decoder.process(body[start : start + total], output_buffer_limit=limits.max_font_bytes + 1))
    if size > limits.max_font_bytes or not decoder.is_finished():
        raise _RefusedError(Refusal.TOO_LARGE if size > limits.max_font_bytes else Refusal.UNREADABLE)


def _after_base128(body: bytes, at: int) -> int:
    for end in range(at, at + 5):
        if not body[end] & 0x80:
            return end + 1
    raise _RefusedError(Refusal.UNREADABLE)


def _count_woff(body: bytes, limits: CopyLimits) -> None:
    if len(body) < WOFF_HEADER_BYTES:
        raise _RefusedError(Refusal.UNREADABLE)
    (tables,) = struct.unpack(">H", body[12:14])
    if tables > MAX_TABLES:
        raise _RefusedError(Refusal.TOO_COMPLEX)
    left = limits.max_font_bytes
    for number in range(tables):
        at = WOFF_HEADER_BYTES + 20 * number
        offset, packed, size = struct.unpack(">III", body[at + 4 : at + 16])
        if size > left or offset + packed > len(body):
            raise _RefusedError(Refusal.TOO_LARGE)
        if (
            packed < size
            and len(zlib.decompressobj().decompress(body[offset : offset + packed], size + 1)) > size
        ):
            raise _RefusedError(Refusal.UNREADABLE)
        left -= size


def _rebuild(body: bytes, limits: CopyLimits) -> bytes:
    font = TTFont(
        io.BytesIO(body), lazy=False, checkChecksums=0, ignoreDecompileErrors=False, recalcTimestamp=False
    )
    present = set(font.keys()) - {"GlyphOrder"}
    if len(present) > MAX_TABLES or not present >= NEEDED_TABLES or not present & OUTLINE_TABLES:
        raise _RefusedError(Refusal.UNREADABLE)
    if font["maxp"].numGlyphs > limits.max_glyphs:
        raise _RefusedError(Refusal.TOO_COMPLEX)
    for tag in present - KEPT_TABLES:
        del font[tag]
    for tag in present & KEPT_TABLES:
        table = font[tag]  # decoded here, so that it is encoded anew
        if hasattr(table, "ensureDecompiled"):
            table.ensureDecompiled(recurse=True)
    if "glyf" in font:
        _check_outlines(font["glyf"])
    if "CFF " in font:
        _check_charstrings(font["CFF "].cff)
    _rename(font)
    if "fvar" in font:
        font["fvar"].instances = []
    if "glyf" in font:
        font["post"].formatType = 3.0  # without the names of glyphs
    written = io.BytesIO()
    font.save(written, reorderTables=None)
    return written.getvalue()


def _rename(font: TTFont) -> None:
    """Write a name table that says nothing; readers ask for one."""
    names = newTable("name")
    names.names = []
    font["name"] = names
    for identifier in (1, 2, 3, 4, 6):  # family, style, unique, full and PostScript name
        names.setName("Regular" if identifier == 2 else NAME, identifier, 3, 1, 0x409)
    font["OS/2"].achVendID = "NONE"
    for axis in font["fvar"].axes if "fvar" in font else ():
        axis.axisNameID = 4


def _check_outlines(glyphs: Any) -> None:
    """Drop the glyphs' programs; refuse glyphs that are composed of too much or of themselves."""
    sizes: dict[str, int] = {}
    for name in glyphs.keys():  # noqa: SIM118 - not a mapping
        glyphs[name].expand(glyphs)
        glyphs[name].removeHinting()
    for name in glyphs.keys():  # noqa: SIM118
        _points_of(glyphs, name, sizes, 0)


def _points_of(glyphs: Any, name: str, sizes: dict[str, int], depth: int) -> int:
    if name in sizes:
        return sizes[name]
    if depth > MAX_COMPONENT_DEPTH:
        raise _RefusedError(Refusal.TOO_COMPLEX)
    glyph = glyphs[name]
    if glyph.isComposite():
        if len(glyph.components) > MAX_COMPONENTS:
            raise _RefusedError(Refusal.TOO_COMPLEX)
        size = 1 + sum(
            _points_of(glyphs, component.glyphName, sizes, depth + 1) for component in glyph.components
        )
    else:
        size = len(getattr(glyph, "coordinates", ()))
    if size > MAX_GLYPH_POINTS:
        raise _RefusedError(Refusal.TOO_COMPLEX)
    sizes[name] = size
    return size


class _Steps(SimpleT2Decompiler):  # type: ignore[misc]
    """Takes a charstring apart as readers run it, and counts: subroutines that call each other are a bomb."""

    left = MAX_CHARSTRING_STEPS

    def execute(self, charString: Any, **options: Any) -> None:  # noqa: N803 - the library's word
        """Walk through one charstring or subroutine."""
        if len(self.callingStack) > 10:  # as many levels as the format allows (Type 2, appendix B)
            raise _RefusedError(Refusal.TOO_COMPLEX)
        super().execute(charString, **options)
        self.left -= 1 + len(charString.program or ())
        if self.left < 0:
            raise _RefusedError(Refusal.TOO_COMPLEX)


def _check_charstrings(fonts: Any) -> None:
    """Take every charstring apart, and drop what the font says of itself."""
    fonts.fontNames = [NAME]
    top = fonts.topDictIndex[0]
    for said in (
        "version",
        "Notice",
        "Copyright",
        "FullName",
        "FamilyName",
        "Weight",
        "PostScript",
        "BaseFontName",
    ):
        if hasattr(top, said) and said in top.rawDict:
            del top.rawDict[said]
        if said in vars(top):
            delattr(top, said)
    charstrings = top.CharStrings
    left = MAX_CHARSTRING_STEPS
    for name in charstrings.keys():  # noqa: SIM118
        charstring, _selector = charstrings.getItemAndSelector(name)
        private = charstring.private
        steps = _Steps(getattr(private, "Subrs", []), charstring.globalSubrs, private)
        steps.left = left
        steps.execute(charstring)
        left = steps.left
