"""Addresses in URLs: host and target, registrable domains, tokens, and mail addresses in any disguise."""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import unquote

from publicsuffixlist import PublicSuffixList

_SUFFIXES: Final = PublicSuffixList()
_TARGET: Final = re.compile(r"[/?#]")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_\-]{16,}+")
_RUNS: Final = re.compile(r"[a-z]++|[A-Z]++|[0-9]++")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{16,}+")
_DIGEST: Final = re.compile(r"[0-9a-f]{32,}+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\-]{12,}+")
_ADDRESS: Final = re.compile(rb"[A-Za-z0-9._+\-]{1,64}+@[A-Za-z0-9\-]{1,63}+\.[A-Za-z]")
_WRITTEN_ADDRESS: Final = re.compile(r"[a-z0-9._+\-]{1,64}+@((?:[a-z0-9\-]{1,63}+\.)++[a-z]{2,24}+)")
# "logo@2x.png" is the picture for dense screens, not an address.
_FILE_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".css", ".js")
_MAX_CHARACTERS: Final = 4_096  # of a URL; what comes after says nothing more
_MAX_TOKENS: Final = 24
_MAX_RECIPIENTS: Final = 100
_DIGEST_LENGTHS: Final = frozenset({32, 40, 64, 96, 128})
# Letters, digits and cases alternate in random tokens; words and dates make long runs.
_RANDOM: Final = 0.28


class Place(NamedTuple):
    """A URL taken apart: scheme and host in lower case, host without port and userinfo, path with query."""

    scheme: str
    host: str
    path: str
    query: str

    @property
    def target(self) -> str:
        """Path and query as they stand."""
        return f"{self.path}?{self.query}" if self.query else self.path


def take_apart(url: str) -> Place:
    """Return the pieces of a normalised URL; what has no authority (``mailto:``) has no host."""
    scheme, _, rest = url[:_MAX_CHARACTERS].partition(":")
    if not rest.startswith("//"):
        return Place(scheme.lower(), "", rest, "")
    match = _TARGET.search(rest, 2)
    end = match.start() if match else len(rest)
    authority = rest[2:end]
    if "@" in authority:
        authority = authority.rpartition("@")[2]
    host = authority[: authority.find("]") + 1] if authority.startswith("[") else authority.partition(":")[0]
    path, _, query = rest[end:].partition("?")
    return Place(scheme.lower(), host.lower(), path, query)


@lru_cache(maxsize=8_192)
def registrable_domain(host: str) -> str:
    """Return the registrable domain of a host name, an IP address as it is, ``""`` for a public suffix."""
    if is_ip_address(host):
        return host
    return _SUFFIXES.privatesuffix(host.rstrip(".").lower()) or ""


@lru_cache(maxsize=8_192)
def is_ip_address(host: str) -> bool:
    """Tell whether a host is an IP address rather than a name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def is_random(token: str) -> bool:
    """Tell whether a token of at least sixteen characters looks made by chance rather than of words."""
    runs = len(_RUNS.findall(token))
    if runs >= len(token) * _RANDOM:
        return True
    return len(token) >= 24 and _HEX.fullmatch(token) is not None and not token.isdigit()


def random_tokens(text: str) -> list[str]:
    """Return the random-looking tokens of a path or query, the first few of them."""
    found = []
    for match in _TOKEN.finditer(text):
        if is_random(match[0]):
            found.append(match[0])
            if len(found) == _MAX_TOKENS:
                break
    return found


class AddressForms:
    """The recipients and the sender of one message, to be looked for in its URLs in any disguise."""

    __slots__ = ("_digests", "_plain", "_senders")

    def __init__(self, recipients: Iterable[str], senders: Iterable[str]) -> None:
        self._senders = frozenset(sender.lower() for sender in senders if sender)
        cleaned = dict.fromkeys(one.strip().lower() for one in recipients if "@" in one)
        self._plain = tuple(one for one in cleaned if one not in self._senders)[:_MAX_RECIPIENTS]
        self._digests: frozenset[str] | None = None

    def look(self, url: str) -> tuple[bool, bool]:
        """Return whether ``url`` holds a recipient's address, and whether anybody's but the sender's."""
        url = url[:_MAX_CHARACTERS]
        written = (unquote(url, "latin-1") if "%" in url else url).lower()
        for one in self._plain:
            if one in written or one.replace("@", "=") in written:
                return True, True
        stranger = "@" in written and self._strangers(written.partition("://")[2])
        for match in _DIGEST.finditer(written):
            if len(match[0]) in _DIGEST_LENGTHS and match[0] in self.digests():
                return True, True
        for decoded in _decoded(url):
            if b"@" not in decoded:
                continue
            lowered = decoded.lower()
            if any(one.encode("utf-8", "replace") in lowered for one in self._plain):
                return True, True
            address = _ADDRESS.search(lowered)
            stranger = stranger or (
                address is not None
                and not any(one.encode("utf-8", "replace") in lowered for one in self._senders)
            )
        return False, stranger

    def _strangers(self, written: str) -> bool:
        authority_end = _TARGET.search(written)
        target = written[authority_end.start() :] if authority_end else ""
        return any(
            match[0] not in self._senders and not match[1].endswith(_FILE_ENDINGS)
            for match in _WRITTEN_ADDRESS.finditer(target)
        )

    def digests(self) -> frozenset[str]:
        """Return the usual digests of the recipients' addresses, in hexadecimal."""
        if self._digests is None:
            found = set()
            for address in self._plain:
                raw = address.encode("utf-8", "replace")
                for name in ("md5", "sha1", "sha256", "sha384", "sha512"):
                    found.add(hashlib.new(name, raw, usedforsecurity=False).hexdigest())
            self._digests = frozenset(found)
        return self._digests


def _decoded(url: str) -> Iterable[bytes]:
    """Yield what the first long tokens of a URL mean as hexadecimal or base64."""
    target = url.partition("://")[2].partition("/")[2]
    if "%" in target:
        target = unquote(target, "latin-1")
    for number, match in enumerate(_BASE64.finditer(target)):
        if number == _MAX_TOKENS:
            return
        whole = match[0]
        for token in {whole, *whole.split("/")} if "/" in whole else (whole,):
            if len(token) < 12:
                continue
            if _HEX.fullmatch(token) and len(token) % 2 == 0:
                yield bytes.fromhex(token)
                continue
            try:
                padded = token.replace("-", "+").replace("_", "/")
                yield binascii.a2b_base64(padded[: len(padded) // 4 * 4])
            except (binascii.Error, ValueError):
                continue
