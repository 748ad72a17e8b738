"""Setup: the gateway with an engine, stores and rules that only take note.

Test: each message is handled by the rules for it: who its author is comes first, copies go the way that a rule chose,
and what is only reported is neither changed nor held up when it cannot be examined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from mailveil.core.authentication import Authentication
from mailveil.core.policy import CopyMode, Envelope, MessagePolicy
from mailveil.core.references.types import Media
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.gateway import Gateway
from mailveil.ports import EngineError, Protected, Reply, Requester, WantedCopy

RAW = b"Subject: x\r\n\r\nx\r\n"
TO = Envelope("news@shop.example", ("ann@example.org",))
PROVEN = Authentication(from_fields=1, from_domains=("shop.example",))


@dataclass
class World:
    """Every port at once."""

    policy: MessagePolicy | None
    engine_fails: bool = False
    done: list[str] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    asked: list[Envelope] = field(default_factory=list)

    def now(self) -> float:
        return 7.0

    def for_message(self, envelope: Envelope, now: float) -> MessagePolicy | None:
        assert now == 7.0
        self.asked.append(envelope)
        return self.policy

    def profile(self, recipient: str) -> str:
        return ""

    async def authenticate(self, raw: bytes) -> Authentication:
        return PROVEN

    async def protect(
        self,
        raw: bytes,
        envelope: Envelope,
        copies: Mapping[str, EmbeddedCopy] | None = None,
        policy: MessagePolicy | None = None,
    ) -> Protected:
        self.told.append(policy)
        if self.engine_fails:
            raise EngineError("crashed")
        return Protected(b"protected", (WantedCopy("t", "https://a.example/", Media.IMAGE),))

    async def keep(self, raw: bytes, envelope: Envelope, reason: str = "", **more: object) -> str:
        self.done.append("keep")
        return "name"

    async def collect(self, wanted: Sequence[WantedCopy], requester: Requester) -> dict[str, EmbeddedCopy]:
        self.done.append("embed")
        return {"t": EmbeddedCopy("c@mailveil.invalid", "image/png", b"x")}

    def fits(self, raw: bytes, limit: int) -> bool:
        return True

    async def reserve(self, wanted: Sequence[WantedCopy], requester: Requester) -> None:
        self.done.append("reserve")

    async def deliver(self, raw: bytes) -> Reply:
        self.done.append("deliver untouched" if raw is RAW else "deliver changed")
        return Reply(250)

    def accept(self, copies: CopyMode | None) -> Reply:
        gateway = Gateway(
            engine=self, originals=self, clock=self, store=self, embedding=self, authenticator=self,  # type: ignore[arg-type]
            policies=self, copies=copies,
        )  # fmt: skip
        return asyncio.run(gateway.accept(TO, RAW, self, "m1"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("installed", "ruled", "done"),
    [
        (CopyMode.HOSTED, None, ["reserve"]),
        (CopyMode.HOSTED, CopyMode.EMBEDDED, ["embed"]),
        (CopyMode.EMBEDDED, None, ["embed"]),
        (CopyMode.EMBEDDED, CopyMode.HOSTED, ["reserve"]),
    ],
)
def test_copies_go_the_way_that_a_rule_chose(
    installed: CopyMode, ruled: CopyMode | None, done: list[str]
) -> None:
    world = World(MessagePolicy(copies=ruled))
    assert world.accept(installed).is_positive
    assert world.done == [*done, "deliver changed"]
    assert all(each == world.policy for each in world.told), "and the engine is told of it"


def test_rules_are_asked_once_the_author_is_known() -> None:
    world = World(MessagePolicy())
    world.accept(CopyMode.HOSTED)
    assert [each.authentication for each in world.asked] == [PROVEN]


def test_what_is_only_reported_passes_when_it_cannot_be_examined() -> None:
    world = World(MessagePolicy(monitored=True), engine_fails=True)
    assert world.accept(CopyMode.HOSTED).is_positive
    assert world.done == ["deliver untouched"]
    protected = World(MessagePolicy(), engine_fails=True)
    assert protected.accept(CopyMode.HOSTED).is_transient
    assert protected.done == []
