"""Specimens: one small content of every kind, for a process that has to load its decoders in advance."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import soundfile
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image, ImageCms

from mailveil.core.references.types import Media

FORMATS = ("PNG", "GIF", "JPEG", "WEBP", "BMP", "ICO", "TIFF", "AVIF")
MOVING = ("GIF", "PNG", "WEBP")
SOUNDS = (
    ("WAV", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("FLAC", "PCM_16"),
    ("MP3", "MPEG_LAYER_III"),
)
RATE_HZ = 8000
DRAWING = (
    b'<svg xmlns="http://www.w3.org/2000/svg"><style>a{}</style><image href="https://a.example/"/></svg>'
)
SHEET = b"p { background: url(https://a.example/) }"


def specimens() -> Iterator[tuple[bytes, Media]]:
    """Give one content after the other, each with the kind of copy that is made of it."""
    for body in _pictures():
        yield body, Media.IMAGE
    yield DRAWING, Media.IMAGE
    yield SHEET, Media.STYLESHEET
    for flavour in (None, "woff", "woff2"):
        for is_cubic in (False, True):
            yield font(flavour, is_cubic=is_cubic), Media.FONT
    for kind, subtype in SOUNDS:
        written = io.BytesIO()
        soundfile.write(written, np.zeros(RATE_HZ, dtype="int16"), RATE_HZ, format=kind, subtype=subtype)
        yield written.getvalue(), Media.AUDIO


def _pictures() -> Iterator[bytes]:
    Image.init()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for name in FORMATS:
        if name not in Image.SAVE or name not in Image.OPEN:
            continue  # this Pillow was built without it
        for is_moving in (False, True) if name in MOVING else (False,):
            written = io.BytesIO()
            frames = {"save_all": True, "append_images": [Image.new("RGB", (8, 8))]} if is_moving else {}
            Image.new("RGB", (8, 8), "red").save(written, name, icc_profile=profile, **frames)
            yield written.getvalue()


def font(flavour: str | None = None, *, is_cubic: bool = False) -> bytes:
    """Return a font of one glyph with everything in it that fonts of its kind must have.

    ``flavour`` is its container: ``woff``, ``woff2`` or none; ``is_cubic`` tells PostScript outlines (CFF) from
    TrueType ones.
    """
    builder = FontBuilder(1000, isTTF=not is_cubic)
    builder.setupGlyphOrder([".notdef"])
    builder.setupCharacterMap({})
    if is_cubic:
        pen = T2CharStringPen(500, None)
        pen.moveTo((0, 0))
        pen.lineTo((100, 100))
        pen.closePath()
        builder.setupCFF("Copy", {}, {".notdef": pen.getCharString()}, {})
    else:
        builder.setupGlyf({".notdef": TTGlyphPen(None).glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0)})
    builder.setupHorizontalHeader()
    builder.setupNameTable({})
    builder.setupOS2()
    builder.setupPost()
    builder.font.flavor = flavour
    written = io.BytesIO()
    builder.save(written)
    return written.getvalue()
