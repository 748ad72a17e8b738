"""Links: addresses in running text and in header fields, which no client fetches by itself."""

from __future__ import annotations

import hashlib
import re
from html import unescape
from typing import Final
from urllib.parse import urlsplit

from mailveil.core.references.types import Scope
from mailveil.core.references.url import resolve

_URL: Final = re.compile(r"(?:https?|ftp)://[^\s<>\"]++", re.IGNORECASE)
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
# Without what could be spelt otherwise: port, user name, escapes, entities, fragment, an empty query.
_PLAIN: Final = re.compile(
    r"https?://[a-z0-9_-]++(?:\.[a-z0-9_-]++)*+(?:/[A-Za-z0-9._~!$'()*+,;=:@/-]*+(?:\?[A-Za-z0-9._~!$'()*+,;=:@/?-]++)?+)?+"
)
_MAX_UNESCAPED: Final = 3
LINK_DIGEST_LETTERS: Final = 16
EVERY_LINK: Final = "*"
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_TRAILING: Final = ".,;:!?)]}'"


def note_links(value: str, scope: Scope) -> None:
    """Add every ``http``, ``https`` or ``ftp`` URL of ``value`` to ``scope.findings.linked``.

    Linear in the length of ``value``. Of a URL that a header field holds in angle brackets, the folding white
    space is not part (RFC 2369 section 2), so that reading is noted as well.
    """
    if "://" not in value:
        return
    linked = scope.findings.linked
    for match in _URL.finditer(value):
        url = resolve(match[0].rstrip(_TRAILING))
        if url is not None:
            linked.add(url)
    start = value.find("<")
    while start >= 0:
        end = value.find(">", start)
        if end < 0:
            return
        inside = value[start + 1 : end]
        if "://" in inside and any(character.isspace() for character in inside):
            url = resolve("".join(inside.split()))
            if url is not None:
                linked.add(url)
        start = value.find("<", end)


def same_place(url: str) -> str:
    """Return what two spellings have in common that lead an origin to do the same thing.

    Two URLs of the same place need not be equal: scheme, fragment, port, the case and final dot of the host,
    escapes that are not needed (RFC 3986 section 6.2.2), an empty query and ``&amp;`` for ``&`` make no difference.
    Errs towards equality, since it keeps links from being followed. Linear in the length of ``url``.
    """
    if _PLAIN.fullmatch(url):
        # Most URLs have but one spelling, and a message can have thousands.
        place = url[url.index("//") :]
        return place if place.find("/", 2) > 0 else f"{place}/"
    for _ in range(_MAX_UNESCAPED):
        plain = unescape(url) if "&" in url else url
        if plain == url:
            break
        url = plain
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port
    except ValueError:
        return url
    if port in (None, 80, 443):
        port = None
    place = f"//{host}{'' if port is None else f':{port}'}{parts.path or '/'}"
    if parts.query:
        place += f"?{parts.query}"
    return _ESCAPE.sub(_plain_escape, place)


def _plain_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else f"%{match[1].upper()}"


def link_digest(url: str) -> str:
    """Return what the place of a URL is known by, as so many hexadecimal digits.

    For whoever has to leave a message's links alone without being told which they are.
    """
    return place_digest(same_place(url))


def place_digest(place: str) -> str:
    """Return the digest of what :func:`same_place` returned."""
    return hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:LINK_DIGEST_LETTERS]


def leads_to_link(url: str, links: str) -> bool:
    """Tell whether a URL is one of those whose digests stand one after the other in ``links``, ``*`` for every one."""
    if links == EVERY_LINK:
        return True
    digest = link_digest(url) if links else ""
    return any(
        links[at : at + LINK_DIGEST_LETTERS] == digest for at in range(0, len(links), LINK_DIGEST_LETTERS)
    )
