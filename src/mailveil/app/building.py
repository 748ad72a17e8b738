"""Building: makes adapters and endpoints out of settings."""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import replace
from pathlib import Path

from mailveil import __version__
from mailveil.adapters.addresses import source_addresses
from mailveil.adapters.attempts import AttemptFiles
from mailveil.adapters.authenticator import MessageAuthenticator
from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from mailveil.adapters.egress import EgressGuard, EgressLimits
from mailveil.adapters.exits import ExitPool
from mailveil.adapters.exitserver import ExitServer, ExitServerSettings, OpenExitError
from mailveil.adapters.fetcher import FetchLimits, OriginFetcher
from mailveil.adapters.fetchqueue import Budgets
from mailveil.adapters.indicatorsource import IndicatorSource
from mailveil.adapters.liststore import read_lists
from mailveil.adapters.maildir import Maildir, MaildirNextHop
from mailveil.adapters.memory import MemorySettings, SqliteMemory
from mailveil.adapters.nexthop import NextHopSettings, SmtpNextHop
from mailveil.adapters.originals import OriginalStore, load_key
from mailveil.adapters.policysource import PolicySource
from mailveil.adapters.resolver import Resolver
from mailveil.adapters.sandbox import Sandbox
from mailveil.adapters.sealer import ArcSealer, read_key_file
from mailveil.adapters.spool import ObservationSpool
from mailveil.adapters.txtlookup import DnsTxtLookup
from mailveil.adapters.watchlistsource import WatchlistSource
from mailveil.adapters.workers import WorkerPool
from mailveil.config import Settings, engine_settings, policy_settings
from mailveil.config.load import why_no_origin
from mailveil.control.feedback import Reporting, ReportLimits
from mailveil.control.health import HealthCheck
from mailveil.control.room import ControlRoom
from mailveil.core.authentication import SealingKey
from mailveil.core.copyaddress import CopyAddresses
from mailveil.core.observation import PeopleKept, RecordSettings
from mailveil.core.policy import BannerSettings
from mailveil.core.protection import CopyMode
from mailveil.core.safecopy import CopyLimits
from mailveil.endpoints.milter import MilterSettings
from mailveil.endpoints.smtp import SmtpSettings
from mailveil.endpoints.smtp_certificate import Certificate
from mailveil.endpoints.web.api import ApiSettings
from mailveil.endpoints.web.readerdoor import ReaderSettings
from mailveil.ports import NextHop
from mailveil.stages import Embedding

log = logging.getLogger("mailveil")

MAX_TRANSACTIONS_FOR_A_WORKER = 4
# Messages that wait for pictures keep no worker busy, only memory.
MAX_TRANSACTIONS_THAT_WAIT = 16
HEADER_BYTES = 1 << 20  # what TLS and header fields may take besides a body of full size


def build_next_hop(settings: Settings) -> NextHop:
    """Return the next hop, or the local Maildir where there is none."""
    hop = settings.gateway.next_hop
    if hop is None:
        return MaildirNextHop(Maildir(settings.local_maildir))
    return SmtpNextHop(
        NextHopSettings(
            hop.host,
            hop.port,
            settings.hostname,
            timeout_s=settings.gateway.timeout_s,
            protocol=hop.protocol,
            path=hop.path,
            tls=settings.gateway.next_hop_tls,
            ca_file=settings.gateway.next_hop_ca_file,
            xclient=settings.gateway.next_hop_xclient,
        )
    )


def smtp_settings(settings: Settings) -> SmtpSettings:
    """Return the settings of the SMTP door."""
    gateway = settings.gateway
    waits = settings.copies.mode is CopyMode.EMBEDDED and settings.fetch.enabled
    return SmtpSettings(
        hostname=settings.hostname,
        clients=gateway.clients,
        recipient_domains=frozenset(gateway.recipient_domains),
        trusted_peers=gateway.trusted_peers,
        max_message_bytes=gateway.max_message_bytes,
        max_bytes_in_flight=gateway.max_bytes_in_flight,
        max_connections=gateway.max_connections,
        max_transactions=settings.processes
        * (MAX_TRANSACTIONS_THAT_WAIT if waits else MAX_TRANSACTIONS_FOR_A_WORKER),
        timeout_s=gateway.timeout_s,
    )


