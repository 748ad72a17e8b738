"""Header fields that make a client answer, fetch, or resolve against somebody else's address."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.header_block import read_header_block
from mailveil.core.message.parse import parse_message
from mailveil.core.message.types import Field, Part, Source, Span
from mailveil.core.references.fields import (
    RECEIPT_FIELDS,
    content_locations,
    document_base,
    find_in_fields,
)
from mailveil.core.references.types import Findings, Reference, Scope, Vector


def entity(raw: bytes, media_type: str = "text/plain", children: tuple[Part, ...] = ()) -> Part:
    block = read_header_block(raw, 0, len(raw))
    fields = []
    for line in block.fields:
        if not line.name:
            continue
        colon = raw.index(b":", line.start, line.end)
        stop = line.end - len(raw[line.start : line.end]) + len(raw[line.start : line.end].rstrip(b"\r\n"))
        value = raw[colon + 1 : stop].decode("latin-1").replace("\r\n", "").replace("\n", "").strip(" \t")
        fields.append(
            Field(line.name.decode("latin-1"), value, Span(line.start, line.end), Span(colon + 1, stop))
        )
    return Part(
        section="1",
        source=Source(raw),
        span=Span(0, len(raw)),
        header_span=Span(0, block.body_start),
        body_span=Span(block.body_start, len(raw)),
        fields=tuple(fields),
        media_type=media_type,
        parameters={},
        content_location=next((field.value for field in fields if field.name == "content-location"), ""),
        content_base=next((field.value for field in fields if field.name == "content-base"), ""),
        children=children,
    )


def find(part: Part, ours: str = "") -> Findings:
    findings = Findings()
    find_in_fields(part, Scope("1", findings, ours=lambda url: bool(ours) and url.startswith(ours)))
    return findings


def cleaned(part: Part, references: list[Reference]) -> bytes:
    data = part.source.data
    for reference in sorted(references, key=lambda one: one.start, reverse=True):
        data = data[: reference.start] + reference.inert.encode() + data[reference.end :]
    return data


def test_receipt_request_goes_as_a_whole_field() -> None:
    raw = b"From: a@x.example\r\nDisposition-Notification-To: <spy@x.example>\r\nSubject: hi\r\n\r\nbody"
    part = entity(raw)
    (reference,) = find(part).references
    assert reference.vector is Vector.RECEIPT_FIELD
    assert reference.url == "mailto:spy@x.example"
    assert cleaned(part, [reference]) == b"From: a@x.example\r\nSubject: hi\r\n\r\nbody"


@pytest.mark.parametrize("name", sorted(RECEIPT_FIELDS))
def test_every_receipt_field_in_any_case(name: str) -> None:
    part = entity(f"From: a@x.example\r\n{name.upper()} : b@y.example\r\n\r\nx".encode())
    (reference,) = find(part).references
    assert reference.url == "mailto:b@y.example"


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (b"One <a@x.example>,\r\n\tTwo <b@y.example>", "mailto:a@x.example,b@y.example"),
        (b'"fake@display.example" <real@x.example>', "mailto:real@x.example"),
        (b"(comment) =?utf-8?B?w6Q=?= <a@x.example>", "mailto:a@x.example"),
        (b"1", "mailto:from@x.example"),
        (b"", "mailto:from@x.example"),
    ],
)
def test_receipt_addresses(value: bytes, url: str) -> None:
    part = entity(b"From: from@x.example\r\nReturn-Receipt-To: " + value + b"\r\n\r\nx")
    (reference,) = find(part).references
    assert reference.url == url
    assert cleaned(part, [reference]) == b"From: from@x.example\r\n\r\nx"


def test_duplicate_only_and_last_receipt_fields() -> None:
    twice = entity(b"X-PMRQC: 1\r\nReturn-Receipt-To: a@x.example\r\n\r\nbody")
    assert cleaned(twice, find(twice).references) == b"\r\nbody"
    unfinished = entity(b"Subject: x\r\nReturn-Receipt-To: a@x.example")
    assert cleaned(unfinished, find(unfinished).references) == b"Subject: x\r\n"


def test_receipt_field_at_the_seam_leaves_a_field_behind() -> None:
    raw = b"Subject: x\r\nReturn-Receipt-To: a@x.example\r\nno field here\r\n"
    part = entity(raw)
    seam = raw.index(b"no field")
    part = Part(
        "1", part.source, part.span, Span(0, seam), Span(seam, len(raw)), part.fields, "text/plain", {}
    )  # as a parser reads it that ends the header at the malformed line
    output = cleaned(part, find(part).references)
    assert output == b"Subject: x\r\nX-Removed: yes\r\nno field here\r\n"


def test_receipt_that_only_another_reading_of_the_header_has() -> None:
    raw = b"Subject: x\rDisposition-Notification-To: a@x.example\rMore: y\r\n\r\nz"
    found = [one for part in parse_message(raw).walk() for one in find(part).references]
    assert [reference.url for reference in found] == ["mailto:a@x.example"]
    assert cleaned(parse_message(raw).root, found) == b"Subject: x\rMore: y\r\n\r\nz"


def test_notes_item_counts_only_as_a_receipt() -> None:
    assert find(entity(b"X-Notes-Item: 1; name=ReturnReceipt\r\n\r\n")).references
    assert not find(entity(b"X-Notes-Item: Memo; name=Form\r\n\r\n")).references
    assert not find(entity(b"X-MDRcpt-To: reader@example.org\r\n\r\n")).references


@pytest.mark.parametrize("name", ["X-Image-URL", "x-face-url", "Face-URL", "X-Avatar-URL"])
def test_picture_fields(name: str) -> None:
    part = entity(f"Subject: x\r\n{name}: <http://spy.example/\r\n a.png>\r\n\r\nx".encode())
    (reference,) = find(part).references
    assert (reference.vector, reference.url) == (Vector.IMAGE_FIELD, "http://spy.example/a.png")
    assert reference.media is None
    assert cleaned(part, [reference]) == b"Subject: x\r\n\r\nx"


def test_inline_faces_stay() -> None:
    assert not find(entity(b"Face: iVBORw0KGgoAAAANSUhEUg//==\r\nX-Face: \"'`<//x:y>\r\n\r\n")).references
    assert find(entity(b"Face: https://spy.example/f.png\r\n\r\n")).references


def test_our_own_picture_stays() -> None:
    part = entity(b"X-Image-URL: https://copies.example/c/token\r\n\r\n")
    assert not find(part, ours="https://copies.example/").references


def test_bimi_location_loses_every_address() -> None:
    raw = b"BIMI-Location: v=BIMI1; l=https://spy.example/\r\n\tlogo.svg;\r\n\ta=https://spy.example/vmc.pem\r\n\r\n"
    part = entity(raw)
    references = find(part).references
    assert [reference.url for reference in references] == [
        "https://spy.example/logo.svg",
        "https://spy.example/vmc.pem",
    ]
    assert cleaned(part, references) == b"BIMI-Location: v=BIMI1; l=;\r\n\ta=\r\n\r\n"
    assert not find(entity(b"BIMI-Location: v=BIMI1; l=; a=\r\n\r\n")).references
    assert not find(entity(b"BIMI-Indicator: PHN2ZyB4bWxucz0i\r\n\r\n")).references


@pytest.mark.parametrize(
    "value", ["http://spy.example/x", "file://///spy.example/share/x", "\\\\spy.example\\x"]
)
def test_detached_attachment(value: str) -> None:
    part = entity(f"Subject: y\r\nX-Mozilla-External-Attachment-URL: {value}\r\n\r\nx".encode())
    (reference,) = find(part).references
    assert reference.vector is Vector.EXTERNAL_BODY
    assert "spy.example" in reference.url
    assert cleaned(part, [reference]) == b"Subject: y\r\n\r\nx"


def test_bases_are_made_inert_and_names_of_inline_content_stay() -> None:
    page = entity(b'Content-Type: text/html\r\nContent-Base: "http://spy.example/d/"\r\n\r\nx', "text/html")
    (reference,) = find(page).references
    assert (reference.vector, reference.url) == (Vector.CONTENT_BASE, "http://spy.example/d/")
    assert cleaned(page, [reference]).startswith(
        b"Content-Type: text/html\r\nContent-Base: thismessage:/\r\n\r\n"
    )
    located = entity(b"Content-Location: http://spy.example/\r\n d/p.html\r\n\r\nx", "text/html")
    assert [one.url for one in find(located).references] == ["http://spy.example/d/p.html"]
    picture = entity(b"Content-Location: http://spy.example/a.png\r\n\r\nPNG", "image/png")
    assert not find(picture).references
    empty = entity(b"Content-Location: http://spy.example/a.png\r\n\r\n", "image/png")
    assert find(empty).references
    assert not find(entity(b"Content-Location: a.png\r\n\r\nPNG", "text/html")).references
    assert not find(entity(b"Content-Base: thismessage:/\r\n\r\n", "text/html")).references


def test_document_base() -> None:
    root = entity(b"Content-Base: http://a.example/x/\r\n\r\n", "multipart/related")
    relative = entity(b"Content-Location: sub/page.html\r\n\r\n", "text/html")
    own = entity(
        b"Content-Location: http://c.example/\r\nContent-Base: http://b.example/\r\n\r\n", "text/html"
    )
    bare = entity(b"Subject: x\r\n\r\n", "text/html")
    assert document_base((bare,)) == ""
    assert document_base((root, bare)) == "http://a.example/x/"
    assert document_base((root, relative)) == "http://a.example/x/sub/page.html"
    assert document_base((root, own)) == "http://b.example/"
    assert document_base((relative,)) == ""


def test_content_locations_name_the_leaves_that_are_in_the_message() -> None:
    absolute = entity(b"Content-Location: http://a.example/p.png\r\n\r\nPNG", "image/png")
    relative = entity(b"Content-Location: q.png\r\n\r\nPNG", "image/png")
    empty = entity(b"Content-Location: http://a.example/r.png\r\n\r\n", "image/png")
    raw = b"Content-Base: http://a.example/\r\n\r\n"
    root = entity(raw, "multipart/related", (absolute, relative, empty))
    assert content_locations(root) == {
        "http://a.example/p.png": absolute,
        "http://a.example/q.png": relative,
    }


@pytest.mark.parametrize(
    ("value", "url", "output"),
    [
        (
            'message/external-body; access-type=URL;\r\n URL="http://spy.example/\r\n x.txt"; size=1',
            "http://spy.example/x.txt",
            'message/external-body; access-type=URL;\r\n URL=""; size=1',
        ),
        (
            'Message/External-Body (c;d); ACCESS-TYPE=anon-ftp; site=spy.example; directory=p; name="a.txt"',
            "ftp://spy.example/p/a.txt",
            'Message/External-Body (c;d); ACCESS-TYPE=anon-ftp; site=""; directory=p; name="a.txt"',
        ),
        (
            "message/external-body; access-type=url; url*=us-ascii''http%3A%2F%2Fspy.example%2Fx",
            "http://spy.example/x",
            "message/external-body; access-type=url; url*=''",
        ),
        (
            'message/external-body; access-type=local-file; name="\\\\\\\\spy.example\\\\share\\\\x"',
            "file://spy.example/share/x",
            'message/external-body; access-type=local-file; name=""',
        ),
        (
            "message/external-body; access-type=mail-server; server=list@spy.example",
            "mailto:list@spy.example",
            'message/external-body; access-type=mail-server; server=""',
        ),
        (
            'text/html; charset=utf-8; url="http://spy.example/"',
            "http://spy.example/",
            'text/html; charset=utf-8; url=""',
        ),
    ],
)
def test_external_bodies(value: str, url: str, output: str) -> None:
    part = entity(f"Content-Type: {value}\r\n\r\nContent-Type: text/plain\r\n\r\n".encode())
    references = find(part).references
    assert [reference.url for reference in references] == [url]
    assert references[0].vector is Vector.EXTERNAL_BODY
    result = cleaned(part, references)
    assert result.startswith(f"Content-Type: {output}\r\n\r\n".encode())
    assert not find(entity(result)).references


def test_external_body_in_continuations() -> None:
    value = 'message/external-body; access-type=URL; URL*0="http://spy"; URL*1=".example/x"'
    references = find(entity(f"Content-Type: {value}\r\n\r\n".encode())).references
    assert {reference.url for reference in references} == {"http://spy.example/x"}
    assert len(references) == 2


def test_message_partial_becomes_text() -> None:
    part = entity(b'Content-Type: message/partial; id="<a@x.example>"; number=1; total=2\r\n\r\nx')
    (reference,) = find(part).references
    assert (reference.vector, reference.url) == (Vector.MESSAGE_PARTIAL, "mid:a@x.example")
    assert cleaned(part, [reference]).startswith(b'Content-Type: text/plain; id="<a@x.example>"; number=1')


def test_links_are_noted_and_never_references() -> None:
    raw = (
        b"List-Unsubscribe: <http://x.example/u?\r\n id=1>, <mailto:u@x.example>\r\n"
        b"Archived-At: <https://x.example/a>\r\nLink: <https://x.example/s.css>; rel=stylesheet\r\n\r\n"
    )
    findings = find(entity(raw))
    assert not findings.references
    assert {"http://x.example/u?id=1", "https://x.example/a", "https://x.example/s.css"} <= findings.linked


def test_ordinary_header_has_no_references() -> None:
    raw = (
        b"Received: from a (b [192.0.2.1]) by c; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        b'Content-Type: multipart/alternative;\r\n boundary="x"; charset=utf-8\r\n'
        b"Subject: please confirm receipt\r\nContent-Location: cid:a\r\n\r\n"
    )
    assert not find(entity(raw, "multipart/alternative")).references


@given(st.binary(max_size=300))
def test_any_bytes_in_an_answer_out(noise: bytes) -> None:
    for name in (b"Content-Type: message/external-body;", b"BIMI-Location:", b"Return-Receipt-To:", b"X:"):
        part = entity(b"A: b\r\n" + name + noise.replace(b"\n", b"") + b"\r\n\r\nx")
        for reference in find(part).references:
            assert 0 <= reference.start <= reference.end <= len(part.source.data)
            assert reference.inert.isascii()


@pytest.mark.parametrize(
    "pattern",
    [
        b"(",
        b'"',
        b"\\",
        b";url=",
        b"=?",
        b"@",
        b"<a@",
        b"a",
        b"\rX:",
        b"<http://",
        b"url*1=a;",
        b"(;",
        b"l=http:;",
    ],
)
def test_long_fields_take_linear_time(pattern: bytes) -> None:
    noise = pattern * (300_000 // len(pattern))
    started = time.perf_counter()
    for name in (
        b"Content-Type: message/external-body; x=",
        b"BIMI-Location:",
        b"Return-Receipt-To: @",
        b"X-Image-URL: ",
        b"List-Help: ://",
    ):
        find(entity(name + noise + b"\r\n\r\nx"))
    assert time.perf_counter() - started < 3
