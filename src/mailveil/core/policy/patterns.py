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
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class PatternError(ValueError):
    """A pattern that names nothing; the text says what would do."""


def normal_address(address: str) -> str:
    """Return an address as patterns compare it: lower-case, its domain in A-labels, its mailbox without quoting.

    ``"ann"@example.org`` and ``@relay.example:ann@example.org`` name the mailbox of ``ann@example.org`` (RFC 5321
    sections 4.1.2 and 4.1.1.3): a sender must not get round a rule by another spelling.
    """
    local_part, at, domain = address.strip().rpartition("@")
    if local_part.startswith("@") and ":" in local_part:
        local_part = local_part.partition(":")[2]
    if len(local_part) > 1 and local_part[0] == '"' == local_part[-1]:
        local_part = _ESCAPED.sub(r"\1", local_part[1:-1])
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
    """Tell whether a pattern for recipients covers an address, as ``normal_address`` gives it.

    Who is named is meant with every detail as well: ``ann@example.org`` covers ``ann+lists@example.org``.
    """
    if pattern.startswith("@"):
        return covers_domain(pattern[1:], address.rpartition("@")[2])
    if pattern == address:
        return True
    mailbox, plus, rest = address.partition("+")
    # A detail names the same mailbox (RFC 5233), and is the sender's to choose.
    return bool(plus and mailbox) and pattern == f"{mailbox}@{rest.rpartition('@')[2]}"


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
