"""Setup: a real Postfix as Debian ships it, with the printed recipe pasted in, and our door behind it.

Test: mail from outside takes the way through us and back, byte for byte; local mail does not; and while we do
not answer nothing is lost.
"""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from ipaddress import ip_network

import pytest

from mailveil.adapters.nexthop import NextHopSettings, SmtpNextHop
from mailveil.app.recipes import postfix_recipe
from mailveil.config import load
from mailveil.config.values import Endpoint, NextHop
from mailveil.core.policy import Envelope
from mailveil.endpoints.smtp import SmtpDoor, SmtpSettings
from mailveil.ports import Reply
from postfix_room import Postfix, free_port, missing_for_postfix, postfix_room
from smtp_room import Client, ScriptedServer

pytestmark = pytest.mark.skipif(bool(missing_for_postfix()), reason=f"needs {missing_for_postfix()}")
LOOPBACK = ip_network("127.0.0.0/8")
MESSAGE = (
    b"From: a@example.com\r\nSubject: x\r\n\r\n\xc3\xa4 8 bit, trailing  \r\n..dots\r\n"
    + b"y" * 900
    + b"\r\n"
)


async def post(postfix: Postfix, message: bytes, *, source: str) -> str:
    """Send a message to Postfix from another address of this machine, which counts as outside."""
    client = Client(*await asyncio.open_connection("127.0.0.1", postfix.port, local_addr=(source, 0)))
    await client.reply()
    await client.say("EHLO outside.example")
    reply = await client.send(message, "reader@example.org", options=" BODY=8BITMIME")
    client.close()
    return reply


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.05)


def test_mail_from_outside_goes_through_us_and_local_mail_does_not() -> None:
    seen: list[tuple[Envelope, bytes]] = []
    is_down = [False]

    async def accept(envelope, raw, transaction, identifier) -> Reply:
        if is_down[0]:
            return Reply(451, "4.3.0", "down")
        seen.append((envelope, raw))
        return await transaction.deliver(raw)

    async def work() -> None:
        sink, back = ScriptedServer(), free_port()
        async with sink.running():
            with postfix_room(sink.port) as postfix:
                hop = SmtpNextHop(NextHopSettings("127.0.0.1", back, "gate.example"))
                door = SmtpDoor(
                    SmtpSettings("gate.example", (LOOPBACK,), trusted_peers=(LOOPBACK,)), hop, accept
                )
                await door.start("127.0.0.1", 0)
                settings = load(environment={})
                gateway = replace(
                    settings.gateway,
                    listen=Endpoint("127.0.0.1", door.port),
                    next_hop=NextHop("127.0.0.1", back),
                )
                await asyncio.to_thread(postfix.paste, postfix_recipe(replace(settings, gateway=gateway)))

                assert (await post(postfix, MESSAGE, source="127.0.0.2")).startswith("250")
                await until(lambda: sink.wires)
                envelope, raw = seen[0]
                assert (envelope.sender, envelope.recipients) == (
                    "sender@example.com",
                    ("reader@example.org",),
                )
                assert (envelope.client_address, envelope.helo) == ("127.0.0.2", "outside.example")
                assert not envelope.local_origin
                # What Postfix stored, we had and the next server got: all but trace fields is the same.
                stored = MESSAGE.replace(b"\r\n..", b"\r\n.")
                assert raw.endswith(stored.partition(b"\r\n\r\n")[2])
                delivered = sink.wires[0].replace(b"\r\n.", b"\r\n")
                assert delivered.endswith(raw), "the way back added trace fields on top and changed nothing"
                assert "orig_client=unknown[127.0.0.2]" in postfix.log(), "Postfix's logs stay true"

                local = ["sendmail", "-C", str(postfix.config), "reader@example.org"]
                subprocess.run(local, input=b"Subject: local\n\nx\n", check=True, timeout=30)
                await until(lambda: len(sink.wires) == 2)
                assert len(seen) == 1

                is_down[0] = True
                assert (await post(postfix, MESSAGE, source="127.0.0.2")).startswith("250")
                await until(
                    lambda: "status=deferred (host 127.0.0.1[127.0.0.1] said: 451 4.3.0 down" in postfix.log()
                )
                is_down[0] = False
                await asyncio.to_thread(postfix.run, "postqueue", "-c", str(postfix.config), "-f")
                await until(lambda: len(sink.wires) == 3)
                await door.stop(1)

    asyncio.run(work())
