"""Checking the doors: LMTP listener, certificate of STARTTLS, and the next hop."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

from cryptography import x509

from mailveil.adapters.nexthop import NextHopError
from mailveil.app.building import build_certificate, build_next_hop, smtp_settings
from mailveil.app.check_result import CheckResult, Outcome
from mailveil.config import Settings
from mailveil.config.values import Endpoint, UnixSocket
from mailveil.endpoints.smtp import OpenRelayError, check_not_open
from mailveil.endpoints.smtp_certificate import CertificateError
from mailveil.endpoints.unixsocket import why_no_socket

ANSWER_TIMEOUT_S = 5.0
RENEWAL_DAYS = 14  # certbot renews 30 days ahead: what has fewer left is not being renewed


async def check_next_hop(settings: Settings) -> CheckResult:
    """Greet the next hop, encrypted if that is set."""
    hop = build_next_hop(settings)
    try:
        reply = await hop.check()
    except NextHopError as error:
        return CheckResult("next hop", Outcome.BAD, f"[gateway] {error}")
    await hop.close()
    if not reply.is_positive:
        return CheckResult("next hop", Outcome.BAD, f"{hop.name} answers {str(reply).splitlines()[0]}")
    if settings.gateway.next_hop is None:
        return CheckResult("next hop", Outcome.NOTICE, f"none is set: mail is kept in {hop.name}")
    return CheckResult("next hop", Outcome.GOOD, f"{hop.name} answers {str(reply).splitlines()[0]}")


async def check_lmtp(settings: Settings) -> list[CheckResult]:
    """Greet the LMTP listener, if there is one."""
    listen = settings.gateway.lmtp_listen
    if listen is None:
        return []
    if isinstance(listen, Endpoint):
        try:
            check_not_open(listen.host, smtp_settings(settings))
        except OpenRelayError as error:
            return [CheckResult("lmtp", Outcome.BAD, f"{error} ([gateway] lmtp_listen)")]
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            greeting, hello = await _greet(listen, settings.hostname)
    except (OSError, TimeoutError, ValueError):
        if isinstance(listen, UnixSocket) and (reason := why_no_socket(Path(listen.path))):
            return [CheckResult("lmtp", Outcome.BAD, f"{listen}: {reason} ([gateway] lmtp_listen)")]
        return [CheckResult("lmtp", Outcome.NOTICE, f"nobody answers on {listen} now")]
    if "LMTP mailveil" in greeting and hello.startswith("250"):
        return [CheckResult("lmtp", Outcome.GOOD, f"{listen} answers {greeting}")]
    shown = "".join(c for c in greeting[:120] if c.isprintable())
    text = f"{listen} is taken by something else, which answers {shown!r} ([gateway] lmtp_listen)"
    return [CheckResult("lmtp", Outcome.BAD, text)]


async def _greet(listen: Endpoint | UnixSocket, hostname: str) -> tuple[str, str]:
    if isinstance(listen, UnixSocket):
        reader, writer = await asyncio.open_unix_connection(listen.path)
    else:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104
        reader, writer = await asyncio.open_connection(host, listen.port)
    try:
        greeting = (await reader.readline()).decode("utf-8", "replace").strip()
        if not greeting.startswith("220"):
            return greeting, ""
        writer.write(f"LHLO {hostname}\r\n".encode())
        return greeting, (await reader.readline()).decode("utf-8", "replace").strip()
    finally:
        writer.close()


def check_certificate(settings: Settings) -> list[CheckResult]:
    """Read what STARTTLS is offered with, if it is, and tell how long it is valid."""
    certificate = build_certificate(settings)
    if certificate is None:
        return []
    try:
        certificate.context()
        leaf = x509.load_pem_x509_certificate(certificate.certificate.read_bytes())
    except (CertificateError, OSError, ValueError) as error:
        return [CheckResult("certificate", Outcome.BAD, f"[gateway] {error}")]
    return [_judge_certificate(leaf, certificate.certificate, settings.hostname)]


def _judge_certificate(leaf: x509.Certificate, path: Path, hostname: str) -> CheckResult:
    left = leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    until = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
    if left.total_seconds() < 0:
        text = f"{path} expired on {until}; renewed files are taken up without a restart"
        return CheckResult("certificate", Outcome.BAD, text)
    if left.days < RENEWAL_DAYS:
        text = f"{path} expires on {until}, in {left.days} days: is its renewal at work?"
        return CheckResult("certificate", Outcome.NOTICE, text)
    if not _is_for(leaf, hostname):
        text = f"{path} is not for {hostname}, the name that clients see ([gateway] hostname)"
        return CheckResult("certificate", Outcome.NOTICE, text)
    return CheckResult("certificate", Outcome.GOOD, f"STARTTLS is offered with {path}, valid until {until}")


def _is_for(leaf: x509.Certificate, hostname: str) -> bool:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return False
    names = {name.lower() for name in extension.value.get_values_for_type(x509.DNSName)}
    return hostname.lower() in names or f"*.{hostname.lower().partition('.')[2]}" in names
