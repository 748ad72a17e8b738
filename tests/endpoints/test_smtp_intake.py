"""Setup: doors that may hold few bytes, and many slow senders of big messages.

Test: memory stays bounded by the budget, whoever does not fit is told 451 or 452, whoever fits gets through, and
senders too slow to finish give way to others.
"""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from test_smtp import MESSAGE, run

from mailveil.endpoints.lmtp import LmtpDoor
from mailveil.endpoints.smtp import SmtpSettings
from mailveil.endpoints.smtp_intake import SLOW_AFTER_S, Intake
from mailveil.ports import Reply
from smtp_room import pass_on, smtp_room

MEGABYTE = 1 << 20


def test_bytes_are_counted_from_the_first_to_the_end() -> None:
    intake = Intake(1, 100)
    arrival = intake.begin(1000, 0)
    assert arrival.feed(b"x" * 40, 0) is None
    assert intake.taken_bytes == 40
    assert arrival.feed(b"x" * 20 + b"\r\n.\r\nQUIT\r\n", 0) == b"QUIT\r\n"
    assert intake.taken_bytes == 62
    assert arrival.take() == b"x" * 60 + b"\r\n"
    assert intake.taken_bytes == 62, "until it is delivered"
    arrival.end()
    assert intake.taken_bytes == 0
    arrival.end()
    assert intake.taken_bytes == 0


def test_what_does_not_fit_is_refused_and_frees_what_it_held() -> None:
    intake = Intake(1, 100)
    first, second = intake.begin(1000, 0), intake.begin(1000, 0)
    first.feed(b"x" * 60, 0)
    second.feed(b"x" * 40, 0)
    second.feed(b"x" * 1, 0)
    assert second.refusal is not None
    assert second.refusal.code == 451
    assert intake.taken_bytes == 60
    assert first.feed(b"x" * 38 + b"\r\n.\r\n", 0) == b"", "the room goes to who is left"
    assert second.feed(b"x" * 1000 + b"\r\n.\r\nNOOP\r\n", 0) == b"NOOP\r\n", "and is read to its end"
    assert intake.taken_bytes == 100


def test_a_slow_message_gives_way_and_a_finished_one_does_not() -> None:
    intake = Intake(1, 100)
    finished, slow = intake.begin(1000, 0), intake.begin(1000, 0)
    finished.feed(b"x" * 38 + b"\r\n.\r\n", 0)
    slow.feed(b"x" * 60, 0)
    quick = intake.begin(1000, SLOW_AFTER_S)
    quick.feed(b"x" * 10, SLOW_AFTER_S)
    assert quick.refusal is not None, "not slow for long enough"
    late = intake.begin(1000, SLOW_AFTER_S + 1)
    late.feed(b"x" * 10, SLOW_AFTER_S + 1)
    assert late.refusal is None
    assert slow.refusal is not None
    assert finished.take() == b"x" * 38 + b"\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_end_is_found_in_pieces_of_any_size_even_of_what_is_refused(size: int) -> None:
    wire = b"a\r\n.\r\r\n..\r\n" + b"y" * 50 + b"\r\n.\r\n"
    for limit in (10, 1000):
        intake = Intake(1, 1000)
        arrival = intake.begin(limit, 0)
        rests = [arrival.feed(wire[at : at + size], 0) for at in range(0, len(wire), size)]
        assert rests[-1] == b""
        assert set(rests[:-1]) <= {None}
        assert (arrival.refusal is None) is (limit == 1000)
        arrival.end()
        assert intake.taken_bytes == 0


def test_many_slow_big_senders_take_no_more_than_the_budget() -> None:
    budget, senders = 8 * MEGABYTE, 40
    peak = [0]

    async def slow(envelope, raw, transaction, identifier) -> Reply:
        await asyncio.sleep(0.05)
        return await pass_on(envelope, raw, transaction, identifier)

    async def check() -> None:
        limits = {"max_message_bytes": 4 * MEGABYTE, "max_bytes_in_flight": budget, "max_connections": 100}
        async with smtp_room(accept=slow, **limits) as room:
            room.hop.script["END"] = lambda line: "250 2.0.0 queued"

            async def send() -> str:
                async with room.client() as client:
                    await client.say("MAIL FROM:<a@example.com>")
                    await client.say("RCPT TO:<b@example.org>")
                    await client.say("DATA")
                    for _ in range(30):
                        client.writer.write(b"x" * 100_000 + b"\r\n")
                        await client.writer.drain()
                        await asyncio.sleep(0.01)
                        assert room.door.intake.taken_bytes <= budget
                        peak[0] = max(peak[0], room.door.intake.taken_bytes)
                    client.writer.write(b".\r\n")
                    return (await client.reply())[:9]

            tracemalloc.start()
            replies = await asyncio.gather(*(send() for _ in range(senders)))
            _, memory = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            # The scripted next hop keeps what it was sent, in this very process.
            kept = sum(len(wire) for wire in room.hop.wires)
            assert set(replies) == {"250 2.0.0", "451 4.3.2"}
            assert replies.count("250 2.0.0") == len([1 for _ in room.hop.wires])
            assert peak[0] > budget / 2, "the budget was used"
            assert memory - 3 * kept < 6 * budget < senders * 3 * MEGABYTE, "all together would be far more"
            assert room.door.intake.taken_bytes == 0
            async with room.client() as client:
                assert (await client.send(MESSAGE)).startswith("250")

    asyncio.run(asyncio.wait_for(check(), 120))


def test_a_stalled_sender_holds_no_slot() -> None:
    async def check() -> None:
        async with smtp_room(max_transactions=1) as room, room.client() as stalled, room.client() as client:
            for line in ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA"):
                await stalled.say(line)
            stalled.writer.write(b"Subject: never to end\r\n")
            await stalled.writer.drain()
            assert (await client.send(MESSAGE)).startswith("250")

    run(check())


def test_an_announced_size_that_does_not_fit_now_is_put_off() -> None:
    async def check() -> None:
        limits = {"max_message_bytes": 1000, "max_bytes_in_flight": 1000}
        async with smtp_room(**limits) as room, room.client() as first, room.client() as second:
            for line in ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA"):
                await first.say(line)
            first.writer.write(b"x" * 600)
            async with asyncio.timeout(10):
                while not room.door.intake.taken_bytes:
                    await asyncio.sleep(0.01)
            assert (await second.say("MAIL FROM:<a@example.com> SIZE=500")).startswith("452 4.3.1")
            assert (await second.say("MAIL FROM:<a@example.com> SIZE=300")).startswith("250")
            first.writer.write(b"\r\n.\r\n")
            assert (await first.reply()).startswith("250")
            await second.say("RSET")
            assert (await second.say("MAIL FROM:<a@example.com> SIZE=500")).startswith("250")

    run(check())


def test_doors_share_what_a_process_may_hold() -> None:
    async def check() -> None:
        async with smtp_room(max_bytes_in_flight=1000) as room, room.client() as client:
            other = LmtpDoor(
                SmtpSettings("gate.example"), room.door.next_hop, pass_on, intake=room.door.intake
            )
            assert other.intake is room.door.intake
            now = asyncio.get_running_loop().time()
            arrival = other.intake.begin(1000, now)
            arrival.feed(b"x" * 990, now)
            assert (await client.send(MESSAGE)).startswith("451 4.3.2")
            arrival.end()
            assert (await client.send(MESSAGE)).startswith("250")

    run(check())
