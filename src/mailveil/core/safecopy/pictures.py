"""Pictures: raster images decoded to pixels and encoded afresh; metadata and disguises do not survive."""

from __future__ import annotations

import contextlib
import io
import warnings

from PIL import Image, ImageCms, ImageFile, ImageSequence

from mailveil.core.safecopy.types import CopyLimits, Refusal, SafeCopy

# What content is, by its first bytes (WHATWG MIME Sniffing section 6 and the formats' own specifications).
IMAGE_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\2\0", "CUR"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
AVIF_BRANDS = (b"avif", b"avis", b"mif1")
MOVING = frozenset({"AVIF", "GIF", "PNG", "WEBP"})
# What an image needs besides its pixels to look the same. Everything else that a file says of itself goes.
KEPT_INFO = frozenset({"background", "duration", "loop", "transparency"})
# Written again in their own format; every other one becomes PNG, which every client shows.
SAME_FORMAT = {"PNG": "image/png", "GIF": "image/gif", "JPEG": "image/jpeg", "WEBP": "image/webp"}
STANDARD_TABLE_SUM = 3688  # of the luminance table at quality 50 (ITU-T T.81 table K.1)
LEAST_QUALITY = 40
MAX_FRAME_MS = 60_000
DEFAULT_FRAME_MS = 100
ORIENTATION = 0x0112  # of EXIF
MAX_PROFILE_BYTES = 1 << 20

# Readers show what there is of a picture that was cut off, and so do we.
ImageFile.LOAD_TRUNCATED_IMAGES = True


def format_of(body: bytes) -> str:
    """Return the name of a raster image's format, ``""`` for what is none."""
    for magic, name in IMAGE_MAGIC:
        if body.startswith(magic):
            return name
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    if body[4:8] == b"ftyp" and body[8:12] in AVIF_BRANDS:
        return "AVIF"
    return ""


def sanitise_picture(body: bytes, limits: CopyLimits) -> SafeCopy | Refusal:
    """Return a raster image anew."""
    name = format_of(body)
    if not name:
        return Refusal.UNKNOWN_TYPE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _reencode(body, name, limits)
    except MemoryError:
        raise
    except Exception:  # decoders raise whatever they like on hostile bytes; all mean the same
        return Refusal.UNREADABLE


def _reencode(body: bytes, name: str, limits: CopyLimits) -> SafeCopy | Refusal:
    with Image.open(io.BytesIO(body), formats=[name]) as image:
        width, height = image.size
        if max(width, height) > limits.max_side_pixels or width * height > limits.max_pixels:
            return Refusal.TOO_MANY_PIXELS
        frames = min(getattr(image, "n_frames", 1), limits.max_frames) if name in MOVING else 1
        if width * height * frames > limits.max_pixels:
            frames = max(1, limits.max_pixels // max(1, width * height))
        target = name if name in SAME_FORMAT else "PNG"
        options: dict[str, object] = {}
        if target == "WEBP":
            # What was exact stays exact: a lossless stream is a VP8L chunk (RFC 9649 section 2.6).
            options = {"lossless": b"VP8L" in body and b"VP8 " not in body, "quality": 90, "method": 2}
        written = io.BytesIO()
        orientation = int(image.getexif().get(ORIENTATION, 1))
        image.load()
        profile = image.info.get("icc_profile")
        for superfluous in image.info.keys() - KEPT_INFO:
            del image.info[superfluous]
        if frames > 1:
            frames = _write_animation(image, target, frames, written, **options)
        else:
            _write_still(_in_srgb(image, profile), target, orientation, written, **options)
    return SafeCopy(SAME_FORMAT[target], written.getvalue(), width, height, frames)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image in the colours that stand for themselves, since no profile survives.

    A profile is a program of sorts for readers' colour engines, and room for whatever else somebody wants to
    keep in a picture. One that cannot be read, or is of another kind than the image, counts for nothing.
    """
    if not profile or len(profile) > MAX_PROFILE_BYTES or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        description = ImageCms.getProfileDescription(source).lower()
        if "srgb" in description:
            return image
        mode = "RGB" if image.mode == "CMYK" else image.mode
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
        if converted is not None:
            converted.info = {key: value for key, value in image.info.items() if key in KEPT_INFO}
            return converted
    return image


def _write_still(
    image: Image.Image, target: str, orientation: int, written: io.BytesIO, **options: object
) -> None:
    if target == "JPEG":
        options = {"quality": _quality_of(image), "subsampling": "keep"}
        if image.format != "JPEG" or image.mode not in ("L", "RGB", "CMYK"):  # its colours were converted
            image = image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
            options = {"quality": 92}
        exif = Image.Exif()
        if orientation in range(2, 9):
            exif[ORIENTATION] = orientation
        image.save(written, "JPEG", exif=exif, icc_profile=None, **options)
        return
    if target == "PNG" and image.mode not in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"):
        image = image.convert("RGBA")
    if "transparency" in image.info and target in ("GIF", "PNG"):
        options["transparency"] = image.info["transparency"]
    image.save(written, target, icc_profile=None, exif=b"", **options)


def _quality_of(image: Image.Image) -> int:
    """Return about which quality a JPEG file was written with (as the Independent JPEG Group counts it).

    Its own tables are not written again: they are 64 bytes each of anybody's choice.
    """
    tables = getattr(image, "quantization", None) or {}
    percent = 100 * sum(tables.get(0, ())) / STANDARD_TABLE_SUM
    if percent <= 0:
        return 92
    quality = (200 - percent) / 2 if percent < 100 else 5000 / percent
    return int(min(max(round(quality), LEAST_QUALITY), 95))


def _write_animation(
    image: Image.Image, target: str, count: int, written: io.BytesIO, **options: object
) -> int:
    """Write up to ``count`` frames and return how many there were."""
    frames: list[Image.Image] = []
    durations: list[int] = []
    for index, frame in enumerate(ImageSequence.Iterator(image)):
        if index >= count:
            break
        # First, since only decoding tells how long some frames are shown.
        frames.append(frame.convert("RGBA"))
        shown_ms = frame.info.get("duration", DEFAULT_FRAME_MS) or DEFAULT_FRAME_MS
        durations.append(min(int(shown_ms), MAX_FRAME_MS))
        frames[-1].info = {}
    options |= {"save_all": True, "append_images": frames[1:], "duration": durations}
    if "loop" in image.info:
        options["loop"] = image.info["loop"]
    if target == "GIF":
        options["disposal"] = 2
    frames[0].save(written, target, **options)
    return len(frames)
