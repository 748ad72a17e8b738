"""Serving: starts the roles of this process, says what listens where, and ends them without losing mail."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from starlette.types import ASGIApp

from mailveil.adapters.copystore import SqliteCopyStore
from mailveil.adapters.database.engine import DatabaseAddressError
from mailveil.adapters.indicatorsource import IndicatorSource
from mailveil.adapters.maildir import MaildirNextHop
from mailveil.adapters.memory import SqliteMemory
from mailveil.adapters.nexthop import NextHopError, SmtpNextHop
from mailveil.adapters.originals import OriginalError, OriginalKeeper, OriginalReader, OriginalStore
from mailveil.adapters.policysource import PolicySource
from mailveil.adapters.sealer import SealingKeyError
from mailveil.adapters.tracing import TracingError
from mailveil.adapters.watchlistsource import WatchlistSource
from mailveil.app.announcing import announcement, console_facts, program
from mailveil.app.building import (
    api_settings,
    build_addresses,
    build_attempts,
    build_authenticator,
    build_certificate,
    build_embedding,
    build_engine,
    build_examiner,
    build_exit_server,
    build_fetcher,
    build_guard,
    build_indicators,
    build_memory,
    build_next_hop,
    build_originals,
    build_policies,
    build_reporting,
    build_sandbox,
    build_sealer,
    build_spool,
    build_store,
    build_watch,
    copy_modes,
    milter_settings,
    reader_settings,
    record_settings,
    report_key,
    smtp_settings,
)
from mailveil.app.clock import SystemClock
from mailveil.app.consoling import build_console_site, first_steps
from mailveil.app.controlling import DatabaseKeeper, build_database, build_room, retention_rules
from mailveil.app.feeding import FeedLoop
from mailveil.app.fetching import FetchLoop
from mailveil.app.logs import note_failure
from mailveil.app.looking import Backlog, HealthWatch, Studying
from mailveil.app.monitoring import Monitor, build_instruments, build_monitoring
from mailveil.app.prospecting import ProspectLoop
from mailveil.app.recording import RecordLoop
from mailveil.app.reporting import ReportLoop
from mailveil.app.revising import RevisingLoop
from mailveil.app.roles import ALL_ROLES, Role
from mailveil.app.sharing import build_delivery
from mailveil.app.studying import StudyLoop, WakingSink, count_unstudied, describe_span
from mailveil.config import Settings, policy_settings
from mailveil.config.settings import OriginalsKept
from mailveil.config.values import Endpoint, Listen, UnixSocket, public_host
from mailveil.control.room import ControlRoom
from mailveil.core.protection import CopyMode
from mailveil.endpoints.lmtp import LmtpDoor
from mailveil.endpoints.milter import MilterDoor, StrangersError
from mailveil.endpoints.smtp import OpenRelayError, SmtpDoor
from mailveil.endpoints.smtp_certificate import CertificateError
from mailveil.endpoints.smtp_intake import Intake
from mailveil.endpoints.web.api import API_PATH, api
from mailveil.endpoints.web.copies import CopiesServer
from mailveil.endpoints.web.listener import HttpListener
from mailveil.endpoints.web.publishedfiles import FEED_PATH, LISTS_PATH, PublishedFiles, feed_file, list_file
from mailveil.endpoints.web.readerdoor import ReaderDoor
from mailveil.endpoints.web.reports import ReportPage
from mailveil.endpoints.web.site import REPORT_PATH
from mailveil.endpoints.web.taxii import TAXII_PATH, Taxii
from mailveil.gateway import Gateway
from mailveil.ports import Organisations, UnavailableError
from mailveil.stages import Records

log = logging.getLogger("mailveil.app")
SHUTDOWN_GRACE_S = 30.0
HOUSEKEEPING_S = 3600.0


class StartError(Exception):
    """The process cannot start; the text names the setting and what to do."""


@dataclass(slots=True)
class _Running:
    """What has been started, in the order in which it has to end."""

    settings: Settings
    roles: Collection[Role]
    store: SqliteCopyStore
    originals: OriginalStore
    monitor: Monitor
    memory: SqliteMemory | None = None
    room: ControlRoom | None = None  # of roles that keep or show records
    keeper: DatabaseKeeper | None = None
    ports: dict[Role, Endpoint] = field(default_factory=dict)
    lmtp: Listen | None = None
    metrics: Endpoint | None = None
    reloads: list[Callable[[], None]] = field(default_factory=list)
    milters: list[str] = field(default_factory=list)  # where the milter listens
    studying: StudyLoop | None = None  # of roles that keep or show records
    backlog: Callable[[], Backlog | None] = lambda: None  # what waits for the database, with a gateway
    endings: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


async def serve(
    settings: Settings,
    roles: Collection[Role] = ALL_ROLES,
    *,
    say: Callable[[str], None] = print,
    started: Callable[[dict[Role, Endpoint]], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run the roles until SIGTERM or SIGINT, or until ``stop`` is set.

    ``started`` is told which addresses are listened on. Raises ``StartError`` where something cannot start;
    then nothing keeps running.
    """
    _check_names(settings, roles)
    stop = stop or asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(note_failure)
    running = _prepare(settings, roles)
    try:
        await _start(running)
        for line in announcement(
            settings,
            roles,
            running.ports,
            lmtp=running.lmtp,
            milters=running.milters,
            metrics=running.metrics,
        ):
            say(line)
        if Role.CONSOLE in roles and running.room is not None:
            is_terminal = say is print and sys.stdout.isatty()
            for line in await first_steps(settings, running.room, program(), is_terminal=is_terminal):
                say(line)
        if started is not None:
            started(dict(running.ports))
        with _signals(stop, running.reloads):
            await stop.wait()
        log.info("stopping: messages under way are finished first")
    finally:
        for ending in reversed(running.endings):
            try:
                await ending()
            except Exception:
                log.exception("could not be ended in order")
        running.store.close()
        if running.memory is not None:
            running.memory.close()


