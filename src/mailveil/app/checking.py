"""Checking: tries out what the settings say and tells what each listener and next hop answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable
from pathlib import Path

from mailveil.adapters.database.engine import DatabaseAddressError
from mailveil.adapters.database.schema import check_revision, head_revision, read_revision
from mailveil.adapters.exits import Exit, resolver_place
from mailveil.adapters.liststore import read_lists
from mailveil.adapters.originals import OriginalError, load_key
from mailveil.adapters.sealer import SealingKeyError
from mailveil.adapters.txtlookup import DnsTxtLookup
from mailveil.app.announcing import alarms, is_in_clear
from mailveil.app.building import build_exits, build_sealing_key, smtp_settings
from mailveil.app.check_result import CheckResult, Outcome
from mailveil.app.checking_doors import check_certificate, check_lmtp, check_next_hop
from mailveil.app.controlling import build_database
from mailveil.app.recipes import is_visible_to_readers
from mailveil.config import Settings
from mailveil.config.values import Endpoint
from mailveil.core.authentication import is_record_of, key_record
from mailveil.core.protection import CopyMode
from mailveil.endpoints.milter import StrangersError, check_listener
from mailveil.endpoints.milter.dialogue import ACTIONS, STEPS
from mailveil.endpoints.milter.wire import VERSION, Negotiation, PacketReader, encode_negotiation
from mailveil.endpoints.smtp import OpenRelayError, check_not_open
from mailveil.endpoints.unixsocket import why_no_socket
from mailveil.ports import TxtLookup, UnavailableError

__all__ = ["CheckResult", "Outcome", "check"]

ANSWER_TIMEOUT_S = 5.0


async def check(settings: Settings, lookup: TxtLookup | None = None) -> list[CheckResult]:
    """Try out what the settings say; sends no message and contacts no origin."""
    return [
        _storage(settings),
        await _database(settings),
        _lists(settings),
        *_keys(settings),
        *_examining(settings),
        _relaying(settings),
        await check_next_hop(settings),
        *check_certificate(settings),
        *await check_lmtp(settings),
        *[await _listener(name, settings) for name in ("gateway", "copies", "console")],
        *await _milters(settings),
        _copies(settings),
        _console(settings),
        _fetching(settings),
        *await _exits(settings),
        _believed(settings),
        await _sealing(settings, lookup or DnsTxtLookup()),
    ]


def _storage(settings: Settings) -> CheckResult:
    directory = settings.directory
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        return CheckResult("storage", Outcome.BAD, f"{directory}: {error.strerror} ([storage] directory)")
    free = os.statvfs(directory)
    gigabytes = free.f_bavail * free.f_frsize / 1e9
    outcome = Outcome.GOOD if gigabytes >= 1 else Outcome.NOTICE
    return CheckResult("storage", outcome, f"{directory} is writable, {gigabytes:.1f} GB free")


async def _database(settings: Settings) -> CheckResult:
    try:
        database = build_database(settings)
    except DatabaseAddressError as error:
        return CheckResult("database", Outcome.BAD, str(error))
    place = database.url.render_as_string(hide_password=True)
    if database.is_sqlite and not Path(database.url.database or "").exists():
        return CheckResult("database", Outcome.GOOD, f"{place} is made when mailveil starts")
    try:
        revision = await read_revision(database)
        check_revision(revision)
    except UnavailableError as error:
        return CheckResult(
            "database",
            Outcome.BAD,
            f"{place}: {error} ([database] url); mail flows on without, its records wait",
        )
    finally:
        await database.close()
    if revision == head_revision():
        return CheckResult("database", Outcome.GOOD, f"{place} answers, revision {revision}")
    known = f"revision {revision}" if revision else "no tables yet"
    return CheckResult(
        "database", Outcome.NOTICE, f"{place} answers, {known}: brought up to date at the next start"
    )


def _lists(settings: Settings) -> CheckResult:
    lists, problems = read_lists(settings.lists_folder)
    if problems:
        return CheckResult("lists", Outcome.BAD, "; ".join(problems))
    named = ", ".join(f"{each.name} ({each.parsed.count:,} rules)" for each in lists)
    return CheckResult("lists", Outcome.GOOD, named or "none is imported")


def _keys(settings: Settings) -> list[CheckResult]:
    """Tell of keys that would keep mailveil from starting; those that are not there yet are made then."""
    results: list[CheckResult] = []
    for path in (settings.originals_key_file, settings.copies_key_file):
        try:
            if path.exists():
                load_key(path)
        except OriginalError as error:
            results.append(CheckResult("storage", Outcome.BAD, str(error)))
        except OSError:
            continue  # a directory that nobody may look into has been told of already
    return results


def _examining(settings: Settings) -> list[CheckResult]:
    """Tell whether so many messages break the engine that mailveil has stopped making them inert."""
    return [CheckResult("examining", Outcome.BAD, text) for text in alarms(settings, time.time())]


def _relaying(settings: Settings) -> CheckResult:
    try:
        check_not_open(settings.gateway.listen.host, smtp_settings(settings))
    except OpenRelayError as error:
        return CheckResult("relaying", Outcome.BAD, str(error))
    domains = ", ".join(settings.gateway.recipient_domains)
    clients = ", ".join(str(network) for network in settings.gateway.clients)
    taken = f"anybody may send to {domains}" if domains else "nobody else may send"
    return CheckResult("relaying", Outcome.GOOD, f"{clients or 'nobody'} may send to any recipient, {taken}")


async def _listener(name: str, settings: Settings) -> CheckResult:
    listen: Endpoint = getattr(settings, name).listen
    request = b"" if name == "gateway" else f"GET /healthz HTTP/1.1\r\nHost: {listen}\r\n\r\n".encode()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, listen.port)
            try:
                writer.write(request)
                line = (await reader.readline()).decode("utf-8", "replace").strip()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return _free(name, listen)
    return _judge_answer(name, listen, line)


async def _milters(settings: Settings) -> list[CheckResult]:
    """Negotiate with the milter as a mail server does, on each way in."""
    results: list[CheckResult] = []
    if listen := settings.milter.listen:
        try:
            check_listener(listen.host, settings.milter.clients)
        except StrangersError as error:
            results.append(CheckResult("milter", Outcome.BAD, f"{error} ([milter] clients)"))
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104
        answer = await _negotiate(asyncio.open_connection(host, listen.port))
        results.append(
            _free("milter", listen) if answer is None else _judge_milter(str(listen), answer, "listen")
        )
    if path := settings.milter_socket:
        answer = await _negotiate(asyncio.open_unix_connection(str(path)))
        if answer is None and (reason := why_no_socket(path, settings.milter.socket_group)):
            results.append(CheckResult("milter", Outcome.BAD, f"{path}: {reason} ([milter])"))
        elif answer is None:
            text = f"nobody answers on {path} now, or this user may not connect"
            results.append(CheckResult("milter", Outcome.NOTICE, text))
        else:
            results.append(_judge_milter(str(path), answer, "socket"))
    return results


async def _negotiate(
    connecting: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
) -> Negotiation | str | None:
    """Return what a milter agrees to, or what else was answered, or None where nobody listens."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reader, writer = await connecting
    except (OSError, TimeoutError):
        return None
    packets = PacketReader()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            writer.write(encode_negotiation(VERSION, ACTIONS, STEPS))
            while data := await reader.read(4096):
                for event in packets.receive(data):
                    return event if isinstance(event, Negotiation) else str(event)
            return "nothing"
    except (OSError, TimeoutError):
        return "nothing"
    finally:
        writer.close()


