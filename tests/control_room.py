"""A room for use cases: a complete ``ControlRoom`` over a fresh database, a clock to set, and people to act."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from postgres_room import DatabasePlace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mailveil.adapters.database.engine import Database
    from mailveil.control.access import Actor, Permission, Role
    from mailveil.control.records import AuditEntry, Organisation, User
    from mailveil.control.room import ControlRoom

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC
SECOND_FACTORS_KEY = bytes(range(32))
SHARING_KEY = bytes(range(100, 132))


@dataclass
class SetClock:
    """A clock that stands until it is set (``ports.Clock``)."""

    moment: float = NOW

    def now(self) -> float:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += seconds


@dataclass
class ControlRoomForTests:
    """A control room with its database and clock. Everything asynchronous runs in the event loop of the test."""

    room: ControlRoom
    database: Database
    clock: SetClock = field(default_factory=SetClock)

    async def organisation(
        self, identifier: str = "acme", domains: Sequence[str] = (), language: str = "en"
    ) -> Organisation:
        """Make an organisation."""
        from mailveil.control.records import Organisation

        made = Organisation(identifier, identifier.title(), tuple(domains), language, self.clock.now())
        await self.room.organisations.put(made)
        return made

    async def user(
        self,
        name: str,
        role: Role | str = "administrator",
        home: str = "default",
        *,
        password_hash: str = "",
        totp_secret: str = "",
    ) -> User:
        """Make a user."""
        from mailveil.control.access import Role
        from mailveil.control.identifiers import new_identifier
        from mailveil.control.records import User

        made = User(
            identifier=new_identifier(self.clock.now()),
            name=name,
            home=home,
            role=Role(role),
            display_name=name.title(),
            password_hash=password_hash,
            totp_secret=totp_secret,
            created_at=self.clock.now(),
        )
        await self.room.accounts.put_user(made)
        return made

    async def audit_trail(self, organisation: str = "default", action: str = "") -> Sequence[AuditEntry]:
        """Return the latest entries of an organisation, newest first."""
        from mailveil.control.records import MAX_PAGE, Cut

        return (await self.room.audit.entries(organisation, Cut(MAX_PAGE), action=action)).items


async def fill_activities(room: ControlRoomForTests, organisation: str) -> None:
    """Study what is stored, with some of every kind of record as what came of it."""
    from mailveil.control.activityrecords import ActivityFile, ActivityNote
    from mailveil.control.activitystores import Studied
    from mailveil.control.telling import activity_event, alert_event
    from mailveil.core.intelligence import types
    from mailveil.core.observation import Observation
    from mailveil.core.sharing.types import EventKind

    stores, now = room.room, room.clock.now()
    await _fill_what_is_known(room, organisation)
    waiting = await stores.studies.unstudied(organisation, 3)
    probes = tuple(
        types.Probe(each.at, each.identifier, each.recipients[0], "news.example", ("open",))
        for each in waiting.subjects
        if isinstance(each, Observation)
    )
    reader = probes[0].person
    activity = types.Activity(
        f"{organisation}-activity",
        organisation,
        "news.example",
        now - 3600.0,
        now,
        score=0.8,
        risk="high",
        reasons=(types.Reason("FIRST_SEEN", 1.5, "«news.example» was never seen before"),),
        targets=(types.Target(reader, now - 3600.0, now, 2, "finance", True),),
        probes=probes,
        total_messages=2,
        total_probes=2,
        total_people=1,
    )
    campaign = types.Campaign(
        f"{organisation}-campaign", organisation, "news.example", "https://t.example/*", now - 3600.0, now
    )
    alert = types.Alert(
        f"{organisation}-alert", organisation, now, types.AlertKind.RECONNAISSANCE,
        activity.identifier, probes[0].message, "somebody looks", 0.8, "news.example", (reader,),
    )  # fmt: skip
    studied = Studied(
        waiting.subjects, {"sender news.example": {"people": [reader]}}, now, waiting.generation,
        activities=(activity,), campaigns=(campaign,), alerts=(alert,), outbox=(alert_event(alert, now),),
    )  # fmt: skip
    await stores.studies.write(organisation, studied)
    file = ActivityFile(
        activity, now, types.AnalystVerdict.CONFIRMED, "änna", now, acknowledged_by="bea", acknowledged_at=now
    )
    decision = types.Decision(
        f"{organisation}-decision", organisation, now, activity.identifier, types.AnalystVerdict.CONFIRMED
    )
    await stores.activities.put_decisions(
        file, [activity_event(file, now, EventKind.ACTIVITY_DECIDED)], decision
    )
    note = ActivityNote(f"{organisation}-note", organisation, activity.identifier, now, "änna", "seen \0 «»")
    await stores.activities.add_note(note)
    await stores.activities.mark(organisation, types.MarkedPerson(reader, "finance", True), "änna", now)
    await stores.studies.lease(f"studying {organisation}", "somebody", now, now + 60)


async def _fill_what_is_known(room: ControlRoomForTests, organisation: str) -> None:
    """Write down what is known of a host, and what others shared and get."""
    from mailveil.adapters.database import tables
    from mailveil.adapters.database.infrastructure import SqlInfrastructureStore
    from mailveil.control.records import Cut, MessageQuery
    from mailveil.core.intelligence.types import InfrastructureFacts

    now = room.clock.now()
    host = {"host": "t.example", "at": now, "found_at": 0.0, "identifier": "", "record": {}}
    feed = {
        "identifier": f"{organisation}-f", "name": "CERT", "kind": "taxii", "address": "https://cert.example/",
        "options": {}, "secret": "", "is_enabled": True, "created_by": "änna", "created_at": now,
        "position": "", "read_at": now, "next_read_at": now + 60, "problem": "",
        "attempts": 0, "figures": {"taken": 1},
    }  # fmt: skip
    indicator = {
        "feed": f"{organisation}-f", "identifier": "indicator--2", "kind": "domain", "value": "spy.example",
        "confidence": 0.7, "valid_from": now, "valid_until": 0.0, "record": {"name": "spy"},
    }  # fmt: skip
    seen = (await room.room.observations.messages(organisation, MessageQuery(), Cut())).items
    revision = {
        "identifier": f"{organisation}-r", "message": seen[0].identifier, "number": 1, "at": now,
        "record": {"before": {}, "after": {"k": {"finding": "content"}}},
    }  # fmt: skip
    rows = (
        (tables.revisions, revision),
        (tables.infrastructure, host),
        (tables.feeds, feed),
        (tables.indicators, indicator),
    )
    async with room.database.write() as connection:
        for table, row in rows:
            await connection.execute(table.insert().values(row | {"organisation": organisation}))
    facts = InfrastructureFacts("t.example", name_servers=("ns.t.example",))
    await SqlInfrastructureStore(room.database).found(organisation, {"t.example": facts}, now - 7200.5)


async def fill(room: ControlRoomForTests) -> None:
    """Write some of every kind of record, for two organisations, with text from everywhere in it."""
    from mailveil.control import records
    from mailveil.control.access import Role
    from mailveil.core.observation import Observation, ObservedReference, observation_identifier

    stores, now = room.room, room.clock.now()
    anna = await room.user("änna", home="*", password_hash="$argon2id$v=19$x", totp_secret="GEZDGNBVGY3TQOJQ")
    for name in ("default", "acme"):
        await room.organisation(name, (f"{name}.example",), "ja")
        seen = []
        for number in range(3):
            log_identifier, at = f"log-{name}-{number}", now - 3600.0 * number
            reference = ObservedReference(
                url=f"https://t.example/{number}?e=читатель",
                template="https://t.example/*?e=*",
                host="t.example",
                domain="t.example",
                vector="img-src",
                finding="tracker",
                action="blank",
                kind="open",
                score=0.9,
                risk="high",
                operator="Opens 'R' Us",
                signals=("PIXEL_1X1",),
                reasons=("one pixel wide",),
            )
            observation = Observation(
                identifier=observation_identifier(at, log_identifier, name),
                organisation=name,
                at=at,
                log_identifier=log_identifier,
                sender="bounce@news.example",
                author="news@news.example",
                sender_domain="news.example",
                recipients=(f"reader{number}@{name}.example",),
                subject=f"Größe «{number}» 測試 \U0001f600",
                size_bytes=5_000_000_000,
                reply_code=250,
                changed=True,
                risk="high",
                total_references=1,
                total_trackers=1,
                references=(reference,),
            )
            seen.append(observation)
        await stores.observations.add(seen)
        await fill_activities(room, name)
        first = seen[0].identifier
        for version in (1, 2):
            document = {
                "level": "strict",
                "rules": [{"id": "a", "score": 0.1 + version, "on": True, "x": None}],
            }
            await stores.policies.put(records.PolicyVersion(name, version, document, now, "änna", "why"))
        await stores.policies.allow(
            records.AllowRecord(
                f"{name}-1", name, ".p.example", (".c.example",), "bea", "r", "änna", now, now + 9
            )
        )
        await stores.accounts.put_token(
            records.Token(
                f"{name}-t", name, "n", f"digest-{name}", "mv_", ("inspect",), "änna", now, now + 99
            )
        )
        await stores.audit.write(
            records.AuditEntry(f"{name}-a", now, name, "user", "änna", "x.y", "s", {"n": 1, "t": "é"}, "::1")
        )
        await stores.feedback.report(
            records.Feedback(f"{name}-f", name, now, records.FeedbackKind.MISSED, first, "line\r\nline \0")
        )
        await stores.feedback.grant(
            records.ReleaseGrant(f"{name}-g", name, first, "original", "asked", "änna", now, now + 99)
        )
        await _fill_sharing(room, name)
        assert stores.shared is not None
        item = {
            "id": f"indicator--{name}",
            "type": "indicator",
            "modified": "2027-01-15T08:00:00.000Z",
            "name": "é",
        }
        await stores.shared.add(name, "activities", [item], f"{name}-activity")
    await stores.accounts.put_session(
        records.Session("session", anna.identifier, "default", now, now, now + 99, csrf="c")
    )
    await stores.accounts.use_step(anna.identifier, 60_000_000)
    await stores.accounts.put_link(
        records.OneTimeLink("link", "invitation", "bob", "acme", Role.VIEWER, "änna", now + 99)
    )
    await stores.accounts.note_failure("name:x", now)
    await stores.repeats.begin("anna", "key", "fingerprint", now)


async def _fill_sharing(room: ControlRoomForTests, organisation: str) -> None:
    """Write a destination with a dead letter, and what goes to it."""
    from mailveil.control.activityrecords import OutboxEntry
    from mailveil.control.sharingrecords import DeadLetter, Destination, DestinationKind

    now, store = room.clock.now(), room.room.sharing
    assert store is not None
    destination = Destination(
        identifier=f"{organisation}-d",
        organisation=organisation,
        name="Größe",
        kind=DestinationKind.SPLUNK,
        address="https://siem.example:8088",
        format="ecs",
        events=("activity.opened",),
        options={"index": "mail"},
        secret=f"secret of {organisation}",
        created_by="änna",
        created_at=now,
        changed_at=now,
    )
    await store.put_destination(destination)
    record = {"words": "Größe «測試»", "score": 0.5}
    entries = [
        OutboxEntry(organisation, f"{organisation}-e{each}", now + each, "alert.raised", f"s{each}", record)
        for each in range(3)
    ]
    await store.append(entries)
    letter = DeadLetter(
        destination.identifier, organisation, 1, now, now + 1, "alert.raised", "s0", "refused «é»", record,
        f"{organisation}-e0",
    )  # fmt: skip
    await store.bury(destination, letter)
    await store.lease(f"lease of {organisation}", "holder", now, now + 60)


def actor(
    role: Role | str = "administrator",
    organisation: str = "default",
    *,
    home: str = "",
    name: str = "anna",
    permissions: Sequence[Permission] | None = None,
) -> Actor:
    """Return somebody signed in: ``home`` is the organisation acted in unless said otherwise."""
    from mailveil.control.access import PERMISSIONS, Actor, ActorKind, Role

    given = PERMISSIONS[Role(role)] if permissions is None else frozenset(permissions)
    return Actor(ActorKind.USER, f"user-{name}", name, organisation, home or organisation, given, "192.0.2.7")


@asynccontextmanager
async def opened_room(place: DatabasePlace) -> AsyncIterator[ControlRoomForTests]:
    """Open a control room over a database of the test's own, with the organisation ``default``."""
    async with place.opened() as database:
        made = _made(database)
        await made.room.organisations.make_default(made.clock.now())
        yield made


