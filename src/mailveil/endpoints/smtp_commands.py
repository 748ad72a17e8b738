"""Arguments of SMTP commands: paths kept as they were written, XCLIENT and XFORWARD attributes."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

# https://www.postfix.org/XCLIENT_README.html and https://www.postfix.org/XFORWARD_README.html
XCLIENT_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN")
XFORWARD_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
UNKNOWN_VALUES = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")
MAX_PATH_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Path:
    """A reverse-path or forward-path without its angle brackets, and the parameters after it."""

    path: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why an argument cannot be taken: enhanced status code and text."""

    status: str
    text: str


def parse_path_command(keyword: str, arg: str | None) -> Path | Malformed:
    """Return the path and parameters of ``MAIL FROM:`` or ``RCPT TO:`` (RFC 5321 section 4.1.2).

    The path is kept as written, quoting included: it is the next hop's to interpret. Undecodable bytes and
    control characters are malformed.
    """
    if arg is None or arg[: len(keyword)].upper() != keyword:
        return Malformed("5.5.4", f"Syntax: {keyword}<address>")
    rest = arg[len(keyword) :].strip(" ")
    if any(c < " " or c == "\x7f" or "\udc80" <= c <= "\udcff" for c in rest):
        return Malformed("5.1.3", "Malformed address")
    if rest.startswith("<"):
        end = _closing_bracket(rest)
        if end < 0:
            return Malformed("5.1.3", "Malformed address")
        path, options = rest[1:end], rest[end + 1 :]
        if options and not options.startswith(" "):
            return Malformed("5.5.4", "Syntax error in parameters")
    else:
        path, _, options = rest.partition(" ")
        if not path or "<" in path or ">" in path:
            return Malformed("5.1.3", "Malformed address")
    if len(path) > MAX_PATH_CHARACTERS or (" " in path and '"' not in path):
        return Malformed("5.1.3", "Malformed address")
    return Path(path, tuple(options.split()))


def _closing_bracket(text: str) -> int:
    """Return where the ``>`` that ends a path stands, outside quoted strings, or -1."""
    quoted, at = False, 1
    while at < len(text):
        character = text[at]
        if quoted and character == "\\":
            at += 1
        elif character == '"':
            quoted = not quoted
        elif not quoted and character == ">":
            return at
        elif not quoted and character == "<":
            return -1
        at += 1
    return -1


def has_source_route(local_part: str) -> bool:
    """Tell whether a local part could lead a mail server to relay elsewhere: ``a%b``, ``a!b``, ``a@b``."""
    return any(character in local_part for character in "%!@:") or not local_part


def parse_attributes(arg: str, known: tuple[str, ...]) -> dict[str, str] | None:
    """Return the attributes of XCLIENT or XFORWARD by upper-case name, values xtext-decoded (RFC 3461).

    A value that the peer does not know is ``""``. ``None`` if anything is malformed or unknown.
    """
    attributes: dict[str, str] = {}
    for word in arg.split():
        name, equals, value = word.partition("=")
        name = name.upper()
        decoded = _decode_xtext(value)
        if not equals or name not in known or decoded is None:
            return None
        if value.upper() in UNKNOWN_VALUES:
            decoded = ""
        elif name == "ADDR":
            address = decoded[5:] if decoded.upper().startswith("IPV6:") else decoded
            try:
                decoded = str(ip_address(address))
            except ValueError:
                return None
        elif name == "SOURCE":
            decoded = decoded.upper()
        attributes[name] = decoded
    return attributes or None


def _decode_xtext(value: str) -> str | None:
    decoded = bytearray()
    at = 0
    while at < len(value):
        if value[at] != "+":
            decoded += value[at].encode("utf-8", "surrogateescape")
            at += 1
            continue
        digits = value[at + 1 : at + 3]
        if len(digits) != 2 or any(c not in "0123456789ABCDEFabcdef" for c in digits):
            return None
        decoded.append(int(digits, 16))
        at += 3
    text = decoded.decode("utf-8", "replace")
    return text if text.isprintable() else None


def peer_address(peername: object) -> str:
    """Return the address of a socket's peer; an IPv4 client on an IPv6 socket is an IPv4 client."""
    if not isinstance(peername, tuple) or not peername:
        return ""
    try:
        address = ip_address(str(peername[0]).partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
