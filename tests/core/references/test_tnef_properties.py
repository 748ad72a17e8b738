from __future__ import annotations

from containers import (
    BOOLEAN,
    MAPI_PROPERTIES,
    STRING,
    UNICODE,
    attribute,
    fixed,
    named,
    properties,
    tnef,
    variable,
)
from mailveil.core.message.edits import splice
from mailveil.core.message.tnef import encode_edits, parse_tnef
from mailveil.core.message.types import Edit, Source
from mailveil.core.references.tnef import find_in_tnef
from mailveil.core.references.types import Findings, Scope, Vector

SHARE = "\\\\evil.example\\s\\a.wav"


def search(*values: bytes) -> tuple[Source, Findings]:
    source = Source(tnef(attribute(MAPI_PROPERTIES, properties(*values))))
    findings = Findings()
    find_in_tnef(parse_tnef(source), Scope("1", findings))
    return source, findings


def clean(*values: bytes) -> bytes:
    source, findings = search(*values)
    edits = [Edit(one.start, one.end, one.inert.encode(one.encoding)) for one in findings.references]
    (attribute_source,) = {one.source for one in findings.references}
    return splice(source.data, encode_edits(attribute_source, edits))


def test_a_reminder_s_sound_on_a_foreign_share_is_found_and_gone() -> None:
    for kind, text in ((UNICODE, SHARE.encode("utf-16-le") + b"\0\0"), (STRING, SHARE.encode() + b"\0")):
        sound = variable(0x8000, kind, text, name=named(0x851F))
        override = fixed(0x8001, BOOLEAN, 1)[:4] + named(0x851C) + bytes((1, 0, 0, 0))
        _, findings = search(sound, override)
        (reference,) = findings.references
        assert (reference.url, reference.vector) == ("file://evil.example/s/a.wav", Vector.TNEF_PROPERTY)
        out = clean(sound, override)
        again = parse_tnef(Source(out))
        assert again.defects == ()
        assert [one.value.strip() for one in again.properties] == ["about:blank"]


def test_a_share_in_any_property_counts() -> None:
    _, findings = search(variable(0x6123, STRING, SHARE.encode() + b"\0"))
    assert [one.url for one in findings.references] == ["file://evil.example/s/a.wav"]


def test_an_attachment_by_reference_counts_whatever_its_scheme() -> None:
    _, findings = search(variable(0x370D, STRING, b"http://tracker.example/a\0"))
    assert [one.url for one in findings.references] == ["http://tracker.example/a"]


def test_a_base_address_counts_and_ordinary_addresses_stay() -> None:
    _, findings = search(
        variable(0x1014, STRING, b"http://base.example/\0"),
        variable(0x1045, STRING, b"<http://unsubscribe.example/>\0"),
        variable(0x370D, STRING, b"C:\\pictures\\a.png\0"),
        variable(0x0037, STRING, b"http://subject.example/\0"),
        variable(0x0037, STRING, b"//\0"),
    )
    assert [(one.url, one.vector) for one in findings.references] == [
        ("http://base.example/", Vector.CONTENT_BASE)
    ]


def test_a_request_for_a_receipt_is_turned_off() -> None:
    values = (fixed(0x0029, BOOLEAN, 1), fixed(0x0023, BOOLEAN, 0))
    _, findings = search(*values)
    assert [(one.vector, one.media) for one in findings.references] == [(Vector.RECEIPT_FIELD, None)]
    assert parse_tnef(Source(clean(*values))).properties == ()


def test_short_paths_leave_lengths_alone() -> None:
    value = variable(0x370D, STRING, b"\\\\a\\b\0")
    again = parse_tnef(Source(clean(value, variable(0x1000, STRING, b"body\0"))))
    assert again.defects == ()
    assert [source.data for _, source in again.contents] == [b"body\0"]
