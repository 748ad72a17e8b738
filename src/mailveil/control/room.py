"""The room: everything that use cases need, in one place."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from mailveil.control.activitystores import ActivityStore, InfrastructureStore, StudyStore
from mailveil.control.feedstores import FeedReader, FeedStore
from mailveil.control.publishing import Publishers
from mailveil.control.sharedobjects import SharedObjectStore
from mailveil.control.sharingstores import SharingStore
from mailveil.control.stores import (
    AccountStore,
    AuditLog,
    FeedbackStore,
    ObservationStore,
    OrganisationStore,
    PolicyStore,
    RepeatStore,
)
from mailveil.core.observation import RecordSettings
from mailveil.ports import Clock, CopyStore, Engine, FetchRecord, Memory, OriginalReader


@dataclass(frozen=True, slots=True)
class ControlRoom:
    """What use cases work with; what comes after ``infrastructure`` is ``None`` in a process without it.

    ``privacy`` tells what records call people. ``replaying`` is held by whoever replays mail: one at a time, since
    new mail comes through the same process.
    """

    clock: Clock
    observations: ObservationStore
    organisations: OrganisationStore
    policies: PolicyStore
    accounts: AccountStore
    audit: AuditLog
    feedback: FeedbackStore
    repeats: RepeatStore
    activities: ActivityStore
    studies: StudyStore
    infrastructure: InfrastructureStore
    engine: Engine | None = None
    copies: CopyStore | None = None
    memory: Memory | None = None
    fetches: FetchRecord | None = None
    originals: OriginalReader | None = None
    sharing: SharingStore | None = None
    publishers: Publishers | None = None  # also ``None`` where sharing is switched off
    shared: SharedObjectStore | None = None
    feeds: FeedStore | None = None
    feed_reader: FeedReader | None = None  # also ``None`` where sharing is switched off
    privacy: RecordSettings = field(default_factory=RecordSettings)
    replaying: asyncio.Lock = field(default_factory=asyncio.Lock, compare=False, repr=False)
