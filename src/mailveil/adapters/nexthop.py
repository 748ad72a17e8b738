"""Next hop by SMTP or LMTP: passes a transaction on as the client makes it, and returns every reply."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Sequence
from dataclasses import replace

from mailveil.adapters.conversation import Conversation, ConversationError, NextHopSettings, tls_context
from mailveil.adapters.origin_attributes import offered_attributes, xclient_command, xforward_commands
from mailveil.core.message.transparency import would_smuggle
from mailveil.core.policy import Envelope
from mailveil.ports import HopTls, MailProtocol, Reply, Transaction

__all__ = ["NextHopError", "NextHopSettings", "SmtpNextHop"]

log = logging.getLogger("mailveil.nexthop")

LEARN_TIMEOUT_S = 10.0
RESET_TIMEOUT_S = 5.0
LOST = Reply(451, "4.4.2", "Lost the connection to the next mail server, try again later")
NO_EIGHT_BIT = Reply(451, "4.6.3", "Next mail server does not offer 8BITMIME, try again without")
NO_UTF8 = Reply(451, "4.6.7", "Next mail server does not offer SMTPUTF8, try again without")
NO_XCLIENT = Reply(451, "4.3.5", "Next mail server does not understand XCLIENT, try again later")
SMUGGLING = Reply(554, "5.6.0", "Lone dot between bare line breaks refused (SMTP smuggling)")


class NextHopError(Exception):
    """The settings of the next hop cannot be used; the text says why."""


class SmtpNextHop:
    """A next hop that speaks SMTP or LMTP. Connections are used again while they are fresh."""

    def __init__(self, settings: NextHopSettings) -> None:
        self.settings = settings
        self._idle: list[Conversation] = []
        self._extensions: dict[str, str] | None = None
        self._learning = asyncio.Lock()
        self._resets: set[asyncio.Task[None]] = set()
        self._context: ssl.SSLContext | None = None
        self._has_context = False

    @property
    def name(self) -> str:
        """What an administrator calls it."""
        if self.settings.path:
            return f"{self.settings.protocol}+unix:{self.settings.path}"
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"{self.settings.protocol}://{host}:{self.settings.port}"

    @property
    def recipients_per_transaction(self) -> int | None:
        """One by LMTP, where each recipient has a reply of its own to the message."""
        return 1 if self.settings.protocol is MailProtocol.LMTP else None

    @property
    def max_message_bytes(self) -> int:
        """The largest message that it takes (SIZE, RFC 1870); 0 where it did not say."""
        size = (self._extensions or {}).get("SIZE", "")
        return int(size) if size.isascii() and size.isdigit() and len(size) <= 20 else 0

    def offers(self, extension: str) -> bool:
        """Tell whether it offered an extension when last greeted; DSN must have been seen once."""
        if self._extensions is None:
            return extension != "DSN"
        return extension in self._extensions

    async def learn(self) -> None:
        """Greet it if that has not happened yet, and keep the connection for the first transaction."""
        async with self._learning:
            if self._extensions is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LEARN_TIMEOUT_S):
                        conversation, _ = await self.connect(fresh=True)
                        if conversation is not None:
                            self.give_back(conversation)

    async def begin(
        self, envelope: Envelope, size_bytes: int = 0, options: Sequence[str] = ()
    ) -> tuple[Transaction | None, Reply]:
        """Open a transaction; a refusal, or why the next hop cannot be reached, is the reply alone."""
        transaction = SmtpTransaction(self, envelope, size_bytes, options)
        reply = await transaction.begin()
        return (transaction if reply.is_positive else None), reply

    async def check(self) -> Reply:
        """Greet it and say goodbye; the reply's text ends with how the connection is encrypted, if it is."""
        conversation, reply = await self._open()
        if conversation is not None:
            reply = replace(reply, text=reply.text.partition("\n")[0] + self._encryption(conversation))
            await conversation.quit()
        return reply

    def _encryption(self, conversation: Conversation) -> str:
        if not conversation.tls_version:
            return ""
        verified = "verified" if self.settings.tls is HopTls.MUST else "not verified"
        return f" ({conversation.tls_version}, certificate {verified})"

    async def close(self) -> None:
        """Say goodbye on idle connections."""
        if self._resets:
            await asyncio.wait(self._resets)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(conversation.quit() for conversation in idle))

    async def connect(self, *, fresh: bool = False) -> tuple[Conversation | None, Reply]:
        """Return a greeted connection, an idle one if there is one and none ``fresh`` is asked for."""
        while self._idle and not fresh:
            conversation = self._idle.pop()
            is_young = time.monotonic() - conversation.idle_since < self.settings.max_idle_s
            if is_young and conversation.is_usable:
                return conversation, Reply(250)
            conversation.close()
        new, reply = await self._open()
        if new is not None:
            self._extensions = dict(new.extensions)
        return new, reply

    async def _open(self) -> tuple[Conversation | None, Reply]:
        self.prepare()
        return await Conversation.open(self.settings, self._context)

    def prepare(self) -> None:
        """Read the certificate authorities. Raises ``NextHopError``."""
        if not self._has_context:
            try:
                self._context = tls_context(self.settings)
            except OSError as error:
                reason = error.strerror or "is no file of certificates"
                raise NextHopError(f"next_hop_ca_file = {self.settings.ca_file}: {reason}") from error
            self._has_context = True

    def give_back(self, conversation: Conversation) -> None:
        """Keep a connection for the next transaction, if it is clean and there is room."""
        is_wanted = conversation.is_usable and not conversation.is_personal
        if is_wanted and len(self._idle) < self.settings.max_idle:
            conversation.idle_since = time.monotonic()
            self._idle.append(conversation)
        else:
            conversation.close()

    def reset(self, conversation: Conversation) -> None:
        """Take back what a transaction has said so far, and keep the connection if the server agrees."""
        if not conversation.is_usable or conversation.is_personal:
            conversation.close()
            return
        task = asyncio.get_running_loop().create_task(self._reset(conversation))
        self._resets.add(task)
        task.add_done_callback(self._resets.discard)

    async def _reset(self, conversation: Conversation) -> None:
        try:
            reply = await conversation.command("RSET", RESET_TIMEOUT_S)
        except ConversationError:
            conversation.close()
        except BaseException:
            conversation.close()
            raise
        else:
            if reply.code == 250:
                self.give_back(conversation)
            else:
                conversation.close()


