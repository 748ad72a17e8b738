"""Safe copies: bytes that an origin answered, turned into bytes that can do nothing but be seen or heard.

Everything here runs on hostile bytes and may exhaust memory or crash a decoder, so callers run it in a worker
process with limits. Type is told by content, never by name or by what the origin said.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from PIL import Image, ImageSequence

from mailveil.core.message.edits import merge_edits, splice
from mailveil.core.message.text import Text
from mailveil.core.message.types import Edit, Source
from mailveil.core.references.css import find_in_css
from mailveil.core.references.html import find_in_html
from mailveil.core.references.types import Findings, Media, Scope
from mailveil.core.references.xml import find_in_xml

MAX_SANITISE_ROUNDS = 4


class Refusal(StrEnum):
    """Why there is no safe copy; a placeholder stands in its place."""

    EMPTY = "empty"
    UNKNOWN_TYPE = "unknown-type"
    WRONG_KIND = "wrong-kind"
    TOO_LARGE = "too-large"
    TOO_MANY_PIXELS = "too-many-pixels"
    UNREADABLE = "unreadable"
    STILL_REFERS = "still-refers"


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """Bounds of a safe copy. ``max_pixels`` counts all frames of an animation together."""

    max_bytes: int = 10 * 1024 * 1024
    max_side_pixels: int = 10_000
    max_pixels: int = 64_000_000
    max_frames: int = 500


@dataclass(frozen=True, slots=True)
class SafeCopy:
    """Content that is safe to serve: ``media_type`` is ours, ``width`` and ``height`` in pixels (0: none)."""

    media_type: str
    body: bytes
    width: int = 0
    height: int = 0


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
FONT_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"wOF2", "font/woff2"),
    (b"wOFF", "font/woff"),
    (b"OTTO", "font/otf"),
    (b"\0\1\0\0", "font/ttf"),
    (b"true", "font/ttf"),
)
# QuickTime and MP4 files can have their samples elsewhere: data references that are not self-contained
# (ISO/IEC 14496-12 section 8.7.2, flags of 0) and reference movies (QuickTime File Format).
ELSEWHERE = (b"url \0\0\0\0", b"urn \0\0\0\0", b"alis\0\0\0\0", b"rmra", b"rdrf")
MOVING = frozenset({"AVIF", "GIF", "PNG", "WEBP"})
# What an image needs besides its pixels to look the same. Everything else that a file says of itself goes.
KEPT_INFO = frozenset({"background", "duration", "icc_profile", "loop", "transparency"})
# Written again in their own format; every other one becomes PNG, which every client shows.
SAME_FORMAT = {"PNG": "image/png", "GIF": "image/gif", "JPEG": "image/jpeg", "WEBP": "image/webp"}
IMAGE_TYPES = frozenset((*SAME_FORMAT.values(), "image/svg+xml"))
AUDIO_TYPES = frozenset(f"audio/{name}" for name in ("ogg", "mpeg", "flac", "mp4", "webm", "wav"))
VIDEO_TYPES = frozenset(f"video/{name}" for name in ("ogg", "mp4", "webm"))
# The types that a safe copy of each kind can have. Nothing else is ever served.
MEDIA_TYPES: Mapping[Media, frozenset[str]] = {
    Media.IMAGE: IMAGE_TYPES,
    Media.STYLESHEET: frozenset({"text/css"}),
    Media.FONT: frozenset(media_type for _, media_type in FONT_MAGIC),
    Media.AUDIO: AUDIO_TYPES,
    Media.VIDEO: VIDEO_TYPES | AUDIO_TYPES | IMAGE_TYPES,
}


def sanitise(body: bytes, media: Media, limits: CopyLimits | None = None) -> SafeCopy | Refusal:
    """Return a safe copy of what an origin answered, or why there is none.

    Total: whatever the bytes, an answer comes back (or the process's limits end it).
    """
    limits = limits or CopyLimits()
    if not body.strip():
        return Refusal.EMPTY
    if len(body) > limits.max_bytes:
        return Refusal.TOO_LARGE
    if media is Media.STYLESHEET:
        return _sanitise_stylesheet(body)
    if media is Media.FONT:
        return _sanitise_font(body)
    if media in (Media.AUDIO, Media.VIDEO):
        sound = _sanitise_playable(body, media)
        # A poster or an animated picture often stands where a video was expected (dynsrc, source).
        if sound is not Refusal.UNKNOWN_TYPE or media is Media.AUDIO:
            return sound
    return _sanitise_image(body, limits)


def _image_format(body: bytes) -> str:
    for magic, name in IMAGE_MAGIC:
        if body.startswith(magic):
            return name
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    if body[4:8] == b"ftyp" and body[8:12] in (b"avif", b"avis", b"mif1"):
        return "AVIF"
    opening = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if opening.startswith((b"<?xml", b"<svg", b"<!doctype svg", b"<!--")) and b"<svg" in body[:65536].lower():
        return "SVG"
    return ""


def _sanitise_image(body: bytes, limits: CopyLimits) -> SafeCopy | Refusal:
    name = _image_format(body)
    if not name:
        return Refusal.UNKNOWN_TYPE
    if name == "SVG":
        return _sanitise_svg(body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _reencode(body, name, limits)
    except MemoryError:
        raise
    except Exception:  # decoders raise whatever they like on hostile bytes; all mean the same
        return Refusal.UNREADABLE


def _reencode(body: bytes, name: str, limits: CopyLimits) -> SafeCopy | Refusal:
    """Decode an image to pixels and encode it afresh: metadata and disguises do not survive."""
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
        orientation = int(image.getexif().get(0x0112, 1))
        image.load()
        for superfluous in image.info.keys() - KEPT_INFO:
            del image.info[superfluous]
        if frames > 1:
            _write_animation(image, target, frames, written, **options)
        else:
            _write_still(image, target, orientation, written, **options)
    return SafeCopy(SAME_FORMAT[target], written.getvalue(), width, height)


def _write_still(
    image: Image.Image, target: str, orientation: int, written: io.BytesIO, **options: object
) -> None:
    profile = image.info.get("icc_profile")
    if target == "JPEG":
        quality: dict[str, object] = {"quality": "keep", "subsampling": "keep"}
        if image.mode not in ("L", "RGB", "CMYK"):
            image, quality = image.convert("RGB"), {"quality": 92}
        exif = Image.Exif()
        if orientation in range(2, 9):
            exif[0x0112] = orientation
        image.save(written, "JPEG", exif=exif, icc_profile=profile, **quality)
        return
    if target == "PNG" and image.mode not in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"):
        image = image.convert("RGBA")
    if "transparency" in image.info and target in ("GIF", "PNG"):
        options["transparency"] = image.info["transparency"]
    image.save(written, target, icc_profile=profile, exif=b"", **options)


def _write_animation(
    image: Image.Image, target: str, count: int, written: io.BytesIO, **options: object
) -> None:
    frames: list[Image.Image] = []
    durations: list[int] = []
    for index, frame in enumerate(ImageSequence.Iterator(image)):
        if index >= count:
            break
        frames.append(
            frame.convert("RGBA")
        )  # first, since only decoding tells how long some frames are shown
        durations.append(min(int(frame.info.get("duration", 100) or 100), 60_000))
        frames[-1].info = {}
    options |= {"save_all": True, "append_images": frames[1:], "duration": durations}
    if "loop" in image.info:
        options["loop"] = image.info["loop"]
    if target == "GIF":
        options["disposal"] = 2
    frames[0].save(written, target, **options)


def _without_references(body: bytes, *grammars: Callable[[Text, Scope], None]) -> bytes | None:
    """Return a document in which nothing is left that anyone would fetch or run; ``None`` if that fails.

    One grammar after the other, since what each of them writes must make sense to the next.
    """
    for _ in range(MAX_SANITISE_ROUNDS):
        before = body
        for find in grammars:
            body = _without_findings(body, find)
        if body == before:
            return body
    return None


def _without_findings(body: bytes, find: Callable[[Text, Scope], None]) -> bytes:
    source = Source(body)
    findings = Findings()
    find(
        Text(body.decode("latin-1"), source, charset="utf-8"),
        Scope(part="", findings=findings, attached=True),
    )
    edits = [
        Edit(found.start, found.end, found.inert.encode(found.encoding))
        for found in findings.references
        if found.source is source
    ]
    # Whatever hides in a container of its own (a base64 data: URL) goes as a whole.
    containers = {_outermost(found.source, source) for found in findings.references} - {source}
    edits += [Edit(container.span.start, container.span.end, b"") for container in containers]
    return splice(body, merge_edits(edits)) if edits else body


def _outermost(source: Source, whole: Source) -> Source:
    """Return the container that stands in ``whole`` itself and holds ``source``."""
    while source.within is not None and source.within is not whole:
        source = source.within
    return source


def _sanitise_svg(body: bytes) -> SafeCopy | Refusal:
    if b"\0" in body[:64] or body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Refusal.UNREADABLE  # UTF-16: no picture of real mail, and a way around a search of bytes
    inert = _without_references(body, find_in_xml, find_in_html)
    return Refusal.STILL_REFERS if inert is None else SafeCopy("image/svg+xml", inert)


def _sanitise_stylesheet(body: bytes) -> SafeCopy | Refusal:
    opening = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if opening.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")) or b"\0" in body[:512]:
        return Refusal.WRONG_KIND
    inert = _without_references(body, find_in_css)
    return Refusal.STILL_REFERS if inert is None else SafeCopy("text/css", inert)


def _sanitise_font(body: bytes) -> SafeCopy | Refusal:
    for magic, media_type in FONT_MAGIC:
        if body.startswith(magic):
            if media_type in ("font/woff", "font/woff2"):
                # The header states the length of the whole file (WOFF 1.0 section 4, WOFF 2.0 section 4.1).
                if len(body) < 44:
                    return Refusal.UNREADABLE
                (length,) = struct.unpack(">I", body[8:12])
                if length > len(body):
                    return Refusal.UNREADABLE
                body = body[:length]
            return SafeCopy(media_type, body)
    return Refusal.WRONG_KIND


def _sanitise_playable(body: bytes, media: Media) -> SafeCopy | Refusal:
    """Check audio and video by their first bytes; MP4 is the only one that can refer to content elsewhere."""
    media_type = ""
    if body[:4] == b"RIFF" and body[8:12] == b"WAVE":
        return _sanitise_wave(body)
    if body.startswith(b"OggS"):
        media_type = "audio/ogg" if media is Media.AUDIO else "video/ogg"
    elif body.startswith(b"ID3") or _is_mpeg_frame(body):
        media_type = "audio/mpeg"
    elif body.startswith(b"fLaC"):
        media_type = "audio/flac"
    elif body[4:8] == b"ftyp" and body[8:12] not in (b"avif", b"avis", b"mif1"):
        if any(mark in body for mark in ELSEWHERE):
            return Refusal.STILL_REFERS
        media_type = "audio/mp4" if media is Media.AUDIO else "video/mp4"
    elif body.startswith(b"\x1a\x45\xdf\xa3"):
        media_type = "audio/webm" if media is Media.AUDIO else "video/webm"
    if not media_type:
        return Refusal.UNKNOWN_TYPE
    return SafeCopy(media_type, body)


def _is_mpeg_frame(body: bytes) -> bool:
    """Tell whether a frame of MPEG audio begins here: eleven set bits and a layer (ISO/IEC 11172-3)."""
    return len(body) > 1 and body[0] == 0xFF and body[1] & 0xE6 in (0xE2, 0xE4, 0xE6)


def _sanitise_wave(body: bytes) -> SafeCopy | Refusal:
    """Keep only format and samples of a RIFF WAVE file, and state their true length."""
    form, samples, at = b"", b"", 12
    while at + 8 <= len(body):
        name, (length,) = body[at : at + 4], struct.unpack("<I", body[at + 4 : at + 8])
        content = body[at + 8 : at + 8 + length]
        if name == b"fmt " and not form:
            form = content[:40]
        elif name == b"data" and not samples:
            samples = content
        at += 8 + length + (length & 1)
    if len(form) < 16 or not samples:
        return Refusal.UNREADABLE
    chunks = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)
        for name, content in ((b"fmt ", form), (b"data", samples))
    )
    return SafeCopy("audio/wav", b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
