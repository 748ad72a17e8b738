"""The characters of bodies, in every charset that some client may take them in."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.charset import read_texts
from mailveil.core.message.charset_names import (
    _LABELS,
    EBCDIC,
    LEAD_BYTES,
    SHIFTED,
    WIDE,
    codec_of,
    decode_lossily,
)
from mailveil.core.message.parse import parse_message
from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect, Source

URL = "https://x.example/a"
MARKUP = f'<img src="{URL}"> あい'


def read(data: bytes, content_type: str = "text/html") -> tuple[list[Text], list[Defect]]:
    part = parse_message(f"Content-Type: {content_type}\r\n\r\n".encode()).root
    return read_texts(Source(data), part)


def readings(data: bytes, charset: str) -> list[Text]:
    return read(data, f"text/html; charset={charset}")[0]


def bytes_of(text: Text, wanted: str) -> bytes:
    """Return the bytes that a run of a reading's characters came from."""
    at = text.text.index(wanted)
    return text.source.data[slice(*text.span(at, at + len(wanted)))]


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF-8", "utf-8"),
        ('"utf8"', "utf-8"),
        ("us-ascii", "cp1252"),
        ("ISO-8859-1", "cp1252"),
        ("ISO_8859-15", "iso8859_15"),
        ("windows-1251", "cp1251"),
        ("gb2312", "gbk"),
        ("ks_c_5601-1987", "cp949"),
        ("Shift_JIS", "cp932"),
        ("big5", "big5hkscs"),
        ("koi8-r", "koi8_r"),
        ("utf-7", "utf-7"),
        ("unicode-1-1-utf-7", "utf-7"),
        ("ISO-2022-JP", "iso2022_jp_ext"),
        ("hz-gb-2312", "hz"),
        ("IBM037", "cp037"),
        ("utf-16le", "utf-16-le"),
        ("nonsense", ""),
        ("rot13", ""),
        ("punycode", ""),
        ("x" * 1000, ""),
    ],
)
def test_labels(label: str, codec: str):
    assert codec_of(label) == codec


def test_every_codec_exists_and_those_said_to_agree_with_ascii_do():
    ascii_bytes = bytes(range(0x20, 0x7F)) + b"\t\r\n"
    for codec in set(_LABELS.values()):
        assert codecs.lookup(codec)
        if codec not in WIDE | SHIFTED | EBCDIC:
            decoded = ascii_bytes.decode(codec)
            # Shift_JIS and its kin show yen and overline signs for backslash and tilde.
            assert decoded.replace("¥", "\\").replace("‾", "~") == ascii_bytes.decode("ascii"), codec
        assert isinstance(decode_lossily(bytes(range(256)), codec), str)


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("utf-8", "utf-8"), ("shift_jis", "cp932"), ("gb2312", "gbk"), ("euc-jp", "euc_jp")],
)
def test_what_agrees_with_ascii_is_one_latin_1_text(charset: str, codec: str):
    data = MARKUP.encode(charset)
    (text,) = readings(data, charset)
    assert text.text == data.decode("latin-1")
    assert (text.starts, text.charset, text.encoding) == (None, codec, "ascii")


@pytest.mark.parametrize(
    ("data", "charset"), [(b"plain", "utf-8"), ("é".encode(), "utf-8"), (b"\xe9", "cp1252")]
)
def test_without_a_label_the_bytes_tell(data: bytes, charset: str):
    (text,), defects = read(data)
    assert text.charset == charset
    assert defects == []


def test_an_unknown_label_is_told():
    texts, defects = read(b"\xe9", "text/html; charset=klingon")
    assert defects == [Defect.UNKNOWN_CHARSET]
    assert texts[0].charset == "cp1252"


@pytest.mark.parametrize(
    ("charset", "codec", "japanese"),
    [
        ("utf-16-le", "utf-16-le", b"\x42\x30\x44\x30"),
        ("utf-16-be", "utf-16-be", b"\x30\x42\x30\x44"),
        ("utf-32-le", "utf-32-le", b"\x42\x30\0\0\x44\x30\0\0"),
        ("utf-32-be", "utf-32-be", b"\0\0\x30\x42\0\0\x30\x44"),
        ("iso-2022-jp", "iso2022_jp_ext", b'$"$$'),
        ("iso-2022-kr", "iso2022_kr", b'*"*$'),
        ("hz", "hz", b'$"$$'),
        ("utf-7", "utf-7", b"+MEIwRA-"),
    ],
)
def test_what_does_not_agree_with_ascii_is_decoded_too(charset: str, codec: str, japanese: bytes):
    data = (MARKUP + "-").encode(charset)
    decoded = next(text for text in readings(data, charset) if text.encoding == codec)
    assert decoded.text == MARKUP + "-"
    assert bytes_of(decoded, URL) == URL.encode(codec)
    assert bytes_of(decoded, "あい") == japanese


