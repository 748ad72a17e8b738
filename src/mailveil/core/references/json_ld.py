"""JSON-LD (schema.org markup in mail): pictures and media that a mail client shows beside the message."""

from __future__ import annotations

import re
from typing import Final

from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect
from mailveil.core.references.links import note_links
from mailveil.core.references.types import BLANK_GIF, Reference, Scope, Vector
from mailveil.core.references.url import remote

# Keys (lower-case) whose value is a picture or medium, as a URL or as an object that holds one.
_MEDIA_KEYS: Final = frozenset(
    {
        "associatedmedia", "audio", "avatar", "banner", "contenturl", "embedurl", "icon", "image", "images",
        "imageobject", "imageurl", "image_url", "logo", "photo", "photos", "picture", "poster",
        "primaryimageofpage", "screenshot", "sharedcontent", "thumbnail", "thumbnailurl", "trailer", "video",
    }
)  # fmt: skip
# Keys that hold the URL of the object around them.
_URL_KEYS: Final = frozenset({"@id", "@value", "contenturl", "href", "src", "uri", "url", "value"})
_MEDIA_TYPES: Final = ("imageobject", "videoobject", "audioobject", "mediaobject", "photograph")

_MAX_NESTING: Final = 500
_MARK: Final = re.compile(r'[\[\]{}",:]')
_STRING_MARK: Final = re.compile(r'[\\"]')
_SPACE: Final = re.compile(r"[ \t\r\n]*+")
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX: Final = frozenset("0123456789abcdefABCDEF")


class _Container:
    """An open object or array: the key being read, whether it holds media, URLs its type may yet explain."""

    __slots__ = ("is_array", "is_media", "key", "pending")

    def __init__(self, is_array: bool, is_media: bool) -> None:
        self.is_array = is_array
        self.is_media = is_media
        self.key = ""
        self.pending: list[tuple[int, int]] | None = None


def find_in_json_ld(text: Text, scope: Scope) -> None:
    """Append the pictures and media of a JSON-LD document to ``scope.findings``; other URLs are links.

    Reads broken JSON as far as its strings and brackets go, so that a lenient reader sees no more. Total and
    linear.
    """
    _JsonScanner(text, scope).scan()


class _JsonScanner:
    """One pass over the characters, strings and brackets only."""

    def __init__(self, text: Text, scope: Scope) -> None:
        self.text = text
        self.scope = scope
        self.containers = [_Container(is_array=True, is_media=False)]
        self.deeper = 0

    def scan(self) -> None:
        characters = self.text.text
        at = 0
        while True:
            match = _MARK.search(characters, at)
            if match is None:
                break
            at = match.end()
            mark = match[0]
            if mark == '"':
                at = self.string(at)
            elif mark in "[{":
                self.open(is_array=mark == "[")
            elif mark in "]}":
                self.close()
            elif mark == "," and not self.containers[-1].is_array:
                self.containers[-1].key = ""
            if len(self.scope.findings.references) > self.scope.limits.max_references:
                self.scope.findings.defects.append(Defect.TOO_MANY_REFERENCES)
                return
        self.deeper = 0
        while len(self.containers) > 1:
            self.close()

    def open(self, *, is_array: bool) -> None:
        """Note an opened bracket; beyond the deepest nesting it counts as part of what surrounds it."""
        if len(self.containers) > _MAX_NESTING:
            self.deeper += 1
            return
        around = self.containers[-1]
        is_media = around.is_media and (around.is_array or around.key in _URL_KEYS)
        self.containers.append(_Container(is_array, is_media or around.key in _MEDIA_KEYS))

    def string(self, start: int) -> int:
        """Read the string that begins at ``start``; return the place after its closing quote."""
        characters = self.text.text
        end = start
        escaped = False
        while True:
            match = _STRING_MARK.search(characters, end)
            if match is None:
                end = following = len(characters)
                break
            if match[0] == '"':
                end, following = match.start(), match.end()
                break
            escaped = True
            end = min(match.end() + 1, len(characters))
        container = self.containers[-1]
        space = _SPACE.match(characters, following)
        after = space.end() if space else following
        value = self.decoded(start, end).text if escaped else characters[start:end]
        if not container.is_array and characters[after : after + 1] == ":":
            container.key = value.lower()
            return after + 1
        self.value(container, value, start, end)
        return following

    def value(self, container: _Container, value: str, start: int, end: int) -> None:
        """Judge one string that is no key."""
        key = container.key
        if key == "@type" and value.lower().endswith(_MEDIA_TYPES):
            container.is_media = True
        elif key in _MEDIA_KEYS or (container.is_media and (container.is_array or key in _URL_KEYS)):
            self.report(value, start, end)
        elif key in _URL_KEYS and not container.is_array:
            if container.pending is None:
                container.pending = []
            container.pending.append((start, end))
        else:
            note_links(value, self.scope)

    def close(self) -> None:
        """Leave the innermost container and judge its URLs, now that its type is known."""
        if self.deeper:
            self.deeper -= 1
            return
        if len(self.containers) == 1:
            return
        container = self.containers.pop()
        for start, end in container.pending or ():
            value = self.decoded(start, end).text
            if container.is_media:
                self.report(value, start, end)
            else:
                note_links(value, self.scope)

    def report(self, value: str, start: int, end: int) -> None:
        url = remote(value, self.scope)
        if url is None:
            return
        span = self.text.span(start, end)
        self.scope.findings.references.append(
            Reference(
                url=url,
                vector=Vector.JSON_LD_IMAGE,
                part=self.scope.part,
                source=self.text.source,
                start=span.start,
                end=span.end,
                inert=BLANK_GIF,
                encoding=self.text.encoding,
                element="script",
                attributes={"type": "application/ld+json"},
            )
        )

    def decoded(self, start: int, end: int) -> Text:
        """Return the string between the quotes with its escapes undone (RFC 8259 section 7)."""
        raw = self.text.text[start:end]
        if "\\" not in raw:
            return self.text.sub(start, end)
        characters: list[str] = []
        places: list[tuple[int, int]] = []
        at = 0
        while at < len(raw):
            character = raw[at]
            following = at + 1
            if character == "\\" and following < len(raw):
                letter = raw[following]
                following += 1
                digits = raw[following : following + 4]
                if letter == "u" and len(digits) == 4 and _HEX.issuperset(digits):
                    character = chr(int(digits, 16))
                    following += 4
                else:
                    character = _ESCAPES.get(letter, letter)
            characters.append(character)
            places.append((at, following))
            at = following
        return self.text.derive("".join(characters), places, start)
