"""Setup: a door, SMTP or LMTP, and a next hop, SMTP or LMTP, that refuses, stalls or dies at one stage.

Test: the client gets the right reply in time, nothing is acknowledged that the next hop did not acknowledge, and
the next message of the same session goes through: no connection, slot or byte is left behind. And the same for a
client that vanishes at each stage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mailveil.endpoints.lmtp import LmtpDoor
from mailveil.endpoints.smtp import SmtpDoor
from mailveil.ports import Reply
from smtp_room import STALL, Room, smtp_room

MESSAGE = b"From: a@example.com\r\nSubject: hello\r\n\r\n" + b"A line of text.\r\n" * 100
HASTY = {"connect_timeout_s": 2.0, "timeout_s": 1.0, "final_timeout_s": 1.0}

DOWN = "451 4.4.1"
LOST = "451 4.4.2"
# The stage, what the next hop does there, and what the client is told.
FAULTS = [
    ("GREETING", "554 5.3.2 no service here", DOWN),
    ("GREETING", "421 4.3.2 too busy", DOWN),
    ("GREETING", "250 this is no greeting", DOWN),
    ("GREETING", "SSH-2.0-OpenSSH_9.2", DOWN),
    ("GREETING", None, DOWN),
    ("GREETING", STALL, DOWN),
    ("HELLO", "421 4.3.2 going down", DOWN),
    ("HELLO", "550 5.7.1 who are you", DOWN),
    ("HELLO", None, DOWN),
    ("HELLO", STALL, DOWN),
    ("MAIL", "550 5.1.8 no such sender", "550 5.1.8 no such sender"),
    ("MAIL", "452 4.3.1 disk full", "452 4.3.1 disk full"),
    ("MAIL", "552 5.3.4 too large", "552 5.3.4 too large"),
    ("MAIL", "421 4.3.2 going down", "451 4.3.2 going down"),
    ("MAIL", None, LOST),
    ("MAIL", STALL, LOST),
    ("RCPT", "550 5.1.1 unknown", "550 5.1.1 unknown"),
    ("RCPT", "450 4.2.0 greylisted", "450 4.2.0 greylisted"),
    ("RCPT", "421 4.3.2 going down", "451 4"),
    ("RCPT", None, LOST),
    ("RCPT", STALL, LOST),
    ("MAIL", "354 go on", LOST),
    ("RCPT", "354 go on", LOST),
    ("RCPT", "250-half a reply", LOST),
    ("DATA", "554 5.5.1 no", "554 5.5.1 no"),
    ("DATA", "451 4.3.0 not now", "451 4.3.0 not now"),
    ("DATA", "421 4.3.2 going down", "451 4.3.2 going down"),
    ("DATA", "250 2.0.0 taken unseen", LOST),
    ("DATA", "220 2.0.0 hello again", LOST),
    ("DATA", None, LOST),
    ("DATA", STALL, LOST),
    ("BODY", None, LOST),
    ("BODY", "552 5.3.4 too large", "552 5.3.4 too large"),
    ("BODY", "452 4.3.1 disk full", "452 4.3.1 disk full"),
    ("BODY", "421 4.3.2 going down", "451 4.3.2 going down"),
    ("BODY", "250 2.0.0 queued before its end", LOST),
    ("BODY", STALL, LOST),
    ("END", "554 5.7.1 spam", "554 5.7.1 spam"),
    ("END", "451 4.7.1 later", "451 4.7.1 later"),
    ("END", "421 4.3.2 going down", "451 4.3.2 going down"),
    ("END", "354 go on for ever", LOST),
    ("END", "nonsense", LOST),
    ("END", "250-half a reply", LOST),
    ("END", None, LOST),
    ("END", STALL, LOST),
]  # fmt: skip


def run(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 120))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def assert_clean(room: Room) -> None:
    assert room.door.intake.taken_bytes == 0
    assert room.door.intake.slots._value == room.door.settings.max_transactions
    assert not any(session.receiving for session in room.door.sessions)


WAYS = {
    "smtp-smtp": (SmtpDoor, False),
    "lmtp-lmtp": (LmtpDoor, True),
    "smtp-lmtp": (SmtpDoor, True),
    "lmtp-smtp": (LmtpDoor, False),
}
CASES = [
    pytest.param(*WAYS[way], stage, fault, expected, id=f"{way}-{stage}-{str(fault)[:12]}")
    for way in WAYS
    for stage, fault, expected in FAULTS
    if way in ("smtp-smtp", "lmtp-lmtp") or stage in ("BODY", "END")
]


@pytest.mark.parametrize(("kind", "hop_lmtp", "stage", "fault", "expected"), CASES)
def test_a_failing_next_hop_is_answered_for_and_forgotten(
    kind: type[SmtpDoor], hop_lmtp: bool, stage: str, fault: str | None, expected: str
) -> None:
    async def check() -> None:
        message = MESSAGE * 5000 if stage == "BODY" else MESSAGE  # beyond any socket's buffers
        stages = {"HELLO": ("LHLO",) if hop_lmtp else ("EHLO", "HELO")}.get(stage, (stage,))
        room_settings = {"hop_settings": HASTY, "hop_lmtp": hop_lmtp, "kind": kind}
        async with smtp_room(**room_settings) as room, room.client(greet=False) as client:
            room.hop.script.update(dict.fromkeys(stages, fault))
            await client.reply()
            hello = "LHLO" if kind is LmtpDoor else "EHLO"
            assert (await client.say(f"{hello} client.example")).startswith("250")
            reply = await client.send(message)
            assert reply.startswith(expected)
            assert room.hop.wires == [], "the next hop acknowledged nothing"
            assert (await client.say("RSET")).startswith("250")
            assert_clean(room)

            room.hop.script.clear()
            assert (await client.send(MESSAGE)).startswith("250 2.0.0 queued as 4711"), "the session goes on"
            assert len(room.hop.wires) == 1
            assert_clean(room)

    run(check())


def test_a_next_hop_that_dies_at_quit_harms_nobody() -> None:
    async def check() -> None:
        for fault in (None, STALL, "421 4.3.2 bye", "nonsense"):
            async with smtp_room(script={"QUIT": fault}, hop_settings=HASTY) as room, room.client() as client:
                assert (await client.send(MESSAGE)).startswith("250")
                await asyncio.wait_for(room.door.stop(1), 30)
                assert len(room.hop.wires) == 1

    run(check())


def test_what_is_said_unasked_is_no_reply_to_anything() -> None:
    """A next hop that is one reply ahead would have every later one taken for another command's."""

    async def check() -> None:
        for verb, twice in (("MAIL", "250 2.1.0 ok\r\n250 2.1.5 ok"), ("RCPT", "250 2.1.5 ok\r\n354 go on")):
            async with smtp_room(hop_settings=HASTY, script={verb: twice}) as room, room.client() as client:
                assert (await client.send(MESSAGE)).startswith(LOST), verb
                assert room.hop.wires == []

    run(check())


