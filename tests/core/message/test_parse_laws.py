"""Laws of parsing that hold for any bytes, for hostile ones in linear time, and for real mail."""

from __future__ import annotations

import email
import email.policy
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.charset import read_texts
from mailveil.core.message.header import decode_header_text
from mailveil.core.message.parse import MAX_READINGS, parse_decoded, parse_message
from mailveil.core.message.types import Limits, Message, Part, Source

REAL_MAIL = Path(
    os.environ.get("MAILVEIL_REAL_MAIL", Path(__file__).parents[3].parent / "shared" / "data" / "eml")
)

PIECES = [
    b"Content-Type: multipart/mixed; boundary=b",
    b"Content-Type: multipart/alternative; boundary=bb",
    b"Content-Type: multipart/mixed; boundary=b; boundary=c",
    b"Content-Type: multipart/digest; boundary=c",
    b"Content-Type: multipart/mixed",
    b"Content-Type: message/rfc822",
    b"Content-Type : text/html",
    b"Content-Type: text/html; charset=utf-7",
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable",
    b"Subject: =?utf-8?q?x?=",
    b" folded",
    b"\t",
    b"--b",
    b"--bb",
    b"--c",
    b"--b--",
    b"--bb--",
    b"--c--",
    b"--",
    b"junk",
    b"<p>",
    b"\0",
    b"From x",
    b"",
    b"",
]
LINES = st.lists(
    st.tuples(
        st.sampled_from(PIECES), st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b""])
    ),
    max_size=40,
).map(lambda lines: b"".join(piece + newline for piece, newline in lines))
RAW = st.one_of(LINES, LINES, st.binary(max_size=200))
LIMITS = st.builds(
    Limits, max_parts=st.integers(1, 8), max_nesting=st.integers(0, 4), max_header_bytes=st.integers(1, 200)
)


def parts_of(root: Part) -> list[Part]:
    return Message(root.source, (root,)).walk()


def assert_sound(message: Message) -> None:
    """Assert what holds for the result of every parse."""
    length = len(message.source.data)
    assert 1 <= len(message.readings) <= MAX_READINGS + 1
    for root in message.readings:
        assert (root.span.start, root.span.end) == (0, length)
        parts = parts_of(root)
        sections = [part.section for part in parts]
        assert len(set(sections)) == len(sections)
        for part in parts:
            assert part.source is message.source
            assert part.span.start == part.header_span.start <= part.header_span.end == part.body_span.start
            assert part.body_span.start <= part.body_span.end == part.span.end
            assert part.transfer_encodings
            assert part.examined or not part.children
            assert set(part.defects) <= set(message.defects)
            before = part.body_span.start
            for child in part.children:
                assert before <= child.span.start <= child.span.end <= part.body_span.end
                before = child.span.end
            for field in part.fields:
                assert part.header_span.start <= field.span.start < field.span.end <= part.header_span.end
            if part.children and part.boundary and root is message.root:
                assert_covered(part)


def assert_covered(part: Part) -> None:
    """Assert that nothing lies between two parts but their delimiter lines, unless after an end."""
    data = part.source.data
    before = None
    for child in part.children:
        gap = data[part.body_span.start if before is None else before.span.end : child.span.start]
        if before is not None and b"--" + part.boundary + b"--" not in gap:
            lines = [line.lstrip(b"\r") for line in gap.split(b"\n") if line.strip()]
            assert all(line.startswith(b"--" + part.boundary) for line in lines)
        before = child


@given(RAW)
def test_any_bytes_are_a_message(raw: bytes):
    message = parse_message(raw)
    assert_sound(message)
    for part in message.walk():
        decode_header_text(part.field("subject"))
        read_texts(Source(raw[slice(*part.body_span)]), part)
        assert_sound(parse_decoded(Source(raw), part))


@given(RAW, LIMITS)
def test_limits_end_safely(raw: bytes, limits: Limits):
    message = parse_message(raw, limits)
    assert_sound(message)
    for root in message.readings:
        parts = parts_of(root)
        # One part more at each level says that something was left out.
        assert len(parts) <= limits.max_parts + limits.max_nesting + 3
    unexamined = [part for part in message.walk() if not part.examined]
    assert all(part.defects for part in unexamined)


