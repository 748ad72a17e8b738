"""Destination checks: what a destination may be like, for each kind: its address, format, options and secret."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from mailveil.control.failures import InvalidError
from mailveil.control.sharingrecords import Destination, DestinationKind
from mailveil.core.sharing.types import EventKind, PeopleShared

MAX_NAME: Final = 100
MAX_ADDRESS: Final = 2000
MAX_SECRET: Final = 20_000
MAX_PEM: Final = 100_000
SYSLOG_PORTS: Final[Mapping[str, int]] = {"udp": 514, "tcp": 601, "tls": 6514}
FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\Z|[0-9A-Fa-f:.]{2,45}\Z")
INDEX: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}\Z")
LABEL: Final = re.compile(r"[\x21-\x7e]{1,128}\Z")
APP_NAME: Final = re.compile(r"[\x21-\x7e]{1,48}\Z")  # RFC 5424 section 6
WEBHOOK_PREFIX: Final = "whsec_"
WEBHOOK_KEY_BYTES: Final = range(24, 65)  # as Standard Webhooks has it


@dataclass(frozen=True, slots=True)
class KindRules:
    """What holds for a kind of destination. ``formats``: the first one is the default; ``options``: name to check."""

    formats: tuple[str, ...] = ("",)
    options: Mapping[str, Any] = field(default_factory=dict)
    is_web: bool = False


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "is true or false"


def _matches(pattern: re.Pattern[str], words: str) -> Any:
    return lambda value: "" if isinstance(value, str) and pattern.match(value) else words


def _one_of(*values: str) -> Any:
    return lambda value: "" if value in values else f"is one of {', '.join(values)}"


def _whole(least: int, most: int) -> Any:
    def check(value: Any) -> str:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if is_whole and least <= value <= most else f"is a whole number from {least} to {most}"

    return check


def _certificates(value: Any) -> str:
    if isinstance(value, str) and len(value) <= MAX_PEM and "-----BEGIN CERTIFICATE-----" in value:
        return ""
    return "holds certificates in PEM, beginning with -----BEGIN CERTIFICATE-----"


_WEB_OPTIONS: Mapping[str, Any] = {"ca_pem": _certificates, "plain_http": _flag}
RULES: Mapping[DestinationKind, KindRules] = {
    DestinationKind.SYSLOG: KindRules(
        ("cef", "ecs", "ocsf", "plain"),
        {
            "facility": _one_of(*FACILITIES),
            "app_name": _matches(APP_NAME, "is up to 48 letters, digits and signs without blanks"),
            "framing": _one_of("octet-counting", "newline"),
            "max_bytes": _whole(480, 1_000_000),
            "ca_pem": _certificates,
            "client_certificate_pem": _certificates,
        },
    ),
    DestinationKind.SPLUNK: KindRules(
        ("plain", "ecs", "ocsf", "cef"),
        {
            **_WEB_OPTIONS,
            "index": _matches(LABEL, "is up to 128 letters, digits and signs without blanks"),
            "source": _matches(LABEL, "is up to 128 letters, digits and signs without blanks"),
            "sourcetype": _matches(LABEL, "is up to 128 letters, digits and signs without blanks"),
        },
        is_web=True,
    ),
    DestinationKind.ELASTICSEARCH: KindRules(
        ("ecs", "ocsf", "plain"),
        {
            **_WEB_OPTIONS,
            "index": _matches(INDEX, "has small letters, digits, dots, hyphens and underscores"),
            "pipeline": _matches(INDEX, "has small letters, digits, dots, hyphens and underscores"),
        },
        is_web=True,
    ),
    DestinationKind.JSON_LINES: KindRules(("plain", "ecs", "ocsf")),
    DestinationKind.WEBHOOK: KindRules(("plain", "ecs", "ocsf"), _WEB_OPTIONS, is_web=True),
    DestinationKind.MISP: KindRules(
        ("",),
        {**_WEB_OPTIONS, "published": _flag, "distribution": _whole(0, 3)},
        is_web=True,
    ),
    DestinationKind.COLLECTION: KindRules(),
}


def checked(destination: Destination) -> Destination:
    """Return a destination in order. Raises ``InvalidError``, which repeats no secret."""
    name = " ".join(destination.name.split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidError(f"Give the destination a name of at most {MAX_NAME} characters.", "name")
    rules = RULES[destination.kind]
    made = replace(
        destination,
        name=name,
        address=_address(destination),
        format=_format(destination, rules),
        events=_events(destination.events),
        options=_options(destination, rules),
    )
    if not 0.0 <= made.least_score <= 1.0:
        raise InvalidError("The least score is a number from 0 to 1.", "least_score")
    _check_secret(made)
    _check_collection(made)
    return made


def _check_collection(destination: Destination) -> None:
    """What everybody with a token may read names nobody, and has all that is taken back."""
    if destination.kind is not DestinationKind.COLLECTION:
        return
    if destination.people is not PeopleShared.NONE:
        raise InvalidError("The collections of our own TAXII server name no people.", "people")
    if destination.events or destination.least_score:
        raise InvalidError("The collections of our own TAXII server get every event.", "events")


def _address(destination: Destination) -> str:
    address = destination.address.strip()
    if len(address) > MAX_ADDRESS or not address.isascii() or not address.isprintable():
        raise InvalidError(
            f"An address has at most {MAX_ADDRESS} characters of ASCII (IDNs as xn--…).", "address"
        )
    match destination.kind:
        case DestinationKind.COLLECTION:
            return ""
        case DestinationKind.JSON_LINES:
            if not FILE_NAME.match(address) or ".." in address:
                raise InvalidError(
                    "Write the name of a file, such as events.jsonl. It is made in the folder of the organisation "
                    "below [sharing] files_directory.",
                    "address",
                )
            return address
        case DestinationKind.SYSLOG:
            return _syslog_address(address)
    return _web_address(address, is_plain_allowed=destination.options.get("plain_http") is True)


def syslog_place(address: str) -> tuple[str, str, int]:
    """Return transport, host and port of a syslog address; ValueError for what is none."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in SYSLOG_PORTS or rest or not HOST.match(host):
        raise ValueError
    return parts.scheme, host, port or SYSLOG_PORTS[parts.scheme]


