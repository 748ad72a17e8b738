"""Setup: a real Postfix as Debian ships it, chroots included, with the printed milter recipe pasted in.

Test: what is not changed arrives byte for byte as without us; what is changed arrives exactly as wanted, whatever
its header looks like; and while we do not answer, clients keep their mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

import pytest

from mailveil.app.recipes import postfix_milter_recipe
from mailveil.config import load
from mailveil.config.values import Endpoint
from mailveil.core.policy import Direction, Envelope, direction_of
from mailveil.endpoints.milter import MilterDoor, MilterSettings
from mailveil.ports import Reply
from postfix_room import Postfix, free_port, missing_for_postfix, postfix_room
from smtp_room import Client, ScriptedServer

pytestmark = pytest.mark.skipif(bool(missing_for_postfix()), reason=f"needs {missing_for_postfix()}")
LOOPBACK = ip_network("127.0.0.0/8")

Change = Callable[[bytes], bytes]


@dataclass
class MilterRoom:
    """Postfix with our milter on ``port``, and the same Postfix without it on ``bare_port``."""

    postfix: Postfix
    sink: ScriptedServer
    door: MilterDoor
    bare_port: int
    change: Change | None = None
    refusal: Reply | None = None
    seen: list[tuple[Envelope, bytes, str]] = field(default_factory=list)

    async def accept(self, envelope, raw, transaction, identifier) -> Reply:
        self.seen.append((envelope, raw, identifier))
        if self.refusal is not None:
            return self.refusal
        return await transaction.deliver(self.change(raw) if self.change else raw)

    async def post(self, message: bytes, *, port: int = 0, options: str = " BODY=8BITMIME") -> str:
        """Send a message from another address of this machine; return the reply."""
        connection = await asyncio.open_connection(
            "127.0.0.1", port or self.postfix.port, local_addr=("127.0.0.2", 0)
        )
        client = Client(*connection)
        await client.reply()
        await client.say("EHLO outside.example")
        reply = await asyncio.wait_for(client.send(stuffed(message), options=options), 120)
        client.close()
        return reply

    async def through(self, message: bytes, *, port: int = 0) -> bytes:
        """Return a message as the next server got it, without Postfix's own trace field."""
        before = len(self.sink.wires)
        reply = await self.post(message, port=port)
        assert reply.startswith("250"), reply
        await self.until(lambda: len(self.sink.wires) > before)
        wire = self.sink.wires[before]
        raw = re.sub(rb"^\.", b"", wire, flags=re.MULTILINE)
        trace = re.match(rb"Received: [^\n]*\n(?:[ \t][^\n]*\n)*", raw)
        assert trace, raw[:200]
        assert b"by mx.example.org (Postfix)" in trace[0], "nothing goes above the trace field"
        return raw[trace.end() :]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not condition():
                await asyncio.sleep(0.02)


def stuffed(message: bytes) -> bytes:
    whole = message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    return re.sub(rb"^\.", b"..", whole, flags=re.MULTILINE)


@contextlib.asynccontextmanager
async def milter_room(*, by_socket: bool = False, **settings: object) -> AsyncIterator[MilterRoom]:
    sink = ScriptedServer(extensions=("8BITMIME", "SMTPUTF8"))
    async with sink.running():
        with postfix_room(sink.port) as postfix:
            room: list[MilterRoom] = []

            async def accept(*arguments) -> Reply:
                return await room[0].accept(*arguments)

            door = MilterDoor(MilterSettings(clients=(LOOPBACK,), **settings), accept)
            await door.start("127.0.0.1", 0)
            chosen = load(environment={})
            milter = replace(chosen.milter, listen=Endpoint("127.0.0.1", door.port))
            recipe = postfix_milter_recipe(replace(chosen, milter=milter))
            if by_socket:
                directory = postfix.config / "queue" / "mailveil"
                directory.mkdir()
                shutil.chown(directory, group="postfix")
                directory.chmod(0o2750)
                await door.start_socket(directory / "milter.sock")
                recipe = recipe.replace(f"{{ inet:127.0.0.1:{door.port},", "{ unix:mailveil/milter.sock,")
            bare_port = await asyncio.to_thread(add_bare_port, postfix)
            await asyncio.to_thread(postfix.paste, recipe)
            room.append(MilterRoom(postfix, sink, door, bare_port))
            try:
                yield room[0]
            finally:
                await door.stop(1)