def _judge_milter(where: str, answer: Negotiation | str, setting: str) -> CheckResult:
    if isinstance(answer, Negotiation) and answer.actions & ACTIONS == ACTIONS:
        text = f"{where} agrees to milter protocol {answer.version}"
        return CheckResult("milter", Outcome.GOOD, text)
    shown = answer if isinstance(answer, str) else f"protocol {answer.version} without changing messages"
    text = f"{where} is taken by something else, which answers {shown} ([milter] {setting})"
    return CheckResult("milter", Outcome.BAD, text)


def _judge_answer(name: str, listen: Endpoint, line: str) -> CheckResult:
    expected = {
        "gateway": line.startswith("220 ") and "mailveil" in line,
        "copies": line.startswith("HTTP/1.1 404"),
        "console": line.startswith("HTTP/1.1 200"),
    }[name]
    shown = "".join(c for c in line[:120] if c.isprintable())
    if expected:
        return CheckResult(name, Outcome.GOOD, f"{listen} answers {shown}")
    text = f"{listen} is taken by something else, which answers {shown!r} ([{name}] listen)"
    return CheckResult(name, Outcome.BAD, text)


def _free(name: str, listen: Endpoint) -> CheckResult:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((listen.host, listen.port))
        except OSError as error:
            text = f"{listen} cannot be listened on: {error.strerror} ([{name}] listen)"
            return CheckResult(name, Outcome.BAD, text)
    return CheckResult(name, Outcome.NOTICE, f"{listen} is free; nothing runs there now")


def _copies(settings: Settings) -> CheckResult:
    if settings.copies.mode is CopyMode.EMBEDDED and settings.fetch.enabled:
        text = (
            f"mode is embedded: a message with pictures waits up to {settings.copies.embed_wait_s} s for them, "
            "and origins are contacted before the next hop has taken it"
        )
        return CheckResult("copies", Outcome.GOOD, text)
    if settings.copies.mode is not CopyMode.HOSTED:
        return CheckResult(
            "copies", Outcome.GOOD, f"mode is {settings.copies.mode}: no reader needs the listener"
        )
    if not is_visible_to_readers(settings):
        text = (
            f"readers are given {settings.copies_url}, which phones and other machines cannot reach; set "
            '[copies] public_url = "https://…"'
        )
        return CheckResult("copies", Outcome.NOTICE, text)
    return CheckResult("copies", Outcome.GOOD, f"readers are given {settings.copies_url}")


