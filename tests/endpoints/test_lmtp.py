"""Setup: an LMTP door (RFC 2033) by TCP and Unix socket, and next hops that speak LMTP and SMTP behind it.

Test: each recipient gets a reply of its own after the message, one to one where the next hop gives one to each; and
SMTP in to LMTP out takes one recipient for each message, so that nothing is lost or doubled.
"""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import pytest
from test_smtp import MESSAGE, run

from mailveil.adapters.maildir import Maildir, MaildirNextHop
from mailveil.endpoints.lmtp import LmtpDoor
from mailveil.endpoints.smtp import SmtpSettings
from mailveil.ports import Reply
from smtp_room import Client, pass_on, smtp_room, without_trace

NAMES = ("a@example.org", "b@example.org", "c@example.org")


def by_name(**answers: str):
    """Answer for recipients by the first letter of their address."""
    return lambda line: answers.get(line[9], "250 2.0.0 fine")


async def replies_to(client: Client, *recipients: str, message: bytes = MESSAGE) -> list[str]:
    """Send a message by LMTP; return the reply to each recipient that was accepted."""
    assert (await client.say("MAIL FROM:<sender@example.com>")).startswith("250")
    accepted = [(await client.say(f"RCPT TO:<{each}>")).startswith("250") for each in recipients]
    assert (await client.say("DATA")).startswith("354")
    client.writer.write(message + b".\r\n")
    return [await client.reply() for is_accepted in accepted if is_accepted]


def test_lmtp_to_lmtp_gives_each_recipient_the_next_hops_own_reply() -> None:
    script = {
        "RCPT": by_name(d="550 5.1.1 no such user"),
        "END": by_name(a="250 2.0.0 <a> saved", b="452 4.2.2 over quota", c="550 5.2.1 disabled"),
    }

    async def check() -> None:
        settings = {"kind": LmtpDoor, "hop_lmtp": True, "script": script}
        async with smtp_room(**settings) as room, room.client() as client:
            replies = await replies_to(client, NAMES[0], "d@example.org", *NAMES[1:], NAMES[0])
            assert replies == [
                "250 2.0.0 <a> saved",
                "452 4.2.2 over quota",
                "550 5.2.1 disabled",
                "250 2.0.0 <a> saved",
            ], "in the order of the accepted recipients, one named twice included"
            assert (await client.say("NOOP")).startswith("250")
            assert room.hop.commands[0] == "LHLO gate.example"
            assert without_trace(room.hop.wires[0]) == MESSAGE
            assert b" with LMTP id " in room.hop.wires[0]
            assert await replies_to(client, NAMES[0]) == ["250 2.0.0 <a> saved"], "and once more"
            assert room.hop.connections == 1

    run(check())


def test_all_refused_is_refused_for_each() -> None:
    seen: list[Reply] = []

    async def look(envelope, raw, transaction, identifier) -> Reply:
        seen.append(await transaction.deliver(raw))
        return seen[-1]

    async def check() -> None:
        settings = {"kind": LmtpDoor, "hop_lmtp": True, "accept": look}
        async with smtp_room(**settings) as room, room.client() as client:
            room.hop.script["END"] = by_name(a="550 5.2.1 disabled", b="452 4.2.2 over quota")
            assert [reply[:3] for reply in await replies_to(client, *NAMES[:2])] == ["550", "452"]
            assert seen[-1].is_transient, "as long as one of them may yet have it"
            room.hop.script["END"] = by_name(a="550 5.2.1 disabled", b="552 5.2.2 over quota")
            assert [reply[:3] for reply in await replies_to(client, *NAMES[:2])] == ["550", "552"]
            assert not seen[-1].is_transient
            assert not seen[-1].is_positive
            room.hop.script["END"] = by_name(a="550 5.2.1 disabled")
            assert [reply[:3] for reply in await replies_to(client, *NAMES[:2])] == ["550", "250"]
            assert seen[-1].is_positive, "somebody has it"

    run(check())


def test_lmtp_to_smtp_says_the_one_reply_for_each_recipient() -> None:
    async def check() -> None:
        async with smtp_room(kind=LmtpDoor) as room, room.client() as client:
            assert await replies_to(client, *NAMES) == ["250 2.0.0 queued as 4711"] * 3
            assert len(room.hop.wires) == 1
            room.hop.script["END"] = "554 5.7.1 spam"
            assert await replies_to(client, *NAMES) == ["554 5.7.1 spam"] * 3

    run(check())


@pytest.mark.parametrize("kind", ["lmtp", "smtp"])
def test_a_maildir_takes_one_copy_for_all(tmp_path: Path, kind: str) -> None:
    async def check() -> None:
        maildir = Maildir(tmp_path / "maildir")
        hop = MaildirNextHop(maildir)
        if kind == "lmtp":
            async with smtp_room(kind=LmtpDoor, next_hop=hop) as room, room.client() as client:
                assert [reply[:3] for reply in await replies_to(client, *NAMES)] == ["250"] * 3
        else:
            async with smtp_room(next_hop=hop) as room, room.client() as client:
                assert (await client.send(MESSAGE, *NAMES)).startswith("250")
        (stored,) = await hop.maildir.entries()
        assert without_trace(await maildir.read(stored.name) or b"") == MESSAGE

    run(check())


