"""Transfer encodings: every reading, and edits that come back as they went in."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
import time
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailveil.core.message.base64_body import Base64Reading, decode_base64, read_base64
from mailveil.core.message.edits import merge_edits, splice
from mailveil.core.message.quoted_printable import (
    decode_quoted_printable,
    encode_quoted_printable,
    locate,
)
from mailveil.core.message.transfer import (
    decode_body,
    decode_data_url_base64,
    decompress_gzip,
    encode_edits,
    place_all,
    place_in_message,
)
from mailveil.core.message.types import Coding, Defect, Edit, Limits, Part, Source, Span
from mailveil.core.message.uuencode import decode_uuencode

URL = b"https://copies.example/c/" + b"Ab-_" * 10


def leaf(raw: bytes, *encodings: str, lead: bytes = b"") -> Part:
    data = lead + raw
    return Part(
        section="1",
        source=Source(data),
        span=Span(0, len(data)),
        header_span=Span(0, len(lead)),
        body_span=Span(len(lead), len(data)),
        fields=(),
        media_type="text/html",
        parameters={},
        transfer_encodings=encodings,
    )


def child(
    raw: bytes, coding: Coding, data: bytes, lead: bytes = b"head\r\n\r\n", tail: bytes = b""
) -> Source:
    return Source(data, Source(lead + raw + tail), Span(len(lead), len(lead) + len(raw)), coding)


def applied(source: Source, edits: list[Edit]) -> bytes:
    """Make the edits in the encoded form and return that form."""
    assert source.within is not None
    outer = splice(source.within.data, encode_edits(source, edits))
    start, end = source.span
    tail = len(source.within.data) - end
    assert outer[:start] == source.within.data[:start]
    assert outer[len(outer) - tail :] == source.within.data[end:]
    return outer[start : len(outer) - tail]


def longest_line(raw: bytes) -> int:
    return max(len(line.removesuffix(b"\r")) for line in raw.split(b"\n"))


@st.composite
def edits_on(draw: st.DrawFn, data: bytes) -> list[Edit]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    texts = st.one_of(
        st.binary(max_size=90),
        st.sampled_from([URL, b"cid:a@b", b"data:,", b'""', b"about:blank", b"", b"=", b"--x", b"da", b" "]),
    )
    return [Edit(start, end, draw(texts)) for start, end in zip(cuts[::2], cuts[1::2], strict=False)]


# --- quoted-printable ------------------------------------------------------------------------------------


def plainly_decoded(raw: bytes) -> bytes:
    """Decode quoted-printable one byte at a time: slow, and written without the code under test."""
    out = bytearray()
    at = 0
    while at < len(raw):
        if raw[at] != 0x3D:
            out.append(raw[at])
            at += 1
            continue
        pair = raw[at + 1 : at + 3]
        if len(pair) == 2 and all(byte in b"0123456789abcdefABCDEF" for byte in pair):
            out.append(int(pair, 16))
            at += 3
            continue
        stop = at + 1
        while stop < len(raw) and raw[stop] in b" \t":
            stop += 1
        if stop == len(raw):
            at = stop
        elif raw.startswith(b"\r\n", stop):
            at = stop + 2
        elif raw[stop] in b"\r\n":
            at = stop + 1
        else:
            out.append(0x3D)
            at += 1
    return bytes(out)


QP_PIECES = st.sampled_from(
    [
        *b"=|=3D|=3d|=\r\n|=\n|= \t\r\n|=\r|\r\n|\n|\r|==|=4|=zz|a|d|4| |\t|<img src=3D|\xff|\0".split(b"|"),
        b"x" * 75,
        b"y" * 300,
    ]
)
qp_bodies = st.lists(QP_PIECES, max_size=30).map(b"".join)


@settings(deadline=None)
@given(st.one_of(qp_bodies, st.binary(max_size=60)))
def test_quoted_printable_reads_as_clients_do(raw: bytes) -> None:
    assert decode_quoted_printable(raw)[0] == plainly_decoded(raw)


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_quoted_printable_edits_come_back(data: st.DataObject) -> None:
    raw = data.draw(qp_bodies)
    decoded = plainly_decoded(raw)
    edits = data.draw(edits_on(decoded))
    source = child(raw, Coding.QUOTED_PRINTABLE, decoded)
    after = applied(source, edits)
    assert plainly_decoded(after) == splice(decoded, edits)
    assert longest_line(after) <= max(longest_line(raw), 78)
    # Cleaning what is clean already changes nothing.
    again = child(after, Coding.QUOTED_PRINTABLE, plainly_decoded(after))
    assert encode_edits(again, [Edit(5, 5, b"")]) == []


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_quoted_printable_edits_touch_only_what_they_replace(data: st.DataObject) -> None:
    text = data.draw(st.binary(max_size=300))
    raw = quopri.encodestring(text)
    decoded = plainly_decoded(raw)
    edits = merge_edits(
        [e for e in data.draw(edits_on(decoded)) if decoded[e.start : e.end] != e.replacement]
    )
    source = child(raw, Coding.QUOTED_PRINTABLE, decoded, lead=b"")
    for edit, encoded in zip(edits, encode_edits(source, edits), strict=True):
        place = place_in_message(source, edit.start, edit.end)
        if edit.start < edit.end:
            assert encoded.start == place.start
            assert encoded.end - place.end in (0, 1)
            assert plainly_decoded(raw[place.start : place.end]) == decoded[edit.start : edit.end]


def test_quoted_printable_keeps_the_rest_of_the_line() -> None:
    raw = b'<p>=C3=A4</p>\r\n<img alt=3D"" src=3D"http://spy.example/=\r\npixel.gif?u=3D1"> and on\r\nlast'
    decoded = plainly_decoded(raw)
    start = decoded.index(b"http")
    source = child(raw, Coding.QUOTED_PRINTABLE, decoded)
    after = applied(source, [Edit(start, decoded.index(b'"> and'), b"data:,")])
    assert after == b'<p>=C3=A4</p>\r\n<img alt=3D"" src=3D"data:,"> and on\r\nlast'


def test_quoted_printable_breaks_lines_as_the_body_does() -> None:
    raw = b"x" * 40 + b"http://spy.example/" + b"y" * 17 + b"\nnext\n"
    source = child(raw, Coding.QUOTED_PRINTABLE, raw, lead=b"Subject: x\r\n\r\n")
    url = b"https://copies.example/c/" + b"Abc9" * 10
    after = applied(source, [Edit(40, 59, url)])
    assert after == b"x" * 40 + url[:35] + b"=\n" + url[35:] + b"y" * 17 + b"\nnext\n"
    dashed = url[:35] + b"-" + url[36:]  # never a dash where a line begins
    after = applied(source, [Edit(40, 59, dashed)])
    assert after == b"x" * 40 + url[:35] + b"=\n=2D" + url[36:] + b"y" * 17 + b"\nnext\n"


def test_a_literal_equals_sign_does_not_swallow_the_replacement() -> None:
    raw = b"<img src=http://spy.example/x>"
    source = child(raw, Coding.QUOTED_PRINTABLE, raw)
    after = applied(source, [Edit(9, 29, b"data:,")])
    assert after == b"<img src=3Ddata:,>"
    assert quopri.decodestring(after) == b"<img src=data:,>"


def test_no_soft_break_makes_a_delimiter() -> None:
    raw = b"x" * 70 + b"http://a" + b"--boundary\r\n"
    source = child(raw, Coding.QUOTED_PRINTABLE, raw)
    after = applied(source, [Edit(70, 78, b"cid:aaaaaa")])
    assert plainly_decoded(after) == b"x" * 70 + b"cid:aaaaaa--boundary\r\n"
    assert not re.search(rb"(?m)^--boundary", after)


def test_quoted_printable_never_passes_998() -> None:
    for size in range(990, 1002):
        raw = b"x" * size + b"\r\n"
        source = child(raw, Coding.QUOTED_PRINTABLE, raw)
        for at in (size - 1, size):
            after = applied(source, [Edit(at, at, b"data:,")])
            assert plainly_decoded(after) == raw[:at] + b"data:," + raw[at:]
            assert longest_line(after) <= max(998, size)


@settings(deadline=None)
@given(st.data())
def test_locate_finds_what_decodes_to_the_span(data: st.DataObject) -> None:
    raw = data.draw(qp_bodies)
    decoded = plainly_decoded(raw)
    offsets = sorted(data.draw(st.lists(st.integers(0, len(decoded)), max_size=6)))
    for offset, (after, at) in zip(offsets, locate(raw, offsets), strict=True):
        assert after <= at
        if offset < len(decoded):
            assert plainly_decoded(raw[:at] + b"|") == decoded[:offset] + b"|" or raw[at - 1 : at] in b" \t="


@settings(max_examples=30, deadline=None)
@given(st.lists(QP_PIECES, min_size=1, max_size=40).map(b"".join), st.lists(st.floats(0, 1), max_size=5))
def test_places_in_large_bodies_are_those_of_small_ones(piece: bytes, wanted: list[float]) -> None:
    raw = (piece + b"=\r\n") * (20_000 // len(piece) + 1)
    size = len(plainly_decoded(raw))
    offsets = sorted(int(each * size) for each in [0, *wanted, 1])
    few = locate(raw, offsets)
    # Enough offsets, and the body is scanned as a whole.
    many = dict(zip(range(size + 1), locate(raw, range(size + 1)), strict=True))
    assert few == [many[offset] for offset in offsets]


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"\n", b"\r\n"]))
def test_encoding_a_whole_body_decodes_to_it(data: bytes, newline: bytes) -> None:
    encoded = encode_quoted_printable(data, newline)
    assert plainly_decoded(encoded) == data
    assert longest_line(encoded) <= 78
    assert all(byte < 0x80 for byte in encoded)


# --- base64 ----------------------------------------------------------------------------------------------


def base64_lines(data: bytes, columns: int, newline: bytes) -> bytes:
    encoded = base64.b64encode(data)
    return b"".join(encoded[at : at + columns] + newline for at in range(0, len(encoded), columns))


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from([20, 60, 76]), st.sampled_from([b"\n", b"\r\n"]))
def test_base64_decodes(data: bytes, columns: int, newline: bytes) -> None:
    raw = base64_lines(data, columns, newline)
    assert decode_base64(raw) == data
    assert decode_base64(raw.rstrip(b"=\r\n")) == data
    readings, malformed, junk = read_base64(raw)
    assert (readings, malformed, junk) == ([data], False, False)


BASE64_PIECES = st.sampled_from(
    [
        b"QUJD",
        b"REVG",
        b"=",
        b"==",
        b"Q",
        b"QU",
        b"\r\n",
        b"\n",
        b"!",
        b"-",
        b"_",
        b" ",
        b"\xff",
        b"/+",
        b"QUJD" * 19,
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_base64_edits_come_back(data: st.DataObject) -> None:
    body = data.draw(
        st.one_of(
            st.lists(BASE64_PIECES, max_size=25).map(b"".join),
            st.builds(
                base64_lines,
                st.binary(max_size=500),
                st.sampled_from([4, 60, 76]),
                st.sampled_from([b"\n", b"\r\n"]),
            ),
        )
    )
    reading = data.draw(st.sampled_from(Base64Reading))
    decoded = decode_base64(body, reading)
    edits = data.draw(edits_on(decoded))
    source = child(body, Coding.BASE64, decoded)
    after = applied(source, edits)
    # Where several readings give the same bytes, the first of them is the one that is encoded for.
    used = next(each for each in Base64Reading if decode_base64(body, each) == decoded)
    assert decode_base64(after, used) == splice(decoded, edits)
    assert longest_line(after) <= max(longest_line(body), 76)


def test_base64_changes_only_the_touched_lines_where_it_gets_back_into_step() -> None:
    text = b"".join(b"<p>line %04d of a newsletter</p>\r\n" % number for number in range(40))
    raw = base64_lines(text, 76, b"\r\n")
    at = text.index(b"line 0020")
    same = applied(child(raw, Coding.BASE64, text), [Edit(at, at + 9, b"LINE 002000!")])
    assert decode_base64(same) == text[:at] + b"LINE 002000!" + text[at + 9 :]
    before_lines, after_lines = raw.split(b"\r\n"), same.split(b"\r\n")
    assert len([line for line in before_lines if line not in after_lines]) <= 2


def test_base64_keeps_line_length_and_footer() -> None:
    text = b"<img src='http://spy.example/1.gif'>" + b"words " * 60
    footer = b"\n_______________\nMailing list: http://lists.example\n"
    raw = base64_lines(text, 60, b"\n") + footer
    start = text.index(b"http")
    decoded = decode_base64(raw)
    after = applied(child(raw, Coding.BASE64, decoded), [Edit(start, text.index(b"'>"), b"cid:a@b")])
    assert decode_base64(after).startswith(text.replace(b"http://spy.example/1.gif", b"cid:a@b"))
    lines = after.split(b"\n")
    assert set(map(len, lines[:5])) == {60}


def test_padding_in_the_middle_is_read_in_every_way() -> None:
    raw = b"QUI=QUJDREVG"
    sources, defects = decode_body(leaf(raw, "base64"), Limits())
    skipped = binascii.a2b_base64(b"QUIQUJDREVG=")
    assert [source.data for source in sources] == [b"ABABCDEF", skipped]
    assert Defect.MALFORMED_BASE64 in defects


# --- the other codings -----------------------------------------------------------------------------------


def uuencoded(data: bytes, newline: bytes = b"\n") -> bytes:
    lines = [binascii.b2a_uu(data[at : at + 45]).rstrip(b"\n") for at in range(0, len(data), 45)]
    return newline.join([b"begin 644 page.html", *lines, b"`", b"end", b""])


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([b"\n", b"\r\n"]))
def test_uuencode_edits_come_back(data: st.DataObject, newline: bytes) -> None:
    text = data.draw(st.binary(max_size=300))
    raw = b"hello\n" + uuencoded(text, newline)
    assert decode_uuencode(raw) == text
    edits = data.draw(edits_on(text))
    after = applied(child(raw, Coding.UUENCODE, text), edits)
    assert decode_uuencode(after) == splice(text, edits)
    assert longest_line(after) <= max(longest_line(raw), 62)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_uuencode_reads_anything(raw: bytes) -> None:
    decoded = decode_uuencode(raw)
    source = child(raw, Coding.UUENCODE, decoded)
    if decoded:
        assert decode_uuencode(applied(source, [Edit(0, 1, b"Z")])) == b"Z" + decoded[1:]


@settings(deadline=None)
@given(st.data())
def test_data_url_edits_come_back(data: st.DataObject) -> None:
    text = data.draw(st.binary(max_size=200))
    escaped = data.draw(st.booleans())
    raw = base64.b64encode(text)
    if escaped:
        raw = raw.replace(b"+", b"%2B").replace(b"=", b"%3d").replace(b"Q", b"%51")
    assert decode_data_url_base64(raw) == text
    edits = data.draw(edits_on(text))
    after = applied(child(raw, Coding.DATA_URL_BASE64, text, tail=b'">'), edits)
    assert decode_data_url_base64(after) == splice(text, edits)
    assert b"\n" not in after


def test_data_url_in_utf_16_is_written_in_utf_16() -> None:
    text = b"<svg><image href='http://spy.example/x'/></svg>"
    raw = base64.b64encode(text).decode().encode("utf-16-le")
    after = applied(child(raw, Coding.DATA_URL_BASE64, text), [Edit(0, 4, b"<SVG")])
    assert base64.b64decode(after.decode("utf-16-le")) == b"<SVG" + text[4:]


def test_gzip_comes_back_the_same_every_time() -> None:
    text = b"<svg>" + b"<image href='http://spy.example/x'/>" * 50 + b"</svg>"
    compressor = zlib.compressobj(wbits=31)
    packed = Source(compressor.compress(text) + compressor.flush())
    source, defects = decompress_gzip(packed, Limits())
    assert source is not None
    assert (source.data, defects) == (text, [])
    once, twice = (applied(source, [Edit(0, 5, b"<SVG>")]) for _ in range(2))
    assert once == twice
    assert zlib.decompress(once, 31) == b"<SVG>" + text[5:]


def test_gzip_keeps_bombs_small_and_what_precedes_damage() -> None:
    compressor = zlib.compressobj(9, wbits=31)
    bomb = compressor.compress(bytes(10_000_000)) + compressor.flush()
    assert decompress_gzip(Source(bomb), Limits(max_part_bytes=1_000_000)) == (None, [Defect.TOO_LARGE])
    cut, defects = decompress_gzip(Source(bomb[:2000]), Limits())
    assert cut is not None
    assert len(cut.data) > 100_000
    assert defects == [Defect.MALFORMED_CONTAINER]
    assert decompress_gzip(Source(b"\x1f\x8bnonsense"), Limits()) == (None, [Defect.MALFORMED_CONTAINER])


# --- readings of a body ----------------------------------------------------------------------------------


def codings(part: Part) -> list[Coding]:
    return [source.coding for source in decode_body(part, Limits())[0]]


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", ""])
def test_plain_encodings_are_the_bytes_themselves(encoding: str) -> None:
    part = leaf(b"<p>=3D\xff\0</p>", encoding, lead=b"A: b\r\n\r\n")
    (source,), defects = decode_body(part, Limits())
    assert (source.coding, source.data, source.span) == (Coding.IDENTITY, b"<p>=3D\xff\0</p>", part.body_span)
    assert defects == []
    assert encode_edits(source, [Edit(0, 3, b"<P>")]) == [Edit(8, 11, b"<P>")]


def test_mislabelled_bodies_are_read_as_what_they_are_too() -> None:
    assert codings(leaf(b"<p>Hello</p>\r\n", "base64")) == [Coding.BASE64, Coding.IDENTITY]
    assert codings(leaf(b"<a href=http://x/><b id=xx>=41", "quoted-printable")) == [
        Coding.QUOTED_PRINTABLE,
        Coding.IDENTITY,
    ]
    assert codings(leaf(b"PGltZyBzcmM9J2h0dHA6Ly94Lyc+\r\n", "base-64")) == [Coding.IDENTITY, Coding.BASE64]
    assert codings(leaf(b"<img src=3D'http://x/'>", "x-qp")) == [Coding.IDENTITY, Coding.QUOTED_PRINTABLE]
    assert codings(leaf(uuencoded(b"<p>"), "x-uuencode")) == [Coding.UUENCODE, Coding.IDENTITY]


def test_a_body_that_decodes_to_itself_is_written_encoded() -> None:
    raw = b"<img src=http://x/>"
    for encodings in (["quoted-printable"], ["7bit", "quoted-printable"]):
        (source,), _ = decode_body(leaf(raw, *encodings), Limits())
        assert applied(source, [Edit(9, 18, b"data:,")]) == b"<img src=3Ddata:,>"


def test_good_bodies_have_one_reading() -> None:
    assert codings(leaf(base64_lines(b"<p>" * 100, 76, b"\r\n"), "base64")) == [Coding.BASE64]
    assert codings(leaf(quopri.encodestring(b"<p class='\xe4'>" * 20), "quoted-printable")) == [
        Coding.QUOTED_PRINTABLE
    ]


def test_several_labels_are_all_honoured() -> None:
    raw = base64_lines(b"<img src='http://x/'>", 76, b"\r\n")
    assert codings(leaf(raw, "7bit", "base64")) == [Coding.IDENTITY, Coding.BASE64]


def test_unknown_labels_are_named() -> None:
    assert Defect.UNKNOWN_TRANSFER_ENCODING in decode_body(leaf(b"x", "x-foo"), Limits())[1]


def test_too_large_bodies_have_no_source() -> None:
    assert decode_body(leaf(b"x" * 101, "7bit"), Limits(max_part_bytes=100)) == ([], [Defect.TOO_LARGE])
    assert decode_body(leaf(b"x" * 100, "7bit"), Limits(max_part_bytes=100))[0]


@settings(deadline=None)
@given(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from(["7bit", "base64", "quoted-printable", "x-uuencode", "x-what", ""]),
        max_size=3,
        unique=True,
    ),
)
@example(b"=", ["quoted-printable"])
def test_any_body_can_be_read_and_edited(raw: bytes, encodings: list[str]) -> None:
    part = leaf(raw, *encodings, lead=b"X: y\n\n")
    sources, _ = decode_body(part, Limits())
    assert sources
    for source in sources:
        middle = len(source.data) // 2
        edits = encode_edits(source, [Edit(middle, len(source.data), b"abc"), Edit(0, 0, b"x")])
        assert all(6 <= edit.start <= edit.end <= len(part.source.data) for edit in edits)


def test_an_edit_outside_its_source_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        encode_edits(child(b"abc", Coding.IDENTITY, b"abc"), [Edit(2, 9, b"x")])
    with pytest.raises(ValueError, match="nothing"):
        encode_edits(Source(b"abc"), [Edit(0, 1, b"x")])


# --- places ----------------------------------------------------------------------------------------------


def test_places_lead_through_all_layers() -> None:
    html = b"<p>=E4=\r\n<img src=3D'http://x/'>"
    inner = b"Subject: in\r\n\r\n" + html
    outer = b"Subject: out\r\n\r\n" + base64_lines(inner, 76, b"\r\n")
    message = Source(outer)
    decoded = Source(inner, message, Span(16, len(outer)), Coding.BASE64)
    page = Source(plainly_decoded(html), decoded, Span(15, len(inner)), Coding.QUOTED_PRINTABLE)
    start = page.data.index(b"http")
    assert place_in_message(decoded, 0, 3) == Span(16, 20)
    span = place_in_message(page, start, start + 9)
    assert b"http://x/" in base64.b64decode(outer[span.start : span.end])
    assert place_all([(page, start, start + 9), (message, 3, 5)]) == [span, Span(3, 5)]


# --- time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", [Coding.QUOTED_PRINTABLE, Coding.BASE64, Coding.IDENTITY, Coding.UUENCODE])
def test_many_edits_take_linear_time(coding: Coding) -> None:
    line = b"<td class='x'><img src='http://spy.example/pixel.gif?user=1'></td> and some words to read here\n"
    text = line * 20_000
    raw = {
        Coding.QUOTED_PRINTABLE: encode_quoted_printable,
        Coding.BASE64: lambda data, newline: base64_lines(data, 76, newline),
        Coding.IDENTITY: lambda data, newline: data,
        Coding.UUENCODE: uuencoded,
    }[coding](text, b"\n")
    source = child(raw, coding, text)
    at = line.index(b"http")
    edits = [Edit(at + n * len(line), at + n * len(line) + 36, URL) for n in range(20_000)]
    started = time.process_time()
    encoded = encode_edits(source, edits)
    assert time.process_time() - started < 2
    assert len(encoded) >= 1


@pytest.mark.parametrize(
    "piece",
    [
        b"=",
        b"= ",
        b"=\r",
        b"=4",
        b"=3D",
        b"A=",
        b"A",
        b"!",
        b"A!",
        b" ",
        b"\t= ",
        b"begin 644 x",
        b"\n",
        b"M",
        b"Q=\n",
    ],
)
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-uuencode", "x-unknown"])
def test_hostile_bodies_take_linear_time(piece: bytes, encoding: str) -> None:
    raw = piece * (300_000 // len(piece))
    started = time.process_time()
    for source in decode_body(leaf(raw, encoding), Limits())[0]:
        size = len(source.data)
        encode_edits(source, [Edit(at, min(at + 2, size), URL) for at in range(0, size, max(3, size // 50))])
        place_in_message(source, 0, size)
    assert time.process_time() - started < 2
