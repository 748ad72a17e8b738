"""Recipients: the mail addresses of a message's readers, found again in URLs under any usual disguise."""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote

_AUTHORITY_END: Final = re.compile(r"[/?#]")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{12,}+")
_RUN: Final = re.compile(r"[0-9a-f]{7,}+")
_RUN_BYTES: Final = re.compile(rb"[0-9a-fA-F]{8,}+")
_DIGEST_LENGTHS: Final = frozenset({4, 16, 20, 32, 48, 64})
_CODED: Final = re.compile(r"[A-Za-z0-9+/_\-]{12,}+")
_CODED_BYTES: Final = re.compile(rb"[A-Za-z0-9+/_\-]{12,}+")
_ADDRESS: Final = re.compile(rb"[A-Za-z0-9._+\-]{1,64}+@[A-Za-z0-9\-]{1,63}+\.[A-Za-z]")
_WRITTEN_ADDRESS: Final = re.compile(r"[a-z0-9._+\-]{1,64}+@((?:[a-z0-9\-]{1,63}+\.)++[a-z]{2,24}+)")
# "logo@2x.png" is the picture for dense screens, not an address.
_FILE_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".css", ".js")
_MAX_CHARACTERS: Final = 4_096  # of a URL; what comes after says nothing more
_MAX_TOKENS: Final = 24
_MAX_INNER_TOKENS: Final = 6
_MAX_RECIPIENTS: Final = 100
_MAX_IN_ALL_FORMS: Final = 10  # recipients beyond these are looked for plain only
_LEAST_NAME: Final = 5
_BASE32: Final = re.compile(r"[a-z2-7]{16,}+=*+\Z", re.IGNORECASE)
# Local parts that are words of any URL as well.
_ROLES: Final = frozenset(
    {
        "admin", "billing", "contact", "email", "hello", "images", "index", "inbox", "mails", "media", "office",
        "orders", "phishing", "postmaster", "reader", "sales", "service", "support", "users", "webmaster",
    }
)  # fmt: skip


class Addressed(NamedTuple):
    """What of somebody's address a URL holds.

    ``recipient``: the whole address of a recipient, plain, encoded or as a digest, ``in_host`` in the labels of
    the host name. ``stranger``: some address that is neither a recipient's nor the sender's. ``name`` and
    ``domain``: the local part or the domain of a recipient's.
    """

    recipient: bool = False
    stranger: bool = False
    name: bool = False
    domain: bool = False
    in_host: bool = False


