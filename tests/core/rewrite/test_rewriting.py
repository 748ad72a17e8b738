"""Rewriting: replacements anywhere, every other byte as it was, no line longer than 998."""

from __future__ import annotations

import base64
import email
import email.policy
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.core.message.edits import splice
from mailveil.core.message.parse import parse_message
from mailveil.core.message.transfer import decode_body
from mailveil.core.message.types import Coding, Edit, Limits, Message, Part, Source, Span
from mailveil.core.rewrite import Replacement, rewrite
from mailveil.core.rewrite.lines import find_overlong

URL = b"https://copies.example/c/" + b"Ab0_" * 10
SPY = b"http://spy.example/p.gif"


def leaves(message: Message) -> list[Part]:
    return [part for part in message.walk() if not part.children]


def replace_spies(message: Message, text: bytes = URL) -> list[Replacement]:
    """Replace the spy's URL in every reading of every leaf."""
    found: list[Replacement] = []
    for part in leaves(message):
        for source in decode_body(part, Limits())[0]:
            at = source.data.find(SPY)
            while at >= 0:
                found.append(Replacement(source, at, at + len(SPY), text))
                at = source.data.find(SPY, at + 1)
    return found


def html_message(body: bytes, encoding: str = "7bit", newline: bytes = b"\r\n") -> bytes:
    lines = [b"From: a@b.example", b"Content-Type: text/html; charset=utf-8"]
    if encoding:
        lines.append(b"Content-Transfer-Encoding: " + encoding.encode())
    return newline.join([*lines, b"", body])


def html_of(raw: bytes) -> bytes:
    """Return the HTML as another parser reads it."""
    message = email.message_from_bytes(raw)
    part = next(part for part in message.walk() if part.get_content_type() == "text/html")
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def longest(raw: bytes) -> int:
    return max(len(line.removesuffix(b"\r")) for line in raw.split(b"\n"))


def test_nothing_to_do_gives_the_very_same_object() -> None:
    raw = html_message(b"<p>")
    assert rewrite(parse_message(raw), []) is raw
    message = parse_message(raw)
    (source,), _ = decode_body(message.root, Limits())
    assert rewrite(message, [Replacement(source, 0, 3, b"<p>")]) is raw


def test_only_the_value_changes() -> None:
    raw = html_message(b"<img src='" + SPY + b"'>\r\n and \xff \r bare")
    message = parse_message(raw)
    after = rewrite(message, replace_spies(message))
    assert after == raw.replace(SPY, URL)


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("encoding", ["quoted-printable", "base64", "7bit", ""])
@pytest.mark.parametrize("where", ["alone", "multipart", "enclosed"])
def test_every_coding_and_place(encoding: str, where: str, newline: bytes) -> None:
    body = newline.join(b"<p>words %d</p><img src='%s'>" % (n, SPY) for n in range(9)) + newline
    coded = {
        "quoted-printable": body.replace(b"=", b"=3D"),
        "base64": base64.encodebytes(body).replace(b"\n", newline),
    }.get(encoding, body)
    raw = html_message(coded, encoding, newline)
    if where != "alone":
        entity = b"Content-Type: message/rfc822" + newline * 2 + raw if where == "enclosed" else raw
        raw = newline.join(
            [
                b"From: b@c.example",
                b"Content-Type: multipart/mixed; boundary=b1",
                b"",
                b"--b1",
                entity,
                b"--b1--",
                b"tail",
            ]
        )
    message = parse_message(raw)
    after = rewrite(message, replace_spies(message))
    assert html_of(after).replace(b"\r\n", b"\n") == html_of(raw).replace(SPY, URL).replace(b"\r\n", b"\n")
    again = parse_message(after)
    assert replace_spies(again) == []
    assert longest(after) <= max(longest(raw), 130)
    if where == "enclosed":
        assert after.endswith(newline + b"--b1--" + newline + b"tail")


def test_readings_of_the_same_bytes_are_brought_together() -> None:
    raw = html_message(base64.encodebytes(b"<img src='" + SPY + b"'>" + b"x" * 500), "base64", b"\n")
    message = parse_message(raw)
    first, second = replace_spies(message), replace_spies(message)
    assert first[0].source is not second[0].source
    assert rewrite(message, first + second) == rewrite(message, first)


def test_sources_within_sources() -> None:
    svg = b"<svg><image href='" + SPY + b"'/></svg>"
    page = (
        b"<img src='data:image/svg+xml;base64," + base64.b64encode(svg) + b"'> and <img src='" + SPY + b"'>"
    )
    raw = html_message(base64.encodebytes(page), "base64", b"\n")
    message = parse_message(raw)
    (body,), _ = decode_body(message.root, Limits())
    start = page.index(b"base64,") + 7
    drawing = Source(svg, body, Span(start, page.index(b"'>")), Coding.DATA_URL_BASE64)
    at = svg.index(SPY)
    replacements = [
        Replacement(drawing, at, at + len(SPY), b"data:,"),
        Replacement(body, page.rindex(SPY), page.rindex(SPY) + len(SPY), URL),
    ]
    after = html_of(rewrite(message, replacements))
    inner = base64.b64encode(svg.replace(SPY, b"data:,"))
    assert after == b"<img src='data:image/svg+xml;base64," + inner + b"'> and <img src='" + URL + b"'>"


