from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers import (
    AES_256_CBC,
    CIPHERTEXT,
    COMPRESSED_DATA,
    DATA,
    ENCRYPTED_DATA,
    ENVELOPED_DATA,
    content_info,
    enveloped,
    indefinite,
    integer,
    leaf,
    need,
    oid,
    pem,
    run,
    signed_data,
    tlv,
)
from mailveil.core.message.cms import (
    CmsKind,
    certificate_urls,
    encode_edits,
    examine_cms,
    opaque_signed_replacement,
)
from mailveil.core.message.edits import splice
from mailveil.core.message.types import Coding, Defect, Edit, Source, Span

HTML = b'Content-Type: text/html\r\n\r\n<img src="http://tracker.example/x.gif">\r\n'


def compressed(content: bytes) -> bytes:
    import zlib

    algorithm = tlv(0x30, oid("1.2.840.113549.1.9.16.3.8"))
    inner = tlv(0x30, DATA, tlv(0xA0, tlv(4, zlib.compress(content))))
    return content_info(COMPRESSED_DATA, tlv(0x30, integer(0), algorithm, inner))


def test_enveloped_data_is_ciphertext() -> None:
    content = examine_cms(enveloped())
    assert (content.kind, content.is_ciphertext, content.inner) == (CmsKind.ENVELOPED, True, b"")


def test_ciphertext_in_segments_of_indefinite_length_is_ciphertext() -> None:
    pieces = [tlv(4, CIPHERTEXT[at : at + 100]) for at in range(0, len(CIPHERTEXT), 100)]
    info = indefinite(0x30, DATA, AES_256_CBC, indefinite(0xA0, *pieces))
    body = indefinite(0x30, integer(2), tlv(0x31, tlv(0x30, integer(0))), info)
    assert examine_cms(indefinite(0x30, ENVELOPED_DATA, indefinite(0xA0, body))).is_ciphertext


def test_encrypted_data_is_ciphertext() -> None:
    info = tlv(0x30, DATA, AES_256_CBC, tlv(0x80, CIPHERTEXT))
    content = examine_cms(content_info(ENCRYPTED_DATA, tlv(0x30, integer(0), info)))
    assert (content.kind, content.is_ciphertext) == (CmsKind.ENCRYPTED, True)


@pytest.mark.parametrize("newlines", [b"", b"\r\n", b"\n\n \t"])
def test_white_space_around_a_ciphertext_does_not_matter(newlines: bytes) -> None:
    assert examine_cms(enveloped() + newlines).is_ciphertext


def test_armoured_ciphertext_is_ciphertext() -> None:
    assert examine_cms(pem(enveloped())).is_ciphertext
    assert examine_cms(pem(enveloped(), "PKCS7").replace(b"\n", b"\r\n")).is_ciphertext