def _syslog_address(address: str) -> str:
    try:
        transport, host, port = syslog_place(address)
    except ValueError as error:
        raise InvalidError(
            "Write udp://host:514, tcp://host:601 or tls://host:6514 (syslog in TLS).", "address"
        ) from error
    return f"{transport}://{f'[{host}]' if ':' in host else host}:{port}"


def _web_address(address: str, *, is_plain_allowed: bool) -> str:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidError("This is no URL.", "address") from error
    if parts.scheme not in ("https", "http") or not HOST.match(host) or " " in address:
        raise InvalidError("Write an address that begins with https://.", "address")
    if "@" in parts.netloc or parts.fragment:
        raise InvalidError("An address has no user name, no password and no fragment in it.", "address")
    if parts.scheme == "http" and not is_plain_allowed:
        raise InvalidError(
            "By http:// everybody on the way can read and change what is sent, the secret included. Write https://, "
            "or set the option plain_http if the way is safe.",
            "address",
        )
    return address


def _format(destination: Destination, rules: KindRules) -> str:
    chosen = destination.format or rules.formats[0]
    if chosen not in rules.formats:
        known = ", ".join(each for each in rules.formats if each) or "no formats to choose from"
        raise InvalidError(f"For {destination.kind} there are: {known}.", "format")
    return chosen


def _events(events: tuple[str, ...]) -> tuple[str, ...]:
    known = [str(each) for each in EventKind if each is not EventKind.TEST]
    for each in events:
        if each not in known:
            raise InvalidError(f"There is no event {each[:60]!r}; there are {', '.join(known)}.", "events")
    return tuple(each for each in known if each in events)


def _options(destination: Destination, rules: KindRules) -> dict[str, Any]:
    made = {}
    for name, value in destination.options.items():
        check = rules.options.get(name)
        if check is None:
            known = ", ".join(sorted(rules.options)) or "none"
            raise InvalidError(
                f"{destination.kind} has no option {name[:60]!r}; there are: {known}.", "options"
            )
        if value is None or value == "":
            continue  # as if it were not there
        if reason := check(value):
            raise InvalidError(f"The option {name} {reason}.", "options")
        made[name] = value
    return made


def _check_secret(destination: Destination) -> None:
    secret, kind = destination.secret, destination.kind
    if len(secret) > MAX_SECRET or "\0" in secret:
        raise InvalidError(f"A secret has at most {MAX_SECRET} characters.", "secret")
    if kind is DestinationKind.SYSLOG:
        _check_client_key(destination)
    elif kind in (DestinationKind.JSON_LINES, DestinationKind.COLLECTION):
        if secret:
            raise InvalidError(f"{kind} needs no secret.", "secret")
    elif secret and not (secret.isascii() and secret.isprintable()):
        raise InvalidError("This secret has characters that cannot be sent.", "secret")
    needs_secret = kind in (DestinationKind.SPLUNK, DestinationKind.MISP) and not destination.is_secret_lost
    if needs_secret and not secret:
        what = "the token of the HTTP Event Collector" if kind is DestinationKind.SPLUNK else "the API key"
        raise InvalidError(f"Give {what} as the secret.", "secret")


def _check_client_key(destination: Destination) -> None:
    has_certificate = bool(destination.options.get("client_certificate_pem"))
    if destination.secret and "PRIVATE KEY-----" not in destination.secret:
        raise InvalidError(
            "The secret of syslog is the private key of a client certificate, in PEM.", "secret"
        )
    has_key = bool(destination.secret) or destination.is_secret_lost
    if has_key != has_certificate:
        raise InvalidError(
            "A client certificate (option client_certificate_pem) and its private key (the secret) belong together.",
            "secret",
        )


def check_webhook_secret(secret: str) -> str:
    """Return a secret for signing webhooks. Raises ``InvalidError``."""
    try:
        key = base64.b64decode(secret.removeprefix(WEBHOOK_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(WEBHOOK_PREFIX) or len(key) not in WEBHOOK_KEY_BYTES:
        raise InvalidError(
            "A secret for webhooks is whsec_ followed by 24 to 64 bytes in base64; leave it out to have one made.",
            "secret",
        )
    return secret


def new_webhook_secret(chance: bytes) -> str:
    """Return a secret for signing webhooks made of 32 random bytes."""
    return WEBHOOK_PREFIX + base64.b64encode(chance).decode("ascii")
