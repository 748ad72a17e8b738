"""Signatures: verify signed mail without asking anybody, for the record that is kept of it."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from asn1crypto import cms
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailveil.core.message.openpgp import key_fingerprints, signature_issuers
from mailveil.core.message.signed import SignedKind, SignedPart
from mailveil.core.references.certificates import is_issued_by, known_issuer_among, load_certificate

SYSTEM_BUNDLES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)
MAX_CHAIN: Final = 8
MAX_CERTIFICATES: Final = 32
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - verified, and then not trusted
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_WEAK: Final = frozenset({"sha1"})
_UNREADABLE: Final = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, NotImplementedError,
    RecursionError, UnsupportedAlgorithm,
)  # fmt: skip
_BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")


class SignatureOutcome(StrEnum):
    """What came of checking a signature."""

    VALID = "valid"  # the content is what a trusted signer signed
    INVALID = "invalid"  # the content or the signature was changed
    UNTRUSTED = "untrusted"  # the signature fits, but nobody vouches for the signer
    UNKNOWN_KEY = "unknown-key"  # the key to check with is not at hand
    UNSUPPORTED = "unsupported"  # of a kind that is not read


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """Who signed a part and whether that holds. Unless it is valid, the rest is a mere claim."""

    kind: SignedKind
    outcome: SignatureOutcome
    reason: str = ""
    name: str = ""
    address: str = ""
    issuer: str = ""
    serial: str = ""  # hex
    fingerprint: str = ""  # of the certificate (SHA-256) or OpenPGP key, hex
    signed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The authorities whose certificates are believed."""

    authorities: tuple[bytes, ...] = ()  # DER
    _loaded: tuple[x509.Certificate, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, authorities: Sequence[bytes]) -> TrustStore:
        """Return the store of these certificates (DER); unreadable ones are left out."""
        loaded = [(der, load_certificate(der)) for der in authorities]
        return cls(
            tuple(der for der, certificate in loaded if certificate is not None),
            tuple(certificate for _der, certificate in loaded if certificate is not None),
        )

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The authorities' certificates."""
        return self._loaded

    def known_issuer(self) -> Callable[[bytes], bool]:
        """Return a function that tells of a certificate (DER) whether one of the authorities issued it."""
        return known_issuer_among(self.authorities)


def load_trust(path: Path | None = None) -> TrustStore:
    """Return the authorities in a PEM bundle, by default the system's; an empty store where there is none.

    Raises OSError where a bundle that was asked for cannot be read, ValueError where it holds no certificate.
    """
    if path is None:
        path = next((bundle for bundle in SYSTEM_BUNDLES if bundle.is_file()), None)
        if path is None:
            return TrustStore()
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----[^-]++-----END CERTIFICATE-----", path.read_bytes())
    authorities: list[bytes] = []
    for block in blocks:
        try:
            authorities.append(x509.load_pem_x509_certificate(block).public_bytes(Encoding.DER))
        except _UNREADABLE:
            continue
    if not authorities:
        raise ValueError(f"{path} holds no certificate in PEM form")
    return TrustStore.of(authorities)


class Keyring:
    """OpenPGP certificates to check signatures with; needs the optional package ``pysequoia``."""

    def __init__(self, certificates: Sequence[bytes]) -> None:
        """Take certificates, binary or armoured.

        Raises ImportError where ``pysequoia`` is missing, ValueError where a certificate cannot be read.
        """
        self._library = importlib.import_module("pysequoia")
        self._certificates: list[Any] = []
        for data in certificates:
            try:
                self._certificates += self._library.Cert.split_bytes(data)
            except Exception as error:  # the library raises plain exceptions of several kinds
                raise ValueError(f"Not an OpenPGP certificate: {error}") from error

    def verify(self, content: bytes, signature: bytes | None) -> str:
        """Return the fingerprint of the key that signed; raises ValueError where none of these did."""
        try:
            detached = self._library.Sig.from_bytes(signature) if signature is not None else None
            result = self._library.verify(
                bytes=content, store=lambda _ids: self._certificates, signature=detached
            )
            return str(result.valid_sigs[0].certificate)
        except Exception as error:  # as above
            # What follows the first line is where in the library it came up.
            raise ValueError((str(error).splitlines() or ["not verified"])[0]) from error

    def holds(self, issuer: str) -> bool:
        """Tell whether a fingerprint or key ID (hex) names one of the certificates or their subkeys."""
        return any(issuer.lower() in _key_names(certificate) for certificate in self._certificates)

    def user(self, fingerprint: str) -> str:
        """Return the first user ID of a certificate, ``""`` where there is none."""
        for certificate in self._certificates:
            if certificate.fingerprint == fingerprint and certificate.user_ids:
                return str(certificate.user_ids[0])
        return ""


