"""Inspecting: a message that somebody brings is examined as mail is, in the workers, and nobody is contacted for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from mailveil.control.access import Actor, Permission
from mailveil.control.failures import BusyError
from mailveil.control.room import ControlRoom
from mailveil.ports import Engine, EngineError, Examination, UnavailableError


@dataclass(frozen=True, slots=True)
class InspectionDesk:
    """Bounds how many messages, and how many bytes of them, are examined at once. One for a process.

    Nothing waits in line here: a caller that is turned away still has its message and comes again.
    """

    max_messages: int = 4
    max_bytes: int = 128 * 1024 * 1024
    _under_way: list[int] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def place(self, size_bytes: int) -> AsyncIterator[None]:
        """Have a place for a message of that size around the block. Raises ``BusyError``."""
        taken = sum(self._under_way)
        if len(self._under_way) >= self.max_messages or (taken and taken + size_bytes > self.max_bytes):
            raise BusyError("other messages are being examined")
        self._under_way.append(size_bytes)
        try:
            yield
        finally:
            self._under_way.remove(size_bytes)


async def inspect_message(room: ControlRoom, actor: Actor, raw: bytes) -> Examination:
    """Return what ``scan --json`` reports of a message.

    Raises ``UnavailableError`` where no message can be examined now, ``EngineError`` where this one cannot.
    """
    actor.require(Permission.INSPECT)
    return await _examine(room, raw, clean=False)


async def clean_message(room: ControlRoom, actor: Actor, raw: bytes) -> Examination:
    """Return a message made silent, with placeholders in the places of all copies.

    Raises ``UnavailableError`` where no message can be examined now, ``EngineError`` where this one cannot.
    """
    actor.require(Permission.INSPECT)
    return await _examine(room, raw, clean=True)


async def _examine(room: ControlRoom, raw: bytes, *, clean: bool) -> Examination:
    engine: Engine | None = room.engine
    if engine is None:
        raise UnavailableError("this process has no workers")
    # Shielded: whoever hangs up leaves a message under way, whose place is taken until it is done.
    task = asyncio.ensure_future(engine.examine(raw, clean=clean))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(EngineError, UnavailableError):
            await task
        raise
