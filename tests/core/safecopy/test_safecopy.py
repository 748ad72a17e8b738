"""Safe copies look and sound the same, and carry nothing else along."""

from __future__ import annotations

import io
import struct
import time
import wave
import zlib
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from mailveil.core.references.types import Media
from mailveil.core.safecopy import MEDIA_TYPES, CopyLimits, Refusal, SafeCopy, sanitise

SECRET = b"SECRET-b7e1"


def picture(mode: str = "RGB", size: tuple[int, int] = (16, 12)) -> Image.Image:
    image = Image.new("RGB", size)
    for x in range(size[0]):
        for y in range(size[1]):
            image.putpixel((x, y), (x * 15 % 256, y * 20 % 256, 90))
    return image.convert(mode)


def written(image: Image.Image, name: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def copied(body: bytes, media: Media = Media.IMAGE) -> SafeCopy:
    result = sanitise(body, media)
    assert isinstance(result, SafeCopy), result
    assert result.media_type in MEDIA_TYPES[media]
    return result


@pytest.mark.parametrize(
    ("name", "mode", "media_type"),
    [
        ("PNG", "RGB", "image/png"),
        ("PNG", "RGBA", "image/png"),
        ("PNG", "P", "image/png"),
        ("PNG", "1", "image/png"),
        ("GIF", "P", "image/gif"),
        ("JPEG", "RGB", "image/jpeg"),
        ("JPEG", "L", "image/jpeg"),
        ("JPEG", "CMYK", "image/jpeg"),
        ("WEBP", "RGB", "image/webp"),
        ("BMP", "RGB", "image/png"),
        ("ICO", "RGBA", "image/png"),
        ("TIFF", "RGB", "image/png"),
        ("AVIF", "RGB", "image/png"),
    ],
)
def test_pictures_look_the_same(name: str, mode: str, media_type: str) -> None:
    body = written(picture(mode, (16, 16)), name)
    copy = copied(body)
    before = Image.open(io.BytesIO(body)).convert("RGBA")
    after = Image.open(io.BytesIO(copy.body)).convert("RGBA")
    assert (copy.media_type, copy.width, copy.height) == (media_type, *before.size)
    differences = [abs(left - right) for left, right in zip(before.tobytes(), after.tobytes(), strict=True)]
    assert sum(differences) / len(differences) <= (4 if name in ("JPEG", "WEBP") else 0)


def test_what_was_exact_stays_exact() -> None:
    body = written(picture(), "WEBP", lossless=True)
    copy = copied(body)
    assert Image.open(io.BytesIO(copy.body)).tobytes() == Image.open(io.BytesIO(body)).tobytes()


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_animations_keep_moving(name: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    options = {"save_all": True, "append_images": frames[1:], "duration": [100, 200, 300], "loop": 0}
    copy = copied(written(frames[0], name, **options))
    image = Image.open(io.BytesIO(copy.body))
    assert image.n_frames == 3
    assert image.info["loop"] == 0
    seen = []
    for index in range(3):
        image.seek(index)
        image.load()
        seen.append((image.info["duration"], image.convert("RGB").getpixel((5, 5))))
    assert [duration for duration, _ in seen] == [100, 200, 300]
    reds, greens, blues = zip(*(colour for _, colour in seen), strict=True)
    assert (reds.index(max(reds)), greens.index(max(greens)), blues.index(max(blues))) == (0, 1, 2)


def metadata() -> list[tuple[str, bytes]]:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET.decode())
    image = picture()
    moving = {"save_all": True, "append_images": [picture().rotate(90, expand=False)]}
    return [
        ("png-text", written(image, "PNG", pnginfo=text)),
        ("png-exif", written(image, "PNG", exif=exif)),
        ("jpeg-exif", written(image, "JPEG", exif=exif)),
        ("jpeg-comment", written(image, "JPEG", comment=SECRET)),
        ("jpeg-xmp", written(image, "JPEG", xmp=SECRET)),
        ("gif-comment", written(image.convert("P"), "GIF", comment=SECRET)),
        ("moving-gif-comment", written(image.convert("P"), "GIF", comment=SECRET, **moving)),
        ("webp-exif", written(image, "WEBP", exif=exif)),
        ("webp-xmp", written(image, "WEBP", xmp=SECRET)),
        *[
            (f"{name}-polyglot", written(image.convert(mode), name) + b"<script>" + SECRET + b"</script>")
            for name, mode in (("GIF", "P"), ("PNG", "RGB"), ("JPEG", "RGB"), ("BMP", "RGB"))
        ],
    ]


@pytest.mark.parametrize(("case", "body"), metadata(), ids=[case for case, _ in metadata()])
def test_what_is_no_picture_does_not_survive(case: str, body: bytes) -> None:
    assert SECRET in body, case
    assert SECRET not in copied(body).body


def test_a_photograph_stays_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    copy = copied(written(picture(), "JPEG", exif=exif))
    assert Image.open(io.BytesIO(copy.body)).getexif()[0x0112] == 6


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (9_000, 9_000), (1, 2_000_000)])
def test_bombs_are_refused_unopened(size: tuple[int, int]) -> None:
    start = time.process_time()
    assert sanitise(png_that_claims(*size), Media.IMAGE) in (Refusal.TOO_MANY_PIXELS, Refusal.UNREADABLE)
    assert time.process_time() - start < 0.5


