"""One client's SMTP session: commands in, the next hop's replies out, messages byte for byte."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from mailveil.core.message.transparency import find_lone_dot, unstuff_dots
from mailveil.core.policy import Envelope
from mailveil.endpoints.smtp_commands import (
    Malformed,
    has_source_route,
    parse_path_command,
)
from mailveil.endpoints.smtp_connection import SmtpConnection
from mailveil.endpoints.smtp_intake import Arrival
from mailveil.endpoints.smtp_replies import (
    BUSY,
    LOOP,
    NO_RECIPIENTS,
    NO_ROOM,
    OTHER_RULES,
    OUT_OF_SEQUENCE,
    RELAY_DENIED,
    SILENT,
    SMUGGLING,
    SYNTAX,
    TOO_LARGE,
    TOO_MANY,
    UNKNOWN_PARAMETER,
    encode_reply,
)
from mailveil.endpoints.smtp_settings import contains
from mailveil.endpoints.smtp_trace import (
    Traced,
    begins_with_field,
    count_hops,
    protocol_name,
    received_field,
)
from mailveil.ports import UNKNOWN_FAILURE, Reply, Transaction

if TYPE_CHECKING:
    from mailveil.endpoints.smtp import SmtpDoor

log = logging.getLogger("mailveil.smtp")


READ_BYTES = 1 << 20
MAX_OFFERED = 100  # recipients that wait for the next hop's replies at once
MAIL_OPTIONS_OF_DSN = ("RET=", "ENVID=")
RECIPIENT_OPTIONS_OF_DSN = ("NOTIFY=", "ORCPT=")


class SmtpSession(SmtpConnection):
    """One client's session: its mail transactions, each open at the next hop while the client speaks."""

    def __init__(self, door: SmtpDoor) -> None:
        super().__init__(door)
        self.sender = Envelope()
        self.recipients: list[str] = []
        self.profiles: list[str] = []  # of the recipients, one by one
        self._offered: deque[tuple[str, str, asyncio.Task[Reply]]] = deque()
        self.receiving = False  # from DATA to its reply
        self.announced: tuple[int, tuple[str, ...]] = (0, ())  # the message's size and options, as MAIL said

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the session."""
        self.door.sessions.add(self)
        super().connection_made(transport)
        if self.door.is_stopping:  # accepted just before the door closed
            self.leave()

    def connection_lost(self, error: Exception | None) -> None:
        """End the session."""
        self.door.sessions.discard(self)
        super().connection_lost(error)

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
        if size > self.door.intake.free_bytes:
            await self.answer(NO_ROOM)
            return
        if not parsed.path.isascii() and not utf8:
            await self.answer(Reply(553, "5.6.7", "Address needs SMTPUTF8"))
            return
        self.sender = self._envelope(parsed.path, smtputf8=utf8, body_8bit=eight_bit)
        self.announced = (size, tuple(options))
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
        limit = self.max_recipients
        if len(self.recipients) + len(self._offered) >= min(limit, MAX_OFFERED):
            await self._settle_recipients()
        if len(self.recipients) >= limit:
            await self.answer(TOO_MANY)
            return
        profile = "" if self.door.profile is None else self.door.profile(parsed.path)
        transaction = await self.transaction_for(profile)
        if isinstance(transaction, Reply):
            await self.answer(transaction)
            return
        offer = asyncio.create_task(transaction.recipient(parsed.path, options))
        self._offered.append((parsed.path, profile, offer))
        if b"\n" not in self._reader._buffer:  # type: ignore[attr-defined]
            # A client that has sent its next command already does not wait for this reply (RFC 2920).
            await self._settle_recipients()

    async def transaction_for(self, profile: str) -> Transaction | Reply:
        """Return the transaction for recipients of a profile, or what they are told who cannot share this message."""
        assert self.transaction is not None
        if profile != self._first_profile:
            await self._settle_recipients()  # those before it may have been refused
            if profile != self._first_profile and (self.recipients or self._offered):
                return OTHER_RULES
            if self.transaction is None:
                return OUT_OF_SEQUENCE
        return self.transaction

    @property
    def _first_profile(self) -> str | None:
        if self.profiles:
            return self.profiles[0]
        return self._offered[0][1] if self._offered else None

    @property
    def no_recipients(self) -> Reply:
        """What DATA is answered with where no recipient was accepted."""
        return NO_RECIPIENTS

    @property
    def max_recipients(self) -> int:
        """How many recipients a message may have: one where we could not tell the client how each fared."""
        return self.door.next_hop.recipients_per_transaction or self.door.settings.max_recipients

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take a message, have it protected and delivered, and answer what became of it."""
        if arg:
            await self.answer(SYNTAX)
            return
        if self.transaction is None or not self.recipients:
            await self.answer(self.no_recipients if self.transaction is not None else OUT_OF_SEQUENCE)
            return
        self.receiving = True
        recipients = tuple(self.recipients)
        arrival = self.door.intake.begin(self.door.settings.max_message_bytes, self.loop.time())
        try:
            await self.answer(Reply(354, "", "End data with <CR><LF>.<CR><LF>"))
            await self._receive(arrival)
            reply = arrival.refusal or await self._take(arrival)
        finally:
            arrival.end()
            self.receiving = False
            self._end_transaction()
        self._reset_timeout()
        await self.answer_message(reply, recipients)
        if self.door.is_stopping:
            self.leave()

    async def answer_message(self, reply: Reply, recipients: tuple[str, ...]) -> None:
        """Say what became of a message; what became of it for one recipient holds for all."""
        del recipients
        each = [own for _, own in reply.recipients]
        # Rather twice for one than never for the other.
        failed = next((own for own in each if own.is_transient), None) or next(
            (own for own in each if not own.is_positive), reply
        )
        await self.answer(failed)

    async def _receive(self, arrival: Arrival) -> None:
        """Read up to the end of data."""
        deadline = self.loop.time() + self.door.settings.data_timeout_s
        rest: bytes | None = None
        while rest is None:
            # Everything the reader has: what follows the end of data goes back into it, and nothing can
            # come in between.
            chunk = await self._reader.read(READ_BYTES)
            now = self.loop.time()
            if not chunk or now > deadline:
                self.leave(SILENT)
                raise asyncio.CancelledError
            self._reset_timeout()
            rest = arrival.feed(chunk, now)
        if rest:
            # Not by feed_data: the client may have closed its half of the connection already.
            self._reader._buffer[:0] = rest  # type: ignore[attr-defined]

    async def _take(self, arrival: Arrival) -> Reply:
        """Look at a message that has come in, and pass it on when it is its turn."""
        wire = arrival.take()
        if find_lone_dot(wire) >= 0:
            return SMUGGLING
        if count_hops(wire) >= self.door.settings.max_hops:
            return LOOP
        message = unstuff_dots(wire)
        del wire
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()  # from here on the engine's and the next hop's limits hold
        slots = self.door.intake.slots
        try:
            await asyncio.wait_for(slots.acquire(), self.door.settings.busy_timeout_s)
        except TimeoutError:
            return BUSY
        try:
            return await self._pass_on(message)
        finally:
            slots.release()

    async def _pass_on(self, message: bytes) -> Reply:
        assert self.transaction is not None
        return await self.pass_to(self.transaction, tuple(self.recipients), message)

    async def pass_to(self, transaction: Transaction, recipients: tuple[str, ...], message: bytes) -> Reply:
        """Have a message protected and delivered to recipients that ``transaction`` was told of."""
        identifier = secrets.token_hex(6)
        envelope = replace(self.sender, recipients=recipients)
        trace = received_field(
            helo=self._helo(),
            address=self.client_address,
            hostname=self.hostname,
            protocol=protocol_name(
                self.protocol,
                extended=self._is_extended(),
                encrypted=self.is_encrypted,
                utf8=self.sender.smtputf8,
            ),
            identifier=identifier,
        )
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
            "message %s from [%s]: %d bytes, %d recipients, %d ms: %d %s",
            identifier,
            envelope.client_address,
            len(message),
            len(recipients),
            (time.monotonic() - started) * 1000,
            reply.code,
            reply.status,  # without its text, in which many servers name the recipient
        )
        # 421 would announce that we hang up; that the next hop hangs up is not the client's business.
        return replace(reply, code=451) if reply.code == 421 else reply

    def _envelope(self, sender: str, *, smtputf8: bool, body_8bit: bool) -> Envelope:
        """Return the envelope so far, with the client as XFORWARD says, else XCLIENT, else the connection."""
        if self.forwarded:
            client = self.forwarded
        else:
            protocol = "ESMTP" if self._is_extended() else "SMTP"
            client = {"PORT": self.peer_port, "PROTO": protocol, **self.client}
        return Envelope(
            sender=sender,
            client_address=client.get("ADDR") or self.client_address,
            helo=client.get("HELO") or self._helo(),
            authenticated=bool(self.client.get("LOGIN")),
            local_origin=self._is_local_origin(),
            smtputf8=smtputf8,
            body_8bit=body_8bit,
            client_name=client.get("NAME", ""),
            client_port=client.get("PORT", ""),
            client_protocol=client.get("PROTO", ""),
            queue_id=client.get("IDENT", ""),
            login=self.client.get("LOGIN", ""),
        )

    async def _settle_recipients(self) -> None:
        """Answer for recipients that were offered, in their order."""
        while self._offered:
            recipient, profile, offer = self._offered[0]
            reply = await offer
            if not self._offered:
                return  # the transaction ended meanwhile
            self._offered.popleft()
            if reply.is_positive:
                self.recipients.append(recipient)
                self.profiles.append(profile)
            await self._say(encode_reply(reply))

    def _end_transaction(self) -> None:
        """Forget the mail transaction and what was offered in it."""
        for _, _, offer in self._offered:
            offer.cancel()
        self._offered.clear()
        self.sender = Envelope()
        self.recipients = []
        self.profiles = []
        super()._end_transaction()

    def _is_local_origin(self) -> bool:
        """Tell whether the message was made on the mail server itself.

        Postfix 3.7 says SOURCE=LOCAL of a remote client too that was told to it by XCLIENT, so the address
        has to agree; what cannot be proven to be local is from outside.
        """
        address = self.forwarded.get("ADDR", "")
        is_loopback = not address or ip_address(address).is_loopback
        return self.forwarded.get("SOURCE") == "LOCAL" and is_loopback

    def _may_send_to(self, recipient: str) -> bool:
        settings = self.door.settings
        if not settings.clients and not settings.recipient_domains:
            return True  # loopback only, see check_not_open
        if contains(settings.clients, self.peer):  # whoever speaks for others has let them in already
            return True
        local_part, _, domain = recipient.rpartition("@")
        if not local_part and domain.lower() == "postmaster":
            return True
        return domain.lower().rstrip(".") in settings.recipient_domains and not has_source_route(local_part)