def _console(settings: Settings) -> CheckResult:
    if settings.console_url.startswith("https://"):
        return CheckResult("console", Outcome.GOOD, f"people sign in at {settings.console_url}")
    if is_in_clear(settings):
        text = (
            f"passwords cross the network in clear text on the way to {settings.console_url}; put TLS in front of "
            'it and set [console] public_url = "https://…"'
        )
        return CheckResult("console", Outcome.NOTICE, text)
    return CheckResult("console", Outcome.GOOD, f"only this machine reaches {settings.console_url}")


def _fetching(settings: Settings) -> CheckResult:
    if not settings.fetch.enabled:
        return CheckResult(
            "fetching", Outcome.GOOD, "off: no origin is ever contacted, copies are placeholders"
        )
    if settings.fetch.exits:
        count = len(settings.fetch.exits)
        return CheckResult("fetching", Outcome.GOOD, f"origins see {count} exit{'s' if count > 1 else ''}")
    text = "fetches come from this machine's own address, which origins see; [fetch] exits hides it"
    return CheckResult("fetching", Outcome.NOTICE, text)


async def _exits(settings: Settings) -> list[CheckResult]:
    """Shake hands with every exit, and have each connect to the resolvers; contacts no origin."""
    if not settings.fetch.enabled:
        return []
    pool = build_exits(settings)
    return list(await asyncio.gather(*[_exit(each, settings) for each in pool.exits]))


async def _exit(each: Exit, settings: Settings) -> CheckResult:
    try:
        await each.greet()
    except OSError as error:
        return CheckResult("exit", Outcome.BAD, f"{each}: {error} ([fetch] exits)")
    if each.user and not each.scheme.is_encrypted and not Endpoint(each.host, each.port).is_loopback:
        text = (
            f"{each} is sent its password, and what is fetched over http, in clear text: use TLS or a tunnel"
        )
        notice: CheckResult | None = CheckResult("exit", Outcome.NOTICE, text)
    else:
        notice = None
    for resolver in settings.fetch.resolvers or ("",):
        name = resolver or "its own resolver"
        try:
            _reader, writer = await each.connect(*resolver_place(resolver), ANSWER_TIMEOUT_S)
        except OSError as error:
            text = f"{each} answers, but does not reach {name}: {error} ([fetch] resolvers)"
            return CheckResult("exit", Outcome.BAD, text)
        writer.transport.abort()
    return notice or CheckResult("exit", Outcome.GOOD, f"{each} answers and reaches its resolver")


def _believed(settings: Settings) -> CheckResult:
    choices = settings.authentication
    on = choices.verify_dkim
    verified = "DKIM is verified here" if on else "DKIM is not verified ([authentication] verify_dkim)"
    servers = [choices.trusted_authserv_id] if choices.trusted_authserv_id else []
    servers += ["whoever writes no name"] if choices.trust_missing_id else []
    told = " and ".join(servers) or "nobody ([authentication] trusted_authserv_id)"
    return CheckResult("authentication", Outcome.GOOD, f"{verified}; SPF and DMARC are believed of {told}")


async def _sealing(settings: Settings, lookup: TxtLookup) -> CheckResult:
    """Tell whether servers further on have a reason to accept messages that were changed."""
    if settings.arc_key_file is None:
        return _unsealed(settings)
    try:
        key = build_sealing_key(settings, settings.arc_key_file)
    except SealingKeyError as error:
        return CheckResult("sealing", Outcome.BAD, f"[authentication] arc_key_file = {error}")
    publish = f'publish: {key.record_name} TXT "{key_record(key.key)}"'
    try:
        records = await lookup(key.record_name, ANSWER_TIMEOUT_S)
    except UnavailableError as error:
        text = f"{key.record_name} could not be looked up: {error}; if it is not there yet, {publish}"
        return CheckResult("sealing", Outcome.NOTICE, text)
    if not records:
        text = f"nobody can verify our seals: {key.record_name} is not in the DNS; {publish}"
        return CheckResult("sealing", Outcome.BAD, text)
    if not is_record_of(key.key, records):
        text = f"nobody can verify our seals: {key.record_name} holds another key; {publish}"
        return CheckResult("sealing", Outcome.BAD, text)
    text = f"changed messages are sealed as {key.domain}, and {key.record_name} holds our key"
    return CheckResult("sealing", Outcome.GOOD, text)


def _unsealed(settings: Settings) -> CheckResult:
    hop = settings.gateway.next_hop
    if hop is None or hop.path or Endpoint(hop.host, hop.port).is_loopback:
        text = "changed messages are not sealed: whoever they are forwarded to finds their DKIM signatures broken"
        return CheckResult("sealing", Outcome.GOOD, text)
    text = (
        f"changed messages are not sealed: if {hop} checks DMARC again it will reject some of them. Have it "
        "trust this gateway instead of checking, or let them be sealed: `mailveil arc-key` makes a key"
    )
    return CheckResult("sealing", Outcome.NOTICE, text)
