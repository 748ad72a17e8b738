"""Patterns: how a policy names recipients, senders, domains and hosts, and what each of them covers."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from mailveil.core.authentication.trust import ascii_domain

_DOMAIN: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*+)\.)*+[a-z0-9_][a-z0-9_-]*+")
_LOCAL_PART: Final = re.compile(r"[^\s@\"<>(),:;\[\]\\*]{1,64}+")
_MAX_DOMAIN: Final = 253


class PatternError(ValueError):
    """A pattern that names nothing; the text says what would do."""


def normal_address(address: str) -> str:
    """Return an address as patterns compare it: lower-case, its domain in A-labels."""
    local_part, at, domain = address.strip().rpartition("@")
    return f"{local_part.lower()}{at}{ascii_domain(domain)}"


def domain_of(address: str) -> str:
    """Return the domain of an address in lower-case A-labels, ``""`` where it has none."""
    return ascii_domain(address.rpartition("@")[2]) if "@" in address else ""


def host_of(url: str) -> str:
    """Return the host that a URL names, lower-case, ``""`` where it names none. Total."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return ""
    return ascii_domain(host) if host else ""


def parse_domain(text: str) -> str:
    """Return a domain, or ``.domain`` for it and all below it, in lower-case A-labels. Raises ``PatternError``."""
    given = text.strip()
    if given.startswith("@"):
        raise PatternError(f'names a domain with "@"; write "{given.lstrip("@")}"')
    if "@" in given:
        raise PatternError("is an address, where a domain is wanted")
    return _domain(given, "a domain")


def parse_host(text: str) -> str:
    """Return a host, or ``.host`` for it and all below it. Raises ``PatternError``."""
    given = text.strip()
    if "/" in given:
        host = host_of(given) if "://" in given else host_of(f"//{given}")
        raise PatternError(
            f'is an address on the web; write the host alone, as "{host or "cdn.example.org"}"'
        )
    try:
        return str(ip_address(given.strip("[]")))
    except ValueError:
        return _domain(given, "a host")


def parse_address(text: str) -> str:
    """Return a whole address. Raises ``PatternError``."""
    given = text.strip()
    local_part, at, domain = given.rpartition("@")
    if not at or not local_part:
        raise PatternError("is no address; write it as ann@example.org")
    if not _LOCAL_PART.fullmatch(local_part):
        raise PatternError("has characters before the @ that addresses are not named with here")
    if domain.startswith("."):
        raise PatternError(f'names many domains; write "@{domain}" for everybody there')
    return f"{local_part.lower()}@{_domain(domain, 'the domain of an address')}"


def parse_recipients(text: str) -> str:
    """Return a pattern for recipients: ``ann@domain``, ``@domain``, or ``@.domain`` for all below it as well.

    ``*@`` says the same as ``@``. Raises ``PatternError``.
    """
    given = text.strip()
    if "@" not in given:
        raise PatternError(f'is no recipient; write "@{given}" for everybody there, or a whole address')
    if given.startswith(("*@", "@")):
        domain = given.removeprefix("*").removeprefix("@")
        if domain.startswith("*."):
            raise PatternError(
                f'has a second "*"; write "@{domain[1:]}", which is {domain[2:]} and all below it'
            )
        return f"@{_domain(domain, 'a domain')}"
    return parse_address(given)


def parse_author(text: str) -> str:
    """Return whom an allow-list entry trusts: ``domain``, ``.domain`` or an address. Raises ``PatternError``."""
    given = text.strip()
    return parse_address(given) if "@" in given.removeprefix("@") else parse_domain(given)


def covers_domain(pattern: str, domain: str) -> bool:
    """Tell whether ``domain`` or ``.domain`` (with all below it) covers a domain or host."""
    if pattern.startswith("."):
        return domain == pattern[1:] or domain.endswith(pattern)
    return bool(domain) and domain == pattern


def covers_recipient(pattern: str, address: str) -> bool:
    """Tell whether a pattern for recipients covers an address, as ``normal_address`` gives it."""
    if pattern.startswith("@"):
        return covers_domain(pattern[1:], address.rpartition("@")[2])
    return pattern == address


def _domain(text: str, what: str) -> str:
    below = text.startswith(".")
    name = ascii_domain(text.removeprefix("."))
    if "*" in name:
        raise PatternError(
            f'has a "*"; write ".{name.replace("*.", "").lstrip("*.")}" for a domain and all below it'
        )
    if not name or len(name) > _MAX_DOMAIN or not _DOMAIN.fullmatch(name):
        raise PatternError(f"is not {what}; write it as example.org")
    return f".{name}" if below else name
