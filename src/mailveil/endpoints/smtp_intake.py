"""Intake: the messages on their way in, their bytes counted, so that memory stays bounded whoever sends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from mailveil.core.message.transparency import END_OF_DATA
from mailveil.endpoints.smtp_replies import BUSY, TOO_LARGE
from mailveil.ports import Reply

# Where bytes are short, a message that has come in more slowly than this for so long gives way to others.
SLOW_BYTES_A_SECOND = 16_384
SLOW_AFTER_S = 30.0


class Intake:
    """What all doors of a process may hold together: bytes of messages, and messages being protected."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.taken_bytes = 0
        self.slots = asyncio.Semaphore(max_messages)
        self._arriving: set[Arrival] = set()

    @property
    def free_bytes(self) -> int:
        """How many bytes more may come in now."""
        return self.max_bytes - self.taken_bytes

    def begin(self, max_message_bytes: int, now: float) -> Arrival:
        """Begin a message; ``end`` it in any case. ``now`` is any clock that never goes back, in seconds."""
        arrival = Arrival(self, max_message_bytes, now)
        self._arriving.add(arrival)
        return arrival

    def claim(self, arrival: Arrival, count: int, now: float) -> bool:
        """Count bytes that a message has grown by; False where there is no room for them."""
        if count > self.free_bytes:
            for other in [each for each in self._arriving if each is not arrival and each.is_slow(now)]:
                other.refuse(BUSY)
        if count > self.free_bytes:
            return False
        self.taken_bytes += count
        return True

    def forget(self, arrival: Arrival) -> None:
        """Count a message as one that does not grow any more."""
        self._arriving.discard(arrival)


@dataclass(eq=False, slots=True)
class Arrival:
    """One message on its way in. Once refused it is read to its end all the same, and kept nowhere."""

    intake: Intake
    max_message_bytes: int
    started: float
    refusal: Reply | None = None
    # The line break that came before the message, so that a dot on its very first line is found like any other.
    _received: bytearray = field(default_factory=lambda: bytearray(b"\r\n"))
    _total: int = 0
    _counted: int = 0

    def feed(self, chunk: bytes, now: float) -> bytes | None:
        """Take what has come; once that holds the end of data, return what came after it."""
        seen = len(self._received)
        self._received += chunk
        self._total += len(chunk)
        at = self._received.find(END_OF_DATA, max(0, seen - len(END_OF_DATA) + 1))
        rest = None
        if at >= 0:
            rest = bytes(self._received[at + len(END_OF_DATA) :])
            self._total -= len(END_OF_DATA) - 2 + len(rest)
            # The CRLF before the final dot ends the message's last line, unless there is no line at all.
            del self._received[at + 2 :]
        size = len(self._received) - 2
        if self.refusal is None and size > self.max_message_bytes + (0 if at >= 0 else len(END_OF_DATA)):
            self.refuse(TOO_LARGE)
        self._count(size, now)
        if self.refusal is not None:
            del self._received[: -len(END_OF_DATA) + 1]
        if rest is not None:
            self.intake.forget(self)
        return rest

    def grow(self, size: int, now: float) -> bool:
        """Count a message that another keeps, now of ``size``; False where it has been refused instead."""
        self._total = size
        self._count(size, now)
        return self.refusal is None

    def _count(self, size: int, now: float) -> None:
        if self.refusal is None and size > self._counted:
            if self.intake.claim(self, size - self._counted, now):
                self._counted = size
            else:
                self.refuse(BUSY)

    def refuse(self, reply: Reply) -> None:
        """Let go of what has come, and keep nothing of what still comes."""
        if self.refusal is None:
            self.refusal = reply
            del self._received[: -len(END_OF_DATA) + 1]
            self._give_back()

    def take(self) -> bytes:
        """Return the message as it came over the wire; it stays counted until ``end``."""
        wire = bytes(memoryview(self._received)[2:])
        self._received = bytearray()
        return wire

    def is_slow(self, now: float) -> bool:
        """Tell whether it comes in so slowly that it may give way."""
        seconds = now - self.started
        return self.refusal is None and seconds > SLOW_AFTER_S and self._total < seconds * SLOW_BYTES_A_SECOND

    def end(self) -> None:
        """Count it no more."""
        self._received = bytearray()
        self._give_back()
        self.intake.forget(self)

    def _give_back(self) -> None:
        self.intake.taken_bytes -= self._counted
        self._counted = 0
