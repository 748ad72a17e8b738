"""Certificates: the addresses that a client fetches to check a signature by an issuer it does not know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from mailveil.core.message.cms import certificate_urls
from mailveil.core.message.types import Part, Source
from mailveil.core.references.types import Reference, Scope, Vector
from mailveil.core.references.url import remote

MAX_CHECKED: Final = (
    16  # certificates of one message whose issuers are looked for; the rest counts as unknown
)


def find_in_certificates(
    part: Part,
    scope: Scope,
    known_issuer: Callable[[bytes], bool],
    certificates: Sequence[bytes],
    source: Source | None = None,
) -> None:
    """Append what a client would fetch to check ``certificates`` (DER) whose issuer it does not know.

    ``known_issuer`` tells of one certificate whether a trusted authority has issued it; certificates issued
    by another one of the same message that is known are known as well. A signature cannot be changed in
    parts: without ``source`` a reference covers the part's whole body; with the source of the content that
    the signature wraps it stands before that content, so that writing it takes the wrapping off.
    """
    references = scope.findings.references
    for certificate in _unknown(certificates, known_issuer):
        for value in certificate_urls([certificate]):
            url = remote(value, scope)
            if url is None:
                continue
            within, start, end = (source, 0, 0) if source is not None else (part.source, *part.body_span)
            references.append(
                Reference(url, Vector.CERTIFICATE_URL, part.section, within, start, end, inert="")
            )


def known_issuer_among(authorities: Sequence[bytes]) -> Callable[[bytes], bool]:
    """Return a function that tells of a certificate (DER) whether one of ``authorities`` (DER) issued it.

    The signature is checked: a certificate that merely names a known authority is unknown. An authority's own
    certificate is known.
    """
    by_name: dict[bytes, list[x509.Certificate]] = {}
    for der in authorities:
        authority = load_certificate(der)
        if authority is not None:
            by_name.setdefault(authority.subject.public_bytes(), []).append(authority)
    own = frozenset(authorities)

    def known_issuer(der: bytes) -> bool:
        if der in own:
            return True
        certificate = load_certificate(der)
        if certificate is None:
            return False
        try:
            issuers = by_name.get(certificate.issuer.public_bytes(), [])
        except ValueError:
            return False
        return any(is_issued_by(certificate, issuer) for issuer in issuers[:MAX_CHECKED])

    return known_issuer


def _unknown(certificates: Sequence[bytes], known_issuer: Callable[[bytes], bool]) -> list[bytes]:
    """Return the certificates with addresses in them whose chain does not reach a known issuer."""
    if not any(certificate_urls([certificate]) for certificate in certificates):
        return []
    checked = list(dict.fromkeys(certificates))[:MAX_CHECKED]
    known = {der for der in checked if known_issuer(der)}
    loaded = {der: load_certificate(der) for der in checked}
    for _round in range(len(checked)):
        fresh = {
            der
            for der in checked
            if der not in known and any(is_issued_by(loaded[der], loaded[issuer]) for issuer in known)
        }
        if not fresh:
            break
        known |= fresh
    return [der for der in dict.fromkeys(certificates) if der not in known]


def load_certificate(der: bytes) -> x509.Certificate | None:
    """Return a certificate, or ``None`` where its DER cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.subject.public_bytes()
        certificate.issuer.public_bytes()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None
    return certificate


def is_issued_by(certificate: x509.Certificate | None, issuer: x509.Certificate | None) -> bool:
    """Tell whether an authority issued a certificate: by name, right to issue, and signature."""
    if certificate is None or issuer is None:
        return False
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False
    return True
