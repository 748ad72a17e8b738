from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers import (
    ATTACH_DATA,
    ATTACHMENT_PROPERTIES,
    BINARY,
    BODY,
    BOOLEAN,
    LONG,
    MAPI_PROPERTIES,
    OBJECT,
    STRING,
    UNICODE,
    attachment,
    attribute,
    fixed,
    named,
    need,
    properties,
    run,
    tnef,
    variable,
)
from mailveil.core.message.edits import splice
from mailveil.core.message.rtf import encode_compressed_rtf
from mailveil.core.message.tnef import Tnef, encode_edits, is_tnef, open_tnef, parse_tnef
from mailveil.core.message.types import Defect, Edit, Source

HTML = b'<p>hi<img src="http://tracker.example/x.gif">'
RTF = b'{\\rtf1 {\\field{\\*\\fldinst INCLUDEPICTURE "http://tracker.example/r"}}}'
PR_BODY, PR_HTML, PR_RTF = 0x1000, 0x1013, 0x1009


def whole() -> bytes:
    """Bodies in three forms in one attribute, attached HTML, an attached message with HTML."""
    inner = tnef(attribute(MAPI_PROPERTIES, properties(variable(PR_HTML, BINARY, b"inner" + HTML))))
    return tnef(
        attribute(BODY, b"plain http://tracker.example/ text\0"),
        attribute(
            MAPI_PROPERTIES,
            properties(
                fixed(0x0E07, LONG, 1),
                variable(0x8001, UNICODE, "name\0".encode("utf-16-le"), name=named(0x1234)),
                variable(PR_HTML, BINARY, HTML),
                variable(PR_BODY, UNICODE, "Grüße\0".encode("utf-16-le")),
                variable(PR_RTF, BINARY, encode_compressed_rtf(RTF)),
                fixed(0x0E08, LONG, 2),
            ),
        ),
        attachment(b"PAGE.HTM", b"attached" + HTML, variable(0x3707, STRING, b"page.html\0")),
        attachment(b"inner", b"", variable(0x3701, OBJECT, bytes(16) + inner)),
    )


def edited(source: Source, edits: list[Edit]) -> bytes:
    """Carry edits up to the outermost source, all edits of one source at once."""
    while source.within is not None:
        edits = encode_edits(source, edits)
        source = source.within
    return splice(source.data, edits)


def silence(data: bytes) -> bytes:
    """Replace every ``http`` in every document, and let the edits of siblings meet in their parents."""
    contents, _ = open_tnef(Source(data))
    todo: dict[Source, list[Edit]] = {}
    for _media_type, source in contents:
        at = source.data.find(b"http")
        while at >= 0:
            todo.setdefault(source, []).append(Edit(at, at + 4, b"data:longer,"))
            at = source.data.find(b"http", at + 1)
    depth = {source: _depth(source) for source in todo}
    while todo:
        source = max(todo, key=lambda one: depth[one])
        edits = todo.pop(source)
        if source.within is None:
            return splice(source.data, edits)
        todo.setdefault(source.within, []).extend(encode_edits(source, edits))
        depth[source.within] = _depth(source.within)
    return data


def _depth(source: Source) -> int:
    return 0 if source.within is None else 1 + _depth(source.within)


def texts(data: bytes) -> list[tuple[str, bytes]]:
    contents, defects = open_tnef(Source(data))
    assert defects == []
    return [(media_type, source.data) for media_type, source in contents]


def test_every_document_is_opened() -> None:
    assert is_tnef(whole())
    assert texts(whole()) == [
        ("text/plain", b"plain http://tracker.example/ text\0"),
        ("text/html", HTML),
        ("text/plain", "Grüße\0".encode()),
        ("text/rtf", RTF),
        ("text/html", b"attached" + HTML),
        ("application/octet-stream", b""),
        ("text/html", b"inner" + HTML),
    ]


def test_edits_of_siblings_meet_and_everything_reads_as_before() -> None:
    out = silence(whole())
    assert b"http" not in out.replace(b"data:longer,", b"")
    assert texts(out) == [(kind, data.replace(b"http", b"data:longer,")) for kind, data in texts(whole())]