def add_bare_port(postfix: Postfix) -> int:
    """Add a port without milter; allow large messages; return the port."""
    port = free_port()
    service = f"127.0.0.1:{port}/inet"
    config = str(postfix.config)
    postfix.run("postconf", "-c", config, "-M", f"{service}=127.0.0.1:{port} inet n - n - - smtpd")
    postfix.run("postconf", "-c", config, "-P", f"{service}/smtpd_milters=")
    postfix.run("postconf", "-c", config, "-e", "message_size_limit=100000000", "smtp_line_length_limit=0")
    return port


def run(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 300))


UNCHANGED = {
    "plain": b"From: a@example.com\r\nSubject: x\r\n\r\nbody\r\n",
    "odd white space": b"From: a@example.com\r\nA:none\r\nB:\ttab\r\nC:  two\r\n folded\r\n \t \r\n\t  more \t\r\n"
    b"E:\r\nEs: \r\nF:\r\n next line\r\nG :before colon\r\nSubject : both\r\nh: lower\r\n\r\nbody  \r\n",
    "eight bit": b"From: \xe4@example.com\r\nSubject: \xc3\xa4\xff\r\n\r\n\xe4\x00\x01\xff\r\n",
    "bare breaks": b"From: a@example.com\r\nX: a\rb\r\n\r\nc\rd\r\ne\r\r\n",
    "dots": b"From: a@example.com\r\n\r\n.\r\n..\r\n.a\r\n",
    "long lines": b"From: a@example.com\r\nX: "
    + b"y" * 5000
    + b"\r\n\r\n"
    + b"z" * 10_000
    + b"\r\n"
    + b"w" * 999,
    "huge field": b"From: a@example.com\r\nX: " + b"y \r\n " * 40_000 + b"\r\n\r\nbody\r\n",
    "no end of header": b"From: a@example.com\r\nSubject: x\r\n",
    "a line that is no field": b"From: a@example.com\r\nno field\r\nSubject: x\r\n\r\nbody\r\n",
    "no header": b"no header\r\nat all\r\n",
    "empty header": b"\r\nbody\r\n",
    "empty body": b"From: a@example.com\r\n\r\n",
    "nothing": b"",
    "many fields": b"".join(b"X-%d: %d\r\n" % (number % 50, number) for number in range(3000))
    + b"\r\nbody\r\n",
}


@pytest.mark.parametrize("by_socket", [False, True])
def test_an_unchanged_message_arrives_as_without_us(by_socket: bool) -> None:
    async def work() -> None:
        async with milter_room(by_socket=by_socket) as room:
            for name, message in UNCHANGED.items():
                expected = await room.through(message, port=room.bare_port)
                count = len(room.seen)
                found = await room.through(message)
                assert len(room.seen) == count + 1, "it went through us"
                assert found == expected, name
                # What we are shown is what arrives, but for an empty line that ends the header in any case.
                shown = room.seen[-1][1]
                if "long lines" not in name and "huge" not in name:
                    assert shown in (expected, expected + b"\r\n"), name

    run(work())


