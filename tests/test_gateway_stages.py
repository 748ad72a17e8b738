"""The order of stages: what is promised to the sender holds whatever store, worker or database does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from mailveil.core.message.types import Defect
from mailveil.core.observation import Observation, ObservedReference
from mailveil.core.policy import Envelope
from mailveil.core.protection import EngineSettings, inspect
from mailveil.core.references.types import Media
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.gateway import Gateway
from mailveil.ports import (
    NOBODY,
    Protected,
    Reply,
    Requester,
    UnavailableError,
    WantedCopy,
)
from mailveil.stages import Records

RAW = b"Subject: x\r\n\r\noriginal"
WANTED = (WantedCopy("t", "https://o.example/x?who=anna@example.org", Media.IMAGE),)
FOUND = (
    ObservedReference(
        "https://o.example/x?who=anna@example.org",
        "",
        "",
        "",
        "img-src",
        "tracker",
        "copy",
        kind="pixel",
        score=0.9,
    ),
)
ENVELOPE = Envelope("News@Example.COM", ("anna@example.org",))


@dataclass
class World:
    """Every port at once; keeps a list of what was done in which order."""

    protected: Protected | Exception = field(
        default_factory=lambda: Protected(b"protected", WANTED, FOUND, ("nul",))
    )
    reply: Reply = field(default_factory=lambda: Reply(250, "2.0.0", "queued for <anna@example.org> as 7"))
    dead: tuple[str, ...] = ()
    done: list[str] = field(default_factory=list)
    noted: list[Observation] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    requesters: list[Requester] = field(default_factory=list)
    keeps_changed: bool = False

    def _do(self, what: str) -> None:
        self.done.append(what)
        if what in self.dead:
            raise UnavailableError(what)

    def now(self) -> float:
        return 5.0

    async def protect(
        self,
        raw: bytes,
        envelope: Envelope,
        copies: Mapping[str, EmbeddedCopy] | None = None,
        policy: object = None,
    ) -> Protected:
        self.done.append("protect")
        if isinstance(self.protected, Exception):
            raise self.protected
        return self.protected

    async def keep(self, raw: bytes, envelope: Envelope, reason: str = "", *, is_needed: bool = True) -> str:
        assert raw == RAW
        self._do("keep" if is_needed else "keep besides")
        return "name"

    async def reserve(self, wanted: Sequence[WantedCopy], requester: Requester = NOBODY) -> None:
        self.requesters.append(requester)
        self._do("reserve")

    async def release(
        self, wanted: Sequence[WantedCopy], *, after_s: float = 0.0, immediately: bool = False
    ) -> None:
        self._do("release")

    async def abandon(self, wanted: Sequence[WantedCopy]) -> None:
        self._do("abandon")

    async def deliver(self, raw: bytes) -> Reply:
        self._do("deliver")
        self.delivered.append(raw)
        return self.reply

    def begin(self, observation: Observation) -> None:
        assert not observation.delivered

    def note(self, observation: Observation) -> None:
        self.done.append("note")
        self.noted.append(observation)

    def accept(self) -> Reply:
        gateway = Gateway(
            engine=self,
            originals=self,
            clock=self,
            store=self,
            queue=self,
            records=Records(self),
            keeps_changed=self.keeps_changed,
        )
        return asyncio.run(gateway.accept(ENVELOPE, RAW, self, "id"))


def test_copies_are_reserved_before_and_released_after_delivery() -> None:
    world = World()
    assert world.accept() is world.reply
    assert world.done == ["protect", "reserve", "deliver", "release", "note"]
    assert world.delivered == [b"protected"]
    assert world.requesters == [Requester("id", "example.com", "example.org")]


@pytest.mark.parametrize(("code", "then"), [(550, ["abandon"]), (451, [])])
def test_a_refused_message_has_nothing_fetched(code: int, then: list[str]) -> None:
    world = World(reply=Reply(code, "", "no"))
    assert world.accept().code == code
    assert world.done == ["protect", "reserve", "deliver", *then, "note"]


@pytest.mark.parametrize("dead", ["reserve", "release"])
def test_a_dead_store_stops_no_mail(dead: str) -> None:
    world = World(dead=(dead,))
    assert world.accept().code == 250
    assert world.delivered == [b"protected"]
    if dead == "reserve":
        assert "release" not in world.done, "nothing is fetched that is on no record"


def test_an_original_that_must_be_kept_is_kept_before_anything_else() -> None:
    world = World(Protected(b"unsigned", keep_original=True))
    assert world.accept().code == 250
    assert world.done == ["protect", "keep", "deliver", "note"]
    world = World(Protected(b"unsigned", keep_original=True), dead=("keep",))
    assert world.accept().code == 451
    assert world.delivered == []


def test_a_message_that_breaks_the_engine_stays_with_its_sender() -> None:
    world = World(RuntimeError("boom"))
    reply = world.accept()
    assert (reply.code, reply.status) == (451, "4.3.0")
    assert world.delivered == []
    assert "boom" not in str(reply)


def test_what_passed_is_on_record() -> None:
    world = World()
    world.accept()
    (record,) = world.noted
    assert (record.organisation, record.recipients) == ("default", ("anna@example.org",))
    assert (record.sender_domain, record.author, record.log_identifier) == ("example.com", "", "id")
    assert record.references[0].template == "https://o.example/x?*=*"
    assert record.changed
    assert record.delivered
    assert (record.reply_code, record.reply) == (250, "2.0.0 queued for * as 7")


def test_a_record_that_cannot_be_made_changes_no_reply(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(World):
        def note(self, observation: Observation) -> None:
            raise RuntimeError(f"the log quotes {observation.recipients}")

    world = Broken()
    assert world.accept() is world.reply
    assert "missing on record" in caplog.text
    assert "anna" not in caplog.text


def test_originals_of_changed_messages_are_kept_where_that_is_wanted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(keeps_changed=True)
    world.accept()
    assert world.done == ["protect", "keep besides", "reserve", "deliver", "release", "note"]
    assert world.noted[0].original == "name"
    world = World(Protected(RAW), keeps_changed=True)
    world.accept()
    assert world.done == ["protect", "deliver", "note"], "what is delivered as it came needs none"
    world = World(keeps_changed=True, dead=("keep besides",))
    assert world.accept().code == 250, "no mail waits for one that nobody needs"
    assert world.noted[0].original == ""
    assert "goes on without its original" in caplog.text


def test_an_overlong_line_leaves_nothing_open_and_a_second_reading_does() -> None:
    overlong = b"Content-Type: text/html\r\n\r\n<p>" + b"x" * 2000 + b"</p>\r\n"
    assert Defect.OVERLONG_LINE in inspect(overlong, EngineSettings()).defects
    assert not inspect(overlong, EngineSettings()).ambiguous
    twice = b"Content-Transfer-Encoding: x-strange\r\n" + overlong
    assert inspect(twice, EngineSettings()).ambiguous