def test_foreign_sources_and_places_are_refused() -> None:
    message = parse_message(html_message(b"<p>"))
    with pytest.raises(ValueError, match="not of this message"):
        rewrite(message, [Replacement(Source(b"abc"), 0, 1, b"x")])
    with pytest.raises(ValueError, match="outside"):
        rewrite(message, [Replacement(message.source, 0, 9999, b"x")])


# --- the law of lines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("encoding", ["7bit", "8bit", ""])
@pytest.mark.parametrize("where", ["alone", "multipart", "enclosed"])
def test_a_line_that_would_grow_past_998_makes_the_body_quoted_printable(
    encoding: str, where: str, newline: bytes
) -> None:
    body = (
        b"<p>caf\xc3\xa9 =41</p> "
        + newline
        + b"x" * 960
        + b"<img src='"
        + SPY
        + b"'> "
        + newline
        + b".\t"
        + newline
    )
    raw = html_message(body, encoding, newline)
    if where != "alone":
        entity = b"Content-Type: message/rfc822" + newline * 2 + raw if where == "enclosed" else raw
        raw = newline.join(
            [
                b"From: b@c.example",
                b"Content-Type: multipart/mixed; boundary=b1",
                b"",
                b"--b1",
                entity,
                b"--b1--",
                b"",
            ]
        )
    message = parse_message(raw)
    after = rewrite(message, replace_spies(message))
    assert longest(after) <= 998
    expected = html_of(raw).replace(SPY, URL)
    assert html_of(after).replace(b"\r\n", b"\n") == expected.replace(b"\r\n", b"\n")
    assert after.count(b"Content-Transfer-Encoding: quoted-printable") == 1
    assert after.lower().count(b"content-transfer-encoding") == 1
    part = next(part for part in leaves(parse_message(after)) if part.media_type == "text/html")
    (source,), _ = decode_body(part, Limits())
    original = next(part for part in leaves(message) if part.media_type == "text/html")
    assert source.data == original.source.data[slice(*original.body_span)].replace(SPY, URL)


def test_a_line_that_was_too_long_may_stay_but_not_grow() -> None:
    raw = html_message(b"x" * 2000 + b"<img src='" + SPY + b"'>\r\n")
    message = parse_message(raw)
    assert rewrite(message, replace_spies(message, b"data:,")) == raw.replace(SPY, b"data:,")
    grown = rewrite(message, replace_spies(message))
    assert longest(grown) <= 998
    assert html_of(grown) == html_of(raw).replace(SPY, URL)


def test_a_header_line_is_folded_where_it_may_be() -> None:
    raw = b"X-Image-URL: " + b"y" * 960 + b" http://a more\r\nSubject: x\r\n\r\nbody"
    message = parse_message(raw)
    at = raw.index(b"http://a")
    after = rewrite(message, [Replacement(message.source, at, at + 8, URL)])
    assert longest(after) <= 998
    assert after.replace(b"\r\n ", b" ") == raw.replace(b"http://a", URL)


LINES = st.lists(st.sampled_from([b"a", b"b" * 300, b"c" * 900, b"\n", b"\r\n", b"\r"]), max_size=12).map(
    b"".join
)


@settings(max_examples=300, deadline=None)
@given(LINES, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), LINES), max_size=4))
def test_overlong_lines_are_found(data: bytes, drafts: list[tuple[float, float, bytes]]) -> None:
    cuts = sorted(int(cut * len(data)) for draft in drafts for cut in draft[:2])
    edits = [Edit(cuts[2 * n], cuts[2 * n + 1], draft[2]) for n, draft in enumerate(drafts)]
    edits = [edit for edit in edits if edit.start < edit.end]
    after = splice(data, edits)
    if longest(after) > max(998, longest(data)):
        assert find_overlong(data, edits)
    if longest(after) <= 998:
        assert find_overlong(data, edits) == []


def test_one_long_line_with_many_edits_takes_linear_time() -> None:
    body = (b"<img src='" + SPY + b"'>") * 20_000
    raw = html_message(body)
    message = parse_message(raw)
    replacements = replace_spies(message)
    assert len(replacements) == 20_000
    started = time.process_time()
    after = rewrite(message, replacements)
    assert time.process_time() - started < 2
    assert longest(after) <= 998
    assert html_of(after) == html_of(raw).replace(SPY, URL)


# --- anything --------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        b"Content-Type: text/html\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"<img src='" + SPY + b"'>",
        *(b"--b\r\n", b"--b--\r\n", b"\r\n", b"\n", b"\r", b"=", b"=3D", b"\xff\0", b"PGltZyBz", b"x" * 950),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=16).map(b"".join), st.data())
def test_any_message_survives_any_replacements(raw: bytes, data: st.DataObject) -> None:
    message = parse_message(raw)
    replacements = replace_spies(message)
    for part in leaves(message)[:3]:
        for source in filter(lambda source: source.data, decode_body(part, Limits())[0]):
            start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(source.data))] * 2)))
            replacements.append(
                Replacement(source, start, end, data.draw(st.sampled_from([b"", URL, b"data:,"])))
            )
    after = rewrite(message, replacements)
    assert longest(after) <= max(998, longest(raw))
    assert rewrite(message, replacements) == after
