"""Style sheets: what they refer to becomes a copy of its own, named relative to the sheet, or nothing.

A reference that can have a copy is written ``?0``, ``?1`` and so on. Against the sheet's own address
``/c/TOKEN`` that is ``/c/TOKEN?0``: the bytes are the same for every message, the addresses are not.
"""

from __future__ import annotations

import hashlib

from mailveil.core.references.css import find_in_css
from mailveil.core.references.types import Media, Reference
from mailveil.core.safecopy.inert import make_inert
from mailveil.core.safecopy.types import CopyLimits, Nested, Refusal, SafeCopy

FETCHABLE = ("http://", "https://")
NESTED_MEDIA = frozenset({Media.IMAGE, Media.FONT, Media.STYLESHEET})
MAX_URL_CHARACTERS = 2_000
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def sanitise_sheet(body: bytes, limits: CopyLimits, url: str = "") -> SafeCopy | Refusal:
    """Return a style sheet whose references have become slots; ``url`` is what they are relative to.

    A byte order mark wins over the charset that a sheet is served with (CSS Syntax section 3.2), so what
    begins with one of UTF-16 is refused: here it was read as UTF-8.
    """
    opening = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    is_markup = opening.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg"))
    if is_markup or b"\0" in body[:512] or body.startswith(WIDE_MARKS):
        return Refusal.WRONG_KIND
    slots = _Slots(body, limits)
    inert = make_inert(body, find_in_css, base=url, ours=slots.is_slot, replacement=slots.take)
    if inert is None:
        return Refusal.STILL_REFERS
    for number in reversed(range(len(slots.nested))):  # from the end: mark 1 is the beginning of mark 10
        inert = inert.replace(f"{slots.mark}{number}".encode(), f"?{number}".encode())
    return SafeCopy("text/css", inert, nested=tuple(slots.nested))


def is_nestable(nested: Nested) -> bool:
    """Tell whether a reference of a style sheet may have a copy at all."""
    return (
        nested.media in NESTED_MEDIA
        and nested.url.startswith(FETCHABLE)
        and len(nested.url) <= MAX_URL_CHARACTERS
    )


class _Slots:
    """Numbers the references of one sheet that get copies, each address once.

    While the sheet is worked on a slot bears a mark that cannot stand in it beforehand: it is made of the
    sheet's own hash.
    """

    def __init__(self, body: bytes, limits: CopyLimits) -> None:
        self.mark = f"?slot-{hashlib.sha256(body).hexdigest()}-"
        self.limits = limits
        self.nested: list[Nested] = []
        self.numbers: dict[Nested, int] = {}
        self.imports = 0

    def is_slot(self, value: str) -> bool:
        """Tell whether a value was written by ``take``."""
        return value.startswith(self.mark) and value[len(self.mark) :].isdigit()

    def take(self, found: Reference) -> str:
        """Return what is written for a reference: its slot, or what fetches nothing."""
        url = found.url.partition("#")[0]
        if found.media is None or not is_nestable(nested := Nested(url, found.media)):
            return found.inert
        number = self.numbers.get(nested)
        if number is None:
            is_import = nested.media is Media.STYLESHEET
            if len(self.nested) >= self.limits.max_nested or (
                is_import and self.imports >= self.limits.max_imports
            ):
                return found.inert
            self.imports += is_import
            number = self.numbers[nested] = len(self.nested)
            self.nested.append(nested)
        return f"{self.mark}{number}"
