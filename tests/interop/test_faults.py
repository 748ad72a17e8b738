"""Setup: a real Postfix in front of the real ``mailveil serve``, and behind it a next hop with a fault.

Test: whatever the next hop does at whatever stage, and wherever mailveil is killed, the message stays in Postfix's
queue and arrives once the fault is mended: once, or twice where the next hop had it and nobody could say so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from interop.arrangements import content_filter_recipe, until
from interop.faulty_hop import STAGES, Fault, FaultyHop, faulty_hop
from interop.letters import PIXEL, html, without_trace
from mailveil_room import Mailveil, mailveil_room
from postfix_room import Postfix, missing_for_postfix, postfix_room
from sender_room import Sender

pytestmark = pytest.mark.skipif(bool(missing_for_postfix()), reason=f"needs {missing_for_postfix()}")


@dataclass
class Room:
    postfix: Postfix
    mailveil: Mailveil
    hop: FaultyHop
    serial: int = 0

    def post(self) -> str:
        """Give Postfix a message of its own; return its Message-ID."""
        self.serial += 1
        name = f"fault-{self.serial}@sender.example"
        raw = html(PIXEL).replace(b"letter@sender.example", name.encode())
        with Sender(self.postfix.port) as sender:
            assert sender.send("news@sender.example", ("reader@example.org",), raw)[0].startswith("250")
        return name

    def until_put_off(self, before: int) -> None:
        """Wait until Postfix has put the message off once more."""
        until(
            lambda: self.deferrals() > before,
            lambda: self.postfix.log()[-3000:] + self.mailveil.log()[-3000:],
        )

    def deferrals(self) -> int:
        return self.postfix.log().count("status=deferred")

    def until_arrived(self, name: str, times: int = 1) -> None:
        def is_there() -> bool:
            if self.hop.arrived.count(name) < times:
                self.postfix.flush()
                time.sleep(0.3)
            return self.hop.arrived.count(name) >= times and self.postfix.queued() == 0

        until(is_there, lambda: self.postfix.log()[-3000:] + self.mailveil.log()[-3000:])


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    with faulty_hop() as hop:
        settings = {
            "gateway": {"next_hop": f"smtp://127.0.0.1:{hop.port}", "timeout_s": 3},
            "copies": {"mode": "none"},
            "workers": {"processes": 1},
        }
        with postfix_room(transport="discard:") as postfix, mailveil_room(settings) as mailveil:
            postfix.paste(content_filter_recipe(mailveil, mailveil.port, hop.port + 1))
            config = str(postfix.config)
            # A next hop that says nothing after the message is waited for ten minutes by us; here nobody has them.
            postfix.run("postconf", "-c", config, "-P", "mailveil/unix/smtp_data_done_timeout=6s")
            postfix.run("postfix", "-c", config, "reload")
            yield Room(postfix, mailveil, hop)


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.STALL, Fault.DIE])
def test_what_the_next_hop_does_not_take_stays_in_the_queue_and_arrives_once(
    room: Room, fault: Fault
) -> None:
    for stage in STAGES:
        room.hop.break_at(stage, fault)
        before = room.deferrals()
        name = room.post()
        until(room.hop.reached.is_set, lambda: room.postfix.log()[-3000:])
        room.until_put_off(before)
        assert name not in room.hop.arrived
        room.hop.mend()
        room.until_arrived(name)
        assert room.hop.arrived.count(name) == 1, stage
        assert b"tracker.example" not in without_trace(room.hop.messages[name])


def test_what_the_next_hop_refuses_for_good_is_reported_in_its_own_words(room: Room) -> None:
    for stage in ("MAIL", "RCPT", "DATA", "END"):
        room.hop.break_at(stage, Fault.REJECT)
        name = room.post()
        until(
            lambda stage=stage: f"said: 554 5.7.1 never, said at {stage}" in room.postfix.log(),
            room.postfix.log,
        )
        room.hop.mend()
        until(lambda: room.postfix.queued() == 0, room.postfix.log)
        assert name not in room.hop.arrived


def test_killed_at_any_stage_it_loses_nothing_and_doubles_nothing(room: Room) -> None:
    for stage in STAGES:
        room.hop.break_at(stage, Fault.STALL)
        name = room.post()
        until(room.hop.reached.is_set, lambda: room.postfix.log()[-3000:])
        room.mailveil.kill()
        room.hop.mend()
        room.mailveil.start()
        room.until_arrived(name)
        assert room.hop.arrived.count(name) == 1, stage


def test_killed_after_the_next_hop_has_it_a_message_arrives_at_least_once(room: Room) -> None:
    """Where the acknowledgement is lost no SMTP client can know: it has to send again (RFC 5321 section 4.5.3.2.6)."""
    room.hop.break_at("END", Fault.TAKE_AND_STALL)
    name = room.post()
    until(room.hop.reached.is_set, lambda: room.postfix.log()[-3000:])
    room.mailveil.kill()
    room.hop.mend()
    room.mailveil.start()
    until(lambda: "message may be sent more than once" in room.postfix.log(), room.postfix.log)
    room.until_arrived(name, times=2)
    assert room.hop.arrived.count(name) == 2


def test_an_address_beyond_ascii_goes_only_where_it_is_understood(room: Room) -> None:
    before = len(room.hop.commands)
    with Sender(room.postfix.port) as sender:
        raw = html(PIXEL).replace(b"letter@sender.example", b"utf8@sender.example")
        replies = sender.send(
            "n\u00e4ws@sender.example", ("l\u00e4ser@example.org",), raw, " SMTPUTF8 BODY=8BITMIME"
        )
        assert replies[0].startswith("250")
    room.until_arrived("utf8@sender.example")
    said = room.hop.commands[before:]
    assert any(
        line.startswith("MAIL FROM:<n\u00e4ws@sender.example>") and "SMTPUTF8" in line for line in said
    )
    assert any(line.startswith("RCPT TO:<l\u00e4ser@example.org>") for line in said)