def _check_names(settings: Settings, roles: Collection[Role]) -> None:
    """Refuse copies and console under one name: a copy opened there would be a page of the other."""
    if Role.COPIES in roles and Role.CONSOLE in roles:
        name = public_host(settings.copies_url)
        if name == public_host(settings.console_url):
            raise StartError(
                f"[copies] and [console] are both reached as {name}; give one of them another name"
            )


def _prepare(settings: Settings, roles: Collection[Role]) -> _Running:
    try:
        settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        originals = build_originals(settings)
        for left in settings.directory.glob("journal.sqlite3*"):
            left.unlink(missing_ok=True)  # what earlier releases wrote, which nobody reads any more
    except OSError as error:
        raise StartError(f"[storage] directory = {settings.directory}: {error.strerror}") from error
    except OriginalError as error:
        raise StartError(str(error)) from error
    store = build_store(settings)
    try:
        instruments, spans = build_instruments(settings)
    except TracingError as error:
        raise StartError(f"[telemetry] otlp_endpoint: {error}") from error
    monitor = Monitor(settings, instruments, store if Role.FETCHER in roles or Role.COPIES in roles else None)
    running = _Running(settings, roles, store, originals, monitor, build_memory(settings))
    if spans is not None:
        running.endings.append(lambda: asyncio.to_thread(spans.close))
    return running


async def _start(running: _Running) -> None:
    try:
        if Role.GATEWAY in running.roles or Role.CONSOLE in running.roles:
            await _start_room(running)
            _start_sharing(running)
            _start_feeds(running)
        if Role.COPIES in running.roles:
            await _start_copies(running)
        if Role.CONSOLE in running.roles:
            await _start_console(running)
        if Role.FETCHER in running.roles and running.settings.fetch.enabled:
            await _start_fetcher(running)
        if Role.EGRESS in running.roles:
            await _start_egress(running)
        await _start_monitoring(running)
        if Role.GATEWAY in running.roles:  # last: mail only comes in once everything else is there
            await _start_gateway(running)
    except (CertificateError, NextHopError) as error:
        raise StartError(f"[gateway] {error}") from error
    except (OriginalError, OpenRelayError, RuntimeError) as error:
        raise StartError(str(error)) from error
    _start_housekeeping(running)


