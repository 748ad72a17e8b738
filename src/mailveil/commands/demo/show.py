"""The show: starts a spy and mailveil, sends the same mail past it and through it, and has both read."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailveil.adapters.maildir import Maildir
from mailveil.adapters.nexthop import NextHopSettings, SmtpNextHop
from mailveil.app.building import build_store
from mailveil.app.roles import Role
from mailveil.app.serving import serve
from mailveil.commands.demo.browser import BrowserError, find_browser
from mailveil.commands.demo.findings import Result, faults_of, find
from mailveil.commands.demo.letters import RECIPIENT, Letter, letters
from mailveil.commands.demo.page import DemoPage
from mailveil.commands.demo.reading import Reading, open_boxes
from mailveil.commands.demo.report import print_report
from mailveil.commands.demo.webmail import WebMail
from mailveil.commands.terminal import complain, note
from mailveil.config import Settings, load
from mailveil.config.values import Endpoint
from mailveil.core.policy import Envelope
from mailveil.endpoints.web.listener import HttpListener
from mailveil.lab import Lab

LOOPBACK = "127.0.0.1"
GATEWAY_ADDRESS = "192.0.2.25"
# Any address leads to the lab's name server through the gateway's line.
RESOLVER = "11.77.0.53"
START_TIMEOUT_S = 90.0
FETCHING_TIMEOUT_S = 120.0
# How long the fetcher takes part in what never ends, so that the show does not have to wait for it.
FETCH_S = 6
UNUSABLE, INTERRUPTED = 2, 130
LEFT, RIGHT = "unprotected", "protected"


class DemoError(Exception):
    """The demonstration cannot be given; the text says why."""


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """What was asked for. ``seconds`` is how long each message stays open, ``port`` where the page is served."""

    seconds: float = 6.0
    port: int = 8090
    serve: bool = True
    as_json: bool = False
    simulate: bool = False


async def demo(request: DemoRequest) -> int:
    """Give the show, print and serve what came of it; return 0, or 1 where the protected side is not silent."""
    try:
        with _quiet_log():
            result = await _show(request, note)
    except DemoError as error:
        complain(str(error))
        return UNUSABLE
    except asyncio.CancelledError:
        return INTERRUPTED
    if request.as_json:
        print(json.dumps(result.as_record(), indent=2), flush=True)
    else:
        print_report(result)
    for fault in result.faults:
        complain(fault)
    if request.serve:
        await _serve_page(request, result)
    return 0 if result.is_silent else 1


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Log errors alone: what the show is about is said, not logged."""
    log = logging.getLogger("mailveil")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


async def _show(request: DemoRequest, say: Callable[[str], None]) -> Result:
    written = letters()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailveil-demo-")))
        lab = await stack.enter_async_context(Lab())
        say(
            f"The spy listens: {len(lab.trackers)} trackers, with name servers of their own, on this machine alone"
        )
        settings = await _settings(lab, folder)
        gateway = await stack.enter_async_context(_product(settings))
        say(f"mailveil runs: gateway on {gateway}, copies on {settings.copies_url}, storage in {folder}")
        raws = [letter.raw(lab) for letter in written]
        delivered_at = time.time()
        left = await _deliver_past(folder, raws)
        right = await _deliver_through(gateway, settings, written, raws)
        say(f"{len(raws)} messages sent twice: past mailveil, and through it")
        copies = await _wait_for_copies(settings, lab)
        fetched = len(lab.contacts.select(line="gateway"))
        say(f"The gateway has fetched what is to be seen, once, and will not ask again ({fetched} contacts)")
        mail = WebMail()
        listener = HttpListener(mail.application())
        await listener.start(LOOPBACK, 0)
        stack.push_async_callback(listener.stop)
        opened_at = time.time()
        path = "" if request.simulate else find_browser()
        boxes, reader = await open_boxes(stack, lab, {LEFT: left, RIGHT: right}, path, say=say)
        reading = Reading(written, mail, listener.port, request.seconds, say)
        try:
            await reading.read(boxes)
        except BrowserError as error:
            raise DemoError(f"the browser failed: {error}") from error
        await lab.contacts.until_quiet(1.0, 15.0)
        sides = [
            find(lab, written, LEFT, (f"{LEFT} laptop", f"{LEFT} phone")),
            find(lab, written, RIGHT, (f"{RIGHT} laptop", f"{RIGHT} phone"), "gateway"),
        ]
    return Result(
        reader=reader or "a simulated mail client",
        is_browser=bool(reader),
        recipient=RECIPIENT,
        delivered_at=delivered_at,
        opened_at=opened_at,
        seconds=request.seconds,
        unprotected=sides[0],
        protected=sides[1],
        faults=faults_of(sides[0], sides[1], opened_at, copies),
        pictures=reading.pictures,
    )


# mailveil ---------------------------------------------------------------------------------------------------


