"""WebM: gone through element by element; what names or finds anything else is blanked out in its place."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from mailveil.core.safecopy.types import Refusal, SafeCopy

MAX_ELEMENTS: Final = 500_000
UNKNOWN: Final = -1
VOID: Final = 0xEC
EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
INFO, TRACKS, TRACK = 0x1549A966, 0x1654AE6B, 0xAE
TRACK_TYPE, VIDEO, AUDIO = 0x83, 0xE0, 0xE1
DOC_TYPE, SCALE, DURATION, WIDTH, HEIGHT = 0x4282, 0x2AD7B1, 0x4489, 0xB0, 0xBA
CODEC, ENCODINGS = 0x86, 0x6D80
# What is gone into, and what stays at the ends of the tree (RFC 9559 section 5.1), as children of what.
CHILDREN: Final = {
    EBML: {0x4286, 0x42F7, 0x42F2, 0x42F3, DOC_TYPE, 0x4287, 0x4285},
    SEGMENT: {0x114D9B74, INFO, TRACKS, CLUSTER, 0x1C53BB6B, VOID},
    INFO: {SCALE, DURATION, 0x4D80, 0x5741},
    TRACKS: {TRACK},
    TRACK: {
        0xD7, 0x73C5, TRACK_TYPE, 0xB9, 0x88, 0x55AA, 0x9C, 0x6DE7, 0x23E383, 0x55EE, CODEC, 0x63A2, 0xAA,
        0x56AA, 0x56BB, VIDEO, AUDIO, 0x22B59C,
    },
    CLUSTER: {0xE7, 0xA3, 0xA0, 0xA7, 0xAB, VOID},
}  # fmt: skip
TOP_LEVEL: Final = frozenset(
    {0x114D9B74, INFO, TRACKS, CLUSTER, 0x1C53BB6B, 0x1254C367, 0x1043A770, 0x1941A469}
)
TEXTS: Final = frozenset({0x4D80, 0x5741})  # MuxingApp and WritingApp: required, and free text
CODECS: Final = frozenset({b"V_VP8", b"V_VP9", b"V_AV1", b"A_VORBIS", b"A_OPUS"})
PICTURE, SOUND = 1, 2  # of TrackType
DEFAULT_SCALE_NS: Final = 1_000_000


class _UnreadableError(Exception):
    """A file that is no WebM, or nests what must not be nested."""


@dataclass(frozen=True, slots=True)
class _Element:
    """An element: where it begins, where its content does, and where that ends."""

    identifier: int
    start: int
    content: int
    end: int


def sanitise_webm(body: bytes) -> SafeCopy | Refusal:
    """Return a WebM film with everything blanked that does not serve to play it."""
    film = _WebM(body)
    try:
        film.walk(0, len(body), None)
    except (_UnreadableError, IndexError, struct.error):
        return Refusal.UNREADABLE
    if not film.tracks or film.doc_type != b"webm":
        return Refusal.UNREADABLE
    return SafeCopy("video/webm", bytes(film.body), film.width, film.height, duration_s=film.duration_s)


def webm_duration_s(body: bytes) -> float:
    """Return how long a WebM file says that it plays, 0 where it does not say."""
    film = _WebM(body)
    try:
        film.walk(0, len(body), None)
    except (_UnreadableError, IndexError, struct.error):
        return 0.0
    return film.duration_s


class _WebM:
    """Walks through the elements of one file and blanks what does not stay."""

    def __init__(self, body: bytes) -> None:
        self.body = bytearray(body)
        self.elements = 0
        self.tracks = 0
        self.width = 0
        self.height = 0
        self.doc_type = b""
        self.scale_ns = DEFAULT_SCALE_NS
        self.duration = 0.0

    @property
    def duration_s(self) -> float:
        """How long the film says that it plays."""
        seconds = self.duration * self.scale_ns / 1e9
        return round(seconds, 3) if 0 <= seconds <= 1e6 else 0.0

    def read(self, at: int, end: int) -> _Element:
        """Return the element that begins at ``at`` and stands in what ends at ``end`` (RFC 8794 section 4)."""
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            raise _UnreadableError
        length = _width(self.body[at], 4)
        identifier = int.from_bytes(self.body[at : at + length], "big")
        first = self.body[at + length]
        width = _width(first, 8)
        content = at + length + width
        if content > end:
            raise _UnreadableError
        size = int.from_bytes(self.body[at + length : content], "big") & ((1 << 7 * width) - 1)
        if size == (1 << 7 * width) - 1:
            return _Element(identifier, at, content, UNKNOWN)
        return _Element(identifier, at, content, content + size)

    def walk(self, start: int, end: int, parent: int | None) -> int:
        """Go through what stands in ``[start, end)``; return where it ended, where it does not say itself."""
        allowed = {EBML, SEGMENT} if parent is None else CHILDREN[parent]
        at = start
        while at < end:
            element = self.read(at, end)
            if parent == CLUSTER and element.identifier in TOP_LEVEL:
                return at  # the end of a cluster of unknown size
            if element.end == UNKNOWN:
                if element.identifier not in (SEGMENT, CLUSTER) or element.identifier not in allowed:
                    raise _UnreadableError
                at = self.walk(element.content, end, element.identifier)
                continue
            if element.end > end:
                # Cut off on the way here. A reader plays what there is; what is no picture or sound goes.
                if parent not in (None, SEGMENT, CLUSTER) or end != len(self.body):
                    raise _UnreadableError
                element = _Element(element.identifier, element.start, element.content, end)
                if element.identifier not in (SEGMENT, CLUSTER):
                    self.body[at:end] = b""
                    return at
            self.take(element, allowed)
            at = element.end
        return at

    def take(self, element: _Element, allowed: set[int]) -> None:
        """Keep, enter, check or blank one element."""
        identifier = element.identifier
        content = self.body[element.content : element.end]
        if identifier not in allowed or (identifier == TRACK and not self._is_watchable(element)):
            self.blank(element)
            return
        if identifier in CHILDREN:
            self.tracks += identifier == TRACK
            self.walk(element.content, element.end, identifier)
        elif identifier == VOID:
            self.blank(element)
        elif identifier in TEXTS:
            self.body[element.content : element.end] = b" " * len(content)
        elif identifier == DOC_TYPE:
            self.doc_type = bytes(content).rstrip(b"\0")
        elif identifier == SCALE:
            self.scale_ns = int.from_bytes(content[:8], "big")
        elif identifier == DURATION and len(content) in (4, 8):
            (self.duration,) = struct.unpack(">f" if len(content) == 4 else ">d", content)
        elif identifier == VIDEO:
            self._measure(element)

    def blank(self, element: _Element) -> None:
        """Turn an element into void of the same size (RFC 8794 section 11.3.2)."""
        total = element.end - element.start
        # One byte of identifier and eight of size, or one of size where there is less room.
        head = bytes((VOID,)) + (
            (total - 9 | 1 << 56).to_bytes(8, "big") if total >= 9 else bytes((0x80 | (total - 2),))
        )
        self.body[element.start : element.end] = head + b"\0" * (total - len(head))

    def _is_watchable(self, track: _Element) -> bool:
        kind, codec = 0, b""
        at = track.content
        while at < track.end:
            element = self.read(at, track.end)
            if element.end == UNKNOWN or element.end > track.end:
                raise _UnreadableError
            content = bytes(self.body[element.content : element.end])
            if element.identifier == TRACK_TYPE:
                kind = int.from_bytes(content[:4], "big")
            elif element.identifier == CODEC:
                codec = content.rstrip(b"\0")
            elif element.identifier == ENCODINGS:
                return False  # compressed or encrypted: no WebM that readers play
            at = element.end
        return kind in (PICTURE, SOUND) and codec in CODECS

    def _measure(self, video: _Element) -> None:
        at = video.content
        while at < video.end:
            element = self.read(at, video.end)
            if element.end == UNKNOWN or element.end > video.end:
                raise _UnreadableError
            size = int.from_bytes(self.body[element.content : element.end][:4], "big")
            pixels = min(size, 1 << 16)
            if element.identifier == WIDTH:
                self.width = pixels
            elif element.identifier == HEIGHT:
                self.height = pixels
            at = element.end


def _width(first: int, most: int) -> int:
    """Return how many bytes a number of variable size takes, by its first one."""
    width = 9 - first.bit_length()
    if width > most:
        raise _UnreadableError
    return width
