"""Signed and encrypted mail: what a signature covers, and which leaves are proven to be ciphertext."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mailveil.core.message.cms import CmsKind, examine_cms
from mailveil.core.message.openpgp import OpenPgpKind, examine_openpgp
from mailveil.core.message.transfer import decode_body
from mailveil.core.message.types import Limits, Message, Part, Source

# Labels under which no client takes a body for anything but a container to be decrypted or saved.
_OPAQUE_TYPES: Final = frozenset({
    "application/pkcs7-mime", "application/x-pkcs7-mime", "application/cms", "application/pgp-encrypted",
    "application/pgp", "application/octet-stream",
})  # fmt: skip
_OPAQUE_EXTENSIONS: Final = frozenset({"", "p7m", "p7e", "p7", "cms", "asc", "gpg", "pgp", "bin", "dat"})
_CMS_TYPES: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime", "application/cms"})
_SIGNATURE_TYPES: Final = frozenset({
    "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature",
})  # fmt: skip
_CLEARTEXT: Final = b"-----BEGIN PGP SIGNED MESSAGE-----"


class SignedKind(StrEnum):
    """In which way a part is signed."""

    SMIME_DETACHED = "smime-detached"
    SMIME_OPAQUE = "smime-opaque"
    PGP_MIME = "pgp-mime"
    PGP_INLINE = "pgp-inline"
    OTHER = "other"  # multipart/signed with a signature of another kind, or none


@dataclass(frozen=True, slots=True, eq=False)
class SignedPart:
    """A signed part of a message.

    ``part`` is the multipart/signed, the CMS leaf or the text with an inline signature; ``signature_part``
    the child that holds a detached signature. ``content`` are the very bytes that a detached signature
    covers, for an opaque part those wrapped in it, for an inline one the body with its armour; ``signature``
    the decoded signature (for an opaque part the whole CMS in BER). ``opaque`` is true where the content
    cannot be read without opening the signature.
    """

    part: Part
    kind: SignedKind
    content: bytes
    signature: bytes = b""
    opaque: bool = False
    signature_part: Part | None = None


def find_signed(message: Message, limits: Limits = Limits()) -> list[SignedPart]:  # noqa: B008 - frozen
    """Return every signed part of a message, outermost first (RFC 1847, RFC 8551, RFC 3156). Total."""
    found: list[SignedPart] = []
    for part in message.walk():
        types = (part.media_type, *part.declared_types)
        if part.children:
            if "multipart/signed" in types:
                found.append(_detached(part, limits))
            continue
        signed = _opaque(part, types, limits) or _inline(part, limits)
        if signed is not None:
            found.append(signed)
    return found


def is_ciphertext(part: Part, source: Source) -> bool:
    """Tell whether a leaf may pass without being looked into: its bytes are proven to be ciphertext.

    ``source`` are the leaf's decoded bytes. Where any label makes some client take the leaf for something to
    be shown, the answer is no whatever the bytes are. Labels prove nothing else: the structure has to be
    complete, alone, and without plaintext in it.
    """
    types = {part.media_type, *part.declared_types}
    extension = part.filename.rpartition(".")[2].strip(" .").lower() if "." in part.filename else ""
    if extension not in _OPAQUE_EXTENSIONS or part.children:
        return False
    if types <= _OPAQUE_TYPES:
        if source.data[:64].lstrip(b"\r\n\t \0").startswith((b"0", b"M", b"-----BEGIN P", b"-----BEGIN C")):
            content = examine_cms(source.data)
            if content.kind is not CmsKind.NONE:
                return content.is_ciphertext
    elif types != {"text/plain"} or b"-----BEGIN PGP MESSAGE" not in source.data:
        return False
    # In plain text only an armour passes, which has no character that could be markup.
    return examine_openpgp(source.data) is OpenPgpKind.ENCRYPTED


def _detached(part: Part, limits: Limits) -> SignedPart:
    first = part.children[0]
    content = part.source.data[first.span.start : first.span.end]
    for candidate in part.children[1:]:
        if candidate.media_type in _SIGNATURE_TYPES or candidate is part.children[-1]:
            signature = _decoded(candidate, limits)
            if examine_cms(signature).kind is CmsKind.SIGNED:
                kind = SignedKind.SMIME_DETACHED
            elif examine_openpgp(signature) is OpenPgpKind.SIGNATURE:
                kind = SignedKind.PGP_MIME
            else:
                kind = SignedKind.OTHER
            return SignedPart(part, kind, content, signature, signature_part=candidate)
    return SignedPart(part, SignedKind.OTHER, content)


def _opaque(part: Part, types: tuple[str, ...], limits: Limits) -> SignedPart | None:
    labelled = not _CMS_TYPES.isdisjoint(types) or part.filename.lower().rstrip(" .").endswith(
        (".p7m", ".p7")
    )
    if not labelled:
        return None
    content = examine_cms(_decoded(part, limits), limits.max_part_bytes)
    if content.kind is not CmsKind.SIGNED or content.is_detached:
        return None
    return SignedPart(part, SignedKind.SMIME_OPAQUE, content.inner, content.data, opaque=True)


def _inline(part: Part, limits: Limits) -> SignedPart | None:
    if not part.media_type.startswith("text/"):
        return None
    start, end = part.body_span
    encoded = "base64" in part.transfer_encodings
    if not encoded and part.source.data.find(b"PGP SIGNED MESSAGE", start, end) < 0:
        return None
    body = _decoded(part, limits)
    if _CLEARTEXT not in body:
        return None
    return SignedPart(part, SignedKind.PGP_INLINE, body)


def _decoded(part: Part, limits: Limits) -> bytes:
    sources, _defects = decode_body(part, limits)
    return sources[0].data if sources else b""
