"""Films keep their pictures and sounds at their places and lose what could name or load anything.

Setup: an MP4 file built here box by box and a WebM film of one real picture (a VP8 frame that Pillow wrote).
Test: kept boxes are where they were, everything else is blank, and what refers elsewhere is refused.
"""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from mailveil.core.references.types import Media
from mailveil.core.safecopy import Refusal, SafeCopy, sanitise

SECRET = b"https://t.example/SECRET-31c7"


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, *content: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", flags), *content)


SELF = full(b"url ", flags=1)


def track(handler: bytes = b"vide", reference: bytes = SELF, codec: bytes = b"avc1", *more: bytes) -> bytes:
    entry = box(codec, b"\0" * 6 + b"\0\1", b"\0" * 70)
    return box(
        b"trak",
        full(b"tkhd", b"\0" * 72, struct.pack(">II", 320 << 16, 240 << 16)),
        box(
            b"mdia",
            full(b"mdhd", b"\0" * 20),
            full(b"hdlr", b"\0\0\0\0", handler, b"\0" * 12, SECRET + b"\0"),
            box(
                b"minf",
                full(b"vmhd", b"\0" * 8),
                box(b"dinf", full(b"dref", struct.pack(">I", 1), reference)),
                box(
                    b"stbl",
                    full(b"stsd", struct.pack(">I", 1), entry),
                    full(b"stco", struct.pack(">II", 1, 40)),
                ),
            ),
        ),
        *more,
    )


def film(*tracks: bytes, more: bytes = b"", samples: bytes = b"\1\2\3\4" * 50) -> bytes:
    told = full(b"mvhd", b"\0" * 8, struct.pack(">II", 1000, 4200), b"\0" * 80)
    return box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", told, *tracks, more) + box(b"mdat", samples)


def test_a_film_keeps_its_samples_where_they_were_and_says_nothing() -> None:
    udta = box(b"udta", box(b"\xa9nam", SECRET))
    meta = full(b"meta", full(b"hdlr", b"\0\0\0\0mdir", b"\0" * 12), SECRET)
    body = film(track(), track(b"soun", codec=b"mp4a"), more=udta + meta) + box(b"uuid", b"x" * 16 + SECRET)
    copy = sanitise(body, Media.VIDEO)
    assert isinstance(copy, SafeCopy), copy
    assert (copy.media_type, copy.width, copy.height, copy.duration_s) == ("video/mp4", 320, 240, 4.2)
    assert b"t.example" not in copy.body
    assert len(copy.body) == len(body)
    assert copy.body.index(b"\1\2\3\4") == body.index(b"\1\2\3\4")
    for kind in (b"udta", b"meta", b"uuid"):
        assert kind not in copy.body
    assert sanitise(copy.body, Media.VIDEO) == copy


def test_a_track_that_is_neither_picture_nor_sound_goes() -> None:
    copy = sanitise(film(track(), track(b"text", codec=b"text")), Media.VIDEO)
    assert isinstance(copy, SafeCopy)
    assert copy.body.count(b"trak") == 1
    assert not isinstance(sanitise(film(track(b"text")), Media.VIDEO), SafeCopy)


def test_a_track_cannot_hide_its_handler() -> None:
    disguised = track(b"text").replace(b"\0\0\0\x20vmhd"[4:], b"vmhd")
    hidden = box(b"trak", box(b"free", full(b"hdlr", b"\0\0\0\0vide")), disguised[8:])
    assert not isinstance(sanitise(film(hidden), Media.VIDEO), SafeCopy)


@pytest.mark.parametrize(
    "reference",
    [
        full(b"url ", SECRET + b"\0"),
        full(b"url ", SECRET + b"\0", flags=1),
        full(b"urn ", SECRET + b"\0", flags=1),
        full(b"alis", flags=1),
        full(b"rsrc", flags=1),
    ],
)
def test_a_film_with_its_samples_elsewhere_is_refused(reference: bytes) -> None:
    assert sanitise(film(track(reference=reference)), Media.VIDEO) is Refusal.STILL_REFERS


@pytest.mark.parametrize("codec", [b"encv", b"rtp ", b"text", b"mett", b"jpeg"])
def test_other_codings_are_refused(codec: bytes) -> None:
    assert sanitise(film(track(codec=codec)), Media.VIDEO) is Refusal.UNREADABLE


