"""Loading: defaults, then a file, then the environment, a mistake is refused with its line and a hint."""

from __future__ import annotations

import os
import re
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mailveil.adapters.authorities import read_authorities
from mailveil.config.settings import AREAS, TYPES, Settings
from mailveil.config.values import (
    Endpoint,
    Listen,
    NextHop,
    SettingsError,
    UnixSocket,
    did_you_mean,
    origin_of,
    public_host,
    read_domain,
    read_text_value,
    read_value,
    write_value,
)
from mailveil.core.banner import is_mailbox
from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.message.types import Limits
from mailveil.core.policy import Action, PolicySettings
from mailveil.core.protection import CopyMode, EngineSettings
from mailveil.core.verdicts.lists import ImportedList
from mailveil.ports import HopTls

SYSTEM_FILE = Path("/etc/mailveil/mailveil.toml")
PREFIX = "MAILVEIL_"
NO_ORIGIN = "https://copies.invalid"
RENAMED = {("fetch", "proxy"): 'write exits = ["socks5://host:port"] instead'}
RENAMED_AREAS = {"status": "console"}
NO_SETTINGS = frozenset({"MAILVEIL_CONFIG"})


def default_text() -> str:
    """Return the commented file that documents every setting."""
    return resources.files("mailveil").joinpath("default.toml").read_text("utf-8")


def find_file(chosen: str = "", environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the configuration file: the one chosen, else MAILVEIL_CONFIG, else the system's, if any."""
    if named := chosen or environment.get("MAILVEIL_CONFIG", ""):
        return Path(named)
    return SYSTEM_FILE if SYSTEM_FILE.exists() else None


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read settings: defaults, then the file at ``path``, then the environment.

    Raises SettingsError for anything that is not understood, naming file, line and what was probably meant.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    _read_toml(default_text(), "default.toml", values, origins)
    origins = dict.fromkeys(origins, "default")
    if path is not None:
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"{path}: is not UTF-8 text (byte {error.start})") from error
        _read_toml(text, str(path), values, origins)
    _read_environment(environment, values, origins)
    built = {
        area: kind(**{each.name: values[f"{area}.{each.name}"] for each in fields(kind)})
        for area, kind in AREAS.items()
    }
    settings = Settings(**built, origins=types.MappingProxyType(origins))
    _check_listeners(settings)
    _check_milter(settings)
    _check_public_names(settings)
    _check_feedback(settings)
    _check_egress(settings)
    _check_doors(settings)
    _check_authentication(settings)
    _check_database(settings)
    _check_oidc(settings)
    return settings


def why_no_origin(origin: str) -> str:
    """Say why copies cannot be hosted under an origin; ``""`` where they can."""
    try:
        CopyAddresses(origin, bytes(32))
    except ValueError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """A setting in force: its value as TOML, and the file and line or variable that it comes from."""

    area: str
    name: str
    value: str
    origin: str


def describe(settings: Settings) -> list[SettingInForce]:
    """Return every setting in force."""
    found: list[SettingInForce] = []
    for area, kind in AREAS.items():
        for each in fields(kind):
            value = write_value(getattr(getattr(settings, area), each.name))
            found.append(SettingInForce(area, each.name, value, settings.origins[f"{area}.{each.name}"]))
    return found


def policy_settings(settings: Settings) -> PolicySettings:
    """Return the organisation's rules as the core takes them."""
    policy = settings.policy
    return PolicySettings(
        protect_inbound=policy.protect_inbound,
        protect_submitted=policy.protect_submitted,
        protect_local=policy.protect_local,
        signed_mail=policy.signed_mail,
        disable_attached_scripts=policy.disable_attached_scripts,
        trackers=Action(policy.trackers),
        content=Action(policy.content),
    )