def test_bytes_elsewhere_stay() -> None:
    data = whole()
    contents, _ = open_tnef(Source(data))
    page = next(source for _, source in contents if source.data.startswith(b"attached"))
    out = edited(page, [Edit(0, 8, b"ATTACHED")])
    at = data.index(b"attached")
    assert out[:at] == data[:at]
    assert out[at + len(b"attached" + HTML) + 2 :] == data[at + len(b"attached" + HTML) + 2 :]


def test_html_in_utf_16_is_edited_as_characters() -> None:
    text = 'Grüße <img src="http://tracker.example/">\N{SNOWMAN}\ud83d'
    data = tnef(
        attribute(
            MAPI_PROPERTIES, properties(variable(PR_HTML, UNICODE, text.encode("utf-16-le", "surrogatepass")))
        )
    )
    ((media_type, source),), _ = open_tnef(Source(data))
    assert (media_type, source.data) == ("text/html", text.encode("utf-8", "surrogatepass"))
    at = source.data.index(b"http")
    out = edited(source, [Edit(at, at + 4, b"data")])
    ((_, again),), defects = open_tnef(Source(out))
    assert (again.data, defects) == (source.data.replace(b"http", b"data"), [])
    # An edit through the middle of a character keeps the rest readable.
    ((_, again),), _ = open_tnef(Source(edited(source, [Edit(3, 4, b"")])))
    assert b'e <img src="http://tracker.example/">\xe2\x98\x83' in again.data


@pytest.mark.parametrize(
    ("name", "tag", "expected"),
    [
        ("a.HTML", "", "text/html"),
        ("a.bin", "text/html", "text/html"),
        ("a.svg", "image/png", "image/svg+xml"),
        ("a.html. ", "application/pdf", "text/html"),
        ("a.png", "", "application/octet-stream"),
        ("a.eml", "", "message/rfc822"),
    ],
)
def test_an_attachment_s_type_is_what_windows_makes_of_it(name: str, tag: str, expected: str) -> None:
    extra = [
        variable(0x3707, UNICODE, f"{name}\0".encode("utf-16-le")),
        variable(0x370E, STRING, tag.encode() + b"\0"),
    ]
    assert texts(tnef(attachment(b"SHORT", HTML, *extra))) == [(expected, HTML)]


def test_properties_that_may_call_are_handed_out() -> None:
    share = "\\\\evil.example\\s\\a.wav"
    found = parse_tnef(
        Source(
            tnef(
                attribute(
                    MAPI_PROPERTIES,
                    properties(
                        fixed(0x0029, BOOLEAN, 1),
                        fixed(0x0023, BOOLEAN, 0),
                        variable(0x8000, UNICODE, f"{share}\0".encode("utf-16-le"), name=named(0x851F)),
                        variable(0x370D, STRING, share.encode() + b"\0"),
                    ),
                )
            )
        )
    ).properties
    assert [(one.name, one.value, one.is_receipt) for one in found] == [
        ("0x0029", "", True),
        ("0x851f", share, False),
        ("0x370d", share, False),
    ]
    for one in found[1:]:
        assert one.source.data[one.start : one.end] == share.encode(one.encoding)


def test_a_wrong_checksum_is_a_defect_and_hides_nothing() -> None:
    data = bytearray(tnef(attachment(b"a.html", HTML)))
    data[-1] ^= 1
    contents, defects = open_tnef(Source(bytes(data)))
    assert ([source.data for _, source in contents], defects) == ([HTML], [Defect.MALFORMED_CONTAINER])


@pytest.mark.parametrize("cut", range(1, 60))
def test_what_is_cut_off_is_a_defect_and_hides_nothing(cut: int) -> None:
    data = tnef(
        attribute(MAPI_PROPERTIES, properties(variable(PR_HTML, BINARY, HTML + bytes(-len(HTML) % 4))))
    )
    contents, defects = open_tnef(Source(data[:-cut]))
    assert defects == [Defect.MALFORMED_CONTAINER]
    for _, source in contents:
        assert HTML.startswith(source.data.rstrip(b"\0"))
        assert is_tnef(edited(source, [Edit(0, 0, b"x")]))
    assert contents or cut > len(HTML)


def test_nesting_is_bounded() -> None:
    data = tnef(attachment(b"a.html", HTML))
    for _ in range(30):
        data = tnef(attachment(b"deeper", data))
    contents, defects = open_tnef(Source(data))
    assert (contents, defects) == ([], [Defect.TOO_DEEP])


