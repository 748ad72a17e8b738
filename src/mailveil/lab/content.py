"""Content: the pictures, sounds, sheets and fonts that the lab's origins answer with, whole and broken."""

from __future__ import annotations

import base64
import gzip
import io
import struct
import zlib
from functools import cache
from importlib import resources

from PIL import Image, ImageDraw

# The transparent GIF of one pixel that most tracking pixels are.
PIXEL_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
WAV_RATE = 8000  # samples a second, each one byte
WAV_SILENCE = b"\x80"
ENDLESS = 0x7FFFFF00  # as long as a WAV can say it is
MEBIBYTE = 1 << 20
BOMB_BYTES = 64 * MEBIBYTE
# 64 MiB of zeros by Brotli (RFC 7932), which nothing here could write.
BROTLI_BOMB = base64.b64decode(
    "y///P/gnAOKxQCD3/o///3/wTwDEYRGA7v0f////4J8AiMMCAN37P/7//8E/ARCHBQC693/8//+DfwIgDgsAdO//+P//B/8EQBwWAOje"
    "//H//w/+CYA4LADQvf/j//8f/BMAcVgAoHv/Nw=="
)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk (PNG specification, section 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def plain_png(width: int, height: int, colour: tuple[int, int, int] = (72, 99, 160)) -> bytes:
    """Return a picture of one colour."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(colour) * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", head)
        + png_chunk(b"IDAT", zlib.compress(rows, 9))
        + png_chunk(b"IEND", b"")
    )


@cache
def logo_png(width: int = 160, height: int = 48, hue: int = 210) -> bytes:
    """Return something that looks like a logo."""
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    colour = f"hsl({hue}, 60%, 40%)"
    pen.rounded_rectangle((2, 2, height - 3, height - 3), radius=height // 4, fill=colour)
    pen.ellipse((height // 4, height // 4, 3 * height // 4, 3 * height // 4), fill="white")
    for line, length in enumerate((0.9, 0.6)):
        top = height // 4 + line * height // 3
        pen.rectangle(
            (height + 8, top, height + 8 + int((width - height - 16) * length), top + 6), fill=colour
        )
    return _saved(picture, "PNG")


@cache
def hero_jpeg(width: int = 600, height: int = 240, hue: int = 28) -> bytes:
    """Return something that looks like the big picture of a newsletter: hills under a sky."""
    picture = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(picture)
    for y in range(height):
        pen.line((0, y, width, y), fill=f"hsl({hue}, 80%, {60 + 35 * y // height}%)")
    pen.ellipse((width * 3 // 4, height // 6, width * 3 // 4 + 60, height // 6 + 60), fill="#fff4d6")
    for hill, shade in enumerate((46, 34, 24)):
        top = height // 2 + hill * height // 8
        middle = width * (1 + hill) // 4
        points = [(0, height), (0, top + 30), (middle, top - 25), (width, top + 45), (width, height)]
        pen.polygon(points, fill=f"hsl({150 + 12 * hill}, 35%, {shade}%)")
    return _saved(picture, "JPEG", quality=82)


@cache
def animated_gif(width: int = 120, height: int = 60, frames: int = 8) -> bytes:
    """Return an animation."""
    pictures = []
    for step in range(frames):
        picture = Image.new("RGB", (width, height), "white")
        left = (width - 20) * step // (frames - 1)
        ImageDraw.Draw(picture).ellipse((left, height // 2 - 10, left + 20, height // 2 + 10), fill="#c0392b")
        pictures.append(picture)
    out = io.BytesIO()
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=80, loop=0)
    return out.getvalue()


def _saved(picture: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@cache
def web_font() -> bytes:
    """Return a WOFF font of one shape."""
    return resources.files("mailveil.lab").joinpath("assets/squares.woff").read_bytes()


def wav_header(data_bytes: int = ENDLESS) -> bytes:
    """Return the header of a WAV of 8-bit mono samples (RIFF; WAVE_FORMAT_PCM)."""
    form = struct.pack("<HHIIHH", 1, 1, WAV_RATE, WAV_RATE, 1, 8)
    return (
        b"RIFF"
        + struct.pack("<I", (36 + data_bytes) & 0xFFFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<I", len(form))
        + form
        + b"data"
        + struct.pack("<I", data_bytes)
    )


def short_wav(seconds: float = 0.5) -> bytes:
    """Return a silent sound that ends."""
    samples = WAV_SILENCE * int(WAV_RATE * seconds)
    return wav_header(len(samples)) + samples


# Bombs ------------------------------------------------------------------------------------------------------


@cache
def gzip_bomb(layers: int = 1) -> bytes:
    """Return 64 MiB of zeros, compressed as often as said (RFC 1952)."""
    data = bytes(BOMB_BYTES)
    for _ in range(layers):
        data = gzip.compress(data, 9, mtime=0)
    return data


@cache
def zstd_bomb() -> bytes:
    """Return 64 MiB of zeros as Zstandard run-length blocks (RFC 8878 section 3.1.1.2)."""
    block = 128 * 1024
    count = BOMB_BYTES // block
    blocks = (
        ((number == count - 1) | 1 << 1 | block << 3).to_bytes(3, "little") + b"\0" for number in range(count)
    )
    return b"\x28\xb5\x2f\xfd\x00\x38" + b"".join(blocks)


@cache
def pixel_bomb(width: int = 40_000, height: int = 40_000) -> bytes:
    """Return a PNG of a few hundred kB that takes gigabytes when decoded."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    row = bytes(1 + width // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    )


def frame_bomb(frames: int = 20_000) -> bytes:
    """Return a GIF whose many frames each fill a large screen."""
    head = b"GIF89a" + struct.pack("<HHBBB", 8000, 8000, 0xF0, 0, 0) + bytes(6)
    frame = (
        b"\x21\xf9\x04\x00\x01\x00\x00\x00\x2c"
        + struct.pack("<HHHHB", 0, 0, 8000, 8000, 0)
        + b"\x02\x02\x44\x01\x00"
    )
    return head + frame * frames + b";"


def entity_bomb() -> bytes:
    """Return an SVG picture whose entities multiply (billion laughs)."""
    entities = "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' if level else '<!ENTITY e0 "laugh ">'
        for level in range(10)
    )
    return (
        f'<?xml version="1.0"?><!DOCTYPE svg [{entities}]>'
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>&e9;</text></svg>'
    ).encode()