def engine_settings(
    settings: Settings,
    key: bytes,
    *,
    mode: CopyMode | None = None,
    copies_url: str = "",
    lists: Sequence[ImportedList] = (),
) -> EngineSettings:
    """Return what the engine needs of the settings; ``key`` authenticates the addresses of hosted copies.

    ``mode`` and ``copies_url`` take the place of what is configured; ``lists`` are evidence for verdicts.
    """
    limits = settings.limits
    origin = origin_of(copies_url) if copies_url else settings.copies_url
    return EngineSettings(
        limits=Limits(**{each.name: getattr(limits, each.name) for each in fields(limits)}),
        policy=policy_settings(settings),
        mode=mode or settings.copies.mode,
        # Where no copy is hosted, no address is ever written, and the origin only has to be a valid one.
        addresses=CopyAddresses(NO_ORIGIN if why_no_origin(origin) else origin, key),
        authorities=read_authorities(),
        lists=tuple(lists),
    )


# Reading ----------------------------------------------------------------------------------------------------


def _read_toml(text: str, name: str, values: dict[str, Any], origins: dict[str, str]) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name}: {_syntax_error(str(error))}") from error
    lines = _lines_of_keys(text)
    for area, content in document.items():
        where = f"{name}:{lines.get(area, 1)}"
        if area not in AREAS or not isinstance(content, dict):
            raise SettingsError(f"{where}: {_unknown_area(area, content)}")
        for key, value in content.items():
            place = f"{area}.{key}"
            where = f"{name}:{lines.get(place, lines.get(area, 1))}"
            values[place] = _convert(area, key, value, where)
            origins[place] = where


def _syntax_error(text: str) -> str:
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", text)
    return f"line {found[2]}, column {found[3]}: {found[1]}" if found else text