async def _start_gateway(running: _Running) -> None:
    settings = running.settings
    next_hop = build_next_hop(settings)
    running.monitor.next_hop = next_hop
    try:
        sealer = build_sealer(settings)
    except SealingKeyError as error:
        raise StartError(f"[authentication] arc_key_file = {error}") from error
    authenticator = build_authenticator(settings)
    engine = build_engine(settings)
    modes = copy_modes(settings)
    hosted = CopyMode.HOSTED in modes
    policies = await _start_policies(running)
    attempts = build_attempts(settings)
    gateway = Gateway(
        engine=engine,
        originals=OriginalKeeper(running.originals),
        clock=SystemClock(),
        # Only hosted copies are ever asked for: for messages that carry their own, see embedding. Rules choose
        # between the two for each message, as far as there are both.
        store=running.store if hosted else None,
        queue=running.store if hosted and settings.fetch.enabled else None,
        records=await _start_records(running, policies),
        keeps_changed=settings.records.keep_originals is OriginalsKept.ALL,
        memory=running.memory,
        attempts=attempts,
        max_attempts=settings.gateway.max_attempts,
        max_inert=settings.gateway.max_inert_per_hour,
        policy=policy_settings(settings),
        embedding=build_embedding(settings, running.store),
        next_hop=next_hop,
        authenticator=authenticator,
        sealer=sealer,
        policies=policies,
        copies=settings.copies.mode,
        report_key=report_key(settings),
        reports=_start_reports(running),
        watch=await _start_watch(running),
        indicators=await _start_indicators(running),
        instruments=running.monitor.instruments,
    )
    if isinstance(next_hop, SmtpNextHop):
        next_hop.prepare()
    certificate, choices = build_certificate(settings), smtp_settings(settings)
    intake = Intake(choices.max_transactions, choices.max_bytes_in_flight)
    profile = None if policies is None else policies.profile
    door = SmtpDoor(
        choices, next_hop, gateway.accept, intake=intake, certificate=certificate, profile=profile
    )
    lmtp = LmtpDoor(
        choices, next_hop, gateway.accept, intake=intake, certificate=certificate, profile=profile
    )
    # The mail server may refuse a message that we have passed: its pictures wait until that is unlikely. And
    # mail goes on from there, not to our own next hop.
    patient = replace(gateway, next_hop=None, release_after_s=float(settings.milter.fetch_delay_s))
    milter = MilterDoor(milter_settings(settings), patient.accept, intake)

    async def end() -> None:
        # Together: while one finishes what it has, no other may take in more.
        await asyncio.gather(*(each.stop(SHUTDOWN_GRACE_S) for each in (door, lmtp, milter)))
        await asyncio.gather(gateway.finish(), patient.finish())
        await next_hop.close()
        await asyncio.to_thread(engine.close)
        attempts.close()
        authenticator.close()
        if sealer is not None:
            sealer.close()

    running.endings.append(end)
    if certificate is not None:
        running.reloads.append(certificate.reload)
    await _start_lmtp(running, lmtp)
    await _start_milter(running, milter)
    listen = settings.gateway.listen
    await _listen(settings, Role.GATEWAY, door.start(listen.host, listen.port))
    running.ports[Role.GATEWAY] = Endpoint(listen.host, door.port)


async def _start_policies(running: _Running) -> PolicySource | None:
    """Take up the organisations' rules; the last ones that were read, where the database is away."""
    if running.room is None:
        return None
    policies = build_policies(running.settings, running.room)
    running.endings.append(policies.stop)
    await policies.start()
    return policies


