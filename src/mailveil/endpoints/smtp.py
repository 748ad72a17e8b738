"""SMTP door: takes mail in, byte for byte, and answers what the next hop answered."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

from mailveil.core.policy import Envelope
from mailveil.endpoints.smtp_certificate import Certificate
from mailveil.endpoints.smtp_intake import Intake
from mailveil.endpoints.smtp_replies import FULL, encode_reply
from mailveil.endpoints.smtp_session import SmtpSession
from mailveil.endpoints.smtp_settings import SmtpSettings
from mailveil.endpoints.unixsocket import open_socket, remove_socket
from mailveil.ports import SHUTTING_DOWN, NextHop, Reply, Transaction

__all__ = ["OpenRelayError", "SmtpDoor", "SmtpSettings", "check_not_open"]
log = logging.getLogger("mailveil.smtp")

GOODBYE_S = 1.0

Profile = Callable[[str], str]
Accept = Callable[[Envelope, bytes, Transaction, str], Awaitable[Reply]]


class OpenRelayError(ValueError):
    """The door would relay for everybody."""


def check_not_open(host: str, settings: SmtpSettings) -> None:
    """Raise ``OpenRelayError`` where strangers could reach the door and nothing says whose mail it takes."""
    if settings.recipient_domains or any(not network.is_loopback for network in settings.clients):
        return
    try:
        is_loopback = ip_address(host.strip("[]")).is_loopback
    except ValueError:
        is_loopback = host.lower() == "localhost"
    if not is_loopback:
        raise OpenRelayError(
            f"listening on {host or 'every address'} needs 'clients' (networks that may send) or "
            "'recipient_domains' (domains that mail is taken for): without either this would be an open relay"
        )


class Refusal(asyncio.Protocol):
    """What a connection beyond the limit gets: one reply and no session."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer and hang up."""
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(encode_reply(self.reply) + b"\r\n")
        transport.close()


class SmtpDoor:
    """The listening side: bounds connections and messages, and stops without dropping what is under way.

    ``accept`` protects and delivers one message (the gateway); ``next_hop`` is asked while the client speaks,
    so that each recipient gets the next hop's own answer. Recipients to whom ``profile`` gives different keys do not
    share a message, since other rules hold for them.
    """

    session: type[SmtpSession] = SmtpSession

    def __init__(
        self,
        settings: SmtpSettings,
        next_hop: NextHop,
        accept: Accept,
        *,
        intake: Intake | None = None,
        certificate: Certificate | None = None,
        profile: Profile | None = None,
    ) -> None:
        self.settings = settings
        self.profile = profile
        self.next_hop = next_hop
        self.accept = accept
        self.intake = intake or Intake(settings.max_transactions, settings.max_bytes_in_flight)
        self.certificate = certificate
        self.sessions: set[SmtpSession] = set()
        self.is_stopping = False
        self._server: asyncio.Server | None = None
        self._socket: tuple[Path, os.stat_result] | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises ``OpenRelayError``, ``CertificateError`` and ``OSError`` (address in use)."""
        check_not_open(host, self.settings)
        if self.certificate is not None:
            self.certificate.context()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._admit, host, port, backlog=128)

    async def start_unix(self, path: Path) -> None:
        """Listen on a Unix socket for whom its folder lets in. Raises ``CertificateError`` and ``OSError``.

        What is left of a dead process is replaced; a socket on which somebody answers is not.
        """
        if self.certificate is not None:
            self.certificate.context()
        loop = asyncio.get_running_loop()
        listening = open_socket(path, 0o666)
        self._socket = (path, path.stat())
        self._server = await loop.create_unix_server(self._admit, sock=listening, backlog=128)

    @property
    def port(self) -> int:
        """Return the port that is listened on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self, grace_s: float = 30.0) -> None:
        """Listen no more, let messages under way finish for up to ``grace_s``, then hang up."""
        self.is_stopping = True
        if self._server is not None:
            self._server.close()
        if self._socket is not None:
            remove_socket(*self._socket)
        for session in list(self.sessions):
            if not session.receiving:
                session.leave()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        while any(session.receiving for session in self.sessions) and loop.time() < deadline:
            await asyncio.sleep(0.05)
        for session in list(self.sessions):
            session.leave()
        deadline = loop.time() + GOODBYE_S
        await asyncio.sleep(0.01)
        while self.sessions and loop.time() < deadline:
            await asyncio.sleep(0.01)  # so that what was said last goes out
        await self.next_hop.close()

    def _admit(self) -> asyncio.Protocol:
        if self.is_stopping:
            return Refusal(SHUTTING_DOWN)
        if len(self.sessions) >= self.settings.max_connections:
            log.warning("refused a connection: %d are open (max_connections)", len(self.sessions))
            return Refusal(FULL)
        return self.session(self)