def build_certificate(settings: Settings) -> Certificate | None:
    """Return what STARTTLS is offered with, ``None`` where no certificate is set; nothing is read yet."""
    gateway = settings.gateway
    if not gateway.tls_certificate:
        return None
    certificate = Path(gateway.tls_certificate).expanduser()
    return Certificate(certificate, Path(gateway.tls_key).expanduser() if gateway.tls_key else certificate)


def milter_settings(settings: Settings) -> MilterSettings:
    """Return the settings of the milter door."""
    milter = settings.milter
    return MilterSettings(
        clients=milter.clients,
        max_message_bytes=settings.gateway.max_message_bytes,
        max_connections=milter.max_connections,
        max_messages=smtp_settings(settings).max_transactions,
        timeout_s=milter.timeout_s,
    )


def build_store(settings: Settings) -> SqliteCopyStore:
    """Return the copy store; it is opened when first needed."""
    return SqliteCopyStore(
        StoreSettings(
            directory=settings.directory / "copies",
            retention_days=settings.copies.retention_days,
            max_store_bytes=settings.copies.max_store_bytes,
            max_delay_s=settings.fetch.delay_s,
            evidence_days=settings.fetch.evidence_days,
            budgets=Budgets(
                per_message=settings.fetch.urls_per_message,
                per_sender=settings.fetch.urls_per_sender,
                per_domain=settings.fetch.urls_per_domain,
                per_address=settings.fetch.urls_per_address,
                max_queued=settings.fetch.max_queued,
            ),
        )
    )


def build_memory(settings: Settings) -> SqliteMemory | None:
    """Return what the judge remembers, ``None`` where it is to remember nothing; it is opened when first needed."""
    if not settings.judge.memory_days:
        return None
    return SqliteMemory(
        MemorySettings(
            settings.directory / "judge", days=settings.judge.memory_days, max_rows=settings.judge.memory_rows
        )
    )


def build_addresses(settings: Settings) -> CopyAddresses:
    """Return what makes and verifies the addresses of hosted copies. Raises ``OriginalError``."""
    return CopyAddresses(settings.copies_url, load_key(settings.copies_key_file))


def derived_key(settings: Settings, purpose: str) -> bytes:
    """Return a key for one purpose, derived from that of the copies' addresses. Raises ``OriginalError``."""
    return hashlib.blake2b(purpose.encode(), key=load_key(settings.copies_key_file), digest_size=32).digest()


def report_key(settings: Settings) -> bytes:
    """Return the key of the codes by which readers report. Raises ``OriginalError``."""
    return derived_key(settings, "report codes")


def report_banner(settings: Settings) -> BannerSettings:
    """Return what banners say of where readers report."""
    return BannerSettings(report_mailbox=settings.feedback.mailbox, report_link=settings.report_page)


def build_reporting(settings: Settings) -> Reporting:
    """Return what readers' reports are taken with. Raises ``OriginalError``."""
    return Reporting(report_key(settings), ReportLimits(per_minute=settings.feedback.per_minute))


def build_engine(settings: Settings) -> WorkerPool:
    """Return the worker processes. Raises ``OriginalError`` for the key of the copies' addresses."""
    # Only here: mail in files is not ours to judge, and our own name may have to be asked of the DNS.
    lists, problems = read_lists(settings.lists_folder)
    for problem in problems:
        log.warning("a list is no evidence: %s", problem)
    engine = replace(
        engine_settings(settings, load_key(settings.copies_key_file), lists=lists),
        authserv_id=settings.authserv_id,
        trust=settings.trusted_servers,
        banner_key=derived_key(settings, "banners"),
    )
    return WorkerPool(
        engine,
        processes=settings.processes,
        max_bytes=settings.workers.max_bytes,
        timeout_s=settings.workers.timeout_s,
    )