def test_reference_movies_are_refused() -> None:
    movie = box(b"ftyp", b"qt  \0\0\0\0") + box(
        b"moov", box(b"rmra", box(b"rmda", full(b"rdrf", b"url " + SECRET)))
    )
    assert isinstance(sanitise(movie, Media.VIDEO), Refusal)


def test_a_film_that_was_cut_off_plays_what_there_is() -> None:
    body = film(track())
    copy = sanitise(body[:-20], Media.VIDEO)
    assert isinstance(copy, SafeCopy)
    assert copy.body == sanitise(body, Media.VIDEO).body[:-20]
    for length in range(8, body.index(b"mdat"), 5):
        assert isinstance(sanitise(body[:length], Media.VIDEO), Refusal)


def number(size: int) -> bytes:
    return (size | 1 << 56).to_bytes(8, "big")


def element(identifier: int, *content: bytes) -> bytes:
    body = b"".join(content)
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big") + number(len(body)) + body


def picture(width: int = 64, height: int = 48) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(written, "WEBP")
    body = written.getvalue()
    at = body.index(b"VP8 ")
    return body[at + 8 : at + 8 + struct.unpack("<I", body[at + 4 : at + 8])[0]]


def webm(
    *more: bytes, codec: bytes = b"V_VP8", kind: int = 1, doc_type: bytes = b"webm", track_more: bytes = b""
) -> bytes:
    video = element(0xE0, element(0xB0, b"\0\x40"), element(0xBA, b"\x30"))
    entry = (
        element(0xD7, b"\1"),
        element(0x73C5, b"\1"),
        element(0x83, bytes((kind,))),
        element(0x86, codec),
        video,
    )
    info = element(
        0x1549A966,
        element(0x2AD7B1, b"\x0f\x42\x40"),
        element(0x4489, struct.pack(">d", 1500.0)),
        element(0x4D80, b"x"),
        element(0x5741, SECRET),
        element(0x7BA9, SECRET),
        element(0x3E83BB, SECRET),
    )
    block = element(0xA3, b"\x81\0\0\x80" + picture())
    return element(0x1A45DFA3, element(0x4282, doc_type)) + element(
        0x18538067,
        info,
        element(0x1654AE6B, element(0xAE, *entry, element(0x536E, SECRET), track_more)),
        element(0x1F43B675, element(0xE7, b"\0"), block),
        *more,
    )


def test_a_webm_film_keeps_its_pictures_and_says_nothing() -> None:
    tags = element(0x1254C367, SECRET)
    attached = element(0x1941A469, SECRET)
    body = webm(tags, attached)
    copy = sanitise(body, Media.VIDEO)
    assert isinstance(copy, SafeCopy), copy
    assert (copy.media_type, copy.width, copy.height, copy.duration_s) == ("video/webm", 64, 48, 1.5)
    assert b"t.example" not in copy.body
    assert len(copy.body) == len(body)
    assert copy.body.index(picture()) == body.index(picture())
    assert sanitise(copy.body, Media.VIDEO) == copy


def test_a_webm_stream_of_unknown_length_is_read() -> None:
    body = webm()
    at = body.index(b"\x18\x53\x80\x67") + 4
    cluster = body.index(b"\x1f\x43\xb6\x75") + 4
    endless = bytearray(body)
    for place in (at, cluster):
        endless[place : place + 8] = b"\1" + b"\xff" * 7
    copy = sanitise(bytes(endless) + element(0x1254C367, SECRET), Media.VIDEO)
    assert isinstance(copy, SafeCopy), copy
    assert b"t.example" not in copy.body


@pytest.mark.parametrize(
    "body",
    [
        webm(doc_type=b"matroska"),
        webm(codec=b"S_TEXT/WEBVTT"),
        webm(kind=17),
        webm(track_more=element(0x6D80, b"")),
        webm()[: len(webm()) // 3],
    ],
)
def test_other_matroska_is_refused(body: bytes) -> None:
    assert isinstance(sanitise(body, Media.VIDEO), Refusal)


def test_damaged_films_give_an_answer_and_never_name_anybody() -> None:
    for body in (film(track()), webm()):
        clean = sanitise(body, Media.VIDEO)
        assert isinstance(clean, SafeCopy)
        for at in range(0, min(len(body), 900), 3):
            damaged = body[:at] + bytes((body[at] ^ 0x41,)) + body[at + 1 :]
            assert isinstance(sanitise(damaged, Media.VIDEO), SafeCopy | Refusal)