def _made(database: Database) -> ControlRoomForTests:
    from mailveil.adapters.database.accounts import SqlAccountStore
    from mailveil.adapters.database.activities import SqlActivityStore
    from mailveil.adapters.database.audit import SqlAuditLog
    from mailveil.adapters.database.collections import SqlSharedObjectStore
    from mailveil.adapters.database.feedback import SqlFeedbackStore
    from mailveil.adapters.database.feeds import SqlFeedStore
    from mailveil.adapters.database.infrastructure import SqlInfrastructureStore
    from mailveil.adapters.database.observations import SqlObservationStore
    from mailveil.adapters.database.organisations import SqlOrganisationStore
    from mailveil.adapters.database.policies import SqlPolicyStore
    from mailveil.adapters.database.repeats import SqlRepeatStore
    from mailveil.adapters.database.secondfactors import SecondFactorSealer
    from mailveil.adapters.database.sharing import SqlSharingStore
    from mailveil.adapters.database.sharingsecrets import SharingSealer
    from mailveil.adapters.database.studying import SqlStudyStore
    from mailveil.control.room import ControlRoom

    clock = SetClock()
    room = ControlRoom(
        clock=clock,
        observations=SqlObservationStore(database),
        organisations=SqlOrganisationStore(database),
        policies=SqlPolicyStore(database, clock),
        accounts=SqlAccountStore(database, SecondFactorSealer(SECOND_FACTORS_KEY)),
        audit=SqlAuditLog(database),
        feedback=SqlFeedbackStore(database),
        repeats=SqlRepeatStore(database),
        feeds=SqlFeedStore(database, SharingSealer(SHARING_KEY)),
        sharing=SqlSharingStore(database, SharingSealer(SHARING_KEY)),
        shared=SqlSharedObjectStore(database, clock),
        activities=SqlActivityStore(database),
        studies=SqlStudyStore(database),
        infrastructure=SqlInfrastructureStore(database),
    )
    return ControlRoomForTests(room, database, clock)


@pytest.fixture
def control_room(sqlite_database: DatabasePlace) -> Iterator[ControlRoomForTests]:
    """A control room over SQLite, with the organisation ``default``.

    Its coroutines may be run with ``asyncio.run``, and by a test client in a thread of its own.
    """
    from mailveil.adapters.database.engine import Database, database_url

    made = _made(Database(database_url(sqlite_database.address, Path("/nonexistent"))))
    asyncio.run(made.room.organisations.make_default(made.clock.now()))
    yield made
    asyncio.run(made.database.close())