async def _start_watch(running: _Running) -> WatchlistSource | None:
    """Take up who was met before; as it was last known, where the database is away."""
    watch = None if running.room is None else build_watch(running.settings, running.room)
    if watch is not None:
        running.endings.append(watch.stop)
        await watch.start()
    return watch


async def _start_indicators(running: _Running) -> IndicatorSource | None:
    """Take up what feeds told; as it was last known, where the database is away."""
    indicators = None if running.room is None else build_indicators(running.settings, running.room)
    if indicators is not None:
        running.endings.append(indicators.stop)
        await indicators.start()
    return indicators


def _start_feeds(running: _Running) -> None:
    """Have feeds read, by whichever process gets to it first."""
    assert running.room is not None
    if running.room.feed_reader is not None:
        loop = FeedLoop(running.room, running.monitor.instruments)
        running.endings.append(loop.stop)
        loop.start()


def _start_reports(running: _Running) -> ReportLoop | None:
    """Read mail to the mailbox for reports as it passes, if there is one."""
    mailbox = running.settings.feedback.mailbox
    if not mailbox or running.room is None:
        return None
    loop = ReportLoop(running.room, build_reporting(running.settings), mailbox)
    task = asyncio.create_task(loop.run())
    running.endings.append(lambda: _end_task(task))
    return loop


async def _start_lmtp(running: _Running, door: LmtpDoor) -> None:
    listen = running.settings.gateway.lmtp_listen
    match listen:
        case Endpoint(host, port):
            await _listen(running.settings, Role.GATEWAY, door.start(host, port), "lmtp_listen")
            running.lmtp = Endpoint(host, door.port)
        case UnixSocket(path):
            await _listen(running.settings, Role.GATEWAY, door.start_unix(Path(path)), "lmtp_listen")
            running.lmtp = listen


async def _start_milter(running: _Running, door: MilterDoor) -> None:
    settings = running.settings
    if listen := settings.milter.listen:
        try:
            await _listen(settings, "milter", door.start(listen.host, listen.port))
        except StrangersError as error:
            raise StartError(f"[milter] {error}") from error
        running.milters.append(f"milter://{Endpoint(listen.host, door.port)}")
    if path := settings.milter_socket:
        try:
            await door.start_socket(path, settings.milter_socket_mode, settings.milter.socket_group)
        except OSError as error:
            raise StartError(
                f'[milter] socket = "{path}" (from {settings.origins["milter.socket"]}): {error.strerror}. '
                "Choose another in the configuration file or with MAILVEIL_MILTER__SOCKET, or none (empty)."
            ) from error
        running.milters.append(f"milter:{path}")


async def _start_room(running: _Running) -> None:
    """Open the control room. Where the database is away, the rest starts without waiting for it."""
    try:
        database = build_database(running.settings)
        room = build_room(
            running.settings,
            database,
            copies=running.store,
            memory=running.memory,
            fetches=running.store,
            originals=OriginalReader(running.originals),
        )
    except DatabaseAddressError as error:
        raise StartError(str(error)) from error
    running.room = room
    keeper = running.keeper = DatabaseKeeper(database, room, retention_rules(running.settings))
    running.monitor.room = room
    running.monitor.problem = lambda: keeper.problem
    running.monitor.needs_database = Role.GATEWAY not in running.roles
    running.endings.append(running.keeper.stop)
    await running.keeper.start()
    running.studying = StudyLoop(
        room,
        figures=running.monitor.instruments,
        alert_score=running.settings.studying.alert_score / 100,
    )
    running.endings.append(running.studying.finish)
    running.studying.start()


def _start_sharing(running: _Running) -> None:
    """Have destinations told what is found, by whichever process gets to it first."""
    assert running.room is not None
    loop = build_delivery(running.settings, running.room, running.monitor.instruments)
    running.monitor.sharing = loop.figures
    running.endings.append(loop.stop)
    loop.start()