def build_examiner(settings: Settings) -> WorkerPool:
    """Return the workers that examine what programs bring (``control.inspecting``). Raises ``OriginalError``.

    They are not those of mail, which never waits for a program, and make no addresses of copies: nothing is fetched.
    """
    lists, _ = read_lists(settings.lists_folder)
    key = load_key(settings.copies_key_file)
    return WorkerPool(
        engine_settings(settings, key, mode=CopyMode.NONE, lists=lists),
        processes=settings.api.processes,
        max_bytes=settings.workers.max_bytes,
        timeout_s=settings.workers.timeout_s,
    )


def api_settings(settings: Settings, health: HealthCheck | None = None) -> ApiSettings:
    """Return what the API needs of the settings; ``health`` tells how everything is doing."""
    return ApiSettings(
        version=__version__,
        requests_per_minute=settings.api.requests_per_minute,
        inspect_per_minute=settings.api.inspect_per_minute,
        max_message_bytes=settings.gateway.max_message_bytes,
        inspections=settings.api.inspections,
        trusted_proxies=settings.console.trusted_proxies,
        policy=policy_settings(settings),
        health=health,
    )


def reader_settings(settings: Settings) -> ReaderSettings:
    """Return how those are let in who read what is published."""
    return ReaderSettings(
        requests_per_minute=settings.api.requests_per_minute,
        trusted_proxies=settings.console.trusted_proxies,
        is_https=settings.console_url.startswith("https://"),
    )


def build_attempts(settings: Settings) -> AttemptFiles:
    """Return the record of attempts to examine messages. Raises ``OriginalError`` for its key."""
    return AttemptFiles(settings.directory / "attempts", load_key(settings.copies_key_file))


def copy_modes(settings: Settings) -> frozenset[CopyMode]:
    """Return the ways in which this installation can carry copies, so that rules may choose between them."""
    mode, copies = settings.copies.mode, settings.copies
    if mode is CopyMode.NONE:
        return frozenset()
    modes = {mode}
    if settings.fetch.enabled:
        modes.add(CopyMode.EMBEDDED)
    if (copies.public_url or not copies.listen.is_wildcard) and not why_no_origin(settings.copies_url):
        modes.add(CopyMode.HOSTED)
    return frozenset(modes)


def build_policies(settings: Settings, room: ControlRoom) -> PolicySource:
    """Return the organisations' rules as the gateway asks them."""
    return PolicySource(
        room.organisations,
        room.policies,
        settings.directory / "policy.json",
        banner=report_banner(settings),
        modes=copy_modes(settings),
    )


def build_watch(settings: Settings, room: ControlRoom) -> WatchlistSource | None:
    """Return whom organisations have met before, ``None`` without records of activities."""
    if room.activities is None:
        return None
    return WatchlistSource(
        room.organisations,
        room.activities,
        room.clock,
        settings.directory / "watchlist.json",
        least_score=settings.studying.alert_score / 100,
    )


def build_indicators(settings: Settings, room: ControlRoom) -> IndicatorSource | None:
    """Return what feeds told organisations to look out for."""
    if room.feeds is None:
        return None
    return IndicatorSource(room.organisations, room.feeds, room.clock, settings.directory / "indicators.json")


def build_embedding(settings: Settings, store: SqliteCopyStore) -> Embedding | None:
    """Return what waits for copies that messages carry themselves, ``None`` where none do or none are made."""
    if CopyMode.EMBEDDED not in copy_modes(settings) or not settings.fetch.enabled:
        return None
    return Embedding(
        store,
        store,
        wait_s=settings.copies.embed_wait_s,
        max_bytes=settings.copies.embed_max_bytes,
        max_message_bytes=settings.gateway.max_message_bytes,
    )


def build_originals(settings: Settings) -> OriginalStore:
    """Return the store of originals. Raises ``OriginalError``."""
    key = load_key(settings.originals_key_file)
    return OriginalStore(
        settings.directory / "originals",
        key,
        settings.policy.originals_days,
        settings.policy.originals_max_bytes,
    )


def record_settings(settings: Settings) -> RecordSettings:
    """Return how much of people records hold. Raises ``OriginalError`` for the key of pseudonyms."""
    records = settings.records
    path = settings.pseudonyms_key_file
    # Also for records that were made with pseudonyms when the settings were others.
    is_wanted = records.recipients is PeopleKept.PSEUDONYM or path.exists()
    key = load_key(path) if is_wanted else b""
    return RecordSettings(records.recipients, records.subjects, records.urls, key)


