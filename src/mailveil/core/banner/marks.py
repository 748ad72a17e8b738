"""Marks: by which we know our own banner in the message that it was made for, and nobody else's.

A mark is a keyed digest over the banner itself and the fields that name the message. Who copies a banner into another
message has one whose mark is wrong: it stops no banner of ours, and is taken out where it could be taken for one.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from mailveil.core.banner.places import Form, Place
from mailveil.core.message.types import Message, Part

MARK_LETTERS: Final = 16
NO_MARK: Final = "0" * MARK_LETTERS
CLASS: Final = "mailveil-notice"
OPENING: Final = f'<aside class="{CLASS} mv-'
CLOSING: Final = "</aside>"
RULE: Final = "_" * 40 + " mailveil"
MAX_BANNER: Final = 16_384  # characters; ours have a quarter of that
MAX_LINES: Final = 60
MAX_ATTEMPTS: Final = 100  # how often what begins like a banner is looked at, in one body
_BINDING_FIELDS: Final = ("message-id", "date")  # lists of our own leave these alone, but not the author
_MAX_FIELD: Final = 4_096
# As it was written, or as a client wrote it again for a quotation; other classes may stand around it.
_ASIDE: Final = re.compile(r'<aside(?:[ \t\r\n]++[a-z-]++(?:="[^"<>]*+")?+)*+[ \t\r\n]*+>', re.IGNORECASE)
_NAMED: Final = re.compile(rf'[ \t\r\n]class="[^"]*{CLASS}', re.IGNORECASE)
_ASIDE_BEGINS: Final = re.compile("<aside", re.IGNORECASE)
_RULE_BEGINS: Final = re.compile(re.escape(RULE))
_ASIDE_TAG: Final = re.compile(r"<(/?)aside(?=[ \t\r\n/>])[^>]*+>", re.IGNORECASE)
_TAG: Final = re.compile(r"<(/?)([a-zA-Z!?][^ \t\r\n/>]*+)")
_WRITTEN: Final = frozenset(
    {
        "aside",
        "table",
        "tbody",
        "tr",
        "td",
        "strong",
        "span",
        "a",
        "br",
        "meta",
        "wbr",
        "b",
        "p",
        "div",
        "font",
    }
)
_RULE_LINE: Final = re.compile(r"([> \t]*+)_{40} mailveil(?: ([0-9a-f]{16}))?[ \t]*+")


def sign(banner: str, form: Form, message: Message, key: bytes) -> str:
    """Return a banner whose empty mark is filled in."""
    return _with_mark(banner, form, _mark(banner, message.root, key))


def is_genuine(place: Place, message: Message, key: bytes) -> bool:
    """Tell whether our own banner for this very message stands at a place already, unchanged."""
    end = end_of_banner(place)
    if end is None:
        return False
    written = _real(place.text.text[_start(place) : end], place).rstrip()
    if place.form is Form.HTML:
        mark = written[len(OPENING) : len(OPENING) + MARK_LETTERS]
    else:
        mark = written[-MARK_LETTERS:]
    expected = _mark(_with_mark(written, place.form, NO_MARK), message.root, key)
    return hmac.compare_digest(mark.encode("utf-8", "replace"), expected.encode())


def _with_mark(banner: str, form: Form, mark: str) -> str:
    if form is Form.HTML:
        return banner[: len(OPENING)] + mark + banner[len(OPENING) + MARK_LETTERS :]
    text = banner.rstrip()
    return text[: max(0, len(text) - MARK_LETTERS)] + mark + banner[len(text) :]


def end_of_banner(place: Place) -> int | None:
    """Return where a banner ends that stands at a place, whosever it is; ``None`` where none stands there."""
    start = _start(place)
    if place.form is Form.HTML:
        found = _aside_banner(place.text.text, start)
    else:
        found = _plain_banner(place.text.text, start)
    return None if found is None else found[1]


def find_banners(place: Place) -> list[tuple[int, int]]:
    """Return earlier banners in a body, quoted ones as well, as far as their ends can be told. Bounded."""
    text, at = place.text.text, 0
    found: list[tuple[int, int]] = []
    begins = _ASIDE_BEGINS if place.form is Form.HTML else _RULE_BEGINS
    for _attempt in range(MAX_ATTEMPTS):
        opening = begins.search(text, at)
        if opening is None:
            break
        if place.form is Form.HTML:
            span = _aside_banner(text, opening.start())
        else:
            span = _plain_banner(text, text.rfind("\n", 0, opening.start()) + 1)
        at = opening.end() if span is None else span[1]
        if span is not None:
            found.append(span)
    return found


def _aside_banner(text: str, start: int) -> tuple[int, int] | None:
    opening = _ASIDE.match(text, start, start + MAX_BANNER)
    if opening is None or _NAMED.search(opening[0]) is None:
        return None
    end = _end_of_aside(text, opening.end())
    return None if end is None else (start, end)


def _start(place: Place) -> int:
    text, at = place.text.text, place.at
    while at < len(text) and text[at] in " \t\r\n" and at < place.at + 80:
        at += 1
    return at


def _end_of_aside(text: str, at: int) -> int | None:
    """Return where the element ends, if nothing stands in it but what we write, and it is no longer than ours."""
    closing = _ASIDE_TAG.search(text, at, at + MAX_BANNER)
    if closing is None or not closing[1]:
        return None
    if any(tag[2].lower() not in _WRITTEN for tag in _TAG.finditer(text, at, closing.start())):
        return None
    return closing.end()


def _plain_banner(text: str, start: int) -> tuple[int, int] | None:
    """Return where a banner stands whose first line begins at ``start``, its line breaks included."""
    lines = _lines(text, start, MAX_LINES)
    opening = _RULE_LINE.fullmatch(text, *lines[0]) if lines else None
    if opening is None or opening[2]:
        return None
    for first, last in lines[1:]:
        closing = _RULE_LINE.fullmatch(text, first, last)
        if closing is not None:
            if not closing[2] or closing[1] != opening[1]:
                return None
            return start, last + (2 if text.startswith("\r\n", last) else 1 if last < len(text) else 0)
    return None


def _lines(text: str, at: int, most: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    stop = min(len(text), at + MAX_BANNER)
    while at < stop and len(found) < most:
        end = text.find("\n", at, stop)
        if end < 0:
            end = stop
        found.append((at, end - 1 if text[end - 1 : end] == "\r" and end > at else end))
        at = end + 1
    return found


def _real(written: str, place: Place) -> str:
    """Return characters as they are meant, where the text is bytes seen as latin-1."""
    if place.text.charset:
        return written.encode("latin-1", "replace").decode(place.codec, "replace")
    return written


def _mark(banner: str, root: Part, key: bytes) -> str:
    told = [root.field(name)[:_MAX_FIELD] for name in _BINDING_FIELDS]
    told.append("\n".join(line.rstrip() for line in banner.strip().splitlines()))
    digest = hmac.digest(
        key or b"no key", b"".join(_counted(each.encode("utf-8", "replace")) for each in told), "sha256"
    )
    return digest.hex()[:MARK_LETTERS]


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(8, "big") + data