@pytest.mark.parametrize("charset", ["cp037", "cp500"])
def test_ebcdic(charset: str):
    data = f'<img src="{URL}">'.encode(charset)
    decoded = readings(data, charset)[1]
    assert decoded.text == f'<img src="{URL}">'
    assert bytes_of(decoded, URL) == URL.encode(charset)
    assert decoded.encoding == charset


def test_utf_16_without_an_order_is_read_in_both():
    assert {text.encoding for text in readings(MARKUP.encode("utf-16-be"), "utf-16")} >= {
        "utf-16-le",
        "utf-16-be",
    }


def test_surrogates_and_odd_ends_keep_their_places():
    data = ("\U0001f600" + URL).encode("utf-16-le") + b"\0\xd8" + b"x"
    decoded = readings(data, "utf-16-le")[1]
    assert bytes_of(decoded, URL) == URL.encode("utf-16-le")
    assert decoded.text.encode()  # no lone surrogate is left


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_counts_more_than_the_label(encoding: str):
    texts, defects = read("\ufeff".encode(encoding) + MARKUP.encode(encoding), "text/html; charset=utf-8")
    decoded = next(text for text in texts if text.encoding == encoding)
    assert decoded.text == "\ufeff" + MARKUP
    assert defects == [Defect.WRONG_CHARSET]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_that_nothing_names_is_seen_by_its_nuls(encoding: str):
    texts, _ = read(f'<img src="{URL}">'.encode(encoding))
    decoded = next(text for text in texts if text.encoding == encoding)
    assert decoded.text == f'<img src="{URL}">'
    # A client that drops the NULs sees the same, and the same bytes are replaced for it.
    dropped = texts[-1]
    assert dropped.text == decoded.text
    assert bytes_of(dropped, URL) == bytes_of(decoded, URL)


def test_nuls_are_dropped_by_some():
    texts, _ = read(f'<im\0g src="{URL}">'.encode())
    assert [text.text for text in texts] == [f'<im\0g src="{URL}">', f'<img src="{URL}">']
    assert bytes_of(texts[1], URL) == URL.encode()
    assert bytes_of(texts[1], "img") == b"im\0g"


def test_a_run_of_utf_7_is_replaced_as_a_whole():
    data = b"+ADw-img src+AD0AIg-https://x.example/a+ACIAPg-"
    decoded = readings(data, "utf-7")[1]
    assert decoded.text == f'<img src="{URL}">'
    assert bytes_of(decoded, URL) == URL.encode()
    assert bytes_of(decoded, '="') == b"+AD0AIg-"
    assert bytes_of(decoded, '"') == b"+AD0AIg-"


@pytest.mark.parametrize("data", [b"+", b"+-", b"+A", b"+AD", b"a+ADw", b"+ADw+ADw", b"1 + 1"])
def test_broken_utf_7_is_text(data: bytes):
    assert isinstance(readings(data, "utf-7")[1].text, str)


@pytest.mark.parametrize(
    "opening",
    [
        '<meta charset="utf-7">',
        "<META http-equiv=content-type content='text/html; CHARSET=utf-7'>",
        '<?xml version="1.0" encoding="utf-7"?>',
        '@charset "utf-7";',
    ],
)
def test_a_charset_that_the_document_declares_is_read_too(opening: str):
    texts, _ = read(opening.encode() + b"+ADw-img src=x+AD4-", "text/html; charset=utf-8")
    assert texts[1].encoding == "utf-7"
    assert texts[1].text.endswith("<img src=x>")


def test_a_declaration_far_down_or_of_wide_characters_does_not_count():
    assert len(read(b" " * 5000 + b'<meta charset="utf-7">')[0]) == 1
    assert len(read(b'<meta charset="utf-16">')[0]) == 1


def test_escapes_of_iso_2022_count_without_a_label():
    data = b"<i\x1b(Bmg src=x>"
    texts, _ = read(data)
    assert texts[1].text == "<img src=x>"


@pytest.mark.parametrize("charset", ["iso-2022-jp", "iso-2022-kr"])
def test_an_escape_sequence_without_an_end_is_survived(charset: str):
    data = b"\x1b" + b"(" * 40 + URL.encode()
    decoded = readings(data, charset)[1]
    assert decoded.text.endswith(URL)
    assert bytes_of(decoded, URL) == URL.encode()


