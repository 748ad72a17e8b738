"""Fonts are made anew: what is left draws the same outlines and says nothing.

Setup: fonts built here, of both kinds of outlines, in every container; bombs and circles among them.
Test: the copy is read by the same library's strict reading, and what was said or hidden in it is gone.
"""

from __future__ import annotations

import io
import struct
import zlib

import brotli
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, newTable
from fontTools.ttLib.tables import ttProgram

from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits, Refusal, SafeCopy, sanitise

SECRET = "SECRET-5d41"
FLAVOURS = [None, "woff", "woff2"]


def draw(pen) -> None:
    pen.moveTo((0, 0))
    pen.lineTo((0, 700))
    pen.lineTo((500, 700))
    pen.closePath()


def built(flavour: str | None = None, *, is_cubic: bool = False, change=lambda font: None) -> bytes:
    builder = FontBuilder(1000, isTTF=not is_cubic)
    builder.setupGlyphOrder([".notdef", "A", "Aacute"])
    builder.setupCharacterMap({65: "A", 193: "Aacute"})
    if is_cubic:
        glyphs = {}
        for name in (".notdef", "A", "Aacute"):
            pen = T2CharStringPen(600, None)
            draw(pen)
            glyphs[name] = pen.getCharString()
        said = {"FullName": SECRET, "Notice": SECRET, "FamilyName": SECRET}
        builder.setupCFF(SECRET, said, glyphs, {})
    else:
        pen = TTGlyphPen(None)
        draw(pen)
        simple = pen.glyph()
        simple.program = ttProgram.Program()
        simple.program.fromBytecode(b"\x00" * 7)
        pen = TTGlyphPen({"A": simple})
        pen.addComponent("A", (1, 0, 0, 1, 10, 20))
        builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "A": simple, "Aacute": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "A": (600, 0), "Aacute": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": SECRET, "styleName": SECRET, "copyright": SECRET})
    builder.setupOS2(achVendID="SECR")
    builder.setupPost()
    font = builder.font
    if not is_cubic:
        font["fpgm"] = newTable("fpgm")
        font["fpgm"].program = ttProgram.Program()
        font["fpgm"].program.fromBytecode(b"\xb0\x00\x2d")
    for tag in ("meta", "SVG ", "ZZZZ", "DSIG"):
        font[tag] = newTable("ZZZZ")
        font[tag].data = SECRET.encode()
    change(font)
    font.flavor = flavour
    written = io.BytesIO()
    font.save(written)
    return written.getvalue()


def opened(body: bytes) -> TTFont:
    return TTFont(io.BytesIO(body), checkChecksums=2, ignoreDecompileErrors=False)


def drawn(font: TTFont, name: str) -> list:
    glyphs = font.getGlyphSet()
    pen = DecomposingRecordingPen(glyphs)
    glyphs[name].draw(pen)
    return pen.value


@pytest.mark.parametrize("is_cubic", [False, True])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_outlines_stay_and_everything_said_goes(flavour: str | None, is_cubic: bool) -> None:
    body = built(flavour, is_cubic=is_cubic)
    copy = sanitise(body, Media.FONT)
    assert isinstance(copy, SafeCopy), copy
    before, after = opened(body), opened(copy.body)
    assert after.flavor == flavour
    assert after.getBestCmap() == before.getBestCmap()
    for name, other in zip(before.getGlyphOrder(), after.getGlyphOrder(), strict=True):
        assert drawn(before, name) == drawn(after, other)
        assert before["hmtx"][name] == after["hmtx"][other]
    assert not set(after.keys()) & {"fpgm", "prep", "meta", "SVG ", "ZZZZ", "DSIG"}
    plain = io.BytesIO()
    after.flavor = None
    after.save(plain)
    for secret in (SECRET.encode(), SECRET.encode("utf-16-be"), b"SECR"):
        assert secret not in plain.getvalue()
    if not is_cubic:
        assert not getattr(after["glyf"][after.getGlyphOrder()[1]], "program", None)


