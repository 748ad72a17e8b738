"""Monitoring: whether this process can do its work, and the figures that are only looked up when they are asked for."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mailveil import __version__
from mailveil.adapters.instruments import PrometheusInstruments
from mailveil.adapters.spool import ObservationSpool
from mailveil.adapters.tracing import OtlpSpans, open_spans
from mailveil.app.sharing import DeliveryFigures
from mailveil.app.studying import count_unstudied
from mailveil.config import Settings
from mailveil.control.access import ANY_ORGANISATION, Permission
from mailveil.control.room import ControlRoom
from mailveil.control.tokens import authenticate
from mailveil.endpoints.web.monitoring import Monitoring, Readiness
from mailveil.ports import CopyStore, NextHop, UnavailableError

FRESH_S = 15.0  # probes come from many sides; the next hop is not asked more often
PATIENCE_S = 5.0
LEAST_FREE_BYTES = 50_000_000  # with less, what must be kept before mail goes on cannot be

WAITING_STATES = ("reserved", "released", "attempted")


@dataclass(slots=True)
class Monitor:
    """Knows what this process consists of, as far as others watch it. Filled while the process starts.

    ``problem`` tells what is wrong with the database, ``""`` where nothing is; ``needs_database`` is true of a process
    that is of no use without it, since it has no mail to take care of.
    """

    settings: Settings
    instruments: PrometheusInstruments
    copies: CopyStore | None = None
    spool: ObservationSpool | None = None
    next_hop: NextHop | None = None
    sharing: DeliveryFigures | None = None
    problem: Callable[[], str] | None = None
    needs_database: bool = False
    room: ControlRoom | None = None
    _hop_trouble: str = ""
    _hop_asked_at: float = -FRESH_S
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def readiness(self) -> Readiness:
        """Return whether this process can do its work, and what keeps it from that."""
        troubles = [await asyncio.to_thread(self._storage_trouble), await self._next_hop_trouble()]
        if self.needs_database and self.problem is not None:
            troubles.append(self.problem())
        found = tuple(each for each in troubles if each)
        return Readiness(not found, found)

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Return all figures and their media type."""
        level = self.instruments.level
        level(
            "storage_free_bytes", "Room in the storage directory.", await asyncio.to_thread(self._free_bytes)
        )
        if self.problem is not None:
            level("database_up", "Whether the database answers.", not self.problem())
        if self.spool is not None:
            used = await asyncio.to_thread(self.spool.used_bytes)
            level("spool_bytes", "Observations that wait for the database.", used)
            level("spool_dropped", "Observations lost since the start for want of room.", self.spool.dropped)
        if self.copies is not None:
            await self._count_copies(self.copies)
        if self.sharing is not None:
            self._count_shared(self.sharing)
        if self.room is not None:
            await self._count_unstudied(self.room)
        return self.instruments.render(accept)

    async def may_read(self, secret: str) -> bool:
        """Tell whether a token is good for the figures; where nobody can tell, it is not.

        They are those of all organisations together, and not for one of them alone.
        """
        if self.room is None:
            return False
        try:
            actor = await authenticate(self.room, secret)
        except UnavailableError:
            return False
        return actor is not None and actor.home == ANY_ORGANISATION and actor.may(Permission.HEALTH_READ)

    async def _count_copies(self, copies: CopyStore) -> None:
        try:
            counts = await copies.counts()
        except UnavailableError:
            return
        waiting = sum(counts.get(state, 0) for state in WAITING_STATES)
        self.instruments.level("fetches_waiting", "Downloads still to come.", waiting)
        self.instruments.level("copies_bytes", "What the copies take on disk.", counts.get("bytes", 0))

    def _count_shared(self, figures: DeliveryFigures) -> None:
        for kind, count in figures.waiting.items():
            self.instruments.level("shared_events_waiting", "Events still to be delivered.", count, kind=kind)
        for kind, count in figures.missed.items():
            words = "Events gone before destinations could be reached."
            self.instruments.level("shared_events_missed", words, count, kind=kind)
        for kind, count in figures.troubled.items():
            words = "Destinations that take nothing now."
            self.instruments.level("destinations_troubled", words, count, kind=kind)

    async def _count_unstudied(self, room: ControlRoom) -> None:
        try:
            waiting = await count_unstudied(room)
        except UnavailableError:
            return
        self.instruments.level("unstudied", "What waits to be studied, of all organisations.", waiting)

    def _free_bytes(self) -> int:
        try:
            found = os.statvfs(self.settings.directory)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize

    def _storage_trouble(self) -> str:
        if not os.access(self.settings.directory, os.W_OK | os.X_OK):
            return "storage: the directory cannot be written to"
        if self._free_bytes() < LEAST_FREE_BYTES:
            return "storage: the disk is full"
        return ""

    async def _next_hop_trouble(self) -> str:
        if self.next_hop is None:
            return ""
        async with self._asking:
            if time.monotonic() - self._hop_asked_at >= FRESH_S:
                try:
                    reply = await asyncio.wait_for(self.next_hop.check(), PATIENCE_S)
                    # What it says may name us or a person; its code says enough.
                    self._hop_trouble = "" if reply.is_positive else f"next hop: answers {reply.code}"
                except TimeoutError:
                    self._hop_trouble = "next hop: does not answer"
                self._hop_asked_at = time.monotonic()
        return self._hop_trouble


def build_instruments(settings: Settings) -> tuple[PrometheusInstruments, OtlpSpans | None]:
    """Return what counts, and what sends traces if that is wanted. Raises ``TracingError``."""
    telemetry = settings.telemetry
    spans = open_spans(telemetry.otlp_endpoint, telemetry.service_name) if telemetry.otlp_endpoint else None
    return PrometheusInstruments(spans), spans


def build_monitoring(monitor: Monitor) -> Monitoring:
    """Return what answers those who watch this process."""
    return Monitoring(
        __version__,
        monitor.readiness,
        monitor.render,
        monitor.settings.metrics.clients,
        monitor.may_read,
    )
