"""Setup: a real Postfix as Debian ships it, with the recipe for smtpd_proxy_filter pasted in, and our door before
its queue.

Test: what the Postfix behind us says reaches the sender unchanged, recipient by recipient and after the message; the
bytes stay what they are; Postfix's logs name the true client; and while we do not answer the sender keeps its mail.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from mailveil.adapters.nexthop import NextHopSettings, SmtpNextHop
from mailveil.app.recipes import postfix_proxy_recipe
from mailveil.config import load
from mailveil.config.values import Endpoint, NextHop
from mailveil.core.policy import Envelope
from mailveil.endpoints.smtp import SmtpDoor, SmtpSettings
from mailveil.ports import Reply
from postfix_room import free_port, missing_for_postfix, postfix_room
from smtp_room import Client, ScriptedServer

pytestmark = pytest.mark.skipif(bool(missing_for_postfix()), reason=f"needs {missing_for_postfix()}")
LOOPBACK = ip_network("127.0.0.0/8")
MESSAGE = (
    b"From: a@example.com\r\nSubject: x\r\n\r\n\xc3\xa4 8 bit, trailing  \r\n..dots\r\n"
    + b"y" * 900
    + b"\r\n"
)


def test_before_the_queue_of_a_real_postfix() -> None:
    seen: list[tuple[Envelope, bytes]] = []
    answer: list[Reply | None] = [None]

    async def accept(envelope, raw, transaction, identifier) -> Reply:
        seen.append((envelope, raw))
        return answer[0] or await transaction.deliver(raw)

    async def work() -> None:
        sink, back = ScriptedServer(), free_port()
        async with sink.running():
            with postfix_room(sink.port) as postfix:
                hop = SmtpNextHop(NextHopSettings("127.0.0.1", back, "gate.example"))
                settings = SmtpSettings("gate.example", (LOOPBACK,), trusted_peers=(LOOPBACK,))
                door = SmtpDoor(settings, hop, accept)
                await door.start("127.0.0.1", 0)
                loaded = load(environment={})
                gateway = replace(
                    loaded.gateway,
                    listen=Endpoint("127.0.0.1", door.port),
                    next_hop=NextHop("127.0.0.1", back),
                )
                recipe = postfix_proxy_recipe(replace(loaded, gateway=gateway))
                await asyncio.to_thread(postfix.paste, recipe)

                async def post(*recipients: str) -> str:
                    source = ("127.0.0.2", 0)  # another address of this machine, which counts as outside
                    opened = asyncio.open_connection("127.0.0.1", postfix.port, local_addr=source)
                    client = Client(*await opened)
                    try:
                        await client.reply()
                        assert (await client.say("EHLO outside.example")).startswith("250")
                        return await client.send(MESSAGE, *recipients)
                    finally:
                        client.close()

                assert (await post("one@example.org", "two@example.org")).startswith(
                    "250 2.0.0 Ok: queued as "
                )
                async with asyncio.timeout(60):
                    while not sink.wires:
                        await asyncio.sleep(0.05)
                envelope, raw = seen[0]
                assert envelope.recipients == ("one@example.org", "two@example.org")
                assert (envelope.client_address, envelope.helo) == ("127.0.0.2", "outside.example")
                assert envelope.client_port
                assert envelope.client_protocol == "ESMTP"
                assert not envelope.local_origin
                stored = MESSAGE.replace(b"\r\n..", b"\r\n.")
                assert raw.endswith(stored)
                assert sink.wires[0].replace(b"\r\n.", b"\r\n").endswith(stored.partition(b"\r\n\r\n")[2])
                assert "orig_client=unknown[127.0.0.2]" in postfix.log(), "Postfix's logs stay true"

                answer[0] = Reply(554, "5.7.1", "Not this one")
                assert await post("one@example.org") == "554 5.7.1 Not this one"
                answer[0] = Reply(451, "4.3.0", "Not now")
                assert (await post("one@example.org")).startswith("451 4.3.0 ")
                answer[0] = None
                await door.stop(1)
                assert (await post("one@example.org")).startswith("451 4.3.0 "), "the sender keeps its mail"
                assert len(sink.wires) == 1

    asyncio.run(asyncio.wait_for(work(), 180))
