"""Pictures under attack: what hides, inflates or is cut off, and animations frame by frame."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
from PIL import Image, ImageCms, ImageDraw

from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits, Refusal, SafeCopy, sanitise

SECRET = b"SECRET-0f3e"


def written(image: Image.Image, name: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def gradient(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    return Image.merge(
        "RGB", [Image.linear_gradient("L").resize(size).rotate(90 * n) for n in range(3)]
    ).convert(mode)


def copied(body: bytes, **limits: int) -> SafeCopy:
    result = sanitise(body, Media.IMAGE, CopyLimits(**limits))
    assert isinstance(result, SafeCopy), result
    return result


def pixels(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body)).convert("RGBA")


def difference(one: Image.Image, other: Image.Image) -> float:
    left, right = one.tobytes(), other.tobytes()
    assert len(left) == len(right)
    return sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunk(body: bytes, name: bytes, content: bytes) -> bytes:
    """Return a PNG with a chunk right behind its header."""
    return body[:33] + chunk(name, content) + body[33:]


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("x.js", SECRET)
    return file.getvalue()


@pytest.mark.parametrize("name", ["PNG", "GIF", "JPEG", "WEBP", "BMP"])
@pytest.mark.parametrize("tail", [b"<html><script>" + SECRET + b"</script>", archive(), b"*/=1;" + SECRET])
def test_polyglots_are_pictures_alone(name: str, tail: bytes) -> None:
    copy = copied(written(gradient(), name) + tail)
    assert SECRET not in copy.body
    assert b"script" not in copy.body
    assert not zipfile.is_zipfile(io.BytesIO(copy.body))


def test_a_gif_that_is_a_script_is_a_gif_alone() -> None:
    body = bytearray(written(gradient((10799 & 0xFF, 12)).convert("P"), "GIF"))
    body[6:10] = b"/*\x0c\x00"  # as wide as "/*" says
    result = sanitise(bytes(body) + b"*/=1;alert('" + SECRET + b"')", Media.IMAGE)
    assert not isinstance(result, SafeCopy) or SECRET not in result.body


def test_tables_of_a_jpeg_carry_nothing() -> None:
    body = written(gradient(), "JPEG", quality=80)
    at = body.index(b"\xff\xdb") + 5
    hidden = b"<script>fetch('//t.example/')//"
    copy = copied(body[:at] + hidden + body[at + len(hidden) :])
    assert b"t.example" not in copy.body


@pytest.mark.parametrize("quality", [30, 60, 75, 90, 98])
def test_a_jpeg_stays_about_as_good_and_as_large(quality: int) -> None:
    body = written(gradient((300, 200)), "JPEG", quality=quality)
    copy = copied(body)
    assert difference(pixels(body), pixels(copy.body)) < 3
    assert len(copy.body) < 2.5 * len(body)


@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF"])
def test_of_a_picture_that_was_cut_off_its_beginning_is_shown(name: str, share: float) -> None:
    body = written(gradient((200, 200)), name, **({"interlace": 0} if name == "GIF" else {}))
    copy = copied(body[: int(len(body) * share)])
    assert (copy.width, copy.height) == (200, 200)
    top = (0, 0, 200, 20)
    assert difference(pixels(body).crop(top), pixels(copy.body).crop(top)) < 8


def test_a_profile_is_applied_and_gone() -> None:
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for one, other in ((b"rXYZ", b"TEMP"), (b"bXYZ", b"rXYZ"), (b"TEMP", b"bXYZ")):
        at = swapped.index(one)
        swapped[at : at + 4] = other
    at = swapped.index(b"s\0R\0G\0B") if b"s\0R\0G\0B" in swapped else -1
    if at >= 0:
        swapped[at : at + 7] = b"X\0X\0X\0X"
    image = Image.new("RGB", (8, 8), (200, 30, 30))
    for name in ("PNG", "JPEG", "WEBP"):
        copy = copied(written(image, name, icc_profile=bytes(swapped) + SECRET))
        assert SECRET not in copy.body
        opened = Image.open(io.BytesIO(copy.body))
        assert "icc_profile" not in opened.info
        red, _green, blue = opened.convert("RGB").getpixel((4, 4))
        assert blue > red, "red and blue are swapped by the profile, and by us with it"


def test_a_profile_that_is_none_counts_for_nothing() -> None:
    for profile in (SECRET, b"\0" * 500, SECRET * 10_000):
        copy = copied(written(gradient(), "PNG", icc_profile=profile))
        assert difference(pixels(copy.body), gradient().convert("RGBA")) == 0
        assert SECRET not in copy.body


@pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"iTXt"])
def test_chunks_that_unpack_to_too_much_cost_nothing(name: bytes) -> None:
    packed = zlib.compress(b"\0" * 60_000_000, 9)
    content = {b"iCCP": b"x\0\0", b"zTXt": b"x\0\0", b"iTXt": b"x\0\1\0\0\0"}[name] + packed
    result = sanitise(with_chunk(written(gradient(), "PNG"), name, content), Media.IMAGE)
    assert not isinstance(result, SafeCopy) or len(result.body) < 100_000


def moving(name: str) -> bytes:
    """Return an animation in which each frame draws a little over what is there, as optimised ones do."""
    frames = []
    for step in range(6):
        frame = gradient((60, 40)) if not frames else frames[-1].copy()
        ImageDraw.Draw(frame).rectangle((step * 8, 5, step * 8 + 6, 20), fill=(255, 40 * step, 0))
        frames.append(frame)
    options = {
        "save_all": True,
        "append_images": frames[1:],
        "duration": [60, 70, 80, 90, 100, 2000],
        "loop": 3,
    }
    if name == "GIF":
        options["optimize"] = True
    if name == "WEBP":
        options["lossless"] = True
    return written(frames[0], name, **options)


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_every_frame_of_an_animation_is_shown_as_before_and_as_long(name: str) -> None:
    body = moving(name)
    copy = copied(body)
    assert copy.frames == 6
    before, after = Image.open(io.BytesIO(body)), Image.open(io.BytesIO(copy.body))
    assert before.n_frames == after.n_frames == 6
    assert before.info.get("loop") == after.info.get("loop")
    for index in range(6):
        before.seek(index)
        after.seek(index)
        shown = before.convert("RGBA"), after.convert("RGBA")
        assert difference(*shown) < (6 if name == "GIF" else 2), index
        assert abs(before.info["duration"] - after.info["duration"]) <= 10, index


def test_frames_beyond_the_limits_are_left_out() -> None:
    copy = copied(moving("GIF"), max_frames=4)
    assert copy.frames == Image.open(io.BytesIO(copy.body)).n_frames == 4
    assert copied(moving("PNG"), max_pixels=60 * 40 * 3).frames == 3


def test_an_animation_of_very_many_small_frames_is_bounded() -> None:
    frames = [Image.new("P", (1, 1), n % 250) for n in range(3000)]
    body = written(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert copied(body).frames <= 500


@pytest.mark.parametrize(
    ("mode", "name"),
    [("I;16", "PNG"), ("I;16", "TIFF"), ("CMYK", "TIFF"), ("LA", "PNG"), ("F", "TIFF"), ("1", "BMP")],
)
def test_unusual_modes_become_ordinary_pictures(mode: str, name: str) -> None:
    image = (
        gradient((32, 32), "L").convert("I").point(lambda value: value * 200)
        if mode == "I;16"
        else gradient((32, 32))
    )
    body = written(image.convert(mode), name)
    copy = copied(body)
    assert copy.media_type == "image/png"
    assert Image.open(io.BytesIO(copy.body)).size == (32, 32)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\x0a" + b"\0" * 200,  # JPEG XL
        b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 200,
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200,
        b"8BPS\0\1" + b"\0" * 200,  # Photoshop
        b"%!PS-Adobe-3.0 EPSF-3.0\n" + b"\0" * 200,
        b"\x01\xda\x01\x01\0\x03" + b"\0" * 200,  # SGI
        b"P6 9 9 255\n" + b"\0" * 300,
        b"\xd7\xcd\xc6\x9a" + b"\0" * 200,  # WMF: readers would run it
    ],
)
def test_other_formats_are_placeholders(body: bytes) -> None:
    assert sanitise(body, Media.IMAGE) in (Refusal.UNKNOWN_TYPE, Refusal.UNREADABLE)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 600)])
def test_the_true_size_is_on_record(size: tuple[int, int]) -> None:
    for name in ("PNG", "GIF", "JPEG", "WEBP"):
        copy = copied(written(Image.new("RGB", size), name))
        assert (copy.width, copy.height, copy.frames) == (*size, 1)
