"""Mutations of valid contents through the real sandbox: an answer every time, and never an unsafe one.

Setup: one valid content of every format that has a safe copy, each carrying a remote address where it can; a sandbox as
in production.
Test: bytes are flipped, cut, doubled, and numbers set to their extremes; whatever comes back is of a type that is
allowed, can be opened by the format's own reader, names no remote address, and stays what it is when made safe again.
"""

from __future__ import annotations

import asyncio
import base64
import io
import random
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from fontTools.ttLib import TTFont
from PIL import Image, PngImagePlugin

from mailveil.adapters.sandbox import Sandbox
from mailveil.adapters.specimens import font
from mailveil.core.references.types import Media
from mailveil.core.safecopy import MEDIA_TYPES, CopyLimits, SafeCopy

REMOTE = b"https://t.example/SECRET-77b0"
MUTANTS = 60
# Where an address can end up as words or as sound, which reach nobody.
TEXT_OR_SAMPLES = ("css", "wav", "flac")
LIMITS = CopyLimits(max_bytes=2_000_000, max_pixels=4_000_000)
EXTREMES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\1",
)


def image(name: str, frames: int = 1, **options: object) -> bytes:
    written = io.BytesIO()
    pictures = [Image.new("RGB", (24, 16), (40 * n, 90, 200)) for n in range(frames)]
    for n, each in enumerate(pictures):
        each.putpixel((n, 3), (255, 255, 255))
    if frames > 1:
        options |= {"save_all": True, "append_images": pictures[1:], "duration": 80, "loop": 0}
    pictures[0].save(written, name, **options)
    return written.getvalue()


def sound(kind: str, subtype: str) -> bytes:
    written = io.BytesIO()
    samples = 0.3 * np.sin(np.arange(4000) / 9)
    with soundfile.SoundFile(written, "w", 8000, 1, subtype, format=kind) as file:
        if kind != "MP3":
            file.comment = REMOTE.decode()
        file.write(samples)
    return written.getvalue()


def film() -> bytes:
    def box(kind: bytes, *content: bytes) -> bytes:
        body = b"".join(content)
        return struct.pack(">I4s", 8 + len(body), kind) + body

    tables = (
        box(b"stsd", b"\0\0\0\0\0\0\0\1", box(b"avc1", b"\0" * 78)),
        box(b"stco", b"\0\0\0\0\0\0\0\1\0\0\0\x40"),
    )
    references = box(b"dref", b"\0\0\0\0\0\0\0\1", box(b"url ", b"\0\0\0\1"))
    inner = box(b"minf", box(b"dinf", references), box(b"stbl", *tables))
    media = box(b"hdlr", b"\0" * 8, b"vide", b"\0" * 12, REMOTE), inner
    track = box(
        b"trak", box(b"tkhd", b"\0" * 76, struct.pack(">II", 64 << 16, 48 << 16)), box(b"mdia", *media)
    )
    moov = box(b"moov", box(b"mvhd", b"\0" * 100), track, box(b"udta", box(b"name", REMOTE)))
    return box(b"ftyp", b"isom\0\0\0\0isom") + moov + box(b"mdat", bytes(range(200)))


