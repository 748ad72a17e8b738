"""Header fields with their places, and their text for display."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.header import decode_header_text, parse_fields, parse_header
from mailveil.core.message.types import Field, Span


def names(data: bytes, **options: bool) -> list[tuple[str, str]]:
    header = parse_header(data, 0, len(data), **options)
    return [(field.name, field.value) for field in header.fields]


def test_a_field_knows_where_it_and_its_value_stand():
    data = b"Subject: one\r\n two\r\nTo:x\r\n\r\nbody"
    fields, span = parse_fields(data, 0, len(data))
    subject, to = fields
    assert (subject.name, subject.value) == ("subject", "one two")
    assert data[slice(*subject.span)] == b"Subject: one\r\n two\r\n"
    assert data[slice(*subject.value_span)] == b" one\r\n two"
    assert data[slice(*to.value_span)] == b"x"
    assert data[span.end :] == b"body"


def test_a_field_survives_the_way_to_another_process():
    field = Field("to", "x", Span(0, 6), Span(3, 5))
    assert pickle.loads(pickle.dumps(field)) == field
    assert (field.name, field.value, field.span, field.value_span) == ("to", "x", Span(0, 6), Span(3, 5))


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_line_breaks_of_either_kind_end_lines(newline: bytes):
    data = newline.join([b"A: 1", b"B: 2", b"", b"body"])
    header = parse_header(data, 0, len(data))
    assert [field.value for field in header.fields] == ["1", "2"]
    assert data[header.end :] == b"body"
    assert not header.mixed
    assert not header.disputed


def test_a_field_whose_first_line_is_empty_is_folded():
    assert names(b"Subject:\r\n\tfolded\r\n  twice\r\n\r\n") == [("subject", "folded  twice")]


def test_mixed_line_breaks_are_told():
    assert parse_header(b"A: 1\r\nB: 2\nC: 3\r\n\r\n", 0, 22).mixed


def test_a_bare_cr_in_a_field_is_told():
    data = b"A: 1\rB: 2\r\n\r\n"
    header = parse_header(data, 0, len(data))
    assert header.bare_cr
    assert len(header.fields) == 1


def test_white_space_before_the_colon_is_a_field_to_some_and_body_to_others():
    data = b"A: 1\r\nContent-Type : text/html\r\n\r\nbody"
    assert names(data) == [("a", "1"), ("content-type", "text/html")]
    strict = parse_header(data, 0, len(data), strict=True)
    assert data[strict.end :].startswith(b"Content-Type :")
    assert parse_header(data, 0, len(data)).disputed


def test_a_line_without_a_colon_is_skipped_by_some_and_body_to_others():
    data = b"A: 1\r\njunk here\r\nB: 2\r\n\r\nbody"
    assert names(data) == [("a", "1"), ("b", "2")]
    assert names(data, strict=True) == [("a", "1")]


def test_a_line_of_white_space_continues_a_field_or_ends_the_header():
    data = b"A: 1\r\n \r\n more\r\nB: 2\r\n\r\nbody"
    lenient = parse_header(data, 0, len(data))
    assert [field.name for field in lenient.fields] == ["a", "b"]
    assert lenient.fields[0].value.split() == ["1", "more"]
    strict = parse_header(data, 0, len(data), strict=True)
    assert data[strict.end :] == b" more\r\nB: 2\r\n\r\nbody"


def test_text_without_a_header_is_a_body():
    data = b"Hello there,\r\nthis is no header\r\n\r\nX: y\r\n"
    header = parse_header(data, 0, len(data))
    assert header.end == 0
    assert header.disputed
    assert parse_header(data, 0, len(data), strict=True).end > 30


def test_markup_is_no_field_name():
    data = b'<img/src="https://x.example/a">\r\n'
    assert parse_header(data, 0, len(data)).fields == ()


def test_a_leading_empty_line_ends_the_header_or_is_skipped():
    data = b"\r\nContent-Type: text/html\r\n\r\nbody"
    assert parse_header(data, 0, len(data)).end == 2
    assert names(data, strict=True) == [("content-type", "text/html")]


@pytest.mark.parametrize("first", [b"From x@y.example Mon Jan  1\r\n", b">From x\r\n", b"\xef\xbb\xbf"])
def test_an_mbox_line_or_a_byte_order_mark_in_front_is_passed_over(first: bytes):
    data = first + b"A: 1\r\n\r\nbody"
    header = parse_header(data, 0, len(data))
    assert [field.name for field in header.fields] == ["a"]
    assert data[slice(*header.fields[0].span)] == b"A: 1\r\n"
    assert not header.disputed


def test_a_header_without_an_end_is_told():
    header = parse_header(b"A: 1\r\nB: 2", 0, 10)
    assert not header.ended
    assert header.end == 10
    assert header.fields[1].span == Span(6, 10)
    assert header.fields[1].value_span == Span(8, 10)


def test_a_header_beyond_the_limit_is_told_and_its_end_found():
    data = b"A: 1\r\n" * 100 + b"\r\nbody"
    header = parse_header(data, 0, len(data), max_bytes=60)
    assert header.overlong
    assert data[header.end :] == b"body"
    assert len(header.fields) < 11


def test_raw_bytes_of_names_and_values_stay_what_they_are():
    assert names(b"X-A: \xff\x00b\r\n\r\n") == [("x-a", "\xff\x00b")]


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 400))
def test_any_bytes_are_a_header(data: bytes, strict: bool, max_bytes: int):
    header = parse_header(data, 0, len(data), strict=strict, max_bytes=max_bytes)
    assert 0 <= header.end <= len(data)
    before = 0
    for field in header.fields:
        assert before <= field.span.start < field.span.end <= header.end
        assert field.span.start < field.value_span.start <= field.value_span.end <= field.span.end
        before = field.span.end


HEADER_PIECES = st.lists(
    st.sampled_from(
        [b"A", b"Content-Type", b":", b" ", b"\t", b"\r\n", b"\n", b"\r", b"<", b"From ", b"x", b"\0"]
    ),
    max_size=25,
).map(b"".join)


@given(HEADER_PIECES, st.booleans())
def test_fields_of_any_header_stand_in_order_and_within_it(data: bytes, strict: bool):
    header = parse_header(data, 0, len(data), strict=strict)
    before = 0
    for field in header.fields:
        assert before <= field.span.start < field.span.end <= header.end
        assert data[field.span.start : field.value_span.start].rstrip().endswith(b":")
        assert field.span.start < field.value_span.start <= field.value_span.end <= field.span.end
        before = field.span.end


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?caf=C3=A9?=", "café"),
        ("=?UTF-8?B?Y2Fmw6k=?= x", "café x"),
        ("=?utf-8?b?Y2Fmw6k?=", "café"),
        ("=?utf-8?q?a_b?= =?utf-8?q?c?=", "a bc"),
        ("=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=", "café"),
        ("=?utf-8*de?q?x?=", "x"),
        ("=?nonsense?q?=E9?=", "é"),
        ("=?iso-8859-1?q?=E9?= <a@b.example>", "é <a@b.example>"),
        ("=?iso-2022-jp?b?GyRCJCIbKEI=?=", "あ"),
        ("=?utf-8?q?never closed", "=?utf-8?q?never closed"),
        ("caf\xc3\xa9", "café"),
        ("caf\xe9", "caf\xe9"),
    ],
)
def test_encoded_words_become_text(value: str, text: str):
    assert decode_header_text(value) == text


@given(st.text(alphabet=st.sampled_from("=?utf8bqBQ-=_ AF1\xe9"), max_size=60))
def test_any_field_has_a_text(value: str):
    assert isinstance(decode_header_text(value), str)


def test_a_lone_carriage_return_in_the_only_line_is_noticed() -> None:
    header = parse_header(b"Content-Type: x/y\rjunk", 0, 22)
    assert header.bare_cr
    assert header.fields[0].value_span == Span(13, 22)


def test_a_lone_carriage_return_is_noticed_though_a_lone_line_feed_follows() -> None:
    raw = b"Content-Type: x/y\r b\n c\r\n\r\n"
    header = parse_header(raw, 0, len(raw))
    assert header.bare_cr
    assert header.mixed