async def _start_records(running: _Running, organisations: Organisations | None) -> Records:
    """Have what was seen of mail written down, whether or not there is a database to do so in."""
    settings, room = running.settings, running.room
    assert room is not None
    privacy = record_settings(settings)
    spool = build_spool(settings)
    running.monitor.spool = spool
    sink = room.observations if running.studying is None else WakingSink(room.observations, running.studying)
    loop = RecordLoop(spool, sink)
    loop.start()
    running.backlog = lambda: Backlog(spool.used_bytes(), loop.problem, spool.dropped)

    async def end() -> None:
        await asyncio.to_thread(spool.close)
        await loop.finish()

    running.endings.append(end)
    if running.memory is not None:
        prospects = ProspectLoop(room.infrastructure, room.organisations, running.memory, room.clock)
        task = asyncio.create_task(prospects.run())
        running.endings.append(lambda: _end_task(task))
        wake = running.studying.wake if running.studying is not None else lambda: None
        revising = RevisingLoop(room.studies, running.memory, room.clock, wake)
        revisions = asyncio.create_task(revising.run())
        running.endings.append(lambda: _end_task(revisions))
    return Records(spool, organisations, privacy)


async def _start_copies(running: _Running) -> None:
    server = CopiesServer(running.store, build_addresses(running.settings).is_token)
    await _start_http(running, Role.COPIES, HttpListener(server))


async def _studying(running: _Running) -> Studying | None:
    """Return how studying is going; ``None`` where the database cannot tell, which is told of elsewhere."""
    if running.room is None or running.studying is None:
        return None
    progress = running.studying.progress
    try:
        waiting = await count_unstudied(running.room)
    except UnavailableError:
        return None
    left = describe_span(waiting / progress.pace) if progress.pace else ""
    return Studying(waiting, progress.set_aside, progress.problem, left)


async def _start_console(running: _Running) -> None:
    settings = running.settings
    next_hop = build_next_hop(settings)
    mailbox = next_hop.maildir if isinstance(next_hop, MaildirNextHop) else None
    facts = console_facts(settings, running.roles, running.ports, next_hop.name)
    assert running.room is not None  # whoever has this role has opened it
    # Workers of its own: mail never waits for what somebody asks here.
    examiner = build_examiner(settings)
    running.endings.append(lambda: asyncio.to_thread(examiner.close))
    room = replace(running.room, engine=examiner)

    def backlog() -> Backlog | None:
        return running.backlog()  # of a gateway that is started after this

    health = HealthWatch(
        settings,
        running.store,
        backlog=backlog,
        sharing=lambda: running.monitor.sharing,
        studying=lambda: _studying(running),
    )
    running.endings.append(health.stop)
    parts = {
        API_PATH: api(room, api_settings(settings, health)),
        **_published(room, settings),
        **_report_page(running),
    }
    site = build_console_site(
        settings, room, facts, build_monitoring(running.monitor), mailbox=mailbox, health=health, parts=parts
    )
    await _start_http(running, Role.CONSOLE, HttpListener(site))


def _published(room: ControlRoom, settings: Settings) -> dict[str, ASGIApp]:
    """Return what other systems read of what an organisation found out, by path; one door for all of it."""
    door = ReaderDoor(room, reader_settings(settings))
    return {
        TAXII_PATH: Taxii(door),
        FEED_PATH: PublishedFiles(door, feed_file),
        LISTS_PATH: PublishedFiles(door, list_file),
    }


def _report_page(running: _Running) -> dict[str, ASGIApp]:
    """Return the page on which readers report, by its path, if they can reach one."""
    if not running.settings.report_page or running.room is None:
        return {}
    return {REPORT_PATH: ReportPage(running.room, build_reporting(running.settings)).application()}


