"""Templates: a URL without whatever may have been made for one recipient. Pure, and linear in its length.

What is kept is what everybody is told alike: the registrable domain, known words (``words.py``), steps and parameter
names of one or two letters, endings of files. All else becomes ``*``, whether or not it looks random: a token of eight
letters cannot be told from a word, and a first name is a word. So the template needs no recipients to be made with, and
is the same for all of them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from mailveil.core.observation.words import ENDINGS, SCHEMES, VERSIONS, WORDS
from mailveil.core.verdicts.addresses import is_ip_address, registrable_domain, take_apart

ANY: Final = "*"
_MAX_STEPS: Final = 16
_MAX_PARAMETERS: Final = 24
_MAX_LABELS: Final = 2  # kept in front of the registrable domain; more of them spell something out
_MAX_ADDRESSES: Final = 3
_MAX_HOST: Final = 253  # RFC 1035 section 2.3.4
_NO_NAME: Final = re.compile(
    r"[\x00-,/:-@\[-^`{-\x7f]"
)  # of ASCII, all but letters, digits, "-", "." and "_"
_SHORT: Final = re.compile(r"[A-Za-z]{1,2}")
_BETWEEN: Final = re.compile(r"[-_.~]")
_HUMP: Final = re.compile(r"[A-Z]?[a-z]++|[A-Z]++(?![a-z])")
_LETTERS: Final = re.compile(r"[A-Za-z]{3,40}+")
_DOMAIN: Final = re.compile(r"(?:[A-Za-z0-9_\-]++\.)++[A-Za-z]{2,24}+")
_PORT: Final = re.compile(r":\d*+\Z")


def url_template(url: str) -> str:
    """Return the template of a normalised URL, such as ``https://t.shop.example/open/*.gif?u=*``. Total.

    The URLs that one mailing has for different recipients have one template.
    """
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower() if scheme.lower() in SCHEMES else ANY
    if scheme == "mailto":
        return f"mailto:{','.join(_addressees(rest))}"
    place = take_apart(url)
    if not place.host:
        return f"{scheme}:{ANY}"
    path, query = _path(place.path.partition("#")[0]), ""
    if "#" not in place.path and place.query:
        query = _query(place.query.partition("#")[0])
    return f"{scheme}://{host_template(place.host)}{_port(url)}{path}{query}"


@lru_cache(maxsize=8_192)
def host_template(host: str) -> str:
    """Return a host name with ``*`` for labels that may have been made for one recipient; an IP address as it is."""
    if is_ip_address(host):
        return host
    host = host.lower().strip(".")
    domain = registrable_domain(host)
    if len(domain) > _MAX_HOST or not domain.isprintable() or _NO_NAME.search(domain):
        return ANY
    below = host.removesuffix(domain).rstrip(".") if domain else host
    if not below:
        return host
    labels = below.split(".")
    # One that is made for somebody may be made of several, such as a mailbox and its domain.
    is_kept = len(labels) <= _MAX_LABELS and all(
        _SHORT.fullmatch(each) or _are_words(each) for each in labels
    )
    kept = below if is_kept else ANY
    return f"{kept}.{domain}" if domain else kept


def address_template(address: str) -> str:
    """Return a mail address with ``*`` for what may have been made for one recipient: ``*@bounce.shop.example``."""
    name, _, domain = address.rpartition("@")
    if not name:
        return ANY if domain else ""
    kept = name if all(_is_word(each) for each in _BETWEEN.split(name)) else ANY
    return f"{kept}@{host_template(domain)}"


def place_of_url(url: str) -> tuple[str, str]:
    """Return a URL's host as :func:`host_template` gives it, of ``mailto:`` the first domain, and what it belongs to.

    Both are ``""`` where nobody is named.
    """
    scheme, _, rest = url.partition(":")
    if scheme.lower() == "mailto":
        found = _addressees(rest)[0].partition("@")[2]
    else:
        host = take_apart(url).host
        found = host_template(host) if host else ""
    return found, registrable_domain(found.removeprefix("*.")) if found else ""


def _addressees(rest: str) -> list[str]:
    """Return the domains that a ``mailto:`` URL (RFC 6068) writes to; never the mailboxes."""
    addresses = unquote(rest.partition("?")[0], "latin-1").split(",", _MAX_ADDRESSES)[:_MAX_ADDRESSES]
    domains = (each.rpartition("@")[2].strip().lower() for each in addresses if "@" in each)
    return list(dict.fromkeys(f"{ANY}@{host_template(each)}" for each in domains)) or [ANY]


def _port(url: str) -> str:
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    return ":*" if _PORT.search(authority.rpartition("@")[2].rpartition("]")[2]) else ""


def _path(path: str) -> str:
    steps = path.split("/", _MAX_STEPS + 1)
    kept = [_step(each) for each in steps[: _MAX_STEPS + 1]]
    if len(steps) > _MAX_STEPS + 1:
        kept.append(ANY)
    return "/".join(_collapsed(kept))


def _query(query: str) -> str:
    parts = query.replace(";", "&").split("&", _MAX_PARAMETERS)
    kept = [_parameter(each) for each in parts[:_MAX_PARAMETERS]]
    if len(parts) > _MAX_PARAMETERS:
        kept.append(ANY)
    return "?" + "&".join(_collapsed(kept))


def _step(step: str) -> str:
    """Return one step of a path: as it is, or ``*`` with the ending of a file."""
    if not step or _SHORT.fullmatch(step) or step in VERSIONS:
        return step
    stem, dot, ending = step.rpartition(".")
    if dot and ending.lower() in ENDINGS:
        known = _SHORT.fullmatch(stem) or stem in VERSIONS or _are_words(stem)
        return step if known else f"{ANY}.{ending}"
    return step if _are_words(step) else ANY


def _parameter(part: str) -> str:
    name, equals, value = part.partition("=")
    if not equals or not value.strip("="):
        # A bare value, perhaps with the filling of base64.
        return part if _is_word(name) else ANY
    # "info=example.org" is how mailboxes are written where an "@" cannot stand.
    may_be_mailbox = _DOMAIN.fullmatch(value) is not None
    known = not may_be_mailbox and (_SHORT.fullmatch(name) is not None or _are_words(name.strip("_")))
    return f"{name if known else ANY}={value if _is_word(value) else ANY}"


def _are_words(text: str) -> bool:
    return len(text) <= 60 and all(_is_word(each) for each in _BETWEEN.split(text))


def _is_word(text: str) -> bool:
    if _LETTERS.fullmatch(text) is None:
        return False
    if text.lower() in WORDS:
        return True
    humps = _HUMP.findall(text)
    return len(humps) > 1 and all(each.lower() in WORDS for each in humps)


def _collapsed(pieces: list[str]) -> list[str]:
    """Return pieces with one ``*`` for several: how many a token falls into differs between recipients."""
    return [
        each
        for number, each in enumerate(pieces)
        if each not in (ANY, "*=*") or number == 0 or pieces[number - 1] != each
    ]
