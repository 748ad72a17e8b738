"""SMTP next hop: passes a transaction on as the client makes it, byte for byte, and returns every reply."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailveil.core.message.transparency import stuff_dots
from mailveil.core.policy import Envelope
from mailveil.ports import NEXT_HOP_DOWN, Reply, Transaction

MAX_REPLY_LINE_BYTES = 4096
MAX_REPLY_LINES = 128
WRITE_BYTES = 1 << 16
ENHANCED_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?: |$)")
LOST = Reply(451, "4.4.2", "Lost the connection to the next mail server, try again later")
NO_EIGHT_BIT = Reply(451, "4.6.3", "Next mail server does not offer 8BITMIME, try again without")
NO_UTF8 = Reply(550, "5.6.7", "Next mail server does not offer SMTPUTF8")


@dataclass(frozen=True, slots=True)
class NextHopSettings:
    """Where the next hop is and how long it may take (RFC 5321 section 4.5.3.2)."""

    host: str
    port: int
    hostname: str  # that we greet with
    connect_timeout_s: float = 30.0
    timeout_s: float = 300.0
    final_timeout_s: float = 600.0
    max_idle: int = 8
    max_idle_s: float = 5.0


class ConversationError(Exception):
    """The connection broke, stalled, or what came was no SMTP."""


def parse_reply(lines: Sequence[str]) -> Reply:
    """Return a reply from its lines without line breaks; raises ``ConversationError`` if it is none."""
    code = lines[0][:3]
    if not (code.isascii() and code.isdigit() and 200 <= int(code) < 600):
        raise ConversationError("what came is no reply")
    status, texts = "", []
    for line in lines:
        text = line[4:]
        found = ENHANCED_STATUS.match(text)
        if found and found[1] == code[0]:
            status = status or found[0].rstrip()
            text = text[found.end() :]
        texts.append(text)
    return Reply(int(code), status, "\n".join(texts))


class Conversation:
    """One SMTP connection to a server: commands out, replies in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float) -> None:
        self.reader = reader
        self.writer = writer
        self.timeout_s = timeout_s
        self.extensions: dict[str, str] = {}
        self.idle_since = 0.0

    @classmethod
    async def open(cls, settings: NextHopSettings) -> tuple[Conversation | None, Reply]:
        """Connect and greet. Without a conversation the reply is why there is none."""
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                reader, writer = await asyncio.open_connection(
                    settings.host, settings.port, limit=MAX_REPLY_LINE_BYTES
                )
        except (OSError, TimeoutError):
            return None, NEXT_HOP_DOWN
        conversation = cls(reader, writer, settings.timeout_s)
        try:
            reply = await conversation.read_reply()
            if reply.code == 220:
                reply = await conversation._greet(settings.hostname)
        except ConversationError:
            conversation.close()
            return None, NEXT_HOP_DOWN
        except BaseException:
            conversation.close()
            raise
        if reply.code != 250:
            conversation.close()
            # Whatever a server says before it knows us says nothing about the message.
            return None, replace(NEXT_HOP_DOWN, text=f"Next mail server refuses to talk: {reply}")
        return conversation, reply

    async def _greet(self, hostname: str) -> Reply:
        reply = await self.command(f"EHLO {hostname}")
        if reply.code != 250:
            return await self.command(f"HELO {hostname}")
        for line in reply.text.split("\n")[1:]:
            name, _, parameters = line.strip().partition(" ")
            self.extensions[name.upper()] = parameters.strip()
        return reply

    async def command(self, line: str, timeout_s: float | None = None) -> Reply:
        """Send a command and return its reply. Raises ``ConversationError``."""
        if any(c in line for c in "\r\n\x00"):
            raise ConversationError("a command is one line")
        await self.write(line.encode("utf-8") + b"\r\n")
        return await self.read_reply(timeout_s)

    async def write(self, data: bytes) -> None:
        """Send bytes; each piece has to be taken in time. Raises ``ConversationError``."""
        try:
            view = memoryview(data)
            for start in range(0, len(data), WRITE_BYTES):
                self.writer.write(view[start : start + WRITE_BYTES])
                async with asyncio.timeout(self.timeout_s):
                    await self.writer.drain()
        except (OSError, TimeoutError) as error:
            raise ConversationError("connection lost while sending") from error

    async def read_reply(self, timeout_s: float | None = None) -> Reply:
        """Read a reply of one or more lines. Raises ``ConversationError``."""
        lines: list[str] = []
        try:
            async with asyncio.timeout(timeout_s or self.timeout_s):
                while len(lines) < MAX_REPLY_LINES:
                    line = await self.reader.readuntil(b"\n")
                    lines.append(line.rstrip(b"\r\n").decode("utf-8", "replace"))
                    if lines[-1][3:4] != "-":
                        return parse_reply(lines)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ConversationError("no reply") from error
        raise ConversationError("endless reply")

    @property
    def is_usable(self) -> bool:
        """Tell whether the other side has neither hung up nor said something unasked."""
        return not (self.reader.at_eof() or self.writer.is_closing() or self.reader._buffer)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Hang up at once."""
        self.writer.close()

    async def quit(self) -> None:
        """Say goodbye, briefly."""
        with contextlib.suppress(ConversationError):
            await self.command("QUIT", 2.0)
        self.close()


class SmtpNextHop:
    """A next hop that speaks SMTP. Connections are used again while they are fresh."""

    recipients_per_transaction: int | None = None

    def __init__(self, settings: NextHopSettings) -> None:
        self.settings = settings
        self._idle: list[Conversation] = []
        self._extensions: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """What an administrator calls it."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"smtp://{host}:{self.settings.port}"

    def offers(self, extension: str) -> bool:
        """Tell whether it offered an extension when last greeted; DSN must have been seen once."""
        if self._extensions is None:
            return extension != "DSN"
        return extension in self._extensions

    async def begin(
        self, envelope: Envelope, size_bytes: int = 0, options: Sequence[str] = ()
    ) -> tuple[Transaction | None, Reply]:
        """Open a transaction; a refusal, or why the next hop cannot be reached, is the reply alone."""
        transaction = SmtpTransaction(self, envelope, size_bytes, options)
        reply = await transaction.begin()
        return (transaction if reply.is_positive else None), reply

    async def check(self) -> Reply:
        """Greet it and say goodbye."""
        conversation, reply = await Conversation.open(self.settings)
        if conversation is not None:
            await conversation.quit()
        return reply

    async def close(self) -> None:
        """Say goodbye on idle connections."""
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
        new, reply = await Conversation.open(self.settings)
        if new is not None:
            self._extensions = frozenset(new.extensions)
        return new, reply

    def give_back(self, conversation: Conversation) -> None:
        """Keep a connection for the next transaction, if it is clean and there is room."""
        if len(self._idle) < self.settings.max_idle and conversation.is_usable:
            conversation.idle_since = time.monotonic()
            self._idle.append(conversation)
        else:
            conversation.close()


