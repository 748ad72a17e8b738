"""One client's SMTP session: commands in, the next hop's replies out, messages byte for byte."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP

from mailveil.core.message.transparency import END_OF_DATA, find_lone_dot, unstuff_dots
from mailveil.core.policy import Envelope
from mailveil.endpoints.smtp_commands import (
    XCLIENT_ATTRIBUTES,
    XFORWARD_ATTRIBUTES,
    Malformed,
    has_source_route,
    parse_attributes,
    parse_path_command,
    peer_address,
)
from mailveil.endpoints.smtp_replies import (
    BUSY,
    NOT_IMPLEMENTED,
    OK,
    OUT_OF_SEQUENCE,
    RELAY_DENIED,
    SYNTAX,
    TOO_LARGE,
    UNKNOWN_PARAMETER,
    encode_reply,
)
from mailveil.endpoints.smtp_trace import Traced, begins_with_field, count_hops, received_field
from mailveil.ports import SHUTTING_DOWN, UNKNOWN_FAILURE, Reply, Transaction

if TYPE_CHECKING:
    from mailveil.endpoints.smtp import SmtpDoor

log = logging.getLogger("mailveil.smtp")
# aiosmtpd logs every command, addresses included, and that is not for a log that somebody may read.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)

Network = IPv4Network | IPv6Network

COMMAND_BYTES = 4096
READ_BYTES = 1 << 20
READER_LIMIT = 1 << 17  # aiosmtpd's reader pauses its peer at twice this
MAIL_OPTIONS_OF_DSN = ("RET=", "ENVID=")
RECIPIENT_OPTIONS_OF_DSN = ("NOTIFY=", "ORCPT=")


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Settings of the SMTP door.

    ``clients`` may send to anybody, everybody else only to ``recipient_domains``; with neither, everybody who
    can connect may send, which is refused off loopback. ``trusted_peers`` may use XCLIENT and XFORWARD.
    """

    hostname: str
    clients: tuple[Network, ...] = ()
    recipient_domains: frozenset[str] = frozenset()
    trusted_peers: tuple[Network, ...] = ()
    max_message_bytes: int = 50 * 1024 * 1024
    max_connections: int = 200
    max_transactions: int = 16
    max_recipients: int = 1000
    max_hops: int = 50
    timeout_s: float = 300.0
    data_timeout_s: float = 3600.0
    busy_timeout_s: float = 20.0


