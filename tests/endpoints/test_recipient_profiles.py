"""Setup: SMTP and LMTP doors that know of recipients for whom different rules hold, and a scripted next hop.

Test: no two of them share a message. By SMTP the sender is told to send it again for the others, by LMTP it goes on in
several transactions; a message for people with the same rules is one, as ever.
"""

from __future__ import annotations

import asyncio

import pytest
from test_smtp import MESSAGE, run

from mailveil.core.policy import Envelope
from mailveil.endpoints.lmtp import LmtpDoor
from mailveil.ports import Reply, Transaction
from smtp_room import Client, smtp_room

OTHER_RULES = "452 4.5.3"


def profile(address: str) -> str:
    """Rules are the same for whoever has the same first letter."""
    return address[0].lower()


class Passing:
    """A gateway that takes note of who shared a message."""

    def __init__(self) -> None:
        self.shared: list[tuple[str, ...]] = []

    async def __call__(
        self, envelope: Envelope, raw: bytes, transaction: Transaction, identifier: str
    ) -> Reply:
        self.shared.append(envelope.recipients)
        return await transaction.deliver(raw)


async def offer(client: Client, *recipients: str) -> list[str]:
    assert (await client.say("MAIL FROM:<sender@example.com>")).startswith("250")
    return [await client.say(f"RCPT TO:<{each}>") for each in recipients]


async def finish(client: Client, replies: int = 1) -> list[str]:
    assert (await client.say("DATA")).startswith("354")
    client.writer.write(MESSAGE + b".\r\n")
    return [await client.reply() for _ in range(replies)]


def test_by_smtp_the_sender_comes_again_for_recipients_with_other_rules() -> None:
    async def check() -> None:
        passing = Passing()
        async with smtp_room(accept=passing, profile=profile) as room, room.client() as client:
            replies = await offer(client, "ann@example.org", "bob@example.org", "alf@example.org")
            assert [each[:9] for each in replies] == ["250 2.0.0", OTHER_RULES, "250 2.0.0"]
            assert (await finish(client))[0].startswith("250")
            assert [each[:3] for each in await offer(client, "bob@example.org")] == ["250"]
            assert (await finish(client))[0].startswith("250")
            assert passing.shared == [("ann@example.org", "alf@example.org"), ("bob@example.org",)]

    run(check())


def test_a_recipient_who_was_refused_stands_in_nobodys_way() -> None:
    async def check() -> None:
        passing = Passing()
        script = {"RCPT": lambda line: "550 5.1.1 unknown" if "ann" in line else "250 2.1.5 fine"}
        async with smtp_room(accept=passing, profile=profile, script=script) as room, room.client() as client:
            replies = await offer(client, "ann@example.org", "bob@example.org")
            assert [each[:3] for each in replies] == ["550", "250"]
            await finish(client)
            assert passing.shared == [("bob@example.org",)]

    run(check())


@pytest.mark.parametrize("kind", [None, LmtpDoor], ids=["smtp", "lmtp"])
def test_recipients_that_come_all_at_once_are_answered_in_their_order(kind: type[LmtpDoor] | None) -> None:
    async def check() -> None:
        passing = Passing()
        more = {} if kind is None else {"kind": kind}
        async with smtp_room(accept=passing, profile=profile, **more) as room, room.client() as client:
            names = ["a1", "b1", "a2", "c1", "b2"]
            client.writer.write(
                b"MAIL FROM:<s@example.com>\r\n"
                + b"".join(b"RCPT TO:<%s@x.org>\r\n" % each.encode() for each in names)
            )
            replies = [await client.reply() for _ in range(len(names) + 1)][1:]
            if kind is None:
                assert [each[:3] for each in replies] == ["250", "452", "250", "452", "452"]
            else:
                assert [each[:3] for each in replies] == ["250"] * 5

    run(check())


def test_by_lmtp_a_message_goes_on_once_for_each_set_of_rules() -> None:
    async def check() -> None:
        passing = Passing()
        end = {
            "END": lambda line: "452 4.2.2 full" if line.startswith("RCPT TO:<b") else "250 2.0.0 <a> has it"
        }
        settings = {"accept": passing, "profile": profile, "kind": LmtpDoor, "hop_lmtp": True, "script": end}
        async with smtp_room(**settings) as room, room.client() as client:
            replies = await offer(client, "ann@example.org", "bob@example.org", "alf@example.org")
            assert [each[:3] for each in replies] == ["250"] * 3
            assert [each[:9] for each in await finish(client, 3)] == ["250 2.0.0", "452 4.2.2", "250 2.0.0"]
            assert passing.shared == [("ann@example.org", "alf@example.org"), ("bob@example.org",)]
            assert (await client.say("NOOP")).startswith("250")
            await offer(client, "bob@example.org")
            assert [each[:3] for each in await finish(client)] == ["452"], (
                "and nothing is left of the one before"
            )

    run(check())


def test_recipients_with_the_same_rules_share_one_transaction() -> None:
    async def check() -> None:
        for kind in ({}, {"kind": LmtpDoor, "hop_lmtp": True}):
            passing = Passing()
            async with (
                smtp_room(accept=passing, profile=lambda _: "", **kind) as room,
                room.client() as client,
            ):
                await offer(client, "ann@example.org", "bob@example.org")
                await finish(client, 2 if kind else 1)
                assert passing.shared == [("ann@example.org", "bob@example.org")]
                assert room.hop.connections == 1
                await asyncio.sleep(0)

    run(check())
