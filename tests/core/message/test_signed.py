from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers import PKESK, SEIPD, armoured, enveloped, leaf, literal, packet, signed_data
from mailveil.core.message.parse import parse_message
from mailveil.core.message.signed import SignedKind, find_signed, is_ciphertext
from mailveil.core.message.transfer import decode_body
from mailveil.core.message.types import Limits

HTML = b'<html><img src="http://tracker.example/x.gif"></html>'
ENTITY = b"Content-Type: text/html\r\n\r\n" + HTML
CIPHER_PGP = armoured(PKESK + SEIPD).replace(b"\n", b"\r\n")
CIPHER_CMS = base64.encodebytes(enveloped()).replace(b"\n", b"\r\n")


def multipart(media_type: str, *parts: bytes) -> bytes:
    body = b"".join(b"--b\r\n%b\r\n" % part for part in parts)
    return b"MIME-Version: 1.0\r\nContent-Type: %b; boundary=b\r\n\r\n%b--b--\r\n" % (
        media_type.encode(),
        body,
    )


def part(media_type: str, body: bytes, *fields: str) -> bytes:
    return (
        "".join(f"{field}\r\n" for field in (f"Content-Type: {media_type}", *fields)).encode()
        + b"\r\n"
        + body
    )


def passed(raw: bytes) -> list[str]:
    """The sections of leaves that pass as ciphertext."""
    found: list[str] = []
    for one in parse_message(raw).walk():
        if not one.children:
            sources, _ = decode_body(one, Limits())
            if sources and all(is_ciphertext(one, source) for source in sources):
                found.append(one.section)
    return found


CONTROL = part("application/pgp-encrypted", b"Version: 1\r\n")
B64 = "Content-Transfer-Encoding: base64"
ENCRYPTED = "multipart/encrypted; protocol=application/pgp-encrypted"


def test_real_ciphertext_passes() -> None:
    assert passed(
        multipart(ENCRYPTED, CONTROL, part("application/octet-stream; name=encrypted.asc", CIPHER_PGP))
    ) == ["2"]
    assert passed(
        part("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", CIPHER_CMS, B64)
    ) == ["1"]
    assert passed(part("text/plain", CIPHER_PGP)) == ["1"]


