"""The words for safe copies: what there can be, why there is none, and the bounds of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mailveil.core.references.types import Media


class Refusal(StrEnum):
    """Why there is no safe copy; a placeholder stands in its place."""

    EMPTY = "empty"
    UNKNOWN_TYPE = "unknown-type"
    WRONG_KIND = "wrong-kind"
    TOO_LARGE = "too-large"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_COMPLEX = "too-complex"
    UNREADABLE = "unreadable"
    STILL_REFERS = "still-refers"


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """Bounds of a safe copy. ``max_pixels`` counts all frames of an animation together.

    ``max_font_bytes`` bounds a font as its tables are without compression, ``max_nested`` the references of one
    style sheet that get copies, ``max_imports`` those among them that are style sheets themselves.
    """

    max_bytes: int = 10 * 1024 * 1024
    max_side_pixels: int = 10_000
    max_pixels: int = 64_000_000
    max_frames: int = 500
    max_audio_s: int = 60
    max_font_bytes: int = 20 * 1024 * 1024
    max_glyphs: int = 20_000
    max_nested: int = 50
    max_imports: int = 8


@dataclass(frozen=True, slots=True)
class Nested:
    """A reference in a style sheet that is to have a copy of its own; its place in ``SafeCopy.nested`` is its name."""

    url: str
    media: Media


@dataclass(frozen=True, slots=True)
class SafeCopy:
    """Content that is safe to serve: ``media_type`` is ours, ``width`` and ``height`` in pixels (0: none).

    ``frames`` is how many pictures an image has, ``duration_s`` how long what was received plays. ``is_silent``
    tells of a sound whether nothing can be heard in it, ``None`` where it was not listened to; ``replaced`` is
    true where silence stands in for a sound that cannot be decoded. ``nested`` are the references of a style
    sheet, which names them ``?0``, ``?1`` and so on.
    """

    media_type: str
    body: bytes
    width: int = 0
    height: int = 0
    frames: int = 0
    duration_s: float = 0.0
    is_silent: bool | None = None
    replaced: bool = False
    nested: tuple[Nested, ...] = ()


IMAGE_TYPES = frozenset(("image/png", "image/gif", "image/jpeg", "image/webp", "image/svg+xml"))
AUDIO_TYPES = frozenset(("audio/mpeg", "audio/wav"))
VIDEO_TYPES = frozenset(("video/mp4", "video/webm"))
FONT_TYPES = frozenset(("font/woff2", "font/woff", "font/otf", "font/ttf"))
# The types that a safe copy of each kind can have. Nothing else is ever served.
MEDIA_TYPES: Mapping[Media, frozenset[str]] = {
    Media.IMAGE: IMAGE_TYPES,
    Media.STYLESHEET: frozenset({"text/css"}),
    Media.FONT: FONT_TYPES,
    Media.AUDIO: AUDIO_TYPES,
    Media.VIDEO: VIDEO_TYPES | AUDIO_TYPES | IMAGE_TYPES,
}