@given(LINES)
def test_parsing_is_the_same_every_time(raw: bytes):
    first, second = parse_message(raw), parse_message(raw)
    assert [part.span for part in first.walk()] == [part.span for part in second.walk()]
    assert first.defects == second.defects


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that a piece of work takes when nothing disturbs it."""
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def grows_at_most(factor: float, small: Callable[[], object], large: Callable[[], object]) -> bool:
    """Tell whether the larger work takes at most so many times as long; asked again where it seems not to."""
    return any(seconds(large) < factor * seconds(small) + 0.005 for _ in range(4))


def nested(levels: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=x%dx\r\n\r\n--x%dx\r\n" % (level, level)
        for level in range(levels)
    )


MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "delimiters": lambda n: MULTIPART + b"--b\r\n" * n,
    "delimiters that go on": lambda n: MULTIPART + b"--b\r\n\r\n" + b"--bx\r\n" * n,
    "end delimiters": lambda n: MULTIPART + b"--b\r\n--b--\r\n" * n,
    "no line starts": lambda n: MULTIPART + b"--b" * n,
    "nested": nested,
    "nested in messages": lambda n: b"Content-Type: message/rfc822\r\n\r\n" * n,
    "nested with one boundary": lambda n: (MULTIPART + b"--b\r\n") * n,
    "fields": lambda n: b"A: b\r\n" * n,
    "content types": lambda n: b"Content-Type: multipart/mixed; boundary=b\r\n" * n + b"\r\n--b\r\n\r\n",
    "boundaries": lambda n: (
        b"Content-Type: multipart/mixed" + b"; boundary=b\r\n " * n + b"\r\n\r\n--b\r\n\r\nx"
    ),
    "parameters": lambda n: b"Content-Type: text/html" + b"; a=b" * n + b"\r\n\r\n",
    "words without a value": lambda n: b"Content-Type: text/html; " + b"a" * n + b" a" * n + b"\r\n\r\n",
    "comments": lambda n: b"Content-Type: text/html" + b"(" * n + b"\r\n\r\n",
    "sections": lambda n: (
        b"Content-Type: text/html" + b"".join(b";a*%d=b" % i for i in range(n)) + b"\r\n\r\n"
    ),
    "quotes": lambda n: b'Content-Type: text/html; a="' + b'\\"' * n + b"\r\n\r\n",
    "lines of white space": lambda n: b"A: b\r\n" + b" \r\n" * n,
    "lines of white space and text": lambda n: b"A: b\r\n" + b" \r\n x\r\n" * n,
    "junk lines": lambda n: b"A: b\r\n" + b"junk\r\n" * n,
    "bare CRs": lambda n: b"A: b\rC: d\r\n" * n,
    "CRs": lambda n: b"A: b\r\n" + b"\r" * n,
    "empty lines": lambda n: b"\r\n" * n,
    "dashes": lambda n: b"Content-Type: multipart/mixed\r\n\r\n" + b"-" * n,
    "lines of dashes": lambda n: b"Content-Type: multipart/mixed\r\n\r\n" + b"-- \r\n" * n,
    "markup around": lambda n: MULTIPART + b"<" * n + b"\r\n--b\r\n\r\n--b--\r\n" + b"<" * n,
    "encoded words": lambda n: b"Subject: " + b"=?" * n + b"\r\n\r\n",
    "encoded words that never end": lambda n: b"Subject: " + b"=?utf-8?q?" * n + b"\r\n\r\n",
    "encoded words side by side": lambda n: b"Subject: " + b"=?utf-8?q?a?= " * n + b"\r\n\r\n",
    "a long boundary": lambda n: (
        b'Content-Type: multipart/mixed; boundary="' + b"b" * n + b'"\r\n\r\n--' + b"b" * n + b"\r\n"
    ),
    "transfer encodings": lambda n: b"Content-Transfer-Encoding: base64\r\n" * n + b"\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_take_linear_time(name: str):
    def read(raw: bytes) -> None:
        message = parse_message(raw)
        decode_header_text(message.root.field("subject"))

    small, large = HOSTILE[name](2_000), HOSTILE[name](16_000)
    # Eight times as much may take three times as long as that; quadratic time would be 64-fold.
    assert grows_at_most(24, lambda: read(small), lambda: read(large))


def test_a_long_body_is_parsed_without_a_look_at_its_lines():
    head = MULTIPART + b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    small, large = (head + b"QUFB\r\n" * lines + b"--b--\r\n" for lines in (20_000, 2_000_000))
    assert grows_at_most(300, lambda: parse_message(small), lambda: parse_message(large))


def real_messages() -> list[Path]:
    return sorted(REAL_MAIL.glob("*.eml")) if REAL_MAIL.is_dir() else []


def python_leaves(entity: email.message.Message) -> list[tuple[str, str]] | None:
    """Return type and undecoded content of the leaves as Python sees them; None where it sees defects."""
    if entity.defects:
        return None
    kind = entity.get_content_type()
    if kind == "message/delivery-status":  # Python makes messages of its paragraphs
        return [(kind, "")]
    if not entity.is_multipart():
        return [(kind, entity.get_payload())]
    found: list[tuple[str, str]] = []
    for part in entity.get_payload():
        leaves = python_leaves(part)
        if leaves is None:
            return None
        found.extend(leaves)
    return found


def ascii_words(content: str) -> list[str]:
    """Return the ASCII of a content by words: Python decodes what is not, and changes line breaks."""
    return "".join(character for character in content if character.isascii()).split()


def our_leaves(message: Message) -> list[tuple[str, str]]:
    data = message.source.data
    return [
        (part.media_type, data[slice(*part.body_span)].decode("ascii", "surrogateescape"))
        for part in parts_of(message.root)
        if not part.children
    ]


@pytest.mark.skipif(
    not real_messages(), reason="needs real messages: set MAILVEIL_REAL_MAIL to a folder of .eml"
)
def test_real_messages_have_the_structure_that_python_sees():
    compared = 0
    for path in real_messages():
        raw = path.read_bytes()
        message = parse_message(raw)
        assert_sound(message)
        theirs = python_leaves(email.message_from_bytes(raw, policy=email.policy.compat32))
        if theirs is None:
            continue
        ours = our_leaves(message)
        assert [kind for kind, _ in ours] == [kind for kind, _ in theirs], path.name
        for (kind, mine), (_, other) in zip(ours, theirs, strict=True):
            assert not other or ascii_words(mine) == ascii_words(other), f"{path.name}: {kind}"
        compared += 1
    assert compared > len(real_messages()) // 2