def verify_signed(
    signed: SignedPart,
    trust: TrustStore,
    keyring: Keyring | None = None,
    now: datetime | None = None,
) -> SignatureReport:
    """Check the signature of one part against local knowledge only: nothing is ever fetched. Total."""
    moment = now or datetime.now(UTC)
    if signed.kind in (SignedKind.PGP_MIME, SignedKind.PGP_INLINE):
        return _verify_openpgp(signed, keyring)
    if signed.kind is SignedKind.OTHER:
        return SignatureReport(signed.kind, SignatureOutcome.UNSUPPORTED, "Neither S/MIME nor OpenPGP.")
    try:
        return _verify_smime(signed, trust, moment)
    except _UNREADABLE as error:
        return SignatureReport(
            signed.kind, SignatureOutcome.INVALID, f"The signature cannot be read: {error}"[:500]
        )


def describe_signature(report: SignatureReport) -> str:
    """Return in one line, fit for a list, whose signature it was and whether it held."""
    who = " ".join(part for part in (report.name, f"<{report.address}>" if report.address else "") if part)
    claimed = "by" if report.outcome is SignatureOutcome.VALID else "claimed to be by"
    said = f"signature {report.outcome} ({report.kind})"
    if who:
        said += f", {claimed} {who}"
    if report.issuer:
        said += f", issued by {report.issuer}"
    if report.fingerprint:
        said += f", key {report.fingerprint[:40]}"
    return " ".join(said.split())[:600]


# --- S/MIME (RFC 5652, RFC 8551) -------------------------------------------------------------------------


def _verify_smime(signed: SignedPart, trust: TrustStore, now: datetime) -> SignatureReport:
    load: Any = cms.ContentInfo.load
    info = load(signed.signature)
    if info["content_type"].native != "signed_data":
        return SignatureReport(signed.kind, SignatureOutcome.UNSUPPORTED, "Not signed data.")
    data = info["content"]
    signers = data["signer_infos"]
    if len(signers) == 0:
        return SignatureReport(signed.kind, SignatureOutcome.INVALID, "Nobody has signed.")
    signer = signers[0]
    certificates = _certificates(data)
    found = _signer_certificate(signer, certificates)
    if found is None:
        return SignatureReport(
            signed.kind, SignatureOutcome.UNKNOWN_KEY, "The signer's certificate is not in the message."
        )
    report = _describe(signed.kind, found)
    digest_name = signer["digest_algorithm"]["algorithm"].native
    if digest_name not in _HASHES:
        return _with(report, SignatureOutcome.UNSUPPORTED, f"Digest {digest_name} is not supported.")
    contents = [signed.content]
    if signed.kind is SignedKind.SMIME_DETACHED:
        contents.append(_BARE_LINE_FEED.sub(b"\r\n", signed.content))
    signed_bytes, reason, signed_at = _signed_bytes(signer, contents, digest_name)
    report = _with(report, report.outcome, "", signed_at)
    if signed_bytes is None:
        return _with(report, SignatureOutcome.INVALID, reason)
    algorithm = signer["signature_algorithm"]
    problem = ""
    for candidate in signed_bytes:
        problem = _check(found.public_key(), algorithm, digest_name, signer["signature"].native, candidate)
        if not problem:
            break
    if problem:
        unsupported = problem.startswith("Unsupported")
        outcome = SignatureOutcome.UNSUPPORTED if unsupported else SignatureOutcome.INVALID
        return _with(report, outcome, problem)
    if digest_name in _WEAK:
        return _with(report, SignatureOutcome.UNTRUSTED, f"Digest {digest_name} can be forged.")
    distrust = _distrust(found, certificates, trust, now)
    return _with(report, SignatureOutcome.UNTRUSTED if distrust else SignatureOutcome.VALID, distrust)


