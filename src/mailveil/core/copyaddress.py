"""Addresses of hosted safe copies: unguessable, unlinkable, and verifiable by whoever holds the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address

_ID_BYTES = 16
_TAG_BYTES = 14
_TOKEN_LETTERS = 40  # of base64url for the 30 bytes together, without padding or spare bits
_MIN_KEY_BYTES = 16
_PATH = "/c/"
_BLOCK_BYTES = 64  # of SHA-256
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))

_TOKEN = re.compile(r"[A-Za-z0-9_-]{40}")
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]{1,253})(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_CONTENT_ID_LEFT = re.compile(r"[A-Za-z0-9._~+-]{1,120}")
_Key = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class CopyAddresses:
    """Makes and recognises the addresses under which one organisation hosts its safe copies.

    ``origin`` is scheme, host and port as a browser writes them (RFC 6454 section 6.2), such as
    ``https://copies.example``. ``key`` is secret and at least 16 bytes; ``previous_keys`` still verify but
    make no new addresses. Raises ``ValueError`` for anything else.

    A token is 16 bytes of HMAC-SHA256 over message, URL and media, then 14 bytes of HMAC-SHA256 over those,
    under separate keys: the same for a message that is tried again, different for every other message, and
    telling nothing to anybody.
    """

    origin: str
    key: bytes
    previous_keys: tuple[bytes, ...] = ()
    # Derived once: a message can have thousands of addresses.
    _id_key: _Key = field(init=False, repr=False, compare=False)
    _tag_keys: tuple[_Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_origin(self.origin)
        for key in (self.key, *self.previous_keys):
            if len(key) < _MIN_KEY_BYTES:
                raise ValueError(f"a key for copies' addresses needs at least {_MIN_KEY_BYTES} bytes")
        object.__setattr__(self, "_id_key", _padded(_subkey(self.key, b"id")))
        tag_keys = tuple(_padded(_subkey(key, b"tag")) for key in (self.key, *self.previous_keys))
        object.__setattr__(self, "_tag_keys", tag_keys)

    def __repr__(self) -> str:
        """Name the origin and never a key: values end up in logs and tracebacks."""
        return f"CopyAddresses(origin={self.origin!r})"

    def derive(self, message_digest: bytes, url: str, media: str) -> str:
        """Return the token for the copy of ``url``, as that kind of media, in one message."""
        parts = (message_digest, url.encode("utf-8", "surrogatepass"), media.encode("utf-8", "surrogatepass"))
        told = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        name = _hmac(self._id_key, told)[:_ID_BYTES]
        return base64.urlsafe_b64encode(name + _tag(self._tag_keys[0], name)).decode("ascii")

    def address(self, token: str) -> str:
        """Return the URL that readers' clients fetch for a token."""
        return f"{self.origin}{_PATH}{token}"

    def verify(self, token: str) -> bytes | None:
        """Return the id in a token that we made, ``None`` for any other string; in constant time."""
        if not _TOKEN.fullmatch(token):
            return None
        decoded = base64.urlsafe_b64decode(token)
        name, tag = decoded[:_ID_BYTES], decoded[_ID_BYTES:]
        valid = False
        for key in self._tag_keys:
            valid |= hmac.compare_digest(tag, _tag(key, name))
        return name if valid else None

    def is_token(self, token: str) -> bool:
        """Tell whether we made a token."""
        return self.verify(token) is not None

    def is_ours(self, url: str) -> bool:
        """Tell whether a URL is, letter for letter, the address of one of our copies.

        Anything that only means the same (other case, a default port, a query, white space around it) is not.
        """
        prefix = self.origin + _PATH
        return (
            len(url) == len(prefix) + _TOKEN_LETTERS
            and url.startswith(prefix)
            and self.is_token(url[len(prefix) :])
        )


def content_id(token: str, domain: str) -> str:
    """Return the content id (RFC 2392, without angle brackets) of an embedded copy.

    Nothing verifies it and nothing has to: a ``cid:`` URL never leaves the message that it stands in, whoever
    wrote it. Raises ``ValueError`` for characters that would need escaping somewhere.
    """
    if not _CONTENT_ID_LEFT.fullmatch(token) or not _DOMAIN.fullmatch(domain):
        raise ValueError(f"not usable in a content id: {token!r}, {domain!r}")
    return f"{token}@{domain}"


def _subkey(key: bytes, label: bytes) -> bytes:
    """Derive a key for one purpose (as HKDF's expansion does, RFC 5869 section 2.3)."""
    return hmac.digest(key, b"mailveil copy address v1 " + label + b"\x01", "sha256")


def _tag(key: _Key, name: bytes) -> bytes:
    return _hmac(key, name)[:_TAG_BYTES]


def _padded(key: bytes) -> _Key:
    """Return a subkey as HMAC's two hashes begin with it (RFC 2104 section 2); it is shorter than a block."""
    block = key.ljust(_BLOCK_BYTES, b"\0")
    return block.translate(_INNER), block.translate(_OUTER)


def _hmac(key: _Key, told: bytes) -> bytes:
    """Return the HMAC-SHA256; the library's own sets its key up each time, which takes as long again."""
    inner, outer = key
    return hashlib.sha256(outer + hashlib.sha256(inner + told).digest()).digest()


def _check_origin(origin: str) -> None:
    """Raise ``ValueError``, saying what is wrong, unless ``origin`` is one as browsers write it."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        raise ValueError(
            f"not an origin for copies: {origin!r}; it must be https://host or https://host:port, "
            "lower-case, without path, user name or closing slash"
        )
    scheme, host, port = match.groups()
    if port is not None and (int(port) > 65535 or int(port) == _DEFAULT_PORTS[scheme]):
        raise ValueError(f"not an origin for copies: {origin!r}; leave the port out or give another one")
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"not an origin for copies: {origin!r}; {host!r} is not a host name")
    if labels[-1].isdigit() or re.fullmatch(r"0x[0-9a-f]*", labels[-1]):
        # What ends in a number is an IPv4 address to every browser (WHATWG URL section 3.5).
        try:
            IPv4Address(host)
        except AddressValueError:
            raise ValueError(f"not an origin for copies: {origin!r}; {host!r} is no IPv4 address") from None
