"""Setup: a sender, mailveil's SMTP door with its engine, rules and known actors, and a next hop; two organisations.

Test: whoever spied on readers before is known again when it writes without any tracker, and readers are told; those of
another organisation are not; nor is anybody once an analyst found the activity benign or a rule says so; and a database
that is away changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from activity_room import ACTOR, KeptActivities, activity_of_actor
from control_room import NOW, ControlRoomForTests, actor, opened_room
from mailveil.adapters.indicatorsource import IndicatorSource
from mailveil.adapters.originals import OriginalKeeper, OriginalStore
from mailveil.adapters.policysource import PolicySource
from mailveil.adapters.watchlistsource import WatchlistSource
from mailveil.adapters.workers import WorkerPool
from mailveil.control.feedstores import FeedOutcome
from mailveil.control.policies import change_policy
from mailveil.control.sharingrecords import Feed, FeedKind, ImportedIndicator
from mailveil.core.intelligence.types import AnalystVerdict
from mailveil.core.observation import Observation
from mailveil.core.policy import parse_policy
from mailveil.core.protection import EngineSettings
from mailveil.gateway import Gateway
from mailveil.stages import Records
from postgres_room import DatabasePlace
from smtp_room import Room, smtp_room, without_trace

MET = "This sender was seen spying on readers here"
SINCE = "(first on 2027-01-09)"
PROBE = (
    f"From: Jane <jane@{ACTOR}>\r\nTo: reader@example.org\r\nMessage-ID: <probe@{ACTOR}>\r\nSubject: Hello\r\n"
    'Content-Type: text/html\r\n\r\n<p>Hi<img src="https://t.pixelhost-zwei.org/o/8a7b.gif?u=reader" width="1" '
    'height="1"></p>\r\n'
).encode()


def letter(sender: str = f"ceo@{ACTOR}", extra: str = "") -> bytes:
    return (
        f"From: The Boss <{sender}>\r\nTo: reader@example.org\r\nSubject: Urgent payment\r\n{extra}"
        "Content-Type: text/plain\r\n\r\nPlease pay this at once.\r\n"
    ).encode()


@dataclass
class KeptRecords:
    """An observation log in memory."""

    noted: list[Observation] = field(default_factory=list)

    def begin(self, observation: Observation) -> None:
        """Take no note of what is not over."""

    def note(self, observation: Observation) -> None:
        self.noted.append(observation)


@dataclass
class Met:
    smtp: Room
    rules: PolicySource
    watch: WatchlistSource
    indicators: IndicatorSource
    store: KeptActivities
    control: ControlRoomForTests
    records: KeptRecords

    async def send(self, raw: bytes, *recipients: str) -> bytes:
        async with self.smtp.client() as client:
            assert (await client.send(raw, *recipients)).startswith("250")
        return without_trace(self.smtp.hop.wires[-1])

    @property
    def last(self) -> Observation:
        return self.records.noted[-1]


@asynccontextmanager
async def met(place: DatabasePlace, folder: Path, *, splits: bool = True) -> AsyncIterator[Met]:
    async with opened_room(place) as control:
        await control.organisation("acme", ["acme.example"])
        store, records, room = KeptActivities(), KeptRecords(), control.room
        rules = PolicySource(room.organisations, room.policies, folder / "policy.json")
        watch = WatchlistSource(room.organisations, store, control.clock, folder / "watchlist.json")  # type: ignore[arg-type]
        await rules.refresh()
        await watch.refresh()
        assert room.feeds is not None
        indicators = IndicatorSource(
            room.organisations, room.feeds, control.clock, folder / "indicators.json"
        )
        await indicators.refresh()
        with WorkerPool(EngineSettings(banner_key=b"k" * 32)) as engine:
            gateway = Gateway(
                engine=engine,
                originals=OriginalKeeper(OriginalStore(folder / "originals", b"o" * 32)),
                clock=control.clock,
                records=Records(records, rules),
                policies=rules,
                watch=watch,
                indicators=indicators,
            )
            async with smtp_room(accept=gateway.accept, profile=rules.profile if splits else None) as smtp:
                yield Met(smtp, rules, watch, indicators, store, control, records)
            await gateway.finish()


def test_a_follow_up_without_a_tracker_is_known_by_its_probe(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        async with met(sqlite_database, tmp_path) as here:
            probed = await here.send(PROBE)
            assert b"pixelhost-zwei.org" not in probed
            assert MET.encode() not in probed
            assert await here.send(letter()) == letter(), "nobody was met before"
            assert "known_by" not in here.last.header

            here.store.put(activity_of_actor())
            await here.watch.refresh()
            warned = (await here.send(letter())).decode()
            words = " ".join(warned.split())
            assert MET in words
            assert SINCE in words
            assert "Warning: be careful with this message" in words
            assert "tracker" not in words
            for line in letter().decode().splitlines():
                assert line in warned
            record = here.last
            assert record.header["known_by"] == "sender-domain"
            assert record.header["recognised"] == "a1"
            assert ACTOR in record.header["recognised_why"]
            assert (record.risk, record.banner, record.changed) == ("high", True, True)

            again = " ".join((await here.send(PROBE)).decode().split())
            assert MET in again
            assert "A tracker in this message was stopped" in again

            here.store.decide("a1", AnalystVerdict.BENIGN)
            await here.watch.refresh()
            assert await here.send(letter()) == letter()
            assert "known_by" not in here.last.header

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("raw", "known_by", "words"),
    [
        (
            letter("ceo@fabrikam-invoices.com"),
            "look-alike",
            "looks like one from which readers here were spied on",
        ),
        (letter("ceo@other.example", f"Reply-To: x@{ACTOR}\r\n"), "reply-domain", "has to do with a sender"),
        (PROBE.replace(ACTOR.encode(), b"other.example"), "infrastructure", "has to do with a sender"),
    ],
)
def test_other_signs_are_told_in_other_words(
    sqlite_database: DatabasePlace, tmp_path: Path, raw: bytes, known_by: str, words: str
) -> None:
    async def steps() -> None:
        async with met(sqlite_database, tmp_path) as here:
            here.store.put(activity_of_actor())
            await here.watch.refresh()
            told = " ".join((await here.send(raw)).decode().split())
            assert words in told
            assert here.last.header["known_by"] == known_by

    asyncio.run(steps())


@pytest.mark.parametrize(
    "raw",
    [
        letter().replace(f"<ceo@{ACTOR}>".encode(), f"<ceo@{ACTOR}> (ceo@example.org)".encode()),
        letter().replace(f"<ceo@{ACTOR}>".encode(), f"<ceo@{ACTOR.upper()}.>".encode()),
        letter().replace(
            f"<ceo@{ACTOR}>".encode(), f"<ceo@mail.{ACTOR}>\r\n ({'x' * 900}\r\n {'y' * 900})".encode()
        ),
        letter(extra="References: " + "\r\n ".join(f"<{each}@x.example>" for each in range(5_000)) + "\r\n"),
        letter(extra=f"References: {'<' * 900}\r\nIn-Reply-To: {'>' * 900}\r\nReply-To: {'@' * 900}\r\n"),
        letter("x@other.example", f"Reply-To: Boss <a@{ACTOR}> (b@example.org)\r\n"),
    ],
    ids=["comment", "case", "padding", "references", "signs", "reply"],
)
def test_nobody_escapes_by_how_a_header_is_written(
    sqlite_database: DatabasePlace, tmp_path: Path, raw: bytes
) -> None:
    async def steps() -> None:
        async with met(sqlite_database, tmp_path) as here:
            here.store.put(activity_of_actor())
            await here.watch.refresh()
            sent = await here.send(raw)
            assert here.last.header["known_by"] in ("sender-domain", "reply-domain")
            assert b"Please pay this at once.\r\n" in sent
            assert b"Warning" in sent
            assert sent.startswith(raw[: raw.index(b"\r\n")]), "what was written stays as it was"

    asyncio.run(steps())


def test_who_only_forged_a_sender_is_told_in_such_words(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        async with met(sqlite_database, tmp_path) as here:
            here.store.put(replace(activity_of_actor(), claimed_domains=(ACTOR,)))
            await here.watch.refresh()
            await here.send(letter())
            assert here.last.header["recognised_why"].startswith("mail claimed to come from")
            assert await here.send(letter("x@other.example", f"Reply-To: a@{ACTOR}\r\n")) == letter(
                "x@other.example", f"Reply-To: a@{ACTOR}\r\n"
            ), "nobody is known by naming whom an actor only claimed to be"

    asyncio.run(steps())


def test_a_database_that_is_away_makes_nobody_forgotten(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        async with met(sqlite_database, tmp_path) as here:
            here.store.put(activity_of_actor())
            await here.watch.refresh()
            here.store.is_away = True
            assert not await here.watch.refresh()
            assert MET.encode() in await here.send(letter())

    asyncio.run(steps())


def test_organisations_learn_nothing_of_each_other(sqlite_database: DatabasePlace, tmp_path: Path) -> None:
    async def steps() -> None:
        async with met(sqlite_database, tmp_path) as here:
            here.store.put(activity_of_actor(organisation="acme"))
            await here.watch.refresh()
            assert await here.send(letter(), "reader@example.org") == letter()
            assert "known_by" not in here.last.header
            assert MET.encode() in await here.send(letter(), "reader@acme.example")
            assert here.last.organisation == "acme"

    asyncio.run(steps())


def test_one_message_for_several_organisations_tells_only_what_each_knows(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    """As through a milter, which cannot have a message sent again for some of its recipients."""

    async def steps() -> None:
        async with met(sqlite_database, tmp_path, splits=False) as here:
            here.store.put(activity_of_actor(organisation="acme"))
            await here.watch.refresh()
            both = await here.send(letter(), "reader@acme.example", "reader@example.org")
            assert both == letter(), "one message for both tells neither of the other"
            records = {each.organisation: each for each in here.records.noted[-2:]}
            assert "known_by" in records["acme"].header
            assert "known_by" not in records["default"].header

            here.store.put(activity_of_actor("b1"))
            await here.watch.refresh()
            words = " ".join(
                (await here.send(letter(), "reader@acme.example", "reader@example.org")).decode().split()
            )
            assert MET in words
            assert "(first on" not in words

    asyncio.run(steps())


def test_a_rule_may_have_readers_told_nothing(sqlite_database: DatabasePlace, tmp_path: Path) -> None:
    async def steps() -> None:
        async with met(sqlite_database, tmp_path) as here:
            here.store.put(activity_of_actor())
            await here.watch.refresh()
            silent = parse_policy("[[rules]]\nid = 'quiet'\nthen = { recognise = false }")
            await change_policy(here.control.room, actor(), silent, based_on=0)
            await here.rules.refresh()
            assert await here.send(letter()) == letter()
            assert here.last.header["known_by"] == "sender-domain", "it is on record all the same"
            assert here.last.at <= NOW

    asyncio.run(steps())


async def tell(here: Met, *told: tuple[str, str], organisation: str = "default") -> None:
    """Have a feed of an organisation tell of kinds and values."""
    store = here.control.room.feeds
    assert store is not None
    feed = Feed(f"{organisation}-f", organisation, "CERT", FeedKind.MISP, "https://cert.example/")
    await store.put_feed(feed)
    indicators = tuple(ImportedIndicator(feed.identifier, "e1", *each) for each in told)
    assert await store.took(feed, FeedOutcome({"e1": indicators}, "1", NOW, NOW + 60))
    assert await here.indicators.refresh()


def test_what_others_told_is_used_by_the_judge_with_its_origin(
    sqlite_database: DatabasePlace, tmp_path: Path
) -> None:
    async def steps() -> None:
        async with met(sqlite_database, tmp_path) as here:
            picture = PROBE.replace(b'width="1" height="1"', b'width="300" height="200"')
            await here.send(picture)
            before = here.last.references[0]
            assert "LISTED" not in before.signals
            await tell(here, ("domain", "pixelhost-zwei.org"))
            await here.send(picture)
            after = here.last.references[0]
            assert "LISTED" in after.signals
            assert after.score > before.score
            assert "pixelhost-zwei.org is listed as an indicator by CERT" in after.reasons
            assert "known_by" not in here.last.header, "what it refers to says nothing of who wrote it"
            await here.send(picture, "reader@acme.example")
            assert "LISTED" not in here.last.references[0].signals, "another organisation was told nothing"

            here.control.database.refusal = "the database is away"
            assert not await here.indicators.refresh()
            await here.send(picture)
            assert "LISTED" in here.last.references[0].signals

    asyncio.run(steps())


def test_a_sender_of_whom_others_told_gets_a_banner(sqlite_database: DatabasePlace, tmp_path: Path) -> None:
    async def steps() -> None:
        async with met(sqlite_database, tmp_path) as here:
            await tell(here, ("domain", ACTOR), organisation="acme")
            assert await here.send(letter()) == letter()
            words = " ".join((await here.send(letter(), "reader@acme.example")).decode().split())
            assert "Others have warned us of this sender." in words
            record = here.last.header
            assert (record["known_by"], "recognised" in record) == ("indicator", False)
            assert record["recognised_why"] == f"{ACTOR} is listed as an indicator by CERT"

            here.store.put(activity_of_actor(organisation="acme"))
            await here.watch.refresh()
            assert MET.encode() in await here.send(letter(), "reader@acme.example"), "what we saw says more"

    asyncio.run(steps())