def test_a_compressed_bomb_is_bounded() -> None:
    packed = struct.pack("<III", 100, 2**31, 0x75465A4C) + bytes(100)
    data = tnef(attribute(MAPI_PROPERTIES, properties(variable(PR_RTF, BINARY, packed))))
    assert open_tnef(Source(data))[1] == [Defect.TOO_LARGE]


# --- other readers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [whole(), silence(whole())], ids=["before", "after"])
def test_tnefparse_reads_what_is_written(data: bytes) -> None:
    reader = pytest.importorskip("tnefparse")
    read = reader.TNEF(data, do_checksum=True)
    html = read.htmlbody if isinstance(read.htmlbody, bytes) else read.htmlbody.encode()
    assert html == next(text for kind, text in texts(data) if kind == "text/html")
    assert read.attachments[0].data == next(text for _, text in texts(data) if text.startswith(b"attached"))
    assert read.rtfbody == next(text for kind, text in texts(data) if kind == "text/rtf")


@pytest.mark.parametrize("data", [whole(), silence(whole())], ids=["before", "after"])
@pytest.mark.parametrize("program", ["tnef", "ytnef"])
def test_unpackers_read_what_is_written(program: str, data: bytes, tmp_path: Path) -> None:
    path = need(program)
    (tmp_path / "winmail.dat").write_bytes(data)
    options = ["-f", "."] if program == "ytnef" else ["--save-body", "--overwrite", "-C", "."]
    run(path, *options, "winmail.dat", cwd=tmp_path)
    unpacked = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.name != "winmail.dat"}
    wanted = next(text for _, text in texts(data) if text.startswith(b"attached"))
    assert unpacked.get("page.html") == wanted
    if program == "tnef":
        assert next(text for kind, text in texts(data) if kind == "text/rtf") in unpacked.values()


# --- anything at all -------------------------------------------------------------------------------------


def check(data: bytes) -> Tnef:
    opened = parse_tnef(Source(data), max_bytes=100_000)
    for _media_type, source in opened.contents:
        edited(source, [Edit(0, min(1, len(source.data)), b"x")])
    for one in opened.properties:
        assert 0 <= one.start <= one.end <= len(one.source.data)
    return opened


@settings(max_examples=150)
@given(st.integers(0, len(whole()) - 1), st.binary(min_size=1, max_size=4))
def test_any_mutation_gives_an_answer(at: int, change: bytes) -> None:
    data = whole()
    check(data[:at] + change + data[at + len(change) :])
    check(data[:at] + change)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([MAPI_PROPERTIES, ATTACHMENT_PROPERTIES, ATTACH_DATA, BODY, 7]), st.binary()
        )
    )
)
def test_any_attributes_give_an_answer(attributes: list[tuple[int, bytes]]) -> None:
    check(tnef(*(attribute(number, data) for number, data in attributes)))


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from([BINARY, STRING, UNICODE, OBJECT, 0x101E]), st.binary(max_size=20)),
        max_size=9,
    )
)
def test_every_property_that_fits_is_read_without_complaint(values: list[tuple[int, bytes]]) -> None:
    listed = properties(*(variable(0x6000 + at, kind, data) for at, (kind, data) in enumerate(values)))
    assert check(tnef(attribute(MAPI_PROPERTIES, listed))).defects == ()


@pytest.mark.parametrize(
    "piece",
    [
        attribute(BODY, b""),
        attribute(0x00069002, b""),
        variable(PR_HTML, BINARY, b""),
        fixed(1, LONG, 1),
        fixed(1, 1, 0)[:4],
        struct.pack("<HHI", 0x101E, 1, 0xFFFFFFFF) + bytes(8),
        b"\0",
    ],
)
def test_time_is_linear(piece: bytes) -> None:
    data = piece * (300_000 // len(piece))
    start = time.perf_counter()
    parse_tnef(Source(tnef() + data))
    parse_tnef(Source(tnef(attribute(MAPI_PROPERTIES, b"\xff\xff\xff\x7f" + data))))
    parse_tnef(
        Source(
            tnef(attribute(MAPI_PROPERTIES, properties(variable(PR_RTF, BINARY, bytes(8) + b"LZFu" + data))))
        )
    )
    assert time.perf_counter() - start < 1
