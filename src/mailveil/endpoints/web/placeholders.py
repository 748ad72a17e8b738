"""Placeholders: what is shown where there is no safe copy; of the right kind, so that no layout breaks."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

from mailveil.core.references.types import Media

MAX_SIDE_PIXELS = 4096
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
            return "font/woff2", b""
        case Media.VIDEO:
            return "video/mp4", b""


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
