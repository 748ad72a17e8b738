"""Safe copies: bytes that an origin answered, turned into bytes that can do nothing but be seen or heard.

Everything here runs on hostile bytes and may exhaust memory or crash a decoder, so callers run it in a worker
process with limits. Type is told by content, never by name or by what the origin said. One file for each kind.
"""

from __future__ import annotations

from mailveil.core.references.types import Media
from mailveil.core.safecopy.drawings import is_drawing, sanitise_drawing
from mailveil.core.safecopy.pictures import sanitise_picture
from mailveil.core.safecopy.sheets import is_nestable, sanitise_sheet
from mailveil.core.safecopy.types import MEDIA_TYPES, CopyLimits, Nested, Refusal, SafeCopy

__all__ = ["MEDIA_TYPES", "CopyLimits", "Nested", "Refusal", "SafeCopy", "is_nestable", "sanitise"]


def sanitise(
    body: bytes, media: Media, limits: CopyLimits | None = None, *, url: str = ""
) -> SafeCopy | Refusal:
    """Return a safe copy of what an origin answered, or why there is none.

    ``url`` is where the answer came from, redirects followed: a style sheet's references are relative to it.
    Total: whatever the bytes, an answer comes back (or the process's limits end it).
    """
    limits = limits or CopyLimits()
    if not body.strip():
        return Refusal.EMPTY
    if len(body) > limits.max_bytes:
        return Refusal.TOO_LARGE
    match media:
        case Media.STYLESHEET:
            copy = sanitise_sheet(body, limits, url)
        case Media.FONT:
            from mailveil.core.safecopy.fonts import sanitise_font

            copy = sanitise_font(body, limits)
        case Media.AUDIO | Media.VIDEO:
            copy = _sanitise_playable(body, media, limits)
        case Media.IMAGE:
            copy = _sanitise_image(body, limits)
    if isinstance(copy, SafeCopy) and len(copy.body) > 2 * limits.max_bytes:
        return Refusal.TOO_LARGE
    return copy


def _sanitise_image(body: bytes, limits: CopyLimits) -> SafeCopy | Refusal:
    return sanitise_drawing(body, limits) if is_drawing(body) else sanitise_picture(body, limits)


def _sanitise_playable(body: bytes, media: Media, limits: CopyLimits) -> SafeCopy | Refusal:
    from mailveil.core.safecopy.films import sanitise_film
    from mailveil.core.safecopy.sounds import sanitise_sound

    copy = sanitise_film(body, limits) if media is Media.VIDEO else sanitise_sound(body, limits)
    if copy is not Refusal.UNKNOWN_TYPE or media is Media.AUDIO:
        return copy
    # A sound, a poster or an animated picture often stands where a video was expected (dynsrc, source).
    copy = sanitise_sound(body, limits)
    return copy if copy is not Refusal.UNKNOWN_TYPE else _sanitise_image(body, limits)