class SmtpTransaction:
    """One transaction at an SMTP next hop.

    While our client takes its time the next hop may hang up; until DATA nothing is lost by that, so the
    envelope is then given again on a new connection.
    """

    def __init__(self, hop: SmtpNextHop, envelope: Envelope, size_bytes: int, options: Sequence[str]) -> None:
        self.hop = hop
        self.envelope = envelope
        self.size_bytes = size_bytes
        self.options = tuple(options)
        self.accepted: list[tuple[str, tuple[str, ...]]] = []
        self.conversation: Conversation | None = None
        self.is_clean = False

    async def begin(self) -> Reply:
        """Send MAIL, on a fresh connection if an idle one turns out dead."""
        for fresh in (False, True):
            self.conversation, reply = await self.hop.connect(fresh=fresh)
            if self.conversation is None:
                return reply
            try:
                reply = await self._mail()
            except ConversationError:
                reply = LOST
            except BaseException:
                self.close()
                raise
            if reply.is_positive:
                return reply
            is_dead = reply is LOST or reply.code == 421
            self.is_clean = not is_dead
            self.close()
            if not is_dead:
                return reply
        return _without_goodbye(reply)

    async def _mail(self) -> Reply:
        assert self.conversation is not None
        extensions = self.conversation.extensions
        envelope = self.envelope
        if envelope.body_8bit and "8BITMIME" not in extensions:
            return NO_EIGHT_BIT
        if envelope.smtputf8 and "SMTPUTF8" not in extensions:
            return NO_UTF8
        await self._forward_origin()
        parameters = [f"FROM:<{envelope.sender}>"]
        if "SIZE" in extensions and self.size_bytes:
            parameters.append(f"SIZE={self.size_bytes}")
        if envelope.body_8bit:
            parameters.append("BODY=8BITMIME")
        if envelope.smtputf8:
            parameters.append("SMTPUTF8")
        if "DSN" in extensions:
            parameters += self.options
        return await self.conversation.command("MAIL " + " ".join(parameters))

    async def _forward_origin(self) -> None:
        """Tell a next hop that asks for it whom the message came from, so that its logs stay true."""
        assert self.conversation is not None
        offered = self.conversation.extensions.get("XFORWARD", "").upper().split()
        if not offered:
            return
        address = self.envelope.client_address
        values = {
            "ADDR": f"IPV6:{address}" if ":" in address else address,
            "HELO": self.envelope.helo,
            "SOURCE": "LOCAL" if self.envelope.local_origin else "REMOTE",
        }
        words = [
            f"{name}={_encode_xtext(value)}" for name, value in values.items() if value and name in offered
        ]
        if words:
            await self.conversation.command("XFORWARD " + " ".join(words))

    async def recipient(self, address: str, options: Sequence[str] = ()) -> Reply:
        """Offer a recipient; where the connection was lost meanwhile, once more on a new one."""
        try:
            reply = await self._recipient(address, tuple(options))
        except ConversationError:
            reply = LOST
        if reply is LOST or reply.code == 421:
            reply = await self._again()
            if reply.is_positive:
                try:
                    reply = await self._recipient(address, tuple(options))
                except ConversationError:
                    reply = LOST
        if reply.is_positive:
            self.accepted.append((address, tuple(options)))
        return _without_goodbye(reply)

    async def _recipient(self, address: str, options: tuple[str, ...]) -> Reply:
        if self.conversation is None:
            raise ConversationError("not connected")
        words = list(options) if "DSN" in self.conversation.extensions else []
        return await self.conversation.command(" ".join([f"RCPT TO:<{address}>", *words]))

    async def _again(self) -> Reply:
        """Give the envelope again on a new connection; every accepted recipient has to be accepted again."""
        self.is_clean = False
        self.close()
        self.conversation, reply = await self.hop.connect(fresh=True)
        if self.conversation is None:
            return reply
        try:
            reply = await self._mail()
            for address, options in self.accepted:
                if not reply.is_positive:
                    break
                reply = await self._recipient(address, options)
        except ConversationError:
            reply = LOST
        # A recipient accepted before and refused now cannot be told to the client any more: all come again.
        return reply if reply.is_positive else LOST

    async def deliver(self, raw: bytes) -> Reply:
        """Hand over the message; positive only when the next hop has taken it."""
        try:
            reply = await self._data()
            if reply is LOST or reply.code == 421:
                reply = await self._again()
                if reply.is_positive:
                    reply = await self._data()
            if reply.code != 354:
                # A server that answers DATA with 2yz has taken nothing.
                return _without_goodbye(reply) if reply.code >= 400 else LOST
            assert self.conversation is not None
            await self.conversation.write(stuff_dots(raw))
            reply = await self.conversation.read_reply(self.hop.settings.final_timeout_s)
        except ConversationError:
            self.close()
            return LOST
        self.is_clean = reply.code != 421
        return _without_goodbye(reply)

    async def _data(self) -> Reply:
        if self.conversation is None:
            return LOST
        try:
            return await self.conversation.command("DATA")
        except ConversationError:
            return LOST

    def close(self) -> None:
        """Keep the connection if nothing is left open on it, else hang up."""
        conversation, self.conversation = self.conversation, None
        if conversation is None:
            return
        if self.is_clean:
            self.hop.give_back(conversation)
        else:
            conversation.close()


def _without_goodbye(reply: Reply) -> Reply:
    """Return a reply for our client: that the next hop hangs up (421) does not mean that we do."""
    return replace(reply, code=451) if reply.code == 421 else reply


def _encode_xtext(value: str) -> str:
    """Encode as xtext (RFC 3461 section 4)."""
    return "".join(
        chr(byte) if 33 <= byte <= 126 and byte not in b"+=" else f"+{byte:02X}"
        for byte in value.encode("utf-8")
    )