def _certificates(data: Any) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for choice in list(data["certificates"])[:MAX_CERTIFICATES]:
        if choice.name == "certificate":
            loaded = load_certificate(choice.chosen.dump())
            if loaded is not None:
                found.append(loaded)
    return found


def _signer_certificate(signer: Any, certificates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    identifier = signer["sid"]
    for certificate in certificates:
        if identifier.name == "issuer_and_serial_number":
            wanted = identifier.chosen
            same_issuer = wanted["issuer"].dump() == certificate.issuer.public_bytes()
            if wanted["serial_number"].native == certificate.serial_number and same_issuer:
                return certificate
        elif _key_identifier(certificate) == identifier.chosen.native:
            return certificate
    return None


def _key_identifier(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return b""


def _signed_bytes(
    signer: Any, contents: Sequence[bytes], digest_name: str
) -> tuple[list[bytes] | None, str, datetime | None]:
    """Return what the signature may have been made over, or why the content is not what was signed."""
    attributes = signer["signed_attrs"]
    if len(attributes) == 0:
        return list(contents), "", None
    digest: bytes | None = None
    signed_at: datetime | None = None
    for attribute in attributes:
        if attribute["type"].native == "message_digest":
            digest = attribute["values"][0].native
        elif attribute["type"].native == "signing_time":
            signed_at = attribute["values"][0].native
    if digest not in [hashlib.new(digest_name, content).digest() for content in contents]:
        return None, "The content was changed after it was signed.", signed_at
    # Signed is the DER of a SET, transmitted under another tag (RFC 5652 section 5.4).
    inner = attributes.contents
    length = len(inner)
    octets = length.to_bytes((length.bit_length() + 7) // 8 or 1, "big")
    header = bytes((length,)) if length < 0x80 else bytes((0x80 | len(octets),)) + octets
    return [b"\x31" + header + inner], "", signed_at


def _check(key: Any, algorithm: Any, digest_name: str, signature: bytes, data: bytes) -> str:
    """Return ``""`` where the signature fits, or what is wrong."""
    scheme = algorithm.signature_algo
    try:
        if isinstance(key, rsa.RSAPublicKey) and scheme == "rsassa_pkcs1v15":
            key.verify(signature, data, padding.PKCS1v15(), _HASHES[digest_name])
        elif isinstance(key, rsa.RSAPublicKey) and scheme == "rsassa_pss":
            parameters = algorithm["parameters"]
            hashing = _HASHES[parameters["hash_algorithm"]["algorithm"].native]
            masking = _HASHES[parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native]
            scheme_padding = padding.PSS(padding.MGF1(masking), parameters["salt_length"].native)
            key.verify(signature, data, scheme_padding, hashing)
        elif isinstance(key, ec.EllipticCurvePublicKey) and scheme == "ecdsa":
            named = algorithm.hash_algo if algorithm["algorithm"].native != "ecdsa" else digest_name
            key.verify(signature, data, ec.ECDSA(_HASHES[named]))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and scheme in (
            "ed25519",
            "ed448",
        ):
            key.verify(signature, data)
        else:
            return f"Unsupported signature algorithm {algorithm['algorithm'].native}."
    except InvalidSignature:
        return "The signature does not fit the content and the signer's key."
    except (KeyError, UnsupportedAlgorithm):
        return f"Unsupported digest in {algorithm['algorithm'].native}."
    return ""


def _distrust(
    leaf: x509.Certificate, certificates: Sequence[x509.Certificate], trust: TrustStore, now: datetime
) -> str:
    """Return why a signer's certificate is not to be believed, ``""`` where it is (RFC 5280, RFC 8550)."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        allowed = {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
        if allowed.isdisjoint(usages):
            return "The signer's certificate is not for mail."
    except x509.ExtensionNotFound:
        pass  # without the extension it is for every use
    except (x509.DuplicateExtension, ValueError):
        return "The signer's certificate has unreadable extensions."
    current = leaf
    for _step in range(MAX_CHAIN):
        if not current.not_valid_before_utc <= now <= current.not_valid_after_utc:
            return "A certificate of the signer's chain is not valid at this time."
        if current in trust.certificates or any(
            is_issued_by(current, root) and root.not_valid_before_utc <= now <= root.not_valid_after_utc
            for root in trust.certificates
        ):
            return ""
        above = [
            issuer
            for issuer in certificates
            if issuer not in (current, leaf) and is_issued_by(current, issuer)
        ]
        if not above:
            break
        current = above[0]
    return "No trusted authority has issued the signer's certificate."


def _describe(kind: SignedKind, certificate: x509.Certificate) -> SignatureReport:
    addresses: list[str] = []
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = names.get_values_for_type(x509.RFC822Name)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        addresses = []
    return SignatureReport(
        kind,
        SignatureOutcome.INVALID,
        name=_of_name(certificate.subject, NameOID.COMMON_NAME),
        address=(addresses or [_of_name(certificate.subject, NameOID.EMAIL_ADDRESS)])[0],
        issuer=certificate.issuer.rfc4514_string()[:500],
        serial=f"{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _of_name(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = name.get_attributes_for_oid(oid)
    return str(values[0].value)[:500] if values else ""


def _with(
    report: SignatureReport, outcome: SignatureOutcome, reason: str = "", signed_at: datetime | None = None
) -> SignatureReport:
    return replace(report, outcome=outcome, reason=reason, signed_at=signed_at or report.signed_at)


# --- OpenPGP (RFC 9580, RFC 3156) ------------------------------------------------------------------------


def _verify_openpgp(signed: SignedPart, keyring: Keyring | None) -> SignatureReport:
    inline = signed.kind is SignedKind.PGP_INLINE
    issuers = signature_issuers(signed.content if inline else signed.signature)
    fingerprint = issuers[0] if issuers else ""
    if not issuers:
        return SignatureReport(signed.kind, SignatureOutcome.INVALID, "No signature can be read.")
    if keyring is None or not any(keyring.holds(issuer) for issuer in issuers):
        return SignatureReport(
            signed.kind,
            SignatureOutcome.UNKNOWN_KEY,
            "The signer's key is not known.",
            fingerprint=fingerprint,
        )
    contents = [signed.content] if inline else [signed.content, _BARE_LINE_FEED.sub(b"\r\n", signed.content)]
    reason = ""
    for content in contents:
        try:
            fingerprint = keyring.verify(content, None if inline else signed.signature)
        except ValueError as error:
            reason = str(error)[:500]
            continue
        name, _, rest = keyring.user(fingerprint).partition("<")
        address = rest.rstrip("> ")
        return SignatureReport(
            signed.kind, SignatureOutcome.VALID, name=name.strip(), address=address, fingerprint=fingerprint
        )
    return SignatureReport(signed.kind, SignatureOutcome.INVALID, reason, fingerprint=fingerprint)


def _key_names(certificate: Any) -> set[str]:
    """Return the fingerprints and key IDs of a certificate's keys."""
    names: set[str] = set()
    for fingerprint in key_fingerprints(bytes(certificate)):
        names |= {fingerprint, fingerprint[-16:] if len(fingerprint) == 40 else fingerprint[:16]}
    return names