class AddressForms:
    """The recipients and the sender of one message, to be looked for in its URLs in any disguise."""

    __slots__ = ("_digests", "_domains", "_names", "_needles", "_plain", "_senders", "_variants")

    def __init__(self, recipients: Iterable[str], senders: Iterable[str]) -> None:
        self._senders = frozenset(sender.lower() for sender in senders if sender)
        cleaned = dict.fromkeys(one.strip().lower() for one in recipients if "@" in one)
        self._plain = tuple(one for one in cleaned if one not in self._senders)[:_MAX_RECIPIENTS]
        self._variants = tuple(
            dict.fromkeys(variant for one in self._plain[:_MAX_IN_ALL_FORMS] for variant in variants_of(one))
        )
        plain = dict.fromkeys((*self._plain, *self._variants))
        self._needles = tuple(
            dict.fromkeys(
                (*plain, *(each[::-1] for each in plain), *(codecs.encode(each, "rot13") for each in plain))
            )
        )
        domains = dict.fromkeys(one.rpartition("@")[2] for one in self._plain[:_MAX_IN_ALL_FORMS])
        sending = {sender.rpartition("@")[2] for sender in self._senders}
        self._domains = tuple(each for each in domains if "." in each and each not in sending)
        self._names = tuple(
            re.compile(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])")
            for name in dict.fromkeys(one.rpartition("@")[0] for one in self._plain[:_MAX_IN_ALL_FORMS])
            if len(name) >= _LEAST_NAME and name not in _ROLES
        )
        self._digests: dict[bytes, bool] | None = None

    def look(self, url: str) -> Addressed:
        """Return what ``url`` holds of anybody's address."""
        url = url[:_MAX_CHARACTERS]
        written = url
        for _ in range(2):
            if "%" not in written:
                break
            written = unquote(written, "latin-1")
        rest = written.partition("://")[2] or written
        lowered = rest.lower()
        match = _AUTHORITY_END.search(lowered)
        end = match.start() if match else len(lowered)
        at = self._find(lowered) if self._plain else -1
        if at >= 0:
            return Addressed(recipient=True, stranger=True, in_host=at < end)
        target = lowered[end:]
        stranger = "@" in target and any(
            found[0] not in self._senders and not found[1].endswith(_FILE_ENDINGS)
            for found in _WRITTEN_ADDRESS.finditer(target)
        )
        name = any(each.search(target) for each in self._names)
        for token_end, decoded in _decoded(rest):
            answer = self._meaning(decoded)
            if answer.recipient:
                return Addressed(recipient=True, stranger=True, in_host=token_end <= end)
            stranger, name = stranger or answer.stranger, name or answer.name
        return Addressed(False, stranger, name, any(each in target for each in self._domains))

    def _find(self, lowered: str) -> int:
        """Return where a recipient's address stands plain, reversed, rotated or as a digest; -1 for nowhere."""
        if "@" in lowered:
            for one in self._needles:
                if one in lowered:
                    return lowered.index(one)
        if "=" in lowered:
            for one in self._plain:
                changed = one.replace("@", "=")
                if changed in lowered:
                    return lowered.index(changed)
        for match in _RUN.finditer(lowered):
            run = match[0]
            length = len(run)
            is_digest = length % 2 == 0 and (length == 8 or length >= 32)
            if is_digest and self.digests().get(bytes.fromhex(run)) is True:
                return match.start()
            is_number = length <= 10 and run.isdigit() and int(run) < 1 << 32
            if is_number and self.digests().get(int(run).to_bytes(4, "big")) is True:
                return match.start()
        return -1

    def _meaning(self, decoded: bytes) -> Addressed:
        """Return what decoded bytes hold of an address, looking one coding deeper."""
        stranger = name = False
        for piece in (decoded, *_decoded_again(decoded)):
            if self._plain and len(piece) in _DIGEST_LENGTHS:
                known = self.digests().get(piece)
                if known is True:
                    return Addressed(recipient=True)
                name = name or known is False
            if self._plain and self._holds_digest(piece):
                return Addressed(recipient=True)
            if b"@" not in piece and b"%40" not in piece:
                continue
            lowered = piece.lower().replace(b"%40", b"@")
            if any(one.encode("utf-8", "replace") in lowered for one in self._needles):
                return Addressed(recipient=True)
            address = _ADDRESS.search(lowered)
            stranger = stranger or (
                address is not None
                and not any(one.encode("utf-8", "replace") in lowered for one in self._senders)
            )
        return Addressed(stranger=stranger, name=name)

    def _holds_digest(self, piece: bytes) -> bool:
        return any(
            len(match[0]) // 2 in _DIGEST_LENGTHS
            and len(match[0]) % 2 == 0
            and self.digests().get(bytes.fromhex(match[0].decode("ascii"))) is True
            for match in _RUN_BYTES.finditer(piece)
        )

    def digests(self) -> dict[bytes, bool]:
        """Return the usual digests of the recipients' addresses (true) and of their local parts (false)."""
        if self._digests is None:
            found: dict[bytes, bool] = {}
            for address in self._variants:
                name = address.rpartition("@")[0]
                if len(name) >= _LEAST_NAME and name not in _ROLES:
                    found.update(dict.fromkeys(_digests_of(name), False))
            for address in self._variants:
                for written in (address, address.upper()):
                    found.update(dict.fromkeys(_digests_of(written), True))
                found[zlib.crc32(address.encode("utf-8", "replace")).to_bytes(4, "big")] = True
            self._digests = found
        return self._digests


def variants_of(address: str) -> tuple[str, ...]:
    """Return a lower-case address and what it is usually made of before it is compared or hashed."""
    name, _, domain = address.rpartition("@")
    bare = name.partition("+")[0]
    return tuple(dict.fromkeys((address, f"{bare}@{domain}", f"{bare.replace('.', '')}@{domain}")))


def _digests_of(text: str) -> Iterator[bytes]:
    raw = text.encode("utf-8", "replace")
    for name in ("md5", "sha1", "sha256", "sha384", "sha512"):
        yield hashlib.new(name, raw, usedforsecurity=False).digest()


def _decoded(rest: str) -> Iterator[tuple[int, bytes]]:
    """Yield what the first long tokens of a URL without its scheme mean as hexadecimal, base64 or base32.

    Each comes with the place where its token ends.
    """
    for number, match in enumerate(_CODED.finditer(rest)):
        if number == _MAX_TOKENS:
            return
        whole, end = match[0], match.end()
        if "/" in whole:
            for meaning in _meanings(whole):
                yield end, meaning
            end = match.start() - 1
        for token in whole.split("/"):
            end = end + 1 + len(token) if "/" in whole else end
            if len(token) >= 12:
                for meaning in _meanings(token):
                    yield end, meaning


def _decoded_again(decoded: bytes) -> Iterator[bytes]:
    for number, match in enumerate(_CODED_BYTES.finditer(decoded)):
        if number == _MAX_INNER_TOKENS:
            return
        yield from _meanings(match[0].decode("ascii"))


def _meanings(token: str) -> Iterator[bytes]:
    if _HEX.fullmatch(token) is not None:
        if len(token) % 2 == 0:
            yield bytes.fromhex(token)
        return
    if token.islower():  # no base64 of any length to speak of
        if _BASE32.match(token) is not None:
            yield from _from_base32(token)
        return
    try:
        padded = token.replace("-", "+").replace("_", "/")
        whole = len(padded) // 4 * 4
        spare = len(padded) - whole
        yield binascii.a2b_base64(padded + "=" * (4 - spare) if spare > 1 else padded[:whole])
    except (binascii.Error, ValueError):
        pass
    if token.isupper() and _BASE32.match(token) is not None:
        yield from _from_base32(token)


def _from_base32(token: str) -> Iterator[bytes]:
    try:
        yield base64.b32decode(token.upper() + "=" * (-len(token) % 8))
    except (binascii.Error, ValueError):
        return
