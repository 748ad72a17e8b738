from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from containers import leaf
from mailveil.core.message.types import Coding, Source, Span
from mailveil.core.references.certificates import find_in_certificates, known_issuer_among
from mailveil.core.references.types import Findings, Scope, Vector

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
Key = ec.EllipticCurvePrivateKey


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def certificate(
    subject: str, issuer: str, key: Key, signer: Key, *, ca: bool = False, url: str = ""
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if url:
        location = x509.UniformResourceIdentifier(url)
        access = x509.AccessDescription(x509.AuthorityInformationAccessOID.CA_ISSUERS, location)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)


ROOT_KEY, MIDDLE_KEY, LEAF_KEY, EVIL_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))
ROOT = certificate("Root", "Root", ROOT_KEY, ROOT_KEY, ca=True)
MIDDLE = certificate("Middle", "Root", MIDDLE_KEY, ROOT_KEY, ca=True, url="http://ca.example/root.cer")
LEAF = certificate("Ann", "Middle", LEAF_KEY, MIDDLE_KEY, url="http://ca.example/middle.cer")
EVIL = certificate("Eve", "Nobody", EVIL_KEY, EVIL_KEY, url="http://tracker.example/ca.cer")
FORGED = certificate("Eve", "Root", EVIL_KEY, EVIL_KEY, url="http://tracker.example/ca.cer")
NOT_AN_AUTHORITY = certificate("Eve", "Ann", EVIL_KEY, LEAF_KEY, url="http://tracker.example/ca.cer")


def urls(*certificates: bytes, roots: tuple[bytes, ...] = (ROOT,)) -> list[str]:
    findings = Findings()
    find_in_certificates(leaf(b"body"), Scope("1", findings), known_issuer_among(roots), certificates)
    return [reference.url for reference in findings.references]


def test_a_chain_to_a_known_authority_makes_nobody_fetch() -> None:
    assert urls(LEAF, MIDDLE) == []
    assert urls(MIDDLE, LEAF, ROOT) == []


def test_a_missing_link_in_the_chain_would_be_fetched() -> None:
    assert urls(LEAF) == ["http://ca.example/middle.cer"]


def test_an_unknown_issuer_would_be_fetched() -> None:
    assert urls(EVIL, LEAF, MIDDLE) == ["http://tracker.example/ca.cer"]
    assert urls(LEAF, MIDDLE, roots=()) == ["http://ca.example/middle.cer", "http://ca.example/root.cer"]


@pytest.mark.parametrize("bad", [FORGED, NOT_AN_AUTHORITY])
def test_a_certificate_that_only_names_a_known_authority_is_unknown(bad: bytes) -> None:
    assert urls(bad, LEAF, MIDDLE) == ["http://tracker.example/ca.cer"]


def test_where_the_reference_stands() -> None:
    findings = Findings()
    part = leaf(b"body", section="2")
    find_in_certificates(part, Scope("2", findings), known_issuer_among([]), [EVIL])
    (reference,) = findings.references
    assert (reference.vector, reference.part, reference.media) == (Vector.CERTIFICATE_URL, "2", None)
    assert (reference.source, reference.start, reference.end) == (part.source, 0, 4)
    inner = Source(b"inner", part.source, Span(0, 4), Coding.CMS_SIGNED)
    find_in_certificates(part, Scope("2", findings), known_issuer_among([]), [EVIL], inner)
    wrapped = findings.references[1]
    assert (wrapped.source, wrapped.start, wrapped.end, wrapped.inert) == (inner, 0, 0, "")


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(EVIL) - 1), st.integers(0, 255), st.binary(max_size=50))
def test_any_bytes_give_an_answer(at: int, octet: int, junk: bytes) -> None:
    broken = EVIL[:at] + bytes((octet,)) + EVIL[at + 1 :]
    urls(broken, junk, EVIL[:at], LEAF, roots=(ROOT, junk, broken))
