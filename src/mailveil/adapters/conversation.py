"""Conversation: one SMTP or LMTP connection to a server, commands out and replies in, encrypted on demand."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailveil.core.message.transparency import end_of_data, stuffed_pieces
from mailveil.ports import NEXT_HOP_DOWN, HopTls, MailProtocol, Reply

log = logging.getLogger("mailveil.nexthop")

MAX_REPLY_LINE_BYTES = 4096
MAX_REPLY_LINES = 128
EARLY_REPLY_S = 1.0
ENHANCED_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?: |$)")
NO_TLS = Reply(451, "4.7.4", "Next mail server does not offer TLS, which is required here, try again later")
UNPROVEN = Reply(451, "4.7.5", "Next mail server cannot prove who it is, try again later")


@dataclass(frozen=True, slots=True)
class NextHopSettings:
    """Where the next hop is and how long it may take (RFC 5321 section 4.5.3.2).

    With ``path`` it is reached over that Unix socket, and never encrypted. ``tls`` says whether TLS is wanted by
    TCP: "may" takes any certificate, "must" one for ``host`` from an authority in ``ca_file`` (``""``: the
    system's). With ``xclient`` a server that offers XCLIENT is given the client's identity by it.
    """

    host: str
    port: int
    hostname: str  # that we greet with
    connect_timeout_s: float = 30.0
    timeout_s: float = 300.0
    final_timeout_s: float = 600.0
    max_idle: int = 8
    max_idle_s: float = 5.0
    protocol: MailProtocol = MailProtocol.SMTP
    path: str = ""
    tls: HopTls = HopTls.NONE
    ca_file: str = ""
    xclient: bool = False


class ConversationError(Exception):
    """The connection broke, stalled, or what came was no SMTP."""


class EncryptionError(ConversationError):
    """TLS was offered and failed, the certificate included."""


def tls_context(settings: NextHopSettings) -> ssl.SSLContext | None:
    """Return what TLS is made with, if it is wanted. Raises ``OSError`` where ``ca_file`` cannot be used."""
    if settings.tls is HopTls.NONE or settings.path:
        return None
    if settings.tls is HopTls.MUST:
        return ssl.create_default_context(cafile=settings.ca_file or None)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


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
    """One connection to a server.

    Several tasks may give commands at once: each gets the reply to its own, in the order in which they were
    given, and where the server offers PIPELINING (RFC 2920) no command waits for the reply before it.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, settings: NextHopSettings
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.settings = settings
        self.extensions: dict[str, str] = {}
        self.idle_since = 0.0
        self.is_personal = False  # speaks for one client (XCLIENT), so never again for another
        self._turn = asyncio.Lock()
        self._unanswered = 0
        self._is_broken = False

    @classmethod
    async def open(
        cls, settings: NextHopSettings, context: ssl.SSLContext | None = None
    ) -> tuple[Conversation | None, Reply]:
        """Connect, greet and encrypt. Without a conversation the reply is why there is none."""
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                if settings.path:
                    pair = await asyncio.open_unix_connection(settings.path, limit=MAX_REPLY_LINE_BYTES)
                else:
                    pair = await asyncio.open_connection(
                        settings.host, settings.port, limit=MAX_REPLY_LINE_BYTES
                    )
        except (OSError, TimeoutError):
            return None, NEXT_HOP_DOWN
        conversation = cls(*pair, settings)
        try:
            reply = await conversation._introduce(context)
        except EncryptionError as error:
            conversation.close()
            if settings.tls is HopTls.MUST:
                log.warning("next hop %s: %s", settings.host, error)
                return None, UNPROVEN
            # Whoever takes any certificate gains nothing by insisting (RFC 7435 section 3).
            log.warning("next hop %s: %s; going on without TLS", settings.host, error)
            return await cls.open(settings)
        except ConversationError:
            conversation.close()
            return None, NEXT_HOP_DOWN
        except BaseException:
            conversation.close()
            raise
        if reply.code != 250:
            conversation.close()
            if reply is NO_TLS:
                return None, reply
            # Whatever a server says before it knows us says nothing about the message.
            return None, replace(NEXT_HOP_DOWN, text=f"Next mail server refuses to talk: {reply}")
        return conversation, reply

    async def _introduce(self, context: ssl.SSLContext | None) -> Reply:
        reply = await self.read_reply()
        if reply.code == 220:
            reply = await self.greet(self.settings.hostname)
        elif reply.is_positive:
            raise ConversationError("what came is no greeting")
        if reply.code != 250 or context is None:
            return reply
        if "STARTTLS" in self.extensions:
            await self._encrypt(context)
            return await self.greet(self.settings.hostname)
        return NO_TLS if self.settings.tls is HopTls.MUST else reply

    async def greet(self, hostname: str) -> Reply:
        """Say who we are and take note of the extensions that are offered."""
        verb = "LHLO" if self.settings.protocol is MailProtocol.LMTP else "EHLO"
        self.extensions = {}
        reply = await self.command(f"{verb} {hostname}")
        if reply.code != 250:
            return await self.command(f"HELO {hostname}") if verb == "EHLO" else reply
        for line in reply.text.split("\n")[1:]:
            name, _, parameters = line.strip().partition(" ")
            self.extensions[name.upper()] = parameters.strip()
        return reply

    async def _encrypt(self, context: ssl.SSLContext) -> None:
        """Start TLS (RFC 3207); nothing said before it counts after it."""
        reply = await self.command("STARTTLS")
        if reply.code != 220:
            raise EncryptionError(f"STARTTLS is answered with {reply.code}")
        if self._has_input():
            raise EncryptionError("the server spoke between STARTTLS and TLS")
        try:
            await self.writer.start_tls(
                context,
                server_hostname=self.settings.host.partition("%")[0],
                ssl_handshake_timeout=self.settings.connect_timeout_s,
            )
        except (OSError, TimeoutError) as error:
            raise EncryptionError(f"TLS fails: {error}") from error
        self.reader._transport = self.writer.transport  # type: ignore[attr-defined]
        if self._has_input():
            raise EncryptionError("the server spoke between STARTTLS and TLS")

    @property
    def tls_version(self) -> str:
        """The version of TLS that is spoken, ``""`` where none is."""
        secured = self.writer.get_extra_info("ssl_object")
        return (secured.version() or "") if secured is not None else ""

    async def command(self, line: str, timeout_s: float | None = None) -> Reply:
        """Send a command and return its reply. Raises ``ConversationError``."""
        return (await self.commands([line], timeout_s))[0]

    async def commands(self, lines: Sequence[str], timeout_s: float | None = None) -> list[Reply]:
        """Send commands, at once where that is offered, and return their replies. Raises ``ConversationError``."""
        if any(c in line for line in lines for c in "\r\n\x00"):
            raise ConversationError("a command is one line")
        if "PIPELINING" not in self.extensions:
            async with self._turn:
                return [await self._exchange(line, timeout_s) for line in lines]
        self._announce(len(lines))
        await self.write(b"".join(line.encode("utf-8") + b"\r\n" for line in lines))
        async with self._turn:
            return [await self._reply_to(line, timeout_s) for line in lines]

    async def _exchange(self, line: str, timeout_s: float | None) -> Reply:
        self._announce(1)
        await self.write(line.encode("utf-8") + b"\r\n")
        return await self._reply_to(line, timeout_s)

    def _announce(self, replies: int) -> None:
        """Expect so many replies more; what has come unasked is the reply to nothing."""
        if self._is_broken or (not self._unanswered and self._has_input()):
            self._is_broken = True
            raise ConversationError("the server spoke unasked")
        self._unanswered += replies

    async def _reply_to(self, line: str, timeout_s: float | None) -> Reply:
        reply = await self.read_reply(timeout_s)
        self._unanswered -= 1
        if 300 <= reply.code < 400 and line != "DATA":
            self._is_broken = True
            raise ConversationError("what came is no reply to this command")
        return reply

    async def send_message(self, raw: bytes) -> Reply | None:
        """Send a message up to and with its final dot, after DATA was answered with 354.

        A reply is there only where the server refused the message before its end; then the final dot has not
        been sent. Raises ``ConversationError``.
        """
        try:
            for piece in stuffed_pieces(raw):
                await self.write(piece)
                if self._has_input():
                    raise ConversationError("the server spoke in mid-message")
        except ConversationError:
            self._is_broken = True
            early = await self._early_reply()
            if early.code >= 400:
                return early
            raise
        self._unanswered += 1
        await self.write(end_of_data(raw))
        return None

    async def _early_reply(self) -> Reply:
        """Return what the server says in mid-message. Raises ``ConversationError``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EARLY_REPLY_S):
                while not self._has_input() and self.reader.exception() is None and not self.reader.at_eof():
                    await asyncio.sleep(EARLY_REPLY_S / 20)
        # A stream whose connection was reset gives nothing out any more, though the reply came before that.
        said = bytes(self.reader._buffer).decode("utf-8", "replace")  # type: ignore[attr-defined]
        lines = said.splitlines()
        if not said.endswith("\n") or lines[-1][3:4] == "-":
            raise ConversationError("no reply")
        return parse_reply(lines)

    async def read_verdict(self, *, is_last: bool) -> Reply:
        """Read a reply to a message: the only one, or with LMTP one for each recipient."""
        reply = await self.read_reply(self.settings.final_timeout_s)
        self._unanswered -= is_last
        if reply.is_positive and reply.code >= 300:
            self._is_broken = True
            raise ConversationError("what came is no reply to a message")
        return reply

    async def write(self, data: bytes) -> None:
        """Send bytes; they have to be taken in time. Raises ``ConversationError``."""
        try:
            self.writer.write(data)
            async with asyncio.timeout(self.settings.timeout_s):
                await self.writer.drain()
        except (OSError, TimeoutError) as error:
            self._is_broken = True
            raise ConversationError("connection lost while sending") from error

    async def read_reply(self, timeout_s: float | None = None) -> Reply:
        """Read a reply of one or more lines. Raises ``ConversationError``."""
        if self._is_broken:
            raise ConversationError("connection lost")
        try:
            async with asyncio.timeout(timeout_s or self.settings.timeout_s):
                return parse_reply(await self._read_lines())
        except BaseException as error:
            self._is_broken = True  # half a reply leaves its rest in the way of the next one
            if isinstance(
                error, (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
            ):
                raise ConversationError("no reply") from error
            raise

    async def _read_lines(self) -> list[str]:
        lines: list[str] = []
        while len(lines) < MAX_REPLY_LINES:
            line = await self.reader.readuntil(b"\n")
            lines.append(line.rstrip(b"\r\n").decode("utf-8", "replace"))
            if lines[-1][3:4] != "-":
                return lines
        raise ConversationError("endless reply")

    def _has_input(self) -> bool:
        return bool(self.reader._buffer)  # type: ignore[attr-defined]

    @property
    def is_usable(self) -> bool:
        """Tell whether the other side has neither hung up nor said something unasked, and owes no reply."""
        gone = self.reader.at_eof() or self.writer.is_closing()
        return not (gone or self._is_broken or self._unanswered or self._has_input())

    def close(self) -> None:
        """Hang up at once."""
        self.writer.close()

    async def quit(self) -> None:
        """Say goodbye, briefly."""
        with contextlib.suppress(ConversationError):
            await self.command("QUIT", 2.0)
        self.close()