def test_smtp_to_lmtp_takes_one_recipient_for_each_message() -> None:
    """A client that asked for three has the message sent three times, to one each: nobody misses it, nobody has two."""
    script = {"END": by_name(a="250 2.0.0 stored", b="552 5.2.2 over quota", c="250 2.0.0 stored")}

    async def check() -> None:
        async with smtp_room(hop_lmtp=True, script=script) as room, room.client() as client:
            waiting, told = list(NAMES), {}
            while waiting:  # as RFC 5321 section 4.5.3.1.10 has clients do
                await client.say("MAIL FROM:<sender@example.com>")
                taken = []
                for each in waiting:
                    reply = await client.say(f"RCPT TO:<{each}>")
                    assert reply.startswith(("250", "452 4.5.3")), reply
                    taken += [each] if reply.startswith("250") else []
                assert len(taken) == 1
                await client.say("DATA")
                client.writer.write(MESSAGE + b".\r\n")
                told[taken[0]] = (await client.reply())[:3]
                waiting.remove(taken[0])
            assert told == dict(zip(NAMES, ["250", "552", "250"], strict=True))
            named = [line for line in room.hop.commands if line.startswith("RCPT")]
            assert named == [f"RCPT TO:<{each}>" for each in NAMES]

    run(check())


def test_a_refused_recipient_makes_room_for_the_next() -> None:
    async def check() -> None:
        script = {"RCPT": by_name(a="550 5.1.1 unknown")}
        async with smtp_room(hop_lmtp=True, script=script) as room, room.client() as client:
            batch = "MAIL FROM:<x@example.com>\r\n" + "".join(f"RCPT TO:<{each}>\r\n" for each in NAMES)
            client.writer.write(batch.encode())
            assert [(await client.reply())[:9] for _ in range(4)] == [
                "250 2.0.0", "550 5.1.1", "250 2.0.0", "452 4.5.3"]  # fmt: skip

    run(check())


def test_hello_is_lhlo() -> None:
    async def check() -> None:
        async with smtp_room(kind=LmtpDoor) as room, room.client(greet=False) as client:
            assert (await client.reply()).startswith("220 gate.example LMTP")
            for hello in ("EHLO x", "HELO x"):
                assert (await client.say(hello)).startswith("500 5.5.1")
            assert (await client.say("MAIL FROM:<a@example.com>")).startswith("503")
            assert "PIPELINING" in await client.say("LHLO x"), "which RFC 2033 section 5 demands"
            await client.say("MAIL FROM:<a@example.com>")
            assert (await client.say("DATA")).startswith("503"), "section 4.2"
        async with smtp_room() as room, room.client(greet=False) as client:
            await client.reply()
            assert (await client.say("LHLO x")).startswith("500 5.5.1")

    run(check())


@pytest.mark.parametrize(
    ("message", "settings", "code"),
    [
        (b"Subject: x\r\n\r\nx\n.\nx\r\n", {}, "554 5.6.0"),
        (b"x" * 2000 + b"\r\n", {"max_message_bytes": 1000}, "552 5.3.4"),
        (b"Received: x\r\n" * 5 + MESSAGE, {"max_hops": 5}, "554 5.4.6"),
    ],
)
def test_what_the_door_itself_refuses_is_refused_for_each(message: bytes, settings: dict, code: str) -> None:
    async def check() -> None:
        async with smtp_room(kind=LmtpDoor, **settings) as room, room.client() as client:
            replies = await replies_to(client, *NAMES, message=message)
            assert [reply[:9] for reply in replies] == [code] * 3
            assert (await client.say("NOOP")).startswith("250")

    run(check())


def test_a_broken_gateway_puts_off_each() -> None:
    async def broken(envelope, raw, transaction, identifier) -> Reply:
        raise RuntimeError("secret detail")

    async def check() -> None:
        async with smtp_room(kind=LmtpDoor, accept=broken) as room, room.client() as client:
            assert [reply[:9] for reply in await replies_to(client, *NAMES)] == ["451 4.3.0"] * 3

    run(check())


def test_a_unix_socket_is_a_door(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    seen = []

    async def look(envelope, raw, transaction, identifier) -> Reply:
        seen.append(envelope)
        return await pass_on(envelope, raw, transaction, identifier)

    async def check() -> None:
        async with smtp_room() as room:
            settings = SmtpSettings("gate.example", recipient_domains=frozenset({"example.org"}))
            door = LmtpDoor(settings, room.door.next_hop, look)
            await door.start_unix(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o666, "the folder says who may"
            client = Client(*await asyncio.open_unix_connection(path))
            await client.reply()
            assert (await client.say("LHLO x")).startswith("250")
            assert (await replies_to(client, NAMES[0]))[0].startswith("250")
            assert seen[0].client_address == "127.0.0.1"
            other = LmtpDoor(settings, room.door.next_hop, look)
            with pytest.raises(OSError, match="another process answers there"):
                await other.start_unix(path)
            await asyncio.sleep(0.1)  # asyncio leaks what it accepts while its server is being closed
            client.close()
            await door.stop(1)
            assert not path.exists()

    run(check())


def test_a_socket_left_over_from_a_crash_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"

    async def check() -> None:
        async with smtp_room() as room:
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(path))
            door = LmtpDoor(SmtpSettings("gate.example"), room.door.next_hop, pass_on)
            await door.start_unix(path)
            client = Client(*await asyncio.open_unix_connection(path))
            assert (await client.reply()).startswith("220")
            client.close()
            await door.stop(1)

    run(check())
