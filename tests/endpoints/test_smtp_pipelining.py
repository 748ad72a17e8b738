"""Setup: clients that send whole batches of commands (RFC 2920), and next hops with and without PIPELINING.

Test: replies come in the order of the commands, each recipient has the next hop's own, and a batch of recipients
costs the next hop one round trip, not one each.
"""

from __future__ import annotations

import asyncio

import pytest
from test_smtp import MESSAGE, run

from mailveil.endpoints.lmtp import LmtpDoor
from mailveil.endpoints.smtp import SmtpDoor
from smtp_room import smtp_room

PIPELINING = ("SIZE 10000000", "8BITMIME", "PIPELINING")


def judge(line: str) -> str:
    number = int(line.partition("<r")[2].partition("@")[0])
    return f"550 5.1.1 no r{number}" if number % 3 == 0 else f"250 2.1.5 r{number}"


@pytest.mark.parametrize("extensions", [PIPELINING, ()], ids=["pipelining", "lockstep"])
@pytest.mark.parametrize("kind", [SmtpDoor, LmtpDoor], ids=["smtp", "lmtp"])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_replies_come_in_order(kind: type[SmtpDoor], extensions: tuple[str, ...], size: int) -> None:
    commands = [
        "MAIL FROM:<a@example.com>",
        *(f"RCPT TO:<r{number}@example.org>" for number in range(7)),
        "RCPT TO:<a b@example.org>",
        "RCPT TO:<r7@example.org>",
        "NONSENSE",
        "RCPT TO:<r8@example.org>",
        "NOOP",
        "MAIL FROM:<again@example.com>",
        "RCPT TO:<r9@example.org>",
        "DATA",
    ]

    async def check() -> None:
        settings = {"kind": kind, "script": {"RCPT": judge}, "extensions": extensions}
        async with smtp_room(**settings) as room, room.client() as client:
            batch = "".join(f"{line}\r\n" for line in commands).encode()
            for start in range(0, len(batch), size):
                client.writer.write(batch[start : start + size])
                await asyncio.sleep(0)
            replies = [await client.reply() for _ in commands]
            expected = ["250", *("550" if n % 3 == 0 else "250" for n in range(7)), "501", "250", "500", "250",
                        "250", "503", "550", "354"]  # fmt: skip
            assert [reply[:3] for reply in replies] == expected
            for command, reply in zip(commands, replies, strict=True):
                if reply.startswith(("250 2.1.5 r", "550 5.1.1 no r")):
                    assert reply.rpartition("r")[2] == command.partition("<r")[2].partition("@")[0]
            client.writer.write(MESSAGE + b".\r\n")
            ends = 6 if kind is LmtpDoor else 1
            assert [(await client.reply())[:3] for _ in range(ends)] == ["250"] * ends
            assert (await client.say("NOOP")).startswith("250")

    run(check())


def test_a_batch_of_recipients_costs_one_round_trip() -> None:
    async def check() -> None:
        answered: list[int] = []
        held = asyncio.Event()

        async with smtp_room(extensions=PIPELINING) as room, room.client() as client:
            real = room.hop._say

            async def say(writer, answer) -> bool:
                if room.hop.commands[-1:] and room.hop.commands[-1].startswith("RCPT"):
                    await held.wait()  # not one recipient is answered until all have been seen to arrive
                answered.append(len(room.hop.commands))
                return await real(writer, answer)

            await client.say("MAIL FROM:<a@example.com>")
            room.hop._say = say
            batch = "".join(f"RCPT TO:<r{number}@example.org>\r\n" for number in range(50))
            client.writer.write(batch.encode())
            # What the next hop's side of the connection has received without having answered anything.
            async with asyncio.timeout(30):
                (conversation,) = [session.transaction.conversation for session in room.door.sessions]
                while conversation._unanswered < 50:
                    await asyncio.sleep(0.01)
            held.set()
            assert [(await client.reply())[:3] for _ in range(50)] == ["250"] * 50

    run(check())


def test_a_client_that_leaves_in_the_middle_of_a_batch_leaves_nothing_behind() -> None:
    async def check() -> None:
        async with smtp_room(extensions=PIPELINING) as room:
            for _ in range(20):
                async with room.client() as client:
                    batch = "".join(f"RCPT TO:<r{number}@example.org>\r\n" for number in range(50))
                    client.writer.write(f"MAIL FROM:<a@example.com>\r\n{batch}".encode())
                    await asyncio.sleep(0.005)
            async with asyncio.timeout(30):
                while room.door.sessions:
                    await asyncio.sleep(0.01)
            async with room.client() as client:
                assert (await client.send(MESSAGE)).startswith("250")
            assert len(room.hop.wires) == 1

    run(check())


def test_more_recipients_than_wait_at_once_all_get_through() -> None:
    async def check() -> None:
        async with smtp_room(extensions=PIPELINING) as room, room.client() as client:
            count = 950
            batch = "".join(f"RCPT TO:<r{number}@example.org>\r\n" for number in range(count))
            client.writer.write(f"MAIL FROM:<a@example.com>\r\n{batch}DATA\r\n".encode())
            assert [(await client.reply())[:3] for _ in range(count + 2)] == ["250"] * (count + 1) + ["354"]
            client.writer.write(MESSAGE + b".\r\n")
            assert (await client.reply()).startswith("250")
            named = [line for line in room.hop.commands if line.startswith("RCPT")]
            assert named == [f"RCPT TO:<r{number}@example.org>" for number in range(count)]

    run(check())