async def _settings(lab: Lab, folder: Path) -> Settings:
    """Return settings as an administrator writes them, none of them special to the demonstration.

    The fetcher goes out through an exit, as it does wherever its own address is not to be seen; that exit leads
    to the lab.
    """
    line = await lab.line("gateway", GATEWAY_ADDRESS)
    return load(
        None,
        {
            "MAILVEIL_STORAGE__DIRECTORY": str(folder / "state"),
            "MAILVEIL_GATEWAY__LISTEN": f"{LOOPBACK}:0",
            "MAILVEIL_GATEWAY__HOSTNAME": "mx.riverside.example",
            "MAILVEIL_MILTER__LISTEN": "",
            "MAILVEIL_MILTER__SOCKET": "",
            "MAILVEIL_COPIES__LISTEN": f"{LOOPBACK}:{_free_port()}",
            "MAILVEIL_FETCH__EXITS": f'["socks5://{line.host}:{line.port}"]',
            "MAILVEIL_FETCH__RESOLVERS": f'["{RESOLVER}"]',
            "MAILVEIL_FETCH__DELAY_S": "1",
            "MAILVEIL_FETCH__TIMEOUT_S": str(FETCH_S),
            "MAILVEIL_WORKERS__PROCESSES": "1",
        },
    )


def _free_port() -> int:
    """Return a free port: the copies' addresses are written into mail before anybody listens there."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def _product(settings: Settings) -> AsyncIterator[Endpoint]:
    """Run the product as ``mailveil serve`` does, without its console."""
    loop = asyncio.get_running_loop()
    started: asyncio.Future[dict[Role, Endpoint]] = loop.create_future()
    stop = asyncio.Event()
    roles = {Role.GATEWAY, Role.COPIES, Role.FETCHER}
    running = asyncio.create_task(
        serve(settings, roles, say=lambda _line: None, started=started.set_result, stop=stop)
    )
    this = asyncio.current_task()
    assert this is not None

    def ended(_task: asyncio.Task[None]) -> None:
        this.cancel()  # Ctrl-C ends the product, and with it the show

    waited: set[asyncio.Future[Any]] = {running, started}
    try:
        await asyncio.wait(waited, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            if running.done() and (error := running.exception()) is not None:
                raise DemoError(f"mailveil does not start: {error}") from error
            raise DemoError("mailveil does not start in time")
        running.add_done_callback(ended)
        yield started.result()[Role.GATEWAY]
    finally:
        running.remove_done_callback(ended)
        stop.set()
        await asyncio.wait([running])


async def _deliver_past(folder: Path, raws: Sequence[bytes]) -> tuple[bytes, ...]:
    maildir = Maildir(folder / LEFT)
    for raw in raws:
        await asyncio.to_thread(maildir.add, raw)
    return await _mail_in(folder / LEFT, raws)


async def _deliver_through(
    gateway: Endpoint, settings: Settings, written: Sequence[Letter], raws: Sequence[bytes]
) -> tuple[bytes, ...]:
    hop = SmtpNextHop(
        NextHopSettings(gateway.host, gateway.port, "mail.example", timeout_s=120, final_timeout_s=120)
    )
    try:
        for letter, raw in zip(written, raws, strict=True):
            transaction, reply = await hop.begin(Envelope(sender=letter.envelope_sender), len(raw))
            if transaction is not None:
                reply = await transaction.recipient(RECIPIENT)
                if reply.is_positive:
                    reply = await transaction.deliver(raw)
                transaction.close()
            if not reply.is_positive:
                raise DemoError(f"mailveil did not take “{letter.subject}”: {reply}")
    finally:
        await hop.close()
    return await _mail_in(settings.local_maildir, raws)


async def _mail_in(directory: Path, raws: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return what lies in a mailbox, in the order in which it came."""
    entries = await asyncio.to_thread(Maildir(directory).newest, 100)
    if len(entries) != len(raws):
        raise DemoError(f"{len(entries)} of {len(raws)} messages arrived in {directory}")
    names = [each.name for each in reversed(entries)]
    return tuple([(directory / "new" / name).read_bytes() for name in sorted(names, key=_serial)])


def _serial(name: str) -> int:
    return int(name.partition("Q")[2].partition(".")[0])


async def _wait_for_copies(settings: Settings, lab: Lab) -> int:
    """Wait until the queue has nothing left to do and nobody hears of the gateway any more; count the copies."""
    store = build_store(settings)
    end = time.monotonic() + FETCHING_TIMEOUT_S
    try:
        while time.monotonic() < end:
            counts = await store.counts()
            if not any(counts.get(state) for state in ("reserved", "released", "attempted")):
                await lab.contacts.until_quiet(1.0)
                return counts["stored"]
            await asyncio.sleep(0.2)
    finally:
        store.close()
    raise DemoError("the copies were not fetched in time")


# The page ---------------------------------------------------------------------------------------------------


async def _serve_page(request: DemoRequest, result: Result) -> None:
    listener = HttpListener(DemoPage(result).application())
    try:
        await listener.start(LOOPBACK, request.port)
    except OSError as error:
        complain(
            f"the page cannot be served on port {request.port} ({error.strerror}); choose one with --port"
        )
        return
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        note(f"\nSide by side, until Ctrl-C: http://localhost:{listener.port}/")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await listener.stop()
