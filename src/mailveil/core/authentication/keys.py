"""Keys: what stands in the DNS for a selector, and what is checked and signed with it (RFC 6376, 8301, 8463)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

MIN_RSA_BITS: Final = 1024  # RFC 8301 section 3.2
MAX_RSA_BITS: Final = 4096
MIN_SEALING_BITS: Final = 2048
MAX_EXPONENT: Final = 1 << 33  # a larger one only makes verifying slow
MAX_RECORD_BYTES: Final = 8_192
MAX_RECORDS: Final = 10

_TAG_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_]*")
_WHITE: Final = b" \t\r\n"


class KeyRecordError(ValueError):
    """A key record is of no use; the text says why."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A usable key record. ``strict``: the signature's ``i=`` domain has to be its ``d=`` domain (``t=s``)."""

    key: RSAPublicKey | Ed25519PublicKey
    testing: bool = False
    strict: bool = False


def parse_tags(value: bytes) -> dict[bytes, bytes] | None:
    """Return a tag list (RFC 6376 section 3.2), ``None`` where it is malformed or a tag stands twice.

    Values keep the white space inside of them.
    """
    found: dict[bytes, bytes] = {}
    for piece in value.split(b";"):
        if not piece.strip(_WHITE):
            continue
        name, equals, text = piece.partition(b"=")
        name = name.strip(_WHITE)
        if not equals or name in found or not _TAG_NAME.fullmatch(name):
            return None
        found[name] = text.strip(_WHITE)
    return found


def without_white_space(value: bytes) -> bytes:
    """Return a value without white space, as base64 is read (section 3.2)."""
    return value.translate(None, _WHITE)


def decode_base64(value: bytes) -> bytes | None:
    """Return what base64 with white space in it says, ``None`` where it is malformed."""
    try:
        return base64.b64decode(without_white_space(value), validate=True)
    except (binascii.Error, ValueError):
        return None


def choose_key(records: Sequence[bytes], algorithm: bytes) -> PublicKey:
    """Return the first usable key among TXT records (section 3.6.2.2). Raises KeyRecordError."""
    reason = "no key record"
    for record in records[:MAX_RECORDS]:
        if len(record) > MAX_RECORD_BYTES:
            reason = "key record too large"
            continue
        try:
            return read_key(record, algorithm)
        except KeyRecordError as error:
            reason = str(error)
    raise KeyRecordError(reason)


def read_key(record: bytes, algorithm: bytes) -> PublicKey:
    """Return the key of one record (section 3.6.1). Raises KeyRecordError."""
    tags = parse_tags(record)
    if tags is None or b"p" not in tags:
        raise KeyRecordError("key record malformed")
    if b"v" in tags and (tags[b"v"] != b"DKIM1" or next(iter(tags)) != b"v"):
        raise KeyRecordError("key record of another version")
    if not tags[b"p"]:
        raise KeyRecordError("key revoked")
    kind = tags.get(b"k", b"rsa").lower()
    if kind != algorithm.partition(b"-")[0]:
        raise KeyRecordError("key of another algorithm")
    if b"h" in tags and b"sha256" not in _listed(tags, b"h"):
        raise KeyRecordError("key not for SHA-256")
    if b"s" in tags and not {b"*", b"email"} & set(_listed(tags, b"s")):
        raise KeyRecordError("key not for mail")
    data = decode_base64(tags[b"p"])
    if not data:
        raise KeyRecordError("key malformed")
    flags = _listed(tags, b"t")
    return PublicKey(_load(data, kind), b"y" in flags, b"s" in flags)


def _listed(tags: Mapping[bytes, bytes], name: bytes) -> list[bytes]:
    return [each.strip(_WHITE).lower() for each in tags.get(name, b"").split(b":")]


def _load(data: bytes, kind: bytes) -> RSAPublicKey | Ed25519PublicKey:
    try:
        if kind == b"ed25519":
            return Ed25519PublicKey.from_public_bytes(data)
        key = serialization.load_der_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyRecordError("key malformed") from error
    if not isinstance(key, RSAPublicKey):
        raise KeyRecordError("key of another algorithm")
    if key.key_size > MAX_RSA_BITS or key.public_numbers().e > MAX_EXPONENT:
        raise KeyRecordError("key too large")
    return key


def is_weak(key: PublicKey) -> bool:
    """Tell whether a key is too short for its signatures to mean anything."""
    return isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS


def is_signed(key: PublicKey, signature: bytes, digest_input: bytes) -> bool:
    """Tell whether a signature is that of these bytes."""
    try:
        if isinstance(key.key, RSAPublicKey):
            key.key.verify(signature, digest_input, padding.PKCS1v15(), hashes.SHA256())
        else:
            digest = hashes.Hash(hashes.SHA256())
            digest.update(digest_input)
            key.key.verify(signature, digest.finalize())  # RFC 8463 section 3
    except (InvalidSignature, ValueError):
        return False
    return True


def load_sealing_key(pem: bytes) -> RSAPrivateKey:
    """Return the private key that messages are sealed with. Raises ValueError, which says what was expected."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError as error:
        raise ValueError("the key is protected by a password; store it without one") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("this is no private key in PEM form") from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("ARC needs an RSA key; receivers verify no other")
    if not MIN_SEALING_BITS <= key.key_size <= MAX_RSA_BITS:
        raise ValueError(f"an RSA key of {MIN_SEALING_BITS} to {MAX_RSA_BITS} bits is needed")
    return key


def sign(key: RSAPrivateKey, digest_input: bytes) -> bytes:
    """Return the rsa-sha256 signature of these bytes."""
    return key.sign(digest_input, padding.PKCS1v15(), hashes.SHA256())


def key_record(key: RSAPrivateKey) -> str:
    """Return the TXT record that receivers need for a private key."""
    data = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"v=DKIM1; k=rsa; p={base64.b64encode(data).decode()}"


def is_record_of(key: RSAPrivateKey, records: Sequence[bytes]) -> bool:
    """Tell whether the key that receivers will find is the public half of ours."""
    try:
        found = choose_key(records, b"rsa-sha256")
    except KeyRecordError:
        return False
    return (
        isinstance(found.key, RSAPublicKey)
        and found.key.public_numbers() == key.public_key().public_numbers()
    )
