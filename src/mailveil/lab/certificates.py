"""Certificates: the lab's own authority, a certificate for each name that is asked for, and flawed ones."""

from __future__ import annotations

import datetime
import hashlib
import ssl
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

VALID_DAYS = 30
NAMELESS = "nameless.example"


class Flaw(StrEnum):
    """What is wrong with an origin's certificate."""

    NONE = "none"
    SELF_SIGNED = "self-signed"
    WRONG_NAME = "wrong-name"
    EXPIRED = "expired"


class Authority:
    """Issues certificates on demand and keeps them in a folder, where a client finds ``ca_file``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mailveil lab authority")])
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[tuple[str, Flaw], ssl.SSLContext] = {}
        self.ca_file = folder / "authority.pem"
        certificate = (
            self._builder(self._name, self._name, self._key, expired=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, name: str, flaw: Flaw = Flaw.NONE) -> ssl.SSLContext:
        """Return the context with the certificate for a server name."""
        found = self._contexts.get((name, flaw))
        if found is None:
            found = self._contexts[name, flaw] = self._issue(name, flaw)
        return found

    def listening(self, choose: Callable[[str], ssl.SSLContext]) -> ssl.SSLContext:
        """Return a context for one connection: ``choose`` is told the hello's server name."""
        self.context(NAMELESS)
        context = self._load(
            _stem(NAMELESS, Flaw.NONE)
        )  # a context of its own, since the hello is told to it

        def hello(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = choose((name or "").lower())

        context.sni_callback = hello
        return context

    def _load(self, stem: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{stem}.chain")
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _issue(self, name: str, flaw: Flaw) -> ssl.SSLContext:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
        own = flaw is Flaw.SELF_SIGNED
        issuer, signer = (subject, self._leaf_key) if own else (self._name, self._key)
        named = "somebody.else.example" if flaw is Flaw.WRONG_NAME else name
        certificate = (
            self._builder(subject, issuer, self._leaf_key, expired=flaw is Flaw.EXPIRED)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(named)]), critical=False)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .sign(signer, hashes.SHA256())
        )
        stem = _stem(name, flaw)
        key = self._leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = certificate.public_bytes(serialization.Encoding.PEM) + key
        (self._folder / f"{stem}.chain").write_bytes(chain)
        return self._load(stem)

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, expired: bool
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        end = now - datetime.timedelta(days=1) if expired else now + datetime.timedelta(days=VALID_DAYS)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(end)
        )


def _stem(name: str, flaw: Flaw) -> str:
    """Return a file name that no server name can lead out of the folder with."""
    return hashlib.sha256(f"{flaw} {name}".encode()).hexdigest()[:32]


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