class SmtpTransaction:
    """One transaction at an SMTP or LMTP next hop.

    While our client takes its time the next hop may hang up; until DATA nothing is lost by that, so the
    envelope is then given again on a new connection. Several recipients may be offered at once: their replies
    come in the order in which they were offered.
    """

    def __init__(self, hop: SmtpNextHop, envelope: Envelope, size_bytes: int, options: Sequence[str]) -> None:
        self.hop = hop
        self.envelope = envelope
        self.size_bytes = size_bytes
        self.options = tuple(options)
        self.accepted: list[tuple[str, tuple[str, ...]]] = []
        self.conversation: Conversation | None = None
        self.is_clean = False  # no transaction is open on the connection
        self.is_closed = False
        self._recovery = asyncio.Lock()

    async def begin(self) -> Reply:
        """Send MAIL, on a fresh connection if an idle one turns out dead."""
        for fresh in (False, True):
            reply = await self._begin(fresh=fresh)
            if reply.is_positive:
                return reply
            is_dead = _is_gone(reply)
            self.is_clean = not is_dead
            had_connection = self.conversation is not None
            self._let_go()
            if not (is_dead and had_connection):
                return _without_goodbye(reply)
        return _without_goodbye(reply)

    async def _begin(self, *, fresh: bool) -> Reply:
        self.conversation, reply = await self.hop.connect(fresh=fresh)
        if self.conversation is None:
            return reply
        try:
            return await self._mail()
        except ConversationError:
            return LOST
        except BaseException:
            self.close()
            raise

    async def _mail(self) -> Reply:
        conversation = self.conversation
        assert conversation is not None
        if self.hop.settings.xclient and (words := offered_attributes(conversation.extensions, "XCLIENT")):
            reply = await self._impersonate(conversation, words)
            if not reply.is_positive:
                return reply
        extensions = conversation.extensions
        envelope = self.envelope
        if envelope.body_8bit and "8BITMIME" not in extensions:
            return NO_EIGHT_BIT
        if envelope.smtputf8 and "SMTPUTF8" not in extensions:
            return NO_UTF8
        parameters = [f"FROM:<{envelope.sender}>"]
        if "SIZE" in extensions and self.size_bytes:
            parameters.append(f"SIZE={self.size_bytes}")
        if envelope.body_8bit:
            parameters.append("BODY=8BITMIME")
        if envelope.smtputf8:
            parameters.append("SMTPUTF8")
        if "DSN" in extensions:
            parameters += self.options
        commands = ["MAIL " + " ".join(parameters)]
        if not conversation.is_personal:
            commands[:0] = xforward_commands(envelope, offered_attributes(extensions, "XFORWARD"))
        # Logs that stay wrong are no reason to keep a message back: only the reply to MAIL counts.
        return (await conversation.commands(commands))[-1]

    async def _impersonate(self, conversation: Conversation, words: Sequence[str]) -> Reply:
        """Speak for the client from here on: the next hop judges it as if it had come by itself."""
        conversation.is_personal = True
        reply = await conversation.command(xclient_command(self.envelope, words))
        if reply.code == 501 and "ADDR" in words:
            # A server without IPv6 knows no such address. The client is a stranger to it then, never us.
            reply = await conversation.command(xclient_command(self.envelope, words, address=False))
        if 500 <= reply.code < 505:
            log.warning("next hop %s cannot take XCLIENT: %d %s", self.hop.name, reply.code, reply.status)
            return NO_XCLIENT
        if reply.code == 220:
            reply = await conversation.greet(self.envelope.helo or self.hop.settings.hostname)
        elif reply.is_positive:
            raise ConversationError("what came is no answer to XCLIENT")
        return reply

    async def recipient(self, address: str, options: Sequence[str] = ()) -> Reply:
        """Offer a recipient; where the connection was lost meanwhile, once more on a new one."""
        words = tuple(options)
        conversation = self.conversation
        reply = await self._recipient(address, words)
        if _is_gone(reply):
            reply = await self._again(conversation)
            if reply.is_positive:
                reply = await self._recipient(address, words)
        if reply.is_positive:
            self.accepted.append((address, words))
        return _without_goodbye(reply)

    async def _recipient(self, address: str, options: tuple[str, ...]) -> Reply:
        if self.conversation is None:
            return LOST
        words = list(options) if "DSN" in self.conversation.extensions else []
        try:
            return await self.conversation.command(" ".join([f"RCPT TO:<{address}>", *words]))
        except ConversationError:
            return LOST

    async def _again(self, lost: Conversation | None) -> Reply:
        """Give the envelope again on a new connection; every accepted recipient has to be accepted again."""
        async with self._recovery:
            if self.is_closed:
                return LOST
            if self.conversation is not None and self.conversation is not lost:
                return Reply(250)  # another recipient's offer has done it
            self.is_clean = False
            self._let_go()
            reply = await self._begin(fresh=True)
            for address, options in self.accepted:
                if not reply.is_positive:
                    break
                reply = await self._recipient(address, options)
            # A recipient accepted before and refused now cannot be told to the client any more: all come again.
            if reply.is_positive:
                return reply
            self._let_go()
            return LOST

    async def deliver(self, raw: bytes) -> Reply:
        """Hand over the message; positive only when the next hop has taken it."""
        if would_smuggle(raw):
            return SMUGGLING
        lost = self.conversation
        try:
            reply = await self._data()
            if _is_gone(reply):
                reply = await self._again(lost)
                if reply.is_positive:
                    reply = await self._data()
            if reply.code != 354:
                if reply.is_positive:
                    # A server that answers DATA with 2yz has taken nothing, and what it means nobody knows.
                    self._hang_up()
                    return LOST
                return _without_goodbye(reply)
            assert self.conversation is not None
            early = await self.conversation.send_message(raw)
            if early is not None:
                self._hang_up()
                return _without_goodbye(early)
            return await self._verdict(self.conversation)
        except ConversationError:
            self._hang_up()
            return LOST

    async def _verdict(self, conversation: Conversation) -> Reply:
        if self.hop.settings.protocol is MailProtocol.SMTP:
            reply = await conversation.read_verdict(is_last=True)
            self.is_clean = reply.code != 421
            return _without_goodbye(reply)
        replies: list[tuple[str, Reply]] = []
        for number, (address, _) in enumerate(self.accepted, 1):
            try:
                reply = await conversation.read_verdict(is_last=number == len(self.accepted))
            except ConversationError:
                reply = (
                    LOST  # and so it is for those after this one; whoever had a reply before has the message
                )
            replies.append((address, _without_goodbye(reply)))
        self.is_clean = conversation.is_usable
        return _together(replies)

    async def _data(self) -> Reply:
        if self.conversation is None:
            return LOST
        try:
            return await self.conversation.command("DATA")
        except ConversationError:
            return LOST

    def _hang_up(self) -> None:
        conversation, self.conversation = self.conversation, None
        if conversation is not None:
            conversation.close()

    def _let_go(self) -> None:
        conversation, self.conversation = self.conversation, None
        if conversation is None:
            return
        if self.is_clean:
            self.hop.give_back(conversation)
        else:
            self.hop.reset(conversation)

    def close(self) -> None:
        """Keep the connection if nothing is left open on it, else take back what was said, or hang up."""
        self.is_closed = True
        self._let_go()


def _together(replies: Sequence[tuple[str, Reply]]) -> Reply:
    """Return one reply for all of LMTP's: positive if somebody has the message, else transient if that may yet be."""
    listed = [reply for _, reply in replies]
    whole = (
        next((reply for reply in listed if reply.is_positive), None)
        or next((reply for reply in listed if reply.is_transient), None)
        or listed[0]
    )
    return whole if len(replies) == 1 else replace(whole, recipients=tuple(replies))


def _is_gone(reply: Reply) -> bool:
    return reply is LOST or reply.code == 421


def _without_goodbye(reply: Reply) -> Reply:
    """Return a reply for our client: that the next hop hangs up (421) does not mean that we do."""
    return replace(reply, code=451) if reply.code == 421 else reply