def seeds() -> dict[str, tuple[bytes, Media]]:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", REMOTE.decode(), zip=False)
    embedded = base64.b64encode(image("PNG")).decode()
    url = REMOTE.decode()
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<style>a{{fill:url({url})}}</style><image href="{url}"/><use href="#a"/><script>fetch("{url}")</script>'
        f'<image xlink:href="data:image/png;base64,{embedded}"/><g id="a"><rect width="9" fill="url(#b)"/></g></svg>'
    )
    sheet = (
        f'@charset "utf-8"; @import "{url}"; @font-face {{ src: url({url}) }} '
        f"p {{ background: u\\72l('{url}'), image-set(\"{url}\" 1x); behavior: url({url}) }}"
    )
    return {
        "png": (image("PNG", pnginfo=text), Media.IMAGE),
        "apng": (image("PNG", 3), Media.IMAGE),
        "gif": (image("GIF", 3, comment=REMOTE), Media.IMAGE),
        "jpeg": (image("JPEG", comment=REMOTE), Media.IMAGE),
        "webp": (image("WEBP", 2, xmp=REMOTE), Media.IMAGE),
        "bmp": (image("BMP"), Media.IMAGE),
        "ico": (image("ICO"), Media.IMAGE),
        "tiff": (image("TIFF", compression="tiff_lzw"), Media.IMAGE),
        "avif": (image("AVIF"), Media.IMAGE),
        "svg": (svg.encode(), Media.IMAGE),
        "css": (sheet.encode(), Media.STYLESHEET),
        "ttf": (font() + REMOTE, Media.FONT),
        "otf": (font(is_cubic=True), Media.FONT),
        "woff": (font("woff"), Media.FONT),
        "woff2": (font("woff2"), Media.FONT),
        "wav": (sound("WAV", "PCM_16"), Media.AUDIO),
        "ogg": (sound("OGG", "VORBIS"), Media.AUDIO),
        "flac": (sound("FLAC", "PCM_16"), Media.AUDIO),
        "mp3": (sound("MP3", "MPEG_LAYER_III"), Media.AUDIO),
        "mp4": (film(), Media.VIDEO),
    }


def mutate(body: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(body)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(max(1, len(mutant)))
        match chance.randrange(6):
            case 0:
                mutant[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                extreme = chance.choice(EXTREMES)
                mutant[at : at + len(extreme)] = extreme
            case 2:
                del mutant[at:]
            case 3:
                other = chance.randrange(len(mutant) + 1)
                mutant[at:at] = mutant[min(at, other) : max(at, other)][:500]
            case 4:
                del mutant[at : at + chance.randrange(1, 20)]
            case _:
                mutant[at:at] = chance.choice((REMOTE, b"<script>", b"url(//t.example/)", b"\0" * 30))
        if not mutant:
            return b"x"
    return bytes(mutant)


def check_opens(copy: SafeCopy) -> None:
    """Open a copy with its format's own reader, which raises where it cannot."""
    kind = copy.media_type.partition("/")[0]
    if copy.media_type == "image/svg+xml":
        ElementTree.fromstring(copy.body)
    elif kind == "image":
        with Image.open(io.BytesIO(copy.body)) as opened:
            assert opened.size == (copy.width, copy.height)
            for frame in range(getattr(opened, "n_frames", 1)):
                opened.seek(frame)
                opened.load()
    elif kind == "font":
        opened = TTFont(io.BytesIO(copy.body), lazy=False, checkChecksums=2, ignoreDecompileErrors=False)
        assert opened["maxp"].numGlyphs >= 1
    elif kind == "audio":
        samples, _rate = soundfile.read(io.BytesIO(copy.body))
        assert len(samples)


@pytest.mark.parametrize("name", list(seeds()))
def test_mutations_are_refused_or_safe(name: str) -> None:
    seed, media = seeds()[name]
    chance = random.Random(f"copies {name}")

    async def work() -> int:
        sandbox = Sandbox(LIMITS, timeout_s=60)
        made = 0
        try:
            for number in range(MUTANTS):
                mutant = seed if number == 0 else mutate(seed, chance)
                copy = await sandbox.sanitise(mutant, media, "https://t.example/")
                assert copy not in ("crashed", "timed-out"), (name, number)
                if isinstance(copy, str):
                    assert number > 0, f"the seed itself is refused: {copy}"
                    continue
                made += 1
                assert copy.media_type in MEDIA_TYPES[media]
                if name not in TEXT_OR_SAMPLES:
                    assert b"t.example" not in copy.body, (name, number)
                    assert b"SECRET-77b0" not in copy.body, (name, number)
                check_opens(copy)
                again = await sandbox.sanitise(copy.body, media)
                assert isinstance(again, SafeCopy), (name, number, again)
                assert again.media_type == copy.media_type
                assert (again.width, again.height) == (copy.width, copy.height)
                if name in ("svg", "ttf", "otf", "wav", "mp4"):
                    assert again.body == copy.body
                if media is Media.STYLESHEET:
                    assert again.body == copy.body, "nothing in it is taken for a reference"
                    assert again.nested == (), "slots lead nowhere without an address to be relative to"
        finally:
            await sandbox.close()
        return made

    assert asyncio.run(work()) >= 1