def _lines_of_keys(text: str) -> dict[str, int]:
    """Return the line on which each table and key first stands, for messages."""
    found: dict[str, int] = {}
    area = ""
    inside = ""  # the quotes of the multi-line string that the line begins in
    for line_number, line in enumerate(text.splitlines(), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        if header := re.match(r"\s*\[\s*([\w.\"'-]+)\s*\]", line):
            area = header[1].strip("\"'")
            found.setdefault(area, line_number)
        elif key := re.match(r"\s*([\w\"'.-]+)\s*=", line):
            name = key[1].replace('"', "").replace("'", "")
            found.setdefault(f"{area}.{name}" if area else name, line_number)
            if not area:
                found.setdefault(name.split(".")[0], line_number)
        for quotes in ('"""', "'''"):
            if line.count(quotes) % 2:
                inside = quotes
    return found


def _read_environment(
    environment: Mapping[str, str], values: dict[str, Any], origins: dict[str, str]
) -> None:
    known = {
        f"{PREFIX}{area}__{name}".upper(): (area, name) for area, kinds in TYPES.items() for name in kinds
    }
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable in NO_SETTINGS:
            continue
        if variable not in known:
            area, _, name = variable.removeprefix(PREFIX).lower().partition("__")
            if (area, name) in RENAMED:
                _convert(area, name, text, f"environment {variable}")
            if area in RENAMED_AREAS:
                new = f"{PREFIX}{RENAMED_AREAS[area]}__{name}".upper()
                raise SettingsError(f"environment: {variable} is called {new} now")
            hint = did_you_mean(variable, known, 0.6 if "__" in variable else 0.85)
            if hint or "__" in variable:
                raise SettingsError(f"environment: {variable} is no setting{hint}")
            continue  # some other program's, such as a script around this one
        area, name = known[variable]
        given = read_text_value(text, TYPES[area][name])
        values[f"{area}.{name}"] = _convert(area, name, given, f"environment {variable}")
        origins[f"{area}.{name}"] = f"environment {variable}"


def _unknown_area(area: str, content: object) -> str:
    if area in RENAMED_AREAS:
        return f"[{area}] is called [{RENAMED_AREAS[area]}] now"
    if area in AREAS:
        return f"{area} is a table: write [{area}] on a line of its own"
    homes = [name for name, kinds in TYPES.items() if area in kinds]
    if homes and not isinstance(content, dict):
        return f"{area} stands outside its table: it belongs under [{'] or ['.join(homes)}]"
    hint = did_you_mean(area, AREAS)
    return f"[{area}] is no table of settings{hint or '; there are ' + ', '.join(AREAS)}"


def _convert(area: str, name: str, value: object, where: str) -> Any:
    kinds = TYPES[area]
    if (area, name) in RENAMED:
        raise SettingsError(f"{where}: [{area}] {name} is no setting any more; {RENAMED[area, name]}")
    if name not in kinds:
        hint = did_you_mean(name, kinds)
        elsewhere = [other for other, names in TYPES.items() if name in names]
        if elsewhere:
            hint = f"; it belongs under [{elsewhere[0]}]"
        raise SettingsError(
            f"{where}: [{area}] {name} is no setting{hint or '; there are ' + ', '.join(kinds)}"
        )
    bounds = next(each.metadata for each in fields(AREAS[area]) if each.name == name)
    try:
        return read_value(value, kinds[name], bounds)
    except ValueError as error:
        raise SettingsError(f"{where}: [{area}] {name} = {write_value(value)}: {error}") from error


# Checking what belongs together -----------------------------------------------------------------------------


def _check_listeners(settings: Settings) -> None:
    seen: dict[Endpoint, str] = {}
    for area in ("gateway", "milter", "copies", "console", "egress"):
        endpoint: Endpoint | None = getattr(settings, area).listen
        if endpoint is None:
            continue
        if endpoint.port and endpoint in seen:
            _refuse(
                settings,
                area,
                "listen",
                f"[{seen[endpoint]}] listens there too; each needs a port of its own",
            )
        seen[endpoint] = area


def _check_milter(settings: Settings) -> None:
    if not re.fullmatch(r"0?[0-7]{3}", settings.milter.socket_mode):
        _refuse(settings, "milter", "socket_mode", 'must be three octal digits, such as "660"')


def _check_feedback(settings: Settings) -> None:
    feedback = settings.feedback
    if feedback.mailbox and not is_mailbox(feedback.mailbox):
        _refuse(settings, "feedback", "mailbox", 'must be one plain address, as "spy-report@example.org"')
    if feedback.public_url and public_host(settings.copies_url) == public_host(feedback.public_url):
        reason = (
            "is the name of the copies' server: what is served as a copy could act as the page for reports"
        )
        _refuse(settings, "feedback", "public_url", reason)


def _check_public_names(settings: Settings) -> None:
    for area in ("copies", "console", "feedback"):
        url = getattr(settings, area).public_url
        if url and not public_host(url):
            _refuse(
                settings, area, "public_url", 'must be scheme and host only, as "https://copies.example.org"'
            )
    hosted = settings.copies.mode is CopyMode.HOSTED
    if hosted and not settings.copies.public_url and settings.copies.listen.is_wildcard:
        reason = "must be set: copies.listen alone does not tell under which name readers reach it"
        _refuse(settings, "copies", "public_url", reason)
    if hosted and (reason := why_no_origin(settings.copies_url)):
        _refuse(settings, "copies", "public_url", reason)
    if public_host(settings.copies_url) == public_host(settings.console_url):
        area = "console" if settings.origins["console.public_url"] != "default" else "copies"
        reason = (
            f"copies ({settings.copies_url}) and console ({settings.console_url}) share one name: "
            "what is served as a copy could act as the console; give them two names"
        )
        _refuse(settings, area, "public_url", reason)


def _leads_to(hop: NextHop, listen: Listen | None) -> bool:
    """Tell whether a next hop is what we listen on ourselves, as far as its name tells."""
    if isinstance(listen, UnixSocket):
        return hop.path == listen.path
    if listen is None or hop.path or hop.port != listen.port:
        return False
    place = Endpoint(hop.host, hop.port)
    return place == listen or (place.is_loopback and (listen.is_wildcard or listen.is_loopback))


def _check_doors(settings: Settings) -> None:
    gateway = settings.gateway
    lmtp = gateway.lmtp_listen
    if isinstance(lmtp, Endpoint):
        if lmtp.port == 25:
            _refuse(settings, "gateway", "lmtp_listen", "port 25 is for SMTP alone (RFC 2033 section 5)")
        if lmtp.port and lmtp in (gateway.listen, settings.copies.listen, settings.console.listen):
            _refuse(
                settings,
                "gateway",
                "lmtp_listen",
                "something else listens there; LMTP needs a port of its own",
            )
    if gateway.tls_key and not gateway.tls_certificate:
        _refuse(settings, "gateway", "tls_key", "needs tls_certificate, the certificate that it belongs to")
    hop = gateway.next_hop
    if hop is not None and any(_leads_to(hop, each) for each in (gateway.listen, lmtp)):
        _refuse(settings, "gateway", "next_hop", "is mailveil's own door: mail would go round in a circle")
    if gateway.next_hop_tls is HopTls.MUST and (hop is None or hop.path):
        reason = (
            "needs a next hop that is reached by TCP, since a Unix socket and a Maildir know no encryption"
        )
        _refuse(settings, "gateway", "next_hop_tls", reason)
    if gateway.max_bytes_in_flight < gateway.max_message_bytes:
        reason = f"must be at least max_message_bytes, which is {gateway.max_message_bytes:_}"
        _refuse(settings, "gateway", "max_bytes_in_flight", reason)


def _check_egress(settings: Settings) -> None:
    egress = settings.egress
    if egress.password and egress.password_file:
        _refuse(settings, "egress", "password_file", "password is set as well; only one of them can be meant")
    if bool(egress.user) != bool(egress.password or egress.password_file):
        _refuse(settings, "egress", "user", "user and password (or password_file) belong together")


def _check_oidc(settings: Settings) -> None:
    oidc = settings.oidc
    if oidc.client_secret and oidc.client_secret_file:
        reason = "client_secret is set as well; only one of them can be meant"
        _refuse(settings, "oidc", "client_secret_file", reason)
    if not oidc.issuer:
        return
    parts = urlsplit(oidc.issuer)
    is_loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if (
        not parts.netloc
        or parts.query
        or parts.fragment
        or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback))
    ):
        _refuse(settings, "oidc", "issuer", 'must be as "https://login.example.org", by https')
    if not oidc.client_id:
        _refuse(settings, "oidc", "client_id", "must be set, since issuer is")
    if "openid" not in oidc.scopes.split():
        _refuse(settings, "oidc", "scopes", 'must have "openid" among them')


