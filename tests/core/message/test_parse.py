"""The structure of messages, whole and broken, under every reading that clients have of it."""

from __future__ import annotations

import base64

import pytest

from mailveil.core.message.parse import parse_decoded, parse_entity, parse_message
from mailveil.core.message.types import Coding, Defect, Limits, Message, Part, Source, Span

Shape = tuple[object, ...]


def crlf(text: str) -> bytes:
    """Return a message written with plain newlines as it comes over the wire."""
    return text.replace("\n", "\r\n").encode("latin-1")


def body(part: Part) -> bytes:
    return part.source.data[slice(*part.body_span)]


def shape(part: Part) -> Shape:
    """Return section and type of a part, and its children's shapes or its body."""
    inside: Shape = tuple(shape(child) for child in part.children) if part.children else (body(part),)
    return (part.section, part.media_type, *inside)


def shapes(raw: bytes) -> list[Shape]:
    return [shape(root) for root in parse_message(raw).readings]


def leaves(message: Message) -> set[tuple[str, bytes]]:
    """Return type and body of every leaf of every reading."""
    return {(part.media_type, body(part)) for part in message.walk() if not part.children}


def html_leaves(raw: bytes) -> set[bytes]:
    return {content for media_type, content in leaves(parse_message(raw)) if media_type == "text/html"}


NESTED = crlf("""Content-Type: multipart/mixed; boundary=out

preamble
--out
Content-Type: multipart/alternative; boundary="in"

--in

plain
--in
Content-Type: text/html

<p>html
--in--
--out
Content-Type: image/png
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="a.png"
Content-ID: <x@y>

AAAA
--out--
epilogue
""")


def test_nested_multiparts():
    message = parse_message(NESTED)
    assert len(message.readings) == 1
    assert message.defects == ()
    assert message.newline == b"\r\n"
    assert shape(message.root) == (
        "",
        "multipart/mixed",
        ("1", "multipart/alternative", ("1.1", "text/plain", b"plain"), ("1.2", "text/html", b"<p>html")),
        ("2", "image/png", b"AAAA"),
    )
    picture = message.root.children[1]
    assert picture.transfer_encodings == ("base64",)
    assert (picture.disposition, picture.filename, picture.content_id) == ("attachment", "a.png", "x@y")
    assert NESTED[slice(*picture.header_span)].startswith(b"Content-Type: image/png")
    assert NESTED[slice(*picture.header_span)].endswith(b"\r\n\r\n")


def test_line_feeds_alone_come_to_the_same():
    with_lf = NESTED.replace(b"\r\n", b"\n")
    assert shapes(with_lf) == shapes(NESTED)
    assert parse_message(with_lf).newline == b"\n"
    assert parse_message(with_lf).defects == ()


def test_a_message_that_is_not_multipart_has_section_1():
    assert shapes(b"Subject: x\r\n\r\nhello") == [("1", "text/plain", b"hello")]


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n", b"A: b", b"\0", b"\r", b"--", b"Content-Type: multipart/mixed"]
)
def test_hardly_anything_is_a_message_too(raw: bytes):
    message = parse_message(raw)
    assert message.root.section == "1"
    assert message.root.span == Span(0, len(raw))


def test_a_message_within_a_message():
    raw = crlf("""Content-Type: multipart/mixed; boundary=b

--b
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/mixed; boundary=c

--c

one
--c--
--b
Content-Type: message/rfc822

Subject: simple

two
--b--
""")
    assert shapes(raw) == [
        (
            "",
            "multipart/mixed",
            ("1", "message/rfc822", ("1.TEXT", "multipart/mixed", ("1.1", "text/plain", b"one"))),
            ("2", "message/rfc822", ("2.1", "text/plain", b"two")),
        )
    ]


@pytest.mark.parametrize("media_type", ["message/rfc822", "message/global", "Message/RFC822", "message/news"])
def test_messages_of_any_type_are_opened(media_type: str):
    raw = f"Content-Type: {media_type}\r\n\r\nContent-Type: text/html\r\n\r\n<p>".encode()
    assert shapes(raw) == [("1", media_type.lower(), ("1.1", "text/html", b"<p>"))]


def test_a_digest_holds_messages():
    raw = crlf("""Content-Type: multipart/digest; boundary=b

--b

Subject: inner

one
--b
Content-Type: text/plain

two
--b--
""")
    assert shapes(raw) == [
        (
            "",
            "multipart/digest",
            ("1", "message/rfc822", ("1.1", "text/plain", b"one")),
            ("2", "text/plain", b"two"),
        )
    ]