def test_an_animation_is_cut_to_what_may_be_shown() -> None:
    frames = [Image.new("RGB", (100, 100), (shade, 0, 0)) for shade in range(30)]
    body = written(frames[0], "GIF", save_all=True, append_images=frames[1:])
    copy = sanitise(body, Media.IMAGE, CopyLimits(max_pixels=50_000))
    assert isinstance(copy, SafeCopy)
    assert Image.open(io.BytesIO(copy.body)).n_frames == 5


SVG = b"""<?xml version="1.0"?>
<?xml-stylesheet href="https://t.example/pi.css"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
 onload="fetch('//t.example/on')">
<style>@import "https://t.example/s.css"; rect { fill: url(https://t.example/f#a) }</style>
<script href="https://t.example/x.js">fetch("https://t.example/inline")</script>
<image xlink:href="https://t.example/i.png"/><image href="data:image/svg+xml,%3Csvg%3E%3Cimage href='https://t.example/n'/%3E%3C/svg%3E"/>
<use href="#drawn"/><feImage href="//t.example/fe"/>
<foreignObject><img xmlns="http://www.w3.org/1999/xhtml" src="https://t.example/fo"/></foreignObject>
<rect id="drawn" width="10" height="10" fill="url(#gradient)"/>
</svg>"""


def test_a_drawing_becomes_inert() -> None:
    copy = copied(SVG)
    assert copy.media_type == "image/svg+xml"
    for path in (b"pi.css", b"s.css", b"f#a", b"x.js", b"i.png", b"n'", b"fe"):
        address = b"//t.example/" + path
        assert address not in copy.body, address
    ElementTree.fromstring(copy.body)  # raises where it is no XML any more
    assert b'<use href="#drawn">' in copy.body
    assert b'fill="url(#gradient)"' in copy.body


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1"])
def test_a_drawing_becomes_utf_8(codec: str) -> None:
    text = '<svg xmlns="http://www.w3.org/2000/svg"><image href="https://t.example/é"/><text>é</text></svg>'
    opening = f"<?xml version='1.0' encoding='{codec[:6] if codec[:3] == 'utf' else codec}'?>".replace(
        "utf-8-", "utf-8"
    )
    body = (opening + text).encode(codec)
    result = sanitise(body, Media.IMAGE)
    if isinstance(result, SafeCopy):
        assert "t.example" not in result.body.decode("utf-8")
        assert "<text>é</text>" in result.body.decode("utf-8")
    else:
        assert codec in ("utf-16-le", "utf-16-be"), "without a mark it need not be readable"


def test_a_style_sheet_becomes_inert() -> None:
    sheet = (
        b'@import url(https://t.example/a.css);\n@import "//t.example/b.css";\n'
        b"p { color: red; background: \\75rl(https://t.example/c.png) }\n"
        b"@font-face { font-family: F; src: url(https://t.example/f.woff2) }"
    )
    copy = copied(sheet, Media.STYLESHEET)
    assert copy.media_type == "text/css"
    assert b"t.example" not in copy.body
    assert b"color: red" in copy.body


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><p>", b" <html>", b"\0\1\2", b"\xff\xfep\0{\0}\0"])
def test_a_page_is_no_style_sheet(body: bytes) -> None:
    assert sanitise(body, Media.STYLESHEET) is Refusal.WRONG_KIND


@pytest.mark.parametrize(
    "body", [b"<html><script>x</script>", b"MZ\x90\0", b"%PDF-1.7", b"PK\3\4", b"GIF", b"\x89PNG\r\n\x1a\n"]
)
@pytest.mark.parametrize("media", list(Media))
def test_nothing_else_is_served(body: bytes, media: Media) -> None:
    result = sanitise(body, media)
    if media is Media.STYLESHEET and isinstance(result, SafeCopy):
        assert result.media_type == "text/css"  # where nothing but a style sheet can be read from it
    else:
        assert isinstance(result, Refusal)


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(8000)
        writer.writeframes(bytes(range(201)))
    return file.getvalue()


def test_a_sound_keeps_its_samples_and_nothing_else() -> None:
    body = sound()
    info = b"LIST" + struct.pack("<I", 4 + 8 + len(SECRET) + 1) + b"INFOICMT" + struct.pack("<I", len(SECRET))
    copy = copied(body + info + SECRET + b"\0", Media.AUDIO)
    assert copy.media_type == "audio/wav"
    assert SECRET not in copy.body
    with wave.open(io.BytesIO(copy.body)) as reader:
        assert reader.readframes(1000) == bytes(range(201))
    endless = body[:4] + b"\xff\xff\xff\xff" + body[8:40] + b"\xff\xff\xff\xff" + body[44:]
    with wave.open(io.BytesIO(copied(endless, Media.AUDIO).body)) as reader:
        assert reader.getnframes() in (201, 202), "an endless length becomes the true one"


@given(st.binary(max_size=400), st.sampled_from(list(Media)))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_an_answer(body: bytes, media: Media) -> None:
    assert isinstance(sanitise(body, media), SafeCopy | Refusal)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_damaged_pictures_give_an_answer(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([body for _, body in metadata()])))
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(sanitise(bytes(body), Media.IMAGE), SafeCopy | Refusal)
