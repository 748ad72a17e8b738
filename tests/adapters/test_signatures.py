from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_der_x509_certificate
from hypothesis import given, settings
from hypothesis import strategies as st

from containers import DATA, SIGNED_DATA, content_info, integer, need, oid, run, signed_data, tlv
from mailveil.adapters.signatures import (
    Keyring,
    SignatureOutcome,
    TrustStore,
    load_trust,
    verify_signed,
)
from mailveil.core.message.parse import parse_message
from mailveil.core.message.signed import SignedKind, SignedPart, find_signed

ENTITY = (
    b'Content-Type: text/html; charset=utf-8\r\n\r\n<p>Gr\xc3\xbc\xc3\x9fe</p>\r\n<img src="cid:x@y">\r\n'
)
EXTENSIONS = """
[ca]
basicConstraints=critical,CA:TRUE
subjectKeyIdentifier=hash
[leaf]
subjectAltName=email:ann@example.org
extendedKeyUsage=emailProtection
subjectKeyIdentifier=hash
authorityInfoAccess=caIssuers;URI:http://ca.example/ca.cer
[web]
subjectAltName=email:ann@example.org
extendedKeyUsage=serverAuth
[req]
distinguished_name=dn
[dn]
"""


class Authority:
    """A root, an authority below it and signers of several kinds, made by OpenSSL."""

    KEYS: Final = {
        "rsa": ["-newkey", "rsa:2048"],
        "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "ed25519": ["-newkey", "ed25519"],
        "web": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    }

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = need("openssl")
        (folder / "x.cnf").write_text(EXTENSIONS)
        curve = self.KEYS["ec"]
        self.openssl("req", "-x509", "-days", "9", "-nodes", *curve, "-config", "x.cnf", "-extensions", "ca",
                     "-subj", "/CN=Root", "-keyout", "root.key", "-out", "root.pem")  # fmt: skip
        self.issue("middle", curve, "/CN=Middle", "root", "ca")
        for name, key in self.KEYS.items():
            self.issue(name, key, "/CN=Ann Example", "middle", "web" if name == "web" else "leaf")

    def openssl(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return run(self.program, *arguments, cwd=self.folder, stdin=stdin)

    def issue(self, name: str, key: list[str], subject: str, issuer: str, extensions: str) -> None:
        self.openssl("req", "-nodes", *key, "-config", "x.cnf", "-subj", subject, "-keyout", f"{name}.key",
                     "-out", f"{name}.csr")  # fmt: skip
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
                     "-CAcreateserial", "-days", "9", "-extfile", "x.cnf", "-extensions", extensions,
                     "-out", f"{name}.pem")  # fmt: skip

    def sign(self, signer: str, *options: str, entity: bytes = ENTITY, middle: bool = True) -> bytes:
        certificates = ["-certfile", "middle.pem"] if middle else []
        out = self.openssl("cms", "-sign", "-binary", "-signer", f"{signer}.pem", "-inkey", f"{signer}.key",
                           *certificates, *options, stdin=entity)  # fmt: skip
        return b"From: ann@example.org\n" + out

    @property
    def trust(self) -> TrustStore:
        return load_trust(self.folder / "root.pem")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def only(raw: bytes) -> SignedPart:
    (signed,) = find_signed(parse_message(raw))
    return signed