def test_an_encoded_message_is_left_to_be_decoded():
    inner = base64.b64encode(b"Content-Type: text/html\r\n\r\n<p>")
    raw = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + inner
    message = parse_message(raw)
    assert shape(message.root) == ("1", "message/rfc822", inner)
    source = Source(base64.b64decode(inner), message.source, message.root.body_span, Coding.BASE64)
    decoded = parse_entity(source, message.root.section)
    assert shape(decoded.root) == ("1.1", "text/html", b"<p>")
    assert decoded.root.source is source


def test_a_message_that_only_claims_to_be_encoded_is_read_both_ways():
    raw = crlf("""Content-Type: message/rfc822
Content-Transfer-Encoding: quoted-printable

Content-Type: text/html

<p>
""")
    message = parse_message(raw)
    assert [bool(root.children) for root in message.readings] == [False, True]
    assert Defect.AMBIGUOUS_TRANSFER_ENCODING in message.defects


def test_an_encoded_multipart_is_read_after_decoding():
    inner = crlf("--b\nContent-Type: text/html\n\n<p>\n--b--\n")
    raw = crlf("Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n")
    raw += base64.b64encode(inner)
    message = parse_message(raw)
    root = message.root
    assert root.media_type == "text/plain"
    assert "multipart/mixed" in root.declared_types
    assert root.transfer_encodings == ("base64",)
    decoded = parse_decoded(Source(inner, message.source, root.body_span, Coding.BASE64), root)
    assert shape(decoded.root.children[0])[1:] == ("text/html", b"<p>")
    assert decoded.root.transfer_encodings == ("7bit",)


def test_a_decoded_message_part_is_an_entity():
    part = parse_message(
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ=="
    ).root
    decoded = parse_decoded(Source(b"Content-Type: text/html\r\n\r\n<p>"), part)
    assert shape(decoded.root) == ("1.1", "text/html", b"<p>")


# Boundaries.


def two_parts(content_type: str, boundary: str, tail: str = "") -> bytes:
    return crlf(
        f"Content-Type: {content_type}\n\n--{boundary}{tail}\nContent-Type: text/html\n\n<p>\n"
        f"--{boundary}{tail}\n\nplain\n--{boundary}--{tail}\n"
    )


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/mixed; boundary=abc", "abc"),
        ('multipart/mixed; boundary="abc"', "abc"),
        ('multipart/mixed; boundary="a b:c=?/"', "a b:c=?/"),
        ("multipart/mixed; boundary=----=_Next:Part/1", "----=_Next:Part/1"),
        ("multipart/mixed; boundary=abc (a comment)", "abc"),
        ("multipart/mixed; boundary=a(b)c", "a(b)c"),
        ('multipart/mixed; boundary="abc  "', "abc"),
        ("multipart/mixed; boundary=abc; boundary=other", "abc"),
        ("multipart/mixed; boundary=other; boundary=abc", "abc"),
        ("multipart/mixed; boundary*0=ab; boundary*1=c", "abc"),
        ("multipart/mixed; boundary*=us-ascii''abc", "abc"),
        ('multipart/mixed; boundary="abc', "abc"),
        ("multipart/mixed; boundary='abc'", "abc"),
        ("multipart/mixed; boundary='abc'", "'abc'"),
        ("multipart/mixed boundary=abc", "abc"),
        ("multipart/mixed; boundary=abc charset=utf-8", "abc"),
        ("multipart; boundary=abc", "abc"),
        ("multipart/mixed;\n\tboundary=abc", "abc"),
        ('multipart/mixed;\n boundary="' + "x" * 900 + '"', "x" * 900),
        ("multipart/mixed; BOUNDARY=abc", "abc"),
        ("multipart/mixed; boundary=\xe9", "\xe9"),
        ("multipart/mixed", "guessed"),
        ("multipart/mixed; boundary=", "guessed"),
        ("multipart/mixed; boundary=never", "guessed"),
        ('multipart/mixed; boundary=""', ""),
    ],
)
def test_the_boundary_is_found_in_some_reading(content_type: str, boundary: str):
    raw = two_parts(content_type, boundary)
    assert b"<p>" in html_leaves(raw)
    assert b"<p>" in html_leaves(raw.replace(b"\r\n", b"\n"))


