"""Setup: a door, a next hop, and clients that try to hide a second message in a first one (SMTP smuggling).

Test: whatever the line breaks around the dot, in whatever pieces it comes, it is refused, none of it reaches the
next hop, and nothing after the false end is taken for a command. And nothing of the kind goes out of our door.
"""

from __future__ import annotations

import asyncio

import pytest
from test_smtp import MESSAGE, run

from mailveil.adapters.nexthop import NextHopSettings, SmtpNextHop
from mailveil.core.policy import Envelope
from mailveil.endpoints.lmtp import LmtpDoor
from mailveil.endpoints.smtp import SmtpDoor
from smtp_room import ScriptedServer, smtp_room

HIDDEN = (
    b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"
)
FALSE_ENDS = [
    b"\n.\r\n", b"\r\n.\n", b"\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r.\n", b"\n.\r", b"\r\r\n.\n",
    b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\n\x00.\x00\r\n", b"\n\x00.\n", b"\r\x00.\r\n", b"\r\n\x00\x00\x00.\n",
]  # fmt: skip


@pytest.mark.parametrize("kind", [SmtpDoor, LmtpDoor], ids=["smtp", "lmtp"])
@pytest.mark.parametrize("pieces", ["at once", "byte by byte", "split in the false end"])
@pytest.mark.parametrize("end", FALSE_ENDS, ids=[repr(end) for end in FALSE_ENDS])
def test_a_false_end_is_refused(end: bytes, pieces: str, kind: type[SmtpDoor]) -> None:
    head, tail = b"Subject: x\r\n\r\ntext", HIDDEN

    async def check() -> None:
        async with smtp_room(kind=kind) as room, room.client() as client:
            await client.say("MAIL FROM:<a@example.com>")
            await client.say("RCPT TO:<b@example.org>")
            await client.say("DATA")
            wire = head + end + tail + b".\r\n"
            cuts = {
                "at once": [len(wire)],
                "byte by byte": range(1, len(wire) + 1),
                "split in the false end": [*range(len(head), len(head + end) + 1), len(wire)],
            }[pieces]
            sent = 0
            for cut in cuts:
                client.writer.write(wire[sent:cut])
                await client.writer.drain()
                await asyncio.sleep(0)
                sent = cut
            assert (await client.reply()).startswith("554 5.6.0")
            assert (await client.say("NOOP")).startswith("250"), "one reply, and no other command was read"
            assert room.hop.wires == []
            assert not any("victim" in line for line in room.hop.commands)
            assert "DATA" not in room.hop.commands
            assert (await client.send(MESSAGE)).startswith("250"), "the session goes on"

    run(check())


def test_what_follows_the_true_end_are_commands_whatever_was_refused() -> None:
    async def check() -> None:
        async with smtp_room() as room, room.client() as client:
            one = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
            client.writer.write(one + b"x\n.\n" + HIDDEN + b".\r\n" + one + MESSAGE + b".\r\nQUIT\r\n")
            replies = [(await client.reply())[:3] for _ in range(9)]
            assert replies == ["250", "250", "354", "554", "250", "250", "354", "250", "221"]
            assert len(room.hop.wires) == 1

    run(check())


@pytest.mark.parametrize("end", FALSE_ENDS, ids=[repr(end) for end in FALSE_ENDS])
def test_nothing_smuggles_on_its_way_out(end: bytes) -> None:
    """Whoever hands a message to the next hop, be it our own engine: a lone dot does not go over the wire."""

    async def check() -> None:
        async with ScriptedServer().running() as server:
            hop = SmtpNextHop(NextHopSettings("127.0.0.1", server.port, "gate.example"))
            transaction, _ = await hop.begin(Envelope(sender="a@example.com"))
            assert transaction is not None
            await transaction.recipient("b@example.org")
            raw = b"Subject: x\r\n\r\ntext" + end + HIDDEN
            # What is a whole line to everybody is stuffed, and everybody takes that for a line.
            wholly_stuffed = raw.replace(b"\r\n.", b"\r\n..")
            reply = await transaction.deliver(raw)
            if b"\n.." in wholly_stuffed:
                assert reply.code == 250
                assert b"\n..\n" in server.wires[0].replace(b"\r", b"\n").replace(b"\x00", b"").replace(
                    b"\n\n", b"\n"
                )
            else:
                assert str(reply).startswith("554 5.6.0")
                assert "DATA" not in server.commands
            transaction.close()
            await hop.close()

    run(check())
