"""One client's connection: greeting, TLS, who the client is, and replies in the order of the commands."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP

from mailveil.endpoints.smtp_certificate import CertificateError
from mailveil.endpoints.smtp_commands import (
    XCLIENT_ATTRIBUTES,
    XFORWARD_ATTRIBUTES,
    parse_attributes,
    peer_address,
)
from mailveil.endpoints.smtp_replies import (
    GOODBYE,
    NOT_IMPLEMENTED,
    OK,
    OUT_OF_SEQUENCE,
    SILENT,
    SYNTAX,
    UNRECOGNISED,
    encode_reply,
)
from mailveil.endpoints.smtp_settings import contains
from mailveil.ports import SHUTTING_DOWN, UNKNOWN_FAILURE, MailProtocol, Reply, Transaction

if TYPE_CHECKING:
    from mailveil.endpoints.smtp import SmtpDoor

log = logging.getLogger("mailveil.smtp")
# aiosmtpd logs every command, addresses included, and that is not for a log that somebody may read.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)

Command = Callable[[str | None], Awaitable[None]]

COMMAND_BYTES = 4096
READER_LIMIT = 1 << 17  # aiosmtpd's reader pauses its peer at twice this
HANDSHAKE_TIMEOUT_S = 30.0
OFFERED_IF_NEXT_HOP_DOES = ("8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


class SmtpConnection(SMTP):
    """One client's connection, without the mail that it brings.

    aiosmtpd brings the connection and the command loop; every command that touches an envelope or a message
    is our own, because its parser rewrites addresses and its DATA refuses long lines.
    """

    line_length_limit = READER_LIMIT
    protocol = MailProtocol.SMTP

    def __init__(self, door: SmtpDoor) -> None:
        super().__init__(
            door,
            hostname=door.settings.hostname,
            ident=f"{self.ident} mailveil",
            data_size_limit=door.settings.max_message_bytes,
            enable_SMTPUTF8=True,
            timeout=door.settings.timeout_s,
            loop=asyncio.get_running_loop(),
        )
        self.command_size_limit = COMMAND_BYTES
        self.command_size_limits = defaultdict(lambda: COMMAND_BYTES)
        self._smtp_methods = {
            name: method if name == "RCPT" else self._in_order(method)
            for name, method in self.commands(self._smtp_methods).items()
        }
        self.door = door
        self.peer = ""
        self.peer_port = ""
        self.is_encrypted = False
        self.client: dict[str, str] = {}  # as XCLIENT says
        self.forwarded: dict[str, str] = {}  # as XFORWARD says, for one message
        self.transaction: Transaction | None = None

    @property
    def ident(self) -> str:
        """What the greeting says that is spoken here."""
        return "ESMTP"

    def commands(self, known: dict[str, Command]) -> dict[str, Command]:
        """Return the commands of this protocol."""
        return {name: method for name, method in known.items() if name != "LHLO"}

    # --- connection --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the session."""
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            self.peer = "127.0.0.1"  # whom the folder of the socket lets in is on this machine
        else:
            peername = transport.get_extra_info("peername")
            self.peer = peer_address(peername)
            self.peer_port = str(peername[1]) if self.peer else ""
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End the session; a transaction in flight ends with it, since nobody is waiting for its reply."""
        super().connection_lost(error)
        self._end_transaction()

    def eof_received(self) -> bool:
        """Hang up: where the command loop had not even begun, nobody else would.

        A client that has sent QUIT along with its last command and then nothing more still waits for its replies:
        Exim closes its half of the connection so. Under TLS there are no halves.
        """
        if not self._over_ssl and bytes(self._reader._buffer[-6:]).upper() == b"QUIT\r\n":  # type: ignore[attr-defined]
            self._reader.feed_eof()
            return True
        super().eof_received()
        return False

    def leave(self, reply: Reply = SHUTTING_DOWN) -> None:
        """Say goodbye and hang up."""
        if self.transport is not None:
            self._writer.write(encode_reply(reply) + b"\r\n")
            self.transport.close()
            self.transport = None  # the command loop ends: what was sent along is not carried out any more

    def _timeout_cb(self) -> None:
        self.leave(SILENT)

    async def handle_exception(self, error: Exception) -> str:
        """Answer what only a mistake of our own can cause: the client keeps the message."""
        log.exception("session of %s failed", self.peer, exc_info=error)
        self._end_transaction()
        return encode_reply(UNKNOWN_FAILURE).decode()

    async def answer(self, reply: Reply) -> None:
        """Send a reply."""
        await self.push(encode_reply(reply))

    async def push(self, status: str | bytes) -> None:
        """Send a reply, after those to recipients that were offered before."""
        await self._settle_recipients()
        # What aiosmtpd says by itself is text, and knows nothing of enhanced status codes (RFC 2034).
        await self._say(_with_status(status).encode() if isinstance(status, str) else status)

    async def _say(self, line: bytes) -> None:
        await super().push(line)

    def _in_order(self, method: Command) -> Command:
        async def after_recipients(arg: str | None) -> None:
            await self._settle_recipients()
            await method(arg)

        return after_recipients

    # --- session commands --------------------------------------------------------------------------------

    async def smtp_EHLO(self, hostname: str | None) -> None:  # noqa: N802
        """Greet, and offer only what the next hop offers too."""
        if not self._greet(hostname, extended=True):
            await self.answer(SYNTAX)
            return
        next_hop = self.door.next_hop
        await next_hop.learn()
        limits = (self.door.settings.max_message_bytes, next_hop.max_message_bytes)
        lines = [self.hostname, "PIPELINING", f"SIZE {min(limit for limit in limits if limit)}"]
        lines += [name for name in OFFERED_IF_NEXT_HOP_DOES if next_hop.offers(name)]
        if self.door.certificate is not None and not self.is_encrypted:
            lines.append("STARTTLS")
        if self._is_trusted():
            lines.append("XFORWARD " + " ".join(XFORWARD_ATTRIBUTES))
            lines.append("XCLIENT " + " ".join(XCLIENT_ATTRIBUTES))
        await self.answer(Reply(250, "", "\n".join(lines)))

    async def smtp_HELO(self, hostname: str | None) -> None:  # noqa: N802
        """Greet a client without extensions."""
        if not self._greet(hostname, extended=False):
            await self.answer(SYNTAX)
            return
        await self.answer(Reply(250, "", self.hostname))

    async def smtp_RSET(self, arg: str | None) -> None:  # noqa: N802
        """Forget the transaction."""
        self._end_transaction()
        await self.answer(SYNTAX if arg else OK)

    async def smtp_VRFY(self, arg: str | None) -> None:  # noqa: N802, ARG002
        """Tell nobody who exists."""
        await self.answer(Reply(252, "2.5.0", "Send some mail, delivery will be tried"))

    async def smtp_EXPN(self, arg: str | None) -> None:  # noqa: N802, ARG002
        """Tell nobody who is on a list."""
        await self.answer(NOT_IMPLEMENTED)

    async def smtp_HELP(self, arg: str | None) -> None:  # noqa: N802, ARG002
        """Point to the standard."""
        await self.answer(Reply(214, "2.0.0", "See RFC 5321"))

    async def smtp_AUTH(self, arg: str | None) -> None:  # noqa: N802, ARG002
        """Refuse: submission is the mail server's business."""
        await self.answer(NOT_IMPLEMENTED)

    async def smtp_NOOP(self, arg: str | None) -> None:  # noqa: N802, ARG002
        """Do nothing."""
        await self.answer(OK)

    async def smtp_QUIT(self, arg: str | None) -> None:  # noqa: N802
        """Say goodbye."""
        if arg:
            await self.answer(SYNTAX)
        else:
            self.leave(GOODBYE)

    async def smtp_STARTTLS(self, arg: str | None) -> None:  # noqa: N802
        """Start TLS (RFC 3207); whatever was said before it is forgotten."""
        if self.door.certificate is None:
            await self.answer(NOT_IMPLEMENTED)
            return
        if arg or self.is_encrypted or self.transaction is not None:
            await self.answer(SYNTAX if arg else OUT_OF_SEQUENCE)
            return
        try:
            context = self.door.certificate.context()
        except CertificateError as error:
            log.error("STARTTLS cannot be had: %s", error)
            await self.answer(Reply(454, "4.7.0", "TLS not available now"))
            return
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.pause_reading()
        if self._reader._buffer:  # type: ignore[attr-defined]
            # Commands sent along would count as sent under TLS, though anybody can have slipped them in.
            self.leave(Reply(554, "5.5.1", "Nothing may follow STARTTLS before TLS is on"))
            return
        self._writer.write(encode_reply(Reply(220, "2.0.0", "Ready to start TLS")) + b"\r\n")
        try:
            transport = await self.loop.start_tls(
                self.transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            )
        except (OSError, TimeoutError) as error:
            log.info("TLS with %s failed: %s", self.peer, error)
            transport = None
        if transport is None:
            self.connection_lost(None)  # nobody else says so while the handshake is under way
            return
        self.transport = self._transport = transport
        self._reader._transport = transport  # type: ignore[attr-defined]
        self._writer._transport = transport  # type: ignore[attr-defined]
        self._over_ssl = self.is_encrypted = True
        self._reset_timeout()
        self._forget_client()

    async def smtp_XCLIENT(self, arg: str | None) -> None:  # noqa: N802
        """Take a trusted peer's word for who the client is, and begin the session anew."""
        attributes = await self._trusted_attributes(arg, XCLIENT_ATTRIBUTES)
        if attributes is None:
            return
        self.client.update(attributes)
        self.forwarded = {}
        if self.session is not None:
            self.session.host_name = attributes.get("HELO") or None
        await self.answer(Reply(220, "", f"{self.hostname} {self.ident} mailveil"))

    async def smtp_XFORWARD(self, arg: str | None) -> None:  # noqa: N802
        """Take a trusted peer's word for whom it had the next message from."""
        attributes = await self._trusted_attributes(arg, XFORWARD_ATTRIBUTES)
        if attributes is None:
            return
        self.forwarded.update(attributes)
        await self.answer(OK)

    # --- what a session adds -----------------------------------------------------------------------------

    async def _settle_recipients(self) -> None:
        """Answer for recipients that were offered before."""

    def _end_transaction(self) -> None:
        """Forget the mail transaction, if there is one."""
        if self.transaction is not None:
            self.transaction.close()
        self.transaction = None
        self.forwarded = {}

    # --- state -------------------------------------------------------------------------------------------

    @property
    def client_address(self) -> str:
        """The address of the client, as XCLIENT says, else the peer's."""
        return self.client.get("ADDR") or self.peer

    def _is_extended(self) -> bool:
        return self.session is not None and bool(self.session.extended_smtp)

    def _forget_client(self) -> None:
        self._end_transaction()
        self.client = {}
        if self.session is not None:
            self.session.host_name = None
            self.session.extended_smtp = False

    def _greet(self, hostname: str | None, *, extended: bool) -> bool:
        self._end_transaction()
        if not hostname or self.session is None:
            return False
        self.session.extended_smtp = extended
        self.session.host_name = hostname
        return True

    def _helo(self) -> str:
        return (self.session.host_name if self.session is not None else "") or ""

    def _is_trusted(self) -> bool:
        return contains(self.door.settings.trusted_peers, self.peer)

    async def _trusted_attributes(self, arg: str | None, known: tuple[str, ...]) -> dict[str, str] | None:
        if not self._is_trusted():
            await self.answer(Reply(550, "5.7.0", "Not authorised"))
            return None
        if self.transaction is not None:
            await self.answer(OUT_OF_SEQUENCE)
            return None
        attributes = parse_attributes(arg or "", known)
        if attributes is None:
            await self.answer(SYNTAX)
        return attributes


def _with_status(line: str) -> str:
    if line.startswith("500 Error: command"):
        return encode_reply(UNRECOGNISED).decode()
    if re.match(r"[45]\d\d (?!\d\.\d)", line):
        return f"{line[:4]}{line[0]}.5.2 {line[4:]}"
    return line