def test_a_boundary_that_is_there_comes_before_one_that_is_not():
    message = parse_message(two_parts("multipart/mixed; boundary=other; boundary=abc", "abc"))
    assert len(message.root.children) == 2
    assert message.root.boundary == b"abc"
    # To a client that takes the first, there are no parts: it shows the body as it stands.
    assert [bool(root.children) for root in message.readings] == [True, False]


def test_two_boundaries_that_are_both_there_are_both_read():
    raw = crlf("""Content-Type: multipart/mixed; boundary=a; boundary=b

--a
Content-Type: text/html

<p>a
--b
Content-Type: text/html

<p>b
--b--
--a--
""")
    message = parse_message(raw)
    assert {b"<p>b"} < html_leaves(raw)
    assert {root.boundary for root in message.readings} == {b"a", b"b"}
    assert message.root.boundary == b"a"
    assert Defect.AMBIGUOUS_BOUNDARY in message.defects


def test_without_a_boundary_the_body_is_text():
    raw = crlf("Content-Type: multipart/mixed\n\n<p>hello\n")
    root = parse_message(raw).root
    assert (root.section, root.media_type, root.children) == ("1", "text/plain", ())
    assert set(root.declared_types) == {"text/html", "multipart/mixed"}
    assert Defect.MISSING_BOUNDARY in root.defects


def test_a_boundary_never_used_is_told():
    message = parse_message(crlf("Content-Type: multipart/mixed; boundary=b\n\nhello\n"))
    assert message.defects == (Defect.BOUNDARY_NEVER_USED,)
    assert message.root.media_type == "text/plain"


@pytest.mark.parametrize("tail", [" ", "\t \t", "  "])
def test_white_space_after_a_boundary_does_not_count(tail: str):
    raw = two_parts("multipart/mixed; boundary=b", "b", tail)
    message = parse_message(raw)
    assert [child.media_type for child in message.root.children] == ["text/html", "text/plain"]
    assert len(message.readings) == 1


def test_a_delimiter_line_that_goes_on_is_one_to_some():
    raw = crlf("""Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

one
--bJUNK
Content-Type: text/html

<p>
--b--
""")
    first, second = shapes(raw)
    assert len(first) == 3
    assert second[3] == ("2", "text/html", b"<p>")


def test_a_boundary_that_begins_like_the_one_around_it():
    raw = crlf("""Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/alternative; boundary=bb

--bb
Content-Type: text/html

<p>
--bb--
--b
Content-Type: text/html

<q>
--b--
""")
    assert shapes(raw)[0] == (
        "",
        "multipart/mixed",
        ("1", "multipart/alternative", ("1.1", "text/html", b"<p>")),
        ("2", "text/html", b"<q>"),
    )


def test_nested_multiparts_of_one_boundary_are_read_from_outside_and_from_inside():
    raw = crlf("""Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/html

<p>
--b--
--b
Content-Type: text/html

<q>
--b--
""")
    message = parse_message(raw)
    inner = [root for root in message.readings if root.children[0].children]
    assert [shape(root) for root in inner] == [
        (
            "",
            "multipart/mixed",
            ("1", "multipart/alternative", ("1.1", "text/html", b"<p>")),
            ("2", "text/html", b"<q>"),
        )
    ]
    assert html_leaves(raw) == {b"<p>", b"<q>"}


def test_a_missing_end_is_told_and_the_last_part_kept():
    raw = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n")
    message = parse_message(raw)
    assert shape(message.root)[2:] == (("1", "text/plain", b"one"), ("2", "text/plain", b"two\r\n"))
    assert message.defects == (Defect.MISSING_END_BOUNDARY,)


def test_an_inner_multipart_without_an_end_ends_with_the_outer_part():
    raw = crlf("""Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/mixed; boundary=b

--b

one
--a

two
--a--
""")
    assert shapes(raw) == [
        (
            "",
            "multipart/mixed",
            ("1", "multipart/mixed", ("1.1", "text/plain", b"one")),
            ("2", "text/plain", b"two"),
        )
    ]


def test_parts_after_the_end_are_parts_to_some():
    raw = crlf("""Content-Type: multipart/mixed; boundary=b

--b

one
--b--
--b
Content-Type: text/html

<p>
--b--
""")
    assert b"<p>" in html_leaves(raw)
    assert len(parse_message(raw).root.children) == 1