DISGUISES: dict[str, bytes] = {
    "html": b"<html><img src=http://tracker.example/x></html>",
    "signed data": signed_data(HTML),
    "html behind": enveloped() + HTML,
    "html before": HTML + enveloped(),
    "no ciphertext in it": content_info(
        ENVELOPED_DATA, tlv(0x30, integer(0), tlv(0x31, tlv(0x30)), tlv(0x30, DATA, AES_256_CBC))
    ),
    "nobody to read it": enveloped(recipients=b""),
    "html in the place of ciphertext": enveloped(HTML),
    "html in utf-16": enveloped(CIPHERTEXT + HTML.decode().encode("utf-16-le") + CIPHERTEXT),
    "html amid ciphertext": enveloped(CIPHERTEXT + b'<img src="http://tracker.example/x.gif">' + CIPHERTEXT),
    "html in segments": tlv(
        0x30,
        ENVELOPED_DATA,
        tlv(
            0xA0,
            tlv(
                0x30,
                integer(0),
                tlv(0x31, tlv(0x30)),
                tlv(
                    0x30, DATA, AES_256_CBC, tlv(0xA0, *(tlv(4, HTML[at : at + 8]) for at in range(0, 64, 8)))
                ),
            ),
        ),
    ),
    "a second content": tlv(0x30, ENVELOPED_DATA, tlv(0xA0, enveloped()[20:]), tlv(4, HTML)),
    "cut off": enveloped()[:-1],
    "text around the armour": pem(enveloped()) + HTML,
    "text before the armour": HTML + pem(enveloped()),
    "markup in the armour's label": pem(enveloped(), "<img src=http://tracker.example>"),
    "empty": b"",
    "an armour with nothing": b"-----BEGIN CMS-----\n-----END CMS-----\n",
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguise_is_no_ciphertext(name: str) -> None:
    assert not examine_cms(DISGUISES[name]).is_ciphertext


def test_what_is_signed_can_be_read() -> None:
    content = examine_cms(signed_data(HTML, [tlv(0x30, b"")]))
    assert (content.kind, content.inner, content.is_detached) == (CmsKind.SIGNED, HTML, False)
    assert content.certificates == (tlv(0x30, b""),)
    assert content.inner_span is not None
    assert HTML in signed_data(HTML, [tlv(0x30, b"")])[content.inner_span.start : content.inner_span.end]


def test_what_is_signed_can_be_read_in_segments_in_armour_and_in_bare_base64() -> None:
    segments = indefinite(0x24, *(tlv(4, HTML[at : at + 7]) for at in range(0, len(HTML), 7)))
    nested = indefinite(0x24, segments)
    for text in (segments, nested):
        info = indefinite(0x30, DATA, indefinite(0xA0, text))
        body = indefinite(0x30, integer(1), tlv(0x31), info, tlv(0x31))
        data = indefinite(0x30, oid("1.2.840.113549.1.7.2"), indefinite(0xA0, body))
        assert examine_cms(data).inner == HTML
        assert examine_cms(data + b"trailing").inner == HTML
        assert examine_cms(pem(data)).inner == HTML
    long = signed_data(HTML + bytes(200))
    assert examine_cms(pem(long).split(b"\n", 1)[1].rsplit(b"-----END", 1)[0]).inner == HTML + bytes(200)


def test_a_cut_signature_still_shows_what_it_holds_and_says_so() -> None:
    whole = signed_data(HTML)
    content = examine_cms(whole[:-2])
    assert content.inner == HTML
    assert Defect.MALFORMED_CONTAINER in content.defects


def test_a_detached_signature_has_no_content() -> None:
    content = examine_cms(signed_data(None))
    assert (content.kind, content.is_detached, content.inner) == (CmsKind.SIGNED, True, b"")


def test_compressed_data_is_opened_within_bounds() -> None:
    assert examine_cms(compressed(HTML)).inner == HTML
    bomb = examine_cms(compressed(bytes(5_000_000)), max_bytes=100_000)
    assert (bomb.inner, bomb.defects) == (b"", (Defect.TOO_LARGE,))
    broken = compressed(HTML).replace(b"x\x9c", b"zz")
    assert examine_cms(broken).defects == (Defect.MALFORMED_CONTAINER,)


OPENSSL: dict[str, tuple[str, CmsKind, bool]] = {
    "sign": ("cms -sign -nodetach -binary -signer c.pem -inkey k.pem", CmsKind.SIGNED, False),
    "sign in a stream": (
        "cms -sign -nodetach -stream -indef -binary -signer c.pem -inkey k.pem",
        CmsKind.SIGNED,
        False,
    ),
    "sign detached": ("cms -sign -binary -signer c.pem -inkey k.pem", CmsKind.SIGNED, False),
    "encrypt": ("cms -encrypt -binary -aes256 -recip c.pem", CmsKind.ENVELOPED, True),
    "encrypt in a stream": (
        "cms -encrypt -stream -indef -binary -aes256 -recip c.pem",
        CmsKind.ENVELOPED,
        True,
    ),
    "encrypt with 3DES": ("cms -encrypt -binary -des3 -recip c.pem", CmsKind.ENVELOPED, True),
    "encrypt and authenticate": (
        "cms -encrypt -binary -aes-256-gcm -recip c.pem",
        CmsKind.AUTHENVELOPED,
        True,
    ),
    "encrypt as PKCS #7": ("smime -encrypt -binary -aes256 c.pem", CmsKind.ENVELOPED, True),
    "digest": ("cms -digest_create -binary", CmsKind.OTHER, False),
    "encrypt with a key": (
        f"cms -EncryptedData_encrypt -binary -aes256 -secretkey {'0123456789abcdef' * 4}",
        CmsKind.ENCRYPTED,
        True,
    ),
}


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    program = need("openssl")
    folder = tmp_path_factory.mktemp("openssl")
    request = "req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 9 -subj /CN=Ann"
    run(program, *request.split(), cwd=folder)

    def call(arguments: str, stdin: bytes) -> bytes:
        action, option, *rest = arguments.split()
        Path(folder, "in").write_bytes(stdin)
        # A certificate without an option in front of it comes last.
        last = [rest.pop()] if action == "smime" else []
        run(program, action, option, *rest, "-in", "in", "-outform", "DER", "-out", "out", *last, cwd=folder)
        return Path(folder, "out").read_bytes()

    return call


@pytest.mark.parametrize("name", OPENSSL)
def test_what_openssl_makes(name: str, openssl: Callable[..., bytes]) -> None:
    arguments, kind, secret = OPENSSL[name]
    content = examine_cms(openssl(arguments, HTML * 200))
    assert (content.kind, content.is_ciphertext, content.defects) == (kind, secret, ())
    assert content.inner == (b"" if secret or "detached" in name else HTML * 200)


def test_addresses_in_certificates() -> None:
    def uri(value: bytes) -> bytes:
        return tlv(0x86, value)

    access = tlv(
        0x30,
        tlv(0x30, oid("1.3.6.1.5.5.7.48.1"), uri(b"http://ocsp.example")),
        tlv(0x30, oid("1.3.6.1.5.5.7.48.2"), uri(b"http://ca.example/ca.cer")),
    )
    points = tlv(
        0x30, tlv(0x30, tlv(0xA0, tlv(0xA0, uri(b"ldap://crl.example/x"), uri(b"http://crl.example/x"))))
    )
    policy = tlv(0x30, tlv(0x30, oid("1.2.3"), tlv(0x30, tlv(0x16, b"http://cps.example"))))
    extensions = tlv(
        0x30,
        tlv(0x30, oid("1.3.6.1.5.5.7.1.1"), tlv(4, access)),
        tlv(0x30, oid("2.5.29.31"), tlv(1, b"\xff"), tlv(4, points)),
        tlv(
            0x30,
            oid("2.5.29.46"),
            tlv(4, tlv(0x30, tlv(0x30, tlv(0xA0, tlv(0xA0, uri(b"http://delta.example")))))),
        ),
        tlv(0x30, oid("2.5.29.32"), tlv(4, policy)),
    )
    certificate = tlv(0x30, tlv(0x30, integer(1), tlv(0xA3, extensions)), tlv(0x30), tlv(3))
    assert certificate_urls([certificate, certificate]) == [
        "http://ocsp.example",
        "http://ca.example/ca.cer",
        "ldap://crl.example/x",
        "http://crl.example/x",
        "http://delta.example",
    ]


# --- what takes the place of an opaque part --------------------------------------------------------------

OUTER = (
    b"From: ann@example.org\r\nContent-Type: application/pkcs7-mime;\r\n smime-type=signed-data\r\n"
    b"Subject: hello\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\n"
    b"MIIB\r\nMIIC\r\n"
)
CLEAN = (
    b"Content-Type: text/html\r\nFrom: forged@example.org\r\n"
    b'Content-Transfer-Encoding: 7bit\r\n\r\n<img src="data:,">\r\n'
)


def test_the_inner_entity_takes_the_place_of_the_whole_message() -> None:
    part = leaf(OUTER, "application/pkcs7-mime")
    assert splice(OUTER, opaque_signed_replacement(part, CLEAN)) == (
        b"From: ann@example.org\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: 7bit\r\n"
        b'Subject: hello\r\n\r\n<img src="data:,">\r\n'
    )


def test_line_breaks_follow_the_message() -> None:
    outer = OUTER.replace(b"\r\n", b"\n")
    out = splice(outer, opaque_signed_replacement(leaf(outer), CLEAN))
    assert b"\r" not in out
    assert out.endswith(b'Subject: hello\n\n<img src="data:,">\n')


def test_a_body_that_is_not_all_crlf_keeps_its_line_breaks() -> None:
    outer = OUTER.replace(b"\r\n", b"\n")
    inner = b"Content-Type: application/x\r\n\r\na\r\nb\nc\r\n"
    assert splice(outer, opaque_signed_replacement(leaf(outer), inner)).endswith(b"a\r\nb\nc\r\n")


def nested(inner: bytes) -> tuple[bytes, bytes]:
    head = b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n"
    tail = b"\r\n--outer\r\nContent-Type: text/plain\r\n\r\n-- \r\nAnn\r\n--outer--\r\n"
    part = OUTER.rstrip()
    source = Source(head + part + tail)
    span = Span(len(head), len(head) + len(part))
    return splice(source.data, opaque_signed_replacement(leaf(b"", source=source, span=span), inner)), tail


def test_a_part_among_others_is_replaced_alone() -> None:
    out, tail = nested(CLEAN + b"-- \r\nsignature separators are no delimiters\r\n")
    assert out.endswith(b"no delimiters\r\n" + tail)
    assert b"pkcs7" not in out


@pytest.mark.parametrize("line", [b"--outer", b"--outer--", b"--outerX", b"--outer \t"])
def test_an_inner_line_that_would_be_a_delimiter_never_stands_in_the_open(line: bytes) -> None:
    evil = (
        b"Content-Type: text/plain\r\n\r\nhello\r\n"
        + line
        + b"\r\nContent-Type: text/html\r\n\r\n<img src=x>\r\n"
    )
    out, tail = nested(evil)
    assert out.endswith(tail)
    assert out.count(b"--outer") == 3
    assert b"<img" not in out
    assert b"base64" in out


def test_boundaries_that_only_the_caller_knows_count_too() -> None:
    inner = CLEAN + b"--elsewhere\r\n\r\n<img>"
    assert b"<img>" in splice(OUTER, opaque_signed_replacement(leaf(OUTER), inner))
    assert b"<img>" not in splice(OUTER, opaque_signed_replacement(leaf(OUTER), inner, [b"elsewhere"]))


def test_edits_within_become_the_replacement_of_the_part() -> None:
    within = Source(OUTER)
    source = Source(HTML, within, Span(0, len(OUTER)), Coding.CMS_SIGNED)
    at = HTML.index(b"http")
    edits = encode_edits(source, [Edit(at, HTML.index(b'">'), b"data:,")])
    assert splice(OUTER, edits) == (
        b'From: ann@example.org\r\nContent-Type: text/html\r\nSubject: hello\r\n\r\n<img src="data:,">\r\n'
    )


# --- anything at all -------------------------------------------------------------------------------------

BER_BYTES = st.lists(
    st.sampled_from(
        [
            b"\x30\x80",
            b"\xa0\x80",
            b"\x24\x80",
            b"\0\0",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x04\x05",
            DATA,
            ENVELOPED_DATA,
            b"\x1f\x80\x80",
            b"x" * 9,
            signed_data(HTML),
            enveloped(),
            b"-----BEGIN CMS-----\n",
            b"-----END CMS-----",
            b"MIIB",
            compressed(HTML),
        ]
    )
    | st.binary(max_size=6),
    max_size=20,
).map(b"".join)


@settings(max_examples=200)
@given(BER_BYTES)
def test_any_bytes_give_an_answer(data: bytes) -> None:
    content = examine_cms(data)
    assert content.is_ciphertext <= (
        content.kind in (CmsKind.ENVELOPED, CmsKind.AUTHENVELOPED, CmsKind.ENCRYPTED)
    )
    certificate_urls([data])


@settings(max_examples=150)
@given(
    st.integers(0, len(enveloped()) - 1),
    st.integers(0, 255),
    st.sampled_from([enveloped(), signed_data(HTML)]),
)
def test_any_mutation_gives_an_answer(at: int, octet: int, whole: bytes) -> None:
    data = bytearray(whole)
    data[at % len(data)] = octet
    examine_cms(bytes(data))
    examine_cms(whole[:at])


@settings(max_examples=200)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_entity_can_take_any_part_s_place(outer: bytes, inner: bytes) -> None:
    for edit in opaque_signed_replacement(leaf(outer), inner):
        assert 0 <= edit.start <= edit.end <= len(outer)


@pytest.mark.parametrize(
    "piece",
    [
        b"\x30\x80",
        b"\x24\x80",
        b"\x30\x80\0\0",
        b"\x05\0",
        b"\x30",
        b"\x1f\xff",
        b"-----BEGIN ",
        b"MI",
        b"\0",
    ],
)
def test_time_is_linear(piece: bytes) -> None:
    def seconds(size: int) -> float:
        data = b"\x30\x80" + DATA + b"\xa0\x80" + piece * (size // len(piece))
        start = time.perf_counter()
        examine_cms(data)
        examine_cms(piece * (size // len(piece)))
        certificate_urls([data])
        return time.perf_counter() - start

    assert seconds(300_000) < 2


def test_delimiters_are_looked_for_in_linear_time() -> None:
    outer = (
        b"Content-Type: x\r\n"
        + b"".join(b"X: boundary=%b\r\n" % (b"a" * n) for n in range(1, 240))
        + b"\r\nbody"
    )
    inner = b"Content-Type: x\r\n\r\n" + b"--b\n" * 75_000 + b"\n-" * 75_000
    part = leaf(b"", source=Source(outer + b"\r\n" + outer), span=Span(len(outer) + 2, 2 * len(outer) + 2))
    start = time.perf_counter()
    opaque_signed_replacement(part, inner)
    assert time.perf_counter() - start < 1