@pytest.mark.parametrize(
    ("signer", "options"),
    [
        ("rsa", []),
        ("rsa", ["-nodetach"]),
        ("rsa", ["-nodetach", "-stream", "-indef"]),
        ("rsa", ["-keyopt", "rsa_padding_mode:pss"]),
        ("rsa", ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20", "-md", "sha512"]),
        ("rsa", ["-noattr"]),
        ("rsa", ["-noattr", "-nodetach"]),
        ("rsa", ["-keyid"]),
        ("rsa", ["-md", "sha384"]),
        ("ec", []),
        ("ec", ["-nodetach", "-md", "sha512"]),
    ],
)
def test_what_openssl_signs_is_valid(authority: Authority, signer: str, options: list[str]) -> None:
    signed = only(authority.sign(signer, *options))
    report = verify_signed(signed, authority.trust)
    assert (report.outcome, report.reason) == (SignatureOutcome.VALID, "")
    assert (report.name, report.address) == ("Ann Example", "ann@example.org")
    assert report.issuer == "CN=Middle"
    assert len(report.fingerprint) == 64
    assert int(report.serial, 16) > 0
    assert (report.signed_at is None) == ("-noattr" in options)
    opaque = "-nodetach" in options
    assert signed.kind is (SignedKind.SMIME_OPAQUE if opaque else SignedKind.SMIME_DETACHED)
    if opaque:
        assert signed.content == ENTITY


@pytest.mark.parametrize("with_attributes", [True, False])
def test_ed25519_is_valid(authority: Authority, with_attributes: bool) -> None:
    """RFC 8419; OpenSSL 3.0 cannot sign so."""
    certificate = authority.openssl("x509", "-in", "ed25519.pem", "-outform", "DER")
    middle = authority.openssl("x509", "-in", "middle.pem", "-outform", "DER")
    loaded = load_der_x509_certificate(certificate)
    serial = loaded.serial_number.to_bytes(21, "big").lstrip(b"\0")
    serial = b"\0" + serial if serial[0] & 0x80 else serial
    attributes = tlv(
        0x31,
        tlv(0x30, oid("1.2.840.113549.1.9.3"), tlv(0x31, DATA)),
        tlv(0x30, oid("1.2.840.113549.1.9.4"), tlv(0x31, tlv(4, hashlib.sha512(ENTITY).digest()))),
    )
    key = load_pem_private_key((authority.folder / "ed25519.key").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    signer = tlv(
        0x30,
        integer(1),
        tlv(0x30, loaded.issuer.public_bytes(), tlv(2, serial)),
        tlv(0x30, oid("2.16.840.1.101.3.4.2.3")),
        b"\xa0" + attributes[1:] if with_attributes else b"",
        tlv(0x30, oid("1.3.101.112")),
        tlv(4, key.sign(attributes if with_attributes else ENTITY)),
    )
    inner = tlv(0x30, DATA, tlv(0xA0, tlv(4, ENTITY)))
    body = tlv(0x30, integer(1), tlv(0x31), inner, tlv(0xA0, certificate, middle), tlv(0x31, signer))
    signed = SignedPart(
        parse_message(b"\n").root,
        SignedKind.SMIME_OPAQUE,
        ENTITY,
        content_info(SIGNED_DATA, body),
        opaque=True,
    )
    report = verify_signed(signed, authority.trust)
    assert (report.outcome, report.reason) == (SignatureOutcome.VALID, "")
    changed = replace(signed, content=ENTITY + b" ")
    assert verify_signed(changed, authority.trust).outcome is SignatureOutcome.INVALID


def test_line_breaks_changed_on_the_way_do_not_matter(authority: Authority) -> None:
    raw = authority.sign("ec").replace(b"\r\n", b"\n")
    assert verify_signed(only(raw), authority.trust).outcome is SignatureOutcome.VALID
    crlf = raw.replace(b"\n", b"\r\n")
    assert verify_signed(only(crlf), authority.trust).outcome is SignatureOutcome.VALID


@pytest.mark.parametrize("options", [[], ["-nodetach"], ["-noattr"]])
def test_changed_content_is_invalid(authority: Authority, options: list[str]) -> None:
    signed = only(authority.sign("rsa", *options))
    tampered = replace(signed, content=signed.content.replace(b"cid:x", b"cid:z"))
    report = verify_signed(tampered, authority.trust)
    assert report.outcome is SignatureOutcome.INVALID
    assert report.address == "ann@example.org"


def test_changed_signed_attributes_and_signatures_are_invalid(authority: Authority) -> None:
    signed = only(authority.sign("rsa"))
    for at in (-1, -20):
        broken = bytearray(signed.signature)
        broken[at] ^= 1
        outcome = verify_signed(replace(signed, signature=bytes(broken)), authority.trust).outcome
        assert outcome is SignatureOutcome.INVALID


def test_a_signer_nobody_vouches_for_is_untrusted(authority: Authority) -> None:
    signed = only(authority.sign("ec"))
    report = verify_signed(signed, TrustStore())
    assert report.outcome is SignatureOutcome.UNTRUSTED
    assert "authority" in report.reason
    without_middle = only(authority.sign("ec", middle=False))
    assert verify_signed(without_middle, authority.trust).outcome is SignatureOutcome.UNTRUSTED


def test_an_expired_chain_is_untrusted(authority: Authority) -> None:
    signed = only(authority.sign("ec"))
    later = datetime.now(UTC) + timedelta(days=10)
    assert verify_signed(signed, authority.trust, now=later).outcome is SignatureOutcome.UNTRUSTED


def test_a_certificate_for_another_use_is_untrusted(authority: Authority) -> None:
    report = verify_signed(only(authority.sign("web")), authority.trust)
    assert (report.outcome, report.reason) == (
        SignatureOutcome.UNTRUSTED,
        "The signer's certificate is not for mail.",
    )


def test_a_weak_digest_is_untrusted(authority: Authority) -> None:
    report = verify_signed(only(authority.sign("rsa", "-md", "sha1")), authority.trust)
    assert (report.outcome, report.reason) == (SignatureOutcome.UNTRUSTED, "Digest sha1 can be forged.")


def test_a_signer_without_a_certificate_is_an_unknown_key(authority: Authority) -> None:
    report = verify_signed(only(authority.sign("ec", "-nocerts", middle=False)), authority.trust)
    assert report.outcome is SignatureOutcome.UNKNOWN_KEY


def test_content_that_nobody_signed_is_invalid() -> None:
    signed = SignedPart(
        parse_message(b"\n").root, SignedKind.SMIME_OPAQUE, ENTITY, signed_data(ENTITY), opaque=True
    )
    assert verify_signed(signed, TrustStore()).outcome is SignatureOutcome.INVALID


def test_known_issuers_are_those_of_the_store(authority: Authority) -> None:
    known = authority.trust.known_issuer()
    for name, expected in (("middle", True), ("rsa", False), ("root", True)):
        der = authority.openssl("x509", "-in", f"{name}.pem", "-outform", "DER")
        assert known(der) is expected


def test_a_bundle_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(ValueError, match=r"empty\.pem holds no certificate"):
        load_trust(tmp_path / "empty.pem")
    with pytest.raises(OSError, match="missing"):
        load_trust(tmp_path / "missing.pem")


# --- OpenPGP ---------------------------------------------------------------------------------------------


class Person:
    """Somebody with a key, in GnuPG."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o700)
        (folder / "gpg-agent.conf").write_text("s2k-count 65536\n")
        self.gpg("--quick-gen-key", "Bob Example <bob@example.org>", "ed25519", "default", "never")

    def gpg(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return run(need("gpg"), "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase",
                   "", *arguments, cwd=self.folder, stdin=stdin, GNUPGHOME=str(self.folder))  # fmt: skip

    @property
    def certificate(self) -> bytes:
        return self.gpg("--export", "bob@example.org")

    @property
    def fingerprint(self) -> str:
        listed = self.gpg("--with-colons", "--list-keys").decode()
        return next(line.split(":")[9].lower() for line in listed.splitlines() if line.startswith("fpr"))

    def mime(self, entity: bytes) -> bytes:
        signature = self.gpg("-a", "-b", stdin=entity)
        return (
            b'Content-Type: multipart/signed; boundary=b; protocol="application/pgp-signature"\r\n\r\n--b\r\n'
            + entity
            + b"\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\n"
            + signature
            + b"\r\n--b--\r\n"
        )

    def inline(self, text: bytes) -> bytes:
        return b"Content-Type: text/plain\r\n\r\n" + self.gpg("--clearsign", stdin=text)


@pytest.fixture(scope="module")
def bob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    need("gpg")
    person = Person(tmp_path_factory.mktemp("bob"))
    yield person
    run(need("gpgconf"), "--kill", "gpg-agent", cwd=person.folder, GNUPGHOME=str(person.folder))


@pytest.fixture
def keyring(bob: Person) -> Keyring:
    pytest.importorskip("pysequoia")
    return Keyring([bob.certificate])


def test_without_a_keyring_the_key_is_named(bob: Person) -> None:
    for raw in (bob.mime(ENTITY), bob.inline(b"hello\n")):
        report = verify_signed(only(raw), TrustStore())
        assert (report.outcome, report.fingerprint) == (SignatureOutcome.UNKNOWN_KEY, bob.fingerprint)


def test_what_gnupg_signs_is_valid(bob: Person, keyring: Keyring) -> None:
    raws = [bob.mime(ENTITY), bob.mime(ENTITY).replace(b"\r\n", b"\n"), bob.inline(b"hello\n- dash\n")]
    for raw in raws:
        report = verify_signed(only(raw), TrustStore(), keyring)
        assert (report.outcome, report.reason) == (SignatureOutcome.VALID, "")
        assert (report.name, report.address) == ("Bob Example", "bob@example.org")
        assert report.fingerprint == bob.fingerprint


def test_what_was_changed_is_invalid(bob: Person, keyring: Keyring) -> None:
    for raw in (
        bob.mime(ENTITY).replace(b"cid:x", b"cid:z"),
        bob.inline(b"hello\n").replace(b"hello", b"hallo"),
    ):
        report = verify_signed(only(raw), TrustStore(), keyring)
        assert report.outcome is SignatureOutcome.INVALID
        assert report.fingerprint == bob.fingerprint
        assert "\n" not in report.reason


def test_another_s_key_is_unknown(bob: Person, tmp_path: Path) -> None:
    pytest.importorskip("pysequoia")
    (tmp_path / "eve").mkdir()
    eve = Person(tmp_path / "eve")
    try:
        report = verify_signed(only(bob.mime(ENTITY)), TrustStore(), Keyring([eve.certificate]))
    finally:
        run(need("gpgconf"), "--kill", "gpg-agent", cwd=eve.folder, GNUPGHOME=str(eve.folder))
    assert report.outcome is SignatureOutcome.UNKNOWN_KEY


def test_what_is_no_certificate_is_refused() -> None:
    pytest.importorskip("pysequoia")
    with pytest.raises(ValueError, match="Not an OpenPGP certificate"):
        Keyring([b"nonsense"])


# --- anything at all -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smime(authority: Authority) -> SignedPart:
    return only(authority.sign("rsa"))


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_mutation_gives_a_report(smime: SignedPart, authority: Authority, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(smime.signature) - 1))
    octet = data.draw(st.integers(1, 255))
    broken = bytearray(smime.signature)
    broken[at] ^= octet
    report = verify_signed(replace(smime, signature=bytes(broken)), authority.trust)
    assert report.outcome in SignatureOutcome
    cut = verify_signed(replace(smime, signature=smime.signature[:at]), authority.trust)
    assert cut.outcome is not SignatureOutcome.VALID


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(SignedKind))
def test_any_signature_gives_a_report(signature: bytes, kind: SignedKind) -> None:
    signed = SignedPart(parse_message(b"\n").root, kind, signature, signature)
    assert verify_signed(signed, TrustStore()).outcome is not SignatureOutcome.VALID
