"""Placeholders: what is shown where there is no safe copy; of the right kind, so that no layout breaks."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from functools import lru_cache

from mailveil.core.references.types import Media

MAX_SIDE_PIXELS = 4096
MAX_FILM_PIXELS = 1 << 20
# A font without a single glyph: readers take each letter from the next family on the list.
EMPTY_FONT = base64.b64decode(
    b"d09GMgABAAAAAADwAAoAAAAAAkgAAACoAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAABmAALAoUMgE2AiQDBAsEAAQgBVgHIBuz"
    b"AQAeBe6ehmkZy8HjIk7uESqdKFqu6p0lB4kHo8DIN0Ikfa8P5GThITShmGCKjdkEpWme0+12bnACQUIRppKopwFtcqgtINJk"
    b"pcqQN9GZwtjw2wM0FM5KcNbd0TQYR8ZRAAENQaEDOkglK8slEITn11Xd8T+nfuD7dV1jaYnSQAAykD9LAQAkA4IoAQ0AABNv"
    b"SF+IOa9ma64yhx1Mz/8o7QgXVjIDAAAA"
)
SILENT_SAMPLES = b"\x80" * 80  # a hundredth of a second at 8 kHz, 8 bit


def placeholder(media: Media, width: int = 0, height: int = 0) -> tuple[str, bytes]:
    """Return media type and body of a placeholder; an image keeps the dimensions that were declared.

    Where only one side was declared the other is 1: a client that scales a square to it would push
    everything else aside.
    """
    match media:
        case Media.IMAGE:
            return "image/png", transparent_png(_side(width), _side(height))
        case Media.STYLESHEET:
            return "text/css; charset=utf-8", b""
        case Media.AUDIO:
            return "audio/wav", silent_wave()
        case Media.FONT:
            return "font/woff2", EMPTY_FONT
        case Media.VIDEO:
            return "video/webm", still_film(_side(width), _side(height))


def _side(pixels: int) -> int:
    return min(max(pixels, 1), MAX_SIDE_PIXELS)


@lru_cache(maxsize=256)
def transparent_png(width: int, height: int) -> bytes:
    """Return a fully transparent PNG: one-bit greyscale whose only value is transparent (PNG section 11)."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    row = b"\0" * (1 + (width + 7) // 8)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"tRNS", b"\0\0"),
            chunk(b"IDAT", zlib.compress(row * height, 9)),
            chunk(b"IEND", b""),
        )
    )


def silent_wave() -> bytes:
    """Return a WAVE file of silence, as short as players accept."""
    form = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(SILENT_SAMPLES)) + SILENT_SAMPLES
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


@lru_cache(maxsize=32)
def still_film(width: int, height: int) -> bytes:
    """Return a WebM film of one black picture (RFC 9559); of the right proportions where it would be too large."""
    from PIL import Image

    while width * height > MAX_FILM_PIXELS:
        width, height = max(1, width // 2), max(1, height // 2)
    written = io.BytesIO()
    Image.new("RGB", (width, height)).save(written, "WEBP", quality=1, method=0)
    webp = written.getvalue()
    at = webp.index(b"VP8 ")  # lossy WebP is one key frame of VP8 (RFC 9649 section 2.5)
    picture = webp[at + 8 : at + 8 + struct.unpack("<I", webp[at + 4 : at + 8])[0]]
    sides = _element(0xB0, struct.pack(">H", width)) + _element(0xBA, struct.pack(">H", height))
    names = (_element(0xD7, b"\1"), _element(0x73C5, b"\1"), _element(0x83, b"\1"), _element(0x86, b"V_VP8"))
    told = _element(0x2AD7B1, b"\x0f\x42\x40") + _element(0x4489, struct.pack(">f", 40.0))
    return _element(
        0x1A45DFA3,
        b"".join(_element(name, b"\1") for name in (0x4286, 0x42F7))
        + _element(0x42F2, b"\4")
        + _element(0x42F3, b"\x08")
        + _element(0x4282, b"webm")
        + _element(0x4287, b"\2")
        + _element(0x4285, b"\2"),
    ) + _element(
        0x18538067,
        _element(0x1549A966, told + _element(0x4D80, b"-") + _element(0x5741, b"-"))
        + _element(0x1654AE6B, _element(0xAE, b"".join(names) + _element(0xE0, sides)))
        + _element(0x1F43B675, _element(0xE7, b"\0") + _element(0xA3, b"\x81\0\0\x80" + picture)),
    )


def _element(identifier: int, content: bytes) -> bytes:
    """Return an EBML element (RFC 8794), its size in four bytes."""
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return name + (len(content) | 1 << 28).to_bytes(4, "big") + content