def test_a_changed_message_arrives_exactly_as_wanted() -> None:
    first = (
        b"Received: from x\r\n\tby y\r\nFrom: a@example.com\r\nA:none\r\nB:\ttab\r\nX-Image-URL: http://t/\r\n"
        b"Received: from z\r\nSubject: =?utf-8?q?x?=\r\n  folded\r\nx-image-url: http://u/\r\nE:\r\n"
        b"Content-Type: text/html\r\n\r\nbody\r\n"
    )
    header, _, body = first.partition(b"\r\n\r\n")
    cases = {
        "a field changed": first.replace(b"text/html", b"text/plain;\r\n\tcharset=utf-8"),
        "a field deleted": first.replace(b"X-Image-URL: http://t/\r\n", b""),
        "the second of its name deleted": first.replace(b"x-image-url: http://u/\r\n", b""),
        "a trace field changed": first.replace(b"from z", b"from zz\r\n\tand more"),
        "the first trace field deleted": first.replace(b"Received: from x\r\n\tby y\r\n", b""),
        "fields on top": b"ARC-Seal: i=1;\r\n\tb=x\r\nReceived: own\r\n" + first,
        "a field inside": first.replace(b"A:none", b"Inside:  new \r\nA:none"),
        "fields at the end": header + b"\r\nLast: 1\r\nLast: 2\r\n\r\n" + body,
        "a field emptied": first.replace(b"A:none", b"A:"),
        "no space and a tab": first.replace(b"A:none", b"A:some").replace(b"\ttab", b"\tbat"),
        "8 bit": first.replace(b"A:none", b"A: \xe4\xff"),
        "the body alone": header + b"\r\n\r\nother \x00\xe4\r\n.\r\n..\r\n",
        "no body any more": header + b"\r\n\r\n",
        "a longer body": first + b"x" * 70 + (b"\r\n" + b"y" * 70) * 3000 + b"\r\n",
        "everything": b"New: 1\r\nnew: 2\r\n\r\n" + b"z\r\n" * 100_000,
    }  # fmt: skip

    async def work() -> None:
        async with milter_room() as room:
            for name, wanted in cases.items():
                room.change = lambda raw, wanted=wanted: wanted
                found = await room.through(first)
                assert room.seen[-1][1] == first
                assert found == wanted, name

    run(work())


def test_any_header_becomes_any_other() -> None:
    randomness = random.Random(4711)
    lines = [
        b"A: 1",
        b"a:2",
        b"B:\t3\r\n 4",
        b"Received: x",
        b"C: ",
        b"Long: " + b"y" * 2100,
        b"D: short",
        b"A:1",
    ]

    def header() -> bytes:
        some = [randomness.choice(lines) for _ in range(randomness.randrange(1, 12))]
        return b"".join(
            each + b"\r\n" for each in (*some, b"From: a@example.com", b"Date: x", b"Message-Id: <x@x>")
        )

    async def work() -> None:
        async with milter_room() as room:
            for _ in range(60):
                before = header() + b"\r\nbody\r\n"
                after = header() + b"\r\n" + randomness.choice([b"body\r\n", b"changed\r\n" * 500])
                room.change = lambda raw, after=after: after
                assert await room.through(before) == after, (before, after)

    run(work())


def test_twenty_megabytes_arrive() -> None:
    large = b"From: a@example.com\r\n\r\n" + b"".join(b"%076d\r\n" % number for number in range(270_000))
    assert len(large) > 20_000_000

    async def work() -> None:
        async with milter_room() as room:
            assert await room.through(large) == large
            room.change = lambda raw: raw.replace(b"From:", b"X: y\r\nFrom:") + b"more\r\n"
            assert await room.through(large) == room.change(large)

    run(work())


