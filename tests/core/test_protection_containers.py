from __future__ import annotations

import base64

import pytest

from containers import (
    BINARY,
    MAPI_PROPERTIES,
    PKESK,
    SEIPD,
    armoured,
    attribute,
    enveloped,
    literal,
    packet,
    properties,
    signed_data,
    tnef,
    variable,
)
from mailveil.core.message.rtf import encode_compressed_rtf
from mailveil.core.protection import EngineSettings, inspect, protect

TRACKER = b"http://tracker.example/x.gif"
ENTITY = b'Content-Type: text/html\r\n\r\n<p>hello</p><img src="%b">\r\n' % TRACKER
RTF = b'{\\rtf1 hello{\\field{\\*\\fldinst INCLUDEPICTURE "%b"}}}' % TRACKER
FIELDS = b"From: ann@example.org\r\nSubject: hello\r\nMIME-Version: 1.0\r\n"


def leaf(media_type: str, data: bytes) -> bytes:
    body = base64.encodebytes(data).replace(b"\n", b"\r\n")
    return b"Content-Type: %b\r\nContent-Transfer-Encoding: base64\r\n\r\n%b" % (media_type.encode(), body)


def beside_others(part: bytes) -> bytes:
    return (
        FIELDS
        + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + b"Content-Type: text/plain\r\n\r\nbefore\r\n--b\r\n"
        + part
        + b"--b\r\nContent-Type: text/plain\r\n\r\nafter\r\n--b--\r\n"
    )


def tnef_of(*values: bytes) -> bytes:
    return tnef(attribute(MAPI_PROPERTIES, properties(*values)))


WRAPPED = {
    "opaque signature": leaf("application/pkcs7-mime; name=smime.p7m", signed_data(ENTITY)),
    "armoured literal": leaf("application/octet-stream; name=encrypted.asc", armoured(literal(ENTITY))),
    "compressed packet": leaf("application/pgp-encrypted", packet(8, b"\0" + literal(ENTITY))),
    "tnef html": leaf("application/ms-tnef", tnef_of(variable(0x1013, BINARY, ENTITY))),
    "tnef rich text": leaf(
        "application/ms-tnef", tnef_of(variable(0x1009, BINARY, encode_compressed_rtf(RTF)))
    ),
    "tnef with both": leaf(
        "application/octet-stream; name=winmail.dat",
        tnef_of(variable(0x1013, BINARY, ENTITY), variable(0x1009, BINARY, encode_compressed_rtf(RTF))),
    ),
    "rich text": leaf("application/rtf; name=a.rtf", RTF),
}


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("name", WRAPPED)
def test_what_a_container_holds_is_silenced_in_one_pass(name: str, alone: bool) -> None:
    raw = FIELDS + WRAPPED[name] if alone else beside_others(WRAPPED[name])
    plan = inspect(raw, EngineSettings())
    assert {decision.reference.url.encode() for decision in plan.decisions} == {TRACKER}
    outcome = protect(raw, EngineSettings())
    assert outcome.changed
    assert outcome.inert_parts == ()
    again = inspect(outcome.raw, EngineSettings())
    assert again.decisions == ()
    assert again.defects == ()
    assert protect(outcome.raw, EngineSettings()).raw == outcome.raw
    assert b"Subject: hello\r\n" in outcome.raw
    if not alone:
        assert b"\r\nbefore\r\n" in outcome.raw
        assert outcome.raw.endswith(b"\r\nafter\r\n--b--\r\n")


@pytest.mark.parametrize(
    "part",
    [
        leaf("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", enveloped()),
        leaf("application/octet-stream; name=encrypted.asc", armoured(PKESK + SEIPD)),
        leaf("application/pkcs7-mime; name=smime.p7m", signed_data(ENTITY.replace(TRACKER, b"cid:x@y"))),
        leaf("application/ms-tnef", tnef_of(variable(0x1013, BINARY, b"<p>hello</p>"))),
    ],
)
def test_what_holds_nothing_to_fetch_passes_byte_for_byte(part: bytes) -> None:
    for raw in (FIELDS + part, beside_others(part)):
        assert protect(raw, EngineSettings()).raw == raw