DISGUISES: dict[str, tuple[bytes, list[str]]] = {
    "html labelled as pgp-encrypted": (multipart(ENCRYPTED, part("application/pgp-encrypted", HTML)), []),
    "html labelled as ciphertext": (
        multipart(ENCRYPTED, CONTROL, part("application/octet-stream", HTML)),
        [],
    ),
    "a third sibling": (
        multipart(ENCRYPTED, CONTROL, part("application/octet-stream", CIPHER_PGP), part("text/html", HTML)),
        ["2"],
    ),
    "html in the first place": (
        multipart(ENCRYPTED, part("text/html", HTML), part("application/octet-stream", CIPHER_PGP)),
        ["2"],
    ),
    "signed data labelled enveloped": (
        part(
            "application/pkcs7-mime; smime-type=enveloped-data", base64.encodebytes(signed_data(ENTITY)), B64
        ),
        [],
    ),
    "html labelled pkcs7-mime": (part("application/pkcs7-mime; name=smime.p7m", HTML), []),
    "html behind enveloped data": (
        part("application/pkcs7-mime", base64.encodebytes(enveloped() + HTML), B64),
        [],
    ),
    "html behind an armour's first line": (
        multipart(
            ENCRYPTED,
            CONTROL,
            part("application/octet-stream", b"-----BEGIN PGP MESSAGE-----\r\n\r\n" + HTML),
        ),
        [],
    ),
    "html behind an armour": (part("text/plain", CIPHER_PGP + HTML), []),
    "an armour with nothing in it": (
        multipart(ENCRYPTED, CONTROL, part("application/octet-stream", armoured(b""))),
        [],
    ),
    "a literal packet": (
        multipart(ENCRYPTED, CONTROL, part("application/octet-stream", armoured(literal(ENTITY)))),
        [],
    ),
    "a compressed packet": (
        multipart(
            ENCRYPTED, CONTROL, part("application/octet-stream", armoured(packet(8, b"\0" + literal(ENTITY))))
        ),
        [],
    ),
    "a ciphertext beside the html that is shown": (
        multipart("multipart/related", part("text/html", HTML), part("application/octet-stream", CIPHER_PGP)),
        ["2"],
    ),
    "ciphertext labelled html": (part("text/html", CIPHER_CMS, B64), []),
    "ciphertext with a page's name": (
        part(
            "application/pkcs7-mime",
            CIPHER_CMS,
            B64,
            'Content-Disposition: attachment; filename="a.p7m.html"',
        ),
        [],
    ),
    "plaintext in ciphertext's place": (
        part("application/pkcs7-mime", base64.encodebytes(enveloped(HTML * 3)), B64),
        [],
    ),
    "two types": (
        part("application/pkcs7-mime", CIPHER_CMS, B64, "Content-Type: text/html"),
        [],
    ),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguise_does_not_pass(name: str) -> None:
    raw, expected = DISGUISES[name]
    assert passed(raw) == expected


# --- what is signed --------------------------------------------------------------------------------------

SIGNATURE = part(
    "application/pkcs7-signature; name=smime.p7s",
    base64.encodebytes(signed_data(None)).replace(b"\n", b"\r\n"),
    B64,
)
PGP_SIGNATURE = part("application/pgp-signature", armoured(packet(2, b"\4" + bytes(20)), label=b"SIGNATURE"))


@pytest.mark.parametrize(
    ("signature", "kind"),
    [
        (SIGNATURE, SignedKind.SMIME_DETACHED),
        (PGP_SIGNATURE, SignedKind.PGP_MIME),
        (part("application/x-something", b"?"), SignedKind.OTHER),
    ],
)
def test_a_detached_signature_covers_the_first_part_to_the_byte(signature: bytes, kind: SignedKind) -> None:
    first = part("text/plain", b"hello \r\n\r\n")
    raw = multipart("multipart/signed; micalg=sha-256; protocol=x", first, signature)
    (signed,) = find_signed(parse_message(raw))
    assert (signed.kind, signed.content, signed.opaque) == (kind, first, False)
    assert signed.signature_part is not None
    assert signed.signature_part.section == "2"


def test_an_opaque_part_is_opened() -> None:
    raw = part("application/pkcs7-mime; name=smime.p7m", base64.encodebytes(signed_data(ENTITY)), B64)
    (signed,) = find_signed(parse_message(raw))
    assert (signed.kind, signed.content, signed.opaque) == (SignedKind.SMIME_OPAQUE, ENTITY, True)


@pytest.mark.parametrize("encoded", [False, True])
def test_an_inline_signature_is_found(encoded: bool) -> None:
    text = (
        b"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nhello\r\n"
        + PGP_SIGNATURE.split(b"\r\n\r\n", 1)[1]
    )
    raw = part("text/plain", base64.encodebytes(text), B64) if encoded else part("text/plain", text)
    (signed,) = find_signed(parse_message(raw))
    assert (signed.kind, signed.content) == (SignedKind.PGP_INLINE, text)


def test_the_outermost_comes_first() -> None:
    inner = multipart("multipart/signed", part("text/plain", b"hello"), PGP_SIGNATURE).replace(b"=b", b"=c")
    inner = inner.replace(b"--b", b"--c")
    raw = multipart("multipart/signed", inner, SIGNATURE)
    assert [signed.kind for signed in find_signed(parse_message(raw))] == [
        SignedKind.SMIME_DETACHED,
        SignedKind.PGP_MIME,
    ]


def test_nothing_signed() -> None:
    assert find_signed(parse_message(part("text/html", HTML))) == []
    certificates_only = part("application/pkcs7-mime", base64.encodebytes(signed_data(None)), B64)
    assert find_signed(parse_message(certificates_only)) == []


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([raw for raw, _ in DISGUISES.values()]), st.integers(0, 400), st.binary(max_size=3))
def test_any_message_gives_an_answer(raw: bytes, at: int, change: bytes) -> None:
    mutated = raw[:at] + change + raw[at + 1 :]
    find_signed(parse_message(mutated))
    passed(mutated)


def test_a_leaf_with_children_is_never_ciphertext() -> None:
    inner = leaf(CIPHER_PGP)
    assert not is_ciphertext(leaf(CIPHER_PGP, children=(inner,)), inner.source)