def _check_authentication(settings: Settings) -> None:
    choices = settings.authentication
    for name in ("authserv_id", "trusted_authserv_id", "arc_domain", "arc_selector"):
        value = getattr(choices, name)
        try:
            _ = value and read_domain(value)
        except ValueError as error:
            _refuse(settings, "authentication", name, str(error))
    together = {name: getattr(choices, name) for name in ("arc_domain", "arc_selector", "arc_key_file")}
    if any(together.values()):
        for name, value in together.items():
            if not value:
                others = " and ".join(other for other in together if together[other])
                _refuse(settings, "authentication", name, f"must be set, since {others} is")


def _check_database(settings: Settings) -> None:
    database = settings.database
    if database.url and database.url_file:
        _refuse(settings, "database", "url_file", "url is set as well; only one of them can be meant")
    if database.url:
        # Here, since most programs that read settings need no database.
        from mailveil.adapters.database.engine import DatabaseAddressError, database_url

        try:
            database_url(database.url, settings.directory)
        except DatabaseAddressError as error:
            _refuse(settings, "database", "url", str(error))


def _refuse(settings: Settings, area: str, name: str, reason: str) -> None:
    value = write_value(getattr(getattr(settings, area), name))
    raise SettingsError(f"{settings.origins[f'{area}.{name}']}: [{area}] {name} = {value}: {reason}")