def test_an_edit_leaves_what_shifts_in_place():
    data = 'あ"https://x.example/a"あ'.encode("iso-2022-jp")
    decoded = readings(data, "iso-2022-jp")[1]
    assert bytes_of(decoded, '"' + URL) == b'"' + URL.encode()
    assert bytes_of(decoded, "あ") == b'$"'


def test_a_charset_named_twice_is_read_both_ways():
    texts, _ = read(b"+ADw-p+AD4-", "text/html; charset=us-ascii; charset=utf-7")
    assert [text.text for text in texts] == ["+ADw-p+AD4-", "<p>"]
    part = parse_message(b"Content-Type: text/html\r\nContent-Type: text/html; charset=utf-7\r\n\r\n").root
    assert [text.text for text in read_texts(Source(b"+ADw-p+AD4-"), part)[0]] == ["+ADw-p+AD4-", "<p>"]


@pytest.mark.parametrize("charset", ["shift_jis", "gbk", "big5", "euc-kr", "euc-jp"])
def test_a_lead_byte_swallows_a_quote_in_some_clients(charset: str):
    data = b'<img alt="\xe8"src="https://x.example/a">'
    texts = readings(data, charset)
    assert texts[0].text == data.decode("latin-1")
    assert texts[1].text == '<img alt="\xb7\xb7src="https://x.example/a">'
    assert texts[1].starts is None


def test_a_good_second_byte_that_looks_like_a_backslash():
    data = 'content:"ソ"'.encode("shift_jis")
    assert "\\" in readings(data, "shift_jis")[0].text
    assert "\\" not in readings(data, "shift_jis")[1].text


def test_characters_of_two_bytes_are_told_apart_from_the_left():
    # The second byte of the first character looks like the lead byte of a quote.
    assert len(readings(b'\x82\xa0"', "shift_jis")) == 1
    assert len(readings(b'\x82\xa0\x82"', "shift_jis")) == 2
    assert len(readings(b'\xe8"', "iso-8859-1")) == 1


LABELS = st.sampled_from(["", *sorted({*_LABELS.values()}), "nonsense"])
BODIES = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(
            [b"\x1b$B", b"\x1b(B", b"\x1b", b"\x0e", b"~{", b"~}", b"+", b"-", b"A", b"\0", b'"', b"\x82"]
        ),
        max_size=30,
    ).map(b"".join),
    st.text(max_size=40).map(lambda text: text.encode("utf-16-le", "replace")),
)


@given(BODIES, LABELS)
def test_any_body_has_readings_whose_places_are_in_order(data: bytes, label: str):
    for text in readings(data, label):
        text.text.encode("utf-8")  # no lone surrogate is left
        before = 0
        for index in range(len(text.text)):
            span = text.span(index, index + 1)
            assert before <= span.start <= span.end <= len(data)
            before = span.start
        if text.starts is not None:
            assert text.ends is not None
            assert len(text.starts) == len(text.ends) == len(text.text)
        else:
            assert len(text.text) == len(data)


def test_the_tables_are_of_one_piece():
    assert not WIDE & SHIFTED
    assert LEAD_BYTES.keys() <= set(_LABELS.values()) | {"gb2312"}


HOSTILE: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "UTF-7 never closed": ("utf-7", lambda n: b"+" + b"A" * n),
    "UTF-7 runs": ("utf-7", lambda n: b"+ADw-" * n),
    "UTF-7 plus signs": ("utf-7", lambda n: b"+" * n),
    "ISO 2022 escapes": ("iso-2022-jp", lambda n: b"\x1b$B\x1b(B" * n),
    "ISO 2022 half escapes": ("iso-2022-jp", lambda n: b"\x1b" * n),
    "ISO 2022 never shifted back": ("iso-2022-jp", lambda n: b"\x1b$B" + b'$"' * n),
    "HZ": ("hz", lambda n: b"~{" * n),
    "lead bytes": ("shift_jis", lambda n: b"\x82" * n),
    "lead bytes and quotes": ("shift_jis", lambda n: b'\x82"' * n),
    "lead bytes and a quote": ("gbk", lambda n: b"\x82\x82" * n + b'\x82"'),
    "NULs": ("utf-8", lambda n: b"a\0" * n),
    "surrogates": ("utf-16-le", lambda n: b"\0\xd8" * n),
    "declarations": ("utf-8", lambda n: b"charset=" * n),
}


def seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_take_linear_time(name: str):
    label, make = HOSTILE[name]
    small, large = make(4_000), make(32_000)
    # Eight times as much may take three times as long as that; quadratic time would be 64-fold.
    assert any(
        seconds(lambda: readings(large, label)) < 24 * seconds(lambda: readings(small, label)) + 0.005
        for _ in range(4)
    )
