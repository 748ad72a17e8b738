"""Sealed messages by milter: the set goes in as fields on top, and holds as the mail server stores it.

Setup: a milter door on loopback in front of the real gateway with engine, authenticator and sealer; a mail
server that applies what it is told; messages and chains by dkimpy.
Test: dkimpy accepts the stored message; what claims to be ours is deleted; unchanged mail gets no modification.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from endpoints.milter.test_milter_server import connected, door_room
from mailveil.adapters.authenticator import MessageAuthenticator
from mailveil.adapters.originals import OriginalKeeper, OriginalStore
from mailveil.adapters.sealer import ArcSealer
from mailveil.adapters.workers import WorkerPool
from mailveil.core.authentication import SealingKey, TrustedServers
from mailveil.core.protection import EngineSettings
from mailveil.gateway import Gateway
from signing_room import MESSAGE, StubDns, arc_signed, dkimpy_arc, record, rsa_key, signed

KEY = record(rsa_key())
DNS = StubDns({"s1._domainkey.example.org": (KEY,), "arc._domainkey.list.example": (KEY,)})
OURS = SealingKey("gate.example", "arc", rsa_key(), "mailveil.gate.example")


@dataclass(frozen=True)
class StillClock:
    def now(self) -> float:
        return 5.0


def stored_after(tmp_path: Path, raw: bytes) -> bytes:
    """Return a message as the mail server has it once the milter has answered."""

    async def work() -> bytes:
        engine = WorkerPool(EngineSettings(authserv_id=OURS.authserv_id))
        authenticator = MessageAuthenticator(DNS, TrustedServers(), timeout_s=60.0)
        sealer = ArcSealer(OURS, timeout_s=60.0)
        gateway = Gateway(
            engine=engine,
            originals=OriginalKeeper(OriginalStore(tmp_path / "originals", bytes(32))),
            clock=StillClock(),
            authenticator=authenticator,
            sealer=sealer,
        )
        try:
            async with door_room(gateway.accept) as door, connected(door) as server:
                server.send(raw)
                return (await server.answer(raw)).delivered
        finally:
            await asyncio.to_thread(engine.close)
            authenticator.close()
            sealer.close()

    return asyncio.run(asyncio.wait_for(work(), 240))


def test_a_changed_message_is_sealed_on_top(tmp_path: Path) -> None:
    got = stored_after(tmp_path, signed())
    assert b"tracker.example.com" not in got
    assert got.startswith(b"ARC-Seal: i=1; cv=none;")
    assert dkimpy_arc(got, KEY) == (b"pass", "success")


def test_a_chain_goes_on_and_forged_fields_go(tmp_path: Path) -> None:
    forged = b"X-Mailveil-Verdict: clean\r\n"
    raw = arc_signed(b"Authentication-Results: list.example; dkim=pass\r\n" + forged + signed())
    got = stored_after(tmp_path, forged + raw)
    assert b"Mailveil-Verdict" not in got
    assert got.startswith(b"ARC-Seal: i=2; cv=pass;")
    assert dkimpy_arc(got, KEY) == (b"pass", "success")


def test_an_unchanged_message_stays_as_it_is(tmp_path: Path) -> None:
    raw = signed(MESSAGE.replace(b"https://tracker.example.com/p.gif", b"cid:1"))
    assert stored_after(tmp_path, raw) == raw