async def _start_fetcher(running: _Running) -> None:
    try:
        await running.store.recover()
    except UnavailableError as error:
        raise StartError(f"{error} ([storage] directory = {running.settings.directory})") from error
    stack = contextlib.AsyncExitStack()
    running.endings.append(stack.aclose)
    guard = await stack.enter_async_context(build_guard(running.settings, running.store))
    sandbox = build_sandbox(running.settings)
    stack.push_async_callback(sandbox.close)
    fetcher = build_fetcher(running.settings, guard)
    loop = FetchLoop(
        running.store,
        fetcher,
        sandbox,
        running.settings.fetch.max_parallel,
        running.memory,
        instruments=running.monitor.instruments,
    )
    stack.push_async_callback(_end_fetching, loop, asyncio.create_task(loop.run()))


async def _start_monitoring(running: _Running) -> None:
    """Answer those who watch this process on a listener of their own, where there is one."""
    listen = running.settings.metrics.listen
    if listen is None:
        return
    listener = HttpListener(build_monitoring(running.monitor).application())
    await _listen(running.settings, "metrics", listener.start(listen.host, listen.port))
    running.endings.append(listener.stop)
    running.metrics = Endpoint(listen.host, listener.port)


async def _start_egress(running: _Running) -> None:
    server = build_exit_server(running.settings)
    listen = running.settings.egress.listen
    await _listen(running.settings, Role.EGRESS, server.start(listen.host, listen.port))
    running.endings.append(server.stop)
    running.ports[Role.EGRESS] = Endpoint(listen.host, server.port)


async def _end_fetching(loop: FetchLoop, task: asyncio.Task[None]) -> None:
    loop.stop()
    await asyncio.wait([task], timeout=SHUTDOWN_GRACE_S)
    await _end_task(task)


async def _end_task(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _start_http(running: _Running, role: Role, listener: HttpListener) -> None:
    listen: Endpoint = getattr(running.settings, role).listen
    await _listen(running.settings, role, listener.start(listen.host, listen.port))
    running.endings.append(listener.stop)
    running.ports[role] = Endpoint(listen.host, listener.port)


async def _listen(settings: Settings, area: str, starting: Awaitable[None], name: str = "listen") -> None:
    try:
        await starting
    except OSError as error:
        listen: Listen = getattr(getattr(settings, area), name)
        reason = {
            errno.EADDRINUSE: "another program listens there already",
            errno.EACCES: "ports below 1024 need a privilege (systemd: CAP_NET_BIND_SERVICE)",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }.get(error.errno or 0, error.strerror or str(error))
        if isinstance(listen, UnixSocket) and error.errno != errno.EADDRINUSE:
            reason = f"{error.strerror or error}; its folder has to be there and writable for mailveil"
        raise StartError(
            f'[{area}] {name} = "{listen}" (from {settings.origins[f"{area}.{name}"]}): {reason}. '
            f"Choose another in the configuration file or with MAILVEIL_{area.upper()}__{name.upper()}."
        ) from error


def _start_housekeeping(running: _Running) -> None:
    async def housekeeping() -> None:
        while True:
            try:
                gone = await running.store.expire(time.time())
                await running.store.prune(time.time())
                if running.memory is not None:
                    await running.memory.prune(time.time())
                kept = await asyncio.to_thread(running.originals.expire)
                if gone or kept:
                    log.info("expired %d copies and %d originals", gone, kept)
            except (UnavailableError, OriginalError, OSError) as error:
                log.warning("could not expire what is old: %s", error)
            await asyncio.sleep(HOUSEKEEPING_S)

    task = asyncio.create_task(housekeeping())
    running.endings.append(lambda: _end_task(task))


@contextlib.contextmanager
def _signals(stop: asyncio.Event, reloads: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Set ``stop`` on the first SIGTERM or SIGINT; the second one has its usual effect, for the impatient.

    SIGHUP reads anew what may have been renewed.
    """
    loop = asyncio.get_running_loop()
    handled = (signal.SIGTERM, signal.SIGINT)

    def first() -> None:
        stop.set()
        for number in handled:
            loop.remove_signal_handler(number)

    def reload() -> None:
        for each in reloads:
            each()

    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        for number in handled:
            loop.add_signal_handler(number, first)
        loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for number in (*handled, signal.SIGHUP):
                loop.remove_signal_handler(number)