def build_spool(settings: Settings) -> ObservationSpool:
    """Return where observations wait for the database."""
    records = settings.records
    return ObservationSpool(
        settings.directory / "observations", records.spool_max_bytes, refused_days=records.messages_days
    )


def build_guard(settings: Settings, store: SqliteCopyStore | None = None) -> EgressGuard:
    """Return the guard of the way out, to be entered with ``async with``; ``store`` keeps account of addresses."""
    fetch = settings.fetch
    limits = EgressLimits(
        max_bytes=fetch.max_bytes + HEADER_BYTES,
        total_timeout_s=fetch.timeout_s + 5.0,
        max_per_address=fetch.connections_per_address,
    )
    # Without exits a resolver's port is the usual one; with them each address may bring its own.
    resolver = Resolver(fetch.resolvers)
    return EgressGuard(
        resolver,
        own_networks=(*fetch.own_networks, *source_addresses()),
        limits=limits,
        exits=build_exits(settings),
        may_contact=None if store is None else store.may_contact,
    )


def build_exits(settings: Settings) -> ExitPool:
    """Return the ways out. Raises ``OriginalError`` for the key that spreads domains over them."""
    authority = settings.fetch.exit_authority_file
    exits = [
        replace(each, authority_file=authority) if each.scheme.is_encrypted else each
        for each in settings.fetch.exits
    ]
    if not exits:
        return ExitPool()
    known = settings.copies_key_file.exists()
    key = load_key(settings.copies_key_file) if known else secrets.token_bytes(32)
    return ExitPool(exits, hashlib.blake2b(b"exits", key=key, digest_size=32).digest())


def build_exit_server(settings: Settings) -> ExitServer:
    """Return the exit that this machine is for others. Raises ``OpenExitError``."""
    egress = settings.egress
    password = str(egress.password)
    if egress.password_file:
        try:
            password = Path(egress.password_file).read_text("utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise OpenExitError(f"[egress] password_file = {egress.password_file}: {error}") from error
    return ExitServer(
        ExitServerSettings(
            clients=egress.clients,
            user=egress.user,
            password=password,
            certificate=egress.certificate_file,
            key=egress.key_file,
            own_networks=(*settings.fetch.own_networks, *source_addresses()),
            max_connections=egress.max_connections,
            max_bytes=egress.max_bytes,
            timeout_s=egress.timeout_s,
        )
    )


def build_authenticator(settings: Settings) -> MessageAuthenticator:
    """Return what finds out who sent a message."""
    return MessageAuthenticator(
        DnsTxtLookup(),
        settings.trusted_servers,
        timeout_s=settings.authentication.timeout_s,
        verify=settings.authentication.verify_dkim,
        max_header_bytes=settings.limits.max_header_bytes,
    )


def build_sealing_key(settings: Settings, path: Path) -> SealingKey:
    """Return the key in a file, with the names that it seals under. Raises ``SealingKeyError``."""
    return SealingKey(
        domain=settings.authentication.arc_domain.lower(),
        selector=settings.authentication.arc_selector.lower(),
        key=read_key_file(path),
        authserv_id=settings.authserv_id,
    )


def build_sealer(settings: Settings) -> ArcSealer | None:
    """Return what seals changed messages, if they are to be sealed. Raises ``SealingKeyError``."""
    if settings.arc_key_file is None:
        return None
    choices = settings.authentication
    key = build_sealing_key(settings, settings.arc_key_file)
    return ArcSealer(key, timeout_s=choices.timeout_s, max_header_bytes=settings.limits.max_header_bytes)


def build_fetcher(settings: Settings, guard: EgressGuard) -> OriginFetcher:
    """Return what contacts origins, through the guard alone."""
    fetch = settings.fetch
    limits = FetchLimits(
        max_bytes=fetch.max_bytes, max_redirects=fetch.max_redirects, timeout_s=fetch.timeout_s
    )
    return OriginFetcher(guard, limits)


def build_sandbox(settings: Settings) -> Sandbox:
    """Return the process that decodes what origins answered."""
    return Sandbox(CopyLimits(max_bytes=settings.fetch.max_bytes))
