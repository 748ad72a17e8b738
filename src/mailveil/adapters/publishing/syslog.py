"""Syslog: messages by UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425).

Syslog acknowledges nothing. By TCP and TLS what was sent counts as delivered once the machine at the other end has
confirmed every byte of it and not hung up on it; by UDP once it was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import ssl
import struct
import termios
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mailveil.adapters.outgoing import OutgoingClient, OutgoingError
from mailveil.adapters.publishing.answers import unreached
from mailveil.core.sharing.syslog import SyslogHeader, encode_syslog
from mailveil.core.sharing.types import SharedEvent
from mailveil.ports import DeliveryError

DEFAULT_BYTES: Final = {"udp": 2048, "tcp": 8192, "tls": 8192}  # what receivers take as a rule
MAX_DATAGRAM: Final = 65_507  # what fits into one (RFC 768, RFC 791)
CONFIRM_S: Final = 20.0
_LOOK_AGAIN_S: Final = 0.01
HANG_UP_S: Final = 0.3  # whoever does not want what came hangs up within this


@dataclass(frozen=True, slots=True)
class SyslogPlace:
    """Where messages go, and how: ``transport`` is ``udp``, ``tcp`` or ``tls``."""

    transport: str
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    is_counted: bool = True  # RFC 6587 section 3.4.1; else each message ends with a line feed (section 3.4.2)
    max_bytes: int = 0


class SyslogPublisher:
    """Sends events as syslog messages (``ports.Publisher``)."""

    def __init__(
        self,
        client: OutgoingClient,
        place: SyslogPlace,
        header: SyslogHeader,
        encode: Callable[[SharedEvent], str],
    ) -> None:
        """``encode`` makes the text of a message, on one line."""
        self._client = client
        self._place = place
        self._header = header
        self._encode = encode
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def publish(self, events: Sequence[SharedEvent]) -> None:
        """Send events in order. Raises ``DeliveryError``."""
        place = self._place
        most = place.max_bytes or DEFAULT_BYTES[place.transport]
        if place.transport == "udp":
            most = min(most, MAX_DATAGRAM)
        messages = await asyncio.to_thread(self._encoded, events, most)
        try:
            if place.transport == "udp":
                await self._send_datagrams(messages)
            else:
                await self._send_stream(messages)
        except OutgoingError as error:
            raise unreached(error) from error
        except OSError as error:
            await self._hang_up()
            raise DeliveryError(f"the connection broke: {error.strerror or type(error).__name__}") from error

    def _encoded(self, events: Sequence[SharedEvent], most: int) -> list[bytes]:
        return [encode_syslog(each, self._header, self._encode, most) for each in events]

    async def close(self) -> None:
        """Let go of the connection."""
        await self._hang_up()
        await self._client.close()

    # --- UDP -----------------------------------------------------------------------------------------------

    async def _send_datagrams(self, messages: Sequence[bytes]) -> None:
        place, loop = self._place, asyncio.get_running_loop()
        address = (await self._client.resolve(place.host, place.port, socket.SOCK_DGRAM))[0]
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as talking:
            talking.setblocking(False)
            await loop.sock_connect(talking, (str(address), place.port))
            for each in messages:
                await loop.sock_sendall(talking, each)  # a port that is closed is told with the next one

    # --- TCP and TLS ---------------------------------------------------------------------------------------

    async def _send_stream(self, messages: Sequence[bytes]) -> None:
        reader, writer = await self._connected()
        framed = self._counted if self._place.is_counted else self._ended
        for each in messages:
            writer.write(framed(each))
            await writer.drain()
        await self._confirm(reader, writer)

    @staticmethod
    def _counted(message: bytes) -> bytes:
        return b"%d %b" % (len(message), message)

    @staticmethod
    def _ended(message: bytes) -> bytes:
        return message + b"\n"  # there is none in it

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._stream is not None and _is_over(*self._stream):
            await self._hang_up()
        if self._stream is None:
            place = self._place
            self._stream = await self._client.connect(place.host, place.port, tls=place.tls)
        return self._stream

    async def _confirm(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wait until the other machine has confirmed all that was sent."""
        try:
            async with asyncio.timeout(CONFIRM_S):
                while not _is_over(reader, writer) and (
                    writer.transport.get_write_buffer_size() or _unconfirmed(writer)
                ):
                    await asyncio.sleep(_LOOK_AGAIN_S)
                for _ in range(round(HANG_UP_S / _LOOK_AGAIN_S)):
                    if _is_over(reader, writer):
                        break
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError as error:
            await self._hang_up()
            raise DeliveryError(f"not confirmed within {CONFIRM_S:g} seconds") from error
        if _is_over(reader, writer):
            await self._hang_up()
            raise DeliveryError("it hung up on us")

    async def _hang_up(self) -> None:
        if self._stream is None:
            return
        writer, self._stream = self._stream[1], None
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()


def _is_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Tell whether the other machine ended the connection: properly, or by a reset, which is no end of a stream."""
    return reader.at_eof() or reader.exception() is not None or writer.transport.is_closing()


def _unconfirmed(writer: asyncio.StreamWriter) -> int:
    """Return how many bytes the other machine has not confirmed yet (SIOCOUTQ of Linux)."""
    talking: Any = writer.get_extra_info("socket")
    raw = fcntl.ioctl(talking.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", raw)[0])


def tls_context(ca_pem: str, certificate_pem: str, key_pem: str) -> ssl.SSLContext:
    """Return how to make TLS: whom to believe (the system's authorities without any), and who we are, if told.

    Raises ``ssl.SSLError``.
    """
    context = ssl.create_default_context(cadata=ca_pem or None)
    if certificate_pem:
        # Only files are taken; this one is in memory and has no name.
        with os.fdopen(os.memfd_create("client", os.MFD_CLOEXEC), "w+") as file:
            file.write(f"{certificate_pem}\n{key_pem}\n")
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=_no_password)
    return context


def _no_password() -> str:
    """Answer for a key that asks for a password; else the terminal would be asked."""
    return ""