def test_an_end_before_any_beginning():
    raw = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b--\nContent-Type: text/html\n\n<p>\n--b--\n")
    assert b"<p>" in html_leaves(raw)


def test_preamble_and_epilogue_are_shown_by_some():
    raw = crlf("Content-Type: multipart/mixed; boundary=b\n\n<pre>\n--b\n\none\n--b--\n<epi>\n")
    message = parse_message(raw)
    assert shape(message.readings[1]) == (
        "",
        "multipart/mixed",
        ("0", "text/plain", b"<pre>"),
        ("1", "text/plain", b"one"),
        ("2", "text/plain", b"<epi>\r\n"),
    )
    assert message.readings[1].children[0].declared_types == ("text/html",)
    assert message.defects == ()


def test_a_preamble_without_markup_is_nobodys_concern():
    raw = crlf("Content-Type: multipart/mixed; boundary=b\n\nThis is MIME.\n--b\n\none\n--b--\n")
    assert len(parse_message(raw).readings) == 1


# Line breaks.


def test_a_bare_cr_is_a_line_break_to_some():
    raw = b"Subject: x\rContent-Type: text/html\r\n\r\n<p>"
    message = parse_message(raw)
    assert [root.media_type for root in message.readings] == ["text/plain", "text/html"]
    assert Defect.BARE_CR in message.defects


def test_a_delimiter_after_a_bare_cr():
    raw = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n")
    raw += b"x\r--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n"
    assert b"<p>" in html_leaves(raw)


def test_a_message_of_bare_crs():
    assert b"<p>" in html_leaves(two_parts("multipart/mixed; boundary=b", "b").replace(b"\r\n", b"\r"))


def test_a_bare_lf_among_crlf_is_no_line_break_to_some():
    raw = b"Subject: x\nContent-Type: text/html\r\n\r\n<p>"
    message = parse_message(raw)
    assert [root.media_type for root in message.readings] == ["text/html", "text/plain"]
    assert Defect.BARE_LF in message.defects


def test_a_delimiter_after_a_bare_lf():
    raw = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n")
    raw += b"x\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n"
    assert [len(root.children) for root in parse_message(raw).readings] == [2, 1]


def test_lines_that_end_in_two_crs():
    assert b"<p>" in {
        content.rstrip() for content in html_leaves(b"A: b\r\r\nContent-Type: text/html\r\r\n\r\r\n<p>\r\r\n")
    }


def test_nul_and_overlong_lines_are_told():
    message = parse_message(b"A: b\r\n\r\n\0" + b"x" * 1100)
    assert message.defects == (Defect.NUL, Defect.OVERLONG_LINE)
    assert Defect.OVERLONG_LINE not in parse_message(b"A: b\r\n\r\n" + b"x" * 998 + b"\r\n").defects


# Fields.


def test_repeated_content_types_are_all_told():
    raw = b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n<p>"
    root = parse_message(raw).root
    assert (root.media_type, root.declared_types) == ("text/plain", ("text/html",))
    assert root.defects == (Defect.DUPLICATE_FIELD,)


def test_repeated_content_types_with_different_structures_are_read_each():
    raw = two_parts("multipart/mixed; boundary=b", "b")
    for order in (
        b"Content-Type: text/plain\r\n" + raw,
        raw.replace(b"\r\n", b"\r\nContent-Type: text/plain\r\n", 1),
    ):
        message = parse_message(order)
        assert sorted(len(root.children) for root in message.readings) == [0, 2]


def test_repeated_transfer_encodings_are_all_told():
    raw = b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\nPHA+"
    root = parse_message(raw).root
    assert root.transfer_encodings == ("base64", "7bit")
    assert root.defects == (Defect.DUPLICATE_FIELD, Defect.AMBIGUOUS_TRANSFER_ENCODING)


def test_a_space_before_the_colon():
    raw = b"Subject: x\r\nContent-Type : text/html\r\n\r\n<p>"
    message = parse_message(raw)
    assert message.root.media_type == "text/html"
    assert Defect.MALFORMED_FIELD in message.defects


def test_a_header_without_an_empty_line():
    raw = b"Content-Type: text/html\r\n<img src='https://x.example/'>\r\n"
    message = parse_message(raw)
    assert (("text/html"), b"<img src='https://x.example/'>\r\n") in leaves(message)
    assert Defect.HEADER_WITHOUT_BODY in message.defects