def test_too_large_refused_and_failed_messages_stay_with_the_client() -> None:
    message = UNCHANGED["plain"]

    async def work() -> None:
        async with milter_room(max_message_bytes=10_000) as room:
            assert (await room.post(message + b"x\r\n" * 10_000)).startswith("552 5.3.4 ")
            for reply in (Reply(451, "4.3.0", "not now"), Reply(554, "5.6.0", "never")):
                room.refusal = reply
                assert await room.post(message) == str(reply)
            room.refusal = Reply(250, "2.0.0", "a lie: nothing was delivered")
            assert (await room.post(message)).startswith("451 4.3.0 ")
            room.refusal = None
            await room.door.stop(1)
            assert (await room.post(message)).startswith("451 "), "nobody answers"
            assert room.sink.wires == []
            again = MilterDoor(MilterSettings(clients=(LOOPBACK,)), room.accept)
            await again.start("127.0.0.1", room.door.port)
            assert (await room.post(message)).startswith("250 ")
            await room.until(lambda: len(room.sink.wires) == 1)
            await again.stop(1)

    run(work())


def test_whose_mail_it_is_and_its_identifier() -> None:
    message = UNCHANGED["plain"]

    async def work() -> None:
        async with milter_room() as room:
            postfix, config = room.postfix, str(room.postfix.config)
            reply = await room.post(message, options=" SMTPUTF8 BODY=8BITMIME")
            envelope, _, identifier = room.seen[-1]
            assert identifier in reply, "ours is Postfix's queue identifier"
            assert (envelope.client_address, envelope.helo) == ("127.0.0.2", "outside.example")
            assert (envelope.sender, envelope.recipients) == ("sender@example.com", ("reader@example.org",))
            assert (envelope.smtputf8, envelope.body_8bit) == (True, True)
            assert direction_of(envelope) is Direction.INBOUND

            # A client of this very machine is nobody that could be told from a forwarder.
            client = Client(*await asyncio.open_connection("127.0.0.1", postfix.port))
            await client.reply()
            await client.say("EHLO here.example")
            assert (await client.send(message)).startswith("250")
            assert direction_of(room.seen[-1][0]) is Direction.INBOUND
            # What another server vouches for is an authenticated user.
            await client.say("XCLIENT LOGIN=me ADDR=192.0.2.9 NAME=pc.example")
            await client.say("EHLO pc.example")
            assert (await client.send(message)).startswith("250")
            client.close()

            local = (
                "non_smtpd_milters=" + postfix.run("postconf", "-c", config, "-xh", "smtpd_milters").strip()
            )
            await asyncio.to_thread(postfix.run, "postconf", "-c", config, "-e", local)
            await asyncio.to_thread(postfix.run, "postfix", "-c", config, "reload")
            count = len(room.seen)
            command = ["sendmail", "-C", config, "reader@example.org"]
            await asyncio.to_thread(
                subprocess.run, command, input=b"Subject: local\n\nx\n", check=True, timeout=60
            )
            await room.until(lambda: len(room.seen) > count)
            envelope, raw, identifier = room.seen[-1]
            assert direction_of(envelope) is Direction.LOCAL
            assert b"Subject: local\r\n" in raw
            assert identifier

    run(work())


def test_many_clients_at_once() -> None:
    async def work() -> None:
        async with milter_room(max_messages=4) as room:
            room.change = lambda raw: raw.replace(b"tracked", b"silent!")
            messages = [UNCHANGED["plain"] + b"%d tracked\r\n" % number * 500 for number in range(40)]
            replies = await asyncio.gather(*(room.post(each) for each in messages))
            assert all(reply.startswith("250") for reply in replies), replies
            await room.until(lambda: len(room.sink.wires) == len(messages))
            bodies = sorted(wire.partition(b"\r\n\r\n")[2] for wire in room.sink.wires)
            expected = sorted(each.partition(b"\r\n\r\n")[2] for each in messages)
            assert bodies == [each.replace(b"tracked", b"silent!") for each in expected]

    run(work())


def test_the_socket_is_for_its_group_alone() -> None:
    async def work() -> None:
        async with milter_room(by_socket=True) as room:
            path = room.postfix.config / "queue" / "mailveil" / "milter.sock"
            found = path.stat()
            assert oct(found.st_mode & 0o777) == "0o660"
            assert found.st_gid == path.parent.stat().st_gid != os.getgid()

    run(work())
