"""Content-Type, parameters and transfer encodings, in every way that clients read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.media_type import (
    boundary_bytes,
    parse_content_type,
    parse_parameters,
    parse_transfer_encodings,
)


@pytest.mark.parametrize(
    ("value", "media_type", "boundary"),
    [
        ("text/plain", "text/plain", []),
        ("Multipart/Mixed; Boundary=abc", "multipart/mixed", ["abc"]),
        ('multipart/mixed; boundary="a b"', "multipart/mixed", ["a b"]),
        ("multipart/mixed; boundary=----=_Part:1/2?", "multipart/mixed", ["----=_Part:1/2?"]),
        ("multipart/mixed; boundary=a(b)c", "multipart/mixed", ["ac", "a(b)c"]),
        ('multipart/mixed (comment; boundary=no); boundary="x"', "multipart/mixed", ["x", "no)"]),
        ("multipart/mixed; boundary=a; boundary=b", "multipart/mixed", ["a", "b"]),
        ("multipart/mixed; boundary*0=a; boundary*1=b", "multipart/mixed", ["ab"]),
        ("multipart/mixed; boundary*=utf-8''a%20b", "multipart/mixed", ["a b"]),
        ("multipart/mixed; boundary=p; boundary*=''q", "multipart/mixed", ["p", "q"]),
        ('multipart/mixed; boundary="open', "multipart/mixed", ["open"]),
        (r'multipart/mixed; boundary="a\"b"', "multipart/mixed", ['a"b', r"a\"b"]),
        ("multipart/mixed; boundary='q'", "multipart/mixed", ["'q'", "q"]),
        ("multipart/mixed boundary=x", "multipart/mixed", ["x"]),
        ("multipart/mixed; boundary=a charset=b", "multipart/mixed", ["a charset=b", "a"]),
        ("multipart; boundary=x", "multipart/mixed", ["x"]),
        ("multipart/; boundary=x", "multipart/mixed", ["x"]),
        ("; boundary=x", "multipart/mixed", ["x"]),
        ("boundary=x", "multipart/mixed", ["x"]),
        ("multipart/mixed; boundary=", "multipart/mixed", [""]),
        ('"multipart/mixed"; boundary=x', "multipart/mixed", ["x"]),
        ("=?us-ascii?q?multipart/mixed?=; boundary=x", "multipart/mixed", ["x"]),
        ("text / html", "text/html", []),
        ("text/(comment)html", "text/html", []),
        ("text", "", []),
        ("", "", []),
    ],
)
def test_content_type(value: str, media_type: str, boundary: list[str]):
    parsed = parse_content_type(value)
    assert parsed.media_type == media_type
    assert parsed.parameters.readings("boundary") == boundary


def test_html_is_suspected_where_the_type_is_nonsense():
    assert parse_content_type("html").others == ("text/html",)


def test_parameters_of_a_disposition():
    value = "attachment; filename*0*=utf-8''na%C3%AF; filename*1=ve.html; size=3"
    assert parse_parameters(value).values == {"filename": "naïve.html", "size": "3"}


def test_a_forgotten_semicolon_does_not_hide_the_next_parameter():
    assert parse_parameters("text/html; format=flowed charset=utf-7").values["charset"] == "utf-7"


def test_repeated_parameters_are_bounded():
    value = "".join(f"; boundary={number}" for number in range(500))
    assert len(parse_content_type("multipart/mixed" + value).parameters.readings("boundary")) < 10


@pytest.mark.parametrize(
    ("values", "tokens", "unknown", "ambiguous"),
    [
        ([], ("7bit",), False, False),
        (["Base64"], ("base64",), False, False),
        (["quoted-printable", "base64"], ("quoted-printable", "base64"), False, True),
        (["7bit", "8bit"], ("7bit", "8bit"), False, False),
        (["base64 (really)"], ("base64", "7bit"), False, True),
        (["base64;"], ("base64", "7bit"), False, True),
        (["x-rot13"], ("x-rot13", "7bit"), True, False),
        ([""], ("7bit",), True, False),
        (["8 bit"], ("8 bit", "7bit"), True, False),
    ],
)
def test_transfer_encodings(values: list[str], tokens: tuple[str, ...], unknown: bool, ambiguous: bool):
    assert parse_transfer_encodings(values) == (tokens, unknown, ambiguous)


def test_a_boundary_is_the_bytes_that_stood_in_the_field():
    assert boundary_bytes("\xe9 ") == b"\xe9"
    assert boundary_bytes("あ") == "あ".encode()


@given(st.text(alphabet=st.sampled_from("a/;=\"'\\()*0123 \t,boundary\xe9\0%"), max_size=80))
def test_any_value_is_a_content_type(value: str):
    parsed = parse_content_type(value)
    assert parsed.media_type == "" or "/" in parsed.media_type
    assert isinstance(parse_parameters(value).values, dict)
    assert parse_transfer_encodings([value]).tokens