@pytest.mark.parametrize("is_cubic", [False, True])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_twice_is_once(flavour: str | None, is_cubic: bool) -> None:
    once = sanitise(built(flavour, is_cubic=is_cubic), Media.FONT)
    assert isinstance(once, SafeCopy)
    assert sanitise(once.body, Media.FONT) == once


def test_what_follows_a_font_does_not_survive() -> None:
    copy = sanitise(built() + b"<script>" + SECRET.encode() + b"</script>", Media.FONT)
    assert isinstance(copy, SafeCopy)
    assert b"script" not in copy.body


def test_a_glyph_made_of_itself_is_refused() -> None:
    def circle(font: TTFont) -> None:
        glyph = font["glyf"]["Aacute"]
        glyph.components[0].glyphName = "Aacute"
        font.recalcBBoxes = False
        for each in font["glyf"].glyphs.values():
            each.xMin = each.yMin = each.xMax = each.yMax = 0

    assert sanitise(built(change=circle), Media.FONT) is Refusal.TOO_COMPLEX


def test_glyphs_made_of_glyphs_made_of_glyphs_are_refused() -> None:
    def bomb(font: TTFont) -> None:
        order = font.getGlyphOrder()
        for level in range(5):
            pen = TTGlyphPen(dict.fromkeys(order))
            for _ in range(50):
                pen.addComponent(order[-1] if level else "A", (1, 0, 0, 1, 0, 0))
            name = f"level{level}"
            order.append(name)
            font["glyf"].glyphs[name] = pen.glyph()
            font["hmtx"].metrics[name] = (500, 0)
        font.setGlyphOrder(order)
        font["glyf"].setGlyphOrder(order)
        font.recalcBBoxes = False
        for glyph in font["glyf"].glyphs.values():
            glyph.xMin = glyph.yMin = glyph.xMax = glyph.yMax = 0

    assert sanitise(built(change=bomb), Media.FONT) is Refusal.TOO_COMPLEX


def test_subroutines_that_call_each_other_are_refused() -> None:
    from fontTools.cffLib import SubrsIndex
    from fontTools.misc.psCharStrings import T2CharString

    def bomb(font: TTFont) -> None:
        top = font["CFF "].cff.topDictIndex[0]
        subroutines = SubrsIndex()
        bias = 107
        for level in range(9):
            program = ["return"] if level == 0 else [level - 1 - bias, "callsubr"] * 30 + ["return"]
            subroutines.append(T2CharString(program=program, private=top.Private))
        top.Private.Subrs = subroutines
        top.Private.rawDict["Subrs"] = 0
        font.recalcBBoxes = False
        top.CharStrings["A"].program = [600, 8 - bias, "callsubr", "endchar"]

    assert sanitise(built(is_cubic=True, change=bomb), Media.FONT) is Refusal.TOO_COMPLEX


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    body = bytearray(built("woff"))
    packed = zlib.compress(b"\0" * 50_000_000, 9)
    struct.pack_into(">III", body, 44 + 4, len(body), len(packed), 50_000_000)
    assert sanitise(bytes(body) + packed, Media.FONT) is Refusal.TOO_LARGE
    header = bytearray(built("woff2")[:48])
    flood = brotli.compress(b"\0" * 50_000_000, quality=5)
    struct.pack_into(">H", header, 12, 1)
    struct.pack_into(">I", header, 20, len(flood))
    assert sanitise(bytes(header) + b"\x00\x10" + flood, Media.FONT) is Refusal.TOO_LARGE


def test_a_collection_is_refused() -> None:
    assert sanitise(b"ttcf\0\1\0\0\0\0\0\1\0\0\0\x10" + built(), Media.FONT) is Refusal.WRONG_KIND


def test_the_number_of_glyphs_is_bounded() -> None:
    assert sanitise(built(), Media.FONT, CopyLimits(max_glyphs=2)) is Refusal.TOO_COMPLEX


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_font_that_was_cut_off_gives_an_answer(flavour: str | None) -> None:
    body = built(flavour)
    for length in range(4, len(body), 7):
        assert isinstance(sanitise(body[:length], Media.FONT), SafeCopy | Refusal)
