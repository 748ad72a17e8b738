"""Authentication-Results: whatever servers write is read, and nothing makes the parser fail or slow.

Setup: fields as RFC 8601, Microsoft, Google and others write them, mutilated ones, and generated text.
Test: authserv-id, methods, results and properties come out; oddities are named; time is linear.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.authentication.results import MAX_RESULTS, Oddity, parse_authentication_results


def pairs(value: str) -> list[tuple[str, str]]:
    return [(each.method, each.result) for each in parse_authentication_results(value).results]


def test_an_example_of_the_standard() -> None:
    found = parse_authentication_results(
        'example.com 1; auth=pass (cram-md5) smtp.auth=sender@example.net; spf=pass reason="all is (well)"\r\n'
        "\tsmtp.mailfrom = example.net (a comment (in a comment) \\) still); dkim/1=fail"
    )
    assert (found.authserv_id, found.version, found.instance) == ("example.com", "1", 0)
    assert [tuple(each) for each in found.results] == [
        ("auth", "", "pass", "", (("smtp.auth", "sender@example.net"),)),
        ("spf", "", "pass", "all is (well)", (("smtp.mailfrom", "example.net"),)),
        ("dkim", "1", "fail", "", ()),
    ]
    assert found.comments == ("cram-md5", "a comment (in a comment) \\) still")
    assert found.oddities == ()


def test_microsoft_writes_no_authserv_id() -> None:
    found = parse_authentication_results(
        "spf=pass (sender IP is 192.0.2.1)\r\n smtp.mailfrom=example.org; dkim=pass (signature was verified)\r\n"
        " header.d=example.org;dmarc=bestguesspass action=none\r\n header.from=example.org;compauth=pass reason=109"
    )
    assert found.authserv_id == ""
    assert found.oddities == (Oddity.NO_AUTHSERV_ID,)
    assert [(each.method, each.result) for each in found.results] == [
        ("spf", "pass"), ("dkim", "pass"), ("dmarc", "bestguesspass"), ("compauth", "pass"),
    ]  # fmt: skip
    assert found.results[2].properties == (("action", "none"), ("header.from", "example.org"))
    assert found.results[3].reason == "109"


@pytest.mark.parametrize(
    ("value", "authserv_id", "expected"),
    [
        ("mx.example; none", "mx.example", []),
        ("none", "", []),
        ("", "", []),
        (";;;", "", []),
        ("MX.Example; SPF=Pass", "mx.example", [("spf", "pass")]),
        ('"mx example"; spf=pass', "mx example", [("spf", "pass")]),
        (
            "mx.example dkim=pass header.i=@x.example; spf=none",
            "mx.example",
            [("dkim", "pass"), ("spf", "none")],
        ),
        ("mx.example (a) 1 (b) ; spf = (c) pass", "mx.example", [("spf", "pass")]),
        ("mx.example; spf=pass smtp.mailfrom=; dkim=fail", "mx.example", [("spf", "pass"), ("dkim", "fail")]),
        ("mx.example; spf", "mx.example", []),
        ("mx.example; =pass", "mx.example", []),
        ("mx.example; spf=", "mx.example", [("spf", "")]),
        ("mx.example; spf=pass (never closed; dkim=pass", "mx.example", [("spf", "pass")]),
        ('mx.example; spf=pass reason="never closed; dkim=pass', "mx.example", [("spf", "pass")]),
        ("mx.example; a=b;\0\x80\xff=c", "mx.example", [("a", "b"), ("\0\x80\xff", "c")]),
    ],
)
def test_what_is_there_is_taken(value: str, authserv_id: str, expected: list[tuple[str, str]]) -> None:
    assert parse_authentication_results(value).authserv_id == authserv_id
    assert pairs(value) == expected


def test_an_equals_sign_in_a_value_belongs_to_it() -> None:
    found = parse_authentication_results("mx; dkim=pass header.b=AbC/d+e== header.d=x.example")
    assert found.results[0].properties == (("header.b", "AbC/d+e=="), ("header.d", "x.example"))


def test_an_empty_value_does_not_swallow_the_next_property() -> None:
    found = parse_authentication_results("mx; spf=none smtp.mailfrom= smtp.helo=h.example")
    assert found.results[0].properties == (("smtp.mailfrom", ""), ("smtp.helo", "h.example"))


def test_a_quoted_result_is_no_hiding_place() -> None:
    """What looks like a result within a quoted string or comment is none."""
    assert pairs('mx; spf=fail reason="; dmarc=pass" (; dkim=pass)') == [("spf", "fail")]


def test_an_arc_set_has_its_number() -> None:
    found = parse_authentication_results(
        "i=2; mx.google.com;\r\n dkim=pass header.i=@x.example; arc=pass (i=1)"
    )
    assert (found.instance, found.authserv_id) == (2, "mx.google.com")
    assert [each.method for each in found.results] == ["dkim", "arc"]


def test_there_is_an_end_to_results() -> None:
    found = parse_authentication_results("mx" + ";a=b" * 10_000)
    assert len(found.results) == MAX_RESULTS
    assert Oddity.TOO_MANY in found.oddities


@pytest.mark.parametrize(
    "piece", ["(", ")", '"', "\\", ";", "=", "a=", "a.b=c ", "(\\", '"\\', " ", "i=1;", "a"]
)
def test_length_alone_makes_nothing_slow(piece: str) -> None:
    """Quadratic time would be felt here: the pieces make 300 kB."""
    parse_authentication_results("mx; spf=pass " + piece * (300_000 // len(piece)))


@given(st.text(alphabet=st.sampled_from('aB1.=;"()\\/ \t\r\n@-_é\0'), max_size=200) | st.text(max_size=200))
def test_nothing_makes_it_fail(value: str) -> None:
    found = parse_authentication_results(value)
    assert len(found.results) <= MAX_RESULTS
    assert found.authserv_id == found.authserv_id.lower()


NAMES = st.from_regex(r"[a-z]{1,8}(-[a-z]{1,4})?", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9@./+-]{1,20}", fullmatch=True)
PROPERTIES = st.lists(st.tuples(st.sampled_from(["smtp", "header", "policy"]), NAMES, VALUES), max_size=4)
BLANK = st.sampled_from(["", " ", "\r\n\t", " (c) ", "(a (b) c)"])


@given(VALUES, st.lists(st.tuples(NAMES, NAMES, PROPERTIES), min_size=1, max_size=6), BLANK)
def test_what_is_written_by_the_standard_is_read_as_meant(
    authserv_id: str, wanted: list[tuple[str, str, list[tuple[str, str, str]]]], blank: str
) -> None:
    value = authserv_id + "".join(
        f"{blank};{blank}{method}{blank}={blank}{result}"
        + "".join(f" {kind}.{name}{blank}={text}" for kind, name, text in properties)
        for method, result, properties in wanted
    )
    found = parse_authentication_results(value)
    assert found.authserv_id == authserv_id.lower()
    assert [(each.method, each.result) for each in found.results] == [each[:2] for each in wanted]
    assert [each.properties for each in found.results] == [
        tuple((f"{kind}.{name}", text) for kind, name, text in properties) for _, _, properties in wanted
    ]
    assert found.oddities == ()
