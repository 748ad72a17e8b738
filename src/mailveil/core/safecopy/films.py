"""Films: MP4 and WebM gone through box by box; what is not on a list is blanked out in its place.

Nothing here decodes pictures that move. What could name, find or load something else does not survive: data
references, metadata, text tracks, links to other segments. Every kept byte stays at its place, since a film
points into itself by offset.
"""

from __future__ import annotations

import struct
from typing import Final

from mailveil.core.safecopy.matroska import sanitise_webm
from mailveil.core.safecopy.pictures import AVIF_BRANDS
from mailveil.core.safecopy.types import CopyLimits, Refusal, SafeCopy

MAX_BOXES: Final = 50_000
# Boxes that hold boxes (ISO/IEC 14496-12 section 6.2.3) and those at the ends of the tree that stay.
CONTAINERS: Final = frozenset({
    b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"mvex", b"moof", b"traf",
})  # fmt: skip
KEPT: Final = frozenset({
    b"ftyp", b"styp", b"mdat", b"mvhd", b"tkhd", b"elst", b"mdhd", b"vmhd", b"smhd", b"nmhd",
    b"stts", b"ctts", b"cslg", b"stss", b"stsc", b"stsz", b"stz2", b"stco", b"co64", b"sdtp", b"sgpd", b"sbgp",
    b"mehd", b"trex", b"mfhd", b"tfhd", b"tfdt", b"trun", b"sidx",
})  # fmt: skip
CHECKED: Final = frozenset({b"hdlr", b"dref", b"stsd"})
TRACKS: Final = frozenset({b"vide", b"soun"})
CODECS: Final = frozenset({
    b"avc1", b"avc3", b"hvc1", b"hev1", b"av01", b"vp08", b"vp09", b"mp4v", b"mp4a", b"ac-3", b"ec-3",
    b"Opus", b"fLaC", b".mp3",
})  # fmt: skip
SELF_CONTAINED: Final = 1  # flag of a data reference: the samples are in this file (section 8.7.2)


class _RefusedError(Exception):
    """A film that has no safe copy."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def sanitise_film(body: bytes, limits: CopyLimits) -> SafeCopy | Refusal:
    """Return a film with everything blanked that is neither picture nor sound nor needed to play them."""
    del limits  # its size is that of what was fetched
    if body.startswith(b"\x1a\x45\xdf\xa3"):
        return sanitise_webm(body)
    if body[4:8] != b"ftyp" or body[8:12] in AVIF_BRANDS:
        return Refusal.UNKNOWN_TYPE
    film = _Film(body)
    try:
        film.walk(0, len(body), ())
    except _RefusedError as refused:
        return refused.refusal
    except (struct.error, IndexError):
        return Refusal.UNREADABLE
    if not film.tracks or not film.has_samples:
        return Refusal.UNREADABLE
    return SafeCopy("video/mp4", bytes(film.body), film.width, film.height, duration_s=film_duration_s(body))


def film_duration_s(body: bytes) -> float:
    """Return how long an MP4 film says that it plays, 0 where it does not say."""
    at = body.find(b"mvhd")
    if at < 4 or at + 32 > len(body):
        return 0.0
    if body[at + 4] == 1:
        scale, duration = struct.unpack(">IQ", body[at + 24 : at + 36].ljust(12, b"\0"))
    else:
        scale, duration = struct.unpack(">II", body[at + 16 : at + 24])
    return round(min(duration / scale, 1e6), 3) if scale else 0.0


class _Film:
    """Walks through the boxes of one film and blanks what does not stay."""

    def __init__(self, body: bytes) -> None:
        self.body = bytearray(body)
        self.boxes = 0
        self.tracks = 0
        self.has_samples = False
        self.width = 0
        self.height = 0

    def walk(self, start: int, end: int, path: tuple[bytes, ...]) -> None:
        """Go through the boxes in ``[start, end)``, which stand in those of ``path``."""
        at = start
        while at < end:
            if end - at < 8:
                self.body[at:end] = b"\0" * (end - at)  # padding, of no meaning to any reader
                return
            self.boxes += 1
            if self.boxes > MAX_BOXES:
                raise _RefusedError(Refusal.TOO_COMPLEX)
            size, kind = struct.unpack_from(">I4s", self.body, at)
            head = 8
            if size == 1:
                (size,) = struct.unpack_from(">Q", self.body, at + 8)
                head = 16
            elif size == 0:  # to the end of the file
                size = end - at
            if size < head:
                raise _RefusedError(Refusal.UNREADABLE)
            if at + size > end:
                if path or kind != b"mdat":
                    raise _RefusedError(Refusal.UNREADABLE)
                size = end - at  # samples that were cut off: what is there plays
            self.has_samples |= kind == b"mdat" and size > head
            self.take(kind, at, head, at + size, path)
            at += size

    def take(self, kind: bytes, at: int, head: int, end: int, path: tuple[bytes, ...]) -> None:
        """Keep, enter, check or blank one box."""
        if kind in CONTAINERS and len(path) < 8:
            if kind == b"trak" and not self._is_watchable(at + head, end):
                self.blank(at, head, end)
                return
            self.tracks += kind == b"trak"
            self.walk(at + head, end, (*path, kind))
        elif kind == b"tkhd" and path[-1:] == (b"trak",):
            width, height = struct.unpack_from(">II", self.body, end - 8)
            self.width, self.height = max(self.width, width >> 16), max(self.height, height >> 16)
        elif kind in CHECKED:
            getattr(self, f"check_{kind.decode()}")(at + head, end)
        elif kind not in KEPT:
            self.blank(at, head, end)

    def blank(self, at: int, head: int, end: int) -> None:
        """Turn a box into free space of the same size (section 8.1.2)."""
        self.body[at + 4 : at + 8] = b"free"
        self.body[at + head : end] = b"\0" * (end - at - head)

    def _is_watchable(self, start: int, end: int) -> bool:
        """Tell whether a track is picture or sound, by its handler (section 8.4.3)."""
        at = self.body.find(b"hdlr", start, end)
        return at > 0 and bytes(self.body[at + 12 : at + 16]) in TRACKS

    def check_hdlr(self, start: int, end: int) -> None:
        """Blank the name of a handler, which is free text; refuse any that is neither picture nor sound."""
        if bytes(self.body[start + 8 : start + 12]) not in TRACKS:
            raise _RefusedError(Refusal.UNREADABLE)
        self.body[start + 12 : end] = b"\0" * max(0, end - start - 12)

    def check_dref(self, start: int, end: int) -> None:
        """Refuse a film whose samples are elsewhere."""
        (count,) = struct.unpack_from(">I", self.body, start + 4)
        at = start + 8
        for _ in range(min(count, MAX_BOXES)):
            size, kind, flags = struct.unpack_from(">I4sI", self.body, at)
            if kind != b"url " or size != 12 or flags != SELF_CONTAINED or at + size > end:
                raise _RefusedError(Refusal.STILL_REFERS)
            at += size
        self.body[at:end] = b"\0" * (end - at)

    def check_stsd(self, start: int, end: int) -> None:
        """Refuse a film in a coding that is not known to be picture or sound alone."""
        (count,) = struct.unpack_from(">I", self.body, start + 4)
        at = start + 8
        for _ in range(min(count, MAX_BOXES)):
            size, kind = struct.unpack_from(">I4s", self.body, at)
            if size < 16 or at + size > end or kind not in CODECS:
                raise _RefusedError(Refusal.UNREADABLE)
            # The entry names one of the data references, all of which are this file.
            at += size
