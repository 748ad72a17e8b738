from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.core.message.edits import splice
from mailveil.core.message.rtf import (
    Kind,
    encode_compressed_rtf,
    encode_edits,
    open_compressed_rtf,
    read_tokens,
)
from mailveil.core.message.types import Coding, Defect, Edit, Source

# The two examples of MS-OXRTFCP section 3.
SIMPLE = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)
CROSSING = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")


@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (SIMPLE, b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"),
        (CROSSING, b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"),
    ],
)
def test_the_examples_of_the_specification(packed: bytes, text: bytes) -> None:
    source, defects = open_compressed_rtf(Source(packed), 10_000)
    assert source is not None
    assert (source.data, source.coding, defects) == (text, Coding.RTF_COMPRESSED, [])


def test_uncompressed_text_is_read() -> None:
    packed = (12 + 7).to_bytes(4, "little") + (7).to_bytes(4, "little") + b"MELA\0\0\0\0{\\rtf1}"
    source, defects = open_compressed_rtf(Source(packed), 10_000)
    assert source is not None
    assert (source.data, defects) == (b"{\\rtf1}", [])


@given(st.binary(max_size=5_000))
def test_what_is_written_is_read_back(text: bytes) -> None:
    source, defects = open_compressed_rtf(Source(encode_compressed_rtf(text)), 10_000)
    assert source is not None
    assert (source.data, defects) == (text, [])


@pytest.mark.parametrize("text", [b"x", b"{\\rtf1 hello}", bytes(range(256)) * 30])
def test_another_reader_agrees(text: bytes) -> None:
    reader = pytest.importorskip("compressed_rtf")
    assert reader.decompress(encode_compressed_rtf(text)) == text
    for compressed in (True, False):
        source, _ = open_compressed_rtf(Source(reader.compress(text, compressed=compressed)), 100_000)
        assert source is not None
        assert source.data == text


def test_an_edit_is_written_back() -> None:
    packed = Source(SIMPLE)
    source, _ = open_compressed_rtf(packed, 10_000)
    assert source is not None
    at = source.data.index(b"hello")
    out = splice(SIMPLE, encode_edits(source, [Edit(at, at + 5, b"goodbye")]))
    again, defects = open_compressed_rtf(Source(out), 10_000)
    assert again is not None
    assert (again.data, defects) == (source.data.replace(b"hello", b"goodbye"), [])


def test_what_is_too_large_or_something_else_is_not_opened() -> None:
    assert open_compressed_rtf(Source(SIMPLE), 10) == (None, [Defect.TOO_LARGE])
    assert open_compressed_rtf(Source(b"{\\rtf1}" * 9), 10) == (None, [Defect.MALFORMED_CONTAINER])


def test_expansion_stops_at_the_limit_whatever_size_is_declared() -> None:
    packed = bytes(4) + (1).to_bytes(4, "little") + b"LZFu" + bytes(4) + b"\xff" + b"\x00\x0f" * 200_000
    source, defects = open_compressed_rtf(Source(packed), 50_000)
    assert source is not None
    assert len(source.data) < 51_000
    assert defects == [Defect.MALFORMED_CONTAINER]


@settings(max_examples=150)
@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer(data: bytes) -> None:
    open_compressed_rtf(Source(data), 1_000)
    open_compressed_rtf(Source(data[:8] + b"LZFu" + data[8:]), 1_000)


def test_tokens() -> None:
    text = "{\\rtf1\\b0 x\\'e9\\*\\u-3 ?\\{\r\n\\bin4 }}}}\\par}\\"
    assert [
        (token.kind, token.name, token.number, text[token.start : token.end]) for token in read_tokens(text)
    ] == [
        (Kind.OPEN, "", None, "{"),
        (Kind.WORD, "rtf", 1, "\\rtf1"),
        (Kind.WORD, "b", 0, "\\b0 "),
        (Kind.TEXT, "", None, "x"),
        (Kind.HEX, "é", None, "\\'e9"),
        (Kind.SYMBOL, "*", None, "\\*"),
        (Kind.WORD, "u", -3, "\\u-3 "),
        (Kind.TEXT, "", None, "?"),
        (Kind.SYMBOL, "{", None, "\\{"),
        (Kind.WORD, "bin", 4, "\\bin4 "),
        (Kind.BINARY, "", None, "}}}}"),
        (Kind.WORD, "par", None, "\\par"),
        (Kind.CLOSE, "", None, "}"),
    ]


@settings(max_examples=150)
@given(st.text(alphabet="\\{}'*a1- \r\nbinuA\0é", max_size=60))
def test_tokens_of_anything_are_in_order(text: str) -> None:
    at = 0
    for token in read_tokens(text):
        assert at <= token.start <= token.end <= len(text)
        at = token.end


@pytest.mark.parametrize("piece", ["\\", "{", "\\a", "\\'", "\r", "\\bin1", "a", "\\u1 ", "\\-1"])
def test_time_is_linear(piece: str) -> None:
    start = time.perf_counter()
    for _ in read_tokens(piece * (300_000 // len(piece))):
        pass
    assert time.perf_counter() - start < 1.5