def test_a_body_without_a_header():
    assert ("text/plain", b"<img src=x>") in leaves(parse_message(b"<img src=x>"))
    assert ("text/html", b"<p>") in leaves(parse_message(b"\r\nContent-Type: text/html\r\n\r\n<p>"))


def test_junk_lines_before_the_header():
    raw = b"junk\r\nmore junk\r\nContent-Type: text/html\r\n\r\n<p>"
    assert ("text/html", b"<p>") in leaves(parse_message(raw))


@pytest.mark.parametrize("first", [b"From x@y.example Mon Jan  1 00:00:00 2024\r\n", b"\xef\xbb\xbf"])
def test_what_stands_before_the_first_field(first: bytes):
    raw = first + b"Content-Type: text/html\r\n\r\n<p>"
    assert shapes(raw) == [("1", "text/html", b"<p>")]


def test_a_file_name_is_decoded():
    raw = b'Content-Type: text/html; name="=?utf-8?q?caf=C3=A9.html?="\r\n\r\n'
    assert parse_message(raw).root.filename == "café.html"
    raw = b"Content-Disposition: attachment; filename*=utf-8''caf%C3%A9.html\r\n\r\n"
    assert parse_message(raw).root.filename == "café.html"


def test_nonsense_types_are_text():
    root = parse_message(b"Content-Type: html\r\n\r\n<p>").root
    assert (root.media_type, root.declared_types) == ("text/plain", ("text/html",))
    assert root.defects == (Defect.MALFORMED_CONTENT_TYPE,)


def test_text_that_looks_like_a_multipart_is_text():
    raw = two_parts("text/plain", "b")
    assert [len(root.children) for root in parse_message(raw).readings] == [0]


# Limits.


def test_parts_beyond_the_limit_are_one_part_that_nobody_has_looked_into():
    raw = crlf("Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nx\n" * 20 + "--b--\n")
    message = parse_message(raw, Limits(max_parts=5))
    examined = [part.examined for part in message.root.children]
    assert examined == [True, True, True, True, False]
    rest = message.root.children[-1]
    assert rest.span == rest.body_span == Span(rest.span.start, len(raw))
    assert rest.defects == (Defect.TOO_MANY_PARTS,)
    assert body(rest).count(b"--b\r\n") == 15
    assert Defect.TOO_MANY_PARTS in message.defects


@pytest.mark.parametrize("depth", [1, 3])
def test_nesting_beyond_the_limit_is_a_part_that_nobody_has_looked_into(depth: int):
    raw = b""
    for level in range(10):
        raw += crlf(f"Content-Type: multipart/mixed; boundary=b{level}x\n\n--b{level}x\n")
    message = parse_message(raw, Limits(max_nesting=depth))
    deepest = [part for part in message.walk() if not part.children]
    assert [part.examined for part in deepest] == [False]
    assert deepest[0].section == ".".join(["1"] * depth)
    assert deepest[0].media_type == "multipart/mixed"
    assert Defect.TOO_DEEP in message.defects


def test_messages_within_messages_count_as_nesting():
    raw = b"Content-Type: message/rfc822\r\n\r\n" * 10
    parts = parse_message(raw, Limits(max_nesting=3)).walk()
    assert [part.examined for part in parts] == [True, True, True, False]


def test_a_header_beyond_the_limit_makes_a_part_that_nobody_has_looked_into():
    raw = b"A: b\r\n" * 50 + b"Content-Type: text/html\r\n\r\n<p>"
    root = parse_message(raw, Limits(max_header_bytes=100)).root
    assert not root.examined
    assert root.defects == (Defect.TOO_LARGE,)
    assert body(root) == b"<p>"


def test_more_readings_than_are_looked_into_end_in_one_that_nobody_has_looked_into():
    raw = crlf("""Content-Type: multipart/mixed; boundary=a; boundary=b
junk here

<pre>
--a
Content-Type: text/html

<p>
--aJUNK
Content-Type: text/html

<q>
--a--
--a
Content-Type: text/html

<r>
--b
Content-Type: text/html

<s>
--b--
<epi>
""").replace(b"<q>", b"x\r--a\r\n\r\n<q>")
    message = parse_message(raw)
    assert Defect.TOO_AMBIGUOUS in message.defects
    assert not message.readings[-1].examined
    assert len(message.readings) <= 9
