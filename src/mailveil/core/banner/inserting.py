"""Inserting: the banner put into a message, once, and earlier ones taken out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from mailveil.core.banner.language import FALLBACK, Language, language_of
from mailveil.core.banner.marks import end_of_banner, find_banners, is_genuine, sign
from mailveil.core.banner.notice import Notice
from mailveil.core.banner.places import Form, Place, find_places
from mailveil.core.banner.writing import write_html, write_plain
from mailveil.core.message.charset_names import codec_of
from mailveil.core.message.edits import newline_of
from mailveil.core.message.types import Limits, Message, Part
from mailveil.core.rewrite import Replacement

_SEVEN_BIT: Final = frozenset({"7bit", ""})
_IDENTITY: Final = frozenset({"7bit", "8bit", "binary", ""})


def banner_edits(
    message: Message,
    notice: Notice | None,
    key: bytes,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    closed: Collection[Part] = (),
) -> tuple[list[Replacement], bool]:
    """Return what puts a notice into a message, and whether readers will see one of ours.

    Without a notice only what stands where a banner would and is not ours is taken out. ``closed`` are parts in
    which nothing may change, or which will be something else. Earlier banners, whosever they are, go where a new
    one comes, so that none stands twice. Total; linear.
    """
    replacements: list[Replacement] = []
    shown = False
    for place in find_places(message, limits):
        if any(place.part is part or place.part.body_span == part.body_span for part in closed):
            continue
        if is_genuine(place, message, key):
            shown = True
            continue
        if notice is None:
            end = end_of_banner(place)
            if end is not None:
                replacements.append(_removal(place, place.at, end))
            continue
        written = _written(place, notice, message, key)
        if written is None:
            continue
        shown = True
        at = place.text.span(place.at, place.at).start
        replacements.append(Replacement(place.text.source, at, at, written))
        replacements += [_removal(place, start, end) for start, end in find_banners(place)]
    return replacements, shown


def _removal(place: Place, start: int, end: int) -> Replacement:
    span = place.text.span(start, end)
    return Replacement(place.text.source, span.start, span.end, b"")


def _written(place: Place, notice: Notice, message: Message, key: bytes) -> bytes | None:
    """Return the banner in the characters of a body, in the first form that they can hold."""
    newline = _newline(place)
    language = notice.language
    if place.form is Form.HTML:
        html = sign(write_html(notice, language, newline), Form.HTML, message, key)
        return html.encode(place.text.encoding)
    english = language_of(FALLBACK)
    tries: tuple[tuple[Language, bool], ...] = ((language, False), (language, True), (english, True))
    for words, in_ascii in tries:
        banner = write_plain(notice, words, newline, in_ascii=in_ascii)
        if banner is None:
            continue
        written = _encoded(sign(banner, Form.PLAIN, message, key), place)
        if written is not None:
            return written
    return None


def _encoded(banner: str, place: Place) -> bytes | None:
    """Return text in a body's own charset; ``None`` where that, or seven bits, cannot hold it."""
    if not place.text.charset and place.text.encoding != "ascii":
        return banner.encode(place.text.encoding)
    codec = "iso2022_jp" if place.codec.startswith("iso2022_jp") else place.codec
    if not _says_charset(place.part):
        codec = "ascii"
    try:
        written = banner.encode(codec)
    except (UnicodeEncodeError, LookupError):
        return None
    encodings = set(place.part.transfer_encodings)
    is_open = encodings <= _IDENTITY
    return None if is_open and not written.isascii() and _SEVEN_BIT & encodings else written


def _says_charset(part: Part) -> bool:
    """Tell whether a body declares a charset, known and more than ASCII (RFC 2046 section 4.1.2)."""
    declared = part.parameters.get("charset", "").strip().lower()
    return declared not in ("us-ascii", "ascii", "ansi_x3.4-1968") and bool(codec_of(declared))


def _newline(place: Place) -> str:
    """Return the line break that a body uses, that of the message's text where it has none of its own."""
    text = place.text.text
    at = text.find("\n")
    if at >= 0:
        return "\r\n" if text[at - 1 : at] == "\r" else "\n"
    outer = place.text.source.within
    if outer is None:
        return "\r\n"
    return newline_of(outer.data, *place.text.source.span).decode("ascii")
