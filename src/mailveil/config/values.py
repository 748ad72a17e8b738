"""Single values of the configuration: what may be written, and what it is read as."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit

from mailveil.adapters.exits import Exit, ExitScheme, resolver_place
from mailveil.ports import MailProtocol

DEFAULT_PORTS = {"smtp": 25, "lmtp": 24}
MAX_SOCKET_PATH_BYTES = 107  # sun_path of Linux, with its NUL
BOOLEAN_WORDS = frozenset({"true", "yes", "on", "1", "false", "no", "off", "0"})


class SettingsError(Exception):
    """The configuration cannot be used; the text names the place and what was meant."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP address to listen on."""

    host: str
    port: int

    @property
    def is_wildcard(self) -> bool:
        """Tell whether this means every address of the machine."""
        return self.host in {"0.0.0.0", "::"}  # noqa: S104

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A Unix socket to listen on. Who may reach it is a matter of the folder that it stands in."""

    path: str

    @property
    def is_loopback(self) -> bool:
        """Tell that only this machine can reach it."""
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


Listen = Endpoint | UnixSocket


@dataclass(frozen=True, slots=True)
class NextHop:
    """The server that mail goes on to: by TCP, or where ``path`` is set over that Unix socket."""

    host: str
    port: int
    protocol: MailProtocol = MailProtocol.SMTP
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{self.protocol}+unix:{self.path}"
        return f"{self.protocol}://{Endpoint(self.host, self.port)}"


class Secret(str):
    """Text that no listing shows."""

    __slots__ = ()


class ResolverAddress(str):
    """The address of a resolver of the DNS, with or without a port."""

    __slots__ = ()


class ClaimValue(str):
    """One value of a claim of OpenID Connect, such as the name of a group."""

    __slots__ = ()


def read_claim_value(text: str) -> ClaimValue:
    """Read a value of a claim; ValueError for what no provider tells."""
    if not text.strip() or not text.isprintable():
        raise ValueError("must not be empty or have control characters")
    return ClaimValue(text)


def read_value(value: object, kind: Any, bounds: Mapping[str, Any]) -> Any:
    """Turn a TOML value into what a setting of type ``kind`` holds; ValueError says what was meant."""
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if kind is int:
        return _read_number(value, bounds)
    if typing.get_origin(kind) is tuple:
        read = ITEMS.get(typing.get_args(kind)[0], read_network)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ValueError("must be a list of texts in quotes, such as " + EXAMPLES[read])
        return tuple(read(each) for each in value)
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")
    if not value.isprintable():
        raise ValueError("must not contain control characters")
    if kind in READERS:
        return READERS[kind](value)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        choices = {str(each): each for each in kind}
        if value not in choices:
            listed = ", ".join(f'"{each}"' for each in choices)
            raise ValueError(f"must be one of {listed}{did_you_mean(value, choices)}")
        return choices[value]
    return value


def read_text_value(text: str, kind: Any) -> Any:
    """Read an environment variable as the TOML value that ``kind`` wants, or leave it as text."""
    if kind is bool:
        word = text.strip().lower()
        return (word in {"true", "yes", "on", "1"}) if word in BOOLEAN_WORDS else text
    if kind is int:
        return int(text) if re.fullmatch(r"\s*[0-9]+(?:_[0-9]+)*\s*", text) else text
    if typing.get_origin(kind) is tuple:
        items = (each.strip().strip("\"'") for each in text.strip().strip("[]").split(","))
        return [each for each in items if each]
    return text


def _read_number(value: object, bounds: Mapping[str, Any]) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number without quotes or unit, such as 50_000_000")
    if not bounds["least"] <= value <= bounds["most"]:
        raise ValueError(f"must be from {bounds['least']:_} to {bounds['most']:_}")
    return value


def write_value(value: object) -> str:
    """Return a setting's value as TOML."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(write_value(each) for each in value) + "]"
    if isinstance(value, Secret):
        return '"***"' if value else '""'
    if isinstance(value, Exit) and value.user:
        value = str(value).replace("://", "://***@", 1)
    value = CREDENTIALS.sub("//***@", str(value))
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def did_you_mean(given: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return a hint at the known name that is closest to the given one, or ``""`` where none is close."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]}?" if close else ""


def read_endpoint(text: str) -> Endpoint:
    """Read ``host:port`` or ``[ipv6]:port``; raise ValueError otherwise."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError('must be "host:port", such as "127.0.0.1:2525"')
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    if not bare or (":" in bare) != bracketed or not re.fullmatch(r"[\w.:%-]+", bare):
        raise ValueError('must be "host:port" or "[ipv6]:port", such as "[::1]:2525"')
    return Endpoint(bare.lower(), int(port))


def read_optional_endpoint(text: str) -> Endpoint | None:
    """Read ``host:port`` or ``[ipv6]:port``, or ``""`` for nowhere; raise ValueError otherwise."""
    return read_endpoint(text) if text else None


def read_listen(text: str) -> Listen | None:
    """Read ``host:port``, ``[ipv6]:port`` or ``unix:/path``, or ``""`` for nowhere; raise ValueError otherwise."""
    if not text:
        return None
    scheme, colon, path = text.partition(":")
    if scheme.lower() != "unix" or not colon:
        return read_endpoint(text)
    return UnixSocket(_read_socket_path(path, "unix:/run/mailveil/lmtp"))


def read_next_hop(text: str) -> NextHop | None:
    """Read where mail goes on to, or ``""`` for nowhere; raise ValueError otherwise.

    ``smtp://host:port`` (25 without a port), ``lmtp://host:port`` (24 without a port) or ``lmtp+unix:/path``.
    """
    if not text:
        return None
    if text.startswith("lmtp+unix:"):
        path = _read_socket_path(text.removeprefix("lmtp+unix:"), "lmtp+unix:/var/run/dovecot/lmtp")
        return NextHop("", 0, MailProtocol.LMTP, path)
    scheme, found, rest = text.partition("://")
    if not found or scheme not in DEFAULT_PORTS:
        raise ValueError(
            'must be "smtp://host:port", "lmtp://host:port" or "lmtp+unix:/path", such as "smtp://127.0.0.1:10026"'
        )
    if not re.search(r"\A(?:[^:\[\]]*|\[[^\]]*\]):", rest):
        rest += f":{DEFAULT_PORTS[scheme]}"
    endpoint = read_endpoint(rest)
    return NextHop(endpoint.host, endpoint.port, MailProtocol(scheme))


def _read_socket_path(path: str, example: str) -> str:
    if not path.startswith("/") or path.endswith("/") or len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(
            f'a Unix socket is named by its full path of up to {MAX_SOCKET_PATH_BYTES} bytes, such as "{example}"'
        )
    return path


def read_network(text: str) -> IPv4Network | IPv6Network:
    """Read an IP address or network; raise ValueError otherwise."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f'"{text}" is no IP address or network, such as "192.0.2.0/24"') from None


def read_domain(text: str) -> str:
    """Read a domain name; raise ValueError otherwise."""
    if not re.fullmatch(r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}", text):
        raise ValueError(f'"{text}" is no domain name, such as "example.org" (write IDNs as xn--…)')
    return text.lower()


def public_host(url: str) -> str:
    """Return the host name of a public URL in lower case, or ``""`` where it is no plain http(s) origin."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or "@" in url:
        return ""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or parts.path not in {"", "/"} or parts.query or parts.fragment:
        return ""
    return (parts.hostname or "").rstrip(".")


def origin_of(url: str) -> str:
    """Return a public URL as browsers write its origin (RFC 6454): lower case, no default port, no slash."""
    parts = urlsplit(url)
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def read_exit(text: str) -> Exit:
    """Read a way out, such as ``socks5://user:password@host:port``; raise ValueError otherwise.

    User name and password are percent-encoded where they hold anything but letters, digits and ``-._~``.
    """
    try:
        parts = urlsplit(text)
        scheme, host, port = ExitScheme(parts.scheme), parts.hostname, parts.port
    except ValueError:
        scheme, host, port = ExitScheme.SOCKS5, "", None
    if not host or not port or parts.path or parts.query or parts.fragment:
        raise ValueError(
            'must be "socks5://host:port" or "http://host:port" (both with "user:password@" before the host where '
            'the exit asks for it), or inside TLS "socks5+tls://…" or "https://…"'
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password) or len(user.encode()) > 255 or len(password.encode()) > 255:
        raise ValueError("user name and password belong together, each of at most 255 octets")
    return Exit(scheme, host, port, user, password)


def read_resolver(text: str) -> ResolverAddress:
    """Read the address of a resolver, with or without a port; raise ValueError otherwise."""
    try:
        resolver_place(text or "-")
    except ValueError:
        raise ValueError(
            f'"{text}" is no address of a resolver, such as "192.0.2.53" or "[2001:db8::53]:53"'
        ) from None
    return ResolverAddress(text)


# A user name with a password, wherever one stands in a URL: no error and no listing shows it.
CREDENTIALS = re.compile(r"//[^/@]*@")
ITEMS: Mapping[Any, Callable[[str], Any]] = {
    str: read_domain,
    Exit: read_exit,
    ResolverAddress: read_resolver,
    ClaimValue: read_claim_value,
}
EXAMPLES: Mapping[Any, str] = {
    read_domain: '["example.org"]',
    read_network: '["127.0.0.1", "10.0.0.0/8"]',
    read_exit: '["socks5://host:port"]',
    read_resolver: '["192.0.2.53"]',
    read_claim_value: '["mailveil-admins"]',
}
READERS: Mapping[Any, Callable[[str], Any]] = {
    Secret: Secret,
    Endpoint: read_endpoint,
    Endpoint | None: read_optional_endpoint,
    Listen | None: read_listen,
    NextHop | None: read_next_hop,
}
