"""The settings: names, types and bounds. What they mean and their defaults stand in ``default.toml``."""

from __future__ import annotations

import os
import socket
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from mailveil.adapters.exits import Exit
from mailveil.config.values import ClaimValue, Endpoint, Listen, NextHop, ResolverAddress, Secret, origin_of
from mailveil.core.authentication import TrustedServers
from mailveil.core.observation import PeopleKept, UrlsKept
from mailveil.core.policy import SignedMail
from mailveil.core.protection import CopyMode
from mailveil.ports import HopTls


class Substitute(StrEnum):
    """What takes the place of a remote reference. Keeping it is no choice: that would break the promise."""

    COPY = "copy"
    BLANK = "blank"


class OriginalsKept(StrEnum):
    """Which messages are kept as they came in, besides those that were delivered without it being possible to undo."""

    NEEDED = "needed"  # those alone whose signature or parts were taken off
    ALL = "all"  # every one that was changed


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How it is logged."""

    TEXT = "text"
    JSON = "json"


def whole(least: int = 0, most: int = 1 << 50) -> Any:
    """Declare a whole-number setting with its bounds."""
    return field(metadata={"least": least, "most": most})


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The SMTP and LMTP listeners and where mail goes from them."""

    listen: Endpoint
    lmtp_listen: Listen | None
    next_hop: NextHop | None
    next_hop_tls: HopTls
    next_hop_ca_file: str
    next_hop_xclient: bool
    local_maildir: str
    hostname: str
    tls_certificate: str
    tls_key: str
    max_message_bytes: int = whole(1024)
    max_bytes_in_flight: int = whole(1024)
    max_connections: int = whole(1, 100_000)
    timeout_s: int = whole(1, 86_400)
    max_attempts: int = whole(1, 100)
    max_inert_per_hour: int = whole(0, 1_000_000)
    clients: tuple[IPv4Network | IPv6Network, ...]
    recipient_domains: tuple[str, ...]
    trusted_peers: tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MilterChoices:
    """The milter listeners, by TCP and Unix socket."""

    listen: Endpoint | None
    socket: str
    socket_mode: str
    socket_group: str
    clients: tuple[IPv4Network | IPv6Network, ...]
    fetch_delay_s: int = whole(0, 86_400)
    max_connections: int = whole(1, 100_000)
    timeout_s: int = whole(1, 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiesSettings:
    """The listener that serves safe copies, and their store."""

    mode: CopyMode
    listen: Endpoint
    public_url: str
    embed_wait_s: int = whole(0, 120)
    embed_max_bytes: int = whole(0)
    max_store_bytes: int = whole(1_000_000)
    retention_days: int = whole(0, 36_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """The console and the API beside it."""

    listen: Endpoint
    public_url: str
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    session_idle_minutes: int = whole(1, 10_080)
    session_hours: int = whole(1, 720)


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """Signing in to the console with an OpenID Connect provider."""

    issuer: str
    client_id: str
    client_secret: Secret
    client_secret_file: str
    title: str
    scopes: str
    make_users: bool
    name_claim: str
    role_claim: str
    administrators: tuple[ClaimValue, ...]
    analysts: tuple[ClaimValue, ...]
    viewers: tuple[ClaimValue, ...]
    organisation_claim: str
    organisation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackSettings:
    """Where readers report false alarms and missed spies."""

    mailbox: str
    public_url: str
    per_minute: int = whole(1, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiChoices:
    """How much programs may ask of the API."""

    requests_per_minute: int = whole(1, 1_000_000)
    inspect_per_minute: int = whole(1, 1_000_000)
    inspections: int = whole(1, 1000)
    processes: int = whole(1, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """How origins are contacted, if at all."""

    enabled: bool
    timeout_s: int = whole(1, 600)
    max_bytes: int = whole(1)
    max_redirects: int = whole(0, 20)
    max_parallel: int = whole(1, 1000)
    delay_s: int = whole(0, 86_400)
    exits: tuple[Exit, ...]
    exit_authority_file: str
    resolvers: tuple[ResolverAddress, ...]
    own_networks: tuple[IPv4Network | IPv6Network, ...]
    urls_per_message: int = whole(0, 1_000_000)
    urls_per_sender: int = whole(0)
    urls_per_domain: int = whole(0)
    urls_per_address: int = whole(0)
    connections_per_address: int = whole(1, 1000)
    max_queued: int = whole(0)
    evidence_days: int = whole(0, 3650)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """What the judge remembers of mail and fetches past."""

    memory_days: int = whole(0, 3650)
    memory_rows: int = whole(1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressSettings:
    """The exit that this machine is for the fetchers of others (role ``egress``)."""

    listen: Endpoint
    clients: tuple[IPv4Network | IPv6Network, ...]
    user: str
    password: Secret
    password_file: str
    certificate_file: str
    key_file: str
    max_connections: int = whole(1, 100_000)
    max_bytes: int = whole(1024)
    timeout_s: int = whole(1, 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChoices:
    """The organisation's rules."""

    protect_inbound: bool
    protect_submitted: bool
    protect_local: bool
    signed_mail: SignedMail
    originals_days: int = whole(1, 36_500)
    originals_max_bytes: int = whole(1_000_000)
    trackers: Substitute
    content: Substitute
    disable_attached_scripts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationSettings:
    """Who is believed about the author of a message, and what vouches for messages that were changed."""

    verify_dkim: bool
    timeout_s: int = whole(1, 60)
    authserv_id: str
    trusted_authserv_id: str
    trust_missing_id: bool
    trusted_hops: tuple[str, ...]
    arc_domain: str
    arc_selector: str
    arc_key_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Bounds that keep hostile messages cheap; named as in the engine's ``Limits``."""

    max_parts: int = whole(1, 1_000_000)
    max_nesting: int = whole(1, 200)
    max_references: int = whole(1, 1_000_000)
    max_part_bytes: int = whole(1024)
    max_header_bytes: int = whole(1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """The processes that parse messages."""

    processes: int = whole(0, 1024)
    max_bytes: int = whole(256 * 1024 * 1024)
    timeout_s: int = whole(1, 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where state lives."""

    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the control room keeps what it knows."""

    url: Secret
    url_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSettings:
    """What records hold of people, and how long they are kept, by kind, in days; 0 keeps them for ever."""

    recipients: PeopleKept
    subjects: bool
    urls: UrlsKept
    keep_originals: OriginalsKept
    spool_max_bytes: int = whole(1_000_000)
    messages_days: int = whole(0, 36_500)
    subjects_days: int = whole(0, 36_500)
    recipients_days: int = whole(0, 36_500)
    trackers_days: int = whole(0, 36_500)
    figures_days: int = whole(0, 36_500)
    audit_days: int = whole(0, 36_500)
    feedback_days: int = whole(0, 36_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyingSettings:
    """From which score on people are alerted to whoever reconnoitres, in hundredths."""

    alert_score: int = whole(15, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingSettings:
    """Whether and how other systems are told what was found."""

    enabled: bool
    networks: tuple[IPv4Network | IPv6Network, ...]
    files_directory: str
    keep_days: int = whole(1, 3650)
    max_events: int = whole(1000, 100_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Who is told figures, and where."""

    listen: Endpoint | None
    clients: tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Where traces go."""

    otlp_endpoint: str
    service_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged, and how."""

    level: LogLevel
    format: LogFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an administrator can set. ``origins`` tells of each ``area.name`` where it was set."""

    gateway: GatewaySettings
    milter: MilterChoices
    copies: CopiesSettings
    console: ConsoleSettings
    oidc: OidcSettings
    feedback: FeedbackSettings
    api: ApiChoices
    fetch: FetchSettings
    judge: JudgeSettings
    egress: EgressSettings
    policy: PolicyChoices
    authentication: AuthenticationSettings
    limits: LimitSettings
    workers: WorkerSettings
    storage: StorageSettings
    database: DatabaseSettings
    records: RecordSettings
    studying: StudyingSettings
    sharing: SharingSettings
    metrics: MetricsSettings
    telemetry: TelemetrySettings
    log: LogSettings
    origins: Mapping[str, str]

    @property
    def directory(self) -> Path:
        """The storage directory."""
        if self.storage.directory:
            return Path(self.storage.directory).expanduser()
        if systemd := os.environ.get("STATE_DIRECTORY"):
            return Path(systemd.split(":")[0])
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mailveil"

    @property
    def lists_folder(self) -> Path:
        """Where imported block lists are kept."""
        return self.directory / "lists"

    @property
    def local_maildir(self) -> Path:
        """The Maildir that receives mail while there is no next hop."""
        return Path(self.gateway.local_maildir or self.directory / "maildir").expanduser()

    @property
    def milter_socket(self) -> Path | None:
        """The Unix socket of the milter, if there is one."""
        if not self.milter.socket:
            return None
        return self.directory / Path(self.milter.socket).expanduser()

    @property
    def milter_socket_mode(self) -> int:
        """The permissions of that socket."""
        return int(self.milter.socket_mode, 8)

    @property
    def copies_key_file(self) -> Path:
        """The file that holds the key of hosted copies' addresses."""
        return self.directory / "copies.key"

    @property
    def originals_key_file(self) -> Path:
        """The file that holds the key of originals."""
        return self.directory / "originals.key"

    @property
    def pseudonyms_key_file(self) -> Path:
        """The file that holds the key of pseudonyms."""
        return self.directory / "pseudonyms.key"

    @property
    def second_factors_key_file(self) -> Path:
        """The file that holds the key of second factors."""
        return self.directory / "second-factors.key"

    @property
    def sharing_key_file(self) -> Path:
        """The file that holds the key of the secrets of destinations and feeds."""
        return self.directory / "sharing.key"

    @property
    def sharing_files(self) -> Path:
        """The folder below which events are written to files."""
        return Path(self.sharing.files_directory or self.directory / "shared").expanduser()

    @property
    def hostname(self) -> str:
        """The name that the gateway goes by."""
        return self.gateway.hostname or socket.getfqdn()

    @property
    def authserv_id(self) -> str:
        """The name that we sign our own findings with (RFC 8601 section 2.5)."""
        return (self.authentication.authserv_id or f"mailveil.{self.hostname}").lower()

    @property
    def trusted_servers(self) -> TrustedServers:
        """Whose Authentication-Results count."""
        choices = self.authentication
        return TrustedServers(
            authserv_id=choices.trusted_authserv_id.lower(),
            missing_id=choices.trust_missing_id,
            hops=frozenset({*choices.trusted_hops, self.hostname.lower()}),
        )

    @property
    def arc_key_file(self) -> Path | None:
        """The file with the private key that messages are sealed with, ``None`` where none are."""
        name = self.authentication.arc_key_file
        return Path(name).expanduser() if name else None

    @property
    def processes(self) -> int:
        """How many worker processes there are."""
        return self.workers.processes or len(os.sched_getaffinity(0))

    @property
    def copies_url(self) -> str:
        """How readers reach the copies listener, as browsers write an origin."""
        return origin_of(self.copies.public_url or f"http://{self.copies.listen}")

    @property
    def console_url(self) -> str:
        """How administrators reach the console, as browsers write an origin."""
        listen = self.console.listen
        name = Endpoint("localhost", listen.port) if listen.is_loopback else listen
        return origin_of(self.console.public_url or f"http://{name}")

    @property
    def report_page(self) -> str:
        """The page on which readers report, ``""`` where there is none."""
        return f"{origin_of(self.feedback.public_url)}/report/" if self.feedback.public_url else ""


AREAS: Mapping[str, type] = {
    name: kind for name, kind in typing.get_type_hints(Settings).items() if name != "origins"
}
TYPES: Mapping[str, Mapping[str, Any]] = {name: typing.get_type_hints(kind) for name, kind in AREAS.items()}