def test_an_early_acknowledgement_is_none() -> None:
    async def check() -> None:
        # 354 and 250 in one go: the second was said before the message was.
        script = {"DATA": "354 go on\r\n250 2.0.0 queued"}
        async with smtp_room(hop_settings=HASTY, script=script) as room, room.client() as client:
            assert (await client.send(MESSAGE)).startswith(LOST)
            assert room.hop.wires == []

    run(check())


def test_recipients_of_lmtp_fare_differently_up_to_the_last() -> None:
    answers: dict[str, str | None] = {
        "a": "250 2.0.0 stored",
        "b": "552 5.2.2 over quota",
        "c": "421 4.3.2 going down",
        "d": None,
        "e": "250 2.0.0 never said",
    }

    async def check() -> None:
        async with smtp_room(
            hop_lmtp=True, kind=LmtpDoor, hop_settings=HASTY, script={"END": lambda rcpt: answers[rcpt[9]]}
        ) as room, room.client() as client:  # fmt: skip
            first = await client.send(MESSAGE, *(f"{name}@example.org" for name in answers))
            replies = [first, *[await client.reply() for _ in range(4)]]
            assert replies[:3] == ["250 2.0.0 stored", "552 5.2.2 over quota", "451 4.3.2 going down"]
            assert all(reply.startswith(LOST) for reply in replies[3:]), replies
            assert (await client.say("NOOP")).startswith("250"), "and not one reply more"
            assert_clean(room)

    run(check())


CLIENT_STAGES = ["greeting", "hello", "MAIL", "RCPT", "DATA", "mid-body", "after the dot"]


@pytest.mark.parametrize("kind", [SmtpDoor, LmtpDoor], ids=["smtp-in", "lmtp-in"])
@pytest.mark.parametrize("hop_lmtp", [False, True], ids=["smtp-out", "lmtp-out"])
@pytest.mark.parametrize("abruptly", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("stage", CLIENT_STAGES)
def test_a_client_that_vanishes_leaves_nothing_behind(
    kind: type[SmtpDoor], hop_lmtp: bool, abruptly: bool, stage: str
) -> None:
    reached = asyncio.Event()

    async def slow(envelope, raw, transaction, identifier) -> Reply:
        reached.set()
        await asyncio.sleep(60)
        return await transaction.deliver(raw)

    async def check() -> None:
        async with smtp_room(kind=kind, hop_lmtp=hop_lmtp, accept=slow) as room:
            async with room.client(greet=False) as client:
                await client.reply()
                hello = "LHLO" if kind is LmtpDoor else "EHLO"
                lines = [f"{hello} x", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA"]
                for line in lines[: CLIENT_STAGES.index(stage)]:
                    await client.say(line)
                if stage == "mid-body":
                    client.writer.write(MESSAGE)
                    await client.writer.drain()
                if stage == "after the dot":
                    client.writer.write(MESSAGE + b".\r\n")
                    await reached.wait()
                if abruptly:
                    client.writer.transport.abort()
            await until(lambda: not room.door.sessions)
            await asyncio.sleep(0.05)
            assert_clean(room)
            assert room.hop.wires == []
            assert "DATA" not in room.hop.commands, "a message whose sender has gone is not begun"
            await room.door.next_hop.close()
            await until(lambda: room.hop.open == 0)

    run(check())


def test_a_hop_that_lost_its_connection_while_recipients_were_offered_at_once_has_them_all_again() -> None:
    calls = iter(["250 2.1.5 ok", None])

    async def check() -> None:
        script = {"RCPT": lambda line: next(calls, "250 2.1.5 ok")}
        extensions = ("SIZE", "PIPELINING")
        async with smtp_room(script=script, extensions=extensions) as room, room.client() as client:
            batch = "".join(f"RCPT TO:<{name}@example.org>\r\n" for name in "abcde")
            client.writer.write(f"MAIL FROM:<x@example.com>\r\n{batch}DATA\r\n".encode())
            assert [(await client.reply())[:3] for _ in range(7)] == ["250"] * 6 + ["354"]
            client.writer.write(MESSAGE + b".\r\n")
            assert (await client.reply()).startswith("250")
            again = room.hop.commands[room.hop.commands.index("EHLO gate.example", 1) :]
            offered = [line[9] for line in again if line.startswith("RCPT")]
            assert sorted(offered) == list("abcde"), (
                "each of them once on the connection that took the message"
            )
            assert len(room.hop.wires) == 1

    run(check())