class SmtpSession(SMTP):
    """One client's session.

    aiosmtpd brings the connection and the command loop; every command that touches an envelope or a message
    is our own, because its parser rewrites addresses and its DATA refuses long lines.
    """

    line_length_limit = READER_LIMIT

    def __init__(self, door: SmtpDoor) -> None:
        super().__init__(
            door,
            hostname=door.settings.hostname,
            ident="ESMTP mailveil",
            data_size_limit=door.settings.max_message_bytes,
            enable_SMTPUTF8=True,
            timeout=door.settings.timeout_s,
            loop=asyncio.get_running_loop(),
        )
        self.command_size_limit = COMMAND_BYTES
        self.command_size_limits = defaultdict(lambda: COMMAND_BYTES)
        self.door = door
        self.peer = ""
        self.client_address = ""  # as XCLIENT says, else the peer's
        self.login = ""
        self.forwarded: dict[str, str] = {}
        self.transaction: Transaction | None = None
        self.sender = Envelope()
        self.recipients: list[str] = []
        self.receiving = False  # from DATA to its reply

    # --- connection --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the session."""
        self.peer = self.client_address = peer_address(transport.get_extra_info("peername"))
        self.door.sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End the session; a transaction in flight ends with it, since nobody is waiting for its reply."""
        self.door.sessions.discard(self)
        super().connection_lost(error)
        self._end_transaction()

    def leave(self) -> None:
        """Say goodbye and hang up."""
        if self.transport is not None:
            self._writer.write(encode_reply(SHUTTING_DOWN) + b"\r\n")
            self.transport.close()

    async def handle_exception(self, error: Exception) -> str:
        """Answer what only a mistake of our own can cause: the client keeps the message."""
        log.exception("session of %s failed", self.peer, exc_info=error)
        self._end_transaction()
        return encode_reply(UNKNOWN_FAILURE).decode()

    async def answer(self, reply: Reply) -> None:
        """Send a reply."""
        await self.push(encode_reply(reply))

    # --- session commands --------------------------------------------------------------------------------

    async def smtp_EHLO(self, hostname: str | None) -> None:  # noqa: N802
        """Greet, and offer only what the next hop offers too."""
        if not self._greet(hostname, extended=True):
            await self.answer(SYNTAX)
            return
        next_hop = self.door.next_hop
        lines = [self.hostname, "PIPELINING", f"SIZE {self.door.settings.max_message_bytes}"]
        lines += [name for name in ("8BITMIME", "SMTPUTF8", "DSN") if next_hop.offers(name)]
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

    async def smtp_STARTTLS(self, arg: str | None) -> None:  # noqa: N802, ARG002
        """Refuse: not offered."""
        await self.answer(NOT_IMPLEMENTED)

    async def smtp_XCLIENT(self, arg: str | None) -> None:  # noqa: N802
        """Take a trusted peer's word for who the client is, and begin the session anew."""
        attributes = await self._trusted_attributes(arg, XCLIENT_ATTRIBUTES)
        if attributes is None:
            return
        self.client_address = attributes.get("ADDR") or self.client_address
        self.login = attributes.get("LOGIN", self.login)
        self.forwarded = {}
        if self.session is not None:
            self.session.host_name = attributes.get("HELO") or None
        await self.answer(Reply(220, "", f"{self.hostname} ESMTP mailveil"))

    async def smtp_XFORWARD(self, arg: str | None) -> None:  # noqa: N802
        """Take a trusted peer's word for whom it had the next message from."""
        attributes = await self._trusted_attributes(arg, XFORWARD_ATTRIBUTES)
        if attributes is None:
            return
        self.forwarded.update(attributes)
        await self.answer(OK)

    # --- transaction commands ----------------------------------------------------------------------------

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        """Open a transaction, at the next hop too."""
        if not self._helo() or self.transaction is not None:
            await self.answer(OUT_OF_SEQUENCE)
            return
        parsed = parse_path_command("FROM:", arg)
        if isinstance(parsed, Malformed):
            await self.answer(Reply(501, parsed.status, parsed.text))
            return
        size, utf8, eight_bit, options = 0, False, False, []
        for option in parsed.options:
            name, _, value = option.partition("=")
            match name.upper(), value:
                case "SIZE", digits if digits.isascii() and digits.isdigit() and len(digits) <= 20:
                    size = int(digits)
                case "BODY", body if body.upper() in ("7BIT", "8BITMIME") and self.door.next_hop.offers(
                    "8BITMIME"
                ):
                    eight_bit = body.upper() == "8BITMIME"
                case "SMTPUTF8", "" if self.door.next_hop.offers("SMTPUTF8"):
                    utf8 = True
                case _ if option.upper().startswith(MAIL_OPTIONS_OF_DSN) and self.door.next_hop.offers("DSN"):
                    options.append(option)
                case _:
                    await self.answer(UNKNOWN_PARAMETER)
                    return
        if size > self.door.settings.max_message_bytes:
            await self.answer(TOO_LARGE)
            return
        if not parsed.path.isascii() and not utf8:
            await self.answer(Reply(553, "5.6.7", "Address needs SMTPUTF8"))
            return
        self.sender = Envelope(
            sender=parsed.path,
            client_address=self.forwarded.get("ADDR") or self.client_address,
            helo=self.forwarded.get("HELO") or self._helo(),
            authenticated=bool(self.login),
            local_origin=self._is_local_origin(),
            smtputf8=utf8,
            body_8bit=eight_bit,
        )
        self.transaction, reply = await self.door.next_hop.begin(self.sender, size, options)
        await self.answer(reply)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        """Offer a recipient to the next hop, if mail for it is ours to take."""
        if self.transaction is None:
            await self.answer(OUT_OF_SEQUENCE)
            return
        parsed = parse_path_command("TO:", arg)
        if isinstance(parsed, Malformed) or not parsed.path:
            malformed = parsed if isinstance(parsed, Malformed) else Malformed("5.1.3", "Empty recipient")
            await self.answer(Reply(501, malformed.status, malformed.text))
            return
        options = list(parsed.options)
        if options and not (
            self.door.next_hop.offers("DSN")
            and all(option.upper().startswith(RECIPIENT_OPTIONS_OF_DSN) for option in options)
        ):
            await self.answer(UNKNOWN_PARAMETER)
            return
        if not parsed.path.isascii() and not self.sender.smtputf8:
            await self.answer(Reply(553, "5.6.7", "Address needs SMTPUTF8"))
            return
        if not self._may_send_to(parsed.path):
            await self.answer(RELAY_DENIED)
            return
        limit = self.door.next_hop.recipients_per_transaction or self.door.settings.max_recipients
        if len(self.recipients) >= limit:
            await self.answer(Reply(452, "4.5.3", "Too many recipients, send the message again for the rest"))
            return
        reply = await self.transaction.recipient(parsed.path, options)
        if reply.is_positive:
            self.recipients.append(parsed.path)
        await self.answer(reply)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take a message, have it protected and delivered, and answer what became of it."""
        if arg:
            await self.answer(SYNTAX)
            return
        if self.transaction is None or not self.recipients:
            no_recipient = self.transaction is not None
            await self.answer(Reply(554, "5.5.1", "No valid recipients") if no_recipient else OUT_OF_SEQUENCE)
            return
        slots = self.door.slots
        try:
            await asyncio.wait_for(slots.acquire(), self.door.settings.busy_timeout_s)
        except TimeoutError:
            await self.answer(BUSY)
            self._end_transaction()
            return
        self.receiving = True
        try:
            await self.answer(Reply(354, "", "End data with <CR><LF>.<CR><LF>"))
            wire, reply = await self._read_message()
            if reply is None:
                reply = await self._pass_on(unstuff_dots(wire))
        finally:
            slots.release()
            self.receiving = False
            self._end_transaction()
        self._reset_timeout()
        await self.answer(reply)
        if self.door.is_stopping:
            self.leave()

    async def _read_message(self) -> tuple[bytes, Reply | None]:
        """Read up to the end of data; the reply is there where the message cannot be taken."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.door.settings.data_timeout_s
        limit = self.door.settings.max_message_bytes
        received = bytearray(b"\r\n")  # so that a dot on the very first line is found like any other
        is_too_large = False
        while True:
            # Everything the reader has: what follows the end of data goes back into it, and nothing can
            # come in between.
            chunk = await self._reader.read(READ_BYTES)
            if not chunk or loop.time() > deadline:
                self.leave()
                raise asyncio.CancelledError
            self._reset_timeout()
            seen = len(received)
            received += chunk
            at = received.find(END_OF_DATA, max(0, seen - 4))
            if at >= 0:
                rest = bytes(received[at + len(END_OF_DATA) :])
                if rest and not self._reader.at_eof():
                    self._reader.feed_data(rest)
                del received[at + 2 :]
                break
            if len(received) > limit + 2:
                is_too_large = True
                del received[:-4]
        if is_too_large or len(received) - 2 > limit:
            return b"", TOO_LARGE
        # The CRLF before the final dot ends the message's last line, unless there is no line at all.
        wire = bytes(memoryview(received)[2:])
        if find_lone_dot(wire) >= 0:
            return b"", Reply(554, "5.6.0", "Lone dot between bare line breaks refused (SMTP smuggling)")
        if count_hops(wire) >= self.door.settings.max_hops:
            return b"", Reply(554, "5.4.6", "Too many hops, mail loop")
        return wire, None

    async def _pass_on(self, message: bytes) -> Reply:
        assert self.transaction is not None
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()  # from here on the engine's and the next hop's limits hold
        identifier = secrets.token_hex(6)
        envelope = replace(self.sender, recipients=tuple(self.recipients))
        extended = self.session is not None and self.session.extended_smtp
        trace = received_field(
            helo=self._helo(),
            address=self.client_address,
            hostname=self.hostname,
            protocol=("UTF8SMTP" if self.sender.smtputf8 else "ESMTP") if extended else "SMTP",
            identifier=identifier,
        )
        transaction = self.transaction
        if begins_with_field(message):
            # A message that is tried again must look the same to the engine, and get the same addresses.
            raw, transaction = message, Traced(transaction, trace)
        else:
            # On top of what is no header our field makes one: the engine has to see what readers will.
            raw = trace + message
        started = time.monotonic()
        try:
            reply = await self.door.accept(envelope, raw, transaction, identifier)
        except Exception:  # whatever it is, the client keeps the message
            log.exception("message %s could not be processed", identifier)
            reply = UNKNOWN_FAILURE
        log.info(
            "message %s from [%s]: %d bytes, %d recipients, %d ms: %s",
            identifier,
            envelope.client_address,
            len(message),
            len(self.recipients),
            (time.monotonic() - started) * 1000,
            str(reply).encode("ascii", "backslashreplace").decode(),
        )
        # 421 would announce that we hang up; that the next hop hangs up is not the client's business.
        return replace(reply, code=451) if reply.code == 421 else reply

    # --- state -------------------------------------------------------------------------------------------

    def _greet(self, hostname: str | None, *, extended: bool) -> bool:
        self._end_transaction()
        if not hostname or self.session is None:
            return False
        self.session.extended_smtp = extended
        self.session.host_name = hostname
        return True

    def _helo(self) -> str:
        return (self.session.host_name if self.session is not None else "") or ""

    def _end_transaction(self) -> None:
        if self.transaction is not None:
            self.transaction.close()
        self.transaction = None
        self.sender = Envelope()
        self.recipients = []
        self.forwarded = {}

    def _is_local_origin(self) -> bool:
        """Tell whether the message was made on the mail server itself.

        Postfix 3.7 says SOURCE=LOCAL of a remote client too that was told to it by XCLIENT, so the address
        has to agree; what cannot be proven to be local is from outside.
        """
        address = self.forwarded.get("ADDR", "")
        is_loopback = not address or ip_address(address).is_loopback
        return self.forwarded.get("SOURCE") == "LOCAL" and is_loopback

    def _is_trusted(self) -> bool:
        return _contains(self.door.settings.trusted_peers, self.peer)

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

    def _may_send_to(self, recipient: str) -> bool:
        settings = self.door.settings
        if not settings.clients and not settings.recipient_domains:
            return True  # loopback only, see check_not_open
        if _contains(settings.clients, self.peer):  # whoever speaks for others has let them in already
            return True
        local_part, _, domain = recipient.rpartition("@")
        if not local_part and domain.lower() == "postmaster":
            return True
        return domain.lower().rstrip(".") in settings.recipient_domains and not has_source_route(local_part)


def _contains(networks: tuple[Network, ...], address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
